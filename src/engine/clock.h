/* clock: leader time (core/leader_time) over the clocks of the env: who may ask for it, what CLOCK
 * shows and accepts, and the line in the trace when a wall clock steps. Everything of a database
 * goes by this time on its leader: stamps of batches, event times without AT, the clamp of event
 * times that lie ahead, ticks, and reads without AT. A follower's only clock is its wall clock.
 * Never writes anything. Owner: the loop thread.
 */
#ifndef TIDEMARK_ENGINE_CLOCK_H
#define TIDEMARK_ENGINE_CLOCK_H

#include "engine/db.h"

/* A leader begins: after the newest record of its log. */
void clock_start(struct db *db);

/* Leader: what a batch of this moment carries (HLC), later than every batch before. */
uint64_t clock_next(struct db *db);
/* Leader: a batch carries this time. */
void clock_note(struct db *db, uint64_t hlc);
/* Leader: how long until leader time is due_ms, by the monotonic clock; 0: it is. */
uint64_t clock_wait_ns(struct db *db, uint64_t due_ms);

/* What "now" means to a read, ms since 1970: leader time; on a follower wall time, but never before
 * the leader time of what it applied. */
int64_t clock_now_ms(struct db *db);

void clock_show(struct db *db, struct tide_clock *out);
/* CLOCK and CLOCK ACCEPT. E_READONLY, E_INVALID. */
MUST_CHECK enum code clock_op(struct db *db, struct op *op, struct err *e);

#endif
