/* read: the operations of a run that change nothing. Short ones answer at once on the loop; digest,
 * checkpoint, seal and long retrieves answer later through queue_resume. */
#ifndef TIDEMARK_ENGINE_READ_H
#define TIDEMARK_ENGINE_READ_H

#include "engine/db.h"

/* Answer op (at run->cursor). False: it will be answered later. */
MUST_CHECK bool read_op(struct db *db, struct tide_run *run, struct op *op);

/* Put an error into an operation's result, the message copied into the run's memory. */
void read_fail(struct tide_run *run, struct op *op, const struct err *e);

struct tide_position read_position(const struct position *p);
/* The moment a question is about: what it says, or this node's clock, but never before the leader
 * time of what is applied: a score of this moment is no guess about an event still to come. */
int64_t read_time_or_now(struct db *db, int64_t at_ms);

#endif
