/* members: see members.h. */
#include "core/members.h"

#include "base/assert.h"

/* COUNT: not there. */
static uint32_t find(const struct record_members *m, struct slice node_id)
{
    uint32_t i = 0;
    while (i < m->count && !slice_equal(m->members[i].node_id, node_id)) {
        i++;
    }
    return i;
}

static enum code remove_one(const struct record_members *now, struct slice node_id,
                            struct record_members *out, struct err *e)
{
    uint32_t at = find(now, node_id);
    if (at == now->count) {
        return ERR(e, E_NOTFOUND, "%.*s is no member; MEMBER.LIST shows them", (int)node_id.size,
                   (const char *)node_id.data);
    }
    out->count = now->count - 1;
    for (uint32_t i = at; i < out->count; i++) {
        out->members[i] = now->members[i + 1];
    }
    return OK;
}

enum code members_change(const struct record_members *now, const struct members_change *change,
                         struct record_members *out, bool *out_is_same, struct err *e)
{
    ASSERT(now->count <= MEMBERS_MAX);
    *out_is_same = false;
    *out = *now;
    if (!is_node_id(change->node_id)) {
        return ERR(e, E_INVALID, "a node id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
    }
    if (change->is_removal) return remove_one(now, change->node_id, out, e);
    uint32_t at = find(now, change->node_id);
    if (at == MEMBERS_MAX) {
        return ERR(e, E_LIMIT, "%u members are listed already; remove one first", MEMBERS_MAX);
    }
    struct member *m = &out->members[at];
    if (at == now->count) {
        out->count++;
        *m = (struct member){.node_id = change->node_id};
    } else {
        bool is_same_address =
            change->address.size == 0 || slice_equal(m->address, change->address);
        *out_is_same = (m->is_voter != 0) == change->is_voter && is_same_address;
    }
    m->is_voter = change->is_voter;
    if (change->address.size > 0) m->address = change->address;
    return OK;
}

uint32_t members_voter_count(const struct record_members *m)
{
    uint32_t voters = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        voters += m->members[i].is_voter != 0;
    }
    return voters;
}

bool members_is_voter(const struct record_members *m, struct slice node_id)
{
    uint32_t at = find(m, node_id);
    return at < m->count && m->members[at].is_voter != 0;
}
