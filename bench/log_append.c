/* log_append: what the log layer makes of a disk. Groups of one batch each are written and synced
 * one after the other, as a busy leader does, into new files (as they grow), and into files of
 * pruned segments that are used again; beside it the floor: a plain pwrite and fdatasync of as many
 * bytes into space that was written before. The three take turns, so that the disk's mood hits all.
 *
 *     bench_log_append [DIRECTORY [MEGABYTES [ROUNDS]]]
 *
 * Prints MB/s and ratios for groups of 256 KiB, and medians of one group of 4 KiB. The loop only
 * makes batches (a memcpy and a hash), so it is the log that is measured, not encoding or apply.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "engine/log_internal.h"
#include "env/host.h"

#define GROUP_SIZE    ((size_t)(256 * KIB))
#define SMALL_SIZE    ((size_t)4096)
#define SEGMENTS_KEPT 4u
#define FLOOR_BYTES   (64 * MIB)
#define SMALL_GROUPS  400u

struct bench {
    struct env *env;
    struct log *log;
    struct config config;
    struct log_identity id;
    bool is_recycling;
    size_t payload_size;
    uint64_t groups_left;
    uint64_t started_ns;
    uint64_t *times_ns;
    size_t time_count;
    struct log_chunk *next;
    struct env_task start;
    uint8_t payload[256 * KIB];
};

static uint64_t now_ns(void)
{
    return host_mono_ns();
}

static void fail(const char *what, const struct err *e)
{
    fprintf(stderr, "bench_log_append: %s: %s\n", what, e->text);
    exit(1);
}

static struct log_chunk *make_chunk(struct bench *b, const struct position *before)
{
    size_t size = BATCH_HEADER_SIZE + b->payload_size;
    struct log_chunk *chunk = chunk_new(b->log, size, 1);
    ASSERT(chunk != NULL);
    b->payload[before->seqno.v % b->payload_size]++;
    struct slice payload = slice_of(b->payload, b->payload_size);
    struct batch_header header = {
        .record_count = 1,
        .cluster = b->id.cluster,
        .stream = b->id.stream,
        .codec = CODEC_NONE,
        .epoch = {.number = 1, .nonce = 1},
        .first = seqno_next(before->seqno),
        .payload_size = (uint32_t)payload.size,
        .raw_size = (uint32_t)payload.size,
        .durable_through = before->seqno,
        .previous_chain = before->chain,
        .payload_hash = hash256_of(payload),
    };
    static uint8_t bytes[BATCH_HEADER_SIZE + 256 * KIB];
    batch_header_encode(&header, b->id.log_key, bytes);
    memcpy(bytes + BATCH_HEADER_SIZE, payload.data, payload.size);
    struct position end = {
        .epoch = 1, .seqno = seqno_next(before->seqno), .chain = batch_chain(bytes)};
    bool is_added = chunk_add(chunk, slice_of(bytes, size), &header, &end);
    ASSERT(is_added);
    return chunk;
}

static void written(void *arg, struct log_chunk *chunk, enum code code, const struct err *e);

static void write_next(struct bench *b)
{
    b->groups_left--;
    b->started_ns = now_ns();
    log_write(b->log, b->next, written, b);
    struct position end = log_written(b->log);
    b->next = b->groups_left > 0 ? make_chunk(b, &end) : NULL; /* while the disk works */
}

static void written(void *arg, struct log_chunk *chunk, enum code code, const struct err *e)
{
    struct bench *b = arg;
    (void)chunk;
    if (code != OK) fail("write", e);
    if (b->times_ns != NULL) b->times_ns[b->time_count++] = now_ns() - b->started_ns;
    if (b->next != NULL) {
        write_next(b);
    } else {
        env_uv_stop(b->env);
    }
    uint32_t count = log_segment_count(b->log);
    if (count <= SEGMENTS_KEPT) return;
    b->log->keeps_spare = b->is_recycling; /* without: pruned files are removed */
    if (!log_prune(b->log, count - SEGMENTS_KEPT)) return;
    log_release_pruned(b->log);
    log_dispose(b->log);
}

static void start_now(struct env_task *task)
{
    write_next(CONTAINER_OF(task, struct bench, start));
}

/* Seconds that `groups` groups take. */
static double run_log(struct bench *b, bool is_recycling, size_t payload_size, uint64_t groups)
{
    b->is_recycling = is_recycling;
    b->payload_size = payload_size;
    b->groups_left = groups;
    struct position end = log_written(b->log);
    b->next = make_chunk(b, &end);
    b->start.run = start_now;
    uint64_t started = now_ns();
    b->env->v->post(b->env, &b->start);
    env_uv_run(b->env);
    return (double)(now_ns() - started) / 1e9;
}

static double run_floor(struct bench *b, int fd, size_t size, uint64_t groups)
{
    struct err e;
    static uint64_t offset;
    uint64_t started = now_ns();
    for (uint64_t i = 0; i < groups; i++) {
        uint64_t began = now_ns();
        if (offset + size > FLOOR_BYTES) offset = 0;
        if (host_write_sync(fd, offset, slice_of(b->payload, size), &e) != OK) fail("floor", &e);
        offset += size;
        if (b->times_ns != NULL) b->times_ns[b->time_count++] = now_ns() - began;
    }
    return (double)(now_ns() - started) / 1e9;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static double median_us(struct bench *b)
{
    qsort(b->times_ns, b->time_count, sizeof(b->times_ns[0]), compare);
    double us = (double)b->times_ns[b->time_count / 2] / 1e3;
    b->time_count = 0;
    return us;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static double middle(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), compare_doubles);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    static struct bench b;
    static double floors[64], news[64], recycled[64], small[3][64];
    const char *dir = argc > 1 ? argv[1] : "bench-log-append";
    uint64_t megabytes = argc > 2 ? strtoull(argv[2], NULL, 10) : 48;
    size_t rounds = argc > 3 ? strtoull(argv[3], NULL, 10) : 9;
    if (rounds > COUNT_OF(floors)) rounds = COUNT_OF(floors);
    struct err e = {.code = OK};
    struct env_uv_options options = {.size = sizeof(options), .dir = dir};
    if (env_uv_open(&options, &b.env, &e) != OK) fail(dir, &e);
    if (b.env->v->make_dir(b.env, "log", &e) != OK) fail(dir, &e);
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/floor", dir);
    int fd = -1;
    if (host_make_zeroed_file(path, FLOOR_BYTES, &fd, &e) != OK) fail(path, &e);
    struct tide_options defaults = {.size = sizeof(defaults), .dir = dir};
    if (config_from_options(&defaults, &b.config, &e) != OK) fail("options", &e);
    b.config.segment_size_first = b.config.segment_size;
    b.id = (struct log_identity){.cluster = {{1}}, .log_key = 7};
    struct log_hooks hooks = {.owner = &b};
    struct position base = {0};
    b.log = log_new(b.env, &b.id, &b.config, &hooks, &base, 0);
    struct log_continue from = {.next_file_id = 1};
    if (b.log == NULL || log_start(b.log, &from, &e) != OK) fail("log", &e);
    uint64_t groups = megabytes * MIB / GROUP_SIZE;
    (void)run_log(&b, false, GROUP_SIZE, groups * 2); /* until there is something to prune */
    (void)run_log(&b, true, GROUP_SIZE, groups * 4);
    /* of all that runs between two resets */
    b.times_ns = malloc(sizeof(uint64_t) * (3 * groups + 256 + SMALL_GROUPS));
    for (size_t i = 0; i < rounds; i++) {
        floors[i] = (double)(groups * GROUP_SIZE) / run_floor(&b, fd, GROUP_SIZE, groups) / 1e6;
        (void)run_log(&b, true, GROUP_SIZE, 64); /* the next file is a recycled one */
        uint64_t used = b.log->recycled_used;
        recycled[i] = (double)(groups * GROUP_SIZE) / run_log(&b, true, GROUP_SIZE, groups) / 1e6;
        ASSERT(b.log->recycled_used > used);
        b.time_count = 0;
        small[0][i] = (run_floor(&b, fd, SMALL_SIZE, SMALL_GROUPS), median_us(&b));
        small[1][i] = (run_log(&b, true, SMALL_SIZE, SMALL_GROUPS), median_us(&b));
        while (b.log->recycled_count > 0) { /* use up what there is */
            (void)run_log(&b, false, GROUP_SIZE, 64);
        }
        (void)run_log(&b, false, GROUP_SIZE, 64);
        b.time_count = 0;
        news[i] = (double)(groups * GROUP_SIZE) / run_log(&b, false, GROUP_SIZE, groups) / 1e6;
        b.time_count = 0;
        small[2][i] = (run_log(&b, false, SMALL_SIZE, SMALL_GROUPS), median_us(&b));
    }
    double floor = middle(floors, rounds);
    printf("groups of 256 KiB  floor %.0f MB/s  recycled %.0f MB/s (%.0f %%)  new %.0f MB/s (%.0f "
           "%%)\n",
           floor, middle(recycled, rounds), 100 * middle(recycled, rounds) / floor,
           middle(news, rounds), 100 * middle(news, rounds) / floor);
    floor = middle(small[0], rounds);
    printf("one group of 4 KiB floor %.0f us  recycled %.0f us (%.2f x)  new %.0f us (%.2f x)\n",
           floor, middle(small[1], rounds), middle(small[1], rounds) / floor,
           middle(small[2], rounds), middle(small[2], rounds) / floor);
    log_stop(b.log);
    host_close(fd);
    log_free(b.log);
    env_uv_close(b.env);
    free(b.times_ns);
    return 0;
}
