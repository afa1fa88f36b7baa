/* windows: rings of buckets per signal type, and the running counters beside them. windows.h has
 * the definition; buckets.h the entries.
 *
 * Holds between calls, for every ring with head = floor(leader_ms / bucket_ms):
 *   a bucket in it has head - span < index and begins at most an hour after leader_ms
 *   an item's counter of a window = the sum of its entries in buckets of head - n < index <= head
 *   rows and counter blocks exist where `held` says that a ring names an item of their block
 * Everything but the entries is derived: windows_load makes it again. */
#include "core/state/windows.h"

#include <assert.h>

#include "base/assert.h"

enum { PREFETCH_AHEAD = 12, PLACES_MIN = 32 };
enum { PART_BITS = 19, BUCKET_BITS = 33, RING_BITS = 2 };
enum { RING_SHIFT = PART_BITS + BUCKET_BITS, TYPE_SHIFT = RING_SHIFT + RING_BITS };
#define HOUR_MS     UINT64_C(3600000)
#define PART_MASK   ((UINT64_C(1) << PART_BITS) - 1)
#define BUCKET_MASK ((UINT64_C(1) << BUCKET_BITS) - 1)
#define RING_MASK   ((UINT64_C(1) << RING_BITS) - 1)

static_assert(BUCKET_PARTS_MAX == 1u << PART_BITS, "a part's number fits its bits");
static_assert(TIME_MS_ABS_MAX / 60000 < (INT64_C(1) << BUCKET_BITS), "every bucket fits its bits");
static_assert(SIGNAL_TYPES_MAX <= 1u << (64 - TYPE_SHIFT), "every type fits its bits");

static const uint64_t bucket_ms[RINGS] = {60000, HOUR_MS, 24 * HOUR_MS};
static const struct window {
    uint8_t bit;
    enum ring_kind ring;
    uint32_t span;
} windows[WINDOW_COUNT] = {{WINDOW_1H, RING_MINUTES, 60},
                           {WINDOW_24H, RING_HOURS, 24},
                           {WINDOW_7D, RING_HOURS, 168},
                           {WINDOW_30D, RING_DAYS, 30}};
/* The windows of ring r are first_window[r] up to, but without, first_window[r + 1]. */
static const uint32_t first_window[RINGS + 1] = {0, 1, 3, WINDOW_COUNT};
/* The first COUNTERS_OF_ITEM windows have counter blocks, the others counters in rows. */
#define WINDOWS_OF_BLOCKS (WINDOW_1H | WINDOW_24H)

void windows_init(struct windows *w, struct alloc *alloc)
{
    *w = (struct windows){.alloc = alloc, .due_ms = UINT64_MAX};
}

static size_t places_bytes(const struct ring *ring)
{
    return ((size_t)ring->mask + 1) * sizeof(struct bucket *);
}

static size_t rows_bytes(const struct type_windows *t)
{
    return (size_t)BLOCK_ENTRIES * t->stride * sizeof(uint32_t);
}

static size_t high_bytes(const struct type_windows *t)
{
    return (size_t)BLOCK_ENTRIES * t->counter_count * sizeof(uint32_t);
}

static void type_free(struct windows *w, struct type_windows *t)
{
    if (t == NULL) return;
    for (uint32_t r = 0; r < RINGS; r++) {
        struct ring *ring = &t->rings[r];
        if (ring->places == NULL) continue;
        for (uint32_t i = 0; i <= ring->mask; i++) {
            bucket_free(w->alloc, ring->places[i]);
        }
        alloc_put(w->alloc, ring->places, places_bytes(ring));
    }
    for (size_t i = 0; i < t->block_capacity; i++) {
        alloc_put(w->alloc, t->blocks[i].rows, rows_bytes(t));
        alloc_put(w->alloc, t->blocks[i].high, high_bytes(t));
    }
    alloc_put(w->alloc, t->blocks, t->block_capacity * sizeof(struct row_block));
    block_list_fini(w->alloc, &t->counters);
    alloc_put(w->alloc, t, sizeof(*t));
}

void windows_fini(struct windows *w)
{
    for (size_t i = 0; i < w->capacity; i++) {
        type_free(w, w->types[i]);
    }
    alloc_put(w->alloc, w->types, w->capacity * sizeof(struct type_windows *));
    *w = (struct windows){0};
}

/* Which rings a type needs, and what a row of it holds. */
static void type_shape(struct type_windows *t, uint8_t bits)
{
    t->windows = bits;
    for (uint32_t i = 0; i < WINDOW_COUNT; i++) {
        if ((bits & windows[i].bit) == 0) continue;
        struct ring *ring = &t->rings[windows[i].ring];
        if (ring->span < windows[i].span) ring->span = windows[i].span;
    }
    for (uint32_t r = 0; r < RINGS; r++) {
        struct ring *ring = &t->rings[r];
        if (ring->span == 0) continue;
        uint64_t ahead = ((uint64_t)WINDOWS_AHEAD_MS + bucket_ms[r] - 1) / bucket_ms[r];
        uint32_t places = PLACES_MIN;
        while (places < ring->span + ahead) {
            places *= 2;
        }
        ring->mask = places - 1;
        t->place_at[r] = t->stride++;
    }
    for (uint32_t i = COUNTERS_OF_ITEM; i < WINDOW_COUNT; i++) {
        if ((bits & windows[i].bit) == 0) continue;
        t->counter_at[i] = t->stride++;
        t->counter_count++;
    }
}

bool windows_add_type(struct windows *w, const struct signal_type *type)
{
    ASSERT(type->id > 0);
    void *types = w->types;
    if (type->id > w->capacity &&
        !alloc_grow(w->alloc, &types, &w->capacity, sizeof(struct type_windows *), type->id)) {
        return false;
    }
    w->types = types;
    uint8_t bits = type->windows & (WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_30D);
    if (bits == 0 || w->types[type->id - 1] != NULL) return true;
    struct type_windows *t = alloc_get(w->alloc, sizeof(*t));
    if (t == NULL) return false;
    type_shape(t, bits);
    t->is_undoable = type->mode != SIGNAL_MODE_COUNT;
    w->types[type->id - 1] = t;
    return true;
}

static struct type_windows *type_of(const struct windows *w, uint32_t type_id)
{
    return type_id - 1 < w->capacity ? w->types[type_id - 1] : NULL;
}

static void move_to(struct windows *w, uint64_t leader_ms)
{
    w->leader_ms = leader_ms;
    for (uint32_t r = 0; r < RINGS; r++) {
        w->heads[r] = leader_ms / bucket_ms[r];
    }
}

/* The bucket of an event time; nearly always the one that leader time is in. */
static inline uint64_t index_of(const struct windows *w, enum ring_kind r, uint64_t time_ms)
{
    if (time_ms - w->heads[r] * bucket_ms[r] < bucket_ms[r]) return w->heads[r];
    return time_ms / bucket_ms[r];
}

/* head - span < index <= head, without going below 0 */
static bool is_within(uint64_t index, uint64_t head, uint32_t span)
{
    return index <= head && head - index < span;
}

/* Rows. */

static uint32_t *row_at(const struct type_windows *t, uint32_t item)
{
    size_t block = item / BLOCK_ENTRIES;
    if (block >= t->block_capacity || t->blocks[block].rows == NULL) return NULL;
    return t->blocks[block].rows + (size_t)(item % BLOCK_ENTRIES) * t->stride;
}

/* The counter block, made when it is not there and the type has one. */
static bool counters_make(struct windows *w, struct type_windows *t, size_t block)
{
    if ((t->windows & WINDOWS_OF_BLOCKS) == 0) return true;
    if (!block_list_reserve(w->alloc, &t->counters, block)) return false;
    if (t->counters.items[block] != NULL) return true;
    t->counters.items[block] = counters_new(w->alloc);
    if (t->counters.items[block] == NULL) return false;
    w->counter_bytes += block_memory(t->counters.items[block]);
    return true;
}

/* The row of an item, made with its counter block when it is not there. NULL when memory is
 * refused. */
static uint32_t *row_make(struct windows *w, struct type_windows *t, uint32_t item)
{
    uint32_t *row = row_at(t, item);
    if (row != NULL) return row;
    size_t block = item / BLOCK_ENTRIES;
    void *blocks = t->blocks;
    if (!alloc_grow(w->alloc, &blocks, &t->block_capacity, sizeof(struct row_block), block + 1)) {
        return NULL;
    }
    t->blocks = blocks;
    if (!counters_make(w, t, block)) return NULL;
    t->blocks[block].rows = alloc_get(w->alloc, rows_bytes(t));
    return row_at(t, item);
}

static void rows_release(struct windows *w, struct type_windows *t, size_t block)
{
    struct row_block *b = &t->blocks[block];
    ASSERT(b->held == 0);
    alloc_put(w->alloc, b->rows, rows_bytes(t));
    alloc_put(w->alloc, b->high, high_bytes(t));
    *b = (struct row_block){0};
    struct block *counters = block_list_get(&t->counters, block);
    if (counters == NULL) return;
    w->counter_bytes -= block_memory(counters);
    block_release(w->alloc, counters);
    t->counters.items[block] = NULL;
}

/* The upper half of an item's counter; NULL where there is none. */
static uint32_t *high_at(const struct type_windows *t, uint32_t item, uint32_t window)
{
    const struct row_block *b = &t->blocks[item / BLOCK_ENTRIES];
    if (b->high == NULL) return NULL;
    size_t first_counter = t->stride - t->counter_count;
    return b->high + (size_t)(item % BLOCK_ENTRIES) * t->counter_count + t->counter_at[window] -
           first_counter;
}

static uint32_t counter_of(uint32_t item, uint32_t window)
{
    return COUNTERS_OF_ITEM * (item % BLOCK_ENTRIES) + window;
}

static bool block_counter_add(struct windows *w, struct type_windows *t, uint32_t item,
                              uint32_t window, uint32_t count)
{
    struct block **place = &t->counters.items[item / BLOCK_ENTRIES];
    size_t before = block_memory(*place);
    if (!counters_add(w->alloc, place, counter_of(item, window), count)) return false;
    w->counter_bytes += block_memory(*place) - before; /* upper halves were made */
    return true;
}

static bool counter_add(struct windows *w, struct type_windows *t, uint32_t item, uint32_t window,
                        uint32_t count)
{
    if (window < COUNTERS_OF_ITEM) return block_counter_add(w, t, item, window, count);
    uint32_t *row = row_at(t, item);
    ASSERT(row != NULL);
    uint32_t *low = row + t->counter_at[window];
    *low += count;
    if (*low >= count) return true;
    struct row_block *b = &t->blocks[item / BLOCK_ENTRIES];
    if (b->high == NULL) b->high = alloc_get(w->alloc, high_bytes(t));
    if (b->high == NULL) return false;
    uint32_t *high = high_at(t, item, window);
    ASSERT(high != NULL);
    *high += 1;
    return true;
}

static bool counter_subtract(struct windows *w, struct type_windows *t, uint32_t item,
                             uint32_t window, uint32_t count)
{
    if (window < COUNTERS_OF_ITEM) {
        struct block **place = &t->counters.items[item / BLOCK_ENTRIES];
        return counters_subtract(w->alloc, place, counter_of(item, window), count);
    }
    uint32_t *row = row_at(t, item);
    ASSERT(row != NULL);
    uint32_t *low = row + t->counter_at[window];
    uint32_t before = *low;
    *low -= count;
    if (before >= count) return true;
    uint32_t *high = high_at(t, item, window);
    ASSERT(high != NULL);
    ASSERT(*high > 0);
    *high -= 1;
    return true;
}

const struct block *windows_counters(const struct windows *w, uint32_t type_id, uint32_t item_block)
{
    const struct type_windows *t = type_of(w, type_id);
    return t == NULL ? NULL : block_list_get(&t->counters, item_block);
}

static uint64_t row_count(const struct type_windows *t, uint32_t item, uint32_t window)
{
    const uint32_t *row = row_at(t, item);
    if (row == NULL) return 0;
    const uint32_t *high = high_at(t, item, window);
    return row[t->counter_at[window]] | (high == NULL ? 0 : (uint64_t)*high << 32);
}

uint64_t windows_count(const struct windows *w, uint32_t type_id, uint32_t item, uint8_t window)
{
    const struct type_windows *t = type_of(w, type_id);
    if (t == NULL) return 0;
    for (uint32_t i = 0; i < WINDOW_COUNT; i++) {
        if (windows[i].bit != window || (t->windows & window) == 0) continue;
        if (i >= COUNTERS_OF_ITEM) return row_count(t, item, i);
        const struct block *counters = block_list_get(&t->counters, item / BLOCK_ENTRIES);
        return counters == NULL ? 0 : counters_get(counters, counter_of(item, i));
    }
    return 0;
}

bool windows_freeze(struct windows *to, const struct windows *from)
{
    *to =
        (struct windows){.alloc = from->alloc, .leader_ms = from->leader_ms, .due_ms = UINT64_MAX};
    if (from->capacity == 0) return true;
    to->types = alloc_get(to->alloc, from->capacity * sizeof(struct type_windows *));
    if (to->types == NULL) return false;
    to->capacity = from->capacity;
    for (size_t i = 0; i < from->capacity; i++) {
        const struct type_windows *t = from->types[i];
        if (t == NULL) continue;
        to->types[i] = alloc_get(to->alloc, sizeof(*t));
        if (to->types[i] == NULL) return false;
        to->types[i]->windows = t->windows & WINDOWS_OF_BLOCKS;
        if (!block_list_share(to->alloc, &to->types[i]->counters, &t->counters)) return false;
    }
    return true;
}

/* Buckets of a ring. */

static struct bucket *bucket_at(const struct ring *ring, uint64_t index)
{
    if (ring->places == NULL) return NULL;
    struct bucket *b = ring->places[index & ring->mask];
    return b != NULL && b->index == index ? b : NULL;
}

static uint64_t number_of(uint32_t type_id, uint32_t ring, uint64_t index)
{
    return (uint64_t)(type_id - 1) << TYPE_SHIFT | (uint64_t)ring << RING_SHIFT |
           index << PART_BITS;
}

/* When the bucket next enters or leaves a window of this ring, after leader_ms. */
static uint64_t bucket_due(const struct type_windows *t, enum ring_kind r, uint64_t index,
                           uint64_t leader_ms)
{
    if (index * bucket_ms[r] > leader_ms) return index * bucket_ms[r];
    uint64_t due = UINT64_MAX;
    for (uint32_t i = first_window[r]; i < first_window[r + 1]; i++) {
        if ((t->windows & windows[i].bit) == 0) continue;
        uint64_t leaves = (index + windows[i].span) * bucket_ms[r];
        if (leaves > leader_ms && leaves < due) due = leaves;
    }
    return due;
}

/* The bucket, made when it is not there; index lies in the ring. NULL when memory is refused. */
static struct bucket *bucket_make(struct windows *w, struct type_windows *t, uint32_t type_id,
                                  enum ring_kind r, uint64_t index)
{
    struct ring *ring = &t->rings[r];
    struct bucket *b = bucket_at(ring, index);
    if (b != NULL) return b;
    if (ring->places == NULL) ring->places = alloc_get(w->alloc, places_bytes(ring));
    if (ring->places == NULL) return NULL;
    ASSERT(ring->places[index & ring->mask] == NULL);
    b = bucket_new(w->alloc, index, number_of(type_id, r, index));
    if (b == NULL) return NULL;
    ring->places[index & ring->mask] = b;
    ring->bucket_count++;
    uint64_t due = bucket_due(t, r, index, w->leader_ms);
    if (due < w->due_ms) w->due_ms = due;
    return b;
}

/* Append an entry and keep the books. Returns its place, PLACE_NONE when memory is refused. */
static uint32_t entry_append(struct windows *w, struct type_windows *t, struct bucket *b,
                             struct bucket_entry entry, uint32_t full)
{
    uint32_t parts_before = b->part_count;
    size_t map_before = map_bytes(&b->late);
    uint32_t place = bucket_append(w->alloc, b, entry, full);
    w->parts += b->part_count - parts_before;
    w->map_bytes += map_bytes(&b->late) - map_before;
    if (place != PLACE_NONE) t->blocks[entry.item / BLOCK_ENTRIES].held++;
    return place;
}

/* One event of the item in a bucket that leader time is in (on time) or not (late). */
static bool bucket_count_event(struct windows *w, struct type_windows *t, struct bucket *b,
                               uint32_t item, uint32_t *place, bool is_on_time)
{
    uint32_t at = PLACE_NONE;
    if (!is_on_time) {
        at = bucket_find_late(b, item);
    } else if (bucket_is_on_time(b, *place, item)) {
        at = *place;
    }
    if (at != PLACE_NONE && bucket_entry_at(b, at).count < BUCKET_COUNT_MAX) {
        return bucket_increment(w->alloc, b, at);
    }
    struct bucket_entry entry = {.item = item, .count = 1, .is_late = !is_on_time};
    at = entry_append(w, t, b, entry, is_on_time ? PLACE_NONE : at);
    if (at == PLACE_NONE) return false;
    if (is_on_time) *place = at;
    return true;
}

/* Add to the counters of the ring's windows that the bucket lies in. */
static bool ring_count(struct windows *w, struct type_windows *t, enum ring_kind r, uint64_t index,
                       uint32_t item, uint32_t count)
{
    for (uint32_t i = first_window[r]; i < first_window[r + 1]; i++) {
        if ((t->windows & windows[i].bit) == 0) continue;
        if (!is_within(index, w->heads[r], windows[i].span)) continue;
        if (!counter_add(w, t, item, i, count)) return false;
    }
    return true;
}

static bool ring_add(struct windows *w, struct type_windows *t, uint32_t type_id, enum ring_kind r,
                     uint32_t item, uint64_t time_ms)
{
    const struct ring *ring = &t->rings[r];
    if (ring->span == 0) return true;
    uint64_t head = w->heads[r];
    uint64_t index = index_of(w, r, time_ms);
    if (index <= head && !is_within(index, head, ring->span)) return true;
    uint32_t *row = row_make(w, t, item);
    struct bucket *b = row == NULL ? NULL : bucket_make(w, t, type_id, r, index);
    if (b == NULL) return false;
    bool is_on_time = index == head && !t->is_undoable;
    if (!bucket_count_event(w, t, b, item, row + t->place_at[r], is_on_time)) return false;
    return ring_count(w, t, r, index, item, 1);
}

bool windows_add(struct windows *w, uint32_t type_id, uint32_t item, int64_t time_ms)
{
    struct type_windows *t = type_of(w, type_id);
    if (t == NULL || time_ms < 0 || time_ms > (int64_t)w->leader_ms + WINDOWS_AHEAD_MS) return true;
    for (uint32_t r = 0; r < RINGS; r++) {
        if (!ring_add(w, t, type_id, r, item, (uint64_t)time_ms)) return false;
    }
    return true;
}

static bool ring_remove(struct windows *w, struct type_windows *t, enum ring_kind r, uint32_t item,
                        uint64_t time_ms)
{
    if (t->rings[r].span == 0) return true;
    uint64_t index = index_of(w, r, time_ms);
    struct bucket *b = bucket_at(&t->rings[r], index);
    uint32_t place = b == NULL ? PLACE_NONE : bucket_find_late(b, item);
    /* It was too old when it came, or has left since. */
    if (place == PLACE_NONE || bucket_entry_at(b, place).count == 0) return true;
    if (!bucket_decrement(w->alloc, b, place)) return false;
    for (uint32_t i = first_window[r]; i < first_window[r + 1]; i++) {
        if ((t->windows & windows[i].bit) == 0) continue;
        if (!is_within(index, w->heads[r], windows[i].span)) continue;
        if (!counter_subtract(w, t, item, i, 1)) return false;
    }
    return true;
}

bool windows_remove(struct windows *w, uint32_t type_id, uint32_t item, int64_t time_ms)
{
    struct type_windows *t = type_of(w, type_id);
    if (t == NULL || time_ms < 0) return true;
    ASSERT(t->is_undoable);
    for (uint32_t r = 0; r < RINGS; r++) {
        if (!ring_remove(w, t, r, item, (uint64_t)time_ms)) return false;
    }
    return true;
}

/* Where the counters of an item lie; NULL: nowhere. (The hint itself stands where it is wanted: a
 * static function that does nothing else is one whose calls a compiler may leave out.) */
static const uint32_t *counters_at(const struct type_windows *t, uint32_t item)
{
    const struct block *counters = block_list_get(&t->counters, item / BLOCK_ENTRIES);
    return counters == NULL ? NULL : counters_low(counters) + counter_of(item, 0);
}

void windows_prefetch_item(const struct windows *w, uint32_t type_id, uint32_t item)
{
    const struct type_windows *t = type_of(w, type_id);
    const uint32_t *row = t == NULL ? NULL : row_at(t, item);
    if (row == NULL) return;
    __builtin_prefetch(row, 1);
    const uint32_t *counters = counters_at(t, item);
    if (counters != NULL) __builtin_prefetch(counters, 1);
}

void windows_prefetch_entry(const struct windows *w, uint32_t type_id, uint32_t item,
                            int64_t time_ms)
{
    const struct type_windows *t = type_of(w, type_id);
    const uint32_t *row = t == NULL ? NULL : row_at(t, item);
    if (row == NULL || time_ms < 0) return;
    for (uint32_t r = 0; r < RINGS; r++) {
        const struct ring *ring = &t->rings[r];
        if (ring->span == 0) continue;
        uint64_t index = index_of(w, r, (uint64_t)time_ms);
        const struct bucket *b = bucket_at(ring, index);
        if (b == NULL) continue;
        if (index == w->heads[r] && !t->is_undoable) {
            bucket_prefetch_entry(b, row[t->place_at[r]]);
        } else {
            bucket_prefetch_late(b, item);
        }
    }
}

/* Leader time moves. */

/* Which windows a bucket enters and leaves when the head moves, as bits 1 << index in the table. */
struct passage {
    uint32_t enters;
    uint32_t leaves;
    bool is_gone; /* from the ring */
};
static struct passage passage_of(const struct type_windows *t, enum ring_kind r, uint64_t index,
                                 uint64_t head_before, uint64_t head)
{
    struct passage p = {.is_gone = index <= head && !is_within(index, head, t->rings[r].span)};
    for (uint32_t i = first_window[r]; i < first_window[r + 1]; i++) {
        if ((t->windows & windows[i].bit) == 0) continue;
        bool was = is_within(index, head_before, windows[i].span);
        bool is = is_within(index, head, windows[i].span);
        if (!was && is) p.enters |= 1u << i;
        if (was && !is) p.leaves |= 1u << i;
    }
    return p;
}

static bool entry_pass(struct windows *w, struct type_windows *t, struct bucket_entry entry,
                       struct passage p)
{
    for (uint32_t i = 0; i < WINDOW_COUNT; i++) {
        bool leaves = (p.leaves >> i & 1) != 0;
        bool enters = (p.enters >> i & 1) != 0;
        if (leaves && !counter_subtract(w, t, entry.item, i, entry.count)) return false;
        if (enters && !counter_add(w, t, entry.item, i, entry.count)) return false;
    }
    if (!p.is_gone) return true;
    size_t block = entry.item / BLOCK_ENTRIES;
    t->blocks[block].held--;
    if (t->blocks[block].held == 0) rows_release(w, t, block);
    return true;
}

static bool bucket_pass(struct windows *w, struct type_windows *t, struct bucket **place,
                        struct passage p)
{
    struct bucket *b = *place;
    if (p.enters == 0 && p.leaves == 0 && !p.is_gone) return true;
    for (uint32_t i = 0; i < b->entries; i++) {
        if (i + PREFETCH_AHEAD < b->entries) {
            uint32_t ahead = bucket_entry_at(b, i + PREFETCH_AHEAD).item;
            const uint32_t *row = row_at(t, ahead);
            if (row != NULL) __builtin_prefetch(row, 1);
            const uint32_t *counters = counters_at(t, ahead);
            if (counters != NULL) __builtin_prefetch(counters, 1);
        }
        if (!entry_pass(w, t, bucket_entry_at(b, i), p)) return false;
    }
    if (!p.is_gone) return true;
    w->parts -= b->part_count;
    w->map_bytes -= map_bytes(&b->late);
    bucket_free(w->alloc, b);
    *place = NULL;
    return true;
}

static bool ring_advance(struct windows *w, struct type_windows *t, enum ring_kind r,
                         uint64_t leader_ms)
{
    struct ring *ring = &t->rings[r];
    if (ring->bucket_count == 0) return true;
    uint64_t before = w->heads[r];
    uint64_t head = leader_ms / bucket_ms[r];
    for (uint32_t i = 0; i <= ring->mask; i++) {
        struct bucket **place = &ring->places[i];
        if (*place == NULL) continue;
        uint64_t index = (*place)->index;
        if (!bucket_pass(w, t, place, passage_of(t, r, index, before, head))) return false;
        if (*place == NULL) {
            ring->bucket_count--;
            continue;
        }
        uint64_t due = bucket_due(t, r, index, leader_ms);
        if (due < w->due_ms) w->due_ms = due;
    }
    return true;
}

bool windows_advance(struct windows *w, uint64_t leader_ms)
{
    ASSERT(leader_ms >= w->leader_ms);
    if (leader_ms < w->due_ms) { /* nothing enters or leaves: the usual batch */
        move_to(w, leader_ms);
        return true;
    }
    w->due_ms = UINT64_MAX;
    for (size_t i = 0; i < w->capacity; i++) {
        struct type_windows *t = w->types[i];
        for (uint32_t r = 0; t != NULL && r < RINGS; r++) {
            if (!ring_advance(w, t, r, leader_ms)) return false;
        }
    }
    move_to(w, leader_ms);
    return true;
}

/* Blocks and their growth. */

static void ring_each_block(const struct ring *ring, uint64_t head,
                            void (*take)(void *context, struct block *b), void *context)
{
    if (ring->bucket_count == 0) return;
    uint64_t first = head < ring->span ? 0 : head - ring->span + 1;
    for (uint64_t index = first; index <= first + ring->mask; index++) {
        const struct bucket *b = bucket_at(ring, index);
        for (uint32_t i = 0; b != NULL && i < b->part_count; i++) {
            take(context, b->parts.items[i]);
        }
    }
}

void windows_each_block(const struct windows *w, void (*take)(void *context, struct block *b),
                        void *context)
{
    for (size_t i = 0; i < w->capacity; i++) {
        const struct type_windows *t = w->types[i];
        for (uint32_t r = 0; t != NULL && r < RINGS; r++) {
            ring_each_block(&t->rings[r], w->heads[r], take, context);
        }
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t windows_growth_max(const struct windows *w, uint64_t entries, uint64_t item_blocks)
{
    uint64_t types = 0;
    uint64_t places = 0;
    uint64_t stride = 0;
    for (size_t i = 0; i < w->capacity; i++) {
        const struct type_windows *t = w->types[i];
        if (t == NULL) continue;
        types++;
        if (t->stride > stride) stride = t->stride;
        for (uint32_t r = 0; r < RINGS; r++) {
            places += t->rings[r].span == 0 ? 0 : (uint64_t)t->rings[r].mask + 1;
        }
    }
    if (types == 0) return 0;
    uint64_t touches = entries * RINGS;
    /* Rows, with upper halves as if every one of them were asked for now, and counter blocks. Every
     * counter block that there is may be copied: entries that leave a window can touch them all. */
    uint64_t made_size =
        2 * (uint64_t)BLOCK_ENTRIES * stride * sizeof(uint32_t) + counters_memory_max();
    uint64_t made = least(entries, types * item_blocks) * made_size +
                    2 * types * item_blocks * (sizeof(struct row_block) + sizeof(struct block *)) +
                    w->counter_bytes;
    uint64_t changed = least(touches, w->parts) * bucket_part_copy_max();
    uint64_t appended = least(touches, places) * bucket_new_max() + touches * bucket_entry_max();
    uint64_t maps = 2 * w->map_bytes + touches * bucket_map_entry_max();
    return made + changed + appended + maps + places * sizeof(struct bucket *);
}

/* Loading: bytes come from disk or a peer, so every property that the code above relies on is
 * checked. */

static bool entry_load(struct windows *w, struct type_windows *t, enum ring_kind r,
                       struct bucket *b, struct bucket_entry entry)
{
    uint32_t *row = row_make(w, t, entry.item);
    uint32_t full = entry.is_late ? bucket_find_late(b, entry.item) : PLACE_NONE;
    uint32_t at = row == NULL ? PLACE_NONE : entry_append(w, t, b, entry, full);
    if (at == PLACE_NONE) return false;
    if (!entry.is_late) row[t->place_at[r]] = at;
    return ring_count(w, t, r, b->index, entry.item, entry.count);
}

/* NULL, or what is wrong with an entry that is to be the bucket's next. While a bucket is loaded
 * the places in rows are used for it, whether leader time is in it or not. */
static const char *entry_fault(const struct type_windows *t, enum ring_kind r,
                               const struct bucket *b, uint64_t head, struct bucket_entry entry)
{
    if (entry.count == 0 && !t->is_undoable) return "an entry counts nothing";
    if (!entry.is_late && (b->index > head || t->is_undoable)) {
        return "an entry is on time where none can be";
    }
    uint32_t known = PLACE_NONE;
    const uint32_t *row = row_at(t, entry.item);
    if (entry.is_late) {
        known = bucket_find_late(b, entry.item);
    } else if (row != NULL && bucket_is_on_time(b, row[t->place_at[r]], entry.item)) {
        known = row[t->place_at[r]];
    }
    if (known == PLACE_NONE || bucket_entry_at(b, known).count == BUCKET_COUNT_MAX) return NULL;
    return "an item has two entries where one would do";
}

/* NULL, or why a block of this number may not come now. */
static const char *number_fault(const struct windows *w, uint64_t number)
{
    const struct type_windows *t = type_of(w, (uint32_t)(number >> TYPE_SHIFT) + 1);
    uint64_t r = number >> RING_SHIFT & RING_MASK;
    uint64_t index = number >> PART_BITS & BUCKET_MASK;
    if (t == NULL || r >= RINGS || t->rings[r].span == 0) return "its type declares no such window";
    const struct ring *ring = &t->rings[r];
    uint64_t head = w->heads[r];
    bool is_ahead = index * bucket_ms[r] > w->leader_ms + (uint64_t)WINDOWS_AHEAD_MS;
    if (is_ahead || (index <= head && !is_within(index, head, ring->span))) {
        return "its bucket is in no window";
    }
    const struct bucket *b = bucket_at(ring, index);
    uint64_t next = b == NULL ? 0 : b->part_count;
    if ((number & PART_MASK) != next) return "its part does not follow";
    if (b != NULL && b->entries % BUCKET_PART_ENTRIES != 0) return "the part before is not full";
    return NULL;
}

enum code windows_load(struct windows *w, uint32_t item_count, struct block_id id,
                       struct slice bytes, struct err *e)
{
    unsigned long long number = id.number;
    const char *fault = number_fault(w, id.number);
    size_t count = bytes.size / BUCKET_ENTRY_SIZE;
    if (bytes.size % BUCKET_ENTRY_SIZE != 0 || count == 0 || count > BUCKET_PART_ENTRIES) {
        fault = "its size is wrong";
    }
    if (fault != NULL) return ERR(e, E_CORRUPT, "block window %llu: %s", number, fault);
    uint32_t type_id = (uint32_t)(id.number >> TYPE_SHIFT) + 1;
    struct type_windows *t = type_of(w, type_id);
    enum ring_kind r = (enum ring_kind)(id.number >> RING_SHIFT & RING_MASK);
    struct bucket *b = bucket_make(w, t, type_id, r, id.number >> PART_BITS & BUCKET_MASK);
    if (b == NULL) return ERR(e, E_NOMEMORY, "no memory for block window %llu", number);
    for (size_t i = 0; i < count; i++) {
        struct bucket_entry entry = bucket_entry_decode(bytes.data + i * BUCKET_ENTRY_SIZE);
        fault = entry.item >= item_count ? "it names an item that does not exist"
                                         : entry_fault(t, r, b, w->heads[r], entry);
        if (fault != NULL) return ERR(e, E_CORRUPT, "block window %llu: %s", number, fault);
        if (!entry_load(w, t, r, b, entry)) {
            return ERR(e, E_NOMEMORY, "no memory for block window %llu", number);
        }
    }
    return OK;
}
