/* schema: signal types and fields in log order. The block holds the canonical bytes; the arrays and
 * the map beside it are the same in the form that apply and the write gate read. All change
 * together, in type_add and field_add, or not at all. */
#include "core/state/schema.h"

#include <assert.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/text.h"

enum {
    COUNT_SIZE = 4,
    TYPE_SIZE_MAX = 1 + SIGNAL_NAME_SIZE_MAX + 4 + HALFLIVES_MAX * 8,
    FIELD_SIZE_MAX = 1 + FIELD_NAME_SIZE_MAX + 1,
};

void schema_init(struct schema *s, struct alloc *alloc)
{
    *s = (struct schema){.alloc = alloc};
    map_init(&s->names);
}

void schema_fini(struct schema *s)
{
    block_release(s->alloc, s->block);
    map_fini(&s->names);
    alloc_put(s->alloc, s->types, s->capacity * sizeof(struct signal_type));
    alloc_put(s->alloc, s->fields, FIELDS_MAX * sizeof(struct schema_field));
    *s = (struct schema){0};
}

static bool is_match(const void *owner, uint32_t value, const void *key)
{
    const struct schema *s = owner;
    return slice_equal(slice_of_text(s->types[value].name), *(const struct slice *)key);
}

const struct signal_type *schema_find(const struct schema *s, struct slice name)
{
    uint32_t i = map_find(&s->names, hash64_of(name, 0), is_match, s, &name);
    return i == MAP_NONE ? NULL : &s->types[i];
}

const struct schema_field *schema_field_find(const struct schema *s, struct slice name)
{
    for (uint32_t i = 0; i < s->field_count; i++) {
        if (slice_equal(slice_of_text(s->fields[i].name), name)) return &s->fields[i];
    }
    return NULL;
}

const char *schema_field_kind_name(uint8_t kind)
{
    static const char *const names[] = {"unknown", "tag", "num", "time", "text"};
    return names[kind < COUNT_OF(names) ? kind : 0];
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool schema_field_name_is_valid(struct slice name)
{
    static const char *const taken[] = {"and",  "or",    "not",     "in",
                                        "true", "false", "creator", "created_at"};
    static_assert(FIELD_NAME_SIZE_MAX == NODE_ID_SIZE_MAX, "the characters and the size agree");
    if (!is_node_id(name) || !is_letter(name.data[0])) return false;
    for (size_t i = 0; i < COUNT_OF(taken); i++) {
        if (text_equal_nocase(name, taken[i])) return false;
    }
    return true;
}

/* NULL when the definition is one that a state can hold, else what is wrong with it. */
static const char *definition_fault(const struct record_schema *r)
{
    size_t name_size = r->name.size;
    if (name_size < 1 || name_size > SIGNAL_NAME_SIZE_MAX) return "its name is not 1..64 bytes";
    if (memchr(r->name.data, 0, r->name.size) != NULL) return "its name holds a NUL byte";
    if (r->mode < SIGNAL_MODE_COUNT || r->mode > SIGNAL_MODE_LATEST) return "its mode is unknown";
    if (r->polarity < POLARITY_POSITIVE || r->polarity > POLARITY_NEGATIVE) {
        return "its polarity is unknown";
    }
    if (r->windows >= 2 * WINDOW_ALL) return "its windows are unknown";
    if (r->halflife_count > HALFLIVES_MAX) return "it has too many half-lives";
    for (uint32_t i = 0; i < r->halflife_count; i++) {
        if (r->halflives_ms[i] == 0) return "a half-life is 0";
    }
    return NULL;
}

static bool is_same(const struct signal_type *t, const struct record_schema *r)
{
    bool is_equal = t->id == r->id && t->mode == r->mode && t->polarity == r->polarity &&
                    t->windows == r->windows && t->halflife_count == r->halflife_count;
    for (uint32_t i = 0; is_equal && i < r->halflife_count; i++) {
        is_equal = t->halflives_ms[i] == r->halflives_ms[i];
    }
    return is_equal;
}

/* The block, writable, with room for one more declaration. NULL: memory is refused. */
static struct block *block_for_next(struct schema *s, uint32_t size_max)
{
    if (s->block == NULL) {
        struct block_id id = {.kind = BLOCK_SCHEMA, .number = 0};
        s->block = block_new(s->alloc, id, COUNT_SIZE, COUNT_SIZE);
        if (s->block == NULL) return NULL;
    }
    struct block *b = block_writable(s->alloc, &s->block);
    if (b == NULL || !block_extra_reserve(s->alloc, b, size_max)) return NULL;
    return b;
}

/* Put bytes before the fields; there is room. */
static void types_append(struct schema *s, struct block *b, struct slice bytes)
{
    uint32_t fields_size = b->extra_size - s->types_size;
    block_extra_add(b, bytes.data, (uint32_t)bytes.size);
    uint8_t *at = b->extra + s->types_size;
    memmove(at + bytes.size, at, fields_size);
    memcpy(at, bytes.data, bytes.size);
    s->types_size += (uint32_t)bytes.size;
}

/* Append a checked definition. False when memory is refused. */
static bool type_add(struct schema *s, const struct record_schema *r)
{
    void *types = s->types;
    if (s->count == s->capacity &&
        !alloc_grow(s->alloc, &types, &s->capacity, sizeof(struct signal_type), s->count + 1)) {
        return false;
    }
    s->types = types;
    struct block *b = block_for_next(s, TYPE_SIZE_MAX);
    if (b == NULL || !map_insert(&s->names, hash64_of(r->name, 0), s->count)) return false;

    struct signal_type *t = &s->types[s->count];
    *t = (struct signal_type){.id = s->count + 1,
                              .mode = r->mode,
                              .polarity = r->polarity,
                              .windows = r->windows,
                              .halflife_count = r->halflife_count};
    memcpy(t->name, r->name.data, r->name.size);
    uint8_t bytes[TYPE_SIZE_MAX];
    struct bytes_writer w = bytes_writer_of(bytes, sizeof(bytes));
    bytes_write_slice8(&w, r->name);
    bytes_write_u8(&w, r->mode);
    bytes_write_u8(&w, r->polarity);
    bytes_write_u8(&w, r->windows);
    bytes_write_u8(&w, r->halflife_count);
    for (uint32_t i = 0; i < r->halflife_count; i++) {
        t->halflives_ms[i] = r->halflives_ms[i];
        bytes_write_u64(&w, r->halflives_ms[i]);
    }
    ASSERT(!w.is_failed);
    types_append(s, b, bytes_written_slice(&w));
    s->count++;
    store_u32(b->payload, s->count);
    return true;
}

/* Append a checked definition. False when memory is refused. */
static bool field_add(struct schema *s, const struct record_schema *r)
{
    if (s->fields == NULL) {
        s->fields = alloc_get(s->alloc, FIELDS_MAX * sizeof(struct schema_field));
        if (s->fields == NULL) return false;
    }
    struct block *b = block_for_next(s, COUNT_SIZE + FIELD_SIZE_MAX);
    if (b == NULL) return false;
    struct schema_field *f = &s->fields[s->field_count++];
    *f = (struct schema_field){.id = s->field_count, .kind = r->field_kind};
    memcpy(f->name, r->name.data, r->name.size);
    uint8_t bytes[COUNT_SIZE + FIELD_SIZE_MAX];
    struct bytes_writer w = bytes_writer_of(bytes, sizeof(bytes));
    if (s->field_count == 1) bytes_write_u32(&w, 0);
    bytes_write_slice8(&w, r->name);
    bytes_write_u8(&w, r->field_kind);
    ASSERT(!w.is_failed);
    block_extra_add(b, bytes, (uint32_t)bytes_written(&w));
    store_u32(b->extra + s->types_size, s->field_count);
    return true;
}

/* NULL when the definition is one that a state can hold, else what is wrong with it. */
static const char *field_fault(const struct record_schema *r)
{
    if (!schema_field_name_is_valid(r->name)) return "its name is no field name";
    if (r->field_kind < SCHEMA_FIELD_TAG || r->field_kind > SCHEMA_FIELD_TEXT) {
        return "its kind is unknown";
    }
    if (r->body.size > 0) return "its analyzer is not in this version";
    return NULL;
}

static enum code field_declare(struct schema *s, const struct record_schema *r, struct err *e)
{
    const char *fault = field_fault(r);
    if (fault != NULL) return ERR(e, E_HALTED, "field %u: %s", r->id, fault);
    const struct schema_field *known = schema_field_find(s, r->name);
    if (known != NULL && known->id == r->id && known->kind == r->field_kind) return OK;
    if (known != NULL) {
        return ERR(e, E_HALTED, "field %s is declared again, otherwise", known->name);
    }
    if (r->id != s->field_count + 1 || s->field_count == FIELDS_MAX) {
        return ERR(e, E_HALTED, "field id %u does not follow %u (limit %u)", r->id, s->field_count,
                   FIELDS_MAX);
    }
    if (!field_add(s, r)) return ERR(e, E_NOMEMORY, "no memory for field %u", r->id);
    return OK;
}

enum code schema_declare(struct schema *s, const struct record_schema *record, struct err *e)
{
    if (record->subject == SCHEMA_FIELD) return field_declare(s, record, e);
    if (record->subject != SCHEMA_SIGNAL) {
        return ERR(e, E_HALTED, "schema subject %u is not in this version", record->subject);
    }
    const char *fault = definition_fault(record);
    if (fault != NULL) return ERR(e, E_HALTED, "signal type %u: %s", record->id, fault);
    const struct signal_type *known = schema_find(s, record->name);
    if (known != NULL && is_same(known, record)) return OK;
    if (known != NULL) {
        return ERR(e, E_HALTED, "signal type %s is declared again, otherwise", known->name);
    }
    if (record->id != s->count + 1 || s->count == SIGNAL_TYPES_MAX) {
        return ERR(e, E_HALTED, "signal type id %u does not follow %u (limit %u)", record->id,
                   s->count, SIGNAL_TYPES_MAX);
    }
    if (!type_add(s, record)) {
        return ERR(e, E_NOMEMORY, "no memory for signal type %u", record->id);
    }
    return OK;
}

/* One type of the stored block. */
static struct record_schema type_read(struct bytes_reader *r, uint32_t id)
{
    struct record_schema d = {.subject = SCHEMA_SIGNAL, .id = id};
    d.name = bytes_read_slice8(r);
    d.mode = bytes_read_u8(r);
    d.polarity = bytes_read_u8(r);
    d.windows = bytes_read_u8(r);
    d.halflife_count = bytes_read_u8(r);
    for (uint32_t i = 0; i < d.halflife_count && i < HALFLIVES_MAX; i++) {
        d.halflives_ms[i] = bytes_read_u64(r);
    }
    return d;
}

/* The fields behind the types of the stored block, to its end. */
static enum code fields_load(struct schema *s, struct bytes_reader *r, struct err *e)
{
    uint32_t count = bytes_read_u32(r);
    if (count == 0 || count > FIELDS_MAX) {
        return ERR(e, E_CORRUPT, "schema block: %u fields", count);
    }
    for (uint32_t i = 1; i <= count; i++) {
        struct record_schema d = {.subject = SCHEMA_FIELD, .id = i};
        d.name = bytes_read_slice8(r);
        d.field_kind = bytes_read_u8(r);
        const char *fault = field_fault(&d);
        if (fault != NULL) return ERR(e, E_CORRUPT, "schema block, field %u: %s", i, fault);
        if (schema_field_find(s, d.name) != NULL) {
            return ERR(e, E_CORRUPT, "schema block, field %u repeats a name", i);
        }
        if (!field_add(s, &d)) return ERR(e, E_NOMEMORY, "no memory for field %u", i);
    }
    return OK;
}

enum code schema_load(struct schema *s, struct block_id id, struct slice bytes, struct err *e)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    uint32_t count = bytes_read_u32(&r);
    if (id.number != 0 || count > SIGNAL_TYPES_MAX || bytes.size <= COUNT_SIZE) {
        return ERR(e, E_CORRUPT, "schema block %llu with %u types", (unsigned long long)id.number,
                   count);
    }
    for (uint32_t i = 1; i <= count; i++) {
        struct record_schema d = type_read(&r, i);
        const char *fault = definition_fault(&d);
        if (fault != NULL) return ERR(e, E_CORRUPT, "schema block, type %u: %s", i, fault);
        if (schema_find(s, d.name) != NULL) {
            return ERR(e, E_CORRUPT, "schema block, type %u repeats a name", i);
        }
        if (!type_add(s, &d)) return ERR(e, E_NOMEMORY, "no memory for signal type %u", i);
    }
    if (bytes_left(&r) > 0) TRY(fields_load(s, &r, e));
    if (!bytes_is_done(&r)) {
        return ERR(e, E_CORRUPT, "the schema block does not end with its last declaration");
    }
    return OK;
}
