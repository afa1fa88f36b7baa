/* tag_values: see tag_values.h. Bytes of values that died stay in their chunk's text until they are
 * the larger part of it; then the text is written anew. */
#include "core/state/tag_values.h"

#include "base/assert.h"
#include "base/hash.h"

enum { TAG_CHUNK = 512, GARBAGE_MIN = 4096 };

struct value {
    uint32_t text_at;
    uint32_t size;
    uint32_t references; /* 0: free, or never used */
    uint32_t next_free;  /* of a free one */
};

/* Payload of a chunk. */
struct chunk {
    uint64_t garbage; /* bytes of the text that belong to no value */
    struct value values[TAG_CHUNK];
};

void tag_values_init(struct tag_values *v, struct alloc *alloc, uint64_t seed)
{
    *v = (struct tag_values){.alloc = alloc, .seed = seed};
    map_init(&v->map);
}

void tag_values_fini(struct tag_values *v)
{
    block_list_fini(v->alloc, &v->chunks);
    map_fini(&v->map);
    *v = (struct tag_values){0};
}

static struct block *block_of(const struct tag_values *v, uint32_t number)
{
    ASSERT(number != TAG_VALUE_NONE && number <= v->used);
    return v->chunks.items[(number - 1) / TAG_CHUNK];
}

static struct chunk *chunk_of(struct block *b)
{
    return (struct chunk *)(void *)b->payload;
}

static struct value *value_of(const struct tag_values *v, uint32_t number)
{
    return &chunk_of(block_of(v, number))->values[(number - 1) % TAG_CHUNK];
}

struct slice tag_values_bytes(const struct tag_values *v, uint32_t number)
{
    const struct value *value = value_of(v, number);
    ASSERT(value->references > 0);
    if (value->size == 0) return slice_of("", 0);
    return slice_of(block_of(v, number)->extra + value->text_at, value->size);
}

static bool is_match(const void *owner, uint32_t index, const void *key)
{
    return slice_equal(tag_values_bytes(owner, index + 1), *(const struct slice *)key);
}

static uint32_t find(const struct tag_values *v, struct slice value, uint64_t hash)
{
    uint32_t index = map_find(&v->map, hash, is_match, v, &value);
    return index == MAP_NONE ? TAG_VALUE_NONE : index + 1;
}

uint32_t tag_values_find(const struct tag_values *v, struct slice value)
{
    return find(v, value, hash64_of(value, v->seed));
}

/* The block that holds this number, made when it does not exist. NULL: memory is refused. */
static struct block *block_for(struct tag_values *v, uint32_t number)
{
    size_t i = (number - 1) / TAG_CHUNK;
    if (!block_list_reserve(v->alloc, &v->chunks, i)) return NULL;
    if (v->chunks.items[i] == NULL) {
        v->chunks.items[i] = block_new(v->alloc, (struct block_id){0}, sizeof(struct chunk), 0);
    }
    return v->chunks.items[i];
}

/* Write the text of a chunk anew, without what died. Left for later when memory is refused. */
static void text_compact(struct tag_values *v, struct block *b)
{
    uint32_t capacity = b->extra_size - (uint32_t)chunk_of(b)->garbage;
    if (capacity < BLOCK_EXTRA_MIN) capacity = BLOCK_EXTRA_MIN;
    uint8_t *text = alloc_get(v->alloc, capacity);
    if (text == NULL) return;
    uint32_t size = 0;
    for (uint32_t i = 0; i < TAG_CHUNK; i++) {
        struct value *value = &chunk_of(b)->values[i];
        if (value->references == 0 || value->size == 0) continue;
        memcpy(text + size, b->extra + value->text_at, value->size);
        value->text_at = size;
        size += value->size;
    }
    alloc_put(v->alloc, b->extra, b->extra_capacity);
    b->extra = text;
    b->extra_size = size;
    b->extra_capacity = capacity;
    chunk_of(b)->garbage = 0;
}

static uint32_t add(struct tag_values *v, struct slice bytes, uint64_t hash)
{
    bool is_reused = v->first_free != TAG_VALUE_NONE;
    uint32_t number = is_reused ? v->first_free : v->used + 1;
    if (number == MAP_NONE) return TAG_VALUE_NONE;
    uint32_t size = (uint32_t)bytes.size;
    struct block *b = block_for(v, number);
    if (b == NULL || !block_extra_reserve(v->alloc, b, size)) return TAG_VALUE_NONE;
    if (b->extra_capacity > v->text_size_max) v->text_size_max = b->extra_capacity;
    if (!map_insert(&v->map, hash, number - 1)) return TAG_VALUE_NONE;
    if (!is_reused) v->used = number;
    struct value *value = value_of(v, number);
    if (is_reused) v->first_free = value->next_free;
    *value = (struct value){.text_at = b->extra_size, .size = size, .references = 1};
    if (size > 0) block_extra_add(b, bytes.data, size);
    return number;
}

uint32_t tag_values_take(struct tag_values *v, struct slice value)
{
    ASSERT(value.size <= TAG_VALUE_SIZE_MAX);
    uint64_t hash = hash64_of(value, v->seed);
    uint32_t number = find(v, value, hash);
    if (number == TAG_VALUE_NONE) return add(v, value, hash);
    struct value *known = value_of(v, number);
    if (known->references == UINT32_MAX) return TAG_VALUE_NONE;
    known->references++;
    return number;
}

void tag_values_drop(struct tag_values *v, uint32_t number)
{
    struct value *value = value_of(v, number);
    ASSERT(value->references > 0);
    if (value->references > 1) {
        value->references--;
        return;
    }
    uint64_t hash = hash64_of(tag_values_bytes(v, number), v->seed);
    bool is_removed = map_remove(&v->map, hash, number - 1);
    ASSERT(is_removed);
    struct block *b = block_of(v, number);
    chunk_of(b)->garbage += value->size;
    *value = (struct value){.next_free = v->first_free};
    v->first_free = number;
    uint64_t garbage = chunk_of(b)->garbage;
    if (garbage > GARBAGE_MIN && garbage > b->extra_size / 2) text_compact(v, b);
}

uint64_t tag_values_growth_max(const struct tag_values *v, uint64_t count, uint64_t value_bytes)
{
    /* Whole new chunks, texts grown by doubling while the old ones still exist, and the next table
     * of the map. */
    uint64_t chunks = count / TAG_CHUNK + 2;
    uint64_t known = v->used / TAG_CHUNK + 1;
    uint64_t grown = count < known ? count : known;
    uint64_t texts = 4 * (value_bytes + BLOCK_EXTRA_MIN * (chunks + grown)) +
                     3 * grown * (uint64_t)v->text_size_max;
    uint64_t list = 2 * (known + chunks) * sizeof(struct block *);
    uint64_t map = 0;
    if ((v->map.count + count) * 4 > (uint64_t)v->map.capacity * 3) { /* fuller than 3/4 */
        map = (v->map.count + count) * 4 * sizeof(struct map_slot);
    }
    return chunks * (sizeof(struct block) + sizeof(struct chunk)) + texts + list + map;
}
