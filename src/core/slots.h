/* slots: the leader's table of followers: who they are, what they hold, what the log must keep for
 * them. One slot per node id; it outlives links and restarts until an operator drops it.
 *
 * States (format/slotfile.h) and edges (slot_edge_is_allowed, one test per edge):
 *
 *     new --join--> BOOTSTRAP --holds something--> CATCHING_UP <--> STREAMING
 *                    ^  \________________________________|_______________/
 *                    |             disconnected          v
 *                    |            INACTIVE --join--> BOOTSTRAP | CATCHING_UP
 *                    |
 *                    |   each of these <--budget nearly used / used less--> AT_RISK
 *                    |   each of these and AT_RISK --budget used up, dropped, told--> LOST
 *                    +---- join: a copy of the state begins -------------------------- LOST
 *
 * Restored slots start INACTIVE whatever the catalogue says: connected means a live link. `restart`
 * is the oldest record that the follower may still ask for: its stored position, never ahead of it;
 * of a follower that copies the state (is_rebootstrapping) the mark from which it will go on.
 * The catalogue is saved lazily (1 s, or 16 MiB of log, after the oldest unsaved change); what is
 * on disk is never ahead of what is stored, because stored only grows between saves; a new slot and
 * a handshake that goes back are saved at once. An unreadable catalogue fails closed: floor 1,
 * nothing may be pruned or invalidated, until an operator says what is true (slots_close says so).
 *
 * What a slot may hold back is bounded (core/slots_judge.c): bytes, records, and the time without a
 * link, which is added up on the monotonic clock and saved, so that neither a step of the wall
 * clock nor a restart changes it. A slot that is lost or dropped holds the log until the catalogue
 * that says so is on disk: slots_saved. Only then may what it held go.
 *
 * Counting copies: a slot counts only after a handshake proved its history in this leadership, and
 * only once it stores this epoch's first record (a copy of an older epoch's record alone can still
 * be overruled). A poisoned follower counts for nothing.
 *
 * Never: allocates, reads a clock, drops a slot by itself, lets a slot's position answer what a
 * follower is served from. One owner.
 */
#ifndef TIDEMARK_CORE_SLOTS_H
#define TIDEMARK_CORE_SLOTS_H

#include "base/error.h"
#include "base/types.h"
#include "format/slotfile.h"

#define SLOTS_SAVE_NS    NS_PER_S
#define SLOTS_SAVE_BYTES (16 * MIB)
#define SLOT_NONE        UINT32_MAX

/* A slot that is lost or leaves still holds the log until a catalogue without it is on disk. */
enum slot_release { SLOT_HOLDS, SLOT_RELEASE_UNSAVED, SLOT_RELEASE_SAVING, SLOT_RELEASED };

struct slot {
    struct slot_record record; /* what is saved */
    /* live */
    bool is_connected;
    bool is_streaming; /* served from memory; kept while it is AT_RISK, too */
    bool is_pressed;   /* the disk is short: at risk whatever its budget says */
    bool is_pinned;    /* of one that copies the state: from where on it needs the log is known */
    bool is_leaving;   /* dropped by an operator: gone once that is saved */
    enum slot_release release;
    uint64_t idle_since_ns; /* while disconnected: idle time is added up until here */
    uint64_t idle_saved_ns; /* record.idle_ns when it was saved last */
    /* as judged last (slots_judge) */
    uint64_t held_bytes;
    uint64_t held_records;
    uint64_t budget_bytes;     /* UINT64_MAX: none */
    double seconds_until_lost; /* at the present growth; +Inf */
    bool is_vouched;           /* a handshake proved its history in this leadership */
    bool is_poisoned;          /* its log takes nothing any more */
    uint64_t history_id;       /* of the node on the link */
    struct position stored;    /* as record.stored; epoch 0: only the number is known */
    seqno shipped;             /* newest record queued on its link */
    uint64_t connected_ns;     /* when the link's handshake was accepted */
    uint64_t seen_ns;   /* when it was last heard or, restored, when the catalogue was read */
    uint64_t last_acks; /* writes that had waited for its ack alone: whose levels it completed */
};

struct slots {
    struct slot slots[SLOTS_MAX]; /* in order of their first handshake */
    uint32_t count;
    bool is_closed;    /* the catalogue could not be read: keep everything */
    uint64_t epoch;    /* of this leadership */
    seqno epoch_start; /* its first record */
    seqno committed;   /* never goes down in one leadership */
    bool is_dirty;
    bool is_save_urgent;
    uint64_t dirty_since_ns;  /* oldest change that is not saved */
    uint64_t dirty_log_bytes; /* leader's durable log bytes at that change */
};

/* Empty table of a leadership. */
void slots_init(struct slots *t, uint64_t epoch, seqno epoch_start);
/* Take over a saved catalogue: all disconnected, none vouched for. count <= SLOTS_MAX; of records
 * with one node id only the first counts (a catalogue is input). */
void slots_load(struct slots *t, const struct slot_record *records, uint32_t count,
                uint64_t now_ns);
/* The same followers in another leadership: nobody is connected, nobody vouched for. */
void slots_begin_epoch(struct slots *t, uint64_t epoch, seqno epoch_start);
/* After slots_load: forget those that joined in one of these epochs, which this node led: they were
 * its own followers, and follow whoever leads now. */
void slots_keep_others(struct slots *t, const uint64_t *epochs, uint32_t count);
/* The catalogue exists and cannot be read. */
void slots_close(struct slots *t);

/* Index of the slot with this id, or SLOT_NONE. */
uint32_t slots_find(const struct slots *t, struct slice node_id);
static inline bool slots_is_full(const struct slots *t)
{
    return t->count == SLOTS_MAX;
}
/* What happened. Each returns or takes a slot's index, which stays the same until a drop. */
struct slot_join {
    struct slice node_id;      /* valid: is_node_id */
    struct slice data_address; /* at most ADDRESS_SIZE_MAX */
    struct stream_id stream;
    uint16_t region; /* where it stands */
    uint64_t incarnation;
    uint64_t history_id; /* drawn at random by each node */
    bool is_voter;
    /* It comes for a copy of the state: it stores nothing that counts, its slot (revived when it
     * was lost) is in BOOTSTRAP and holds all of the log until slots_pin says from where on; the
     * reason for which it was lost stays until it goes on from the log. */
    bool is_rebootstrapping;
    struct position last; /* proved: what the follower stores; nothing when it copies */
    uint64_t now_ns;
    uint64_t log_bytes; /* leader's durable log bytes */
};
/* Another live node has this id: a link is up with another incarnation, data address or history. */
bool slots_is_in_use(const struct slots *t, const struct slot_join *join);
/* A handshake was accepted. The table must not be full unless the id has a slot. */
uint32_t slots_join(struct slots *t, const struct slot_join *join);

struct slot_progress {
    struct position stored; /* proved, not below the slot's */
    seqno received;
    seqno applied;
    bool is_poisoned;
    uint64_t apply_errors;
    uint64_t divergences;
    uint64_t now_ns;
    uint64_t log_bytes;
};
void slots_advance(struct slots *t, uint32_t index, const struct slot_progress *progress);
/* The link ships from memory (true) or from the segments. */
void slots_set_streaming(struct slots *t, uint32_t index, bool is_streaming);
void slots_disconnect(struct slots *t, uint32_t index, uint64_t now_ns);

/* The follower copies the state as of `from`, and will ask for what comes after: from here on its
 * slot holds the log from there, not all of it. It joined with is_rebootstrapping. A copy that is
 * based anew on a newer mark moves the pin. The copy has the budget of every slot; held_bytes and
 * seconds_until_lost tell how near its end is. */
void slots_pin(struct slots *t, uint32_t index, seqno from, uint64_t now_ns, uint64_t log_bytes);

/* A node that becomes leader keeps what each member may still ask for, before it prunes anything: a
 * slot for each id that has none, INACTIVE, from `floor` on, which the leader before told. Members
 * beyond the table's size are left out; returns how many slots were made. */
struct slot_member {
    struct slice node_id; /* valid */
    struct slice data_address;
    bool is_voter;
};
uint32_t slots_provision(struct slots *t, const struct slot_member *members, uint32_t count,
                         seqno floor, uint64_t now_ns, uint64_t log_bytes);

/* Give a slot up: it counts as no copy from now on and holds the log until that is saved. A lost
 * slot keeps its first reason. Not while the catalogue is closed. */
void slots_lose(struct slots *t, uint32_t index, enum slot_reason reason, int64_t wall_ms);
/* The same by an operator's word; slots_saved says when it can be removed. */
void slots_drop(struct slots *t, uint32_t index, int64_t wall_ms);
/* Another name for a follower: new_id is valid and has no slot; it is not connected. */
void slots_rename(struct slots *t, uint32_t index, struct slice new_id);
/* Take a dropped slot out of the table once it is released. Those behind it move down by one. */
void slots_remove(struct slots *t, uint32_t index);
/* A dropped slot that may be removed now; SLOT_NONE: none. */
uint32_t slots_next_left(const struct slots *t);

/* Questions. */
/* Oldest record that any slot holds the log for (those that are not lost, and lost ones until that
 * is saved); 1 when closed or when one holds nothing; `durable` + 1 without slots. */
seqno slots_floor(const struct slots *t, seqno durable);
/* Lowest stored over unlost slots; durable without any, 0 when closed. */
seqno slots_safe(const struct slots *t, seqno durable);
/* Slots that store record s, by the rule above. */
uint32_t slots_count_stored(const struct slots *t, seqno s);
/* Move committed on, never back, to what core/quorum says is committed now. Returns it. */
seqno slots_commit(struct slots *t, seqno now);

/* Saving. due: now; copy out (room for SLOTS_MAX), write, then say that the copy began to be saved.
 */
bool slots_is_save_due(const struct slots *t, uint64_t now_ns, uint64_t log_bytes);
uint32_t slots_copy(const struct slots *t, struct slot_record *out);
void slots_save_begins(struct slots *t);
/* ... and that it is on disk: what was lost or dropped before it began holds nothing any more.
 * True: something was released. */
bool slots_saved(struct slots *t);
/* The save failed: it is due again after SLOTS_SAVE_NS. */
void slots_save_failed(struct slots *t, uint64_t now_ns, uint64_t log_bytes);

bool slot_edge_is_allowed(uint8_t from, uint8_t to);

#endif
