/* members: who belongs to the cluster and who votes: one change of the list at a time. The list
 * itself is in the log (records of kind members, each the whole list) and in the state.
 *
 * The next change is allowed only when the last one is stored by a majority of the voters that it
 * made: majorities of two lists that differ by one member overlap, so at no
 * time can two leaders both have one.
 *
 * Pure; never allocates.
 */
#ifndef TIDEMARK_CORE_MEMBERS_H
#define TIDEMARK_CORE_MEMBERS_H

#include "base/error.h"
#include "base/text.h"
#include "format/record.h"

struct members_change {
    bool is_removal;
    struct slice node_id;
    bool is_voter;
    struct slice address; /* data address; empty: as it is, or not known */
};

/* The list after the change; slices are borrowed from both. *out_is_same: nothing would change, and
 * *out is the list as it is. E_INVALID: no node id; E_NOTFOUND: a removal of no member; E_LIMIT:
 * the list is full. */
MUST_CHECK enum code members_change(const struct record_members *now,
                                    const struct members_change *change, struct record_members *out,
                                    bool *out_is_same, struct err *e);

uint32_t members_voter_count(const struct record_members *m);
bool members_is_voter(const struct record_members *m, struct slice node_id);

#endif
