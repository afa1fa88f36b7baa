/* stages: see stages.h. */
#include "engine/stages.h"

#include "base/assert.h"
#include "engine/db.h"

const struct metric_bounds stage_bounds = {.count = 16,
                                           .upper = {25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3,
                                                     2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25,
                                                     0.5, 1, 10}};

const char *stage_name(enum stage stage)
{
    switch (stage) {
    case STAGE_APPEND: return "append";
    case STAGE_SYNC: return "sync";
    case STAGE_SHIP: return "ship";
    case STAGE_RECEIVE: return "receive";
    case STAGE_STORE: return "store";
    case STAGE_APPLY: return "apply";
    case STAGE_ACK: return "ack";
    case STAGE_COUNT: break;
    }
    return "unknown";
}

static uint64_t clock_ns(const struct db *db)
{
    return db->env->v->now_mono_ns(db->env);
}

static void observe(struct metric_histogram *h, uint64_t from_ns, uint64_t to_ns)
{
    metric_observe(h, &stage_bounds, (double)(to_ns - from_ns) * 1e-9);
}

void stages_begin(struct db *db, enum stage first, uint64_t began_ns, seqno last)
{
    struct stages *s = &db->stages;
    ASSERT(first == STAGE_APPEND || first == STAGE_RECEIVE);
    if (s->last.v != 0) return; /* the one before is still on its way */
    s->since_ns = clock_ns(db);
    s->last = last;
    s->stage = first == STAGE_APPEND ? STAGE_SYNC : STAGE_STORE;
    observe(&s->seconds[first], began_ns, s->since_ns);
}

void stages_on_durable(struct db *db, seqno durable)
{
    struct stages *s = &db->stages;
    if (s->last.v == 0 || s->stage == STAGE_APPLY || durable.v < s->last.v) return;
    uint64_t now_ns = clock_ns(db);
    observe(&s->seconds[s->stage], s->since_ns, now_ns);
    s->stage = STAGE_APPLY;
    s->since_ns = now_ns;
    s->shippable = s->last;
    s->durable_ns = now_ns;
}

void stages_on_applied(struct db *db, seqno applied)
{
    struct stages *s = &db->stages;
    if (s->last.v == 0 || s->stage != STAGE_APPLY || applied.v < s->last.v) return;
    observe(&s->seconds[STAGE_APPLY], s->since_ns, clock_ns(db));
    s->last = SEQNO_NONE;
}

void stages_on_sent(struct db *db, struct link_stages *link, seqno sent)
{
    const struct stages *s = &db->stages;
    if (s->shippable.v <= link->sent_before.v || sent.v < s->shippable.v) return;
    link->sent_before = s->shippable; /* once each */
    if (link->sent.v != 0) return;    /* the one before is not acknowledged yet */
    link->sent = s->shippable;
    link->sent_ns = clock_ns(db);
    observe(&link->ship, s->durable_ns, link->sent_ns);
}

void stages_on_ack(struct db *db, struct link_stages *link, seqno applied)
{
    if (link->sent.v == 0 || applied.v < link->sent.v) return;
    observe(&link->ack, link->sent_ns, clock_ns(db));
    link->sent = SEQNO_NONE;
}
