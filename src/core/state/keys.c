/* keys: interning in log order. The payload of a block is the canonical part (count, rows) with
 * room for all rows, then the place of each key in the extra bytes, which is derived. Keys are only
 * ever appended, and only to the last block.
 *
 * Holds between calls: map holds exactly the indexes 0..count-1; block i holds the indexes from
 * i * block_entries on; a block behind the last used one may exist, empty, after an add that
 * failed. */
#include "core/state/keys.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

enum { COUNT_SIZE = 4 };

static uint32_t place_offset(const struct keys *k)
{
    return COUNT_SIZE + k->shape.block_entries * k->shape.row_size;
}

static uint32_t payload_size(const struct keys *k)
{
    return place_offset(k) + k->shape.block_entries * (uint32_t)sizeof(uint32_t);
}

void keys_init(struct keys *k, struct alloc *alloc, struct keys_shape shape, uint64_t seed)
{
    ASSERT(shape.block_entries > 0 && (shape.block_entries & (shape.block_entries - 1)) == 0);
    ASSERT(shape.row_size <= KEYS_ROW_SIZE && shape.row_size % sizeof(uint32_t) == 0);
    *k = (struct keys){.alloc = alloc, .shape = shape, .seed = seed};
    k->block_shift = (uint32_t)__builtin_ctz(shape.block_entries);
    map_init(&k->map);
}

void keys_fini(struct keys *k)
{
    block_list_fini(k->alloc, &k->blocks);
    map_fini(&k->map);
}

uint64_t keys_hash(const struct keys *k, struct slice key)
{
    return hash64_of(key, k->seed);
}

static const struct block *block_of(const struct keys *k, uint32_t index)
{
    ASSERT(index < k->count);
    return k->blocks.items[index >> k->block_shift];
}

static uint32_t within(const struct keys *k, uint32_t index)
{
    return index & (k->shape.block_entries - 1);
}

static const uint8_t *place_of(const struct keys *k, uint32_t index)
{
    return block_of(k, index)->payload + place_offset(k) +
           (size_t)within(k, index) * sizeof(uint32_t);
}

struct slice keys_key(const struct keys *k, uint32_t index)
{
    const uint8_t *sized = block_of(k, index)->extra + load_u32(place_of(k, index));
    return slice_of(sized + 1, *sized);
}

bool keys_is(const struct keys *k, uint32_t index, struct slice key)
{
    return slice_equal(keys_key(k, index), key);
}

static bool is_match(const void *owner, uint32_t value, const void *key)
{
    return keys_is(owner, value, *(const struct slice *)key);
}

uint32_t keys_find(const struct keys *k, struct slice key, uint64_t hash)
{
    return map_find(&k->map, hash, is_match, k, &key);
}

void keys_prefetch(const struct keys *k, uint64_t hash)
{
    map_prefetch(&k->map, hash);
}

static bool is_any(const void *owner, uint32_t value, const void *key)
{
    (void)owner;
    (void)value;
    (void)key;
    return true;
}

uint32_t keys_guess(const struct keys *k, uint64_t hash)
{
    uint32_t guess = map_find(&k->map, hash, is_any, k, NULL);
    if (guess != KEYS_NONE) __builtin_prefetch(place_of(k, guess));
    return guess;
}

void keys_prefetch_bytes(const struct keys *k, uint32_t guess)
{
    if (guess == KEYS_NONE) return;
    __builtin_prefetch(block_of(k, guess)->extra + load_u32(place_of(k, guess)));
}

/* The block that the next key goes to, writable, with room for the key. NULL: memory is refused. */
static struct block *block_for_next(struct keys *k, uint32_t key_size)
{
    uint32_t i = k->count >> k->block_shift;
    if (!block_list_reserve(k->alloc, &k->blocks, i)) return NULL;
    struct block **place = &k->blocks.items[i];
    if (*place == NULL) {
        struct block_id id = {.kind = k->shape.kind, .number = i};
        *place = block_new(k->alloc, id, payload_size(k), COUNT_SIZE);
        if (*place == NULL) return NULL;
    }
    struct block *b = block_writable(k->alloc, place);
    if (b == NULL || !block_extra_reserve(k->alloc, b, 1 + key_size)) return NULL;
    return b;
}

uint32_t keys_add(struct keys *k, struct slice key, uint64_t hash, const void *row)
{
    ASSERT(key.size >= 1 && key.size <= KEY_SIZE_MAX);
    uint32_t index = k->count;
    if (index == KEYS_NONE) return KEYS_NONE;
    struct block *b = block_for_next(k, (uint32_t)key.size);
    if (b == NULL || !map_insert(&k->map, hash, index)) return KEYS_NONE;
    uint32_t i = within(k, index);
    uint8_t size = (uint8_t)key.size;
    store_u32(b->payload + place_offset(k) + (size_t)i * sizeof(uint32_t), b->extra_size);
    block_extra_add(b, &size, 1);
    block_extra_add(b, key.data, size);
    memcpy(b->payload + COUNT_SIZE + (size_t)i * k->shape.row_size, row, k->shape.row_size);
    store_u32(b->payload, i + 1);
    b->canonical_size = COUNT_SIZE + (i + 1) * k->shape.row_size;
    k->count++;
    return index;
}

const uint8_t *keys_row(const struct keys *k, uint32_t index)
{
    return block_of(k, index)->payload + COUNT_SIZE + (size_t)within(k, index) * k->shape.row_size;
}

uint8_t *keys_row_writable(struct keys *k, uint32_t index)
{
    ASSERT(index < k->count);
    struct block *b = block_writable(k->alloc, &k->blocks.items[index >> k->block_shift]);
    if (b == NULL) return NULL;
    return b->payload + COUNT_SIZE + (size_t)within(k, index) * k->shape.row_size;
}

uint32_t keys_block_count(const struct keys *k)
{
    return (uint32_t)(((uint64_t)k->count + k->shape.block_entries - 1) >> k->block_shift);
}

uint64_t keys_growth_max(const struct keys *k, uint64_t entries, uint64_t key_bytes)
{
    /* A copy of the last block, its extra bytes grown by doubling while the old ones still exist,
     * whole new blocks, and the next table of the map. */
    const struct block *last = block_list_get(&k->blocks, k->count >> k->block_shift);
    uint64_t block = sizeof(struct block) + payload_size(k);
    uint64_t blocks = entries / k->shape.block_entries + 2;
    uint64_t extra = 4 * (key_bytes + entries + BLOCK_EXTRA_MIN * blocks);
    if (last != NULL) extra += 4 * (uint64_t)last->extra_capacity;
    uint64_t map = 0;
    if ((k->map.count + entries) * 4 > (uint64_t)k->map.capacity * 3) { /* fuller than 3/4 */
        map = (k->map.count + entries) * 4 * sizeof(struct map_slot);
    }
    return blocks * block + extra + map;
}

/* Does the number fit the blocks there are, and the entry count the size? */
static enum code check_head(const struct keys *k, struct block_id id, struct slice bytes,
                            uint32_t *out_count, struct err *e)
{
    const char *name = block_kind_name(id.kind);
    uint64_t next = k->count >> k->block_shift;
    bool is_full = within(k, k->count) == 0;
    if (id.number != next || !is_full) {
        return ERR(e, E_CORRUPT, "block %s %llu does not follow %u entries", name,
                   (unsigned long long)id.number, k->count);
    }
    uint32_t count = bytes.size < COUNT_SIZE ? 0 : load_u32(bytes.data);
    if (count == 0 || count > k->shape.block_entries || count > KEYS_NONE - k->count) {
        return ERR(e, E_CORRUPT, "block %s %llu holds %u entries, the limits are 1 and %u", name,
                   (unsigned long long)id.number, count, k->shape.block_entries);
    }
    *out_count = count;
    return OK;
}

enum code keys_load(struct keys *k, struct block_id id, struct slice bytes, struct err *e)
{
    uint32_t count = 0;
    TRY(check_head(k, id, bytes, &count, e));
    struct bytes_reader r = bytes_reader_of(bytes);
    (void)bytes_read_u32(&r); /* the count, read above */
    struct slice rows = bytes_read_slice(&r, (size_t)count * k->shape.row_size);
    for (uint32_t i = 0; i < count && !r.is_failed; i++) {
        struct slice key = bytes_read_slice8(&r);
        if (key.size == 0) break;
        uint64_t hash = keys_hash(k, key);
        if (keys_find(k, key, hash) != KEYS_NONE) {
            return ERR(e, E_CORRUPT, "block %s %llu repeats the key of an earlier entry",
                       block_kind_name(id.kind), (unsigned long long)id.number);
        }
        const uint8_t *row = rows.data + (size_t)i * k->shape.row_size;
        if (keys_add(k, key, hash, row) == KEYS_NONE) {
            return ERR(e, E_NOMEMORY, "no memory for block %s %llu", block_kind_name(id.kind),
                       (unsigned long long)id.number);
        }
    }
    bool is_complete = k->count == (id.number << k->block_shift) + count;
    if (!is_complete || !bytes_is_done(&r)) {
        return ERR(e, E_CORRUPT, "block %s %llu does not hold exactly the keys it counts",
                   block_kind_name(id.kind), (unsigned long long)id.number);
    }
    return OK;
}
