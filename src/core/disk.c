/* disk: the table of disk.h. */
#include "core/disk.h"

#include <math.h>

#include "base/assert.h"

/* In half units of free space: a rung holds below this. */
static const uint64_t begins[DISK_RUNG_COUNT] = {
    [DISK_AT_RISK] = 16, [DISK_INVALIDATE] = 8, [DISK_SLOW] = 6, [DISK_REFUSE] = 4};
#define SOON_UNITS 32u

const char *disk_rung_name(enum disk_rung rung)
{
    static const char *const names[] = {
#define X(constant, name) [constant] = name,
        DISK_RUNG_TABLE(X)
#undef X
    };
    ASSERT((size_t)rung < COUNT_OF(names));
    return names[rung];
}

uint64_t disk_unit(uint64_t segment_size, uint64_t free_bytes)
{
    uint64_t unit = segment_size;
    if (unit > free_bytes / 16) unit = free_bytes / 16;
    return unit < MIB ? MIB : unit;
}

static double seconds_until_full(const struct disk_facts *f)
{
    uint64_t end = f->unit_bytes * begins[DISK_REFUSE] / 2;
    if (f->free_bytes <= end) return 0;
    if (f->growth_per_s <= 0) return (double)INFINITY;
    return (double)(f->free_bytes - end) / f->growth_per_s;
}

static enum disk_rung rung_of(const struct disk_facts *f, double left_s)
{
    const uint64_t half = f->unit_bytes / 2;
    enum disk_rung rung = DISK_PLENTY;
    for (enum disk_rung r = DISK_AT_RISK; r < DISK_RUNG_COUNT; r++) {
        uint64_t end = begins[r] + (f->rung >= r ? 1 : 0); /* leaving needs more than entering */
        if (f->free_bytes < half * end) rung = r;
    }
    bool is_soon = left_s < DISK_SOON_S && f->free_bytes < f->unit_bytes * SOON_UNITS;
    if (rung == DISK_PLENTY && is_soon) rung = DISK_AT_RISK;
    return rung;
}

/* Nothing at the rung's beginning, all at its end. */
static uint64_t slow_ns(const struct disk_facts *f, enum disk_rung rung)
{
    const uint64_t half = f->unit_bytes / 2;
    uint64_t from = half * begins[DISK_SLOW];
    uint64_t to = half * begins[DISK_REFUSE];
    if (rung < DISK_SLOW || f->free_bytes >= from) return 0;
    if (f->free_bytes <= to) return DISK_SLOW_MAX_NS;
    return DISK_SLOW_MAX_NS / 1024 * ((from - f->free_bytes) / ((from - to) / 1024));
}

struct disk_plan disk_decide(const struct disk_facts *f)
{
    ASSERT(f->unit_bytes >= 4096);
    struct disk_plan plan = {.seconds_until_full = seconds_until_full(f)};
    uint64_t wanted = f->reserve_bytes + f->unit_bytes * begins[DISK_SLOW] / 2;
    plan.has_room_for_reserve = f->free_bytes >= wanted;
    plan.rung = rung_of(f, plan.seconds_until_full);
    if (f->is_reserve_gone) plan.rung = DISK_REFUSE;
    plan.slow_ns = slow_ns(f, plan.rung);
    return plan;
}
