/* disk: see disk.h. */
#include "engine/disk.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/taken.h"
#include "core/growth.h"
#include "engine/checkpoint.h"
#include "engine/db_internal.h"
#include "engine/events.h"
#include "engine/log_open.h"
#include "engine/retention.h"
#include "engine/shipper.h"

#define RESERVE_PATH  "reserve"
#define LOOK_NS       NS_PER_S
#define LOOK_NEAR_NS  (250 * NS_PER_MS)
#define LOOK_BYTES    (4 * MIB)      /* of log since the last look */
#define BUILD_WAIT_NS (2 * NS_PER_S) /* after the start, and between tries */
#define BUILD_STEP    MIB
#define BUILD_REST_NS (20 * NS_PER_MS) /* the log's syncs come first */
#define LOSE_EVERY_NS (2 * NS_PER_S)   /* what the last loss freed is seen by then */
#define RESERVE_SHARE 8u               /* of what is free at the start, at most */

enum reserve_state { RESERVE_ABSENT, RESERVE_HELD, RESERVE_GIVING };

struct disk {
    struct db *db;
    struct env_timer timer;
    bool is_started;
    uint64_t unit_bytes;
    struct disk_plan plan;
    uint64_t free_bytes;
    struct growth used; /* how fast the disk fills */
    uint64_t looked_log_bytes;
    uint64_t lost_ns; /* when a slot was given up last */
    /* the reserve */
    _Atomic int state;      /* enum reserve_state; see make_room */
    _Atomic bool was_given; /* it was there once: until it is again no write is taken */
    uint64_t reserve_bytes; /* wanted */
    uint64_t build_due_ns;
    bool is_building;
    uint64_t built; /* bytes written of the one being built */
    struct env_job job;
    enum code code;
};

/* --- the reserve: giving it back, on any thread --- */

/* The space goes back with the file's size; the empty file says to the next start that a reserve
 * was here. Another thread that meets the full disk meanwhile waits for the end of it. Orders of
 * memory: the state is all that threads share; sequentially consistent, this is rare. */
static bool make_room(void *arg)
{
    struct disk *d = arg;
    struct env *env = d->db->env;
    int held = RESERVE_HELD;
    if (!atomic_compare_exchange_strong(&d->state, &held, RESERVE_GIVING)) {
        bool was_giving = held == RESERVE_GIVING;
        while (atomic_load(&d->state) == RESERVE_GIVING) {
        }
        return was_giving;
    }
    struct env_file *file = NULL;
    enum code code = env->v->open(env, RESERVE_PATH, ENV_WRITE, &file, NULL);
    if (code == OK) code = env->v->truncate(env, file, 0, NULL);
    env->v->close(env, file);
    atomic_store(&d->was_given, true);
    atomic_store(&d->state, RESERVE_ABSENT);
    return code == OK;
}

/* --- the reserve: building it, in steps on the background lane --- */

static enum code build_step(struct disk *d)
{
    struct env *env = d->db->env;
    static const uint8_t zeros[64 * KIB];
    struct env_file *file = NULL;
    TRY(env->v->open(env, RESERVE_PATH, ENV_WRITE | ENV_CREATE, &file, NULL));
    enum code code = OK;
    if (d->built == 0) code = env->v->truncate(env, file, 0, NULL);
    uint64_t end =
        d->built + BUILD_STEP < d->reserve_bytes ? d->built + BUILD_STEP : d->reserve_bytes;
    while (code == OK && d->built < end) {
        uint64_t left = end - d->built;
        size_t size = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
        code = env->v->pwrite(env, file, d->built, slice_of(zeros, size), NULL);
        d->built += size;
    }
    if (code == OK) code = env->v->sync(env, file, NULL);
    if (code != OK) (void)env->v->truncate(env, file, 0, NULL);
    env->v->close(env, file);
    if (code == OK && end == d->reserve_bytes) code = env->v->sync_dir(env, ".", NULL);
    return code;
}

static void build_run(struct env_job *job)
{
    struct disk *d = CONTAINER_OF(job, struct disk, job);
    d->code = build_step(d);
}

static void arm(struct disk *d, uint64_t delay_ns);
static void look(struct disk *d);

static void build_done(struct env_job *job)
{
    struct disk *d = CONTAINER_OF(job, struct disk, job);
    d->is_building = false;
    uint64_t now_ns = d->db->env->v->now_mono_ns(d->db->env);
    if (d->code != OK) {
        d->built = 0;
        d->build_due_ns = now_ns + BUILD_WAIT_NS;
    } else if (d->built >= d->reserve_bytes) {
        d->built = 0;
        atomic_store(&d->was_given, false);
        atomic_store(&d->state, RESERVE_HELD);
    } else {
        d->build_due_ns = now_ns + BUILD_REST_NS;
    }
    if (d->is_started) look(d);
}

static void build(struct disk *d, uint64_t now_ns)
{
    bool is_wanted = d->reserve_bytes > 0 && atomic_load(&d->state) == RESERVE_ABSENT;
    if (!is_wanted || d->is_building || now_ns < d->build_due_ns) return;
    if (!d->plan.has_room_for_reserve && d->built == 0) return;
    d->is_building = true;
    d->job = (struct env_job){.run = build_run, .done = build_done};
    d->db->env->v->submit(d->db->env, LANE_BACKGROUND, &d->job);
}

/* --- looking --- */

static void tell(const struct disk *d, enum disk_rung before)
{
    static const char *const sentences[DISK_RUNG_COUNT] = {
        [DISK_PLENTY] = "there is space again",
        [DISK_AT_RISK] = "the slot that holds back most log is at risk",
        [DISK_INVALIDATE] = "slots that hold the log are given up, the farthest first",
        [DISK_SLOW] = "writers are slowed",
        [DISK_REFUSE] = "writes are refused; reads and replication go on",
    };
    db_event(d->db, DB_EVENT_RUNG, "disk: %s to %s with %llu bytes free%s: %s",
             disk_rung_name(before), disk_rung_name(d->plan.rung),
             (unsigned long long)d->free_bytes,
             atomic_load(&d->was_given) ? ", the reserve was needed" : "", sentences[d->plan.rung]);
}

/* The oldest manifest is one at or below what is committed, and a leader's slots say what that is:
 * a follower that is away holds the log through it, too. */
static bool is_held_by_slots(const struct db *db, enum retain_holder holder)
{
    if (holder != RETAIN_BY_CHECKPOINT || !db_is_leader(db)) return holder == RETAIN_BY_SLOTS;
    return log_committed(db->log).v < checkpointer_contents(db->checkpointer)->at.v;
}

/* Slots give way while they are what holds the log. */
static void press_slots(struct disk *d, enum retain_holder holder, uint64_t now_ns)
{
    struct db *db = d->db;
    if (!db->shipper || !shipper_holds_log(db->shipper)) return;
    bool is_held = is_held_by_slots(db, holder);
    shipper_press(db->shipper, is_held && d->plan.rung >= DISK_AT_RISK, d->unit_bytes);
    if (!is_held || d->plan.rung < DISK_INVALIDATE) return;
    if (d->lost_ns != 0 && now_ns - d->lost_ns < LOSE_EVERY_NS) return;
    if (shipper_lose_farthest(db->shipper, d->unit_bytes)) d->lost_ns = now_ns;
}

/* A newer manifest lets the log before it go; one is cut early if even a whole one finds room. */
static void press_checkpoint(struct disk *d)
{
    struct db *db = d->db;
    const struct checkpoint_contents *newest = checkpointer_contents(db->checkpointer);
    bool is_worth_it = log_bytes_after(db->log, newest->at) >= d->unit_bytes;
    if (is_worth_it && newest->bytes < d->free_bytes) checkpointer_want(db->checkpointer);
}

static void press(struct disk *d, uint64_t now_ns)
{
    const struct db *db = d->db;
    if (!db->retention) return;
    enum retain_holder holder = retention_plan(db->retention).holder;
    press_slots(d, holder, now_ns);
    if (d->plan.rung >= DISK_INVALIDATE && holder == RETAIN_BY_CHECKPOINT) press_checkpoint(d);
}

static void look(struct disk *d)
{
    struct db *db = d->db;
    struct env *env = db->env;
    uint64_t now_ns = env->v->now_mono_ns(env);
    uint64_t free_bytes = 0;
    if (db->reopening) { /* the parts are another thread's */
        arm(d, LOOK_NS);
        return;
    }
    d->looked_log_bytes = db->log ? log_durable_bytes(db->log) : 0;
    if (env->v->disk_free(env, &free_bytes, NULL) != OK) { /* as it was known, until it is again */
        arm(d, LOOK_NS);
        return;
    }
    growth_note(&d->used, now_ns, UINT64_MAX - free_bytes);
    d->free_bytes = free_bytes;
    enum disk_rung before = d->plan.rung;
    struct disk_facts facts = {
        .free_bytes = free_bytes,
        .unit_bytes = d->unit_bytes,
        .reserve_bytes = d->reserve_bytes,
        .is_reserve_gone = atomic_load(&d->was_given),
        .rung = before,
        .growth_per_s = d->used.per_s,
    };
    d->plan = disk_decide(&facts);
    if (d->plan.rung != before) {
        TAKEN(TAKEN_RUNG, before, d->plan.rung);
        tell(d, before);
    }
    if (db->log) log_set_short(db->log, d->plan.rung >= DISK_SLOW);
    if (d->plan.rung >= DISK_AT_RISK || before >= DISK_AT_RISK) press(d, now_ns);
    build(d, now_ns);
    if (before == DISK_REFUSE && d->plan.rung != before && db->log) db_feed_log(db);
    arm(d, d->plan.rung == DISK_PLENTY ? LOOK_NS : LOOK_NEAR_NS);
}

static void timer_fired(struct env_timer *timer)
{
    look(CONTAINER_OF(timer, struct disk, timer));
}

static void arm(struct disk *d, uint64_t delay_ns)
{
    if (!d->is_started) return;
    d->timer.fire = timer_fired;
    d->db->env->v->timer_start(d->db->env, &d->timer, delay_ns);
}

void disk_on_durable(struct disk *d)
{
    if (!d->is_started) return;
    uint64_t grown = log_durable_bytes(d->db->log) - d->looked_log_bytes;
    uint64_t step = d->plan.rung == DISK_PLENTY ? LOOK_BYTES : d->unit_bytes / 16;
    if (step > d->unit_bytes / 2) step = d->unit_bytes / 2;
    if (grown >= step) look(d);
}

/* --- life --- */

/* What the last life left: the whole reserve, an empty file (it was needed), or nothing. */
static void find_reserve(struct disk *d)
{
    struct env *env = d->db->env;
    struct env_file *file = NULL;
    uint64_t size = 0;
    if (env->v->open(env, RESERVE_PATH, ENV_READ, &file, NULL) != OK) return;
    enum code code = env->v->size(env, file, &size, NULL);
    env->v->close(env, file);
    if (code != OK || d->reserve_bytes == 0) return;
    if (size > 0) d->reserve_bytes = size < d->reserve_bytes ? size : d->reserve_bytes;
    atomic_store(&d->was_given, size == 0);
    if (size >= d->reserve_bytes && size > 0) atomic_store(&d->state, RESERVE_HELD);
}

struct disk *disk_new(struct db *db)
{
    struct disk *d = calloc(1, sizeof(*d));
    struct env *env = db->env;
    if (!d) return NULL;
    d->db = db;
    d->plan.seconds_until_full = (double)INFINITY;
    if (env->v->disk_free(env, &d->free_bytes, NULL) != OK) d->free_bytes = UINT64_MAX;
    d->unit_bytes = disk_unit(db->config.segment_size, d->free_bytes);
    d->reserve_bytes = db->config.disk_reserve;
    find_reserve(d);
    bool is_held = atomic_load(&d->state) == RESERVE_HELD;
    uint64_t share = d->free_bytes / RESERVE_SHARE;
    if (!is_held && !atomic_load(&d->was_given) && d->reserve_bytes > share) {
        d->reserve_bytes = share;
    }
    env->room = make_room;
    env->room_arg = d;
    return d;
}

void disk_free(struct disk *d)
{
    if (!d) return;
    d->db->env->room = NULL;
    d->db->env->v->timer_close(d->db->env, &d->timer);
    free(d);
}

void disk_start(struct disk *d)
{
    if (d->is_started) return; /* the data was opened anew */
    d->is_started = true;
    d->build_due_ns = d->db->env->v->now_mono_ns(d->db->env) + BUILD_WAIT_NS;
    look(d);
}

void disk_stop(struct disk *d)
{
    d->is_started = false;
    d->db->env->v->timer_stop(d->db->env, &d->timer);
}

bool disk_is_quiet(const struct disk *d)
{
    return !d->is_building;
}

/* --- questions --- */

bool disk_refuses(const struct disk *d)
{
    return d->plan.rung == DISK_REFUSE || atomic_load(&d->was_given);
}

enum code disk_refusal(const struct disk *d, struct err *e)
{
    return ERR(e, E_DISKFULL,
               "the disk is full: %llu bytes are free; free space on that disk, writes go on by "
               "themselves then",
               (unsigned long long)d->free_bytes);
}

uint64_t disk_slow_ns(const struct disk *d)
{
    return d->plan.slow_ns;
}

void disk_status(const struct disk *d, struct disk_status *out)
{
    *out = (struct disk_status){
        .rung = disk_refuses(d) ? DISK_REFUSE : d->plan.rung,
        .free_bytes = d->free_bytes,
        .seconds_until_full = d->plan.seconds_until_full,
        .reserve_bytes = d->reserve_bytes,
        .is_reserve_held = atomic_load(&d->state) == RESERVE_HELD,
    };
}
