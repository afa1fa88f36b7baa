/* role_facts: what a node knows of itself and of those that answered, as core/promote judges it. */
#include "core/members.h"
#include "core/promote.h"
#include "engine/db_internal.h"
#include "engine/members.h"
#include "engine/receiver.h"
#include "engine/role_internal.h"
#include "engine/voters.h"

bool role_is_of_ours(const struct db *db, const struct inquire_reply *reply)
{
    return reply->has_answered && id128_equal(&reply->standing.cluster, &db->identity.cluster) &&
           strcmp(reply->node_id, db->identity.node_id) != 0;
}

static struct promote_facts facts_from(const struct db *db, const struct inquire_reply *replies,
                                       uint32_t count, bool is_claimed, struct promote_node *nodes)
{
    struct record_members voters;
    voters_list(db, &voters);
    struct promote_facts f = {
        .is_leading = db_is_leader(db),
        .is_voter = db->is_voter,
        .voter_count = db->voter_count,
        .is_damaged = db->condition != DB_SERVING,
        .applied = db_applied(db).seqno,
        .highest_epoch = db->identity.highest_epoch,
        .nodes = nodes,
        .copies_min = 1,
    };
    if (db->log != NULL) f.stored = log_durable(db->log);
    f.applied = db->condition == DB_SERVING ? f.stored.seqno : f.applied; /* it is waited for */
    if (db->receiver != NULL) {
        struct receiver_status status;
        receiver_status(db->receiver, &status);
        f.leader_durable = seqno_of(status.leader_durable);
        f.is_bootstrapping = receiver_is_copying(db->receiver);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct inquire_reply *reply = &replies[i];
        const struct topology_member *known = members_at(db, reply->address);
        const char *name = reply->node_id;
        if (name[0] == '\0' && known != NULL) name = known->node_id;
        /* Followed at one address and listed with another it is still the leader; who is followed
         * and follows itself is not. */
        bool was_leader =
            (strcmp(reply->address, db->identity.leader_address) == 0 && !db->is_chained) ||
            (known != NULL && known->role != ROLE_FOLLOWER);
        nodes[f.node_count++] = (struct promote_node){
            .node_id = slice_of_text(name),
            .address = slice_of_text(reply->address),
            .has_answered =
                role_is_of_ours(db, reply) && (!is_claimed || reply->standing.is_claim_noted),
            .was_leader = was_leader,
            .is_voter = members_is_voter(&voters, slice_of_text(name)),
            .is_leading = reply->standing.role != ROLE_FOLLOWER,
            .is_damaged = reply->standing.is_damaged != 0,
            .last = reply->standing.last,
            .highest_epoch = reply->standing.highest_epoch,
        };
    }
    return f;
}

struct promote_facts role_facts(const struct db *db, const struct inquire_reply *replies,
                                uint32_t count, struct promote_node *nodes)
{
    return facts_from(db, replies, count, false, nodes);
}

struct promote_facts role_facts_now(const struct role_machine *r, bool is_claimed,
                                    struct promote_node *nodes)
{
    const struct op *op = r->op;
    struct promote_facts f = facts_from(r->db, r->replies, r->reply_count, is_claimed, nodes);
    if (op == NULL || op->kind != OP_PROMOTE) return f;
    f.is_forced = op->is_explain;
    f.has_expect = op->number != 0;
    f.expect = (struct position){.epoch = op->epoch, .seqno = seqno_of(op->number)};
    memcpy(f.expect.chain.bytes, op->chain4, sizeof(op->chain4));
    return f;
}
