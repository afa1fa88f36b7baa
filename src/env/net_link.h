/* net_link: one connection once it exists, and its queue of bytes to send. Private to src/env:
 * net_tcp.c and net_foreign.c make links and bring them to open; net_link.c moves bytes and ends
 * them. A link of another network than TCP has no socket: its tcp is not used.
 *
 *     connecting --> open --> closing --> freed
 *         |                      ^
 *         +----------------------+
 * connecting: net_tcp.c looks the name up and tries one address after the other. What is sent
 * meanwhile is queued. closing: no event but closed() comes any more; it comes from the loop, never
 * from inside a call, so a link may be closed in any of its own callbacks.
 */
#ifndef TIDEMARK_ENV_NET_LINK_H
#define TIDEMARK_ENV_NET_LINK_H

#include "env/env_private.h"

struct message; /* queued bytes, net_link.c */
struct resolve; /* a look-up, net_resolve.c */

struct env_listener {
    uv_tcp_t tcp;
    struct list node; /* in u->listeners */
    struct env_uv *u;
    env_accept accept;
    void *arg;

    /* Of another network, net_foreign.c's. */
    struct env_network *network; /* NULL: TCP */
    void *handle;                /* the network's; NULL once ended */
    struct env_task task;        /* somebody may have connected; or it is to be freed */
    char address[ADDRESS_SIZE_MAX + 1];
};

struct env_link {
    uv_tcp_t tcp;
    struct list node; /* in u->links */
    struct env_uv *u;
    const struct env_link_events *events; /* NULL: refused by accept, nobody is told */
    void *arg;

    /* Connecting, all net_tcp.c's. */
    uv_connect_t connect;
    struct resolve *resolve;       /* in progress */
    struct addrinfo *addresses;    /* what the look-up gave */
    struct addrinfo *next_address; /* the one to try when this one fails */
    bool is_reopening;             /* the socket of the last try is being closed */

    /* Of another network, net_foreign.c's. */
    struct env_network *network; /* NULL: TCP */
    void *connection;            /* the network's; NULL before and after */
    struct env_task task;        /* look at the connection again; or the link is to be ended */

    bool is_open;
    bool is_closing;
    bool is_paused;

    /* Sending. */
    uv_write_t write; /* one at a time, of many pieces */
    bool is_writing;
    bool is_above_low_water; /* drained() is owed */
    size_t writing_bytes;    /* of the write in progress */
    size_t queued_bytes;     /* not known to be with the kernel; includes writing_bytes */
    struct message *first;
    struct message *last;

    struct err e;                       /* why it closes */
    char address[ADDRESS_SIZE_MAX + 1]; /* outgoing: as given; incoming: the peer's */
};

/* A link in state connecting, in u->links. */
struct env_link *link_new(struct env_uv *u);
/* The socket is connected: set its options, begin to read, send what is queued. */
void link_start(struct env_link *link);
/* Close it because of a libuv status < 0; nothing when it is closing already. */
void link_fail(struct env_link *link, int status);
/* Close it with what link->e says. */
void link_begin_close(struct env_link *link);
/* The socket is gone: give everything back and call closed(). */
void link_end(struct env_link *link);
/* Cut size bytes, which are sent, off the front of the queue. release may be called, and may send
 * on this link or close it. */
void link_sent(struct env_link *link, size_t size);
/* The front of the queue; an empty one: nothing is queued. */
struct slice link_front(const struct env_link *link);
/* Tell that the queue is short again, if that is owed. */
void link_tell_drained(struct env_link *link);
/* net_tcp.c: give up looking up and connecting. */
void connect_abandon(struct env_link *link);

/* net_foreign.c: what a link of another network does in the place of libuv. */
void foreign_send(struct env_link *link, const struct slice *pieces, size_t count,
                  size_t *out_taken);
void foreign_wake(struct env_link *link);  /* look at the connection soon */
void foreign_close(struct env_link *link); /* link_end follows */
void foreign_unlisten(struct env_listener *listener);

/* The vtable's. */
void link_send(struct env *env, struct env_link *link, const struct slice *pieces, size_t count,
               void (*release)(void *release_arg), void *release_arg);
size_t link_queued(struct env *env, struct env_link *link);
void link_pause(struct env *env, struct env_link *link, bool is_paused);
void link_close(struct env *env, struct env_link *link);
const char *link_describe(struct env *env, struct env_link *link);

#endif
