/* faults: mishaps and their repair. */
#include "sim/faults.h"

#include "engine/role.h"
#include "sim/operator.h"

static uint64_t draw(struct cluster *c, uint64_t from, uint64_t to)
{
    return world_draw_range(&c->world, STREAM_FAULTS, from, to);
}

static uint32_t draw_node(struct cluster *c)
{
    return (uint32_t)draw(c, 0, c->node_count - 1);
}

static uint32_t draw_follower(struct cluster *c)
{
    uint32_t node = (uint32_t)draw(c, 0, c->node_count - 2);
    return node >= c->leader ? node + 1 : node;
}

/* --- rates --- */

/* The monotonic clocks of two machines never run alike. */
static void drift_clock(struct cluster *c, struct machine *m)
{
    m->mono_drift_ppm = (int64_t)world_draw_range(&c->world, STREAM_CLOCKS, 0, 1000) - 500;
    c->world.coverage.drifts += m->mono_drift_ppm != 0;
}

static void set_rates(struct cluster *c)
{
    const struct plan *p = &c->plan;
    uint32_t rate = p->rate;
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct machine *m = &c->nodes[i].machine;
        m->pace.job_mean_ns = p->disk_mean_ns;
        m->pace.done_mean_ns = p->disk_mean_ns / 10;
        m->pace.stall_max_ns = 3 * NS_PER_S;
        m->pace.stalls = plan_has(p, FAULT_STALL) ? 1000 * rate : 0;
        m->disk.faults.sync_fails = plan_has(p, FAULT_SYNC) ? 300 * rate : 0;
        m->disk.faults.write_fails = plan_has(p, FAULT_WRITE) ? 100 * rate : 0;
        m->disk.faults.read_fails = plan_has(p, FAULT_READ) ? 200 * rate : 0;
        m->disk.faults.cache_drops = 300000;
        if (plan_has(p, FAULT_DRIFT)) drift_clock(c, m);
        if (i != p->victim) continue;
        m->disk.faults.sync_lies = plan_has(p, FAULT_LIE) ? 5000 * rate : 0;
        m->disk.faults.writes_lost = plan_has(p, FAULT_LOST) ? 200 * rate : 0;
        m->disk.faults.writes_astray = plan_has(p, FAULT_ASTRAY) ? 200 * rate : 0;
    }
    c->net.faults = (struct simnet_faults){
        .delay_mean_ns = p->net_mean_ns,
        .drops = plan_has(p, FAULT_DROP) ? 1000 * rate : 0,
        .duplicates = plan_has(p, FAULT_DUPLICATE) ? 1000 * rate : 0,
        .splits = 100000,
        .reorders = plan_has(p, FAULT_REORDER) ? 5000 * rate : 0,
        .slow = plan_has(p, FAULT_SLOW) ? 5000 * rate : 0,
        .corruptions = plan_has(p, FAULT_CORRUPT) ? 200 * rate : 0,
    };
}

/* --- repairs --- */

static void run_heal(struct world *w, void *arg, uint64_t number)
{
    (void)arg;
    struct cluster *c = cluster_of(w);
    uint32_t from = (uint32_t)(number / WORLD_NODES_MAX);
    uint32_t to = (uint32_t)(number % WORLD_NODES_MAX);
    if (!c->net.is_cut[from][to] || operator_keeps_cut(c, from) || operator_keeps_cut(c, to))
        return;
    c->net.is_cut[from][to] = false;
    world_trace(w, WORLD_NO_NODE, "healed n%u -> n%u", from, to);
}

static void run_free_disk(struct world *w, void *arg, uint64_t number)
{
    struct cluster *c = cluster_of(w);
    (void)arg;
    c->nodes[number].machine.disk.faults.is_full = false;
    world_trace(w, (uint32_t)number, "disk has room again");
}

/* --- mishaps --- */

static void cut_links(struct cluster *c)
{
    uint32_t a = c->leader;
    uint32_t b = draw_follower(c);
    uint64_t how = draw(c, 0, 2); /* 0: both ways, 1: to the follower, 2: to the leader */
    uint64_t duration = draw(c, NS_PER_S / 10, draw(c, 0, 1) == 0 ? 2 * NS_PER_S : 8 * NS_PER_S);
    c->world.coverage.partitions++;
    c->world.coverage.one_way_partitions += how != 0;
    if (how != 2) c->net.is_cut[a][b] = true;
    if (how != 1) c->net.is_cut[b][a] = true;
    world_trace(&c->world, WORLD_NO_NODE, "cut n%u %s n%u", a,
                how == 0 ? "<->" : (how == 1 ? "->" : "<-"), b);
    uint64_t forward = (uint64_t)a * WORLD_NODES_MAX + b;
    uint64_t backward = (uint64_t)b * WORLD_NODES_MAX + a;
    world_schedule(&c->world, duration, EVENT_REPAIR, WORLD_NO_NODE, run_heal, c, forward);
    world_schedule(&c->world, duration, EVENT_REPAIR, WORLD_NO_NODE, run_heal, c, backward);
}

static void clog_link(struct cluster *c)
{
    uint32_t a = draw_node(c);
    uint32_t b = draw_node(c);
    uint64_t until_ns = c->world.now_ns + draw(c, NS_PER_S / 10, 4 * NS_PER_S);
    c->world.coverage.clogs++;
    c->net.clogged_until_ns[a][b] = until_ns;
    world_trace(&c->world, WORLD_NO_NODE, "clogged n%u -> n%u", a, b);
}

/* Until the faults end, or it is made fast again. */
static void slow_reader(struct cluster *c)
{
    uint32_t node = draw_node(c);
    bool is_slow = c->net.reader_delay_ns[node] != 0;
    c->world.coverage.slow_readers += !is_slow;
    c->net.reader_delay_ns[node] = is_slow ? 0 : draw(c, NS_PER_MS, 200 * NS_PER_MS);
    world_trace(&c->world, node, is_slow ? "reads fast again" : "reads slowly");
}

static void fill_disk(struct cluster *c)
{
    uint32_t node = draw_node(c);
    c->world.coverage.full_disks++;
    c->nodes[node].machine.disk.faults.is_full = true;
    world_trace(&c->world, node, "disk is full");
    world_schedule(&c->world, draw(c, NS_PER_S / 5, 4 * NS_PER_S), EVENT_REPAIR, WORLD_NO_NODE,
                   run_free_disk, c, node);
}

static void pause_node(struct cluster *c)
{
    uint32_t node = draw_node(c);
    if (!world_is_alive(&c->world, node)) return;
    uint64_t duration = draw(c, NS_PER_S / 20, draw(c, 0, 3) == 0 ? 12 * NS_PER_S : NS_PER_S);
    c->world.coverage.pauses++;
    c->world.nodes[node].paused_until_ns = c->world.now_ns + duration;
    world_trace(&c->world, node, "paused for %u ms", (unsigned)(duration / NS_PER_MS));
}

/* While a leader runs its log's time goes with none of these; a day's mistake is kept from a start,
 * where leader time is the wall clock's: by cluster.c, and here while a node asks before it leads.
 */
static void jump_clock(struct cluster *c)
{
    static const int64_t offsets_ms[] = {-86400000, -60000, -9000, -1000,   0,
                                         500,       8000,   60000, 86400000};
    static const int64_t drifts_ppm[] = {0, 0, 0, 200, -200, 20000, -20000};
    uint32_t node = draw_node(c);
    uint64_t chosen = world_draw_range(&c->world, STREAM_CLOCKS, 0, COUNT_OF(offsets_ms) - 1);
    c->world.coverage.clock_jumps++;
    uint64_t speed = world_draw_range(&c->world, STREAM_CLOCKS, 0, COUNT_OF(drifts_ppm) - 1);
    const struct cluster_node *n = &c->nodes[node];
    bool is_starting = n->state == NODE_UP && role_obstacle(n->db) != NULL;
    if (is_starting && chosen == COUNT_OF(offsets_ms) - 1) return;
    machine_set_wall(&c->nodes[node].machine, offsets_ms[chosen], drifts_ppm[speed]);
    world_trace(&c->world, node, "wall clock at %lld ms, drifting %lld ppm",
                (long long)offsets_ms[chosen], (long long)drifts_ppm[speed]);
}

/* One of the next requests for memory of the state is refused. */
static void refuse_memory(struct cluster *c)
{
    uint32_t node = draw_node(c);
    if (c->nodes[node].state != NODE_UP) return;
    c->world.coverage.memory_refusals++;
    atomic_store(&c->nodes[node].alloc.fail_countdown, (int64_t)draw(c, 1, 40));
    world_trace(&c->world, node, "memory will be refused");
}

const char *faults_draw_path(struct cluster *c, const struct disk *d, const char *folder)
{
    const char *chosen = NULL;
    uint64_t weight = 0;
    for (size_t i = 0; i < d->entry_count; i++) {
        const char *path = d->entries[i].path;
        uint64_t size = disk_durable_size(d, path);
        if (size == 0 || strncmp(path, folder, strlen(folder)) != 0) continue;
        uint64_t mine = strncmp(path, "log/", 4) == 0 ? 8 : 1;
        weight += mine;
        if (draw(c, 1, weight) <= mine) chosen = path;
    }
    return chosen;
}

/* One bit of one of the victim's files, the log's likelier, whether it runs or not. */
static void rot_a_bit(struct cluster *c)
{
    uint32_t node = c->plan.victim;
    if (node == WORLD_NO_NODE) return;
    struct disk *d = &c->nodes[node].machine.disk;
    const char *path = faults_draw_path(c, d, "");
    if (path == NULL) return;
    uint64_t offset = draw(c, 0, disk_durable_size(d, path) - 1);
    c->world.coverage.rots++;
    c->nodes[node].is_damaged = true;
    world_trace(&c->world, node, "byte %llu of %s ROTS", (unsigned long long)offset, path);
    (void)disk_flip_bit(d, path, offset, (unsigned)draw(c, 0, 7));
}

/* The node's past counts no more: its disk is another one. */
void faults_forget_past(struct cluster_node *n)
{
    n->history_id = 0;
    n->durable_peak = 0;
    n->applied_peak = 0;
    n->digest_mark = 0;
    n->is_reset = true;
}

static void end_for_new_disk(struct cluster *c, uint32_t node)
{
    if (world_is_alive(&c->world, node)) {
        cluster_kill(c, node, true);
    } else if (!c->nodes[node].is_restart_planned && !c->is_scripted) {
        cluster_plan_start(c, node, cluster_draw_downtime(c), true);
    }
}

void faults_wipe(struct cluster *c, uint32_t node)
{
    end_for_new_disk(c, node);
    c->world.coverage.wipes++;
    world_trace(&c->world, node, "disk WIPED");
    disk_wipe(&c->nodes[node].machine.disk);
    faults_forget_past(&c->nodes[node]);
    c->nodes[node].is_damaged = false;
    c->nodes[node].machine.disk.has_lied = false;
}

void faults_restore(struct cluster *c, uint32_t node, const struct disk *copy)
{
    end_for_new_disk(c, node);
    c->world.coverage.restores++;
    world_trace(&c->world, node, "disk SET BACK to an older copy");
    disk_copy(&c->nodes[node].machine.disk, copy);
    faults_forget_past(&c->nodes[node]);
}

/* First take a copy, some later time put it back. */
static void copy_or_restore(struct cluster *c)
{
    if (c->backup_node == WORLD_NO_NODE) {
        c->backup_node = draw_follower(c);
        disk_copy(&c->backup, &c->nodes[c->backup_node].machine.disk);
        world_trace(&c->world, c->backup_node, "disk copied");
    } else {
        faults_restore(c, c->backup_node, &c->backup);
        c->backup_node = WORLD_NO_NODE;
    }
}

/* One draw after the other: in which order a compiler takes arguments is its own affair. */
static void plan_death(struct cluster *c)
{
    bool is_power_cut = draw(c, 0, 2) != 0;
    uint64_t calls = draw(c, 1, draw(c, 0, 1) == 0 ? 6 : 80);
    cluster_plan_death(c, draw_node(c), calls, is_power_cut);
}

static uint64_t draw_word(struct cluster *c, uint64_t from, uint64_t to)
{
    return world_draw_range(&c->world, STREAM_WORDS, from, to);
}

static uint32_t draw_word_follower(struct cluster *c)
{
    uint32_t node = (uint32_t)draw_word(c, 0, c->node_count - 2);
    return node >= c->leader ? node + 1 : node;
}

/* The leader is told, and starts with it from then on. */
static void change_budget(struct cluster *c)
{
    static const uint64_t records[] = {0, 10, 30, 100, 400, 2000};
    c->plan.budget_records = records[draw_word(c, 0, COUNT_OF(records) - 1)];
    operator_configure(c);
}

static void do_fault(struct cluster *c, enum fault fault)
{
    bool has_followers = c->node_count > 1;
    switch (fault) {
    case FAULT_KILL: cluster_kill(c, draw_node(c), false); break;
    case FAULT_POWER_CUT: cluster_kill(c, draw_node(c), true); break;
    case FAULT_DEATH_AT_IO: plan_death(c); break;
    case FAULT_CLEAN_STOP: cluster_stop(c, draw_node(c)); break;
    case FAULT_FULL: fill_disk(c); break;
    case FAULT_PARTITION:
        if (has_followers) cut_links(c);
        break;
    case FAULT_RESET: (void)simnet_reset_some_link(&c->net); break;
    case FAULT_PAUSE: pause_node(c); break;
    case FAULT_CLOCK: jump_clock(c); break;
    case FAULT_MEMORY: refuse_memory(c); break;
    case FAULT_WIPE:
        if (has_followers && draw(c, 0, 3) == 0) faults_wipe(c, draw_follower(c));
        break;
    case FAULT_RESTORE:
        if (has_followers) copy_or_restore(c);
        break;
    case FAULT_FAILOVER: operator_fail_over(c); break;
    case FAULT_HANDOVER: operator_hand_over(c); break;
    case FAULT_ROT: rot_a_bit(c); break;
    case FAULT_CLOG: clog_link(c); break;
    case FAULT_READER: slow_reader(c); break;
    case FAULT_SLOT_DROP: operator_drop_slot(c, draw_word_follower(c)); break;
    case FAULT_BUDGET: change_budget(c); break;
    case FAULT_LOST: /* rates of the victim */
    case FAULT_ASTRAY:
    case FAULT_LIE:
    case FAULT_REORDER:
    case FAULT_DRIFT:
    case FAULT_SYNC: /* rates, set at the beginning */
    case FAULT_WRITE:
    case FAULT_READ:
    case FAULT_STALL:
    case FAULT_DROP:
    case FAULT_DUPLICATE:
    case FAULT_SLOW:
    case FAULT_CORRUPT:
    case FAULT_COUNT: break;
    }
}

static void run_fault(struct world *w, void *arg, uint64_t number)
{
    struct cluster *c = arg;
    if (c->is_quiet) return;
    enum fault fault = (enum fault)draw(c, 0, FAULT_FIRST_WORD - 1);
    bool has_changes = plan_changes_leaders(&c->plan);
    if (has_changes && draw(c, 0, 9) == 0)
        fault = draw(c, 0, 2) == 0 ? FAULT_HANDOVER : FAULT_FAILOVER;
    if (plan_has(&c->plan, fault)) do_fault(c, fault);
    uint64_t pause = world_draw_delay(w, STREAM_FAULTS, c->plan.fault_mean_ns);
    world_schedule(w, pause, EVENT_FAULT, WORLD_NO_NODE, run_fault, c, number + 1);
}

static void run_word(struct world *w, void *arg, uint64_t number)
{
    struct cluster *c = arg;
    if (c->is_quiet) return;
    enum fault word = (enum fault)draw_word(c, FAULT_FIRST_WORD, FAULT_COUNT - 1);
    if (plan_has(&c->plan, word)) do_fault(c, word);
    uint64_t pause = world_draw_delay(w, STREAM_WORDS, c->plan.fault_mean_ns);
    world_schedule(w, pause, EVENT_FAULT, WORLD_NO_NODE, run_word, c, number + 1);
}

void faults_begin(struct cluster *c)
{
    set_rates(c);
    world_schedule(&c->world, c->plan.fault_mean_ns, EVENT_FAULT, WORLD_NO_NODE, run_fault, c, 0);
    bool has_words = plan_has(&c->plan, FAULT_SLOT_DROP) || plan_has(&c->plan, FAULT_BUDGET);
    if (!has_words || c->node_count < 2) return;
    world_schedule(&c->world, c->plan.fault_mean_ns, EVENT_FAULT, WORLD_NO_NODE, run_word, c, 0);
}

void faults_heal_links(struct cluster *c)
{
    for (uint32_t i = 0; i < c->node_count * c->node_count; i++) {
        uint32_t from = i / c->node_count;
        uint32_t to = i % c->node_count;
        if (operator_keeps_cut(c, from) || operator_keeps_cut(c, to)) continue;
        c->net.is_cut[from][to] = false;
    }
}

void faults_end(struct cluster *c)
{
    faults_heal_links(c);
    memset(c->net.clogged_until_ns, 0, sizeof(c->net.clogged_until_ns));
    memset(c->net.reader_delay_ns, 0, sizeof(c->net.reader_delay_ns));
    c->net.faults = (struct simnet_faults){.delay_mean_ns = c->plan.net_mean_ns, .splits = 10000};
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct machine *m = &c->nodes[i].machine;
        m->pace.stalls = 0;
        m->disk.faults = (struct disk_faults){0};
        m->calls_left = -1;
        atomic_store(&c->nodes[i].alloc.fail_countdown, -1);
        uint64_t *paused_ns = &c->world.nodes[i].paused_until_ns;
        if (*paused_ns > c->world.now_ns) *paused_ns = c->world.now_ns;
    }
}
