/* ship: what the leader knows of one follower on one link, and what to do next.
 *
 * A pure state machine. It owns no file, socket, clock or thread: engine/shipper tells it what
 * happened and carries out what it asks. Holds after every step, by seqno:
 *     from <= stored <= received <= sent <= durable      applied <= stored
 *     sent - stored <= credit, in bytes                  a slow follower costs bounded memory
 *     at most SHIP_ENDS_MAX sent batches are not stored
 * (one batch may always be in flight, also one that is larger than the credit).
 *
 * States and the edges allowed between them; every state may go to ENDED:
 *
 *     HANDSHAKING --hello--> PROVING --planned--> CATCHING_UP <--> STREAMING
 *
 * An ack is believed when it is of this session and this epoch, does not go back, is not beyond
 * what was sent, and names the chain of a batch end that was sent on this link (or the position the
 * link started from, which the handshake proved). An ack that lies ends the link: E_PROTOCOL. An
 * ack of another session is ignored: it is only late. Time never goes back in events.
 *
 * Not thread-safe; one owner. Never allocates.
 */
#ifndef TIDEMARK_CORE_SHIP_H
#define TIDEMARK_CORE_SHIP_H

#include "base/error.h"
#include "base/types.h"
#include "format/wire.h"

#define SHIP_ENDS_MAX 1024u /* batch ends remembered until they are stored */

/* X(constant, name) */
#define SHIP_STATE_TABLE(X)            \
    X(SHIP_HANDSHAKING, "handshaking") \
    X(SHIP_PROVING, "proving")         \
    X(SHIP_CATCHING_UP, "catching_up") \
    X(SHIP_STREAMING, "streaming")     \
    X(SHIP_ENDED, "ended")
enum ship_state {
#define X(constant, name) constant,
    SHIP_STATE_TABLE(X)
#undef X
        SHIP_STATE_COUNT
};
const char *ship_state_name(enum ship_state state);
bool ship_edge_is_allowed(enum ship_state from, enum ship_state to);

struct ship_options {
    uint64_t credit_bytes;
    uint64_t heartbeat_ns;
    uint64_t suspect_ns;
    uint64_t dead_ns;
};

/* One batch end that was sent. */
struct ship_end {
    seqno seqno;
    struct hash256 chain;
    uint64_t total_bytes; /* sent on this link up to here */
};

struct ship {
    struct ship_options options;
    enum ship_state state;
    uint64_t session;     /* the follower's nonce; 0 before hello */
    uint64_t epoch;       /* of this leadership; acks must name it */
    struct position from; /* where the link started, proved by the handshake */
    struct position sent;
    struct position received;
    struct position stored;
    seqno applied;
    uint64_t sent_bytes;   /* on this link */
    uint64_t stored_bytes; /* of those */
    bool is_poisoned;      /* the follower's log takes nothing any more */
    uint64_t heard_ns;     /* when the newest frame arrived */
    uint64_t beat_due_ns;
    uint64_t beat_probe;   /* newest probe that a heartbeat carried on this link; 0 none ... */
    seqno beat_sent;       /* ... and what had been sent before it */
    uint64_t ignored_acks; /* of other sessions */
    uint32_t ends_first;   /* ring of ends not below `stored`, oldest first */
    uint32_t ends_count;
    struct ship_end ends[SHIP_ENDS_MAX];
};

enum ship_event_kind {
    SHIP_EV_HELLO,   /* a hello of `session` arrived, in `epoch` */
    SHIP_EV_PLANNED, /* the plan says CONTINUE from `position`; hello said `applied`, not beyond */
    SHIP_EV_SENT,    /* one batch that ends at `position`, `bytes` long, was queued on the link */
    SHIP_EV_TAIL,    /* what comes next is in memory, or nothing does */
    SHIP_EV_COLD,    /* what comes next must be read from the segments */
    SHIP_EV_BEAT,    /* a heartbeat with `probe` was queued on the link */
    SHIP_EV_HEARD,   /* any other frame of the follower arrived */
    SHIP_EV_ACK,     /* `ack` of `session` arrived */
    SHIP_EV_TICK,    /* time passed */
    SHIP_EV_ENDED,   /* the link is gone, or ends because of a decision taken elsewhere */
};
struct ship_event {
    enum ship_event_kind kind;
    uint64_t now_ns;
    uint64_t session;
    uint64_t epoch;
    struct position position;
    seqno applied;
    uint64_t bytes;
    uint64_t probe;
    const struct wire_ack *ack; /* borrowed until return */
};

/* What to do, in this order. */
struct ship_actions {
    bool has_progress;     /* stored or applied moved: tell slots and lag */
    bool is_heartbeat_due; /* send one now */
    bool is_dead;          /* nothing heard for dead_ns: end the link */
};

void ship_init(struct ship *s, const struct ship_options *options, uint64_t now_ns);
/* Apply one event and say what to do. E_PROTOCOL: the follower lies or speaks out of turn; the link
 * must be ended, and the machine has ended. ASSERTs only on what the driver itself decides. */
MUST_CHECK enum code ship_step(struct ship *s, const struct ship_event *event,
                               struct ship_actions *out, struct err *e);

/* What all followers may have in flight is shared: this one's part changes with their number. */
void ship_set_credit(struct ship *s, uint64_t credit_bytes);
/* Bytes that may be sent now; a batch of any size may be sent while nothing is in flight. */
uint64_t ship_room_bytes(const struct ship *s);
uint32_t ship_room_batches(const struct ship *s);
bool ship_may_send(const struct ship *s, uint64_t batch_bytes);
static inline bool ship_is_live(const struct ship *s)
{
    return s->state == SHIP_CATCHING_UP || s->state == SHIP_STREAMING;
}
/* Nothing heard for suspect_ns. */
bool ship_is_suspect(const struct ship *s, uint64_t now_ns);
/* When SHIP_EV_TICK is due next. */
uint64_t ship_due_ns(const struct ship *s);

#endif
