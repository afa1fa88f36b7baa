/* follow: the step of the follower's link machine, and its judgements of plans and batches. */
#include "core/follow.h"

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
#include "base/text.h"

const char *follow_state_name(enum follow_state state)
{
    static const char *const names[] = {
#define X(constant, name) [constant] = name,
        FOLLOW_STATE_TABLE(X)
#undef X
    };
    ASSERT((size_t)state < COUNT_OF(names));
    return names[state];
}

bool follow_edge_is_allowed(enum follow_state from, enum follow_state to)
{
    static const bool edges[FOLLOW_STATE_COUNT][FOLLOW_STATE_COUNT] = {
        [FOLLOW_WAITING] = {[FOLLOW_CONNECTING] = true, [FOLLOW_STOPPED] = true},
        [FOLLOW_CONNECTING] =
            {[FOLLOW_GREETING] = true, [FOLLOW_WAITING] = true, [FOLLOW_STOPPED] = true},
        [FOLLOW_GREETING] = {[FOLLOW_NOTING] = true,
                             [FOLLOW_STREAMING] = true,
                             [FOLLOW_WAITING] = true,
                             [FOLLOW_STOPPED] = true},
        [FOLLOW_NOTING] =
            {[FOLLOW_STREAMING] = true, [FOLLOW_WAITING] = true, [FOLLOW_STOPPED] = true},
        [FOLLOW_STREAMING] = {[FOLLOW_WAITING] = true, [FOLLOW_STOPPED] = true},
    };
    ASSERT(from < FOLLOW_STATE_COUNT);
    ASSERT(to < FOLLOW_STATE_COUNT);
    return edges[from][to];
}

void follow_init(struct follow *f, const struct follow_options *options)
{
    ASSERT(options->heartbeat_ns < options->dead_ns);
    *f = (struct follow){.options = *options, .state = FOLLOW_WAITING, .due_ns = UINT64_MAX};
}

/* The one place where the state changes. */
static void enter(struct follow *f, enum follow_state next)
{
    ASSERT(follow_edge_is_allowed(f->state, next));
    TAKEN(TAKEN_FOLLOW, f->state, next);
    f->state = next;
}

/* Full jitter: uniform in 0..bound, so that followers of one dead leader do not come back at once.
 */
static uint64_t backoff_ns(const struct follow *f, uint64_t random)
{
    uint64_t bound_ns = FOLLOW_BACKOFF_MAX_NS;
    if (f->attempts < 8) bound_ns = FOLLOW_BACKOFF_MIN_NS << f->attempts;
    if (bound_ns > FOLLOW_BACKOFF_MAX_NS) bound_ns = FOLLOW_BACKOFF_MAX_NS;
    return random % (bound_ns + 1);
}

static void give_up_link(struct follow *f, const struct follow_event *event,
                         enum follow_cause cause, struct follow_actions *out)
{
    if (f->state == FOLLOW_WAITING || f->state == FOLLOW_STOPPED) return;
    ASSERT(cause != FOLLOW_CAUSE_NONE);
    uint64_t now_ns = event->now_ns;
    if (f->state == FOLLOW_STREAMING && now_ns - f->streaming_ns >= FOLLOW_HEALTHY_NS) {
        f->attempts = 0;
    }
    enter(f, FOLLOW_WAITING);
    f->session = 0;
    f->cause = cause;
    f->reason = event->kind == FOLLOW_EV_FAILED ? event->reason : 0;
    f->due_ns = now_ns + backoff_ns(f, event->random);
    if (PLANTED(28) && cause == FOLLOW_CAUSE_SILENT) f->due_ns = UINT64_MAX; /* never again */
    f->attempts += f->attempts < UINT32_MAX;
    f->retries++;
    out->is_link_over = true;
    bool is_news = f->said_cause != f->cause || f->said_reason != f->reason;
    if (is_news || now_ns - f->said_ns >= FOLLOW_SAY_NS) {
        out->is_reason_due = true;
        f->said_ns = now_ns;
        f->said_cause = f->cause;
        f->said_reason = f->reason;
    }
}

static void take_timer(struct follow *f, const struct follow_event *event,
                       struct follow_actions *out)
{
    if (event->now_ns < f->due_ns) return;
    switch (f->state) {
    case FOLLOW_WAITING:
        enter(f, FOLLOW_CONNECTING);
        f->due_ns = event->now_ns + f->options.dead_ns;
        out->is_connect_due = true;
        return;
    case FOLLOW_CONNECTING: give_up_link(f, event, FOLLOW_CAUSE_UNREACHABLE, out); return;
    case FOLLOW_GREETING:
    case FOLLOW_NOTING:
    case FOLLOW_STREAMING: give_up_link(f, event, FOLLOW_CAUSE_SILENT, out); return;
    case FOLLOW_STOPPED:
    case FOLLOW_STATE_COUNT: return;
    }
    UNREACHABLE();
}

static void hear(struct follow *f, uint64_t now_ns)
{
    f->heard_ns = now_ns;
    f->due_ns = now_ns + f->options.dead_ns;
}

static void accept_plan(struct follow *f, uint64_t now_ns, struct follow_actions *out)
{
    enter(f, FOLLOW_STREAMING);
    hear(f, now_ns);
    f->streaming_ns = now_ns;
    f->cause = f->said_cause = FOLLOW_CAUSE_NONE;
    f->reason = f->said_reason = 0;
    out->is_accepted = true;
}

static void take_plan(struct follow *f, const struct follow_event *event,
                      struct follow_actions *out)
{
    if (f->state != FOLLOW_GREETING) return;
    ASSERT(event->epoch > 0);
    f->plan_epoch = event->epoch;
    if (!event->is_note) {
        accept_plan(f, event->now_ns, out);
        return;
    }
    enter(f, FOLLOW_NOTING);
    hear(f, event->now_ns);
    out->is_note_due = true;
}

void follow_step(struct follow *f, const struct follow_event *event, struct follow_actions *out)
{
    *out = (struct follow_actions){0};
    switch (event->kind) {
    case FOLLOW_EV_START:
        if (f->state != FOLLOW_WAITING) return;
        f->due_ns = event->now_ns;
        return;
    case FOLLOW_EV_TIMER: take_timer(f, event, out); return;
    case FOLLOW_EV_OPENED:
        if (f->state != FOLLOW_CONNECTING) return;
        enter(f, FOLLOW_GREETING);
        hear(f, event->now_ns);
        f->session = event->random > 0 ? event->random : 1; /* 0 means none */
        out->is_hello_due = true;
        return;
    case FOLLOW_EV_PLAN: take_plan(f, event, out); return;
    case FOLLOW_EV_NOTED:
        if (f->state == FOLLOW_NOTING) accept_plan(f, event->now_ns, out);
        return;
    case FOLLOW_EV_HEARD:
        if (f->state == FOLLOW_STREAMING) hear(f, event->now_ns);
        return;
    case FOLLOW_EV_FAILED: give_up_link(f, event, event->cause, out); return;
    case FOLLOW_EV_STOP:
        if (f->state == FOLLOW_STOPPED) return;
        out->is_link_over = f->state != FOLLOW_WAITING;
        enter(f, FOLLOW_STOPPED);
        f->session = 0;
        f->due_ns = UINT64_MAX;
        return;
    }
    UNREACHABLE();
}

static enum follow_verdict judge_continue(const struct follow_plan *p, struct err *e)
{
    const struct wire_plan *plan = p->plan;
    if (!position_equal(&plan->from, &p->asked)) {
        (void)ERR(e, E_PROTOCOL, "the leader's plan continues from record %llu, asked was %llu",
                  (unsigned long long)plan->from.seqno.v, (unsigned long long)p->asked.seqno.v);
        return FOLLOW_MISMATCH;
    }
    bool is_first = id128_is_zero(&p->cluster);
    if (plan->epoch.number > p->highest_epoch || is_first) return FOLLOW_NOTE;
    return FOLLOW_ACCEPT;
}

/* Did an operator give up this very end? */
static bool may_lose(const struct follow_plan *p)
{
    const struct token *end = p->may_lose;
    return end != NULL && end->epoch == p->asked.epoch && end->seqno.v == p->asked.seqno.v &&
           memcmp(end->chain4, p->asked.chain.bytes, sizeof(end->chain4)) == 0;
}

/* Would giving up what comes after `from` break a promise? */
static bool is_unsafe(const struct follow_plan *p, seqno from, struct err *e)
{
    if (from.v >= p->committed.v || may_lose(p)) return false;
    (void)ERR(e, E_READONLY,
              "%s: the histories part after record %llu, but this node's records up to %llu were "
              "committed: find out which of the two is right; to give them up: follow HOST:PORT "
              "--accept-loss --expect TOKEN, with this node's POSITION",
              refuse_name(REFUSE_OTHER_HISTORY), (unsigned long long)from.v,
              (unsigned long long)p->committed.v);
    return true;
}

static bool can_reload(const struct follow_plan *p, seqno at)
{
    bool can = p->oldest.v <= 1;
    for (uint32_t i = 0; i < p->manifest_count; i++) {
        can = can || p->manifests[i].seqno.v <= at.v;
    }
    return can;
}

static enum follow_verdict judge_truncate(const struct follow_plan *p, struct err *e)
{
    const struct position *from = &p->plan->from;
    bool is_inside =
        from->seqno.v > 0 && from->seqno.v < p->asked.seqno.v && from->seqno.v + 1 >= p->oldest.v;
    if (!is_inside || !can_reload(p, from->seqno)) {
        (void)ERR(e, E_PROTOCOL,
                  "the leader's plan cuts to record %llu; this node holds %llu to %llu and cannot "
                  "go back to there",
                  (unsigned long long)from->seqno.v, (unsigned long long)p->oldest.v,
                  (unsigned long long)p->asked.seqno.v);
        return FOLLOW_MISMATCH;
    }
    return is_unsafe(p, from->seqno, e) ? FOLLOW_UNSAFE : FOLLOW_TRUNCATE;
}

static void explain_plan(const struct wire_plan *plan, enum code code, struct err *e)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    text_add_escaped(&t, plan->text, sizeof(sentence));
    (void)ERR(e, code, "%s: %s", refuse_name(plan->reason), sentence);
}

static enum follow_verdict judge_bootstrap(const struct follow_plan *p, struct err *e)
{
    bool is_other = p->plan->reason == REFUSE_OTHER_HISTORY;
    if (is_other && is_unsafe(p, p->plan->from.seqno, e)) return FOLLOW_UNSAFE;
    explain_plan(p->plan, E_NOT_KEPT, e);
    return FOLLOW_BOOTSTRAP;
}

enum follow_verdict follow_judge_plan(const struct follow_plan *p, struct err *e)
{
    const struct wire_plan *plan = p->plan;
    if (plan->kind == PLAN_REFUSE) {
        explain_plan(plan, E_READONLY, e);
        return FOLLOW_REFUSED;
    }
    bool is_older = plan->epoch.number < p->highest_epoch;
    if (is_older && !PLANTED(9)) { /* planted: a leader of an older epoch is followed */
        (void)ERR(e, E_FENCED, "the leader is in epoch %llu, this node has seen epoch %llu",
                  (unsigned long long)plan->epoch.number, (unsigned long long)p->highest_epoch);
        return FOLLOW_FENCED;
    }
    bool is_first = id128_is_zero(&p->cluster);
    bool is_ours = is_first
                       ? !id128_is_zero(&plan->cluster)
                       : id128_equal(&plan->cluster, &p->cluster) && plan->log_key == p->log_key;
    bool is_stream_ours =
        is_first ? plan->stream.shard == p->stream.shard : stream_equal(plan->stream, p->stream);
    if (!is_ours || !is_stream_ours) {
        (void)ERR(e, E_WRONG_CLUSTER, "the leader's plan is of another cluster, stream or log key");
        return FOLLOW_FOREIGN;
    }
    if (plan->epoch.number == 0) {
        (void)ERR(e, E_PROTOCOL, "the leader's plan is of no epoch");
        return FOLLOW_MISMATCH;
    }
    if (plan->kind == PLAN_CONTINUE) return judge_continue(p, e);
    if (plan->kind == PLAN_TRUNCATE_TO) return judge_truncate(p, e);
    if (plan->kind == PLAN_BOOTSTRAP) return judge_bootstrap(p, e);
    (void)ERR(e, E_UNSUPPORTED, "the leader's plan is of kind %u, which this version does not know",
              (unsigned)plan->kind);
    return FOLLOW_MISMATCH;
}

enum follow_place follow_place_of(seqno accepted, seqno first, seqno last)
{
    ASSERT(first.v > 0);
    ASSERT(first.v <= last.v);
    if (last.v <= accepted.v) return FOLLOW_HELD;
    if (first.v == accepted.v + 1) return FOLLOW_NEXT;
    if (PLANTED(8) && first.v > accepted.v + 1) return FOLLOW_NEXT; /* a gap is accepted */
    return first.v > accepted.v + 1 ? FOLLOW_GAP : FOLLOW_STRADDLES;
}
