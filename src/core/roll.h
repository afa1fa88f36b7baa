/* roll: when time seals the active segment, and how far followers may be sent.
 *
 * A pure state machine; engine/roller tells it what happened and does what it asks.
 *
 *     CLEAN --client batch--> HOLDING --due--> SEALING --sealed--> CLEAN
 *       ^                        |                |
 *       \---- sealed (full, or asked for) --------/
 *
 * CLEAN: nothing that a client caused lies in the unsealed segment. Housekeeping alone (ticks,
 * marks, digests, epoch starts) never leaves it, so an idle leader seals nothing.
 * HOLDING: something does; seal_interval after the first of it the segment is to be sealed.
 *
 * What may be shipped: with ship_interval 0 (stream) all that is durable, at once. Else (segment)
 * only at polls, every ship_interval on a fixed beat, and then what is sealed; while CLEAN also the
 * housekeeping behind it, which is worth no seal of its own. So a record of a client waits at most
 * seal_interval + ship_interval, and a quiet leader's followers hold everything.
 *
 * Holds always: sealed <= durable; shippable <= durable; none of them goes back.
 * Time arrives in events and never goes back. Never allocates. One owner.
 */
#ifndef TIDEMARK_CORE_ROLL_H
#define TIDEMARK_CORE_ROLL_H

#include "base/types.h"

/* X(constant, name) */
#define ROLL_STATE_TABLE(X)    \
    X(ROLL_CLEAN, "clean")     \
    X(ROLL_HOLDING, "holding") \
    X(ROLL_SEALING, "sealing")
enum roll_state {
#define X(constant, name) constant,
    ROLL_STATE_TABLE(X)
#undef X
        ROLL_STATE_COUNT
};
const char *roll_state_name(enum roll_state state);
bool roll_edge_is_allowed(enum roll_state from, enum roll_state to);

struct roll_options {
    uint64_t seal_interval_ns; /* 0: time never seals */
    uint64_t ship_interval_ns; /* 0: stream */
};

struct roll {
    struct roll_options options;
    enum roll_state state;
    seqno durable;
    seqno sealed;         /* end of the newest sealed segment */
    seqno shippable;      /* followers may be sent up to here: always a batch end */
    uint64_t held_ns;     /* HOLDING: since when */
    uint64_t beat_ns;     /* polls happen at beat_ns + n * ship_interval */
    uint64_t poll_due_ns; /* next poll that has something to ship; UINT64_MAX none */
};

enum roll_event_kind {
    ROLL_EV_WRITTEN, /* durable grew to `end`; has_client: with a batch that a client caused */
    ROLL_EV_SEALING, /* the seal that was asked for began */
    ROLL_EV_SEALED,  /* the active segment, whose last batch ended at `end`, is sealed */
    ROLL_EV_TICK,    /* time passed */
};
struct roll_event {
    enum roll_event_kind kind;
    uint64_t now_ns;
    seqno end;
    bool has_client;
};

struct roll_actions {
    bool is_seal_due; /* seal when the log is idle; asked again until it begins */
    bool has_more;    /* shippable grew */
};

/* Everything up to `durable` may be shipped: what an opening wrote is housekeeping. */
void roll_init(struct roll *r, const struct roll_options *options, seqno durable, uint64_t now_ns);
struct roll_actions roll_step(struct roll *r, const struct roll_event *event);
/* When ROLL_EV_TICK is due next; UINT64_MAX: never. While a seal is due and has not begun there is
 * nothing to wait for but the log. */
uint64_t roll_due_ns(const struct roll *r, uint64_t now_ns);

#endif
