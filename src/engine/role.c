/* role: the machine behind a change of role: one operation, one inquiry, one timer. See role.h. */
#include "engine/role.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/taken.h"
#include "engine/queue.h"
#include "engine/read.h"
#include "engine/receiver.h"
#include "engine/role_internal.h"
#include "engine/transport.h"
#include "engine/truncate.h"

static void timer_fired(struct env_timer *timer);
static void seen_was_due(struct env_task *task);

enum code role_open(struct db *db, struct role_machine **out, struct err *e)
{
    struct role_machine *r = calloc(1, sizeof(*r));
    if (r == NULL) return ERR(e, E_NOMEMORY, "no memory to open");
    r->db = db;
    r->timer = (struct env_timer){.fire = timer_fired, .env = db->env};
    r->watch = (struct env_timer){.env = db->env};
    r->seen_task.run = seen_was_due;
    r->replies = calloc(MEMBERS_MAX, sizeof(r->replies[0]));
    *out = r;
    return r->replies != NULL ? OK : ERR(e, E_NOMEMORY, "no memory to open");
}

void role_free(struct role_machine *r)
{
    if (r == NULL) return;
    r->db->env->v->timer_close(r->db->env, &r->timer);
    r->db->env->v->timer_close(r->db->env, &r->watch);
    free(r->replies);
    free(r);
}

void role_interrupt(struct db *db, const struct err *e)
{
    struct role_machine *r = db->role;
    inquiry_free(r->inquiry);
    r->inquiry = NULL;
    role_watch_stop(r);
    role_end(r, e);
}

void role_was_interrupted(struct db *db)
{
    db->role->is_receiver_closing = false;
}

void role_stop(struct role_machine *r)
{
    if (r == NULL || r->is_stopped) return;
    struct err e = {.code = OK};
    (void)ERR(&e, E_CLOSED, "the database is closing");
    r->is_stopped = true;
    role_interrupt(r->db, &e);
}

bool role_is_quiet(const struct db *db)
{
    const struct role_machine *r = db->role;
    if (r == NULL) return true;
    bool is_closing_link = r->is_receiver_closing && !r->is_receiver_closed;
    return !is_closing_link && !r->is_saving && inquire_is_quiet(db);
}

bool role_is_closing_receiver(const struct db *db)
{
    return db->role != NULL && db->role->is_receiver_closing;
}

bool role_holds_writes(const struct db *db)
{
    const struct role_machine *r = db->role;
    switch (r->step) {
    case ROLE_SAVING:
    case ROLE_BEGINNING:
    case ROLE_HOLDING:
    case ROLE_PASSING: return true;
    case ROLE_AWAITING: return r->run != NULL; /* it is bounded */
    case ROLE_ASKING:
    case ROLE_DRAINING:
    case ROLE_CLAIMING: return r->is_starting || r->is_taking_back;
    case ROLE_QUIET:
    case ROLE_TURNING:
    case ROLE_LOOKING:
    case ROLE_YIELDING:
    case ROLE_UNABLE:
    case ROLE_FETCHING:
    case ROLE_TAKING: return false;
    }
    UNREACHABLE();
}

const char *role_obstacle(const struct db *db)
{
    bool is_unable = db->identity.role != ROLE_FOLLOWER && !db_is_leader(db);
    if (!is_unable) return NULL;
    return db->role->unable[0] ? db->role->unable : "this node asks the others before it leads";
}

void role_begin(struct db *db)
{
    struct role_machine *r = db->role;
    if (db->identity.role != ROLE_FOLLOWER && !db_is_leader(db)) role_start_leading(r);
    role_watch_start(r);
}

/* --- the machine --- */

const char *role_step_name(enum role_step step)
{
    static const char *const names[] = {
#define X(constant, name) [constant] = name,
        ROLE_STEP_TABLE(X)
#undef X
    };
    ASSERT((size_t)step < COUNT_OF(names));
    return names[step];
}

/* Every change can end before its aim: closing, opening anew and a later epoch interrupt it. */
bool role_edge_is_allowed(enum role_step from, enum role_step to)
{
    static const bool edges[ROLE_STEP_COUNT][ROLE_STEP_COUNT] = {
        [ROLE_QUIET] = {[ROLE_ASKING] = true,
                        [ROLE_TURNING] = true,
                        [ROLE_LOOKING] = true,
                        [ROLE_HOLDING] = true,
                        [ROLE_TAKING] = true},
        [ROLE_ASKING] = {[ROLE_DRAINING] = true,
                         [ROLE_FETCHING] = true,
                         [ROLE_UNABLE] = true,
                         [ROLE_YIELDING] = true,
                         [ROLE_AWAITING] = true, /* no memory to ask */
                         [ROLE_QUIET] = true},
        [ROLE_DRAINING] = {[ROLE_CLAIMING] = true, [ROLE_SAVING] = true, [ROLE_QUIET] = true},
        [ROLE_CLAIMING] = {[ROLE_SAVING] = true,
                           [ROLE_FETCHING] = true,
                           [ROLE_UNABLE] = true,
                           [ROLE_YIELDING] = true,
                           [ROLE_QUIET] = true},
        [ROLE_SAVING] = {[ROLE_BEGINNING] = true, [ROLE_LOOKING] = true, [ROLE_QUIET] = true},
        [ROLE_BEGINNING] = {[ROLE_QUIET] = true},
        [ROLE_TURNING] = {[ROLE_YIELDING] = true, [ROLE_QUIET] = true},
        [ROLE_LOOKING] = {[ROLE_YIELDING] = true, [ROLE_QUIET] = true},
        [ROLE_YIELDING] = {[ROLE_QUIET] = true},
        [ROLE_FETCHING] = {[ROLE_ASKING] = true, [ROLE_UNABLE] = true, [ROLE_QUIET] = true},
        [ROLE_UNABLE] = {[ROLE_ASKING] = true, [ROLE_QUIET] = true},
        [ROLE_HOLDING] = {[ROLE_PASSING] = true, [ROLE_QUIET] = true},
        [ROLE_PASSING] = {[ROLE_AWAITING] = true, [ROLE_QUIET] = true},
        [ROLE_AWAITING] = {[ROLE_ASKING] = true, [ROLE_QUIET] = true},
        [ROLE_TAKING] = {[ROLE_DRAINING] = true, [ROLE_QUIET] = true},
    };
    ASSERT(from < ROLE_STEP_COUNT);
    ASSERT(to < ROLE_STEP_COUNT);
    return edges[from][to];
}

void role_enter(struct role_machine *r, enum role_step step)
{
    struct env *env = r->db->env;
    if (step != r->step) TAKEN(TAKEN_ROLE, r->step, step);
    r->step = step;
    if (step == ROLE_QUIET) {
        env->v->timer_stop(env, &r->timer);
    } else {
        env->v->timer_start(env, &r->timer, ROLE_POLL_NS);
    }
}

static void timer_fired(struct env_timer *timer)
{
    struct role_machine *r = CONTAINER_OF(timer, struct role_machine, timer);
    switch (r->step) {
    case ROLE_QUIET:
    case ROLE_ASKING:
    case ROLE_TURNING:
    case ROLE_LOOKING: return; /* the inquiry goes on by itself */
    case ROLE_TAKING:
    case ROLE_DRAINING:
    case ROLE_CLAIMING:
    case ROLE_SAVING:
    case ROLE_UNABLE:
    case ROLE_BEGINNING: role_promote_step(r); break;
    case ROLE_FETCHING: role_fetch_step(r); break;
    case ROLE_YIELDING: role_yield_step(r); break;
    case ROLE_HOLDING:
    case ROLE_PASSING:
    case ROLE_AWAITING: role_handover_step(r); break;
    }
    if (r->step != ROLE_QUIET) role_enter(r, r->step);
}

void role_answer(struct role_machine *r, const struct position *at, const struct err *e)
{
    struct tide_run *run = r->run;
    struct op *op = r->op;
    r->run = NULL;
    r->op = NULL;
    if (run == NULL) return;
    op->result =
        (struct tide_result){.kind = TIDE_RESULT_POSITION, .as.position = read_position(at)};
    if (e != NULL) read_fail(run, op, e);
    queue_resume(r->db->queue, run);
}

void role_end(struct role_machine *r, const struct err *e)
{
    struct db *db = r->db;
    struct position at = db_applied(db);
    role_enter(r, ROLE_QUIET);
    r->is_starting = false;
    r->is_succeeding = false;
    r->is_taking_back = false;
    role_answer(r, &at, e);
    if (!r->is_stopped) role_release_writes(r);
}

void role_release_writes(struct role_machine *r)
{
    struct db *db = r->db;
    if (db->log == NULL) return;
    queue_on_applied(db->queue);
    db->env->v->post(db->env, &db->flush_task); /* what they appended */
}

static void identity_saved(struct db *db, void *arg, enum code code)
{
    struct role_machine *r = arg;
    (void)db;
    r->is_saving = false;
    r->save_code = code;
}

void role_save(struct role_machine *r)
{
    ASSERT(!r->is_saving);
    r->is_saving = true;
    db_save_identity(r->db, identity_saved, r);
}

bool role_ask(struct role_machine *r, const char *const *addresses, uint32_t count,
              inquire_done done)
{
    return role_claim(r, addresses, count, 0, done);
}

bool role_claim(struct role_machine *r, const char *const *addresses, uint32_t count,
                uint64_t claim, inquire_done done)
{
    ASSERT(r->inquiry == NULL);
    struct inquire_options options = {.timeout_ns = r->db->config.suspect_ns, .claim = claim};
    r->inquiry = inquiry_start(r->db, addresses, count, &options, done, r);
    return r->inquiry != NULL;
}

void role_keep_replies(struct role_machine *r, const struct inquire_reply *replies, uint32_t count)
{
    memcpy(r->replies, replies, count * sizeof(replies[0]));
    r->reply_count = count;
    inquiry_free(r->inquiry);
    r->inquiry = NULL;
}

/* --- operations --- */

/* An operator's word about what may be given up; a command without one takes it back. */
static enum code take_word(struct db *db, const struct op *op, struct err *e)
{
    if (!op->is_explain) {
        truncation_allow(db, NULL);
        return OK;
    }
    struct token word = {.epoch = op->epoch, .seqno = seqno_of(op->number)};
    memcpy(word.chain4, op->chain4, sizeof(word.chain4));
    truncation_allow(db, &word);
    if (truncation_allowed(db)) return OK;
    truncation_allow(db, NULL);
    return ERR(
        e, E_INVALID,
        "accepting a loss needs the position at which this node ends, and record %llu is not "
        "that: ask POSITION again",
        (unsigned long long)op->number);
}

/* Only its address changes; what this node may keep is settled in the handshake. */
static enum code follow_another(struct db *db, const struct op *op, struct err *e)
{
    char address[ADDRESS_SIZE_MAX + 1] = {0};
    TRY(take_word(db, op, e));
    memcpy(address, op->entry.type.data, op->entry.type.size);
    receiver_follow(db->receiver, NULL, address, FOLLOWS_NAMED);
    return OK;
}

static enum code check_address(struct slice address, struct err *e)
{
    bool is_fit = address.size > 0 && address.size <= TRANSPORT_NAME_MAX &&
                  memchr(address.data, '\0', address.size) == NULL;
    return is_fit ? OK : ERR(e, E_INVALID, "the address of a node is HOST:PORT");
}

static enum code start(struct role_machine *r, struct tide_run *run, struct op *op, struct err *e)
{
    struct db *db = r->db;
    if (db->condition == DB_CLOSING) return ERR(e, E_CLOSED, "the database is closing");
    if (op->kind == OP_FOLLOW) TRY(check_address(op->entry.type, e));
    bool is_waiting = r->step == ROLE_UNABLE || r->step == ROLE_FETCHING ||
                      (r->step == ROLE_AWAITING && r->run == NULL);
    bool is_free = r->step == ROLE_QUIET || (is_waiting && op->kind == OP_PROMOTE);
    if (!is_free || db->reopening != NULL) {
        return ERR(e, E_BUSY, "this node's role is being changed; try again in a moment");
    }
    if (op->kind == OP_FOLLOW) TRY(take_word(db, op, e));
    r->run = run;
    r->op = op;
    enum code code = E_INVALID;
    switch ((enum op_kind)op->kind) {
    case OP_PROMOTE: code = role_promote(r, e); break;
    case OP_FOLLOW: code = role_turn(r, e); break;
    case OP_HANDOVER: code = role_handover(r, e); break;
    default: break;
    }
    if (code == OK) return OK;
    r->run = NULL;
    r->op = NULL;
    return code;
}

bool role_op(struct db *db, struct tide_run *run, struct op *op)
{
    struct err e = {.code = OK};
    struct role_machine *r = db->role;
    bool is_plain_follow = op->kind == OP_FOLLOW && db->receiver != NULL && db->reopening == NULL &&
                           r->step == ROLE_QUIET;
    enum code code = OK;
    if (op->kind == OP_PROMOTE && db_is_leader(db) && r->step == ROLE_QUIET) {
        struct position at = db_applied(db);
        op->result =
            (struct tide_result){.kind = TIDE_RESULT_POSITION, .as.position = read_position(&at)};
        return true;
    }
    if (is_plain_follow) {
        code = check_address(op->entry.type, &e);
        if (code == OK) code = follow_another(db, op, &e);
        if (code != OK) read_fail(run, op, &e);
        return true;
    }
    code = start(r, run, op, &e);
    if (code != OK) read_fail(run, op, &e);
    return code != OK;
}

/* --- a later epoch --- */

static void seen_was_due(struct env_task *task)
{
    struct role_machine *r = CONTAINER_OF(task, struct role_machine, seen_task);
    if (r->is_stopped || r->db->condition == DB_CLOSING || r->db->reopening != NULL) return;
    if (db_is_leader(r->db) && r->seen_epoch > r->db->epoch.number) role_depose(r);
}

void role_saw_epoch(struct db *db, uint64_t epoch, const char *address)
{
    struct role_machine *r = db->role;
    if (!db_is_leader(db) || epoch <= db->epoch.number || epoch <= r->seen_epoch) return;
    r->seen_epoch = epoch;
    (void)snprintf(r->seen_address, sizeof(r->seen_address), "%s", address);
    db->env->v->post(db->env, &r->seen_task);
}
