/* shipper_internal: what shipper.c (the listener, the table, the clock), ship_hello.c (the
 * handshake of a link) and ship_link.c (the rest of one link) share. Nobody else includes it. */
#ifndef TIDEMARK_ENGINE_SHIPPER_INTERNAL_H
#define TIDEMARK_ENGINE_SHIPPER_INTERNAL_H

#include "base/assert.h"
#include "core/growth.h"
#include "core/lag.h"
#include "core/resume.h"
#include "core/ship.h"
#include "engine/frames.h"
#include "engine/shipper.h"
#include "engine/slots_store.h"

#define SHIP_LINKS_MAX     (SLOTS_MAX + 16u) /* the rest: handshakes and refusals under way */
#define SHIP_LINGER_NS     NS_PER_S /* for the last words to arrive before a link is closed */
#define REFUSAL_REPEAT_NS  (60 * NS_PER_S)      /* until the same refusal is an event again */
#define SHIP_COLD_MIN      ((size_t)(64 * KIB)) /* one cold read, growing while all of it is sent */
#define SHIP_COLD_MAX      ((size_t)MIB)
#define LEASE_BATCHES_MAX  8u
#define SHIP_LISTENERS_MAX 8u

/* Bytes of a chunk that a link still reads: frames whose bodies end in the chunk itself. */
struct lease {
    struct lease *next_free;
    struct lease *next_made;
    struct shipper *shipper;
    struct log_chunk *chunk; /* one reference; NULL while free */
    uint8_t prefixes[LEASE_BATCHES_MAX][WIRE_BATCHES_PREFIX_MAX];
};

/* One link of one follower, from accept until it is closed and no read of it runs. */
struct ship_link {
    struct ship_link *next;
    struct shipper *shipper;
    struct env_link *env_link; /* NULL once closed */
    struct frames frames;
    struct ship ship;
    uint32_t slot;     /* SLOT_NONE: none yet, or not this link's any more */
    bool is_closing;   /* the link was told to close */
    uint64_t ended_ns; /* when it ended; it lingers for SHIP_LINGER_NS. 0: it has not */
    bool is_proving;   /* prove belongs to the log */
    bool is_noting;    /* a claim is being made durable; its answer is for noting_session */
    uint64_t noting_session;
    uint32_t proof;  /* which of facts.proofs it is for */
    bool is_reading; /* read belongs to the log */
    struct log_prove prove;
    struct log_read read;
    size_t cold_size;  /* of the next cold read */
    seqno told_sealed; /* newest end of a sealed segment that the follower was told */
    /* from hello */
    bool is_fetching;         /* a node that is to lead fetches what it lost ... */
    struct epoch fetch_epoch; /* ... of records up to this epoch */
    struct resume_facts facts;
    struct position last;
    seqno applied;
    uint64_t incarnation;
    uint64_t history_id;
    uint16_t region; /* where the follower stands */
    size_t frame_size_max;
    char node_id[NODE_ID_SIZE_MAX + 1];
    char data_address[ADDRESS_SIZE_MAX + 1];
    char http_address[ADDRESS_SIZE_MAX + 1];
    char replication_address[ADDRESS_SIZE_MAX + 1];
    bool knows_members;            /* was sent the members as they are told now */
    struct bootstrap_serve *serve; /* it copies the state over this link; NULL: it does not */
    struct link_stages stages;
    /* echoed in heartbeats */
    uint64_t probe;              /* newest of the follower */
    seqno probe_durable;         /* what was durable when it arrived first ... */
    uint64_t probe_staleness_ns; /* ... and how old that may have been */
};

/* The last refusal that became an event. */
struct ship_refusal {
    char node_id[NODE_ID_SIZE_MAX + 1];
    uint8_t reason; /* REFUSE_* */
    uint64_t at_ns; /* 0: none yet */
};

/* What handshakes were answered, by kind of plan and reason. */
#define RESYNC_REASONS_MAX 20u
struct resync_counts {
    uint64_t empty;  /* from record 1 */
    uint64_t behind; /* from where it was */
    uint64_t by_reason[RESUME_REFUSE + 1][RESYNC_REASONS_MAX];
};
void resync_count(struct resync_counts *counts, const struct resume_plan *plan);

struct shipper {
    struct db *db;
    struct env_listener *listeners[SHIP_LISTENERS_MAX];
    uint32_t listener_count;
    struct env_timer timer;
    struct slots table;
    struct slots_store store;
    struct lag_times times;
    struct lag_peer peers[SLOTS_MAX];     /* by slot */
    struct ship_link *by_slot[SLOTS_MAX]; /* the live link of a slot; NULL none */
    struct ship_link *links;
    uint32_t link_count;
    struct lease *leases_free;
    struct lease *leases_made;
    struct ship_refusal refusal;
    struct resync_counts resyncs;
    /* ship_slots.c */
    struct growth growth_bytes;
    struct growth growth_records;
    uint64_t judged_ns;        /* last judgement of budgets ... */
    uint64_t judged_bytes;     /* ... and the durable log bytes at it */
    struct slot_order *orders; /* of operators, not on disk yet; oldest first */
    bool is_closing;           /* or suspended: no links, no timer */
    bool is_serving;           /* the table counts: this node follows, or its epoch has begun */
    struct epoch followed; /* a follower: the leadership that its log was proved to be of; 0 none */
    void (*closed)(void *arg);
    void *closed_arg;
};

static inline uint64_t shipper_now(const struct shipper *s)
{
    return s->db->env->v->now_mono_ns(s->db->env);
}
/* Something changed that the timer waits for. */
void shipper_arm(struct shipper *s);
/* A link is closed and free of reads: forget it. */
void shipper_forget(struct shipper *s, struct ship_link *link);
/* What a slot holds moved, or its follower joined. */
void shipper_on_stored(struct shipper *s, uint32_t slot);
seqno shipper_durable(const struct shipper *s);
/* May followers be served now? The leader does; a follower does in the epoch that it follows, until
 * it sees a later one. */
bool shipper_serves(const struct shipper *s);
/* The leadership that plans, heartbeats and acks are of. */
struct epoch shipper_epoch(const struct shipper *s);
/* What followers are told of the leader: on the leader its own, on a follower as last heard, never
 * less than what is durable here. */
struct shipper_told {
    struct position durable;
    seqno durable_seqno; /* at least durable.seqno */
    uint64_t durable_bytes;
    seqno committed;
    seqno floor;
    bool is_cut;       /* a link between this node and the leader is down */
    struct slice path; /* core/chain */
};
void shipper_told(const struct shipper *s, struct shipper_told *out);

/* A message that lends bytes of chunk: holds a reference until the link has sent them. NULL: no
 * memory. */
struct lease *lease_take(struct shipper *s, struct log_chunk *chunk);
void lease_release(void *arg);

/* ship_copy.c */
/* May it copy from here? Fills the plan that says so, or why not; true: it has a serve now. */
MUST_CHECK bool ship_copy_judge(struct ship_link *link, struct wire_plan *plan);
void ship_copy_begin(struct ship_link *link, const struct slot_join *join);
/* What it copies is of this mark: keep the log from there. */
void ship_copy_pin(struct ship_link *link, seqno mark);
void ship_copy_progress(struct ship_link *link, const struct wire_progress *progress);
/* Answer a follower that asks for the blocks at a mark. */
void ship_copy_mark_blocks(struct ship_link *link, const struct wire_piece *asked);

/* ship_hello.c */
/* The first message of a link. E_PROTOCOL: the link must be given up. */
MUST_CHECK enum code ship_hello_take(struct ship_link *link, const struct wire_message *m,
                                     struct err *e);
/* A string of the wire, which has at most 255 bytes, with its end. */
static inline void ship_copy_text(char *out, size_t capacity, struct slice s)
{
    ASSERT(s.size < capacity);
    if (s.size > 0) memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

/* ship_link.c */
/* Tell the machine what happened. Its end is carried out here. */
struct ship_actions ship_link_step(struct ship_link *link, struct ship_event event);
/* The leadership in which this link ships. */
struct epoch ship_link_epoch(const struct ship_link *link);
extern const struct env_link_events ship_link_events;
struct ship_link *ship_link_new(struct shipper *s, struct env_link *env_link); /* NULL: no memory */
void ship_link_free(struct ship_link *link);                                   /* memory only */
/* Send what may be sent. */
void ship_link_pump(struct ship_link *link);
void ship_link_tick(struct ship_link *link, uint64_t now_ns);
uint64_t ship_link_due_ns(const struct ship_link *link);
/* A read for it ended, perhaps after the link did: then it is forgotten. */
void ship_link_read_ended(struct ship_link *link);
/* Say why and stop: the link lingers, then closes. reason: WIRE_END_*. */
void ship_link_end(struct ship_link *link, uint8_t reason, const char *text);
/* Close without waiting for the last words to arrive; also carries out the end. */
void ship_link_close(struct ship_link *link);

#endif
