/* read_entity: see read_entity.h. All that is answered is copied into the run's memory: the state
 * goes on changing while the answer is read. */
#include "engine/read_entity.h"

#include "base/assert.h"

static enum code no_memory(struct err *e)
{
    return ERR(e, E_NOMEMORY, "no memory for the answer");
}

static enum code copy(struct tide_run *run, struct slice s, struct tide_bytes *out, struct err *e)
{
    uint8_t *bytes = run_take(run, s.size + 1);
    if (!bytes) return no_memory(e);
    if (s.size > 0) memcpy(bytes, s.data, s.size);
    *out = (struct tide_bytes){bytes, s.size};
    return OK;
}

static enum code copy_tags(struct tide_run *run, const struct put_field *value,
                           struct tide_field *out, struct err *e)
{
    struct tide_bytes *tags = run_take(run, (value->tag_count + 1) * sizeof(*tags));
    if (!tags) return no_memory(e);
    struct bytes_reader r = value->tags;
    for (uint32_t i = 0; i < value->tag_count; i++) {
        TRY(copy(run, bytes_read_slice8(&r), &tags[i], e));
    }
    out->tags = tags;
    out->tag_count = value->tag_count;
    return OK;
}

/* Everything but the name. */
static enum code copy_value(struct tide_run *run, const struct put_field *value,
                            struct tide_field *out, struct err *e)
{
    out->kind = (enum tide_value_kind)value->tag;
    out->integer = value->integer;
    out->real = value->real;
    if (value->tag == PUT_TEXT) return copy(run, value->text, &out->text, e);
    if (value->tag == PUT_TAGS) return copy_tags(run, value, out, e);
    return OK;
}

static enum code copy_all(struct tide_run *run, const struct entity *entity, struct tide_field *out,
                          struct err *e)
{
    struct bytes_reader fields = entity->fields;
    for (uint32_t i = 0; i < entity->field_count; i++) {
        struct put_field value;
        bool is_read = put_field_read(&fields, &value);
        ASSERT(is_read);
        TRY(copy(run, value.name, &out[i].name, e));
        TRY(copy_value(run, &value, &out[i], e));
    }
    return OK;
}

/* What one question asks for, and what is known of it. */
struct asked {
    struct db *db;
    struct tide_run *run;
    enum entity_kind kind;
    uint32_t index; /* ENTITY_NONE: not there */
    struct tide_entity *answer;
};

/* The value of one name that was asked for. */
static enum code copy_named(const struct asked *a, struct slice name, struct tide_field *out,
                            struct err *e)
{
    struct put_field value;
    const struct tide_entity *answer = a->answer;
    TRY(copy(a->run, name, &out->name, e));
    if (!answer->is_known) return OK;
    if (slice_equal(name, slice_of_text("created_at"))) {
        out->kind = TIDE_VALUE_INTEGER;
        out->integer = answer->created_ms;
        return OK;
    }
    if (a->kind == ENTITY_ITEM && slice_equal(name, slice_of_text("creator"))) {
        out->kind = answer->creator.size > 0 ? TIDE_VALUE_TEXT : TIDE_VALUE_NONE;
        out->text = answer->creator;
        return OK;
    }
    bool is_there = state_entity_field(a->db->state, a->kind, a->index, name, &value);
    return is_there ? copy_value(a->run, &value, out, e) : OK;
}

static enum code copy_asked(const struct asked *a, const struct op_entity *question,
                            struct tide_field *out, struct err *e)
{
    for (uint32_t i = 0; i < question->count; i++) {
        struct tide_bytes name = question->fields[i].name;
        TRY(copy_named(a, slice_of(name.data, name.size), &out[i], e));
    }
    return OK;
}

/* Everything but the fields. */
static enum code look(struct asked *a, struct slice key, struct entity *known, struct err *e)
{
    const struct state *s = a->db->state;
    *known = (struct entity){.creator = ENTITY_NONE};
    a->index = state_entity_find(s, a->kind, key);
    if (a->index == ENTITY_NONE) return OK;
    *known = state_entity(s, a->kind, a->index);
    if ((known->flags & ENTITY_DELETED) != 0) return OK;
    a->answer->is_known = true;
    a->answer->created_ms = state_entity_created_ms(s, a->kind, a->index);
    if (known->creator == ENTITY_NONE) return OK;
    return copy(a->run, state_creator_key(s, known->creator), &a->answer->creator, e);
}

enum code read_entity(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    const struct op_entity *question = op->more;
    struct slice key = op->entry.item;
    if (key.size == 0 || key.size > KEY_SIZE_MAX) {
        return ERR(e, E_LIMIT, "the key has %zu bytes; 1 to %d are allowed", key.size,
                   KEY_SIZE_MAX);
    }
    struct tide_entity answer = {0};
    struct entity known;
    struct asked a = {
        .db = db, .run = run, .kind = (enum entity_kind)question->kind, .answer = &answer};
    TRY(look(&a, key, &known, e));
    answer.field_count = question->count > 0 ? question->count : known.field_count;
    size_t size = (answer.field_count + 1) * sizeof(struct tide_field);
    struct tide_field *fields = run_take(run, size);
    if (!fields) return no_memory(e);
    memset(fields, 0, size);
    answer.fields = fields;
    TRY(question->count > 0 ? copy_asked(&a, question, fields, e)
                            : copy_all(run, &known, fields, e));
    op->result.kind = TIDE_RESULT_ENTITY;
    op->result.as.entity = answer;
    return OK;
}
