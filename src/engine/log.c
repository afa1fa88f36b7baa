/* log: what the live log holds: positions, segments and their seek indexes. Writing is in
 * log_write.c, the memory tail in log_tail.c, cold reads in log_read.c, spares in log_spare.c. */
#include "engine/log.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/log_internal.h"

void log_path(uint64_t file_id, char out[LOG_PATH_SIZE])
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(file_id, name);
    struct text t = text_of(out, LOG_PATH_SIZE);
    text_add(&t, "log/%s", name);
}

struct log *log_new(struct env *env, const struct log_identity *id, const struct config *config,
                    const struct log_hooks *hooks, const struct position *base, uint64_t base_bytes)
{
    struct log *log = calloc(1, sizeof(*log));
    if (!log) return NULL;
    log->env = env;
    log->id = *id;
    log->hooks = *hooks;
    log->segment_size = config->segment_size;
    log->segment_size_first = config->segment_size_first;
    log->tail_bytes_max = config->tail_buffer;
    log->base = *base;
    log->base_bytes = base_bytes;
    log->durable_bytes = base_bytes;
    log->written = *base;
    log->durable = *base;
    log->next_file_id = 1;
    piece_hasher_reset(&log->pieces);
    return log;
}

static enum code grow_segments(struct log *log, struct err *e)
{
    if (log->segment_count < log->segment_capacity) return OK;
    uint32_t capacity = log->segment_capacity ? log->segment_capacity * 2 : 16;
    struct log_segment *segments = realloc(log->segments, capacity * sizeof(*segments));
    if (!segments) return ERR(e, E_NOMEMORY, "no memory for %u segments", capacity);
    log->segments = segments;
    log->segment_capacity = capacity;
    return OK;
}

enum code log_add_sealed(struct log *log, const struct log_segment *segment, struct err *e)
{
    ASSERT(segment->is_sealed);
    ASSERT(!log->has_active);
    ASSERT(segment->first.v == log->durable.seqno.v + 1);
    TRY(grow_segments(log, e));
    struct log_segment *added = &log->segments[log->segment_count++];
    *added = *segment;
    added->bytes_before = log->durable_bytes;
    log->durable_bytes += segment->data_end - SEGMENT_HEADER_SIZE;
    log->written = segment->end;
    log->durable = segment->end;
    return OK;
}

enum code log_start(struct log *log, const struct log_continue *from, struct err *e)
{
    log->next_file_id = from->next_file_id;
    log->generation = from->generation;
    log->mark_version = from->mark_version;
    /* Room for the next segment is there before a job needs it. */
    TRY(grow_segments(log, e));
    TRY(log->env->v->open(log->env, "mark", ENV_WRITE | ENV_CREATE, &log->mark_file, e));
    /* What was recovered is durable: with a mark on disk a torn first group is told from rot. */
    uint8_t slot[MARK_SLOT_SIZE];
    uint64_t offset = log_next_mark(log, &log->durable, 0, slot);
    TRY(log->env->v->pwrite(log->env, log->mark_file, offset, slice_of(slot, sizeof(slot)), e));
    TRY(log->env->v->sync(log->env, log->mark_file, e));
    return log->env->v->sync_dir(log->env, ".", e);
}

const struct log_segment *log_segment_at(const struct log *log, uint32_t i)
{
    ASSERT(i < log->segment_count);
    return &log->segments[i];
}

uint64_t log_free_file_id(struct log *log)
{
    return log->next_file_id++;
}

enum code log_lower_mark(struct log *log, const struct position *to, struct err *e)
{
    log->committed = seqno_min(log->committed, to->seqno);
    for (int i = 0; i < 2; i++) { /* a slot that is torn leaves the other one, higher or as low */
        uint8_t slot[MARK_SLOT_SIZE];
        uint64_t offset = log_next_mark(log, to, 0, slot);
        TRY(log->env->v->pwrite(log->env, log->mark_file, offset, slice_of(slot, sizeof(slot)), e));
        TRY(log->env->v->sync(log->env, log->mark_file, e));
    }
    return OK;
}

void log_free(struct log *log)
{
    if (!log) return;
    spare_stop(log);
    tail_free(log);
    if (log->job.chunk) chunk_unref(log, log->job.chunk);
    hash_list_free(log, &log->job.unhashed);
    log_hash_free(log);
    pool_free(log);
    log->env->v->close(log->env, log->active_file);
    log->env->v->close(log->env, log->mark_file);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        free(log->segments[i].seeks);
    }
    free(log->segments);
    free(log->dead);
    free(log);
}

void log_stop(struct log *log)
{
    log->is_closing = true;
    spare_stop(log);
}

bool log_is_quiet(const struct log *log)
{
    return !log->is_writing && log->spare.state != SPARE_STEP_RUNNING && !log->reads &&
           !log->dispose.is_running && !log->hash.is_submitted;
}

struct position log_written(const struct log *log)
{
    return log->written;
}

struct position log_durable(const struct log *log)
{
    return log->durable;
}

seqno log_oldest(const struct log *log)
{
    return seqno_next(log->base.seqno);
}

seqno log_sealed(const struct log *log)
{
    uint32_t count = log->has_active ? log->segment_count - 1 : log->segment_count;
    return count > 0 ? log->segments[count - 1].last : log->base.seqno;
}

uint64_t log_durable_bytes(const struct log *log)
{
    return log->durable_bytes;
}

seqno log_committed(const struct log *log)
{
    return log->committed;
}

void log_note_committed(struct log *log, seqno committed)
{
    log->committed = seqno_max(log->committed, seqno_min(committed, log->durable.seqno));
}

bool log_is_writing(const struct log *log)
{
    return log->is_writing;
}

bool log_is_poisoned(const struct log *log)
{
    return log->is_poisoned;
}

const struct err *log_poison_reason(const struct log *log)
{
    return &log->poison;
}

const struct log_identity *log_identity_of(const struct log *log)
{
    return &log->id;
}

const struct log_segment *log_segment_of(const struct log *log, seqno s)
{
    uint32_t low = 0;
    uint32_t high = log->segment_count;
    while (low < high) { /* first segment whose last >= s */
        uint32_t middle = low + (high - low) / 2;
        if (log->segments[middle].last.v < s.v) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == log->segment_count || log->segments[low].first.v > s.v) return NULL;
    return &log->segments[low];
}

bool log_segment_note_batch(struct log_segment *segment, const struct batch_header *header,
                            uint64_t offset, const struct position *end)
{
    bool is_due = segment->seek_count == 0;
    if (!is_due) {
        const struct seek_entry *newest = &segment->seeks[segment->seek_count - 1];
        is_due =
            segment->records_since_seek >= SEEK_RECORDS && offset - newest->offset >= SEEK_BYTES;
    }
    if (is_due) {
        if (segment->seek_count == segment->seek_capacity) {
            uint32_t capacity = segment->seek_capacity ? segment->seek_capacity * 2 : 64;
            struct seek_entry *seeks = realloc(segment->seeks, capacity * sizeof(*seeks));
            if (!seeks) return false;
            segment->seeks = seeks;
            segment->seek_capacity = capacity;
        }
        segment->seeks[segment->seek_count++] =
            (struct seek_entry){.first_seqno = header->first.v, .offset = offset};
        segment->records_since_seek = 0;
    }
    segment->records_since_seek += header->record_count;
    segment->batch_count++;
    segment->payload_bytes += header->payload_size;
    segment->last = batch_last(header);
    segment->end = *end;
    segment->data_end = offset + batch_file_size(header);
    return true;
}

uint64_t log_segment_bytes_after(const struct log *log, uint32_t i)
{
    ASSERT(i < log->segment_count);
    return log->durable_bytes - log->segments[i].bytes_before;
}

uint64_t log_bytes_after(const struct log *log, seqno s)
{
    if (s.v >= log->durable.seqno.v) return 0;
    uint32_t index;
    const struct log_chunk *chunk = log_tail_find(log, seqno_next(s), &index);
    if (chunk) {
        uint64_t end = chunk->batches[index].log_bytes_end;
        return log->durable_bytes - (end - batch_file_size(&chunk->batches[index].header));
    }
    const struct log_segment *segment = log_segment_of(log, seqno_next(s));
    if (!segment) return log->durable_bytes;
    uint64_t offset = SEGMENT_HEADER_SIZE;
    for (uint32_t low = 0, high = segment->seek_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (segment->seeks[middle].first_seqno <= s.v + 1) {
            offset = segment->seeks[middle].offset;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return log->durable_bytes - (segment->bytes_before + offset - SEGMENT_HEADER_SIZE);
}

void log_figures(const struct log *log, struct log_figures *out)
{
    *out = (struct log_figures){.segments = log->segment_count,
                                .tail_bytes = log->tail_bytes,
                                .pool_bytes = log->pool_bytes,
                                .recycled = log->recycled_used};
    /* File ids need not ascend with the records: a spare can be made before and used after. */
    for (uint32_t i = 0; i < log->segment_count; i++) {
        uint64_t file_id = log->segments[i].file_id;
        out->bytes += log->segments[i].data_end;
        if (i == 0 || file_id < out->first_file_id) out->first_file_id = file_id;
        if (file_id > out->last_file_id) out->last_file_id = file_id;
    }
}
