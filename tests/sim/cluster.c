/* cluster: lives of nodes around the real engine. */
#include "sim/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/role.h"
#include "sim/checks.h"
#include "sim/client.h"
#include "sim/faults.h"
#include "sim/operator.h"

#define MEMORY_LIMIT      (256 * MIB)
#define WALL_AHEAD_MAX_MS 180000

void cluster_init(struct cluster *c, uint64_t seed, const struct plan *plan)
{
    *c = (struct cluster){.plan = *plan, .backup_node = WORLD_NO_NODE, .cut_off = WORLD_NO_NODE};
    world_init(&c->world, seed);
    c->world.after = cluster_after;
    c->world.describe = cluster_describe;
    simnet_init(&c->net, &c->world);
    model_init(&c->model, &c->world);
    disk_init(&c->backup, &c->world.random[STREAM_DISK], &c->world.coverage);
    c->node_count = plan->node_count;
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct cluster_node *n = &c->nodes[i];
        machine_init(&n->machine, &c->world, &c->net, i);
        snprintf(n->node_id, sizeof(n->node_id), "n%u", i);
        simnet_address(i, n->listen);
        if (i != CLUSTER_LEADER) simnet_address(CLUSTER_LEADER, n->follow);
    }
    clients_init(c);
}

/* --- the beginning of a life --- */

void cluster_options(const struct cluster *c, const struct cluster_node *n,
                     struct tide_options *out)
{
    const struct plan *p = &c->plan;
    *out = (struct tide_options){
        .size = sizeof(*out),
        .dir = "data",
        .follow = n->follow[0] != '\0' ? n->follow : NULL,
        .node_id = n->node_id,
        .replication_listen = n->listen,
        .data_address = n->listen,
        .replication_address = n->listen,
        .segment_size = p->segment_size,
        .disk_reserve = UINT64_MAX,
        .checkpoint_interval_ms = 2000,
        .checkpoint_log_bytes = p->checkpoint_log_bytes,
        .mark_interval_ms = p->mark_interval_ms,
        .seal_interval_ms = p->seal_interval_ms,
        .retain_segments = p->retain_segments,
        .slot_budget_records = p->budget_records,
        .slot_idle_timeout_ms = p->idle_ms,
        .ship_interval_ms = p->ship_interval_ms,
        .ship_mode = p->ship_interval_ms != 0 ? TIDE_SHIP_SEGMENT : TIDE_SHIP_STREAM,
        .tail_buffer = p->tail_buffer,
        .credit = 64 * KIB,
        .heartbeat_ms = p->heartbeat_ms,
        .suspect_ms = p->heartbeat_ms * 4,
        .dead_ms = p->heartbeat_ms * 12,
        .memory_max = MEMORY_LIMIT,
        .runs_max = p->runs_max,
    };
}

static uint64_t count_disk_faults(const struct coverage *v)
{
    return v->failed_syncs + v->failed_writes + v->failed_reads + v->refused_writes;
}

/* The process is over and its memory is freed. */
static void end_life(struct cluster *c, uint32_t node, bool is_power_cut)
{
    struct cluster_node *n = &c->nodes[node];
    machine_stops(&n->machine, is_power_cut);
    if (n->db != NULL) db_abandon(n->db);
    n->db = NULL;
    client_orphan_runs(c, node);
    operator_orphan(c, node);
    uint64_t used = atomic_load(&n->alloc.used_bytes);
    if (used != 0) {
        world_fail(&c->world, "memory", "node %u ended and %" PRIu64 " bytes were not freed", node,
                   used);
    }
    machine_ended(&n->machine, is_power_cut);
    n->state = NODE_DOWN;
    n->has_closed = false;
    if (!n->machine.disk.has_lied) return;
    /* The cache is gone, so the lies show now. */
    n->is_damaged = true;
    faults_forget_past(n);
}

static void come_back(struct cluster *c, uint32_t node, bool is_boot)
{
    if (!c->is_scripted) cluster_plan_start(c, node, cluster_draw_downtime(c), is_boot);
}

void cluster_mend(struct cluster *c, uint32_t node, const char *why)
{
    world_trace(&c->world, node, "an operator gives it a new disk: %s", why);
    c->world.coverage.mended++;
    faults_wipe(c, node);
}

/* An open that failed without dying: allowed only for a fault that was put in. */
static void judge_failed_open(struct cluster *c, uint32_t node, const struct err *e, bool had_fault)
{
    struct cluster_node *n = &c->nodes[node];
    bool is_worldly = code_class(e->code) == CLASS_WORLD || e->code == E_INUSE;
    world_trace(&c->world, node, "open failed: %s: %s", code_name(e->code), e->text);
    if (c->is_damage_expected) {
        c->open_failure = e->code;
        end_life(c, node, false);
        return;
    }
    if (n->is_damaged && code_class(e->code) == CLASS_CORRUPTION) {
        end_life(c, node, false);
        cluster_mend(c, node, e->text);
        return;
    }
    if (!is_worldly || !had_fault) {
        world_fail(&c->world, "open", "node %u does not open: %s: %s (%s)", node,
                   code_name(e->code), e->text, e->origin != NULL ? e->origin : "?");
    }
    n->failed_opens++;
    end_life(c, node, false);
    come_back(c, node, false);
}

/* At a start leader time is wall time unless that is behind the log: a clock that is a day ahead
 * then is an operator's mistake, which no database undoes, and so is one a day behind of an empty
 * log. */
static void look_at_wall(struct cluster_node *n)
{
    int64_t ahead_ms = machine_wall_ms(&n->machine) - MACHINE_WALL_START_MS -
                       (int64_t)(n->machine.world->now_ns / NS_PER_MS);
    bool is_day_back = ahead_ms < -WALL_AHEAD_MAX_MS && n->durable_ever == 0;
    if (ahead_ms <= WALL_AHEAD_MAX_MS && !is_day_back) return;
    world_trace(n->machine.world, n->machine.node, "its wall clock is set right");
    machine_set_wall(&n->machine, 0, 0);
}

static void run_start(struct world *w, void *arg, uint64_t number)
{
    struct cluster *c = cluster_of(w);
    struct cluster_node *n = arg;
    uint32_t node = n->machine.node;
    n->is_restart_planned = false;
    if (n->state != NODE_DOWN || operator_holds(c, node)) return;
    operator_replace(c, node);
    w->coverage.opens++;
    look_at_wall(n);
    machine_begins(&n->machine, number != 0);
    alloc_init(&n->alloc, MEMORY_LIMIT);
    n->traced.count = 0;
    uint64_t faults = count_disk_faults(&w->coverage);
    struct tide_options options;
    cluster_options(c, n, &options);
    struct err e = {0};
    n->is_opening = true;
    n->machine.may_block = true;
    enum code code = db_open(&n->machine.env, &n->alloc, &options, &n->db, &e);
    n->machine.may_block = false;
    n->is_opening = false;
    if (n->machine.is_dying) {
        w->coverage.kills_in_open++;
        if (code != OK) n->db = NULL;
        return; /* buried after this event */
    }
    if (code != OK) {
        n->db = NULL;
        judge_failed_open(c, node, &e, count_disk_faults(&w->coverage) != faults);
        return;
    }
    n->state = NODE_UP;
    n->failed_opens = 0;
    world_trace(w, node, "opened: discarded %" PRIu64 " bytes, replayed %" PRIu64 " records",
                n->db->report.discarded_bytes, n->db->report.records_replayed);
    check_after_open(c, node);
}

void cluster_plan_start(struct cluster *c, uint32_t node, uint64_t delay_ns, bool is_boot)
{
    struct cluster_node *n = &c->nodes[node];
    n->is_restart_planned = true;
    world_schedule(&c->world, delay_ns, EVENT_START, WORLD_NO_NODE, run_start, n, is_boot);
}

uint64_t cluster_draw_downtime(struct cluster *c)
{
    return 10 * NS_PER_MS + world_draw_delay(&c->world, STREAM_FAULTS, 300 * NS_PER_MS);
}

/* --- the end of a life --- */

void cluster_kill(struct cluster *c, uint32_t node, bool is_power_cut)
{
    struct cluster_node *n = &c->nodes[node];
    if (!world_is_alive(&c->world, node)) return;
    world_trace(&c->world, node, is_power_cut ? "POWER CUT" : "KILL");
    if (is_power_cut) {
        c->world.coverage.power_cuts++;
    } else {
        c->world.coverage.kills++;
    }
    n->machine.is_dying = true;
    end_life(c, node, is_power_cut);
    come_back(c, node, is_power_cut);
}

void cluster_plan_death(struct cluster *c, uint32_t node, uint64_t calls, bool is_power_cut)
{
    struct cluster_node *n = &c->nodes[node];
    n->machine.calls_left = (int64_t)calls;
    n->dies_by_power_cut = is_power_cut;
}

static void on_closed(void *arg)
{
    struct cluster_node *n = arg;
    n->has_closed = true;
    n->db = NULL;
}

void cluster_stop(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    if (n->state != NODE_UP) return;
    world_trace(&c->world, node, "STOP");
    n->state = NODE_CLOSING;
    n->closing_since_ns = c->world.now_ns;
    n->machine.may_block = true;
    struct db *db = n->db;
    db_close(db, on_closed, n);
}

static void finish_stop(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    if (n->runs != NULL) {
        world_fail(&c->world, "answered", "node %u closed and left a run without answer", node);
    }
    c->world.coverage.clean_stops++;
    n->machine.may_block = false;
    end_life(c, node, false);
    come_back(c, node, false);
}

/* --- after each event --- */

static void print_engine_trace(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    if (n->db == NULL) return;
    const struct trace *t = &n->db->trace;
    uint64_t kept = t->count < TRACE_LINES ? t->count : TRACE_LINES;
    for (uint64_t i = 0; i < kept; i++) {
        if (t->count - kept + i < n->traced.count) continue;
        uint64_t at_ns = 0;
        const char *line = trace_line(t, (size_t)i, &at_ns);
        char text[TRACE_LINE_SIZE + 8];
        snprintf(text, sizeof(text), "  | %s", line);
        world_print(&c->world, node, text);
    }
    n->traced.count = t->count;
}

/* File calls on the loop: an empty follower opens its log when it learns of its cluster, data is
 * opened anew, a new leader reads its catalogue of slots. */
static bool may_block(const struct db *db)
{
    return db->log == NULL || db->reopening != NULL || role_holds_writes(db);
}

void cluster_after(struct world *w, const struct event *ev)
{
    (void)ev;
    struct cluster *c = cluster_of(w);
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct cluster_node *n = &c->nodes[i];
        if (!world_is_alive(w, i)) continue;
        if (w->is_tracing) print_engine_trace(c, i);
        if (n->state == NODE_UP) n->machine.may_block = may_block(n->db);
        if (n->machine.is_dying) {
            w->coverage.kills_at_io++;
            cluster_kill(c, i, n->dies_by_power_cut);
        } else if (n->has_closed) {
            finish_stop(c, i);
        } else if (n->state == NODE_UP) {
            operator_notice(c, i);
            check_node(c, i);
        }
    }
}

bool cluster_is_ready(const struct cluster *c, uint32_t node)
{
    return c->nodes[node].state == NODE_UP &&
           c->world.nodes[node].paused_until_ns <= c->world.now_ns;
}

static void describe_node(const struct cluster_node *n, char *out, size_t size)
{
    static const char *const conditions[] = {"", "!poisoned", "!halted", "!diverged", ""};
    const char role = n->db != NULL && db_is_leader(n->db) ? 'L' : 'F';
    if (n->state == NODE_DOWN) {
        snprintf(out, size, " [%s down]", n->node_id);
    } else if (n->is_opening || n->db == NULL || n->db->log == NULL) {
        snprintf(out, size, " [%s %c -]", n->node_id, role);
    } else {
        snprintf(out, size, " [%s %c%" PRIu64 " d%" PRIu64 " a%" PRIu64 "%s%s]", n->node_id, role,
                 n->db->epoch.number, log_durable(n->db->log).seqno.v,
                 state_position(n->db->state).seqno.v, conditions[n->db->condition],
                 n->state == NODE_CLOSING ? " closing" : "");
    }
}

void cluster_describe(struct world *w, char *out, size_t size)
{
    const struct cluster *c = cluster_of(w);
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < c->node_count && used + 1 < size; i++) {
        describe_node(&c->nodes[i], out + used, size - used);
        used += strlen(out + used);
    }
}

void cluster_fini(struct cluster *c)
{
    for (uint32_t i = 0; i < c->node_count; i++) {
        if (world_is_alive(&c->world, i)) {
            c->nodes[i].machine.is_dying = true;
            end_life(c, i, false);
        }
        machine_fini(&c->nodes[i].machine);
    }
    clients_fini(c);
    disk_fini(&c->backup);
    model_fini(&c->model);
    simnet_fini(&c->net);
    world_fini(&c->world);
}
