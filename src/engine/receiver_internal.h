/* receiver_internal: what receiver.c (link, handshake, status) and receiver_batches.c (batches in,
 * acks out) share. Nobody else includes it. */
#ifndef TIDEMARK_ENGINE_RECEIVER_INTERNAL_H
#define TIDEMARK_ENGINE_RECEIVER_INTERNAL_H

#include "core/follow.h"
#include "core/lag.h"
#include "engine/frames.h"
#include "engine/receiver.h"

#define RECEIVE_CHUNK_MIN ((size_t)(16 * KIB))  /* room of a chunk while the disk is idle ... */
#define RECEIVE_CHUNK_MAX ((size_t)(512 * KIB)) /* ... and while it is busy: the next write's */
/* Not yet written; beyond it the link is held. More than any leader's credit, because a held link
 * hears no heartbeats: it bounds what a leader that ignores its credit can do. */
#define RECEIVE_QUEUE_MAX (64 * MIB)

struct receiver {
    struct db *db;
    struct follow follow;
    struct lag_self lag;
    struct env_timer timer;
    uint64_t armed_ns;           /* when the timer fires; UINT64_MAX: it does not */
    struct env_task ack_task;    /* one ack for all that happened in a turn of the loop */
    struct env_task resume_task; /* go on reading a link that was held */
    bool is_ack_posted;
    bool is_resume_posted;
    bool is_closing;
    void (*closed)(void *arg);
    void *closed_arg;
    /* the link */
    struct env_network *network;                /* NULL: TCP */
    char network_address[ADDRESS_SIZE_MAX + 1]; /* the leader's name there */
    bool is_fetching; /* this node is to lead: it takes records from network_address over TCP, and
                       * neither follows, nor cuts back, nor copies a state */
    struct env_link *link; /* NULL: none, or given up */
    uint32_t open_links;   /* not closed() yet, given up ones included */
    struct frames frames;
    bool is_hello_owed;              /* until everything received is durable */
    char reason[ERR_TEXT_SIZE];      /* why the last link failed; "" while all is well */
    char told_reason[ERR_TEXT_SIZE]; /* the one that an event told last */
    char link_state[ERR_TEXT_SIZE + 32];
    /* the plan */
    struct position asked;
    bool is_noting;          /* a save of identity that the plan waits for runs */
    uint64_t noting_session; /* for which link */
    uint64_t noting_epoch;
    char leader_data_address[ADDRESS_SIZE_MAX + 1];
    struct epoch plan_epoch;
    /* who is followed, up to the leader, as last heard; "": not known */
    char path[CHAIN_TEXT_SIZE];
    bool is_cut; /* beyond this node's own link */
    /* what the leader said, as last heard */
    bool was_heard;
    uint64_t leader_durable;
    struct position leader_end; /* of the newest heartbeat */
    uint64_t leader_durable_bytes;
    seqno leader_committed;
    seqno leader_floor;    /* 0: not told yet */
    uint64_t leader_probe; /* newest of this session, echoed in acks */
    /* batches: verified ones, oldest first, and where they end */
    struct position accepted;
    struct log_chunk *queue_first;
    struct log_chunk *queue_last; /* still being filled */
    uint64_t queue_bytes;
    bool is_writing; /* the log was handed a chunk from here */
    /* a copy of the leader's state */
    bool is_copy_wanted;          /* what its plan brought is being made durable */
    char copy_why[ERR_TEXT_SIZE]; /* the leader's reason */
    struct bootstrap_join *join;  /* under way; NULL: none */
    bool is_join_ending;
    bool is_join_over;
    struct env_task join_task;
    struct env_job clean_job; /* removes what an older copy left */
    bool is_cleaning;
    bool is_cleaned;
};

static inline uint64_t receiver_now(const struct receiver *r)
{
    return r->db->env->v->now_mono_ns(r->db->env);
}
/* Give the link up, say why, come back later. */
void receiver_fail(struct receiver *r, enum follow_cause cause, uint8_t reason, const char *text);
/* Tell the leader why, if it listens, then fail as a breach of protocol. */
void receiver_end_link(struct receiver *r, uint8_t reason, const char *text);
/* Everything received is durable and nothing is being noted. */
bool receiver_is_settled(const struct receiver *r);

/* receiver_copy.c */
void receiver_copy_init(struct receiver *r);
/* What the plan brought is durable. */
void receiver_begin_copy(struct receiver *r);
/* Stop copying, then receiver_copy_ended. */
void receiver_end_copy(struct receiver *r);
void receiver_copy_ended(struct receiver *r); /* receiver.c */
/* The log tells everything: what was staged for a copy is not needed any more. Once. */
void receiver_drop_staged(struct receiver *r);
void receiver_close_further(struct receiver *r); /* receiver.c */

/* receiver_batches.c */
/* Verify, queue, start writing. Not OK: the link must be given up. */
MUST_CHECK enum code receiver_take_batches(struct receiver *r, const struct wire_batches *batches,
                                           struct err *e);
/* The link is over: what is queued and not handed to the log is fetched again. */
void receiver_drop_queue(struct receiver *r);
/* Hand the next chunk to an idle log. */
void receiver_write_next(struct receiver *r);
void receiver_send_ack(struct receiver *r);

#endif
