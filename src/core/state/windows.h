/* windows: how many events each item had in the last hour, day, week, 30 days.
 *
 * The definition, exact at every position: with now = leader time of the last applied batch and
 * buckets of b ms of event time, a window of n buckets counts the events whose bucket k satisfies
 * floor(now / b) - n < k <= floor(now / b).
 *
 *   window   bucket   n        ring
 *   1h       minute   60       minutes
 *   24h      hour     24       hours, shared by both
 *   7d       hour     168
 *   30d      day      30       days
 *
 * Time-major: per signal type and ring, the buckets of the ring's longest window, each with the
 * items that were signalled in it (buckets.h). Beside them, derived: for each item with anything in
 * a ring a row of places and running counters, so that a question costs one look-up. The counters
 * that scans read, those of the last hour and the last day, are apart in blocks (counters.h), which
 * are shared with frozen states; rows are the owner's alone. An event is added to its buckets and
 * counters; when leader time passes the end of a bucket, the entries of those that leave a window
 * are taken off the counters: each event is touched once per window. An event that
 * is older than its ring, before 1970, or more than an hour ahead of its batch's leader time is in
 * no window. An event that is ahead by less waits in its bucket until leader time gets there.
 *
 * Block number = (type id - 1) << 54 | ring << 52 | bucket << 19 | part. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_WINDOWS_H
#define TIDEMARK_CORE_STATE_WINDOWS_H

#include "base/error.h"
#include "core/state/buckets.h"
#include "core/state/counters.h"
#include "core/state/schema.h"

enum ring_kind { RING_MINUTES, RING_HOURS, RING_DAYS, RINGS };
enum { WINDOW_COUNT = 4 }; /* those that end: all but WINDOW_ALL */

#define WINDOWS_AHEAD_MS (INT64_C(3600) * 1000)

struct ring {
    uint32_t span; /* buckets of the longest window that the type declares here; 0: none */
    uint32_t mask; /* places - 1 */
    uint32_t bucket_count;
    struct bucket **places; /* by index & mask; NULL before the first event */
};

/* Rows of 4,096 items. Row: a place per ring, then the low half of a counter per window that is not
 * in a counter block. */
struct row_block {
    uint32_t *rows; /* NULL: no item of this block has anything in a ring */
    uint32_t *high; /* upper halves, counters only; NULL until one is needed */
    uint64_t held;  /* entries in rings that name an item of this block */
};

struct type_windows {
    uint8_t windows;         /* WINDOW_* bits that end */
    bool is_undoable;        /* signals can be taken back: all entries are late ones */
    uint8_t place_at[RINGS]; /* index in a row */
    uint8_t counter_at[WINDOW_COUNT];
    uint8_t counter_count; /* in a row */
    uint8_t stride;        /* u32 of a row */
    struct ring rings[RINGS];
    struct row_block *blocks; /* by item block; none in a frozen state */
    size_t block_capacity;
    /* By item block: hour and day (counters.h), where the type declares one of them and row_block
     * has rows. */
    struct block_list counters;
};

struct windows {
    struct alloc *alloc;         /* borrowed */
    struct type_windows **types; /* by type id - 1; NULL: declares no window that ends */
    size_t capacity;
    uint64_t leader_ms;
    uint64_t heads[RINGS];  /* leader_ms / size of a bucket */
    uint64_t due_ms;        /* when a bucket next enters or leaves a window; UINT64_MAX: never */
    uint64_t parts;         /* blocks in all rings */
    uint64_t map_bytes;     /* of all buckets' maps, which are outside the alloc */
    uint64_t counter_bytes; /* of all counter blocks: what copying them all would take */
};

void windows_init(struct windows *w, struct alloc *alloc);
void windows_fini(struct windows *w);
/* A type was declared; ids come in order. False when memory is refused. */
MUST_CHECK bool windows_add_type(struct windows *w, const struct signal_type *type);

/* Leader time moves on (never back). False when memory is refused. */
MUST_CHECK bool windows_advance(struct windows *w, uint64_t leader_ms);
/* One event. False when memory is refused; then the event may be there in part. */
MUST_CHECK bool windows_add(struct windows *w, uint32_t type_id, uint32_t item, int64_t time_ms);
/* Take one event back that was added with this time, of a type of mode once or latest: it leaves
 * the buckets that are still in a ring. The event was at most an hour ahead of its batch. False
 * when memory is refused; then it may be gone in part. */
MUST_CHECK bool windows_remove(struct windows *w, uint32_t type_id, uint32_t item, int64_t time_ms);
/* Hint the cache about a later windows_add: first places and counters, then what the places name.
 */
void windows_prefetch_item(const struct windows *w, uint32_t type_id, uint32_t item);
void windows_prefetch_entry(const struct windows *w, uint32_t type_id, uint32_t item,
                            int64_t time_ms);

/* Events of the item in the window (one WINDOW_* bit that ends and that the type declares). */
uint64_t windows_count(const struct windows *w, uint32_t type_id, uint32_t item, uint8_t window);

/* Hour and day of an item block (counters.h); NULL when all are zero or the type declares neither.
 * Borrowed until the next change. */
const struct block *windows_counters(const struct windows *w, uint32_t type_id,
                                     uint32_t item_block);
/* Into an empty `to`: what questions read, sharing the counter blocks (state_freeze). False when
 * memory is refused; `to` is to be ended in any case. */
MUST_CHECK bool windows_freeze(struct windows *to, const struct windows *from);

/* Blocks in ascending number, for a version. */
void windows_each_block(const struct windows *w, void (*take)(void *context, struct block *b),
                        void *context);
/* Bytes that `entries` more events can make this grow when there are item_blocks at the end. */
uint64_t windows_growth_max(const struct windows *w, uint64_t entries, uint64_t item_blocks);

/* Take a stored block into windows whose leader time was set by windows_advance. E_CORRUPT,
 * E_NOMEMORY. */
MUST_CHECK enum code windows_load(struct windows *w, uint32_t item_count, struct block_id id,
                                  struct slice bytes, struct err *e);

#endif
