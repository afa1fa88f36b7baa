/* write_multi: everything between tide_run_begin and tide_run_end is one record: all of it is
 * judged before any of it is appended, and one refusal refuses it all. Signals alone become one
 * signal record; with other writes among them it is a group record that holds, in their order, a
 * signal record for each run of signals and a record for each other write. */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/write_internal.h"

uint32_t multi_end(const struct tide_run *run, uint32_t begin)
{
    uint32_t i = begin + 1;
    while (i < run->count && run->ops[i].kind != OP_GROUP_END) {
        i++;
    }
    return i;
}

/* What a group has in it. */
struct group_counts {
    uint32_t entries; /* signal entries */
    uint32_t others;  /* writes of other kinds */
};

static bool is_entity_write(const struct op *op)
{
    return op->kind == OP_ENTITY_PUT || op->kind == OP_ENTITY_DELETE;
}

static enum code count_group(const struct tide_run *run, uint32_t begin, uint32_t end,
                             struct group_counts *out, struct err *e)
{
    uint64_t entries = 0;
    *out = (struct group_counts){0};
    if (end == run->count) return ERR(e, E_INVALID, "a group was begun and not ended");
    for (uint32_t i = begin + 1; i < end; i++) {
        const struct op *op = &run->ops[i];
        if (is_entity_write(op) || op->kind == OP_UNSIGNAL) {
            out->others++;
        } else if (op->kind == OP_SIGNAL || op->kind == OP_SIGNALS) {
            entries += op->kind == OP_SIGNAL ? 1 : op->count;
        } else {
            return ERR(
                e, E_UNSUPPORTED,
                "only signals, their undo, puts and deletions can be written inside MULTI in "
                "this version");
        }
    }
    if (entries > SIGNAL_ENTRIES_MAX) {
        return ERR(e, E_LIMIT, "%llu signals in one record; the limit is %u",
                   (unsigned long long)entries, SIGNAL_ENTRIES_MAX);
    }
    out->entries = (uint32_t)entries;
    return OK;
}

static enum code refuse_producer(const struct op *op, struct err *e)
{
    if (op->producer.size == 0) return OK;
    return ERR(e, E_UNSUPPORTED,
               "PRODUCER inside MULTI belongs to the whole record, not to one entry");
}

/* Judge the signals of one operation; duplicates are answered at once and left out of the record.
 */
static enum code judge_member(struct write *w, struct op *op, uint32_t *count, struct err *e)
{
    struct gate_answer duplicate = {0};
    TRY(refuse_producer(op, e));
    if (op->kind == OP_SIGNAL) {
        struct op_entry entry = op->entry;
        if (entry.key.size == 0) entry.key = op->record_key;
        TRY(write_judge_entry(w, &entry, count, &duplicate, e));
        if (!duplicate.is_duplicate) return OK;
        op->result = duplicate.result;
        op->is_waiting = duplicate.waits;
        return OK;
    }
    if (op->record_key.size > 0) {
        return ERR(e, E_UNSUPPORTED, "KEY on SIGNALS inside MULTI is not in this version");
    }
    const struct op_entry *entries = op->more;
    uint32_t before = *count;
    for (uint32_t i = 0; i < op->count; i++) {
        TRY(write_judge_entry(w, &entries[i], count, &duplicate, e));
        if (duplicate.is_duplicate && entries[i].key.size > 0) {
            return ERR(e, E_INVALID, "keys of single entries are not offered in SIGNALS");
        }
    }
    if (*count > before || op->count == 0) return OK;
    op->result = duplicate.result;
    op->is_waiting = duplicate.waits;
    return OK;
}

static void abort_group(struct tide_run *run, uint32_t begin, uint32_t end, uint32_t guilty,
                        const struct err *e)
{
    struct err other = *e;
    if (guilty != begin) {
        /* Some clients show only the first error of a transaction: it says what was wrong. */
        (void)ERR(&other, E_INVALID, "nothing was written: command %u of this MULTI: %s",
                  (unsigned)(guilty - begin), e->text);
    }
    for (uint32_t i = begin; i <= end && i < run->count; i++) {
        run->ops[i].is_waiting = false;
        write_refuse_op(run, &run->ops[i], i == guilty ? e : &other);
    }
}

/* Duplicates answer with their first write, the rest with the record just appended, if any. */
static void accept_group(struct write *w, struct tide_run *run, uint32_t begin, uint32_t end,
                         bool is_appended)
{
    for (uint32_t i = begin; i <= end; i++) {
        struct op *op = &run->ops[i];
        if (op->result.is_duplicate) {
            write_accept_duplicate(run, op, op->is_waiting);
        } else if (is_appended) {
            write_accept(run, op, w->assigned);
        }
    }
}

/* The whole group was written before: each of its operations answers with that. */
static enum code repeat_group(struct write *w, struct tide_run *run, uint32_t begin, uint32_t end,
                              const struct judgement *j, struct err *e)
{
    TRY(write_finish_duplicate(w, run, &run->ops[begin], j, e));
    for (uint32_t i = begin + 1; i <= end; i++) {
        run->ops[i].result = j->duplicate.result;
        write_accept_duplicate(run, &run->ops[i], j->duplicate.waits);
    }
    return OK;
}

/* A group in a run: its begin and end, and the operation that was refused. */
struct group_span {
    uint32_t begin;
    uint32_t end;
    uint32_t guilty;
};

/* A group record under construction. Keys of all entries lie in the scratch; another write with a
 * key stands there as an entry that is never encoded, so that all keys are compared and noted. */
struct members {
    struct bytes_writer writer;
    uint32_t count;   /* records written */
    uint32_t entries; /* entries in the scratch */
    uint32_t encoded; /* ... of which that many are written or stand for a key */
    struct state_growth growth;
};

static enum code flush_signals(struct write *w, struct members *m, struct err *e)
{
    uint32_t count = m->entries - m->encoded;
    if (count == 0) return OK;
    TRY(record_encode_signals(&m->writer, NULL, w->scratch + m->encoded, count, group_base_ms(w),
                              e));
    m->encoded = m->entries;
    m->count++;
    return OK;
}

/* The key of a write that is no signal; a duplicate is answered at once and left out. */
static enum code judge_member_key(struct write *w, struct op *op, struct members *m,
                                  struct record_envelope *out, struct err *e)
{
    struct gate_answer duplicate;
    if (op->record_key.size == 0) return OK;
    TRY(gate_key(w, op->record_key, &out->key, &duplicate, e));
    if (duplicate.is_duplicate) {
        op->result = duplicate.result;
        op->is_waiting = duplicate.waits;
        return OK;
    }
    if (write_is_key_in_scratch(w, m->entries, &out->key)) {
        return ERR(e, E_INVALID, "one record names the same idempotency key twice");
    }
    w->scratch[m->entries++] = (struct signal_entry){.flags = SIGNAL_HAS_KEY, .key = out->key};
    m->encoded = m->entries;
    out->flags = ENVELOPE_KEY;
    return OK;
}

static enum code judge_entity_member(struct write *w, struct op *op, struct members *m,
                                     struct err *e)
{
    struct entity_write write;
    TRY(refuse_producer(op, e));
    TRY(flush_signals(w, m, e));
    struct record_envelope envelope = {0};
    TRY(judge_member_key(w, op, m, &envelope, e));
    if (op->result.is_duplicate) return OK;
    TRY(entity_judge_op(w, op, &write, e));
    write.record.envelope = envelope;
    TRY(record_encode(&m->writer, &write.record, group_base_ms(w), e));
    growth_add(&m->growth, &write.growth);
    m->count++;
    return OK;
}

/* An undo sees the signals before it. One that has nothing to take back is answered at once. */
static enum code judge_undo_member(struct write *w, struct op *op, struct members *m, struct err *e)
{
    struct record record;
    struct gate_answer answer = {0};
    struct record_envelope envelope = {0};
    TRY(refuse_producer(op, e));
    TRY(flush_signals(w, m, e));
    TRY(judge_member_key(w, op, m, &envelope, e));
    if (op->result.is_duplicate) return OK;
    TRY(edges_judge_undo(w, &op->entry, envelope.flags != 0, &record, &answer, e));
    if (answer.is_duplicate) {
        op->result = answer.result;
        op->is_waiting = answer.waits;
        return OK;
    }
    record.envelope = envelope;
    TRY(record_encode(&m->writer, &record, group_base_ms(w), e));
    m->count++;
    return OK;
}

static enum code judge_one(struct write *w, struct op *op, struct members *m, struct err *e)
{
    op->result = (struct tide_result){0};
    if (is_entity_write(op)) return judge_entity_member(w, op, m, e);
    if (op->kind == OP_UNSIGNAL) return judge_undo_member(w, op, m, e);
    return judge_member(w, op, &m->entries, e);
}

/* Judge every operation between begin and end. Signals end up in the scratch; when there are other
 * writes, all are written into m->writer. */
static enum code judge_members(struct write *w, struct tide_run *run, struct group_span *span,
                               struct members *m, struct err *e)
{
    for (uint32_t i = span->begin + 1; i < span->end; i++) {
        span->guilty = i;
        TRY(judge_one(w, &run->ops[i], m, e));
    }
    span->guilty = span->begin;
    return OK;
}

static enum code take_members(struct write *w, struct members *m, struct err *e)
{
    if (!w->members) w->members = malloc(RECORD_SIZE_MAX);
    if (!w->members) return ERR(e, E_NOMEMORY, "no memory for a group of writes");
    m->writer = bytes_writer_of(w->members, RECORD_SIZE_MAX);
    return OK;
}

static enum code append_members(struct write *w, const struct record_envelope *envelope,
                                struct members *m, struct err *e)
{
    TRY(flush_signals(w, m, e));
    struct record r = {.kind = RECORD_GROUP, .envelope = *envelope};
    r.as.group.count = m->count;
    r.as.group.records = bytes_reader_of(bytes_written_slice(&m->writer));
    struct state_growth growth = write_growth_of(w, m->entries);
    growth_add(&growth, &m->growth);
    TRY(write_append(w, &r, m->entries, &growth, e));
    pending_puts_keep(&w->puts, w->assigned);
    return OK;
}

static enum code write_group_record(struct write *w, struct tide_run *run, struct group_span *span,
                                    struct err *e)
{
    struct judgement j;
    struct group_counts counts;
    struct members m = {0};
    TRY(count_group(run, span->begin, span->end, &counts, e));
    if (!write_take_scratch(w, counts.entries + counts.others + 1)) {
        return ERR(e, E_NOMEMORY, "no memory for %u signals", counts.entries);
    }
    if (counts.others > 0) TRY(take_members(w, &m, e));
    pending_puts_begin(&w->puts);
    TRY(write_judge_envelope(w, &run->ops[span->begin], &j, e));
    if (j.duplicate.is_duplicate) return repeat_group(w, run, span->begin, span->end, &j, e);
    TRY(judge_members(w, run, span, &m, e));
    bool is_written = m.entries > 0 || m.count > 0;
    if (!is_written) {
        TRY(write_append_producer(w, &j.envelope, e));
        is_written = (j.envelope.flags & ENVELOPE_PRODUCER) != 0;
    } else if (counts.others > 0) {
        TRY(append_members(w, &j.envelope, &m, e));
    } else {
        TRY(write_append_signals(w, &j.envelope, m.entries, e));
    }
    accept_group(w, run, span->begin, span->end, is_written);
    return OK;
}

/* The whole group at the cursor. E_BUSY with an empty text: stalled, nothing changed. */
enum code multi_write(struct write *w, struct tide_run *run, uint32_t begin, uint32_t end,
                      struct err *e)
{
    struct group_span span = {.begin = begin, .end = end, .guilty = begin};
    enum code code = write_group_record(w, run, &span, e);
    if (code != OK) pending_edges_drop(&w->edges, w->edges_mark);
    if (code == OK || write_is_stalled(code, e)) return code;
    abort_group(run, begin, end, span.guilty, e);
    return OK;
}
