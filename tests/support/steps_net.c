/* steps_net: see steps_net.h. Not part of the product. */
#include "support/steps_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX   4u
#define LISTENERS_MAX 8u

struct env_listener {
    struct env *env; /* NULL: free */
    char address[128];
    env_accept accept;
    void *arg;
};

struct env_link {
    struct env_link *next;
    struct env *env; /* NULL: its process ended */
    struct env_link *peer;
    const struct env_link_events *events;
    void *arg;
    char address[128];
    bool is_closing; /* here */
    bool is_over;    /* closed() was called, or will never be */
};

enum news_kind { NEWS_ACCEPT, NEWS_OPENED, NEWS_BYTES, NEWS_CLOSED };

struct news {
    struct news *next;
    enum news_kind kind;
    struct env_link *link;
    struct env_listener *listener;
    enum code code;
    size_t size;
    uint8_t bytes[];
};

struct member {
    struct env *env;
    const struct env_vtable *before;
    struct env_vtable vtable;
};

struct steps_net {
    struct member members[MEMBERS_MAX];
    struct env_listener listeners[LISTENERS_MAX];
    struct env_link *links;
    struct news *first;
    struct news **last;
};

static struct steps_net *the_net;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "steps_net: %s\n", what);
    abort();
}

static struct news *tell(enum news_kind kind, struct env_link *link, size_t size)
{
    struct news *n = calloc(1, sizeof(*n) + size);
    if (n == NULL) give_up("no memory");
    n->kind = kind;
    n->link = link;
    n->size = size;
    *the_net->last = n;
    the_net->last = &n->next;
    return n;
}

static void tell_closed(struct env_link *link, enum code code)
{
    tell(NEWS_CLOSED, link, 0)->code = code;
}

static struct env_link *link_new(struct env *env, const char *address)
{
    struct env_link *link = calloc(1, sizeof(*link));
    if (link == NULL) give_up("no memory");
    link->env = env;
    (void)snprintf(link->address, sizeof(link->address), "%s", address);
    link->next = the_net->links;
    the_net->links = link;
    return link;
}

/* --- the calls of env.h --- */

static enum code net_listen(struct env *env, const char *address, env_accept accept, void *arg,
                            struct env_listener **out, uint16_t *out_port, struct err *e)
{
    (void)e;
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        struct env_listener *l = &the_net->listeners[i];
        if (l->env != NULL) continue;
        *l = (struct env_listener){.env = env, .accept = accept, .arg = arg};
        (void)snprintf(l->address, sizeof(l->address), "%s", address);
        *out = l;
        *out_port = 1;
        return OK;
    }
    give_up("too many listeners");
}

static void net_unlisten(struct env *env, struct env_listener *listener)
{
    (void)env;
    listener->env = NULL;
}

static struct env_link *net_connect(struct env *env, const char *address,
                                    const struct env_link_events *events, void *arg)
{
    struct env_link *link = link_new(env, address);
    link->events = events;
    link->arg = arg;
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        struct env_listener *l = &the_net->listeners[i];
        if (l->env == NULL || strcmp(l->address, address) != 0) continue;
        tell(NEWS_ACCEPT, link, 0)->listener = l;
        return link;
    }
    tell_closed(link, E_IO);
    return link;
}

static void net_send(struct env *env, struct env_link *link, const struct slice *pieces,
                     size_t count, void (*release)(void *), void *release_arg)
{
    (void)env;
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += pieces[i].size;
    if (!link->is_closing && !link->is_over && link->peer != NULL) {
        struct news *n = tell(NEWS_BYTES, link->peer, size);
        uint8_t *at = n->bytes;
        for (size_t i = 0; i < count; i++) {
            if (pieces[i].size > 0) memcpy(at, pieces[i].data, pieces[i].size);
            at += pieces[i].size;
        }
    }
    if (release != NULL) release(release_arg);
}

static size_t net_queued(struct env *env, struct env_link *link)
{
    (void)env;
    (void)link;
    return 0;
}

static void net_pause(struct env *env, struct env_link *link, bool is_paused)
{
    (void)env;
    (void)link;
    (void)is_paused; /* bytes arrive one piece at a time; who holds keeps them */
}

static void end_link(struct env_link *link, enum code code)
{
    if (link == NULL || link->is_closing) return;
    link->is_closing = true;
    tell_closed(link, code);
}

static void net_close(struct env *env, struct env_link *link)
{
    (void)env;
    end_link(link, OK);
    end_link(link->peer, E_IO);
}

static const char *net_describe(struct env *env, struct env_link *link)
{
    (void)env;
    return link->address;
}

/* --- members --- */

struct steps_net *steps_net_new(void)
{
    if (the_net != NULL) give_up("there is one already");
    the_net = calloc(1, sizeof(*the_net));
    if (the_net == NULL) give_up("no memory");
    the_net->last = &the_net->first;
    return the_net;
}

void steps_net_join(struct steps_net *net, struct env *env)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct member *m = &net->members[i];
        if (m->env != NULL) continue;
        *m = (struct member){.env = env, .before = env->v, .vtable = *env->v};
        m->vtable.listen = net_listen;
        m->vtable.unlisten = net_unlisten;
        m->vtable.connect = net_connect;
        m->vtable.link_send = net_send;
        m->vtable.link_queued = net_queued;
        m->vtable.link_pause = net_pause;
        m->vtable.link_close = net_close;
        m->vtable.link_describe = net_describe;
        env->v = &m->vtable;
        return;
    }
    give_up("too many members");
}

void steps_net_leave(struct steps_net *net, struct env *env)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (net->listeners[i].env == env) net->listeners[i].env = NULL;
    }
    for (struct env_link *link = net->links; link != NULL; link = link->next) {
        if (link->env != env) continue;
        end_link(link->peer, E_IO);
        link->is_over = true;
        link->is_closing = true;
        link->env = NULL;
    }
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (net->members[i].env != env) continue;
        env->v = net->members[i].before;
        net->members[i].env = NULL;
    }
}

void steps_net_free(struct steps_net *net)
{
    while (net->first != NULL) {
        struct news *n = net->first;
        net->first = n->next;
        free(n);
    }
    while (net->links != NULL) {
        struct env_link *link = net->links;
        net->links = link->next;
        free(link);
    }
    free(net);
    the_net = NULL;
}

/* --- what happens --- */

static void accept_link(struct env_link *link, struct env_listener *listener)
{
    if (link->is_closing) return;
    if (listener->env == NULL) {
        end_link(link, E_IO);
        return;
    }
    struct env_link *peer = link_new(listener->env, "peer");
    link->peer = peer;
    peer->peer = link;
    listener->accept(peer, "peer:1", listener->arg, &peer->events, &peer->arg);
    if (peer->events == NULL) {
        peer->is_over = true;
        peer->is_closing = true;
        end_link(link, E_IO);
        return;
    }
    tell(NEWS_OPENED, link, 0);
}

static void deliver(void *carry, struct slice bytes)
{
    struct env_link *link = carry;
    if (link->is_closing || link->is_over) return;
    link->events->received(link, link->arg, bytes);
}

static void close_link(struct env_link *link, enum code code)
{
    struct err e = {.code = OK};
    if (link->is_over) return;
    link->is_over = true;
    link->is_closing = true;
    if (code != OK) (void)ERR(&e, code, "%s: the connection ended", link->address);
    link->events->closed(link, link->arg, &e);
}

bool steps_net_step(struct steps_net *net, steps_net_filter filter, void *arg)
{
    struct news *n = net->first;
    if (n == NULL) return false;
    net->first = n->next;
    if (net->first == NULL) net->last = &net->first;
    struct env_link *link = n->link;
    bool is_heard = !link->is_closing && !link->is_over;
    switch (n->kind) {
    case NEWS_ACCEPT: accept_link(link, n->listener); break;
    case NEWS_OPENED:
        if (is_heard) link->events->opened(link, link->arg);
        break;
    case NEWS_BYTES:
        if (is_heard && filter == NULL) deliver(link, slice_of(n->bytes, n->size));
        if (is_heard && filter != NULL)
            filter(arg, link->env, slice_of(n->bytes, n->size), deliver, link);
        break;
    case NEWS_CLOSED: close_link(link, n->code); break;
    }
    free(n);
    return true;
}
