/* disk: what a node does as its disk fills, rung by rung, so that a full disk is met before the log
 * meets it. One pure decision over free bytes; a unit is about one segment:
 *
 *   rung        from, in free units   what is done
 *   PLENTY      8                     nothing
 *   AT_RISK     below 8               the slot that holds back most log is marked at risk
 *   INVALIDATE  below 4               it is lost, if slots are what holds the log; one at a time. A
 *                                     checkpoint is cut, if the oldest one is what holds it
 *   SLOW        below 3               writers wait, longer the less there is; no spare is made
 *   REFUSE      below 2               writes are refused, DISKFULL; a follower stores nothing more
 *
 * AT_RISK also when what is free would be full in DISK_SOON_S at the present growth and is below 32
 * units. A rung is left upwards only with half a unit more than it begins with. While the reserve
 * is gone (something had to be written although nothing was free) the rung is REFUSE until there is
 * room for the reserve and three units. Reads, shipping, restarts, and the small files of the node
 * go on at every rung. Never: allocates, keeps state. */
#ifndef TIDEMARK_CORE_DISK_H
#define TIDEMARK_CORE_DISK_H

#include "base/types.h"

#define DISK_SOON_S      60.0
#define DISK_SLOW_MAX_NS (20 * NS_PER_MS) /* for each group of writes */

/* X(constant, name) */
#define DISK_RUNG_TABLE(X)           \
    X(DISK_PLENTY, "plenty")         \
    X(DISK_AT_RISK, "at_risk")       \
    X(DISK_INVALIDATE, "invalidate") \
    X(DISK_SLOW, "slow")             \
    X(DISK_REFUSE, "refuse")
enum disk_rung {
#define X(constant, name) constant,
    DISK_RUNG_TABLE(X)
#undef X
        DISK_RUNG_COUNT
};
const char *disk_rung_name(enum disk_rung rung);

struct disk_facts {
    uint64_t free_bytes; /* the reserve is not among them */
    uint64_t unit_bytes; /* above 0 */
    uint64_t reserve_bytes;
    bool is_reserve_gone; /* it was used up and is not there again */
    enum disk_rung rung;  /* as it is */
    double growth_per_s;  /* of what is used, bytes */
};

struct disk_plan {
    enum disk_rung rung;
    uint64_t slow_ns;          /* each group of writes waits so long; 0: not */
    double seconds_until_full; /* until writes are refused; +Inf: it does not fill */
    bool has_room_for_reserve;
};

struct disk_plan disk_decide(const struct disk_facts *f);

/* The unit of a node whose segments have this size and whose disk has so much free at its start:
 * small disks have smaller steps. */
uint64_t disk_unit(uint64_t segment_size, uint64_t free_bytes);

#endif
