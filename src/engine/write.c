/* write: the write operations of a run, one after the other: judge (write_gate), encode
 * (write_group), remember in the overlay. See write.h. */
#include "engine/write.h"

#include <stdlib.h>

#include "base/assert.h"
#include "core/group.h"
#include "engine/db_internal.h"
#include "engine/disk.h"
#include "engine/log_open.h"
#include "engine/shipper.h"
#include "engine/voters.h"
#include "engine/write_internal.h"

#define NO_MEMORY_DELAY_NS (10 * NS_PER_MS) /* until the next try to close a group */

struct write *write_new(struct db *db)
{
    struct write *w = calloc(1, sizeof(*w));
    if (!w) return NULL;
    w->db = db;
    w->assigned = log_written(db->log).seqno;
    pending_edges_init(&w->edges);
    if (overlay_init(&w->overlay) && pending_puts_init(&w->puts)) return w;
    write_free(w);
    return NULL;
}

void write_free(struct write *w)
{
    if (!w) return;
    w->db->env->v->timer_close(w->db->env, &w->delay_timer);
    overlay_fini(&w->overlay);
    pending_edges_fini(&w->edges);
    pending_puts_fini(&w->puts);
    free(w->group.buffer);
    free(w->scratch);
    free(w->members);
    free(w->list);
    free(w);
}

seqno write_assigned(const struct write *w)
{
    return w->assigned;
}

/* --- results --- */

void write_refuse_op(struct tide_run *run, struct op *op, const struct err *e)
{
    size_t size = strlen(e->text);
    char *message = run_take(run, size + 1);
    if (message) memcpy(message, e->text, size + 1);
    op->result = (struct tide_result){
        .code = (enum tide_code)e->code,
        .message = message ? message : "no memory for the error's text",
    };
}

void write_accept(struct tide_run *run, struct op *op, seqno s)
{
    op->result = (struct tide_result){
        .code = TIDE_OK,
        .kind = TIDE_RESULT_POSITION,
        .level = {.kind = TIDE_LEVEL_LOCAL},
        .as.position = {.seqno = s.v},
    };
    op->is_waiting = true;
    run->pending = seqno_max(run->pending, s);
}

/* A duplicate answers with the first write's position, and waits for it if it is pending. */
void write_accept_duplicate(struct tide_run *run, struct op *op, bool waits)
{
    op->is_waiting = waits;
    op->result.level = (struct tide_level){.kind = TIDE_LEVEL_LOCAL};
    if (waits) run->pending = seqno_max(run->pending, seqno_of(op->result.as.position.seqno));
}

/* --- one signal record --- */

bool write_take_scratch(struct write *w, uint32_t count)
{
    if (count <= w->scratch_capacity) return true;
    uint32_t capacity = w->scratch_capacity ? w->scratch_capacity : 64;
    while (capacity < count) {
        capacity *= 2;
    }
    struct signal_entry *scratch = realloc(w->scratch, capacity * sizeof(*scratch));
    if (!scratch) return false;
    w->scratch = scratch;
    w->scratch_capacity = capacity;
    return true;
}

/* Keys of a record that is being judged: envelope key and entry keys must also differ among
 * themselves. */
bool write_is_key_in_scratch(const struct write *w, uint32_t count, const struct id128 *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if ((w->scratch[i].flags & SIGNAL_HAS_KEY) && id128_equal(&w->scratch[i].key, key)) {
            return true;
        }
    }
    return false;
}

struct state_growth write_growth_of(const struct write *w, uint32_t count)
{
    struct state_growth growth = {.entries = count, .edges = edges_judged(w)};
    for (uint32_t i = 0; i < count; i++) {
        growth.key_bytes += w->scratch[i].item.size + w->scratch[i].user.size;
    }
    return growth;
}

/* Remember the keys and the producer of the record just encoded. */
static enum code note_in_overlay(struct write *w, const struct record_envelope *envelope,
                                 uint32_t count, struct err *e)
{
    uint32_t keys = 0;
    bool is_ok = true;
    if (envelope->flags & ENVELOPE_KEY) {
        is_ok = overlay_add_key(&w->overlay, &envelope->key, w->assigned);
        keys += is_ok;
    }
    for (uint32_t i = 0; i < count && is_ok; i++) {
        if (!(w->scratch[i].flags & SIGNAL_HAS_KEY)) continue;
        is_ok = overlay_add_key(&w->overlay, &w->scratch[i].key, w->assigned);
        keys += is_ok;
    }
    if (is_ok && (envelope->flags & ENVELOPE_PRODUCER)) {
        is_ok = overlay_set_producer(&w->overlay, envelope->producer, envelope->producer_number,
                                     w->assigned);
    }
    if (is_ok) return OK;
    overlay_drop_newest_keys(&w->overlay, keys);
    return ERR(e, E_BUSY, "too many writes with keys or producers are in flight; try again");
}

/* Append a record and remember what its envelope and the first entries of the scratch say. E_BUSY
 * with an empty text: stalled. */
static enum code append_record(struct write *w, const struct record *r, uint32_t key_count,
                               struct err *e)
{
    e->text[0] = '\0';
    (void)group_base_ms(w);
    size_t before = w->group.record_count > 0 ? bytes_written(&w->group.writer) : 0;
    TRY(group_add(w, r, false, e));
    enum code code = note_in_overlay(w, &r->envelope, key_count, e);
    if (code != OK) group_drop_newest(w, before);
    return code;
}

enum code write_append(struct write *w, const struct record *r, uint32_t key_count,
                       const struct state_growth *growth, struct err *e)
{
    TRY(gate_room(w, growth, e));
    TRY(append_record(w, r, key_count, e));
    growth_add(&w->open_growth, growth);
    return OK;
}

/* Encode scratch[0..count-1] as one record and remember it. E_BUSY with an empty text: stalled. */
enum code write_append_signals(struct write *w, const struct record_envelope *envelope,
                               uint32_t count, struct err *e)
{
    struct state_growth growth = write_growth_of(w, count);
    TRY(gate_room(w, &growth, e));
    e->text[0] = '\0';
    (void)group_base_ms(w);
    size_t before = w->group.record_count > 0 ? bytes_written(&w->group.writer) : 0;
    TRY(group_add_signals(w, envelope->flags ? envelope : NULL, w->scratch, count, e));
    if (envelope->flags || count > 0) {
        enum code code = note_in_overlay(w, envelope, count, e);
        if (code != OK) {
            group_drop_newest(w, before);
            return code;
        }
    }
    growth_add(&w->open_growth, &growth);
    return OK;
}

bool write_is_stalled(enum code code, const struct err *e)
{
    return code == E_BUSY && e->text[0] == '\0';
}

/* Key before producer: a duplicate key answers with its own first write. */
enum code write_judge_envelope(struct write *w, struct op *op, struct judgement *out, struct err *e)
{
    struct record_envelope *envelope = &out->envelope;
    out->envelope = (struct record_envelope){0};
    out->duplicate.is_duplicate = false;
    w->is_record_kept = op->record_key.size > 0 || op->producer.size > 0;
    if (op->record_key.size > 0) {
        TRY(gate_key(w, op->record_key, &envelope->key, &out->duplicate, e));
        if (!out->duplicate.is_duplicate) envelope->flags |= ENVELOPE_KEY;
    }
    if (op->producer.size == 0) return OK;
    struct gate_answer newest;
    TRY(gate_producer(w, op->producer, op->number, &newest, e));
    if (!newest.is_duplicate) {
        envelope->flags |= ENVELOPE_PRODUCER;
        envelope->producer = op->producer;
        envelope->producer_number = op->number;
    } else if (!out->duplicate.is_duplicate) {
        out->duplicate = newest;
    }
    return OK;
}

/* Judge one entry into scratch[*count]; an entry that is a duplicate, or one that would change
 * nothing, is left out and answered in *duplicate. */
enum code write_judge_entry(struct write *w, const struct op_entry *entry, uint32_t *count,
                            struct gate_answer *duplicate, struct err *e)
{
    duplicate->is_duplicate = false;
    struct signal_entry *out = &w->scratch[*count];
    const struct signal_type *type = NULL;
    TRY(gate_entry(w, entry, out, &type, e));
    if (entry->key.size > 0) {
        struct id128 key;
        TRY(gate_key(w, entry->key, &key, duplicate, e));
        if (duplicate->is_duplicate) return OK;
        if (write_is_key_in_scratch(w, *count, &key)) {
            return ERR(e, E_INVALID, "one record names the same idempotency key twice");
        }
        out->key = key;
        out->flags |= SIGNAL_HAS_KEY;
    }
    TRY(edges_judge_signal(w, type, out, duplicate, e));
    *count += !duplicate->is_duplicate;
    return OK;
}

/* A record without an effect of its own: it moves the producer on. Without a producer in the
 * envelope nothing is appended. */
enum code write_append_producer(struct write *w, const struct record_envelope *envelope,
                                struct err *e)
{
    if (!(envelope->flags & ENVELOPE_PRODUCER)) return OK;
    struct record r = {.kind = RECORD_PRODUCER,
                       .envelope = {.flags = ENVELOPE_PRODUCER,
                                    .producer = envelope->producer,
                                    .producer_number = envelope->producer_number}};
    return append_record(w, &r, 0, e);
}

/* Answer with the first write. The producer's number is used up all the same: it goes on behind a
 * write that was there already. */
enum code write_finish_duplicate(struct write *w, struct tide_run *run, struct op *op,
                                 const struct judgement *j, struct err *e)
{
    TRY(write_append_producer(w, &j->envelope, e));
    op->result = j->duplicate.result;
    write_accept_duplicate(run, op, j->duplicate.waits);
    if (j->envelope.flags & ENVELOPE_PRODUCER) run->pending = seqno_max(run->pending, w->assigned);
    return OK;
}

/* OP_SIGNAL. The hot path. */
static enum code do_signal(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    struct judgement j;
    uint32_t count = 0;
    if (!write_take_scratch(w, 1)) return ERR(e, E_NOMEMORY, "no memory for a signal");
    TRY(write_judge_envelope(w, op, &j, e));
    if (!j.duplicate.is_duplicate) {
        TRY(write_judge_entry(w, &op->entry, &count, &j.duplicate, e));
    }
    if (j.duplicate.is_duplicate) return write_finish_duplicate(w, run, op, &j, e);
    TRY(write_append_signals(w, &j.envelope, count, e));
    write_accept(run, op, w->assigned);
    return OK;
}

/* OP_SIGNALS: n entries, one record, one answer. Keys of single entries are not offered here. */
static enum code do_signals(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    struct judgement j;
    uint32_t count = 0;
    const struct op_entry *entries = op->more;
    if (op->count == 0) return ERR(e, E_INVALID, "a record needs at least one signal");
    if (!write_take_scratch(w, op->count)) {
        return ERR(e, E_NOMEMORY, "no memory for %u signals", op->count);
    }
    TRY(write_judge_envelope(w, op, &j, e));
    if (j.duplicate.is_duplicate) return write_finish_duplicate(w, run, op, &j, e);
    for (uint32_t i = 0; i < op->count; i++) {
        TRY(write_judge_entry(w, &entries[i], &count, &j.duplicate, e));
        if (j.duplicate.is_duplicate && entries[i].key.size > 0) {
            return ERR(e, E_INVALID, "give the idempotency key of the whole record");
        }
    }
    if (count == 0) return write_finish_duplicate(w, run, op, &j, e);
    TRY(write_append_signals(w, &j.envelope, count, e));
    write_accept(run, op, w->assigned);
    return OK;
}

/* --- schema and producers --- */

static enum code do_schema(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    struct signal_type type;
    bool exists;
    TRY(gate_schema(w, op->more, &type, &exists, e));
    if (exists) {
        /* The same definition again: answer with what is known now; a pending one waits. */
        seqno pending = state_position(w->db->state).seqno;
        (void)overlay_find_type(&w->overlay, slice_of_text(type.name), &pending);
        write_accept(run, op, pending);
        op->result.is_duplicate = true;
        return OK;
    }
    struct record r = {
        .kind = RECORD_SCHEMA,
        .as.schema = {.subject = SCHEMA_SIGNAL,
                      .id = type.id,
                      .name = slice_of_text(type.name),
                      .mode = type.mode,
                      .polarity = type.polarity,
                      .windows = type.windows,
                      .halflife_count = type.halflife_count},
    };
    memcpy(r.as.schema.halflives_ms, type.halflives_ms, sizeof(type.halflives_ms));
    if (w->overlay.type_count == PENDING_TYPES_MAX) {
        return ERR(e, E_BUSY, "%u schema changes are in flight; try again", PENDING_TYPES_MAX);
    }
    e->text[0] = '\0';
    TRY(group_add(w, &r, false, e));
    bool is_added = overlay_add_type(&w->overlay, &type, w->assigned);
    ASSERT(is_added);
    write_accept(run, op, w->assigned);
    return OK;
}

static enum code do_field(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    struct schema_field field;
    bool exists;
    TRY(gate_field(w, op->entry.type, op->number, &field, &exists, e));
    if (exists) {
        seqno pending = state_position(w->db->state).seqno;
        (void)overlay_find_field(&w->overlay, slice_of_text(field.name), &pending);
        write_accept(run, op, pending);
        op->result.is_duplicate = true;
        return OK;
    }
    struct record r = {
        .kind = RECORD_SCHEMA,
        .as.schema = {.subject = SCHEMA_FIELD,
                      .id = field.id,
                      .name = slice_of_text(field.name),
                      .field_kind = field.kind},
    };
    if (!state_can_declare(w->db->state, &field)) {
        return ERR(e, E_NOMEMORY, "memory_max is %llu bytes and indexing the field could exceed it",
                   (unsigned long long)w->db->config.memory_max);
    }
    e->text[0] = '\0';
    TRY(group_add(w, &r, false, e));
    overlay_add_field(&w->overlay, &field, w->assigned);
    write_accept(run, op, w->assigned);
    return OK;
}

static enum code do_producer_skip(struct write *w, struct tide_run *run, struct op *op,
                                  struct err *e)
{
    struct judgement j;
    if (op->producer.size == 0) {
        return ERR(e, E_LIMIT, "the producer id has 0 bytes; 1 to 255 are allowed");
    }
    TRY(write_judge_envelope(w, op, &j, e));
    if (j.duplicate.is_duplicate) return write_finish_duplicate(w, run, op, &j, e);
    TRY(write_append_producer(w, &j.envelope, e));
    write_accept(run, op, w->assigned);
    return OK;
}

static enum code do_unsignal(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    struct judgement j;
    struct record r;
    TRY(write_judge_envelope(w, op, &j, e));
    if (!j.duplicate.is_duplicate) {
        TRY(edges_judge_undo(w, &op->entry, false, &r, &j.duplicate, e));
    }
    if (j.duplicate.is_duplicate) return write_finish_duplicate(w, run, op, &j, e);
    struct state_growth growth = {.edges = edges_judged(w)};
    r.envelope = j.envelope;
    TRY(write_append(w, &r, 0, &growth, e));
    write_accept(run, op, w->assigned);
    return OK;
}

/* The whole list with one change; it ends its batch. */
static enum code do_member(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    struct record r = {.kind = RECORD_MEMBERS};
    bool is_same = false;
    TRY(voters_judge(w->db, op, w->members_pending, &r.as.members, &is_same, e));
    if (is_same) {
        write_accept(run, op, state_position(w->db->state).seqno);
        op->result.is_duplicate = true;
        return OK;
    }
    e->text[0] = '\0';
    TRY(group_add(w, &r, false, e));
    w->members_pending = w->assigned;
    write_accept(run, op, w->assigned);
    return OK;
}

static enum code do_op(struct write *w, struct tide_run *run, struct op *op, struct err *e)
{
    switch ((enum op_kind)op->kind) {
    case OP_SIGNAL: return do_signal(w, run, op, e);
    case OP_SIGNALS: return do_signals(w, run, op, e);
    case OP_UNSIGNAL: return do_unsignal(w, run, op, e);
    case OP_SCHEMA_SIGNAL: return do_schema(w, run, op, e);
    case OP_SCHEMA_FIELD: return do_field(w, run, op, e);
    case OP_ENTITY_PUT:
    case OP_ENTITY_DELETE: return entity_write(w, run, op, e);
    case OP_PRODUCER_SKIP: return do_producer_skip(w, run, op, e);
    case OP_MEMBER_ADD:
    case OP_MEMBER_REMOVE: return do_member(w, run, op, e);
    case OP_GROUP_END: return ERR(e, E_INVALID, "a group was ended that was not begun");
    default: break;
    }
    UNREACHABLE();
}

void write_refuse(struct tide_run *run, enum code code, const char *message)
{
    struct err e = {.code = code};
    size_t size = strlen(message);
    if (size > sizeof(e.text) - 1) size = sizeof(e.text) - 1;
    memcpy(e.text, message, size);
    uint32_t end = run->cursor;
    if (run->ops[end].kind == OP_GROUP_BEGIN) {
        end = multi_end(run, end);
        if (end == run->count) end--;
    }
    for (; run->cursor <= end; run->cursor++) {
        write_refuse_op(run, &run->ops[run->cursor], &e);
    }
}

bool write_op(struct write *w, struct tide_run *run)
{
    struct op *op = &run->ops[run->cursor];
    struct err e = {.code = OK};
    uint32_t end = run->cursor;
    enum code code;
    w->edges_mark = w->edges.tail;
    if (op->kind == OP_GROUP_BEGIN) {
        end = multi_end(run, run->cursor);
        code = multi_write(w, run, run->cursor, end, &e);
        if (end == run->count) end--;
    } else {
        code = do_op(w, run, op, &e);
        if (code != OK) pending_edges_drop(&w->edges, w->edges_mark);
    }
    if (write_is_stalled(code, &e)) {
        w->is_anyone_waiting = true;
        return false;
    }
    if (code != OK) write_refuse_op(run, op, &e);
    run->cursor = end + 1;
    return true;
}

/* --- records without a client's cause --- */

enum code write_mark(struct write *w, uint8_t reason, seqno *out)
{
    struct err e = {.code = OK};
    struct record r = {.kind = RECORD_MARK, .as.mark = {.reason = reason}};
    TRY(group_add(w, &r, true, &e));
    *out = w->assigned;
    return OK;
}

enum code write_digest(struct write *w, const struct record_digest *digest)
{
    struct err e = {.code = OK};
    struct record r = {.kind = RECORD_DIGEST, .as.digest = *digest};
    return group_add(w, &r, true, &e);
}

enum code write_tick(struct write *w)
{
    struct err e = {.code = OK};
    struct record r = {.kind = RECORD_TICK, .as.tick = {.now_ms = group_base_ms(w)}};
    return group_add(w, &r, true, &e);
}

/* --- closing --- */

static void delay_over(struct env_timer *timer)
{
    struct write *w = CONTAINER_OF(timer, struct write, delay_timer);
    w->is_delay_running = false;
    db_feed_log(w->db);
}

static void start_delay(struct write *w, uint64_t delay_ns)
{
    struct env *env = w->db->env;
    if (w->is_delay_running) return;
    w->is_delay_running = true;
    w->delay_timer.fire = delay_over;
    env->v->timer_start(env, &w->delay_timer, delay_ns);
}

uint64_t write_slow_ns(const struct db *db)
{
    uint64_t disk_ns = disk_slow_ns(db->disk);
    uint64_t voters_ns = db->shipper ? shipper_slow_ns(db->shipper) : 0;
    return disk_ns > voters_ns ? disk_ns : voters_ns;
}

/* Writers are slowed by a wait between groups: what is left of it; 0: none. */
static uint64_t throttle_ns(const struct write *w)
{
    const struct db *db = w->db;
    uint64_t slow_ns = write_slow_ns(db);
    if (slow_ns == 0 || db->condition != DB_SERVING) return 0;
    uint64_t passed_ns = db->env->v->now_mono_ns(db->env) - w->closed_ns;
    return passed_ns < slow_ns ? slow_ns - passed_ns : 0;
}

void write_flush(struct write *w)
{
    struct db *db = w->db;
    if (w->group.record_count == 0) return;
    if (!log_is_writing(db->log)) {
        uint64_t left_ns = throttle_ns(w);
        if (left_ns > 0) {
            start_delay(w, left_ns);
            return;
        }
    }
    struct group_facts facts = {
        .record_count = w->group.record_count,
        .is_log_busy = log_is_writing(db->log),
        .must_close = w->group.must_close,
        .is_anyone_waiting = w->is_anyone_waiting,
        .delay_ns = db->config.commit_delay_ns,
    };
    if (facts.delay_ns > 0) facts.age_ns = db->env->v->now_mono_ns(db->env) - w->group.opened_ns;
    switch (group_decide(&facts)) {
    case GROUP_KEEP: return;
    case GROUP_DELAY: start_delay(w, facts.delay_ns - facts.age_ns); return;
    case GROUP_CLOSE: break;
    }
    struct log_chunk *chunk = group_close(w);
    if (!chunk) { /* no memory: perhaps nothing else will happen, and somebody waits */
        start_delay(w, NO_MEMORY_DELAY_NS);
        return;
    }
    w->is_anyone_waiting = false;
    w->closed_ns = db->env->v->now_mono_ns(db->env);
    if (stages_is_sample(&db->stages)) {
        stages_begin(db, STAGE_APPEND, w->group.opened_ns, chunk->batches[0].end.seqno);
    }
    db_write_chunk(db, chunk);
}

void write_on_applied(struct write *w, seqno applied)
{
    overlay_applied(&w->overlay, applied);
    if (w->members_pending.v <= applied.v) w->members_pending = SEQNO_NONE;
    pending_edges_applied(&w->edges, applied);
    uint32_t gone = 0;
    while (gone < w->closed_growth_count && w->closed_growth[gone].last.v <= applied.v) {
        gone++;
    }
    w->closed_growth_count -= gone;
    memmove(w->closed_growth, w->closed_growth + gone,
            w->closed_growth_count * sizeof(w->closed_growth[0]));
}

/* --- while opening --- */

static enum code flush_now(struct write *w, struct err *e)
{
    struct log_chunk *chunk = group_close(w);
    if (!chunk) return ERR(e, E_NOMEMORY, "no memory to write the log");
    chunk_ref(chunk);
    enum code code = log_write_now(w->db->log, chunk, e);
    if (code == OK) db_apply_chunk(w->db, chunk);
    chunk_unref(w->db->log, chunk);
    TRY(code);
    if (w->db->condition == DB_SERVING) return OK;
    if (e) *e = w->db->reason;
    return w->db->reason.code;
}

enum code write_epoch_start_now(struct write *w, const struct record_epoch_start *start,
                                struct err *e)
{
    struct record r = {.kind = RECORD_EPOCH_START, .as.epoch_start = *start};
    TRY(group_add(w, &r, true, e));
    return flush_now(w, e);
}

enum code write_epoch_start(struct write *w, const struct record_epoch_start *start, seqno *out,
                            struct err *e)
{
    struct record r = {.kind = RECORD_EPOCH_START, .as.epoch_start = *start};
    ASSERT(w->group.record_count == 0);
    TRY(group_add(w, &r, true, e));
    w->group.must_close = true; /* alone in its batch */
    *out = w->assigned;
    db_feed_log(w->db);
    return OK;
}

/* The types a new database knows; see INTERFACE: never code, always records of its log. */
enum code write_schemas_now(struct write *w, struct err *e)
{
    static const struct {
        const char *name;
        uint8_t mode;
        uint8_t polarity;
    } built_in[] = {
        {"view", SIGNAL_MODE_COUNT, POLARITY_POSITIVE},
        {"click", SIGNAL_MODE_COUNT, POLARITY_POSITIVE},
        {"share", SIGNAL_MODE_COUNT, POLARITY_POSITIVE},
        {"comment", SIGNAL_MODE_COUNT, POLARITY_POSITIVE},
        {"purchase", SIGNAL_MODE_COUNT, POLARITY_POSITIVE},
        {"commit", SIGNAL_MODE_COUNT, POLARITY_POSITIVE},
        {"skip", SIGNAL_MODE_COUNT, POLARITY_NEGATIVE},
        {"like", SIGNAL_MODE_ONCE, POLARITY_POSITIVE},
        {"save", SIGNAL_MODE_ONCE, POLARITY_POSITIVE},
        {"dislike", SIGNAL_MODE_ONCE, POLARITY_NEGATIVE},
    };
    for (uint32_t i = 0; i < COUNT_OF(built_in); i++) {
        struct record r = {
            .kind = RECORD_SCHEMA,
            .as.schema = {.subject = SCHEMA_SIGNAL,
                          .id = i + 1,
                          .name = slice_of_text(built_in[i].name),
                          .mode = built_in[i].mode,
                          .polarity = built_in[i].polarity,
                          .windows = WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_ALL,
                          .halflife_count = 1,
                          .halflives_ms = {7ULL * 86400000}},
        };
        TRY(group_add(w, &r, true, e));
    }
    return flush_now(w, e);
}
