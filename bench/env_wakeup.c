/* env_wakeup: what the way of one commit costs besides the disk.
 *
 *     caller --post--> loop --submit--> log thread --done--> loop --wake--> caller
 *
 *     bench_env_wakeup [ROUNDS [DIRECTORY]]
 *
 * Prints percentiles of each leg in microseconds and the CPU time of a round. With a directory the
 * job writes 4 KiB into zero-filled space and syncs it; without one it does nothing. The last line
 * is the cost of a post when the loop is busy.
 */
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "env/env.h"

#define BLOCK_SIZE  4096u
#define FILE_BLOCKS 4096u
#define POSTS       1000000u

enum { LEG_TO_LOOP, LEG_TO_LOG, LEG_JOB, LEG_FROM_LOG, LEG_TO_CALLER, LEG_ALL, LEG_COUNT };
static const char *const leg_names[LEG_COUNT] = {
    "caller -> loop", "loop -> log thread", "job", "log thread -> loop", "loop -> caller", "whole",
};

struct bench {
    struct env *env;
    struct env_file *file; /* NULL: the job does nothing */
    struct env_task task;
    struct env_job job;
    sem_t answered;
    size_t rounds;
    size_t round;
    uint64_t at_ns[LEG_COUNT]; /* when each leg began */
    uint32_t *legs_ns[LEG_COUNT];
    uint8_t block[BLOCK_SIZE];
    _Atomic uint32_t posts_run;
};

static uint64_t now_ns(const struct bench *b)
{
    return b->env->v->now_mono_ns(b->env);
}

static void on_done(struct env_job *job)
{
    struct bench *b = CONTAINER_OF(job, struct bench, job);
    b->at_ns[LEG_TO_CALLER] = now_ns(b);
    ASSERT(sem_post(&b->answered) == 0);
}

static void run_job(struct env_job *job)
{
    struct bench *b = CONTAINER_OF(job, struct bench, job);
    b->at_ns[LEG_JOB] = now_ns(b);
    if (b->file != NULL) {
        struct slice block = slice_of(b->block, sizeof(b->block));
        uint64_t offset = (b->round % FILE_BLOCKS) * BLOCK_SIZE;
        ASSERT(b->env->v->pwrite(b->env, b->file, offset, block, NULL) == OK);
        ASSERT(b->env->v->sync(b->env, b->file, NULL) == OK);
    }
    b->at_ns[LEG_FROM_LOG] = now_ns(b);
}

static void run_task(struct env_task *task)
{
    struct bench *b = CONTAINER_OF(task, struct bench, task);
    b->at_ns[LEG_TO_LOG] = now_ns(b);
    b->env->v->submit(b->env, LANE_LOG, &b->job);
}

static void keep_round(struct bench *b, uint64_t end_ns)
{
    for (size_t leg = 0; leg < LEG_ALL; leg++) {
        uint64_t next_ns = leg + 1 < LEG_ALL ? b->at_ns[leg + 1] : end_ns;
        b->legs_ns[leg][b->round] = (uint32_t)(next_ns - b->at_ns[leg]);
    }
    b->legs_ns[LEG_ALL][b->round] = (uint32_t)(end_ns - b->at_ns[LEG_TO_LOOP]);
}

static void *call(void *arg)
{
    struct bench *b = arg;
    for (b->round = 0; b->round < b->rounds; b->round++) {
        b->at_ns[LEG_TO_LOOP] = now_ns(b);
        b->env->v->post(b->env, &b->task);
        while (sem_wait(&b->answered) != 0) {
        }
        keep_round(b, now_ns(b));
    }
    env_uv_stop(b->env);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_leg(const struct bench *b, size_t leg)
{
    uint32_t *ns = b->legs_ns[leg];
    qsort(ns, b->rounds, sizeof(*ns), compare);
    printf("%-20s p50 %7.1f  p90 %7.1f  p99 %7.1f us\n", leg_names[leg], ns[b->rounds / 2] / 1000.0,
           ns[b->rounds * 9 / 10] / 1000.0, ns[b->rounds * 99 / 100] / 1000.0);
}

static double cpu_us(void)
{
    struct rusage usage;
    ASSERT(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void bench_rounds(struct bench *b)
{
    pthread_t caller;
    double before_us = cpu_us();
    ASSERT(pthread_create(&caller, NULL, call, b) == 0);
    env_uv_run(b->env);
    ASSERT(pthread_join(caller, NULL) == 0);
    double used_us = cpu_us() - before_us;
    for (size_t leg = 0; leg < LEG_COUNT; leg++) {
        print_leg(b, leg);
    }
    printf("CPU time             %.1f us per round\n", used_us / (double)b->rounds);
}

static void count_post(struct env_task *task)
{
    struct bench *b = CONTAINER_OF(task, struct bench, task);
    atomic_fetch_add(&b->posts_run, 1);
}

static void *post_many(void *arg)
{
    struct bench *b = arg;
    uint64_t start_ns = now_ns(b);
    for (uint32_t i = 0; i < POSTS; i++) {
        b->env->v->post(b->env, &b->task);
    }
    printf("post                 %.0f ns each, %" PRIu32 " of %u led to a run\n",
           (double)(now_ns(b) - start_ns) / POSTS, atomic_load(&b->posts_run), POSTS);
    env_uv_stop(b->env);
    return NULL;
}

static void bench_posts(struct bench *b)
{
    pthread_t poster;
    b->task.run = count_post;
    ASSERT(pthread_create(&poster, NULL, post_many, b) == 0);
    env_uv_run(b->env);
    ASSERT(pthread_join(poster, NULL) == 0);
}

static struct env_file *zero_filled_file(struct bench *b)
{
    struct env *env = b->env;
    struct env_file *file = NULL;
    struct err e;
    if (env->v->open(env, "bench.tmp", ENV_WRITE | ENV_CREATE, &file, &e) != OK) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    for (uint64_t i = 0; i < FILE_BLOCKS; i++) {
        struct slice block = slice_of(b->block, sizeof(b->block));
        ASSERT(env->v->pwrite(env, file, i * BLOCK_SIZE, block, NULL) == OK);
    }
    ASSERT(env->v->sync(env, file, NULL) == OK);
    return file;
}

int main(int argc, char **argv)
{
    static struct bench b = {.task.run = run_task, .job = {.run = run_job, .done = on_done}};
    b.rounds = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 20000;
    const char *dir = argc > 2 ? argv[2] : NULL;
    struct err e;
    struct env_uv_options options = {.size = sizeof(options), .dir = dir};
    if (b.rounds == 0 || env_uv_open(&options, &b.env, &e) != OK) {
        fprintf(stderr, "%s\n", b.rounds == 0 ? "usage: [ROUNDS [DIRECTORY]]" : e.text);
        return 1;
    }
    for (size_t leg = 0; leg < LEG_COUNT; leg++) {
        b.legs_ns[leg] = calloc(b.rounds, sizeof(uint32_t));
        ASSERT(b.legs_ns[leg] != NULL);
    }
    ASSERT(sem_init(&b.answered, 0, 0) == 0);
    if (dir != NULL) b.file = zero_filled_file(&b);
    bench_rounds(&b);
    bench_posts(&b);
    b.env->v->close(b.env, b.file);
    if (dir != NULL) (void)b.env->v->unlink(b.env, "bench.tmp", NULL); /* left over: harmless */
    env_uv_close(b.env);
    for (size_t leg = 0; leg < LEG_COUNT; leg++) {
        free(b.legs_ns[leg]);
    }
    return 0;
}
