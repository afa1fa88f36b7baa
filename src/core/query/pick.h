/* pick: the best k of the items that are offered, by the one total order of all answers: score
 * descending, created_at descending, key bytes ascending. Scores are compared as ranks, which hold
 * a count, a double or a forward-decayed sum of any epoch without rounding one to another.
 *
 * A pick leaves out deleted items, items that it was told to (excluded ones, those shown already)
 * and, on a later page, every item that does not lie behind the last row of the page before.
 * Memory: k candidates and a set of the items left out. One owner thread.
 */
#ifndef TIDEMARK_CORE_QUERY_PICK_H
#define TIDEMARK_CORE_QUERY_PICK_H

#include "core/state/columns.h"
#include "core/state/state.h"

/* A number in a form that compares over any range. Of a positive sum: exponent, mantissa; of a
 * negative one: both turned round; zero lies between. */
struct rank {
    int64_t high;
    uint64_t low;
};
struct rank rank_of_sum(struct net_sum net);
struct rank rank_of_count(uint64_t count);
/* Above 0 when a is the larger number. Ranks of counts and of sums do not compare. */
int rank_compare(struct rank a, struct rank b);

struct candidate {
    struct rank rank;
    struct net_sum net; /* the score; of a decayed order the sum */
    uint32_t item;
};

/* A place in the order: where the page before ended. */
struct pick_place {
    struct rank rank;
    int64_t created_ms;
    struct slice key; /* borrowed */
};

struct pick_options {
    uint32_t limit;           /* 1.. */
    const uint32_t *excludes; /* items; NULL with count 0 */
    uint32_t exclude_count;
    const struct pick_place *after; /* NULL: from the start; borrowed while the pick lives */
    const uint32_t *shown;          /* items */
    uint32_t shown_count;
};

/* Open addressing; ITEM_NONE is an empty slot. */
struct item_set {
    uint32_t *slots;
    uint32_t capacity; /* power of two, 0 when there is nothing in it */
};

struct pick {
    const struct state *state; /* borrowed */
    struct alloc *alloc;       /* borrowed */
    struct candidate *heap;    /* worst on top */
    uint32_t count;
    uint32_t limit;
    struct item_set left_out;
    const struct pick_place *after;
};

/* False when memory is refused; then there is nothing to end. */
MUST_CHECK bool pick_init(struct pick *p, const struct state *s, struct alloc *alloc,
                          const struct pick_options *options);
void pick_fini(struct pick *p);

/* Take a candidate if it belongs to the best so far. True when the heap changed. */
bool pick_offer(struct pick *p, const struct candidate *c);
/* The last of the best while the pick is full: what a newcomer has to beat; NULL before. */
static inline const struct candidate *pick_worst(const struct pick *p)
{
    return p->count == p->limit ? &p->heap[0] : NULL;
}
/* Take the last of the best out; count > 0. */
struct candidate pick_take_worst(struct pick *p);

#endif
