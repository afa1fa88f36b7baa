/* resume: what a leader answers to a follower's hello. One pure function over facts; the first row
 * that matches decides:
 *
 *   row  when                                                     answer
 *    1   no protocol version in common                            REFUSE newer-format
 *    2   this node does not lead                                  REFUSE not-leader
 *    3   this node is starting or closing                         REFUSE busy
 *    4   another region or shard                                  REFUSE wrong-stream
 *    5   another cluster, or records without a cluster            REFUSE wrong-cluster
 *    6   the credentials do not match                             REFUSE credentials
 *    7   below the feature level, or its frames are too small     REFUSE feature-level
 *    8   it has seen a higher epoch than mine                     REFUSE higher-epoch
 *    9   another live node has its id                             REFUSE id-in-use
 *   10   it has no slot and the table is full                     REFUSE slots-full
 *   11   its slot was invalidated                                 REFUSE slot-lost
 *   12   it is empty and the log still starts at 1                CONTINUE from the beginning
 *   13   it is empty and the log starts later                     REFUSE log-not-kept
 *   14   it holds records of a leadership of this node that this
 *        node no longer has: the leader lost a tail               REFUSE gap
 *   15   the epoch tables part before its end                     REFUSE other-history
 *   16   it ends beyond what is durable here                      REFUSE gap
 *   17   the proof by chain was not asked for yet                 PROVE, then ask again
 *   18   the chain at its end differs                             REFUSE other-history
 *   19   the log cannot judge its end, or not keep what follows   REFUSE log-not-kept
 *   20   the proof could not be read                              REFUSE busy
 *   21   the chain at its end is equal                            CONTINUE from what was asked
 *
 * Where cutting the follower back or copying the state to it would be the answer, the sentence says
 * so and what an operator can do now. A follower is served from what it asks for and from nothing
 * else: no row looks at its slot's positions, and an empty one is never fast-forwarded over records
 * that it lacks. Never: allocates, keeps state, changes anything.
 */
#ifndef TIDEMARK_CORE_RESUME_H
#define TIDEMARK_CORE_RESUME_H

#include "base/text.h"
#include "base/types.h"
#include "core/epoch.h"
#include "format/wire.h"

enum resume_proof {
    PROOF_NOT_ASKED,
    PROOF_EQUAL,    /* the follower's last position is a batch end of this log */
    PROOF_DIFFERS,  /* same seqno, other chain or no batch end */
    PROOF_NOT_KEPT, /* older than the log */
    PROOF_FAILED,   /* the log could not be read */
};

struct resume_facts {
    bool has_common_version;
    bool is_leading;
    bool is_serving; /* neither starting nor closing; a poisoned leader still serves what is durable
                      */
    bool is_stream_equal;
    bool is_cluster_known; /* by the follower */
    bool is_cluster_equal;
    bool is_credential_good;
    bool is_feature_level_enough;
    bool is_id_in_use;
    bool has_slot;
    bool is_slot_table_full;
    bool is_slot_lost;
    bool is_empty;
    uint64_t highest_epoch; /* that the follower has seen */
    uint64_t leader_epoch;
    seqno last;                 /* end of the follower's durable log */
    seqno durable;              /* here */
    seqno oldest;               /* first record kept here */
    struct epoch_common common; /* of the leader's (mine) and the follower's (theirs) tables */
    bool is_shared_epoch_mine;  /* this node led common.shared */
    enum resume_proof proof;
    struct slice leader_address; /* of whom this node follows; empty when unknown */
    struct slice holder_address; /* of the live node that has the id */
    struct slice node_id;
};

enum resume_kind { RESUME_PROVE, RESUME_CONTINUE, RESUME_REFUSE };

struct resume_plan {
    enum resume_kind kind;
    enum refuse_reason reason; /* REFUSE_NONE unless refused */
    uint32_t row;              /* of the table above */
    uint64_t extra_records;    /* rows 14 to 16: what the follower has and the leader lacks */
};

struct resume_plan resume_decide(const struct resume_facts *f);

/* One sentence for a refusal: what is wrong and what to do. */
void resume_explain(const struct resume_facts *f, const struct resume_plan *plan, struct text *t);

#endif
