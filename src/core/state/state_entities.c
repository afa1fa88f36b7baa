/* state_entities: what the records about items, users and creators change: keys are interned,
 * created_at and fields are set, an item is deleted. The write gate judged all of it; what cannot
 * be applied all the same is an error that stops the node.
 *
 * An item that was deleted and is put again is a new item under its old key: its fields and creator
 * are those of that put alone and its created_at is the put's. Its signals were never gone. */
#include "base/assert.h"
#include "base/bytes.h"
#include "core/state/field_fit.h"
#include "core/state/inside.h"

/* What WHERE finds is what the declarations make of the values, also of those that were there
 * before; a value that does not fit counts as none. False: memory is refused. */
static bool index_field(struct state *s, uint32_t item, const struct put_field *value)
{
    static const struct put_field none = {.tag = PUT_UNSET};
    const struct schema_field *field = schema_field_find(&s->schema, value->name);
    if (field == NULL) return true;
    uint8_t room[2 * ENTITY_SIZE_MAX];
    struct put_field fitting;
    bool fits = field_fit(field->kind, value, room, sizeof(room), &fitting) == NULL;
    return field_index_put(&s->fields, item, value->name, fits ? &fitting : &none);
}

static bool index_fields(struct state *s, uint32_t item, struct bytes_reader fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct put_field value;
        if (!put_field_read(&fields, &value)) return true; /* cannot be: the list was checked */
        if (!index_field(s, item, &value)) return false;
    }
    return true;
}

bool state_index_item(struct state *s, uint32_t item)
{
    struct entity entity = entities_get(&s->item_fields, item);
    if ((entity.flags & ENTITY_DELETED) != 0) {
        return field_index_set_deleted(&s->fields, item, true);
    }
    if (entity.creator != ENTITY_NONE &&
        !field_index_set_creator(&s->fields, item, entity.creator)) {
        return false;
    }
    return index_fields(s, item, entity.fields, entity.field_count);
}

bool state_index_declared(struct state *s, struct slice name)
{
    for (uint32_t item = 0; item < s->items.count; item++) {
        struct put_field value;
        if (!entities_field(&s->item_fields, item, name, &value)) continue;
        if (!index_field(s, item, &value)) return false;
    }
    return true;
}

/* Tags that a value makes at most. */
static uint64_t tags_max(const struct put_field *value)
{
    if (value->tag != PUT_TEXT) return 1 + (uint64_t)value->tag_count;
    uint64_t tags = 1;
    for (size_t i = 0; i < value->text.size; i++) {
        tags += value->text.data[i] == ',';
    }
    return tags;
}

bool state_can_declare(const struct state *s, const struct schema_field *field)
{
    uint64_t limit = s->alloc->limit_bytes;
    if (limit == 0 || field->kind == SCHEMA_FIELD_TEXT) return true;
    struct field_growth more = {0};
    for (uint32_t item = 0; item < s->items.count; item++) {
        struct put_field value;
        if (!entities_field(&s->item_fields, item, slice_of_text(field->name), &value)) continue;
        more.values += field->kind == SCHEMA_FIELD_TAG ? tags_max(&value) : 1;
        more.value_bytes += value.text.size + bytes_left(&value.tags);
    }
    uint64_t growth = field_index_declare_growth_max(&s->fields, more, keys_block_count(&s->items));
    uint64_t used = state_bytes(s);
    return used <= limit && growth <= limit - used;
}

static enum code no_memory(struct err *e)
{
    return ERR(e, E_NOMEMORY, "no memory for an item, user or creator");
}

/* The index of a key, which is added when it is not there. KEYS_NONE: memory is refused. */
static uint32_t intern(struct keys *k, struct slice key, int64_t created_ms, bool *out_is_new)
{
    uint64_t hash = keys_hash(k, key);
    uint32_t index = keys_find(k, key, hash);
    *out_is_new = index == KEYS_NONE;
    return *out_is_new ? keys_add(k, key, hash, &created_ms) : index;
}

static bool set_created(struct keys *k, uint32_t index, int64_t created_ms)
{
    if ((int64_t)load_u64(keys_row(k, index)) == created_ms) return true;
    uint8_t *row = keys_row_writable(k, index);
    if (row == NULL) return false;
    store_u64(row, (uint64_t)created_ms);
    return true;
}

static enum code put_item(struct state *s, const struct record_put *put, int64_t now_ms,
                          struct err *e)
{
    int64_t created_ms = put->has_created != 0 ? put->created_ms : now_ms;
    bool is_new;
    uint32_t item = intern(&s->items, put->key, created_ms, &is_new);
    if (item == KEYS_NONE) return no_memory(e);
    struct entity_change change = {.is_fresh = entities_is_deleted(&s->item_fields, item),
                                   .creator = ENTITY_NONE,
                                   .fields = put->fields};
    bool is_created = put->has_created != 0 || change.is_fresh;
    if (!is_new && is_created && !set_created(&s->items, item, created_ms)) return no_memory(e);
    if (put->creator.size > 0) {
        change.creator = intern(&s->creators, put->creator, now_ms, &is_new);
        if (change.creator == KEYS_NONE) return no_memory(e);
    }
    TRY(entities_change(&s->item_fields, item, &change, e));
    if (change.is_fresh && !field_index_set_deleted(&s->fields, item, false)) return no_memory(e);
    if (change.creator != ENTITY_NONE &&
        !field_index_set_creator(&s->fields, item, change.creator)) {
        return no_memory(e);
    }
    struct bytes_reader fields = bytes_reader_of(put->fields);
    uint32_t count = put_list_count(&fields);
    return index_fields(s, item, fields, count) ? OK : no_memory(e);
}

static enum code put_other(struct keys *k, struct entities *fields, const struct record_put *put,
                           int64_t now_ms, struct err *e)
{
    bool is_new;
    uint32_t index = intern(k, put->key, now_ms, &is_new);
    if (index == KEYS_NONE) return no_memory(e);
    struct entity_change change = {.creator = ENTITY_NONE, .fields = put->fields};
    return entities_change(fields, index, &change, e);
}

/* What is not there cannot lose anything. */
static uint32_t find_live_item(const struct state *s, struct slice key)
{
    uint32_t item = keys_find(&s->items, key, keys_hash(&s->items, key));
    if (item == KEYS_NONE || entities_is_deleted(&s->item_fields, item)) return KEYS_NONE;
    return item;
}

static enum code unset_item(struct state *s, const struct record_unset *unset, struct err *e)
{
    uint32_t item = find_live_item(s, unset->key);
    if (item == KEYS_NONE) return OK;
    struct entity_change change = {
        .creator = ENTITY_NONE, .fields = unset->names, .is_names = true};
    TRY(entities_change(&s->item_fields, item, &change, e));
    struct bytes_reader names = bytes_reader_of(unset->names);
    for (uint32_t left = put_list_count(&names); left > 0; left--) {
        struct put_field none = {.name = bytes_read_slice8(&names), .tag = PUT_UNSET};
        if (!index_field(s, item, &none)) return no_memory(e);
    }
    return OK;
}

static enum code delete_item(struct state *s, struct slice key, struct err *e)
{
    uint32_t item = find_live_item(s, key);
    if (item == KEYS_NONE) return OK;
    if (!entities_delete(&s->item_fields, item)) return no_memory(e);
    return field_index_set_deleted(&s->fields, item, true) ? OK : no_memory(e);
}

enum code state_apply_entity(struct state *s, const struct record *r, int64_t now_ms, struct err *e)
{
    const struct record_put *put = &r->as.put;
    if (r->kind == RECORD_ITEM_PUT) return put_item(s, put, now_ms, e);
    if (r->kind == RECORD_ITEM_UNSET) return unset_item(s, &r->as.unset, e);
    if (r->kind == RECORD_ITEM_DELETE) return delete_item(s, r->as.item_ref.key, e);
    if (r->kind == RECORD_USER_PUT) return put_other(&s->users, &s->user_fields, put, now_ms, e);
    ASSERT(r->kind == RECORD_CREATOR_PUT);
    return put_other(&s->creators, &s->creator_fields, put, now_ms, e);
}
