/* resume: the rows of the table in resume.h, in its order, and their sentences. */
#include "core/resume.h"

#include "base/assert.h"

static struct resume_plan refuse(uint32_t row, enum refuse_reason reason, uint64_t extra_records)
{
    ASSERT(reason != REFUSE_NONE);
    return (struct resume_plan){
        .kind = RESUME_REFUSE, .reason = reason, .row = row, .extra_records = extra_records};
}

/* Rows 1 to 11: who the follower is. REFUSE_NONE: nothing against it. */
static struct resume_plan judge_peer(const struct resume_facts *f)
{
    const struct {
        bool is_wrong;
        enum refuse_reason reason;
    } rows[] = {
        {!f->has_common_version, REFUSE_NEWER_FORMAT},
        {!f->is_leading, REFUSE_NOT_LEADER},
        {!f->is_serving, REFUSE_BUSY},
        {!f->is_stream_equal, REFUSE_WRONG_STREAM},
        {f->is_cluster_known ? !f->is_cluster_equal : !f->is_empty, REFUSE_WRONG_CLUSTER},
        {!f->is_credential_good, REFUSE_CREDENTIALS},
        {!f->is_feature_level_enough, REFUSE_FEATURE_LEVEL},
        {f->highest_epoch > f->leader_epoch, REFUSE_HIGHER_EPOCH},
        {f->is_id_in_use, REFUSE_ID_IN_USE},
        {!f->has_slot && f->is_slot_table_full, REFUSE_SLOTS_FULL},
        {f->is_slot_lost, REFUSE_LOST},
    };
    for (uint32_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].is_wrong) return refuse(i + 1, rows[i].reason, 0);
    }
    return (struct resume_plan){.kind = RESUME_CONTINUE};
}

/* Rows 14 to 16: does the follower hold what the leader lacks? Judged before the chain, because the
 * leader may have written other records under the same numbers since. */
static struct resume_plan judge_end(const struct resume_facts *f)
{
    if (f->common.is_known && f->last.v > f->common.end.v) {
        uint64_t extra_records = f->last.v - f->common.end.v;
        if (f->common.is_theirs_open && f->common.shared.number != 0 && f->is_shared_epoch_mine) {
            return refuse(14, REFUSE_GAP, extra_records);
        }
        return refuse(15, REFUSE_OTHER_HISTORY, extra_records);
    }
    if (f->last.v > f->durable.v) return refuse(16, REFUSE_GAP, f->last.v - f->durable.v);
    return (struct resume_plan){.kind = RESUME_CONTINUE};
}

struct resume_plan resume_decide(const struct resume_facts *f)
{
    ASSERT(!f->is_empty || f->last.v == 0);
    struct resume_plan plan = judge_peer(f);
    if (plan.kind == RESUME_REFUSE) return plan;
    if (f->is_empty) {
        if (f->oldest.v > 1) return refuse(13, REFUSE_NOT_KEPT, 0);
        return (struct resume_plan){.kind = RESUME_CONTINUE, .row = 12};
    }
    plan = judge_end(f);
    if (plan.kind == RESUME_REFUSE) return plan;
    switch (f->proof) {
    case PROOF_NOT_ASKED: return (struct resume_plan){.kind = RESUME_PROVE, .row = 17};
    case PROOF_DIFFERS: return refuse(18, REFUSE_OTHER_HISTORY, 0);
    case PROOF_NOT_KEPT: return refuse(19, REFUSE_NOT_KEPT, 0);
    case PROOF_FAILED: return refuse(20, REFUSE_BUSY, 0);
    case PROOF_EQUAL:
        if (f->last.v + 1 < f->oldest.v) return refuse(19, REFUSE_NOT_KEPT, 0);
        return (struct resume_plan){.kind = RESUME_CONTINUE, .row = 21};
    }
    UNREACHABLE();
}

static void explain_histories(const struct resume_facts *f, const struct resume_plan *plan,
                              struct text *t)
{
    if (plan->row == 14) {
        text_add(t,
                 "the follower holds %llu more records of this history; the leader lost a tail: "
                 "start the follower as the leader to keep them",
                 (unsigned long long)plan->extra_records);
        return;
    }
    if (plan->row == 16) {
        text_add(t,
                 "the follower holds %llu records beyond the leader's durable end %llu: find out "
                 "which of the two is right before anything is deleted",
                 (unsigned long long)plan->extra_records, (unsigned long long)f->durable.v);
        return;
    }
    if (plan->row == 15) {
        text_add(t,
                 "the histories part after record %llu and the follower holds %llu other records "
                 "since",
                 (unsigned long long)f->common.end.v, (unsigned long long)plan->extra_records);
    } else {
        text_add(t, "the follower's record %llu is not the leader's",
                 (unsigned long long)f->last.v);
    }
    text_add(t, ": find out which of the two is right; to give up the follower's records, move its "
                "directory away and start it empty");
}

void resume_explain(const struct resume_facts *f, const struct resume_plan *plan, struct text *t)
{
    if (plan->kind != RESUME_REFUSE) return;
    switch (plan->reason) {
    case REFUSE_GAP:
    case REFUSE_OTHER_HISTORY: explain_histories(f, plan, t); return;
    case REFUSE_NOT_KEPT:
        text_add(t, "the leader's log starts at record %llu, the follower asks for %llu: ",
                 (unsigned long long)f->oldest.v, (unsigned long long)f->last.v + 1);
        text_add(
            t,
            "bring back a copy of the follower's own directory that ends at record %llu or later; "
            "making a follower from a copy of the state is not in this version",
            (unsigned long long)f->oldest.v - 1);
        return;
    case REFUSE_NOT_LEADER:
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
    case REFUSE_HIGHER_EPOCH:
        text_add(t, "the follower has seen epoch %llu, this node leads epoch %llu: %s",
                 (unsigned long long)f->highest_epoch, (unsigned long long)f->leader_epoch,
                 "find the newer leader and follow it");
        return;
    case REFUSE_NONE:
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
