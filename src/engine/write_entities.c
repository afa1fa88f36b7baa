/* write_entities: puts and deletions of items, users and creators, judged: names, values, and that
 * no entity outgrows its limits whatever is still on its way to it. Fields are brought into the
 * order of their names here, so that apply can merge them. */
#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "core/state/field_fit.h"
#include "engine/write_internal.h"

enum {
    FIELD_OVERHEAD = 16, /* sizes, tag, and a number's bytes */
    PUT_OVERHEAD = 16,   /* flags, creator and count of an entity */
    SHOWN_SIZE = 80,
};

static const char *kind_text(uint8_t kind)
{
    if (kind == ENTITY_ITEM) return "item";
    return kind == ENTITY_USER ? "user" : "creator";
}

static const char *show(char room[SHOWN_SIZE], struct tide_bytes name)
{
    struct text t = text_of(room, SHOWN_SIZE);
    text_add_escaped(&t, slice_of(name.data, name.size), 40);
    return room;
}

static int by_name(const void *a, const void *b)
{
    const struct tide_field *x = a;
    const struct tide_field *y = b;
    size_t common = x->name.size < y->name.size ? x->name.size : y->name.size;
    int order = common > 0 ? memcmp(x->name.data, y->name.data, common) : 0;
    if (order != 0) return order;
    return (x->name.size > y->name.size) - (x->name.size < y->name.size);
}

static bool is_name(const struct tide_field *f, const char *name)
{
    return slice_equal(slice_of(f->name.data, f->name.size), slice_of_text(name));
}

/* Names of fields: not empty, not those of what every answer has, each once. */
static enum code judge_names(const struct op_entity *put, struct err *e)
{
    char shown[SHOWN_SIZE];
    if (put->count > PUT_FIELDS_MAX) {
        return ERR(e, E_LIMIT, "%u fields in one put; the limit is %u", put->count, PUT_FIELDS_MAX);
    }
    for (uint32_t i = 0; i < put->count; i++) {
        const struct tide_field *f = &put->fields[i];
        TRY(gate_size("the name of a field", slice_of(f->name.data, f->name.size), 1, e));
        if (is_name(f, "created_at")) {
            return ERR(e, E_INVALID, "created_at is no field: give AT");
        }
        if (put->kind == ENTITY_ITEM && is_name(f, "creator")) {
            return ERR(e, E_INVALID, "creator is no field: give CREATOR");
        }
        if (i > 0 && by_name(f - 1, f) == 0) {
            return ERR(e, E_INVALID, "field \"%s\" is given twice", show(shown, f->name));
        }
    }
    return OK;
}

/* Room for the list and, behind it, for lists of tags: at least the bytes of all values. */
static enum code take_list(struct write *w, const struct op_entity *put, struct err *e)
{
    uint64_t size = FIELD_OVERHEAD;
    for (uint32_t i = 0; i < put->count; i++) {
        const struct tide_field *f = &put->fields[i];
        size += FIELD_OVERHEAD + (uint64_t)f->name.size + f->text.size;
        for (uint32_t t = 0; f->kind == TIDE_VALUE_TAGS && t < f->tag_count; t++) {
            size += 1 + (uint64_t)f->tags[t].size;
        }
        if (size > RECORD_SIZE_MAX) {
            return ERR(e, E_LIMIT, "the fields take more than %u bytes", ENTITY_SIZE_MAX);
        }
    }
    size_t wanted = 2 * (size_t)size;
    if (wanted <= w->list_capacity) return OK;
    uint8_t *list = realloc(w->list, wanted);
    if (!list) return ERR(e, E_NOMEMORY, "no memory for the fields");
    w->list = list;
    w->list_capacity = wanted;
    return OK;
}

/* The tags as a list of slice8 in room, which has at least their bytes. */
static enum code take_tags(const struct tide_field *f, uint8_t *room, size_t size,
                           struct put_field *out, struct err *e)
{
    char shown[SHOWN_SIZE];
    if (f->tag_count > PUT_TAGS_MAX) {
        return ERR(e, E_LIMIT, "field \"%s\" has %u tags; at most %u are allowed",
                   show(shown, f->name), f->tag_count, PUT_TAGS_MAX);
    }
    struct bytes_writer w = bytes_writer_of(room, size);
    for (uint32_t i = 0; i < f->tag_count; i++) {
        struct slice tag = slice_of(f->tags[i].data, f->tags[i].size);
        bool has_comma = tag.size > 0 && memchr(tag.data, ',', tag.size) != NULL;
        if (tag.size == 0 || tag.size > KEY_SIZE_MAX || has_comma) {
            return ERR(e, E_LIMIT, "field \"%s\": a tag has 1 to %d bytes, and no comma among them",
                       show(shown, f->name), KEY_SIZE_MAX);
        }
        bytes_write_slice8(&w, tag);
    }
    ASSERT(!w.is_failed);
    out->tag_count = f->tag_count;
    out->tags = bytes_reader_of(bytes_written_slice(&w));
    return OK;
}

/* A value as records hold it. */
static enum code take_value(const struct tide_field *f, uint8_t *room, size_t size,
                            struct put_field *out, struct err *e)
{
    char shown[SHOWN_SIZE];
    *out =
        (struct put_field){.name = slice_of(f->name.data, f->name.size), .tag = (uint8_t)f->kind};
    switch (f->kind) {
    case TIDE_VALUE_NONE: return OK;
    case TIDE_VALUE_TEXT: out->text = slice_of(f->text.data, f->text.size); return OK;
    case TIDE_VALUE_INTEGER: out->integer = f->integer; return OK;
    case TIDE_VALUE_REAL:
        out->real = f->real == 0.0 ? 0.0 : f->real; /* -0 is 0 */
        if (isfinite(f->real)) return OK;
        return ERR(e, E_LIMIT, "field \"%s\" is no finite number", show(shown, f->name));
    case TIDE_VALUE_BOOL: out->integer = f->integer != 0; return OK;
    case TIDE_VALUE_TAGS: return take_tags(f, room, size, out, e);
    }
    return ERR(e, E_INVALID, "field \"%s\" has a value of unknown kind %d", show(shown, f->name),
               (int)f->kind);
}

/* What a field of items was declared as; 0: it was not. */
static uint8_t declared_kind(const struct write *w, const struct op_entity *put, struct slice name)
{
    if (put->kind != ENTITY_ITEM) return 0;
    seqno pending;
    const struct schema_field *field = state_field_by_name(w->db->state, name);
    if (!field) field = overlay_find_field(&w->overlay, name, &pending);
    return field ? field->kind : 0;
}

/* All fields, each fitting its declaration, as one list in w->list; a list of tags counts as that
 * many values. */
static enum code take_fields(struct write *w, const struct op_entity *put, struct slice *out,
                             uint64_t *out_values, struct err *e)
{
    char shown[SHOWN_SIZE];
    TRY(take_list(w, put, e));
    size_t half = w->list_capacity / 2;
    struct bytes_writer writer = bytes_writer_of(w->list, half);
    bytes_write_varint(&writer, put->count);
    for (uint32_t i = 0; i < put->count; i++) {
        const struct tide_field *f = &put->fields[i];
        struct put_field value;
        struct put_field fitting;
        TRY(take_value(f, w->list + half, half, &value, e));
        uint8_t kind = declared_kind(w, put, value.name);
        const char *fault = field_fit(kind, &value, w->list + half, half, &fitting);
        if (fault) return ERR(e, E_SCHEMA, "field \"%s\" %s", show(shown, f->name), fault);
        put_field_write(&writer, &fitting);
        *out_values += 1 + (fitting.tag == PUT_TAGS ? fitting.tag_count : 0);
    }
    ASSERT(!writer.is_failed);
    *out = bytes_written_slice(&writer);
    return OK;
}

/* Can the entity hold this, on top of what it has and of what is on its way to it? */
static enum code judge_size(struct write *w, const struct op_entity *put, struct slice key,
                            const struct entity_change *change, struct err *e)
{
    const struct state *s = w->db->state;
    enum entity_kind kind = (enum entity_kind)put->kind;
    struct entity_change judged = *change;
    struct entity current = {.creator = ENTITY_NONE};
    uint32_t index = state_entity_find(s, kind, key);
    if (index != ENTITY_NONE) current = state_entity(s, kind, index);
    judged.is_fresh = (current.flags & ENTITY_DELETED) != 0;
    struct pending_sum sum = pending_puts_sum(&w->puts, kind, key, state_position(s).seqno);
    struct pending_sum more = {.bytes = change->fields.size + PUT_OVERHEAD, .fields = put->count};
    bool is_small = current.size + sum.bytes + more.bytes <= ENTITY_SIZE_MAX &&
                    current.field_count + sum.fields + more.fields <= ENTITY_FIELDS_MAX;
    if (!is_small && sum.is_appended) { /* judged again when that was applied */
        e->text[0] = '\0';
        return E_BUSY;
    }
    if (!is_small && sum.bytes > 0) {
        return ERR(e, E_LIMIT,
                   "the puts of one MULTI could give one %s more than %u bytes or %u fields",
                   kind_text(put->kind), ENTITY_SIZE_MAX, ENTITY_FIELDS_MAX);
    }
    if (!is_small) {
        struct err why;
        enum code code = entity_judge(&current, &judged, &why);
        if (code != OK) return ERR(e, code, "the %s: %s", kind_text(put->kind), why.text);
    }
    if (pending_puts_try(&w->puts, kind, key, more)) return OK;
    return ERR(e, E_NOMEMORY, "no memory for a put");
}

static enum code judge_put(struct write *w, struct op *op, struct entity_write *out, struct err *e)
{
    struct op_entity *put = op->more;
    struct slice key = op->entry.item;
    struct slice creator = op->entry.user;
    if (put->count > 1) qsort(put->fields, put->count, sizeof(put->fields[0]), by_name);
    TRY(judge_names(put, e));
    TRY(gate_size("the creator's key", creator, 0, e));
    struct record_put *record = &out->record.as.put;
    *record = (struct record_put){.key = key, .creator = creator};
    if (op->entry.at_ms != 0) {
        record->has_created = 1;
        TRY(gate_time(w, op->entry.at_ms, &record->created_ms, e));
    }
    uint64_t values = 0;
    TRY(take_fields(w, put, &record->fields, &values, e));
    struct entity_change change = {.creator = creator.size > 0 ? 0 : ENTITY_NONE,
                                   .fields = record->fields};
    TRY(judge_size(w, put, key, &change, e));
    out->record.kind = RECORD_ITEM_PUT;
    if (put->kind == ENTITY_USER) out->record.kind = RECORD_USER_PUT;
    if (put->kind == ENTITY_CREATOR) out->record.kind = RECORD_CREATOR_PUT;
    out->growth = (struct state_growth){.puts = 1,
                                        .key_bytes = key.size + creator.size,
                                        .put_values = values,
                                        .put_bytes = record->fields.size + PUT_OVERHEAD};
    return OK;
}

enum code entity_judge_op(struct write *w, struct op *op, struct entity_write *out, struct err *e)
{
    const struct op_entity *entity = op->more;
    struct slice key = op->entry.item;
    *out = (struct entity_write){.growth = {0}};
    char what[24];
    struct text t = text_of(what, sizeof(what));
    text_add(&t, "the %s key", kind_text(entity->kind));
    TRY(gate_size(what, key, 1, e));
    if (op->kind == OP_ENTITY_PUT) return judge_put(w, op, out, e);
    ASSERT(entity->kind == ENTITY_ITEM);
    out->record.kind = RECORD_ITEM_DELETE;
    out->record.as.item_ref.key = key;
    out->growth = (struct state_growth){.puts = 1, .put_bytes = PUT_OVERHEAD};
    return OK;
}

enum code entity_write(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    struct judgement j;
    struct entity_write write;
    TRY(write_judge_envelope(w, op, &j, e));
    if (j.duplicate.is_duplicate) return write_finish_duplicate(w, run, op, &j, e);
    pending_puts_begin(&w->puts);
    TRY(entity_judge_op(w, op, &write, e));
    write.record.envelope = j.envelope;
    TRY(write_append(w, &write.record, 0, &write.growth, e));
    pending_puts_keep(&w->puts, w->assigned);
    write_accept(run, op, w->assigned);
    return OK;
}
