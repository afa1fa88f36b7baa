/* resume: the rows of the table in resume.h, in its order, and their sentences. */
#include "core/resume.h"

#include "base/assert.h"

#define COPY_WORTH_BYTES (64 * MIB) /* a log below this is always cheap enough to replay */

static struct resume_plan refuse(uint32_t row, enum refuse_reason reason, uint64_t extra_records)
{
    ASSERT(reason != REFUSE_NONE);
    return (struct resume_plan){
        .kind = RESUME_REFUSE, .reason = reason, .row = row, .extra_records = extra_records};
}

enum refuse_reason resume_judge_chain(const struct resume_facts *f)
{
    if (f->is_leading || f->is_fetching) return REFUSE_NONE;
    if (f->is_leader_wanted || f->is_voter) return REFUSE_NOT_LEADER;
    if (f->is_ring) return REFUSE_RING;
    return f->is_chain_full ? REFUSE_CHAIN : REFUSE_NONE;
}

/* Rows 1 to 10: who the follower is. REFUSE_NONE: nothing against it. */
static struct resume_plan judge_peer(const struct resume_facts *f)
{
    const struct {
        bool is_wrong;
        enum refuse_reason reason;
    } rows[] = {
        {!f->has_common_version, REFUSE_NEWER_FORMAT},
        {resume_judge_chain(f) != REFUSE_NONE, resume_judge_chain(f)},
        {!f->is_serving, REFUSE_BUSY},
        {!f->is_stream_equal, REFUSE_WRONG_STREAM},
        {f->is_cluster_known ? !f->is_cluster_equal : !f->is_empty, REFUSE_WRONG_CLUSTER},
        {!f->is_credential_good, REFUSE_CREDENTIALS},
        {!f->is_feature_level_enough, REFUSE_FEATURE_LEVEL},
        {f->highest_epoch > f->leader_epoch && !f->is_fetching, REFUSE_HIGHER_EPOCH},
        {f->is_id_in_use, REFUSE_ID_IN_USE},
        {!f->has_slot && f->is_slot_table_full, REFUSE_SLOTS_FULL},
    };
    for (uint32_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].is_wrong) return refuse(i + 1, rows[i].reason, 0);
    }
    return (struct resume_plan){.kind = RESUME_CONTINUE};
}

static struct resume_plan continue_from(uint32_t row, const struct position *at)
{
    return (struct resume_plan){.kind = RESUME_CONTINUE, .row = row, .position = *at};
}

static struct resume_plan bootstrap(const struct resume_facts *f, uint32_t row,
                                    enum refuse_reason reason)
{
    ASSERT(reason != REFUSE_NONE);
    struct resume_plan plan = {.kind = RESUME_BOOTSTRAP, .reason = reason, .row = row};
    if (row != 15) return plan;
    plan.position = f->fork;
    plan.extra_records = f->last.seqno.v - f->fork.seqno.v;
    return plan;
}

/* Can the follower go back to this position? */
static bool can_reload(const struct resume_facts *f, seqno at)
{
    if (f->follower_oldest.v <= 1) return true; /* all of it can be replayed */
    for (uint32_t i = 0; i < f->manifest_count; i++) {
        if (f->manifests[i].seqno.v <= at.v) return true;
    }
    return false;
}

/* Does this log keep what follows? */
static bool can_continue(const struct resume_facts *f, seqno at)
{
    return at.v + 1 >= f->oldest.v;
}

/* What follows from the proof of `at`, which index `proof` stands for. BOOTSTRAP: not this one. */
static struct resume_plan cut_at(const struct resume_facts *f, uint32_t row,
                                 const struct position *at, uint32_t proof)
{
    struct resume_plan plan = {
        .kind = RESUME_TRUNCATE,
        .reason = REFUSE_OTHER_HISTORY,
        .row = row,
        .extra_records = f->last.seqno.v - at->seqno.v,
        .position = *at,
        .proof = proof,
    };
    if (!can_continue(f, at->seqno)) return bootstrap(f, row, REFUSE_NOT_KEPT);
    switch (f->proofs[proof]) {
    case PROOF_NOT_ASKED: plan.kind = RESUME_PROVE; return plan;
    case PROOF_EQUAL: return plan;
    case PROOF_DIFFERS: return bootstrap(f, row, REFUSE_OTHER_HISTORY);
    case PROOF_NOT_KEPT: return bootstrap(f, row, REFUSE_NOT_KEPT);
    case PROOF_FAILED: return refuse(20, REFUSE_BUSY, 0);
    }
    UNREACHABLE();
}

/* Row 15: cut to where the tables part, if that can be proved and reloaded. */
static struct resume_plan cut_to_fork(const struct resume_facts *f)
{
    if (f->fork.seqno.v == 0 || !can_reload(f, f->fork.seqno)) {
        return bootstrap(f, 15, REFUSE_OTHER_HISTORY);
    }
    return cut_at(f, 15, &f->fork, RESUME_FORK);
}

/* Row 18: cut to the newest manifest that lies in this log. */
static struct resume_plan cut_to_manifest(const struct resume_facts *f)
{
    seqno below = seqno_min(f->last.seqno, seqno_next(f->durable));
    for (;;) {
        uint32_t best = WIRE_MANIFESTS_MAX;
        for (uint32_t i = 0; i < f->manifest_count; i++) {
            seqno at = f->manifests[i].seqno;
            if (at.v == 0 || at.v >= below.v) continue;
            if (best == WIRE_MANIFESTS_MAX || at.v > f->manifests[best].seqno.v) best = i;
        }
        if (best == WIRE_MANIFESTS_MAX) return bootstrap(f, 18, REFUSE_OTHER_HISTORY);
        struct resume_plan plan =
            cut_at(f, 18, &f->manifests[best], (uint32_t)RESUME_MANIFEST + best);
        if (plan.kind != RESUME_BOOTSTRAP) return plan;
        below = f->manifests[best].seqno;
    }
}

/* Rows 12 and 13. */
static struct resume_plan judge_empty(const struct resume_facts *f)
{
    if (f->oldest.v > 1) return bootstrap(f, 13, REFUSE_NOT_KEPT);
    bool is_copy_cheaper =
        f->copy_bytes > 0 && f->log_bytes > COPY_WORTH_BYTES && f->copy_bytes < f->log_bytes;
    if (is_copy_cheaper) return bootstrap(f, 13, REFUSE_SMALLER_COPY);
    return continue_from(12, &f->last);
}

/* Rows 17 to 21: what the chain at its end says. */
static struct resume_plan judge_chain(const struct resume_facts *f)
{
    switch (f->proofs[RESUME_LAST]) {
    case PROOF_NOT_ASKED:
        return (struct resume_plan){
            .kind = RESUME_PROVE, .row = 17, .position = f->last, .proof = RESUME_LAST};
    case PROOF_DIFFERS: return cut_to_manifest(f);
    case PROOF_NOT_KEPT: return bootstrap(f, 19, REFUSE_NOT_KEPT);
    case PROOF_FAILED: return refuse(20, REFUSE_BUSY, 0);
    case PROOF_EQUAL:
        if (!can_continue(f, f->last.seqno)) return bootstrap(f, 19, REFUSE_NOT_KEPT);
        return continue_from(21, &f->last);
    }
    UNREACHABLE();
}

struct resume_plan resume_decide(const struct resume_facts *f)
{
    ASSERT(!f->is_empty || f->last.seqno.v == 0);
    ASSERT(f->manifest_count <= WIRE_MANIFESTS_MAX);
    struct resume_plan plan = judge_peer(f);
    if (plan.kind == RESUME_REFUSE) return plan;
    if (f->is_slot_lost) return bootstrap(f, 11, REFUSE_LOST);
    if (f->is_empty) return judge_empty(f);
    seqno last = f->last.seqno;
    bool is_ahead = last.v > f->durable.v && !f->is_leading &&
                    (!f->common.is_known || f->common.end.v >= f->durable.v);
    if (is_ahead) return refuse(16, REFUSE_GAP, last.v - f->durable.v);
    /* Judged before the chain, because the leader may have written other records under the same
     * numbers since. */
    if (f->common.is_known && last.v > f->common.end.v) {
        bool is_own_tail =
            f->common.is_theirs_open && f->common.shared.number != 0 && f->is_shared_epoch_mine;
        if (is_own_tail && !f->is_loss_accepted) {
            return refuse(14, REFUSE_GAP, last.v - f->common.end.v);
        }
        return cut_to_fork(f);
    }
    if (last.v > f->durable.v) {
        if (f->is_loss_accepted) return cut_to_manifest(f);
        return refuse(16, REFUSE_GAP, last.v - f->durable.v);
    }
    return judge_chain(f);
}

struct position resume_fork(const struct epoch_table *mine, const struct epoch_table *theirs,
                            const struct epoch_common *common, const struct position *mine_last,
                            const struct position *theirs_last)
{
    struct position fork = {.epoch = common->shared.number, .seqno = common->end};
    if (!common->is_known || common->shared.number == 0 || common->end.v == 0) {
        return (struct position){0};
    }
    /* The leadership that follows on either side says what its first record was chained to. */
    const struct epoch_table *tables[2] = {mine, theirs};
    for (size_t side = 0; side < COUNT_OF(tables); side++) {
        for (uint32_t i = 0; i < tables[side]->count; i++) {
            const struct epoch_entry *entry = &tables[side]->entries[i];
            if (entry->start.v != common->end.v + 1) continue;
            fork.chain = entry->chain_before;
            return fork;
        }
    }
    if (mine_last->seqno.v == common->end.v) return *mine_last;
    ASSERT(theirs_last->seqno.v == common->end.v);
    return *theirs_last;
}

static void explain_gap(const struct resume_facts *f, const struct resume_plan *plan,
                        struct text *t)
{
    if (plan->row == 14) {
        text_add(t,
                 "the follower holds %llu more records of this history; the leader lost a tail: "
                 "start the follower as the leader to keep them, or give them up with "
                 "follow --accept-loss on the follower",
                 (unsigned long long)plan->extra_records);
        return;
    }
    if (!f->is_leading) {
        text_add(t,
                 "the follower holds %llu records beyond record %llu, the end of this node, which "
                 "follows, too: it is served once this node has caught up",
                 (unsigned long long)plan->extra_records, (unsigned long long)f->durable.v);
        return;
    }
    text_add(t,
             "the follower holds %llu records beyond the leader's durable end %llu: find out "
             "which of the two is right before anything is deleted",
             (unsigned long long)plan->extra_records, (unsigned long long)f->durable.v);
}

static void explain_fork(const struct resume_facts *f, const struct resume_plan *plan,
                         struct text *t)
{
    if (plan->position.seqno.v > 0) {
        text_add(t,
                 "the histories part after record %llu and the follower holds %llu other records "
                 "since",
                 (unsigned long long)plan->position.seqno.v,
                 (unsigned long long)plan->extra_records);
    } else {
        text_add(t, "the follower's record %llu is not the leader's",
                 (unsigned long long)f->last.seqno.v);
    }
    if (plan->kind == RESUME_TRUNCATE) {
        text_add(t, ": it gives them up, into its quarantine, and continues from there");
    } else {
        text_add(t, "; none of its checkpoints lies before that: it takes a copy of the state");
    }
}

static void explain_bootstrap(const struct resume_facts *f, const struct resume_plan *plan,
                              struct text *t)
{
    if (plan->reason == REFUSE_NOT_KEPT) {
        text_add(t,
                 "the leader's log starts at record %llu, the follower asks for %llu: it takes a "
                 "copy of the state",
                 (unsigned long long)f->oldest.v, (unsigned long long)f->last.seqno.v + 1);
        return;
    }
    if (plan->reason == REFUSE_SMALLER_COPY) {
        text_add(t, "a copy of the state has %llu bytes, the log %llu: it takes the copy",
                 (unsigned long long)f->copy_bytes, (unsigned long long)f->log_bytes);
        return;
    }
    if (plan->reason == REFUSE_OTHER_HISTORY) {
        explain_fork(f, plan, t);
        return;
    }
    text_add(t, "%s", refuse_sentence((uint8_t)plan->reason));
}

static void explain_continue(const struct resume_facts *f, const struct resume_plan *plan,
                             struct text *t)
{
    if (plan->row == 12) {
        text_add(t, "the follower holds nothing and the log starts at record 1: it replays all");
        return;
    }
    text_add(t, "the follower's record %llu is in this log: it continues with the next one",
             (unsigned long long)f->last.seqno.v);
}

static void explain_refusal(const struct resume_facts *f, const struct resume_plan *plan,
                            struct text *t)
{
    switch (plan->reason) {
    case REFUSE_GAP: explain_gap(f, plan, t); return;
    case REFUSE_NOT_LEADER:
        if (f->is_voter) text_add(t, "a voter follows the leader itself; ");
        text_add(t, "this node follows ");
        if (f->leader_address.size == 0) text_add(t, "a leader that it has not met");
        text_add_escaped(t, f->leader_address, ADDRESS_SIZE_MAX);
        text_add(t, ": ask there");
        return;
    case REFUSE_ID_IN_USE:
        text_add(t, "node id ");
        text_add_escaped(t, f->node_id, NODE_ID_SIZE_MAX);
        text_add(t, " is used by the live node at ");
        text_add_escaped(t, f->holder_address, ADDRESS_SIZE_MAX);
        text_add(t, ": give one of them another id");
        return;
    case REFUSE_RING:
        text_add(t, "this node follows ");
        text_add_escaped(t, f->path, WIRE_PATH_MAX);
        text_add(t, ", and ");
        text_add_escaped(t, f->node_id, NODE_ID_SIZE_MAX);
        text_add(t, " is among them: a ring has no leader. Let one of them follow the leader");
        return;
    case REFUSE_CHAIN:
        text_add(t, "this node follows ");
        text_add_escaped(t, f->path, WIRE_PATH_MAX);
        text_add(t, ": no more followers may stand in one chain; follow a node nearer the leader");
        return;
    case REFUSE_HIGHER_EPOCH:
        text_add(t, "the follower has seen epoch %llu, this node leads epoch %llu: %s",
                 (unsigned long long)f->highest_epoch, (unsigned long long)f->leader_epoch,
                 "find the newer leader and follow it");
        return;
    case REFUSE_NONE:
    case REFUSE_OTHER_HISTORY:
    case REFUSE_NOT_KEPT:
    case REFUSE_SMALLER_COPY:
    case REFUSE_WRONG_CLUSTER:
    case REFUSE_WRONG_STREAM:
    case REFUSE_NEWER_FORMAT:
    case REFUSE_SLOTS_FULL:
    case REFUSE_FEATURE_LEVEL:
    case REFUSE_CREDENTIALS:
    case REFUSE_BUSY:
    case REFUSE_LOST: text_add(t, "%s", refuse_sentence((uint8_t)plan->reason)); return;
    }
    UNREACHABLE();
}

void resume_explain(const struct resume_facts *f, const struct resume_plan *plan, struct text *t)
{
    switch (plan->kind) {
    case RESUME_PROVE: return;
    case RESUME_CONTINUE: explain_continue(f, plan, t); return;
    case RESUME_TRUNCATE: explain_fork(f, plan, t); return;
    case RESUME_BOOTSTRAP: explain_bootstrap(f, plan, t); return;
    case RESUME_REFUSE: explain_refusal(f, plan, t); return;
    }
    UNREACHABLE();
}
