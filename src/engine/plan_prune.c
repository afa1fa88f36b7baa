/* plan_prune: what retention would let go of now, what keeps the rest, and what each slot holds
 * back. The decision is core/retain's, asked with the facts of this moment. */
#include "engine/log_open.h"
#include "engine/plan.h"
#include "engine/retention.h"
#include "engine/shipper.h"
#include "format/slotfile.h"

/* Log bytes before the record `first`. */
static uint64_t bytes_before(const struct log *log, seqno first)
{
    uint64_t base = 0;
    (void)log_base(log, &base);
    if (first.v <= log_oldest(log).v) return base;
    return log_durable_bytes(log) - log_bytes_after(log, seqno_of(first.v - 1));
}

static void add_slots(struct plan *p)
{
    const struct db *db = p->db;
    struct tide_follower_status followers[SLOTS_MAX];
    uint32_t count = shipper_status(db->shipper, followers, SLOTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct tide_follower_status *f = &followers[i];
        uint64_t held = log_bytes_after(db->log, seqno_of(f->restart));
        plan_add_of(p, "slot", f->node_id, "state", "%s", f->state);
        plan_add_of(p, "slot", f->node_id, "restart", "%llu", (unsigned long long)f->restart);
        plan_add_of(p, "slot", f->node_id, "held_bytes", "%llu", (unsigned long long)held);
    }
}

static const char *holder_sentence(enum retain_holder holder)
{
    switch (holder) {
    case RETAIN_BY_SLOTS: return "a follower may still ask for it";
    case RETAIN_BY_CHECKPOINT: return "the oldest checkpoint kept needs what follows it";
    case RETAIN_BY_SEGMENTS: return "the newest retain_segments segments stay";
    case RETAIN_BY_READER: return "a read under way has it open";
    case RETAIN_BY_MEMBERS: return "another follower may still ask this node for it";
    case RETAIN_HOLDER_COUNT: break;
    }
    return "";
}

enum code plan_prune(struct plan *p, struct err *e)
{
    const struct db *db = p->db;
    if (!db->retention) return ERR(e, E_LOADING, "this node holds no log yet");
    struct retain_plan plan = retention_plan(db->retention);
    seqno oldest = log_oldest(db->log);
    seqno next = oldest; /* first record kept afterwards */
    if (plan.drop_count > 0) {
        seqno first;
        seqno last;
        log_segment_range(db->log, plan.drop_count - 1, &first, &last);
        next = seqno_next(last);
    }
    p->path = plan.drop_count > 0 ? "prune" : "keep";
    p->bytes = bytes_before(db->log, next) - bytes_before(db->log, oldest);
    p->seconds = 0; /* files go in the background, nobody waits */
    plan_add_count(p, "oldest", oldest.v);
    plan_add_count(p, "durable", log_durable(db->log).seqno.v);
    plan_add_count(p, "floor", plan.floor.v);
    plan_add(p, "holder", "%s", retain_holder_name(plan.holder));
    plan_add_count(p, "segments", log_segment_count(db->log));
    plan_add_count(p, "segments_to_go", plan.drop_count);
    plan_add_count(p, "oldest_after", next.v);
    plan_add_count(p, "log_bytes", log_durable_bytes(db->log) - bytes_before(db->log, oldest));
    if (plan.drop_count > 0) {
        plan_why(p, "%u sealed segments below record %llu go.", plan.drop_count,
                 (unsigned long long)next.v);
    } else {
        plan_why(p, "No sealed segment lies wholly below the floor.");
    }
    plan_why(p, "The log is kept from record %llu on: %s.", (unsigned long long)plan.floor.v,
             holder_sentence(plan.holder));
    if (db->shipper) add_slots(p);
    return OK;
}
