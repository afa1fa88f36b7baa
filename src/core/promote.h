/* promote: may this node lead next? One pure decision over what it holds itself and what the other
 * members answered; the first row that matches decides:
 *
 *   row  when                                                          answer        force helps
 *    1   this node leads already                                       ALREADY
 *    2   it holds nothing                                              REFUSE empty       no
 *    3   it is damaged: poisoned, halted or diverged                   REFUSE damaged     no
 *    4   it is copying the state (bootstrap)                           REFUSE copying     no
 *    5   another position was expected                                 REFUSE expect      no
 *    6   not all that it stores is applied                             REFUSE applying    no
 *    7   a node that answers leads in this epoch or a later one        REFUSE leader      yes
 *    8   a node holds other records under this node's last number      REFUSE forked      yes
 *    9   a node, damaged ones too, holds more: (last epoch, seqno)     REFUSE not-best    yes
 *   10   there are voters, and no majority of them answered            REFUSE majority    yes
 *   11   no voters: fewer than followers - k + 1 followers answered    REFUSE answers     yes
 *   12   none of these                                                 LEAD
 *
 * This node is one of the answers. k is the smallest number of followers whose copies a level in
 * use waits for: any followers - k + 1 of them include one that holds each acknowledged write, so
 * that the best of those that answered holds all of them. What was acknowledged at level `local` is
 * on the lost leader alone; k is 1 then. Nodes are compared by (last epoch, seqno), never by seqno
 * alone: a longer log of an older leadership is not a newer one. What a damaged node holds counts,
 * though it cannot lead: it was acknowledged.
 *
 * The next epoch is above every number that any node has seen. Never: allocates, keeps state.
 */
#ifndef TIDEMARK_CORE_PROMOTE_H
#define TIDEMARK_CORE_PROMOTE_H

#include "base/text.h"
#include "base/types.h"

/* What is known of another member. */
struct promote_node {
    struct slice node_id; /* empty: not known */
    struct slice address; /* where it was asked */
    bool has_answered;
    bool was_leader; /* the one followed so far: it is no follower, and need not answer */
    bool is_voter;
    bool is_leading;
    bool is_damaged;
    struct position last;
    uint64_t highest_epoch;
};

struct promote_facts {
    bool is_leading;
    bool is_damaged;
    bool is_bootstrapping;
    bool is_voter;
    uint32_t voter_count; /* by the members record: also voters that nobody could ask */
    struct position stored;
    seqno applied;
    uint64_t highest_epoch;
    seqno leader_durable;             /* of the leader followed so far, as last heard; 0 unknown */
    const struct promote_node *nodes; /* the other members; borrowed */
    uint32_t node_count;
    uint32_t copies_min; /* k, at least 1 */
    bool has_expect;
    struct position expect; /* of the chain only the first 4 bytes count */
    bool is_forced;
};

/* X(constant, name) */
#define PROMOTE_VERDICT_TABLE(X)       \
    X(PROMOTE_ALREADY, "leads")        \
    X(PROMOTE_EMPTY, "empty")          \
    X(PROMOTE_DAMAGED, "damaged")      \
    X(PROMOTE_COPYING, "copying")      \
    X(PROMOTE_UNEXPECTED, "expect")    \
    X(PROMOTE_APPLYING, "applying")    \
    X(PROMOTE_LEADER_LIVES, "leader")  \
    X(PROMOTE_FORKED, "forked")        \
    X(PROMOTE_NOT_BEST, "not-best")    \
    X(PROMOTE_NO_MAJORITY, "majority") \
    X(PROMOTE_TOO_FEW, "answers")      \
    X(PROMOTE_LEAD, "lead")
enum promote_verdict {
#define X(constant, name) constant,
    PROMOTE_VERDICT_TABLE(X)
#undef X
};
const char *promote_verdict_name(enum promote_verdict verdict);

struct promote_plan {
    enum promote_verdict verdict;  /* LEAD and ALREADY: yes */
    enum promote_verdict unforced; /* what it would be without force */
    uint32_t node;                 /* rows 7 to 9: which one; UINT32_MAX none */
    uint64_t next_epoch;
    uint32_t answers; /* that count for row 10 or 11, this node included ... */
    uint32_t needed;  /* ... and how many are */
    seqno best;       /* highest number that any node of the best epoch holds */
};

struct promote_plan promote_decide(const struct promote_facts *f);

/* By (epoch, seqno): negative, 0 or positive as a is worse, equal, better. */
int promote_compare(const struct position *a, const struct position *b);

/* One sentence: why not, and what to do. For LEAD: what the new epoch is. */
void promote_explain(const struct promote_facts *f, const struct promote_plan *plan,
                     struct text *t);
/* What may be missing once this node leads: acknowledged records that others hold or may hold. */
void promote_explain_risk(const struct promote_facts *f, const struct promote_plan *plan,
                          struct text *t);

#endif
