/* resume: what a leader answers to a follower's hello. One pure function over facts; the first row
 * that matches decides:
 *
 *   row  when                                                      answer
 *     1  no protocol version in common                             REFUSE newer-format
 *     2  it does not lead; the peer wants the leader, or votes     REFUSE not-leader
 *        ... and the peer is among those whom it follows           REFUSE ring
 *        ... and as many nodes as may be are above it              REFUSE chain-too-long
 *        (none of these for a peer that fetches)
 *     3  this node is starting or closing                          REFUSE busy
 *     4  another stream: region or shard                           REFUSE wrong-stream
 *     5  another cluster, or records without a cluster             REFUSE wrong-cluster
 *     6  the credentials do not match                              REFUSE credentials
 *     7  below the feature level, or its frames are too small      REFUSE feature-level
 *     8  it has seen a higher epoch than mine, and fetches not     REFUSE higher-epoch
 *     9  another live node has its id                              REFUSE id-in-use
 *    10  it has no slot and the table is full                      REFUSE slots-full
 *    11  its slot was invalidated                                  BOOTSTRAP slot-lost
 *    12  it is empty, the log is whole and no larger than a copy   CONTINUE
 *    13  it is empty otherwise                                     BOOTSTRAP
 *    14  it holds what this node led with and lost                 REFUSE gap
 *    15  the epoch tables part before its end: a fork              TRUNCATE, BOOTSTRAP
 *    16  it ends beyond my end, and the tables cannot say why      REFUSE gap
 *    17  a proof by chain was not asked for yet                    PROVE, ask again
 *    18  the chain at its end differs                              TRUNCATE, BOOTSTRAP
 *    19  the log cannot judge its end or keep what follows         BOOTSTRAP
 *    20  a proof could not be read                                 REFUSE busy
 *    21  the chain at its end is equal                             CONTINUE
 *
 * CONTINUE goes on from what was asked (12: from record 1). BOOTSTRAP of 13: log-not-kept or
 * smaller-copy; of 19: log-not-kept. TRUNCATE of 15: to the fork; of 18: to a manifest.
 *
 * A fork is where the epoch tables of both part: what both hold of one leadership is the same, one
 * writer wrote it. TRUNCATE needs: a chain that proves the fork in this log, what comes next kept
 * here, and on the follower a manifest at or below the fork with the log behind it, because applied
 * records cannot be un-applied; else BOOTSTRAP. Where tables say nothing (18), the follower's
 * manifests are proved one after the other, newest first.
 *
 * A follower is served from what it asks for and from nothing else: no row looks at its slot's
 * positions, and an empty one is never fast-forwarded over records that it lacks. Rows 14 and 16
 * are never a truncation, unless an operator of the follower said that it gives up what it has
 * more.
 *
 * A node that follows answers its own followers by the same rows, with its own log, which was
 * proved to be a beginning of its leader's. It has not all of the leader's records: where a peer
 * holds more of what may be the same history, row 16 says so and nothing else, whatever an operator
 * accepts there.
 *
 * A peer that fetches is to lead, and lost what this node still holds of its history. It takes
 * records and follows nobody: who leads, who votes and which epoch was claimed meanwhile does not
 * matter to it. Never: allocates, keeps state, changes anything.
 */
#ifndef TIDEMARK_CORE_RESUME_H
#define TIDEMARK_CORE_RESUME_H

#include "base/text.h"
#include "base/types.h"
#include "core/epoch.h"
#include "format/wire.h"

enum resume_proof {
    PROOF_NOT_ASKED,
    PROOF_EQUAL,    /* the position is a batch end of this log */
    PROOF_DIFFERS,  /* same seqno, other chain or no batch end */
    PROOF_NOT_KEPT, /* older than the log */
    PROOF_FAILED,   /* the log could not be read */
};

/* Which positions may have to be proved: indexes of resume_facts.proofs. */
enum {
    RESUME_LAST,
    RESUME_FORK,
    RESUME_MANIFEST, /* the first of WIRE_MANIFESTS_MAX */
    RESUME_PROOFS_MAX = RESUME_MANIFEST + WIRE_MANIFESTS_MAX,
};

struct resume_facts {
    bool has_common_version;
    bool is_leading;
    bool is_leader_wanted; /* by the peer: no follower is a substitute */
    bool is_fetching;      /* the peer is to lead and fetches what it lost */
    bool is_voter;         /* the peer: its acknowledgements must reach the leader */
    bool is_ring;          /* this node follows the peer, directly or through others */
    bool is_chain_full;    /* as many nodes as may be are above this one */
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
    bool is_loss_accepted;  /* an operator said that the follower may give up what it has more */
    uint64_t highest_epoch; /* that the follower has seen */
    uint64_t leader_epoch;
    struct position last;    /* end of the follower's durable log */
    seqno follower_oldest;   /* first record that its log keeps */
    uint32_t manifest_count; /* of the follower, which keeps the log behind each */
    struct position manifests[WIRE_MANIFESTS_MAX];
    seqno durable;              /* here */
    seqno oldest;               /* first record kept here */
    uint64_t log_bytes;         /* here, of all records */
    uint64_t copy_bytes;        /* that a copy of the state would move; 0: there is none to copy */
    struct epoch_common common; /* of the leader's (mine) and the follower's (theirs) tables */
    struct position fork;       /* at common.end; seqno 0: nothing in common, or not known */
    bool is_shared_epoch_mine;  /* this node led common.shared */
    enum resume_proof proofs[RESUME_PROOFS_MAX];
    struct slice leader_address; /* of whom this node follows; empty when unknown */
    struct slice path;           /* ids of whom it follows, up to the leader: core/chain */
    struct slice holder_address; /* of the live node that has the id */
    struct slice node_id;
};

enum resume_kind {
    RESUME_PROVE,
    RESUME_CONTINUE,
    RESUME_TRUNCATE,
    RESUME_BOOTSTRAP,
    RESUME_REFUSE,
};

struct resume_plan {
    enum resume_kind kind;
    enum refuse_reason reason; /* of a refusal, a truncation, a bootstrap */
    uint32_t row;              /* of the table above */
    uint64_t extra_records;    /* rows 14 to 18: what the follower has and the leader lacks */
    struct position
        position;   /* PROVE: this one; TRUNCATE: cut to it; BOOTSTRAP: the fork, if known */
    uint32_t proof; /* PROVE: where its outcome belongs in facts.proofs */
};

struct resume_plan resume_decide(const struct resume_facts *f);
/* Row 2 alone: it holds for a copy of the state, too. */
enum refuse_reason resume_judge_chain(const struct resume_facts *f);

/* One sentence for everything but PROVE: what is the matter and what to do. */
void resume_explain(const struct resume_facts *f, const struct resume_plan *plan, struct text *t);

/* Where the two tables part, as a position: what comes before the next leadership of either side,
 * or the end of a log. Seqno 0: nothing in common. common is epoch_common_of(mine, theirs). */
struct position resume_fork(const struct epoch_table *mine, const struct epoch_table *theirs,
                            const struct epoch_common *common, const struct position *mine_last,
                            const struct position *theirs_last);

#endif
