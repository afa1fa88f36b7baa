/* samples: percentiles of the benchmarks. */
#include "cli/samples.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cli/cli.h"

void samples_init(struct samples *s, size_t capacity)
{
    ASSERT(capacity >= 2);
    *s = (struct samples){.capacity = capacity, .stride = 1};
    s->values = cli_take(capacity * sizeof(*s->values));
}

void samples_fini(struct samples *s)
{
    if (s->values != NULL) cli_put(s->values, s->capacity * sizeof(*s->values));
    *s = (struct samples){0};
}

void samples_clear(struct samples *s)
{
    s->count = 0;
    s->seen = 0;
    s->stride = 1;
    s->is_sorted = false;
}

/* Full: keep every other one, and from now on take half as many. */
static void thin_out(struct samples *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i += 2) {
        s->values[kept++] = s->values[i];
    }
    s->count = kept;
    s->stride *= 2;
}

void samples_add(struct samples *s, uint64_t value)
{
    ASSERT(!s->is_sorted);
    if (s->seen++ % s->stride != 0) return;
    if (s->count == s->capacity) thin_out(s);
    s->values[s->count++] = value;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t samples_percentile(struct samples *s, double percent)
{
    if (s->count == 0) return 0;
    if (!s->is_sorted) qsort(s->values, s->count, sizeof(*s->values), compare);
    s->is_sorted = true;
    size_t rank = (size_t)ceil(percent / 100 * (double)s->count);
    return s->values[rank == 0 ? 0 : rank - 1];
}
