/* leader_time: see leader_time.h. All sums are of nanoseconds since 1970 in 64 bits: wall times are
 * cut to the years 1970 to 2255 first, and no monotonic clock counts that far. */
#include "core/leader_time.h"

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
#include "format/batch.h"

#define WALL_MS_MAX INT64_C(9000000000000) /* 2255 */
/* Slewing: one part in so many of the time that passes. */
#define SLEW_PARTS 100

/* Where wall time lies, seen from leader time. */
enum sight {
    SIGHT_NEAR,   /* at or ahead of it, within step_max */
    SIGHT_SHORT,  /* behind it, no further than it was known to be and step_max more */
    SIGHT_AHEAD,  /* further ahead than step_max */
    SIGHT_BEHIND, /* further behind than SHORT */
};

static const enum leader_time_state edges[3][4] = {
    [LEADER_TIME_FOLLOWING] = {[SIGHT_NEAR] = LEADER_TIME_FOLLOWING,
                               [SIGHT_SHORT] = LEADER_TIME_FOLLOWING,
                               [SIGHT_AHEAD] = LEADER_TIME_STEP_PENDING,
                               [SIGHT_BEHIND] = LEADER_TIME_STEP_PENDING},
    [LEADER_TIME_STEP_PENDING] = {[SIGHT_NEAR] = LEADER_TIME_FOLLOWING,
                                  [SIGHT_SHORT] = LEADER_TIME_FOLLOWING,
                                  [SIGHT_AHEAD] = LEADER_TIME_STEP_PENDING,
                                  [SIGHT_BEHIND] = LEADER_TIME_STEP_PENDING},
    [LEADER_TIME_STANDING] = {[SIGHT_NEAR] = LEADER_TIME_FOLLOWING,
                              [SIGHT_SHORT] = LEADER_TIME_STANDING,
                              [SIGHT_AHEAD] = LEADER_TIME_STEP_PENDING,
                              [SIGHT_BEHIND] = LEADER_TIME_STEP_PENDING},
};

const char *leader_time_state_word(enum leader_time_state state)
{
    switch (state) {
    case LEADER_TIME_FOLLOWING: return "following";
    case LEADER_TIME_STEP_PENDING: return "step pending";
    case LEADER_TIME_STANDING: return "standing still";
    }
    UNREACHABLE();
}

static int64_t ns_of_ms(int64_t ms)
{
    if (ms < 0) ms = 0;
    if (ms > WALL_MS_MAX) ms = WALL_MS_MAX;
    return ms * (int64_t)NS_PER_MS;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum sight sight_of(const struct leader_time *t)
{
    if (t->offset_ns >= 0) return t->offset_ns <= t->step_max_ns ? SIGHT_NEAR : SIGHT_AHEAD;
    return t->offset_ns >= -(t->stand_ns + t->step_max_ns) ? SIGHT_SHORT : SIGHT_BEHIND;
}

static void enter(struct leader_time *t, enum leader_time_state state)
{
    if (state == LEADER_TIME_STEP_PENDING && t->state != state) t->step_count++;
    TAKEN(TAKEN_LEADER_TIME, t->state, state);
    t->state = state;
    t->stand_ns = state == LEADER_TIME_STANDING ? -t->offset_ns : 0;
    ASSERT(t->stand_ns >= 0);
}

/* Leader time that passes in so much monotonic time, before wall time is looked at. */
static int64_t passed(struct leader_time *t, int64_t elapsed_ns)
{
    int64_t stood_ns = smaller(t->stand_ns, elapsed_ns);
    t->stand_ns -= stood_ns;
    return elapsed_ns - stood_ns;
}

static void slew(struct leader_time *t, int64_t elapsed_ns)
{
    int64_t most_ns = elapsed_ns / SLEW_PARTS;
    int64_t by_ns =
        t->offset_ns > 0 ? smaller(t->offset_ns, most_ns) : -smaller(-t->offset_ns, most_ns);
    t->time_ns += by_ns;
    t->offset_ns -= by_ns;
}

void leader_time_start(struct leader_time *t, uint64_t step_max_ms, uint64_t last,
                       struct clock_reading now)
{
    int64_t wall_ns = ns_of_ms(now.wall_ms);
    int64_t last_ns = ns_of_ms((int64_t)hlc_ms(last));
    *t = (struct leader_time){
        .state = LEADER_TIME_FOLLOWING,
        .step_max_ns = ns_of_ms((int64_t)step_max_ms),
        .time_ns = last_ns > wall_ns ? last_ns : wall_ns,
        .mono_ns = now.mono_ns,
        .last = last,
    };
    t->offset_ns = wall_ns - t->time_ns;
    if (t->offset_ns < 0) enter(t, LEADER_TIME_STANDING);
}

void leader_time_take_over(struct leader_time *t, uint64_t step_max_ms, uint64_t last,
                           uint64_t heard, uint64_t heard_mono_ns, struct clock_reading now)
{
    ASSERT(now.mono_ns >= heard_mono_ns);
    leader_time_start(t, step_max_ms, last, now);
    int64_t wall_ns = ns_of_ms(now.wall_ms);
    int64_t judged_ns = ns_of_ms((int64_t)hlc_ms(heard)) + (int64_t)(now.mono_ns - heard_mono_ns);
    int64_t last_ns = ns_of_ms((int64_t)hlc_ms(last));
    bool is_near = wall_ns - judged_ns <= t->step_max_ns && judged_ns - wall_ns <= t->step_max_ns;
    if (is_near) return;
    t->time_ns = judged_ns > last_ns ? judged_ns : last_ns;
    t->offset_ns = wall_ns - t->time_ns;
    enter(t, LEADER_TIME_STEP_PENDING);
}

void leader_time_step(struct leader_time *t, struct clock_reading now)
{
    int64_t elapsed_ns = now.mono_ns > t->mono_ns ? (int64_t)(now.mono_ns - t->mono_ns) : 0;
    t->mono_ns += (uint64_t)elapsed_ns;
    int64_t ran_ns = passed(t, elapsed_ns);
    t->time_ns += ran_ns;
    t->offset_ns = ns_of_ms(now.wall_ms) - t->time_ns;
    enter(t, edges[t->state][sight_of(t)]);
    if (t->state == LEADER_TIME_FOLLOWING) slew(t, ran_ns);
    if (PLANTED(25)) t->time_ns = ns_of_ms(now.wall_ms); /* whatever the wall clock says */
}

bool leader_time_accept(struct leader_time *t)
{
    if (t->state != LEADER_TIME_STEP_PENDING) return false;
    if (t->offset_ns < 0) {
        enter(t, LEADER_TIME_STANDING);
        return true;
    }
    t->time_ns += t->offset_ns;
    t->offset_ns = 0;
    enter(t, LEADER_TIME_FOLLOWING);
    return true;
}

void leader_time_note(struct leader_time *t, uint64_t hlc)
{
    ASSERT(hlc >= t->last);
    t->last = hlc;
}

uint64_t leader_time_next(const struct leader_time *t)
{
    uint64_t now = hlc_of_ms((uint64_t)t->time_ns / NS_PER_MS);
    if (now > t->last) return now;
    return t->last < UINT64_MAX ? t->last + 1 : t->last; /* times may be equal, never go back */
}

uint64_t leader_time_wait_ns(const struct leader_time *t, uint64_t due_ms)
{
    uint64_t now_ms = hlc_ms(leader_time_next(t));
    if (due_ms <= now_ms) return 0;
    uint64_t away_ms = due_ms - now_ms;
    uint64_t away_ns = away_ms > UINT64_MAX / 4 / NS_PER_MS ? UINT64_MAX / 4 : away_ms * NS_PER_MS;
    return away_ns + (uint64_t)t->stand_ns;
}
