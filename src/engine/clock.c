/* clock: see clock.h. */
#include "engine/clock.h"

#include "base/assert.h"
#include "base/text.h"
#include "engine/ticker.h"
#include "format/batch.h"

static struct clock_reading read_clocks(const struct db *db)
{
    return (struct clock_reading){.mono_ns = db->env->v->now_mono_ns(db->env),
                                  .wall_ms = db->env->v->now_wall_ms(db->env)};
}

static int64_t offset_ms(const struct db *db)
{
    return db->leader_time.offset_ns / (int64_t)NS_PER_MS;
}

static void note_state(struct db *db, enum leader_time_state before)
{
    enum leader_time_state state = db->leader_time.state;
    if (state == before) return;
    long long away_ms = (long long)offset_ms(db);
    const char *side = away_ms < 0 ? "behind" : "ahead";
    if (away_ms < 0) away_ms = -away_ms;
    if (state == LEADER_TIME_STEP_PENDING) {
        db_event(db, DB_EVENT_CLOCK,
                 "the wall clock stepped and is not followed; CLOCK ACCEPT follows it (it is %lld "
                 "ms %s)",
                 away_ms, side);
    } else {
        db_event(db, DB_EVENT_CLOCK, "leader time is %s; the wall clock is %lld ms %s",
                 leader_time_state_word(state), away_ms, side);
    }
}

/* Every question looks at the clocks first. */
static void look(struct db *db)
{
    ASSERT(db_is_leader(db));
    enum leader_time_state before = db->leader_time.state;
    leader_time_step(&db->leader_time, read_clocks(db));
    note_state(db, before);
}

void clock_start(struct db *db)
{
    uint64_t last = state_leader_time(db->state);
    uint64_t step_max_ms = db->config.clock_step_max_ms;
    if (db->heard_leader_time != 0) { /* the wall clock is judged by what the last leader said */
        leader_time_take_over(&db->leader_time, step_max_ms, last, db->heard_leader_time,
                              db->heard_mono_ns, read_clocks(db));
    } else {
        leader_time_start(&db->leader_time, step_max_ms, last, read_clocks(db));
    }
    note_state(db, LEADER_TIME_FOLLOWING);
}

uint64_t clock_next(struct db *db)
{
    look(db);
    return leader_time_next(&db->leader_time);
}

void clock_note(struct db *db, uint64_t hlc)
{
    leader_time_note(&db->leader_time, hlc);
}

uint64_t clock_wait_ns(struct db *db, uint64_t due_ms)
{
    look(db);
    return leader_time_wait_ns(&db->leader_time, due_ms);
}

int64_t clock_now_ms(struct db *db)
{
    if (db_is_leader(db)) return (int64_t)hlc_ms(clock_next(db));
    int64_t wall_ms = db->env->v->now_wall_ms(db->env);
    int64_t applied_ms = db->state ? (int64_t)hlc_ms(state_leader_time(db->state)) : 0;
    return wall_ms > applied_ms ? wall_ms : applied_ms;
}

void clock_show(struct db *db, struct tide_clock *out)
{
    *out = (struct tide_clock){.wall_ms = db->env->v->now_wall_ms(db->env), .state = "follower"};
    if (!db_is_leader(db)) {
        out->leader_ms = db->state ? (int64_t)hlc_ms(state_leader_time(db->state)) : 0;
        out->offset_ms = out->wall_ms - out->leader_ms;
        return;
    }
    out->leader_ms = (int64_t)hlc_ms(clock_next(db));
    out->offset_ms = offset_ms(db);
    out->state = leader_time_state_word(db->leader_time.state);
    out->is_step_pending = db->leader_time.state == LEADER_TIME_STEP_PENDING;
    out->steps = db->leader_time.step_count;
}

static enum code accept_step(struct db *db, struct err *e)
{
    if (!db_is_leader(db)) {
        return ERR(e, E_READONLY, "this node is a follower; the clock is that of the leader at %s",
                   db->identity.leader_data_address[0] ? db->identity.leader_data_address
                                                       : "an address not known yet");
    }
    look(db);
    if (!leader_time_accept(&db->leader_time)) {
        return ERR(e, E_INVALID, "no step of the clock is pending: leader time is %s",
                   leader_time_state_word(db->leader_time.state));
    }
    note_state(db, LEADER_TIME_STEP_PENDING);
    ticker_on_step(db->ticker);
    return OK;
}

enum code clock_op(struct db *db, struct op *op, struct err *e)
{
    if (op->number != 0) TRY(accept_step(db, e));
    op->result.kind = TIDE_RESULT_CLOCK;
    clock_show(db, &op->result.as.clock);
    return OK;
}
