/* buckets: how often each item was signalled in one stretch of event time (a minute, an hour, a
 * day), for one signal type. windows.h puts them into rings.
 *
 * A bucket is a list of entries in log order, cut into parts of 4,096; a part is a block. Entry:
 *   u32 item | u32 count (31 bits), top bit: late
 * An item has at most two entries that can still grow: one that was begun while leader time was
 * within the bucket (on time), found by the place that the item's row in windows remembers, and one
 * begun before or after (late), found by a map that knows the late entries of this bucket alone. So
 * the usual event costs no look-up, and a late one does not grow the bucket each time. An entry
 * whose 31 bits are full is followed by another.
 *
 * Types whose signals can be taken back have late entries only: what is to be taken back must be
 * found, whenever it came. An entry whose events were all taken back stays, with a count of 0.
 *
 * The map is derived from the entries. Which entry an event goes to depends on the log alone, also
 * after a load. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_BUCKETS_H
#define TIDEMARK_CORE_STATE_BUCKETS_H

#include "base/map.h"
#include "core/state/blocks.h"

#define BUCKET_PART_ENTRIES 4096u
#define BUCKET_ENTRY_SIZE   8u
#define BUCKET_PARTS_MAX    (1u << 19) /* their number fits its bits of a block's number */
#define PLACE_NONE          UINT32_MAX

struct bucket {
    uint64_t index;   /* event time / size of the bucket */
    uint64_t number;  /* block number of its first part; the others follow */
    uint32_t entries; /* in all parts; all parts but the last are full */
    uint32_t part_count;
    struct block_list parts;
    struct map late; /* item -> place of its newest late entry */
};

struct bucket_entry {
    uint32_t item;
    uint32_t count; /* 0 .. BUCKET_COUNT_MAX; 0 where events were taken back */
    bool is_late;
};
#define BUCKET_COUNT_MAX 0x7fffffffu

struct bucket *bucket_new(struct alloc *alloc, uint64_t index, uint64_t number); /* NULL: memory */
void bucket_free(struct alloc *alloc, struct bucket *b);

struct bucket_entry bucket_entry_at(const struct bucket *b, uint32_t place);
/* Is there an on-time entry of the item at `place`, which may be any number? */
bool bucket_is_on_time(const struct bucket *b, uint32_t place, uint32_t item);
/* Place of the item's newest late entry; PLACE_NONE. */
uint32_t bucket_find_late(const struct bucket *b, uint32_t item);

/* One more event in an entry whose count is not full. False when memory is refused. */
MUST_CHECK bool bucket_increment(struct alloc *alloc, struct bucket *b, uint32_t place);
/* One event less in an entry that counts something; it may count nothing then. False likewise. */
MUST_CHECK bool bucket_decrement(struct alloc *alloc, struct bucket *b, uint32_t place);
/* Append an entry; a late one is what bucket_find_late finds from now on, and `full` is what it
 * found before (PLACE_NONE for on-time entries). Returns its place, PLACE_NONE when memory is
 * refused; then the bucket is as before. */
uint32_t bucket_append(struct alloc *alloc, struct bucket *b, struct bucket_entry entry,
                       uint32_t full);
/* Hint the cache about a later bucket_is_on_time, or bucket_find_late. */
void bucket_prefetch_entry(const struct bucket *b, uint32_t place);
void bucket_prefetch_late(const struct bucket *b, uint32_t item);

struct bucket_entry bucket_entry_decode(const uint8_t bytes[BUCKET_ENTRY_SIZE]);

/* Bytes that growth can take, for state_can_grow: to change a part that exists, to make a bucket,
 * for one more entry anywhere (the steps in which parts grow spread over entries), and for one more
 * late entry in a map that has room for none. */
uint64_t bucket_part_copy_max(void);
uint64_t bucket_new_max(void);
uint64_t bucket_entry_max(void);
uint64_t bucket_map_entry_max(void);

#endif
