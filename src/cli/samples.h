/* samples: times of one kind, for percentiles. Bounded: beyond its capacity every k-th is kept. */
#ifndef TIDEMARK_CLI_SAMPLES_H
#define TIDEMARK_CLI_SAMPLES_H

#include "base/types.h"

struct samples {
    uint64_t *values;
    size_t count;
    size_t capacity;
    uint64_t stride; /* one of so many is kept */
    uint64_t seen;
    bool is_sorted;
};

void samples_init(struct samples *s, size_t capacity);
void samples_fini(struct samples *s); /* harmless on zeroed memory */
void samples_clear(struct samples *s);
void samples_add(struct samples *s, uint64_t value);
/* percent 0..100, nearest rank; 0 when there are none. Sorts: add nothing afterwards. */
uint64_t samples_percentile(struct samples *s, double percent);

#endif
