/* tell: histories in this process and in others. */
#include "sim/tell.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "sim/story.h"

/* --- failures --- */

/* What a crash handler needs to know. report_fd: the pipe to the parent, -1: there is none. */
static const struct arguments *told;
static int report_fd = -1;
static bool is_silent;
static struct tell_sum *sum_now;

static void report_sum(const struct tell_sum *sum)
{
    if (report_fd < 0) return;
    const char *at = (const char *)sum;
    size_t left = sizeof(*sum);
    while (left > 0) {
        ssize_t done = write(report_fd, at, left);
        if (done <= 0) return;
        at += done;
        left -= (size_t)done;
    }
}

static void say_failed(uint64_t seed, const char *check, uint64_t at_ns, const char *words)
{
    if (is_silent) return;
    printf("sim FAILED seed=%" PRIu64 " check=%s t=%" PRIu64 ".%06" PRIu64 "s \"%s\" replay: ",
           seed, check, at_ns / NS_PER_S, at_ns % NS_PER_S / 1000, words);
    if (told->story != NULL) {
        printf("sim --story %s --seed %" PRIu64 " --trace\n", told->story, seed);
    } else {
        printf("make sim S=%" PRIu64 "\n", seed);
    }
    fflush(stdout);
}

static void note_failure(struct tell_sum *sum, uint64_t seed, const char *check)
{
    sum->failures++;
    sum->failed_seed = seed;
    snprintf(sum->failed_check, sizeof(sum->failed_check), "%s", check);
}

/* A crash of the engine is a failed law like any other. Not async-signal-safe, but the process ends
 * here anyway. */
static void say_crashed(const char *words)
{
    say_failed(history_now.seed, "crash", history_now.now_ns != NULL ? *history_now.now_ns : 0,
               words);
    if (sum_now == NULL) return;
    note_failure(sum_now, history_now.seed, "crash");
    report_sum(sum_now);
}

#if defined(__SANITIZE_ADDRESS__)
/* Called by the sanitizer before it reports, so that the seed is known. */
void __asan_on_error(void);
void __asan_on_error(void)
{
    say_crashed("a sanitizer report follows");
}

void tell_catch_crashes(const struct arguments *a)
{
    told = a;
}
#else
static void on_crash(int number)
{
    say_crashed(number == SIGABRT ? "an assertion failed, see above" : "invalid memory access");
    bool is_wanted = told->expect != NULL && arguments_has_word(told->expect, "crash");
    _exit(is_wanted ? 0 : 1);
}

void tell_catch_crashes(const struct arguments *a)
{
    const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_handler = on_crash};
    told = a;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
}
#endif

/* --- in this process --- */

bool tell(const struct arguments *a, uint64_t seed, struct tell_sum *sum)
{
    struct history_result result;
    told = a;
    sum_now = sum;
    if (a->story == NULL) {
        history_run(seed, &a->history, &result);
    } else if (!story_run(a->story, seed, &a->history, &result)) {
        return false;
    }
    coverage_add(&sum->coverage, &result.coverage);
    taken_collect(&sum->taken);
    if (a->wants_hash) printf("%" PRIu64 " %016" PRIx64 "\n", seed, result.trace_hash);
    if (result.failed_check == NULL) return true;
    note_failure(sum, seed, result.failed_check);
    if (a->expect != NULL && arguments_has_word(a->expect, result.failed_check)) {
        printf("sim caught it: seed %" PRIu64 ", check %s: %s\n", seed, result.failed_check,
               result.failure);
    } else {
        say_failed(seed, result.failed_check, result.ended_ns, result.failure);
    }
    return false;
}

/* --- in other processes --- */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seeds first, first + step, ... of the range. */
static void tell_range(const struct arguments *a, uint64_t first, uint64_t step,
                       struct tell_sum *sum)
{
    double start = now_s();
    bool has_end = a->seconds == 0 && !a->is_for_ever;
    for (uint64_t i = first; !has_end || i < a->count; i += step) {
        if (a->seconds != 0 && now_s() - start > (double)a->seconds) return;
        if (!tell(a, a->seed + i, sum)) return;
    }
}

struct child {
    pid_t pid;
    int from;
};

/* In the child is_child is true and report_fd leads to the parent. */
static struct child begin_child(bool *is_child)
{
    int ends[2];
    fflush(stdout);
    int made = pipe(ends);
    ASSERT(made == 0);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    *is_child = pid == 0;
    if (pid == 0) {
        (void)close(ends[0]);
        report_fd = ends[1];
        return (struct child){0};
    }
    (void)close(ends[1]);
    return (struct child){.pid = pid, .from = ends[0]};
}

/* False: the child ended without a report. */
static bool end_child(const struct child *child, struct tell_sum *out)
{
    size_t used = 0;
    *out = (struct tell_sum){0};
    while (used < sizeof(*out)) {
        ssize_t got = read(child->from, (char *)out + used, sizeof(*out) - used);
        if (got <= 0) break;
        used += (size_t)got;
    }
    (void)close(child->from);
    int status = 0;
    (void)waitpid(child->pid, &status, 0);
    return used == sizeof(*out);
}

static _Noreturn void leave_child(const struct tell_sum *sum)
{
    fflush(stdout);
    report_sum(sum);
    _exit(sum->failures > 0);
}

/* Assertions and sanitizers talk, too. */
static void be_silent(void)
{
    is_silent = true;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) (void)dup2(nowhere, STDERR_FILENO);
}

void tell_apart(const struct arguments *a, uint64_t seed, char out_check[TELL_CHECK_SIZE])
{
    bool is_child = false;
    struct child child = begin_child(&is_child);
    if (is_child) {
        static struct tell_sum mine;
        be_silent();
        (void)tell(a, seed, &mine);
        leave_child(&mine);
    }
    struct tell_sum sum;
    bool has_report = end_child(&child, &sum);
    if (!has_report) note_failure(&sum, seed, "crash");
    memcpy(out_check, sum.failed_check, TELL_CHECK_SIZE);
}

void tell_all_apart(const struct arguments *a, struct tell_sum *sum)
{
    bool is_child = false;
    struct child child = begin_child(&is_child);
    if (is_child) {
        static struct tell_sum mine;
        be_silent();
        tell_range(a, 0, 1, &mine);
        leave_child(&mine);
    }
    if (!end_child(&child, sum)) note_failure(sum, a->seed, "crash");
}

static void add_sum(struct tell_sum *sum, const struct tell_sum *more)
{
    coverage_add(&sum->coverage, &more->coverage);
    taken_add(&sum->taken, &more->taken);
    if (more->failures == 0) return;
    sum->failures += more->failures;
    sum->failed_seed = more->failed_seed;
    memcpy(sum->failed_check, more->failed_check, sizeof(sum->failed_check));
}

bool tell_shared(const struct arguments *a, struct tell_sum *sum)
{
    if (a->jobs == 1) {
        tell_range(a, 0, 1, sum);
        return sum->failures == 0;
    }
    struct child *children = calloc(a->jobs, sizeof(*children));
    ASSERT(children != NULL);
    for (uint64_t i = 0; i < a->jobs; i++) {
        bool is_child = false;
        children[i] = begin_child(&is_child);
        if (!is_child) continue;
        static struct tell_sum mine;
        tell_range(a, i, a->jobs, &mine);
        leave_child(&mine);
    }
    for (uint64_t i = 0; i < a->jobs; i++) {
        struct tell_sum theirs;
        if (!end_child(&children[i], &theirs)) {
            printf("sim FAILED a process ended without a report\n");
            sum->failures++;
        }
        add_sum(sum, &theirs);
    }
    free(children);
    return sum->failures == 0;
}
