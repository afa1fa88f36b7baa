/* bench_report: the figures of one benchmark, printed one line each as they come, or at the end as
 * one JSON object. Main thread only. */
#ifndef TIDEMARK_CLI_BENCH_REPORT_H
#define TIDEMARK_CLI_BENCH_REPORT_H

#include <stdio.h>

#include "base/types.h"

#define BENCH_FIGURES_MAX 48

struct bench_figure {
    const char *key; /* "commit_p99"; text that lives as long as the program */
    const char *unit;
    double value;
};

struct bench_report {
    FILE *to;
    bool is_json;
    const char *name; /* "retrieve" */
    struct bench_figure figures[BENCH_FIGURES_MAX];
    size_t count;
};

void bench_report_init(struct bench_report *r, const char *name, bool is_json, FILE *to);
/* label is for people; key and unit make the name in JSON, "commit_p99_us". */
void bench_report_add(struct bench_report *r, const char *key, const char *label, double value,
                      const char *unit);
/* Only for people. */
void bench_report_note(struct bench_report *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* JSON is printed now. */
void bench_report_end(struct bench_report *r);

#endif
