/* write_group: the batch under construction: records are encoded straight into one reused buffer;
 * closing stamps the header and copies what was used into a chunk of its size. */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/clock.h"
#include "engine/write_internal.h"

#define BUFFER_SIZE_FIRST (64 * KIB)

static void group_open(struct write *w)
{
    struct open_group *g = &w->group;
    if (g->record_count > 0) return;
    g->first = seqno_next(w->assigned);
    g->leader_time = clock_next(w->db);
    g->opened_ns = w->db->env->v->now_mono_ns(w->db->env);
    g->is_housekeeping = true;
    g->must_close = false;
    if (g->buffer) {
        g->writer = bytes_writer_of(g->buffer + BATCH_HEADER_SIZE, g->capacity - BATCH_HEADER_SIZE);
    }
}

int64_t group_base_ms(struct write *w)
{
    group_open(w);
    return (int64_t)hlc_ms(w->group.leader_time);
}

static bool group_grow(struct write *w)
{
    struct open_group *g = &w->group;
    uint64_t max = w->db->config.batch_size_max;
    uint64_t capacity = g->capacity == 0 ? BUFFER_SIZE_FIRST : g->capacity * 2;
    if (capacity > max) capacity = max;
    if (capacity <= g->capacity) return false;
    uint8_t *buffer = realloc(g->buffer, capacity);
    if (!buffer) return false;
    size_t used = g->buffer ? bytes_written(&g->writer) : 0;
    g->buffer = buffer;
    g->capacity = capacity;
    g->writer = bytes_writer_of(buffer + BATCH_HEADER_SIZE, capacity - BATCH_HEADER_SIZE);
    g->writer.at += used;
    return true;
}

/* The encoder said E_LIMIT: is it the record, or only the room left in this group? E_BUSY leaves no
 * text behind: the record is not refused, it waits. */
static enum code judge_limit(struct write *w, struct err *e)
{
    if (group_grow(w)) return OK; /* try again */
    if (w->group.record_count == 0) return E_LIMIT;
    e->text[0] = '\0';
    return E_BUSY;
}

static enum code note_record(struct write *w, size_t before, struct err *e)
{
    struct open_group *g = &w->group;
    size_t size = bytes_written(&g->writer) - before;
    if (size > w->db->config.record_size_max) {
        g->writer.at = g->writer.start + before;
        return ERR(e, E_LIMIT, "the record has %zu bytes; record_size_max is %llu", size,
                   (unsigned long long)w->db->config.record_size_max);
    }
    g->record_count++;
    w->assigned = seqno_next(w->assigned);
    if (g->record_count == BATCH_RECORDS_MAX) g->must_close = true;
    return OK;
}

enum code group_add(struct write *w, const struct record *r, bool is_housekeeping, struct err *e)
{
    struct open_group *g = &w->group;
    if (g->record_count > 0 && g->must_close) return E_BUSY;
    int64_t base_ms = group_base_ms(w);
    if (!g->buffer && !group_grow(w)) return ERR(e, E_NOMEMORY, "no memory for a group of records");
    for (;;) {
        size_t before = bytes_written(&g->writer);
        enum code code = record_encode(&g->writer, r, base_ms, e);
        if (code == OK) {
            TRY(note_record(w, before, e));
            break;
        }
        if (code != E_LIMIT) return code;
        TRY(judge_limit(w, e));
    }
    if (!is_housekeeping) g->is_housekeeping = false;
    if (record_kind_is_last(r->kind)) g->must_close = true;
    return OK;
}

enum code group_add_signals(struct write *w, const struct record_envelope *envelope,
                            const struct signal_entry *entries, uint32_t count, struct err *e)
{
    struct open_group *g = &w->group;
    if (g->record_count > 0 && g->must_close) return E_BUSY;
    int64_t base_ms = group_base_ms(w);
    if (!g->buffer && !group_grow(w)) return ERR(e, E_NOMEMORY, "no memory for a group of records");
    for (;;) {
        size_t before = bytes_written(&g->writer);
        enum code code = record_encode_signals(&g->writer, envelope, entries, count, base_ms, e);
        if (code == OK) {
            TRY(note_record(w, before, e));
            break;
        }
        if (code != E_LIMIT) return code;
        TRY(judge_limit(w, e));
    }
    g->is_housekeeping = false;
    return OK;
}

void group_drop_newest(struct write *w, size_t payload_size_before)
{
    struct open_group *g = &w->group;
    ASSERT(g->record_count > 0);
    g->record_count--;
    w->assigned.v--;
    g->writer.at = g->writer.start + payload_size_before;
}

static void fill_header(struct write *w, struct slice payload, struct batch_header *h)
{
    const struct open_group *g = &w->group;
    const struct log *log = w->db->log;
    const struct log_identity *id = log_identity_of(log);
    struct position before = log_written(log);
    ASSERT(before.seqno.v + 1 == g->first.v);
    *h = (struct batch_header){
        .flags = g->is_housekeeping ? BATCH_FLAG_HOUSEKEEPING : 0,
        .record_count = g->record_count,
        .cluster = id->cluster,
        .stream = id->stream,
        .codec = CODEC_NONE,
        .epoch = w->db->epoch,
        .first = g->first,
        .payload_size = (uint32_t)payload.size,
        .raw_size = (uint32_t)payload.size,
        .leader_time = g->leader_time,
        .durable_through = log_durable(log).seqno,
        .previous_chain = before.chain,
        .payload_hash = hash256_of(payload),
    };
}

struct log_chunk *group_close(struct write *w)
{
    struct open_group *g = &w->group;
    ASSERT(g->record_count > 0);
    struct slice payload = bytes_written_slice(&g->writer);
    struct log_chunk *chunk = chunk_new(w->db->log, BATCH_HEADER_SIZE + payload.size, 1);
    if (!chunk) return NULL;
    struct batch_header header;
    fill_header(w, payload, &header);
    batch_header_encode(&header, log_identity_of(w->db->log)->log_key, g->buffer);
    struct position end = {
        .epoch = header.epoch.number,
        .seqno = batch_last(&header),
        .chain = batch_chain(g->buffer),
    };
    bool is_added =
        chunk_add(chunk, slice_of(g->buffer, BATCH_HEADER_SIZE + payload.size), &header, &end);
    ASSERT(is_added);
    ASSERT(w->closed_growth_count < CLOSED_GROWTH_MAX);
    w->closed_growth[w->closed_growth_count++] =
        (struct closed_growth){.last = end.seqno, .growth = w->open_growth};
    w->open_growth = (struct state_growth){0};
    clock_note(w->db, g->leader_time);
    g->record_count = 0;
    return chunk;
}
