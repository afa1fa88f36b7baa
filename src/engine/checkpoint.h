/* checkpoint: marks, digests and checkpoints of a running node.
 *
 * The leader logs a mark every mark_interval of activity. Applying a mark pins a version of the
 * state on every node; its root is computed in the background. The leader then logs a digest record
 * with its root; followers compare theirs. A checkpoint (manifest and pack) is cut at a mark when
 * enough log or time has passed, or on command. Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_CHECKPOINT_H
#define TIDEMARK_ENGINE_CHECKPOINT_H

#include "engine/checkpoint_file.h"
#include "engine/db.h"

struct checkpointer;

/* Takes over contents. NULL: no memory. */
struct checkpointer *checkpointer_new(struct db *db, struct checkpoint_contents *contents,
                                      uint64_t next_pack);
void checkpointer_free(struct checkpointer *c);
/* No new jobs; running ones finish. Operations that wait for one are answered with why. */
void checkpointer_stop(struct checkpointer *c, const struct err *why);
bool checkpointer_is_quiet(const struct checkpointer *c);

/* From apply, after each batch. */
void checkpointer_on_batch(struct checkpointer *c, const struct batch_header *header,
                           const struct state_outcome *outcome);
/* mark_interval is another one now: the next mark is that far away at most. */
void checkpointer_interval_changed(struct checkpointer *c);
/* From the loop after a sync: retry what had no room, seal if asked. */
void checkpointer_poll(struct checkpointer *c);
/* The node became poisoned or halted: operations that wait for a mark which will never be applied,
 * or for a seal that will never begin, are answered with e. */
void checkpointer_fail(struct checkpointer *c, const struct err *e);
/* A seal was asked for and the log is idle: start it (true) and be polled again at its end. */
bool checkpointer_start_seal(struct checkpointer *c);

/* OP_DIGEST, OP_CHECKPOINT, OP_LOG_SEAL: true when answered at once. */
MUST_CHECK bool checkpoint_op(struct db *db, struct tide_run *run, struct op *op);

/* At or below the position of the oldest manifest that is kept; 0: not known, as until one was
 * written since this node opened. Both of the newest two are then known to be good: one verified at
 * the open, or was written here. */
seqno checkpointer_oldest_kept(const struct checkpointer *c);

/* What the newest manifest names; count 0: there is none. Valid until the next checkpoint. */
const struct checkpoint_contents *checkpointer_contents(const struct checkpointer *c);
/* Cut one as soon as there is a mark for it; a leader logs one. */
void checkpointer_want(struct checkpointer *c);
/* A block on the disk is not what its hash says: the next checkpoint names no old place, and is
 * wanted. True until it is there. */
void checkpointer_write_anew(struct checkpointer *c);
bool checkpointer_writes_anew(const struct checkpointer *c);
/* This node copies its state from another one: no checkpoint begins until that is given up. */
void checkpointer_hold(struct checkpointer *c);
void checkpointer_release(struct checkpointer *c);
/* The blocks of one of the newest marks; NULL: not known any more. */
const struct mark_blocks *checkpointer_mark_blocks(const struct checkpointer *c, seqno mark);
/* Is there a checkpoint at or below this mark, or the whole log? 0: any. */
bool checkpointer_can_go_back(const struct checkpointer *c, seqno mark);
/* An id for a pack that somebody else makes. */
uint64_t checkpointer_take_pack(struct checkpointer *c);

struct checkpointer_status {
    seqno checkpoint_seqno;
    uint64_t checkpoint_age_ns; /* UINT64_MAX: none */
    uint64_t checkpoint_bytes;
    uint64_t last_duration_ns;
    seqno digest_mark; /* newest mark with a root */
    uint64_t failures;
    uint64_t unchecked; /* digests of the leader that there was nothing to compare with */
};
void checkpointer_status(const struct checkpointer *c, struct checkpointer_status *out);

#endif
