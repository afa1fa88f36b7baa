/* map: linear probing over 8-byte slots. Two tables exist while the map grows: inserts go to the
 * new one and carry a few slots of the old one over each time, so no insert pays for all.
 *
 * Holds between calls:
 *     slots: at most 3/4 full, so every probe ends at an empty slot
 *     old_slots[i], i < old_cursor: carried over; still occupied for probing, but never a match
 *     an entry is in exactly one of: slots, old_slots[old_cursor..]
 *     every slot between an entry's home and its place is occupied
 *
 * Values are stored inverted: zeroed memory is empty, so a big table costs no fill at growth.
 * Never calls back but to match. One owner thread. */
#include "base/map.h"

#include "base/assert.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 16, CARRY_SLOTS = 8 };

static bool slot_is_empty(struct map_slot s)
{
    return s.value == 0; /* ~MAP_NONE */
}

static uint32_t upper(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_fini(struct map *m)
{
    free(m->slots);
    free(m->old_slots);
    *m = (struct map){0};
}

void map_clear(struct map *m)
{
    free(m->old_slots);
    m->old_slots = NULL;
    m->old_capacity = 0;
    m->old_cursor = 0;
    m->count = 0;
    if (m->slots != NULL) memset(m->slots, 0, (size_t)m->capacity * sizeof(*m->slots));
}

/* One of the two tables. Slots below first_live are occupied, but not entries. */
struct table {
    struct map_slot *slots;
    uint32_t mask;
    uint32_t first_live;
};

static struct table current_table(const struct map *m)
{
    return (struct table){.slots = m->slots, .mask = m->capacity - 1};
}

static struct table old_table(const struct map *m)
{
    return (struct table){
        .slots = m->old_slots, .mask = m->old_capacity - 1, .first_live = m->old_cursor};
}

static uint32_t table_find(struct table t, uint32_t hash, map_match match, const void *owner,
                           const void *key)
{
    for (uint32_t i = hash & t.mask; !slot_is_empty(t.slots[i]); i = (i + 1) & t.mask) {
        if (t.slots[i].hash != hash || i < t.first_live) continue;
        if (match(owner, ~t.slots[i].value, key)) return ~t.slots[i].value;
    }
    return MAP_NONE;
}

uint32_t map_find(const struct map *m, uint64_t hash, map_match match, const void *owner,
                  const void *key)
{
    if (m->count == 0) return MAP_NONE;
    uint32_t value = table_find(current_table(m), upper(hash), match, owner, key);
    if (value == MAP_NONE && m->old_slots != NULL) {
        value = table_find(old_table(m), upper(hash), match, owner, key);
    }
    return value;
}

/* Put a slot into the current table, which has room. */
static void place(struct map *m, struct map_slot s)
{
    uint32_t mask = m->capacity - 1;
    uint32_t i = s.hash & mask;
    while (!slot_is_empty(m->slots[i])) {
        i = (i + 1) & mask;
    }
    m->slots[i] = s;
}

/* Carry a few slots of the old table over; drop it when it is done. */
static void carry(struct map *m)
{
    for (uint32_t n = 0; n < CARRY_SLOTS && m->old_cursor < m->old_capacity; n++) {
        struct map_slot s = m->old_slots[m->old_cursor++];
        if (!slot_is_empty(s)) place(m, s);
    }
    if (m->old_cursor < m->old_capacity) return;
    free(m->old_slots);
    m->old_slots = NULL;
    m->old_capacity = 0;
    m->old_cursor = 0;
}

/* Start a table twice the size. False when there is no memory or no larger size. */
static bool grow(struct map *m)
{
    ASSERT(m->old_slots == NULL);
    if (m->capacity > UINT32_MAX / 4) return false;
    uint32_t capacity = m->capacity == 0 ? CAPACITY_MIN : m->capacity * 2;
    struct map_slot *slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL) return false;
    m->old_slots = m->slots;
    m->old_capacity = m->capacity;
    m->old_cursor = 0;
    m->slots = slots;
    m->capacity = capacity;
    return true;
}

bool map_insert(struct map *m, uint64_t hash, uint32_t value)
{
    ASSERT(value != MAP_NONE);
    if (m->old_slots != NULL) carry(m);
    /* The old table of C slots is gone after C/8 inserts; the new one of 2C is full after 3C/4. */
    if ((uint64_t)m->count + 1 > (uint64_t)m->capacity * 3 / 4 && !grow(m)) return false;
    place(m, (struct map_slot){.hash = upper(hash), .value = ~value});
    m->count++;
    return true;
}

/* Remove from one table by shifting the entries behind the gap back, each only as far as its
 * home. Slots below first_live stay where they are. */
static bool table_remove(struct table t, struct map_slot wanted)
{
    struct map_slot *slots = t.slots;
    uint32_t gap = wanted.hash & t.mask;
    while (gap < t.first_live || slots[gap].hash != wanted.hash ||
           slots[gap].value != wanted.value) {
        if (slot_is_empty(slots[gap])) return false;
        gap = (gap + 1) & t.mask;
    }
    for (uint32_t i = (gap + 1) & t.mask; !slot_is_empty(slots[i]); i = (i + 1) & t.mask) {
        uint32_t from_home = (i - slots[i].hash) & t.mask;
        uint32_t from_gap = (i - gap) & t.mask;
        if (i < t.first_live || from_home < from_gap) continue;
        slots[gap] = slots[i];
        gap = i;
    }
    slots[gap] = (struct map_slot){0};
    return true;
}

bool map_remove(struct map *m, uint64_t hash, uint32_t value)
{
    if (m->count == 0 || value == MAP_NONE) return false;
    struct map_slot wanted = {.hash = upper(hash), .value = ~value};
    bool is_removed = table_remove(current_table(m), wanted);
    if (!is_removed && m->old_slots != NULL) is_removed = table_remove(old_table(m), wanted);
    if (is_removed) m->count--;
    return is_removed;
}

void map_prefetch(const struct map *m, uint64_t hash)
{
    if (m->capacity == 0) return;
    __builtin_prefetch(&m->slots[upper(hash) & (m->capacity - 1)]);
}

size_t map_bytes(const struct map *m)
{
    return ((size_t)m->capacity + m->old_capacity) * sizeof(struct map_slot);
}
