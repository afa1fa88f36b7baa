/* roll: the step. */
#include "core/roll.h"

#include "base/assert.h"
#include "base/taken.h"

const char *roll_state_name(enum roll_state state)
{
    static const char *const names[] = {
#define X(constant, name) [constant] = name,
        ROLL_STATE_TABLE(X)
#undef X
    };
    ASSERT((size_t)state < COUNT_OF(names));
    return names[state];
}

bool roll_edge_is_allowed(enum roll_state from, enum roll_state to)
{
    static const bool edges[ROLL_STATE_COUNT][ROLL_STATE_COUNT] = {
        [ROLL_CLEAN] = {[ROLL_HOLDING] = true},
        [ROLL_HOLDING] = {[ROLL_SEALING] = true, [ROLL_CLEAN] = true},
        [ROLL_SEALING] = {[ROLL_CLEAN] = true},
    };
    ASSERT(from < ROLL_STATE_COUNT);
    ASSERT(to < ROLL_STATE_COUNT);
    return edges[from][to];
}

/* The one place where the state changes. */
static void enter(struct roll *r, enum roll_state next)
{
    if (r->state == next) return;
    ASSERT(roll_edge_is_allowed(r->state, next));
    TAKEN(TAKEN_ROLL, r->state, next);
    r->state = next;
}

void roll_init(struct roll *r, const struct roll_options *options, seqno durable, uint64_t now_ns)
{
    *r = (struct roll){
        .options = *options,
        .durable = durable,
        .sealed = durable,
        .shippable = durable,
        .beat_ns = now_ns,
        .poll_due_ns = UINT64_MAX,
    };
}

static bool is_stream(const struct roll *r)
{
    return r->options.ship_interval_ns == 0;
}

static seqno target_of(const struct roll *r)
{
    return is_stream(r) || r->state == ROLL_CLEAN ? r->durable : r->sealed;
}

/* The first beat at or after now. */
static uint64_t next_poll_ns(const struct roll *r, uint64_t now_ns)
{
    uint64_t interval = r->options.ship_interval_ns;
    uint64_t beats = (now_ns - r->beat_ns + interval - 1) / interval;
    return r->beat_ns + beats * interval;
}

static bool is_seal_due(const struct roll *r, uint64_t now_ns)
{
    return r->state == ROLL_HOLDING && r->options.seal_interval_ns > 0 &&
           now_ns - r->held_ns >= r->options.seal_interval_ns;
}

static void take_written(struct roll *r, const struct roll_event *event)
{
    ASSERT(event->end.v >= r->durable.v);
    ASSERT(r->state != ROLL_SEALING); /* the log does one thing at a time */
    r->durable = event->end;
    if (!event->has_client || r->state == ROLL_HOLDING) return;
    r->held_ns = event->now_ns;
    enter(r, ROLL_HOLDING);
}

/* Let followers have what the target says: at once, or at the next beat. */
static bool ship(struct roll *r, uint64_t now_ns)
{
    seqno target = target_of(r);
    if (target.v <= r->shippable.v) {
        r->poll_due_ns = UINT64_MAX;
        return false;
    }
    if (!is_stream(r)) {
        if (r->poll_due_ns == UINT64_MAX) r->poll_due_ns = next_poll_ns(r, now_ns);
        if (now_ns < r->poll_due_ns) return false;
        r->poll_due_ns = UINT64_MAX;
    }
    r->shippable = target;
    return true;
}

struct roll_actions roll_step(struct roll *r, const struct roll_event *event)
{
    ASSERT(event->now_ns >= r->beat_ns);
    switch (event->kind) {
    case ROLL_EV_WRITTEN: take_written(r, event); break;
    case ROLL_EV_SEALING: enter(r, ROLL_SEALING); break;
    case ROLL_EV_SEALED:
        ASSERT(event->end.v >= r->sealed.v);
        ASSERT(event->end.v <= r->durable.v);
        r->sealed = event->end;
        enter(r, ROLL_CLEAN);
        break;
    case ROLL_EV_TICK: break;
    }
    struct roll_actions actions = {.has_more = ship(r, event->now_ns)};
    actions.is_seal_due = is_seal_due(r, event->now_ns);
    ASSERT(r->shippable.v <= r->durable.v);
    return actions;
}

uint64_t roll_due_ns(const struct roll *r, uint64_t now_ns)
{
    uint64_t due_ns = r->poll_due_ns;
    if (r->state != ROLL_HOLDING || r->options.seal_interval_ns == 0) return due_ns;
    uint64_t seal_ns = r->held_ns + r->options.seal_interval_ns;
    return seal_ns > now_ns && seal_ns < due_ns ? seal_ns : due_ns;
}
