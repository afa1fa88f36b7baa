/* retrieve: one page of the best items by one order over the state. Total order: score descending,
 * created_at descending, key bytes ascending. Exact. A pure function of (state, request). Decayed
 * scores are compared as sums, before they are rounded for now_ms, so the order is the same at
 * every moment.
 *
 * A later page begins behind a place in that order. An item is never shown twice: in most orders an
 * item can only rise as long as no moment passes, so that what was shown stays before the place;
 * where an item can fall (retrieve_can_fall), the request brings the items shown so far and they
 * are left out.
 */
#ifndef TIDEMARK_CORE_QUERY_RETRIEVE_H
#define TIDEMARK_CORE_QUERY_RETRIEVE_H

#include "core/query/filter.h"
#include "core/query/pick.h"
#include "core/state/state.h"

#define RETRIEVE_LIMIT_MAX 1000u

/* p and n: all-time counts over types of positive and of negative polarity. */
enum retrieve_order {
    RETRIEVE_DECAYED,       /* decayed sum of one type, its first half-life */
    RETRIEVE_TOP,           /* p */
    RETRIEVE_COUNT,         /* all-time count of one type */
    RETRIEVE_NEW,           /* created_at */
    RETRIEVE_HOT,           /* score_hot of p, n and created_at */
    RETRIEVE_CONTROVERSIAL, /* score_controversial of p and n */
    RETRIEVE_BEST,          /* score_best of p and n */
    RETRIEVE_TRENDING,      /* score_trending of the windows 1h and 24h over positive types */
    RETRIEVE_RISING,        /* score_rising of the same and the age at now */
};

struct retrieve_after {
    struct pick_place place; /* of the last row of the page before */
    bool has_shown;          /* decided on the first page: retrieve_can_fall */
    const uint32_t *shown;   /* items of all pages before */
    uint32_t shown_count;
};

struct retrieve_request {
    enum retrieve_order order;
    uint32_t type_id; /* decayed and count only */
    uint32_t limit;   /* 1..RETRIEVE_LIMIT_MAX */
    int64_t now_ms;
    const uint32_t *excludes; /* items to leave out, ITEM_NONE allowed; NULL with count 0 */
    uint32_t exclude_count;
    const struct filter *filter;        /* NULL: none */
    const struct retrieve_after *after; /* NULL: the first page */
    uint64_t work_max; /* of a decayed order: items to look at before E_BUSY; 0: no bound */
};
struct retrieve_row {
    uint32_t item;
    double score;
    struct rank rank;
};
/* Fill rows (room for limit); *out_count <= limit. No candidates: items without an event of the
 * order's types (new and hot: none; all items are candidates). E_SCHEMA unknown type, E_NOMEMORY,
 * E_BUSY. */
MUST_CHECK enum code retrieve_run(const struct state *s, struct alloc *alloc,
                                  const struct retrieve_request *request, struct retrieve_row *rows,
                                  uint32_t *out_count, struct err *e);

/* Counts and items that answering looks at in any case, about a nanosecond each. Of a decayed
 * order, which skips most items, hardly any: there work_max bounds what cannot be known before. */
uint64_t retrieve_work_min(const struct state *s, const struct retrieve_request *request);

/* Can a later event make an item fall in this order? Counts fall where signals can be taken back.
 * Of a decayed order of another type: only once it has negative sums; the answer for the first page
 * holds for the whole listing, because then items that got a negative weight later changed their
 * place and need not be shown (retrieve.c). */
bool retrieve_can_fall(const struct state *s, const struct retrieve_request *request);

struct retrieve_term {
    const char *name; /* static, or of the schema: borrowed until the next apply */
    double value;
};
/* Terms of a row's score, in the order in which they add up to exactly the score. Room for
 * retrieve_terms_max of them; returns how many. */
uint32_t retrieve_terms_max(const struct state *s);
uint32_t retrieve_terms(const struct state *s, const struct retrieve_request *request,
                        const struct retrieve_row *row, struct retrieve_term *terms);

#endif
