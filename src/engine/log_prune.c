/* log_prune: the old end of the log. Segments that nobody needs any more (core/retain decides)
 * leave the table at once: `oldest` moves, and reads of them are refused. Their files go later, on
 * the background lane, and only when the caller says that identity no longer counts on them and no
 * read that began before still has one open. A file that cannot be removed stays until the next
 * open, which knows by identity's log base that it is a leftover. */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/log_internal.h"

uint32_t log_segment_count(const struct log *log)
{
    return log->segment_count;
}

bool log_has_active(const struct log *log)
{
    return log->has_active;
}

void log_segment_range(const struct log *log, uint32_t i, seqno *out_first, seqno *out_last)
{
    ASSERT(i < log->segment_count);
    *out_first = log->segments[i].first;
    *out_last = log->segments[i].last;
}

struct position log_base(const struct log *log, uint64_t *out_bytes)
{
    *out_bytes = log->base_bytes;
    return log->base;
}

static bool is_read(const struct log *log, uint64_t file_id)
{
    for (const struct log_read *read = log->reads; read; read = read->next_running) {
        if (read->segment_file_id == file_id) return true;
    }
    return false;
}

seqno log_oldest_read(const struct log *log)
{
    for (uint32_t i = 0; log->reads && i < log->segment_count; i++) {
        if (is_read(log, log->segments[i].file_id)) return log->segments[i].first;
    }
    return SEQNO_NONE;
}

bool log_prune(struct log *log, uint32_t count)
{
    ASSERT(count <= log->segment_count);
    ASSERT(count < log->segment_count || !log->has_active);
    uint64_t *dead = realloc(log->dead, (log->dead_count + count) * sizeof(*dead));
    if (!dead) return false;
    log->dead = dead;
    for (uint32_t i = 0; i < count; i++) {
        struct log_segment *segment = &log->segments[i];
        ASSERT(segment->is_sealed);
        log->dead[log->dead_count++] = segment->file_id;
        log->base = segment->end;
        log->base_bytes = segment->bytes_before + segment->data_end - SEGMENT_HEADER_SIZE;
        free(segment->seeks);
    }
    log->segment_count -= count;
    memmove(log->segments, log->segments + count, log->segment_count * sizeof(*log->segments));
    return true;
}

/* --- files --- */

static void dispose_run(struct env_job *job)
{
    struct dispose *d = CONTAINER_OF(job, struct dispose, job);
    struct log *log = CONTAINER_OF(d, struct log, dispose);
    struct env *env = log->env;
    for (uint32_t i = 0; i < d->count; i++) {
        char path[LOG_PATH_SIZE];
        log_path(d->file_ids[i], path);
        (void)env->v->unlink(env, path, NULL); /* else the next open does it */
    }
    (void)env->v->sync_dir(env, "log", NULL);
}

static void dispose_done(struct env_job *job)
{
    struct dispose *d = CONTAINER_OF(job, struct dispose, job);
    d->is_running = false;
    log_dispose(CONTAINER_OF(d, struct log, dispose));
}

void log_dispose(struct log *log)
{
    struct dispose *d = &log->dispose;
    if (d->is_running || log->is_closing || log->dead_count == 0) return;
    uint32_t kept = 0;
    d->count = 0;
    for (uint32_t i = 0; i < log->dead_count; i++) {
        bool goes = d->count < DISPOSE_FILES_MAX && !is_read(log, log->dead[i]);
        if (goes) {
            d->file_ids[d->count++] = log->dead[i];
        } else {
            log->dead[kept++] = log->dead[i];
        }
    }
    log->dead_count = kept;
    if (d->count == 0) return;
    d->is_running = true;
    d->job = (struct env_job){.run = dispose_run, .done = dispose_done};
    log->env->v->submit(log->env, LANE_BACKGROUND, &d->job);
}

bool log_has_dead_files(const struct log *log)
{
    return log->dead_count > 0;
}
