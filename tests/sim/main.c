/* sim: tells histories from seeds and says whether the laws held. The command line is in
 * sim/arguments.c.
 *
 * Exit 0: all laws held (with --expect: one of these checks failed within N seeds). Exit 1: one
 * line "sim FAILED ..." on stdout with the seed, the law, the virtual time and the command that
 * replays it, and one with the smallest command that still fails. Exit 2: usage.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "sim/bugs.h"
#include "sim/shrink.h"
#include "sim/tell.h"

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of this process and of those it waited for. */
static double cpu_s(void)
{
    double sum = 0;
    const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (size_t i = 0; i < COUNT_OF(whose); i++) {
        struct rusage usage;
        if (getrusage(whose[i], &usage) != 0) continue;
        sum += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
        sum += (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    return sum;
}

/* Lines of "seed  story"; '#' begins a comment. */
static bool tell_file(const struct arguments *a, struct tell_sum *sum)
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

static void print_sum(const struct arguments *a, const struct tell_sum *sum, double seconds)
{
    const struct coverage *v = &sum->coverage;
    coverage_print(v);
    taken_print(&sum->taken);
    printf("sim: %" PRIu64 " histories from seed %" PRIu64
           ", all laws held; %.1f s, %.0f histories/s, %" PRIu64
           " events each, %.2f M events/s of one core\n",
           v->histories, a->seed, seconds, (double)v->histories / seconds,
           v->histories == 0 ? 0 : v->events / v->histories, (double)v->events / cpu_s() / 1e6);
}

static int run(const struct arguments *a)
{
    static struct tell_sum sum;
    double start = now_s();
    bool is_good = true;
    if (a->seeds_file != NULL) is_good = tell_file(a, &sum);
    if (is_good) is_good = tell_shared(a, &sum);
    if (a->expect != NULL) {
        if (is_good) printf("sim FAILED nothing was caught in %" PRIu64 " seeds\n", a->count);
        return !is_good && arguments_has_word(a->expect, sum.failed_check) ? 0 : 1;
    }
    if (!is_good) {
        bool is_shrunk = a->is_shrunk && a->story == NULL && !a->history.is_tracing;
        if (is_shrunk && sum.failed_check[0] != '\0') {
            shrink(a, sum.failed_seed, sum.failed_check);
        }
        return 1;
    }
    print_sum(a, &sum, now_s() - start);
    bool is_whole = !a->wants_all || coverage_is_whole(&sum.coverage);
    if (a->wants_taken) is_whole &= taken_is_whole(&sum.taken, a->wants_all);
    return is_whole ? 0 : 1;
}

static bool look_for_bugs(const struct arguments *a)
{
    bool is_all = a->bug == UINT64_MAX;
    uint32_t number = is_all ? 1 : (uint32_t)a->bug;
    return bugs_are_caught(a, number, is_all ? bugs_count() : number);
}

int main(int count, char **words)
{
    struct arguments a;
    const char *why = "";
    if (!arguments_parse(count, words, &a, &why)) {
        arguments_usage(why);
        return 2;
    }
    /* Memory that a history gave back is for the next one, not for the kernel. */
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    tell_catch_crashes(&a);
    if (a.bug == 0) return run(&a);
    if (a.bug != UINT64_MAX && a.bug > bugs_count()) {
        arguments_usage("this program has no such bug");
        return 2;
    }
    return look_for_bugs(&a) ? 0 : 1;
}
