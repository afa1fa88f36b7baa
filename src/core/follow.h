/* follow: the follower's side of one link: when to connect, what to believe, when to give up.
 *
 * A pure state machine; engine/receiver tells it what happened and does what it asks.
 *
 *     WAITING --timer--> CONNECTING --opened--> GREETING --plan--> NOTING --noted--> STREAMING
 *        ^                   |                     |  \___plan (nothing to note)_______^ |
 *        \-------------------+---------------------+----------- link gone, refused ------/
 *     any --stop--> STOPPED
 *
 * Laws:
 *  - only frames that carry the nonce of the current session count; any other order does nothing,
 *    for it belongs to an older link;
 *  - a plan of a lower epoch than the highest ever seen is refused; a higher epoch and a first
 *    cluster id are durable (NOTING) before the plan is accepted;
 *  - a plan continues from exactly the position that was asked for, or says why it cannot: cut back
 *    to a fork, or take a copy of the state. What was acknowledged as committed, as far as this
 * node knows, is given up for no plan, unless an operator named this very end and said so;
 *  - batches extend what was accepted, or are held already; anything else ends the link;
 *  - a link without a frame for dead_ns is ended; so is one without a plan.
 * Reconnecting waits with full jitter, uniform in 0..bound, the bound doubling from 50 ms to 10 s
 * and starting over after 30 s of streaming. The reason is said once, then every 10 s, and at once
 * when it is another one.
 *
 * Time and randomness arrive in events. Never allocates. One owner.
 */
#ifndef TIDEMARK_CORE_FOLLOW_H
#define TIDEMARK_CORE_FOLLOW_H

#include "base/error.h"
#include "base/types.h"
#include "format/wire.h"

#define FOLLOW_BACKOFF_MIN_NS (50 * NS_PER_MS)
#define FOLLOW_BACKOFF_MAX_NS (10 * NS_PER_S)
#define FOLLOW_HEALTHY_NS     (30 * NS_PER_S)
#define FOLLOW_SAY_NS         (10 * NS_PER_S)

/* X(constant, name) */
#define FOLLOW_STATE_TABLE(X)          \
    X(FOLLOW_WAITING, "waiting")       \
    X(FOLLOW_CONNECTING, "connecting") \
    X(FOLLOW_GREETING, "greeting")     \
    X(FOLLOW_NOTING, "noting")         \
    X(FOLLOW_STREAMING, "streaming")   \
    X(FOLLOW_STOPPED, "stopped")
enum follow_state {
#define X(constant, name) constant,
    FOLLOW_STATE_TABLE(X)
#undef X
        FOLLOW_STATE_COUNT
};
const char *follow_state_name(enum follow_state state);
bool follow_edge_is_allowed(enum follow_state from, enum follow_state to);

/* Why the last attempt ended; a change is said at once. */
enum follow_cause {
    FOLLOW_CAUSE_NONE,
    FOLLOW_CAUSE_UNREACHABLE, /* no link, or it broke */
    FOLLOW_CAUSE_SILENT,      /* no frame for dead_ns */
    FOLLOW_CAUSE_REFUSED,     /* the leader refused; plan.reason says why */
    FOLLOW_CAUSE_ENDED,       /* the leader ended the link with a reason */
    FOLLOW_CAUSE_PROTOCOL,    /* the leader broke the protocol, or batches do not verify */
    FOLLOW_CAUSE_FENCED,      /* its epoch is lower than one seen before */
    FOLLOW_CAUSE_LOCAL,       /* this node could not note or store what arrived */
};

struct follow_options {
    uint64_t heartbeat_ns;
    uint64_t dead_ns;
};

struct follow {
    struct follow_options options;
    enum follow_state state;
    uint64_t session;    /* nonce of the current link; 0 none */
    uint64_t plan_epoch; /* number of the leadership that is followed; 0 none */
    uint32_t attempts;   /* failed in a row: doubles the backoff */
    uint64_t retries;    /* ever */
    uint64_t due_ns;     /* when FOLLOW_EV_TIMER is wanted; UINT64_MAX never */
    uint64_t heard_ns;
    uint64_t streaming_ns; /* when streaming began */
    enum follow_cause cause;
    uint8_t reason; /* with REFUSED and ENDED: the wire's number */
    uint64_t said_ns;
    enum follow_cause said_cause;
    uint8_t said_reason;
};

enum follow_event_kind {
    FOLLOW_EV_START,  /* random: for the first, short wait */
    FOLLOW_EV_TIMER,  /* now >= due_ns, or earlier: then nothing happens */
    FOLLOW_EV_OPENED, /* the link is up; random becomes the session's nonce */
    FOLLOW_EV_PLAN,   /* follow_judge_plan said ACCEPT or NOTE for it; is_note says which */
    FOLLOW_EV_NOTED,  /* what had to be durable is */
    FOLLOW_EV_HEARD,  /* a valid frame of this session */
    FOLLOW_EV_FAILED, /* the link broke, or must be given up: `cause` and `reason` */
    FOLLOW_EV_STOP,
};
struct follow_event {
    enum follow_event_kind kind;
    uint64_t now_ns;
    uint64_t random;
    uint64_t epoch; /* PLAN: of the plan */
    bool is_note;
    enum follow_cause cause;
    uint8_t reason;
};

/* What to do, in this order. */
struct follow_actions {
    bool is_link_over;  /* close the link if there is one; its frames no longer count */
    bool is_reason_due; /* say why the leader cannot be followed */
    bool is_connect_due;
    bool is_hello_due; /* send hello with `session` */
    bool is_note_due;  /* make the plan's epoch and cluster durable, then FOLLOW_EV_NOTED */
    bool is_accepted;  /* the plan counts: batches may follow */
};

void follow_init(struct follow *f, const struct follow_options *options);
/* Never fails: events that the state has no use for do nothing. */
void follow_step(struct follow *f, const struct follow_event *event, struct follow_actions *out);

/* What to think of a plan. */
struct follow_plan {
    const struct wire_plan *plan;
    struct position asked; /* hello.last */
    struct id128 cluster;  /* zero: unknown yet */
    uint64_t log_key;      /* with a known cluster */
    struct stream_id stream;
    uint64_t highest_epoch;           /* seen, durable */
    seqno oldest;                     /* first record of the own log; 1: all can be replayed */
    const struct position *manifests; /* own ones, with the log behind each */
    uint32_t manifest_count;
    seqno committed;              /* known to be committed, of what this node holds */
    const struct token *may_lose; /* an operator's word that the log may be cut back, while its
                                   * end is this; NULL: none was given */
};
enum follow_verdict {
    FOLLOW_ACCEPT,
    FOLLOW_NOTE,      /* accept, once its epoch or cluster is durable */
    FOLLOW_TRUNCATE,  /* give up what comes after plan.from */
    FOLLOW_BOOTSTRAP, /* take a copy of the state: plan.reason, plan.text */
    FOLLOW_REFUSED,   /* the leader refuses: plan.reason, plan.text */
    FOLLOW_UNSAFE,    /* it would give up what is committed */
    FOLLOW_FENCED,    /* plan of an epoch below one seen */
    FOLLOW_FOREIGN,   /* another cluster, stream or log key */
    FOLLOW_MISMATCH,  /* not what was asked for, or a plan this version cannot follow */
};
/* e says what is wrong, or why, for every verdict but the first three. */
enum follow_verdict follow_judge_plan(const struct follow_plan *p, struct err *e);

/* Where a received batch lies relative to the end of what was accepted. */
enum follow_place {
    FOLLOW_NEXT,      /* extends it */
    FOLLOW_HELD,      /* wholly at or before it: compare its chain where known, then skip it */
    FOLLOW_GAP,       /* leaves records out */
    FOLLOW_STRADDLES, /* begins before the end and goes beyond: batches never overlap */
};
enum follow_place follow_place_of(seqno accepted, seqno first, seqno last);

#endif
