/* buckets: entries, parts and the map of late ones. buckets.h has the rules. Never judges times or
 * windows; allocates per part and per growth of the map. */
#include "core/state/buckets.h"

#include <assert.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

enum {
    ROW_SHIFT = 12,
    FIRST_ENTRIES = 32,
    LIST_FIRST = 16, /* pointers that a list of blocks takes at first */
    MAP_FIRST = 16,  /* slots that a map takes at first */
};
#define LATE_BIT 0x80000000u

static_assert(BUCKET_PART_ENTRIES == 1u << ROW_SHIFT, "a row's index fits its bits");
static_assert((uint64_t)BUCKET_PARTS_MAX * BUCKET_PART_ENTRIES < PLACE_NONE, "places are u32");

struct bucket *bucket_new(struct alloc *alloc, uint64_t index, uint64_t number)
{
    struct bucket *b = alloc_get(alloc, sizeof(*b));
    if (b == NULL) return NULL;
    *b = (struct bucket){.index = index, .number = number};
    map_init(&b->late);
    return b;
}

void bucket_free(struct alloc *alloc, struct bucket *b)
{
    if (b == NULL) return;
    block_list_fini(alloc, &b->parts);
    map_fini(&b->late);
    alloc_put(alloc, b, sizeof(*b));
}

static uint8_t *bytes_at(const struct bucket *b, uint32_t place)
{
    ASSERT(place < b->entries);
    uint32_t row = place & (BUCKET_PART_ENTRIES - 1);
    return b->parts.items[place >> ROW_SHIFT]->extra + (size_t)row * BUCKET_ENTRY_SIZE;
}

struct bucket_entry bucket_entry_decode(const uint8_t bytes[BUCKET_ENTRY_SIZE])
{
    uint32_t count = load_u32(bytes + 4);
    return (struct bucket_entry){.item = load_u32(bytes),
                                 .count = count & BUCKET_COUNT_MAX,
                                 .is_late = (count & LATE_BIT) != 0};
}

struct bucket_entry bucket_entry_at(const struct bucket *b, uint32_t place)
{
    return bucket_entry_decode(bytes_at(b, place));
}

bool bucket_is_on_time(const struct bucket *b, uint32_t place, uint32_t item)
{
    if (place >= b->entries) return false;
    struct bucket_entry entry = bucket_entry_at(b, place);
    return entry.item == item && !entry.is_late;
}

static bool is_match(const void *owner, uint32_t value, const void *key)
{
    return bucket_entry_at(owner, value).item == *(const uint32_t *)key;
}

/* Items are dense numbers that nobody chooses, so no seed is needed. */
static uint64_t hash_of(uint32_t item)
{
    return hash64_mix(item + UINT64_C(1));
}

uint32_t bucket_find_late(const struct bucket *b, uint32_t item)
{
    uint32_t place = map_find(&b->late, hash_of(item), is_match, b, &item);
    return place == MAP_NONE ? PLACE_NONE : place;
}

void bucket_prefetch_entry(const struct bucket *b, uint32_t place)
{
    if (place < b->entries) __builtin_prefetch(bytes_at(b, place), 1);
}

void bucket_prefetch_late(const struct bucket *b, uint32_t item)
{
    map_prefetch(&b->late, hash_of(item));
}

bool bucket_increment(struct alloc *alloc, struct bucket *b, uint32_t place)
{
    struct block *part = block_writable(alloc, &b->parts.items[place >> ROW_SHIFT]);
    if (part == NULL) return false;
    uint8_t *count = bytes_at(b, place) + 4;
    ASSERT((load_u32(count) & BUCKET_COUNT_MAX) < BUCKET_COUNT_MAX);
    store_u32(count, load_u32(count) + 1);
    return true;
}

bool bucket_decrement(struct alloc *alloc, struct bucket *b, uint32_t place)
{
    struct block *part = block_writable(alloc, &b->parts.items[place >> ROW_SHIFT]);
    if (part == NULL) return false;
    uint8_t *count = bytes_at(b, place) + 4;
    ASSERT((load_u32(count) & BUCKET_COUNT_MAX) > 0);
    store_u32(count, load_u32(count) - 1);
    return true;
}

/* Append an empty part. NULL when memory is refused. */
static struct block *part_new(struct alloc *alloc, struct bucket *b)
{
    if (b->part_count == BUCKET_PARTS_MAX) return NULL;
    if (!block_list_reserve(alloc, &b->parts, b->part_count)) return NULL;
    struct block_id id = {.kind = BLOCK_WINDOW, .number = b->number + b->part_count};
    struct block *part = block_new(alloc, id, 0, 0);
    if (part == NULL) return NULL;
    b->parts.items[b->part_count++] = part;
    return part;
}

/* Room for one more entry: a few at first, then a quarter of a part, then the whole; a quiet bucket
 * stays small and a busy one copies its entries twice. */
static bool entry_reserve(struct alloc *alloc, struct block *part)
{
    uint32_t rows = part->extra_size / BUCKET_ENTRY_SIZE;
    uint32_t wanted = FIRST_ENTRIES;
    if (rows >= FIRST_ENTRIES) wanted = BUCKET_PART_ENTRIES / 4;
    if (rows >= BUCKET_PART_ENTRIES / 4) wanted = BUCKET_PART_ENTRIES;
    return block_extra_reserve(alloc, part, (wanted - rows) * BUCKET_ENTRY_SIZE);
}

/* The last part, writable, with room. NULL when memory is refused. */
static struct block *part_for_next(struct alloc *alloc, struct bucket *b)
{
    bool is_full = b->entries == b->part_count << ROW_SHIFT;
    struct block *part =
        is_full ? part_new(alloc, b) : block_writable(alloc, &b->parts.items[b->part_count - 1]);
    if (part == NULL || !entry_reserve(alloc, part)) return NULL;
    return part;
}

/* Undo part_new when the entry that it was made for could not be added. */
static void drop_empty_part(struct alloc *alloc, struct bucket *b)
{
    if (b->part_count == 0 || b->parts.items[b->part_count - 1]->extra_size > 0) return;
    b->part_count--;
    block_release(alloc, b->parts.items[b->part_count]);
    b->parts.items[b->part_count] = NULL;
}

/* The map's value of the item is `place` from now on, no longer `full`. */
static bool note_late(struct bucket *b, uint32_t item, uint32_t place, uint32_t full)
{
    if (!map_insert(&b->late, hash_of(item), place)) return false;
    if (full != PLACE_NONE) {
        bool is_removed = map_remove(&b->late, hash_of(item), full);
        ASSERT(is_removed);
    }
    return true;
}

uint32_t bucket_append(struct alloc *alloc, struct bucket *b, struct bucket_entry entry,
                       uint32_t full)
{
    ASSERT(entry.count <= BUCKET_COUNT_MAX);
    struct block *part = part_for_next(alloc, b);
    uint32_t place = b->entries;
    if (part == NULL || (entry.is_late && !note_late(b, entry.item, place, full))) {
        drop_empty_part(alloc, b);
        return PLACE_NONE;
    }
    uint8_t bytes[BUCKET_ENTRY_SIZE];
    store_u32(bytes, entry.item);
    store_u32(bytes + 4, entry.count | (entry.is_late ? LATE_BIT : 0));
    block_extra_add(part, bytes, sizeof(bytes));
    b->entries++;
    return place;
}

uint64_t bucket_part_copy_max(void)
{
    return 2 * sizeof(struct block) + 3 * (uint64_t)BUCKET_PART_ENTRIES * BUCKET_ENTRY_SIZE;
}

uint64_t bucket_new_max(void)
{
    return sizeof(struct bucket) + 64 + LIST_FIRST * sizeof(struct block *) + sizeof(struct block) +
           (uint64_t)FIRST_ENTRIES * BUCKET_ENTRY_SIZE;
}

uint64_t bucket_entry_max(void)
{
    /* The 33rd entry asks for a quarter of a part: 8 KiB. */
    return (BUCKET_PART_ENTRIES / 4) * BUCKET_ENTRY_SIZE / FIRST_ENTRIES + 3 * BUCKET_ENTRY_SIZE;
}

uint64_t bucket_map_entry_max(void)
{
    return MAP_FIRST * sizeof(struct map_slot);
}
