/* stages: where the time of a batch goes on its way, measured on one batch in 64, so that it costs
 * nothing. A node follows one sample at a time; each stage is timed on one machine's own clock.
 *
 *   leader    append (first record encoded .. handed to the log) - sync - apply
 *             and for each follower ship (durable .. sent) - ack (sent .. said to be applied there)
 *   follower  receive (frame arrived .. verified) - store (.. fsynced) - apply (.. visible)
 *
 * Owner: the loop thread. Test: unit.engine.stages. */
#ifndef TIDEMARK_ENGINE_STAGES_H
#define TIDEMARK_ENGINE_STAGES_H

#include "base/metric.h"
#include "base/types.h"

struct db;

#define STAGES_SAMPLE_EVERY 64u

enum stage {
    STAGE_APPEND,
    STAGE_SYNC,
    STAGE_SHIP,
    STAGE_RECEIVE,
    STAGE_STORE,
    STAGE_APPLY,
    STAGE_ACK,
    STAGE_COUNT
};
const char *stage_name(enum stage stage);
extern const struct metric_bounds stage_bounds;

struct stages {
    struct metric_histogram seconds[STAGE_COUNT]; /* this node's own */
    uint64_t batches;                             /* ever seen */
    /* the sample under way */
    seqno last;       /* its last record; 0: none */
    enum stage stage; /* the one it is in: SYNC, STORE or APPLY */
    uint64_t since_ns;
    /* the newest sample that became durable, for the links */
    seqno shippable;
    uint64_t durable_ns;
};

/* Of one follower's link. */
struct link_stages {
    struct metric_histogram ship;
    struct metric_histogram ack;
    seqno sent; /* the sample that was sent and is not acknowledged; 0: none */
    seqno sent_before;
    uint64_t sent_ns;
};

/* Count a batch (on a follower: a frame of batches). True: it is a sample, so look at the clock. */
static inline bool stages_is_sample(struct stages *s)
{
    return s->batches++ % STAGES_SAMPLE_EVERY == 0;
}
/* The sample that ends with `last` has been in `first` (append, receive) since began_ns, and now
 * goes on to sync or store. */
void stages_begin(struct db *db, enum stage first, uint64_t began_ns, seqno last);
/* Another log: nothing is under way. */
static inline void stages_reset(struct stages *s)
{
    s->last = SEQNO_NONE;
    s->shippable = SEQNO_NONE;
}
/* What was received is dropped: the sample may be in it. */
static inline void stages_drop(struct stages *s)
{
    if (s->stage == STAGE_STORE) s->last = SEQNO_NONE;
}
/* Positions moved. */
void stages_on_durable(struct db *db, seqno durable);
void stages_on_applied(struct db *db, seqno applied);
/* The link sent up to `sent`; its follower applied up to `applied`. */
void stages_on_sent(struct db *db, struct link_stages *link, seqno sent);
void stages_on_ack(struct db *db, struct link_stages *link, seqno applied);

#endif
