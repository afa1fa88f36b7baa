/* overlay: see overlay.h. */
#include "engine/overlay.h"

#include <stdlib.h>

#include "base/assert.h"

bool overlay_init(struct overlay *o)
{
    *o = (struct overlay){0};
    map_init(&o->key_map);
    o->producers = calloc(PENDING_PRODUCERS_MAX, sizeof(*o->producers));
    o->types = calloc(PENDING_TYPES_MAX, sizeof(*o->types));
    o->fields = calloc(FIELDS_MAX, sizeof(*o->fields));
    return o->producers && o->types && o->fields;
}

void overlay_fini(struct overlay *o)
{
    map_fini(&o->key_map);
    free(o->keys);
    free(o->producers);
    free(o->types);
    free(o->fields);
}

static uint64_t key_hash(const struct id128 *key)
{
    uint64_t h; /* the key is a BLAKE3 value: any 64 bits of it are spread well */
    memcpy(&h, key->bytes, sizeof(h));
    return h;
}

static struct pending_key *key_at(const struct overlay *o, uint32_t counter)
{
    return &o->keys[counter & (o->key_capacity - 1)];
}

static bool key_matches(const void *owner, uint32_t value, const void *key)
{
    const struct overlay *o = owner;
    return id128_equal(&o->keys[value].key, key);
}

bool overlay_find_key(const struct overlay *o, const struct id128 *key, seqno *out)
{
    if (o->key_head == o->key_tail) return false;
    uint32_t i = map_find(&o->key_map, key_hash(key), key_matches, o, key);
    if (i == MAP_NONE) return false;
    *out = o->keys[i].seqno;
    return true;
}

static bool grow_keys(struct overlay *o)
{
    uint32_t capacity = o->key_capacity ? o->key_capacity * 2 : 256;
    struct pending_key *keys = calloc(capacity, sizeof(*keys));
    if (!keys) return false;
    struct map map;
    map_init(&map);
    uint32_t count = overlay_key_count(o);
    bool is_ok = true;
    for (uint32_t i = 0; i < count && is_ok; i++) {
        keys[i] = *key_at(o, o->key_head + i);
        is_ok = map_insert(&map, key_hash(&keys[i].key), i);
    }
    if (!is_ok) {
        map_fini(&map);
        free(keys);
        return false;
    }
    map_fini(&o->key_map);
    free(o->keys);
    o->key_map = map;
    o->keys = keys;
    o->key_capacity = capacity;
    o->key_head = 0;
    o->key_tail = count;
    return true;
}

bool overlay_add_key(struct overlay *o, const struct id128 *key, seqno s)
{
    if (overlay_key_count(o) == o->key_capacity && !grow_keys(o)) return false;
    uint32_t i = o->key_tail & (o->key_capacity - 1);
    if (!map_insert(&o->key_map, key_hash(key), i)) return false;
    o->keys[i] = (struct pending_key){.key = *key, .seqno = s};
    o->key_tail++;
    return true;
}

void overlay_drop_newest_keys(struct overlay *o, uint32_t count)
{
    ASSERT(count <= overlay_key_count(o));
    for (; count > 0; count--) {
        uint32_t i = --o->key_tail & (o->key_capacity - 1);
        bool is_removed = map_remove(&o->key_map, key_hash(&o->keys[i].key), i);
        ASSERT(is_removed);
    }
}

uint32_t overlay_key_count(const struct overlay *o)
{
    return o->key_tail - o->key_head;
}

const struct pending_producer *overlay_find_producer(const struct overlay *o, struct slice id)
{
    for (uint32_t i = 0; i < o->producer_count; i++) {
        const struct pending_producer *p = &o->producers[i];
        if (slice_equal(slice_of(p->id, p->id_size), id)) return p;
    }
    return NULL;
}

bool overlay_set_producer(struct overlay *o, struct slice id, uint64_t number, seqno s)
{
    ASSERT(id.size > 0);
    ASSERT(id.size <= KEY_SIZE_MAX);
    struct pending_producer *p = NULL;
    for (uint32_t i = 0; i < o->producer_count && !p; i++) {
        struct pending_producer *candidate = &o->producers[i];
        if (slice_equal(slice_of(candidate->id, candidate->id_size), id)) p = candidate;
    }
    if (!p) {
        if (o->producer_count == PENDING_PRODUCERS_MAX) return false;
        p = &o->producers[o->producer_count++];
        memcpy(p->id, id.data, id.size);
        p->id_size = (uint8_t)id.size;
    }
    p->number = number;
    p->seqno = s;
    return true;
}

const struct signal_type *overlay_find_type(const struct overlay *o, struct slice name, seqno *out)
{
    for (uint32_t i = 0; i < o->type_count; i++) {
        if (!slice_equal(slice_of_text(o->types[i].type.name), name)) continue;
        *out = o->types[i].seqno;
        return &o->types[i].type;
    }
    return NULL;
}

bool overlay_add_type(struct overlay *o, const struct signal_type *type, seqno s)
{
    if (o->type_count == PENDING_TYPES_MAX) return false;
    o->types[o->type_count++] = (struct pending_type){.type = *type, .seqno = s};
    return true;
}

const struct schema_field *overlay_find_field(const struct overlay *o, struct slice name,
                                              seqno *out)
{
    for (uint32_t i = 0; i < o->field_count; i++) {
        if (!slice_equal(slice_of_text(o->fields[i].field.name), name)) continue;
        *out = o->fields[i].seqno;
        return &o->fields[i].field;
    }
    return NULL;
}

void overlay_add_field(struct overlay *o, const struct schema_field *field, seqno s)
{
    ASSERT(o->field_count < FIELDS_MAX);
    o->fields[o->field_count++] = (struct pending_field){.field = *field, .seqno = s};
}

void overlay_applied(struct overlay *o, seqno applied)
{
    while (o->key_head != o->key_tail && key_at(o, o->key_head)->seqno.v <= applied.v) {
        uint32_t i = o->key_head & (o->key_capacity - 1);
        bool is_removed = map_remove(&o->key_map, key_hash(&o->keys[i].key), i);
        ASSERT(is_removed);
        o->key_head++;
    }
    for (uint32_t i = 0; i < o->producer_count;) {
        if (o->producers[i].seqno.v > applied.v) {
            i++;
        } else {
            o->producers[i] = o->producers[--o->producer_count];
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < o->type_count; i++) {
        if (o->types[i].seqno.v > applied.v) o->types[kept++] = o->types[i];
    }
    o->type_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < o->field_count; i++) {
        if (o->fields[i].seqno.v > applied.v) o->fields[kept++] = o->fields[i];
    }
    o->field_count = kept;
}
