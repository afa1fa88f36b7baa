/* retain: how much of the log is kept. One pure decision over facts; the floor is the lowest of
 * what anybody needs, and its holder is who needs it:
 *
 *   holder       needs                                                             from
 *   SLOTS        a follower that is not lost may still ask for it; everything      a leader
 *                while the catalogue of slots cannot be read
 *   CHECKPOINT   the state is made of the oldest manifest that is kept and what    every role
 *                follows it; everything until there are two
 *   SEGMENTS     the newest retain_segments segments                               every role
 *   READER       a read that runs                                                  every role
 *   MEMBERS      another follower may still ask for it: the floor that the leader  a follower
 *                told; everything until it told one, within members_budget bytes
 *
 * Of equal needs the first in the table is named. Only whole sealed segments below the floor go,
 * the oldest first; the active one never does. What a slot may hold is limited by core/slots_judge.
 * A follower keeps log for the others because it may become their leader.
 *
 * Never: allocates, keeps state, changes anything.
 */
#ifndef TIDEMARK_CORE_RETAIN_H
#define TIDEMARK_CORE_RETAIN_H

#include "base/types.h"

/* X(constant, name in status and metrics) */
#define RETAIN_HOLDER_TABLE(X)               \
    X(RETAIN_BY_SLOTS, "slots")              \
    X(RETAIN_BY_CHECKPOINT, "checkpoint")    \
    X(RETAIN_BY_SEGMENTS, "retain_segments") \
    X(RETAIN_BY_READER, "reader")            \
    X(RETAIN_BY_MEMBERS, "members")
enum retain_holder {
#define X(constant, name) constant,
    RETAIN_HOLDER_TABLE(X)
#undef X
        RETAIN_HOLDER_COUNT
};
const char *retain_holder_name(enum retain_holder holder);

/* One sealed segment. */
struct retain_segment {
    seqno first;
    seqno last;
    uint64_t bytes_after; /* log bytes from its first record on */
};

struct retain_facts {
    const struct retain_segment *segments; /* sealed, ascending, without a gap; borrowed */
    uint32_t segment_count;
    bool has_active;          /* one more, unsealed, counts as the newest */
    uint32_t retain_segments; /* at least 1 */
    bool has_slots;           /* this node serves followers */
    seqno slots_floor;        /* oldest record that a slot may ask for; 1 while unreadable */
    seqno checkpoint;         /* at or below the oldest manifest kept; 0 until there are two */
    seqno reader;             /* first record of the oldest segment that is being read; 0 none */
    bool has_members;         /* a follower */
    seqno members_floor;      /* that its leader told; 0: none yet */
    uint64_t members_budget;  /* bytes */
    seqno durable;
};

struct retain_plan {
    seqno floor; /* nothing from here on may go */
    enum retain_holder holder;
    uint32_t drop_count; /* so many of the oldest segments may go */
};

struct retain_plan retain_decide(const struct retain_facts *f);

#endif
