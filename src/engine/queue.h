/* queue: runs on their way: each is carried on operation by operation until it must wait (for its
 * writes to be applied, for room in the group, for a digest, a checkpoint, a seal, followers), and
 * is taken up again when that happens. Operations of one run take effect in order. Owner: the loop.
 */
#ifndef TIDEMARK_ENGINE_QUEUE_H
#define TIDEMARK_ENGINE_QUEUE_H

#include "engine/db.h"

struct run_queue;

struct run_queue *queue_new(struct db *db); /* NULL: no memory */
void queue_free(struct run_queue *q);       /* NULL allowed; waiting runs are forgotten */

/* Carry a run on as far as it goes. */
void queue_advance(struct run_queue *q, struct tide_run *run);
/* Applied moved: runs whose writes are visible go on; then those that had no room. */
void queue_on_applied(struct run_queue *q);
/* Nothing more will become durable: answer every write that waits with UNKNOWN (E_CLOSED: a clean
 * stop; E_LOADING: the data is opened anew; E_POISONED ...) and end their runs. */
void queue_fail_all(struct run_queue *q, enum code code, const char *why);
/* What a follower holds changed: WAIT operations and levels that are satisfied go on. slot: whose
 * ack it was; SLOT_NONE: nobody's (one is gone, or counts no more). */
void queue_on_ack(struct run_queue *q, uint32_t slot);
/* Every operation of the run has its result, and nobody holds it: hand it back. */
void queue_end_run(struct tide_run *run);
/* A run that was parked elsewhere (engine/waits): the operation at its cursor is judged again. */
void queue_carry_on(struct run_queue *q, struct tide_run *run);
/* Every operation from the cursor on gets this error, and the run ends. */
void queue_fail_run(struct run_queue *q, struct tide_run *run, enum code code, const char *why);
/* An operation that waited on its own is answered: op->result is filled. Goes on with the next. */
void queue_resume(struct run_queue *q, struct tide_run *run);
/* Note the end of an applied batch: positions of waiting writes are filled in from these. */
void queue_note_batch(struct run_queue *q, const struct batch_header *header,
                      const struct position *end);
bool queue_is_empty(const struct run_queue *q); /* no run waits */

#endif
