/* ingest: a numbered stream of signals on its way to one server, through crashes and restarts.
 *
 * Every element has a number, 1, 2, 3 ..., and the server remembers per producer name the last one
 * it took, in the log and so for ever. Elements wait in a bounded window until they are
 * acknowledged; after a lost connection or a server that was busy the window is sent again from
 * where the server stands. So each element takes effect exactly once, also when this process dies
 * and another one goes on with the same name.
 *
 * An element that the server refuses as wrong is reported and skipped; it is asked twice before
 * that, because a server that is about to stop also refuses. One owner; never blocks but in
 * ingest_step, for at most the time given.
 */
#ifndef TIDEMARK_CLI_INGEST_H
#define TIDEMARK_CLI_INGEST_H

#include "base/error.h"
#include "base/types.h"
#include "cli/resp_client.h"

#define INGEST_WINDOW_COUNT 16384u
#define INGEST_WINDOW_SIZE  (4 * MIB)
#define INGEST_PATIENCE_MS  (5 * 60 * 1000) /* without progress, before giving up */

struct ingest_signal {
    struct slice type;
    struct slice item;
    struct slice weight; /* as text; size 0: none */
    int64_t at_ms;
    struct slice user; /* size 0: none */
    struct slice key;  /* size 0: none */
};

struct ingest_options {
    const char *address;
    struct slice producer; /* 1..255 bytes; borrowed for the life of the ingest */
    uint32_t patience_ms;  /* 0: INGEST_PATIENCE_MS */
    /* The server refused element `number`; reason is its words, borrowed. */
    void (*refused)(void *arg, uint64_t number, struct slice reason);
    void *arg;
};

enum ingest_state {
    INGEST_RUNNING,  /* elements go out, replies come in */
    INGEST_ASKING,   /* PRODUCER.GET is on its way; older replies are void */
    INGEST_RESTING,  /* connected; waiting before asking again */
    INGEST_DETACHED, /* no connection; waiting before the next try */
};

struct ingest_entry {
    size_t offset; /* of the encoded command in the window's bytes */
    uint32_t size;
    bool is_refused;  /* send a skip in its place */
    uint8_t attempts; /* refusals so far */
};

struct ingest {
    struct ingest_options options;
    struct resp_client client;
    enum ingest_state state;
    /* window: numbers acked+1 .. last; of these acked+1 .. sent are with the server */
    uint64_t acked;
    uint64_t sent;
    uint64_t last;
    struct ingest_entry *entries; /* ring, by number modulo INGEST_WINDOW_COUNT */
    uint8_t *bytes;               /* ring of whole commands */
    size_t bytes_end;
    uint64_t send_limit;   /* elements with the server at once; small after a refusal */
    uint64_t void_replies; /* replies to ignore before the next one counts */
    struct err trouble;    /* what went wrong last, for the final sentence */
    uint64_t wake_ns;      /* RESTING, DETACHED: when to go on */
    uint32_t pause_ms;
    uint64_t progress_ns; /* when something was acknowledged last */
    /* counters */
    uint64_t refusals;
    uint64_t reconnects;
    uint64_t resent;
};

/* Connect and ask where the producer stands: *out_last. Elements up to it are done. Fails at once
 * when the server cannot be reached. Close it in every case. */
MUST_CHECK enum code ingest_open(struct ingest *g, const struct ingest_options *options,
                                 uint64_t *out_last, struct err *e);
void ingest_close(struct ingest *g); /* harmless on zeroed memory */

/* Hand over the next element, number last + 1. False when the window is full: step first. */
MUST_CHECK bool ingest_add(struct ingest *g, const struct ingest_signal *signal);
/* The same for an element without effect. */
MUST_CHECK bool ingest_skip(struct ingest *g);

/* Move, take replies, deal with trouble; waits at most timeout_ms for something to happen. extra
 * (may be NULL) is waited for too. An error is final: the sentence says why. */
MUST_CHECK enum code ingest_step(struct ingest *g, uint32_t timeout_ms, struct host_wait *extra,
                                 struct err *e);
/* Nothing waits for an acknowledgement. */
static inline bool ingest_is_done(const struct ingest *g)
{
    return g->acked == g->last;
}

#endif
