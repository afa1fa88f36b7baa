/* state_load: a state from the blocks of a checkpoint, in ascending id. Every block is judged
 * before or while it is taken: bytes come from disk or from a peer, and a state that loads must
 * hold every property that apply and queries rely on. A state whose load failed can only be freed.
 */
#include "base/assert.h"
#include "base/planted.h"
#include "core/state/inside.h"

static enum code load_meta(struct state *s, struct block_id id, struct slice bytes, struct err *e)
{
    struct meta m;
    if (id.number != 0 || !meta_decode(bytes, &m) || !stream_equal(m.stream, s->stream)) {
        return ERR(e, E_CORRUPT, "block meta %llu is not the meta block of this stream",
                   (unsigned long long)id.number);
    }
    s->loaded_meta = m;
    s->feature_level = m.feature_level;
    s->entry_count = m.entry_count;
    bool has_advanced = windows_advance(&s->windows, hlc_ms(m.leader_time));
    ASSERT(has_advanced); /* nothing is in them yet */
    return OK;
}

static enum code load_schema(struct state *s, struct block_id id, struct slice bytes, struct err *e)
{
    TRY(schema_load(&s->schema, id, bytes, e));
    if (!columns_add_type(&s->columns, s->schema.count)) {
        return ERR(e, E_NOMEMORY, "no memory for the columns of %u types", s->schema.count);
    }
    for (uint32_t i = 0; i < s->schema.count; i++) {
        const struct signal_type *type = &s->schema.types[i];
        if (windows_add_type(&s->windows, type) && edges_add_type(&s->edges, type)) continue;
        return ERR(e, E_NOMEMORY, "no memory for the windows and edges of type %s", type->name);
    }
    for (uint32_t field = 1; field <= s->schema.field_count; field++) {
        if (field_index_add_field(&s->fields, schema_field(&s->schema, field))) continue;
        return ERR(e, E_NOMEMORY, "no memory for the index of field %u", field);
    }
    return OK;
}

static enum code load_dedup(struct state *s, struct block_id id, struct slice bytes, struct err *e)
{
    struct dedup_bounds bounds = {
        .minute_last = hlc_ms(s->loaded_meta.leader_time) / MINUTE_MS,
        .seqno_last = s->loaded_meta.position.seqno,
    };
    if (PLANTED(14)) return OK; /* keys in a checkpoint are forgotten */
    return dedup_load(&s->dedup, bounds, id, bytes, e);
}

static enum code load_edges(struct state *s, struct block_id id, struct slice bytes, struct err *e)
{
    /* Users come behind edges; whether so many come is judged at the end. */
    struct edge_bounds bounds = {.user_count = s->loaded_meta.user_count,
                                 .item_count = s->items.count};
    return edges_load(&s->edges, bounds, id, bytes, e);
}

static enum code load_members(struct state *s, struct block_id id, struct slice bytes,
                              struct err *e)
{
    if (id.number != 0 || !members_are_valid(bytes)) {
        return ERR(e, E_CORRUPT, "block members %llu is no list of members",
                   (unsigned long long)id.number);
    }
    struct block *b = block_new(s->alloc, id, 0, 0);
    if (b == NULL || !block_extra_reserve(s->alloc, b, (uint32_t)bytes.size)) {
        block_release(s->alloc, b);
        return ERR(e, E_NOMEMORY, "no memory for the members block");
    }
    block_extra_add(b, bytes.data, (uint32_t)bytes.size);
    s->members = b;
    return OK;
}

static enum code load_entities(struct state *s, struct block_id id, struct slice bytes,
                               struct err *e)
{
    struct entity_bounds bounds = {.creator_count = s->creators.count};
    struct entities *fields = &s->item_fields;
    bounds.count = s->items.count;
    if (id.kind == BLOCK_USER_FIELDS) {
        fields = &s->user_fields;
        bounds.count = s->users.count;
    } else if (id.kind == BLOCK_CREATOR_FIELDS) {
        fields = &s->creator_fields;
        bounds.count = s->creators.count;
    }
    return entities_load(fields, bounds, id, bytes, e);
}

static enum code load_kind(struct state *s, struct block_id id, struct slice bytes, struct err *e)
{
    switch (id.kind) {
    case BLOCK_META: return load_meta(s, id, bytes, e);
    case BLOCK_SCHEMA: return load_schema(s, id, bytes, e);
    case BLOCK_ITEM_KEYS: return keys_load(&s->items, id, bytes, e);
    case BLOCK_COLUMN:
    case BLOCK_COUNT: return columns_load(&s->columns, &s->schema, s->items.count, id, bytes, e);
    case BLOCK_DEDUP: return load_dedup(s, id, bytes, e);
    case BLOCK_PRODUCERS:
        return producers_load(&s->producers, s->loaded_meta.position.seqno, id, bytes, e);
    case BLOCK_MEMBERS: return load_members(s, id, bytes, e);
    case BLOCK_EDGE: return load_edges(s, id, bytes, e);
    case BLOCK_USER_KEYS: return keys_load(&s->users, id, bytes, e);
    case BLOCK_CREATOR_KEYS: return keys_load(&s->creators, id, bytes, e);
    case BLOCK_ITEM_FIELDS:
    case BLOCK_USER_FIELDS:
    case BLOCK_CREATOR_FIELDS: return load_entities(s, id, bytes, e);
    case BLOCK_WINDOW: return windows_load(&s->windows, s->items.count, id, bytes, e);
    default: return ERR(e, E_CORRUPT, "a block of unknown kind %u", id.kind);
    }
}

/* Blocks come in ascending id, the meta block first. */
static enum code check_order(const struct state *s, struct block_id id, struct err *e)
{
    if (s->life != STATE_FRESH && s->life != STATE_LOADING) {
        return ERR(e, E_CORRUPT, "block %s %llu: the state takes no more blocks",
                   block_kind_name(id.kind), (unsigned long long)id.number);
    }
    bool is_first = s->life == STATE_FRESH;
    bool is_in_order = is_first ? id.kind == BLOCK_META : block_id_compare(s->loaded_last, id) < 0;
    if (!is_in_order) {
        return ERR(e, E_CORRUPT, "block %s %llu is out of order", block_kind_name(id.kind),
                   (unsigned long long)id.number);
    }
    return OK;
}

enum code state_load_block(struct state *s, struct block_id id, struct slice bytes, struct err *e)
{
    TRY(check_order(s, id, e));
    enum code code = load_kind(s, id, bytes, e);
    s->life = code == OK ? STATE_LOADING : STATE_BROKEN;
    s->loaded_last = id;
    return code;
}

/* Does what came equal what the meta block counted? */
static bool is_complete(const struct state *s)
{
    const struct meta *m = &s->loaded_meta;
    return s->schema.count == m->type_count && s->items.count == m->item_count &&
           s->users.count == m->user_count && s->creators.count == m->creator_count &&
           s->producers.count == m->producer_count &&
           (s->dedup.count == m->dedup_count || PLANTED(14));
}

/* Does an item count as many events of the type as it has edges? */
static bool has_its_edges(const struct state *s, uint32_t type_id, const uint32_t *edges)
{
    for (uint32_t item = 0; item < s->items.count; item++) {
        if (columns_count(&s->columns, type_id, item) != edges[item]) return false;
    }
    return true;
}

/* Where a user counts once, what is counted and the edges that came must agree: an undo relies on
 * it. */
static enum code check_edges(const struct state *s, struct err *e)
{
    size_t size = ((size_t)s->items.count + 1) * sizeof(uint32_t);
    uint32_t *edges = alloc_get(s->alloc, size);
    if (edges == NULL) return ERR(e, E_NOMEMORY, "no memory to compare edges and counts");
    enum code code = OK;
    for (uint32_t i = 0; i < s->schema.count && code == OK; i++) {
        const struct signal_type *type = &s->schema.types[i];
        if (type->mode == SIGNAL_MODE_COUNT) continue;
        memset(edges, 0, size);
        edges_tally(&s->edges, type->id, edges);
        if (has_its_edges(s, type->id, edges)) continue;
        code = ERR(e, E_CORRUPT, "signal type %s: an item's count is not that of its edges",
                   type->name);
    }
    alloc_put(s->alloc, edges, size);
    return code;
}

/* The index of fields is derived: it is filled from what was loaded. */
static bool fill_index(struct state *s)
{
    for (uint32_t item = 0; item < s->items.count; item++) {
        if (!state_index_item(s, item)) return false;
    }
    return true;
}

enum code state_load_end(struct state *s, const struct position *position, uint64_t leader_time,
                         struct err *e)
{
    if (s->life != STATE_LOADING) {
        return ERR(e, E_CORRUPT, "no blocks came before the end of the load");
    }
    const struct meta *m = &s->loaded_meta;
    s->life = STATE_BROKEN;
    if (!position_equal(position, &m->position) || leader_time != m->leader_time) {
        return ERR(e, E_CORRUPT, "the meta block is of seqno %llu, the checkpoint of %llu",
                   (unsigned long long)m->position.seqno.v, (unsigned long long)position->seqno.v);
    }
    if (!is_complete(s)) {
        return ERR(
            e, E_CORRUPT,
            "blocks are missing: %u types, %u items, %u users, %u creators, %u producers came",
            s->schema.count, s->items.count, s->users.count, s->creators.count, s->producers.count);
    }
    TRY(check_edges(s, e));
    if (!fill_index(s)) return ERR(e, E_NOMEMORY, "no memory for the index of fields");
    s->position = *position;
    s->leader_time = leader_time;
    s->life = STATE_LIVE;
    return OK;
}
