/* growth: how fast a counter grows, as a smoothed rate: what happened GROWTH_MEMORY_NS ago counts a
 * third of what happens now. For estimates ("full in 90 s"), never for state. Never goes below 0: a
 * counter that goes down stood still. */
#ifndef TIDEMARK_CORE_GROWTH_H
#define TIDEMARK_CORE_GROWTH_H

#include "base/types.h"

#define GROWTH_MEMORY_NS (10 * NS_PER_S)
#define GROWTH_STEP_NS   (200 * NS_PER_MS) /* notes that follow sooner are added up */

struct growth {
    bool is_begun;
    uint64_t since_ns;
    uint64_t value;
    double per_s;
};

static inline void growth_note(struct growth *g, uint64_t now_ns, uint64_t value)
{
    if (!g->is_begun || now_ns < g->since_ns) {
        *g = (struct growth){
            .is_begun = true, .since_ns = now_ns, .value = value, .per_s = g->per_s};
        return;
    }
    uint64_t passed_ns = now_ns - g->since_ns;
    if (passed_ns < GROWTH_STEP_NS) return;
    double passed_s = (double)passed_ns / (double)NS_PER_S;
    double memory_s = (double)GROWTH_MEMORY_NS / (double)NS_PER_S;
    double sample = value > g->value ? (double)(value - g->value) / passed_s : 0;
    g->per_s += (sample - g->per_s) * (passed_s / (passed_s + memory_s));
    g->since_ns = now_ns;
    g->value = value;
}

#endif
