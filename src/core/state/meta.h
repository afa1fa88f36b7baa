/* meta: the two small blocks that describe the state as a whole.
 *
 * Meta, made anew at each pin (little-endian):
 *   u32 streams = 1 | u16 region | u16 shard | u64 epoch | u64 seqno | 32 bytes chain
 *   | u64 leader time | u32 feature level | u32 types | u32 items | u32 producers
 *   | u64 idempotency keys | u64 signal entries ever applied
 *   | u32 users | u32 creators
 * Members: u32 count, then per member slice8 node id | u8 voter | slice8 address, as the newest
 * members record says it.
 *
 * Nothing here may differ between two nodes at one position. Pure functions.
 */
#ifndef TIDEMARK_CORE_STATE_META_H
#define TIDEMARK_CORE_STATE_META_H

#include "core/state/blocks.h"
#include "format/record.h"

#define META_SIZE 104u

struct meta {
    struct stream_id stream;
    struct position position; /* the high-water mark */
    uint64_t leader_time;
    uint32_t feature_level;
    uint32_t type_count;
    uint32_t item_count;
    uint32_t producer_count;
    uint64_t dedup_count;
    uint64_t entry_count;
    uint32_t user_count;
    uint32_t creator_count;
};

void meta_encode(const struct meta *m, uint8_t out[META_SIZE]);
/* False when the bytes are not a meta block of one stream. */
MUST_CHECK bool meta_decode(struct slice bytes, struct meta *out);

/* NULL when memory is refused. */
struct block *members_block_new(struct alloc *alloc, const struct record_members *members);
/* Of the canonical bytes of a members block, which they must be; slices borrow them. */
void members_read(struct slice bytes, struct record_members *out);
/* Are these the canonical bytes of a members block? */
bool members_are_valid(struct slice bytes);

#endif
