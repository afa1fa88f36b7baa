/* cluster: the nodes of one history and their lives. Node 0 leads, the others follow it. The engine
 * is the real one; only its env is made of the world.
 *
 * A life begins with db_open, which may die at any file call; it ends by a process kill, a power
 * cut, a death at a chosen file call, or a clean stop. Every run that was in flight on a node that
 * dies goes back to its client with an unknown outcome.
 *
 * Owner: the world's thread. Never: decides when something happens (sim/faults does).
 */
#ifndef TIDEMARK_TESTS_SIM_CLUSTER_H
#define TIDEMARK_TESTS_SIM_CLUSTER_H

#include "base/alloc.h"
#include "engine/db.h"
#include "sim/machine.h"
#include "sim/model.h"
#include "sim/plan.h"

#define CLUSTER_LEADER 0u /* of stories, and at the beginning of histories */

/* What the operator has under way. */
enum takeover {
    TAKEOVER_NONE,
    TAKEOVER_FAILOVER,
    TAKEOVER_HANDOVER,
    TAKEOVER_REPAIR, /* nobody leads, though nobody is lost */
};

struct client;
struct operation;
struct client_run;

enum node_state {
    NODE_DOWN,
    NODE_UP,
    NODE_CLOSING,
};

struct cluster_node {
    struct machine machine;
    struct alloc alloc;
    struct db *db; /* NULL when down */
    enum node_state state;
    uint64_t seen_recycled; /* in this life, by the last check */
    uint64_t seen_oldest;   /* first record kept, as seen by the last check */
    bool is_opening;
    bool has_closed;        /* db_close called back */
    bool dies_by_power_cut; /* how the next death is */
    bool is_restart_planned;
    struct client_run *runs; /* in flight here */
    uint64_t closing_since_ns;
    uint32_t failed_opens; /* in a row */
    char node_id[16];
    char listen[SIMNET_ADDRESS_SIZE];
    char follow[SIMNET_ADDRESS_SIZE]; /* "" on the leader */
    /* What it ever showed: must not be taken back without a new history id. */
    uint64_t history_id;
    uint64_t durable_peak;
    uint64_t applied_peak;
    uint64_t led_life;     /* the world's life in which it was seen to lead */
    uint64_t epoch_peak;   /* highest epoch a life led that was up */
    uint64_t durable_ever; /* also before its disk was wiped */
    bool is_deposed;       /* somebody else leads, and it may not know it yet */
    bool is_damaged; /* its disk spoiled what was stored: refusing is right, until it is wiped */
    bool is_reset;   /* its disk was wiped or set back; its leader has not met it since */
    struct leader_time clock; /* as check_tick saw it last */
    uint64_t clock_life;      /* the world's life that it belongs to */
    uint64_t digest_mark;     /* newest mark it has a root for, as last told */
    struct trace_cursor {
        uint64_t count;
    } traced; /* lines of db->trace already printed */
};

struct cluster {
    struct world world;
    struct simnet net;
    struct model model;
    struct plan plan;
    struct cluster_node nodes[WORLD_NODES_MAX];
    uint32_t node_count;
    uint32_t leader;     /* whom operators and clients believe to lead */
    uint64_t epoch_peak; /* of all leaders so far */
    enum takeover takeover;
    uint64_t takeover_since_ns;
    bool is_force_due;
    uint32_t handed_to; /* whom the last handover named: it may lead later than anybody waits */
    uint64_t leaderless_since_ns; /* 0: somebody leads, or is to */
    uint32_t cut_off; /* a leader without links, or one that was replaced; WORLD_NO_NODE: none */
    bool is_cut_off;  /* the old leader runs on, without links; else its machine is lost */
    struct operation *operation; /* in flight; NULL: none */
    struct client *clients;
    uint32_t client_count;
    bool is_scripted; /* nothing starts, and nobody acts, but by the script */
    bool
        is_leader_set_back; /* to an older copy: it may come back with less than was acknowledged */
    bool is_quiet;          /* faults are over: everything must converge */
    bool is_outside[WORLD_NODES_MAX]; /* the core is healed first, and reaches none of these */
    bool is_damage_expected; /* a story damaged a file: a refused open is recorded, not failed */
    enum code open_failure;
    char damage[192];     /* what the story did */
    struct disk backup;   /* a copy of some follower's disk, taken while it ran */
    uint32_t backup_node; /* WORLD_NO_NODE: none */
};

void cluster_init(struct cluster *c, uint64_t seed, const struct plan *plan);
/* Ends all lives and frees everything. */
void cluster_fini(struct cluster *c);

static inline struct cluster *cluster_of(struct world *w)
{
    return CONTAINER_OF(w, struct cluster, world);
}
/* Up, not paused: it can take a run now. */
bool cluster_is_ready(const struct cluster *c, uint32_t node);

/* What a node starts with. */
void cluster_options(const struct cluster *c, const struct cluster_node *n,
                     struct tide_options *out);

/* Begin a life after a delay, if the node is down then. */
void cluster_plan_start(struct cluster *c, uint32_t node, uint64_t delay_ns, bool is_boot);
/* End the life now, and plan the next one. */
void cluster_kill(struct cluster *c, uint32_t node, bool is_power_cut);
/* The node's disk was damaged and it says so: it begins anew. */
void cluster_mend(struct cluster *c, uint32_t node, const char *why);
/* Stop cleanly; the next life is planned when it has stopped. */
void cluster_stop(struct cluster *c, uint32_t node);
/* Let it die in its n-th file call from now. */
void cluster_plan_death(struct cluster *c, uint32_t node, uint64_t calls, bool is_power_cut);
/* The world's after(): buries the dying, finishes clean stops, looks at every node. */
void cluster_after(struct world *w, const struct event *ev);
/* The world's describe(). */
void cluster_describe(struct world *w, char *out, size_t size);
/* How long a node stays down. */
uint64_t cluster_draw_downtime(struct cluster *c);

#endif
