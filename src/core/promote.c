/* promote: see promote.h. One function a question; the table is read from its top. */
#include "core/promote.h"

#include "base/assert.h"

const char *promote_verdict_name(enum promote_verdict verdict)
{
    switch (verdict) {
#define X(constant, name) \
    case constant: return name;
        PROMOTE_VERDICT_TABLE(X)
#undef X
    }
    return "unknown";
}

int promote_compare(const struct position *a, const struct position *b)
{
    if (a->epoch != b->epoch) return a->epoch < b->epoch ? -1 : 1;
    if (a->seqno.v != b->seqno.v) return a->seqno.v < b->seqno.v ? -1 : 1;
    return 0;
}

static bool is_as_expected(const struct promote_facts *f)
{
    const struct position *e = &f->expect;
    return e->epoch == f->stored.epoch && e->seqno.v == f->stored.seqno.v &&
           memcmp(e->chain.bytes, f->stored.chain.bytes, 4) == 0;
}

/* The best of the others that answered, damaged ones included; UINT32_MAX: nobody did. */
static uint32_t best_node(const struct promote_facts *f)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < f->node_count; i++) {
        if (!f->nodes[i].has_answered) continue;
        if (best == UINT32_MAX || promote_compare(&f->nodes[i].last, &f->nodes[best].last) > 0) {
            best = i;
        }
    }
    return best;
}

static uint32_t leading_node(const struct promote_facts *f)
{
    for (uint32_t i = 0; i < f->node_count; i++) {
        const struct promote_node *n = &f->nodes[i];
        if (n->has_answered && n->is_leading && n->highest_epoch >= f->stored.epoch) return i;
    }
    return UINT32_MAX;
}

static uint32_t forked_node(const struct promote_facts *f)
{
    for (uint32_t i = 0; i < f->node_count; i++) {
        const struct promote_node *n = &f->nodes[i];
        if (!n->has_answered || promote_compare(&n->last, &f->stored) != 0) continue;
        if (!hash256_equal(&n->last.chain, &f->stored.chain)) return i;
    }
    return UINT32_MAX;
}

/* Who must answer: a majority of the voters, or all followers but k - 1. */
static bool count_answers(const struct promote_facts *f, struct promote_plan *plan)
{
    uint32_t voters = f->is_voter;
    uint32_t voters_answered = f->is_voter;
    uint32_t followers = 1;
    uint32_t followers_answered = 1;
    for (uint32_t i = 0; i < f->node_count; i++) {
        const struct promote_node *n = &f->nodes[i];
        voters += n->is_voter;
        voters_answered += n->is_voter && n->has_answered;
        followers += !n->was_leader;
        followers_answered += !n->was_leader && n->has_answered;
    }
    if (f->voter_count > voters) voters = f->voter_count;
    plan->answers = voters > 0 ? voters_answered : followers_answered;
    plan->needed = voters / 2 + 1;
    if (voters == 0) plan->needed = followers >= f->copies_min ? followers - f->copies_min + 1 : 1;
    return voters > 0;
}

/* Rows 7 to 12. */
static enum promote_verdict judge_others(const struct promote_facts *f, struct promote_plan *plan)
{
    bool has_voters = count_answers(f, plan);
    plan->node = leading_node(f);
    if (plan->node != UINT32_MAX) return PROMOTE_LEADER_LIVES;
    plan->node = forked_node(f);
    if (plan->node != UINT32_MAX) return PROMOTE_FORKED;
    uint32_t best = best_node(f);
    if (best != UINT32_MAX && promote_compare(&f->nodes[best].last, &f->stored) > 0) {
        plan->node = best;
        return PROMOTE_NOT_BEST;
    }
    if (plan->answers < plan->needed) return has_voters ? PROMOTE_NO_MAJORITY : PROMOTE_TOO_FEW;
    return PROMOTE_LEAD;
}

static enum promote_verdict judge_self(const struct promote_facts *f)
{
    if (f->is_leading) return PROMOTE_ALREADY;
    if (f->stored.seqno.v == 0) return PROMOTE_EMPTY;
    if (f->is_damaged) return PROMOTE_DAMAGED;
    if (f->is_bootstrapping) return PROMOTE_COPYING;
    if (f->has_expect && !is_as_expected(f)) return PROMOTE_UNEXPECTED;
    if (f->applied.v != f->stored.seqno.v) return PROMOTE_APPLYING;
    return PROMOTE_LEAD;
}

struct promote_plan promote_decide(const struct promote_facts *f)
{
    ASSERT(f->copies_min >= 1);
    struct promote_plan plan = {.node = UINT32_MAX, .best = f->stored.seqno};
    uint64_t highest = f->highest_epoch > f->stored.epoch ? f->highest_epoch : f->stored.epoch;
    for (uint32_t i = 0; i < f->node_count; i++) {
        const struct promote_node *n = &f->nodes[i];
        if (!n->has_answered) continue;
        if (n->highest_epoch > highest) highest = n->highest_epoch;
        if (n->last.epoch > highest) highest = n->last.epoch;
    }
    plan.next_epoch = highest + 1;
    plan.verdict = judge_self(f);
    plan.unforced = plan.verdict;
    if (plan.verdict != PROMOTE_LEAD) return plan;
    plan.unforced = judge_others(f, &plan);
    plan.verdict = f->is_forced ? PROMOTE_LEAD : plan.unforced;
    if (plan.node != UINT32_MAX) plan.best = f->nodes[plan.node].last.seqno;
    return plan;
}

/* --- words --- */

static void add_name(const struct promote_node *n, struct text *t)
{
    text_add_escaped(t, n->node_id.size > 0 ? n->node_id : n->address, 64);
}

static void add_silent(const struct promote_facts *f, struct text *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->node_count; i++) {
        if (f->nodes[i].has_answered) continue;
        text_add(t, "%s", count++ > 0 ? ", " : "");
        add_name(&f->nodes[i], t);
    }
    if (count == 0) text_add(t, "none");
}

void promote_explain(const struct promote_facts *f, const struct promote_plan *plan, struct text *t)
{
    const struct promote_node *n = plan->node != UINT32_MAX ? &f->nodes[plan->node] : NULL;
    unsigned long long stored = f->stored.seqno.v;
    switch (plan->verdict) {
    case PROMOTE_ALREADY: text_add(t, "this node leads already"); return;
    case PROMOTE_EMPTY: text_add(t, "this node holds no record; promote one that does"); return;
    case PROMOTE_DAMAGED:
        text_add(t, "this node is damaged; promote another, or restart this one first");
        return;
    case PROMOTE_COPYING:
        text_add(t, "this node is still copying the state; promote another, or wait for its end");
        return;
    case PROMOTE_UNEXPECTED:
        text_add(t,
                 "this node ends at record %llu of epoch %llu, not at the position expected; "
                 "ask for its position again and look at what changed",
                 stored, (unsigned long long)f->stored.epoch);
        return;
    case PROMOTE_APPLYING:
        text_add(t, "this node stores record %llu and has applied %llu; try again in a moment",
                 stored, (unsigned long long)f->applied.v);
        return;
    case PROMOTE_LEADER_LIVES:
        add_name(n, t);
        text_add(t, " answers and leads: hand over there (HANDOVER), or stop it first");
        return;
    case PROMOTE_FORKED:
        add_name(n, t);
        text_add(t,
                 " holds other records up to the same number %llu: find out which of the two "
                 "is right, then promote it with force",
                 stored);
        return;
    case PROMOTE_NOT_BEST:
        add_name(n, t);
        text_add(t, " holds more (record %llu of epoch %llu, this node %llu of %llu): ",
                 (unsigned long long)n->last.seqno.v, (unsigned long long)n->last.epoch, stored,
                 (unsigned long long)f->stored.epoch);
        text_add(t, n->is_damaged ? "it is damaged, so repair it, or accept the loss with force"
                                  : "promote that one, or accept the loss with force");
        return;
    case PROMOTE_NO_MAJORITY:
    case PROMOTE_TOO_FEW:
        text_add(t, "%u of the %u %s that must answer did; silent: ", plan->answers, plan->needed,
                 plan->verdict == PROMOTE_NO_MAJORITY ? "voters" : "followers");
        add_silent(f, t);
        text_add(t, "; bring them back, or accept that what only they hold is lost, with force");
        return;
    case PROMOTE_LEAD:
        text_add(t, "this node leads in epoch %llu from record %llu on",
                 (unsigned long long)plan->next_epoch, stored + 1);
        return;
    }
}

void promote_explain_risk(const struct promote_facts *f, const struct promote_plan *plan,
                          struct text *t)
{
    uint64_t stored = f->stored.seqno.v;
    uint64_t known = plan->best.v > f->leader_durable.v ? plan->best.v : f->leader_durable.v;
    if (known > stored) {
        text_add(t, "records %llu to %llu exist elsewhere and would be given up; ",
                 (unsigned long long)stored + 1, (unsigned long long)known);
    }
    bool is_anyone_silent = false;
    for (uint32_t i = 0; i < f->node_count; i++) {
        is_anyone_silent |= !f->nodes[i].has_answered;
    }
    if (!is_anyone_silent) {
        text_add(t, known > stored ? "everybody answered" : "nothing: everybody answered");
        return;
    }
    text_add(t,
             "what only a silent node holds is lost, for a silent leader what it acknowledged at "
             "level local; silent: ");
    add_silent(f, t);
}
