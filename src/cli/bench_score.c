/* bench score: what a SCORE costs through the library, in runs of many and one at a time, beside
 * what reading memory costs on this machine: a cache line at a random place, and a scan. The disk
 * is not part of it.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/bench_report.h"

enum { RUN_SIZE = 1000, ROUNDS = 9, SINGLE_READS = 20000 };
#define LINE_SIZE 64

struct score {
    struct bench_report report;
    struct bench_place place;
    struct random random;
    uint64_t items;
    struct samples samples;
    char names[RUN_SIZE][32];
};

/* Nanoseconds for one of `reads` scores in runs of RUN_SIZE. */
static enum code time_runs(struct score *s, tide_run *run, uint64_t reads, double *out_ns,
                           struct err *e)
{
    uint64_t spent_ns = 0;
    for (uint64_t done = 0; done < reads; done += RUN_SIZE) {
        tide_run_reset(run);
        for (uint32_t i = 0; i < RUN_SIZE; i++) {
            struct tide_signal signal =
                bench_item(random_below(&s->random, s->items), 0, s->names[i]);
            if (tide_run_score(run, signal.type, signal.item, 0) < 0) {
                return ERR(e, E_NOMEMORY, "no memory for a run");
            }
        }
        uint64_t started = host_mono_ns();
        enum tide_code code = tide_execute(s->place.db, run);
        spent_ns += host_mono_ns() - started;
        if (code != TIDE_OK) return ERR(e, (enum code)code, "the database takes no runs");
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
    }
    *out_ns = (double)spent_ns / (double)reads;
    return OK;
}

/* One call and its answer at a time: two changes of thread each. */
static enum code time_single(struct score *s, struct err *e)
{
    samples_clear(&s->samples);
    for (uint32_t i = 0; i < SINGLE_READS; i++) {
        struct tide_signal signal = bench_item(random_below(&s->random, s->items), 0, s->names[0]);
        struct tide_err why;
        double score = 0;
        uint64_t started = host_mono_ns();
        if (tide_score(s->place.db, signal.type, signal.item, 0, &score, &why) != TIDE_OK) {
            return err_fill(e, (enum code)why.code, why.origin, "%s", why.message);
        }
        samples_add(&s->samples, host_mono_ns() - started);
    }
    bench_report_add(&s->report, "single_p50", "one waiting call, p50",
                     (double)samples_percentile(&s->samples, 50), "ns");
    bench_report_add(&s->report, "single_p99", "one waiting call, p99",
                     (double)samples_percentile(&s->samples, 99), "ns");
    return OK;
}

/* A line at a random place of as many lines as there are items, the place taken from the line
 * before, so that no two wait at once. */
static double time_lines(struct score *s)
{
    size_t size = s->items * LINE_SIZE;
    ASSERT(s->items > 0);
    uint64_t *lines = cli_take(size);
    const size_t step = LINE_SIZE / sizeof(*lines);
    for (uint64_t i = 0; i < s->items; i++) {
        lines[i * step] = random_below(&s->random, s->items);
    }
    uint64_t at = 0;
    const uint64_t reads = 1000000;
    uint64_t started = host_mono_ns();
    for (uint64_t i = 0; i < reads; i++) {
        at = lines[(at + i) % s->items * step];
    }
    double ns = (double)(host_mono_ns() - started) / (double)reads;
    if (at == UINT64_MAX) bench_report_note(&s->report, "\n"); /* keeps the loop */
    cli_put(lines, size);
    return ns;
}

static enum code measure(struct score *s, struct err *e)
{
    bench_report_note(&s->report, "%llu items, one signal each\n", (unsigned long long)s->items);
    struct bench_load load = {.count = s->items,
                              .items = s->items,
                              .runs = BENCH_BULK_RUNS,
                              .run_size = BENCH_BULK_RUN_SIZE};
    TRY(bench_fill(s->place.db, &load, e));
    tide_run *run = tide_run_new();
    if (run == NULL) return ERR(e, E_NOMEMORY, "no memory for a run");
    double best_ns = 0;
    double best_line_ns = 0;
    enum code code = OK;
    for (int i = 0; i < ROUNDS && code == OK; i++) { /* side by side: both see the same machine */
        double ns = 0;
        code = time_runs(s, run, 100000, &ns, e);
        double line_ns = time_lines(s);
        if (i == 0 || ns < best_ns) best_ns = ns;
        if (i == 0 || line_ns < best_line_ns) best_line_ns = line_ns;
    }
    tide_run_free(run);
    if (code != OK) return code;
    bench_report_add(&s->report, "score", "SCORE in runs of 1000", best_ns, "ns");
    bench_report_add(&s->report, "floor_line", "floor: a cache line at a random place",
                     best_line_ns, "ns");
    bench_report_add(&s->report, "score_floor", "SCORE against the floor", best_ns / best_line_ns,
                     "x");
    double scan_ns = bench_scan_memory(s->items);
    bench_report_add(&s->report, "floor_scan", "floor: a scan of one number per item",
                     scan_ns / 1e3, "us");
    return time_single(s, e);
}

int bench_score(const struct cli_args *args)
{
    static struct score score;
    struct score *s = &score;
    struct err e;
    *s = (struct score){.items = 1000000};
    if (!cli_u64(args->verb, "items", args->values[BENCH_SCORE_ITEMS], 1000, 100000000,
                 &s->items)) {
        return CLI_USAGE;
    }
    bench_report_init(&s->report, "score", args->values[BENCH_SCORE_JSON] != NULL, stdout);
    random_init(&s->random, 1);
    samples_init(&s->samples, SINGLE_READS);
    host_catch_interrupts();
    int status = CLI_DONE;
    enum code code = bench_place_open(&s->place, args->values[BENCH_SCORE_DIR], &e);
    if (code == OK) code = measure(s, &e);
    if (code == OK) bench_report_end(&s->report);
    if (code != OK) status = cli_failure(args->verb, &e);
    if (bench_place_close(&s->place, &e) != OK) status = cli_failure(args->verb, &e);
    samples_fini(&s->samples);
    return status;
}
