/* db: one stream on one node: the driver that turns happenings into core events and carries out the
 * answers. The same code in production (engine/api.c starts a thread and a libuv env) and in the
 * simulator (which calls db_open on its own env). Everything here belongs to the loop thread.
 */
#ifndef TIDEMARK_ENGINE_DB_H
#define TIDEMARK_ENGINE_DB_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include "base/trace.h"
#include "base/types.h"
#include "core/leader_time.h"
#include "core/state/state.h"
#include "engine/checkpoint_file.h"
#include "engine/config.h"
#include "engine/divergence.h"
#include "engine/events.h"
#include "engine/log.h"
#include "engine/manifest_list.h"
#include "engine/quarantine.h"
#include "engine/run.h"
#include "engine/stages.h"
#include "env/env.h"
#include "format/identity.h"
#include "format/wire.h"
#include "tidemark.h"

enum db_condition {
    DB_SERVING,
    DB_POISONED, /* a log write failed: reads only until restart */
    DB_HALTED,   /* apply met a record it cannot apply */
    DB_DIVERGED, /* a digest differs from the leader's, or the history does */
    DB_CLOSING,
};

struct db {
    struct env *env;
    struct alloc *alloc;
    struct config config;
    struct identity identity; /* as last decided; saved through identity_save */
    bool is_leading;          /* an epoch of this node is open: it writes the log */
    struct log *log;          /* NULL on a follower that does not know its cluster yet */
    struct state *state;      /* NULL as long as log is */
    struct write *write;      /* gate, overlay, open group (leader) */
    struct checkpointer *checkpointer;
    struct ticker *ticker; /* leader */
    seqno members_floor; /* that a leader told last: others may ask for what follows; 0: none did */
    struct disk *disk;   /* as long as the env is used */
    struct retention *retention;        /* as long as log is */
    struct roller *roller;              /* as long as log is */
    struct shipper *shipper;            /* leader side of replication; NULL when not listening */
    struct receiver *receiver;          /* follower side; NULL on a leader */
    struct role_machine *role;          /* changes of role; engine/role.c */
    struct members *members;            /* of the cluster; engine/members.c */
    struct inquiry *inquiries;          /* under way; engine/inquire.c */
    struct transport_network *networks; /* transports of the program: see engine/transport.c */
    bool is_chained; /* whom this node follows is a follower itself, as far as is known */
    enum db_condition condition;
    struct err reason;              /* why condition is not serving */
    struct epoch epoch;             /* leadership the log is in */
    struct leader_time leader_time; /* leader; engine/clock.c */
    uint64_t heard_leader_time;     /* HLC of the newest heartbeat of a leader; 0: none came */
    uint64_t heard_mono_ns;         /* when it came */
    uint64_t opened_ns;
    uint64_t log_regressed; /* times that the log's end went back: announced, never silently */
    uint64_t divergences;
    uint64_t digests_checked;
    struct trace trace;
    struct db_events events;
    struct stages stages;
    struct tide_open_report report;
    /* waiting runs: see engine/run.c */
    struct run_queue *queue;
    uint32_t voter_count;  /* by the members that were applied: engine/voters.c */
    bool is_voter;         /* this node */
    bool has_new_members;  /* since db_on_applied looked last */
    seqno members_at;      /* the record of the newest list; 0: older than this life */
    struct levels *levels; /* writes that wait for followers */
    struct waits *waits;   /* reads that wait: for a position, freshness, followers */
    struct scans *scans;   /* long reads */
    struct metrics *metrics;
    struct identity_saver *saver;
    struct save_request *saves;  /* not answered yet */
    struct adoption *adoption;   /* under way; NULL: none */
    struct reopening *reopening; /* under way; NULL: none. See engine/reopen.h */
    struct env_task poll_task;   /* seal, follower checkpoints: after the operation was parked */
    struct env_task flush_task;  /* db_submit outside a burst */
    void (*closed)(void *arg);
    void *closed_arg;
    struct env_timer close_timer;
    int closing_step;
    uint64_t close_deadline_ns; /* monotonic, 0 none: from then on writes are not waited for */
    uint32_t links_open;        /* closing: links that have not said they are gone */
    struct checkpoint_contents
        loaded; /* what the newest manifest named, until the checkpointer has it */
    uint64_t next_pack;
    struct manifest_list manifests;    /* that are kept */
    struct quarantine_list quarantine; /* as it was when the data was opened */
    struct truncation *truncation;     /* an order that is being judged; NULL: none */
    bool has_may_lose;                 /* an operator's word, see truncation_allow */
    struct token may_lose;
    struct bootstrap_source *sources; /* checkpoints that others copy from */
    struct divergence divergence;
    uint64_t copied_bytes; /* read for copies of the state, ... */
    uint64_t copied_ns;    /* ... and how long reading took */
};

/* Open: lock, identity, recovery, and as leader the new epoch; blocking file calls on this thread.
 * Afterwards env callbacks drive it. alloc is borrowed. */
MUST_CHECK enum code db_open(struct env *env, struct alloc *alloc,
                             const struct tide_options *options, struct db **out, struct err *e);
/* Judge and queue a run; its callback comes later (or at once) on the loop. While the node opens
 * its data anew (engine/reopen.h) runs wait. */
void db_submit(struct db *db, struct tide_run *run);
/* Stop: finish what was submitted (until db->close_deadline_ns, if that is set; then answer every
 * waiter CLOSED or UNKNOWN), save what is lazy, then closed(arg) on the loop; db is freed before
 * closed is called. While the node opens its data anew, that ends first. */
void db_close(struct db *db, void (*closed)(void *arg), void *arg);
/* Free everything without any I/O and without callbacks: the process "died". Simulator only needs
 * this; jobs of this env must not run afterwards. */
void db_abandon(struct db *db);

static inline bool db_is_leader(const struct db *db)
{
    return db->is_leading; /* identity says what it is meant to be; see engine/role.h */
}
struct position db_applied(const struct db *db); /* state_position */

/* Enter a worse condition; the first reason stays. An event. */
void db_set_condition(struct db *db, enum db_condition condition, const struct err *e);

/* Save db->identity on the background lane; done on the loop. Saves are ordered; a copy is taken
 * now. done may be NULL. */
void db_save_identity(struct db *db, void (*done)(struct db *db, void *arg, enum code code),
                      void *arg);

/* Hand a chunk to the log; when it is durable: flush the next group, ship, apply, release. A
 * failure poisons the node. Takes over the reference. Leader and follower. */
void db_write_chunk(struct db *db, struct log_chunk *chunk);

/* engine/apply: apply the batches of one durable chunk, in order, then release what waits for
 * them. Sets HALTED on failure. The one function for live writes, replay and followers. */
void db_apply_chunk(struct db *db, const struct log_chunk *chunk);

/* Hooks between modules, all on the loop. */
void db_on_durable(struct db *db); /* leader and follower: after log_write advanced durable */
void db_on_applied(struct db *db); /* after apply advanced: waiting runs, acks, gauges */
/* What a follower holds changed, or who counts: WAIT and levels. slot: whose ack it was; SLOT_NONE:
 * nobody's. */
void db_on_ack(struct db *db, uint32_t slot);

/* An empty follower takes its cluster from the first accepted plan: identity is saved (synced),
 * then the log and the empty state are made, then done. Until then db->log and db->state are NULL
 * (reads answer LOADING). Only while identity.cluster is zero. */
void db_adopt_cluster(struct db *db, const struct wire_plan *plan,
                      void (*done)(struct db *db, void *arg, enum code code), void *arg);

/* Highest epoch seen anywhere; durable before `done` (follower must refuse lower ones for ever). */
void db_note_epoch(struct db *db, uint64_t epoch, void (*done)(struct db *, void *, enum code),
                   void *arg);

#endif
