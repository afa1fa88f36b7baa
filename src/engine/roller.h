/* roller: seals the active segment by time and says how far followers may be sent. Decisions are in
 * core/roll; this file keeps its timer and asks the log. It seals on every role (packaging is
 * local); how far to ship matters on a leader only.
 *
 * Never: writes a record. An idle node seals nothing. Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_ROLLER_H
#define TIDEMARK_ENGINE_ROLLER_H

#include "engine/db.h"

struct roller;

/* The log is there; what it holds may be shipped. NULL: no memory. */
struct roller *roller_new(struct db *db);
void roller_free(struct roller *r); /* NULL allowed */
void roller_stop(struct roller *r); /* no more seals by time, no more polls */
bool roller_is_quiet(const struct roller *r);

/* A chunk became durable. */
void roller_on_chunk(struct roller *r, const struct log_chunk *chunk);
/* A seal that somebody else asked for is done. */
void roller_on_sealed(struct roller *r);
/* The log is idle: start a seal that is due (true). */
MUST_CHECK bool roller_start_seal(struct roller *r);
/* Follower: its leader sealed a segment that ends here; seal here too once this is durable. */
void roller_seal_at(struct roller *r, seqno end);

/* Newest record that followers may be sent; always a batch end. */
seqno roller_shippable(const struct roller *r);
/* Followers are sent sealed segments only. */
bool roller_is_by_segment(const struct roller *r);

#endif
