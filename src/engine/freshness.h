/* freshness: how old what this node shows may be, and how much of it is committed. Reads,
 * readiness, status and heartbeats say the same. Owner: the loop. */
#ifndef TIDEMARK_ENGINE_FRESHNESS_H
#define TIDEMARK_ENGINE_FRESHNESS_H

#include "engine/db.h"

/* A bound that can be proved: what was durable on the leader longer ago than this is applied here.
 * 0 on a leader; LAG_NEVER (core/lag.h) where nothing is known, also when the state is not that of
 * the leader's history, or nobody is followed just now. */
uint64_t db_staleness_ns(const struct db *db);
/* Whatever was durable on the leader before this moment of the own monotonic clock is applied here;
 * it never goes back while a receiver lives. False: nothing is known. */
bool db_fresh_since(const struct db *db, uint64_t *out_ns);
/* Highest record that this node knows to be committed. */
seqno db_committed(const struct db *db);
/* E_STALE, with the bound in words. */
enum code db_refuse_stale(uint64_t bound_ns, uint64_t max_ns, struct err *e);

#endif
