/* apply: the one function through which batches change the state: live writes, followers, replay.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/text.h"
#include "engine/checkpoint.h"
#include "engine/db_internal.h"
#include "engine/queue.h"
#include "engine/recover.h"
#include "engine/voters.h"
#include "engine/write.h"

/* Remember a leadership in the epoch table; identity is saved lazily: the record itself is in the
 * log, and the table is rebuilt from checkpoint and log at open. */
static void note_epoch_start(struct db *db, const struct batch_header *header)
{
    struct identity *id = &db->identity;
    db->epoch = header->epoch;
    if (header->epoch.number > id->highest_epoch) id->highest_epoch = header->epoch.number;
    if (db->receiver) {
        db_event(db, DB_EVENT_EPOCH, "epoch %llu begins with record %llu",
                 (unsigned long long)header->epoch.number, (unsigned long long)header->first.v);
    }
    if (id->epoch_count > 0 &&
        id->epochs[id->epoch_count - 1].epoch.number >= header->epoch.number) {
        return;
    }
    if (id->epoch_count == EPOCH_TABLE_MAX) { /* the oldest leaderships are forgotten */
        memmove(&id->epochs[0], &id->epochs[1], (EPOCH_TABLE_MAX - 1) * sizeof(id->epochs[0]));
        id->epoch_count--;
    }
    id->epochs[id->epoch_count++] = (struct epoch_entry){
        .epoch = header->epoch,
        .start = header->first,
        .chain_before = header->previous_chain,
    };
    if (db->saver) db_save_identity(db, NULL, NULL);
}

/* An older copy of this directory does not know which epochs this node led since; the records that
 * it fetches back tell. They were received, so they prove nothing about what was synced here. */
static void note_own_epoch(struct db *db, const struct record_epoch_start *start)
{
    struct identity *id = &db->identity;
    bool is_to_lead = id->role != ROLE_FOLLOWER && !db->is_leading;
    bool is_own = slice_equal(start->node_id, slice_of_text(id->node_id));
    bool is_known = id->led_count > 0 && id->led[id->led_count - 1] >= start->epoch.number;
    if (!is_to_lead || !is_own || is_known) return;
    db_note_led(db, start->epoch.number);
    if (start->epoch.number > id->fetched_epoch) id->fetched_epoch = start->epoch.number;
}

bool db_apply_batch(struct db *db, const struct batch_header *header, struct slice payload,
                    const struct position *end)
{
    struct state_outcome outcome = {0};
    struct err e = {.code = OK};
    enum code code = state_apply_batch(db->state, header, payload, end, &outcome, &e);
    if (PLANTED(27) && code != OK) return true; /* what cannot be applied is passed over */
    if (code != OK) {
        struct err halted = {.code = OK};
        (void)ERR(&halted, E_HALTED, "apply stopped before record %llu: %s",
                  (unsigned long long)header->first.v, e.text);
        db_set_condition(db, DB_HALTED, &halted);
        return false;
    }
    if (outcome.has_epoch_start) {
        note_own_epoch(db, &outcome.epoch_start);
        note_epoch_start(db, header);
    }
    if (outcome.has_members) voters_refresh(db, end->seqno);
    if (db->queue) queue_note_batch(db->queue, header, end);
    if (db->checkpointer) checkpointer_on_batch(db->checkpointer, header, &outcome);
    return true;
}

void db_apply_chunk(struct db *db, const struct log_chunk *chunk)
{
    if (db->condition == DB_HALTED) return;
    for (uint32_t i = 0; i < chunk->batch_count; i++) {
        const struct log_batch_ref *ref = &chunk->batches[i];
        struct slice batch = chunk_batch(chunk, i);
        struct slice payload =
            slice_of(batch.data + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE);
        if (!db_apply_batch(db, &ref->header, payload, &ref->end)) break;
    }
    if (db->write) write_on_applied(db->write, state_position(db->state).seqno);
}

/* Apply the batches of one read, in order; *at moves to the end of the last one applied. */
static enum code replay_batches(struct db *db, struct slice bytes, struct position *at,
                                uint64_t *records, struct err *e)
{
    const struct log_identity *id = log_identity_of(db->log);
    for (size_t offset = 0; offset < bytes.size;) {
        struct batch_header header;
        const uint8_t *batch = bytes.data + offset;
        enum batch_verdict verdict = batch_header_decode(batch, id, &header);
        ASSERT(verdict == BATCH_OK); /* the reader has just checked it */
        struct position end = {.epoch = header.epoch.number,
                               .seqno = batch_last(&header),
                               .chain = batch_chain(batch)};
        struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, header.payload_size);
        if (!db_apply_batch(db, &header, payload, &end)) {
            if (e) *e = db->reason;
            return E_HALTED;
        }
        *records += header.record_count;
        *at = end;
        offset += BATCH_HEADER_SIZE + header.payload_size;
    }
    return OK;
}

/* Recovery reads footers only of what was sealed; damage in its batches is met here. */
static enum code rotten(enum code code, struct err *e)
{
    if (code != E_CORRUPT) return code;
    struct err why = *e;
    return ERR(e, E_ROTTEN, "%s, was acknowledged; " RECOVER_REMEDY, why.text);
}

enum code db_replay(struct db *db, const struct position *from, uint64_t *out_records,
                    struct err *e)
{
    struct position at = *from;
    struct position end = log_durable(db->log);
    *out_records = 0;
    if (at.seqno.v == end.seqno.v && !hash256_equal(&at.chain, &end.chain)) {
        return ERR(e, E_DIVERGED, "seqno %llu of epoch %llu is not in this log's history",
                   (unsigned long long)at.seqno.v, (unsigned long long)at.epoch);
    }
    while (at.seqno.v < end.seqno.v) {
        struct log_read read = {.from = at, .size_max = 4 * MIB};
        enum code code = rotten(log_read_now(db->log, &read, e), e);
        if (code == OK) code = replay_batches(db, read.bytes, &at, out_records, e);
        free(read.buffer);
        TRY(code);
    }
    return OK;
}
