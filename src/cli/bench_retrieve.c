/* bench retrieve: a page of the best items of a million, by one decayed column and by profiles of
 * several terms, beside a scan of memory; and whether commits wait when such pages are asked for
 * without pause, in phases that take turns, so that both see the same disk.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/bench.h"
#include "cli/bench_report.h"
#include "env/thread.h"

enum { PAGE = 50, PHASES = 6 };
#define SAMPLES_MAX 1000000

struct retrieve {
    const char *verb;
    struct bench_report report;
    struct bench_place place;
    struct floor floor;
    uint64_t items;
    uint64_t phase_ms;
    double scan_ns; /* floor: one number per item */

    /* The scanning thread asks for pages while is_scanning; relaxed: flags and a counter. */
    _Atomic bool is_scanning;
    _Atomic bool is_over;
    _Atomic uint64_t scan_count;
};

static struct tide_bytes text_bytes(const char *text)
{
    return (struct tide_bytes){text, strlen(text)};
}

/* One page; the run is reused. */
static enum tide_code ask_page(tide_db *db, tide_run *run, const char *profile)
{
    struct tide_retrieve request = {.profile = text_bytes(profile), .limit = PAGE};
    tide_run_reset(run);
    if (tide_run_retrieve(run, &request) < 0) return TIDE_NOMEMORY;
    enum tide_code code = tide_execute(db, run);
    return code != TIDE_OK ? code : tide_run_result(run, 0)->code;
}

struct profile_figures {
    const char *profile;
    const char *keys[3]; /* p50, p99, ratio */
    const char *labels[3];
    uint32_t rounds;
    double columns; /* numbers per item that it looks at */
};

static enum code measure_profile(struct retrieve *r, tide_run *run,
                                 const struct profile_figures *figures, struct err *e)
{
    struct samples samples;
    samples_init(&samples, figures->rounds);
    enum code code = OK;
    for (uint32_t i = 0; i < figures->rounds + 3 && code == OK; i++) {
        uint64_t started = host_mono_ns();
        enum tide_code outcome = ask_page(r->place.db, run, figures->profile);
        uint64_t took = host_mono_ns() - started;
        if (i >= 3) samples_add(&samples, took); /* the first ones warm up */
        if (outcome != TIDE_OK) {
            code = ERR(e, (enum code)outcome, "RETRIEVE %s failed", figures->profile);
        } else if (host_is_interrupted()) {
            code = ERR(e, E_CLOSED, "interrupted");
        }
    }
    double p50_us = (double)samples_percentile(&samples, 50) / 1e3;
    double p99_us = (double)samples_percentile(&samples, 99) / 1e3;
    samples_fini(&samples);
    if (code != OK) return code;
    double floor_us = r->scan_ns * figures->columns / 1e3;
    bench_report_add(&r->report, figures->keys[0], figures->labels[0], p50_us, "us");
    bench_report_add(&r->report, figures->keys[1], figures->labels[1], p99_us, "us");
    bench_report_add(&r->report, figures->keys[2], figures->labels[2], p50_us / floor_us, "x");
    return OK;
}

static enum code measure_profiles(struct retrieve *r, tide_run *run, struct err *e)
{
    static const struct profile_figures all[] = {
        {"decayed:view",
         {"decayed_p50", "decayed_p99", "decayed_scan"},
         {"top 50 by one decayed column, p50", "top 50 by one decayed column, p99",
          "  p50 against a scan of one number per item"},
         1000,
         1},
        {"hot",
         {"hot_p50", "hot_p99", "hot_scan"},
         {"top 50 of hot (counts of three types and age), p50",
          "top 50 of hot (counts of three types and age), p99",
          "  p50 against a scan of four numbers per item"},
         50,
         4},
        {"trending",
         {"trending_p50", "trending_p99", "trending_scan"},
         {"top 50 of trending (windows of three types), p50",
          "top 50 of trending (windows of three types), p99",
          "  p50 against a scan of six numbers per item"},
         50,
         6},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        TRY(measure_profile(r, run, &all[i], e));
    }
    return OK;
}

/* --- commits beside scans --- */

static void scan(void *arg)
{
    struct retrieve *r = arg;
    tide_run *run = tide_run_new();
    while (run != NULL && !atomic_load_explicit(&r->is_over, memory_order_relaxed)) {
        if (!atomic_load_explicit(&r->is_scanning, memory_order_relaxed)) {
            host_sleep_ms(1);
        } else if (ask_page(r->place.db, run, "hot") == TIDE_OK) {
            atomic_fetch_add_explicit(&r->scan_count, 1, memory_order_relaxed);
        }
    }
    tide_run_free(run);
}

/* One signal at a time, each waited for. */
static enum code commit_for(struct retrieve *r, struct samples *samples, struct err *e)
{
    char name[32];
    uint64_t end_ns = host_mono_ns() + r->phase_ms * NS_PER_MS;
    for (uint64_t n = 0; host_mono_ns() < end_ns; n++) {
        struct tide_signal signal = bench_item(n * 7919 % r->items, 0, name);
        struct tide_err why;
        struct tide_position at;
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        uint64_t started = host_mono_ns();
        if (tide_signal(r->place.db, &signal, &at, &why) != TIDE_OK) {
            return err_fill(e, (enum code)why.code, why.origin, "%s", why.message);
        }
        samples_add(samples, host_mono_ns() - started);
    }
    return OK;
}

static enum code run_phases(struct retrieve *r, struct samples *alone, struct samples *beside,
                            struct err *e)
{
    for (int i = 0; i < 2 * PHASES; i++) {
        bool is_scanning = i % 2 == 1;
        atomic_store_explicit(&r->is_scanning, is_scanning, memory_order_relaxed);
        host_sleep_ms(20); /* the last page of the phase before */
        TRY(floor_run(&r->floor, 50, e));
        TRY(commit_for(r, is_scanning ? beside : alone, e));
    }
    return OK;
}

static void report_commits(struct retrieve *r, struct samples *alone, struct samples *beside)
{
    double scans = (double)atomic_load_explicit(&r->scan_count, memory_order_relaxed);
    double p50[2] = {(double)samples_percentile(alone, 50), (double)samples_percentile(beside, 50)};
    double p99[2] = {(double)samples_percentile(alone, 99), (double)samples_percentile(beside, 99)};
    double floor_ns = (double)samples_percentile(&r->floor.samples, 50);
    struct bench_report *to = &r->report;
    bench_report_add(to, "floor_sync_p50", "floor: write and fdatasync, p50", floor_ns / 1e3, "us");
    bench_report_add(to, "commit_p50", "commit alone, p50", p50[0] / 1e3, "us");
    bench_report_add(to, "commit_p99", "commit alone, p99", p99[0] / 1e3, "us");
    bench_report_add(to, "commit_scanned_p50", "commit beside scans without pause, p50",
                     p50[1] / 1e3, "us");
    bench_report_add(to, "commit_scanned_p99", "commit beside scans without pause, p99",
                     p99[1] / 1e3, "us");
    bench_report_add(to, "scans", "pages of hot meanwhile",
                     scans * 1e3 / ((double)r->phase_ms * PHASES), "/s");
    bench_report_add(to, "commit_p99_scanned", "commit p99 beside scans against alone",
                     p99[1] / p99[0], "x");
}

static enum code measure_commits(struct retrieve *r, int *out_status, struct err *e)
{
    struct env_thread *thread = NULL;
    struct samples alone;
    struct samples beside;
    TRY(floor_open(&r->floor, r->place.dir, e));
    TRY(floor_settle(&r->floor, e));
    TRY(floor_run(&r->floor, 200, e));
    TRY(env_thread_start("bench-scan", scan, r, &thread, e));
    samples_init(&alone, SAMPLES_MAX);
    samples_init(&beside, SAMPLES_MAX);
    enum code code = run_phases(r, &alone, &beside, e);
    atomic_store_explicit(&r->is_over, true, memory_order_relaxed);
    env_thread_join(thread);
    if (code == OK) {
        *out_status = floor_judge(&r->floor, r->verb);
        if (*out_status == CLI_DONE) report_commits(r, &alone, &beside);
    }
    samples_fini(&alone);
    samples_fini(&beside);
    return code;
}

/* Views of all items, shares and skips of some. */
static enum code fill(struct retrieve *r, struct err *e)
{
    for (uint32_t type = 0; type < BENCH_TYPES; type++) {
        struct bench_load load = {.count = r->items / (1 + (uint64_t)type),
                                  .items = r->items,
                                  .type = type,
                                  .runs = BENCH_BULK_RUNS,
                                  .run_size = BENCH_BULK_RUN_SIZE};
        TRY(bench_fill(r->place.db, &load, e));
    }
    return OK;
}

static enum code measure(struct retrieve *r, int *out_status, struct err *e)
{
    bench_report_note(&r->report,
                      "%llu items with views, half of them with shares, a third with "
                      "skips\n",
                      (unsigned long long)r->items);
    TRY(fill(r, e));
    r->scan_ns = bench_scan_memory(r->items);
    bench_report_add(&r->report, "floor_scan", "floor: a scan of one number per item",
                     r->scan_ns / 1e3, "us");
    tide_run *run = tide_run_new();
    if (run == NULL) return ERR(e, E_NOMEMORY, "no memory for a run");
    enum code code = measure_profiles(r, run, e);
    tide_run_free(run);
    return code != OK ? code : measure_commits(r, out_status, e);
}

int bench_retrieve(const struct cli_args *args)
{
    static struct retrieve retrieve;
    struct retrieve *r = &retrieve;
    struct err e;
    *r = (struct retrieve){.verb = args->verb, .items = 1000000, .phase_ms = 1000, .floor.fd = -1};
    if (!cli_u64(args->verb, "items", args->values[BENCH_RETRIEVE_ITEMS], 1000, 100000000,
                 &r->items) ||
        !cli_u64(args->verb, "phase-ms", args->values[BENCH_RETRIEVE_PHASE_MS], 10, 600000,
                 &r->phase_ms)) {
        return CLI_USAGE;
    }
    bench_report_init(&r->report, "retrieve", args->values[BENCH_RETRIEVE_JSON] != NULL, stdout);
    host_catch_interrupts();
    int status = CLI_DONE;
    enum code code = bench_place_open(&r->place, args->values[BENCH_RETRIEVE_DIR], &e);
    if (code == OK) code = measure(r, &status, &e);
    if (code == OK) bench_report_end(&r->report);
    if (code != OK) status = cli_failure(args->verb, &e);
    floor_close(&r->floor);
    if (bench_place_close(&r->place, &e) != OK) status = cli_failure(args->verb, &e);
    return status;
}
