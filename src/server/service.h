/* service: what all connections of a server share: the database, counters, pools, the list of
 * connections, and the way back from the database's thread. It knows no sockets: what needs one
 * goes through the hooks, which sockets.c fills in (and tests replace).
 *
 * Owner: the I/O thread. Any thread may use: completed (lock-free list), stats (reading), and
 * database (atomic pointer; set once when opened, cleared once before closing). */
#ifndef TIDEMARK_SERVER_SERVICE_H
#define TIDEMARK_SERVER_SERVICE_H

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/types.h"
#include "server/server.h"
#include "server/stats.h"

struct conn;
struct out;
struct service;
struct sockets;
struct turn;

/* Called on the I/O thread, except wake. */
struct service_hooks {
    /* Send the bytes; the buffer may be kept and replaced by an empty one. */
    void (*send)(struct conn *conn, struct out *bytes);
    /* Send what is queued, then close. Nothing is freed before conn_closed. */
    void (*finish)(struct conn *conn);
    /* Reading may have to start or stop. */
    void (*update)(struct conn *conn);
    /* The connection whose socket is closed has no turn in flight any more. */
    void (*release)(struct conn *conn);
    /* Something is in the list of completed turns. Any thread. */
    void (*wake)(struct service *service);
    /* Stop the server, as SIGTERM does. */
    void (*stop)(struct service *service);
};

struct service {
    struct alloc alloc; /* of connections, buffers and turns: bounded */
    struct service_hooks hooks;
    const struct server_options *options;
    struct stats stats;
    tide_db *_Atomic database; /* NULL: not open yet, or closing */
    _Atomic(struct turn *) completed;

    struct turn *idle_turns; /* the pool */
    size_t idle_turn_count;
    void *idle_inputs; /* pool of input buffers of the usual size, linked by their first bytes */
    size_t idle_input_count;

    struct conn *conns; /* all, newest first */
    uint64_t conn_count;
    uint64_t next_conn_id;
    uint64_t monitor_count;

    bool is_follower; /* as of the opening or the newest status */
    bool is_stopping;
    bool is_stop_wanted;        /* SHUTDOWN was asked for */
    struct sockets *sockets;    /* for the hooks */
    _Atomic uint64_t ticked_ns; /* the I/O thread was alive then */
    uint64_t started_ns;
    int64_t started_wall_ms;
    char data_address[ADDRESS_SIZE_MAX + 1]; /* as bound */
    char http_address[ADDRESS_SIZE_MAX + 1];
    uint16_t data_port;
};

void service_init(struct service *service, const struct server_options *options,
                  const struct service_hooks *hooks);
/* All connections are gone. Frees the pools. */
void service_fini(struct service *service);

/* From the pool or new. NULL: no memory. */
struct turn *service_take_turn(struct service *service);
void service_give_turn(struct service *service, struct turn *turn);

/* A piece of SERVICE_INPUT_SIZE bytes, contents unknown. NULL: no memory. */
#define SERVICE_INPUT_SIZE ((size_t)(16 * KIB))
void *service_take_input(struct service *service);
void service_give_input(struct service *service, void *input);

/* The callback of all runs; arg is the turn. The database's thread. */
void service_run_done(tide_run *run, void *arg);
/* Answer all turns that are done. I/O thread, after wake. */
void service_complete(struct service *service);

#endif
