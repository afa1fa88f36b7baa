/* log_read: whole batches from the segment files, on the background lane, for followers that are
 * behind the memory tail; and proofs that a position lies in this log's history. The files are read
 * through the page cache: what is durable here was written by this process or verified at open. */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/log_internal.h"
#include "format/reader.h"

struct file_source {
    struct env *env;
    struct env_file *file;
};

static enum code read_source(void *context, uint64_t offset, void *out, size_t size,
                             size_t *out_read, struct err *e)
{
    struct file_source *s = context;
    return s->env->v->pread(s->env, s->file, offset, out, size, out_read, e);
}

/* A position to start reading at: the batch at the seek entry says what came before it. */
static enum code start_at_seek(struct log_read *read, struct env_file *file, struct reader *reader,
                               struct err *e)
{
    struct log *log = read->log;
    uint8_t header[BATCH_HEADER_SIZE];
    size_t got;
    TRY(log->env->v->pread(log->env, file, read->segment_offset, header, sizeof(header), &got, e));
    struct batch_header h;
    if (got < sizeof(header) || batch_header_decode(header, &log->id, &h) != BATCH_OK) {
        return ERR(e, E_CORRUPT, "log/%016llx.seg has no batch at offset %llu",
                   (unsigned long long)read->segment_file_id,
                   (unsigned long long)read->segment_offset);
    }
    reader->at = (struct position){
        .epoch = h.epoch.number, .seqno = {h.first.v - 1}, .chain = h.previous_chain};
    return OK;
}

static enum code reader_failure(const struct log_read *read, const struct reader *reader,
                                enum reader_stop stop, struct err *e)
{
    return ERR(e, E_CORRUPT, "log/%016llx.seg is damaged at offset %llu (%s), record %llu",
               (unsigned long long)read->segment_file_id, (unsigned long long)reader->offset,
               reader_stop_text(stop), (unsigned long long)reader->at.seqno.v + 1);
}

/* Move the reader to the end of the batch `from` ends, proving its chain on the way. */
static enum code skip_to(struct log_read *read, struct reader *reader, struct err *e)
{
    struct reader_batch batch;
    enum reader_stop stop;
    while (reader->at.seqno.v < read->from.seqno.v) {
        enum reader_result result = reader_next(reader, &batch, &stop, e);
        if (result == READER_IO) return E_IO;
        if (result != READER_BATCH) return reader_failure(read, reader, stop, e);
    }
    if (reader->at.seqno.v != read->from.seqno.v ||
        !hash256_equal(&reader->at.chain, &read->from.chain)) {
        return ERR(e, E_DIVERGED, "seqno %llu of epoch %llu is not in this log's history",
                   (unsigned long long)read->from.seqno.v, (unsigned long long)read->from.epoch);
    }
    return OK;
}

static bool take_batch(struct log_read *read, const struct reader_batch *batch)
{
    size_t used = read->bytes.size;
    if (used > 0 && used + batch->bytes.size > read->size_max) return false;
    if (used + batch->bytes.size > read->buffer_capacity) {
        size_t needed = used + batch->bytes.size;
        size_t capacity = 2 * read->buffer_capacity; /* many small batches: few copies */
        if (capacity > read->size_max) capacity = read->size_max;
        if (capacity < needed) capacity = needed;
        uint8_t *buffer = realloc(read->buffer, capacity);
        if (!buffer) return false;
        read->buffer = buffer;
        read->buffer_capacity = capacity;
    }
    memcpy(read->buffer + used, batch->bytes.data, batch->bytes.size);
    read->bytes = slice_of(read->buffer, used + batch->bytes.size);
    read->end = batch->position;
    read->batch_count++;
    return true;
}

static enum code read_batches(struct log_read *read, struct env_file *file, void *window,
                              size_t window_size)
{
    struct log *log = read->log;
    struct err *e = &read->err;
    struct file_source source = {.env = log->env, .file = file};
    struct reader reader;
    struct reader_input input = {
        .source = read_source,
        .context = &source,
        .id = log->id,
        .offset = read->segment_offset,
        .limit = read->segment_limit,
        .buffer = window,
        .buffer_size = window_size,
    };
    reader_init(&reader, &input);
    reader.is_record_check_off = true;
    TRY(start_at_seek(read, file, &reader, e));
    TRY(skip_to(read, &reader, e));
    while (read->size_max > 0 && read->bytes.size < read->size_max) {
        struct reader_batch batch;
        enum reader_stop stop;
        enum reader_result result = reader_next(&reader, &batch, &stop, e);
        if (result == READER_END) break;
        if (result == READER_IO) return E_IO;
        if (result != READER_BATCH) return reader_failure(read, &reader, stop, e);
        if (!take_batch(read, &batch)) break;
    }
    if (read->size_max > 0 && read->batch_count == 0) {
        return ERR(e, E_NOMEMORY, "no memory to read the log for a follower");
    }
    return OK;
}

static void read_run(struct env_job *job)
{
    struct log_read *read = CONTAINER_OF(job, struct log_read, job);
    struct env *env = read->log->env;
    char path[LOG_PATH_SIZE];
    log_path(read->segment_file_id, path);
    struct env_file *file = NULL;
    size_t window_size = BATCH_SIZE_MAX + 64 * KIB;
    uint8_t *window = malloc(window_size);
    if (!window) {
        read->code = ERR(&read->err, E_NOMEMORY, "no memory to read the log");
        return;
    }
    read->code = env->v->open(env, path, ENV_READ, &file, &read->err);
    if (read->code == OK) read->code = read_batches(read, file, window, window_size);
    env->v->close(env, file);
    free(window);
}

static void read_done(struct env_job *job)
{
    struct log_read *read = CONTAINER_OF(job, struct log_read, job);
    uint8_t *buffer = read->buffer;
    struct log_read **at = &read->log->reads;
    while (*at != read) {
        at = &(*at)->next_running;
    }
    *at = read->next_running;
    read->buffer = NULL; /* done may start this read again or free it */
    read->buffer_capacity = 0;
    read->done(read, read->code, &read->err);
    free(buffer);
}

static void nothing_to_run(struct env_job *job)
{
    (void)job; /* an answer known at once is still given from the loop, later */
}

static void submit(struct log *log, struct log_read *read, bool needs_io)
{
    read->job = (struct env_job){.run = needs_io ? read_run : nothing_to_run, .done = read_done};
    if (!needs_io) read->segment_file_id = 0;
    read->next_running = log->reads;
    log->reads = read;
    log->env->v->submit(log->env, LANE_BACKGROUND, &read->job);
}

/* Newest seek entry whose batch begins at or before seqno s. */
static uint64_t seek_offset(const struct log_segment *segment, uint64_t s)
{
    uint64_t offset = SEGMENT_HEADER_SIZE;
    for (uint32_t low = 0, high = segment->seek_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (segment->seeks[middle].first_seqno <= s) {
            offset = segment->seeks[middle].offset;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return offset;
}

/* Fill in where to read. False: the answer is known without I/O (read->code says). */
static bool prepare(struct log *log, struct log_read *read)
{
    read->log = log;
    read->bytes = slice_of(NULL, 0);
    read->end = read->from;
    read->batch_count = 0;
    read->buffer = NULL;
    read->buffer_capacity = 0;
    read->code = OK;
    if (read->from.seqno.v < log->base.seqno.v) {
        read->code = ERR(&read->err, E_NOT_KEPT, "the log begins at seqno %llu",
                         (unsigned long long)log_oldest(log).v);
        return false;
    }
    if (read->from.seqno.v >= log->durable.seqno.v) return false; /* nothing newer: OK, no bytes */
    const struct log_segment *segment = log_segment_of(log, seqno_next(read->from.seqno));
    ASSERT(segment != NULL);
    read->segment_file_id = segment->file_id;
    read->segment_offset = seek_offset(segment, read->from.seqno.v + 1);
    read->segment_limit = segment->data_end;
    return true;
}

void log_read_start(struct log *log, struct log_read *read)
{
    submit(log, read, prepare(log, read));
}

enum code log_read_now(struct log *log, struct log_read *read, struct err *e)
{
    if (prepare(log, read)) read_run(&read->job);
    if (read->code != OK && e) *e = read->err;
    return read->code;
}

/* --- proofs --- */

static void prove_answer(struct log_read *read, enum code code, const struct err *e)
{
    struct log_prove *prove = CONTAINER_OF(read, struct log_prove, read);
    prove->done(prove, code, e);
}

static enum code prove_known(struct log_prove *prove, const struct position *known)
{
    const struct position *p = &prove->position;
    if (known->seqno.v == p->seqno.v && hash256_equal(&known->chain, &p->chain)) return OK;
    return ERR(&prove->read.err, E_DIVERGED,
               "seqno %llu of epoch %llu is not in this log's history",
               (unsigned long long)p->seqno.v, (unsigned long long)p->epoch);
}

/* The answer when memory holds it; *out_known false when a segment must be read. */
static enum code prove_from_memory(struct log *log, struct log_prove *prove, bool *out_known)
{
    const struct position *p = &prove->position;
    *out_known = true;
    if (p->seqno.v > log->durable.seqno.v) {
        return ERR(&prove->read.err, E_GAP, "seqno %llu is beyond this log's end at %llu",
                   (unsigned long long)p->seqno.v, (unsigned long long)log->durable.seqno.v);
    }
    if (p->seqno.v < log->base.seqno.v) {
        return ERR(&prove->read.err, E_NOT_KEPT, "the log begins at seqno %llu",
                   (unsigned long long)log_oldest(log).v);
    }
    if (p->seqno.v == log->base.seqno.v) return prove_known(prove, &log->base);
    if (p->seqno.v == log->durable.seqno.v) return prove_known(prove, &log->durable);
    const struct log_batch_ref *ref = tail_batch_of(log, p->seqno);
    if (ref) return prove_known(prove, &ref->end);
    const struct log_segment *segment = log_segment_of(log, p->seqno);
    ASSERT(segment != NULL);
    if (segment->last.v == p->seqno.v) return prove_known(prove, &segment->end);
    *out_known = false;
    return OK;
}

void log_prove_start(struct log *log, struct log_prove *prove)
{
    prove->log = log;
    struct log_read *read = &prove->read;
    *read = (struct log_read){.from = prove->position, .log = log, .done = prove_answer};
    bool is_known;
    read->code = prove_from_memory(log, prove, &is_known);
    if (is_known) {
        submit(log, read, false);
        return;
    }
    const struct log_segment *segment = log_segment_of(log, prove->position.seqno);
    read->segment_file_id = segment->file_id;
    read->segment_offset = seek_offset(segment, prove->position.seqno.v);
    read->segment_limit = segment->data_end;
    submit(log, read, true);
}
