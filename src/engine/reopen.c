/* reopen: see reopen.h. A few steps, looked at again every millisecond, as closing is. */
#include "engine/reopen.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/db_internal.h"
#include "engine/identity_store.h"
#include "engine/queue.h"
#include "engine/receiver.h"
#include "engine/role.h"
#include "engine/shipper.h"

#define REOPEN_POLL_NS (1 * NS_PER_MS)

enum reopen_step {
    REOPEN_LINKS,    /* end them */
    REOPEN_WRITES,   /* let what was taken in become durable */
    REOPEN_QUIET,    /* let jobs finish */
    REOPEN_IDENTITY, /* being saved */
    REOPEN_OPENING,  /* the job runs */
};

struct reopening {
    struct db *db;
    struct reopen_request request;
    char why[160];
    enum reopen_step step;
    uint32_t links_open;
    struct env_task start;
    struct env_timer timer;
    struct env_job job;
    struct state *old_state;     /* large: freed in the job */
    struct env_network *network; /* over which the leader was followed; NULL: TCP */
    char network_address[ADDRESS_SIZE_MAX + 1];
    uint64_t started_ns;
    seqno durable_before; /* end of the log that was closed */
    enum code code;
    struct err err;
    struct tide_run *held;
    struct tide_run **held_end;
};

static void look(struct env_timer *timer);

static void tell_done(struct reopening *r, enum code code, const struct err *e)
{
    if (r->request.done) r->request.done(r->db, r->request.arg, code, e);
    r->request.done = NULL;
}

void reopen_hold(struct db *db, struct tide_run *list)
{
    struct reopening *r = db->reopening;
    *r->held_end = list;
    while (*r->held_end) {
        r->held_end = &(*r->held_end)->next;
    }
}

void reopen_free(struct reopening *r)
{
    if (!r) return;
    struct err e = {.code = OK};
    (void)ERR(&e, E_CLOSED, "the database was given up while it opened anew");
    tell_done(r, e.code, &e);
    r->db->env->v->timer_close(r->db->env, &r->timer);
    state_free(r->old_state);
    free(r);
}

static void look_again(struct reopening *r)
{
    r->timer.fire = look;
    r->db->env->v->timer_start(r->db->env, &r->timer, REOPEN_POLL_NS);
}

/* --- the end --- */

static void finish(struct reopening *r)
{
    struct db *db = r->db;
    struct tide_run *held = r->held;
    db->reopening = NULL;
    if (r->code != OK) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_HALTED, "%s, and the directory does not open: %s", r->why, r->err.text);
        db_set_condition(db, DB_HALTED, &e);
    }
    tell_done(r, r->code, &r->err);
    reopen_free(r);
    db_submit_burst(db, held);
    if (db->closed) db_close(db, db->closed, db->closed_arg);
}

static void follow_as_before(struct reopening *r)
{
    struct db *db = r->db;
    if (!r->network || !db->receiver) return;
    bool is_same =
        strncmp(db->identity.leader_address, TIDE_TRANSPORT, strlen(TIDE_TRANSPORT)) == 0;
    if (is_same) {
        receiver_follow(db->receiver, r->network, r->network_address,
                        (enum follows)db->identity.follows);
    }
}

static void opened(struct env_job *job)
{
    struct reopening *r = CONTAINER_OF(job, struct reopening, job);
    struct db *db = r->db;
    if (r->code == OK) r->code = db_open_links(db, &r->err);
    if (r->code == OK) {
        follow_as_before(r);
        seqno durable = db->log ? log_durable(db->log).seqno : SEQNO_NONE;
        if (durable.v < r->durable_before.v) db->log_regressed++;
        db_fill_report(db, r->started_ns);
    } else {
        db_free_life(db);
        db->saver = identity_saver_new(db->env, db); /* whoever tries again saves */
    }
    finish(r);
}

/* --- the new life --- */

static void open_again(struct env_job *job)
{
    struct reopening *r = CONTAINER_OF(job, struct reopening, job);
    struct db *db = r->db;
    state_free(r->old_state);
    r->old_state = NULL;
    r->code = db_open_files(db, &r->err);
}

static void begin_life(struct reopening *r)
{
    struct db *db = r->db;
    r->step = REOPEN_OPENING;
    r->old_state = db->state;
    r->durable_before = db->log ? log_durable(db->log).seqno : SEQNO_NONE;
    stages_reset(&db->stages);
    db->state = NULL;
    db_free_life(db);
    r->started_ns = db->env->v->now_mono_ns(db->env);
    db->condition = DB_SERVING;
    db->is_leading = false;
    db->reason = (struct err){.code = OK};
    db->epoch = (struct epoch){0};
    memset(&db->report, 0, sizeof(db->report)); /* no role has the number 0 */
    r->job = (struct env_job){.run = open_again, .done = opened};
    db->env->v->submit(db->env, LANE_BACKGROUND, &r->job);
}

/* --- the old life --- */

static void links_ended(void *arg)
{
    struct reopening *r = arg;
    ASSERT(r->links_open > 0);
    r->links_open--;
}

static void identity_was_saved(struct db *db, void *arg, enum code code)
{
    struct reopening *r = arg;
    if (code != OK) {
        r->code = ERR(&r->err, code, "identity could not be saved");
    }
    look_again(r);
    (void)db;
}

static void save_identity(struct reopening *r)
{
    struct db *db = r->db;
    r->step = REOPEN_IDENTITY;
    if (r->request.change) r->request.change(db, r->request.arg);
    db_save_identity(db, identity_was_saved, r);
}

/* A step is over when nothing of it is left to wait for. */
static void look(struct env_timer *timer)
{
    struct reopening *r = CONTAINER_OF(timer, struct reopening, timer);
    struct db *db = r->db;
    switch (r->step) {
    case REOPEN_LINKS:
        if (r->links_open > 0 || !role_is_quiet(db)) break;
        receiver_free(db->receiver);
        db->receiver = NULL;
        role_was_interrupted(db);
        r->step = REOPEN_WRITES;
        break;
    case REOPEN_WRITES:
        if (db->log) db_feed_log(db);
        if (!db_are_writes_done(db)) break;
        queue_fail_all(db->queue, E_LOADING, r->err.text);
        db_seal_last(db);
        r->step = REOPEN_QUIET;
        break;
    case REOPEN_QUIET: /* a run that went on behind its digest may write once more */
        if (!db_are_writes_done(db)) {
            db_feed_log(db);
            break;
        }
        queue_fail_all(db->queue, E_LOADING, r->err.text);
        if (!db_is_quiet(db) || !queue_is_empty(db->queue)) break;
        save_identity(r);
        return; /* its end goes on */
    case REOPEN_IDENTITY:
        if (!db_is_quiet(db)) break;
        if (r->code != OK) {
            finish(r);
        } else {
            begin_life(r);
        }
        return;
    case REOPEN_OPENING: UNREACHABLE();
    }
    look_again(r);
}

static void start(struct env_task *task)
{
    struct reopening *r = CONTAINER_OF(task, struct reopening, start);
    struct db *db = r->db;
    trace_add(&db->trace, db->env->v->now_mono_ns(db->env), "opening the data anew: %s", r->why);
    (void)ERR(&r->err, E_LOADING, "this node opens its data anew (%s); try again", r->why);
    db_stop_parts(db, &r->err);
    r->step = REOPEN_LINKS;
    role_interrupt(db, &r->err);
    if (db->receiver && !role_is_closing_receiver(db)) {
        const char *address = NULL;
        r->network = receiver_network(db->receiver, &address);
        (void)snprintf(r->network_address, sizeof(r->network_address), "%s", address);
        r->links_open++;
        receiver_close(db->receiver, links_ended, r);
    }
    if (db->shipper) {
        r->links_open++;
        shipper_suspend(db->shipper, links_ended, r);
    }
    look_again(r);
}

enum code db_reopen_with(struct db *db, const struct reopen_request *request, struct err *e)
{
    if (db->reopening) return ERR(e, E_BUSY, "this node opens its data anew already");
    if (db->condition == DB_CLOSING) return ERR(e, E_CLOSED, "the database is closing");
    struct reopening *r = calloc(1, sizeof(*r));
    if (!r) return ERR(e, E_NOMEMORY, "no memory to open the data anew");
    r->db = db;
    r->request = *request;
    r->start.run = start;
    r->held_end = &r->held;
    (void)snprintf(r->why, sizeof(r->why), "%s", request->why);
    db->reopening = r;
    db->env->v->post(db->env, &r->start);
    return OK;
}

void db_reopen(struct db *db, const char *why)
{
    struct err e = {.code = OK};
    struct reopen_request request = {.why = why};
    enum code code = db_reopen_with(db, &request, &e);
    if (code == OK || code == E_BUSY || code == E_CLOSED) return;
    db_set_condition(db, DB_HALTED, &e);
}
