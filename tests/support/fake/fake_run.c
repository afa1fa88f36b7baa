/* fake_run: building runs: each operation with its line of words. */
#include "support/fake/fake_run.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PRINTF_LIKE(1, 2)
static char *line_of(const char *format, ...)
{
    if (!fake_is_remembering) return NULL;
    char room[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(room, sizeof(room), format, args);
    va_end(args);
    return strdup(room);
}

tide_run *tide_run_new(void)
{
    return calloc(1, sizeof(tide_run));
}

void tide_run_reset(tide_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        free(run->ops[i].line);
        free(run->ops[i].signals);
        free(run->ops[i].items);
    }
    run->count = 0;
}

void tide_run_free(tide_run *run)
{
    if (run == NULL) return;
    tide_run_reset(run);
    free(run->ops);
    free(run);
}

size_t tide_run_count(const tide_run *run)
{
    return run->count;
}

const struct tide_result *tide_run_result(const tide_run *run, size_t index)
{
    return index < run->count ? &run->ops[index].result : NULL;
}

static struct fake_op *add(tide_run *run, enum fake_kind kind)
{
    if (run->count == run->capacity) {
        size_t capacity = run->capacity > 0 ? run->capacity * 2 : 128;
        struct fake_op *ops = realloc(run->ops, capacity * sizeof(*ops));
        if (ops == NULL) return NULL;
        run->ops = ops;
        run->capacity = capacity;
    }
    struct fake_op *op = &run->ops[run->count++];
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    return op;
}

static int32_t index_of(const tide_run *run)
{
    return (int32_t)run->count - 1;
}

static void tell_bytes(char *room, size_t size, const char *name, struct tide_bytes b)
{
    size_t at = strlen(room);
    if (b.size > 0) {
        snprintf(room + at, size - at, " %s=%.*s", name, (int)b.size, (const char *)b.data);
    }
}

/* Nothing for 0. */
static void tell_number(char *room, size_t size, const char *name, uint64_t v)
{
    size_t at = strlen(room);
    if (v != 0) snprintf(room + at, size - at, " %s=%" PRIu64, name, v);
}

static void tell_durability(char *room, size_t size, const struct tide_durability *d)
{
    char level[TIDE_LEVEL_SIZE];
    if (d->level.kind != TIDE_LEVEL_DEFAULT) {
        size_t length = tide_level_format(&d->level, level);
        tell_bytes(room, size, "level", (struct tide_bytes){level, length});
    }
    tell_number(room, size, "deadline", d->deadline_ms);
    if (d->on_miss_is_set) tell_number(room, size, "on_miss_plus_1", (uint64_t)d->on_miss + 1);
}

static void tell_options(char *room, size_t size, const struct tide_write_options *o)
{
    if (o == NULL) return;
    tell_durability(room, size, &o->durability);
    tell_bytes(room, size, "record_key", o->key);
    tell_bytes(room, size, "producer", o->producer);
    size_t at = strlen(room);
    if (o->producer.size > 0) snprintf(room + at, size - at, " n=%" PRIu64, o->producer_number);
}

static void tell_signal(char *room, size_t size, const struct tide_signal *s)
{
    size_t at = strlen(room);
    snprintf(room + at, size - at, " %.*s %.*s", (int)s->type.size, (const char *)s->type.data,
             (int)s->item.size, (const char *)s->item.data);
    at = strlen(room);
    if (s->weight_is_set) snprintf(room + at, size - at, " w=%.17g", s->weight);
    at = strlen(room);
    if (s->at_ms != 0) snprintf(room + at, size - at, " at=%" PRId64, s->at_ms);
    tell_bytes(room, size, "user", s->user);
    tell_bytes(room, size, "key", s->key);
}

int32_t tide_run_signal(tide_run *run, const struct tide_signal *signal,
                        const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_SIGNAL);
    op->type = signal->type;
    op->item = signal->item;
    op->weight = signal->weight_is_set ? signal->weight : 1;
    if (fake_is_remembering) {
        char room[1024] = "signal";
        tell_signal(room, sizeof(room), signal);
        tell_options(room, sizeof(room), options);
        op->line = line_of("%s", room);
    }
    return index_of(run);
}

static int32_t add_put(tide_run *run, const char *kind, const struct tide_put *put,
                       const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_PUT);
    char room[1024];
    snprintf(room, sizeof(room), "%s put %.*s", kind, (int)put->key.size,
             (const char *)put->key.data);
    tell_bytes(room, sizeof(room), "creator", put->creator);
    size_t at = strlen(room);
    if (put->at_ms != 0) snprintf(room + at, sizeof(room) - at, " at=%" PRId64, put->at_ms);
    for (uint32_t i = 0; i < put->field_count; i++) {
        const struct tide_field *field = &put->fields[i];
        at = strlen(room);
        bool is_unset = field->kind == TIDE_VALUE_NONE;
        snprintf(room + at, sizeof(room) - at, is_unset ? " -%.*s" : " [%.*s=%.*s]",
                 (int)field->name.size, (const char *)field->name.data, (int)field->text.size,
                 (const char *)field->text.data);
    }
    tell_options(room, sizeof(room), options);
    op->line = line_of("%s", room);
    return index_of(run);
}

static int32_t add_get(tide_run *run, const char *kind, struct tide_bytes key,
                       const struct tide_bytes *names, uint32_t count)
{
    struct fake_op *op = add(run, FAKE_GET);
    char room[1024];
    snprintf(room, sizeof(room), "%s get %.*s", kind, (int)key.size, (const char *)key.data);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = strlen(room);
        snprintf(room + at, sizeof(room) - at, " %.*s", (int)names[i].size,
                 (const char *)names[i].data);
    }
    op->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_item_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options)
{
    return add_put(run, "item", put, options);
}

int32_t tide_run_user_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options)
{
    return add_put(run, "user", put, options);
}

int32_t tide_run_creator_put(tide_run *run, const struct tide_put *put,
                             const struct tide_write_options *options)
{
    return add_put(run, "creator", put, options);
}

int32_t tide_run_item_delete(tide_run *run, struct tide_bytes key,
                             const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_PUT);
    char room[1024];
    snprintf(room, sizeof(room), "item delete %.*s", (int)key.size, (const char *)key.data);
    tell_options(room, sizeof(room), options);
    op->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_item_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count)
{
    return add_get(run, "item", key, names, name_count);
}

int32_t tide_run_user_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count)
{
    return add_get(run, "user", key, names, name_count);
}

int32_t tide_run_creator_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                             uint32_t name_count)
{
    return add_get(run, "creator", key, names, name_count);
}

int32_t tide_run_signals(tide_run *run, const struct tide_signal *signals, size_t n,
                         const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_SIGNALS);
    op->signals = calloc(n, sizeof(*signals));
    memcpy(op->signals, signals, n * sizeof(*signals));
    op->number = n;
    if (fake_is_remembering) {
        char room[1024] = "signals";
        for (size_t i = 0; i < n && strlen(room) < 900; i++) {
            tell_signal(room, sizeof(room), &signals[i]);
        }
        tell_options(room, sizeof(room), options);
        op->line = line_of("%s", room);
    }
    return index_of(run);
}

/* The line of an operation that was added, to go on with; NULL: nothing is remembered. */
static struct fake_op *open_line(tide_run *run, int32_t index, char room[1024])
{
    struct fake_op *op = &run->ops[index];
    if (op->line == NULL) return NULL;
    snprintf(room, 1024, "%s", op->line);
    free(op->line);
    return op;
}

bool tide_run_set_read(tide_run *run, int32_t index, const struct tide_read_options *o)
{
    char room[1024];
    struct fake_op *op = open_line(run, index, room);
    if (op == NULL) return true;
    tell_number(room, sizeof(room), "after_epoch", o->after.epoch);
    tell_number(room, sizeof(room), "after", o->after.seqno);
    tell_number(room, sizeof(room), "max_stale_plus_1", o->max_stale_ms + o->max_stale_is_set);
    tell_number(room, sizeof(room), "committed", o->is_committed);
    tell_number(room, sizeof(room), "deadline", o->deadline_ms);
    op->line = strdup(room);
    return true;
}

void tide_run_set_durability(tide_run *run, int32_t index, const struct tide_durability *wanted)
{
    char room[1024];
    struct fake_op *op = open_line(run, index, room);
    if (op == NULL) return;
    tell_durability(room, sizeof(room), wanted);
    op->line = strdup(room);
}

int32_t tide_run_begin(tide_run *run, const struct tide_write_options *options)
{
    char room[256] = "begin";
    tell_options(room, sizeof(room), options);
    add(run, FAKE_BEGIN)->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_end(tide_run *run)
{
    add(run, FAKE_END)->line = line_of("end");
    return index_of(run);
}

#define SHOW(b) (int)(b).size, (const char *)(b).data

int32_t tide_run_unsignal(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes user, const struct tide_write_options *options)
{
    char room[1024];
    snprintf(room, sizeof(room), "unsignal %.*s %.*s user=%.*s", SHOW(type), SHOW(item),
             SHOW(user));
    tell_options(room, sizeof(room), options);
    add(run, FAKE_UNSIGNAL)->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_schema_signal(tide_run *run, const struct tide_schema_signal *schema)
{
    add(run, FAKE_SCHEMA)->line =
        line_of("schema %.*s halflives=%" PRIu64 ",%" PRIu64 " windows=%d mode=%d negative=%d",
                SHOW(schema->name), schema->halflives_ms[0], schema->halflives_ms[1],
                schema->windows, schema->mode, schema->is_negative);
    return index_of(run);
}

int32_t tide_run_schema_field(tide_run *run, struct tide_bytes name, enum tide_field_kind kind)
{
    add(run, FAKE_SCHEMA)->line = line_of("field %.*s %d", SHOW(name), (int)kind);
    return index_of(run);
}

int32_t tide_run_producer_skip(tide_run *run, struct tide_bytes producer, uint64_t number)
{
    struct fake_op *op = add(run, FAKE_SKIP);
    op->type = producer;
    op->number = number;
    op->line = line_of("skip %.*s %" PRIu64, SHOW(producer), number);
    return index_of(run);
}

int32_t tide_run_producer(tide_run *run, struct tide_bytes producer)
{
    struct fake_op *op = add(run, FAKE_PRODUCER);
    op->type = producer;
    op->line = line_of("producer %.*s", SHOW(producer));
    return index_of(run);
}

int32_t tide_run_score(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    struct fake_op *op = add(run, FAKE_SCORE);
    op->type = type;
    op->item = item;
    op->line = line_of("score %.*s %.*s at=%" PRId64, SHOW(type), SHOW(item), at_ms);
    return index_of(run);
}

/* The stand-in's rate and trend are its score. */
int32_t tide_run_rate(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    int32_t index = tide_run_score(run, type, item, at_ms);
    free(run->ops[index].line);
    run->ops[index].line = line_of("rate %.*s %.*s at=%" PRId64, SHOW(type), SHOW(item), at_ms);
    return index;
}

int32_t tide_run_trend(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    int32_t index = tide_run_score(run, type, item, at_ms);
    free(run->ops[index].line);
    run->ops[index].line = line_of("trend %.*s %.*s at=%" PRId64, SHOW(type), SHOW(item), at_ms);
    return index;
}

int32_t tide_run_count_of(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes window)
{
    struct fake_op *op = add(run, FAKE_COUNT);
    op->type = type;
    op->item = item;
    op->line = line_of("count %.*s %.*s %.*s", SHOW(type), SHOW(item), SHOW(window));
    return index_of(run);
}

int32_t tide_run_retrieve(tide_run *run, const struct tide_retrieve *request)
{
    struct fake_op *op = add(run, FAKE_RETRIEVE);
    op->type = request->profile;
    op->number = request->limit;
    op->more = request->is_explain;
    op->item = request->cursor;
    op->line = line_of("retrieve %.*s limit=%u now=%" PRId64 " excludes=%u%s%.*s%s%.*s%s%.*s%s",
                       SHOW(request->profile), request->limit, request->now_ms,
                       request->exclude_count, request->exclude_count > 0 ? " first=" : "",
                       request->exclude_count > 0 ? (int)request->excludes[0].size : 0,
                       request->exclude_count > 0 ? (const char *)request->excludes[0].data : "",
                       request->where.size > 0 ? " where=" : "", SHOW(request->where),
                       request->cursor.size > 0 ? " cursor=" : "", SHOW(request->cursor),
                       request->is_explain ? " explain" : "");
    return index_of(run);
}

static int32_t add_plain(tide_run *run, enum fake_kind kind, const char *line)
{
    add(run, kind)->line = line_of("%s", line);
    return index_of(run);
}

int32_t tide_run_schema_show(tide_run *run)
{
    return add_plain(run, FAKE_SHOW, "schema show");
}

int32_t tide_run_position(tide_run *run)
{
    return add_plain(run, FAKE_POSITION, "position");
}

int32_t tide_run_digest(tide_run *run, uint64_t at_seqno)
{
    struct fake_op *op = add(run, FAKE_DIGEST);
    op->number = at_seqno;
    op->line = line_of("digest %" PRIu64, at_seqno);
    return index_of(run);
}

int32_t tide_run_checkpoint(tide_run *run)
{
    return add_plain(run, FAKE_CHECKPOINT, "checkpoint");
}

int32_t tide_run_log_seal(tide_run *run)
{
    return add_plain(run, FAKE_SEAL, "seal");
}

int32_t tide_run_wait(tide_run *run, uint64_t position, uint32_t followers, uint64_t timeout_ms)
{
    add(run, FAKE_WAIT)->line =
        line_of("wait %" PRIu64 " %u %s", position, followers, timeout_ms > 0 ? "timeout" : "-");
    return index_of(run);
}

int32_t tide_run_items(tide_run *run)
{
    return add_plain(run, FAKE_ITEMS, "items");
}

int32_t tide_run_status(tide_run *run)
{
    return add_plain(run, FAKE_STATUS, "status");
}

int32_t tide_run_configure(tide_run *run, const struct tide_options *options)
{
    add(run, FAKE_CONFIGURE)->line =
        line_of("configure mark_interval_ms=%" PRIu64, options->mark_interval_ms);
    return index_of(run);
}

int32_t tide_run_metrics(tide_run *run)
{
    return add_plain(run, FAKE_METRICS, "metrics");
}

int32_t tide_run_clock(tide_run *run)
{
    return add_plain(run, FAKE_CLOCK, "clock");
}

static int32_t add_member(tide_run *run, const char *what, struct tide_bytes id, const char *vote,
                          const struct tide_write_options *options)
{
    char room[512];
    snprintf(room, sizeof(room), "member %s %.*s%s", what, (int)id.size, (const char *)id.data,
             vote);
    tell_options(room, sizeof(room), options);
    add(run, FAKE_SCHEMA)->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_member_add(tide_run *run, struct tide_bytes node_id, bool is_voter,
                            const struct tide_write_options *options)
{
    return add_member(run, "add", node_id, is_voter ? " voter" : "", options);
}

int32_t tide_run_member_remove(tide_run *run, struct tide_bytes node_id,
                               const struct tide_write_options *options)
{
    return add_member(run, "remove", node_id, "", options);
}

int32_t tide_run_members(tide_run *run)
{
    static const struct tide_member members[] = {
        {.node_id = "a", .data_address = "10.0.0.1:7400", .is_voter = true},
        {.node_id = "b", .data_address = ""}};
    struct fake_op *op = add(run, FAKE_MEMBERS);
    op->result.kind = TIDE_RESULT_MEMBERS;
    op->result.as.members = (struct tide_members){members, 2};
    op->line = line_of("members");
    return index_of(run);
}

int32_t tide_run_slot_drop(tide_run *run, struct tide_bytes node_id)
{
    struct fake_op *op = add(run, FAKE_SLOT);
    op->type = node_id;
    op->line = line_of("slot drop %.*s", (int)node_id.size, (const char *)node_id.data);
    return index_of(run);
}

int32_t tide_run_slot_rename(tide_run *run, struct tide_bytes node_id, struct tide_bytes new_id)
{
    struct fake_op *op = add(run, FAKE_SLOT);
    op->type = node_id;
    op->line = line_of("slot rename %.*s %.*s", (int)node_id.size, (const char *)node_id.data,
                       (int)new_id.size, (const char *)new_id.data);
    return index_of(run);
}

int32_t tide_run_plan(tide_run *run, struct tide_bytes what, struct tide_bytes argument)
{
    struct fake_op *op = add(run, FAKE_PLAN);
    op->type = what;
    op->item = argument;
    op->line = line_of("plan %.*s %.*s", (int)what.size, (const char *)what.data,
                       (int)argument.size, (const char *)argument.data);
    return index_of(run);
}

int32_t tide_run_clock_accept(tide_run *run)
{
    int32_t index = add_plain(run, FAKE_CLOCK, "clock accept");
    if (index >= 0) run->ops[index].number = 1;
    return index;
}

int32_t tide_run_promote(tide_run *run, const struct tide_position *expect, bool is_forced)
{
    add(run, FAKE_POSITION)->line = line_of("promote expect=%" PRIu64 "%s",
                                            expect ? expect->seqno : 0, is_forced ? " force" : "");
    return index_of(run);
}

int32_t tide_run_follow(tide_run *run, const char *address, bool accepts_loss,
                        const struct tide_position *expect)
{
    add(run, FAKE_CONFIGURE)->line =
        line_of("follow %s expect=%" PRIu64 "%s", address, expect ? expect->seqno : 0,
                accepts_loss ? " accept-loss" : "");
    return index_of(run);
}

int32_t tide_run_handover(tide_run *run, const char *node_id, uint64_t timeout_ms)
{
    add(run, FAKE_POSITION)->line = line_of("handover %s %" PRIu64, node_id, timeout_ms);
    return index_of(run);
}
