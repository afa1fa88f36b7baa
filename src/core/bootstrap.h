/* bootstrap: copying the state of another node: what the joiner asks for next, and how fast a
 * server may send.
 *
 * The joiner's machine:
 *
 *   IDLE --start--> ASKING --manifest whole--> LOOKING --looked--> FETCHING --nothing missing-->
 *   FINISHING --finished--> SWITCHING
 *
 *   FETCHING --a block is nowhere, or the leader moved on--> ASKING   (re-based: few blocks differ)
 *   ASKING, LOOKING, FETCHING --link lost--> IDLE        (the rest needs nobody else)
 *   every state but SWITCHING --a file call failed--> IDLE
 *
 * Laws:
 *  - the manifest's bytes come in order, one piece asked for at a time, never beyond what its first
 *    piece said; a piece of another mark starts over;
 *  - a block is asked for once while its answer may come; at most `window_bytes` and
 *    `window_blocks` are asked for and not stored, and one block always may be;
 *  - what arrives unasked, or does not verify, is never counted as held;
 *  - held only grows between two manifests, and what is held is kept when the link is lost or the
 *    target moves: the driver finds it again while it looks;
 *  - the end comes only when every block of the target is held.
 *
 * Pure: blocks are named by the caller's array of wants; time arrives in events. Never allocates.
 * One owner. */
#ifndef TIDEMARK_CORE_BOOTSTRAP_H
#define TIDEMARK_CORE_BOOTSTRAP_H

#include "base/types.h"

/* X(constant, name) */
#define BOOTSTRAP_STATE_TABLE(X)        \
    X(BOOTSTRAP_IDLE, "idle")           \
    X(BOOTSTRAP_ASKING, "asking")       \
    X(BOOTSTRAP_LOOKING, "looking")     \
    X(BOOTSTRAP_FETCHING, "fetching")   \
    X(BOOTSTRAP_FINISHING, "finishing") \
    X(BOOTSTRAP_SWITCHING, "switching")
enum bootstrap_state {
#define X(constant, name) constant,
    BOOTSTRAP_STATE_TABLE(X)
#undef X
        BOOTSTRAP_STATE_COUNT
};
const char *bootstrap_state_name(enum bootstrap_state state);
bool bootstrap_edge_is_allowed(enum bootstrap_state from, enum bootstrap_state to);

enum bootstrap_want_state { WANT_MISSING, WANT_ASKED, WANT_HELD };
/* One content that the target names, in the order to ask for; blocks with equal bytes are one. */
struct bootstrap_want {
    struct hash256 hash;
    uint32_t size;
    uint8_t state; /* enum bootstrap_want_state */
};

#define BOOTSTRAP_WINDOW_BYTES  (8 * MIB)
#define BOOTSTRAP_WINDOW_BLOCKS 1024u

struct bootstrap {
    enum bootstrap_state state;
    seqno mark; /* of the manifest; 0: not known yet */
    uint64_t manifest_total;
    uint64_t manifest_got;
    struct bootstrap_want *wants; /* without doubles; the driver's */
    uint32_t count;
    uint32_t next; /* nothing below is missing */
    uint32_t held;
    uint32_t asked;
    uint64_t total_bytes;
    uint64_t held_bytes;
    uint64_t asked_bytes;
    uint64_t fetched_bytes; /* that came over a link, ever */
    uint64_t rebases;
};

enum bootstrap_event_kind {
    BOOTSTRAP_EV_START,    /* a plan says: copy the state */
    BOOTSTRAP_EV_PIECE,    /* of a manifest: mark, offset, size, total */
    BOOTSTRAP_EV_LOOKED,   /* wants and count: what is there is HELD, the rest MISSING */
    BOOTSTRAP_EV_STORED,   /* want `index` was verified and written */
    BOOTSTRAP_EV_WRONG,    /* want `index` came with other bytes: it is missing again */
    BOOTSTRAP_EV_ABSENT,   /* want `index` is not there any more where it was asked for */
    BOOTSTRAP_EV_MOVED,    /* copy from a newer manifest instead */
    BOOTSTRAP_EV_FINISHED, /* the new copy is durable */
    BOOTSTRAP_EV_LOST,     /* the link is gone */
    BOOTSTRAP_EV_FAILED,   /* a file call failed, or there is no memory: begin again later */
};
struct bootstrap_event {
    enum bootstrap_event_kind kind;
    seqno mark;
    uint64_t offset;
    uint64_t size;
    uint64_t total;
    uint64_t total_max; /* PIECE: no manifest is larger */
    struct bootstrap_want *wants;
    uint32_t count;
    uint32_t index;
};

/* What to do, in this order. */
struct bootstrap_actions {
    bool is_refused;    /* the peer broke the protocol: give the link up */
    bool is_taken;      /* PIECE: its bytes belong at `offset` */
    bool is_asking_due; /* ask for the manifest from manifest_got on; mark 0: the newest */
    bool is_look_due;   /* the manifest is whole: verify it, look for what is there, LOOKED */
    bool may_ask;       /* bootstrap_next may have something */
    bool is_finish_due; /* everything is held: make the new copy durable, FINISHED */
    bool is_switch_due; /* let it count */
};
void bootstrap_init(struct bootstrap *b);
/* Never fails; what a state has no use for does nothing. */
void bootstrap_step(struct bootstrap *b, const struct bootstrap_event *event,
                    struct bootstrap_actions *out);

/* The next want to ask for, which counts as asked from now on. False: the window is full, or
 * nothing is missing. */
bool bootstrap_next(struct bootstrap *b, uint32_t *out_index);
/* Is the node copying? */
static inline bool bootstrap_is_active(const struct bootstrap *b)
{
    return b->state != BOOTSTRAP_IDLE;
}

/* --- a server's pace --- */

/* A share of what the disk can do, or a rate in bytes: after each read the server waits. The share
 * needs no measurement of its own: after a read that took t at a share of p percent it waits
 * t * (100 - p) / p. Both may be set; the slower one counts. */
struct bootstrap_pace {
    uint64_t rate;    /* bytes per second; 0: only the share counts */
    uint32_t percent; /* 1..100 */
    uint64_t next_ns; /* no read before */
};
/* A read of `bytes` that took took_ns ended now. */
void bootstrap_pace_took(struct bootstrap_pace *p, uint64_t now_ns, uint64_t took_ns,
                         uint64_t bytes);
/* ns until the next read may begin; 0: now. */
uint64_t bootstrap_pace_wait(const struct bootstrap_pace *p, uint64_t now_ns);

/* --- the leader's choice --- */

/* Is copying the state cheaper than replaying the log? For one that is empty: the log must start at
 * record 1 and be smaller than the state, else it copies. Bytes of what would move. */
static inline bool bootstrap_is_cheaper(uint64_t log_bytes, uint64_t state_bytes)
{
    return state_bytes < log_bytes;
}
/* Copy from another, newer manifest: the log that the copy pins has grown to nearly its budget.
 * False with budget 0: none. */
static inline bool bootstrap_should_rebase(uint64_t pinned_bytes, uint64_t budget_bytes)
{
    return budget_bytes > 0 && pinned_bytes >= budget_bytes - budget_bytes / 4;
}

#endif
