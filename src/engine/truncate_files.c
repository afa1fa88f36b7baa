/* truncate_files: see truncate_files.h. */
#include "engine/truncate_files.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/quarantine.h"
#include "engine/reseal.h"
#include "format/record.h"

/* --- looking --- */

static bool is_of_clients(enum record_kind kind)
{
    return kind != RECORD_TICK && kind != RECORD_MARK && kind != RECORD_DIGEST &&
           kind != RECORD_EPOCH_START && kind != RECORD_NOOP;
}

static uint64_t count_client_records(const struct reader_batch *batch)
{
    struct bytes_reader payload = bytes_reader_of(batch->payload);
    int64_t base_ms = (int64_t)hlc_ms(batch->header.leader_time);
    uint64_t count = 0;
    for (uint32_t i = 0; i < batch->header.record_count; i++) {
        struct record record;
        if (record_decode(&payload, base_ms, &record, NULL) != OK) break; /* it was checked */
        count += is_of_clients(record.kind);
    }
    return count;
}

/* Open a sealed segment for a scan. */
static enum code scan_of(const struct cut *c, const struct log_segment *segment, struct scan *out,
                         struct err *e)
{
    uint8_t bytes[SEGMENT_HEADER_SIZE] = {0};
    char path[LOG_PATH_SIZE];
    size_t got = 0;
    *out = (struct scan){
        .env = c->env,
        .id = *log_identity_of(c->log),
        .file_size = segment->data_end,
        .window_size = READER_BUFFER_SIZE_MIN,
    };
    out->window = malloc(out->window_size);
    if (!out->window) return ERR(e, E_NOMEMORY, "no memory to read a segment");
    log_path(segment->file_id, path);
    TRY(c->env->v->open(c->env, path, ENV_READ | ENV_UNCACHED, &out->file, e));
    TRY(c->env->v->pread(c->env, out->file, 0, bytes, sizeof(bytes), &got, e));
    if (segment_header_decode(bytes, &out->header) != SEGMENT_OK) {
        return ERR(e, E_CORRUPT, "%s has no readable header any more", path);
    }
    return OK;
}

static void scan_close(struct scan *s)
{
    scan_fini(s);
    free(s->window);
    s->window = NULL;
}

/* Count the records of clients behind the fork, in one segment. What does not verify counts for
 * one, so that it is kept. */
static enum code look_at_segment(struct cut *c, const struct log_segment *segment, struct err *e)
{
    struct scan s;
    enum code code = scan_of(c, segment, &s, e);
    struct reader reader;
    struct reader_input input = {
        .source = scan_source,
        .context = &s,
        .id = s.id,
        .start = segment->start,
        .offset = SEGMENT_HEADER_SIZE,
        .limit = segment->data_end,
        .buffer = s.window,
        .buffer_size = s.window_size,
    };
    enum reader_result result = READER_END;
    enum reader_stop stop = STOP_ZEROS;
    bool is_fork_found = c->fork.seqno.v < segment->first.v;
    if (code == OK) reader_init(&reader, &input);
    while (code == OK) {
        struct reader_batch batch;
        result = reader_next(&reader, &batch, &stop, e);
        if (result != READER_BATCH) break;
        if (batch.position.seqno.v == c->fork.seqno.v) {
            is_fork_found = hash256_equal(&batch.position.chain, &c->fork.chain);
        }
        if (batch.header.first.v > c->fork.seqno.v) {
            c->client_records += count_client_records(&batch);
        }
    }
    if (code == OK && result == READER_IO) code = E_IO;
    if (code == OK && result == READER_STOP) c->client_records++;
    if (code == OK && !is_fork_found) {
        code = ERR(e, E_DIVERGED, "record %llu, to which the log is to be cut back, is not in it",
                   (unsigned long long)c->fork.seqno.v);
    }
    scan_close(&s);
    return code;
}

enum code cut_look(struct cut *c, struct err *e)
{
    c->client_records = 0;
    for (uint32_t i = 0; i < log_segment_count(c->log); i++) {
        const struct log_segment *segment = log_segment_at(c->log, i);
        if (segment->last.v > c->fork.seqno.v) TRY(look_at_segment(c, segment, e));
    }
    c->has_clients = c->client_records > 0;
    return OK;
}

/* The segment that holds the fork and records behind it; NULL: the fork is between two segments. */
static const struct log_segment *straddling(const struct cut *c)
{
    for (uint32_t i = 0; i < log_segment_count(c->log); i++) {
        const struct log_segment *segment = log_segment_at(c->log, i);
        bool is_it = segment->first.v <= c->fork.seqno.v && segment->last.v > c->fork.seqno.v;
        if (is_it) return segment;
    }
    return NULL;
}

/* --- copying --- */

/* Scan the segment up to the fork. */
static enum code scan_to_fork(const struct cut *c, const struct log_segment *segment,
                              struct scan *s, struct err *e)
{
    s->last = c->fork.seqno;
    TRY(scan_batches(s, &segment->start, SEGMENT_HEADER_SIZE, e));
    if (position_equal(&s->segment.end, &c->fork)) return OK;
    return ERR(e, E_DIVERGED, "record %llu, to which the log is to be cut back, is not in it",
               (unsigned long long)c->fork.seqno.v);
}

enum code cut_copy_tail(struct cut *c, struct err *e)
{
    const struct log_segment *segment = straddling(c);
    if (!segment || !c->has_clients) return OK;
    char path[QUARANTINE_PATH_SIZE];
    quarantine_path(c->fork.seqno.v + 1, segment->file_id, "seg", path);
    struct scan s;
    enum code code = scan_of(c, segment, &s, e);
    if (code == OK) code = scan_to_fork(c, segment, &s, e);
    if (code == OK) {
        uint64_t from = s.segment.data_end;
        free(s.segment.seeks);
        s.header.first = seqno_next(c->fork.seqno);
        s.header.chain_at_start = c->fork.chain;
        s.last = SEQNO_NONE;
        code = scan_batches(&s, &c->fork, from, e);
        if (code == OK) s.header.epoch = (struct epoch){.number = s.segment.end.epoch};
        if (code == OK) code = scan_write_sealed(&s, from, path, e);
    }
    scan_close(&s);
    TRY(code);
    return c->env->v->sync_dir(c->env, "quarantine", e);
}

/* --- cutting --- */

static enum code give_up_segment(const struct cut *c, const struct log_segment *segment,
                                 struct err *e)
{
    char from[LOG_PATH_SIZE];
    char to[QUARANTINE_PATH_SIZE];
    log_path(segment->file_id, from);
    if (!c->has_clients) {
        TRY(c->env->v->unlink(c->env, from, e));
        return c->env->v->sync_dir(c->env, "log", e);
    }
    quarantine_path(segment->first.v, segment->file_id, "seg", to);
    TRY(c->env->v->rename(c->env, from, to, e));
    TRY(c->env->v->sync_dir(c->env, "quarantine", e));
    return c->env->v->sync_dir(c->env, "log", e);
}

/* Newest first, each durable before the next: what is left is always one log without a hole. */
enum code cut_segments(struct cut *c, struct err *e)
{
    for (uint32_t i = log_segment_count(c->log); i > 0; i--) {
        const struct log_segment *segment = log_segment_at(c->log, i - 1);
        if (segment->first.v <= c->fork.seqno.v) break;
        TRY(give_up_segment(c, segment, e));
    }
    const struct log_segment *segment = straddling(c);
    if (!segment) return OK;
    struct scan s;
    enum code code = scan_of(c, segment, &s, e);
    if (code == OK) code = scan_to_fork(c, segment, &s, e);
    if (code == OK) code = reseal(&s, log_free_file_id(c->log), e);
    scan_close(&s);
    return code;
}
