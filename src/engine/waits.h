/* waits: operations that answer later because of where followers are, or where this node is:
 *
 *   WAIT n                until n followers stored a record
 *   a position            until this node has applied it (tide_wait_position, AFTER token)
 *   a staleness bound     until this node is as fresh as MAXSTALE or max_staleness ask
 *   READ committed        until nothing is visible here that is not committed
 *
 * Each waits until its deadline, then it is answered with what is: how many followers, or STALE.
 * A waiting run stands in a heap by what it waits for and in one by deadline, so that what happens
 * looks at those alone that it can satisfy; those are judged again from the beginning. Owner: the
 * loop.
 */
#ifndef TIDEMARK_ENGINE_WAITS_H
#define TIDEMARK_ENGINE_WAITS_H

#include "engine/db.h"

struct waits;

struct waits *waits_new(struct db *db); /* NULL: no memory */
void waits_free(struct waits *w);       /* NULL allowed; waiting runs are forgotten */

enum wait_verdict {
    WAIT_GO,       /* carry the operation out now */
    WAIT_ANSWERED, /* its result is there */
    WAIT_PARKED,   /* it will be carried on through queue_carry_on */
};
/* Judge the operation at the run's cursor. */
MUST_CHECK enum wait_verdict waits_judge(struct waits *w, struct tide_run *run, struct op *op);

/* What happened; runs that it may satisfy are judged again. */
void waits_on_applied(struct waits *w);   /* this node applied more */
void waits_on_ack(struct waits *w);       /* a follower stored more */
void waits_on_following(struct waits *w); /* this node led and follows now */
void waits_on_fresh(struct waits *w);     /* this node's staleness bound moved */
void waits_on_committed(struct waits *w); /* more is committed, as far as this node knows */

/* The node closes, or opens anew: WAIT is answered with what is there, the rest with the code. */
void waits_fail_all(struct waits *w, enum code code, const char *why);
bool waits_is_empty(const struct waits *w);

#endif
