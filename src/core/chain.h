/* chain: whom a follower follows, and whom that one follows, up to the leader. A path is a text of
 * node ids with commas between them, the nearest first and the leader last; on a leader it is
 * empty. Each node tells its path to its followers, who put its id in front: so a node that finds
 * its own id in what it is told is in a ring, and its length is the number of links to the leader.
 *
 * Paths that arrive are input: anything may stand in them. Pure; never allocates.
 */
#ifndef TIDEMARK_CORE_CHAIN_H
#define TIDEMARK_CORE_CHAIN_H

#include "base/types.h"
#include "format/limits.h"

#define CHAIN_MAX       8u /* nodes above the last follower of a chain */
#define CHAIN_TEXT_SIZE ((size_t)CHAIN_MAX * (NODE_ID_SIZE_MAX + 1) + 1)

/* How many nodes are in it. */
uint32_t chain_length(struct slice path);
/* The nearest node; empty when the path is. */
struct slice chain_first(struct slice path);
bool chain_has(struct slice path, struct slice node_id);
/* The path of a node that follows node_id, whose own is `path`. False: it would be longer than
 * CHAIN_MAX nodes, or does not fit; out is empty then. */
MUST_CHECK bool chain_extend(struct slice node_id, struct slice path, char out[CHAIN_TEXT_SIZE]);

#endif
