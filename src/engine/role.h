/* role: changing who leads. A node becomes the leader in these steps, without opening anything
 * again, so that it takes no longer than a few syncs however large the state is:
 *
 *   ASKING     the members are asked what they hold; core/promote decides
 *   DRAINING   the link to the old leader ends; what was received is stored and applied
 *   CLAIMING   the members promise the next epoch's number: each notes it durably, takes nothing of
 *              a lower one any more, and says again what it holds; core/promote decides anew. What
 *              the old leader could still have acknowledged meanwhile is in these answers, and of
 *              two nodes that claim one number at most one is promised it by any third.
 *   SAVING     identity says leader, with the next epoch's number taken for ever: synced
 *   BEGINNING  the epoch's first record is written, synced and applied
 *   then       slots are loaded, writes are taken, followers are served
 *
 * A node that is to lead and finds that a follower holds more of the same history does another step
 * before these: FETCHING, in which it takes those records as a follower would, and asks again.
 *
 * It gives the leadership up in one: nothing more is acknowledged from the moment a later epoch is
 * seen; writers that wait are told UNKNOWN; identity says follower, and when that is synced the
 * leader of that epoch is followed, which tells this node what of its tail to give up.
 *
 * A successor of a handover claims nothing: the old leader stopped, durably, before it passed on.
 *
 * Laws: a number is durable before its first record is written; nothing is acknowledged in an epoch
 * before that record is durable; a node that has seen a later epoch acknowledges nothing in its
 * own. One change at a time. Owner: the loop thread.
 */
#ifndef TIDEMARK_ENGINE_ROLE_H
#define TIDEMARK_ENGINE_ROLE_H

#include "engine/db.h"

struct role_machine;
struct wire_handover;

MUST_CHECK enum code role_open(struct db *db, struct role_machine **out, struct err *e);
void role_free(struct role_machine *r); /* no I/O; NULL allowed */
/* Closing: the change under way ends here, its operation is answered. */
void role_stop(struct role_machine *r);
bool role_is_quiet(const struct db *db);
/* The data is opened anew: the change under way ends here with e. When all is quiet and the
 * receiver is gone, say so; a new change may begin then. */
void role_interrupt(struct db *db, const struct err *e);
void role_was_interrupted(struct db *db);

/* OP_PROMOTE, OP_FOLLOW, OP_HANDOVER. False: answered later through queue_resume. */
MUST_CHECK bool role_op(struct db *db, struct tide_run *run, struct op *op);

/* A change is under way at whose end this node may lead: writes wait for it. */
bool role_holds_writes(const struct db *db);
/* Why this node, which is to lead, does not; NULL: it does, or follows. */
const char *role_obstacle(const struct db *db);
/* Opened: a node whose identity says leader asks the others first, if there are any; whoever has
 * trouble is looked after from now on. */
void role_begin(struct db *db);
/* A follower's leader hands over to it. */
void role_take_handover(struct db *db, const struct wire_handover *handover);
/* The node ends the link to its leader itself and will say when it is closed. */
bool role_is_closing_receiver(const struct db *db);

/* Somebody of this cluster has seen this epoch; whom to ask for its leader (a replication address,
 * or empty). Does nothing on a node that does not lead, or leads in it or a later one. */
void role_saw_epoch(struct db *db, uint64_t epoch, const char *address);

#endif
