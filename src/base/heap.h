/* heap: a queue by number, lowest first: nodes lie in what their owner queues, so that one can be
 * taken out of the middle, too. Grows by doubling. One owner.
 */
#ifndef TIDEMARK_BASE_HEAP_H
#define TIDEMARK_BASE_HEAP_H

#include "base/types.h"

#define HEAP_OUTSIDE UINT32_MAX

struct heap_node {
    uint64_t key;
    uint32_t place; /* index in the heap; HEAP_OUTSIDE: in none */
};

struct heap {
    struct heap_node **nodes;
    uint32_t count;
    uint32_t capacity;
};

static inline void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}
void heap_fini(struct heap *h); /* nodes are their owners' */
/* node->key is set; node is in no heap. False: no memory. */
MUST_CHECK bool heap_add(struct heap *h, struct heap_node *node);
void heap_remove(struct heap *h, struct heap_node *node);
/* The node with the lowest key; NULL: empty. */
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}

#endif
