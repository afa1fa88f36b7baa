/* counters: see counters.h. Never judges what is counted or when. */
#include "core/state/counters.h"

#include "base/assert.h"

struct block *counters_new(struct alloc *alloc)
{
    return block_new(alloc, (struct block_id){0}, COUNTERS_SIZE, 0);
}

uint64_t counters_memory_max(void)
{
    return sizeof(struct block) + 2 * (uint64_t)COUNTERS_SIZE;
}

static uint32_t *low_of(struct block *b)
{
    return (uint32_t *)(void *)b->payload;
}

static uint32_t *high_of(struct block *b)
{
    return (uint32_t *)(void *)b->extra;
}

bool counters_add(struct alloc *alloc, struct block **place, uint32_t counter, uint32_t count)
{
    ASSERT(counter < COUNTERS);
    struct block *b = block_writable(alloc, place);
    if (b == NULL) return false;
    uint32_t *low = low_of(b) + counter;
    *low += count;
    if (*low >= count) return true;
    if (b->extra_size == 0) {
        if (!block_extra_reserve(alloc, b, COUNTERS_SIZE)) return false;
        b->extra_size = COUNTERS_SIZE; /* room that was reserved is zeroed */
    }
    high_of(b)[counter]++;
    return true;
}

bool counters_subtract(struct alloc *alloc, struct block **place, uint32_t counter, uint32_t count)
{
    ASSERT(counter < COUNTERS);
    struct block *b = block_writable(alloc, place);
    if (b == NULL) return false;
    uint32_t *low = low_of(b) + counter;
    uint32_t before = *low;
    *low -= count;
    if (before >= count) return true;
    ASSERT(b->extra_size == COUNTERS_SIZE);
    ASSERT(high_of(b)[counter] > 0);
    high_of(b)[counter]--;
    return true;
}
