/* machine: the env of a simulated node. */
#include "sim/machine.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"

struct machine_timer {
    struct machine_timer *next;
    struct machine_timer *previous;
    struct env_timer *timer;
    struct machine *machine;
    uint64_t armed; /* number of the newest start; an event of an older one is stale */
    bool is_armed;
};

static struct machine *machine_of(struct env *env)
{
    return CONTAINER_OF(env, struct machine, env);
}

/* --- clocks, randomness --- */

uint64_t machine_mono_ns(const struct machine *m)
{
    uint64_t passed_ns = m->world->now_ns - m->booted_ns;
    return passed_ns + NS_PER_S +
           (uint64_t)((int64_t)(passed_ns / 1000) * m->mono_drift_ppm / 1000);
}

int64_t machine_wall_ms(const struct machine *m)
{
    int64_t since_ms = (int64_t)((m->world->now_ns - m->wall_set_ns) / NS_PER_MS);
    int64_t drifted_ms = since_ms * m->wall_drift_ppm / 1000000;
    return MACHINE_WALL_START_MS + (int64_t)(m->world->now_ns / NS_PER_MS) + m->wall_offset_ms +
           drifted_ms;
}

void machine_set_wall(struct machine *m, int64_t offset_ms, int64_t drift_ppm)
{
    m->wall_offset_ms = offset_ms;
    m->wall_drift_ppm = drift_ppm;
    m->wall_set_ns = m->world->now_ns;
}

static uint64_t env_now_mono_ns(struct env *env)
{
    return machine_mono_ns(machine_of(env));
}

static int64_t env_now_wall_ms(struct env *env)
{
    return machine_wall_ms(machine_of(env));
}

static uint64_t env_random(struct env *env)
{
    return random_next(&machine_of(env)->world->random[STREAM_ENV]);
}

/* --- tasks and timers --- */

static void run_task(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    (void)number;
    struct env_task *task = arg;
    atomic_store(&task->is_queued, 0);
    task->run(task);
}

static void env_post(struct env *env, struct env_task *task)
{
    struct machine *m = machine_of(env);
    if (m->is_dying || atomic_exchange(&task->is_queued, 1) != 0) return;
    world_schedule(m->world, 1000, EVENT_POST, m->node, run_task, task, 0);
}

static void run_timer(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    struct machine_timer *t = arg;
    if (!t->is_armed || t->armed != number) return;
    t->is_armed = false;
    t->timer->fire(t->timer);
}

static void env_timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns)
{
    struct machine *m = machine_of(env);
    if (m->is_dying) return;
    struct machine_timer *t = timer->impl;
    if (t == NULL) {
        t = calloc(1, sizeof(*t));
        ASSERT(t != NULL);
        *t = (struct machine_timer){.next = m->timers, .timer = timer, .machine = m};
        if (m->timers != NULL) m->timers->previous = t;
        m->timers = t;
        timer->impl = t;
        timer->env = env;
    }
    t->is_armed = true;
    t->armed++;
    /* The real loop has a granularity of a millisecond and is never early. */
    uint64_t late = world_draw_range(m->world, STREAM_CLOCKS, 0, NS_PER_MS);
    if (delay_ns > UINT64_MAX / 4) delay_ns = UINT64_MAX / 4;
    delay_ns -= (uint64_t)((int64_t)(delay_ns / 1000) * m->mono_drift_ppm / 1000);
    world_schedule(m->world, delay_ns + late, EVENT_TIMER, m->node, run_timer, t, t->armed);
}

static void env_timer_stop(struct env *env, struct env_timer *timer)
{
    (void)env;
    struct machine_timer *t = timer->impl;
    if (t != NULL) t->is_armed = false;
}

/* The memory stays until the process ends, because a stale event may still point at it. */
static void env_timer_close(struct env *env, struct env_timer *timer)
{
    env_timer_stop(env, timer);
    timer->impl = NULL;
}

/* --- jobs --- */

static void run_job_done(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    (void)number;
    struct env_job *job = arg;
    job->done(job);
}

static void run_job(struct world *w, void *arg, uint64_t number)
{
    struct env_job *job = arg;
    struct machine *m = (struct machine *)(void *)job->next;
    job->next = NULL;
    m->is_in_job = true;
    job->run(job);
    m->is_in_job = false;
    if (m->is_dying) return;
    uint64_t at = w->now_ns + world_draw_delay(w, STREAM_DISK, m->pace.done_mean_ns);
    if (number == LANE_LOG) {
        if (at < m->log_done_ns) at = m->log_done_ns;
        m->log_done_ns = at;
    }
    world_schedule(w, at - w->now_ns, EVENT_JOB_DONE, m->node, run_job_done, job, number);
}

static void env_submit(struct env *env, enum env_lane lane, struct env_job *job)
{
    struct machine *m = machine_of(env);
    struct world *w = m->world;
    if (m->is_dying) return;
    uint64_t *free_ns = lane == LANE_READ ? &m->read_free_ns : &m->log_free_ns;
    if (lane == LANE_BACKGROUND) {
        free_ns = &m->background_free_ns[0];
        for (size_t i = 1; i < MACHINE_BACKGROUND_THREADS; i++) {
            if (m->background_free_ns[i] < *free_ns) free_ns = &m->background_free_ns[i];
        }
    }
    uint64_t at = *free_ns > w->now_ns ? *free_ns : w->now_ns;
    at += world_draw_delay(w, STREAM_DISK, m->pace.job_mean_ns);
    if (world_draw_chance(w, STREAM_DISK, m->pace.stalls)) {
        w->coverage.stalls++;
        at += world_draw_range(w, STREAM_DISK, NS_PER_S / 10, m->pace.stall_max_ns);
    }
    *free_ns = at;
    job->lane = lane;
    /* The field is the env's while the job is queued; here it leads back to the machine. */
    job->next = (struct env_job *)(void *)m;
    world_schedule(w, at - w->now_ns, EVENT_JOB_RUN, m->node, run_job, job, lane);
}

/* --- files --- */

/* Count a file call. OK: do it, wholly, or in part when the process dies in it (is_dying is set
 * now). E_IO: the process is dead, or dies before the call does anything. */
static enum code count_call(struct machine *m, struct err *e)
{
    if (m->is_dying) return ERR(e, E_IO, "this process has ended");
    if (!m->is_in_job && !m->may_block)
        world_fail(m->world, "env", "a file call on the loop blocks it");
    m->file_calls++;
    if (m->calls_left < 0 || --m->calls_left > 0) return OK;
    m->is_dying = true;
    if (world_draw_chance(m->world, STREAM_FAULTS, 500000)) return OK;
    return ERR(e, E_IO, "this process has ended");
}

static enum code env_open(struct env *env, const char *path, unsigned flags, struct env_file **out,
                          struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_open(&m->disk, path, flags, out, e);
}

static void env_close(struct env *env, struct env_file *file)
{
    struct machine *m = machine_of(env);
    if (!m->is_dying) disk_close(&m->disk, file); /* else with all others when it is buried */
}

static enum code env_pwrite(struct env *env, struct env_file *file, uint64_t offset,
                            struct slice bytes, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    if (m->is_dying)
        bytes.size = disk_cut_write(offset, bytes.size, &m->world->random[STREAM_FAULTS]);
    enum code code = disk_write(&m->disk, file, offset, bytes, e);
    if (!env_has_room_now(env, code)) return code;
    return disk_write(&m->disk, file, offset, bytes, e);
}

static enum code env_pread(struct env *env, struct env_file *file, uint64_t offset, void *out,
                           size_t size, size_t *out_read, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_read(&m->disk, file, offset, out, size, out_read, e);
}

static enum code env_sync(struct env *env, struct env_file *file, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_sync(&m->disk, file, e);
}

static enum code env_truncate(struct env *env, struct env_file *file, uint64_t size, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_truncate(&m->disk, file, size, e);
}

static enum code env_size(struct env *env, struct env_file *file, uint64_t *out, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    *out = disk_size(file);
    return OK;
}

static enum code env_rename(struct env *env, const char *from, const char *to, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_rename(&m->disk, from, to, e);
}

static enum code env_unlink(struct env *env, const char *path, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_unlink(&m->disk, path, e);
}

static enum code env_make_dir(struct env *env, const char *path, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_make_dir(&m->disk, path, e);
}

static enum code env_sync_dir(struct env *env, const char *path, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_sync_dir(&m->disk, path, e);
}

static enum code env_list(struct env *env, const char *path, struct env_dirent **out,
                          size_t *out_count, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    return disk_list(&m->disk, path, out, out_count, e);
}

static enum code env_lock(struct env *env, struct err *e)
{
    struct machine *m = machine_of(env);
    TRY(count_call(m, e));
    if (m->disk.is_locked) return ERR(e, E_INUSE, "the directory is in use by process 1");
    m->disk.is_locked = true;
    return OK;
}

static enum code env_disk_free(struct env *env, uint64_t *out_bytes, struct err *e)
{
    struct machine *m = machine_of(env);
    if (m->is_dying) return ERR(e, E_IO, "this process has ended");
    *out_bytes = m->disk.faults.is_full ? 0 : m->disk.free_bytes;
    return OK;
}

/* --- links --- */

static enum code env_listen(struct env *env, const char *address, env_accept accept, void *arg,
                            struct env_listener **out, uint16_t *out_port, struct err *e)
{
    struct machine *m = machine_of(env);
    if (m->is_dying) return ERR(e, E_IO, "this process has ended");
    return simnet_listen(m->net, m->node, address, accept, arg, out, out_port, e);
}

static void env_unlisten(struct env *env, struct env_listener *listener)
{
    struct machine *m = machine_of(env);
    if (!m->is_dying) simnet_unlisten(m->net, listener);
}

static struct env_link *env_connect(struct env *env, const char *address,
                                    const struct env_link_events *events, void *arg)
{
    struct machine *m = machine_of(env);
    if (m->is_dying) return simnet_dead_link(m->net, m->node);
    return simnet_connect(m->net, m->node, address, events, arg);
}

static void env_link_send(struct env *env, struct env_link *link, const struct slice *pieces,
                          size_t count, void (*release)(void *), void *release_arg)
{
    if (!machine_of(env)->is_dying) {
        simnet_send(link, pieces, count, release, release_arg);
    } else if (release != NULL) {
        release(release_arg);
    }
}

static size_t env_link_queued(struct env *env, struct env_link *link)
{
    (void)env;
    return simnet_queued(link);
}

static void env_link_pause(struct env *env, struct env_link *link, bool is_paused)
{
    if (!machine_of(env)->is_dying) simnet_pause(link, is_paused);
}

static void env_link_close(struct env *env, struct env_link *link)
{
    if (!machine_of(env)->is_dying) simnet_close(link);
}

static const char *env_link_describe(struct env *env, struct env_link *link)
{
    (void)env;
    return simnet_describe(link);
}

static const struct env_vtable machine_vtable = {
    .now_mono_ns = env_now_mono_ns,
    .now_wall_ms = env_now_wall_ms,
    .random = env_random,
    .post = env_post,
    .timer_start = env_timer_start,
    .timer_stop = env_timer_stop,
    .timer_close = env_timer_close,
    .submit = env_submit,
    .open = env_open,
    .close = env_close,
    .pwrite = env_pwrite,
    .pread = env_pread,
    .sync = env_sync,
    .truncate = env_truncate,
    .size = env_size,
    .rename = env_rename,
    .unlink = env_unlink,
    .make_dir = env_make_dir,
    .sync_dir = env_sync_dir,
    .list = env_list,
    .lock = env_lock,
    .disk_free = env_disk_free,
    .listen = env_listen,
    .unlisten = env_unlisten,
    .connect = env_connect,
    .link_send = env_link_send,
    .link_queued = env_link_queued,
    .link_pause = env_link_pause,
    .link_close = env_link_close,
    .link_describe = env_link_describe,
};

/* --- lives --- */

void machine_init(struct machine *m, struct world *world, struct simnet *net, uint32_t node)
{
    *m = (struct machine){
        .env = {.v = &machine_vtable},
        .world = world,
        .net = net,
        .node = node,
        .pace = {.job_mean_ns = NS_PER_MS, .done_mean_ns = NS_PER_MS / 10},
        .calls_left = -1,
    };
    disk_init(&m->disk, &world->random[STREAM_DISK], &world->coverage);
}

static void free_timers(struct machine *m)
{
    while (m->timers != NULL) {
        struct machine_timer *t = m->timers;
        m->timers = t->next;
        free(t);
    }
}

void machine_fini(struct machine *m)
{
    free_timers(m);
    disk_fini(&m->disk);
}

void machine_begins(struct machine *m, bool is_boot)
{
    if (is_boot) m->booted_ns = m->world->now_ns;
    m->is_dying = false;
    m->may_block = false;
    m->log_free_ns = 0;
    m->read_free_ns = 0;
    m->log_done_ns = 0;
    memset(m->background_free_ns, 0, sizeof(m->background_free_ns));
    world_life_begins(m->world, m->node);
    simnet_node_begins(m->net, m->node);
}

void machine_stops(struct machine *m, bool is_power_cut)
{
    m->is_dying = true;
    m->calls_left = -1;
    simnet_node_ends(m->net, m->node, is_power_cut);
}

void machine_ended(struct machine *m, bool is_power_cut)
{
    world_life_ends(m->world, m->node);
    free_timers(m);
    if (is_power_cut) {
        disk_cut_power(&m->disk);
    } else {
        disk_end_process(&m->disk);
    }
}
