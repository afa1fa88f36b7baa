/* thread: see thread.h. Never used by the engine's own modules but api: everything else runs on the
 * loop or in jobs. */
#include "env/thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

enum { EVENT_UNSET = 0, EVENT_WAITED_FOR = 1, EVENT_SET = 2 };

struct env_thread {
    pthread_t handle;
    void (*run)(void *arg);
    void *arg;
    char name[16];
};

static void *thread_main(void *arg)
{
    struct env_thread *thread = arg;
    (void)pthread_setname_np(pthread_self(), thread->name); /* cosmetic */
    thread->run(thread->arg);
    return NULL;
}

enum code env_thread_start(const char *name, void (*run)(void *arg), void *arg,
                           struct env_thread **out, struct err *e)
{
    struct env_thread *thread = calloc(1, sizeof(*thread));
    if (!thread) return ERR(e, E_NOMEMORY, "no memory for thread %s", name);
    thread->run = run;
    thread->arg = arg;
    size_t size = strnlen(name, sizeof(thread->name) - 1);
    memcpy(thread->name, name, size);
    int rc = pthread_create(&thread->handle, NULL, thread_main, thread);
    if (rc != 0) {
        free(thread);
        return ERR(e, E_NOMEMORY, "cannot start thread %s: error %d", name, rc);
    }
    *out = thread;
    return OK;
}

void env_thread_join(struct env_thread *thread)
{
    if (!thread) return;
    int rc = pthread_join(thread->handle, NULL);
    ASSERT(rc == 0);
    free(thread);
}

struct env_mutex {
    pthread_mutex_t handle;
};

struct env_mutex *env_mutex_new(void)
{
    struct env_mutex *mutex = calloc(1, sizeof(*mutex));
    if (mutex) ASSERT(pthread_mutex_init(&mutex->handle, NULL) == 0);
    return mutex;
}

void env_mutex_free(struct env_mutex *mutex)
{
    if (!mutex) return;
    ASSERT(pthread_mutex_destroy(&mutex->handle) == 0);
    free(mutex);
}

void env_mutex_lock(struct env_mutex *mutex)
{
    ASSERT(pthread_mutex_lock(&mutex->handle) == 0);
}

void env_mutex_unlock(struct env_mutex *mutex)
{
    ASSERT(pthread_mutex_unlock(&mutex->handle) == 0);
}

uint64_t env_machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_size <= 0) return GIB;
    return (uint64_t)pages * (uint64_t)page_size;
}

void env_event_init(struct env_event *event)
{
    atomic_store_explicit(&event->state, EVENT_UNSET, memory_order_relaxed);
}

void env_event_set(struct env_event *event)
{
    /* Release: what the setter wrote is visible to the waiter. The futex call below passes only the
     * address: the kernel tolerates that the waiter freed it meanwhile. */
    uint32_t old = atomic_exchange_explicit(&event->state, EVENT_SET, memory_order_acq_rel);
    if (old == EVENT_WAITED_FOR) {
        (void)syscall(SYS_futex, &event->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

/* False on time-out. timeout NULL: for ever. */
static bool event_wait(struct env_event *event, const struct timespec *timeout)
{
    for (;;) {
        uint32_t state = EVENT_UNSET;
        if (!atomic_compare_exchange_strong_explicit(&event->state, &state, EVENT_WAITED_FOR,
                                                     memory_order_acq_rel, memory_order_acquire) &&
            state == EVENT_SET) {
            return true;
        }
        long rc = syscall(SYS_futex, &event->state, FUTEX_WAIT_PRIVATE, EVENT_WAITED_FOR, timeout,
                          NULL, 0);
        if (rc != 0 && errno == ETIMEDOUT) {
            return atomic_load_explicit(&event->state, memory_order_acquire) == EVENT_SET;
        }
    }
}

void env_event_wait(struct env_event *event)
{
    (void)event_wait(event, NULL); /* without a time-out it returns only when set */
}

bool env_event_wait_ms(struct env_event *event, uint64_t timeout_ms)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                               .tv_nsec = (long)(timeout_ms % 1000 * NS_PER_MS)};
    return event_wait(event, &timeout);
}
