/* steps_env: an env on a real folder in which nothing happens by itself. Files are the real env's;
 * jobs, tasks and timers wait in lists until the test runs them, in its own thread; time stands
 * still until it is moved. Any file call can be told to fail. So one test sees one order of events,
 * and can hold the log lane, cut a life short after the n-th call, or fail each call in turn.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_STEPS_ENV_H
#define TIDEMARK_TESTS_SUPPORT_STEPS_ENV_H

#include "env/env.h"

/* Open on a folder, which is created if absent. Ends the program when the world refuses. */
struct env *steps_open(const char *dir);
/* The same over another env's file calls, which are passed on as they come, syncs too. Borrowed: it
 * is not closed. */
struct env *steps_open_over(struct env *files);
/* Close with everything that still waits forgotten: for after db_abandon, or when all is quiet. */
void steps_close(struct env *env);

/* Run one waiting task, or one waiting job of a lane that is not held (its run, then its done).
 * False: nothing waits. */
bool steps_run_one(struct env *env);
/* Run until nothing waits. */
void steps_run(struct env *env);
/* Move time on and fire what is due, running everything after each timer. */
void steps_advance(struct env *env, uint64_t ns);
/* Jobs of this lane wait until it is no longer held. */
void steps_hold(struct env *env, enum env_lane lane, bool is_held);
size_t steps_jobs_waiting(const struct env *env, enum env_lane lane);

/* Calls that change or read files are counted from 1. From call `nth` on (or only that one) they
 * fail with this code; 0: none fails. Counting begins again. */
struct steps_fault {
    uint64_t nth;
    enum code code;
    bool is_for_ever;
    bool writes_only; /* count and fail only calls that change something */
    bool tears;       /* the write that fails has put half of its bytes on the disk */
};
void steps_fail(struct env *env, const struct steps_fault *fault);
uint64_t steps_calls(const struct env *env);
bool steps_has_failed(const struct env *env); /* since steps_fail */

/* What went through file calls since the last steps_fail: to compare what one operation costs early
 * and late. Bytes are those asked for. */
struct steps_cost {
    uint64_t calls;
    uint64_t bytes_read;
    uint64_t bytes_written;
};
struct steps_cost steps_cost(const struct env *env);

/* Random numbers from here on: so that two lives on one disk do not draw the same. */
void steps_seed(struct env *env, uint64_t seed);
/* What disk_free answers; UINT64_MAX: what is true; STEPS_FREE_FAILS: an error. */
#define STEPS_FREE_FAILS (UINT64_MAX - 1)
void steps_set_free(struct env *env, uint64_t bytes);
/* Wall clock of the env in ms; it moves with steps_advance. */
void steps_set_wall(struct env *env, int64_t ms);

#endif
