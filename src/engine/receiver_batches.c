/* receiver_batches: from a frame of batches to the follower's own log, and back as an ack.
 *
 * Every batch is verified against the end of what was accepted before it; then it waits in a queue
 * of chunks, one write and one sync for all that arrived while the last write ran. What is held
 * already is skipped, after a comparison where memory allows one. `accepted` is what acks call
 * received. After a failed write nothing is accepted any more, and acks say so.
 */
#include "engine/receiver.h"

#include "base/assert.h"
#include "base/planted.h"
#include "engine/disk.h"
#include "engine/receiver_internal.h"

bool receiver_is_settled(const struct receiver *r)
{
    const struct log *log = r->db->log;
    return !r->is_noting && r->queue_first == NULL && (log == NULL || !log_is_writing(log));
}

void receiver_drop_queue(struct receiver *r)
{
    while (r->queue_first != NULL) {
        struct log_chunk *chunk = r->queue_first;
        r->queue_first = chunk->pool_next;
        chunk->pool_next = NULL;
        chunk_unref(r->db->log, chunk);
    }
    r->queue_last = NULL;
    r->queue_bytes = 0;
    stages_drop(&r->db->stages);
}

void receiver_write_next(struct receiver *r)
{
    struct db *db = r->db;
    struct log_chunk *chunk = r->queue_first;
    if (db->log == NULL || log_is_writing(db->log)) return;
    r->is_writing = false;
    if (log_is_poisoned(db->log)) receiver_drop_queue(r);
    if (chunk == NULL || r->queue_first == NULL) return;
    if (disk_refuses(db->disk)) return; /* it is handed over when there is space again */
    r->queue_first = chunk->pool_next;
    chunk->pool_next = NULL;
    if (r->queue_first == NULL) r->queue_last = NULL;
    r->queue_bytes -= chunk->size;
    r->is_writing = true;
    db_write_chunk(db, chunk);
}

/* --- in --- */

/* The chunk at the end of the queue, with room for this batch. */
static struct log_chunk *chunk_for(struct receiver *r, size_t file_size)
{
    struct log *log = r->db->log;
    struct log_chunk *last = r->queue_last;
    if (last != NULL && last->batch_count < last->batch_capacity &&
        last->capacity - last->size >= file_size) {
        return last;
    }
    size_t capacity = log_is_writing(log) ? RECEIVE_CHUNK_MAX : RECEIVE_CHUNK_MIN;
    if (capacity < file_size) capacity = file_size;
    struct log_chunk *chunk = chunk_new(log, capacity, CHUNK_BATCHES_MAX);
    if (chunk == NULL) return NULL;
    chunk->pool_next = NULL;
    if (last != NULL) {
        last->pool_next = chunk;
    } else {
        r->queue_first = chunk;
    }
    r->queue_last = chunk;
    return chunk;
}

static enum code accept_batch(struct receiver *r, struct slice batch, struct err *e)
{
    struct batch_header header;
    struct position end = {0};
    const struct log_identity *id = log_identity_of(r->db->log);
    TRY(batch_verify_next(batch, id, &r->accepted, &header, &end.chain, e));
    if (header.epoch.number > r->follow.plan_epoch) {
        return ERR(e, E_PROTOCOL, "the leader of epoch %llu sends records of epoch %llu",
                   (unsigned long long)r->follow.plan_epoch,
                   (unsigned long long)header.epoch.number);
    }
    end.epoch = header.epoch.number;
    end.seqno = batch_last(&header);
    struct log_chunk *chunk = chunk_for(r, (size_t)batch_file_size(&header));
    if (chunk == NULL) return ERR(e, E_NOMEMORY, "no memory for a batch of %zu bytes", batch.size);
    bool is_added = chunk_add(chunk, batch, &header, &end);
    ASSERT(is_added);
    r->queue_bytes += batch_file_size(&header);
    r->accepted = end;
    return OK;
}

/* A batch that ends at or before what was accepted: equal where both ends are known? */
static bool held_is_equal(const struct receiver *r, const struct batch_header *header,
                          const uint8_t *bytes)
{
    struct hash256 chain = batch_chain(bytes);
    if (batch_last(header).v == r->accepted.seqno.v) {
        return hash256_equal(&chain, &r->accepted.chain);
    }
    uint32_t index = 0;
    const struct log_chunk *chunk = log_tail_find(r->db->log, header->first, &index);
    if (chunk == NULL) return true; /* older than memory: it is skipped either way */
    const struct position *end = &chunk->batches[index].end;
    return end->seqno.v == batch_last(header).v && hash256_equal(&chain, &end->chain);
}

/* The batch at the beginning of bytes; *out_size is how much it takes. */
static enum code take_batch(struct receiver *r, struct slice bytes, size_t *out_size, struct err *e)
{
    struct batch_header header;
    enum batch_verdict verdict = BATCH_NOT_A_HEADER;
    if (bytes.size >= BATCH_HEADER_SIZE) {
        verdict = batch_header_decode(bytes.data, log_identity_of(r->db->log), &header);
    }
    if (verdict != BATCH_OK) {
        return ERR(e, E_PROTOCOL, "the leader sends no batch after record %llu: %s",
                   (unsigned long long)r->accepted.seqno.v, batch_verdict_text(verdict));
    }
    size_t size = (size_t)BATCH_HEADER_SIZE + header.payload_size;
    if (bytes.size < size) return ERR(e, E_PROTOCOL, "the leader sends a batch without its end");
    *out_size = size;
    switch (follow_place_of(r->accepted.seqno, header.first, batch_last(&header))) {
    case FOLLOW_NEXT: return accept_batch(r, slice_of(bytes.data, size), e);
    case FOLLOW_HELD:
        if (held_is_equal(r, &header, bytes.data)) return OK;
        return ERR(e, E_DIVERGED, "the leader sends other records under the numbers %llu to %llu",
                   (unsigned long long)header.first.v, (unsigned long long)batch_last(&header).v);
    case FOLLOW_GAP:
        return ERR(e, E_GAP, "the leader sends record %llu, expected is %llu",
                   (unsigned long long)header.first.v, (unsigned long long)r->accepted.seqno.v + 1);
    case FOLLOW_STRADDLES:
        return ERR(e, E_PROTOCOL, "the leader sends a batch from record %llu that overlaps %llu",
                   (unsigned long long)header.first.v, (unsigned long long)r->accepted.seqno.v);
    }
    UNREACHABLE();
}

enum code receiver_take_batches(struct receiver *r, const struct wire_batches *batches,
                                struct err *e)
{
    struct db *db = r->db;
    ASSERT(db->log != NULL); /* a plan was accepted */
    if (!stream_equal(batches->stream, db->identity.stream)) {
        return ERR(e, E_PROTOCOL, "the leader sends batches of another stream");
    }
    if (log_is_poisoned(db->log)) return OK;
    struct slice bytes = batches->bytes;
    bool is_sample = stages_is_sample(&db->stages);
    uint64_t arrived_ns = is_sample ? receiver_now(r) : 0;
    while (bytes.size > 0) {
        size_t size = 0;
        TRY(take_batch(r, bytes, &size, e));
        bytes = slice_of(bytes.data + size, bytes.size - size);
    }
    if (is_sample) stages_begin(db, STAGE_RECEIVE, arrived_ns, r->accepted.seqno);
    r->was_heard = true;
    if (batches->durable.v > r->leader_durable) r->leader_durable = batches->durable.v;
    if (batches->durable_bytes > r->leader_durable_bytes) {
        r->leader_durable_bytes = batches->durable_bytes;
    }
    if (r->queue_bytes > RECEIVE_QUEUE_MAX) frames_hold(&r->frames);
    return OK;
}

/* --- out --- */

void receiver_send_ack(struct receiver *r)
{
    struct db *db = r->db;
    if (r->follow.state != FOLLOW_STREAMING) return;
    struct wire_message m = {
        .kind = WIRE_ACK,
        .session = r->follow.session,
        .probe = lag_probe_next(&r->lag.probes, receiver_now(r)),
        .as.ack =
            {
                .epoch = r->follow.plan_epoch,
                .received = r->accepted,
                .stored = PLANTED(10) ? r->accepted /* as if it were stored */
                                      : log_durable(db->log),
                .applied = db_applied(db),
                .echo_probe = r->leader_probe,
                .apply_errors = db->condition == DB_HALTED ? 1 : 0,
                .divergences = db->divergences,
                .is_poisoned = log_is_poisoned(db->log) ? 1 : 0,
                .is_diverged = db->condition == DB_DIVERGED ? 1 : 0,
            },
    };
    ASSERT(m.as.ack.stored.seqno.v <= r->accepted.seqno.v || log_is_poisoned(db->log));
    frames_send(&r->frames, &m);
}
