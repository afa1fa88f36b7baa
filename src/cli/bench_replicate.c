/* bench replicate: a leader and a follower as processes. What does a level cost one writer; how
 * soon does the follower show a write, at a steady rate; how soon is it level after the last one;
 * and how fast does a fresh follower catch up on a long log.
 *
 * The latency of a signal runs from the moment it is due until the follower's POSITION covers it,
 * as this process sees it: it contains sending, the leader's sync, shipping, the follower's sync,
 * apply, and two round trips of asking. One clock measures both ends.
 */
#include <stdio.h>

#include "base/text.h"
#include "cli/bench.h"
#include "cli/nodes.h"

#define RING_SIZE      (1u << 20) /* signals not yet seen on the follower */
#define LATENCIES_MAX  1000000
#define BURST_MAX      512
#define OUTSTANDING    20000
#define LEVEL_WRITES   2000   /* at each level */
#define ASK_NS         100000 /* between two looks at the follower */
#define WAIT_NS        100000 /* this process must not take the nodes' cores */
#define STAND_STILL_NS (30 * NS_PER_S)

/* What the command line asked for. */
struct wishes {
    const char *dir; /* NULL: where temporary files go */
    uint64_t rate;   /* signals a second */
    uint64_t seconds;
    uint64_t records;
};

struct sent {
    uint64_t seqno; /* 0: not acknowledged yet */
    uint64_t due_ns;
};

struct replicate {
    const char *verb;
    struct nodes nodes;
    struct node *leader;
    struct node *follower;
    struct floor floor;
    struct samples latencies;
    struct sent *ring; /* sent writes by number */
    uint64_t count_sent;
    uint64_t count_acknowledged;
    uint64_t count_visible;
    uint64_t last_seqno; /* of the newest acknowledged write */
    uint64_t asked_ns;
    uint64_t level_ns; /* when the follower covered everything acknowledged */
};

static bool add_signal(struct resp_client *c, uint64_t n)
{
    char item[32];
    int size = snprintf(item, sizeof(item), "bench-item-%05u", (unsigned)(n % 10000));
    struct slice words[] = {slice_of_text("SIGNAL"), slice_of_text("view"),
                            slice_of(item, (size_t)size)};
    return resp_client_add(c, words, COUNT_OF(words));
}

/* Send what is due by now. */
static void send_due(struct replicate *r, uint64_t started_ns, uint64_t interval_ns, uint64_t total)
{
    uint64_t now = host_mono_ns();
    for (unsigned i = 0; i < BURST_MAX && r->count_sent < total; i++) {
        uint64_t due = started_ns + r->count_sent * interval_ns;
        bool has_room = r->count_sent - r->count_visible < RING_SIZE &&
                        r->count_sent - r->count_acknowledged < OUTSTANDING;
        if (due > now || !has_room) return;
        if (!add_signal(&r->leader->client, r->count_sent)) return;
        r->ring[r->count_sent++ % RING_SIZE] = (struct sent){.due_ns = due};
    }
}

static enum code take_tokens(struct replicate *r, struct err *e)
{
    for (;;) {
        const struct resp_value *reply = NULL;
        TRY(resp_client_take(&r->leader->client, &reply, e));
        if (reply == NULL) return OK;
        if (reply->kind == RESP_ERROR) {
            return ERR(e, resp_error_code(reply->text), "%.*s", (int)reply->text.size,
                       (const char *)reply->text.data);
        }
        r->last_seqno = token_seqno(reply->text);
        r->ring[r->count_acknowledged++ % RING_SIZE].seqno = r->last_seqno;
    }
}

/* Ask the follower where it is, one question at a time, and note what it covers. */
static enum code watch_follower(struct replicate *r, struct err *e)
{
    struct resp_client *c = &r->follower->client;
    const struct resp_value *reply = NULL;
    resp_client_move(c);
    TRY(resp_client_take(c, &reply, e));
    uint64_t now = host_mono_ns();
    if (reply != NULL) {
        uint64_t applied = token_seqno(reply->text);
        while (r->count_visible < r->count_acknowledged) {
            const struct sent *s = &r->ring[r->count_visible % RING_SIZE];
            if (s->seqno > applied) break;
            samples_add(&r->latencies, now > s->due_ns ? now - s->due_ns : 0);
            r->count_visible++;
        }
        if (r->count_visible == r->count_acknowledged) r->level_ns = now;
    }
    if (c->unanswered == 0 && now - r->asked_ns >= ASK_NS) {
        r->asked_ns = now;
        if (!resp_client_add_text(c, "POSITION")) return ERR(e, E_BUSY, "no room for a question");
        resp_client_move(c);
    }
    return OK;
}

static enum code steady_rate(struct replicate *r, uint64_t rate, uint64_t seconds, struct err *e)
{
    uint64_t total = rate * seconds;
    uint64_t started = host_mono_ns();
    uint64_t last_ns = started; /* when the last write was acknowledged */
    uint64_t moved = started;
    while (r->count_visible < total) {
        uint64_t visible = r->count_visible;
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        send_due(r, started, NS_PER_S / rate, total);
        resp_client_move(&r->leader->client);
        uint64_t acknowledged = r->count_acknowledged;
        TRY(take_tokens(r, e));
        if (r->count_acknowledged > acknowledged) last_ns = host_mono_ns();
        TRY(watch_follower(r, e));
        if (r->count_visible > visible) moved = host_mono_ns();
        if (host_mono_ns() - moved > STAND_STILL_NS) {
            return ERR(e, E_TIMEOUT, "the follower stands still");
        }
        struct host_wait waits[2] = {resp_client_wait(&r->leader->client),
                                     resp_client_wait(&r->follower->client)};
        (void)host_wait_ns(waits, 2, WAIT_NS);
    }
    TRY(resp_client_settle(&r->follower->client, NODE_ANSWER_MS, e));
    char texts[5][CLI_COUNT_SIZE];
    double real = (double)total * 1e9 / (double)(last_ns - started);
    printf(
        "visible          on the follower at %s signals/s (%s/s reached): p50 %s  p99 %s  max %s\n",
        cli_count(rate, texts[0]), cli_count((uint64_t)real, texts[1]),
        bench_time(samples_percentile(&r->latencies, 50), texts[2]),
        bench_time(samples_percentile(&r->latencies, 99), texts[3]),
        bench_time(samples_percentile(&r->latencies, 100), texts[4]));
    printf("level            %s after the last write was acknowledged\n",
           bench_time(r->level_ns > last_ns ? r->level_ns - last_ns : 0, texts[0]));
    return OK;
}

/* One write at a time, in turn at each level: the same disks and the same moment for all. */
static enum code compare_levels(struct replicate *r, struct err *e)
{
    static const char *const levels[] = {"local", "stored:1", "applied:1"};
    struct samples times[COUNT_OF(levels)];
    struct resp_client *c = &r->leader->client;
    enum code code = OK;
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        samples_init(&times[i], LEVEL_WRITES);
    }
    for (uint32_t n = 0; n < LEVEL_WRITES * COUNT_OF(levels) && code == OK; n++) {
        const struct resp_value *reply = NULL;
        struct slice words[] = {slice_of_text("SIGNAL"), slice_of_text("view"),
                                slice_of_text("bench-item"), slice_of_text("LEVEL"),
                                slice_of_text(levels[n % COUNT_OF(levels)])};
        uint64_t started = host_mono_ns();
        if (!resp_client_add(c, words, COUNT_OF(words))) code = ERR(e, E_BUSY, "no room");
        if (code == OK) code = resp_client_await(c, NODE_ANSWER_MS, &reply, e);
        samples_add(&times[n % COUNT_OF(levels)], host_mono_ns() - started);
        if (code == OK && reply->kind == RESP_ERROR) {
            code = ERR(e, resp_error_code(reply->text), "%.*s", (int)reply->text.size,
                       (const char *)reply->text.data);
        }
        if (code == OK) r->last_seqno = token_seqno(reply->text);
    }
    for (size_t i = 0; i < COUNT_OF(levels) && code == OK; i++) {
        char texts[2][CLI_COUNT_SIZE];
        uint64_t local = samples_percentile(&times[0], 50);
        uint64_t p50 = samples_percentile(&times[i], 50);
        printf("%-16s one writer: p50 %s  p99 %s  %.2f x local\n", levels[i],
               bench_time(p50, texts[0]), bench_time(samples_percentile(&times[i], 99), texts[1]),
               local > 0 ? (double)p50 / (double)local : 0);
    }
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        samples_fini(&times[i]);
    }
    return code;
}

/* Bring the leader's log to `records` records. */
static enum code fill_log(struct replicate *r, uint64_t records, struct err *e)
{
    struct resp_client *c = &r->leader->client;
    uint64_t sent = r->last_seqno;
    while (r->last_seqno < records) {
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        while (sent < records + 100 && c->unanswered < OUTSTANDING && add_signal(c, sent)) {
            sent++;
        }
        const struct resp_value *reply = NULL;
        TRY(resp_client_await(c, NODE_ANSWER_MS, &reply, e));
        if (reply->kind == RESP_ERROR) {
            return ERR(e, resp_error_code(reply->text), "%.*s", (int)reply->text.size,
                       (const char *)reply->text.data);
        }
        r->last_seqno = token_seqno(reply->text);
    }
    return resp_client_settle(c, NODE_ANSWER_MS, e);
}

static enum code catch_up(struct replicate *r, uint64_t records, struct err *e)
{
    char texts[3][CLI_COUNT_SIZE];
    struct node *fresh = NULL;
    struct nodes_equality equality = {0};
    uint64_t goal = 0;
    uint64_t applied = 0;
    TRY(fill_log(r, records, e));
    TRY(nodes_wait_equal(&r->nodes, &equality, e));
    TRY(node_position(r->leader, &goal, e));
    uint64_t started = host_mono_ns();
    TRY(nodes_add(&r->nodes, "f2", &fresh, e));
    uint64_t moved = started;
    while (applied < goal) {
        uint64_t before = applied;
        TRY(node_position(fresh, &applied, e));
        if (applied > before) moved = host_mono_ns();
        if (host_mono_ns() - moved > STAND_STILL_NS) {
            return ERR(e, E_TIMEOUT, "the fresh follower stands still at record %llu",
                       (unsigned long long)applied);
        }
        host_sleep_ms(2);
    }
    uint64_t took = host_mono_ns() - started;
    printf("catch-up         a fresh follower: %s records in %s with its start, %s records/s\n",
           cli_count(goal, texts[0]), bench_time(took, texts[1]), bench_rate(goal, took, texts[2]));
    TRY(nodes_wait_equal(&r->nodes, &equality, e));
    printf("equal            digests of all three nodes at record %llu\n",
           (unsigned long long)equality.seqno);
    return OK;
}

static enum code measure(struct replicate *r, const struct wishes *wishes, int *out_status,
                         struct err *e)
{
    TRY(nodes_init(&r->nodes, wishes->dir, "tidemark-bench", e));
    TRY(floor_open(&r->floor, r->nodes.dir, e));
    TRY(floor_settle(&r->floor, e));
    TRY(floor_run(&r->floor, 500, e));
    *out_status = floor_judge(&r->floor, r->verb);
    if (*out_status != CLI_DONE) return OK;
    char text[CLI_COUNT_SIZE];
    char tail[CLI_COUNT_SIZE];
    printf("in %s; raw floor p50 %s  p99 %s\n", r->nodes.dir,
           bench_time(samples_percentile(&r->floor.samples, 50), text),
           bench_time(samples_percentile(&r->floor.samples, 99), tail));
    TRY(nodes_add(&r->nodes, "leader", &r->leader, e));
    TRY(nodes_add(&r->nodes, "f1", &r->follower, e));
    struct nodes_equality equality = {0};
    TRY(nodes_wait_equal(&r->nodes, &equality, e));
    TRY(compare_levels(r, e));
    TRY(steady_rate(r, wishes->rate, wishes->seconds, e));
    return catch_up(r, wishes->records, e);
}

int bench_replicate(const struct cli_args *args)
{
    static struct replicate replicate;
    struct replicate *r = &replicate;
    struct err e;
    int status = CLI_DONE;
    struct wishes wishes = {
        .dir = args->values[BENCH_REPLICATE_DIR], .rate = 50000, .seconds = 10, .records = 1000000};
    const char *const *values = args->values;
    if (!cli_u64(args->verb, "rate", values[BENCH_REPLICATE_RATE], 1, 10000000, &wishes.rate) ||
        !cli_u64(args->verb, "seconds", values[BENCH_REPLICATE_SECONDS], 1, 3600,
                 &wishes.seconds) ||
        !cli_u64(args->verb, "records", values[BENCH_REPLICATE_RECORDS], 1, UINT32_MAX,
                 &wishes.records)) {
        return CLI_USAGE;
    }
    *r = (struct replicate){.verb = args->verb, .floor.fd = -1};
    r->ring = cli_take(RING_SIZE * sizeof(*r->ring));
    samples_init(&r->latencies, LATENCIES_MAX);
    host_catch_interrupts();
    enum code code = measure(r, &wishes, &status, &e);
    if (code != OK) {
        if (!host_is_interrupted()) nodes_show_logs(&r->nodes);
        status = cli_failure(args->verb, &e);
    }
    floor_close(&r->floor);
    nodes_fini(&r->nodes, false);
    samples_fini(&r->latencies);
    cli_put(r->ring, RING_SIZE * sizeof(*r->ring));
    return status;
}
