/* demote: may this leader become a follower of that node, because an operator says so? One pure
 * decision; the first row that matches decides:
 *
 *   row  when                                                        answer
 *    1   it did not answer                                           REFUSE silent
 *    2   it is this node                                             REFUSE self
 *    3   it belongs to another cluster, or to none yet               REFUSE foreign
 *    4   it does not lead                                            REFUSE follower
 *    5   its epoch is not later than the one of this node            REFUSE older
 *    6   none of these                                               FOLLOW
 *
 * There is no row for force: a leader's records are given up by nothing but the truncation of a
 * deposed leader's tail. Never: allocates, keeps state.
 */
#ifndef TIDEMARK_CORE_DEMOTE_H
#define TIDEMARK_CORE_DEMOTE_H

#include "base/text.h"
#include "base/types.h"

struct demote_facts {
    bool has_answered;
    bool is_self;
    bool is_cluster_equal;
    bool is_leading;
    uint64_t its_epoch;
    uint64_t my_epoch;
    struct slice address;    /* that was named */
    struct slice its_leader; /* whom it follows; empty: unknown */
};

enum demote_verdict {
    DEMOTE_SILENT,
    DEMOTE_SELF,
    DEMOTE_FOREIGN,
    DEMOTE_FOLLOWER,
    DEMOTE_OLDER,
    DEMOTE_FOLLOW,
};

enum demote_verdict demote_decide(const struct demote_facts *f);
/* One sentence: why not, and what to do. */
void demote_explain(const struct demote_facts *f, enum demote_verdict verdict, struct text *t);

#endif
