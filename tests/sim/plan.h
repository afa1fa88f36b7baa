/* plan: what kind of history a seed tells: how many nodes and clients, which options, which faults
 * and how often. Each seed switches whole classes of faults on or off, because a mixture of
 * everything hides what a few can do together.
 */
#ifndef TIDEMARK_TESTS_SIM_PLAN_H
#define TIDEMARK_TESTS_SIM_PLAN_H

#include "base/types.h"

/* X(constant, name on the command line) */
#define FAULT_TABLE(X)                  \
    X(FAULT_KILL, "kill")               \
    X(FAULT_POWER_CUT, "power-cut")     \
    X(FAULT_DEATH_AT_IO, "death-at-io") \
    X(FAULT_CLEAN_STOP, "clean-stop")   \
    X(FAULT_SYNC, "sync")               \
    X(FAULT_WRITE, "write")             \
    X(FAULT_READ, "read")               \
    X(FAULT_FULL, "full")               \
    X(FAULT_STALL, "stall")             \
    X(FAULT_PARTITION, "partition")     \
    X(FAULT_RESET, "reset")             \
    X(FAULT_DROP, "drop")               \
    X(FAULT_DUPLICATE, "duplicate")     \
    X(FAULT_SLOW, "slow")               \
    X(FAULT_CORRUPT, "corrupt")         \
    X(FAULT_PAUSE, "pause")             \
    X(FAULT_CLOCK, "clock")             \
    X(FAULT_MEMORY, "memory")           \
    X(FAULT_WIPE, "wipe")               \
    X(FAULT_RESTORE, "restore")         \
    X(FAULT_ROT, "rot")                 \
    X(FAULT_LOST, "lost-write")         \
    X(FAULT_ASTRAY, "astray")           \
    X(FAULT_LIE, "lie")                 \
    X(FAULT_REORDER, "reorder")         \
    X(FAULT_CLOG, "clog")               \
    X(FAULT_READER, "slow-reader")      \
    X(FAULT_DRIFT, "drift")             \
    X(FAULT_FAILOVER, "failover")       \
    X(FAULT_HANDOVER, "handover")       \
    X(FAULT_SLOT_DROP, "slot-drop")     \
    X(FAULT_BUDGET, "budget")
enum fault {
#define X(constant, name) constant,
    FAULT_TABLE(X)
#undef X
        FAULT_COUNT
};

struct plan {
    uint32_t node_count;
    uint32_t client_count;
    uint64_t faults; /* bits of enum fault */
    uint64_t chaos_ns;
    uint64_t events_min; /* chaos lasts until this many events, too */
    uint64_t fault_mean_ns;
    uint64_t turn_mean_ns; /* of a client */
    uint64_t net_mean_ns;
    uint64_t disk_mean_ns;
    uint64_t segment_size;
    uint64_t mark_interval_ms;
    uint64_t checkpoint_log_bytes;
    uint64_t tail_buffer;
    uint64_t heartbeat_ms;
    uint32_t retain_segments; /* 0: the default */
    uint64_t budget_records;  /* that one follower may hold back; 0: no limit */
    uint64_t idle_ms;         /* that a slot may be without a link; 0: the default */
    uint64_t seal_interval_ms;
    uint64_t ship_interval_ms; /* 0: stream; else by segment */
    uint32_t runs_max;
    bool has_readers; /* reads with conditions: sim/fresh */
    bool is_local;    /* no write asks for copies: clients go on while followers are away */
    /* The atlas: everything that spoils what was stored happens on this node alone, so that all
     * others keep a good copy. WORLD_NO_NODE: nowhere. */
    uint32_t victim;
    uint32_t rate; /* of failures of single calls and units: 1 rare, 10, 50 constant */
};

static inline bool plan_has(const struct plan *p, enum fault fault)
{
    return (p->faults >> fault & 1) != 0;
}

/* A call of the files of a directory may fail, or a request for memory: what opens a directory may
 * meet that, and a node that opens its own anew then halts. */
static inline bool plan_may_fail_open(const struct plan *p)
{
    return plan_has(p, FAULT_SYNC) || plan_has(p, FAULT_WRITE) || plan_has(p, FAULT_READ) ||
           plan_has(p, FAULT_FULL) || plan_has(p, FAULT_MEMORY);
}

/* Somebody else may lead later. */
static inline bool plan_changes_leaders(const struct plan *p)
{
    return plan_has(p, FAULT_FAILOVER) || plan_has(p, FAULT_HANDOVER);
}

/* Words of operators about slots and settings: drawn apart from the other mishaps, which older
 * seeds draw as before. */
#define FAULT_FIRST_WORD FAULT_SLOT_DROP

/* allowed: bits of the faults that may be drawn (all: UINT64_MAX). */
void plan_draw(struct plan *p, uint64_t seed, uint64_t allowed);
const char *fault_name(enum fault fault);

#endif
