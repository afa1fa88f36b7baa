/* operator: failover and handover, step by step. One operation is in flight at most. */
#include "sim/operator.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/members.h"
#include "engine/receiver_internal.h"
#include "engine/run.h"
#include "sim/faults.h"

#define LEADERLESS_MAX_NS (10 * NS_PER_S)

struct operation {
    struct cluster *cluster;
    uint32_t node;
    tide_run *run;
    enum op_kind kind;
};

/* --- one operation on one node --- */

static void forget_operation(struct cluster *c)
{
    struct operation *o = c->operation;
    c->operation = NULL;
    tide_run_free(o->run);
    free(o);
}

static void on_done(tide_run *run, void *arg)
{
    struct operation *o = arg;
    struct cluster *c = o->cluster;
    const struct tide_result *result = tide_run_result(run, 0);
    world_trace(&c->world, o->node, "%s answers %s: %s", op_call_name(o->kind),
                tide_code_name(result->code), result->message != NULL ? result->message : "");
    if (o->kind == OP_PROMOTE && result->code == TIDE_REFUSED) {
        c->world.coverage.refused_promotions++;
        c->is_force_due = true;
    }
    if (o->kind == OP_HANDOVER) c->takeover = TAKEOVER_NONE;
    forget_operation(c);
}

static struct operation *operation_new(struct cluster *c, uint32_t node, enum op_kind kind)
{
    ASSERT(c->operation == NULL);
    struct operation *o = calloc(1, sizeof(*o));
    ASSERT(o != NULL);
    *o = (struct operation){.cluster = c, .node = node, .kind = kind, .run = tide_run_new()};
    ASSERT(o->run != NULL);
    o->run->callback = on_done;
    o->run->callback_arg = o;
    c->operation = o;
    return o;
}

void operator_orphan(struct cluster *c, uint32_t node)
{
    if (c->operation == NULL || c->operation->node != node) return;
    if (c->operation->kind == OP_HANDOVER) c->takeover = TAKEOVER_NONE;
    c->operation->run->is_submitted = false; /* the owner died with the node */
    forget_operation(c);
}

/* --- who leads --- */

/* First epoch of the node's own table that is later than any seen to lead, and where it begins: its
 * first record is durable, so that it has begun, whatever happens to this node. */
static bool find_new_epoch(const struct cluster *c, const struct db *db, uint64_t *out_epoch,
                           uint64_t *out_start)
{
    const struct identity *id = &db->identity;
    for (uint32_t i = 0; i < id->epoch_count; i++) {
        if (id->epochs[i].epoch.number <= c->epoch_peak) continue;
        *out_epoch = id->epochs[i].epoch.number;
        *out_start = id->epochs[i].start.v;
        return true;
    }
    struct position end = {0};
    if (db->log != NULL) end = log_durable(db->log);
    if (end.epoch <= c->epoch_peak || end.epoch != db->epoch.number) return false;
    *out_epoch = end.epoch;
    *out_start = end.seqno.v; /* on disk and not applied yet: its first batch is one record */
    return true;
}

static void point_at_leader(struct cluster *c)
{
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct cluster_node *n = &c->nodes[i];
        memset(n->follow, 0, sizeof(n->follow));
        if (i == c->leader) continue;
        simnet_address(c->leader, n->follow);
        n->is_reset = true; /* its new leader has not met it */
    }
}

static void set_cut(struct cluster *c, uint32_t node, bool is_cut)
{
    for (uint32_t i = 0; i < c->node_count; i++) {
        c->net.is_cut[node][i] = is_cut && i != node;
        c->net.is_cut[i][node] = is_cut && i != node;
    }
}

static void end_failover(struct cluster *c, uint32_t old)
{
    if (c->is_scripted) {
        c->nodes[old].is_deposed = true;
        return;
    }
    if (c->is_cut_off) {
        c->nodes[old].is_deposed = true;
        if (c->nodes[old].state != NODE_DOWN) return;
        operator_replace(c, old);
        cluster_plan_start(c, old, cluster_draw_downtime(c), true);
        return;
    }
    faults_wipe(c, old);
    cluster_plan_start(c, old, cluster_draw_downtime(c), true);
}

static void take_over(struct cluster *c, uint32_t node, uint64_t epoch, uint64_t start)
{
    uint32_t old = c->leader;
    enum takeover how = c->takeover;
    world_trace(&c->world, node, "LEADS epoch %" PRIu64 " from record %" PRIu64 " on", epoch,
                start);
    c->leader = node;
    c->handed_to = WORLD_NO_NODE;
    c->epoch_peak = epoch;
    c->takeover = TAKEOVER_NONE;
    c->nodes[node].epoch_peak = epoch - 1; /* seen by the check of its own */
    c->nodes[node].clock_life = 0;
    c->nodes[node].is_reset = false;
    c->world.coverage.promotions++;
    model_cut(&c->model, epoch, start, how == TAKEOVER_FAILOVER);
    point_at_leader(c);
    if (how == TAKEOVER_FAILOVER) end_failover(c, old);
    if (how != TAKEOVER_FAILOVER) c->nodes[old].is_deposed = true;
}

/* A deposed leader that died before it learned of it would begin an epoch with the number of the
 * new one: an operator gives it an empty disk. */
void operator_replace(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    if (!n->is_deposed || c->is_scripted) return;
    n->is_deposed = false;
    world_trace(&c->world, node, "deposed, and dead: it begins anew");
    disk_wipe(&n->machine.disk);
    faults_forget_past(n);
}

/* It leads in a life of its own: in an epoch above all that it led before. */
static void see_epoch(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    uint64_t epoch = n->db->epoch.number;
    uint64_t life = c->world.nodes[node].life;
    if (epoch > c->epoch_peak) c->epoch_peak = epoch;
    if (n->led_life == life) return;
    if (epoch <= n->epoch_peak) {
        world_fail(&c->world, "epoch", "the leader starts epoch %" PRIu64 " after %" PRIu64, epoch,
                   n->epoch_peak);
    }
    n->led_life = life;
    n->epoch_peak = epoch;
}

void operator_notice(struct cluster *c, uint32_t node)
{
    uint64_t epoch = 0;
    uint64_t start = 0;
    struct cluster_node *n = &c->nodes[node];
    if (!db_is_leader(n->db)) n->is_deposed = false;
    if (node == c->leader && db_is_leader(n->db)) {
        see_epoch(c, node);
        if (c->takeover == TAKEOVER_REPAIR) c->takeover = TAKEOVER_NONE;
    }
    if (node == c->leader || !db_is_leader(n->db) || n->is_deposed) return;
    if (!find_new_epoch(c, n->db, &epoch, &start)) return;
    if (c->takeover == TAKEOVER_NONE && node != c->handed_to) {
        world_fail(&c->world, "epoch", "node %" PRIu32 " leads unasked", node);
        return;
    }
    take_over(c, node, epoch, start);
}

/* --- failover --- */

bool operator_is_idle(const struct cluster *c)
{
    return c->takeover == TAKEOVER_NONE && c->operation == NULL && c->cut_off == WORLD_NO_NODE;
}

bool operator_keeps_cut(const struct cluster *c, uint32_t node)
{
    return node == c->cut_off || c->is_outside[node];
}

bool operator_holds(const struct cluster *c, uint32_t node)
{
    if (c->is_scripted) return false;
    return c->takeover == TAKEOVER_FAILOVER && node == c->leader; /* also when it died cut off */
}

/* And some of them holds records of it: else what the leader before it gave up may come back, which
 * is no fault either, but not what the oracle was told. A leader that is lost before anybody else
 * has seen its epoch takes the number along, and the next leader uses it again, with another nonce.
 * That is no fault, but these tests tell epochs by number. */
static bool others_know_epoch(const struct cluster *c)
{
    const struct db *leader = c->nodes[c->leader].db;
    uint64_t epoch = leader->epoch.number;
    bool has_records = false;
    if (!db_is_leader(leader)) return false; /* it starts, and asks the others first */
    for (uint32_t i = 0; i < c->node_count; i++) {
        const struct cluster_node *n = &c->nodes[i];
        if (i == c->leader) continue;
        if (n->state != NODE_UP || n->db->log == NULL) return false;
        if (n->db->identity.highest_epoch < epoch || log_durable(n->db->log).seqno.v == 0) {
            return false;
        }
        if (members_topology(n->db)->count < c->node_count) return false; /* it would ask too few */
        has_records |= log_durable(n->db->log).epoch >= epoch;
    }
    return has_records;
}

void operator_fail_over(struct cluster *c)
{
    if (!operator_is_idle(c) || c->node_count < 3) return;
    if (c->nodes[c->leader].state != NODE_UP || !others_know_epoch(c)) return;
    c->takeover = TAKEOVER_FAILOVER;
    c->is_force_due = false;
    c->takeover_since_ns = c->world.now_ns;
    c->is_cut_off = world_draw_chance(&c->world, STREAM_FAULTS, 500000);
    if (c->is_cut_off) {
        c->world.coverage.cut_leaders++;
        world_trace(&c->world, c->leader, "it is cut off from all others");
        set_cut(c, c->leader, true);
        c->cut_off = c->leader;
    } else {
        world_trace(&c->world, c->leader, "its machine is lost");
        cluster_kill(c, c->leader, true);
    }
}

static bool is_better(const struct position *a, const struct position *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : a->seqno.v > b->seqno.v;
}

/* What it received is on disk: it will not hold more later. */
static bool is_settled(const struct db *db)
{
    bool has_queue = db->receiver != NULL && !receiver_is_settled(db->receiver);
    return !has_queue && !log_is_writing(db->log);
}

/* The best of those that are left, all of them where nobody is lost; false: not all are up. */
static bool find_best(const struct cluster *c, uint32_t *out)
{
    struct position best = {0};
    *out = WORLD_NO_NODE;
    for (uint32_t i = 0; i < c->node_count; i++) {
        const struct cluster_node *n = &c->nodes[i];
        if (i == c->leader && c->takeover == TAKEOVER_FAILOVER) continue;
        if (c->is_outside[i]) continue;
        if (!cluster_is_ready(c, i) || n->db->condition != DB_SERVING) return false;
        if (n->db->log == NULL) continue;
        struct position at = log_durable(n->db->log);
        if (!is_settled(n->db)) return false;
        if (*out != WORLD_NO_NODE && !is_better(&at, &best)) continue;
        best = at;
        *out = i;
    }
    return *out != WORLD_NO_NODE && best.seqno.v > 0;
}

static void promote_best(struct cluster *c)
{
    uint32_t node = 0;
    if (c->world.now_ns - c->takeover_since_ns < 300 * NS_PER_MS || !find_best(c, &node)) return;
    bool is_forced = c->is_force_due;
    struct operation *o = operation_new(c, node, OP_PROMOTE);
    world_trace(&c->world, node, "an operator promotes it%s", is_forced ? " by force" : "");
    (void)tide_run_promote(o->run, NULL, is_forced);
    db_submit(c->nodes[node].db, o->run);
}

/* A handover that died half way, or a claim that came to nothing, may leave followers only. */
static void look_for_leader(struct cluster *c)
{
    bool is_led = c->node_count < 2 || c->takeover != TAKEOVER_NONE || c->operation != NULL;
    for (uint32_t i = 0; i < c->node_count; i++) {
        const struct cluster_node *n = &c->nodes[i];
        is_led |= n->state == NODE_UP && db_is_leader(n->db);
    }
    const struct cluster_node *leader = &c->nodes[c->leader];
    is_led |= leader->state != NODE_UP; /* it comes back, and says what it is */
    if (is_led) {
        c->leaderless_since_ns = 0;
        return;
    }
    if (c->leaderless_since_ns == 0) c->leaderless_since_ns = c->world.now_ns;
    if (c->world.now_ns - c->leaderless_since_ns < LEADERLESS_MAX_NS) return;
    c->leaderless_since_ns = 0;
    c->takeover = TAKEOVER_REPAIR;
    c->takeover_since_ns = c->world.now_ns;
    c->is_force_due = false;
    c->world.coverage.leaderless++;
    world_trace(&c->world, WORLD_NO_NODE, "nobody leads: an operator looks for the best");
}

/* --- handover --- */

void operator_hand_over(struct cluster *c)
{
    struct cluster_node *leader = &c->nodes[c->leader];
    if (!operator_is_idle(c) || c->node_count < 2 || !cluster_is_ready(c, c->leader)) return;
    if (leader->db->log == NULL || leader->db->condition != DB_SERVING) return;
    uint32_t to = (uint32_t)world_draw_range(&c->world, STREAM_FAULTS, 0, c->node_count - 1);
    if (to == c->leader) return;
    c->takeover = TAKEOVER_HANDOVER;
    c->handed_to = to;
    c->world.coverage.handovers++;
    world_trace(&c->world, c->leader, "an operator hands over to n%" PRIu32, to);
    struct operation *o = operation_new(c, c->leader, OP_HANDOVER);
    (void)tide_run_handover(o->run, c->nodes[to].node_id, 1000);
    db_submit(leader->db, o->run);
}

/* --- slots and settings --- */

void operator_drop_slot(struct cluster *c, uint32_t node)
{
    if (!operator_is_idle(c) || !cluster_is_ready(c, c->leader)) return;
    struct tide_bytes id = {.data = c->nodes[node].node_id, .size = strlen(c->nodes[node].node_id)};
    c->world.coverage.dropped_slots++;
    world_trace(&c->world, c->leader, "an operator drops the slot of n%" PRIu32, node);
    struct operation *o = operation_new(c, c->leader, OP_SLOT_DROP);
    (void)tide_run_slot_drop(o->run, id);
    db_submit(c->nodes[c->leader].db, o->run);
}

void operator_configure(struct cluster *c)
{
    if (!operator_is_idle(c) || !cluster_is_ready(c, c->leader)) return;
    struct cluster_node *leader = &c->nodes[c->leader];
    struct tide_options options;
    cluster_options(c, leader, &options);
    c->world.coverage.settings++;
    world_trace(&c->world, c->leader, "a follower may hold back %" PRIu64 " records from now on",
                c->plan.budget_records);
    struct operation *o = operation_new(c, c->leader, OP_CONFIGURE);
    (void)tide_run_configure(o->run, &options);
    db_submit(leader->db, o->run);
}

/* --- the others --- */

/* It holds what the present leader does not, and refuses to give it up by itself: what it had as
 * the only node there was, it calls committed. */
static bool wants_accepted_loss(const struct cluster *c, uint32_t node)
{
    const struct cluster_node *n = &c->nodes[node];
    if (n->db->log == NULL || db_is_leader(n->db) || n->db->reopening != NULL) return false;
    struct position at = log_durable(n->db->log);
    bool is_patient = c->world.now_ns - c->takeover_since_ns < 10 * NS_PER_S;
    return !is_patient && !model_is_current(&c->model, at.epoch, at.seqno.v);
}

static void accept_loss(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    struct position at = log_durable(n->db->log);
    struct tide_position end = {.epoch = at.epoch, .seqno = at.seqno.v};
    memcpy(end.chain4, at.chain.bytes, sizeof(end.chain4));
    world_trace(&c->world, node, "an operator accepts the loss of what only it holds");
    c->world.coverage.accepted_losses++;
    c->takeover_since_ns = c->world.now_ns;
    struct operation *o = operation_new(c, node, OP_FOLLOW);
    (void)tide_run_follow(o->run, n->follow, true, &end);
    db_submit(n->db, o->run);
}

/* Followers that were up all the time are told; those that start are given the address. */
static void point_one(struct cluster *c)
{
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct cluster_node *n = &c->nodes[i];
        if (i == c->leader || i == c->cut_off || !cluster_is_ready(c, i)) continue;
        if (wants_accepted_loss(c, i)) {
            accept_loss(c, i);
            return;
        }
        bool knows = strcmp(n->db->identity.leader_address, n->follow) == 0;
        if (knows && !db_is_leader(n->db)) continue;
        struct operation *o = operation_new(c, i, OP_FOLLOW);
        (void)tide_run_follow(o->run, n->follow, false, NULL);
        db_submit(n->db, o->run);
        return;
    }
}

/* The old leader has its links back as soon as somebody else leads, or a while later: whoever
 * promised the new epoch takes nothing of it any more, and it has to cope. */
static void mend_links(struct cluster *c)
{
    if (c->cut_off == WORLD_NO_NODE || c->takeover == TAKEOVER_FAILOVER) return;
    if (!c->is_quiet && !world_draw_chance(&c->world, STREAM_FAULTS, 300000)) return;
    world_trace(&c->world, c->cut_off, "has its links back");
    set_cut(c, c->cut_off, false);
    c->cut_off = WORLD_NO_NODE;
}

void operator_tick(struct cluster *c)
{
    if (c->is_scripted) return;
    mend_links(c);
    look_for_leader(c);
    if (c->operation != NULL) return;
    if (c->takeover == TAKEOVER_FAILOVER || c->takeover == TAKEOVER_REPAIR) {
        promote_best(c);
    } else if (c->model.cut_count > 0 && c->takeover == TAKEOVER_NONE) {
        point_one(c);
    }
}
