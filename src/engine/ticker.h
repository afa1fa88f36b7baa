/* ticker: logs a tick record where something falls due and nothing else is written. What falls due
 * is the state's to say (state_next_due_ms): a bucket that holds something enters or leaves a
 * window, or idempotency keys expire. Ticks are housekeeping: they arm no mark, seal or checkpoint.
 * At most one a minute; an idle database from which nothing can leave writes nothing.
 *
 * Only on the leader: followers get ticks as records. Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_TICKER_H
#define TIDEMARK_ENGINE_TICKER_H

#include "engine/db.h"

struct ticker;

struct ticker *ticker_new(struct db *db); /* armed; NULL: no memory */
void ticker_free(struct ticker *t);       /* NULL allowed */
void ticker_stop(struct ticker *t);       /* no more ticks */
/* Batches were applied: what is due next may have changed. */
void ticker_on_applied(struct ticker *t);
/* Leader time stepped: what was far away may be due. */
void ticker_on_step(struct ticker *t);

#endif
