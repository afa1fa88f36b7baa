/* waits: see waits.h. */
#include "engine/waits.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/text.h"
#include "core/lag.h"
#include "engine/freshness.h"
#include "engine/queue.h"
#include "engine/read.h"
#include "engine/read_position.h"
#include "engine/shipper.h"

/* Timeouts from here on (a hundred years) never come; their sum with the clock could overflow. */
#define TIMEOUT_MS_NEVER (UINT64_C(100) * 365 * 86400000)

enum wait_kind {
    WAITS_FOR_FOLLOWERS, /* by the record that they are to store */
    WAITS_FOR_POSITION,  /* by the record that is to be applied here */
    WAITS_FOR_FRESHNESS, /* 0: all are looked at */
    WAITS_FOR_COMMIT,    /* 0: all are looked at */
    WAIT_KINDS,
};

struct waits {
    struct db *db;
    struct heap kinds[WAIT_KINDS];
    struct heap by_deadline;
    struct env_timer timer;
    uint64_t epoch; /* in which positions were judged last */
};

static void deadline_came(struct env_timer *timer);

struct waits *waits_new(struct db *db)
{
    struct waits *w = calloc(1, sizeof(*w));
    if (!w) return NULL;
    w->db = db;
    w->timer.fire = deadline_came;
    return w;
}

void waits_free(struct waits *w)
{
    if (!w) return;
    w->db->env->v->timer_close(w->db->env, &w->timer);
    for (uint32_t i = 0; i < WAIT_KINDS; i++) {
        heap_fini(&w->kinds[i]);
    }
    heap_fini(&w->by_deadline);
    free(w);
}

bool waits_is_empty(const struct waits *w)
{
    return w->by_deadline.count == 0;
}

static uint64_t now(const struct waits *w)
{
    return w->db->env->v->now_mono_ns(w->db->env);
}

/* --- parking --- */

static void arm(struct waits *w)
{
    struct env *env = w->db->env;
    const struct heap_node *first = heap_first(&w->by_deadline);
    if (first == NULL || first->key == UINT64_MAX) {
        env->v->timer_stop(env, &w->timer);
        return;
    }
    uint64_t now_ns = now(w);
    if (PLANTED(31)) return; /* nobody looks when a wait is over */
    env->v->timer_start(env, &w->timer, first->key > now_ns ? first->key - now_ns : 0);
}

static struct op *op_of(const struct tide_run *run)
{
    return &run->ops[run->cursor];
}

/* When it is to be answered at the latest: counted once, from when it was taken up first. */
static uint64_t deadline_of(struct waits *w, struct op *op, uint64_t timeout_ms)
{
    if (op->until_ns != 0) return op->until_ns;
    op->until_ns = timeout_ms < TIMEOUT_MS_NEVER ? now(w) + timeout_ms * NS_PER_MS : UINT64_MAX;
    return op->until_ns;
}

/* False: no memory; it does not wait then. */
static bool park(struct waits *w, struct tide_run *run, enum wait_kind kind, uint64_t key)
{
    run->wait_kind = (uint8_t)kind;
    run->by_seqno.key = key;
    run->by_deadline.key = op_of(run)->until_ns;
    if (!heap_add(&w->kinds[kind], &run->by_seqno)) return false;
    if (heap_add(&w->by_deadline, &run->by_deadline)) {
        arm(w);
        return true;
    }
    heap_remove(&w->kinds[kind], &run->by_seqno);
    return false;
}

static void take_out(struct waits *w, struct tide_run *run)
{
    heap_remove(&w->kinds[run->wait_kind], &run->by_seqno);
    heap_remove(&w->by_deadline, &run->by_deadline);
}

/* --- WAIT --- */

static uint32_t stored_by(const struct waits *w, seqno s)
{
    return w->db->shipper ? shipper_count_stored(w->db->shipper, s) : 0;
}

static void answer_followers(struct waits *w, struct op *op)
{
    op->result = (struct tide_result){.kind = TIDE_RESULT_INTEGER,
                                      .as.integer = stored_by(w, seqno_of(op->number))};
}

static enum wait_verdict refuse(struct tide_run *run, struct op *op, const struct err *e)
{
    read_fail(run, op, e);
    return WAIT_ANSWERED;
}

static enum wait_verdict judge_followers(struct waits *w, struct tide_run *run, struct op *op)
{
    if (op->number == 0 && w->db->log) op->number = log_durable(w->db->log).seqno.v;
    uint64_t timeout_ms = op->entry.at_ms > 0 ? (uint64_t)op->entry.at_ms : UINT64_MAX;
    bool is_there = stored_by(w, seqno_of(op->number)) >= op->count;
    if (!is_there && w->db->receiver && w->db->identity.role == ROLE_FOLLOWER) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_READONLY,
                  "this node follows and has nobody to wait for; ask the leader%s%s",
                  w->db->identity.leader_data_address[0] ? " at " : "",
                  w->db->identity.leader_data_address);
        return refuse(run, op, &e);
    }
    bool is_over = is_there || now(w) >= deadline_of(w, op, timeout_ms);
    if (!is_over && park(w, run, WAITS_FOR_FOLLOWERS, op->number)) return WAIT_PARKED;
    answer_followers(w, op);
    return WAIT_ANSWERED;
}

/* --- positions, freshness, commitment --- */

static enum wait_verdict judge_position(struct waits *w, struct tide_run *run, struct op *op)
{
    struct err e = {.code = OK};
    enum code code = read_position_judge(w->db, op->epoch, seqno_of(op->number), &e);
    bool may_wait = code == E_STALE && op->entry.at_ms != 0 &&
                    now(w) < deadline_of(w, op, (uint64_t)op->entry.at_ms);
    if (may_wait && park(w, run, WAITS_FOR_POSITION, op->number)) return WAIT_PARKED;
    if (code != OK) return refuse(run, op, &e);
    struct position applied = db_applied(w->db);
    op->result =
        (struct tide_result){.kind = TIDE_RESULT_POSITION, .as.position = read_position(&applied)};
    return WAIT_ANSWERED;
}

/* May a read of the state be answered from what is applied here now? OK, E_STALE (it may be, later;
 * *out_kind says what has to happen), or an error that waiting does not mend. */
static enum code judge_state(struct waits *w, const struct op *op, enum wait_kind *out_kind,
                             struct err *e)
{
    const struct db *db = w->db;
    const struct op_read *read = op->read;
    uint64_t max_ns =
        read && read->has_max_stale ? read->max_stale_ns : db->config.max_staleness_ns;
    bool has_max = (read && read->has_max_stale) || max_ns > 0;
    *out_kind = WAITS_FOR_POSITION;
    if (read && read->after.v > 0) {
        TRY(read_position_judge(db, read->after_epoch, read->after, e));
    }
    *out_kind = WAITS_FOR_FRESHNESS;
    if (has_max && !PLANTED(38)) { /* planted: any age will do */
        uint64_t bound_ns = db_staleness_ns(db);
        if (!lag_is_fresh(bound_ns, max_ns)) return db_refuse_stale(bound_ns, max_ns, e);
    }
    *out_kind = WAITS_FOR_COMMIT;
    if (read && read->is_committed) {
        seqno committed = db_committed(db);
        seqno applied = db_applied(db).seqno;
        if (committed.v < applied.v) {
            return ERR(e, E_STALE,
                       "record %llu is visible here and %llu is committed: READ committed has to "
                       "wait for its followers",
                       (unsigned long long)applied.v, (unsigned long long)committed.v);
        }
    }
    return OK;
}

static enum wait_verdict judge_read(struct waits *w, struct tide_run *run, struct op *op)
{
    if (!op->read && w->db->config.max_staleness_ns == 0) return WAIT_GO; /* the usual read */
    if (!w->db->state) return WAIT_GO;                                    /* it is told LOADING */
    enum wait_kind kind;
    struct err e = {.code = OK};
    enum code code = judge_state(w, op, &kind, &e);
    if (code == OK) return WAIT_GO;
    if (code != E_STALE) return refuse(run, op, &e);
    uint64_t deadline_ms = op->read ? op->read->deadline_ms : 0;
    if (deadline_ms == 0) deadline_ms = w->db->config.deadline_ns / NS_PER_MS;
    if (deadline_ms == TIDE_DEADLINE_NOW) return refuse(run, op, &e);
    bool is_late = now(w) >= deadline_of(w, op, deadline_ms);
    uint64_t key = kind == WAITS_FOR_POSITION ? op->read->after.v : 0;
    if (!is_late && park(w, run, kind, key)) return WAIT_PARKED;
    return refuse(run, op, &e);
}

enum wait_verdict waits_judge(struct waits *w, struct tide_run *run, struct op *op)
{
    switch ((enum op_kind)op->kind) {
    case OP_WAIT: return judge_followers(w, run, op);
    case OP_WAIT_POSITION: return judge_position(w, run, op);
    default: break;
    }
    return op_is_of_state((enum op_kind)op->kind) ? judge_read(w, run, op) : WAIT_GO;
}

/* --- waking --- */

/* Judge again what waits for something up to `key`: taken out first, for it may wait again. */
static void wake(struct waits *w, enum wait_kind kind, uint64_t key)
{
    struct tide_run *list = NULL;
    struct tide_run **tail = &list;
    struct heap_node *first;
    while ((first = heap_first(&w->kinds[kind])) != NULL && first->key <= key) {
        struct tide_run *run = CONTAINER_OF(first, struct tide_run, by_seqno);
        take_out(w, run);
        run->next = NULL;
        *tail = run;
        tail = &run->next;
    }
    while (list) {
        struct tide_run *run = list;
        list = run->next;
        queue_carry_on(w->db->queue, run);
    }
}

void waits_on_applied(struct waits *w)
{
    if (waits_is_empty(w)) return;
    /* In a new leadership a position may be lost, whatever its number. */
    bool is_new_epoch = w->db->epoch.number != w->epoch;
    w->epoch = w->db->epoch.number;
    wake(w, WAITS_FOR_POSITION, is_new_epoch ? UINT64_MAX : db_applied(w->db).seqno.v);
    wake(w, WAITS_FOR_FRESHNESS, 0);
}

void waits_on_ack(struct waits *w)
{
    if (waits_is_empty(w) || !w->db->log) return;
    wake(w, WAITS_FOR_FOLLOWERS, log_durable(w->db->log).seqno.v);
    wake(w, WAITS_FOR_COMMIT, 0);
}

void waits_on_following(struct waits *w)
{
    wake(w, WAITS_FOR_FOLLOWERS, UINT64_MAX);
}

void waits_on_fresh(struct waits *w)
{
    if (!waits_is_empty(w)) wake(w, WAITS_FOR_FRESHNESS, 0);
}

void waits_on_committed(struct waits *w)
{
    if (!waits_is_empty(w)) wake(w, WAITS_FOR_COMMIT, 0);
}

static void deadline_came(struct env_timer *timer)
{
    struct waits *w = CONTAINER_OF(timer, struct waits, timer);
    uint64_t now_ns = now(w);
    struct heap_node *first;
    while ((first = heap_first(&w->by_deadline)) != NULL && first->key <= now_ns) {
        struct tide_run *run = CONTAINER_OF(first, struct tide_run, by_deadline);
        take_out(w, run);
        queue_carry_on(w->db->queue, run);
    }
    arm(w);
}

void waits_fail_all(struct waits *w, enum code code, const char *why)
{
    struct heap_node *first;
    while ((first = heap_first(&w->by_deadline)) != NULL) {
        struct tide_run *run = CONTAINER_OF(first, struct tide_run, by_deadline);
        take_out(w, run);
        run->filled = run->cursor;
        if (op_of(run)->kind == OP_WAIT) {
            answer_followers(w, op_of(run));
            run->filled = ++run->cursor;
        }
        queue_fail_run(w->db->queue, run, code, why);
    }
}
