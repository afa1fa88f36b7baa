/* conn: one client connection without its socket: bytes in, requests cut and gathered into turns,
 * replies out in order. sockets.c moves the bytes.
 *
 * Holds always: at most one turn is in flight; nothing that a turn in flight points to is moved or
 * freed; input is bounded (reading stops while CONN_AHEAD_MAX bytes wait for a turn to finish, and
 * a single request is at most RESP_REQUEST_SIZE_MAX); replies are bounded (no new turn starts while
 * the client does not take its replies).
 *
 * Owner: the I/O thread. */
#ifndef TIDEMARK_SERVER_CONN_H
#define TIDEMARK_SERVER_CONN_H

#include "base/types.h"
#include "server/arena.h"
#include "server/out.h"
#include "server/resp.h"
#include "tidemark.h"

#define CONN_AHEAD_MAX     ((size_t)(256 * KIB))
#define CONN_NAME_SIZE_MAX 64
#define CONN_ADDRESS_SIZE  64

struct command;
struct service;
struct turn;

/* A command that waits for EXEC; lives in the arena of its MULTI. */
struct queued {
    struct queued *next;
    const struct command *command;
    struct slice *words;
    size_t word_count;
};

#define MULTI_COMMANDS_MAX 16384
#define MULTI_COST_MAX     16384
#define MULTI_SIZE_MAX     ((size_t)(8 * MIB))

/* Between MULTI and EXEC. */
struct multi {
    struct arena arena;
    struct queued *first;
    struct queued *last;
    size_t count;
    size_t write_count;
    uint64_t cost;
    struct tide_durability durability; /* of the record, if one of its writes said any */
    bool has_durability;
    bool is_open;
    bool is_aborted; /* a command was refused: EXEC refuses all */
};

enum conn_state {
    CONN_OPEN,
    CONN_ENDING, /* no further request is read; once all replies are sent it is finished */
    CONN_FINISHED,
};

struct conn {
    struct service *service;
    struct conn *next; /* in the service's list */
    struct conn *previous;
    struct turn *turn; /* in flight; NULL: none */

    uint8_t *input;
    size_t input_capacity;
    size_t input_start; /* first byte not understood yet */
    size_t input_end;
    uint8_t *borrowed; /* an older input that the turn in flight points to */
    size_t borrowed_capacity;
    struct resp_parser parser;

    uint64_t id;
    uint64_t started_ns;
    uint64_t used_ns;
    uint64_t command_count;
    uint64_t wrote_seqno; /* newest position told to this client */
    const struct command *last_command;
    struct multi multi;
    enum conn_state state;
    enum proto proto;
    bool has_request;    /* the parser holds a whole request that waits for a turn of its own */
    bool is_input_lent;  /* the turn in flight points into input */
    bool is_at_end;      /* the client sends nothing more */
    bool is_output_full; /* set by sockets.c */
    bool is_monitor;
    bool is_gone; /* the socket is closed */
    char address[CONN_ADDRESS_SIZE];
    char name[CONN_NAME_SIZE_MAX + 1];
    char library[CONN_NAME_SIZE_MAX + 1];
    char library_version[CONN_NAME_SIZE_MAX + 1];
};

/* Enter it into the service's list. address is copied. */
void conn_init(struct conn *c, struct service *service, const char *address);
/* The socket is closed and no turn is in flight. */
void conn_fini(struct conn *c);

/* Where the next bytes go; at least one byte, *size says how many. NULL: no memory. */
uint8_t *conn_room(struct conn *c, size_t *size);
/* size bytes were written there: work on them. */
void conn_received(struct conn *c, size_t size);
/* The client sends nothing more; what it sent is still answered. */
void conn_ended(struct conn *c);
/* The client took its replies: go on. */
void conn_drained(struct conn *c);
/* The turn came back from the database. */
void conn_completed(struct conn *c, struct turn *turn);
/* The socket is closed. True: conn_fini may be called; false: hooks.release will say when. */
MUST_CHECK bool conn_closed(struct conn *c);

/* Should the socket be read? */
bool conn_wants_input(const struct conn *c);
/* Stop reading requests; finish when the replies in flight are sent. */
void conn_end(struct conn *c);

/* Close it because `by` asks for it: at once, or, where it is the same one, after its replies. */
void conn_kill(struct conn *c, const struct conn *by);

/* A write of this client has this position. */
static inline void conn_wrote(struct conn *c, uint64_t position)
{
    if (position > c->wrote_seqno) c->wrote_seqno = position;
}

/* Drop what MULTI gathered. */
void conn_discard_multi(struct conn *c);

/* Show a request to all connections in MONITOR. */
void conn_feed_monitors(struct conn *from, const struct slice *words, size_t count);

#endif
