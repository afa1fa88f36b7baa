/* bench append: what one durable write costs over the raw floor, what sharing a sync gives, and
 * whether the cost stays the same while the log grows. Floor and writes take turns in one run, so
 * that a change of the disk's mood meets both.
 */
#include <stdio.h>

#include "base/text.h"
#include "cli/bench.h"
#include "cli/nodes.h"

#define ROUNDS             40
#define ROUND_WRITES       50
#define WARM_UP            200
#define OUTSTANDING        64
#define OUTSTANDING_WRITES 200000
#define EDGE_RECORDS       100000
#define MOOD_WRITES        100

struct append {
    const char *verb;
    char dir[HOST_PATH_SIZE];
    char data[HOST_PATH_SIZE];
    tide_db *db;
    struct tide_open_report report;
    struct floor floor;
    struct samples writes;
    uint64_t next; /* number of the next record's item */
    uint64_t one_writer_ns;
    uint64_t one_writer_count;
};

static enum code write_one(struct append *a, struct err *e)
{
    char name[32];
    struct tide_err why;
    struct tide_signal signal = bench_signal(a->next++, name);
    if (tide_signal(a->db, &signal, NULL, &why) == TIDE_OK) return OK;
    return err_fill(e, (enum code)why.code, why.origin, "%s", why.message);
}

/* Write n records one after the other, each timed when samples are wanted. */
static enum code write_each(struct append *a, size_t n, bool is_sampled, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t started = host_mono_ns();
        TRY(write_one(a, e));
        uint64_t took = host_mono_ns() - started;
        if (!is_sampled) continue;
        samples_add(&a->writes, took);
        a->one_writer_ns += took;
        a->one_writer_count++;
    }
    return OK;
}

static enum code take_turns(struct append *a, struct err *e)
{
    TRY(floor_settle(&a->floor, e));
    TRY(write_each(a, WARM_UP, false, e));
    for (int round = 0; round < ROUNDS; round++) {
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        TRY(floor_run(&a->floor, ROUND_WRITES, e));
        TRY(write_each(a, ROUND_WRITES, true, e));
    }
    return OK;
}

static void report_floor(struct append *a)
{
    char texts[2][CLI_COUNT_SIZE];
    uint64_t floor = samples_percentile(&a->floor.samples, 50);
    printf("raw floor        write + fdatasync of %d B:        p50 %7s  p99 %7s\n",
           BENCH_FLOOR_SIZE, bench_time(floor, texts[0]),
           bench_time(samples_percentile(&a->floor.samples, 99), texts[1]));
}

static void report_writes(struct append *a)
{
    char texts[2][CLI_COUNT_SIZE];
    uint64_t floor = samples_percentile(&a->floor.samples, 50);
    uint64_t median = samples_percentile(&a->writes, 50);
    printf("one writer       tide_signal, waits for its sync: p50 %7s  p99 %7s  %.2f x floor\n",
           bench_time(median, texts[0]), bench_time(samples_percentile(&a->writes, 99), texts[1]),
           floor > 0 ? (double)median / (double)floor : 0);
}

/* Many writes at once share syncs. */
static enum code share(struct append *a, struct err *e)
{
    char texts[2][CLI_COUNT_SIZE];
    struct bench_load load = {
        .first = a->next, .count = OUTSTANDING_WRITES, .runs = OUTSTANDING, .run_size = 1};
    uint64_t started = host_mono_ns();
    TRY(bench_fill(a->db, &load, e));
    uint64_t took = host_mono_ns() - started;
    a->next += load.count;
    double one = (double)a->one_writer_count / (double)a->one_writer_ns;
    double many = (double)load.count / (double)took;
    printf("%d outstanding   %s writes/s; one writer %s/s: %.1f x\n", OUTSTANDING,
           bench_rate(load.count, took, texts[0]),
           bench_rate(a->one_writer_count, a->one_writer_ns, texts[1]), many / one);
    return OK;
}

static enum code timed_fill(struct append *a, uint64_t count, uint64_t *out_ns, struct err *e)
{
    struct bench_load load = {
        .first = a->next, .count = count, .runs = BENCH_BULK_RUNS, .run_size = BENCH_BULK_RUN_SIZE};
    uint64_t started = host_mono_ns();
    TRY(bench_fill(a->db, &load, e));
    *out_ns = host_mono_ns() - started;
    a->next += count;
    return OK;
}

/* The floor's median of the moment: the disk's mood at one end of the log. */
static enum code mood(struct append *a, uint64_t *out_ns, struct err *e)
{
    samples_clear(&a->floor.samples);
    TRY(floor_run(&a->floor, MOOD_WRITES, e));
    *out_ns = samples_percentile(&a->floor.samples, 50);
    return OK;
}

/* The first and the last records of a log that grows to `records`. A disk that became slow in
 * between says nothing about the log. */
static enum code grow(struct append *a, uint64_t records, int *out_status, struct err *e)
{
    char texts[6][CLI_COUNT_SIZE];
    uint64_t first_ns = 0;
    uint64_t middle_ns = 0;
    uint64_t last_ns = 0;
    uint64_t moods[2] = {0};
    uint64_t edge = records / 2 < EDGE_RECORDS ? records / 2 : EDGE_RECORDS;
    TRY(mood(a, &moods[0], e));
    TRY(timed_fill(a, edge, &first_ns, e));
    if (records > 2 * edge) TRY(timed_fill(a, records - 2 * edge, &middle_ns, e));
    TRY(timed_fill(a, edge, &last_ns, e));
    TRY(mood(a, &moods[1], e));
    printf("growth           %s records: first %s at %s/s (floor %s), last at %s/s (floor %s)\n",
           cli_count(records, texts[0]), cli_count(edge, texts[1]),
           bench_rate(edge, first_ns, texts[2]), bench_time(moods[0], texts[3]),
           bench_rate(edge, last_ns, texts[4]), bench_time(moods[1], texts[5]));
    printf("                 all of them: %s records/s, durable and visible\n",
           bench_rate(records, first_ns + middle_ns + last_ns, texts[0]));
    *out_status = floor_judge(&a->floor, a->verb);
    if (*out_status != CLI_DONE) return OK;
    printf("flatness         last over first: ratio %.2f\n", (double)first_ns / (double)last_ns);
    return OK;
}

static enum code open_all(struct append *a, const char *parent, struct err *e)
{
    TRY(host_make_temp_dir(parent, "tidemark-bench", a->dir, e));
    struct text t = text_of(a->data, sizeof(a->data));
    text_add(&t, "%s/data", a->dir);
    TRY(floor_open(&a->floor, a->dir, e));
    TRY(bench_open(a->data, &a->db, &a->report, e));
    printf("in %s (%s)\n", a->dir, a->report.backend);
    return OK;
}

static enum code measure(struct append *a, const char *parent, uint64_t records, int *out_status,
                         struct err *e)
{
    TRY(open_all(a, parent, e));
    TRY(take_turns(a, e));
    report_floor(a);
    *out_status = floor_judge(&a->floor, a->verb);
    if (*out_status != CLI_DONE) return OK;
    report_writes(a);
    TRY(share(a, e));
    return grow(a, records, out_status, e);
}

int bench_append(const struct cli_args *args)
{
    static struct append append;
    struct append *a = &append;
    struct err e;
    int status = CLI_DONE;
    uint64_t records = 10000000;
    if (!cli_u64(args->verb, "records", args->values[BENCH_APPEND_RECORDS], 2, UINT32_MAX,
                 &records)) {
        return CLI_USAGE;
    }
    *a = (struct append){.verb = args->verb, .floor.fd = -1};
    samples_init(&a->writes, (size_t)ROUNDS * ROUND_WRITES);
    host_catch_interrupts();
    enum code code = measure(a, args->values[BENCH_APPEND_DIR], records, &status, &e);
    if (code != OK) status = cli_failure(args->verb, &e);
    bench_close(a->db);
    floor_close(&a->floor);
    samples_fini(&a->writes);
    if (a->dir[0] != '\0' && host_remove_tree(a->dir, &e) != OK) {
        status = cli_failure(args->verb, &e);
    }
    return status;
}
