/* dedup: the idempotency keys of the last ten minutes of log time, with where their writes went.
 *
 * Keys lie in parts of up to 4,096 rows, in log order; a part belongs to one minute of leader time
 * (of the batch that carried the key). Minute m goes when leader time reaches minute m + 11, so
 * that a key is known for at least ten minutes and less than eleven. Only the leader time of
 * applied batches moves this; no clock does. A key that is known already keeps its first row.
 *
 * Block number = minute << 20 | part of that minute, counted from 0; all parts of a minute but its
 * last are full. Canonical bytes: rows of
 *   16 bytes key | u64 seqno | u64 epoch | 4 bytes chain prefix
 *
 * The map from key to row is derived. Rows of minutes that went leave the map a few at a time, so
 * that no batch pays for a whole minute. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_DEDUP_H
#define TIDEMARK_CORE_STATE_DEDUP_H

#include "base/error.h"
#include "base/map.h"
#include "core/state/blocks.h"
#include "core/state/state.h"

#define DEDUP_ROW_SIZE  36u
#define DEDUP_PART_ROWS 4096u
#define MINUTE_MS       UINT64_C(60000)

struct dedup {
    struct alloc *alloc; /* borrowed */
    uint64_t seed;
    struct map map; /* key -> place << 12 | row */
    /* A ring of parts: [drain, live) went but are still in the map, [live, end) are the state's.
     * Serial numbers only grow; the place of a part is its serial number modulo the ring's size. */
    struct block **ring;
    uint32_t ring_size; /* power of two, 0 before the first key */
    uint64_t drain;
    uint64_t live;
    uint64_t end;
    uint32_t drain_row; /* rows of part `drain` that have left the map */
    uint64_t count;     /* live keys */
    uint64_t added;     /* keys added since the last dedup_advance */
};

void dedup_init(struct dedup *d, struct alloc *alloc, uint64_t seed);
void dedup_fini(struct dedup *d);

/* Leader time moves to this minute: let go what is too old, and clean up a little. */
void dedup_advance(struct dedup *d, uint64_t minute);
/* Remember a key in this minute, which never decreases. False when memory is refused. */
MUST_CHECK bool dedup_add(struct dedup *d, uint64_t minute, const struct id128 *key,
                          const struct write_ref *where);
bool dedup_find(const struct dedup *d, const struct id128 *key, struct write_ref *out);
void dedup_prefetch(const struct dedup *d, const struct id128 *key);

/* Leader time, ms, at which the oldest keys go; UINT64_MAX when there is none. */
uint64_t dedup_due_ms(const struct dedup *d);
uint32_t dedup_part_count(const struct dedup *d); /* live parts, ascending block numbers */
struct block *dedup_part(const struct dedup *d, uint32_t i);
/* Bytes that `entries` more keys can make this grow. */
uint64_t dedup_growth_max(const struct dedup *d, uint64_t entries);

/* Take a stored block; minute_last: the minute of the leader time, none may be later or too old.
 * seqno_last: the high-water mark. E_CORRUPT, E_NOMEMORY. */
struct dedup_bounds {
    uint64_t minute_last;
    seqno seqno_last;
};
MUST_CHECK enum code dedup_load(struct dedup *d, struct dedup_bounds bounds, struct block_id id,
                                struct slice bytes, struct err *e);

/* Rows of 20 bytes that name a write: u64 seqno, u64 epoch, 4 bytes chain. Shared with producers.
 */
#define WRITE_REF_SIZE 20u
void write_ref_encode(const struct write_ref *where, uint8_t *out);
struct write_ref write_ref_decode(const uint8_t *bytes);

#endif
