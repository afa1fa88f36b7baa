/* bench fanout: what followers cost their leader. One leader process takes signals at a steady rate
 * while 1, 2 and 3 followers stream from it; then one of them is stopped (SIGSTOP) and the load
 * goes on. Told is the processor time of the leader's process, as the median over slices of half a
 * second, which other work on the machine disturbs little, and its memory. While followers are
 * compared the leader waits 2 ms for each group (commit_delay): else busier processors make larger
 * groups, and one follower more makes a signal cheaper.
 */
#include <stdio.h>

#include "base/text.h"
#include "cli/bench.h"
#include "cli/nodes.h"

#define FOLLOWERS_MAX 3
#define OUTSTANDING   20000
#define BURST_MAX     512
#define SLICES_PER_S  2u
#define WAIT_NS       100000

struct fanout {
    struct nodes nodes;
    struct node *leader;
    struct node *followers[FOLLOWERS_MAX];
    uint64_t rate;
    uint64_t seconds;
    uint64_t sent;
    uint64_t answered;
};

/* One stretch of load. */
struct stretch {
    uint64_t took_ns;
    uint64_t cpu_ns; /* of the leader */
    uint64_t count;
};

static bool add_signal(struct resp_client *c, uint64_t n)
{
    char item[32];
    int size = snprintf(item, sizeof(item), "bench-item-%05u", (unsigned)(n % 10000));
    struct slice words[] = {slice_of_text("SIGNAL"), slice_of_text("view"),
                            slice_of(item, (size_t)size)};
    return resp_client_add(c, words, COUNT_OF(words));
}

static enum code take_answers(struct fanout *f, struct err *e)
{
    for (;;) {
        const struct resp_value *reply = NULL;
        TRY(resp_client_take(&f->leader->client, &reply, e));
        if (reply == NULL) return OK;
        if (reply->kind == RESP_ERROR) {
            return ERR(e, resp_error_code(reply->text), "%.*s", (int)reply->text.size,
                       (const char *)reply->text.data);
        }
        f->answered++;
    }
}

/* `count` signals, each when it is due; interval 0: as fast as they are answered. */
static enum code load(struct fanout *f, uint64_t count, uint64_t interval_ns, struct err *e)
{
    struct resp_client *c = &f->leader->client;
    uint64_t first = f->sent;
    uint64_t started_ns = host_mono_ns();
    while (f->answered < first + count) {
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        uint64_t now_ns = host_mono_ns();
        for (unsigned i = 0; i < BURST_MAX && f->sent < first + count; i++) {
            bool is_due = started_ns + (f->sent - first) * interval_ns <= now_ns;
            if (!is_due || f->sent - f->answered >= OUTSTANDING) break;
            if (!add_signal(c, f->sent)) break;
            f->sent++;
        }
        resp_client_move(c);
        TRY(take_answers(f, e));
        struct host_wait wait = resp_client_wait(c);
        (void)host_wait_ns(&wait, 1, WAIT_NS);
    }
    return OK;
}

static enum code measure(struct fanout *f, uint64_t count, uint64_t interval_ns,
                         struct stretch *out, struct err *e)
{
    struct host_usage before;
    struct host_usage after;
    uint64_t started_ns = host_mono_ns();
    TRY(host_child_usage(&f->leader->child, &before, e));
    TRY(load(f, count, interval_ns, e));
    TRY(host_child_usage(&f->leader->child, &after, e));
    *out = (struct stretch){.took_ns = host_mono_ns() - started_ns,
                            .cpu_ns = after.cpu_ns - before.cpu_ns,
                            .count = count};
    return OK;
}

/* Microseconds of the leader's processor for a signal at the steady rate: the median slice. */
static enum code measure_cost(struct fanout *f, double *out, struct err *e)
{
    struct samples costs; /* picoseconds */
    enum code code = OK;
    samples_init(&costs, SLICES_PER_S * f->seconds);
    for (uint64_t i = 0; i < SLICES_PER_S * f->seconds && code == OK; i++) {
        struct stretch s;
        code = measure(f, f->rate / SLICES_PER_S, NS_PER_S / f->rate, &s, e);
        if (code == OK) samples_add(&costs, s.cpu_ns * 1000 / s.count);
    }
    *out = (double)samples_percentile(&costs, 50) / 1e6;
    samples_fini(&costs);
    return code;
}

static enum code set_delay(struct fanout *f, const char *command, struct err *e)
{
    const struct resp_value *reply = NULL;
    TRY(node_call(f->leader, command, &reply, e));
    if (reply->kind == RESP_ERROR) return ERR(e, E_PROTOCOL, "the leader refuses %s", command);
    return OK;
}

/* The same load with one follower more each time. */
static enum code more_and_more(struct fanout *f, struct err *e)
{
    struct nodes_equality equality = {0};
    double costs[FOLLOWERS_MAX + 1] = {0};
    char name[] = "f0";
    TRY(set_delay(f, "CONFIG SET commit_delay 2ms", e));
    for (size_t i = 0; i <= FOLLOWERS_MAX; i++) {
        if (i > 0) {
            name[1] = (char)('0' + i);
            TRY(nodes_add(&f->nodes, name, &f->followers[i - 1], e));
            TRY(nodes_wait_equal(&f->nodes, &equality, e));
        }
        TRY(measure_cost(f, &costs[i], e));
        printf("%zu follower%s  leader %.2f us of processor a signal", i, i == 1 ? " " : "s",
               costs[i]);
        if (i > 1) {
            printf(", %+.0f %% of the leader with one", 100 * (costs[i] - costs[i - 1]) / costs[1]);
        }
        printf("\n");
        (void)fflush(stdout);
    }
    printf("extra follower   %.0f %% of the leader with one follower (wanted: at most 15 %%)\n",
           100 * (costs[FOLLOWERS_MAX] - costs[1]) / (FOLLOWERS_MAX - 1) / costs[1]);
    return set_delay(f, "CONFIG SET commit_delay 0", e);
}

/* Full load, then the same while one follower sleeps. */
static enum code one_sleeps(struct fanout *f, struct err *e)
{
    struct stretch awake;
    struct stretch asleep;
    struct host_usage before;
    struct host_usage after;
    struct nodes_equality equality = {0};
    char texts[3][CLI_COUNT_SIZE];
    /* Until the memory for followers (tail_buffer) is in use. */
    TRY(load(f, 2 * f->rate * f->seconds, 0, e));
    TRY(measure(f, f->rate * f->seconds, 0, &awake, e));
    TRY(host_child_usage(&f->leader->child, &before, e));
    host_child_pause(&f->followers[FOLLOWERS_MAX - 1]->child, true);
    enum code code = measure(f, f->rate * f->seconds, 0, &asleep, e);
    if (code == OK) code = host_child_usage(&f->leader->child, &after, e);
    host_child_pause(&f->followers[FOLLOWERS_MAX - 1]->child, false);
    TRY(code);
    printf("one sleeps       %s records/s, %.2f x of before; leader's memory %s, %+.1f MiB\n",
           bench_rate(asleep.count, asleep.took_ns, texts[0]),
           ((double)asleep.count / (double)asleep.took_ns) /
               ((double)awake.count / (double)awake.took_ns),
           cli_size(after.memory_bytes, texts[1]),
           ((double)after.memory_bytes - (double)before.memory_bytes) / (double)MIB);
    TRY(nodes_wait_equal(&f->nodes, &equality, e));
    printf("equal            digests of all nodes at record %s\n",
           cli_count(equality.seqno, texts[2]));
    return OK;
}

static enum code run(struct fanout *f, const char *dir, struct err *e)
{
    TRY(nodes_init(&f->nodes, dir, "tidemark-bench", e));
    printf("in %s\n", f->nodes.dir);
    TRY(nodes_add(&f->nodes, "leader", &f->leader, e));
    TRY(load(f, f->rate, NS_PER_S / f->rate, e)); /* warm */
    TRY(more_and_more(f, e));
    return one_sleeps(f, e);
}

int bench_fanout(const struct cli_args *args)
{
    static struct fanout fanout;
    struct fanout *f = &fanout;
    struct err e;
    const char *const *values = args->values;
    *f = (struct fanout){.rate = 20000, .seconds = 10};
    if (!cli_u64(args->verb, "rate", values[BENCH_FANOUT_RATE], 1, 10000000, &f->rate) ||
        !cli_u64(args->verb, "seconds", values[BENCH_FANOUT_SECONDS], 1, 3600, &f->seconds)) {
        return CLI_USAGE;
    }
    host_catch_interrupts();
    int status = CLI_DONE;
    if (run(f, values[BENCH_FANOUT_DIR], &e) != OK) {
        if (!host_is_interrupted()) nodes_show_logs(&f->nodes);
        status = cli_failure(args->verb, &e);
    }
    nodes_fini(&f->nodes, false);
    return status;
}
