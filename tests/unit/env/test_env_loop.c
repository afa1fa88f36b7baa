/* What the loop promises about tasks, timers and stopping. */
#include "net_support.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <uv.h>

/* Count the wake-ups that the env asks libuv for. */
static _Atomic unsigned wake_ups;

int uv_async_send(uv_async_t *async)
{
    static int (*real)(uv_async_t *);
    if (real == NULL) *(void **)(&real) = dlsym(RTLD_NEXT, "uv_async_send");
    atomic_fetch_add(&wake_ups, 1);
    return real(async);
}

#define POSTERS    4
#define POSTS_EACH 2000

struct numbered {
    struct env_task task;
    struct poster *poster;
    unsigned number;
};

struct poster {
    struct env *env;
    pthread_t thread;
    unsigned next_run; /* the loop's: the number expected next */
    struct numbered tasks[POSTS_EACH];
};

static struct env *the_env;
static unsigned runs;
static unsigned runs_wanted;

static void run_numbered(struct env_task *task)
{
    struct numbered *n = CONTAINER_OF(task, struct numbered, task);
    assert_int_equal(n->number, n->poster->next_run);
    n->poster->next_run++;
    if (++runs == runs_wanted) env_uv_stop(the_env);
}

static void *post_numbered(void *arg)
{
    struct poster *poster = arg;
    for (unsigned i = 0; i < POSTS_EACH; i++) {
        poster->tasks[i] =
            (struct numbered){.task.run = run_numbered, .poster = poster, .number = i};
        poster->env->v->post(poster->env, &poster->tasks[i].task);
    }
    return NULL;
}

static void tasks_of_one_thread_run_in_the_order_posted(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct poster *posters = calloc(POSTERS, sizeof(*posters));
    assert_non_null(posters);
    the_env = env;
    runs = 0;
    runs_wanted = POSTERS * POSTS_EACH;
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i].env = env;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_numbered, &posters[i]), 0);
    }
    env_uv_run(env);
    for (size_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_int_equal(posters[i].next_run, POSTS_EACH);
    }
    env_uv_close(env);
    free(posters);
}

struct counting {
    struct env_task task;
    struct env *env;
    unsigned runs;
    unsigned posts_itself_until;
};

static void run_counting(struct env_task *task)
{
    struct counting *c = CONTAINER_OF(task, struct counting, task);
    c->runs++;
    if (c->runs < c->posts_itself_until) c->env->v->post(c->env, task);
}

static void task_posted_twice_runs_once_and_may_be_posted_again(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct counting c = {.task.run = run_counting, .env = env};
    env->v->post(env, &c.task);
    env->v->post(env, &c.task);
    env_uv_stop(env);
    env_uv_run(env);
    assert_int_equal(c.runs, 1);
    c.posts_itself_until = 5;
    env->v->post(env, &c.task);
    env_uv_stop(env);
    env_uv_run(env);
    assert_int_equal(c.runs, 5);
    env_uv_close(env);
}

/* A task posted again and again by its own run must leave room for timers, and for stop. */
static void stop_on_fire(struct env_timer *timer)
{
    env_uv_stop(timer->env);
}

static void task_that_posts_itself_for_ever_starves_nobody(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct counting c = {.task.run = run_counting, .env = env, .posts_itself_until = UINT32_MAX};
    struct env_timer timer = {.fire = stop_on_fire};
    env->v->timer_start(env, &timer, 5 * NS_PER_MS);
    env->v->post(env, &c.task);
    env_uv_run(env);
    assert_true(c.runs > 1);
    env->v->timer_close(env, &timer);
    env_uv_close(env);
}

struct gate {
    struct env_task task;
    sem_t entered;
    sem_t may_leave;
};

static void run_gate(struct env_task *task)
{
    struct gate *gate = CONTAINER_OF(task, struct gate, task);
    assert_int_equal(sem_post(&gate->entered), 0);
    while (sem_wait(&gate->may_leave) != 0) {
    }
}

static void *run_loop(void *arg)
{
    env_uv_run(arg);
    return NULL;
}

/* While the loop is held in a task, nobody wakes it; and what was posted meanwhile is run. */
static void loop_that_is_awake_is_not_woken(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct gate gate = {.task.run = run_gate};
    assert_int_equal(sem_init(&gate.entered, 0, 0), 0);
    assert_int_equal(sem_init(&gate.may_leave, 0, 0), 0);
    struct counting tasks[100];
    env->v->post(env, &gate.task);
    pthread_t loop;
    assert_int_equal(pthread_create(&loop, NULL, run_loop, env), 0);
    assert_int_equal(sem_wait(&gate.entered), 0);
    atomic_store(&wake_ups, 0);
    for (size_t i = 0; i < COUNT_OF(tasks); i++) {
        tasks[i] = (struct counting){.task.run = run_counting, .env = env};
        env->v->post(env, &tasks[i].task);
    }
    env_uv_stop(env);
    assert_int_equal(atomic_load(&wake_ups), 0);
    assert_int_equal(sem_post(&gate.may_leave), 0);
    assert_int_equal(pthread_join(loop, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(tasks); i++) {
        assert_int_equal(tasks[i].runs, 1);
    }
    env_uv_close(env);
}

/* A post from the loop's own callbacks, here one for bytes that arrived, costs no wake-up. */
static struct counting *task_for_bytes;

static void post_on_bytes(struct side *side, struct slice bytes)
{
    (void)bytes;
    atomic_store(&wake_ups, 0);
    side->env->v->post(side->env, &task_for_bytes->task);
    env_uv_stop(side->env);
    assert_int_equal(atomic_load(&wake_ups), 0);
}

static void posts_from_the_loop_wake_nobody(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct counting c = {.task.run = run_counting, .env = place.env, .posts_itself_until = 50};
    task_for_bytes = &c;
    place.server.on_received = post_on_bytes;
    send_text(&place.client, "x");
    env_uv_run(place.env);
    assert_int_equal(c.runs, 50);
    assert_int_equal(atomic_load(&wake_ups), 0);
    place_close(&place);
}

struct alarm {
    struct env_timer timer;
    uint64_t due_ns;
    unsigned fired;
    unsigned *order; /* counts the firings of all alarms */
    unsigned place;
    uint64_t restart_ns; /* 0: not */
    unsigned restarts_left;
    bool restarts_soon;
    bool stops_loop;
};

static void fire_alarm(struct env_timer *timer)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    struct env *env = timer->env;
    assert_true(env->v->now_mono_ns(env) >= alarm->due_ns); /* never early */
    alarm->fired++;
    if (alarm->order != NULL) alarm->place = (*alarm->order)++;
    if (alarm->restarts_left > 0) {
        alarm->restarts_left--;
        alarm->due_ns = env->v->now_mono_ns(env) + alarm->restart_ns;
        env->v->timer_start(env, timer, alarm->restart_ns);
    } else if (alarm->stops_loop) {
        env_uv_stop(env);
    }
}

static void start_alarm(struct env *env, struct alarm *alarm, uint64_t delay_ns)
{
    alarm->timer.fire = fire_alarm;
    alarm->due_ns = env->v->now_mono_ns(env) + delay_ns;
    env->v->timer_start(env, &alarm->timer, delay_ns);
}

static void timers_fire_in_order_and_never_early(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    unsigned order = 0;
    struct alarm alarms[8] = {0};
    /* Started in the wrong order, with parts of milliseconds. */
    for (size_t i = 0; i < COUNT_OF(alarms); i++) {
        alarms[i].order = &order;
        alarms[i].stops_loop = i == 0;
        start_alarm(env, &alarms[i], (8 - i) * 2 * NS_PER_MS + i * 100001);
    }
    env_uv_run(env);
    for (size_t i = 0; i < COUNT_OF(alarms); i++) {
        assert_int_equal(alarms[i].fired, 1);
        assert_int_equal(alarms[i].place, COUNT_OF(alarms) - 1 - i);
        env->v->timer_close(env, &alarms[i].timer);
        assert_null(alarms[i].timer.impl);
    }
    env_uv_close(env);
}

/* The due time counts from the call, also when the loop has been busy for a while before it. */
static void timer_started_after_a_long_task_is_not_early(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct alarm busy = {.restart_ns = 3 * NS_PER_MS, .restarts_left = 5, .stops_loop = true};
    start_alarm(env, &busy, 1);
    uint64_t end_ns = env->v->now_mono_ns(env) + 4 * NS_PER_MS;
    while (env->v->now_mono_ns(env) < end_ns) {
    }
    env_uv_run(env);
    assert_int_equal(busy.fired, 6);
    env->v->timer_close(env, &busy.timer);
    env_uv_close(env);
}

static void stopped_timer_never_fires(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct alarm late = {0};
    struct alarm soon = {0};
    struct alarm last = {.stops_loop = true};
    start_alarm(env, &late, 2 * NS_PER_MS);
    start_alarm(env, &soon, 0);
    start_alarm(env, &last, 6 * NS_PER_MS);
    env->v->timer_stop(env, &late.timer);
    env->v->timer_stop(env, &soon.timer);
    env_uv_run(env);
    assert_int_equal(late.fired + soon.fired, 0);
    assert_int_equal(last.fired, 1);
    env->v->timer_close(env, &late.timer);
    env->v->timer_close(env, &soon.timer);
    env->v->timer_close(env, &last.timer);
    env_uv_close(env);
}

static void timer_started_again_fires_once_at_the_later_time(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct alarm alarm = {.stops_loop = true};
    start_alarm(env, &alarm, 0);
    start_alarm(env, &alarm, NS_PER_MS);
    start_alarm(env, &alarm, 4 * NS_PER_MS);
    env_uv_run(env);
    assert_int_equal(alarm.fired, 1);
    env->v->timer_close(env, &alarm.timer);
    env_uv_close(env);
}

/* Goal: 0 means soon, and a chain of zeros does not shut others out (libuv before 1.48 would). */
static void timer_of_delay_zero_fires_soon_and_starves_nobody(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct alarm chain = {.restarts_left = UINT32_MAX};
    struct alarm end = {.stops_loop = true};
    start_alarm(env, &chain, 0);
    start_alarm(env, &end, 3 * NS_PER_MS);
    env_uv_run(env);
    assert_true(chain.fired > 10);
    assert_int_equal(end.fired, 1);
    env->v->timer_close(env, &chain.timer);
    env->v->timer_close(env, &end.timer);
    env_uv_close(env);
}

static struct alarm *victim;

static void close_victim_and_self(struct env_timer *timer)
{
    struct env *env = timer->env;
    env->v->timer_close(env, &victim->timer);
    env->v->timer_close(env, timer);
    env_uv_stop(env);
}

static void timer_may_close_itself_and_others_when_it_fires(void **state)
{
    (void)state;
    for (uint64_t delay_ns = 0; delay_ns <= NS_PER_MS; delay_ns += NS_PER_MS) {
        struct env *env = open_env(NULL);
        struct env_timer closer = {.fire = close_victim_and_self};
        struct alarm other = {0};
        victim = &other;
        env->v->timer_start(env, &closer, delay_ns);
        start_alarm(env, &other, delay_ns);
        env_uv_run(env);
        assert_int_equal(other.fired, 0);
        assert_null(closer.impl);
        env_uv_close(env);
    }
}

/* Timers whose owners forgot them, started and stopped ones, go with the env. */
static void close_frees_timers_that_were_left(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct alarm alarms[3] = {0};
    start_alarm(env, &alarms[0], 3600 * NS_PER_S);
    start_alarm(env, &alarms[1], 3600 * NS_PER_S);
    start_alarm(env, &alarms[2], UINT64_MAX);
    alarms[2].due_ns = 0;
    env->v->timer_stop(env, &alarms[1].timer);
    env_uv_close(env);
    assert_int_equal(alarms[0].fired + alarms[1].fired + alarms[2].fired, 0);
}

static void stop_before_run_and_from_another_thread(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    env_uv_stop(env);
    env_uv_run(env); /* returns at once */
    pthread_t loop;
    assert_int_equal(pthread_create(&loop, NULL, run_loop, env), 0);
    env_uv_stop(env);
    assert_int_equal(pthread_join(loop, NULL), 0);
    env_uv_close(env);
}

struct slow_job {
    struct env_job job;
    struct env *env;
    unsigned rounds_left;
    unsigned done;
};

static void run_slow(struct env_job *job)
{
    (void)job;
    struct timespec pause = {.tv_nsec = 2000000};
    (void)nanosleep(&pause, NULL);
}

static void slow_done(struct env_job *job)
{
    struct slow_job *slow = CONTAINER_OF(job, struct slow_job, job);
    slow->done++;
    if (slow->rounds_left == 0) return;
    slow->rounds_left--;
    slow->env->v->submit(slow->env, LANE_BACKGROUND, job);
}

/* Stop waits for jobs in flight, and for those that their done() starts. */
static void stop_waits_for_jobs(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct slow_job slow = {
        .job = {.run = run_slow, .done = slow_done}, .env = env, .rounds_left = 3};
    env->v->submit(env, LANE_LOG, &slow.job);
    env_uv_stop(env);
    env_uv_run(env);
    assert_int_equal(slow.done, 4);
    env_uv_close(env);
}

/* An opening that failed half-way closes the env without ever running it. */
static void close_without_run_still_runs_what_was_handed_over(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct slow_job slow = {.job = {.run = run_slow, .done = slow_done}, .env = env};
    struct counting c = {.task.run = run_counting, .env = env};
    env->v->submit(env, LANE_BACKGROUND, &slow.job);
    env->v->post(env, &c.task);
    env_uv_close(env);
    assert_int_equal(slow.done, 1);
    assert_int_equal(c.runs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_of_one_thread_run_in_the_order_posted),
        cmocka_unit_test(task_posted_twice_runs_once_and_may_be_posted_again),
        cmocka_unit_test(task_that_posts_itself_for_ever_starves_nobody),
        cmocka_unit_test(loop_that_is_awake_is_not_woken),
        cmocka_unit_test(posts_from_the_loop_wake_nobody),
        cmocka_unit_test(timers_fire_in_order_and_never_early),
        cmocka_unit_test(timer_started_after_a_long_task_is_not_early),
        cmocka_unit_test(stopped_timer_never_fires),
        cmocka_unit_test(timer_started_again_fires_once_at_the_later_time),
        cmocka_unit_test(timer_of_delay_zero_fires_soon_and_starves_nobody),
        cmocka_unit_test(timer_may_close_itself_and_others_when_it_fires),
        cmocka_unit_test(close_frees_timers_that_were_left),
        cmocka_unit_test(stop_before_run_and_from_another_thread),
        cmocka_unit_test(stop_waits_for_jobs),
        cmocka_unit_test(close_without_run_still_runs_what_was_handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
