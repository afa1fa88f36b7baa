/* thread: the thread primitives that the public API needs: start and join a thread, an event that
 * one side sets and another waits for (a Linux futex), and a mutex for what two databases share. */
#ifndef TIDEMARK_ENV_THREAD_H
#define TIDEMARK_ENV_THREAD_H

#include "base/error.h"
#include "base/types.h"

struct env_thread;
/* name: at most 15 characters, shown by top -H. */
MUST_CHECK enum code env_thread_start(const char *name, void (*run)(void *arg), void *arg,
                                      struct env_thread **out, struct err *e);
/* Wait for the end and free. NULL allowed. */
void env_thread_join(struct env_thread *thread);

/* Bytes of memory of this machine (or of 1 GiB where it cannot be told). */
uint64_t env_machine_memory(void);

/* A mutex, never held while anything waits. NULL: no memory. */
struct env_mutex;
struct env_mutex *env_mutex_new(void);
void env_mutex_free(struct env_mutex *mutex); /* NULL allowed */
void env_mutex_lock(struct env_mutex *mutex);
void env_mutex_unlock(struct env_mutex *mutex);

/* One-shot event: unset, then set for ever (until init). One waiter at a time. The last thing the
 * setter touches is `state`, so the waiter may free the event as soon as wait returned. */
struct env_event {
    _Atomic uint32_t state;
};
void env_event_init(struct env_event *event);
void env_event_set(struct env_event *event);
void env_event_wait(struct env_event *event);
/* false when timeout_ms passed first. */
bool env_event_wait_ms(struct env_event *event, uint64_t timeout_ms);

#endif
