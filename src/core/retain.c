/* retain: the table of retain.h, in its order. */
#include "core/retain.h"

#include "base/assert.h"

const char *retain_holder_name(enum retain_holder holder)
{
    static const char *const names[] = {
#define X(constant, name) [constant] = name,
        RETAIN_HOLDER_TABLE(X)
#undef X
    };
    ASSERT((size_t)holder < COUNT_OF(names));
    return names[holder];
}

/* First record of the newest `retain_segments` segments; what comes next when there are none. */
static seqno segments_need(const struct retain_facts *f)
{
    uint32_t kept = f->retain_segments - (f->has_active ? 1 : 0);
    uint32_t count = f->segment_count;
    if (count == 0) return seqno_of(1);
    if (kept == 0) return seqno_next(f->segments[count - 1].last);
    return f->segments[count > kept ? count - kept : 0].first;
}

/* The members' floor, or the first record within the budget if that is later. */
static seqno members_need(const struct retain_facts *f, seqno nothing)
{
    if (!f->has_members) return nothing;
    seqno floor = seqno_max(f->members_floor, seqno_of(1));
    for (uint32_t i = 0; i < f->segment_count; i++) {
        if (f->segments[i].bytes_after <= f->members_budget) break;
        floor = seqno_max(floor, seqno_next(f->segments[i].last));
    }
    return floor;
}

struct retain_plan retain_decide(const struct retain_facts *f)
{
    ASSERT(f->retain_segments > 0);
    const seqno all = seqno_of(1);
    const seqno nothing = seqno_next(f->durable);
    const seqno needs[RETAIN_HOLDER_COUNT] = {
        [RETAIN_BY_SLOTS] = f->has_slots ? seqno_max(f->slots_floor, all) : nothing,
        [RETAIN_BY_CHECKPOINT] = f->checkpoint.v > 0 ? seqno_next(f->checkpoint) : all,
        [RETAIN_BY_SEGMENTS] = segments_need(f),
        [RETAIN_BY_READER] = f->reader.v > 0 ? f->reader : nothing,
        [RETAIN_BY_MEMBERS] = members_need(f, nothing),
    };
    struct retain_plan plan = {.floor = needs[0]};
    for (enum retain_holder holder = 1; holder < RETAIN_HOLDER_COUNT; holder++) {
        if (needs[holder].v >= plan.floor.v) continue;
        plan.floor = needs[holder];
        plan.holder = holder;
    }
    while (plan.drop_count < f->segment_count &&
           f->segments[plan.drop_count].last.v < plan.floor.v) {
        plan.drop_count++;
    }
    return plan;
}
