/* queue: see queue.h. Reads are in engine/read.c, writes in engine/write.c. */
#include "engine/queue.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/levels.h"
#include "engine/read.h"
#include "engine/read_position.h"
#include "engine/role.h"
#include "engine/shipper.h"
#include "engine/write.h"

/* Ends of recently applied batches, a ring. A run appends only while it is not parked, and whenever
 * it is taken up again the positions of what was applied meanwhile are filled in: few suffice. */
#define RECENT_BATCHES 1024u

/* Timeouts from here on (a hundred years) never come; their sum with the clock could overflow. */
#define TIMEOUT_MS_NEVER (UINT64_C(100) * 365 * 86400000)

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

/* One operation that waits for followers, or for this node to apply a position. */
struct waiter {
    struct waiter *next;
    struct tide_run *run;
    seqno at_least;
    uint32_t followers;
    bool is_position;     /* the operation's position is to be applied here */
    uint64_t deadline_ns; /* 0: none */
};

struct run_queue {
    struct db *db;
    struct run_list applied; /* wait for their pending writes, in order of arrival */
    struct run_list stalled; /* wait for room in the group */
    struct waiter *waiters;
    struct env_timer wait_timer;
    uint32_t own_count; /* runs whose operation waits on its own (digest, checkpoint ...) */
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
    q->db->env->v->timer_close(q->db->env, &q->wait_timer);
    while (q->waiters) {
        struct waiter *next = q->waiters->next;
        free(q->waiters);
        q->waiters = next;
    }
    free(q);
}

bool queue_is_empty(const struct run_queue *q)
{
    return !q->applied.head && !q->stalled.head && !q->waiters && q->own_count == 0 &&
           levels_is_empty(q->db->levels);
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
        *out_code = E_READONLY;
        const char *leader = db->identity.leader_data_address;
        if (leader[0]) {
            text_add(&t, "this node is a follower; write to the leader at %s", leader);
        } else {
            text_add(&t, "this node is a follower and has not reached its leader yet");
        }
        return text;
    }
    if (db->condition == DB_SERVING) return NULL; /* or role_holds_writes says to wait */
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

static bool start_wait(struct run_queue *q, struct tide_run *run, struct op *op);
static bool start_wait_position(struct run_queue *q, struct tide_run *run, struct op *op);
static void look_at_waiters(struct run_queue *q);

/* One other operation. False: the run was parked. */
static bool advance_read(struct run_queue *q, struct tide_run *run)
{
    if (is_pending(q, run)) {
        list_add(&q->applied, run);
        return false;
    }
    struct op *op = &run->ops[run->cursor];
    if (q->db->state) fill_positions(q, run);
    if (op->kind == OP_WAIT) {
        if (!start_wait(q, run, op)) return false;
    } else if (op->kind == OP_WAIT_POSITION) {
        if (!start_wait_position(q, run, op)) return false;
    } else if (!read_op(q->db, run, op)) {
        q->own_count++;
        return false;
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

/* Go on behind an operation that was answered on its own, outside of a burst: what the run writes
 * next must find somebody who flushes it. */
static void go_on(struct run_queue *q, struct tide_run *run)
{
    run->cursor++;
    run->filled = run->cursor;
    queue_advance(q, run);
    q->db->env->v->post(q->db->env, &q->db->flush_task);
}

void queue_resume(struct run_queue *q, struct tide_run *run)
{
    ASSERT(q->own_count > 0);
    q->own_count--;
    go_on(q, run);
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
    if (q->waiters) look_at_waiters(q);
    q->is_releasing = false;
}

/* --- WAIT --- */

static uint32_t stored_by(const struct run_queue *q, seqno s)
{
    return q->db->shipper ? shipper_count_stored(q->db->shipper, s) : 0;
}

static void answer_wait(struct tide_run *run, uint32_t followers)
{
    run->ops[run->cursor].result =
        (struct tide_result){.kind = TIDE_RESULT_INTEGER, .as.integer = followers};
}

static void wait_over(struct env_timer *timer)
{
    struct run_queue *q = CONTAINER_OF(timer, struct run_queue, wait_timer);
    look_at_waiters(q);
}

static void arm_wait_timer(struct run_queue *q)
{
    uint64_t first_ns = UINT64_MAX;
    for (const struct waiter *w = q->waiters; w; w = w->next) {
        if (w->deadline_ns != 0 && w->deadline_ns < first_ns) first_ns = w->deadline_ns;
    }
    if (first_ns == UINT64_MAX) return;
    uint64_t now_ns = q->db->env->v->now_mono_ns(q->db->env);
    q->wait_timer.fire = wait_over;
    q->db->env->v->timer_start(q->db->env, &q->wait_timer,
                               first_ns > now_ns ? first_ns - now_ns : 0);
}

/* Takes over w. timeout_ms 0: none. */
static void park(struct run_queue *q, struct waiter *w, uint64_t timeout_ms)
{
    if (timeout_ms > 0 && timeout_ms < TIMEOUT_MS_NEVER) {
        w->deadline_ns = q->db->env->v->now_mono_ns(q->db->env) + timeout_ms * NS_PER_MS;
    }
    w->next = q->waiters;
    q->waiters = w;
    arm_wait_timer(q);
}

/* True: answered at once. */
static bool start_wait(struct run_queue *q, struct tide_run *run, struct op *op)
{
    seqno at_least = seqno_of(op->number);
    if (at_least.v == 0 && q->db->log) at_least = log_durable(q->db->log).seqno;
    uint32_t have = stored_by(q, at_least);
    struct waiter *w = have >= op->count ? NULL : calloc(1, sizeof(*w));
    if (!w) {
        answer_wait(run, have);
        return true;
    }
    w->run = run;
    w->at_least = at_least;
    w->followers = op->count;
    park(q, w, (uint64_t)op->entry.at_ms);
    return false;
}

/* What is known about the position now. False: it may still come. */
static bool judge_position(struct run_queue *q, struct tide_run *run, struct op *op, bool is_late)
{
    struct err e = {.code = OK};
    enum code code = read_position_judge(q->db, op->epoch, seqno_of(op->number), &e);
    if (code == E_STALE && !is_late) return false;
    if (code != OK) {
        read_fail(run, op, &e);
        return true;
    }
    struct position applied = db_applied(q->db);
    op->result =
        (struct tide_result){.kind = TIDE_RESULT_POSITION, .as.position = read_position(&applied)};
    return true;
}

/* True: answered at once. */
static bool start_wait_position(struct run_queue *q, struct tide_run *run, struct op *op)
{
    if (judge_position(q, run, op, op->entry.at_ms == 0)) return true;
    struct waiter *w = calloc(1, sizeof(*w));
    if (!w) return judge_position(q, run, op, true);
    *w = (struct waiter){.run = run, .is_position = true};
    park(q, w, (uint64_t)op->entry.at_ms);
    return false;
}

/* Answer its operation if what it waits for is there, or will not come in time. */
static bool answer_if_over(struct run_queue *q, struct waiter *w, bool is_late)
{
    struct op *op = &w->run->ops[w->run->cursor];
    if (w->is_position) return judge_position(q, w->run, op, is_late);
    uint32_t have = stored_by(q, w->at_least);
    if (!is_late && have < w->followers) return false;
    answer_wait(w->run, have);
    return true;
}

void queue_on_ack(struct run_queue *q, uint32_t slot)
{
    levels_on_progress(q->db->levels, slot);
    look_at_waiters(q);
}

static void look_at_waiters(struct run_queue *q)
{
    uint64_t now_ns = q->db->env->v->now_mono_ns(q->db->env);
    struct waiter *ready = NULL;
    for (struct waiter **at = &q->waiters; *at;) {
        struct waiter *w = *at;
        bool is_late = w->deadline_ns != 0 && now_ns >= w->deadline_ns;
        if (!answer_if_over(q, w, is_late)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = ready;
        ready = w;
    }
    while (ready) {
        struct waiter *w = ready;
        ready = w->next;
        struct tide_run *run = w->run;
        free(w);
        go_on(q, run);
    }
    if (q->waiters) arm_wait_timer(q);
}

/* --- the end --- */

static void fail_rest(struct run_queue *q, struct tide_run *run, enum code code, const char *why)
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
            fail_rest(q, run, code, why);
            run = next;
        }
    }
    levels_fail_all(q->db->levels, why);
    bool is_end = code == E_CLOSED || code == E_LOADING;
    if (!is_end) return; /* WAIT can still be satisfied by followers */
    while (q->waiters) {
        struct waiter *w = q->waiters;
        q->waiters = w->next;
        w->run->filled = w->run->cursor;
        if (!w->is_position) {
            answer_wait(w->run, stored_by(q, w->at_least));
            w->run->filled = ++w->run->cursor;
        }
        fail_rest(q, w->run, code, why);
        free(w);
    }
}
