/* log_prune: the old end of the log. Segments that nobody needs any more (core/retain decides)
 * leave the table at once: `oldest` moves, and reads of them are refused. Their files go later, on
 * the background lane, and only when the caller says that identity no longer counts on them and no
 * read that began before still has one open. A file that cannot be removed stays until the next
 * open, which knows by identity's log base that it is a leftover. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
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
        bool is_kept = i < d->recycle_count && log_recycle_file(log, d->file_ids[i], d->new_ids[i]);
        if (is_kept) continue;
        if (i < d->recycle_count) d->new_ids[i] = 0;
        char path[LOG_PATH_SIZE];
        log_path(d->file_ids[i], path);
        (void)env->v->unlink(env, path, NULL); /* else the next open does it */
    }
    /* A spare whose name is not durable would be lost with what is written into it. */
    if (env->v->sync_dir(env, "log", NULL) != OK) d->recycle_count = 0;
}

static void dispose_done(struct env_job *job)
{
    struct dispose *d = CONTAINER_OF(job, struct dispose, job);
    struct log *log = CONTAINER_OF(d, struct log, dispose);
    d->is_running = false;
    for (uint32_t i = 0; i < d->recycle_count; i++) {
        ASSERT(log->recycled_count < RECYCLED_MAX);
        if (d->new_ids[i] != 0) log->recycled[log->recycled_count++] = d->new_ids[i];
    }
    log_dispose(log);
}

void log_release_pruned(struct log *log)
{
    log->dead_released = log->dead_count;
}

/* What was pruned while files went is not released yet, so dispose_done may go on from here. */
void log_dispose(struct log *log)
{
    struct dispose *d = &log->dispose;
    if (PLANTED(6)) log_release_pruned(log); /* before identity stopped counting on them */
    if (d->is_running || log->is_closing || log->dead_released == 0) return;
    uint32_t kept = 0;
    d->count = 0;
    for (uint32_t i = 0; i < log->dead_count; i++) {
        bool goes =
            i < log->dead_released && d->count < DISPOSE_FILES_MAX && !is_read(log, log->dead[i]);
        if (goes) {
            d->file_ids[d->count++] = log->dead[i];
        } else {
            log->dead[kept++] = log->dead[i];
        }
    }
    log->dead_count = kept;
    log->dead_released -= d->count;
    if (d->count == 0) return;
    bool keeps_files = log->keeps_spare && !log->is_short;
    d->recycle_count = keeps_files ? RECYCLED_MAX - log->recycled_count : 0;
    if (d->recycle_count > d->count) d->recycle_count = d->count;
    for (uint32_t i = 0; i < d->recycle_count; i++) {
        d->new_ids[i] = log->next_file_id++;
    }
    d->is_running = true;
    d->job = (struct env_job){.run = dispose_run, .done = dispose_done};
    log->env->v->submit(log->env, LANE_BACKGROUND, &d->job);
}

bool log_has_dead_files(const struct log *log)
{
    return log->dead_count > 0;
}
