/* dedup: idempotency keys by minute of log time. dedup.h has the rules; here is the ring.
 *
 *   serial   drain .......... live .............. end
 *            (went, in map)   (live, in map)      (free)
 *
 * Holds between calls: drain <= live <= end; end - drain <= ring_size <= SERIALS; minutes ascend
 * along the ring; the map holds exactly the rows of [drain, end) but the first drain_row ones.
 * A map value names a row by the low bits of its part's serial number, so the ring can grow without
 * touching the map. */
#include "core/state/dedup.h"

#include <assert.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

enum {
    KEY_SIZE = 16,
    PART_SHIFT = 20, /* of the block number */
    ROW_SHIFT = 12,  /* of a map value */
    SERIALS = 1 << 19,
    RING_SIZE_MIN = 16,
    FIRST_ROWS = 64,
    DRAIN_ROWS = 512, /* per batch, and two more for each key that came */
    DRAIN_ROWS_PER_KEY = 2,
    WINDOW_MINUTES = DEDUP_WINDOW_MS / (int)MINUTE_MS,
};
#define PART_MASK ((UINT64_C(1) << PART_SHIFT) - 1)

static_assert(DEDUP_PART_ROWS == 1 << ROW_SHIFT, "a row's index fits its bits");
static_assert(DEDUP_ROW_SIZE == KEY_SIZE + WRITE_REF_SIZE, "a row is a key and a place");

void write_ref_encode(const struct write_ref *where, uint8_t *out)
{
    store_u64(out, where->seqno.v);
    store_u64(out + 8, where->epoch);
    memcpy(out + 16, where->chain4, sizeof(where->chain4));
}

struct write_ref write_ref_decode(const uint8_t *bytes)
{
    struct write_ref where = {.seqno = seqno_of(load_u64(bytes)), .epoch = load_u64(bytes + 8)};
    memcpy(where.chain4, bytes + 16, sizeof(where.chain4));
    return where;
}

void dedup_init(struct dedup *d, struct alloc *alloc, uint64_t seed)
{
    *d = (struct dedup){.alloc = alloc, .seed = seed};
    map_init(&d->map);
}

static struct block **place_of(const struct dedup *d, uint64_t serial)
{
    ASSERT(serial - d->drain < d->ring_size);
    return &d->ring[serial & (d->ring_size - 1)];
}

void dedup_fini(struct dedup *d)
{
    for (uint64_t i = d->drain; i < d->end; i++) {
        block_release(d->alloc, *place_of(d, i));
    }
    alloc_put(d->alloc, d->ring, d->ring_size * sizeof(struct block *));
    map_fini(&d->map);
    *d = (struct dedup){0};
}

static uint64_t minute_of(const struct block *part)
{
    return part->id.number >> PART_SHIFT;
}

static uint32_t rows_of(const struct block *part)
{
    return part->extra_size / DEDUP_ROW_SIZE;
}

static const uint8_t *row_of(const struct block *part, uint32_t row)
{
    return part->extra + (size_t)row * DEDUP_ROW_SIZE;
}

/* Keys are BLAKE3 values, but whoever chose them may have searched for collisions of half of one.
 */
static uint64_t hash_of(const struct dedup *d, const uint8_t *key)
{
    return hash64_mix(load_u64(key) ^ hash64_mix(load_u64(key + 8) ^ d->seed));
}

static uint32_t value_of(uint64_t serial, uint32_t row)
{
    return (uint32_t)(serial & (SERIALS - 1)) << ROW_SHIFT | row;
}

/* The row that a map value names, NULL when its part went. */
static const uint8_t *live_row(const struct dedup *d, uint32_t value)
{
    uint64_t ahead = ((value >> ROW_SHIFT) - d->drain) & (SERIALS - 1);
    uint64_t serial = d->drain + ahead;
    ASSERT(serial < d->end);
    if (serial < d->live) return NULL;
    return row_of(*place_of(d, serial), value & (DEDUP_PART_ROWS - 1));
}

static bool is_match(const void *owner, uint32_t value, const void *key)
{
    const uint8_t *row = live_row(owner, value);
    return row != NULL && memcmp(row, key, KEY_SIZE) == 0;
}

bool dedup_find(const struct dedup *d, const struct id128 *key, struct write_ref *out)
{
    uint32_t value = map_find(&d->map, hash_of(d, key->bytes), is_match, d, key->bytes);
    const uint8_t *row = value == MAP_NONE ? NULL : live_row(d, value);
    if (row == NULL) return false;
    *out = write_ref_decode(row + KEY_SIZE);
    return true;
}

void dedup_prefetch(const struct dedup *d, const struct id128 *key)
{
    map_prefetch(&d->map, hash_of(d, key->bytes));
}

/* Take rows of the oldest part that went out of the map; release it when none is left. Returns how
 * many rows, at most `most`. */
static uint64_t drain_part(struct dedup *d, uint64_t most)
{
    struct block **place = place_of(d, d->drain);
    const struct block *part = *place;
    uint64_t done = 0;
    while (d->drain_row < rows_of(part) && done < most) {
        uint64_t hash = hash_of(d, row_of(part, d->drain_row));
        bool is_removed = map_remove(&d->map, hash, value_of(d->drain, d->drain_row));
        ASSERT(is_removed);
        d->drain_row++;
        done++;
    }
    if (d->drain_row < rows_of(part)) return done;
    block_release(d->alloc, *place);
    *place = NULL;
    d->drain++;
    d->drain_row = 0;
    return done;
}

void dedup_advance(struct dedup *d, uint64_t minute)
{
    while (d->live < d->end) {
        const struct block *part = *place_of(d, d->live);
        if (minute_of(part) + WINDOW_MINUTES >= minute) break;
        d->count -= rows_of(part);
        d->live++;
    }
    uint64_t most = DRAIN_ROWS + DRAIN_ROWS_PER_KEY * d->added;
    d->added = 0;
    while (d->drain < d->live && most > 0) {
        most -= drain_part(d, most);
    }
}

/* Make place for one more part. False when memory is refused or there are too many. */
static bool ring_reserve(struct dedup *d)
{
    if (d->end - d->drain < d->ring_size) return true;
    if (d->ring_size == SERIALS) return false;
    uint32_t size = d->ring_size == 0 ? RING_SIZE_MIN : d->ring_size * 2;
    struct block **ring = alloc_get(d->alloc, size * sizeof(struct block *));
    if (ring == NULL) return false;
    for (uint64_t i = d->drain; i < d->end; i++) {
        ring[i & (size - 1)] = *place_of(d, i);
    }
    alloc_put(d->alloc, d->ring, d->ring_size * sizeof(struct block *));
    d->ring = ring;
    d->ring_size = size;
    return true;
}

/* Append an empty part for this minute. NULL when memory is refused. */
static struct block *part_new(struct dedup *d, uint64_t minute)
{
    struct block_id id = {.kind = BLOCK_DEDUP, .number = minute << PART_SHIFT};
    if (d->live < d->end) {
        const struct block *last = *place_of(d, d->end - 1);
        ASSERT(minute_of(last) <= minute);
        if (minute_of(last) == minute) id.number = last->id.number + 1;
    }
    if (!ring_reserve(d)) return NULL;
    struct block *part = block_new(d->alloc, id, 0, 0);
    if (part == NULL) return NULL;
    d->end++;
    *place_of(d, d->end - 1) = part;
    return part;
}

/* Room for one more row: a few at first, then the whole part at once; a quiet minute stays small
 * and a busy one copies its rows once. False when memory is refused. */
static bool rows_reserve(struct dedup *d, struct block *part)
{
    uint32_t rows = rows_of(part);
    uint32_t wanted = rows < FIRST_ROWS ? FIRST_ROWS : DEDUP_PART_ROWS;
    return block_extra_reserve(d->alloc, part, (wanted - rows) * DEDUP_ROW_SIZE);
}

/* The last part, writable, with room for a row. NULL when memory is refused. */
static struct block *part_for_next(struct dedup *d, uint64_t minute)
{
    struct block *part = d->live < d->end ? *place_of(d, d->end - 1) : NULL;
    if (part != NULL && minute_of(part) == minute && rows_of(part) < DEDUP_PART_ROWS) {
        part = block_writable(d->alloc, place_of(d, d->end - 1));
    } else {
        part = part_new(d, minute);
    }
    if (part == NULL || !rows_reserve(d, part)) return NULL;
    return part;
}

/* Undo part_new when the row that it was made for could not be added. */
static void drop_empty_part(struct dedup *d)
{
    if (d->live == d->end) return;
    struct block **place = place_of(d, d->end - 1);
    if (rows_of(*place) > 0) return;
    block_release(d->alloc, *place);
    *place = NULL;
    d->end--;
}

bool dedup_add(struct dedup *d, uint64_t minute, const struct id128 *key,
               const struct write_ref *where)
{
    struct write_ref known;
    if (dedup_find(d, key, &known)) return true;
    struct block *part = part_for_next(d, minute);
    bool is_added = part != NULL && map_insert(&d->map, hash_of(d, key->bytes),
                                               value_of(d->end - 1, rows_of(part)));
    if (!is_added) {
        drop_empty_part(d);
        return false;
    }
    uint8_t row[DEDUP_ROW_SIZE];
    memcpy(row, key->bytes, KEY_SIZE);
    write_ref_encode(where, row + KEY_SIZE);
    block_extra_add(part, row, DEDUP_ROW_SIZE);
    d->count++;
    d->added++;
    return true;
}

uint64_t dedup_due_ms(const struct dedup *d)
{
    if (d->live == d->end) return UINT64_MAX;
    return (minute_of(*place_of(d, d->live)) + WINDOW_MINUTES + 1) * MINUTE_MS;
}

uint32_t dedup_part_count(const struct dedup *d)
{
    return (uint32_t)(d->end - d->live);
}

struct block *dedup_part(const struct dedup *d, uint32_t i)
{
    ASSERT(i < d->end - d->live);
    return *place_of(d, d->live + i);
}

uint64_t dedup_growth_max(const struct dedup *d, uint64_t entries)
{
    uint64_t parts = entries / DEDUP_PART_ROWS + 2;
    uint64_t extra = 4 * (entries * DEDUP_ROW_SIZE + BLOCK_EXTRA_MIN * parts);
    uint64_t copy = 4 * (uint64_t)DEDUP_PART_ROWS * DEDUP_ROW_SIZE;
    uint64_t ring = 2 * (d->ring_size + parts) * sizeof(struct block *);
    uint64_t map = 0;
    if ((d->map.count + entries) * 4 > (uint64_t)d->map.capacity * 3) { /* fuller than 3/4 */
        map = (d->map.count + entries) * 4 * sizeof(struct map_slot);
    }
    return parts * sizeof(struct block) + extra + copy + ring + map;
}

/* Does the number follow the parts there are, and lie within the window? */
static bool is_next(const struct dedup *d, struct dedup_bounds bounds, uint64_t number)
{
    uint64_t minute = number >> PART_SHIFT;
    uint64_t part = number & PART_MASK;
    if (minute > bounds.minute_last || minute + WINDOW_MINUTES < bounds.minute_last) return false;
    const struct block *last = d->live < d->end ? *place_of(d, d->end - 1) : NULL;
    if (last == NULL || minute_of(last) < minute) return part == 0;
    return number == last->id.number + 1 && rows_of(last) == DEDUP_PART_ROWS;
}

enum code dedup_load(struct dedup *d, struct dedup_bounds bounds, struct block_id id,
                     struct slice bytes, struct err *e)
{
    unsigned long long number = id.number;
    if (!is_next(d, bounds, id.number)) {
        return ERR(e, E_CORRUPT, "block dedup %llu does not follow or is outside the window",
                   number);
    }
    size_t rows = bytes.size / DEDUP_ROW_SIZE;
    if (bytes.size % DEDUP_ROW_SIZE != 0 || rows == 0 || rows > DEDUP_PART_ROWS) {
        return ERR(e, E_CORRUPT, "block dedup %llu has %zu bytes", number, bytes.size);
    }
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *row = bytes.data + i * DEDUP_ROW_SIZE;
        struct write_ref where = write_ref_decode(row + KEY_SIZE);
        struct id128 key;
        memcpy(key.bytes, row, KEY_SIZE);
        struct write_ref known;
        bool is_sound = where.seqno.v > 0 && where.seqno.v <= bounds.seqno_last.v &&
                        !dedup_find(d, &key, &known);
        if (!is_sound) return ERR(e, E_CORRUPT, "block dedup %llu: row %zu is no key", number, i);
        if (!dedup_add(d, id.number >> PART_SHIFT, &key, &where)) {
            return ERR(e, E_NOMEMORY, "no memory for block dedup %llu", number);
        }
    }
    d->added = 0;
    return OK;
}
