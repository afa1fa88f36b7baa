/* story: the scripts. */
#include "sim/story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/checkpoint.h"
#include "engine/write.h"
#include "format/limits.h"
#include "sim/checks.h"
#include "sim/client.h"
#include "sim/faults.h"
#include "sim/play.h"

#define TICK_NS (50 * NS_PER_MS)

/* --- what scripts are made of --- */

static void work_for(struct cluster *c, uint64_t ns)
{
    c->is_quiet = false;
    play_for(c, ns);
}

static uint64_t draw(struct cluster *c, uint64_t from, uint64_t to)
{
    return world_draw_range(&c->world, STREAM_FAULTS, from, to);
}

/* --- rot: one flipped bit while the process is down --- */

/* Let the node die, damage one bit of one of its files, and let it come back. */
static void flip_a_bit(struct cluster *c, uint32_t node, const char *folder)
{
    struct disk *d = &c->nodes[node].machine.disk;
    cluster_kill(c, node, draw(c, 0, 1) == 0);
    const char *path = faults_draw_path(c, d, folder);
    if (path == NULL) return; /* there is no checkpoint yet */
    uint64_t size = disk_durable_size(d, path);
    uint64_t offset = draw(c, 0, size - 1);
    unsigned bit = (unsigned)draw(c, 0, 7);
    snprintf(c->damage, sizeof(c->damage), "bit %u of byte %llu of %llu in %s", bit,
             (unsigned long long)offset, (unsigned long long)size, path);
    world_trace(&c->world, node, "%s", c->damage);
    ASSERT(disk_flip_bit(d, path, offset, bit));
    c->open_failure = OK;
    c->is_damage_expected = true;
}

static void check_refusal(struct cluster *c)
{
    c->world.coverage.refused_opens++;
    if (code_class(c->open_failure) == CLASS_CORRUPTION) return;
    world_fail(&c->world, "open", "%s is called %s", c->damage, code_name(c->open_failure));
}

/* Damage is told, never cut off: the node opens with everything acknowledged, or refuses with an
 * error of the class corruption. */
static void tell_rot_in(struct cluster *c, const char *folder)
{
    work_for(c, NS_PER_S / 2 + draw(c, 0, 2 * NS_PER_S));
    play_settle(c);
    if (c->world.failed_check != NULL) return;
    flip_a_bit(c, CLUSTER_LEADER, folder);
    play_for(c, 20 * NS_PER_S);
    if (c->world.failed_check != NULL) return;
    if (c->nodes[CLUSTER_LEADER].state == NODE_UP) { /* check_after_open saw that all is there */
        play_settle(c);
        play_audit(c);
    } else {
        check_refusal(c);
    }
}

static void tell_rot(struct cluster *c)
{
    tell_rot_in(c, "");
}

static void tell_rot_state(struct cluster *c)
{
    tell_rot_in(c, "state/");
}

/* The same on a follower: it comes back with everything it had, or refuses; what it shows later is
 * what its leader has. */
static void tell_rot_follower(struct cluster *c)
{
    work_for(c, NS_PER_S / 2 + draw(c, 0, 2 * NS_PER_S));
    play_settle(c);
    if (c->world.failed_check != NULL) return;
    flip_a_bit(c, 1, "");
    work_for(c, 5 * NS_PER_S);
    if (c->world.failed_check != NULL) return;
    if (c->nodes[1].state == NODE_UP) {
        play_settle(c);
        play_audit(c);
    } else if (c->nodes[1].state == NODE_DOWN) {
        check_refusal(c);
    }
}

/* A bit of the leader's old segments, which a follower needs that lost its disk: it never takes
 * other records for the leader's; whether it gets any is another question. */
static void tell_rot_shipped(struct cluster *c)
{
    c->plan.retain_segments = UINT32_MAX; /* the follower comes back for all of it */
    work_for(c, 2 * NS_PER_S);
    play_settle(c);
    if (c->world.failed_check != NULL) return;
    flip_a_bit(c, CLUSTER_LEADER, "");
    faults_wipe(c, 1);
    work_for(c, 10 * NS_PER_S);
    for (uint32_t i = 0; i < c->node_count && c->world.failed_check == NULL; i++) {
        if (cluster_is_ready(c, i) && c->nodes[i].db->log != NULL) client_digest(c, i);
    }
    play_for(c, 5 * NS_PER_S);
    if (c->nodes[CLUSTER_LEADER].state == NODE_DOWN) check_refusal(c);
}

/* --- wiped: a follower that lost its disk while its slot remembers more --- */

static void tell_wiped(struct cluster *c)
{
    c->plan.retain_segments = UINT32_MAX;
    work_for(c, NS_PER_S);
    play_settle(c);
    work_for(c, NS_PER_S / 10);
    faults_wipe(c, 1);
    work_for(c, draw(c, 0, 2) * NS_PER_S);
    play_settle(c);
    play_audit(c);
}

/* --- older: a follower that was set back to an older copy of itself --- */

static void tell_older(struct cluster *c)
{
    c->plan.retain_segments = UINT32_MAX;
    work_for(c, NS_PER_S / 2);
    disk_copy(&c->backup, &c->nodes[1].machine.disk);
    work_for(c, NS_PER_S / 2);
    play_settle(c);
    faults_restore(c, 1, &c->backup);
    work_for(c, draw(c, 0, 2) * NS_PER_S);
    play_settle(c);
    play_audit(c);
}

/* --- set-back: the leader was set back to an older copy, and dies again and again while it fetches
 * what its followers hold: nothing that was acknowledged is missing afterwards --- */

/* Until the leader takes records from another node, but no longer than `ns`. */
static void play_until_fetching(struct cluster *c, uint64_t ns)
{
    const struct cluster_node *n = &c->nodes[CLUSTER_LEADER];
    uint64_t end_ns = c->world.now_ns + ns;
    while (c->world.now_ns < end_ns && c->world.failed_check == NULL) {
        if (n->state == NODE_UP && n->db->receiver != NULL) return;
        if (!world_step(&c->world)) return;
    }
}

static void tell_set_back(struct cluster *c)
{
    struct cluster_node *leader = &c->nodes[CLUSTER_LEADER];
    c->plan.retain_segments = UINT32_MAX;
    work_for(c, NS_PER_S / 2);
    disk_copy(&c->backup, &leader->machine.disk);
    work_for(c, 2 * NS_PER_S);
    play_settle(c);
    if (c->world.failed_check != NULL) return;
    uint64_t held = leader->durable_peak;
    c->is_leader_set_back = true;
    faults_restore(c, CLUSTER_LEADER, &c->backup);
    for (uint64_t deaths = draw(c, 0, 3); deaths > 0; deaths--) {
        play_until_fetching(c, 20 * NS_PER_S);
        cluster_plan_death(c, CLUSTER_LEADER, draw(c, 1, 4), draw(c, 0, 3) > 0);
        play_for(c, NS_PER_S / 10);
    }
    play_settle(c);
    if (c->world.failed_check != NULL) return;
    if (leader->durable_peak < held) {
        world_fail(&c->world, "lost",
                   "the leader has %" PRIu64 " records, its followers had %" PRIu64,
                   leader->durable_peak, held);
    }
    work_for(c, NS_PER_S / 2);
    play_settle(c);
    play_audit(c);
}

/* --- pruned: a log that is sealed, checkpointed and pruned all the time, and killed in between ---
 */

static uint64_t leader_oldest(const struct cluster *c)
{
    const struct cluster_node *n = &c->nodes[CLUSTER_LEADER];
    return n->state == NODE_UP ? log_oldest(n->db->log).v : 0;
}

/* Until the leader's log begins later than it does now, but no longer than `ns`. */
static void play_until_pruned(struct cluster *c, uint64_t ns)
{
    uint64_t end_ns = c->world.now_ns + ns;
    uint64_t oldest = leader_oldest(c);
    while (c->world.failed_check == NULL && c->world.now_ns < end_ns &&
           leader_oldest(c) == oldest) {
        play_until(c, c->world.now_ns + NS_PER_MS / 4);
    }
}

/* Lives end soon after a prune, often after two in a row: what was done to files and to identity
 * lies close together there. */
static void tell_pruned(struct cluster *c)
{
    enum { LIVES = 60 };
    c->plan.retain_segments = 1;
    c->plan.mark_interval_ms = 20;
    c->plan.seal_interval_ms = 10;
    c->plan.checkpoint_log_bytes = 4 * KIB;
    c->nodes[CLUSTER_LEADER].machine.pace.job_mean_ns = 4 * NS_PER_MS;
    uint64_t oldest = 1;
    for (uint32_t life = 0; life < LIVES && c->world.failed_check == NULL; life++) {
        work_for(c, draw(c, 50, 500) * NS_PER_MS);
        play_until_pruned(c, NS_PER_S);
        play_until_pruned(c, 20 * NS_PER_MS);
        play_until(c, c->world.now_ns + draw(c, 0, 8) * NS_PER_MS);
        if (c->nodes[CLUSTER_LEADER].state != NODE_UP) continue; /* not back yet */
        if (leader_oldest(c) > oldest) oldest = leader_oldest(c);
        cluster_kill(c, CLUSTER_LEADER, draw(c, 0, 1) == 0);
    }
    play_settle(c);
    play_audit(c);
    if (c->world.failed_check == NULL && oldest == 1) {
        world_fail(&c->world, "pruned", "nothing was ever pruned");
    }
}

/* --- away: the log is kept for a follower that is away while much is written and pruned --- */

static void tell_away(struct cluster *c)
{
    enum { LIVES = 4 };
    const uint32_t follower = 1;
    uint64_t prunes = 0;
    c->plan.is_local = true;
    c->plan.retain_segments = 1;
    c->plan.mark_interval_ms = 20;
    c->plan.seal_interval_ms = 10;
    c->plan.checkpoint_log_bytes = 4 * KIB;
    for (uint32_t life = 0; life < LIVES && c->world.failed_check == NULL; life++) {
        work_for(c, draw(c, 100, 400) * NS_PER_MS);
        play_settle(c);
        prunes = c->world.coverage.prunes;
        c->net.is_cut[CLUSTER_LEADER][follower] = c->net.is_cut[follower][CLUSTER_LEADER] = true;
        if (draw(c, 0, 1) == 0) cluster_kill(c, follower, draw(c, 0, 1) == 0);
        work_for(c, draw(c, 3, 6) * NS_PER_S);
        c->net.is_cut[CLUSTER_LEADER][follower] = c->net.is_cut[follower][CLUSTER_LEADER] = false;
        play_settle(c);
    }
    play_audit(c);
    if (c->world.failed_check == NULL && prunes == 0) {
        world_fail(&c->world, "pruned", "nothing was ever pruned");
    }
}

/* --- clock: the leader's wall clock jumps by a day and runs wrong while it is written to --- */

static void tell_clock(struct cluster *c)
{
    static const int64_t offsets_ms[] = {86400000, -86400000, 0, 9000, -9000, 86400000};
    struct machine *leader = &c->nodes[CLUSTER_LEADER].machine;
    work_for(c, NS_PER_S / 2);
    for (size_t i = 0; i < COUNT_OF(offsets_ms) && c->world.failed_check == NULL; i++) {
        c->world.coverage.clock_jumps++;
        machine_set_wall(leader, offsets_ms[i], (int64_t)draw(c, 0, 2) * 5000 - 5000);
        work_for(c, NS_PER_S);
        play_settle(c);
        play_audit(c);
        play_for(c, 60 * NS_PER_S);
    }
    /* A process that starts again meets a clock that is a day behind its log: it stands still. */
    machine_set_wall(leader, -86400000, 0);
    cluster_kill(c, CLUSTER_LEADER, draw(c, 0, 1) == 0);
    work_for(c, 2 * NS_PER_S);
    play_settle(c);
    play_audit(c);
    bool is_standing = c->nodes[CLUSTER_LEADER].clock.state == LEADER_TIME_STANDING;
    if (!is_standing && c->world.failed_check == NULL) {
        world_fail(&c->world, "clock", "leader time does not stand still behind its log");
    }
}

/* --- idle: what nodes write when nobody does --- */

static uint64_t leader_assigned(const struct cluster *c)
{
    return write_assigned(c->nodes[CLUSTER_LEADER].db->write).v;
}

static void fail_idle(struct cluster *c, uint32_t node, uint64_t calls, uint64_t records)
{
    if (c->world.failed_check != NULL) return;
    world_fail(&c->world, "idle",
               "node %u changed its files %llu times while idle; its log grew by %llu records",
               node, (unsigned long long)calls, (unsigned long long)records);
}

/* Nothing is written for so long, by any node. */
static void stay_silent(struct cluster *c, uint64_t ns)
{
    uint64_t before[WORLD_NODES_MAX];
    uint64_t assigned = leader_assigned(c);
    for (uint32_t i = 0; i < c->node_count; i++) {
        before[i] = c->nodes[i].machine.disk.change_calls;
    }
    play_for(c, ns);
    for (uint32_t i = 0; i < c->node_count && c->world.failed_check == NULL; i++) {
        uint64_t calls = c->nodes[i].machine.disk.change_calls - before[i];
        if (calls != 0) fail_idle(c, i, calls, leader_assigned(c) - assigned);
    }
}

/* What a node wrote while nobody did. */
struct idle_figures {
    uint64_t ticks;
    uint64_t calls[WORLD_NODES_MAX];
};

/* One minute of it: at most one tick, and where there is none the leader is silent (a follower may
 * be a little behind); no checkpoint. */
static void idle_minute(struct cluster *c, struct idle_figures *sum)
{
    uint64_t before[WORLD_NODES_MAX];
    struct checkpointer_status cut[WORLD_NODES_MAX];
    uint64_t assigned = leader_assigned(c);
    for (uint32_t i = 0; i < c->node_count; i++) {
        before[i] = c->nodes[i].machine.disk.change_calls;
        checkpointer_status(c->nodes[i].db->checkpointer, &cut[i]);
    }
    play_for(c, 60 * NS_PER_S);
    if (c->world.failed_check != NULL) return;
    uint64_t ticks = leader_assigned(c) - assigned;
    sum->ticks += ticks;
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct checkpointer_status now;
        uint64_t calls = c->nodes[i].machine.disk.change_calls - before[i];
        sum->calls[i] += calls;
        checkpointer_status(c->nodes[i].db->checkpointer, &now);
        bool is_cut = now.checkpoint_seqno.v != cut[i].checkpoint_seqno.v;
        bool is_silent = calls == 0 || ticks > 0 || i != CLUSTER_LEADER;
        if (ticks > 1 || is_cut || !is_silent) fail_idle(c, i, calls, ticks);
    }
}

/* A tick costs a write of the log and of its mark, here and there a slot's restart point; once, at
 * the first after a seal, a new segment with its spare and both copies of identity. */
static void only_tick(struct cluster *c, uint64_t ns, struct idle_figures *sum)
{
    enum { CALLS_PER_TICK_MAX = 4, CALLS_PER_SEGMENT_MAX = 24 };
    uint64_t end_ns = c->world.now_ns + ns;
    while (c->world.failed_check == NULL && c->world.now_ns < end_ns) {
        idle_minute(c, sum);
    }
    for (uint32_t i = 0; i < c->node_count; i++) {
        bool is_much = sum->calls[i] > CALLS_PER_SEGMENT_MAX + CALLS_PER_TICK_MAX * sum->ticks;
        if (is_much) fail_idle(c, i, sum->calls[i], sum->ticks);
    }
}

static void tell_idle(struct cluster *c)
{
    c->plan.turn_mean_ns = 3600 * NS_PER_S; /* clients come once and then hardly look */
    c->plan.heartbeat_ms = 5000;
    if (c->world.seed % 2 == 1) { /* by segment */
        c->plan.ship_interval_ms = 10000;
        c->plan.seal_interval_ms = 2000;
    }
    play_settle(c);
    play_for(c, 30 * NS_PER_S); /* spare segments are made ready */
    if (c->world.failed_check != NULL) return;
    stay_silent(c, 3 * 3600 * NS_PER_S);
    c->plan.turn_mean_ns = 10 * NS_PER_MS;
    clients_begin(c);
    work_for(c, NS_PER_S);
    play_settle(c); /* by segment a copy takes longer than a write waits for: it is asked again */
    c->plan.turn_mean_ns = 24 * 3600 * NS_PER_S;
    play_for(c, 60 * NS_PER_S); /* the mark, its digest, the checkpoint that the writes cause */
    if (c->world.failed_check != NULL) return;
    struct idle_figures sum = {0};
    only_tick(c, UINT64_C(9) * 24 * 3600 * NS_PER_S, &sum);
    if (c->world.failed_check == NULL && (sum.ticks == 0 || sum.ticks > 20)) {
        world_fail(&c->world, "idle", "%llu ticks for the windows of one second of events",
                   (unsigned long long)sum.ticks);
    }
    for (uint32_t i = 0; i < c->node_count && c->world.failed_check == NULL; i++) {
        client_digest(c, i);
    }
    play_for(c, 5 * NS_PER_S);
    stay_silent(c, 24 * 3600 * NS_PER_S); /* every window is empty again */
}

/* --- the list --- */

struct story {
    const char *name;
    void (*tell)(struct cluster *c);
    uint32_t node_count;
    uint64_t count; /* seeds by default */
};

static const struct story stories[] = {
    {"rot", tell_rot, 1, 60},
    {"rot-state", tell_rot_state, 1, 60},
    {"rot-follower", tell_rot_follower, 2, 40},
    {"rot-shipped", tell_rot_shipped, 2, 40},
    {"wiped", tell_wiped, 2, 5},
    {"older", tell_older, 2, 5},
    {"set-back", tell_set_back, 3, 40},
    {"pruned", tell_pruned, 1, 20},
    {"away", tell_away, 2, 10},
    {"clock", tell_clock, 2, 10},
    {"idle", tell_idle, 3, 2}, /* odd seeds ship by segment */
};

const char *story_name(size_t i)
{
    return i < COUNT_OF(stories) ? stories[i].name : NULL;
}

static const struct story *find_story(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(stories); i++) {
        if (strcmp(stories[i].name, name) == 0) return &stories[i];
    }
    return NULL;
}

uint64_t story_count(const char *name)
{
    const struct story *story = find_story(name);
    return story == NULL ? 0 : story->count;
}

static void fill_plan(const struct story *story, struct plan *p)
{
    *p = (struct plan){
        .node_count = story->node_count,
        .client_count = 2,
        .turn_mean_ns = 10 * NS_PER_MS,
        .net_mean_ns = NS_PER_MS,
        .disk_mean_ns = NS_PER_MS / 2,
        .segment_size = SEGMENT_SIZE_MIN,
        .mark_interval_ms = 200,
        .checkpoint_log_bytes = 16 * KIB,
        .tail_buffer = 64 * KIB,
        .heartbeat_ms = 200,
        .runs_max = 64,
    };
}

bool story_run(const char *name, uint64_t seed, const struct history_options *options,
               struct history_result *out)
{
    const struct story *story = find_story(name);
    if (story == NULL) return false;
    struct cluster *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    struct plan plan;
    fill_plan(story, &plan);
    cluster_init(c, seed, &plan);
    c->world.is_tracing = options->is_tracing;
    c->world.is_trace_dense = options->is_trace_dense;
    history_now = (struct history_now){.seed = seed, .now_ns = &c->world.now_ns};
    for (uint32_t i = 0; i < c->node_count; i++) {
        cluster_plan_start(c, i, i * 10 * NS_PER_MS, true);
    }
    clients_begin(c);
    story->tell(c);
    history_finish(c, out);
    free(c);
    return true;
}
