/* state_freeze: a state as questions see it, at one position, for a thread of its own. A frozen
 * state shares every block that a question may read, held by reference count, and copies the rest
 * (schema, lists of blocks), so it costs one pass over the lists; the live state goes on and copies
 * a block before it changes it. It has no maps, no dedup, no producers and no entries of windows:
 * whatever is found by a key is resolved on the owner's thread before.
 *
 * A new part of the state that questions read adds its X_freeze here: into an empty X it puts what
 * is read, blocks by block_list_share or block_hold, small things by copy, and X_fini ends both
 * forms. What a part derives from its blocks and changes in place must lie in such blocks, too, or
 * be left out; a question that needs what was left out asserts that the state is not frozen. */
#include "base/assert.h"
#include "core/state/inside.h"

static bool schema_freeze(struct schema *to, const struct schema *from)
{
    schema_init(to, from->alloc);
    if (from->count > 0) {
        to->types = alloc_get(to->alloc, from->count * sizeof(struct signal_type));
        if (to->types == NULL) return false;
        to->capacity = from->count;
        to->count = from->count;
        memcpy(to->types, from->types, from->count * sizeof(struct signal_type));
    }
    if (from->field_count > 0) {
        to->fields = alloc_get(to->alloc, FIELDS_MAX * sizeof(struct schema_field));
        if (to->fields == NULL) return false;
        to->field_count = from->field_count;
        memcpy(to->fields, from->fields, from->field_count * sizeof(struct schema_field));
    }
    return true;
}

static bool keys_freeze(struct keys *to, const struct keys *from)
{
    *to = (struct keys){.alloc = from->alloc,
                        .shape = from->shape,
                        .block_shift = from->block_shift,
                        .count = from->count,
                        .seed = from->seed};
    map_init(&to->map);
    return block_list_share(to->alloc, &to->blocks, &from->blocks);
}

static bool type_freeze(struct alloc *alloc, struct type_columns *to,
                        const struct type_columns *from)
{
    for (size_t h = 0; h < HALFLIVES_MAX; h++) {
        for (int sign = SIGN_POSITIVE; sign < SIGNS; sign++) {
            if (!block_list_share(alloc, &to->sums[h][sign], &from->sums[h][sign])) return false;
        }
    }
    return block_list_share(alloc, &to->counts, &from->counts);
}

static bool columns_freeze(struct columns *to, const struct columns *from)
{
    columns_init(to, from->alloc);
    if (from->capacity == 0) return true;
    to->types = alloc_get(to->alloc, from->capacity * sizeof(struct type_columns));
    if (to->types == NULL) return false;
    to->capacity = from->capacity;
    for (size_t i = 0; i < from->capacity; i++) {
        if (!type_freeze(to->alloc, &to->types[i], &from->types[i])) return false;
    }
    return true;
}

/* Columns without the values that their numbers stand for: those are looked up before, in the live
 * state of the same position. */
static bool field_index_freeze(struct field_index *to, const struct field_index *from)
{
    field_index_init(to, from->alloc, from->seed);
    if (from->count > 0) {
        to->columns = alloc_get(to->alloc, FIELDS_MAX * sizeof(struct field_column));
        if (to->columns == NULL) return false;
    }
    for (; to->count < from->count; to->count++) {
        const struct field_column *column = &from->columns[to->count];
        struct field_column *copy = &to->columns[to->count];
        memcpy(copy->name, column->name, sizeof(copy->name));
        copy->kind = column->kind;
        if (!block_list_share(to->alloc, &copy->blocks, &column->blocks)) return false;
    }
    return block_list_share(to->alloc, &to->creators, &from->creators) &&
           block_list_share(to->alloc, &to->deleted, &from->deleted);
}

/* Questions ask of entities only whether an item is deleted. */
static bool tombstones_freeze(struct entities *to, const struct entities *from)
{
    entities_init(to, from->alloc, from->kind);
    to->deleted_count = from->deleted_count;
    if (from->deleted_count == 0) return true;
    return block_list_share(to->alloc, &to->blocks, &from->blocks);
}

struct state *state_freeze(const struct state *s)
{
    if (s->life != STATE_FRESH && s->life != STATE_LIVE) return NULL;
    struct state *f = alloc_get(s->alloc, sizeof(*f));
    if (f == NULL) return NULL;
    *f = (struct state){.alloc = s->alloc,
                        .cluster = s->cluster,
                        .stream = s->stream,
                        .life = STATE_FROZEN,
                        .position = s->position,
                        .leader_time = s->leader_time,
                        .feature_level = s->feature_level,
                        .entry_count = s->entry_count};
    bool is_frozen = schema_freeze(&f->schema, &s->schema) && keys_freeze(&f->items, &s->items) &&
                     tombstones_freeze(&f->item_fields, &s->item_fields) &&
                     columns_freeze(&f->columns, &s->columns) &&
                     windows_freeze(&f->windows, &s->windows) &&
                     field_index_freeze(&f->fields, &s->fields);
    if (is_frozen) return f;
    state_free(f);
    return NULL;
}
