/* retention: lets go of the old end of the log. What is needed is decided by core/retain, from the
 * checkpoints, the slots, the reads under way and retain_segments; this file asks it on a timer and
 * whenever a segment or a checkpoint was finished, and carries it out in this order:
 *
 *   the segments leave the log's table - identity with the new log base is durable - their files go
 *
 * so that a crash at any step leaves files that identity still counts on, or leftovers that the
 * next open removes; never a gap. Every role prunes.
 *
 * Never: looks at a wall clock, blocks, removes a file itself (the log does, in the background).
 * Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_RETENTION_H
#define TIDEMARK_ENGINE_RETENTION_H

#include "core/retain.h"
#include "engine/db.h"

struct retention;

struct retention *retention_new(struct db *db); /* NULL: no memory. Looks for the file "slots". */
void retention_free(struct retention *r);       /* NULL allowed */
void retention_stop(struct retention *r);       /* nothing more goes */
bool retention_is_quiet(const struct retention *r);

/* Something became durable, was sealed or has a checkpoint now: perhaps more may go. */
void retention_on_progress(struct retention *r);

/* Something that was held is not any more: look again now. */
void retention_look(struct retention *r);

/* The floor of this moment and who holds it. */
struct retain_plan retention_plan(struct retention *r);

#endif
