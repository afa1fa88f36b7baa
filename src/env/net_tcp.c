/* net_tcp: how links come to be: listening, accepting, looking names up, connecting.
 *
 * A name is looked up for each connect, because followers move; its addresses are tried in the
 * order that the resolver gives until one accepts, and the last one's failure is told.
 * There is no deadline here but the kernel's; who wants one sets a timer and closes the link.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "env/env_private.h"
#include "env/net_address.h"
#include "env/net_link.h"
#include "env/net_resolve.h"

#define LISTEN_BACKLOG 511

static void connect_next(struct env_link *link, int last_status);

/* Connecting */

static void on_connected(uv_connect_t *request, int status)
{
    struct env_link *link = CONTAINER_OF(request, struct env_link, connect);
    loop_note_awake(link->u);
    if (link->is_closing) return;
    if (status != 0) {
        connect_next(link, status);
        return;
    }
    connect_abandon(link); /* the other addresses */
    link_start(link);
    if (!link->is_closing) link->events->opened(link, link->arg);
}

static void connect_to(struct env_link *link, const struct sockaddr *address)
{
    int status = uv_tcp_connect(&link->connect, &link->tcp, address, on_connected);
    if (status != 0) connect_next(link, status);
}

static void on_reopened(uv_handle_t *handle)
{
    struct env_link *link = CONTAINER_OF(handle, struct env_link, tcp);
    link->is_reopening = false;
    if (link->is_closing) { /* closed meanwhile: this was the last of its sockets */
        link_end(link);
        return;
    }
    ASSERT(uv_tcp_init(&link->u->loop, &link->tcp) == 0);
    struct addrinfo *address = link->next_address;
    link->next_address = address->ai_next;
    connect_to(link, address->ai_addr);
}

/* The last address failed: try the next one, with a new socket. */
static void connect_next(struct env_link *link, int last_status)
{
    if (link->next_address == NULL) {
        link_fail(link, last_status);
        return;
    }
    link->is_reopening = true;
    uv_close((uv_handle_t *)&link->tcp, on_reopened);
}

void connect_abandon(struct env_link *link)
{
    if (link->resolve != NULL) resolve_abandon(link->resolve);
    if (link->addresses != NULL) freeaddrinfo(link->addresses);
    link->resolve = NULL;
    link->addresses = NULL;
    link->next_address = NULL;
}

static void on_resolved(void *arg, int status, struct addrinfo *addresses)
{
    struct env_link *link = arg;
    link->resolve = NULL;
    if (status != 0) {
        (void)ERR(&link->e, E_IO, "the host of %s is not found: %s", link->address,
                  gai_strerror(status));
        link_begin_close(link);
        return;
    }
    link->addresses = addresses;
    link->next_address = addresses->ai_next;
    connect_to(link, addresses->ai_addr);
}

struct env_link *net_connect(struct env *env, const char *address,
                             const struct env_link_events *events, void *arg)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT(!u->is_closing);
    struct env_link *link = link_new(u);
    link->events = events;
    link->arg = arg;
    (void)snprintf(link->address, sizeof(link->address), "%s", address); /* a longer one fails */
    struct net_address parsed;
    struct sockaddr_storage numeric;
    if (net_address_parse(address, &parsed, &link->e) != OK) {
        link_begin_close(link);
    } else if (net_address_is_numeric(&parsed, &numeric)) {
        connect_to(link, (const struct sockaddr *)&numeric);
    } else {
        link->resolve = resolve_start(u, &parsed, on_resolved, link);
        if (link->resolve == NULL) link_fail(link, uv_translate_sys_error(errno));
    }
    return link;
}

/* Listening */

static void on_connection(uv_stream_t *server, int status)
{
    struct env_listener *listener = CONTAINER_OF(server, struct env_listener, tcp);
    loop_note_awake(listener->u);
    if (status != 0) return; /* that peer is gone, or out of descriptors: libuv drops it */
    struct env_link *link = link_new(listener->u);
    status = uv_accept(server, (uv_stream_t *)&link->tcp);
    if (status != 0) {
        link_fail(link, status);
        return;
    }
    struct sockaddr_storage peer = {0};
    int size = sizeof(peer);
    (void)uv_tcp_getpeername(&link->tcp, (struct sockaddr *)&peer, &size); /* "?:0" if reset */
    net_address_format(&peer, link->address);
    listener->accept(link, link->address, listener->arg, &link->events, &link->arg);
    if (link->is_closing) return;
    if (link->events == NULL) {
        link_begin_close(link);
        return;
    }
    link_start(link);
}

/* The address to listen on. Blocks for a name: listening starts when a node opens. */
static enum code find_local(const char *text, struct sockaddr_storage *out, struct err *e)
{
    struct net_address address;
    TRY(net_address_parse(text, &address, e));
    if (net_address_is_numeric(&address, out)) return OK;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address.port); /* fits */
    struct addrinfo *found = NULL;
    int status = getaddrinfo(address.host, port, &hints, &found);
    if (status != 0) {
        return ERR(e, E_INVALID, "cannot listen on %s: %s", text, gai_strerror(status));
    }
    *out = (struct sockaddr_storage){0};
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return OK;
}

static void on_listener_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct env_listener, tcp));
}

void net_unlisten(struct env *env, struct env_listener *listener)
{
    (void)env;
    if (listener == NULL) return;
    list_remove(&listener->node);
    if (listener->network != NULL) {
        foreign_unlisten(listener);
        return;
    }
    uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
}

static enum code listen_error(const char *address, int status, struct err *e)
{
    switch (status) {
    case UV_EADDRINUSE:
        return ERR(e, E_INUSE, "cannot listen on %s: another program uses this address and port",
                   address);
    case UV_EADDRNOTAVAIL:
        return ERR(e, E_INVALID, "cannot listen on %s: this machine has no such address", address);
    default: return ERR(e, E_IO, "cannot listen on %s: %s", address, uv_strerror(status));
    }
}

static uint16_t bound_port(const uv_tcp_t *tcp)
{
    struct sockaddr_storage local = {0};
    int size = sizeof(local);
    ASSERT(uv_tcp_getsockname(tcp, (struct sockaddr *)&local, &size) == 0);
    /* The port is at the same place in both families. */
    const struct sockaddr_in *in = (const void *)&local;
    return ntohs(in->sin_port);
}

/* Seven parameters: env.h's order. NOLINTNEXTLINE(readability-function-size) */
enum code net_listen(struct env *env, const char *address, env_accept accept, void *arg,
                     struct env_listener **out, uint16_t *out_port, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT(!u->is_closing);
    struct sockaddr_storage local;
    TRY(find_local(address, &local, e));
    struct env_listener *listener = env_must_get(sizeof(*listener));
    listener->u = u;
    listener->accept = accept;
    listener->arg = arg;
    ASSERT(uv_tcp_init(&u->loop, &listener->tcp) == 0);
    list_append(&u->listeners, &listener->node);
    int status = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)&local, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&listener->tcp, LISTEN_BACKLOG, on_connection);
    }
    if (status != 0) {
        net_unlisten(env, listener);
        return listen_error(address, status, e);
    }
    *out_port = bound_port(&listener->tcp);
    *out = listener;
    return OK;
}

void net_close_all(struct env_uv *u)
{
    while (!list_is_empty(&u->listeners)) {
        net_unlisten(&u->base, CONTAINER_OF(u->listeners.next, struct env_listener, node));
    }
    for (struct list *node = u->links.next; node != &u->links; node = node->next) {
        link_begin_close(CONTAINER_OF(node, struct env_link, node));
    }
}
