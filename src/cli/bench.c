/* bench: the verb, the raw floor, and filling a database. */
#include "cli/bench.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/text.h"
#include "cli/verbs.h"
#include "env/thread.h"

#define FLOOR_FILE_SIZE (16 * MIB)
#define FLOOR_SAMPLES   100000
#define SETTLE_NS       (60 * NS_PER_S)
#define SETTLE_WRITES   50
#define SETTLE_PAUSE_MS 500
#define ITEMS           10000u
#define CLOSE_MS        60000
#define NEVER_MS        (86400000) /* longest checkpoint interval there is: a day */

/* --- floor --- */

enum code floor_open(struct floor *f, const char *dir, struct err *e)
{
    char path[HOST_PATH_SIZE + 16];
    struct text t = text_of(path, sizeof(path));
    text_add(&t, "%s/floor", dir);
    *f = (struct floor){.fd = -1};
    samples_init(&f->samples, FLOOR_SAMPLES);
    return host_make_zeroed_file(path, FLOOR_FILE_SIZE, &f->fd, e);
}

void floor_close(struct floor *f)
{
    if (f->samples.values == NULL) return; /* never opened */
    host_close(f->fd);
    samples_fini(&f->samples);
}

enum code floor_run(struct floor *f, size_t n, struct err *e)
{
    static const uint8_t bytes[BENCH_FLOOR_SIZE] = {1};
    for (size_t i = 0; i < n; i++) {
        uint64_t started = host_mono_ns();
        TRY(host_write_sync(f->fd, f->offset, slice_of(bytes, sizeof(bytes)), e));
        samples_add(&f->samples, host_mono_ns() - started);
        f->offset = (f->offset + sizeof(bytes)) % FLOOR_FILE_SIZE;
    }
    return OK;
}

/* The disk may be in a bad mood for a minute after much was written: wait for the end of it. */
enum code floor_settle(struct floor *f, struct err *e)
{
    uint64_t deadline_ns = host_mono_ns() + SETTLE_NS;
    for (bool is_told = false;;) {
        TRY(floor_run(f, SETTLE_WRITES, e));
        if (samples_percentile(&f->samples, 50) <= BENCH_QUIET_NS) break;
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        if (host_mono_ns() > deadline_ns) break;
        if (!is_told) fprintf(stderr, "waiting at most a minute for the disk to become quiet\n");
        is_told = true;
        samples_clear(&f->samples);
        host_sleep_ms(SETTLE_PAUSE_MS);
    }
    samples_clear(&f->samples);
    return OK;
}

int floor_judge(struct floor *f, const char *verb)
{
    char time[CLI_COUNT_SIZE];
    uint64_t median = samples_percentile(&f->samples, 50);
    if (median <= BENCH_QUIET_NS) return CLI_DONE;
    cli_error(verb,
              "disk not quiet: a plain write and fdatasync takes %s (median), over 250 us; run it "
              "again later or with --dir on another disk",
              bench_time(median, time));
    return CLI_REFUSED;
}

/* --- database --- */

static enum code give(const struct tide_err *from, struct err *e)
{
    return err_fill(e, (enum code)from->code, from->origin, "%s", from->message);
}

enum code bench_open(const char *dir, tide_db **out, struct tide_open_report *report, struct err *e)
{
    struct tide_err why = {0};
    struct tide_options options = {
        .size = sizeof(options),
        .dir = dir,
        .checkpoint_interval_ms = NEVER_MS,
        .checkpoint_log_bytes = 1024 * GIB,
    };
    if (tide_open(&options, out, report, &why) != TIDE_OK) return give(&why, e);
    return OK;
}

void bench_close(tide_db *db)
{
    struct tide_err why;
    if (tide_close(db, CLOSE_MS, &why) != TIDE_OK) cli_error("tidemark bench", "%s", why.message);
}

struct tide_signal bench_signal(uint64_t n, char name[32])
{
    int size = snprintf(name, 32, "bench-item-%05u", (unsigned)(n % ITEMS));
    return (struct tide_signal){.type = {"view", 4}, .item = {name, (size_t)size}};
}

struct tide_signal bench_item(uint64_t n, uint32_t type, char name[32])
{
    static const struct tide_bytes types[BENCH_TYPES] = {{"view", 4}, {"share", 5}, {"skip", 4}};
    ASSERT(type < BENCH_TYPES);
    int size = snprintf(name, 32, "bench-item-%07llu", (unsigned long long)n);
    uint64_t mixed = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct tide_signal){.type = types[type],
                                .item = {name, (size_t)size},
                                .weight = 1 + (double)(mixed >> 54),
                                .weight_is_set = true};
}

enum code bench_place_open(struct bench_place *place, const char *parent, struct err *e)
{
    char data[HOST_PATH_SIZE + 8];
    *place = (struct bench_place){.db = NULL};
    TRY(host_make_temp_dir(parent, "tidemark-bench", place->dir, e));
    struct text t = text_of(data, sizeof(data));
    text_add(&t, "%s/data", place->dir);
    return bench_open(data, &place->db, NULL, e);
}

enum code bench_place_close(struct bench_place *place, struct err *e)
{
    bench_close(place->db);
    place->db = NULL;
    return place->dir[0] != '\0' ? host_remove_tree(place->dir, e) : OK;
}

double bench_scan_memory(uint64_t count)
{
    double *numbers = cli_take(count * sizeof(*numbers));
    uint64_t best_ns = UINT64_MAX;
    double total = 0;
    for (uint64_t i = 0; i < count; i++) {
        numbers[i] = (double)i;
    }
    for (int round = 0; round < 9; round++) {
        double sums[4] = {0}; /* independent, as a processor likes it */
        uint64_t started = host_mono_ns();
        for (uint64_t i = 0; i + 4 <= count; i += 4) {
            sums[0] += numbers[i];
            sums[1] += numbers[i + 1];
            sums[2] += numbers[i + 2];
            sums[3] += numbers[i + 3];
        }
        uint64_t took = host_mono_ns() - started;
        if (took < best_ns) best_ns = took;
        total += sums[0] + sums[1] + sums[2] + sums[3];
    }
    cli_put(numbers, count * sizeof(*numbers));
    ASSERT(total >= 0); /* and keeps the loop */
    return (double)best_ns;
}

/* --- filling --- */

/* A run that goes round: handed over, waited for, filled again. The main thread owns it whenever
 * `done` is set, the database whenever it is not. */
struct fill_run {
    tide_run *run;
    struct env_event done;
    bool is_out;
    char (*names)[32];
};

static void run_done(tide_run *run, void *arg)
{
    (void)run;
    env_event_set(arg);
}

/* Wait until the run is back, and look at what became of it. */
static enum code take_back(struct fill_run *r, struct err *e)
{
    if (!r->is_out) return OK;
    env_event_wait(&r->done);
    r->is_out = false;
    for (size_t i = 0; i < tide_run_count(r->run); i++) {
        const struct tide_result *result = tide_run_result(r->run, i);
        if (result->code == TIDE_OK) continue;
        return ERR(e, (enum code)result->code, "a write failed: %s", result->message);
    }
    return OK;
}

static enum code hand_over(tide_db *db, struct fill_run *r, const struct bench_load *load,
                           uint64_t first, uint64_t count, struct err *e)
{
    tide_run_reset(r->run);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t n = first + i;
        struct tide_signal signal = load->items == 0
                                        ? bench_signal(n, r->names[i])
                                        : bench_item(n % load->items, load->type, r->names[i]);
        if (tide_run_signal(r->run, &signal, NULL) < 0) return ERR(e, E_NOMEMORY, "no memory");
    }
    env_event_init(&r->done);
    enum tide_code code = tide_submit(db, r->run, run_done, &r->done);
    if (code != TIDE_OK) return ERR(e, (enum code)code, "the database takes no runs");
    r->is_out = true;
    return OK;
}

enum code bench_fill(tide_db *db, const struct bench_load *load, struct err *e)
{
    size_t runs_bytes = load->runs * sizeof(struct fill_run);
    size_t names_bytes = load->run_size * sizeof(char[32]);
    struct fill_run *runs = cli_take(runs_bytes);
    enum code code = OK;
    for (uint32_t i = 0; i < load->runs; i++) {
        runs[i].run = tide_run_new();
        runs[i].names = cli_take(names_bytes);
        if (runs[i].run == NULL) code = ERR(e, E_NOMEMORY, "no memory for a run");
    }
    uint64_t end = load->first + load->count;
    uint32_t turn = 0;
    ASSERT(load->runs > 0);
    for (uint64_t next = load->first; code == OK && next < end; turn = (turn + 1) % load->runs) {
        uint64_t count = end - next < load->run_size ? end - next : load->run_size;
        if (host_is_interrupted()) code = ERR(e, E_CLOSED, "interrupted");
        if (code == OK) code = take_back(&runs[turn], e);
        if (code == OK) code = hand_over(db, &runs[turn], load, next, count, e);
        next += count;
    }
    for (uint32_t i = 0; i < load->runs; i++) {
        struct err late;
        enum code last = take_back(&runs[i], &late);
        if (code == OK && last != OK) {
            *e = late;
            code = last;
        }
        tide_run_free(runs[i].run);
        cli_put(runs[i].names, names_bytes);
    }
    cli_put(runs, runs_bytes);
    return code;
}

/* --- printing --- */

const char *bench_time(uint64_t ns, char out[CLI_COUNT_SIZE])
{
    struct text t = text_of(out, CLI_COUNT_SIZE);
    if (ns < 10000000) {
        text_add(&t, "%.0f us", (double)ns / 1e3);
    } else if (ns < 10 * NS_PER_S) {
        text_add(&t, "%.0f ms", (double)ns / 1e6);
    } else {
        text_add(&t, "%.1f s", (double)ns / 1e9);
    }
    return out;
}

const char *bench_rate(uint64_t count, uint64_t ns, char out[CLI_COUNT_SIZE])
{
    return cli_count(ns > 0 ? (uint64_t)((double)count * 1e9 / (double)ns) : 0, out);
}

/* --- the verb --- */

static const struct cli_option fanout_options[] = {
    [BENCH_FANOUT_DIR] = {"dir", "DIR", "work in a new directory below this one; TMPDIR"},
    [BENCH_FANOUT_RATE] = {"rate", "N", "signals a second; 20000"},
    [BENCH_FANOUT_SECONDS] = {"seconds", "N", "of each stretch of load; 10"},
};

struct cli_verb bench_verb(void)
{
    static const struct cli_option append_options[] = {
        [BENCH_APPEND_DIR] = {"dir", "DIR", "work in a new directory below this one; TMPDIR"},
        [BENCH_APPEND_RECORDS] = {"records", "N",
                                  "log size at which the last rate is taken; 10000000"},
    };
    static const struct cli_option recover_options[] = {
        [BENCH_RECOVER_DIR] = {"dir", "DIR", "work in a new directory below this one; TMPDIR"},
        [BENCH_RECOVER_RECORDS] = {"records", "N", "records in the log; 1000000"},
    };
    static const struct cli_option replicate_options[] = {
        [BENCH_REPLICATE_DIR] = {"dir", "DIR", "work in a new directory below this one; TMPDIR"},
        [BENCH_REPLICATE_RATE] = {"rate", "N", "signals a second; 50000"},
        [BENCH_REPLICATE_SECONDS] = {"seconds", "N", "how long at that rate; 10"},
        [BENCH_REPLICATE_RECORDS] = {"records", "N",
                                     "records a fresh follower catches up on; 1000000"},
    };
    static const struct cli_option catchup_options[] = {
        [BENCH_CATCHUP_DIR] = {"dir", "DIR", "work in a new directory below this one; TMPDIR"},
        [BENCH_CATCHUP_RECORDS] = {"records", "N", "records it is behind; 1000000"},
        [BENCH_CATCHUP_JSON] = {"json", NULL, "all figures as one JSON object"},
    };
    static const struct cli_option score_options[] = {
        [BENCH_SCORE_DIR] = {"dir", "DIR", "work in a new directory below this one; TMPDIR"},
        [BENCH_SCORE_ITEMS] = {"items", "N", "items with one signal each; 1000000"},
        [BENCH_SCORE_JSON] = {"json", NULL, "all figures as one JSON object"},
    };
    static const struct cli_option retrieve_options[] = {
        [BENCH_RETRIEVE_DIR] = {"dir", "DIR", "work in a new directory below this one; TMPDIR"},
        [BENCH_RETRIEVE_ITEMS] = {"items", "N", "items; 1000000"},
        [BENCH_RETRIEVE_PHASE_MS] = {"phase-ms", "N",
                                     "length of each of twelve phases of commits; 1000"},
        [BENCH_RETRIEVE_JSON] = {"json", NULL, "all figures as one JSON object"},
    };
    static const char about[] =
        "Works in a temporary directory and leaves nothing behind. Exit code 4: the disk is busy "
        "with\nsomething else (a plain write and fdatasync takes over 250 us), nothing is claimed.";
    static const struct cli_verb children[] = {
        {.name = "append",
         .positional = "",
         .summary = "durable appends against the raw floor, alone and 64 at once, and flatness",
         .help = about,
         .options = append_options,
         .option_count = COUNT_OF(append_options),
         .run = bench_append},
        {.name = "replicate",
         .positional = "",
         .summary = "how soon a follower shows a write; how fast a fresh one catches up",
         .help = about,
         .options = replicate_options,
         .option_count = COUNT_OF(replicate_options),
         .run = bench_replicate},
        {.name = "fanout",
         .positional = "",
         .summary = "what 1, 2 and 3 followers cost their leader, and one that sleeps",
         .help = "Works in a temporary directory and leaves nothing behind. Tells processor time "
                 "of the leader.",
         .options = fanout_options,
         .option_count = COUNT_OF(fanout_options),
         .run = bench_fanout},
        {.name = "recover",
         .positional = "",
         .summary = "how long opening takes after a stop",
         .help = about,
         .options = recover_options,
         .option_count = COUNT_OF(recover_options),
         .run = bench_recover},
        {.name = "catchup",
         .positional = "",
         .summary = "how fast a follower that was away catches up, against the disk alone",
         .help = about,
         .options = catchup_options,
         .option_count = COUNT_OF(catchup_options),
         .run = bench_catchup},
        {.name = "score",
         .positional = "",
         .summary = "what one score costs, against reads of memory",
         .help = "Works in a temporary directory and leaves nothing behind.",
         .options = score_options,
         .option_count = COUNT_OF(score_options),
         .run = bench_score},
        {.name = "retrieve",
         .positional = "",
         .summary = "pages of the best of a million items; commits beside scans",
         .help = about,
         .options = retrieve_options,
         .option_count = COUNT_OF(retrieve_options),
         .run = bench_retrieve},
        {.name = "search", .positional = "", .summary = "searches"},
    };
    return (struct cli_verb){
        .name = "bench",
        .positional = "",
        .summary = "measure, with ratios against the raw floor of the same run",
        .children = children,
        .child_count = COUNT_OF(children),
    };
}
