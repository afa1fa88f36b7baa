/* bench catchup: a follower that was in step, then away while the leader took many records. How
 * fast does it catch up, beside how fast the disk takes that much log, written and synced in pieces
 * of 256 KiB?
 */
#include <stdio.h>

#include "base/text.h"
#include "cli/bench.h"
#include "cli/bench_report.h"
#include "cli/nodes.h"

#define OUTSTANDING    20000
#define STAND_STILL_NS (30 * NS_PER_S)
#define FLOOR_PIECE    ((size_t)(256 * KIB))
#define FLOOR_BYTES    ((uint64_t)(64 * MIB))

struct catchup {
    const char *verb;
    struct bench_report report;
    struct nodes nodes;
    struct node *leader;
    struct node *follower;
    struct floor floor;
    uint64_t records;
    uint64_t log_bytes; /* of the leader */
};

/* `records` more signals on the leader. */
static enum code fill_leader(struct catchup *c, struct err *e)
{
    struct resp_client *client = &c->leader->client;
    uint64_t sent = 0;
    uint64_t taken = 0;
    while (taken < c->records) {
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        while (sent < c->records && client->unanswered < OUTSTANDING) {
            char item[32];
            struct tide_signal signal = bench_signal(sent, item);
            struct slice words[] = {slice_of_text("SIGNAL"), slice_of_text("view"),
                                    slice_of(signal.item.data, signal.item.size)};
            if (!resp_client_add(client, words, COUNT_OF(words))) break;
            sent++;
        }
        const struct resp_value *reply = NULL;
        TRY(resp_client_await(client, NODE_ANSWER_MS, &reply, e));
        if (reply->kind == RESP_ERROR) {
            return ERR(e, resp_error_code(reply->text), "%.*s", (int)reply->text.size,
                       (const char *)reply->text.data);
        }
        taken++;
    }
    return OK;
}

static enum code ask_log_bytes(struct catchup *c, uint64_t *out, struct err *e)
{
    static const char name[] = "\nlog_bytes:";
    const struct resp_value *reply = NULL;
    TRY(node_call(c->leader, "INFO persistence", &reply, e));
    const uint8_t *at = memmem(reply->text.data, reply->text.size, name, sizeof(name) - 1);
    if (at == NULL) return ERR(e, E_PROTOCOL, "the leader does not tell log_bytes");
    at += sizeof(name) - 1;
    const uint8_t *end = reply->text.data + reply->text.size;
    size_t size = 0;
    while (at + size < end && at[size] >= '0' && at[size] <= '9') {
        size++;
    }
    if (!parse_u64(slice_of(at, size), out)) return ERR(e, E_PROTOCOL, "log_bytes is no number");
    return OK;
}

/* From the moment the follower answers until it has everything. It may have begun before: what it
 * had by then is not counted. */
static enum code catch_up(struct catchup *c, struct err *e)
{
    uint64_t goal = 0;
    uint64_t first = 0;
    TRY(node_position(c->leader, &goal, e));
    uint64_t started = host_mono_ns();
    TRY(nodes_restart(&c->nodes, c->follower, e));
    uint64_t ready = host_mono_ns();
    TRY(node_position(c->follower, &first, e));
    uint64_t moved = ready;
    for (uint64_t applied = first; applied < goal;) {
        uint64_t before = applied;
        TRY(node_position(c->follower, &applied, e));
        if (applied > before) moved = host_mono_ns();
        if (host_mono_ns() - moved > STAND_STILL_NS) {
            return ERR(e, E_TIMEOUT, "the follower stands still at record %llu",
                       (unsigned long long)applied);
        }
        host_sleep_ms(1);
    }
    uint64_t end = host_mono_ns();
    double seconds = (double)(end - ready) / 1e9;
    double rate = (double)(goal - first) / seconds;
    bench_report_add(&c->report, "records", "records behind", (double)(goal - first), "records");
    bench_report_add(&c->report, "catchup", "catching up, once it answers", rate, "/s");
    bench_report_add(&c->report, "with_start", "with its start and recovery",
                     (double)(end - started) / 1e6, "ms");
    uint64_t log_bytes = 0;
    TRY(ask_log_bytes(c, &log_bytes, e));
    double mib = (double)(log_bytes - c->log_bytes) / (double)MIB;
    bench_report_add(&c->report, "log", "log shipped", mib / seconds, "MiB/s");
    return OK;
}

/* The disk alone: FLOOR_BYTES in pieces, each synced. */
static enum code time_floor(struct catchup *c, double *out_mib_per_s, struct err *e)
{
    char path[HOST_PATH_SIZE + 16];
    struct text t = text_of(path, sizeof(path));
    text_add(&t, "%s/bulk", c->nodes.dir);
    int fd = -1;
    TRY(host_make_zeroed_file(path, FLOOR_BYTES, &fd, e));
    uint8_t *piece = cli_take(FLOOR_PIECE);
    memset(piece, 7, FLOOR_PIECE);
    uint64_t started = host_mono_ns();
    enum code code = OK;
    for (uint64_t at = 0; at < FLOOR_BYTES && code == OK; at += FLOOR_PIECE) {
        code = host_write_sync(fd, at, slice_of(piece, FLOOR_PIECE), e);
    }
    double seconds = (double)(host_mono_ns() - started) / 1e9;
    *out_mib_per_s = (double)FLOOR_BYTES / (double)MIB / seconds;
    cli_put(piece, FLOOR_PIECE);
    host_close(fd);
    return code;
}

static enum code measure(struct catchup *c, const char *parent, int *out_status, struct err *e)
{
    struct nodes_equality equality = {0};
    double floor_rate = 0;
    TRY(nodes_init(&c->nodes, parent, "tidemark-bench", e));
    TRY(floor_open(&c->floor, c->nodes.dir, e));
    TRY(floor_settle(&c->floor, e));
    TRY(floor_run(&c->floor, 500, e));
    *out_status = floor_judge(&c->floor, c->verb);
    if (*out_status != CLI_DONE) return OK;
    bench_report_add(&c->report, "floor_sync_p50", "floor: write and fdatasync, p50",
                     (double)samples_percentile(&c->floor.samples, 50) / 1e3, "us");
    TRY(time_floor(c, &floor_rate, e));
    bench_report_add(&c->report, "floor_bulk", "floor: 256 KiB writes, each synced", floor_rate,
                     "MiB/s");
    TRY(nodes_add(&c->nodes, "leader", &c->leader, e));
    TRY(nodes_add(&c->nodes, "f1", &c->follower, e));
    TRY(nodes_wait_equal(&c->nodes, &equality, e));
    TRY(ask_log_bytes(c, &c->log_bytes, e));
    host_child_kill(&c->follower->child);
    resp_client_close(&c->follower->client);
    TRY(fill_leader(c, e));
    TRY(catch_up(c, e));
    const struct bench_figure *shipped = &c->report.figures[c->report.count - 1];
    bench_report_add(&c->report, "log_floor", "log shipped against the floor",
                     shipped->value / floor_rate, "x");
    TRY(nodes_wait_equal(&c->nodes, &equality, e));
    bench_report_note(&c->report, "digests of both nodes are equal at record %llu\n",
                      (unsigned long long)equality.seqno);
    return OK;
}

int bench_catchup(const struct cli_args *args)
{
    static struct catchup catchup;
    struct catchup *c = &catchup;
    struct err e;
    int status = CLI_DONE;
    *c = (struct catchup){.verb = args->verb, .records = 1000000, .floor.fd = -1};
    if (!cli_u64(args->verb, "records", args->values[BENCH_CATCHUP_RECORDS], 1, UINT32_MAX,
                 &c->records)) {
        return CLI_USAGE;
    }
    bench_report_init(&c->report, "catchup", args->values[BENCH_CATCHUP_JSON] != NULL, stdout);
    host_catch_interrupts();
    enum code code = measure(c, args->values[BENCH_CATCHUP_DIR], &status, &e);
    if (code == OK && status == CLI_DONE) bench_report_end(&c->report);
    if (code != OK) {
        if (!host_is_interrupted()) nodes_show_logs(&c->nodes);
        status = cli_failure(args->verb, &e);
    }
    floor_close(&c->floor);
    nodes_fini(&c->nodes, false);
    return status;
}
