/* retrieve: the best items by one order over the state. Total order: score descending, created_at
 * descending, key bytes ascending. Exact. A pure function of (state, request). Decayed scores are
 * compared as sums, before they are rounded for now_ms, so the order is the same at every moment.
 */
#ifndef TIDEMARK_CORE_QUERY_RETRIEVE_H
#define TIDEMARK_CORE_QUERY_RETRIEVE_H

#include "core/state/state.h"

#define RETRIEVE_LIMIT_MAX 1000u

enum retrieve_order {
    RETRIEVE_DECAYED, /* decayed sum of one type, its first half-life */
    RETRIEVE_TOP,     /* all-time count over types of positive polarity */
};

struct retrieve_request {
    enum retrieve_order order;
    uint32_t type_id; /* decayed only */
    uint32_t limit;   /* 1..RETRIEVE_LIMIT_MAX */
    int64_t now_ms;
    const struct slice *excludes; /* keys to leave out; NULL with count 0 */
    uint32_t exclude_count;
};
struct retrieve_row {
    uint32_t item;
    double score;
};
/* Fill rows (room for limit); *out_count <= limit. Items with score 0 and no event of the order's
 * types are not candidates. E_SCHEMA unknown type, E_NOMEMORY. */
MUST_CHECK enum code retrieve_run(const struct state *s, struct alloc *alloc,
                                  const struct retrieve_request *request, struct retrieve_row *rows,
                                  uint32_t *out_count, struct err *e);

#endif
