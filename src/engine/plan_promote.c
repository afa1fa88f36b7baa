/* plan_promote: what PROMOTE would do here: the members are asked, core/promote decides, nothing
 * changes. Path: lead, force (it would have to be forced), refuse (force would not help). */
#include <stdio.h>

#include "engine/members.h"
#include "engine/plan.h"
#include "engine/role_internal.h"
#include "engine/run.h"

static void add_nodes(struct plan *p, const struct promote_facts *f)
{
    for (uint32_t i = 0; i < f->node_count; i++) {
        const struct promote_node *n = &f->nodes[i];
        char id[ADDRESS_SIZE_MAX + 1];
        struct text t = text_of(id, sizeof(id));
        text_add_escaped(&t, n->node_id.size > 0 ? n->node_id : n->address, 80);
        plan_add_of(p, "node", id, "answered", "%s", n->has_answered ? "yes" : "no");
        if (!n->has_answered) continue;
        plan_add_of(p, "node", id, "role", "%s", n->is_leading ? "leader" : "follower");
        plan_add_of(p, "node", id, "epoch", "%llu", (unsigned long long)n->last.epoch);
        plan_add_of(p, "node", id, "record", "%llu", (unsigned long long)n->last.seqno.v);
        if (n->is_damaged) plan_add_of(p, "node", id, "damaged", "yes");
    }
}

static void decide(struct plan *p, struct promote_facts *f)
{
    char sentence[ERR_TEXT_SIZE];
    struct promote_plan unforced = promote_decide(f);
    f->is_forced = true;
    bool force_helps = promote_decide(f).verdict == PROMOTE_LEAD;
    bool may = unforced.verdict == PROMOTE_LEAD || unforced.verdict == PROMOTE_ALREADY;
    p->path = may ? "lead" : force_helps ? "force" : "refuse";
    p->seconds = 0;
    struct text t = text_of(sentence, sizeof(sentence));
    promote_explain(f, &unforced, &t);
    plan_why(p, "%s.", sentence);
    if (unforced.verdict == PROMOTE_LEAD || force_helps) {
        t = text_of(sentence, sizeof(sentence));
        promote_explain_risk(f, &unforced, &t);
        plan_why(p, "At risk: %s.", sentence);
    }
    plan_add_count(p, "next_epoch", unforced.next_epoch);
    plan_add_count(p, "answers", unforced.answers);
    plan_add_count(p, "answers_needed", unforced.needed);
    plan_add_count(p, "stored", f->stored.seqno.v);
    plan_add_count(p, "best_known", unforced.best.v);
    plan_add_count(p, "leader_last_heard", f->leader_durable.v);
    add_nodes(p, f);
}

/* The question outlives the call: the answers come later. */
struct asking {
    struct plan *plan;
    struct inquiry *inquiry;
};

static void members_answered(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct asking *a = arg;
    struct plan *p = a->plan;
    struct promote_node nodes[MEMBERS_MAX];
    struct promote_facts facts = role_facts(p->db, replies, count, nodes);
    decide(p, &facts);
    inquiry_free(a->inquiry);
    plan_answer(p, OK, NULL);
}

enum code plan_promote(struct plan *p, struct err *e)
{
    struct db *db = p->db;
    const char *addresses[MEMBERS_MAX];
    if (db->log == NULL) return ERR(e, E_LOADING, "this node holds no record yet");
    uint32_t count = members_addresses(db, addresses);
    struct asking *a = run_take(p->run, sizeof(*a)); /* goes with the run, answered or not */
    if (a == NULL) return ERR(e, E_NOMEMORY, "no memory to ask the members");
    a->plan = p;
    struct inquire_options options = {.timeout_ns = db->config.suspect_ns};
    a->inquiry = inquiry_start(db, addresses, count, &options, members_answered, a);
    if (a->inquiry == NULL) return ERR(e, E_NOMEMORY, "no memory to ask the members");
    p->is_later = true;
    return OK;
}
