/* ship: the step of the leader's link machine; judging an ack is most of it. */
#include "core/ship.h"

#include "base/assert.h"
#include "base/taken.h"

const char *ship_state_name(enum ship_state state)
{
    static const char *const names[] = {
#define X(constant, name) [constant] = name,
        SHIP_STATE_TABLE(X)
#undef X
    };
    ASSERT((size_t)state < COUNT_OF(names));
    return names[state];
}

bool ship_edge_is_allowed(enum ship_state from, enum ship_state to)
{
    static const bool edges[SHIP_STATE_COUNT][SHIP_STATE_COUNT] = {
        [SHIP_HANDSHAKING] = {[SHIP_PROVING] = true, [SHIP_ENDED] = true},
        [SHIP_PROVING] = {[SHIP_CATCHING_UP] = true, [SHIP_ENDED] = true},
        [SHIP_CATCHING_UP] = {[SHIP_STREAMING] = true, [SHIP_ENDED] = true},
        [SHIP_STREAMING] = {[SHIP_CATCHING_UP] = true, [SHIP_ENDED] = true},
    };
    ASSERT(from < SHIP_STATE_COUNT);
    ASSERT(to < SHIP_STATE_COUNT);
    return edges[from][to];
}

void ship_init(struct ship *s, const struct ship_options *options, uint64_t now_ns)
{
    ASSERT(options->heartbeat_ns > 0);
    ASSERT(options->heartbeat_ns < options->dead_ns);
    memset(s, 0, sizeof(*s));
    s->options = *options;
    s->state = SHIP_HANDSHAKING;
    s->heard_ns = now_ns;
    s->beat_due_ns = now_ns;
}

/* The one place where the state changes. */
static void enter(struct ship *s, enum ship_state next)
{
    if (s->state == next) return;
    ASSERT(ship_edge_is_allowed(s->state, next));
    TAKEN(TAKEN_SHIP, s->state, next);
    s->state = next;
}

static struct ship_end *end_at(struct ship *s, uint32_t i)
{
    ASSERT(i < s->ends_count);
    return &s->ends[(s->ends_first + i) % SHIP_ENDS_MAX];
}

/* The remembered end with this seqno; NULL when there is none. Ends ascend: binary search. */
static struct ship_end *end_find(struct ship *s, seqno wanted)
{
    uint32_t low = 0;
    uint32_t high = s->ends_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (end_at(s, middle)->seqno.v < wanted.v) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == s->ends_count || end_at(s, low)->seqno.v != wanted.v) return NULL;
    return end_at(s, low);
}

static enum code lie(struct ship *s, struct err *e, const char *what, seqno claimed, seqno bound)
{
    enter(s, SHIP_ENDED);
    return ERR(e, E_PROTOCOL, "the follower's ack %s: it says %llu, known is %llu", what,
               (unsigned long long)claimed.v, (unsigned long long)bound.v);
}

/* Does the claim name a batch that was sent here, or a position known before? */
static bool is_proved(struct ship *s, const struct position *claim, const struct position *known)
{
    if (claim->seqno.v == known->seqno.v) return hash256_equal(&claim->chain, &known->chain);
    const struct ship_end *end = end_find(s, claim->seqno);
    return end != NULL && hash256_equal(&claim->chain, &end->chain);
}

/* Numbers first: their order, that none goes back, and that none is beyond what was sent. */
static enum code judge_numbers(struct ship *s, const struct wire_ack *ack, struct err *e)
{
    if (ack->received.seqno.v > s->sent.seqno.v) {
        return lie(s, e, "is beyond what was sent", ack->received.seqno, s->sent.seqno);
    }
    if (ack->stored.seqno.v > ack->received.seqno.v) {
        return lie(s, e, "stores more than it received", ack->stored.seqno, ack->received.seqno);
    }
    if (ack->applied.seqno.v > ack->stored.seqno.v) {
        return lie(s, e, "applies more than it stored", ack->applied.seqno, ack->stored.seqno);
    }
    if (ack->received.seqno.v < s->received.seqno.v) {
        return lie(s, e, "goes back in received", ack->received.seqno, s->received.seqno);
    }
    if (ack->stored.seqno.v < s->stored.seqno.v) {
        return lie(s, e, "goes back in stored", ack->stored.seqno, s->stored.seqno);
    }
    if (ack->applied.seqno.v < s->applied.v) {
        return lie(s, e, "goes back in applied", ack->applied.seqno, s->applied);
    }
    return OK;
}

/* Forget the ends below `stored`; their bytes are no longer in flight. The end at `stored` stays
 * out of the ring too: s->stored remembers it. */
static void release_stored(struct ship *s)
{
    while (s->ends_count > 0 && end_at(s, 0)->seqno.v <= s->stored.seqno.v) {
        s->stored_bytes = end_at(s, 0)->total_bytes;
        s->ends_first = (s->ends_first + 1) % SHIP_ENDS_MAX;
        s->ends_count--;
    }
    ASSERT(s->stored_bytes <= s->sent_bytes);
}

static enum code take_ack(struct ship *s, const struct wire_ack *ack, struct ship_actions *out,
                          struct err *e)
{
    if (!ship_is_live(s)) return lie(s, e, "comes before a plan", ack->stored.seqno, s->sent.seqno);
    if (ack->epoch != s->epoch) {
        return lie(s, e, "is for another epoch", seqno_of(ack->epoch), seqno_of(s->epoch));
    }
    TRY(judge_numbers(s, ack, e));
    bool is_answer = s->beat_probe > 0 && ack->echo_probe >= s->beat_probe;
    if (is_answer && !ack->is_poisoned && ack->received.seqno.v < s->beat_sent.v) {
        return lie(s, e, "misses a frame that was lost", ack->received.seqno, s->beat_sent);
    }
    if (!is_proved(s, &ack->received, &s->received)) {
        return lie(s, e, "receives what was not sent", ack->received.seqno, s->received.seqno);
    }
    if (!is_proved(s, &ack->stored, &s->stored)) {
        return lie(s, e, "stores what was not sent", ack->stored.seqno, s->stored.seqno);
    }
    /* `applied` is at or below a proved position of the same log; its number is enough. */
    out->has_progress = ack->stored.seqno.v > s->stored.seqno.v ||
                        ack->applied.seqno.v > s->applied.v ||
                        (ack->is_poisoned != 0) != s->is_poisoned;
    s->received = ack->received;
    s->stored = ack->stored;
    s->applied = ack->applied.seqno;
    s->is_poisoned = ack->is_poisoned != 0;
    release_stored(s);
    return OK;
}

static void take_sent(struct ship *s, const struct ship_event *event)
{
    ASSERT(ship_is_live(s));
    ASSERT(ship_may_send(s, event->bytes));
    ASSERT(event->position.seqno.v > s->sent.seqno.v);
    s->sent = event->position;
    s->sent_bytes += event->bytes;
    s->ends_count++;
    *end_at(s, s->ends_count - 1) = (struct ship_end){
        .seqno = event->position.seqno,
        .chain = event->position.chain,
        .total_bytes = s->sent_bytes,
    };
}

/* Probes that are close in time share an id: what was sent before its first use counts. */
static void take_beat(struct ship *s, uint64_t probe)
{
    ASSERT(ship_is_live(s));
    ASSERT(probe >= s->beat_probe);
    if (probe == s->beat_probe) return;
    s->beat_probe = probe;
    s->beat_sent = s->sent.seqno;
}

static enum code take_hello(struct ship *s, const struct ship_event *event, struct err *e)
{
    if (s->state != SHIP_HANDSHAKING || event->session == 0) {
        enter(s, SHIP_ENDED);
        return ERR(e, E_PROTOCOL, "a hello must be the first frame and name a session");
    }
    s->session = event->session;
    s->epoch = event->epoch;
    enter(s, SHIP_PROVING);
    return OK;
}

static void take_plan(struct ship *s, const struct ship_event *event)
{
    ASSERT(s->state == SHIP_PROVING);
    ASSERT(event->applied.v <= event->position.seqno.v);
    s->from = s->sent = s->received = s->stored = event->position;
    s->applied = event->applied;
    s->beat_due_ns = event->now_ns; /* positions and a probe at once */
    enter(s, SHIP_CATCHING_UP);
}

static void tick(struct ship *s, uint64_t now_ns, struct ship_actions *out)
{
    if (s->state == SHIP_ENDED) return;
    if (now_ns - s->heard_ns >= s->options.dead_ns) {
        enter(s, SHIP_ENDED);
        out->is_dead = true;
        return;
    }
    if (!ship_is_live(s) || now_ns < s->beat_due_ns) return;
    s->beat_due_ns = now_ns + s->options.heartbeat_ns;
    out->is_heartbeat_due = true;
}

enum code ship_step(struct ship *s, const struct ship_event *event, struct ship_actions *out,
                    struct err *e)
{
    *out = (struct ship_actions){0};
    ASSERT(event->now_ns >= s->heard_ns);
    switch (event->kind) {
    case SHIP_EV_HELLO: s->heard_ns = event->now_ns; return take_hello(s, event, e);
    case SHIP_EV_PLANNED: take_plan(s, event); return OK;
    case SHIP_EV_SENT: take_sent(s, event); return OK;
    case SHIP_EV_TAIL: enter(s, SHIP_STREAMING); return OK;
    case SHIP_EV_COLD: enter(s, SHIP_CATCHING_UP); return OK;
    case SHIP_EV_BEAT: take_beat(s, event->probe); return OK;
    case SHIP_EV_HEARD: s->heard_ns = event->now_ns; return OK;
    case SHIP_EV_ACK:
        s->heard_ns = event->now_ns;
        if (event->session == s->session) return take_ack(s, event->ack, out, e);
        s->ignored_acks++;
        return OK;
    case SHIP_EV_TICK: tick(s, event->now_ns, out); return OK;
    case SHIP_EV_ENDED: enter(s, SHIP_ENDED); return OK;
    }
    UNREACHABLE();
}

void ship_set_credit(struct ship *s, uint64_t credit_bytes)
{
    ASSERT(credit_bytes > 0);
    s->options.credit_bytes = credit_bytes;
}

uint64_t ship_room_bytes(const struct ship *s)
{
    uint64_t flying_bytes = s->sent_bytes - s->stored_bytes;
    return flying_bytes < s->options.credit_bytes ? s->options.credit_bytes - flying_bytes : 0;
}

uint32_t ship_room_batches(const struct ship *s)
{
    return SHIP_ENDS_MAX - s->ends_count;
}

bool ship_may_send(const struct ship *s, uint64_t batch_bytes)
{
    if (!ship_is_live(s) || s->is_poisoned || ship_room_batches(s) == 0) return false;
    return s->ends_count == 0 || batch_bytes <= ship_room_bytes(s);
}

bool ship_is_suspect(const struct ship *s, uint64_t now_ns)
{
    return now_ns - s->heard_ns >= s->options.suspect_ns;
}

uint64_t ship_due_ns(const struct ship *s)
{
    uint64_t dead_ns = s->heard_ns + s->options.dead_ns;
    if (s->state == SHIP_ENDED) return UINT64_MAX;
    return ship_is_live(s) && s->beat_due_ns < dead_ns ? s->beat_due_ns : dead_ns;
}
