/* counters: the running counts that scans read: for one signal type (windows.h) two of each of
 * 4,096 items in a block, side by side, so that one load gives both: the last hour, the last day.
 *
 * Derived: made again at load, in no digest and no checkpoint. The payload is the low half of each
 * counter; upper halves are the block's extra bytes in the same order, made when one is first
 * needed. The block may be shared with frozen states: it is copied before the first change after
 * that. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_COUNTERS_H
#define TIDEMARK_CORE_STATE_COUNTERS_H

#include "core/state/blocks.h"

#define COUNTERS_OF_ITEM 2u
#define COUNTERS         (COUNTERS_OF_ITEM * BLOCK_ENTRIES)
#define COUNTERS_SIZE    (COUNTERS * (uint32_t)sizeof(uint32_t)) /* of all low halves */

/* All zero. NULL when memory is refused. */
struct block *counters_new(struct alloc *alloc);
/* Memory of a counter block with both halves. */
uint64_t counters_memory_max(void);

/* Change a counter, COUNTERS_OF_ITEM * entry + 0 or 1, by count. False when memory is refused; then
 * it is as before, or the low half has wrapped. */
MUST_CHECK bool counters_add(struct alloc *alloc, struct block **place, uint32_t counter,
                             uint32_t count);
MUST_CHECK bool counters_subtract(struct alloc *alloc, struct block **place, uint32_t counter,
                                  uint32_t count);

static inline const uint32_t *counters_low(const struct block *counters)
{
    return (const uint32_t *)(const void *)counters->payload;
}
/* NULL: all upper halves are zero. */
static inline const uint32_t *counters_high(const struct block *counters)
{
    return counters->extra_size == 0 ? NULL : (const uint32_t *)(const void *)counters->extra;
}
static inline uint64_t counters_get(const struct block *counters, uint32_t counter)
{
    const uint32_t *high = counters_high(counters);
    return counters_low(counters)[counter] | (high == NULL ? 0 : (uint64_t)high[counter] << 32);
}

#endif
