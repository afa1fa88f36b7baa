/* steps_env: see steps_env.h. Not part of the product. */
#include "support/steps_env.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMERS_MAX 64

struct job_list {
    struct env_job *first;
    struct env_job *last;
    size_t count;
    bool is_held;
};

struct pending_timer {
    struct env_timer *timer;
    uint64_t due_ns;
};

struct steps {
    struct env base; /* first */
    struct env *real;
    bool is_real_borrowed; /* and its files are not on a real disk */
    struct env_task *tasks_first;
    struct env_task *tasks_last;
    struct job_list lanes[LANE_COUNT];
    struct pending_timer timers[TIMERS_MAX];
    size_t timer_count;
    uint64_t now_ns;
    int64_t wall_ms;
    uint64_t random;
    struct steps_fault fault;
    bool has_free; /* disk_free answers free_bytes */
    uint64_t free_bytes;
    uint64_t calls;
    uint64_t bytes_read;
    uint64_t bytes_written;
    bool has_failed;
};

static struct steps *of(const struct env *env)
{
    return (struct steps *)(void *)(uintptr_t)env;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "steps_env: %s\n", what);
    abort();
}

/* --- time, chance --- */

static uint64_t now_mono_ns(struct env *env)
{
    return of(env)->now_ns;
}

static int64_t now_wall_ms(struct env *env)
{
    return of(env)->wall_ms + (int64_t)(of(env)->now_ns / NS_PER_MS);
}

void steps_set_wall(struct env *env, int64_t ms)
{
    of(env)->wall_ms = ms - (int64_t)(of(env)->now_ns / NS_PER_MS);
}

void steps_seed(struct env *env, uint64_t seed)
{
    of(env)->random = seed;
}

static uint64_t random_bits(struct env *env)
{
    uint64_t z = (of(env)->random += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* --- tasks, jobs, timers --- */

static void post(struct env *env, struct env_task *task)
{
    struct steps *s = of(env);
    if (task->is_queued) return;
    task->is_queued = 1;
    task->next = NULL;
    if (s->tasks_last != NULL)
        s->tasks_last->next = task;
    else
        s->tasks_first = task;
    s->tasks_last = task;
}

static void timer_stop(struct env *env, struct env_timer *timer)
{
    struct steps *s = of(env);
    for (size_t i = 0; i < s->timer_count; i++) {
        if (s->timers[i].timer != timer) continue;
        s->timers[i] = s->timers[--s->timer_count];
        return;
    }
}

static void timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns)
{
    struct steps *s = of(env);
    timer_stop(env, timer);
    if (s->timer_count == TIMERS_MAX) give_up("too many timers");
    s->timers[s->timer_count++] =
        (struct pending_timer){.timer = timer, .due_ns = s->now_ns + delay_ns};
}

static void submit(struct env *env, enum env_lane lane, struct env_job *job)
{
    struct job_list *list = &of(env)->lanes[lane];
    job->next = NULL;
    job->lane = lane;
    if (list->last != NULL)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->count++;
}

static bool run_task(struct steps *s)
{
    struct env_task *task = s->tasks_first;
    if (task == NULL) return false;
    s->tasks_first = task->next;
    if (s->tasks_first == NULL) s->tasks_last = NULL;
    task->is_queued = 0;
    task->run(task);
    return true;
}

static bool run_job(struct steps *s, enum env_lane lane)
{
    struct job_list *list = &s->lanes[lane];
    struct env_job *job = list->first;
    if (job == NULL || list->is_held) return false;
    list->first = job->next;
    if (list->first == NULL) list->last = NULL;
    list->count--;
    job->run(job);
    job->done(job);
    return true;
}

bool steps_run_one(struct env *env)
{
    struct steps *s = of(env);
    return run_task(s) || run_job(s, LANE_LOG) || run_job(s, LANE_BACKGROUND) ||
           run_job(s, LANE_READ);
}

void steps_run(struct env *env)
{
    for (size_t i = 0; i < 1000000; i++) {
        if (!steps_run_one(env)) return;
    }
    give_up("the engine does not come to rest");
}

void steps_advance(struct env *env, uint64_t ns)
{
    struct steps *s = of(env);
    uint64_t end_ns = s->now_ns + ns;
    for (;;) {
        struct pending_timer *next = NULL;
        for (size_t i = 0; i < s->timer_count; i++) {
            if (s->timers[i].due_ns > end_ns) continue;
            if (next == NULL || s->timers[i].due_ns < next->due_ns) next = &s->timers[i];
        }
        if (next == NULL) break;
        struct env_timer *timer = next->timer;
        if (next->due_ns > s->now_ns) s->now_ns = next->due_ns;
        timer_stop(env, timer);
        timer->fire(timer);
        steps_run(env);
    }
    s->now_ns = end_ns;
}

void steps_hold(struct env *env, enum env_lane lane, bool is_held)
{
    of(env)->lanes[lane].is_held = is_held;
}

size_t steps_jobs_waiting(const struct env *env, enum env_lane lane)
{
    return of(env)->lanes[lane].count;
}

/* --- files: counted, failed when told, else the real ones --- */

void steps_fail(struct env *env, const struct steps_fault *fault)
{
    struct steps *s = of(env);
    s->fault = fault != NULL ? *fault : (struct steps_fault){0};
    s->calls = 0;
    s->bytes_read = 0;
    s->bytes_written = 0;
    s->has_failed = false;
}

uint64_t steps_calls(const struct env *env)
{
    return of(env)->calls;
}

struct steps_cost steps_cost(const struct env *env)
{
    const struct steps *s = of(env);
    return (struct steps_cost){
        .calls = s->calls, .bytes_read = s->bytes_read, .bytes_written = s->bytes_written};
}

bool steps_has_failed(const struct env *env)
{
    return of(env)->has_failed;
}

static enum code judge(struct env *env, bool is_write, const char *what, struct err *e)
{
    struct steps *s = of(env);
    const struct steps_fault *f = &s->fault;
    if (f->writes_only && !is_write) return OK;
    s->calls++;
    bool is_hit = f->nth != 0 && (s->calls == f->nth || (f->is_for_ever && s->calls > f->nth));
    if (!is_hit) return OK;
    s->has_failed = true;
    return ERR(e, f->code, "%s fails as the test wants", what);
}

static enum code file_open(struct env *env, const char *path, unsigned flags, struct env_file **out,
                           struct err *e)
{
    TRY(judge(env, (flags & ENV_CREATE) != 0, "open", e));
    struct env *real = of(env)->real;
    /* The cache is all there is here; reading past it would only wait for the disk. */
    return real->v->open(real, path, flags & ~(unsigned)ENV_UNCACHED, out, e);
}

static void file_close(struct env *env, struct env_file *file)
{
    struct env *real = of(env)->real;
    real->v->close(real, file);
}

static enum code try_pwrite(struct env *env, struct env_file *file, uint64_t offset,
                            struct slice bytes, struct err *e)
{
    bool had_failed = of(env)->has_failed;
    enum code code = judge(env, true, "pwrite", e);
    of(env)->bytes_written += bytes.size;
    struct env *real = of(env)->real;
    if (code != OK && of(env)->fault.tears && !had_failed) {
        bytes.size /= 2;
        if (real->v->pwrite(real, file, offset, bytes, NULL) != OK) give_up("cannot tear a write");
    }
    TRY(code);
    return real->v->pwrite(real, file, offset, bytes, e);
}

static enum code file_pwrite(struct env *env, struct env_file *file, uint64_t offset,
                             struct slice bytes, struct err *e)
{
    enum code code = try_pwrite(env, file, offset, bytes, e);
    if (!env_has_room_now(env, code)) return code;
    return try_pwrite(env, file, offset, bytes, e);
}

static enum code file_pread(struct env *env, struct env_file *file, uint64_t offset, void *out,
                            size_t size, size_t *out_read, struct err *e)
{
    TRY(judge(env, false, "pread", e));
    of(env)->bytes_read += size;
    struct env *real = of(env)->real;
    return real->v->pread(real, file, offset, out, size, out_read, e);
}

/* On a real folder nothing is ever tried by a power cut, so syncing may be left out. */
static enum code file_sync(struct env *env, struct env_file *file, struct err *e)
{
    TRY(judge(env, true, "sync", e));
    if (!of(env)->is_real_borrowed) return OK;
    struct env *real = of(env)->real;
    return real->v->sync(real, file, e);
}

static enum code file_truncate(struct env *env, struct env_file *file, uint64_t size, struct err *e)
{
    TRY(judge(env, true, "truncate", e));
    struct env *real = of(env)->real;
    return real->v->truncate(real, file, size, e);
}

static enum code file_size(struct env *env, struct env_file *file, uint64_t *out, struct err *e)
{
    TRY(judge(env, false, "size", e));
    struct env *real = of(env)->real;
    return real->v->size(real, file, out, e);
}

static enum code file_rename(struct env *env, const char *from, const char *to, struct err *e)
{
    TRY(judge(env, true, "rename", e));
    struct env *real = of(env)->real;
    return real->v->rename(real, from, to, e);
}

static enum code file_unlink(struct env *env, const char *path, struct err *e)
{
    TRY(judge(env, true, "unlink", e));
    struct env *real = of(env)->real;
    return real->v->unlink(real, path, e);
}

static enum code make_dir(struct env *env, const char *path, struct err *e)
{
    TRY(judge(env, true, "make_dir", e));
    struct env *real = of(env)->real;
    return real->v->make_dir(real, path, e);
}

static enum code sync_dir(struct env *env, const char *path, struct err *e)
{
    TRY(judge(env, true, "sync_dir", e));
    if (!of(env)->is_real_borrowed) return OK;
    struct env *real = of(env)->real;
    return real->v->sync_dir(real, path, e);
}

static enum code list(struct env *env, const char *path, struct env_dirent **out, size_t *out_count,
                      struct err *e)
{
    TRY(judge(env, false, "list", e));
    struct env *real = of(env)->real;
    return real->v->list(real, path, out, out_count, e);
}

static enum code lock(struct env *env, struct err *e)
{
    struct env *real = of(env)->real;
    return real->v->lock(real, e);
}

static enum code disk_free(struct env *env, uint64_t *out_bytes, struct err *e)
{
    struct env *real = of(env)->real;
    if (of(env)->has_free && of(env)->free_bytes == STEPS_FREE_FAILS) {
        return ERR(e, E_IO, "statvfs: made to fail");
    }
    if (of(env)->has_free) {
        *out_bytes = of(env)->free_bytes;
        return OK;
    }
    return real->v->disk_free(real, out_bytes, e);
}

static void timer_close(struct env *env, struct env_timer *timer)
{
    timer_stop(env, timer);
}

static const struct env_vtable vtable = {
    .now_mono_ns = now_mono_ns,
    .now_wall_ms = now_wall_ms,
    .random = random_bits,
    .post = post,
    .timer_start = timer_start,
    .timer_stop = timer_stop,
    .timer_close = timer_close,
    .submit = submit,
    .open = file_open,
    .close = file_close,
    .pwrite = file_pwrite,
    .pread = file_pread,
    .sync = file_sync,
    .truncate = file_truncate,
    .size = file_size,
    .rename = file_rename,
    .unlink = file_unlink,
    .make_dir = make_dir,
    .sync_dir = sync_dir,
    .list = list,
    .lock = lock,
    .disk_free = disk_free,
};

struct env *steps_open(const char *dir)
{
    struct env_uv_options options = {.size = sizeof(options), .dir = dir, .background_threads = 1};
    struct env *real = NULL;
    struct err e;
    if (env_uv_open(&options, &real, &e) != OK) give_up(e.text);
    struct env *env = steps_open_over(real);
    of(env)->is_real_borrowed = false;
    return env;
}

struct env *steps_open_over(struct env *files)
{
    struct steps *s = calloc(1, sizeof(*s));
    if (s == NULL) give_up("no memory");
    s->base.v = &vtable;
    s->real = files;
    s->is_real_borrowed = true;
    s->now_ns = NS_PER_S;
    s->random = 42;
    steps_set_wall(&s->base, INT64_C(1700000000000));
    return &s->base;
}

void steps_close(struct env *env)
{
    if (env == NULL) return;
    struct steps *s = of(env);
    if (!s->is_real_borrowed) env_uv_close(s->real);
    free(s);
}

void steps_set_free(struct env *env, uint64_t bytes)
{
    of(env)->has_free = bytes != UINT64_MAX;
    of(env)->free_bytes = bytes;
}
