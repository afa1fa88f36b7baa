/* scan_commit: do commits wait for long reads? One thread commits signals one by one: alone; beside
 * a thread that only burns processor time, at the priority of the reading threads; beside one that
 * asks for long pages without a pause. Phases alternate, so that what else the machine does meets
 * all alike. Figures are ratios: to alone, what a user sees; to the burner, what of it is the
 * database's own (freezing, copies, its locks) and not a processor shared.
 *
 *   bench_scan_commit DIRECTORY [items] [rounds] [profile]
 *
 * The directory must be new. Wall time: run it where little else runs. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "base/types.h"
#include "tidemark.h"

enum { PER_WRITE = 1000, SAMPLES_MAX = 4000000, PHASE_MS = 500, READ_NICE = 10 };
enum { ALONE, BURNER, SCANS, PHASES };

struct samples {
    uint32_t *ns;
    size_t count;
};

struct scanner {
    tide_db *db;
    const char *profile;
    _Atomic int phase;
    _Atomic bool is_over;
    uint64_t scans;
    uint64_t busy_ns;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "bench_scan_commit: %s: %s\n", what, why);
    exit(1);
}

static struct tide_bytes bytes_of(const char *text)
{
    return (struct tide_bytes){text, strlen(text)};
}

static const char *const types[] = {"view", "click", "share", "skip"};

static void populate(tide_db *db, uint32_t items, struct random *r)
{
    static char keys[PER_WRITE][24];
    static struct tide_signal signals[PER_WRITE];
    tide_run *run = tide_run_new();
    for (uint64_t made = 0; made < UINT64_C(3) * items; made += PER_WRITE) {
        for (uint32_t i = 0; i < PER_WRITE; i++) {
            uint64_t item = made + i < items ? made + i : random_below(r, items);
            (void)snprintf(keys[i], sizeof(keys[i]), "item-%llu", (unsigned long long)item);
            signals[i] = (struct tide_signal){.type = bytes_of(types[random_below(r, 4)]),
                                              .item = bytes_of(keys[i])};
        }
        tide_run_reset(run);
        if (tide_run_signals(run, signals, PER_WRITE, NULL) < 0) give_up("populate", "no memory");
        if (tide_execute(db, run) != TIDE_OK) give_up("populate", "refused");
    }
    tide_run_free(run);
}

static void rest(void)
{
    struct timespec pause = {.tv_nsec = 1000000};
    (void)nanosleep(&pause, NULL);
}

static void *burn(void *arg)
{
    struct scanner *s = arg;
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), READ_NICE);
    while (!atomic_load(&s->is_over)) {
        if (atomic_load_explicit(&s->phase, memory_order_relaxed) != BURNER) rest();
    }
    return NULL;
}

static void *scan(void *arg)
{
    struct scanner *s = arg;
    tide_run *run = tide_run_new();
    struct tide_retrieve request = {.profile = bytes_of(s->profile), .limit = 10};
    while (!atomic_load(&s->is_over)) {
        if (atomic_load(&s->phase) != SCANS) {
            rest();
            continue;
        }
        uint64_t start = now_ns();
        tide_run_reset(run);
        if (tide_run_retrieve(run, &request) < 0 || tide_execute(s->db, run) != TIDE_OK) {
            give_up("retrieve", "refused");
        }
        s->scans++;
        s->busy_ns += now_ns() - start;
    }
    tide_run_free(run);
    return NULL;
}

/* Commit one by one for a phase. */
static void commit(tide_db *db, uint32_t items, struct random *r, struct samples *out)
{
    uint64_t end = now_ns() + PHASE_MS * NS_PER_MS;
    tide_run *run = tide_run_new();
    for (uint64_t start = now_ns(); start < end && out->count < SAMPLES_MAX;) {
        char key[24];
        (void)snprintf(key, sizeof(key), "item-%llu", (unsigned long long)random_below(r, items));
        struct tide_signal signal = {.type = bytes_of(types[random_below(r, 4)]),
                                     .item = bytes_of(key)};
        tide_run_reset(run);
        if (tide_run_signal(run, &signal, NULL) < 0 || tide_execute(db, run) != TIDE_OK) {
            give_up("signal", "refused");
        }
        uint64_t now = now_ns();
        out->ns[out->count++] = (uint32_t)(now - start);
        start = now;
    }
    tide_run_free(run);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double at(const struct samples *s, double share)
{
    return (double)s->ns[(size_t)((double)(s->count - 1) * share)] / 1e3;
}

static void print(const char *name, struct samples *s)
{
    qsort(s->ns, s->count, sizeof(*s->ns), by_size);
    printf("%-12s %8zu commits  p50 %8.1f  p90 %8.1f  p99 %8.1f  p99.9 %8.1f  most %8.1f us\n",
           name, s->count, at(s, 0.5), at(s, 0.9), at(s, 0.99), at(s, 0.999), at(s, 1.0));
}

int main(int argc, char **argv)
{
    if (argc < 2) give_up("usage", "bench_scan_commit DIRECTORY [items] [rounds] [profile]");
    uint32_t items = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000000;
    uint32_t rounds = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 10;
    struct tide_options options = {.size = sizeof(options), .dir = argv[1]};
    options.mark_interval_ms = UINT64_MAX; /* no marks: hashing would be measured, too */
    tide_db *db = NULL;
    struct tide_err e = {0};
    if (tide_open(&options, &db, NULL, &e) != TIDE_OK) give_up("open", e.message);
    struct random r;
    random_init(&r, 1);
    populate(db, items, &r);
    struct scanner scanner = {.db = db, .profile = argc > 4 ? argv[4] : "hot"};
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, scan, &scanner) != 0 ||
        pthread_create(&threads[1], NULL, burn, &scanner) != 0) {
        give_up("thread", "refused");
    }
    static const char *const names[PHASES] = {"alone", "burner", "scans"};
    struct samples samples[PHASES];
    for (int i = 0; i < PHASES; i++) {
        samples[i] = (struct samples){.ns = calloc(SAMPLES_MAX, sizeof(uint32_t))};
        if (samples[i].ns == NULL) give_up("samples", "no memory");
    }
    for (uint32_t i = 0; i < rounds * PHASES; i++) {
        atomic_store(&scanner.phase, (int)(i % PHASES));
        commit(db, items, &r, &samples[i % PHASES]);
    }
    atomic_store(&scanner.is_over, true);
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < PHASES; i++) {
        print(names[i], &samples[i]);
    }
    for (int i = ALONE; i < SCANS; i++) {
        printf("scans to %-6s p50 %.2f  p90 %.2f  p99 %.2f\n", names[i],
               at(&samples[SCANS], 0.5) / at(&samples[i], 0.5),
               at(&samples[SCANS], 0.9) / at(&samples[i], 0.9),
               at(&samples[SCANS], 0.99) / at(&samples[i], 0.99));
    }
    printf("%llu scans of %u items by %s, %.1f ms each\n", (unsigned long long)scanner.scans, items,
           scanner.profile,
           (double)scanner.busy_ns / 1e6 / (double)(scanner.scans > 0 ? scanner.scans : 1));
    for (int i = 0; i < PHASES; i++) {
        free(samples[i].ns);
    }
    return tide_close(db, 10000, NULL) == TIDE_OK ? 0 : 1;
}
