/* slots_judge: what each follower's slot may hold back, and when that is too much. One pure step
 * over the table, on a timer and whenever the log grew:
 *
 *   budget    used up when                                      reason
 *   bytes     log bytes behind its restart exceed limits.bytes  horizon_bytes
 *   records   records behind it exceed limits.records           horizon_records
 *   idle      no link for limits.idle_ns                        idle
 *   the log   what follows its restart is gone; of a restored   log_missing
 *             slot that says nothing yet, its restart moves up
 *
 * From SLOT_RISK_PERCENT of a budget on a slot is AT_RISK, and no longer below SLOT_SAFE_PERCENT of
 * all of them; the one that the disk ladder presses is, too. Beyond a budget it is LOST. Nothing is
 * judged while the catalogue is closed. Never: allocates, reads a clock. */
#ifndef TIDEMARK_CORE_SLOTS_JUDGE_H
#define TIDEMARK_CORE_SLOTS_JUDGE_H

#include "core/slots.h"

#define SLOT_RISK_PERCENT 75u
#define SLOT_SAFE_PERCENT 60u
#define SLOT_IDLE_SAVES   64u /* a timeout's idle time is saved in so many parts */

struct slots_limits {
    uint64_t bytes;   /* UINT64_MAX: none */
    uint64_t records; /* 0: none */
    uint64_t idle_ns; /* 0: none */
};

struct slots_moment {
    uint64_t now_ns; /* monotonic */
    int64_t wall_ms; /* only to tell people when a slot was lost */
    seqno durable;
    seqno oldest;               /* first record that the log keeps */
    uint64_t log_bytes;         /* durable ones */
    const uint64_t *held_bytes; /* by slot: log bytes behind its restart */
    double bytes_per_s;         /* growth of the log */
    double records_per_s;
    struct slots_limits limits;
};

enum slots_news { SLOT_NEWS_NONE, SLOT_NEWS_AT_RISK, SLOT_NEWS_SAFE, SLOT_NEWS_LOST };

/* news[i] is that of slot i. True: there is some. */
bool slots_judge(struct slots *t, const struct slots_moment *m, enum slots_news news[SLOTS_MAX]);

/* Only followers that count for commit may slow writers: how long each group of writes waits for
 * the voter, among those that are connected, that has used most of its bytes: nothing up to half of
 * them, then more and more, at most SLOT_SLOW_MAX_NS at all. As judged last. */
#define SLOT_SLOW_MAX_NS (20 * NS_PER_MS)
uint64_t slots_slow_ns(const struct slots *t);

/* The node stops: the idle time until now is worth a save. */
void slots_settle(struct slots *t, uint64_t now_ns, uint64_t log_bytes);

/* The slot that holds the log back furthest and is not lost; SLOT_NONE: none holds anything. */
uint32_t slots_farthest(const struct slots *t, seqno durable);
/* The disk ladder presses this one (SLOT_NONE: none): it is at risk from the next judgement on. */
void slots_press(struct slots *t, uint32_t index);

/* Within slots.c and slots_judge.c. */
void slot_enter(struct slot *slot, enum slot_state next);
enum slot_state slot_state_of_link(const struct slot *slot);
void slots_mark_dirty(struct slots *t, uint64_t now_ns, uint64_t log_bytes);

#endif
