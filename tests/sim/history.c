/* history: the course of one story. */
#include "sim/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/checks.h"
#include "sim/client.h"
#include "sim/faults.h"
#include "sim/fresh.h"
#include "sim/operator.h"
#include "sim/taken.h"

#define TICK_NS         (50 * NS_PER_MS)
#define CONVERGE_MAX_NS (240 * NS_PER_S)
#define EVENTS_MAX      3000000u

struct history_now history_now;

enum phase { PHASE_CHAOS, PHASE_CORE, PHASE_HEALING, PHASE_AUDIT, PHASE_DONE };

struct history {
    struct cluster cluster; /* first: cluster_of reaches it */
    enum phase phase;
    uint64_t phase_since_ns;
    uint64_t events_max;  /* 0: chaos ends when the plan says */
    bool has_core;        /* drawn: whom the rest has to be done without */
    uint32_t rounds_left; /* of power cuts for everybody, healing and audit */
};

static void enter(struct history *h, enum phase phase)
{
    static const char *const names[] = {"chaos", "core", "healing", "audit", "done"};
    h->phase = phase;
    h->phase_since_ns = h->cluster.world.now_ns;
    world_trace(&h->cluster.world, WORLD_NO_NODE, "phase: %s", names[phase]);
}

static uint64_t death_count(const struct coverage *v)
{
    return v->kills + v->power_cuts;
}

static void tick_chaos(struct history *h)
{
    struct cluster *c = &h->cluster;
    struct world *w = &c->world;
    bool is_cut_short = h->events_max != 0 && w->coverage.events >= h->events_max;
    bool is_over = w->now_ns >= c->plan.chaos_ns && w->coverage.events >= c->plan.events_min;
    if (!is_over && !is_cut_short) return;
    if (death_count(&w->coverage) == 0) {
        cluster_kill(c, c->leader, true); /* no story without a crash */
        return;
    }
    c->is_quiet = true;
    faults_end(c);
    bool wants_core = world_draw_chance(w, STREAM_CORE, 500000);
    enter(h, wants_core ? PHASE_CORE : PHASE_HEALING);
}

static bool is_converged(struct history *h)
{
    struct cluster *c = &h->cluster;
    char why[256] = "";
    if (check_is_converged(c, why, sizeof(why))) return true;
    if (c->world.now_ns - h->phase_since_ns > CONVERGE_MAX_NS) {
        world_fail(&c->world, "liveness", "%d s after the last fault: %s",
                   (int)(CONVERGE_MAX_NS / NS_PER_S), why);
    }
    return false;
}

/* It follows, and holds records of the leader: it will not lead by itself where it is alone. */
static bool may_be_outside(const struct cluster *c, uint32_t node)
{
    const struct cluster_node *n = &c->nodes[node];
    if (node == c->leader || n->state != NODE_UP || n->db->condition != DB_SERVING) return false;
    return n->db->identity.role == ROLE_FOLLOWER && db_applied(n->db).epoch == c->epoch_peak;
}

/* Once somebody leads, some others are cut off, and one of those that are left loses power. */
static void draw_core(struct history *h)
{
    struct cluster *c = &h->cluster;
    struct world *w = &c->world;
    uint32_t inside[WORLD_NODES_MAX];
    uint32_t inside_count = 0;
    for (uint32_t i = 0; i < c->node_count; i++) {
        c->is_outside[i] = world_draw_chance(w, STREAM_CORE, 500000) && may_be_outside(c, i);
        if (!c->is_outside[i]) inside[inside_count++] = i;
    }
    for (uint32_t i = 0; i < c->node_count * c->node_count; i++) {
        uint32_t from = i / c->node_count;
        uint32_t to = i % c->node_count;
        if (from != to) c->net.is_cut[from][to] |= c->is_outside[from] || c->is_outside[to];
        if (from == to && c->is_outside[from]) world_trace(w, from, "it is outside the core");
    }
    w->coverage.cores += inside_count < c->node_count;
    cluster_kill(c, inside[world_draw_range(w, STREAM_CORE, 0, inside_count - 1)], true);
    h->has_core = true;
}

static void tick_core(struct history *h)
{
    struct cluster *c = &h->cluster;
    const struct cluster_node *leader = &c->nodes[c->leader];
    bool is_led = operator_is_idle(c) && leader->state == NODE_UP && db_is_leader(leader->db);
    if (!h->has_core && is_led) {
        draw_core(h);
        return;
    }
    bool is_late = c->world.now_ns - h->phase_since_ns > CONVERGE_MAX_NS;
    if (!h->has_core && is_late) {
        world_fail(&c->world, "liveness", "%d s after the last fault nobody leads",
                   (int)(CONVERGE_MAX_NS / NS_PER_S));
    }
    if (!h->has_core || !is_converged(h)) return;
    memset(c->is_outside, 0, sizeof(c->is_outside));
    faults_heal_links(c);
    enter(h, PHASE_HEALING);
}

static void tick_healing(struct history *h)
{
    struct cluster *c = &h->cluster;
    if (!is_converged(h)) return;
    for (uint32_t i = 0; i < c->node_count; i++) {
        client_audit(c, i);
    }
    enter(h, PHASE_AUDIT);
}

static void tick_audit(struct history *h)
{
    struct cluster *c = &h->cluster;
    if (client_audits_pending(c) > 0) return;
    model_check_claims(&c->model);
    if (h->rounds_left == 0) {
        enter(h, PHASE_DONE);
        return;
    }
    h->rounds_left--;
    for (uint32_t i = 0; i < c->node_count; i++) {
        cluster_kill(c, i, true);
    }
    enter(h, PHASE_HEALING);
}

static void run_tick(struct world *w, void *arg, uint64_t number)
{
    struct history *h = arg;
    struct cluster *c = &h->cluster;
    check_tick(c);
    switch (h->phase) {
    case PHASE_CHAOS: tick_chaos(h); break;
    case PHASE_CORE: tick_core(h); break;
    case PHASE_HEALING: tick_healing(h); break;
    case PHASE_AUDIT: tick_audit(h); break;
    case PHASE_DONE: return;
    }
    if (w->coverage.events > EVENTS_MAX) {
        world_fail(w, "liveness", "more than %u events; something turns in circles", EVENTS_MAX);
    }
    world_schedule(w, TICK_NS, EVENT_CHECK, WORLD_NO_NODE, run_tick, h, number + 1);
}

void history_finish(struct cluster *c, struct history_result *out)
{
    struct world *w = &c->world;
    char undeclared[WORLD_FAILURE_SIZE];
    if (taken_find_undeclared(undeclared, sizeof(undeclared))) {
        world_fail(w, "edge", "%s", undeclared);
    }
    *out = (struct history_result){
        .seed = w->seed, .ended_ns = w->now_ns, .trace_hash = w->trace_hash};
    cluster_fini(c); /* may find something, too; the first failure stays */
    out->failed_check = w->failed_check;
    memcpy(out->failure, w->failure, sizeof(out->failure));
    out->coverage = w->coverage;
    out->coverage.histories = 1;
    history_now = (struct history_now){0};
}

void history_run(uint64_t seed, const struct history_options *options, struct history_result *out)
{
    struct history *h = calloc(1, sizeof(*h));
    ASSERT(h != NULL);
    struct cluster *c = &h->cluster;
    struct world *w = &c->world;
    struct plan plan;
    plan_draw(&plan, seed, options->allowed_faults);
    h->events_max = options->events_max;
    if (options->events_min != 0) plan.events_min = options->events_min;
    if (options->node_max != 0 && options->node_max < plan.node_count) {
        plan.node_count = options->node_max;
        if (plan.victim >= plan.node_count) plan.victim = WORLD_NO_NODE;
    }
    if (options->client_max != 0 && options->client_max < plan.client_count) {
        plan.client_count = options->client_max;
    }
    cluster_init(c, seed, &plan);
    w->is_tracing = options->is_tracing;
    w->is_trace_dense = options->is_trace_dense;
    history_now = (struct history_now){.seed = seed, .now_ns = &w->now_ns};
    h->rounds_left = 1;
    for (uint32_t i = 0; i < c->node_count; i++) {
        cluster_plan_start(c, i, i * 10 * NS_PER_MS, true);
    }
    clients_begin(c);
    fresh_begin(c);
    faults_begin(c);
    world_schedule(w, TICK_NS, EVENT_CHECK, WORLD_NO_NODE, run_tick, h, 0);
    while (h->phase != PHASE_DONE && world_step(w)) {
    }
    if (w->failed_check == NULL && h->phase != PHASE_DONE) {
        world_fail(w, "liveness", "nothing happens any more");
    }
    history_finish(c, out);
    free(h);
}
