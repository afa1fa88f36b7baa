/* checkpoint: see checkpoint.h. One background job at a time works on one pinned version: its root,
 * and the files if a checkpoint is due. DIGEST of the moment has jobs of its own. */
#include "engine/checkpoint.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/bootstrap_serve.h"
#include "engine/bootstrap_source.h"
#include "engine/queue.h"
#include "engine/read.h"
#include "engine/retention.h"
#include "engine/shipper.h"
#include "engine/write.h"

#define MARKS_KEPT  64u
#define BLOCKS_KEPT 2u /* marks of which the blocks are known */
/* Of blocks that nobody changed so much is hashed again at each mark, round and round: memory that
 * changed by itself is found. */
#define LOOK_BYTES (64 * MIB)
/* A checkpoint is written and synced this much at a time, and as long as that took the disk is left
 * to the log: half of it, whatever the disk. A step is what a sync of the log may have to wait for:
 * a few milliseconds where a disk writes some hundred MiB/s. */
#define STEP_BYTES   (1 * MIB)
#define PAUSE_MAX_NS (100 * NS_PER_MS)
/* What waits for a seal waits for no mark: any number that is one. */
#define SEAL_MARK seqno_of(1)

enum { MARK_BY_INTERVAL = 1, MARK_BY_COMMAND = 2 };

struct known_mark {
    seqno at;
    uint64_t log_bytes; /* up to it */
    struct hash256 root;
    struct hash256 leader_root;
    bool has_root;
    bool has_leader_root;
    bool is_compared;
    bool is_passed_over; /* it will never have a root of ours */
};

struct op_waiter {
    struct op_waiter *next;
    struct tide_run *run;
    seqno mark; /* CHECKPOINT: answered by a checkpoint at or beyond it */
};

struct version_job {
    struct env_job job;
    struct checkpointer *owner;
    struct state_version *version;
    seqno mark;
    bool writes_files;
    struct checkpoint_write write;
    struct checkpoint_writing *writing; /* begun */
    bool is_done;
    uint64_t step_ns; /* when the step began */
    struct checkpoint_contents written;
    struct manifest_list manifests; /* kept when it was written */
    struct mark_blocks blocks;
    bool has_root;
    uint32_t cursor; /* where the look at memory goes on */
    bool is_rotten;
    struct block_id rotten;
    uint64_t started_ns;
    enum code code;
    struct err err;
};

struct digest_job {
    struct env_job job;
    struct digest_job *next;
    struct db *db;
    struct tide_run *run;
    struct state_version *version;
    struct hash256 root;
    bool is_ok;
};

struct checkpointer {
    struct db *db;
    struct known_mark marks[MARKS_KEPT];
    uint32_t mark_count;                    /* ever */
    struct mark_blocks recent[BLOCKS_KEPT]; /* the newest with a root, newest first */
    uint32_t cursor;                        /* of the look at memory */
    struct version_job version_job;
    bool is_job_running;
    struct state_version *next;   /* newest marked version, not worked on yet */
    struct state_version *newest; /* kept on followers for CHECKPOINT */
    struct env_timer timer;
    struct env_timer pause_timer; /* between two steps of a checkpoint */
    bool is_timer_running;
    seqno last_client; /* newest record with a client's cause */
    seqno last_mark;
    bool is_mark_wanted; /* by command, no room yet */
    seqno lost_mark;     /* no memory for checkpoints up to here: their waiters are to be told */
    bool is_checkpoint_wanted;
    bool has_digest_to_log;
    struct record_digest digest_to_log;
    struct op_waiter *checkpoint_waiters;
    struct op_waiter *seal_waiters;
    bool is_sealing;
    struct digest_job *digest_jobs;      /* in flight */
    struct checkpoint_contents contents; /* of the newest manifest */
    struct epoch_entry *epochs;          /* copy for the job */
    uint64_t *pinned;                    /* packs that the job leaves alone */
    seqno oldest_kept;                   /* of the manifests, or older; 0: not known */
    uint64_t next_pack;
    uint64_t checkpoint_ns;        /* when the newest was finished; 0: none since open */
    uint64_t checkpoint_log_bytes; /* durable bytes then */
    uint64_t last_duration_ns;
    uint64_t failures;
    uint64_t unchecked; /* digests of the leader without a root of this node to compare with */
    bool is_stopped;
    bool is_held;
    bool writes_anew; /* places of before are not trusted */
};

struct checkpointer *checkpointer_new(struct db *db, struct checkpoint_contents *contents,
                                      uint64_t next_pack)
{
    struct checkpointer *c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    c->db = db;
    c->contents = *contents;
    *contents = (struct checkpoint_contents){0};
    c->next_pack = next_pack;
    c->last_mark = state_position(db->state).seqno;
    c->checkpoint_ns = db->env->v->now_mono_ns(db->env);
    /* What was replayed counts: a node that starts often must not replay more each time. */
    c->checkpoint_log_bytes = log_durable_bytes(db->log) - log_bytes_after(db->log, c->contents.at);
    return c;
}

static void free_waiters(struct op_waiter *w)
{
    while (w) {
        struct op_waiter *next = w->next;
        free(w);
        w = next;
    }
}

static void forget_digest_job(struct checkpointer *c, struct digest_job *d)
{
    struct digest_job **at = &c->digest_jobs;
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    state_version_free(d->version);
    free(d);
}

void checkpointer_free(struct checkpointer *c)
{
    if (!c) return;
    c->db->env->v->timer_close(c->db->env, &c->timer);
    c->db->env->v->timer_close(c->db->env, &c->pause_timer);
    if (c->is_job_running) {
        checkpoint_end(c->version_job.writing, NULL);
        state_version_free(c->version_job.version);
        checkpoint_contents_fini(&c->version_job.written);
        mark_blocks_fini(&c->version_job.blocks);
    }
    for (uint32_t i = 0; i < BLOCKS_KEPT; i++) {
        mark_blocks_fini(&c->recent[i]);
    }
    state_version_free(c->next);
    state_version_free(c->newest);
    while (c->digest_jobs) {
        forget_digest_job(c, c->digest_jobs);
    }
    free_waiters(c->checkpoint_waiters);
    free_waiters(c->seal_waiters);
    checkpoint_contents_fini(&c->contents);
    free(c->epochs);
    free(c->pinned);
    free(c);
}

bool checkpointer_is_quiet(const struct checkpointer *c)
{
    return !c->is_job_running && !c->digest_jobs && !c->is_sealing;
}

/* --- waiting operations --- */

static bool add_waiter(struct op_waiter **list, struct tide_run *run, seqno mark)
{
    struct op_waiter *w = calloc(1, sizeof(*w));
    if (!w) return false;
    *w = (struct op_waiter){.next = *list, .run = run, .mark = mark};
    *list = w;
    return true;
}

static struct tide_position position_out(const struct position *p)
{
    struct tide_position out = {.epoch = p->epoch, .seqno = p->seqno.v};
    memcpy(out.chain4, p->chain.bytes, sizeof(out.chain4));
    return out;
}

/* Take the waiters whose mark lies in (above, mark] off the list. */
static struct op_waiter *take_waiters(struct op_waiter **list, seqno above, seqno mark)
{
    struct op_waiter *taken = NULL;
    for (struct op_waiter **link = list; *link;) {
        struct op_waiter *w = *link;
        if (w->mark.v > mark.v || w->mark.v <= above.v) {
            link = &w->next;
            continue;
        }
        *link = w->next;
        w->next = taken;
        taken = w;
    }
    return taken;
}

/* Answer them: the position, or the error where there is one. They are off every list, because
 * what follows in a run may wait again. */
static void answer_taken(struct checkpointer *c, struct op_waiter *taken, const struct position *at,
                         const struct err *e)
{
    while (taken) {
        struct op_waiter *w = taken;
        taken = w->next;
        struct op *op = &w->run->ops[w->run->cursor];
        if (e) {
            read_fail(w->run, op, e);
        } else {
            op->result =
                (struct tide_result){.kind = TIDE_RESULT_POSITION, .as.position = position_out(at)};
        }
        queue_resume(c->db->queue, w->run);
        free(w);
    }
}

/* Answer all waiters whose mark is at or below `mark`. A seal's waiters have the mark 1. */
static void answer_waiters(struct checkpointer *c, struct op_waiter **list, seqno mark,
                           const struct position *at, const struct err *e)
{
    answer_taken(c, take_waiters(list, SEQNO_NONE, mark), at, e);
}

/* There is no memory for a checkpoint at this mark. Told at the next poll: not in the middle of
 * what is going on. */
static void lose_checkpoint(struct checkpointer *c, seqno mark)
{
    if (mark.v > c->lost_mark.v) c->lost_mark = mark;
    c->db->env->v->post(c->db->env, &c->db->poll_task);
}

static void tell_lost(struct checkpointer *c)
{
    seqno mark = c->lost_mark;
    if (mark.v == 0) return;
    c->lost_mark = SEQNO_NONE;
    struct position none = {0};
    struct err e = {.code = OK};
    (void)ERR(&e, E_NOMEMORY, "no memory for a checkpoint");
    answer_waiters(c, &c->checkpoint_waiters, mark, &none, &e);
}

/* --- comparing roots --- */

static struct known_mark *find_mark(struct checkpointer *c, seqno at)
{
    uint32_t kept = c->mark_count < MARKS_KEPT ? c->mark_count : MARKS_KEPT;
    for (uint32_t i = 0; i < kept; i++) {
        if (c->marks[i].at.v == at.v) return &c->marks[i];
    }
    return NULL;
}

static void compare(struct checkpointer *c, struct known_mark *m)
{
    if (!m->has_root || !m->has_leader_root || m->is_compared) return;
    m->is_compared = true;
    c->db->digests_checked++;
    if (hash256_equal(&m->root, &m->leader_root)) {
        divergence_equal(c->db, m->at);
        return;
    }
    c->db->divergences++;
    struct mark_blocks unknown = {.at = {.seqno = m->at}};
    const struct mark_blocks *mine = checkpointer_mark_blocks(c, m->at);
    divergence_found(c->db, mine ? mine : &unknown);
}

/* --- the job on a pinned version --- */

/* The root. */
static void hash_version(struct version_job *v)
{
    v->is_rotten = !mark_blocks_look(v->version, &v->cursor, LOOK_BYTES, &v->rotten);
    v->has_root = mark_blocks_make(v->version, &v->blocks);
    v->code = v->has_root ? OK : ERR(&v->err, E_NOMEMORY, "no memory to hash the state");
}

/* The root and the start of the files, or a step of them. */
static void version_run(struct env_job *job)
{
    struct version_job *v = CONTAINER_OF(job, struct version_job, job);
    v->is_done = true;
    if (!v->has_root) hash_version(v);
    if (v->code != OK || !v->writes_files) return;
    if (!v->writing) {
        v->writing = checkpoint_begin(&v->write, &v->err);
        if (!v->writing) v->code = E_NOMEMORY;
    }
    if (v->code == OK) v->code = checkpoint_step(v->writing, STEP_BYTES, &v->is_done, &v->err);
    if (v->code != OK) v->is_done = true;
    if (v->is_done) {
        checkpoint_end(v->writing, &v->written);
        v->writing = NULL;
        const struct checkpoint_write *w = &v->write;
        const struct state_files files = {
            .env = w->env, .cluster = w->cluster, .stream = w->stream};
        bool is_listed =
            v->code == OK && manifest_list_read(&files, w->generation, &v->manifests, NULL) == OK;
        if (!is_listed) v->manifests = (struct manifest_list){0}; /* then none is offered */
    }
}

static void start_next(struct checkpointer *c);

static void log_digest(struct checkpointer *c)
{
    if (!c->has_digest_to_log || c->is_stopped) return;
    if (!db_is_leader(c->db) || c->db->condition != DB_SERVING) {
        c->has_digest_to_log = false;
        return;
    }
    if (write_digest(c->db->write, &c->digest_to_log) != OK) return; /* polled again */
    c->has_digest_to_log = false;
    write_flush(c->db->write);
}

static void keep_blocks(struct checkpointer *c, struct version_job *v)
{
    mark_blocks_fini(&c->recent[BLOCKS_KEPT - 1]);
    memmove(&c->recent[1], &c->recent[0], (BLOCKS_KEPT - 1) * sizeof(c->recent[0]));
    c->recent[0] = v->blocks;
    v->blocks = (struct mark_blocks){0};
}

static void take_root(struct checkpointer *c, struct version_job *v)
{
    struct known_mark *m = find_mark(c, v->mark);
    if (!m) return;
    m->is_passed_over = !v->has_root;
    if (!v->has_root) return;
    m->root = v->blocks.root;
    m->has_root = true;
    keep_blocks(c, v);
    if (db_is_leader(c->db)) {
        c->has_digest_to_log = true;
        c->digest_to_log = (struct record_digest){.mark = v->mark, .root = m->root};
        log_digest(c);
    } else {
        compare(c, m);
    }
}

static void take_files(struct checkpointer *c, struct version_job *v)
{
    struct db *db = c->db;
    struct position at = state_version_position(v->version);
    if (v->code != OK) {
        c->failures++;
        db_event(db, DB_EVENT_CHECKPOINT, "a checkpoint could not be written: %s", v->err.text);
        answer_waiters(c, &c->checkpoint_waiters, v->mark, &at, &v->err);
        return;
    }
    /* A manifest at or below what is committed may be kept beside the two newest: while it is older
     * than the second one, what was the oldest stays so. */
    bool is_third_kept = v->write.committed.v != 0 && v->write.committed.v < c->contents.at.v;
    if (!is_third_kept) c->oldest_kept = c->contents.at;
    if (v->write.writes_anew) c->writes_anew = false;
    checkpoint_contents_fini(&c->contents);
    c->contents = v->written;
    v->written = (struct checkpoint_contents){0};
    db->manifests = v->manifests;
    c->checkpoint_ns = db->env->v->now_mono_ns(db->env);
    c->checkpoint_log_bytes = log_durable_bytes(db->log);
    c->last_duration_ns = c->checkpoint_ns - v->started_ns;
    if (db->retention) retention_on_progress(db->retention);
    answer_waiters(c, &c->checkpoint_waiters, v->mark, &at, NULL);
    bootstrap_serve_poll(db);
}

static void submit_step(struct checkpointer *c)
{
    struct env *env = c->db->env;
    c->version_job.step_ns = env->v->now_mono_ns(env);
    env->v->submit(env, LANE_BACKGROUND, &c->version_job.job);
}

static void pause_is_over(struct env_timer *timer)
{
    submit_step(CONTAINER_OF(timer, struct checkpointer, pause_timer));
}

/* Leave the disk to the log for as long as the step had it; a node that closes does not wait. */
static void pause_writing(struct checkpointer *c)
{
    struct env *env = c->db->env;
    uint64_t took_ns = env->v->now_mono_ns(env) - c->version_job.step_ns;
    if (took_ns > PAUSE_MAX_NS) took_ns = PAUSE_MAX_NS;
    if (took_ns == 0 || c->is_stopped) {
        submit_step(c);
        return;
    }
    c->pause_timer.fire = pause_is_over;
    env->v->timer_start(env, &c->pause_timer, took_ns);
}

static void version_done(struct env_job *job)
{
    struct version_job *v = CONTAINER_OF(job, struct version_job, job);
    struct checkpointer *c = v->owner;
    if (!v->is_done) {
        pause_writing(c);
        return;
    }
    struct version_job finished = *v;
    c->is_job_running = false;
    c->cursor = finished.cursor;
    if (finished.is_rotten) {
        divergence_rotten(c->db, finished.mark, finished.rotten);
    } else {
        take_root(c, &finished);
    }
    mark_blocks_fini(&finished.blocks);
    if (finished.writes_files) take_files(c, &finished);
    if (db_is_leader(c->db)) {
        state_version_free(finished.version);
    } else {
        state_version_free(c->newest);
        c->newest = finished.version;
    }
    start_next(c);
}

static bool is_checkpoint_due(const struct checkpointer *c)
{
    const struct db *db = c->db;
    if (c->is_checkpoint_wanted || c->checkpoint_waiters || c->writes_anew) return true;
    if (c->last_client.v <= c->contents.at.v) return false; /* nothing but housekeeping */
    uint64_t bytes = log_durable_bytes(db->log) - c->checkpoint_log_bytes;
    uint64_t limit = db->config.checkpoint_log_bytes;
    if (limit < 2 * c->contents.bytes) limit = 2 * c->contents.bytes;
    if (bytes >= limit) return true;
    uint64_t now_ns = db->env->v->now_mono_ns(db->env);
    return now_ns - c->checkpoint_ns >= db->config.checkpoint_interval_ns;
}

static bool prepare_files(struct checkpointer *c, struct version_job *v)
{
    const struct identity *id = &c->db->identity;
    size_t count = id->epoch_count ? id->epoch_count : 1;
    struct epoch_entry *epochs = realloc(c->epochs, count * sizeof(*epochs));
    if (!epochs) return false;
    c->epochs = epochs;
    /* Only leaderships that began at or before the cut: the root part is the same on all nodes. */
    uint32_t used = 0;
    for (uint32_t i = 0; i < id->epoch_count; i++) {
        if (id->epochs[i].start.v <= v->mark.v) epochs[used++] = id->epochs[i];
    }
    uint32_t pinned_count = 0;
    free(c->pinned);
    if (!bootstrap_pins(c->db, &c->pinned, &pinned_count)) return false;
    const struct known_mark *mark = find_mark(c, v->mark);
    if (!mark) return false; /* the newest of all marks: it is known */
    bool is_alone = db_is_leader(c->db) && !c->db->shipper;
    v->writes_files = true;
    v->write = (struct checkpoint_write){
        .env = c->db->env,
        .cluster = id->cluster,
        .stream = id->stream,
        .generation = id->generation,
        .log_bytes = mark->log_bytes,
        .epochs = epochs,
        .epoch_count = used,
        .version = v->version,
        .previous = &c->contents,
        .pack = c->next_pack++,
        .committed = is_alone ? v->mark : log_committed(c->db->log),
        .pinned = c->pinned,
        .pinned_count = pinned_count,
        .writes_anew = c->writes_anew,
    };
    return true;
}

static void start_job(struct checkpointer *c, struct state_version *version)
{
    struct version_job *v = &c->version_job;
    *v = (struct version_job){
        .owner = c,
        .version = version,
        .mark = state_version_position(version).seqno,
        .cursor = c->cursor,
        .started_ns = c->db->env->v->now_mono_ns(c->db->env),
        .job = {.run = version_run, .done = version_done},
    };
    if (is_checkpoint_due(c) && v->mark.v > c->contents.at.v) {
        if (prepare_files(c, v)) {
            c->is_checkpoint_wanted = false;
        } else {
            lose_checkpoint(c, v->mark);
        }
    }
    c->is_job_running = true;
    submit_step(c);
}

static void start_next(struct checkpointer *c)
{
    if (c->is_job_running || c->is_stopped || c->is_held) return;
    if (c->next) {
        struct state_version *version = c->next;
        c->next = NULL;
        start_job(c, version);
        return;
    }
    if (!c->newest || !c->checkpoint_waiters || db_is_leader(c->db)) return;
    struct position at = state_version_position(c->newest);
    if (at.seqno.v <= c->contents.at.v) { /* the newest mark has its checkpoint already */
        answer_waiters(c, &c->checkpoint_waiters, at.seqno, &at, NULL);
        return;
    }
    struct state_version *version = c->newest;
    c->newest = NULL;
    start_job(c, version);
}

/* --- marks --- */

static void arm_timer(struct checkpointer *c);

static void try_mark(struct checkpointer *c, uint8_t reason)
{
    struct db *db = c->db;
    if (!db_is_leader(db) || db->condition != DB_SERVING || c->is_stopped) return;
    seqno at;
    enum code code = write_mark(db->write, reason, &at);
    if (code == E_NOMEMORY) {
        c->is_mark_wanted = false;
        lose_checkpoint(c, seqno_of(UINT64_MAX));
        return;
    }
    if (code != OK) {
        c->is_mark_wanted = true; /* polled again */
        return;
    }
    c->is_mark_wanted = false;
    write_flush(db->write);
}

static void timer_fired(struct env_timer *timer)
{
    struct checkpointer *c = CONTAINER_OF(timer, struct checkpointer, timer);
    c->is_timer_running = false;
    if (c->last_client.v > c->last_mark.v) try_mark(c, MARK_BY_INTERVAL);
}

static void arm_timer(struct checkpointer *c)
{
    struct db *db = c->db;
    if (c->is_timer_running || db->config.mark_interval_ns == 0 || c->is_stopped) return;
    if (!db_is_leader(db)) return;
    c->is_timer_running = true;
    c->timer.fire = timer_fired;
    db->env->v->timer_start(db->env, &c->timer, db->config.mark_interval_ns);
}

void checkpointer_interval_changed(struct checkpointer *c)
{
    if (c->is_timer_running) c->db->env->v->timer_stop(c->db->env, &c->timer);
    c->is_timer_running = false;
    if (c->last_client.v > c->last_mark.v) arm_timer(c);
}

/* Marks came faster than they can be hashed: the newest one is worth more. */
static void pass_over(struct checkpointer *c, struct state_version *version)
{
    struct known_mark *m = find_mark(c, state_version_position(version).seqno);
    if (m) m->is_passed_over = true;
    if (m && m->has_leader_root) c->unchecked++;
    state_version_free(version);
}

static void on_mark(struct checkpointer *c, seqno at)
{
    c->last_mark = at;
    uint64_t log_bytes = log_durable_bytes(c->db->log) - log_bytes_after(c->db->log, at);
    c->marks[c->mark_count % MARKS_KEPT] = (struct known_mark){.at = at, .log_bytes = log_bytes};
    c->mark_count++;
    struct state_version *version = state_pin(c->db->state);
    if (!version) { /* without memory this mark has no root; the next one may */
        struct known_mark *m = find_mark(c, at);
        ASSERT(m != NULL); /* just noted */
        m->is_passed_over = true;
        lose_checkpoint(c, at);
        return;
    }
    if (c->next) pass_over(c, c->next);
    c->next = version;
    start_next(c);
}

static void on_digest(struct checkpointer *c, const struct record_digest *digest)
{
    struct known_mark *m = find_mark(c, digest->mark);
    if (db_is_leader(c->db)) return;
    if (!m || m->is_passed_over) c->unchecked++;
    if (!m) return;
    m->leader_root = digest->root;
    m->has_leader_root = true;
    compare(c, m);
}

void checkpointer_on_batch(struct checkpointer *c, const struct batch_header *header,
                           const struct state_outcome *outcome)
{
    if (!(header->flags & BATCH_FLAG_HOUSEKEEPING)) {
        c->last_client = batch_last(header);
        arm_timer(c);
    }
    if (outcome->has_mark) on_mark(c, batch_last(header));
    if (outcome->has_digest) on_digest(c, &outcome->digest);
}

/* --- sealing --- */

static void seal_done(void *arg, struct log_chunk *chunk, enum code code, const struct err *e)
{
    struct checkpointer *c = arg;
    (void)chunk;
    c->is_sealing = false;
    struct position at = log_durable(c->db->log);
    if (code != OK) db_set_condition(c->db, DB_POISONED, e);
    answer_waiters(c, &c->seal_waiters, SEAL_MARK, &at, code == OK ? NULL : e);
    if (c->db->write) write_flush(c->db->write);
    db_on_durable(c->db);
}

bool checkpointer_start_seal(struct checkpointer *c)
{
    if (!c->seal_waiters || c->is_sealing || log_is_writing(c->db->log)) return false;
    c->is_sealing = true;
    log_seal(c->db->log, seal_done, c);
    return log_is_writing(c->db->log);
}

void checkpointer_fail(struct checkpointer *c, const struct err *e)
{
    seqno applied = state_position(c->db->state).seqno;
    struct position none = {0};
    c->is_mark_wanted = false;
    struct op_waiter *lost = take_waiters(&c->checkpoint_waiters, applied, seqno_of(UINT64_MAX));
    answer_taken(c, lost, &none, e);
    if (log_is_poisoned(c->db->log) && !c->is_sealing) {
        answer_waiters(c, &c->seal_waiters, SEAL_MARK, &none, e);
    }
}

void checkpointer_poll(struct checkpointer *c)
{
    if (c->is_stopped) return;
    tell_lost(c);
    if (c->is_mark_wanted) try_mark(c, MARK_BY_COMMAND);
    log_digest(c);
    start_next(c);
}

void checkpointer_stop(struct checkpointer *c, const struct err *why)
{
    c->is_stopped = true;
    c->db->env->v->timer_stop(c->db->env, &c->timer);
    struct position none = {0};
    answer_waiters(c, &c->checkpoint_waiters, seqno_of(UINT64_MAX), &none, why);
    if (!c->is_sealing) answer_waiters(c, &c->seal_waiters, seqno_of(UINT64_MAX), &none, why);
}

/* --- operations --- */

static void digest_run(struct env_job *job)
{
    struct digest_job *d = CONTAINER_OF(job, struct digest_job, job);
    uint32_t size_max = state_version_block_size_max(d->version);
    uint8_t *scratch = malloc(size_max ? size_max : 1);
    d->is_ok = scratch && state_version_root(d->version, scratch, &d->root);
    free(scratch);
}

static void answer_digest(struct op *op, seqno at, const struct hash256 *root)
{
    op->result = (struct tide_result){.kind = TIDE_RESULT_DIGEST, .as.digest = {.seqno = at.v}};
    memcpy(op->result.as.digest.root, root->bytes, sizeof(root->bytes));
}

static void digest_done(struct env_job *job)
{
    struct digest_job *d = CONTAINER_OF(job, struct digest_job, job);
    struct db *db = d->db;
    struct op *op = &d->run->ops[d->run->cursor];
    struct tide_run *run = d->run;
    if (d->is_ok) {
        answer_digest(op, state_version_position(d->version).seqno, &d->root);
    } else {
        struct err e = {.code = OK};
        (void)ERR(&e, E_NOMEMORY, "no memory to hash the state");
        read_fail(run, op, &e);
    }
    forget_digest_job(db->checkpointer, d);
    queue_resume(db->queue, run);
}

static bool digest_now(struct checkpointer *c, struct tide_run *run, struct op *op)
{
    struct digest_job *d = calloc(1, sizeof(*d));
    struct state_version *version = d ? state_pin(c->db->state) : NULL;
    if (!version) {
        struct err e = {.code = OK};
        free(d);
        (void)ERR(&e, E_NOMEMORY, "no memory to hash the state");
        read_fail(run, op, &e);
        return true;
    }
    *d = (struct digest_job){.db = c->db,
                             .run = run,
                             .version = version,
                             .job = {.run = digest_run, .done = digest_done},
                             .next = c->digest_jobs};
    c->digest_jobs = d;
    c->db->env->v->submit(c->db->env, LANE_BACKGROUND, &d->job);
    return false;
}

static bool digest_at_mark(struct checkpointer *c, struct tide_run *run, struct op *op)
{
    struct known_mark *m = find_mark(c, seqno_of(op->number));
    if (m && m->has_root) {
        answer_digest(op, m->at, &m->root);
        return true;
    }
    struct err e = {.code = OK};
    if (m && m->is_passed_over) {
        (void)ERR(&e, E_NOTFOUND, "mark %llu has no digest: marks came faster than they are hashed",
                  (unsigned long long)op->number);
    } else if (m) {
        (void)ERR(&e, E_BUSY, "the digest of mark %llu is being computed; try again",
                  (unsigned long long)op->number);
    } else {
        (void)ERR(&e, E_NOTFOUND, "%llu is not one of the %u recent marks",
                  (unsigned long long)op->number, MARKS_KEPT);
    }
    read_fail(run, op, &e);
    return true;
}

static bool checkpoint_now(struct checkpointer *c, struct tide_run *run, struct op *op)
{
    struct db *db = c->db;
    struct err e = {.code = OK};
    bool is_ok = true;
    if (db_is_leader(db)) {
        if (db->condition != DB_SERVING) {
            e = db->reason;
            is_ok = false;
        }
        /* Answered by the first checkpoint cut at a mark logged after this moment. */
        seqno from = seqno_next(write_assigned(db->write));
        if (is_ok) is_ok = add_waiter(&c->checkpoint_waiters, run, from);
        if (is_ok) try_mark(c, MARK_BY_COMMAND);
    } else if (c->is_held) {
        (void)ERR(&e, E_BUSY,
                  "this node copies the state of another one; checkpoints come after that");
        is_ok = false;
    } else if (c->newest || c->next || c->is_job_running) {
        seqno newest = c->last_mark;
        is_ok = add_waiter(&c->checkpoint_waiters, run, newest);
        if (is_ok && !c->is_job_running) {
            /* start_next may answer at once: it must find the run parked */
            c->db->env->v->post(c->db->env, &db->poll_task);
        }
    } else {
        (void)ERR(&e, E_NOTFOUND,
                  "no mark was applied since this node started; the leader logs the next one "
                  "within mark_interval of activity, or with CHECKPOINT there");
        is_ok = false;
    }
    if (is_ok) return false;
    if (e.code == OK) (void)ERR(&e, E_NOMEMORY, "no memory for a checkpoint");
    read_fail(run, op, &e);
    return true;
}

static bool seal_now(struct checkpointer *c, struct tide_run *run, struct op *op)
{
    if (log_is_poisoned(c->db->log)) {
        read_fail(run, op, log_poison_reason(c->db->log));
        return true;
    }
    if (!add_waiter(&c->seal_waiters, run, SEAL_MARK)) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_NOMEMORY, "no memory to seal");
        read_fail(run, op, &e);
        return true;
    }
    c->db->env->v->post(c->db->env, &c->db->poll_task);
    return false;
}

bool checkpoint_op(struct db *db, struct tide_run *run, struct op *op)
{
    struct checkpointer *c = db->checkpointer;
    switch ((enum op_kind)op->kind) {
    case OP_DIGEST: return op->number == 0 ? digest_now(c, run, op) : digest_at_mark(c, run, op);
    case OP_CHECKPOINT: return checkpoint_now(c, run, op);
    case OP_LOG_SEAL: return seal_now(c, run, op);
    default: break;
    }
    UNREACHABLE();
}

const struct checkpoint_contents *checkpointer_contents(const struct checkpointer *c)
{
    return &c->contents;
}

void checkpointer_want(struct checkpointer *c)
{
    if (c->is_checkpoint_wanted || c->is_stopped) return;
    c->is_checkpoint_wanted = true;
    bool is_coming = c->next || c->is_mark_wanted;
    if (db_is_leader(c->db) && !is_coming) try_mark(c, MARK_BY_COMMAND);
}

void checkpointer_write_anew(struct checkpointer *c)
{
    c->writes_anew = true;
    checkpointer_want(c);
}

bool checkpointer_writes_anew(const struct checkpointer *c)
{
    return c->writes_anew;
}

void checkpointer_hold(struct checkpointer *c)
{
    struct err e = {.code = OK};
    struct position none = {0};
    c->is_held = true;
    (void)ERR(&e, E_BUSY, "this node copies the state of another one; checkpoints come after that");
    answer_waiters(c, &c->checkpoint_waiters, seqno_of(UINT64_MAX), &none, &e);
}

const struct mark_blocks *checkpointer_mark_blocks(const struct checkpointer *c, seqno mark)
{
    for (uint32_t i = 0; i < BLOCKS_KEPT; i++) {
        if (c->recent[i].blocks && c->recent[i].at.seqno.v == mark.v) return &c->recent[i];
    }
    return NULL;
}

bool checkpointer_can_go_back(const struct checkpointer *c, seqno mark)
{
    if (mark.v == 0 || log_oldest(c->db->log).v == 1) return true;
    if (c->contents.count > 0 && c->contents.at.v <= mark.v) return true;
    return c->oldest_kept.v != 0 && c->oldest_kept.v <= mark.v;
}

void checkpointer_release(struct checkpointer *c)
{
    c->is_held = false;
    start_next(c);
}

uint64_t checkpointer_take_pack(struct checkpointer *c)
{
    return c->next_pack++;
}

seqno checkpointer_oldest_kept(const struct checkpointer *c)
{
    return c->oldest_kept;
}

void checkpointer_status(const struct checkpointer *c, struct checkpointer_status *out)
{
    uint64_t now_ns = c->db->env->v->now_mono_ns(c->db->env);
    bool has_one = c->contents.count > 0;
    *out = (struct checkpointer_status){
        .checkpoint_seqno = c->contents.at,
        .checkpoint_age_ns = has_one ? now_ns - c->checkpoint_ns : UINT64_MAX,
        .checkpoint_bytes = c->contents.bytes,
        .last_duration_ns = c->last_duration_ns,
        .failures = c->failures,
        .unchecked = c->unchecked,
    };
    uint32_t kept = c->mark_count < MARKS_KEPT ? c->mark_count : MARKS_KEPT;
    for (uint32_t i = 0; i < kept; i++) {
        if (c->marks[i].has_root) out->digest_mark = seqno_max(out->digest_mark, c->marks[i].at);
    }
}
