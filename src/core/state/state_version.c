/* state_version: a state pinned at one position: the list of its blocks in ascending id, each held.
 * Blocks are shared with the live state, which copies one before it changes it; so a version never
 * changes and may be read, hashed and freed by a thread of its own. Pinning is the owner's and
 * costs one pass over the block lists.
 *
 * The order of blocks is the order of block ids: by kind, then by number; a test compares the two.
 */
#include "base/assert.h"
#include "core/state/inside.h"

struct state_version {
    struct alloc *alloc; /* borrowed; outlives the version */
    struct position position;
    uint64_t leader_time;
    uint32_t count;
    uint32_t capacity;
    uint32_t size_max;
    struct block *blocks[];
};

static size_t version_bytes(uint32_t capacity)
{
    return sizeof(struct state_version) + (size_t)capacity * sizeof(struct block *);
}

/* Upper bound of how many blocks there are. */
static uint64_t count_blocks_max(const struct state *s)
{
    uint64_t item_blocks = keys_block_count(&s->items);
    uint64_t lists = 0;
    for (uint32_t i = 0; i < s->schema.count; i++) {
        lists += SIGNS * (uint64_t)s->schema.types[i].halflife_count + 1;
    }
    uint64_t small = 3; /* meta, schema, members */
    return small + item_blocks + lists * item_blocks + dedup_part_count(&s->dedup) +
           keys_block_count(&s->producers) + s->windows.parts + s->edges.parts +
           keys_block_count(&s->users) + keys_block_count(&s->creators) +
           s->item_fields.block_count + s->user_fields.block_count + s->creator_fields.block_count;
}

static void add_held(struct state_version *v, struct block *b)
{
    ASSERT(v->count < v->capacity);
    ASSERT(v->count == 0 || block_id_compare(v->blocks[v->count - 1]->id, b->id) < 0);
    uint32_t size = block_size(b);
    if (size > v->size_max) v->size_max = size;
    v->blocks[v->count++] = b;
}

static void add(struct state_version *v, struct block *b)
{
    if (b == NULL) return;
    block_hold(b);
    add_held(v, b);
}

static void add_block(void *version, struct block *b)
{
    add(version, b);
}

static void add_list(struct state_version *v, const struct block_list *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        add(v, block_list_get(list, i));
    }
}

static void add_columns(struct state_version *v, const struct state *s)
{
    uint32_t item_blocks = keys_block_count(&s->items);
    for (uint32_t id = 1; id <= s->schema.count; id++) {
        const struct type_columns *columns = &s->columns.types[id];
        for (uint32_t h = 0; h < s->schema.types[id - 1].halflife_count; h++) {
            add_list(v, &columns->sums[h][SIGN_POSITIVE], item_blocks);
            add_list(v, &columns->sums[h][SIGN_NEGATIVE], item_blocks);
        }
    }
    for (uint32_t id = 1; id <= s->schema.count; id++) {
        add_list(v, &s->columns.types[id].counts, item_blocks);
    }
}

struct state_version *state_pin(struct state *s)
{
    if (s->life != STATE_FRESH && s->life != STATE_LIVE) return NULL;
    uint64_t capacity = count_blocks_max(s);
    if (capacity > UINT32_MAX) return NULL;
    struct state_version *v = alloc_get(s->alloc, version_bytes((uint32_t)capacity));
    if (v == NULL) return NULL;
    struct block_id meta_id = {.kind = BLOCK_META, .number = 0};
    struct block *meta = block_new(s->alloc, meta_id, META_SIZE, META_SIZE);
    if (meta == NULL) {
        alloc_put(s->alloc, v, version_bytes((uint32_t)capacity));
        return NULL;
    }
    v->alloc = s->alloc;
    v->position = s->position;
    v->leader_time = s->leader_time;
    v->capacity = (uint32_t)capacity;
    struct meta values = state_meta(s);
    meta_encode(&values, meta->payload);
    add_held(v, meta);
    add(v, s->schema.block);
    add_list(v, &s->items.blocks, keys_block_count(&s->items));
    add_columns(v, s);
    for (uint32_t i = 0; i < dedup_part_count(&s->dedup); i++) {
        add(v, dedup_part(&s->dedup, i));
    }
    add_list(v, &s->producers.blocks, keys_block_count(&s->producers));
    add(v, s->members);
    windows_each_block(&s->windows, add_block, v);
    edges_each_block(&s->edges, add_block, v);
    add_list(v, &s->users.blocks, keys_block_count(&s->users));
    add_list(v, &s->creators.blocks, keys_block_count(&s->creators));
    add_list(v, &s->item_fields.blocks, entities_block_capacity(&s->item_fields));
    add_list(v, &s->user_fields.blocks, entities_block_capacity(&s->user_fields));
    add_list(v, &s->creator_fields.blocks, entities_block_capacity(&s->creator_fields));
    return v;
}

void state_version_free(struct state_version *v)
{
    if (v == NULL) return;
    for (uint32_t i = 0; i < v->count; i++) {
        block_release(v->alloc, v->blocks[i]);
    }
    alloc_put(v->alloc, v, version_bytes(v->capacity));
}

struct position state_version_position(const struct state_version *v)
{
    return v->position;
}

uint64_t state_version_leader_time(const struct state_version *v)
{
    return v->leader_time;
}

uint32_t state_version_block_count(const struct state_version *v)
{
    return v->count;
}

static struct block *block_at(const struct state_version *v, uint32_t i)
{
    ASSERT(i < v->count);
    return v->blocks[i];
}

struct block_id state_version_block_id(const struct state_version *v, uint32_t i)
{
    return block_at(v, i)->id;
}

uint32_t state_version_block_size(const struct state_version *v, uint32_t i)
{
    return block_size(block_at(v, i));
}

void state_version_block_encode(const struct state_version *v, uint32_t i, uint8_t *out)
{
    block_encode(block_at(v, i), out);
}

/* scratch is room for versions whose blocks would have to be encoded first.
 * NOLINTNEXTLINE(readability-non-const-parameter) */
struct hash256 state_version_block_hash(const struct state_version *v, uint32_t i, uint8_t *scratch)
{
    (void)scratch; /* these blocks lie in memory as they are stored */
    return block_hash(block_at(v, i));
}

bool state_version_block_is_sound(const struct state_version *v, uint32_t i)
{
    return block_is_sound(block_at(v, i));
}

uint32_t state_version_block_size_max(const struct state_version *v)
{
    return v->size_max;
}

bool state_version_root(struct state_version *v, uint8_t *scratch, struct hash256 *out)
{
    size_t size = v->count * sizeof(struct block_entry);
    struct block_entry *entries = alloc_get(v->alloc, size);
    if (entries == NULL) return false;
    for (uint32_t i = 0; i < v->count; i++) {
        entries[i] = (struct block_entry){.id = state_version_block_id(v, i),
                                          .size = state_version_block_size(v, i),
                                          .hash = state_version_block_hash(v, i, scratch)};
    }
    *out = state_root(entries, v->count);
    alloc_put(v->alloc, entries, size);
    return true;
}
