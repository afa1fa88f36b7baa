/* net_foreign: links over another network than TCP (struct env_network): what the connection does
 * in the place of a socket. Queue, end and order of events are net_link.c's, as for TCP.
 *
 * Everything happens in one task per link, posted by the network's wake from any thread: it opens,
 * sends what is queued, receives until there is nothing or the link is paused, and ends the link.
 * Holds: after close() of the network returned nobody posts the task but this file, so the task of
 * the end is the last one, and the link may be freed in it.
 * Memory: one read buffer per env; what the network does not take stays in the link's queue, which
 * its owner bounds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "env/env_private.h"
#include "env/net_link.h"

/* Reads of one link in a row, so that a fast peer leaves room for the others. */
#define READS_MAX 8u

static void fail(struct env_link *link, enum code code)
{
    if (link->is_closing) return;
    if (code == E_CLOSED) {
        (void)ERR(&link->e, E_IO, "%s closed the connection", link->address);
    } else {
        (void)ERR(&link->e, E_IO, "the connection with %s failed: %s", link->address,
                  code_meaning(code));
    }
    link_begin_close(link);
}

static void wake_link(void *arg) /* any thread */
{
    struct env_link *link = arg;
    loop_post(&link->u->base, &link->task);
}

void foreign_wake(struct env_link *link)
{
    wake_link(link);
}

void foreign_close(struct env_link *link)
{
    if (link->connection != NULL) link->network->close(link->network, link->connection);
    link->connection = NULL;
    foreign_wake(link);
}

/* --- bytes --- */

void foreign_send(struct env_link *link, const struct slice *pieces, size_t count,
                  size_t *out_taken)
{
    for (size_t i = 0; i < count; i++) {
        size_t taken = 0;
        if (pieces[i].size == 0) continue;
        enum code code = link->network->send(link->network, link->connection, pieces[i], &taken);
        ASSERT(taken <= pieces[i].size);
        *out_taken += taken;
        if (code != OK) fail(link, code);
        if (code != OK || taken < pieces[i].size) return;
    }
}

static void send_queued(struct env_link *link)
{
    while (link->first != NULL && !link->is_closing) {
        struct slice front = link_front(link);
        size_t taken = 0;
        enum code code = link->network->send(link->network, link->connection, front, &taken);
        ASSERT(taken <= front.size);
        if (code != OK) {
            fail(link, code);
            return;
        }
        if (taken == 0) break;
        link_sent(link, taken);
    }
    link_tell_drained(link);
}

static void receive(struct env_link *link)
{
    for (uint32_t reads = 0; !link->is_paused && !link->is_closing; reads++) {
        if (reads == READS_MAX) {
            foreign_wake(link);
            return;
        }
        size_t size = 0;
        uint8_t *buffer = link->u->read_buffer;
        enum code code = link->network->receive(link->network, link->connection, buffer,
                                                READ_BUFFER_SIZE, &size);
        ASSERT(size <= READ_BUFFER_SIZE);
        if (size > 0) link->events->received(link, link->arg, slice_of(buffer, size));
        if (code != OK) fail(link, code);
        if (code != OK || size == 0) return;
    }
}

static void look_at_link(struct env_task *task)
{
    struct env_link *link = CONTAINER_OF(task, struct env_link, task);
    if (link->is_closing) {
        link_end(link);
        return;
    }
    if (!link->is_open) {
        link->is_open = true;
        link->events->opened(link, link->arg);
    }
    if (!link->is_closing) send_queued(link);
    receive(link);
}

/* --- connecting and listening --- */

static struct env_link *make_link(struct env_uv *u, struct env_network *network,
                                  const char *address)
{
    struct env_link *link = env_must_get(sizeof(*link));
    link->u = u;
    link->network = network;
    link->task.run = look_at_link;
    (void)snprintf(link->address, sizeof(link->address), "%s", address); /* a text for people */
    return link;
}

static struct env_waker waker_of(struct env_link *link)
{
    return (struct env_waker){.wake = wake_link, .arg = link};
}

struct env_link *net_connect_on(struct env *env, struct env_network *network, const char *address,
                                const struct env_link_events *events, void *arg)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT(!u->is_closing);
    struct env_link *link = make_link(u, network, address);
    list_append(&u->links, &link->node);
    link->events = events;
    link->arg = arg;
    enum code code =
        network->connect(network, address, waker_of(link), &link->connection, &link->e);
    if (code != OK) {
        link_begin_close(link);
    } else {
        foreign_wake(link);
    }
    return link;
}

/* False: nobody waits to be accepted. */
static bool accept_one(struct env_listener *listener)
{
    struct env_uv *u = listener->u;
    struct env_link *link = make_link(u, listener->network, listener->address);
    if (!listener->network->accept(listener->network, listener->handle, waker_of(link),
                                   &link->connection)) {
        free(link);
        return false;
    }
    list_append(&u->links, &link->node);
    link->is_open = true;
    listener->accept(link, link->address, listener->arg, &link->events, &link->arg);
    if (link->events == NULL) link_begin_close(link); /* does nothing when it closes already */
    if (!link->is_closing) foreign_wake(link);
    return true;
}

static void look_at_listener(struct env_task *task)
{
    struct env_listener *listener = CONTAINER_OF(task, struct env_listener, task);
    if (listener->handle == NULL) { /* ended: nobody posts it any more */
        ASSERT(listener->u->listeners_ending > 0);
        listener->u->listeners_ending--;
        free(listener);
        return;
    }
    while (listener->handle != NULL && accept_one(listener)) {
    }
}

static void wake_listener(void *arg) /* any thread */
{
    struct env_listener *listener = arg;
    loop_post(&listener->u->base, &listener->task);
}

/* Seven parameters: env.h's order. NOLINTNEXTLINE(readability-function-size) */
enum code net_listen_on(struct env *env, struct env_network *network, const char *address,
                        env_accept accept, void *arg, struct env_listener **out, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT(!u->is_closing);
    struct env_listener *listener = env_must_get(sizeof(*listener));
    listener->u = u;
    listener->accept = accept;
    listener->arg = arg;
    listener->network = network;
    listener->task.run = look_at_listener;
    (void)snprintf(listener->address, sizeof(listener->address), "%s", address);
    struct env_waker waker = {.wake = wake_listener, .arg = listener};
    enum code code = network->listen(network, address, waker, &listener->handle, e);
    if (code != OK) {
        free(listener);
        return code;
    }
    list_append(&u->listeners, &listener->node);
    *out = listener;
    return OK;
}

void foreign_unlisten(struct env_listener *listener)
{
    listener->network->unlisten(listener->network, listener->handle);
    listener->handle = NULL;
    listener->u->listeners_ending++;
    wake_listener(listener);
}
