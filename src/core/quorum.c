/* quorum: sorting a few numbers. See quorum.h. */
#include "core/quorum.h"

#include "base/assert.h"
#include "base/planted.h"

static bool is_counted(const struct quorum *q, const struct quorum_copy *c)
{
    return c->is_vouched && !c->is_lost && c->stored.v >= q->epoch_start.v;
}

/* The k-th highest of the numbers; 0 when there are fewer. */
static seqno kth_highest(seqno *numbers, uint32_t count, uint32_t k)
{
    ASSERT(k > 0);
    if (k > count) return SEQNO_NONE;
    for (uint32_t i = 0; i < k; i++) { /* selection: k and count are small */
        for (uint32_t n = i + 1; n < count; n++) {
            if (numbers[n].v <= numbers[i].v) continue;
            seqno higher = numbers[n];
            numbers[n] = numbers[i];
            numbers[i] = higher;
        }
    }
    return numbers[k - 1];
}

static seqno reached_by(const struct quorum *q, uint32_t k, bool is_applied)
{
    seqno numbers[SLOTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        if (is_counted(q, c)) numbers[count++] = is_applied ? c->applied : c->stored;
    }
    return kth_highest(numbers, count, k);
}

static uint32_t majority_of(uint32_t voters)
{
    return voters / 2 + 1;
}

static seqno reached_by_majority(const struct quorum *q)
{
    seqno numbers[SLOTS_MAX + 1];
    uint32_t count = 0;
    if (q->voter_count == 0) return SEQNO_NONE;
    if (q->is_voter) numbers[count++] = q->durable;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        if (c->is_voter && is_counted(q, c)) numbers[count++] = c->stored;
    }
    return kth_highest(numbers, count, majority_of(q->voter_count));
}

static seqno reached_in_region(const struct quorum *q, uint16_t region)
{
    seqno highest = q->region == region ? q->durable : SEQNO_NONE;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        if (c->region == region && is_counted(q, c)) highest = seqno_max(highest, c->stored);
    }
    return highest;
}

static seqno reached_in_regions(const struct quorum *q, const struct level *level)
{
    seqno lowest = q->durable;
    for (uint32_t i = 0; i < level->count; i++) {
        lowest = seqno_min(lowest, reached_in_region(q, level->regions[i]));
    }
    return lowest;
}

seqno quorum_reached(const struct quorum *q, const struct level *level)
{
    seqno reached = SEQNO_NONE;
    switch ((enum level_kind)level->kind) {
    case LEVEL_DEFAULT:
    case LEVEL_LOCAL: return q->durable;
    case LEVEL_STORED: reached = reached_by(q, level->count, false); break;
    case LEVEL_APPLIED: reached = reached_by(q, level->count, true); break;
    case LEVEL_MAJORITY: reached = reached_by_majority(q); break;
    case LEVEL_REGIONS: reached = reached_in_regions(q, level); break;
    }
    reached = seqno_min(reached, q->durable);
    if (PLANTED(33)) return q->durable; /* whatever was asked for: this node has it */
    return reached.v >= q->epoch_start.v ? reached : SEQNO_NONE;
}

seqno quorum_committed(const struct quorum *q)
{
    static const struct level majority = {.kind = LEVEL_MAJORITY};
    if (q->voter_count > 0) return quorum_reached(q, &majority);
    if (q->is_catalogue_lost || q->durable.v < q->epoch_start.v) return SEQNO_NONE;
    seqno lowest = q->durable;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        if (c->is_lost) continue;
        if (!is_counted(q, c)) return SEQNO_NONE;
        lowest = seqno_min(lowest, c->stored);
    }
    return lowest;
}

static uint32_t count_copies(const struct quorum *q, seqno s, bool is_applied)
{
    uint32_t copies = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        copies += is_counted(q, c) && (is_applied ? c->applied : c->stored).v >= s.v;
    }
    return copies;
}

struct level quorum_level_of(const struct quorum *q, seqno s, const struct level *asked)
{
    if (quorum_reached(q, asked).v >= s.v) return *asked;
    bool is_applied = asked->kind == LEVEL_APPLIED;
    uint32_t copies = is_applied ? count_copies(q, s, true) : 0;
    if (copies > 0) return (struct level){.kind = LEVEL_APPLIED, .count = (uint8_t)copies};
    copies = count_copies(q, s, false);
    if (copies > 0) return (struct level){.kind = LEVEL_STORED, .count = (uint8_t)copies};
    return (struct level){.kind = LEVEL_LOCAL};
}

/* Is there a node in that region, the leader among them? */
static bool has_region(const struct quorum *q, uint16_t region, bool is_ready)
{
    if (q->region == region) return true;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        if (c->region == region && !c->is_lost && (c->is_ready || !is_ready)) return true;
    }
    return false;
}

static bool has_regions(const struct quorum *q, const struct level *level, bool is_ready,
                        struct text *why)
{
    for (uint32_t i = 0; i < level->count; i++) {
        if (has_region(q, level->regions[i], is_ready)) continue;
        text_add(why,
                 is_ready ? "no follower in region %u is connected and within its credit"
                          : "no follower in region %u is known",
                 level->regions[i]);
        return false;
    }
    return true;
}

bool quorum_is_possible(const struct quorum *q, const struct level *level, struct text *why)
{
    if (level->kind == LEVEL_REGIONS) return has_regions(q, level, false, why);
    if (level->kind != LEVEL_MAJORITY || q->voter_count > 0) return true;
    text_add(why, "level majority counts voters and there are none; add them with MEMBER.ADD id "
                  "VOTER, or ask for stored:k");
    return false;
}

bool quorum_is_expected(const struct quorum *q, const struct level *level, struct text *why)
{
    uint32_t followers = 0;
    uint32_t voters = q->is_voter;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        if (!c->is_ready || c->is_lost) continue;
        followers++;
        voters += c->is_voter;
    }
    switch ((enum level_kind)level->kind) {
    case LEVEL_DEFAULT:
    case LEVEL_LOCAL: return true;
    case LEVEL_REGIONS: return has_regions(q, level, true, why);
    case LEVEL_MAJORITY:
        if (voters >= majority_of(q->voter_count)) return true;
        text_add(why,
                 "level majority needs %u of %u voters and %u are connected and within their "
                 "credit",
                 majority_of(q->voter_count), q->voter_count, voters);
        return false;
    case LEVEL_STORED:
    case LEVEL_APPLIED: break;
    }
    if (followers >= level->count) return true;
    text_add(why, "level %s:%u needs %u followers and %u are connected and within their credit",
             level_word(level->kind), level->count, level->count, followers);
    return false;
}

void quorum_explain(const struct quorum *q, seqno s, const struct level *level, struct text *why)
{
    bool is_applied = level->kind == LEVEL_APPLIED;
    if (level->kind == LEVEL_MAJORITY) {
        uint32_t voters = q->is_voter && q->durable.v >= s.v;
        for (uint32_t i = 0; i < q->count; i++) {
            const struct quorum_copy *c = &q->copies[i];
            voters += c->is_voter && is_counted(q, c) && c->stored.v >= s.v;
        }
        text_add(why, "%u of %u voters stored it", voters, q->voter_count);
        return;
    }
    if (level->kind == LEVEL_REGIONS) {
        for (uint32_t i = 0; i < level->count; i++) {
            if (reached_in_region(q, level->regions[i]).v >= s.v) continue;
            text_add(why, "no node in region %u stored it", level->regions[i]);
            return;
        }
    }
    text_add(why, "%u of %u followers %s it", count_copies(q, s, is_applied), level->count,
             is_applied ? "applied" : "stored");
}
