/* slots_judge: the table of slots_judge.h. */
#include "core/slots_judge.h"

#include <math.h>

#include "base/assert.h"

/* One budget of one slot: how much of it is used, and how fast that grows. */
struct budget {
    uint64_t used;
    uint64_t limit; /* 0: none */
    double per_s;
    enum slot_reason reason;
};

enum { BUDGETS = 3 };

static bool is_beyond(const struct budget *b, uint32_t percent)
{
    if (b->limit == 0) return false;
    if (percent == 100) return b->used > b->limit;
    bool is_small = b->limit <= UINT64_MAX / 100;
    return b->used >= (is_small ? b->limit * percent / 100 : b->limit / 100 * percent);
}

static double seconds_left(const struct budget *b)
{
    if (b->limit == 0 || b->per_s <= 0) return (double)INFINITY;
    if (b->used >= b->limit) return 0;
    return (double)(b->limit - b->used) / b->per_s;
}

/* Time without a link, up to now; worth a save once `part_ns` of it were added. */
static void add_idle(struct slots *t, struct slot *slot, uint64_t now_ns, uint64_t log_bytes,
                     uint64_t part_ns)
{
    if (slot->is_connected || slot->record.state == SLOT_LOST) return;
    ASSERT(now_ns >= slot->idle_since_ns);
    slot->record.idle_ns += now_ns - slot->idle_since_ns;
    slot->idle_since_ns = now_ns;
    if (slot->record.idle_ns - slot->idle_saved_ns < part_ns) return;
    slots_mark_dirty(t, now_ns, log_bytes);
}

/* A restart forgets at most one part of the timeout. */
static uint64_t idle_part_ns(const struct slots_limits *limits)
{
    if (limits->idle_ns == 0) return UINT64_MAX;
    uint64_t part_ns = limits->idle_ns / SLOT_IDLE_SAVES;
    return part_ns < NS_PER_S ? NS_PER_S : part_ns;
}

void slots_settle(struct slots *t, uint64_t now_ns, uint64_t log_bytes)
{
    for (uint32_t i = 0; i < t->count && !t->is_closed; i++) {
        add_idle(t, &t->slots[i], now_ns, log_bytes, NS_PER_S);
    }
}

/* Does `restart` say what the follower may ask for? Saved lazily it may be older than the truth:
 * the log was pruned by what the follower stored then. Its next handshake tells. */
static bool is_known_now(const struct slot *slot)
{
    return slot->is_vouched || slot->is_pinned;
}

static enum slots_news judge(struct slots *t, uint32_t index, const struct slots_moment *m)
{
    struct slot *slot = &t->slots[index];
    const struct slot_record *record = &slot->record;
    if (record->state == SLOT_LOST) {
        slot->held_bytes = slot->held_records = 0;
        slot->seconds_until_lost = 0;
        return SLOT_NEWS_NONE;
    }
    add_idle(t, slot, m->now_ns, m->log_bytes, idle_part_ns(&m->limits));
    if (record->restart.v + 1 < m->oldest.v && is_known_now(slot)) {
        slots_lose(t, index, SLOT_REASON_LOG_MISSING, m->wall_ms);
        return SLOT_NEWS_LOST;
    }
    if (record->restart.v + 1 < m->oldest.v) slot->record.restart.v = m->oldest.v - 1;
    slot->held_bytes = m->held_bytes[index];
    slot->held_records = m->durable.v > record->restart.v ? m->durable.v - record->restart.v : 0;
    slot->budget_bytes = m->limits.bytes;
    /* One that is just asking for a copy holds all there is, for the moment that takes. */
    if (slot->record.is_rebootstrapping && !slot->is_pinned && slot->is_connected) {
        slot->seconds_until_lost = (double)INFINITY;
        return SLOT_NEWS_NONE;
    }
    const struct budget budgets[BUDGETS] = {
        {slot->held_bytes, m->limits.bytes == UINT64_MAX ? 0 : m->limits.bytes, m->bytes_per_s,
         SLOT_REASON_HORIZON_BYTES},
        {slot->held_records, m->limits.records, m->records_per_s, SLOT_REASON_HORIZON_RECORDS},
        {slot->is_connected ? 0 : record->idle_ns, m->limits.idle_ns,
         slot->is_connected ? 0 : (double)NS_PER_S, SLOT_REASON_IDLE},
    };
    bool is_at_risk = slot->is_pressed;
    bool is_safe = !slot->is_pressed;
    slot->seconds_until_lost = (double)INFINITY;
    for (int i = 0; i < BUDGETS; i++) {
        if (is_beyond(&budgets[i], 100)) {
            slots_lose(t, index, budgets[i].reason, m->wall_ms);
            return SLOT_NEWS_LOST;
        }
        if (is_beyond(&budgets[i], SLOT_RISK_PERCENT)) is_at_risk = true;
        if (is_beyond(&budgets[i], SLOT_SAFE_PERCENT)) is_safe = false;
        double left = seconds_left(&budgets[i]);
        if (left < slot->seconds_until_lost) slot->seconds_until_lost = left;
    }
    if (record->state != SLOT_AT_RISK && is_at_risk) {
        slot_enter(slot, SLOT_AT_RISK);
        return SLOT_NEWS_AT_RISK;
    }
    if (record->state == SLOT_AT_RISK && is_safe) {
        slot_enter(slot, slot_state_of_link(slot));
        return SLOT_NEWS_SAFE;
    }
    return SLOT_NEWS_NONE;
}

bool slots_judge(struct slots *t, const struct slots_moment *m, enum slots_news news[SLOTS_MAX])
{
    bool has_news = false;
    for (uint32_t i = 0; i < t->count; i++) {
        news[i] = t->is_closed ? SLOT_NEWS_NONE : judge(t, i, m);
        if (news[i] != SLOT_NEWS_NONE) has_news = true;
    }
    return has_news;
}

uint64_t slots_slow_ns(const struct slots *t)
{
    uint64_t slow_ns = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct slot *slot = &t->slots[i];
        uint64_t half = slot->budget_bytes / 2;
        bool counts = slot->record.is_voter && slot->is_connected && slot->is_vouched &&
                      slot->budget_bytes != UINT64_MAX && slot->record.state != SLOT_LOST;
        if (!counts || half < 1024 || slot->held_bytes <= half) continue;
        uint64_t beyond = slot->held_bytes - half < half ? slot->held_bytes - half : half;
        uint64_t wait_ns = SLOT_SLOW_MAX_NS / 1024 * (beyond / (half / 1024));
        if (wait_ns > SLOT_SLOW_MAX_NS) wait_ns = SLOT_SLOW_MAX_NS;
        if (wait_ns > slow_ns) slow_ns = wait_ns;
    }
    return slow_ns;
}

uint32_t slots_farthest(const struct slots *t, seqno durable)
{
    uint32_t farthest = SLOT_NONE;
    uint64_t lowest = durable.v;
    for (uint32_t i = 0; i < t->count && !t->is_closed; i++) {
        const struct slot_record *record = &t->slots[i].record;
        if (record->state == SLOT_LOST || record->restart.v >= lowest) continue;
        lowest = record->restart.v;
        farthest = i;
    }
    return farthest;
}

void slots_press(struct slots *t, uint32_t index)
{
    for (uint32_t i = 0; i < t->count; i++) {
        t->slots[i].is_pressed = i == index;
    }
}
