/* state: birth, death and the questions. What changes a state is in state_apply.c and state_load.c;
 * what shares it with other threads is in state_version.c. */
#include "core/state/state.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/planted.h"
#include "core/state/decay.h"
#include "core/state/inside.h"

enum { CREATED_SIZE = 8 }; /* row of an item, user or creator */

static void entity_keys_init(struct keys *k, struct alloc *alloc, enum block_kind kind,
                             uint64_t seed)
{
    struct keys_shape shape = {
        .kind = kind, .block_entries = BLOCK_ENTRIES, .row_size = CREATED_SIZE};
    keys_init(k, alloc, shape, seed);
}

struct state *state_new(struct alloc *alloc, struct id128 cluster, struct stream_id stream)
{
    struct state *s = alloc_get(alloc, sizeof(*s));
    if (s == NULL) return NULL;
    *s = (struct state){.alloc = alloc, .cluster = cluster, .stream = stream};
    /* Maps are seeded by what strangers do not know. The seed never reaches a block. */
    uint64_t seed = hash64_of(slice_of(cluster.bytes, sizeof(cluster.bytes)), 0);
    schema_init(&s->schema, alloc);
    entity_keys_init(&s->items, alloc, BLOCK_ITEM_KEYS, seed);
    entity_keys_init(&s->users, alloc, BLOCK_USER_KEYS, seed);
    entity_keys_init(&s->creators, alloc, BLOCK_CREATOR_KEYS, seed);
    entities_init(&s->item_fields, alloc, BLOCK_ITEM_FIELDS);
    entities_init(&s->user_fields, alloc, BLOCK_USER_FIELDS);
    entities_init(&s->creator_fields, alloc, BLOCK_CREATOR_FIELDS);
    columns_init(&s->columns, alloc);
    windows_init(&s->windows, alloc);
    edges_init(&s->edges, alloc);
    field_index_init(&s->fields, alloc, seed);
    dedup_init(&s->dedup, alloc, seed);
    producers_init(&s->producers, alloc, seed);
    return s;
}

void state_free(struct state *s)
{
    if (s == NULL) return;
    schema_fini(&s->schema);
    keys_fini(&s->items);
    keys_fini(&s->users);
    keys_fini(&s->creators);
    entities_fini(&s->item_fields);
    entities_fini(&s->user_fields);
    entities_fini(&s->creator_fields);
    columns_fini(&s->columns);
    windows_fini(&s->windows);
    edges_fini(&s->edges);
    field_index_fini(&s->fields);
    dedup_fini(&s->dedup);
    if (!PLANTED(23)) keys_fini(&s->producers); /* planted: never given back */
    block_release(s->alloc, s->members);
    alloc_put(s->alloc, s, sizeof(*s));
}

bool state_is_whole(const struct state *s)
{
    return !s->is_torn;
}

struct position state_position(const struct state *s)
{
    return s->position;
}

uint64_t state_leader_time(const struct state *s)
{
    return s->leader_time;
}

struct meta state_meta(const struct state *s)
{
    return (struct meta){
        .stream = s->stream,
        .position = s->position,
        .leader_time = s->leader_time,
        .feature_level = s->feature_level,
        .type_count = s->schema.count,
        .item_count = s->items.count,
        .producer_count = s->producers.count,
        .dedup_count = s->dedup.count,
        .entry_count = s->entry_count,
        .user_count = s->users.count,
        .creator_count = s->creators.count,
    };
}

void state_members(const struct state *s, struct record_members *out)
{
    out->count = 0;
    if (s->members != NULL) members_read(slice_of(s->members->extra, s->members->extra_size), out);
}

const struct signal_type *state_type_by_name(const struct state *s, struct slice name)
{
    ASSERT(s->life != STATE_FROZEN);
    return schema_find(&s->schema, name);
}

const struct signal_type *state_type_by_id(const struct state *s, uint32_t id)
{
    return schema_type(&s->schema, id);
}

uint32_t state_type_count(const struct state *s)
{
    return s->schema.count;
}

const struct schema_field *state_field_by_name(const struct state *s, struct slice name)
{
    return schema_field_find(&s->schema, name);
}

const struct schema_field *state_field_by_id(const struct state *s, uint32_t id)
{
    return schema_field(&s->schema, id);
}

uint32_t state_field_count(const struct state *s)
{
    return s->schema.field_count;
}

uint32_t state_item_count(const struct state *s)
{
    return s->items.count;
}

uint32_t state_item_find(const struct state *s, struct slice key)
{
    ASSERT(s->life != STATE_FROZEN);
    return keys_find(&s->items, key, keys_hash(&s->items, key));
}

void state_item_prefetch(const struct state *s, struct slice key)
{
    keys_prefetch(&s->items, keys_hash(&s->items, key));
}

struct slice state_item_key(const struct state *s, uint32_t item)
{
    return keys_key(&s->items, item);
}

int64_t state_item_created_ms(const struct state *s, uint32_t item)
{
    return (int64_t)load_u64(keys_row(&s->items, item));
}

bool state_item_is_deleted(const struct state *s, uint32_t item)
{
    return entities_is_deleted(&s->item_fields, item);
}

uint32_t state_item_live_count(const struct state *s)
{
    return s->items.count - s->item_fields.deleted_count;
}

uint32_t state_user_count(const struct state *s)
{
    return s->users.count;
}

uint32_t state_user_find(const struct state *s, struct slice key)
{
    ASSERT(s->life != STATE_FROZEN);
    return keys_find(&s->users, key, keys_hash(&s->users, key));
}

uint32_t state_creator_count(const struct state *s)
{
    return s->creators.count;
}

uint32_t state_creator_find(const struct state *s, struct slice key)
{
    ASSERT(s->life != STATE_FROZEN);
    return keys_find(&s->creators, key, keys_hash(&s->creators, key));
}

struct slice state_creator_key(const struct state *s, uint32_t creator)
{
    return keys_key(&s->creators, creator);
}

/* Keys and fields of one kind of entity. */
static const struct keys *keys_of(const struct state *s, enum entity_kind kind)
{
    if (kind == ENTITY_ITEM) return &s->items;
    return kind == ENTITY_USER ? &s->users : &s->creators;
}

static const struct entities *fields_of(const struct state *s, enum entity_kind kind)
{
    if (kind == ENTITY_ITEM) return &s->item_fields;
    return kind == ENTITY_USER ? &s->user_fields : &s->creator_fields;
}

uint32_t state_entity_find(const struct state *s, enum entity_kind kind, struct slice key)
{
    ASSERT(s->life != STATE_FROZEN);
    const struct keys *k = keys_of(s, kind);
    return keys_find(k, key, keys_hash(k, key));
}

int64_t state_entity_created_ms(const struct state *s, enum entity_kind kind, uint32_t index)
{
    return (int64_t)load_u64(keys_row(keys_of(s, kind), index));
}

struct entity state_entity(const struct state *s, enum entity_kind kind, uint32_t index)
{
    ASSERT(s->life != STATE_FROZEN);
    return entities_get(fields_of(s, kind), index);
}

bool state_entity_field(const struct state *s, enum entity_kind kind, uint32_t index,
                        struct slice name, struct put_field *out)
{
    ASSERT(s->life != STATE_FROZEN);
    return entities_field(fields_of(s, kind), index, name, out);
}

/* Does the type keep sums and counts, and the item exist? */
static bool has_columns(const struct state *s, uint32_t type_id, uint32_t item)
{
    return schema_type(&s->schema, type_id) != NULL && item < s->items.count;
}

double state_score(const struct state *s, uint32_t type_id, uint32_t item, uint32_t halflife,
                   int64_t at_ms)
{
    if (!has_columns(s, type_id, item)) return 0.0;
    const struct signal_type *type = schema_type(&s->schema, type_id);
    if (halflife >= type->halflife_count) return 0.0;
    struct net_sum net = columns_net(&s->columns, type_id, halflife, item);
    return decay_read(net.value, net.epoch, at_ms, type->halflives_ms[halflife]);
}

uint64_t state_count_all(const struct state *s, uint32_t type_id, uint32_t item)
{
    if (!has_columns(s, type_id, item)) return 0;
    return columns_count(&s->columns, type_id, item);
}

uint64_t state_count_window(const struct state *s, uint32_t type_id, uint32_t item, uint8_t window)
{
    if (window == WINDOW_ALL) return state_count_all(s, type_id, item);
    ASSERT(s->life != STATE_FROZEN || (window & (WINDOW_1H | WINDOW_24H)) != 0);
    return windows_count(&s->windows, type_id, item, window);
}

bool state_has_edge(const struct state *s, uint32_t type_id, struct slice item, struct slice user)
{
    uint32_t item_index = state_item_find(s, item);
    uint32_t user_index = state_user_find(s, user);
    if (item_index == ITEM_NONE || user_index == USER_NONE) return false;
    return edges_find(&s->edges, type_id, user_index, item_index) != EDGE_NONE;
}

uint64_t state_next_due_ms(const struct state *s)
{
    uint64_t windows = s->windows.due_ms;
    uint64_t keys = dedup_due_ms(&s->dedup);
    return windows < keys ? windows : keys;
}

bool state_dedup_find(const struct state *s, const struct id128 *key, struct write_ref *out)
{
    ASSERT(s->life != STATE_FROZEN);
    return dedup_find(&s->dedup, key, out);
}

uint64_t state_dedup_count(const struct state *s)
{
    return s->dedup.count;
}

bool state_producer_find(const struct state *s, struct slice producer, uint64_t *out_number,
                         struct write_ref *out_where)
{
    ASSERT(s->life != STATE_FROZEN);
    struct producer p;
    if (!producers_find(&s->producers, producer, &p)) return false;
    *out_number = p.number;
    *out_where = p.where;
    return true;
}

uint64_t state_bytes(const struct state *s)
{
    return atomic_load_explicit(&s->alloc->used_bytes, memory_order_relaxed) +
           map_bytes(&s->items.map) + map_bytes(&s->users.map) + map_bytes(&s->creators.map) +
           map_bytes(&s->dedup.map) + map_bytes(&s->producers.map) + s->windows.map_bytes +
           s->edges.map_bytes + field_index_map_bytes(&s->fields);
}

bool state_can_grow(const struct state *s, const struct state_growth *more)
{
    uint64_t limit = s->alloc->limit_bytes;
    if (limit == 0) return true;
    uint64_t entries = more->entries;
    uint64_t puts = more->puts;
    uint64_t key_bytes = more->key_bytes;
    if (entries > limit || key_bytes > limit || puts > UINT32_MAX || more->put_bytes > limit ||
        more->put_values > limit) {
        return false; /* keeps the sums below from wrapping */
    }
    if (more->edges > limit) return false;
    uint64_t changes = entries + more->edges; /* what takes another's place changes twice */
    uint64_t users = more->edges + puts;
    uint64_t items = s->items.count + entries + puts;
    uint64_t item_blocks = items / BLOCK_ENTRIES + 1;
    /* A deletion clears every declared field; a value of tags is at most its bytes. */
    struct field_growth fields = {.values = puts == 0 ? 0 : more->put_values + 2 * puts,
                                  .value_bytes = more->put_bytes};
    fields.values += puts * s->fields.count;
    uint64_t growth =
        keys_growth_max(&s->items, entries + puts, key_bytes) +
        keys_growth_max(&s->users, users, users > 0 ? key_bytes : 0) +
        keys_growth_max(&s->creators, puts, puts > 0 ? key_bytes : 0) +
        entities_growth_max(&s->item_fields, puts, more->put_bytes, items) +
        entities_growth_max(&s->user_fields, puts, more->put_bytes, s->users.count + puts) +
        entities_growth_max(&s->creator_fields, puts, more->put_bytes, s->creators.count + puts) +
        keys_growth_max(&s->producers, entries + puts, key_bytes) +
        dedup_growth_max(&s->dedup, entries + puts) +
        columns_growth_max(&s->schema, changes, item_blocks) +
        windows_growth_max(&s->windows, changes, item_blocks) +
        edges_growth_max(&s->edges, more->edges) +
        field_index_growth_max(&s->fields, fields, item_blocks);
    uint64_t used = state_bytes(s);
    return used <= limit && growth <= limit - used;
}
