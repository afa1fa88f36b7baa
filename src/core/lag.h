/* lag: how far a follower is behind, as an upper bound that can be proved, on both sides of a link.
 *
 * Staleness of a follower at a moment: the age of the oldest record that is durable on the leader
 * and not applied on the follower; 0 when there is none. No clocks of two machines are ever
 * compared.
 *
 *   Follower (lag_self): it stamps probes with its own clock; the leader echoes (probe, what was
 *   durable when the probe arrived). When that is applied here, everything durable at the probe's
 *   departure is: staleness <= now - departure of the newest such probe.
 *
 *   Leader (lag_peer): the age of the oldest durable record not known applied by that follower,
 * from a bounded table of (seqno, when it became durable). If there is none: the age of the newest
 *   probe that the follower answered, for it was alive and held everything then. While the link is
 *   down or the follower is silent the larger of the two counts, so that a cut link grows at wall
 *   rate and a new write does not make an old silence look young.
 *
 * Law: never below the truth (test_lag.c compares with brute force). Never heard of since this
 * process opened: infinity. Every table is bounded; what no longer fits makes the bound larger.
 * Times are monotonic nanoseconds. Never allocates. One owner.
 */
#ifndef TIDEMARK_CORE_LAG_H
#define TIDEMARK_CORE_LAG_H

#include "base/types.h"

#define LAG_TIMES_MAX  256u /* ages are told at most a quarter too high over weeks */
#define LAG_PROBES_MAX 64u
#define LAG_STAMP_NS   NS_PER_MS        /* records durable within this share one time */
#define LAG_PROBE_NS   (20 * NS_PER_MS) /* a newer probe is made this long after the last one */

/* When records became durable on this leader: entry i covers the records after entry i-1 up to
 * `through`; all of them became durable at `since_ns` or later. */
struct lag_times {
    seqno base;    /* durable at open: nothing is known about the age of records up to here */
    seqno through; /* newest record covered */
    uint32_t count;
    struct lag_time {
        seqno through;
        uint64_t since_ns;
    } times[LAG_TIMES_MAX];
};
void lag_times_init(struct lag_times *t, seqno durable);
/* Durable advanced. Calls with an unchanged number do nothing. */
void lag_times_add(struct lag_times *t, seqno durable, uint64_t now_ns);

enum lag_missing { LAG_NOTHING_MISSING, LAG_MISSING_SINCE, LAG_MISSING_UNKNOWN };
/* Since when may the oldest record after `applied` have been durable? */
enum lag_missing lag_times_missing(const struct lag_times *t, seqno applied,
                                   uint64_t *out_since_ns);

/* Probes sent by one side, and which was answered. Ids only grow and start at 1. */
struct lag_probes {
    uint64_t newest;                  /* id; 0 none */
    uint64_t sent_ns[LAG_PROBES_MAX]; /* by id % LAG_PROBES_MAX */
};
/* The id to send now: a new one, or the newest again when that is younger than LAG_PROBE_NS. */
uint64_t lag_probe_next(struct lag_probes *p, uint64_t now_ns);
/* When was this id sent? False for ids never sent and for those too old to be remembered. */
bool lag_probe_sent(const struct lag_probes *p, uint64_t id, uint64_t *out_sent_ns);

/* The leader's view of one follower. Survives reconnects. */
struct lag_peer {
    struct lag_probes probes;
    bool is_connected;
    bool is_known; /* applied was told in this leadership */
    bool is_answered;
    seqno applied;
    uint64_t answered_ns; /* departure of the newest answered probe */
};
/* A handshake was accepted; it says what is applied. A follower that went back starts anew. */
void lag_peer_join(struct lag_peer *p, seqno applied);
void lag_peer_leave(struct lag_peer *p);
/* An ack arrived: it echoes a probe (0: none) and says what is applied, never less than before. */
void lag_peer_ack(struct lag_peer *p, uint64_t echo_probe, seqno applied);
/* Seconds, +Inf when unknown. silent_ns: from this age of the newest answered probe on the follower
 * counts as silent. */
double lag_peer_seconds(const struct lag_peer *p, const struct lag_times *t, uint64_t now_ns,
                        uint64_t silent_ns);

/* The follower's view of itself. Survives reconnects to the same history. */
struct lag_self {
    struct lag_probes probes;
    bool was_synced;    /* a proof was reached since this process opened */
    uint64_t proved_ns; /* departure of the newest probe whose echo is applied */
    uint64_t echoed;    /* newest probe id echoed */
    uint32_t count;     /* echoes that are not applied yet, ascending in both fields */
    struct lag_echo {
        uint64_t sent_ns;
        seqno durable;
    } echoes[LAG_PROBES_MAX];
};
/* The leader echoed a probe with what was durable there, and how old that may have been when the
 * probe arrived: 0 on a leader; on a follower that serves followers its own bound, so that bounds
 * add up along a chain. Unknown and old ids are ignored, and echoes of who knows nothing itself. */
void lag_self_echo(struct lag_self *l, uint64_t probe, seqno durable, uint64_t upstream_ns,
                   seqno applied);
void lag_self_applied(struct lag_self *l, seqno applied);
#define LAG_NEVER UINT64_MAX                                        /* nothing is known */
uint64_t lag_self_ns(const struct lag_self *l, uint64_t now_ns);    /* LAG_NEVER: never synced */
double lag_self_seconds(const struct lag_self *l, uint64_t now_ns); /* +Inf: never synced */

/* May a state with this bound be shown to who allows max_ns? Never one of which nothing is known.
 */
static inline bool lag_is_fresh(uint64_t bound_ns, uint64_t max_ns)
{
    return bound_ns != LAG_NEVER && bound_ns <= max_ns;
}

#endif
