/* members: who belongs to the cluster and where they are reached. The leader makes the list of its
 * slots and sends it to its followers (core/topology says when the version moves); every node keeps
 * it in the file "members" (one members message), so that whoever has to ask the others can, after
 * a restart and without a leader, too.
 *
 * A file that cannot be read is said and passed over: the next leader tells the list again. Owner:
 * the loop thread.
 */
#ifndef TIDEMARK_ENGINE_MEMBERS_H
#define TIDEMARK_ENGINE_MEMBERS_H

#include "core/topology.h"
#include "engine/db.h"

struct members;

/* Reads the file; blocks. */
MUST_CHECK enum code members_open(struct db *db, struct members **out, struct err *e);
void members_free(struct members *m); /* no I/O; NULL allowed */
void members_stop(struct members *m);
bool members_is_quiet(const struct members *m);

/* Leader: what it sees may have changed; it looks soon, and then every heartbeat while followers
 * are connected. A follower passes on what it was told to those that follow it. */
void members_wake(struct db *db);
/* Follower: its leader told. */
void members_take(struct db *db, const struct wire_members *told);
/* An operator dropped one. */
void members_drop(struct db *db, const char *node_id);

const struct topology *members_topology(const struct db *db);
/* Who has this replication address; NULL: not known. Borrowed until the members change. */
const struct topology_member *members_at(const struct db *db, const char *address);
/* Replication addresses of all others that can be asked. */
uint32_t members_addresses(const struct db *db, const char *out[MEMBERS_MAX]);

#endif
