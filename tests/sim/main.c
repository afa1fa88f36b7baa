/* sim: tells histories from seeds and says whether the laws held.
 *
 *   sim [--seed S] [--count N] [--seconds T] [--events N] [--only a,b] [--without a,b]
 *       [--trace] [--full] [--hash] [--expect CHECK[,CHECK]] [--seeds FILE] [--story NAME]
 *
 * Exit 0: all laws held (with --expect: one of these checks failed within N seeds). Exit 1: one
 * line "sim FAILED ..." on stdout with the seed, the law, the virtual time and the command that
 * replays it. Exit 2: usage.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "sim/history.h"
#include "sim/story.h"

struct arguments {
    uint64_t seed;
    uint64_t count;
    uint64_t seconds;
    const char *expect;
    const char *seeds_file;
    const char *story;
    bool wants_hash;
    struct history_options history;
};

static const char *story_told; /* NULL: histories from seeds */

static void say_failed(uint64_t seed, const char *check, uint64_t at_ns, const char *words)
{
    printf("sim FAILED seed=%" PRIu64 " check=%s t=%" PRIu64 ".%06" PRIu64 "s \"%s\" replay: ",
           seed, check, at_ns / NS_PER_S, at_ns % NS_PER_S / 1000, words);
    if (story_told != NULL) {
        printf("sim --story %s --seed %" PRIu64 " --trace\n", story_told, seed);
    } else {
        printf("make sim S=%" PRIu64 "\n", seed);
    }
    fflush(stdout);
}

/* A crash of the engine is a failed law like any other. Not async-signal-safe, but the process ends
 * here anyway. */
static void say_crashed(const char *words)
{
    say_failed(history_now.seed, "crash", history_now.now_ns != NULL ? *history_now.now_ns : 0,
               words);
}

#if defined(__SANITIZE_ADDRESS__)
/* Called by the sanitizer before it reports, so that the seed is known. */
void __asan_on_error(void);
void __asan_on_error(void)
{
    say_crashed("a sanitizer report follows");
}

static void catch_crashes(void) {}
#else
static void on_crash(int number)
{
    say_crashed(number == SIGABRT ? "an assertion failed, see above" : "invalid memory access");
    _exit(1);
}

static void catch_crashes(void)
{
    const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_handler = on_crash};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
}
#endif

static int usage(const char *why)
{
    fprintf(stderr,
            "sim: %s\n"
            "usage: sim [--seed S] [--count N] [--seconds T] [--events N] [--only FAULTS]\n"
            "           [--without FAULTS] [--trace] [--full] [--hash] [--expect CHECKS]\n"
            "           [--seeds FILE] [--story NAME]\n"
            "faults:",
            why);
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        fprintf(stderr, " %s", fault_name(fault));
    }
    fprintf(stderr, "\nstories:");
    for (size_t i = 0; story_name(i) != NULL; i++) {
        fprintf(stderr, " %s", story_name(i));
    }
    fprintf(stderr, "\n");
    return 2;
}

static bool parse_number(const char *text, uint64_t *out)
{
    if (text == NULL || text[0] < '0' || text[0] > '9') return false;
    char *end = NULL;
    *out = strtoull(text, &end, 0);
    return *end == '\0';
}

/* Is `name` one of the comma-separated words? */
static bool has_word(const char *words, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = words; (at = strstr(at, name)) != NULL; at += size) {
        bool begins = at == words || at[-1] == ',';
        bool ends = at[size] == '\0' || at[size] == ',';
        if (begins && ends) return true;
    }
    return false;
}

static uint32_t parse_faults(const char *words)
{
    uint32_t bits = 0;
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        if (has_word(words, fault_name(fault))) bits |= 1u << fault;
    }
    return bits;
}

static bool parse_flag(const char *word, struct arguments *a)
{
    if (strcmp(word, "--trace") == 0) {
        a->history.is_tracing = true;
        a->history.is_trace_dense = true;
    } else if (strcmp(word, "--full") == 0) {
        a->history.is_tracing = true;
        a->history.is_trace_dense = false;
    } else if (strcmp(word, "--hash") == 0) {
        a->wants_hash = true;
    } else {
        return false;
    }
    return true;
}

static bool parse_option(const char *word, const char *value, struct arguments *a)
{
    if (strcmp(word, "--seed") == 0) return parse_number(value, &a->seed);
    if (strcmp(word, "--count") == 0) return parse_number(value, &a->count);
    if (strcmp(word, "--seconds") == 0) return parse_number(value, &a->seconds);
    if (strcmp(word, "--events") == 0) return parse_number(value, &a->history.events_min);
    if (value == NULL) return false;
    if (strcmp(word, "--only") == 0) {
        a->history.allowed_faults = parse_faults(value);
    } else if (strcmp(word, "--without") == 0) {
        a->history.allowed_faults &= ~parse_faults(value);
    } else if (strcmp(word, "--expect") == 0) {
        a->expect = value;
    } else if (strcmp(word, "--seeds") == 0) {
        a->seeds_file = value;
    } else if (strcmp(word, "--story") == 0) {
        a->story = value;
    } else {
        return false;
    }
    return true;
}

/* --- telling --- */

struct sum {
    struct coverage coverage;
    uint64_t failures;
};

static bool tell(const struct arguments *a, uint64_t seed, struct sum *sum)
{
    struct history_result result;
    if (a->story == NULL) {
        history_run(seed, &a->history, &result);
    } else if (!story_run(a->story, seed, &a->history, &result)) {
        return false;
    }
    coverage_add(&sum->coverage, &result.coverage);
    if (a->wants_hash) printf("%" PRIu64 " %016" PRIx64 "\n", seed, result.trace_hash);
    if (result.failed_check == NULL) return true;
    sum->failures++;
    if (a->expect != NULL && has_word(a->expect, result.failed_check)) {
        printf("sim caught it: seed %" PRIu64 ", check %s: %s\n", seed, result.failed_check,
               result.failure);
    } else {
        say_failed(seed, result.failed_check, result.ended_ns, result.failure);
    }
    return false;
}

/* Lines of "seed  story"; '#' begins a comment. */
static bool tell_file(const struct arguments *a, struct sum *sum)
{
    FILE *file = fopen(a->seeds_file, "r");
    if (file == NULL) {
        printf("sim FAILED cannot read %s\n", a->seeds_file);
        return false;
    }
    char line[512];
    bool is_good = true;
    while (is_good && fgets(line, sizeof(line), file) != NULL) {
        uint64_t seed = strtoull(line, NULL, 0);
        if (line[0] >= '0' && line[0] <= '9') is_good = tell(a, seed, sum);
    }
    fclose(file);
    return is_good;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const struct arguments *a)
{
    struct sum sum = {0};
    double start = now_s();
    bool is_good = true;
    if (a->seeds_file != NULL) is_good = tell_file(a, &sum);
    for (uint64_t i = 0; is_good && (a->seconds != 0 || i < a->count); i++) {
        if (a->seconds != 0 && now_s() - start > (double)a->seconds) break;
        is_good = tell(a, a->seed + i, &sum);
    }
    if (a->expect != NULL) {
        if (is_good) printf("sim FAILED nothing was caught in %" PRIu64 " seeds\n", a->count);
        return is_good ? 1 : 0;
    }
    if (!is_good) return 1;
    double seconds = now_s() - start;
    coverage_print(&sum.coverage);
    printf("sim: %" PRIu64 " histories from seed %" PRIu64
           ", all laws held; %.1f s, %.0f histories/s, "
           "%.2f M events/s\n",
           sum.coverage.histories, a->seed, seconds, (double)sum.coverage.histories / seconds,
           (double)sum.coverage.events / seconds / 1e6);
    return 0;
}

int main(int count, char **words)
{
    struct arguments a = {.seed = 1, .history = {.allowed_faults = UINT32_MAX}};
    for (int i = 1; i < count; i++) {
        if (parse_flag(words[i], &a)) continue;
        const char *value = i + 1 < count ? words[i + 1] : NULL;
        if (!parse_option(words[i], value, &a)) return usage(words[i]);
        i++;
    }
    if (a.story != NULL && story_count(a.story) == 0) return usage("no such story");
    if (a.count == 0) a.count = a.story != NULL ? story_count(a.story) : 1;
    story_told = a.story;
    catch_crashes();
    return run(&a);
}
