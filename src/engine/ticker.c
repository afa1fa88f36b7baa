/* ticker: one timer, set to the earlier of what is due and an hour from now (clocks are slewed, so
 * a long wait is looked at again). When it fires and leader time is there, and no record is on its
 * way that would move leader time anyway, a tick is written. See ticker.h. */
#include "engine/ticker.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/clock.h"
#include "engine/write.h"

#define SPACING_NS  (60 * NS_PER_S)
#define WAIT_MAX_NS (3600 * NS_PER_S)

struct ticker {
    struct db *db;
    struct env_timer timer;
    bool is_armed;
    bool is_stopped;
    bool has_ticked;
    uint64_t armed_due_ms;
    uint64_t last_ns; /* of the newest tick, monotonic */
};

/* How long until `due_ms` of leader time, but not sooner than a minute after the last tick. */
static uint64_t wait_ns(const struct ticker *t, uint64_t due_ms)
{
    struct db *db = t->db;
    uint64_t wait = clock_wait_ns(db, due_ms);
    if (wait > WAIT_MAX_NS) wait = WAIT_MAX_NS;
    if (!t->has_ticked) return wait;
    uint64_t since = db->env->v->now_mono_ns(db->env) - t->last_ns;
    uint64_t spacing = since < SPACING_NS ? SPACING_NS - since : 0;
    return wait > spacing ? wait : spacing;
}

static bool is_anything_on_its_way(const struct db *db)
{
    return write_assigned(db->write).v != db_applied(db).seqno.v;
}

static void timer_fired(struct env_timer *timer)
{
    struct ticker *t = CONTAINER_OF(timer, struct ticker, timer);
    struct db *db = t->db;
    t->is_armed = false;
    if (t->is_stopped || db->condition != DB_SERVING) return;
    if (is_anything_on_its_way(db)) return; /* it moves leader time; armed again when applied */
    if (clock_wait_ns(db, state_next_due_ms(db->state)) == 0) {
        t->has_ticked = true;
        t->last_ns = db->env->v->now_mono_ns(db->env);
        if (write_tick(db->write) == OK) {
            write_flush(db->write);
            return; /* armed again when it is applied */
        }
    }
    ticker_on_applied(t);
}

void ticker_on_applied(struct ticker *t)
{
    uint64_t due_ms = state_next_due_ms(t->db->state);
    if (t->is_stopped || due_ms == UINT64_MAX) return;
    if (t->is_armed && t->armed_due_ms <= due_ms) return; /* looked at again when it fires */
    t->is_armed = true;
    t->armed_due_ms = due_ms;
    t->timer.fire = timer_fired;
    t->db->env->v->timer_start(t->db->env, &t->timer, wait_ns(t, due_ms));
}

void ticker_on_step(struct ticker *t)
{
    t->is_armed = false; /* what it was armed for may be due by now */
    ticker_on_applied(t);
}

struct ticker *ticker_new(struct db *db)
{
    ASSERT(db->write != NULL);
    struct ticker *t = calloc(1, sizeof(*t));
    if (!t) return NULL;
    t->db = db;
    ticker_on_applied(t);
    return t;
}

void ticker_stop(struct ticker *t)
{
    t->is_stopped = true;
    t->db->env->v->timer_stop(t->db->env, &t->timer);
}

void ticker_free(struct ticker *t)
{
    if (!t) return;
    t->db->env->v->timer_close(t->db->env, &t->timer);
    free(t);
}
