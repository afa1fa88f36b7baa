/* coverage: adding up and printing the counters of one or many histories. */
#include "sim/coverage.h"

#include <inttypes.h>
#include <stdio.h>

void coverage_add(struct coverage *sum, const struct coverage *more)
{
#define X(field, words) sum->field += more->field;
    COVERAGE_TABLE(X)
#undef X
}

static const char *const words[] = {
#define X(field, words) words,
    COVERAGE_TABLE(X)
#undef X
};

static void take_values(const struct coverage *c, uint64_t values[COUNT_OF(words)])
{
    const uint64_t taken[] = {
#define X(field, words) c->field,
        COVERAGE_TABLE(X)
#undef X
    };
    memcpy(values, taken, sizeof(taken));
}

bool coverage_is_whole(const struct coverage *c)
{
    uint64_t values[COUNT_OF(words)];
    uint32_t missing = 0;
    take_values(c, values);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (values[i] == 0)
            printf("%s %s", missing++ == 0 ? "sim FAILED never tried:" : ",", words[i]);
    }
    if (missing > 0) printf("\n");
    return missing == 0;
}

void coverage_print(const struct coverage *c)
{
    uint64_t values[COUNT_OF(words)];
    take_values(c, values);
    printf("sim coverage:");
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        if (values[i] != 0) printf(" %" PRIu64 " %s;", values[i], words[i]);
    }
    printf("\nsim never:");
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        if (values[i] == 0) printf(" %s;", words[i]);
    }
    printf("\n");
}
