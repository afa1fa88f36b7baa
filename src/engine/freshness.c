/* freshness: see freshness.h. */
#include "engine/freshness.h"

#include "core/lag.h"
#include "engine/levels.h"
#include "engine/receiver.h"
#include "engine/shipper.h"

/* A node that is to lead and does not yet, or hands over, opens anew or turns to another leader,
 * follows nobody: it knows nothing of what was written elsewhere meanwhile. */
static bool follows(const struct db *db)
{
    return db->receiver && db->identity.role == ROLE_FOLLOWER;
}

uint64_t db_staleness_ns(const struct db *db)
{
    if (db->condition == DB_DIVERGED || !db->state) return LAG_NEVER;
    if (db_is_leader(db)) return 0;
    return follows(db) ? receiver_staleness_ns(db->receiver) : LAG_NEVER;
}

bool db_fresh_since(const struct db *db, uint64_t *out_ns)
{
    if (db->condition == DB_DIVERGED || !db->state || !follows(db)) return false;
    return receiver_fresh_since(db->receiver, out_ns);
}

seqno db_committed(const struct db *db)
{
    if (!db->log) return SEQNO_NONE;
    if (db->receiver) return receiver_committed(db->receiver);
    if (db->shipper) return shipper_committed(db->shipper);
    struct quorum quorum;
    levels_quorum(db, &quorum);
    return quorum_committed(&quorum);
}

enum code db_refuse_stale(uint64_t bound_ns, uint64_t max_ns, struct err *e)
{
    unsigned long long max_ms = max_ns / NS_PER_MS;
    if (bound_ns == LAG_NEVER) {
        return ERR(e, E_STALE,
                   "how old this node's state is cannot be told; at most %llu ms are allowed",
                   max_ms);
    }
    return ERR(e, E_STALE, "this node's state may be %llu ms old; at most %llu ms are allowed",
               (unsigned long long)((bound_ns + NS_PER_MS - 1) / NS_PER_MS), max_ms);
}
