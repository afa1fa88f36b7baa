/* commands_entities: items, users and creators: fields in, fields out. Values are words: what the
 * database makes of them follows from what a field was declared as, and it says what does not fit.
 * All values of answers are bulk strings, in both protocols: what was put comes back byte for byte
 * (a declared number in its shortest form). */
#include "server/handlers.h"

#include "base/text.h"
#include "server/commands.h"
#include "server/options.h"

enum { FIELDS_PER_COST = 8 };

static const uint32_t put_options = OPTIONS_OF_WRITES | OPTION_BIT(OPTION_UNSET);
static const uint32_t item_options = OPTIONS_OF_WRITES | OPTION_BIT(OPTION_UNSET) |
                                     OPTION_BIT(OPTION_CREATOR) | OPTION_BIT(OPTION_AT);

typedef int32_t (*add_put)(tide_run *run, const struct tide_put *put,
                           const struct tide_write_options *options);
typedef int32_t (*add_get)(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                           uint32_t name_count);

/* Fields to set, then fields to remove. NULL: an error was answered. */
static struct tide_field *copy_fields(struct call *call, const struct options *o, size_t next,
                                      uint32_t *out_count)
{
    size_t pairs = (call->count - next) / 2;
    size_t count = pairs + o->unset_count;
    struct tide_field *fields = arena_get(&call->turn->arena, (count + 1) * sizeof(*fields));
    if (fields == NULL) {
        call_fail(call, TIDE_NOMEMORY, "no memory for %zu fields", count);
        return NULL;
    }
    for (size_t i = 0; i < pairs; i++) {
        fields[i].name = bytes_of(call->words[next + 2 * i]);
        fields[i].kind = TIDE_VALUE_TEXT;
        fields[i].text = bytes_of(call->words[next + 2 * i + 1]);
    }
    for (size_t i = 0; i < o->unset_count; i++) {
        fields[pairs + i].name = bytes_of(o->unsets[i]);
    }
    *out_count = (uint32_t)count;
    return fields;
}

static void answer_write(struct call *call, int32_t op, const struct options *o)
{
    call_slot(call)->has_level = o->has_level;
    call_answer(call, op, render_token);
}

static void put(struct call *call, uint32_t allowed, add_put add)
{
    struct options o;
    size_t next = 0;
    if (!options_parse_first(call, 2, allowed, &o, &next)) return;
    if (options_refuse_in_multi(call, &o)) return;
    if ((call->count - next) % 2 != 0) {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_INVALID, "field '%s' has no value",
                  call_show(shown, call->words[call->count - 1]));
        return;
    }
    call->cost += (call->count - next) / FIELDS_PER_COST;
    if (call->is_dry) return;
    struct tide_put put = {
        .key = bytes_of(call->words[1]), .creator = bytes_of(o.creator), .at_ms = o.at_ms};
    struct tide_field *fields = copy_fields(call, &o, next, &put.field_count);
    if (fields == NULL) return;
    put.fields = fields;
    answer_write(call, add(call->turn->run, &put, options_write(&o)), &o);
}

static void get(struct call *call, add_get add)
{
    struct options o;
    size_t next = 0;
    if (!options_parse_first(call, 2, OPTIONS_OF_READS, &o, &next)) return;
    size_t count = call->count - next;
    call->cost += count / FIELDS_PER_COST;
    if (call->is_dry) return;
    struct tide_bytes *names = arena_get(&call->turn->arena, (count + 1) * sizeof(*names));
    if (names == NULL) {
        call_fail(call, TIDE_NOMEMORY, "no memory for %zu names", count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = bytes_of(call->words[next + i]);
    }
    call_slot(call)->argument = count > 0;
    int32_t op = add(call->turn->run, bytes_of(call->words[1]), names, (uint32_t)count);
    options_answer_read(call, op, &o, render_entity);
}

void handle_item_put(struct call *call)
{
    put(call, item_options, tide_run_item_put);
}

void handle_user_put(struct call *call)
{
    put(call, put_options, tide_run_user_put);
}

void handle_creator_put(struct call *call)
{
    put(call, put_options, tide_run_creator_put);
}

void handle_item_get(struct call *call)
{
    get(call, tide_run_item_get);
}

void handle_user_get(struct call *call)
{
    get(call, tide_run_user_get);
}

void handle_creator_get(struct call *call)
{
    get(call, tide_run_creator_get);
}

void handle_item_del(struct call *call)
{
    struct options o;
    if (!options_parse(call, 2, OPTIONS_OF_WRITES, &o)) return;
    if (options_refuse_in_multi(call, &o) || call->is_dry) return;
    int32_t op = tide_run_item_delete(call->turn->run, bytes_of(call->words[1]), options_write(&o));
    answer_write(call, op, &o);
}

/* --- answers --- */

static void write_tags(const struct tide_field *f, struct out *o)
{
    size_t size = f->tag_count > 0 ? f->tag_count - 1 : 0;
    for (uint32_t i = 0; i < f->tag_count; i++) {
        size += f->tags[i].size;
    }
    out_format(o, "$%zu\r\n", size);
    for (uint32_t i = 0; i < f->tag_count; i++) {
        if (i > 0) out_text(o, ",");
        out_bytes(o, f->tags[i].data, f->tags[i].size);
    }
    out_text(o, "\r\n");
}

static void write_integer(int64_t v, struct out *o)
{
    char room[32];
    struct text t = text_of(room, sizeof(room));
    text_add(&t, "%lld", (long long)v);
    out_bulk(o, slice_of(room, t.size));
}

static void write_value(const struct tide_field *f, enum proto proto, struct out *o)
{
    char text[F64_TEXT_SIZE];
    switch (f->kind) {
    case TIDE_VALUE_NONE: out_nil(o, proto); return;
    case TIDE_VALUE_TEXT: out_bulk(o, slice_of(f->text.data, f->text.size)); return;
    case TIDE_VALUE_INTEGER: write_integer(f->integer, o); return;
    case TIDE_VALUE_REAL: out_bulk(o, slice_of(text, format_f64(text, f->real))); return;
    case TIDE_VALUE_BOOL: out_bulk_text(o, f->integer != 0 ? "true" : "false"); return;
    case TIDE_VALUE_TAGS: write_tags(f, o); return;
    }
}

static void write_pair(const char *name, const struct tide_field *value, enum proto proto,
                       struct out *o)
{
    out_bulk_text(o, name);
    write_value(value, proto, o);
}

void render_entity(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                   struct out *o)
{
    (void)turn;
    const struct tide_entity *entity = &result->as.entity;
    enum proto proto = (enum proto)slot->proto;
    if (slot->argument != 0) {
        out_array(o, entity->field_count);
        for (uint32_t i = 0; i < entity->field_count; i++) {
            write_value(&entity->fields[i], proto, o);
        }
        return;
    }
    if (!entity->is_known) {
        out_map(o, proto, 0);
        return;
    }
    bool has_creator = entity->creator.size > 0;
    struct tide_field creator = {.kind = TIDE_VALUE_TEXT, .text = entity->creator};
    struct tide_field created = {.kind = TIDE_VALUE_INTEGER, .integer = entity->created_ms};
    out_map(o, proto, (size_t)entity->field_count + 1 + has_creator);
    if (has_creator) write_pair("creator", &creator, proto, o);
    write_pair("created_at", &created, proto, o);
    for (uint32_t i = 0; i < entity->field_count; i++) {
        out_bulk(o, slice_of(entity->fields[i].name.data, entity->fields[i].name.size));
        write_value(&entity->fields[i], proto, o);
    }
}
