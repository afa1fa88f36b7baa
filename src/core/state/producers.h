/* producers: for each bulk producer the highest number applied and where that write went. Unbounded
 * in time, unlike idempotency keys: an import can be resumed after any pause.
 *
 * A thin layer over keys: rows of u64 number | u64 seqno | u64 epoch | 4 bytes chain prefix, 1,024
 * producers a block. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_PRODUCERS_H
#define TIDEMARK_CORE_STATE_PRODUCERS_H

#include "core/state/dedup.h"
#include "core/state/keys.h"

#define PRODUCERS_BLOCK_ENTRIES 1024u
#define PRODUCER_ROW_SIZE       (8u + WRITE_REF_SIZE)

struct producer {
    uint64_t number;
    struct write_ref where;
};

void producers_init(struct keys *k, struct alloc *alloc, uint64_t seed);
/* A write of the producer was applied. A number that is not above the highest known changes
 * nothing. False when memory is refused. */
MUST_CHECK bool producers_note(struct keys *k, struct slice id, const struct producer *newest);
bool producers_find(const struct keys *k, struct slice id, struct producer *out);
/* Take a stored block; seqno_last: the high-water mark. E_CORRUPT, E_NOMEMORY. */
MUST_CHECK enum code producers_load(struct keys *k, seqno seqno_last, struct block_id id,
                                    struct slice bytes, struct err *e);

#endif
