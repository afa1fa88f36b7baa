/* story: the scripts. */
#include "sim/story.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "format/limits.h"
#include "sim/checks.h"
#include "sim/client.h"
#include "sim/faults.h"

#define SETTLE_MAX_NS (120 * NS_PER_S)
#define TICK_NS       (50 * NS_PER_MS)

/* --- what scripts are made of --- */

static void play_until(struct cluster *c, uint64_t until_ns)
{
    struct world *w = &c->world;
    while (w->failed_check == NULL && w->event_count > 0 && w->events[0].at_ns <= until_ns) {
        (void)world_step(w);
    }
    if (w->failed_check == NULL && w->now_ns < until_ns) w->now_ns = until_ns;
}

static void play_for(struct cluster *c, uint64_t ns)
{
    uint64_t end_ns = c->world.now_ns + ns;
    while (c->world.failed_check == NULL && c->world.now_ns < end_ns) {
        play_until(c, c->world.now_ns + TICK_NS);
        check_tick(c);
    }
}

/* Clients stop asking for new things; wait until everything agrees. */
static void settle(struct cluster *c)
{
    char why[256] = "";
    uint64_t end_ns = c->world.now_ns + SETTLE_MAX_NS;
    c->is_quiet = true;
    while (c->world.failed_check == NULL && !check_is_converged(c, why, sizeof(why))) {
        play_for(c, TICK_NS);
        if (c->world.now_ns >= end_ns) world_fail(&c->world, "liveness", "%s", why);
    }
}

static void audit_all(struct cluster *c)
{
    for (uint32_t i = 0; i < c->node_count && c->world.failed_check == NULL; i++) {
        client_audit(c, i);
    }
    uint64_t end_ns = c->world.now_ns + SETTLE_MAX_NS;
    while (c->world.failed_check == NULL && client_audits_pending(c) > 0) {
        play_for(c, TICK_NS);
        if (c->world.now_ns >= end_ns) world_fail(&c->world, "answered", "an audit has no answer");
    }
}

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

/* Some file of the node, the log's ones likelier. */
static const char *draw_path(struct cluster *c, const struct disk *d)
{
    const char *chosen = NULL;
    uint64_t weight = 0;
    for (size_t i = 0; i < d->entry_count; i++) {
        const char *path = d->entries[i].path;
        uint64_t size = disk_durable_size(d, path);
        if (size == 0) continue;
        uint64_t mine = strncmp(path, "log/", 4) == 0 ? 8 : 1;
        weight += mine;
        if (draw(c, 1, weight) <= mine) chosen = path;
    }
    return chosen;
}

/* Let the node die, damage one bit of one of its files, and let it come back. */
static void flip_a_bit(struct cluster *c, uint32_t node)
{
    struct disk *d = &c->nodes[node].machine.disk;
    cluster_kill(c, node, draw(c, 0, 1) == 0);
    const char *path = draw_path(c, d);
    ASSERT(path != NULL);
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
static void tell_rot(struct cluster *c)
{
    work_for(c, NS_PER_S / 2 + draw(c, 0, 2 * NS_PER_S));
    settle(c);
    if (c->world.failed_check != NULL) return;
    flip_a_bit(c, CLUSTER_LEADER);
    play_for(c, 20 * NS_PER_S);
    if (c->world.failed_check != NULL) return;
    if (c->nodes[CLUSTER_LEADER].state == NODE_UP) { /* check_after_open saw that all is there */
        settle(c);
        audit_all(c);
    } else {
        check_refusal(c);
    }
}

/* The same on a follower: it comes back with everything it had, or refuses; what it shows later is
 * what its leader has. */
static void tell_rot_follower(struct cluster *c)
{
    work_for(c, NS_PER_S / 2 + draw(c, 0, 2 * NS_PER_S));
    settle(c);
    if (c->world.failed_check != NULL) return;
    flip_a_bit(c, 1);
    work_for(c, 5 * NS_PER_S);
    if (c->world.failed_check != NULL) return;
    if (c->nodes[1].state == NODE_UP) {
        settle(c);
        audit_all(c);
    } else if (c->nodes[1].state == NODE_DOWN) {
        check_refusal(c);
    }
}

/* A bit of the leader's old segments, which a follower needs that lost its disk: it never takes
 * other records for the leader's; whether it gets any is another question. */
static void tell_rot_shipped(struct cluster *c)
{
    work_for(c, 2 * NS_PER_S);
    settle(c);
    if (c->world.failed_check != NULL) return;
    flip_a_bit(c, CLUSTER_LEADER);
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
    work_for(c, NS_PER_S);
    settle(c);
    work_for(c, NS_PER_S / 10);
    faults_wipe(c, 1);
    work_for(c, draw(c, 0, 2) * NS_PER_S);
    settle(c);
    audit_all(c);
}

/* --- older: a follower that was set back to an older copy of itself --- */

static void tell_older(struct cluster *c)
{
    work_for(c, NS_PER_S / 2);
    disk_copy(&c->backup, &c->nodes[1].machine.disk);
    work_for(c, NS_PER_S / 2);
    settle(c);
    faults_restore(c, 1, &c->backup);
    work_for(c, draw(c, 0, 2) * NS_PER_S);
    settle(c);
    audit_all(c);
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
    {"rot-follower", tell_rot_follower, 2, 40},
    {"rot-shipped", tell_rot_shipped, 2, 40},
    {"wiped", tell_wiped, 2, 5},
    {"older", tell_older, 2, 5},
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
