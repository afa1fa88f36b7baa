/* env_loop: what runs on the loop's thread and when: finished jobs, due timers, posted tasks.
 *
 * One turn of the loop:   drain . poll (sockets, wake-ups) . drain . close what is to be closed
 * A drain runs what was there when it began; what is added meanwhile waits for the next one, so a
 * task that posts itself never keeps sockets waiting. Before the poll the loop says that it sleeps;
 * see struct inbox for why no wake-up is lost. It is awake again with the first event of a socket,
 * so that a post from its own callbacks wakes nobody: the drain after the poll sees it.
 *
 * Timers never fire early. libuv counts in milliseconds, so delays are rounded up to the next one.
 * A delay of 0 means "soon" and does not go through libuv's timers: a timer of theirs that restarts
 * itself with 0 keeps the versions before 1.48 in the timer phase for ever.
 */
#include "env/env_private.h"

#include <stdlib.h>

#include "base/assert.h"

/* Turns granted after stop to tasks that post each other, when no job is in flight any more. */
#define STOP_ROUNDS_MAX 1000u
/* Longer delays are cut to this, 146 years: sums with it stay below 2^64. */
#define DELAY_NS_MAX ((uint64_t)1 << 62)

struct loop_timer {
    uv_timer_t handle;
    struct list node;        /* in u->timers */
    struct list soon;        /* in u->soon while armed with a delay of 0 */
    struct env_timer *owner; /* never read after close: it may be gone */
};

static bool inbox_is_empty(struct env_uv *u)
{
    return list_is_empty(&u->soon) && atomic_load(&u->inbox.tasks) == NULL &&
           atomic_load(&u->inbox.done) == NULL;
}

bool loop_has_pending(struct env_uv *u)
{
    return u->jobs_in_flight > 0 || !inbox_is_empty(u);
}

static bool should_stop(struct env_uv *u)
{
    if (!atomic_load(&u->inbox.is_stop_wanted) || u->jobs_in_flight > 0) return false;
    return inbox_is_empty(u) || u->stop_rounds > STOP_ROUNDS_MAX;
}

static void drain(struct env_uv *u);

/* Nothing to do in these two: poll has returned, and the drain after it follows. */
static void on_wake(uv_async_t *wake)
{
    (void)wake;
}

static void on_stay_awake(uv_idle_t *idle)
{
    (void)idle;
}

static void before_poll(uv_prepare_t *handle)
{
    struct env_uv *u = CONTAINER_OF(handle, struct env_uv, before_poll);
    drain(u);
    atomic_store(&u->inbox.is_asleep, true);
    if (inbox_is_empty(u) && !should_stop(u)) {
        ASSERT(uv_idle_stop(&u->stay_awake) == 0);
    } else {
        atomic_store(&u->inbox.is_asleep, false);
        ASSERT(uv_idle_start(&u->stay_awake, on_stay_awake) == 0);
    }
}

static void after_poll(uv_check_t *handle)
{
    struct env_uv *u = CONTAINER_OF(handle, struct env_uv, after_poll);
    atomic_store(&u->inbox.is_asleep, false);
    drain(u);
    if (!atomic_load(&u->inbox.is_stop_wanted)) return;
    if (u->jobs_in_flight == 0) u->stop_rounds++;
    if (should_stop(u)) uv_stop(&u->loop);
}

enum code loop_init(struct env_uv *u, struct err *e)
{
    list_init(&u->timers);
    list_init(&u->soon);
    int status = uv_loop_init(&u->loop);
    if (status != 0) return ERR(e, E_IO, "cannot make an event loop: %s", uv_strerror(status));
    status = uv_async_init(&u->loop, &u->wake, on_wake);
    if (status != 0) {
        ASSERT(uv_loop_close(&u->loop) == 0);
        return ERR(e, E_IO, "cannot make a wake-up for the event loop: %s", uv_strerror(status));
    }
    /* These cannot fail: they only link the handle into the loop. */
    ASSERT(uv_prepare_init(&u->loop, &u->before_poll) == 0);
    ASSERT(uv_check_init(&u->loop, &u->after_poll) == 0);
    ASSERT(uv_idle_init(&u->loop, &u->stay_awake) == 0);
    ASSERT(uv_prepare_start(&u->before_poll, before_poll) == 0);
    ASSERT(uv_check_start(&u->after_poll, after_poll) == 0);
    return OK;
}

void loop_note_awake(struct env_uv *u)
{
    if (atomic_load_explicit(&u->inbox.is_asleep, memory_order_relaxed)) {
        atomic_store(&u->inbox.is_asleep, false);
    }
}

void loop_wake(struct env_uv *u)
{
    if (!atomic_load(&u->inbox.is_asleep)) return;
    if (!atomic_exchange(&u->inbox.is_asleep, false)) return; /* another poster wakes it */
    ASSERT(uv_async_send(&u->wake) == 0);
}

void loop_post(struct env *env, struct env_task *task)
{
    struct env_uv *u = env_uv_of(env);
    /* acq_rel: what the poster wrote before a post that does nothing is seen by the run that the
     * earlier post leads to, because that run clears the flag before it starts. */
    if (atomic_exchange_explicit(&task->is_queued, 1, memory_order_acq_rel) != 0) return;
    struct env_task *top = atomic_load(&u->inbox.tasks);
    do {
        task->next = top;
    } while (!atomic_compare_exchange_weak(&u->inbox.tasks, &top, task));
    loop_wake(u);
}

void loop_job_done(struct env_uv *u, struct env_job *job)
{
    struct env_job *top = atomic_load(&u->inbox.done);
    do {
        job->next = top;
    } while (!atomic_compare_exchange_weak(&u->inbox.done, &top, job));
    loop_wake(u);
}

static struct env_job *take_done(struct env_uv *u)
{
    struct env_job *job = atomic_exchange(&u->inbox.done, NULL);
    struct env_job *first = NULL;
    while (job != NULL) {
        struct env_job *below = job->next;
        job->next = first;
        first = job;
        job = below;
    }
    return first;
}

static struct env_task *take_tasks(struct env_uv *u)
{
    struct env_task *task = atomic_exchange(&u->inbox.tasks, NULL);
    struct env_task *first = NULL;
    while (task != NULL) {
        struct env_task *below = task->next;
        task->next = first;
        first = task;
        task = below;
    }
    return first;
}

static void fire_soon(struct env_uv *u)
{
    if (list_is_empty(&u->soon)) return;
    struct list due; /* what is started from now on waits for the next drain */
    list_append(&u->soon, &due);
    list_remove(&u->soon);
    while (!list_is_empty(&due)) {
        struct loop_timer *impl = CONTAINER_OF(due.next, struct loop_timer, soon);
        list_remove(&impl->soon);
        impl->owner->fire(impl->owner); /* may stop, start or close any timer */
    }
}

/* next is read before each call: run and done may hand their struct out again or free it. */
static void drain(struct env_uv *u)
{
    struct env_job *job = take_done(u);
    struct env_task *task = take_tasks(u);
    while (job != NULL) {
        struct env_job *next = job->next;
        ASSERT(u->jobs_in_flight > 0);
        u->jobs_in_flight--;
        job->done(job);
        job = next;
    }
    fire_soon(u);
    while (task != NULL) {
        struct env_task *next = task->next;
        (void)atomic_exchange_explicit(&task->is_queued, 0, memory_order_acq_rel);
        task->run(task);
        task = next;
    }
}

static void on_timer(uv_timer_t *handle)
{
    struct loop_timer *impl = CONTAINER_OF(handle, struct loop_timer, handle);
    impl->owner->fire(impl->owner);
}

static struct loop_timer *timer_of(struct env_uv *u, struct env_timer *timer)
{
    if (timer->impl != NULL) return timer->impl;
    struct loop_timer *impl = env_must_get(sizeof(*impl));
    ASSERT(uv_timer_init(&u->loop, &impl->handle) == 0);
    list_init(&impl->soon);
    list_append(&u->timers, &impl->node);
    impl->owner = timer;
    timer->impl = impl;
    timer->env = &u->base;
    return impl;
}

void loop_timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns)
{
    struct env_uv *u = env_uv_of(env);
    if (u->is_closing) return;
    struct loop_timer *impl = timer_of(u, timer);
    loop_timer_stop(env, timer);
    if (delay_ns == 0) {
        list_append(&u->soon, &impl->soon);
        return;
    }
    /* libuv fires when its clock, the same one cut to milliseconds, has reached uv_now + delay. */
    uint64_t now_ns = uv_hrtime();
    if (delay_ns > DELAY_NS_MAX) delay_ns = DELAY_NS_MAX;
    uint64_t due_ms = (now_ns + delay_ns + NS_PER_MS - 1) / NS_PER_MS;
    ASSERT(uv_timer_start(&impl->handle, on_timer, due_ms - uv_now(&u->loop), 0) == 0);
}

void loop_timer_stop(struct env *env, struct env_timer *timer)
{
    (void)env;
    struct loop_timer *impl = timer->impl;
    if (impl == NULL) return;
    list_remove(&impl->soon);
    ASSERT(uv_timer_stop(&impl->handle) == 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct loop_timer, handle));
}

static void close_timer(struct loop_timer *impl)
{
    list_remove(&impl->soon);
    list_remove(&impl->node);
    uv_close((uv_handle_t *)&impl->handle, on_timer_closed);
}

void loop_timer_close(struct env *env, struct env_timer *timer)
{
    (void)env;
    struct loop_timer *impl = timer->impl;
    if (impl == NULL) return;
    timer->impl = NULL;
    close_timer(impl);
}

void loop_close_handles(struct env_uv *u)
{
    while (!list_is_empty(&u->timers)) { /* their owners are gone: they are not told */
        close_timer(CONTAINER_OF(u->timers.next, struct loop_timer, node));
    }
    uv_close((uv_handle_t *)&u->before_poll, NULL);
    uv_close((uv_handle_t *)&u->after_poll, NULL);
    uv_close((uv_handle_t *)&u->stay_awake, NULL);
    uv_close((uv_handle_t *)&u->wake, NULL);
}
