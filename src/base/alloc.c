/* alloc: the only way by which state gets memory. Holds at all times:
 *     used_bytes = sum of the blocks out, each rounded up to BLOCK_ALIGN
 *     used_bytes <= limit_bytes, but for a moment inside a call that is refused
 * Counters are relaxed: they order nothing, only their sums matter. Any thread may give back; the
 * owner's thread gets. */
#include "base/alloc.h"

#include "base/assert.h"

#include <stdlib.h>

enum { BLOCK_ALIGN = 64, CAPACITY_MIN = 8 };

static size_t rounded(size_t size)
{
    return (size + (BLOCK_ALIGN - 1)) & ~(size_t)(BLOCK_ALIGN - 1);
}

void alloc_init(struct alloc *a, uint64_t limit_bytes)
{
    atomic_init(&a->used_bytes, 0);
    a->limit_bytes = limit_bytes;
    atomic_init(&a->fail_countdown, -1);
}

/* Is this the call that a test wants to fail? */
static bool fails_by_order(struct alloc *a)
{
    if (atomic_load_explicit(&a->fail_countdown, memory_order_relaxed) <= 0) return false;
    return atomic_fetch_sub_explicit(&a->fail_countdown, 1, memory_order_relaxed) == 1;
}

void *alloc_get(struct alloc *a, size_t size)
{
    ASSERT(size > 0);
    if (size > SIZE_MAX / 2 || fails_by_order(a)) return NULL;
    size_t room = rounded(size);
    uint64_t before = atomic_fetch_add_explicit(&a->used_bytes, room, memory_order_relaxed);
    bool is_within = a->limit_bytes == 0 || before + room <= a->limit_bytes;
    void *p = is_within ? aligned_alloc(BLOCK_ALIGN, room) : NULL;
    if (p == NULL) {
        atomic_fetch_sub_explicit(&a->used_bytes, room, memory_order_relaxed);
        return NULL;
    }
    return memset(p, 0, room);
}

void alloc_put(struct alloc *a, void *p, size_t size)
{
    if (p == NULL) return;
    size_t room = rounded(size);
    uint64_t before = atomic_fetch_sub_explicit(&a->used_bytes, room, memory_order_relaxed);
    ASSERT(before >= room); /* given back twice, or with another size */
    free(p);
}

bool alloc_grow(struct alloc *a, void **items, size_t *capacity, size_t item_size, size_t wanted)
{
    ASSERT(item_size > 0);
    if (wanted <= *capacity) return true;
    size_t larger = *capacity < CAPACITY_MIN / 2 ? CAPACITY_MIN : *capacity * 2;
    if (larger < wanted) larger = wanted;
    size_t size;
    if (__builtin_mul_overflow(larger, item_size, &size)) return false;
    void *grown = alloc_get(a, size);
    if (grown == NULL) return false;
    if (*capacity > 0) memcpy(grown, *items, *capacity * item_size);
    alloc_put(a, *items, *capacity * item_size);
    *items = grown;
    *capacity = larger;
    return true;
}
