/* log_spare: keeps one segment file ready, its space written with zeros, because a commit into
 * written space takes half to two thirds of the time of one that extends a file
 * (bench/log_append.c). Filled in small steps on the background lane; while much is being written
 * the steps wait: big groups amortise the metadata. */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/log_internal.h"

#define STEP_SIZE    (512 * KIB)
#define BUSY_BYTES   (2 * MIB) /* written since the last step: the disk is busy */
#define BUSY_WAIT_NS (20 * NS_PER_MS)

static const uint8_t zeros[64 * KIB];

static enum code step_io(struct log *log)
{
    struct spare *s = &log->spare;
    struct env *env = log->env;
    if (!s->file) {
        char path[LOG_PATH_SIZE];
        log_path(s->file_id, path);
        TRY(env->v->open(env, path, ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &s->file, NULL));
        TRY(env->v->sync_dir(env, "log", NULL));
    }
    uint64_t end = s->zeroed + STEP_SIZE < s->target ? s->zeroed + STEP_SIZE : s->target;
    while (s->zeroed < end) {
        size_t size = end - s->zeroed < sizeof(zeros) ? (size_t)(end - s->zeroed) : sizeof(zeros);
        TRY(env->v->pwrite(env, s->file, s->zeroed, slice_of(zeros, size), NULL));
        s->zeroed += size;
    }
    return env->v->sync(env, s->file, NULL);
}

static void step_run(struct env_job *job)
{
    struct spare *s = CONTAINER_OF(job, struct spare, job);
    s->code = step_io(CONTAINER_OF(s, struct log, spare));
}

static void step_done(struct env_job *job);

static void step_start(struct log *log)
{
    struct spare *s = &log->spare;
    s->state = SPARE_STEP_RUNNING;
    s->log_bytes_at_step = log->durable_bytes;
    s->job = (struct env_job){.run = step_run, .done = step_done};
    log->env->v->submit(log->env, LANE_BACKGROUND, &s->job);
}

static void wait_over(struct env_timer *timer)
{
    struct spare *s = CONTAINER_OF(timer, struct spare, timer);
    struct log *log = CONTAINER_OF(s, struct log, spare);
    if (s->state != SPARE_WAITING || !s->file || log->is_closing) return;
    step_start(log);
}

static void step_done(struct env_job *job)
{
    struct spare *s = CONTAINER_OF(job, struct spare, job);
    struct log *log = CONTAINER_OF(s, struct log, spare);
    s->state = SPARE_WAITING;
    if (s->code != OK) {
        /* A spare is a convenience: without one the log lane makes a growing file. The file that
         * failed is left for the next open to remove: its pages are not to be trusted. */
        log->env->v->close(log->env, s->file);
        s->file = NULL;
        s->state = SPARE_NONE;
        return;
    }
    if (s->zeroed >= s->target || log->is_closing) return;
    if (log->durable_bytes - s->log_bytes_at_step > BUSY_BYTES) {
        s->timer.fire = wait_over;
        log->env->v->timer_start(log->env, &s->timer, BUSY_WAIT_NS);
        return;
    }
    step_start(log);
}

void spare_start(struct log *log)
{
    struct spare *s = &log->spare;
    if (s->state != SPARE_NONE || log->is_closing || log->is_poisoned || !log->keeps_spare) return;
    if (log->recycled_count > 0 || log->is_short) return;
    s->file_id = log->next_file_id++;
    s->zeroed = 0;
    s->target = log_next_size_limit(log);
    step_start(log);
}

enum code log_make_first_spare(struct log *log, struct err *e)
{
    struct spare *s = &log->spare;
    ASSERT(s->state == SPARE_NONE);
    s->file_id = log->next_file_id++;
    s->zeroed = 0;
    s->target = log->segment_size_first;
    while (s->zeroed < s->target) {
        enum code code = step_io(log);
        if (code == OK) continue;
        log->env->v->close(log->env, s->file);
        s->file = NULL;
        return ERR(e, code, "a new segment file cannot be written");
    }
    s->state = SPARE_WAITING;
    return OK;
}

void log_set_short(struct log *log, bool is_short)
{
    bool was_short = log->is_short;
    log->is_short = is_short;
    if (was_short && !is_short) spare_start(log);
}

void log_start_spare(struct log *log)
{
    log->keeps_spare = true;
    spare_start(log);
}

bool recycled_take(struct log *log, uint64_t chunk_size, uint64_t *out_file_id, uint64_t *out_size)
{
    uint64_t limit = log->segment_size / RECYCLED_ALIGN * RECYCLED_ALIGN;
    bool fits = SEGMENT_HEADER_SIZE + chunk_size <= limit;
    if (log->recycled_count == 0 || !fits) return false;
    *out_file_id = log->recycled[0];
    *out_size = limit;
    log->recycled_count--;
    memmove(log->recycled, log->recycled + 1, log->recycled_count * sizeof(log->recycled[0]));
    return true;
}

struct env_file *spare_take(struct log *log, uint64_t *out_file_id, uint64_t *out_size)
{
    struct spare *s = &log->spare;
    if (s->state != SPARE_WAITING || !s->file) return NULL;
    struct env_file *file = s->file;
    *out_file_id = s->file_id;
    *out_size = s->target;
    log->env->v->timer_stop(log->env, &s->timer);
    s->file = NULL;
    s->state = SPARE_NONE;
    return file;
}

void spare_stop(struct log *log)
{
    struct spare *s = &log->spare;
    log->env->v->timer_close(log->env, &s->timer);
    if (s->state == SPARE_STEP_RUNNING) return;
    log->env->v->close(log->env, s->file);
    s->file = NULL;
    s->state = SPARE_NONE;
}
