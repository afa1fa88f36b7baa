/* bench: what the benchmarks share. Each prints ratios against a raw floor or another figure of the
 * same run, because absolute figures of one machine say little about another. The floor is one
 * write and one fdatasync into a file whose blocks exist already: no append can be faster. When its
 * own median is over BENCH_QUIET_NS the disk is busy with something else and nothing is claimed.
 */
#ifndef TIDEMARK_CLI_BENCH_H
#define TIDEMARK_CLI_BENCH_H

#include "base/error.h"
#include "cli/cli.h"
#include "cli/samples.h"
#include "env/host.h"
#include "tidemark.h"

#define BENCH_QUIET_NS 250000
#define BENCH_FLOOR_SIZE \
    256 /* what one signal alone takes in the log, header and padding included */

enum { BENCH_APPEND_DIR, BENCH_APPEND_RECORDS };
enum { BENCH_RECOVER_DIR, BENCH_RECOVER_RECORDS };
enum {
    BENCH_REPLICATE_DIR,
    BENCH_REPLICATE_RATE,
    BENCH_REPLICATE_SECONDS,
    BENCH_REPLICATE_RECORDS,
};
enum { BENCH_FANOUT_DIR, BENCH_FANOUT_RATE, BENCH_FANOUT_SECONDS };
enum { BENCH_CATCHUP_DIR, BENCH_CATCHUP_RECORDS, BENCH_CATCHUP_JSON };
enum { BENCH_SCORE_DIR, BENCH_SCORE_ITEMS, BENCH_SCORE_JSON };
enum { BENCH_RETRIEVE_DIR, BENCH_RETRIEVE_ITEMS, BENCH_RETRIEVE_PHASE_MS, BENCH_RETRIEVE_JSON };
int bench_append(const struct cli_args *args);
int bench_recover(const struct cli_args *args);
int bench_replicate(const struct cli_args *args);
int bench_fanout(const struct cli_args *args);
int bench_catchup(const struct cli_args *args);
int bench_score(const struct cli_args *args);
int bench_retrieve(const struct cli_args *args);

/* The raw floor. */
struct floor {
    int fd;
    uint64_t offset;
    struct samples samples;
};
MUST_CHECK enum code floor_open(struct floor *f, const char *dir, struct err *e);
void floor_close(struct floor *f);
/* n writes, each timed. */
MUST_CHECK enum code floor_run(struct floor *f, size_t n, struct err *e);
/* Wait until the disk is quiet, but not longer than a minute; forgets its own samples. */
MUST_CHECK enum code floor_settle(struct floor *f, struct err *e);
/* CLI_DONE, or CLI_REFUSED after saying that the disk is not quiet. */
int floor_judge(struct floor *f, const char *verb);

/* A database of the benchmark's own, without checkpoints unless asked for. */
MUST_CHECK enum code bench_open(const char *dir, tide_db **out, struct tide_open_report *report,
                                struct err *e);
void bench_close(tide_db *db);
/* A temporary directory with a database in it. */
struct bench_place {
    char dir[HOST_PATH_SIZE]; /* "": none */
    tide_db *db;              /* NULL: not open */
};
/* Below parent; NULL: where temporary files go. */
MUST_CHECK enum code bench_place_open(struct bench_place *place, const char *parent, struct err *e);
/* Close and remove everything. Harmless on zeroed memory. */
MUST_CHECK enum code bench_place_close(struct bench_place *place, struct err *e);

/* Records first .. first + count - 1, one signal of item n modulo `items` each: `runs` runs of
 * `run_size` signals in flight. */
struct bench_load {
    uint64_t first;
    uint64_t count;
    uint64_t items; /* 0: 10,000 */
    uint32_t type;  /* see bench_item */
    uint32_t runs;
    uint32_t run_size;
};
#define BENCH_BULK_RUNS     16
#define BENCH_BULK_RUN_SIZE 500
/* Write them all and wait until they are durable and visible. Fails when one write fails. */
MUST_CHECK enum code bench_fill(tide_db *db, const struct bench_load *load, struct err *e);
/* A signal of item n, its key written to name (32 bytes). */
struct tide_signal bench_signal(uint64_t n, char name[32]);

/* A signal of exactly this item, of type 0 view, 1 share, 2 skip, with a weight that depends on the
 * number; its key is written to name (32 bytes). */
#define BENCH_TYPES 3
struct tide_signal bench_item(uint64_t n, uint32_t type, char name[32]);

/* The floor of reads: the fastest of some sums over so many numbers of 8 bytes. Nanoseconds. */
double bench_scan_memory(uint64_t count);

/* "123 us", "1.2 ms". */
const char *bench_time(uint64_t ns, char out[CLI_COUNT_SIZE]);
/* records per second, with separators. */
const char *bench_rate(uint64_t count, uint64_t ns, char out[CLI_COUNT_SIZE]);

#endif
