/* plan_resume: what this leader would answer to a follower that came back now, as its slot knows
 * it: the decision of core/resume, asked with the facts of this moment. What only a hello tells
 * (its epoch table, its checkpoints, whether its history is still this one) is taken for good here;
 * a follower without a slot is a new, empty one. */
#include "core/resume.h"
#include "engine/plan.h"
#include "engine/shipper.h"
#include "format/slotfile.h"

static void fill_facts(const struct plan *p, const struct tide_follower_status *slot,
                       struct resume_facts *f)
{
    const struct db *db = p->db;
    *f = (struct resume_facts){
        .has_common_version = true,
        .is_leading = db_is_leader(db),
        .is_serving = db->log != NULL && db->condition != DB_CLOSING,
        .is_stream_equal = true,
        .is_cluster_known = slot != NULL,
        .is_cluster_equal = true,
        .is_credential_good = true,
        .is_feature_level_enough = true,
        .has_slot = slot != NULL,
        .is_slot_table_full = shipper_follower_count(db->shipper) == SLOTS_MAX,
        .is_slot_lost = slot != NULL && strcmp(slot->state, slot_state_name(SLOT_LOST)) == 0,
        .is_empty = slot == NULL || slot->stored == 0,
        .highest_epoch = db->epoch.number,
        .leader_epoch = db->epoch.number,
        .last = {.epoch = db->epoch.number, .seqno = seqno_of(slot != NULL ? slot->stored : 0)},
        .durable = log_durable(db->log).seqno,
        .oldest = log_oldest(db->log),
        .log_bytes = log_durable_bytes(db->log),
        .leader_address = slice_of_text(db->identity.leader_address),
        .node_id = p->argument,
    };
    bool is_kept = f->last.seqno.v + 1 >= f->oldest.v;
    f->proofs[RESUME_LAST] = is_kept ? PROOF_EQUAL : PROOF_NOT_KEPT;
}

static const char *path_of(enum resume_kind kind)
{
    switch (kind) {
    case RESUME_CONTINUE: return "continue";
    case RESUME_TRUNCATE: return "truncate";
    case RESUME_BOOTSTRAP: return "bootstrap";
    case RESUME_REFUSE: return "refuse";
    case RESUME_PROVE: break; /* the proof is given */
    }
    return "prove";
}

enum code plan_resume(struct plan *p, struct err *e)
{
    const struct db *db = p->db;
    struct tide_follower_status followers[SLOTS_MAX];
    const struct tide_follower_status *slot = NULL;
    struct resume_facts facts;
    char why[ERR_TEXT_SIZE];
    if (!db->log) return ERR(e, E_LOADING, "this node holds no log yet");
    if (!db->shipper) return ERR(e, E_INVALID, "this node takes no followers");
    uint32_t count = shipper_status(db->shipper, followers, SLOTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct slice id = slice_of_text(followers[i].node_id);
        if (slice_equal(id, p->argument)) slot = &followers[i];
    }
    fill_facts(p, slot, &facts);
    struct resume_plan plan = resume_decide(&facts);
    struct text t = text_of(why, sizeof(why));
    resume_explain(&facts, &plan, &t);
    p->path = path_of(plan.kind);
    p->seconds = -1;
    p->bytes = PLAN_UNKNOWN;
    if (plan.kind == RESUME_CONTINUE) p->bytes = log_bytes_after(db->log, facts.last.seqno);
    plan_add_count(p, "row", plan.row);
    plan_add(p, "reason", "%s", refuse_name((uint8_t)plan.reason));
    plan_add(p, "slot", "%s", slot != NULL ? slot->state : "none");
    plan_add_count(p, "stored", facts.last.seqno.v);
    plan_add_count(p, "oldest", facts.oldest.v);
    plan_add_count(p, "durable", facts.durable.v);
    if (slot == NULL) plan_why(p, "No slot has this id: it is taken for a new follower, empty.");
    plan_why(p, "%s.", why);
    if (slot != NULL && slot->is_connected) plan_why(p, "It is connected now.");
    if (slot != NULL && plan.kind == RESUME_CONTINUE) {
        plan_why(p, "If its history is another one by then, it is cut back or takes a copy.");
    }
    return OK;
}
