/* bench recover: how long opening takes when the whole log must be replayed, and when a checkpoint
 * stands at its end; and how long a digest of the whole state takes.
 */
#include <stdio.h>

#include "base/text.h"
#include "cli/bench.h"

struct recover {
    const char *verb;
    char dir[HOST_PATH_SIZE];
    char data[HOST_PATH_SIZE];
    tide_db *db;
    struct floor floor;
};

static enum code fail(const struct tide_err *why, struct err *e)
{
    return err_fill(e, (enum code)why->code, why->origin, "%s", why->message);
}

static enum code reopen(struct recover *r, const char *what, struct err *e)
{
    char texts[3][CLI_COUNT_SIZE];
    struct tide_open_report report;
    memset(&report, 0, sizeof(report));
    bench_close(r->db);
    r->db = NULL;
    uint64_t started = host_mono_ns();
    TRY(bench_open(r->data, &r->db, &report, e));
    uint64_t took = host_mono_ns() - started;
    printf("%-16s open after %s: %s records replayed", what, bench_time(took, texts[0]),
           cli_count(report.records_replayed, texts[1]));
    if (report.records_replayed > 1000) {
        printf(", %s/s", bench_rate(report.records_replayed, took, texts[2]));
    }
    if (report.checkpoint_seqno > 0) {
        printf(", on a checkpoint at %llu", (unsigned long long)report.checkpoint_seqno);
    }
    printf("\n");
    return OK;
}

static enum code time_digest(struct recover *r, struct err *e)
{
    char text[CLI_COUNT_SIZE];
    struct tide_digest digest;
    struct tide_err why;
    uint64_t started = host_mono_ns();
    if (tide_digest_now(r->db, &digest, &why) != TIDE_OK) return fail(&why, e);
    printf("digest           of the whole state: %s\n", bench_time(host_mono_ns() - started, text));
    return OK;
}

static enum code prepare(struct recover *r, const char *parent, uint64_t records, struct err *e)
{
    char texts[2][CLI_COUNT_SIZE];
    TRY(host_make_temp_dir(parent, "tidemark-bench", r->dir, e));
    struct text t = text_of(r->data, sizeof(r->data));
    text_add(&t, "%s/data", r->dir);
    TRY(floor_open(&r->floor, r->dir, e));
    TRY(floor_settle(&r->floor, e));
    TRY(floor_run(&r->floor, 500, e));
    TRY(bench_open(r->data, &r->db, NULL, e));
    struct bench_load load = {
        .first = 0, .count = records, .runs = BENCH_BULK_RUNS, .run_size = BENCH_BULK_RUN_SIZE};
    uint64_t started = host_mono_ns();
    TRY(bench_fill(r->db, &load, e));
    printf("in %s: %s records written in %s\n", r->dir, cli_count(records, texts[0]),
           bench_time(host_mono_ns() - started, texts[1]));
    return OK;
}

static enum code measure(struct recover *r, const char *parent, uint64_t records, int *out_status,
                         struct err *e)
{
    TRY(prepare(r, parent, records, e));
    *out_status = floor_judge(&r->floor, r->verb);
    if (*out_status != CLI_DONE) return OK;
    TRY(reopen(r, "replay", e));
    TRY(time_digest(r, e));
    struct tide_err why;
    struct tide_position cut;
    char text[CLI_COUNT_SIZE];
    uint64_t started = host_mono_ns();
    if (tide_checkpoint(r->db, &cut, &why) != TIDE_OK) return fail(&why, e);
    printf("checkpoint       written in %s\n", bench_time(host_mono_ns() - started, text));
    return reopen(r, "checkpoint", e);
}

int bench_recover(const struct cli_args *args)
{
    static struct recover recover;
    struct recover *r = &recover;
    struct err e;
    int status = CLI_DONE;
    uint64_t records = 1000000;
    if (!cli_u64(args->verb, "records", args->values[BENCH_RECOVER_RECORDS], 1, UINT32_MAX,
                 &records)) {
        return CLI_USAGE;
    }
    *r = (struct recover){.verb = args->verb, .floor.fd = -1};
    host_catch_interrupts();
    enum code code = measure(r, args->values[BENCH_RECOVER_DIR], records, &status, &e);
    if (code != OK) status = cli_failure(args->verb, &e);
    bench_close(r->db);
    floor_close(&r->floor);
    if (r->dir[0] != '\0' && host_remove_tree(r->dir, &e) != OK) {
        status = cli_failure(args->verb, &e);
    }
    return status;
}
