/* checks: the laws, one function each. The oracle looks into the nodes directly where an answer
 * would be too slow or could lie. */
#include "sim/checks.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/log_open.h"
#include "engine/receiver.h"
#include "engine/shipper.h"
#include "sim/client.h"
#include "sim/operator.h"

/* Started 180 s ahead, or standing still behind such a log for the whole history. */
#define CLOCK_AWAY_MAX_NS (600 * (int64_t)NS_PER_S)
#define CLOSE_MAX_NS      (60 * NS_PER_S)

static struct position durable_of(const struct cluster_node *n)
{
    return log_durable(n->db->log);
}

static void see_position(struct cluster *c, uint32_t node, const struct position *p)
{
    model_saw_position(&c->model, node, p->epoch, p->seqno.v, p->chain.bytes);
}

/* Positions that this node ever showed must still be there. */
static void check_marks(struct cluster *c, uint32_t node, uint64_t durable, uint64_t applied)
{
    struct cluster_node *n = &c->nodes[node];
    if (n->db->identity.history_id != n->history_id) {
        n->history_id = n->db->identity.history_id;
        n->durable_peak = 0;
        n->applied_peak = 0;
    }
    /* Its tail is being given up; another history id says so when that is done. */
    if (n->db->identity.intent.step != 0) return;
    if (durable < n->durable_peak || applied < n->applied_peak) {
        world_fail(&c->world, "marks",
                   "node %u went back: durable %" PRIu64 " after %" PRIu64 ", applied %" PRIu64
                   " after %" PRIu64,
                   node, durable, n->durable_peak, applied, n->applied_peak);
    }
    n->durable_peak = durable;
    n->applied_peak = applied;
    if (durable > n->durable_ever) n->durable_ever = durable;
}

void check_after_open(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    if (n->db->log == NULL) {
        if (n->durable_peak > 0) {
            world_fail(&c->world, "lost", "node %u forgot its log of %" PRIu64 " records", node,
                       n->durable_peak);
        }
        return;
    }
    uint64_t durable = durable_of(n).seqno.v;
    bool is_judged = node == c->leader && c->takeover == TAKEOVER_NONE && !c->is_leader_set_back;
    if (is_judged && durable < c->model.acked_max) {
        world_fail(&c->world, "lost",
                   "the leader came back with %" PRIu64 " records, %" PRIu64 " were acknowledged",
                   durable, c->model.acked_max);
    }
    operator_notice(c, node);
    check_node(c, node);
}

/* Only what the leader has on disk may be on a follower's disk. */
static void check_prefix(struct cluster *c, uint32_t node, const struct position *at)
{
    uint64_t durable = at->seqno.v;
    /* Between two leaders, and of one that was deposed, this says nothing. */
    if (c->takeover != TAKEOVER_NONE) return;
    if (!model_is_current(&c->model, at->epoch, durable)) return;
    const struct cluster_node *leader = &c->nodes[c->leader];
    if (node == c->leader || durable <= leader->durable_ever) return;
    world_fail(&c->world, "hole",
               "node %u holds %" PRIu64 " records, its leader never had more "
               "than %" PRIu64 " on disk",
               node, durable, leader->durable_ever);
}

void check_node(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    if (n->db->log == NULL || n->db->state == NULL) return;
    struct position durable = durable_of(n);
    struct position applied = state_position(n->db->state);
    struct position written = log_written(n->db->log);
    if (applied.seqno.v > durable.seqno.v || durable.seqno.v > written.seqno.v) {
        world_fail(&c->world, "hole",
                   "node %u: applied %" PRIu64 ", durable %" PRIu64 ", written %" PRIu64, node,
                   applied.seqno.v, durable.seqno.v, written.seqno.v);
    }
    bool is_same = durable.seqno.v == n->durable_peak && applied.seqno.v == n->applied_peak &&
                   n->db->identity.history_id == n->history_id;
    if (is_same) return;
    check_marks(c, node, durable.seqno.v, applied.seqno.v);
    see_position(c, node, &durable);
    see_position(c, node, &applied);
    if (node == c->leader) {
        model_saw_durable(&c->model, durable.seqno.v, c->world.now_ns);
    }
    check_prefix(c, node, &durable);
    world_note(&c->world, durable.seqno.v << 32 | applied.seqno.v);
}

/* --- on a timer --- */

bool check_is_out_of_memory(const struct cluster *c, uint32_t node)
{
    const struct cluster_node *n = &c->nodes[node];
    if (!plan_has(&c->plan, FAULT_MEMORY) || n->db == NULL) return false;
    return n->db->condition == DB_HALTED && strstr(n->db->reason.text, "no memory") != NULL;
}

/* Opened anew (a tail was cut off, a copy was taken) it met a fault of its disk: it halts, as a
 * start that meets one fails, and an operator starts it again. */
static bool is_closed_by_fault(const struct cluster *c, uint32_t node)
{
    const struct cluster_node *n = &c->nodes[node];
    return plan_may_fail_open(&c->plan) && n->db->condition == DB_HALTED && n->db->log == NULL &&
           strstr(n->db->reason.text, "the directory does not open") != NULL;
}

static void check_condition(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    bool is_stopped = n->db->condition == DB_HALTED || n->db->condition == DB_DIVERGED;
    if (n->is_damaged && is_stopped) {
        cluster_mend(c, node, n->db->reason.text);
        return;
    }
    if (c->is_scripted) return;
    bool wants_restart = n->db->condition == DB_POISONED || check_is_out_of_memory(c, node) ||
                         is_closed_by_fault(c, node);
    if (!wants_restart && n->db->condition != DB_SERVING && n->db->condition != DB_CLOSING) {
        world_fail(&c->world, "health", "node %u is %s: %s (%s)", node,
                   n->db->condition == DB_HALTED ? "halted" : "diverged", n->db->reason.text,
                   n->db->reason.origin != NULL ? n->db->reason.origin : "?");
    }
    if (wants_restart && world_draw_chance(&c->world, STREAM_FAULTS, 200000)) {
        world_trace(&c->world, node, "an operator reads: %s", n->db->reason.text);
        if (world_draw_chance(&c->world, STREAM_FAULTS, 500000)) {
            cluster_stop(c, node);
        } else {
            cluster_kill(c, node, world_draw_chance(&c->world, STREAM_FAULTS, 500000));
        }
    }
}

/* Whatever the wall clock does, leader time goes on by the monotonic clock, one percent faster or
 * slower at most, or stands still behind its log; so it stays near true time, however wrong the
 * clock that started it was allowed to be. */
static void check_clock(struct cluster *c)
{
    struct cluster_node *n = &c->nodes[c->leader];
    const struct leader_time now = n->db->leader_time;
    const struct leader_time before = n->clock;
    /* Each leadership begins its time anew, after its newest record. */
    uint64_t life = c->world.nodes[c->leader].life << 32 | n->db->epoch.number;
    bool is_same_life = n->clock_life == life;
    n->clock = now;
    n->clock_life = life;
    int64_t true_ns = (int64_t)(now.mono_ns - NS_PER_S + n->machine.booted_ns) +
                      MACHINE_WALL_START_MS * (int64_t)NS_PER_MS;
    int64_t away_ns = now.time_ns - true_ns;
    if (away_ns > CLOCK_AWAY_MAX_NS || away_ns < -CLOCK_AWAY_MAX_NS) {
        world_fail(&c->world, "clock", "leader time is %" PRId64 " ms from true time",
                   away_ns / (int64_t)NS_PER_MS);
    }
    if (!is_same_life) return;
    int64_t passed_ns = (int64_t)(now.mono_ns - before.mono_ns);
    int64_t ran_ns = now.time_ns - before.time_ns;
    bool may_stand = before.state == LEADER_TIME_STANDING || now.state == LEADER_TIME_STANDING;
    int64_t least_ns = may_stand ? 0 : passed_ns - passed_ns / 100;
    if (ran_ns >= least_ns && ran_ns <= passed_ns + passed_ns / 100) return;
    world_fail(&c->world, "clock", "leader time ran %" PRId64 " us in %" PRId64 " us",
               ran_ns / 1000, passed_ns / 1000);
}

/* --- pruning --- */

/* NULL: the leader has no slot for it. */
static const struct tide_follower_status *find_slot(const struct cluster *c, uint32_t node)
{
    static struct tide_follower_status slots[WORLD_NODES_MAX];
    const struct db *leader = c->nodes[c->leader].db;
    uint32_t count = shipper_status(leader->shipper, slots, WORLD_NODES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(slots[i].node_id, c->nodes[node].node_id) == 0) return &slots[i];
    }
    return NULL;
}

bool check_is_left_behind(const struct cluster *c, uint32_t node)
{
    const struct db *leader = c->nodes[c->leader].db;
    if (node == c->leader || leader == NULL || leader->log == NULL) return false;
    if (leader->shipper == NULL || find_slot(c, node) != NULL) return false;
    return log_oldest(leader->log).v > c->nodes[node].durable_peak + 1;
}

static void count_recycled(struct cluster *c)
{
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct cluster_node *n = &c->nodes[i];
        if (n->state != NODE_UP || n->db->log == NULL) continue;
        struct log_figures figures;
        log_figures(n->db->log, &figures);
        if (figures.recycled > n->seen_recycled) {
            c->world.coverage.recycled += figures.recycled - n->seen_recycled;
        }
        n->seen_recycled = figures.recycled;
    }
}

/* A new node copies the state and comes back for the mark of the copy; whoever stored something
 * comes back for what follows it, unless its slot was given up. */
static bool is_owed_log(const struct cluster *c, const struct tide_follower_status *slot,
                        uint64_t oldest, bool is_new)
{
    bool is_given_up = strcmp(slot->state, "lost") == 0 && strcmp(slot->reason, "log_missing") != 0;
    if (is_given_up) return false;
    bool was_given_up = slot->reason[0] != '\0' || plan_has(&c->plan, FAULT_SLOT_DROP);
    bool is_copying = (is_new || was_given_up) && slot->is_rebootstrapping;
    return !is_copying || (slot->restart != 0 && oldest > slot->restart + 1);
}

static void check_pruning(struct cluster *c)
{
    struct cluster_node *leader = &c->nodes[c->leader];
    if (leader->state != NODE_UP || leader->db->log == NULL) return;
    uint64_t oldest = log_oldest(leader->db->log).v;
    if (oldest > leader->seen_oldest && leader->seen_oldest > 0) c->world.coverage.prunes++;
    leader->seen_oldest = oldest;
    count_recycled(c);
    for (uint32_t i = 0; i < c->node_count && leader->db->shipper != NULL; i++) {
        const struct cluster_node *n = &c->nodes[i];
        if (i == c->leader || n->is_reset || oldest <= n->durable_peak + 1) continue;
        const struct tide_follower_status *slot = find_slot(c, i);
        if (slot == NULL || !is_owed_log(c, slot, oldest, n->durable_peak == 0)) continue;
        world_fail(&c->world, "pruned", "the log begins at %" PRIu64 ", node %u holds %" PRIu64,
                   oldest, i, n->durable_peak);
    }
}

void check_tick(struct cluster *c)
{
    operator_tick(c);
    bool is_leading = c->nodes[c->leader].state == NODE_UP && db_is_leader(c->nodes[c->leader].db);
    if (is_leading && c->takeover == TAKEOVER_NONE) check_clock(c);
    check_pruning(c);
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct cluster_node *n = &c->nodes[i];
        if (n->state == NODE_CLOSING && c->world.now_ns - n->closing_since_ns > CLOSE_MAX_NS) {
            world_fail(&c->world, "answered", "node %u does not finish closing", i);
        }
        if (n->state != NODE_UP) continue;
        uint64_t overdue_ns = client_overdue_ns(c, i);
        if (overdue_ns != 0) {
            world_fail(&c->world, "answered", "a run on node %u has no answer after %" PRIu64 " s",
                       i, overdue_ns / NS_PER_S);
        }
        check_condition(c, i);
    }
}

/* --- answers --- */

static struct cluster_node *find_node(struct cluster *c, const char *node_id)
{
    for (uint32_t i = 0; i < c->node_count; i++) {
        if (strcmp(c->nodes[i].node_id, node_id) == 0) return &c->nodes[i];
    }
    return NULL;
}

/* lag_seconds must not be below the age of the first record that the follower does not show. The
 * truth is of the moment of asking and of what the follower shows now, so it is a lower bound. */
static void check_lag_seconds(struct cluster *c, const char *who, double claimed, uint64_t applied,
                              const struct check_asked *asked)
{
    uint64_t now_ns = c->world.now_ns;
    uint64_t age_ns = model_staleness_ns(&c->model, applied, asked->leader_durable);
    uint64_t passed_ns = now_ns - asked->at_ns;
    uint64_t truth_ns = age_ns > passed_ns ? age_ns - passed_ns : 0;
    /* Two clocks may run a thousandth apart. */
    if (claimed * 1.001 + 1e-6 >= (double)truth_ns / 1e9) return;
    world_fail(&c->world, "lag", "%s: lag_seconds %.6f, true staleness %.6f", who, claimed,
               (double)truth_ns / 1e9);
}

/* Does the follower itself believe in its link? Its leader may hold on to a dead one. */
static bool is_link_up(const struct cluster_node *n)
{
    if (n->state != NODE_UP || n->db->receiver == NULL) return false;
    struct receiver_status status;
    receiver_status(n->db->receiver, &status);
    return status.is_link_up;
}

static void check_follower(struct cluster *c, const struct tide_follower_status *f,
                           const struct check_asked *asked)
{
    struct cluster_node *n = find_node(c, f->node_id);
    if (n == NULL) {
        world_fail(&c->world, "lag", "status names an unknown follower \"%s\"", f->node_id);
        return;
    }
    if (f->is_connected && f->was_synced && is_link_up(n)) n->is_reset = false;
    if (n->state != NODE_UP || n->is_reset || n->db->state == NULL) return;
    c->world.coverage.gauges++;
    uint64_t applied = state_position(n->db->state).seqno.v;
    uint64_t truth = applied < asked->leader_durable ? asked->leader_durable - applied : 0;
    char who[64];
    snprintf(who, sizeof(who), "leader about %s", n->node_id);
    if (f->was_synced && f->lag_records < truth) {
        world_fail(&c->world, "lag", "%s: lag_records %" PRIu64 ", true lag %" PRIu64, who,
                   f->lag_records, truth);
    }
    if (f->stored > n->durable_ever || f->applied > n->durable_ever) {
        world_fail(&c->world, "lag",
                   "%s: stored %" PRIu64 ", applied %" PRIu64 "; it never had more than %" PRIu64,
                   who, f->stored, f->applied, n->durable_ever);
    }
    check_lag_seconds(c, who, f->lag_seconds, applied, asked);
}

void check_status(struct cluster *c, uint32_t node, const struct tide_status *s,
                  const struct check_asked *asked)
{
    struct cluster_node *n = &c->nodes[node];
    if (s->digest_mark != 0) n->digest_mark = s->digest_mark;
    if (s->applied.seqno > s->durable.seqno || s->durable.seqno > s->assigned) {
        world_fail(&c->world, "hole",
                   "status of node %u: assigned %" PRIu64 ", durable %" PRIu64 ", applied %" PRIu64,
                   node, s->assigned, s->durable.seqno, s->applied.seqno);
    }
    if (asked->leader != c->leader || c->takeover != TAKEOVER_NONE || n->is_deposed) return;
    if (node == c->leader) {
        for (uint32_t i = 0; i < s->follower_count; i++) {
            check_follower(c, &s->followers[i], asked);
        }
    } else if (n->db != NULL && n->db->state != NULL) {
        c->world.coverage.gauges++;
        check_lag_seconds(c, n->node_id, s->lag_seconds, state_position(n->db->state).seqno.v,
                          asked);
    }
}

void check_level(struct cluster *c, uint32_t node, const struct model_write *w, uint64_t record)
{
    uint32_t copies = 0;
    if (w->copies == 0) return;
    c->world.coverage.leveled++;
    for (uint32_t i = 0; i < c->node_count; i++) {
        copies += i != node && c->nodes[i].durable_ever >= record;
    }
    if (copies >= w->copies) return;
    world_fail(&c->world, "level",
               "record %" PRIu64 " asked for %" PRIu32 " copies, was acknowledged, has %" PRIu32,
               record, w->copies, copies);
}

void check_wait(struct cluster *c, uint64_t at_least, uint64_t count)
{
    uint64_t truth = 0;
    for (uint32_t i = 0; i < c->node_count; i++) {
        if (i != c->leader && c->nodes[i].durable_ever >= at_least) truth++;
    }
    c->world.coverage.waits++;
    if (count > truth) {
        world_fail(&c->world, "wait",
                   "WAIT for %" PRIu64 " counted %" PRIu64 " followers, %" PRIu64 " have it",
                   at_least, count, truth);
    }
}

/* --- the end --- */

bool check_is_converged(const struct cluster *c, char *out_why, size_t size)
{
    uint32_t example = 0;
    if (!operator_is_idle(c)) {
        snprintf(out_why, size, "the operator is not done");
        return false;
    }
    bool is_core = false;
    for (uint32_t i = 0; i < c->node_count; i++) {
        is_core |= c->is_outside[i];
    }
    uint32_t unresolved = model_unresolved(&c->model, &example);
    /* In scripts nobody tries again; what is to be stored outside the core has to wait. */
    if (unresolved > 0 && !c->is_scripted && !is_core) {
        const struct model_write *w = &c->model.writes[example];
        snprintf(out_why, size,
                 "%u writes are without outcome, one is k%u (state %d, sent %u times)", unresolved,
                 example, (int)w->state, w->attempts);
        return false;
    }
    const struct cluster_node *leader = &c->nodes[c->leader];
    if (is_core && (leader->state != NODE_UP || !db_is_leader(leader->db))) {
        snprintf(out_why, size, "nobody leads the core");
        return false;
    }
    for (uint32_t i = 0; i < c->node_count; i++) {
        const struct cluster_node *n = &c->nodes[i];
        if (c->is_outside[i] || check_is_left_behind(c, i)) continue;
        if (n->state != NODE_UP || n->db->condition != DB_SERVING) {
            snprintf(out_why, size, "node %u is not serving: %s", i,
                     n->state == NODE_UP ? n->db->reason.text : "it is not up");
            return false;
        }
        if (leader->db == NULL || leader->db->log == NULL) return false;
        uint64_t goal = durable_of(leader).seqno.v;
        uint64_t applied = n->db->state == NULL ? 0 : state_position(n->db->state).seqno.v;
        struct position at = db_applied(n->db);
        if (!model_is_current(&c->model, at.epoch, at.seqno.v)) {
            snprintf(out_why, size, "node %u shows the history of a leader that was replaced", i);
            return false;
        }
        if (applied != goal) {
            snprintf(out_why, size, "node %u shows %" PRIu64 " of %" PRIu64 " records", i, applied,
                     goal);
            return false;
        }
    }
    return true;
}
