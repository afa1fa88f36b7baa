/* voters: see voters.h. */
#include "engine/voters.h"

#include "engine/levels.h"
#include "engine/shipper.h"

void voters_list(const struct db *db, struct record_members *out)
{
    out->count = 0;
    if (db->state) state_members(db->state, out);
}

void voters_refresh(struct db *db, seqno at)
{
    struct record_members members;
    voters_list(db, &members);
    db->voter_count = members_voter_count(&members);
    db->is_voter = members_is_voter(&members, slice_of_text(db->identity.node_id));
    db->members_at = at;
    db->has_new_members = true;
}

/* The data address that this node knows of it; empty: none. */
static struct slice address_of(const struct db *db, struct slice node_id)
{
    if (slice_equal(node_id, slice_of_text(db->identity.node_id))) {
        return slice_of_text(db->config.data_address);
    }
    const char *known = db->shipper ? shipper_address_of(db->shipper, node_id) : NULL;
    return slice_of_text(known ? known : "");
}

/* Is the last change stored where it counts? */
static bool has_settled(const struct db *db)
{
    static const struct level majority = {.kind = LEVEL_MAJORITY};
    struct quorum quorum;
    levels_quorum(db, &quorum);
    seqno stored = quorum.voter_count > 0 ? quorum_reached(&quorum, &majority) : quorum.durable;
    return stored.v >= seqno_max(db->members_at, quorum.epoch_start).v;
}

enum code voters_judge(struct db *db, const struct op *op, seqno pending,
                       struct record_members *out, bool *out_is_same, struct err *e)
{
    struct record_members now;
    voters_list(db, &now);
    struct members_change change = {
        .is_removal = op->kind == OP_MEMBER_REMOVE,
        .node_id = op->entry.item,
        .is_voter = op->number != 0,
    };
    if (pending.v == 0) change.address = address_of(db, change.node_id);
    TRY(members_change(&now, &change, out, out_is_same, e));
    if (*out_is_same && pending.v == 0) return OK;
    if (pending.v > 0 || !has_settled(db)) {
        return ERR(e, E_BUSY,
                   "the last change of the members is not stored by a majority of the "
                   "voters yet; try again");
    }
    return OK;
}

enum code voters_op(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    struct record_members members;
    voters_list(db, &members);
    struct tide_member *out = run_take(run, (members.count + 1) * sizeof(*out));
    if (!out) return ERR(e, E_NOMEMORY, "no memory for the answer");
    for (uint32_t i = 0; i < members.count; i++) {
        const struct member *m = &members.members[i];
        char *id = run_take(run, m->node_id.size + m->address.size + 2);
        if (!id) return ERR(e, E_NOMEMORY, "no memory for the answer");
        char *address = id + m->node_id.size + 1;
        memcpy(id, m->node_id.data, m->node_id.size);
        id[m->node_id.size] = '\0';
        if (m->address.size > 0) memcpy(address, m->address.data, m->address.size);
        address[m->address.size] = '\0';
        out[i] = (struct tide_member){.node_id = id,
                                      .data_address = address,
                                      .http_address = "",
                                      .replication_address = "",
                                      .is_voter = m->is_voter != 0};
    }
    op->result.kind = TIDE_RESULT_MEMBERS;
    op->result.as.members = (struct tide_members){.members = out, .count = members.count};
    return OK;
}
