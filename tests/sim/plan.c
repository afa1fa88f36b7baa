/* plan: drawn from a random stream of its own, so that a change in the world leaves it alone. */
#include "sim/plan.h"

#include "base/random.h"
#include "format/limits.h"

const char *fault_name(enum fault fault)
{
    static const char *const names[] = {
#define X(constant, name) name,
        FAULT_TABLE(X)
#undef X
    };
    return names[fault];
}

static uint64_t pick(struct random *r, const uint64_t *choices, size_t count)
{
    return choices[random_below(r, count)];
}

#define PICK(r, ...)                           \
    pick((r), (const uint64_t[]){__VA_ARGS__}, \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static bool is_damage(uint32_t fault)
{
    return fault == FAULT_ROT || fault == FAULT_LOST || fault == FAULT_ASTRAY || fault == FAULT_LIE;
}

static bool has_damage(const struct plan *p)
{
    return plan_has(p, FAULT_ROT) || plan_has(p, FAULT_LOST) || plan_has(p, FAULT_ASTRAY) ||
           plan_has(p, FAULT_LIE);
}

/* Who leads changes only where every follower keeps what it stored, and where the log tells all
 * of it: what is lost then was on the lost leader alone. */
static void keep_leaders_apart(struct plan *p, struct random *r)
{
    const uint64_t changes = UINT64_C(1) << FAULT_FAILOVER | UINT64_C(1) << FAULT_HANDOVER;
    const uint64_t spoils = UINT64_C(1) << FAULT_WIPE | UINT64_C(1) << FAULT_RESTORE |
                            UINT64_C(1) << FAULT_ROT | UINT64_C(1) << FAULT_LOST |
                            UINT64_C(1) << FAULT_ASTRAY | UINT64_C(1) << FAULT_LIE;
    if ((p->faults & changes) == 0) return;
    bool is_only_changes = (p->faults & spoils) == 0;
    if (!is_only_changes && random_chance(r, 500000)) {
        p->faults &= ~changes;
        return;
    }
    p->faults &= ~spoils;
    p->victim = UINT32_MAX;
    p->retain_segments = UINT32_MAX;
}

/* A slot that is lost or dropped makes its follower copy the state. Where leaders change the log is
 * not pruned, so that there it has nothing to say. */
static void draw_words(struct plan *p, struct random *r, uint64_t allowed)
{
    bool has_words = random_chance(r, 250000);
    uint64_t words = 0;
    if (random_chance(r, 600000)) words |= UINT64_C(1) << FAULT_BUDGET;
    if (random_chance(r, 600000)) words |= UINT64_C(1) << FAULT_SLOT_DROP;
    uint64_t records = PICK(r, 30, 100, 400);
    uint64_t idle_ms = PICK(r, 0, 300, 2000);
    uint32_t segments = (uint32_t)PICK(r, 1, 1, 2);
    if (!has_words || plan_changes_leaders(p) || p->retain_segments == UINT32_MAX) return;
    p->faults |= words & allowed;
    if ((p->faults & words) != 0) p->retain_segments = segments;
    if (!plan_has(p, FAULT_BUDGET)) return;
    p->budget_records = records;
    p->idle_ms = idle_ms;
}

void plan_draw(struct plan *p, uint64_t seed, uint64_t allowed)
{
    struct random random;
    struct random *r = &random;
    random_init(r, seed ^ 0x706c616e);
    *p = (struct plan){
        .node_count = (uint32_t)PICK(r, 1, 2, 2, 3, 3, 3, 3, 4, 5, 7),
        .client_count = (uint32_t)PICK(r, 1, 2, 3, 4),
        .chaos_ns = (1 + random_below(r, 6)) * NS_PER_S,
        .events_min = PICK(r, 600, 1200, 2400),
        .fault_mean_ns = PICK(r, 200, 500, 1000) * NS_PER_MS,
        .turn_mean_ns = PICK(r, 4, 10, 30) * NS_PER_MS,
        .net_mean_ns = PICK(r, 200, 1000, 5000, 20000) * 1000,
        .disk_mean_ns = PICK(r, 100, 500, 2000, 10000) * 1000,
        .segment_size = PICK(r, SEGMENT_SIZE_MIN, SEGMENT_SIZE_MIN, 128 * KIB, 256 * KIB),
        .mark_interval_ms = PICK(r, 100, 400, 2000),
        .checkpoint_log_bytes = PICK(r, 4 * KIB, 16 * KIB, 64 * KIB, GIB),
        .tail_buffer = PICK(r, 64 * KIB, 64 * KIB, 256 * KIB, MIB),
        .heartbeat_ms = PICK(r, 50, 200, 500),
        .runs_max = (uint32_t)PICK(r, 1, 2, 64, 65536),
        .rate = (uint32_t)PICK(r, 1, 1, 10, 10, 50),
    };
    for (uint32_t fault = 0; fault < FAULT_FIRST_WORD; fault++) {
        bool is_rare = fault == FAULT_WIPE || fault == FAULT_RESTORE || is_damage(fault) ||
                       fault == FAULT_HANDOVER || fault == FAULT_FAILOVER;
        uint32_t chance = is_rare ? 150000 : 500000;
        if (fault == FAULT_FAILOVER) chance = 300000;
        if (random_chance(r, chance)) p->faults |= UINT64_C(1) << fault;
    }
    if (random_chance(r, 300000)) p->ship_interval_ms = PICK(r, 50, 300, 2000);
    if (random_chance(r, 500000)) p->seal_interval_ms = PICK(r, 50, 300, 2000);
    /* A follower that lost its disk cannot come back when the log was pruned. */
    p->retain_segments = (uint32_t)PICK(r, 1, 2, 4, 16);
    bool loses_disks = plan_has(p, FAULT_WIPE) || plan_has(p, FAULT_RESTORE) || has_damage(p);
    p->victim = UINT32_MAX;
    if (has_damage(p) && p->node_count > 1) {
        p->victim = 1 + (uint32_t)random_below(r, p->node_count - 1);
    }
    if (loses_disks) p->retain_segments = UINT32_MAX;
    /* Every history has at least one way to die. */
    p->faults |= UINT64_C(1) << PICK(r, FAULT_KILL, FAULT_POWER_CUT, FAULT_DEATH_AT_IO);
    p->faults &= allowed;
    keep_leaders_apart(p, r);
    p->has_readers = random_chance(r, 500000);
    draw_words(p, r, allowed);
}
