/* db: the running node: what happens after a sync, on a bad write, on close. Opening is in
 * db_open.c, applying in apply.c. See db.h. */
#include "engine/db.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/bootstrap_source.h"
#include "engine/checkpoint.h"
#include "engine/db_internal.h"
#include "engine/disk.h"
#include "engine/identity_store.h"
#include "engine/inquire.h"
#include "engine/levels.h"
#include "engine/log_open.h"
#include "engine/members.h"
#include "engine/metrics.h"
#include "engine/queue.h"
#include "engine/receiver.h"
#include "engine/reopen.h"
#include "engine/retention.h"
#include "engine/role.h"
#include "engine/roller.h"
#include "engine/scans.h"
#include "engine/shipper.h"
#include "engine/ticker.h"
#include "engine/transport.h"
#include "engine/truncate.h"
#include "engine/waits.h"
#include "engine/write.h"

#define CLOSE_POLL_NS (1 * NS_PER_MS)

struct position db_applied(const struct db *db)
{
    struct position nothing = {0};
    return db->state ? state_position(db->state) : nothing;
}

/* Closing is no event: the log says that the node stops. */
static void note_condition(struct db *db, enum db_condition condition, const char *why)
{
    switch (condition) {
    case DB_POISONED: db_event(db, DB_EVENT_POISONED, "%s", why); break;
    case DB_HALTED: db_event(db, DB_EVENT_HALTED, "%s", why); break;
    case DB_DIVERGED: db_event(db, DB_EVENT_DIVERGENCE, "%s", why); break;
    case DB_SERVING:
    case DB_CLOSING: break;
    }
}

void db_set_condition(struct db *db, enum db_condition condition, const struct err *e)
{
    if (db->condition != DB_SERVING && condition != DB_CLOSING) return; /* the first reason stays */
    db->condition = condition;
    if (e) db->reason = *e;
    note_condition(db, condition, e ? e->text : "");
    if (condition == DB_POISONED && db->queue) {
        queue_fail_all(db->queue, E_POISONED, db->reason.text);
    }
    if (condition == DB_HALTED && db->queue) queue_fail_all(db->queue, E_HALTED, db->reason.text);
    bool is_stopped = condition == DB_POISONED || condition == DB_HALTED;
    if (is_stopped && db->checkpointer) checkpointer_fail(db->checkpointer, &db->reason);
}

/* --- identity --- */

/* In db's list until it is answered, so that a process that ends early can free it. */
struct save_request {
    struct save_request *next;
    void (*done)(struct db *db, void *arg, enum code code);
    void *arg;
};

static void identity_was_saved(void *owner, void *arg, enum code code)
{
    struct db *db = owner;
    struct save_request *request = arg;
    if (code != OK) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_POISONED, "identity could not be saved (%s)", code_name(code));
        db_set_condition(db, DB_POISONED, &e);
    }
    if (!request) return;
    struct save_request **at = &db->saves;
    while (*at != request) {
        at = &(*at)->next;
    }
    *at = request->next;
    request->done(db, request->arg, code);
    free(request);
}

void db_save_identity(struct db *db, void (*done)(struct db *db, void *arg, enum code code),
                      void *arg)
{
    struct save_request *request = NULL;
    if (done) {
        request = malloc(sizeof(*request));
        if (!request) {
            done(db, arg, E_NOMEMORY);
            return;
        }
        *request = (struct save_request){.next = db->saves, .done = done, .arg = arg};
        db->saves = request;
    }
    identity_saver_request(db->saver, &db->identity, identity_was_saved, request);
}

void db_note_epoch(struct db *db, uint64_t epoch, void (*done)(struct db *, void *, enum code),
                   void *arg)
{
    if (epoch > db->identity.highest_epoch) db->identity.highest_epoch = epoch;
    if (db->shipper) shipper_on_epoch_seen(db->shipper);
    db_save_identity(db, done, arg);
}

struct adoption {
    void (*done)(struct db *db, void *arg, enum code code);
    void *arg;
};

static void cluster_was_saved(struct db *db, void *arg, enum code code)
{
    struct adoption adoption = *(struct adoption *)arg;
    free(arg);
    db->adoption = NULL;
    struct err e = {.code = OK};
    if (code == OK && !db->log) code = db_make_parts(db, &e);
    if (code == OK) log_start_spare(db->log);
    if (code != OK) { /* adopted only when it is durable and the log is there: as before, then */
        log_free(db->log);
        db->log = NULL;
        state_free(db->state);
        db->state = NULL;
        db->identity.cluster = (struct id128){0};
        db->identity.log_key = 0;
    }
    adoption.done(db, adoption.arg, code);
}

void db_adopt_cluster(struct db *db, const struct wire_plan *plan,
                      void (*done)(struct db *db, void *arg, enum code code), void *arg)
{
    ASSERT(id128_is_zero(&db->identity.cluster));
    struct adoption *adoption = malloc(sizeof(*adoption));
    if (!adoption) {
        done(db, arg, E_NOMEMORY);
        return;
    }
    *adoption = (struct adoption){.done = done, .arg = arg};
    db->adoption = adoption;
    db->identity.cluster = plan->cluster;
    db->identity.log_key = plan->log_key;
    db->identity.stream = plan->stream; /* its region is the leader's, not where this node stands */
    db_save_identity(db, cluster_was_saved, adoption);
}

/* --- the log's hooks --- */

static void segment_was_opened(void *owner, uint64_t first_file_id, uint64_t last_file_id)
{
    struct db *db = owner;
    db->identity.first_segment = first_file_id;
    db->identity.last_segment = last_file_id;
    if (db->saver) db_save_identity(db, NULL, NULL);
}

static void log_was_synced(void *owner, uint64_t sync_ns, uint64_t records, uint64_t bytes)
{
    struct db *db = owner;
    (void)bytes;
    metrics_note_sync(db->metrics, sync_ns, records);
}

void db_log_hooks(struct db *db, struct log_hooks *out)
{
    *out = (struct log_hooks){
        .owner = db, .segment_opened = segment_was_opened, .synced = log_was_synced};
}

/* --- writing --- */

void db_feed_log(struct db *db)
{
    if (log_is_writing(db->log) || log_is_poisoned(db->log)) return;
    if (checkpointer_start_seal(db->checkpointer) || roller_start_seal(db->roller)) return;
    if (db->write) write_flush(db->write);
    if (db->receiver) receiver_feed_log(db->receiver);
}

static void chunk_was_written(void *arg, struct log_chunk *chunk, enum code code,
                              const struct err *e)
{
    struct db *db = arg;
    if (code != OK) {
        struct err why = {.code = OK};
        (void)ERR(&why, code, "a log write failed (%s); %srestart recovers", e->text,
                  code == E_DISKFULL ? "free space on that disk, then a " : "");
        db_set_condition(db, DB_POISONED, &why);
        checkpointer_fail(db->checkpointer, &why); /* also when it was halted before */
        db_on_durable(db);
        return;
    }
    stages_on_durable(db, log_durable(db->log).seqno);
    roller_on_chunk(db->roller, chunk);
    db_feed_log(db); /* the disk works while this thread ships and applies */
    if (db->shipper) shipper_on_durable(db->shipper);
    db_apply_chunk(db, chunk);
    stages_on_applied(db, db_applied(db).seqno);
    db_on_applied(db);
    db_on_durable(db);
}

void db_write_chunk(struct db *db, struct log_chunk *chunk)
{
    log_write(db->log, chunk, chunk_was_written, db);
}

void db_on_durable(struct db *db)
{
    if (db->roller) roller_on_sealed(db->roller);
    if (db->retention) retention_on_progress(db->retention);
    disk_on_durable(db->disk);
    if (db->receiver) receiver_on_progress(db->receiver);
}

void db_on_applied(struct db *db)
{
    checkpointer_poll(db->checkpointer);
    if (db->has_new_members && db->shipper) {
        shipper_on_members(db->shipper);
        members_wake(db); /* followers are told who votes */
    }
    db->has_new_members = false;
    queue_on_applied(db->queue);
    if (db->ticker) ticker_on_applied(db->ticker);
    if (db->write) db_feed_log(db); /* runs that went on may have appended */
}

void db_on_ack(struct db *db, uint32_t slot)
{
    queue_on_ack(db->queue, slot);
}

static void flush_was_due(struct env_task *task)
{
    struct db *db = CONTAINER_OF(task, struct db, flush_task);
    if (db->reopening) return; /* it feeds the log itself, as long as that is there */
    if (db->log) db_feed_log(db);
}

static void poll_was_due(struct env_task *task)
{
    struct db *db = CONTAINER_OF(task, struct db, poll_task);
    if (db->reopening || !db->log) return;
    checkpointer_poll(db->checkpointer);
    db_feed_log(db);
}

static void submit_one(struct db *db, struct tide_run *run)
{
    run->cursor = 0;
    run->filled = 0;
    run->pending = SEQNO_NONE;
    run->submitted_ns = 0;
    queue_advance(db->queue, run);
}

void db_submit(struct db *db, struct tide_run *run)
{
    if (db->reopening) {
        run->next = NULL;
        reopen_hold(db, run);
        return;
    }
    submit_one(db, run);
    db->env->v->post(db->env, &db->flush_task);
}

void db_submit_burst(struct db *db, struct tide_run *list)
{
    if (db->reopening) {
        reopen_hold(db, list);
        return;
    }
    while (list) {
        struct tide_run *next = list->next;
        submit_one(db, list);
        list = next;
    }
    if (db->log) db_feed_log(db);
}

/* --- parts --- */

void db_init_tasks(struct db *db)
{
    divergence_init(db);
    db->flush_task.run = flush_was_due;
    db->poll_task.run = poll_was_due;
}

enum code db_make_parts(struct db *db, struct err *e)
{
    if (!db->log) {
        struct log_identity id = {.cluster = db->identity.cluster,
                                  .stream = db->identity.stream,
                                  .log_key = db->identity.log_key};
        struct log_hooks hooks;
        db_log_hooks(db, &hooks);
        db->log = log_new(db->env, &id, &db->config, &hooks, &db->identity.log_base,
                          db->identity.log_base_bytes);
        if (!db->log) return ERR(e, E_NOMEMORY, "no memory for the log");
        struct log_continue from = {.next_file_id = 1, .generation = db->identity.generation};
        TRY(log_start(db->log, &from, e));
    }
    if (!db->state) {
        db->state = state_new(db->alloc, db->identity.cluster, db->identity.stream);
        if (!db->state) return ERR(e, E_NOMEMORY, "no memory for the state");
    }
    if (!db->checkpointer) {
        db->checkpointer = checkpointer_new(db, &db->loaded, db->next_pack ? db->next_pack : 1);
        if (!db->checkpointer) return ERR(e, E_NOMEMORY, "no memory for checkpoints");
    }
    if (!db->roller) db->roller = roller_new(db);
    if (!db->roller) return ERR(e, E_NOMEMORY, "no memory for the log's clock");
    if (!db->retention) db->retention = retention_new(db);
    if (!db->retention) return ERR(e, E_NOMEMORY, "no memory to keep the log short");
    return OK;
}

void db_free_life(struct db *db)
{
    receiver_free(db->receiver);
    db->receiver = NULL;
    ticker_free(db->ticker);
    db->ticker = NULL;
    write_free(db->write);
    db->write = NULL;
    retention_free(db->retention);
    db->retention = NULL;
    roller_free(db->roller);
    db->roller = NULL;
    checkpointer_free(db->checkpointer);
    db->checkpointer = NULL;
    checkpoint_contents_fini(&db->loaded);
    bootstrap_sources_free(db);
    log_free(db->log);
    db->log = NULL;
    state_free(db->state);
    db->state = NULL;
    identity_saver_free(db->saver);
    db->saver = NULL;
}

void db_free_parts(struct db *db)
{
    inquire_abandon(db);
    role_free(db->role);
    members_free(db->members);
    shipper_free(db->shipper); /* it lends chunks of the log, and scans pins of the state */
    scans_free(db->scans);
    db_free_life(db);
    transport_networks_free(db);
    queue_free(db->queue);
    reopen_free(db->reopening);
    levels_free(db->levels);
    waits_free(db->waits);
    divergence_fini(db);
    while (db->saves) {
        struct save_request *next = db->saves->next;
        free(db->saves);
        db->saves = next;
    }
    free(db->adoption);
    truncation_free(db->truncation);
    disk_free(db->disk);
    metrics_free(db->metrics);
    db->env->v->timer_close(db->env, &db->close_timer);
    free(db);
}

void db_abandon(struct db *db)
{
    db_free_parts(db);
}

/* --- closing: a few steps, looked at again every millisecond --- */

enum close_step { CLOSE_LINKS, CLOSE_WRITES, CLOSE_SEAL, CLOSE_IDENTITY, CLOSE_DONE };

static void close_step(struct env_timer *timer);

static void look_again(struct db *db)
{
    db->close_timer.fire = close_step;
    db->env->v->timer_start(db->env, &db->close_timer, CLOSE_POLL_NS);
}

static void links_closed(void *arg)
{
    struct db *db = arg;
    ASSERT(db->links_open > 0);
    db->links_open--;
}

static void seal_was_done(void *arg, struct log_chunk *chunk, enum code code, const struct err *e)
{
    (void)arg; /* a failed seal is found by the next open, which reseals */
    (void)chunk;
    (void)code;
    (void)e;
}

static void identity_closed(struct db *db, void *arg, enum code code)
{
    (void)arg;
    (void)code; /* the copy before is good; nothing can be told to anybody any more */
    db->closing_step = CLOSE_DONE;
}

bool db_are_writes_done(const struct db *db)
{
    if (!db->log) return true;
    if (log_is_writing(db->log)) return false;
    bool is_sound = db->condition == DB_CLOSING || db->condition == DB_SERVING;
    if (log_is_poisoned(db->log) || !is_sound) return true;
    return !db->write || write_assigned(db->write).v == log_durable(db->log).seqno.v;
}

static bool is_close_late(const struct db *db)
{
    return db->close_deadline_ns != 0 && db->env->v->now_mono_ns(db->env) >= db->close_deadline_ns;
}

bool db_is_quiet(const struct db *db)
{
    if (db->log && (!log_is_quiet(db->log) || !checkpointer_is_quiet(db->checkpointer))) {
        return false;
    }
    if (db->roller && !roller_is_quiet(db->roller)) return false;
    if (!bootstrap_sources_are_quiet(db)) return false;
    if (db->disk && !disk_is_quiet(db->disk)) return false;
    if (db->retention && !retention_is_quiet(db->retention)) return false;
    if (!members_is_quiet(db->members)) return false;
    return (!db->saver || identity_saver_is_idle(db->saver)) && scans_is_quiet(db->scans);
}

void db_seal_last(struct db *db)
{
    if (!db->log) return;
    log_stop(db->log);
    if (!log_is_writing(db->log)) log_seal(db->log, seal_was_done, db);
}

void db_stop_parts(struct db *db, const struct err *why)
{
    if (db->checkpointer) checkpointer_stop(db->checkpointer, why);
    if (db->ticker) ticker_stop(db->ticker);
    if (db->roller) roller_stop(db->roller);
    if (db->retention) retention_stop(db->retention);
}

static void finish_close(struct db *db)
{
    void (*closed)(void *arg) = db->closed;
    void *arg = db->closed_arg;
    db_free_parts(db);
    closed(arg);
}

static void close_step(struct env_timer *timer)
{
    struct db *db = CONTAINER_OF(timer, struct db, close_timer);
    switch ((enum close_step)db->closing_step) {
    case CLOSE_LINKS:
        if (db->links_open > 0 || !role_is_quiet(db)) break;
        db->closing_step = CLOSE_WRITES;
        break;
    case CLOSE_WRITES:
        if (db->log) db_feed_log(db);
        if (!db_are_writes_done(db) && !is_close_late(db)) break;
        queue_fail_all(db->queue, E_CLOSED, "the database is closing");
        scans_stop(db->scans);
        db->closing_step = CLOSE_SEAL;
        db_seal_last(db);
        break;
    case CLOSE_SEAL:
        if (!db_is_quiet(db)) break;
        db->closing_step = CLOSE_IDENTITY;
        db_save_identity(db, identity_closed, NULL);
        break;
    case CLOSE_IDENTITY: break; /* identity_closed moves on */
    case CLOSE_DONE:
        if (!db_is_quiet(db)) break;
        finish_close(db);
        return;
    }
    look_again(db);
}

void db_close(struct db *db, void (*closed)(void *arg), void *arg)
{
    db->closed = closed;
    db->closed_arg = arg;
    if (db->reopening) return; /* its end comes back here */
    struct err why = {.code = OK};
    (void)ERR(&why, E_CLOSED, "the database is closing");
    db_set_condition(db, DB_CLOSING, NULL);
    disk_stop(db->disk);
    db_stop_parts(db, &why);
    role_stop(db->role);
    members_stop(db->members);
    if (db->receiver && !role_is_closing_receiver(db)) {
        db->links_open++;
        receiver_close(db->receiver, links_closed, db);
    }
    if (db->shipper) {
        db->links_open++;
        shipper_close(db->shipper, links_closed, db);
    }
    db->closing_step = CLOSE_LINKS;
    look_again(db);
}
