/* play: letting time pass in a script. */
#include "sim/play.h"

#include "sim/checks.h"
#include "sim/client.h"

#define SETTLE_MAX_NS (120 * NS_PER_S)
#define PLAY_TICK_NS  (50 * NS_PER_MS)

void play_until(struct cluster *c, uint64_t until_ns)
{
    struct world *w = &c->world;
    while (w->failed_check == NULL && w->event_count > 0 && w->events[0].at_ns <= until_ns) {
        (void)world_step(w);
    }
    if (w->failed_check == NULL && w->now_ns < until_ns) w->now_ns = until_ns;
}

void play_for(struct cluster *c, uint64_t ns)
{
    uint64_t end_ns = c->world.now_ns + ns;
    while (c->world.failed_check == NULL && c->world.now_ns < end_ns) {
        play_until(c, c->world.now_ns + PLAY_TICK_NS);
        check_tick(c);
    }
}

void play_settle(struct cluster *c)
{
    char why[256] = "";
    uint64_t end_ns = c->world.now_ns + SETTLE_MAX_NS;
    c->is_quiet = true;
    while (c->world.failed_check == NULL && !check_is_converged(c, why, sizeof(why))) {
        play_for(c, PLAY_TICK_NS);
        if (c->world.now_ns >= end_ns) world_fail(&c->world, "liveness", "%s", why);
    }
}

void play_audit(struct cluster *c)
{
    for (uint32_t i = 0; i < c->node_count && c->world.failed_check == NULL; i++) {
        client_audit(c, i);
    }
    uint64_t end_ns = c->world.now_ns + SETTLE_MAX_NS;
    while (c->world.failed_check == NULL && client_audits_pending(c) > 0) {
        play_for(c, PLAY_TICK_NS);
        if (c->world.now_ns >= end_ns) world_fail(&c->world, "answered", "an audit has no answer");
    }
    model_check_claims(&c->model);
}
