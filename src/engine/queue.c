/* queue: see queue.h. Reads are in engine/read.c, writes in engine/write.c. */
#include "engine/queue.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/text.h"
#include "engine/disk.h"
#include "engine/levels.h"
#include "engine/read.h"
#include "engine/role.h"
#include "engine/waits.h"
#include "engine/write.h"

/* Ends of recently applied batches, a ring. A run appends only while it is not parked, and whenever
 * it is taken up again the positions of what was applied meanwhile are filled in: few suffice. */
#define RECENT_BATCHES 1024u

struct recent_batch {
    seqno first;
    seqno last;
    uint64_t epoch;
    uint8_t chain4[4];
};

struct run_list {
    struct tide_run *head;
    struct tide_run **tail;
};

struct run_queue {
    struct db *db;
    struct run_list applied; /* wait for their pending writes, in order of arrival */
    struct run_list stalled; /* wait for room in the group */
    uint32_t own_count;      /* runs whose operation waits on its own (digest, checkpoint ...) */
    struct recent_batch recent[RECENT_BATCHES];
    uint64_t recent_count;
    bool is_releasing;
};

static void list_init(struct run_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void list_add(struct run_list *list, struct tide_run *run)
{
    run->next = NULL;
    *list->tail = run;
    list->tail = &run->next;
}

static struct tide_run *list_take(struct run_list *list)
{
    struct tide_run *run = list->head;
    if (!run) return NULL;
    list->head = run->next;
    if (!list->head) list->tail = &list->head;
    return run;
}

struct run_queue *queue_new(struct db *db)
{
    struct run_queue *q = calloc(1, sizeof(*q));
    if (!q) return NULL;
    q->db = db;
    list_init(&q->applied);
    list_init(&q->stalled);
    return q;
}

void queue_free(struct run_queue *q)
{
    if (!q) return;
    free(q);
}

bool queue_is_empty(const struct run_queue *q)
{
    return !q->applied.head && !q->stalled.head && q->own_count == 0 &&
           waits_is_empty(q->db->waits) && levels_is_empty(q->db->levels);
}

/* --- positions --- */

void queue_note_batch(struct run_queue *q, const struct batch_header *header,
                      const struct position *end)
{
    struct recent_batch *b = &q->recent[q->recent_count++ % RECENT_BATCHES];
    b->first = header->first;
    b->last = end->seqno;
    b->epoch = end->epoch;
    memcpy(b->chain4, end->chain.bytes, sizeof(b->chain4));
}

static const struct recent_batch *find_recent(const struct run_queue *q, uint64_t s)
{
    uint64_t kept = q->recent_count < RECENT_BATCHES ? q->recent_count : RECENT_BATCHES;
    for (uint64_t i = 1; i <= kept; i++) {
        const struct recent_batch *b = &q->recent[(q->recent_count - i) % RECENT_BATCHES];
        if (b->first.v <= s && s <= b->last.v) return b;
    }
    return NULL;
}

static void fill_position(const struct run_queue *q, struct tide_position *p)
{
    const struct recent_batch *b = find_recent(q, p->seqno);
    struct position at = state_position(q->db->state);
    p->epoch = b ? b->epoch : at.epoch;
    memcpy(p->chain4, b ? b->chain4 : at.chain.bytes, sizeof(p->chain4));
}

/* Of the run's writes that are applied, from the first one that waits. */
static void fill_positions(struct run_queue *q, struct tide_run *run)
{
    uint64_t applied = state_position(q->db->state).seqno.v;
    for (; run->filled < run->cursor; run->filled++) {
        struct op *op = &run->ops[run->filled];
        if (!op->is_waiting) continue;
        if (op->result.as.position.seqno > applied) return;
        fill_position(q, &op->result.as.position);
        op->is_waiting = false;
    }
}

/* --- carrying on --- */

void queue_end_run(struct tide_run *run)
{
    run->is_submitted = false;
    run->callback(run, run->callback_arg);
}

static bool is_pending(const struct run_queue *q, const struct tide_run *run)
{
    if (run->pending.v == 0) return false;
    return run->pending.v > state_position(q->db->state).seqno.v;
}

/* Why this node takes no writes now; NULL: it does. */
static const char *write_obstacle(const struct db *db, enum code *out_code, char *text, size_t size)
{
    struct text t = text_of(text, size);
    if (db->identity.role == ROLE_FOLLOWER && db->condition != DB_CLOSING) {
        *out_code = PLANTED(26) ? OK : E_READONLY; /* planted: a follower says yes to writes */
        const char *leader = db->identity.leader_data_address;
        if (leader[0]) {
            text_add(&t, "this node is a follower; write to the leader at %s", leader);
        } else {
            text_add(&t, "this node is a follower and has not reached its leader yet");
        }
        return text;
    }
    if (db->condition == DB_SERVING && disk_refuses(db->disk)) {
        struct err e = {.code = OK};
        *out_code = disk_refusal(db->disk, &e);
        text_add(&t, "%s", e.text);
        return text;
    }
    if (db->condition == DB_SERVING) {
        const char *unable = role_obstacle(db);
        if (!unable) return NULL;
        *out_code = E_LOADING;
        text_add(&t, "%s", unable);
        return text;
    }
    *out_code = db->reason.code;
    if (db->condition == DB_POISONED) *out_code = E_POISONED;
    if (db->condition == DB_CLOSING) *out_code = E_CLOSED;
    text_add(&t, "%s", db->reason.text[0] ? db->reason.text : "the database is closing");
    return text;
}

/* One write operation. False: the run was parked. */
static bool advance_write(struct run_queue *q, struct tide_run *run)
{
    char text[ERR_TEXT_SIZE];
    enum code code = OK;
    if (role_holds_writes(q->db) && q->db->condition == DB_SERVING) {
        list_add(&q->stalled, run);
        return false;
    }
    const char *obstacle = write_obstacle(q->db, &code, text, sizeof(text));
    if (obstacle) {
        write_refuse(run, code, obstacle);
        return true;
    }
    struct err e = {.code = OK};
    uint32_t first = run->cursor;
    if (levels_judge(q->db->levels, &run->ops[first], &e) != OK) {
        write_refuse(run, e.code, e.text);
        return true;
    }
    if (!write_op(q->db->write, run)) {
        list_add(&q->stalled, run);
        return false;
    }
    levels_note(q->db->levels, run, first);
    return true;
}

/* One other operation. False: the run was parked. */
static bool advance_read(struct run_queue *q, struct tide_run *run)
{
    if (is_pending(q, run)) {
        list_add(&q->applied, run);
        return false;
    }
    struct op *op = &run->ops[run->cursor];
    if (q->db->state) fill_positions(q, run);
    enum wait_verdict verdict = waits_judge(q->db->waits, run, op);
    if (verdict == WAIT_PARKED) return false;
    if (verdict == WAIT_GO) {
        q->own_count++; /* before: what ends at once resumes the run from in there */
        if (!read_op(q->db, run, op)) return false;
        q->own_count--;
    }
    run->cursor++;
    run->filled = run->cursor;
    return true;
}

void queue_advance(struct run_queue *q, struct tide_run *run)
{
    while (run->cursor < run->count) {
        bool is_write = op_is_write((enum op_kind)run->ops[run->cursor].kind);
        if (!(is_write ? advance_write(q, run) : advance_read(q, run))) return;
    }
    if (is_pending(q, run)) {
        list_add(&q->applied, run);
        return;
    }
    if (q->db->state) fill_positions(q, run);
    if (!levels_park(q->db->levels, run)) queue_end_run(run);
}

/* Outside of a burst: what the run writes next must find somebody who flushes it. */
void queue_carry_on(struct run_queue *q, struct tide_run *run)
{
    queue_advance(q, run);
    q->db->env->v->post(q->db->env, &q->db->flush_task);
}

void queue_resume(struct run_queue *q, struct tide_run *run)
{
    ASSERT(q->own_count > 0);
    q->own_count--;
    run->cursor++;
    run->filled = run->cursor;
    queue_carry_on(q, run);
}

static void retry_stalled(struct run_queue *q)
{
    struct run_list stalled = q->stalled;
    if (!stalled.head) return;
    list_init(&q->stalled); /* those without room are parked here again, in order */
    struct tide_run *run = stalled.head;
    while (run) {
        struct tide_run *next = run->next;
        fill_positions(q, run);
        queue_advance(q, run);
        run = next;
    }
}

void queue_on_applied(struct run_queue *q)
{
    if (q->is_releasing) return; /* a callback submitted more; the outer loop goes on */
    q->is_releasing = true;
    seqno applied = state_position(q->db->state).seqno;
    while (q->applied.head && q->applied.head->pending.v <= applied.v) {
        queue_advance(q, list_take(&q->applied));
    }
    retry_stalled(q);
    waits_on_applied(q->db->waits);
    q->is_releasing = false;
}

void queue_on_ack(struct run_queue *q, uint32_t slot)
{
    levels_on_progress(q->db->levels, slot);
    waits_on_ack(q->db->waits);
}

/* --- the end --- */

void queue_fail_run(struct run_queue *q, struct tide_run *run, enum code code, const char *why)
{
    for (uint32_t i = run->filled; i < run->count; i++) {
        struct op *op = &run->ops[i];
        if (i < run->cursor && !op->is_waiting) continue;
        char *message = run_take(run, strlen(why) + 1);
        if (message) memcpy(message, why, strlen(why) + 1);
        enum tide_code told = (enum tide_code)code;
        struct tide_position position = {0};
        if (op->is_waiting) {
            told = TIDE_UNKNOWN;
            position = op->result.as.position;
            position.epoch = q->db->epoch.number;
        }
        op->result = (struct tide_result){
            .code = told,
            .kind = op->is_waiting ? TIDE_RESULT_POSITION : TIDE_RESULT_NONE,
            .as.position = position,
            .message = message ? message : "no memory for the error's text",
        };
        op->is_waiting = false;
    }
    levels_fail_run(q->db->levels, run, why);
    run->cursor = run->count;
    run->filled = run->count;
    queue_end_run(run);
}

void queue_fail_all(struct run_queue *q, enum code code, const char *why)
{
    struct run_list lists[2] = {q->applied, q->stalled};
    list_init(&q->applied);
    list_init(&q->stalled);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct tide_run *run = lists[i].head;
        while (run) {
            struct tide_run *next = run->next;
            queue_fail_run(q, run, code, why);
            run = next;
        }
    }
    levels_fail_all(q->db->levels, why);
    bool is_end = code == E_CLOSED || code == E_LOADING;
    if (is_end) waits_fail_all(q->db->waits, code, why); /* else WAIT can still be satisfied */
}
