/* write: the one gate that every write passes, and the group it is encoded into.
 *
 * Everything that can refuse a write is judged here, before it is appended, against the applied
 * state plus an overlay of what is appended and not applied yet (idempotency keys, producers,
 * types). What passed cannot be refused by apply. Owner: the loop thread of a leader.
 */
#ifndef TIDEMARK_ENGINE_WRITE_H
#define TIDEMARK_ENGINE_WRITE_H

#include "engine/db.h"

struct write;

struct write *write_new(struct db *db); /* NULL: no memory */
void write_free(struct write *w);       /* NULL allowed */

/* Judge and encode the write at run->ops[run->cursor] (a whole group for OP_GROUP_BEGIN) and move
 * the cursor behind it. Refusals are put into the results. False: the open group has no room; the
 * caller tries again after the next batch was closed. */
MUST_CHECK bool write_op(struct write *w, struct tide_run *run);

/* Refuse the write at the cursor with this error and move on: on nodes that take no writes. */
void write_refuse(struct tide_run *run, enum code code, const char *message);

/* Append a mark (it ends its batch) or a digest. E_BUSY: no room now, try again. */
MUST_CHECK enum code write_mark(struct write *w, uint8_t reason, seqno *out);
MUST_CHECK enum code write_digest(struct write *w, const struct record_digest *digest);
/* A tick: leader time moves, nothing else. */
MUST_CHECK enum code write_tick(struct write *w);

/* How long each group waits after the one before, because the disk fills or a voter falls behind.
 */
uint64_t write_slow_ns(const struct db *db);
/* Close the open group and hand it to the log, if there is one and the log is idle. */
void write_flush(struct write *w);
/* Overlay entries of applied records leave. */
void write_on_applied(struct write *w, seqno applied);

/* The first record of an epoch, not waited for: *out is its number. */
MUST_CHECK enum code write_epoch_start(struct write *w, const struct record_epoch_start *start,
                                       seqno *out, struct err *e);

seqno write_assigned(const struct write *w); /* highest seqno given out */
/* Log a batch of schema records (new log) or an epoch start, blocking: only while opening. */
MUST_CHECK enum code write_epoch_start_now(struct write *w, const struct record_epoch_start *start,
                                           struct err *e);
MUST_CHECK enum code write_schemas_now(struct write *w, struct err *e);

#endif
