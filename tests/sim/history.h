/* history: one simulated story from a seed: nodes come up, clients work, things go wrong; then the
 * faults end, everything must converge, every answer and every copy is compared with the model, and
 * once more after all machines lost power.
 */
#ifndef TIDEMARK_TESTS_SIM_HISTORY_H
#define TIDEMARK_TESTS_SIM_HISTORY_H

#include "sim/cluster.h"

struct history_options {
    uint64_t allowed_faults; /* bits of enum fault */
    uint64_t events_min;     /* chaos lasts at least so long; 0: the plan's */
    uint64_t events_max;     /* ... and ends then; 0: when the plan says */
    uint32_t node_max;       /* fewer nodes than drawn; 0: as drawn */
    uint32_t client_max;     /* the same */
    bool is_tracing;
    bool is_trace_dense;
};

struct history_result {
    const char *failed_check; /* NULL: all laws held */
    char failure[WORLD_FAILURE_SIZE];
    uint64_t seed;
    uint64_t ended_ns;
    uint64_t trace_hash;
    struct coverage coverage;
};

void history_run(uint64_t seed, const struct history_options *options, struct history_result *out);

/* End a story: fill the result, end all lives, free everything of the cluster. */
void history_finish(struct cluster *c, struct history_result *out);

/* What a crash handler may say about the story that is being told. */
struct history_now {
    uint64_t seed;
    const uint64_t *now_ns;
};
extern struct history_now history_now;

#endif
