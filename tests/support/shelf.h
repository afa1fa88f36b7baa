/* shelf: items with fields, in a state, for tests of WHERE: every item has its values again in a
 * plain struct beside it, by which a test knows what a filter must say. Not part of the product.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_SHELF_H
#define TIDEMARK_TESTS_SUPPORT_SHELF_H

#include "base/random.h"
#include "core/query/filter.h"
#include "support/state_log.h"

enum { SHELF_TOPICS = 6, SHELF_CREATORS = 4 };

struct shelf_item {
    uint8_t topics; /* bit i: the tag "t<i>" of field topic */
    bool has_year;
    double year;
    int nsfw; /* -1: missing */
    bool has_seen;
    int64_t seen_ms;
    int creator; /* "c<i>"; -1: none */
    int64_t created_ms;
    bool is_deleted;
};

struct shelf {
    struct alloc alloc;
    struct state_log log;
    struct state *state;
    struct shelf_item *items;
    uint32_t count;
};

/* Items "i0", "i1" ... with values from the seed; fields topic (tag), year and nsfw (num), seen
 * (time), body (text). Every item has some events of the types "view" and "skip" (negative), both
 * with windows of an hour and a day. */
void shelf_init(struct shelf *s, uint32_t count, uint64_t seed);
void shelf_fini(struct shelf *s);
/* Which items does the filter pass? out: one for each item. */
void shelf_ask(const struct shelf *s, const struct filter *f, bool *out);

#endif
