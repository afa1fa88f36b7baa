/* alloc: memory with a budget. Deciding code never calls malloc; state grows through one of these,
 * so that memory_max refuses cleanly and tests can make the n-th allocation fail.
 * Sizes are given back at free, so no header is stored. Counters are atomic: blocks may be freed by
 * the thread that drops the last pin.
 */
#ifndef TIDEMARK_BASE_ALLOC_H
#define TIDEMARK_BASE_ALLOC_H

#include <stdatomic.h>

#include "base/types.h"

struct alloc {
    _Atomic uint64_t used_bytes;
    uint64_t limit_bytes;           /* 0 = no limit */
    _Atomic int64_t fail_countdown; /* tests: < 0 = never; the call that brings it to 0 fails */
};
void alloc_init(struct alloc *a, uint64_t limit_bytes);
/* Zeroed memory, 64-byte aligned; NULL when the limit or the system refuses. size > 0. */
void *alloc_get(struct alloc *a, size_t size);
/* p may be NULL (then size is ignored). */
void alloc_put(struct alloc *a, void *p, size_t size);
/* Grow an array of items: contents kept, new part zeroed; *items and *capacity change on success
 * only. Capacity at least doubles. */
MUST_CHECK bool alloc_grow(struct alloc *a, void **items, size_t *capacity, size_t item_size,
                           size_t wanted);

#endif
