/* receiver: the follower's side of replication: connects with full jitter, shows its positions,
 * verifies every batch, writes it to its own log, applies, acknowledges. Owner: the loop thread.
 * Decisions are in core/follow and core/lag. */
#ifndef TIDEMARK_ENGINE_RECEIVER_H
#define TIDEMARK_ENGINE_RECEIVER_H

#include "core/chain.h"
#include "engine/bootstrap_join.h"
#include "engine/db.h"
#include "format/wire.h"

struct receiver;

MUST_CHECK enum code receiver_open(struct db *db, struct receiver **out, struct err *e);
/* For a node that is to lead: take what this address holds of the same history, over TCP, and
 * follow nobody. Identity stays as it is. Where it cannot go on from this node's end, status says
 * why. */
MUST_CHECK enum code receiver_open_fetching(struct db *db, const char *address,
                                            struct receiver **out, struct err *e);
void receiver_close(struct receiver *r, void (*done)(void *arg), void *arg);
void receiver_free(struct receiver *r); /* no I/O; NULL allowed */

/* Follow this address from now on, over the network (NULL: TCP). It is at most TRANSPORT_NAME_MAX
 * bytes. A link to another node is ended. */
void receiver_follow(struct receiver *r, struct env_network *network, const char *address,
                     enum follows follows);

/* Over which network it follows, and the leader's name there: NULL for TCP. */
struct env_network *receiver_network(const struct receiver *r, const char **out_address);

/* The log is idle: hand it the next chunk of what was received, if there is one. */
void receiver_feed_log(struct receiver *r);

/* After the log stored and apply showed more: acknowledge. */
void receiver_on_progress(struct receiver *r);

/* The node copies the leader's state: the joiner hears of the leader, too. */
void receiver_note_leader(struct receiver *r, const struct wire_heartbeat *beat);
/* Copy the leader's state without being told to. */
void receiver_copy_now(struct receiver *r, const char *why);
/* Ask the leader for its blocks at a mark, from offset on; divergence_take gets the answer. False:
 * there is no link. */
MUST_CHECK bool receiver_ask_for_mark(struct receiver *r, seqno mark, uint64_t offset);
bool receiver_is_copying(const struct receiver *r);
/* False: it does not copy right now. */
bool receiver_copy_status(const struct receiver *r, struct bootstrap_join_status *out);
/* The epoch that is being followed over a link that streams; 0: none. */
uint64_t receiver_epoch(const struct receiver *r);
/* This epoch's number was promised to a node that is to lead: the link to a leader of a lower one
 * ends, and nothing of it is acknowledged any more. */
void receiver_fence(struct receiver *r, uint64_t epoch);
/* The oldest record that any follower of the leader may still ask for, as the leader told since
 * this node opened; 0: it told none. */
seqno receiver_floor(const struct receiver *r);

/* What was heard of the leader last, through whoever is followed. */
struct receiver_heard {
    struct position durable; /* of a heartbeat ... */
    seqno durable_seqno;     /* ... and of anything since */
    uint64_t durable_bytes;
    seqno committed;
    seqno floor;       /* 0: none was told */
    bool is_cut;       /* a link on the way to the leader is down */
    struct slice path; /* core/chain; empty: not known yet. Borrowed */
};
void receiver_heard(const struct receiver *r, struct receiver_heard *out);

struct receiver_status {
    const char
        *link_state; /* core/follow's state; without a link "waiting: <why>", "refused: <why>" */
    bool is_link_up;
    bool is_refused;         /* by whom was asked last */
    bool was_synced;         /* reached the leader's durable position once since this open */
    uint64_t leader_durable; /* as last heard */
    uint64_t lag_records;    /* leader's durable as last heard - applied */
    uint64_t lag_bytes;
    double lag_seconds; /* provable bound by probes; +Inf never synced */
    uint64_t retries;
};
void receiver_status(const struct receiver *r, struct receiver_status *out);
uint64_t receiver_staleness_ns(const struct receiver *r); /* LAG_NEVER: never synced */
bool receiver_fresh_since(const struct receiver *r, uint64_t *out_ns);
/* What its leader said is committed, as far as it is applied here. */
seqno receiver_committed(const struct receiver *r);

#endif
