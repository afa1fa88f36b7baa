/* edges: dense rows per type, a map beside them. edges.h has the picture. What is refused by memory
 * is found out before anything is changed.
 *
 * Holds between calls, for every type that keeps edges: its map holds exactly the places
 * 0..count-1; part i holds the places from i * 4,096 on; no part is empty. */
#include "core/state/edges.h"

#include <assert.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "format/fields.h"

enum {
    ROW_SHIFT = 12,
    TYPE_SHIFT = 32,
    FIRST_ROWS = 32,
    ITEM_OFFSET = 4,
    TIME_OFFSET = 8,
    WEIGHT_OFFSET = 16,
    MAP_FIRST = 16, /* slots that a map takes at first */
};

static_assert(EDGE_PART_ROWS == 1u << ROW_SHIFT, "a row's index fits its bits");
static_assert(WEIGHT_OFFSET + sizeof(double) == EDGE_ROW_SIZE, "a row ends with its weight");

void edges_init(struct edges *g, struct alloc *alloc)
{
    *g = (struct edges){.alloc = alloc};
}

void edges_fini(struct edges *g)
{
    for (size_t i = 0; i < g->capacity; i++) {
        struct type_edges *t = g->types[i];
        if (t == NULL) continue;
        block_list_fini(g->alloc, &t->parts);
        map_fini(&t->map);
        alloc_put(g->alloc, t, sizeof(*t));
    }
    alloc_put(g->alloc, g->types, g->capacity * sizeof(struct type_edges *));
    *g = (struct edges){0};
}

static struct type_edges *type_of(const struct edges *g, uint32_t type_id)
{
    return type_id - 1 < g->capacity ? g->types[type_id - 1] : NULL;
}

bool edges_add_type(struct edges *g, const struct signal_type *type)
{
    ASSERT(type->id > 0);
    if (type->mode == SIGNAL_MODE_COUNT || type_of(g, type->id) != NULL) return true;
    void *types = g->types;
    if (type->id > g->capacity &&
        !alloc_grow(g->alloc, &types, &g->capacity, sizeof(struct type_edges *), type->id)) {
        return false;
    }
    g->types = types;
    struct type_edges *t = alloc_get(g->alloc, sizeof(*t));
    if (t == NULL) return false;
    map_init(&t->map);
    g->types[type->id - 1] = t;
    g->type_count++;
    return true;
}

/* Rows. */

static uint32_t part_count(const struct type_edges *t)
{
    return (uint32_t)(((uint64_t)t->count + EDGE_PART_ROWS - 1) >> ROW_SHIFT);
}

static uint8_t *row_at(const struct type_edges *t, uint32_t place)
{
    ASSERT(place < t->count);
    size_t row = place & (EDGE_PART_ROWS - 1);
    return t->parts.items[place >> ROW_SHIFT]->extra + row * EDGE_ROW_SIZE;
}

static struct edge edge_decode(const uint8_t *row)
{
    struct edge edge = {.user = load_u32(row),
                        .item = load_u32(row + ITEM_OFFSET),
                        .time_ms = (int64_t)load_u64(row + TIME_OFFSET)};
    memcpy(&edge.weight, row + WEIGHT_OFFSET, sizeof(edge.weight));
    return edge;
}

static void edge_encode(const struct edge *edge, uint8_t row[EDGE_ROW_SIZE])
{
    store_u32(row, edge->user);
    store_u32(row + ITEM_OFFSET, edge->item);
    store_u64(row + TIME_OFFSET, (uint64_t)edge->time_ms);
    memcpy(row + WEIGHT_OFFSET, &edge->weight, sizeof(edge->weight));
}

/* Users and items are dense numbers that nobody chooses, so no seed is needed. */
static uint64_t hash_of(uint32_t user, uint32_t item)
{
    return hash64_mix(((uint64_t)user << 32 | item) + 1);
}

static bool is_match(const void *owner, uint32_t value, const void *key)
{
    const uint32_t *pair = key;
    const uint8_t *row = row_at(owner, value);
    return load_u32(row) == pair[0] && load_u32(row + ITEM_OFFSET) == pair[1];
}

uint32_t edges_find(const struct edges *g, uint32_t type_id, uint32_t user, uint32_t item)
{
    const struct type_edges *t = type_of(g, type_id);
    if (t == NULL) return EDGE_NONE;
    const uint32_t pair[] = {user, item};
    uint32_t place = map_find(&t->map, hash_of(user, item), is_match, t, pair);
    return place == MAP_NONE ? EDGE_NONE : place;
}

struct edge edges_at(const struct edges *g, uint32_t type_id, uint32_t place)
{
    const struct type_edges *t = type_of(g, type_id);
    ASSERT(t != NULL);
    return edge_decode(row_at(t, place));
}

uint32_t edges_count(const struct edges *g, uint32_t type_id)
{
    const struct type_edges *t = type_of(g, type_id);
    return t == NULL ? 0 : t->count;
}

void edges_tally(const struct edges *g, uint32_t type_id, uint32_t *counts)
{
    const struct type_edges *t = type_of(g, type_id);
    for (uint32_t place = 0; t != NULL && place < t->count; place++) {
        counts[load_u32(row_at(t, place) + ITEM_OFFSET)]++;
    }
}

/* Changes. */

/* Room for one more row: a few at first, then a quarter of a part, then the whole. */
static bool row_reserve(struct alloc *alloc, struct block *part)
{
    uint32_t rows = part->extra_size / EDGE_ROW_SIZE;
    uint32_t wanted = FIRST_ROWS;
    if (rows >= FIRST_ROWS) wanted = EDGE_PART_ROWS / 4;
    if (rows >= EDGE_PART_ROWS / 4) wanted = EDGE_PART_ROWS;
    return block_extra_reserve(alloc, part, (wanted - rows) * EDGE_ROW_SIZE);
}

/* The part that the next edge goes to, writable, with room; a new one is in the list, not yet in
 * the books. NULL when memory is refused. */
static struct block *part_for_next(struct edges *g, struct type_edges *t, uint32_t type_id)
{
    uint32_t i = t->count >> ROW_SHIFT;
    if (!block_list_reserve(g->alloc, &t->parts, i)) return NULL;
    struct block **place = &t->parts.items[i];
    if (*place == NULL) {
        struct block_id id = {.kind = BLOCK_EDGE, .number = (uint64_t)type_id << TYPE_SHIFT | i};
        *place = block_new(g->alloc, id, 0, 0);
        if (*place == NULL) return NULL;
    }
    struct block *part = block_writable(g->alloc, place);
    if (part == NULL || !row_reserve(g->alloc, part)) return NULL;
    return part;
}

/* Undo part_for_next when the edge that it was called for could not be added. */
static void drop_empty_part(struct edges *g, struct type_edges *t)
{
    uint32_t i = t->count >> ROW_SHIFT;
    struct block *part = block_list_get(&t->parts, i);
    if (part == NULL || part->extra_size > 0) return;
    block_release(g->alloc, part);
    t->parts.items[i] = NULL;
}

bool edges_add(struct edges *g, uint32_t type_id, const struct edge *edge)
{
    struct type_edges *t = type_of(g, type_id);
    ASSERT(t != NULL);
    if (t->count == EDGES_MAX) return false;
    size_t map_before = map_bytes(&t->map);
    struct block *part = part_for_next(g, t, type_id);
    bool is_added = part != NULL && map_insert(&t->map, hash_of(edge->user, edge->item), t->count);
    g->map_bytes += map_bytes(&t->map) - map_before;
    if (!is_added) {
        drop_empty_part(g, t);
        return false;
    }
    uint8_t row[EDGE_ROW_SIZE];
    edge_encode(edge, row);
    if (part->extra_size == 0) g->parts++;
    block_extra_add(part, row, sizeof(row));
    t->count++;
    g->count++;
    return true;
}

bool edges_replace(struct edges *g, uint32_t type_id, uint32_t place, int64_t time_ms,
                   double weight)
{
    struct type_edges *t = type_of(g, type_id);
    ASSERT(t != NULL);
    struct edge edge = edge_decode(row_at(t, place));
    if (block_writable(g->alloc, &t->parts.items[place >> ROW_SHIFT]) == NULL) return false;
    edge.time_ms = time_ms;
    edge.weight = weight;
    edge_encode(&edge, row_at(t, place));
    return true;
}

static void unmap(struct type_edges *t, const struct edge *edge, uint32_t place)
{
    bool is_removed = map_remove(&t->map, hash_of(edge->user, edge->item), place);
    ASSERT(is_removed);
}

/* The last edge moves to a place whose own edge is gone. Both parts are writable. */
static void move_last(struct type_edges *t, uint32_t place)
{
    uint32_t last = t->count - 1;
    struct edge moved = edge_decode(row_at(t, last));
    unmap(t, &moved, last);
    /* Two entries have left the map and one comes back: it does not grow. */
    bool is_placed = map_insert(&t->map, hash_of(moved.user, moved.item), place);
    ASSERT(is_placed);
    edge_encode(&moved, row_at(t, place));
}

bool edges_remove(struct edges *g, uint32_t type_id, uint32_t place)
{
    struct type_edges *t = type_of(g, type_id);
    ASSERT(t != NULL);
    struct edge edge = edge_decode(row_at(t, place));
    uint32_t last_part = (t->count - 1) >> ROW_SHIFT;
    if (block_writable(g->alloc, &t->parts.items[place >> ROW_SHIFT]) == NULL) return false;
    struct block *part = block_writable(g->alloc, &t->parts.items[last_part]);
    if (part == NULL) return false;
    size_t map_before = map_bytes(&t->map);
    unmap(t, &edge, place);
    if (place != t->count - 1) move_last(t, place);
    g->map_bytes -= map_before - map_bytes(&t->map); /* an insert may end a growth */
    t->count--;
    g->count--;
    part->extra_size -= EDGE_ROW_SIZE;
    if (part->extra_size > 0) return true;
    block_release(g->alloc, part);
    t->parts.items[last_part] = NULL;
    g->parts--;
    return true;
}

/* Blocks and their growth. */

void edges_each_block(const struct edges *g, void (*take)(void *context, struct block *b),
                      void *context)
{
    for (size_t i = 0; i < g->capacity; i++) {
        const struct type_edges *t = g->types[i];
        for (uint32_t p = 0; t != NULL && p < part_count(t); p++) {
            take(context, t->parts.items[p]);
        }
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t edges_growth_max(const struct edges *g, uint64_t changes)
{
    if (g->type_count == 0) return 0;
    uint64_t part = sizeof(struct block) + (uint64_t)EDGE_PART_ROWS * EDGE_ROW_SIZE;
    /* A removal changes two parts; a copy may be grown while its old bytes still exist. */
    uint64_t copies = least(2 * changes, g->parts) * part;
    uint64_t grown = least(changes, g->type_count) * 2 * part;
    uint64_t appended = (changes / EDGE_PART_ROWS) * part;
    uint64_t lists = 2 * (g->parts + changes / EDGE_PART_ROWS + g->type_count) * 16;
    uint64_t maps = 2 * g->map_bytes + changes * 4 * sizeof(struct map_slot) +
                    least(changes, g->type_count) * MAP_FIRST * sizeof(struct map_slot);
    return copies + grown + appended + lists + maps;
}

/* Loading: bytes come from disk or a peer, so every property that the code above relies on is
 * checked. */

/* NULL, or why a block of this number and size may not come now. */
static const char *head_fault(const struct type_edges *t, uint64_t number, size_t size)
{
    if (t == NULL) return "its type keeps no edges";
    uint64_t next = t->count >> ROW_SHIFT;
    bool is_full = (t->count & (EDGE_PART_ROWS - 1)) == 0;
    if ((number & UINT32_MAX) != next || !is_full) return "its part does not follow";
    size_t rows = size / EDGE_ROW_SIZE;
    if (size % EDGE_ROW_SIZE != 0 || rows == 0 || rows > EDGE_PART_ROWS) return "its size is wrong";
    if (rows > EDGES_MAX - t->count) return "there are too many edges";
    return NULL;
}

static const char *edge_fault(const struct edges *g, struct edge_bounds bounds, uint32_t type_id,
                              const struct edge *edge)
{
    if (edge->user >= bounds.user_count) return "it names a user that does not exist";
    if (edge->item >= bounds.item_count) return "it names an item that does not exist";
    if (!time_is_valid(edge->time_ms)) return "a time is no time";
    if (!weight_is_valid(edge->weight)) return "a weight is no weight";
    if (edges_find(g, type_id, edge->user, edge->item) != EDGE_NONE) return "it repeats an edge";
    return NULL;
}

enum code edges_load(struct edges *g, struct edge_bounds bounds, struct block_id id,
                     struct slice bytes, struct err *e)
{
    unsigned long long number = id.number;
    uint64_t type_id = id.number >> TYPE_SHIFT;
    const char *fault = "its type keeps no edges";
    if (type_id > 0) fault = head_fault(type_of(g, (uint32_t)type_id), id.number, bytes.size);
    if (fault != NULL) return ERR(e, E_CORRUPT, "block edge %llu: %s", number, fault);
    for (size_t at = 0; at < bytes.size; at += EDGE_ROW_SIZE) {
        struct edge edge = edge_decode(bytes.data + at);
        fault = edge_fault(g, bounds, (uint32_t)type_id, &edge);
        if (fault != NULL) return ERR(e, E_CORRUPT, "block edge %llu: %s", number, fault);
        if (!edges_add(g, (uint32_t)type_id, &edge)) {
            return ERR(e, E_NOMEMORY, "no memory for block edge %llu", number);
        }
    }
    return OK;
}
