/* lag: the tables behind the bounds. Whatever is joined or dropped here makes a bound larger. */
#include "core/lag.h"

#include <math.h>

#include "base/assert.h"
#include "base/planted.h"

void lag_times_init(struct lag_times *t, seqno durable)
{
    memset(t, 0, sizeof(*t));
    t->base = t->through = durable;
}

/* Make room for one entry: join the two neighbours whose join adds the least relative error to the
 * age of the younger one. The joined entry keeps the earlier time, so ages only grow. */
static void join_two(struct lag_times *t, uint64_t now_ns)
{
    ASSERT(t->count >= 2);
    uint32_t best = 0;
    double best_error = (double)INFINITY;
    for (uint32_t i = 0; i + 1 < t->count; i++) {
        double added_ns = (double)(t->times[i + 1].since_ns - t->times[i].since_ns);
        double age_ns = (double)(now_ns - t->times[i + 1].since_ns) + (double)LAG_STAMP_NS;
        if (added_ns / age_ns < best_error) {
            best_error = added_ns / age_ns;
            best = i;
        }
    }
    t->times[best].through = t->times[best + 1].through;
    memmove(&t->times[best + 1], &t->times[best + 2], (t->count - best - 2) * sizeof(t->times[0]));
    t->count--;
}

void lag_times_add(struct lag_times *t, seqno durable, uint64_t now_ns)
{
    ASSERT(durable.v >= t->through.v);
    if (durable.v == t->through.v) return;
    t->through = durable;
    if (t->count > 0) {
        struct lag_time *newest = &t->times[t->count - 1];
        ASSERT(now_ns >= newest->since_ns);
        if (now_ns - newest->since_ns < LAG_STAMP_NS) {
            newest->through = durable;
            return;
        }
    }
    if (t->count == LAG_TIMES_MAX) join_two(t, now_ns);
    t->times[t->count++] = (struct lag_time){.through = durable, .since_ns = now_ns};
}

enum lag_missing lag_times_missing(const struct lag_times *t, seqno applied, uint64_t *out_since_ns)
{
    if (applied.v >= t->through.v) return LAG_NOTHING_MISSING;
    if (applied.v < t->base.v) return LAG_MISSING_UNKNOWN;
    uint32_t low = 0; /* first entry that covers applied + 1 */
    uint32_t high = t->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->times[middle].through.v <= applied.v) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    ASSERT(low < t->count);
    *out_since_ns = t->times[low].since_ns;
    return LAG_MISSING_SINCE;
}

uint64_t lag_probe_next(struct lag_probes *p, uint64_t now_ns)
{
    if (p->newest > 0 && now_ns - p->sent_ns[p->newest % LAG_PROBES_MAX] < LAG_PROBE_NS) {
        return p->newest;
    }
    p->newest++;
    p->sent_ns[p->newest % LAG_PROBES_MAX] = now_ns;
    return p->newest;
}

bool lag_probe_sent(const struct lag_probes *p, uint64_t id, uint64_t *out_sent_ns)
{
    if (id == 0 || id > p->newest || p->newest - id >= LAG_PROBES_MAX) return false;
    *out_sent_ns = p->sent_ns[id % LAG_PROBES_MAX];
    return true;
}

void lag_peer_join(struct lag_peer *p, seqno applied)
{
    if (p->is_known && applied.v < p->applied.v) p->is_answered = false;
    p->is_connected = true;
    p->is_known = true;
    p->applied = applied;
}

void lag_peer_leave(struct lag_peer *p)
{
    p->is_connected = false;
}

void lag_peer_ack(struct lag_peer *p, uint64_t echo_probe, seqno applied)
{
    uint64_t sent_ns = 0;
    if (lag_probe_sent(&p->probes, echo_probe, &sent_ns) &&
        (!p->is_answered || sent_ns > p->answered_ns)) {
        p->is_answered = true;
        p->answered_ns = sent_ns;
    }
    ASSERT(!p->is_known || applied.v >= p->applied.v);
    p->is_known = true;
    p->applied = applied;
}

static double seconds_of(uint64_t age_ns)
{
    return (double)age_ns / (double)NS_PER_S;
}

double lag_peer_seconds(const struct lag_peer *p, const struct lag_times *t, uint64_t now_ns,
                        uint64_t silent_ns)
{
    if (!p->is_known) return (double)INFINITY;
    uint64_t since_ns = 0;
    enum lag_missing missing = lag_times_missing(t, p->applied, &since_ns);
    if (PLANTED(17) && !p->is_connected) return 0; /* who is away is not behind */
    if (missing == LAG_MISSING_UNKNOWN) return (double)INFINITY;
    if (!p->is_answered) return (double)INFINITY;
    uint64_t silence_ns = now_ns - p->answered_ns;
    if (missing == LAG_NOTHING_MISSING) return seconds_of(silence_ns);
    bool is_silent = !p->is_connected || silence_ns >= silent_ns;
    if (is_silent && p->answered_ns < since_ns) return seconds_of(silence_ns);
    return seconds_of(now_ns - since_ns);
}

/* Echoes that are applied prove; the newest of them counts. */
void lag_self_applied(struct lag_self *l, seqno applied)
{
    uint32_t proved = 0;
    while (proved < l->count && l->echoes[proved].durable.v <= applied.v) {
        proved++;
    }
    if (proved == 0) return;
    uint64_t sent_ns = 0; /* upstream ages differ: the newest echo need not prove most */
    for (uint32_t i = 0; i < proved; i++) {
        if (l->echoes[i].sent_ns > sent_ns) sent_ns = l->echoes[i].sent_ns;
    }
    if (!l->was_synced || sent_ns > l->proved_ns) l->proved_ns = sent_ns;
    l->was_synced = true;
    memmove(&l->echoes[0], &l->echoes[proved], (l->count - proved) * sizeof(l->echoes[0]));
    l->count -= proved;
}

void lag_self_echo(struct lag_self *l, uint64_t probe, seqno durable, uint64_t upstream_ns,
                   seqno applied)
{
    if (PLANTED(32)) durable = applied; /* an answer proves that nothing is missing */
    uint64_t sent_ns = 0;
    if (probe <= l->echoed || !lag_probe_sent(&l->probes, probe, &sent_ns)) return;
    l->echoed = probe;
    if (upstream_ns > sent_ns) return; /* proves nothing since this clock began */
    sent_ns -= upstream_ns;
    if (l->count == LAG_PROBES_MAX) {
        /* Far behind: thin out, every second echo is enough to make progress visible. */
        for (uint32_t i = 0; i < LAG_PROBES_MAX / 2; i++) {
            l->echoes[i] = l->echoes[2 * i + 1];
        }
        l->count = LAG_PROBES_MAX / 2;
    }
    /* A restarted leader may know less to be durable than an older echo said; each echo stands for
     * itself, but the table must ascend: what an older, higher one proves, this one proves too. */
    while (l->count > 0 && l->echoes[l->count - 1].durable.v > durable.v) {
        l->count--;
    }
    l->echoes[l->count++] = (struct lag_echo){.sent_ns = sent_ns, .durable = durable};
    lag_self_applied(l, applied);
}

uint64_t lag_self_ns(const struct lag_self *l, uint64_t now_ns)
{
    if (!l->was_synced) return LAG_NEVER;
    ASSERT(now_ns >= l->proved_ns);
    return now_ns - l->proved_ns;
}

double lag_self_seconds(const struct lag_self *l, uint64_t now_ns)
{
    uint64_t bound_ns = lag_self_ns(l, now_ns);
    return bound_ns == LAG_NEVER ? (double)INFINITY : seconds_of(bound_ns);
}
