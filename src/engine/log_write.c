/* log_write: the write path of the log: prepare a job on the loop, carry it out on the log lane,
 * take its result on the loop. Depth 1: the next job is prepared only after this one's sync
 * returned, so a batch header's durable_through is always its first seqno - 1.
 *
 * What was written is hashed later (log_hash.c). Order inside a job: footer, cut and sync of the
 * old segment; header and batches of the new one; one sync; the lazy mark. A failure anywhere
 * poisons the log: nothing is retried, because after a failed sync the page cache may show bytes
 * that are not on disk.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "engine/log_internal.h"
#include "format/stale.h"

/* --- on the log lane --- */

static enum code job_seal(struct log_job *job)
{
    struct log *log = job->log;
    struct env *env = log->env;
    const struct log_segment *segment = &job->sealing;
    if (!hash_list_feed(&log->pieces, &job->unhashed) || !piece_hasher_finish(&log->pieces)) {
        return ERR(&job->err, E_NOMEMORY, "no memory to seal a segment");
    }
    struct segment_footer footer = {
        .first = segment->first,
        .last = segment->last,
        .batch_count = segment->batch_count,
        .last_epoch = segment->end.epoch,
        .chain_at_end = segment->end.chain,
        .data_end = segment->data_end,
        .payload_bytes = segment->payload_bytes,
        .seek_count = segment->seek_count,
        .chunk_count = log->pieces.count,
        .seeks = segment->seeks,
        .chunks = log->pieces.pieces,
    };
    size_t size = segment_footer_size(footer.seek_count, footer.chunk_count);
    uint8_t *bytes = malloc(size);
    if (!bytes) return ERR(&job->err, E_NOMEMORY, "no memory to seal a segment");
    segment_footer_encode(&footer, log->id.log_key, bytes);
    enum code code =
        env->v->pwrite(env, log->active_file, segment->data_end, slice_of(bytes, size), &job->err);
    free(bytes);
    TRY(code);
    /* The cut takes the map of old bytes along: the footer must be there before. */
    if (log->is_active_recycled) TRY(env->v->sync(env, log->active_file, &job->err));
    TRY(env->v->truncate(env, log->active_file, segment->data_end + size, &job->err));
    TRY(env->v->sync(env, log->active_file, &job->err));
    env->v->close(env, log->active_file);
    log->active_file = NULL;
    if (job->kind == LOG_JOB_SEAL) { /* no batches bring the newest committed position along */
        (void)env->v->pwrite(env, log->mark_file, job->mark_offset,
                             slice_of(job->mark_slot, sizeof(job->mark_slot)), NULL);
    }
    /* Now and then the mark gets a sync too, so that it is not far behind after a power cut. */
    (void)env->v->sync(env, log->mark_file, NULL);
    return OK;
}

static enum code job_open_segment(struct log_job *job)
{
    struct log *log = job->log;
    struct env *env = log->env;
    ASSERT(log->active_file == NULL);
    char path[LOG_PATH_SIZE];
    log_path(job->header.file_id, path);
    log->is_active_recycled = false;
    if (job->is_recycled) {
        enum code code = env->v->open(env, path, ENV_WRITE, &log->active_file, &job->err);
        log->is_active_recycled = code == OK;
        if (code != OK && code != E_NOTFOUND) return code; /* gone: a new one does as well */
    }
    if (job->spare_file) {
        log->active_file = job->spare_file;
        job->spare_file = NULL;
    } else if (!log->active_file) {
        TRY(env->v->open(env, path, ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &log->active_file,
                         &job->err));
        if (!PLANTED(19)) TRY(env->v->sync_dir(env, "log", &job->err)); /* its name is lost */
    }
    uint8_t header[SEGMENT_HEADER_SIZE];
    segment_header_encode(&job->header, header);
    piece_hasher_reset(&log->pieces);
    TRY(env->v->pwrite(env, log->active_file, 0, slice_of(header, sizeof(header)), &job->err));
    if (!piece_hasher_feed(&log->pieces, slice_of(header, sizeof(header)))) {
        return ERR(&job->err, E_NOMEMORY, "no memory to hash a segment");
    }
    return OK;
}

static enum code job_sync(struct log_job *job)
{
    struct log *log = job->log;
    struct env *env = log->env;
    enum code code = OK;
    uint64_t start_ns = env->v->now_mono_ns(env);
    if (PLANTED(1)) return OK; /* acknowledge before the sync */
    code = env->v->sync(env, log->active_file, &job->err);
    if (PLANTED(2) && code != OK) { /* retry a failed sync */
        code = env->v->sync(env, log->active_file, &job->err);
    }
    log->last_sync_ns = env->v->now_mono_ns(env) - start_ns;
    return code;
}

static enum code job_write(struct log_job *job)
{
    struct log *log = job->log;
    struct env *env = log->env;
    struct slice bytes = slice_of(job->chunk->data, job->chunk->size);
    struct slice written = bytes;
    /* Old bytes begin at a sector's start, so that whole sectors are old or new. */
    if (log->is_active_recycled) written.size += job->pad_size;
    TRY(env->v->pwrite(env, log->active_file, job->offset, written, &job->err));
    if (PLANTED(22)) { /* the mark is durable before what it speaks of */
        (void)env->v->pwrite(env, log->mark_file, job->mark_offset,
                             slice_of(job->mark_slot, sizeof(job->mark_slot)), NULL);
        (void)env->v->sync(env, log->mark_file, NULL);
    }
    TRY(job_sync(job));
    /* The mark is evidence, not a promise: without a sync of its own, and its failure is ignored.
     */
    (void)env->v->pwrite(env, log->mark_file, job->mark_offset,
                         slice_of(job->mark_slot, sizeof(job->mark_slot)), NULL);
    return OK;
}

void log_job_run(struct log_job *job)
{
    job->code = OK;
    if (job->seals_active) job->code = job_seal(job);
    if (job->code == OK && job->opens_segment) job->code = job_open_segment(job);
    if (job->code == OK && job->kind == LOG_JOB_WRITE) job->code = job_write(job);
}

static void job_run(struct env_job *job)
{
    log_job_run(CONTAINER_OF(job, struct log_job, job));
}

/* --- on the loop --- */

/* Twice the newest one's, or half where the last one that was sealed stayed more than half empty:
 * what is sealed by time gets files of its size. */
uint64_t log_next_size_limit(const struct log *log)
{
    uint32_t count = log->segment_count;
    if (count == 0) return log->segment_size_first;
    uint64_t limit = log->segments[count - 1].size_limit;
    uint32_t sealed_count = log->has_active ? count - 1 : count;
    const struct log_segment *judged = sealed_count > 0 ? &log->segments[sealed_count - 1] : NULL;
    bool was_large = judged && judged->data_end < judged->size_limit / 2;
    limit = was_large ? limit / 2 : limit * 2;
    if (limit < log->segment_size_first) limit = log->segment_size_first;
    return limit < log->segment_size ? limit : log->segment_size;
}

uint64_t log_next_mark(struct log *log, const struct position *durable, uint64_t file_id,
                       uint8_t out[MARK_SLOT_SIZE])
{
    struct mark mark = {
        .version = ++log->mark_version,
        .durable = *durable,
        .committed = log->committed,
        .segment = file_id,
        .generation = log->generation,
    };
    mark_encode(&mark, log->id.log_key, out);
    return (log->mark_version & 1) * MARK_SLOT_SIZE;
}

static void prepare_segment(struct log *log, struct log_job *job, const struct log_chunk *chunk)
{
    uint64_t file_id = 0;
    uint64_t size_limit = log_next_size_limit(log);
    job->opens_segment = true;
    job->is_recycled = recycled_take(log, chunk->size, &file_id, &size_limit);
    if (!job->is_recycled) job->spare_file = spare_take(log, &file_id, &size_limit);
    if (!job->is_recycled && !job->spare_file) file_id = log->next_file_id++;
    const struct batch_header *first = &chunk->batches[0].header;
    job->header = (struct segment_header){
        .cluster = log->id.cluster,
        .stream = log->id.stream,
        .first = first->first,
        .epoch = first->epoch,
        .log_key = log->id.log_key,
        .file_id = file_id,
        .size_limit = size_limit,
        .chain_at_start = first->previous_chain,
    };
}

static void prepare_write(struct log *log, struct log_chunk *chunk)
{
    struct log_job *job = &log->job;
    *job = (struct log_job){.log = log, .kind = LOG_JOB_WRITE, .chunk = chunk};
    const struct log_batch_ref *last = &chunk->batches[chunk->batch_count - 1];
    job->end = last->end;
    if (log->has_active) {
        const struct log_segment *active = &log->segments[log->segment_count - 1];
        job->offset = active->data_end;
        job->seals_active = active->data_end + chunk->size > active->size_limit;
        job->sealing = *active;
    }
    if (!log->has_active || job->seals_active) {
        prepare_segment(log, job, chunk);
        job->offset = SEGMENT_HEADER_SIZE;
    }
    uint64_t end = job->offset + chunk->size;
    job->pad_size = (STALE_SECTOR_SIZE - end % STALE_SECTOR_SIZE) % STALE_SECTOR_SIZE;
    memset(chunk->data + chunk->size, 0, job->pad_size);
    uint64_t file_id =
        job->opens_segment ? job->header.file_id : log->segments[log->segment_count - 1].file_id;
    job->mark_offset = log_next_mark(log, &job->end, file_id, job->mark_slot);
    log->written = job->end;
}

static void poison(struct log *log, enum code code, const struct err *e)
{
    if (log->is_poisoned) return;
    if (PLANTED(24)) { /* after a failed write the log goes on */
        log->written = log->durable;
        return;
    }
    log->is_poisoned = true;
    log->poison = *e;
    log->poison.code = code;
}

static enum code take_new_segment(struct log *log, const struct log_job *job)
{
    if (job->seals_active) {
        log->segments[log->segment_count - 1].is_sealed = true;
        log->has_active = false;
    }
    if (!job->opens_segment) return OK;
    if (log->segment_count == log->segment_capacity) {
        uint32_t capacity = log->segment_capacity * 2;
        struct log_segment *segments = realloc(log->segments, capacity * sizeof(*segments));
        if (!segments) return E_NOMEMORY;
        log->segments = segments;
        log->segment_capacity = capacity;
    }
    log->segments[log->segment_count++] = (struct log_segment){
        .file_id = job->header.file_id,
        .first = job->header.first,
        .last = seqno_of(job->header.first.v - 1),
        .start = log->durable,
        .end = log->durable,
        .data_end = SEGMENT_HEADER_SIZE,
        .size_limit = job->header.size_limit,
        .bytes_before = log->durable_bytes,
    };
    log->has_active = true;
    if (job->is_recycled) log->recycled_used++;
    if (log->hooks.segment_opened) {
        struct log_figures figures;
        log_figures(log, &figures);
        log->hooks.segment_opened(log->hooks.owner, figures.first_file_id, figures.last_file_id);
    }
    spare_start(log);
    return OK;
}

/* The job's I/O succeeded: move the positions. */
static enum code take_success(struct log *log, struct log_job *job)
{
    TRY(take_new_segment(log, job));
    if (job->kind == LOG_JOB_SEAL) return OK;
    struct log_chunk *chunk = job->chunk;
    struct log_segment *active = &log->segments[log->segment_count - 1];
    uint64_t records = 0;
    for (uint32_t i = 0; i < chunk->batch_count; i++) {
        struct log_batch_ref *ref = &chunk->batches[i];
        if (!log_segment_note_batch(active, &ref->header, job->offset + ref->offset, &ref->end)) {
            return E_NOMEMORY;
        }
        log->durable_bytes += batch_file_size(&ref->header);
        ref->log_bytes_end = log->durable_bytes;
        records += ref->header.record_count;
    }
    ASSERT(active->data_end == job->offset + chunk->size);
    log->durable = job->end;
    if (!PLANTED(11)) tail_add(log, chunk);
    log_hash_add(log, chunk);
    log->sync_count++;
    log->sync_ns_total += log->last_sync_ns;
    if (log->hooks.synced) {
        log->hooks.synced(log->hooks.owner, log->last_sync_ns, records, chunk->size);
    }
    return OK;
}

static enum code take_result(struct log *log)
{
    struct log_job *job = &log->job;
    log->is_writing = false;
    hash_list_free(log, &job->unhashed);
    if (job->code == OK) {
        job->code = take_success(log, job);
        if (job->code != OK) {
            (void)ERR(&job->err, job->code, "no memory to keep the log's index"); /* told below */
        }
    }
    if (job->code != OK) {
        log->env->v->close(log->env, job->spare_file);
        job->spare_file = NULL;
        poison(log, job->code, &job->err);
    }
    return job->code;
}

static void finish(struct log *log)
{
    struct log_job *job = &log->job;
    enum code code = take_result(log);
    struct log_chunk *chunk = job->chunk;
    struct err err = job->err;
    job->chunk = NULL;
    log_done done = job->done;
    void *arg = job->arg;
    done(arg, chunk, code == OK || code == E_DISKFULL ? code : E_POISONED, &err);
    chunk_unref(log, chunk);
}

static void job_done(struct env_job *job)
{
    finish(CONTAINER_OF(job, struct log_job, job)->log);
}

static void submit(struct log *log, log_done done, void *arg)
{
    log->job.done = done;
    log->job.arg = arg;
    log->job.job = (struct env_job){.run = job_run, .done = job_done};
    log->is_writing = true;
    log_submit_job(log);
}

void log_submit_job(struct log *log)
{
    struct log_job *job = &log->job;
    bool needs_hasher = job->seals_active || job->opens_segment;
    if (needs_hasher && !log_hash_collect(log, &job->unhashed)) return; /* called again, then */
    log->env->v->submit(log->env, LANE_LOG, &job->job);
}

void log_write(struct log *log, struct log_chunk *chunk, log_done done, void *arg)
{
    ASSERT(!log->is_writing);
    ASSERT(chunk->batch_count > 0);
    ASSERT(chunk->batches[0].header.first.v == log->written.seqno.v + 1);
    if (log->is_poisoned) {
        done(arg, chunk, E_POISONED, &log->poison);
        chunk_unref(log, chunk);
        return;
    }
    prepare_write(log, chunk);
    if (PLANTED(11)) tail_add(log, chunk); /* followers are served what is being written */
    submit(log, done, arg);
}

enum code log_write_now(struct log *log, struct log_chunk *chunk, struct err *e)
{
    ASSERT(!log->is_writing);
    prepare_write(log, chunk);
    if (log->job.seals_active) {
        bool is_collected = log_hash_collect(log, &log->job.unhashed);
        ASSERT(is_collected); /* nothing runs in the background yet */
    }
    log_job_run(&log->job);
    enum code code = take_result(log);
    if (code != OK && e) *e = log->poison;
    log->job.chunk = NULL;
    chunk_unref(log, chunk);
    return code;
}

void log_seal(struct log *log, log_done done, void *arg)
{
    ASSERT(!log->is_writing);
    if (log->is_poisoned) {
        done(arg, NULL, E_POISONED, &log->poison);
        return;
    }
    if (!log->has_active) {
        done(arg, NULL, OK, NULL);
        return;
    }
    log->job = (struct log_job){
        .log = log,
        .kind = LOG_JOB_SEAL,
        .seals_active = true,
        .sealing = log->segments[log->segment_count - 1],
    };
    uint64_t file_id = log->segments[log->segment_count - 1].file_id;
    log->job.mark_offset = log_next_mark(log, &log->durable, file_id, log->job.mark_slot);
    submit(log, done, arg);
}
