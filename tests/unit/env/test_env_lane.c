/* Jobs: order on the log lane, concurrency on the background lane, nothing lost. */
#include "env_support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define POSTERS   4
#define JOBS_EACH 1000
#define JOBS      (POSTERS * JOBS_EACH)

struct work {
    struct env_job job;
    struct env_task task; /* submits the job from the loop */
    struct env *env;
    enum env_lane lane;
    unsigned number;
};

static struct env *the_env;
static pthread_t loop_thread;
static unsigned next_on_log; /* the log thread's */
static unsigned next_done;   /* the loop's */
static _Atomic unsigned runs_in_background;

static void run_work(struct env_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    assert_false(pthread_equal(pthread_self(), loop_thread));
    if (work->lane == LANE_LOG) {
        assert_int_equal(work->number, next_on_log);
        next_on_log++;
    } else {
        atomic_fetch_add(&runs_in_background, 1);
    }
}

static void work_done(struct env_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_int_equal(job->lane, work->lane);
    if (work->lane == LANE_LOG) assert_int_equal(work->number, next_done);
    if (++next_done == JOBS) env_uv_stop(work->env);
}

static void jobs_of_the_log_lane_run_and_finish_in_order(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct work *works = calloc(JOBS, sizeof(*works));
    assert_non_null(works);
    loop_thread = pthread_self();
    next_on_log = 0;
    next_done = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        works[i] = (struct work){
            .job = {.run = run_work, .done = work_done}, .env = env, .lane = LANE_LOG, .number = i};
        env->v->submit(env, LANE_LOG, &works[i].job);
    }
    env_uv_run(env);
    assert_int_equal(next_on_log, JOBS);
    env_uv_close(env);
    free(works);
}

static void submit_work(struct env_task *task)
{
    struct work *work = CONTAINER_OF(task, struct work, task);
    work->env->v->submit(work->env, work->lane, &work->job);
}

static void *post_works(void *arg)
{
    struct work *works = arg;
    for (size_t i = 0; i < JOBS_EACH; i++) {
        works[i].env->v->post(works[i].env, &works[i].task);
    }
    return NULL;
}

static void jobs_asked_for_by_four_threads_all_run_on_four_threads(void **state)
{
    (void)state;
    struct env *env = open_env_with(NULL, 4);
    struct work *works = calloc(JOBS, sizeof(*works));
    assert_non_null(works);
    loop_thread = pthread_self();
    next_done = 0;
    atomic_store(&runs_in_background, 0);
    pthread_t posters[POSTERS];
    for (size_t i = 0; i < JOBS; i++) {
        works[i] = (struct work){.job = {.run = run_work, .done = work_done},
                                 .task.run = submit_work,
                                 .env = env,
                                 .lane = LANE_BACKGROUND};
    }
    for (size_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_create(&posters[i], NULL, post_works, &works[i * JOBS_EACH]), 0);
    }
    env_uv_run(env);
    for (size_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&runs_in_background), JOBS);
    env_uv_close(env);
    free(works);
}

static pthread_barrier_t meeting;

static void run_meeting(struct env_job *job)
{
    (void)job;
    (void)pthread_barrier_wait(&meeting);
}

static void meeting_done(struct env_job *job)
{
    (void)job;
}

/* Each job waits until all four run: it ends only if they do run at the same time, and beside a
 * log job. */
static void lanes_run_beside_each_other(void **state)
{
    (void)state;
    struct env *env = open_env_with(NULL, 3);
    assert_int_equal(pthread_barrier_init(&meeting, NULL, 4), 0);
    struct env_job jobs[4];
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        jobs[i] = (struct env_job){.run = run_meeting, .done = meeting_done};
        env->v->submit(env, i == 0 ? LANE_LOG : LANE_BACKGROUND, &jobs[i]);
    }
    env_uv_stop(env);
    env_uv_run(env);
    assert_int_equal(pthread_barrier_destroy(&meeting), 0);
    env_uv_close(env);
}

struct chain {
    struct env_job job;
    struct env *env;
    unsigned left;
};

static void run_nothing(struct env_job *job)
{
    (void)job;
}

static void chain_done(struct env_job *job)
{
    struct chain *chain = CONTAINER_OF(job, struct chain, job);
    if (chain->left == 0) return;
    chain->left--;
    chain->env->v->submit(chain->env, LANE_LOG, job); /* the same struct at once again */
}

static void job_may_be_submitted_again_from_its_own_done(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct chain chain = {
        .job = {.run = run_nothing, .done = chain_done}, .env = env, .left = 5000};
    env->v->submit(env, LANE_LOG, &chain.job);
    env_uv_stop(env);
    env_uv_run(env);
    assert_int_equal(chain.left, 0);
    env_uv_close(env);
}

static sigset_t signals_of_job;

static void run_look_at_signals(struct env_job *job)
{
    (void)job;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &signals_of_job), 0);
}

static void signals_stay_with_the_program_and_faults_with_the_thread(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct env_job job = {.run = run_look_at_signals, .done = meeting_done};
    env->v->submit(env, LANE_BACKGROUND, &job);
    env_uv_stop(env);
    env_uv_run(env);
    assert_int_equal(sigismember(&signals_of_job, SIGTERM), 1);
    assert_int_equal(sigismember(&signals_of_job, SIGXFSZ), 1);
    assert_int_equal(sigismember(&signals_of_job, SIGSEGV), 0);
    sigset_t ours;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &ours), 0);
    assert_int_equal(sigismember(&ours, SIGTERM), 0); /* the opener's mask is as it was */
    env_uv_close(env);
}

static void too_many_threads_are_refused(void **state)
{
    (void)state;
    struct env_uv_options options = {.size = sizeof(options), .background_threads = 65};
    struct err e;
    assert_error(env_uv_open(&options, &the_env, &e), E_LIMIT, &e, "65", "64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_of_the_log_lane_run_and_finish_in_order),
        cmocka_unit_test(jobs_asked_for_by_four_threads_all_run_on_four_threads),
        cmocka_unit_test(lanes_run_beside_each_other),
        cmocka_unit_test(job_may_be_submitted_again_from_its_own_done),
        cmocka_unit_test(signals_stay_with_the_program_and_faults_with_the_thread),
        cmocka_unit_test(too_many_threads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
