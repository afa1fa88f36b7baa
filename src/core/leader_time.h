/* leader_time: the clock that stamps batches. It advances by the monotonic clock and is slewed
 * towards wall time, so that no jump of a wall clock expires windows, sessions or keys; it never
 * goes back, and two batches never have the same time (a hybrid logical clock: 48 bits of
 * milliseconds, 16 bits of counter).
 *
 *   FOLLOWING       at most step_max from wall time, and moving towards it: 1 % faster or slower
 *                   than the monotonic clock, so that 10 s are absorbed in 17 minutes and an hour
 *                   of leader time is never off by more than 36 s
 *   STEP_PENDING    wall time is further away than step_max: it is reported and not followed; time
 *                   goes on by the monotonic clock alone until wall time is near again or an
 *                   operator accepts the step
 *   STANDING_STILL  wall time is behind a record that is there (found so at start, or accepted):
 *                   only the counter advances until wall time has come up
 *
 * Edges are in a table in leader_time.c, tried row by row in tests/unit/core/test_leader_time.c.
 * Pure: readings of clocks come in. Owner: the write path of a leader. The monotonic clock counts
 * while the machine is suspended (BOOTTIME): waking up is no step.
 */
#ifndef TIDEMARK_CORE_LEADER_TIME_H
#define TIDEMARK_CORE_LEADER_TIME_H

#include "base/types.h"

enum leader_time_state { LEADER_TIME_FOLLOWING, LEADER_TIME_STEP_PENDING, LEADER_TIME_STANDING };

/* "following", "step pending", "standing still". */
const char *leader_time_state_word(enum leader_time_state state);

struct clock_reading {
    uint64_t mono_ns; /* only forward */
    int64_t wall_ms;  /* since 1970; anything */
};

struct leader_time {
    enum leader_time_state state;
    int64_t step_max_ns;
    int64_t time_ns;     /* since 1970, at mono_ns */
    uint64_t mono_ns;    /* of the newest reading */
    int64_t stand_ns;    /* STANDING: how long, by the monotonic clock, wall time still needs */
    int64_t offset_ns;   /* wall time - leader time, at the newest reading */
    uint64_t last;       /* HLC of the newest batch */
    uint64_t step_count; /* steps that became pending */
};

/* Begin after `last`, the newest record there is (0: none): the later of it and wall time. */
void leader_time_start(struct leader_time *t, uint64_t step_max_ms, uint64_t last,
                       struct clock_reading now);
/* Begin as the next leader: the last one said `heard` (HLC) when the monotonic clock showed
 * heard_mono_ns. Wall time further than step_max from what that has become by now is a step. */
void leader_time_take_over(struct leader_time *t, uint64_t step_max_ms, uint64_t last,
                           uint64_t heard, uint64_t heard_mono_ns, struct clock_reading now);

/* Clocks were read. Readings may be as rare as the caller likes: a step is seen at the next one. */
void leader_time_step(struct leader_time *t, struct clock_reading now);
/* An operator accepts the step as of the newest reading: leader time is wall time, or stands still
 * until that has come up. False: none is pending. */
bool leader_time_accept(struct leader_time *t);
/* A batch carries this time. */
void leader_time_note(struct leader_time *t, uint64_t hlc);

/* What a batch of the newest reading carries: later than every batch before. */
uint64_t leader_time_next(const struct leader_time *t);
/* How long, by the monotonic clock, until leader time is due_ms: 0 when it is; what slewing changes
 * is seen when that is over. Units: ms since 1970 in, nanoseconds out. */
uint64_t leader_time_wait_ns(const struct leader_time *t, uint64_t due_ms);

#endif
