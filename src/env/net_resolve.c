/* net_resolve: a thread per look-up, which nobody waits for.
 *
 * The system's resolver blocks for as long as it likes, tens of seconds when its servers are
 * unreachable, and cannot be stopped. Stopping a node must not take that long. libuv's thread pool
 * would make it so: a loop cannot be closed before its look-ups return, the pool is joined when the
 * process exits, and four hanging look-ups hold up every other one. So each look-up has a detached
 * thread and belongs to itself: either the loop takes its answer, or, abandoned, it ends alone.
 * Few are made: one per link that connects by name.
 *
 * The mutex guards the owner of every look-up. While a thread holds it and finds an owner, that env
 * cannot go away: closing it needs the mutex to abandon the look-up.
 */
#include "env/net_resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

struct resolve {
    struct net_address address;
    int status;
    struct addrinfo *found;
    struct env_uv *owner; /* NULL: abandoned. Guarded by owners_mutex */
    bool is_posted;       /* the task is in the owner's hands. Guarded by owners_mutex */

    /* The loop's. */
    struct env_task task;
    struct list node;  /* in u->resolves until the task ran or it was abandoned before its end */
    resolve_done done; /* NULL: abandoned after its end */
    void *arg;
};

static pthread_mutex_t owners_mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock_owners(void)
{
    ASSERT(pthread_mutex_lock(&owners_mutex) == 0);
}

static void unlock_owners(void)
{
    ASSERT(pthread_mutex_unlock(&owners_mutex) == 0);
}

static void resolve_free(struct resolve *resolve)
{
    if (resolve->found != NULL) freeaddrinfo(resolve->found);
    free(resolve);
}

static void on_answer(struct env_task *task)
{
    struct resolve *resolve = CONTAINER_OF(task, struct resolve, task);
    list_remove(&resolve->node);
    if (resolve->done != NULL) {
        struct addrinfo *found = resolve->found;
        resolve->found = NULL; /* given */
        resolve->done(resolve->arg, resolve->status, found);
    }
    resolve_free(resolve);
}

static void *look_up(void *arg)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct resolve *resolve = arg;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)resolve->address.port); /* fits */
    resolve->status = getaddrinfo(resolve->address.host, port, &hints, &resolve->found);
    if (resolve->status != 0) resolve->found = NULL;
    lock_owners();
    bool is_abandoned = resolve->owner == NULL;
    resolve->is_posted = !is_abandoned;
    /* Under the lock, so that the owner is still there when the post returns. */
    if (!is_abandoned) loop_post(&resolve->owner->base, &resolve->task);
    unlock_owners();
    if (is_abandoned) resolve_free(resolve);
    return NULL;
}

static int start_detached(struct resolve *resolve)
{
    pthread_attr_t attributes;
    ASSERT(pthread_attr_init(&attributes) == 0);
    ASSERT(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    sigset_t old;
    env_block_signals(&old);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, look_up, resolve);
    ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    ASSERT(pthread_attr_destroy(&attributes) == 0);
    return error;
}

struct resolve *resolve_start(struct env_uv *u, const struct net_address *address,
                              resolve_done done, void *arg)
{
    struct resolve *resolve = env_must_get(sizeof(*resolve));
    resolve->address = *address;
    resolve->owner = u;
    resolve->task.run = on_answer;
    resolve->done = done;
    resolve->arg = arg;
    list_append(&u->resolves, &resolve->node);
    int error = start_detached(resolve);
    if (error == 0) return resolve;
    list_remove(&resolve->node);
    free(resolve);
    errno = error;
    return NULL;
}

void resolve_abandon(struct resolve *resolve)
{
    lock_owners();
    resolve->done = NULL;
    if (!resolve->is_posted) { /* from here on it is the thread's alone */
        list_remove(&resolve->node);
        resolve->owner = NULL;
    }
    unlock_owners();
}
