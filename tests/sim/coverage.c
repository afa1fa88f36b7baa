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

void coverage_print(const struct coverage *c)
{
    static const char *const words[] = {
#define X(field, words) words,
        COVERAGE_TABLE(X)
#undef X
    };
    const uint64_t values[] = {
#define X(field, words) c->field,
        COVERAGE_TABLE(X)
#undef X
    };
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
