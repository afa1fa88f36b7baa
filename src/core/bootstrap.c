/* bootstrap: the step of the joiner's machine, its window, and the server's pace. */
#include "core/bootstrap.h"

#include "base/assert.h"
#include "base/taken.h"

const char *bootstrap_state_name(enum bootstrap_state state)
{
    static const char *const names[] = {
#define X(constant, name) [constant] = name,
        BOOTSTRAP_STATE_TABLE(X)
#undef X
    };
    ASSERT((size_t)state < COUNT_OF(names));
    return names[state];
}

bool bootstrap_edge_is_allowed(enum bootstrap_state from, enum bootstrap_state to)
{
    static const bool edges[BOOTSTRAP_STATE_COUNT][BOOTSTRAP_STATE_COUNT] = {
        [BOOTSTRAP_IDLE] = {[BOOTSTRAP_ASKING] = true},
        [BOOTSTRAP_ASKING] = {[BOOTSTRAP_LOOKING] = true, [BOOTSTRAP_IDLE] = true},
        [BOOTSTRAP_LOOKING] =
            {[BOOTSTRAP_FETCHING] = true, [BOOTSTRAP_FINISHING] = true, [BOOTSTRAP_IDLE] = true},
        [BOOTSTRAP_FETCHING] =
            {[BOOTSTRAP_FINISHING] = true, [BOOTSTRAP_ASKING] = true, [BOOTSTRAP_IDLE] = true},
        [BOOTSTRAP_FINISHING] = {[BOOTSTRAP_SWITCHING] = true, [BOOTSTRAP_IDLE] = true},
    };
    ASSERT(from < BOOTSTRAP_STATE_COUNT);
    ASSERT(to < BOOTSTRAP_STATE_COUNT);
    return edges[from][to];
}

void bootstrap_init(struct bootstrap *b)
{
    *b = (struct bootstrap){.state = BOOTSTRAP_IDLE};
}

/* The one place where the state changes. */
static void enter(struct bootstrap *b, enum bootstrap_state next)
{
    ASSERT(bootstrap_edge_is_allowed(b->state, next));
    TAKEN(TAKEN_BOOTSTRAP, b->state, next);
    b->state = next;
}

static void forget_target(struct bootstrap *b)
{
    b->mark = SEQNO_NONE;
    b->manifest_total = b->manifest_got = 0;
    b->wants = NULL;
    b->count = b->next = b->held = b->asked = 0;
    b->total_bytes = b->held_bytes = b->asked_bytes = 0;
}

static void ask_anew(struct bootstrap *b, struct bootstrap_actions *out)
{
    forget_target(b);
    enter(b, BOOTSTRAP_ASKING);
    out->is_asking_due = true;
}

/* --- the manifest --- */

static void take_piece(struct bootstrap *b, const struct bootstrap_event *event,
                       struct bootstrap_actions *out)
{
    if (b->state != BOOTSTRAP_ASKING) return; /* late: of a manifest that was given up */
    bool is_first = event->offset == 0;
    bool is_expected = event->mark.v == b->mark.v && event->total == b->manifest_total &&
                       event->offset == b->manifest_got;
    bool is_possible = event->mark.v > 0 && event->size > 0 && event->total > 0 &&
                       event->total <= event->total_max && event->offset <= event->total &&
                       event->size <= event->total - event->offset;
    if (!is_possible || (!is_first && !is_expected)) {
        out->is_refused = true;
        return;
    }
    b->mark = event->mark;
    b->manifest_total = event->total;
    b->manifest_got = event->offset + event->size;
    out->is_taken = true;
    if (b->manifest_got < b->manifest_total) {
        out->is_asking_due = true;
        return;
    }
    enter(b, BOOTSTRAP_LOOKING);
    out->is_look_due = true;
}

/* --- blocks --- */

static void go_on(struct bootstrap *b, struct bootstrap_actions *out)
{
    ASSERT(b->held <= b->count);
    if (b->held < b->count) {
        out->may_ask = true;
        return;
    }
    enter(b, BOOTSTRAP_FINISHING);
    out->is_finish_due = true;
}

static void take_looked(struct bootstrap *b, const struct bootstrap_event *event,
                        struct bootstrap_actions *out)
{
    if (b->state != BOOTSTRAP_LOOKING) return;
    b->wants = event->wants;
    b->count = event->count;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct bootstrap_want *want = &b->wants[i];
        ASSERT(want->state != WANT_ASKED);
        b->total_bytes += want->size;
        if (want->state != WANT_HELD) continue;
        b->held++;
        b->held_bytes += want->size;
    }
    if (b->held < b->count) enter(b, BOOTSTRAP_FETCHING);
    go_on(b, out);
}

static struct bootstrap_want *take_answer(struct bootstrap *b, uint32_t index)
{
    if (b->state != BOOTSTRAP_FETCHING) return NULL;
    ASSERT(index < b->count);
    struct bootstrap_want *want = &b->wants[index];
    if (want->state != WANT_ASKED) return NULL; /* twice, or unasked */
    ASSERT(b->asked > 0);
    b->asked--;
    b->asked_bytes -= want->size;
    return want;
}

static void take_stored(struct bootstrap *b, uint32_t index, struct bootstrap_actions *out)
{
    struct bootstrap_want *want = take_answer(b, index);
    if (!want) return;
    want->state = WANT_HELD;
    b->held++;
    b->held_bytes += want->size;
    b->fetched_bytes += want->size;
    go_on(b, out);
}

static void take_wrong(struct bootstrap *b, uint32_t index, struct bootstrap_actions *out)
{
    struct bootstrap_want *want = take_answer(b, index);
    if (!want) return;
    want->state = WANT_MISSING;
    if (index < b->next) b->next = index;
    out->may_ask = true;
}

void bootstrap_step(struct bootstrap *b, const struct bootstrap_event *event,
                    struct bootstrap_actions *out)
{
    *out = (struct bootstrap_actions){0};
    switch (event->kind) {
    case BOOTSTRAP_EV_START:
        if (b->state == BOOTSTRAP_IDLE) ask_anew(b, out);
        return;
    case BOOTSTRAP_EV_PIECE: take_piece(b, event, out); return;
    case BOOTSTRAP_EV_LOOKED: take_looked(b, event, out); return;
    case BOOTSTRAP_EV_STORED: take_stored(b, event->index, out); return;
    case BOOTSTRAP_EV_WRONG: take_wrong(b, event->index, out); return;
    case BOOTSTRAP_EV_ABSENT:
        if (!take_answer(b, event->index)) return;
        b->rebases++;
        ask_anew(b, out);
        return;
    case BOOTSTRAP_EV_MOVED:
        if (b->state != BOOTSTRAP_FETCHING) return; /* it is nearly there, or asks anyway */
        b->rebases++;
        ask_anew(b, out);
        return;
    case BOOTSTRAP_EV_FINISHED:
        if (b->state != BOOTSTRAP_FINISHING) return;
        enter(b, BOOTSTRAP_SWITCHING);
        out->is_switch_due = true;
        return;
    case BOOTSTRAP_EV_LOST:
    case BOOTSTRAP_EV_FAILED:
        if (b->state == BOOTSTRAP_IDLE || b->state == BOOTSTRAP_SWITCHING) return;
        if (b->state == BOOTSTRAP_FINISHING && event->kind == BOOTSTRAP_EV_LOST) return;
        forget_target(b);
        enter(b, BOOTSTRAP_IDLE);
        return;
    }
    UNREACHABLE();
}

bool bootstrap_next(struct bootstrap *b, uint32_t *out_index)
{
    if (b->state != BOOTSTRAP_FETCHING) return false;
    while (b->next < b->count && b->wants[b->next].state != WANT_MISSING) {
        b->next++;
    }
    if (b->next == b->count) return false;
    struct bootstrap_want *want = &b->wants[b->next];
    bool fits =
        b->asked < BOOTSTRAP_WINDOW_BLOCKS && b->asked_bytes + want->size <= BOOTSTRAP_WINDOW_BYTES;
    if (b->asked > 0 && !fits) return false;
    want->state = WANT_ASKED;
    b->asked++;
    b->asked_bytes += want->size;
    *out_index = b->next++;
    return true;
}

/* --- pace --- */

void bootstrap_pace_took(struct bootstrap_pace *p, uint64_t now_ns, uint64_t took_ns,
                         uint64_t bytes)
{
    ASSERT(p->percent >= 1 && p->percent <= 100);
    uint64_t share_ns = took_ns / p->percent * (100 - p->percent);
    uint64_t rate_ns = 0;
    if (p->rate > 0) {
        uint64_t whole_ns = bytes / p->rate * NS_PER_S + bytes % p->rate * NS_PER_S / p->rate;
        rate_ns = whole_ns > took_ns ? whole_ns - took_ns : 0;
    }
    p->next_ns = now_ns + (share_ns > rate_ns ? share_ns : rate_ns);
}

uint64_t bootstrap_pace_wait(const struct bootstrap_pace *p, uint64_t now_ns)
{
    return p->next_ns > now_ns ? p->next_ns - now_ns : 0;
}
