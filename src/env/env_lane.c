/* env_lane: the threads that block so that the loop does not. LANE_LOG has one, which keeps its
 * jobs in order; LANE_BACKGROUND and LANE_READ have a few.
 *
 * The way of a job: loop appends it under the lane's mutex and signals . a thread runs it without
 * any lock . the thread pushes it to the loop's inbox . the loop calls done. Appending and taking
 * cost the same whatever is queued; how much is queued is bounded by the owners of the jobs, which
 * have one struct each. Every job that was submitted is run, also when the lane stops.
 *
 * No spinning before sleep: README.md has the measurement.
 */
#include "env/env_private.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

static const char *const lane_names[LANE_COUNT] = {
    [LANE_LOG] = "tide-log",
    [LANE_BACKGROUND] = "tide-background",
    [LANE_READ] = "tide-read",
};

/* The oldest job, waiting for one; NULL when the lane stops and nothing is left. */
static struct env_job *take_job(struct lane *lane)
{
    ASSERT(pthread_mutex_lock(&lane->mutex) == 0);
    while (lane->first == NULL && !lane->is_stopping) {
        ASSERT(pthread_cond_wait(&lane->has_work, &lane->mutex) == 0);
    }
    struct env_job *job = lane->first;
    if (job != NULL) {
        lane->first = job->next;
        if (lane->first == NULL) lane->last = NULL;
    }
    ASSERT(pthread_mutex_unlock(&lane->mutex) == 0);
    return job;
}

static void *run_lane(void *arg)
{
    struct lane *lane = arg;
    if (lane->nice > 0) { /* Linux: of this thread alone; a refusal costs latency, nothing else */
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), lane->nice);
    }
    struct env_job *job;
    while ((job = take_job(lane)) != NULL) {
        job->run(job);
        loop_job_done(lane->owner, job);
    }
    return NULL;
}

void env_block_signals(sigset_t *out_old)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        sigdelset(&all, faults[i]);
    }
    ASSERT(pthread_sigmask(SIG_SETMASK, &all, out_old) == 0);
}

static enum code start_threads(struct lane *lane, enum env_lane kind, uint32_t count, struct err *e)
{
    sigset_t old;
    env_block_signals(&old);
    int status = 0;
    while (status == 0 && lane->thread_count < count) {
        pthread_t *thread = &lane->threads[lane->thread_count];
        status = pthread_create(thread, NULL, run_lane, lane);
        if (status != 0) break;
        (void)pthread_setname_np(*thread, lane_names[kind]); /* for top and gdb only */
        lane->thread_count++;
    }
    ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    if (status == 0) return OK;
    struct os_error os = os_error_of(status);
    return ERR(e, E_IO, "cannot start thread %u of %u for %s: %s", lane->thread_count + 1, count,
               lane_names[kind], os.text);
}

static uint32_t read_threads_default(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 4) return 1;
    uint32_t half = (uint32_t)processors / 2;
    return half < READ_THREADS_DEFAULT_MAX ? half : READ_THREADS_DEFAULT_MAX;
}

enum code lanes_init(struct env_uv *u, const struct env_uv_options *options, struct err *e)
{
    uint32_t background = options->background_threads;
    uint32_t read = options->read_threads;
    if (background == 0) background = BACKGROUND_THREADS_DEFAULT;
    if (read == 0) read = read_threads_default();
    if (background > LANE_THREADS_MAX || read > LANE_THREADS_MAX) {
        return ERR(e, E_LIMIT, "%u background and %u reading threads, the limit of each is %u",
                   background, read, LANE_THREADS_MAX);
    }
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &u->lanes[i];
        lane->owner = u;
        ASSERT(pthread_mutex_init(&lane->mutex, NULL) == 0);
        ASSERT(pthread_cond_init(&lane->has_work, NULL) == 0);
    }
    u->lanes[LANE_READ].nice = READ_NICE;
    TRY(start_threads(&u->lanes[LANE_LOG], LANE_LOG, 1, e));
    TRY(start_threads(&u->lanes[LANE_BACKGROUND], LANE_BACKGROUND, background, e));
    return start_threads(&u->lanes[LANE_READ], LANE_READ, read, e);
}

void lane_submit(struct env *env, enum env_lane kind, struct env_job *job)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT(!u->is_closing);
    struct lane *lane = &u->lanes[kind];
    job->lane = kind;
    job->next = NULL;
    u->jobs_in_flight++;
    ASSERT(pthread_mutex_lock(&lane->mutex) == 0);
    if (lane->last != NULL) {
        lane->last->next = job;
    } else {
        lane->first = job;
    }
    lane->last = job;
    ASSERT(pthread_mutex_unlock(&lane->mutex) == 0);
    ASSERT(pthread_cond_signal(&lane->has_work) == 0);
}

void lanes_fini(struct env_uv *u)
{
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &u->lanes[i];
        if (lane->owner == NULL) continue; /* init was not reached */
        ASSERT(pthread_mutex_lock(&lane->mutex) == 0);
        lane->is_stopping = true;
        ASSERT(pthread_mutex_unlock(&lane->mutex) == 0);
        ASSERT(pthread_cond_broadcast(&lane->has_work) == 0);
        for (uint32_t t = 0; t < lane->thread_count; t++) {
            ASSERT(pthread_join(lane->threads[t], NULL) == 0);
        }
        ASSERT(pthread_cond_destroy(&lane->has_work) == 0);
        ASSERT(pthread_mutex_destroy(&lane->mutex) == 0);
    }
}
