/* roller: see roller.h. */
#include "engine/roller.h"

#include <stdlib.h>

#include "base/assert.h"
#include "core/roll.h"
#include "engine/checkpoint.h"
#include "engine/db_internal.h"
#include "engine/shipper.h"

struct roller {
    struct db *db;
    struct roll roll;
    struct env_timer timer;
    uint64_t armed_ns; /* when the timer fires; UINT64_MAX: it does not */
    seqno wanted;      /* end of a segment of the leader's, to seal at; 0 none */
    bool is_due;
    bool is_sealing;
    bool is_stopped;
};

static uint64_t now_of(const struct roller *r)
{
    return r->db->env->v->now_mono_ns(r->db->env);
}

static void arm(struct roller *r, uint64_t now_ns)
{
    struct env *env = r->db->env;
    uint64_t due_ns = r->is_stopped ? UINT64_MAX : roll_due_ns(&r->roll, now_ns);
    if (due_ns == r->armed_ns) return;
    r->armed_ns = due_ns;
    if (due_ns == UINT64_MAX) {
        env->v->timer_stop(env, &r->timer);
    } else {
        env->v->timer_start(env, &r->timer, due_ns > now_ns ? due_ns - now_ns : 0);
    }
}

static void step(struct roller *r, struct roll_event event)
{
    struct db *db = r->db;
    event.now_ns = now_of(r);
    struct roll_actions actions = roll_step(&r->roll, &event);
    r->is_due = actions.is_seal_due;
    arm(r, event.now_ns);
    /* What was just written is shipped by the caller, once the disk is busy again. */
    if (!actions.has_more || event.kind == ROLL_EV_WRITTEN || !db->shipper) return;
    shipper_on_shippable(db->shipper);
}

static void timer_fired(struct env_timer *timer)
{
    struct roller *r = CONTAINER_OF(timer, struct roller, timer);
    if (r->is_stopped) return;
    r->armed_ns = UINT64_MAX;
    step(r, (struct roll_event){.kind = ROLL_EV_TICK});
    if (r->is_due) db_feed_log(r->db);
}

struct roller *roller_new(struct db *db)
{
    ASSERT(db->log != NULL);
    struct roller *r = calloc(1, sizeof(*r));
    if (!r) return NULL;
    r->db = db;
    r->timer.fire = timer_fired;
    r->armed_ns = UINT64_MAX;
    struct roll_options options = {
        .seal_interval_ns = db->config.seal_interval_ns,
        .ship_interval_ns = db->config.ships_segments ? db->config.ship_interval_ns : 0,
    };
    roll_init(&r->roll, &options, log_durable(db->log).seqno, now_of(r));
    return r;
}

void roller_free(struct roller *r)
{
    if (!r) return;
    r->db->env->v->timer_close(r->db->env, &r->timer);
    free(r);
}

void roller_stop(struct roller *r)
{
    r->is_stopped = true;
    r->is_due = false;
    arm(r, now_of(r));
}

bool roller_is_quiet(const struct roller *r)
{
    return !r->is_sealing;
}

void roller_on_sealed(struct roller *r)
{
    seqno sealed = log_sealed(r->db->log);
    if (sealed.v <= r->roll.sealed.v) return;
    step(r, (struct roll_event){.kind = ROLL_EV_SEALED, .end = sealed});
}

void roller_on_chunk(struct roller *r, const struct log_chunk *chunk)
{
    bool has_client = false;
    for (uint32_t i = 0; i < chunk->batch_count && !has_client; i++) {
        has_client = !(chunk->batches[i].header.flags & BATCH_FLAG_HOUSEKEEPING);
    }
    roller_on_sealed(r); /* the segment before, when this chunk began a new one */
    step(r, (struct roll_event){
                .kind = ROLL_EV_WRITTEN,
                .end = chunk->batches[chunk->batch_count - 1].end.seqno,
                .has_client = has_client,
            });
}

static void seal_done(void *arg, struct log_chunk *chunk, enum code code, const struct err *e)
{
    struct roller *r = arg;
    struct db *db = r->db;
    (void)chunk;
    r->is_sealing = false;
    if (code == OK) {
        roller_on_sealed(r);
        db_feed_log(db);
    } else {
        struct err why = {.code = OK};
        (void)ERR(&why, code, "sealing a segment failed (%s); restart recovers", e->text);
        db_set_condition(db, DB_POISONED, &why);
        checkpointer_fail(db->checkpointer, &why);
    }
    db_on_durable(db);
}

bool roller_start_seal(struct roller *r)
{
    const struct log *log = r->db->log;
    seqno durable = log_durable(log).seqno;
    bool is_wanted = r->wanted.v > 0 && r->wanted.v == durable.v;
    if (r->wanted.v <= durable.v) r->wanted = SEQNO_NONE;
    if (r->is_stopped || (!r->is_due && !is_wanted) || log_sealed(log).v == durable.v) return false;
    ASSERT(!log_is_writing(log));
    if (r->is_due) step(r, (struct roll_event){.kind = ROLL_EV_SEALING});
    r->is_sealing = true;
    log_seal(r->db->log, seal_done, r);
    return true;
}

void roller_seal_at(struct roller *r, seqno end)
{
    r->wanted = end;
    db_feed_log(r->db);
}

seqno roller_shippable(const struct roller *r)
{
    return r->roll.shippable;
}

bool roller_is_by_segment(const struct roller *r)
{
    return r->roll.options.ship_interval_ns > 0;
}
