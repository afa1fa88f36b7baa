/* Open files: whole writes, every error the system has, reads past the page cache. */
#include "env_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"

static char *root;
static struct env *env;

static int open_root(void **state)
{
    (void)state;
    root = tm_dir_make("env-file");
    env = open_env(root);
    return 0;
}

static int close_root(void **state)
{
    (void)state;
    env_uv_close(env);
    tm_dir_remove(root);
    return 0;
}

static const char *below(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static struct env_file *open_file(const char *path, unsigned flags)
{
    struct env_file *file = NULL;
    struct err e;
    assert_ok(env->v->open(env, path, flags, &file, &e));
    return file;
}

static void flags_mean_what_they_say(void **state)
{
    (void)state;
    struct env_file *file = NULL;
    struct err e;
    assert_error(env->v->open(env, "f", ENV_READ, &file, &e), E_NOTFOUND, &e, "cannot open",
                 "/f: No");
    assert_error(env->v->open(env, "f", ENV_WRITE, &file, &e), E_NOTFOUND, &e, "/f");
    assert_null(file);
    file = open_file("f", ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE);
    assert_ok(env->v->pwrite(env, file, 0, slice_of_text("hello"), &e)); /* WRITE implies read */
    char text[8] = "";
    size_t got = 0;
    assert_ok(env->v->pread(env, file, 0, text, 5, &got, &e));
    assert_int_equal(got, 5);
    assert_memory_equal(text, "hello", 5);
    env->v->close(env, file);
    struct stat st;
    assert_int_equal(stat(below("f"), &st), 0);
    assert_int_equal(st.st_mode & 07777u, 0600);
    file = NULL;
    const unsigned fresh = ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE;
    assert_error(env->v->open(env, "f", fresh, &file, &e), E_EXISTS, &e, "/f: File exists");
    file = open_file("f", ENV_WRITE | ENV_CREATE); /* keeps the content */
    uint64_t size = 0;
    assert_ok(env->v->size(env, file, &size, &e));
    assert_int_equal(size, 5);
    env->v->close(env, file);
    file = open_file("f", ENV_READ);
    assert_error(env->v->pwrite(env, file, 0, slice_of_text("x"), &e), E_IO, &e, "cannot write");
    env->v->close(env, file);
    env->v->close(env, NULL);
}

static void only_regular_files_are_opened(void **state)
{
    (void)state;
    struct err e;
    struct env_file *file = NULL;
    assert_ok(env->v->make_dir(env, "dir", &e));
    assert_int_equal(mkfifo(below("fifo"), 0600), 0);
    assert_error(env->v->open(env, "dir", ENV_READ, &file, &e), E_IO, &e,
                 "/dir: it is a directory");
    assert_error(env->v->open(env, "dir", ENV_WRITE, &file, &e), E_IO, &e, "/dir: Is a directory");
    assert_error(env->v->open(env, "fifo", ENV_READ, &file, &e), E_IO, &e, "something special");
    struct env_file *plain = open_file("plain", ENV_WRITE | ENV_CREATE);
    env->v->close(env, plain);
    assert_error(env->v->open(env, "plain/x", ENV_READ, &file, &e), E_IO, &e, "plain");
}

static void reads_end_where_the_file_ends(void **state)
{
    (void)state;
    struct err e;
    struct env_file *file = open_file("ends", ENV_WRITE | ENV_CREATE);
    assert_ok(env->v->pwrite(env, file, 10, slice_of_text("abc"), &e)); /* a hole before it */
    assert_ok(env->v->pwrite(env, file, 0, slice_of(NULL, 0), &e));
    char bytes[32];
    memset(bytes, 'x', sizeof(bytes));
    size_t got = 0;
    assert_ok(env->v->pread(env, file, 0, bytes, sizeof(bytes), &got, &e));
    assert_int_equal(got, 13);
    assert_memory_equal(bytes, "\0\0\0\0\0\0\0\0\0\0abcx", 14);
    assert_ok(env->v->pread(env, file, 13, bytes, sizeof(bytes), &got, &e));
    assert_int_equal(got, 0);
    assert_ok(env->v->truncate(env, file, 11, &e));
    assert_ok(env->v->pread(env, file, 5, bytes, sizeof(bytes), &got, &e));
    assert_int_equal(got, 6);
    assert_ok(env->v->truncate(env, file, 100, &e));
    uint64_t size = 0;
    assert_ok(env->v->size(env, file, &size, &e));
    assert_int_equal(size, 100);
    assert_ok(env->v->sync(env, file, &e));
    const uint64_t beyond = UINT64_MAX - 2;
    assert_error(env->v->pwrite(env, file, beyond, slice_of_text("abc"), &e), E_LIMIT, &e,
                 "beyond");
    assert_error(env->v->pread(env, file, beyond, bytes, 3, &got, &e), E_LIMIT, &e, "beyond");
    env->v->close(env, file);
}

/* A file system of 64 KiB that is full: whole and partial refusals both say so. */
static void full_disk_is_told_from_a_broken_one(void **state)
{
    (void)state;
    struct err e;
    assert_ok(env->v->make_dir(env, "small", &e));
    if (mount("tmpfs", below("small"), "tmpfs", 0, "size=64k,mode=0700") != 0) {
        print_message("skipped: mounting a small file system needs root\n");
        skip();
    }
    static uint8_t bytes[128 * 1024];
    struct env_file *file = open_file("small/f", ENV_WRITE | ENV_CREATE);
    struct err part_e;
    enum code part = env->v->pwrite(env, file, 0, slice_of(bytes, sizeof(bytes)), &part_e);
    struct err none_e;
    enum code none = env->v->pwrite(env, file, 1024 * 1024, slice_of(bytes, 4096), &none_e);
    env->v->close(env, file);
    assert_int_equal(umount2(below("small"), MNT_DETACH), 0);
    assert_error(part, E_DISKFULL, &part_e, "only 65536 of 131072 bytes", "No space left");
    assert_error(none, E_DISKFULL, &none_e, "cannot write 4096 bytes at 1048576", "No space left");
}

struct limited {
    struct env_job job;
    struct env_file *file;
    enum code code;
    struct err e;
};

static void run_limited_write(struct env_job *job)
{
    struct limited *limited = CONTAINER_OF(job, struct limited, job);
    static uint8_t bytes[8192];
    limited->code =
        env->v->pwrite(env, limited->file, 0, slice_of(bytes, sizeof(bytes)), &limited->e);
}

static void nothing_more(struct env_job *job)
{
    (void)job;
}

/* A limit on file sizes sends SIGXFSZ, whose default action ends the process. In a job it is an
 * error of the write, although this program does not ignore the signal. */
static void limit_on_file_sizes_counts_as_a_full_disk(void **state)
{
    (void)state;
    struct limited limited = {.job = {.run = run_limited_write, .done = nothing_more}};
    limited.file = open_file("limited", ENV_WRITE | ENV_CREATE);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit low = {.rlim_cur = 4096, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    env->v->submit(env, LANE_LOG, &limited.job);
    env_uv_stop(env);
    env_uv_run(env);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    env->v->close(env, limited.file);
    assert_error(limited.code, E_DISKFULL, &limited.e, "only 4096 of 8192", "ulimit -f");
}

static void fill(uint8_t *bytes, size_t size)
{
    struct random random;
    random_init(&random, tm_seed("env_file", 7));
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)random_next(&random);
    }
}

#define BIG ((size_t)900 * 1024 + 77)

/* Compare uncached reads of path with the bytes that were written, at many offsets and sizes. */
static void check_uncached(const char *path, const uint8_t *bytes)
{
    struct env_file *file = open_file(path, ENV_READ | ENV_UNCACHED);
    uint8_t *out = malloc(BIG + 4096);
    assert_non_null(out);
    const size_t offsets[] = {0,      1,      511,    512,     4095, 4096,      4097,
                              262143, 262144, 500001, BIG - 1, BIG,  BIG + 5000};
    const size_t sizes[] = {0, 1, 63, 512, 4095, 4096, 4097, 262144, 262145, BIG, BIG + 4096};
    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        for (size_t k = 0; k < COUNT_OF(sizes); k++) {
            size_t offset = offsets[i];
            size_t left = offset < BIG ? BIG - offset : 0;
            size_t expected = sizes[k] < left ? sizes[k] : left;
            size_t got = 12345;
            struct err e;
            memset(out, 0xee, sizes[k]);
            assert_ok(env->v->pread(env, file, offset, out, sizes[k], &got, &e));
            assert_int_equal(got, expected);
            if (got > 0) assert_memory_equal(out, bytes + offset, got);
        }
    }
    free(out);
    env->v->close(env, file);
}

static void write_big(const char *path, const uint8_t *bytes)
{
    struct err e;
    struct env_file *file = open_file(path, ENV_WRITE | ENV_CREATE);
    assert_ok(env->v->pwrite(env, file, 0, slice_of(bytes, BIG), &e));
    env->v->close(env, file); /* not synced: an uncached read must still see it */
}

static void uncached_reads_equal_what_was_written(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(BIG);
    assert_non_null(bytes);
    fill(bytes, BIG);
    write_big("big", bytes);
    check_uncached("big", bytes);
    free(bytes);
    /* Where the file system takes O_DIRECT, it is what was used. */
    int fd = open(below("big"), O_RDONLY | O_DIRECT);
    bool is_direct_possible = fd >= 0;
    if (fd >= 0) assert_int_equal(close(fd), 0);
    assert_int_equal(strstr(env_uv_describe(env), "no O_DIRECT") == NULL, is_direct_possible);
}

/* ramfs takes no O_DIRECT: same bytes, and the description says that the cache may be in between.
 */
static void uncached_reads_without_o_direct_work_and_are_noted(void **state)
{
    (void)state;
    struct err e;
    assert_ok(env->v->make_dir(env, "ram", &e));
    if (mount("ramfs", below("ram"), "ramfs", 0, "mode=0700") != 0) {
        print_message("skipped: mounting a file system without O_DIRECT needs root\n");
        skip();
    }
    bool is_noted_before = strstr(env_uv_describe(env), "no O_DIRECT") != NULL;
    uint8_t *bytes = malloc(BIG);
    assert_non_null(bytes);
    fill(bytes, BIG);
    write_big("ram/big", bytes);
    check_uncached("ram/big", bytes);
    free(bytes);
    bool is_noted_after = strstr(env_uv_describe(env), "no O_DIRECT") != NULL;
    assert_int_equal(umount2(below("ram"), MNT_DETACH), 0);
    assert_false(is_noted_before);
    assert_true(is_noted_after);
}

static void descriptors_that_run_out_are_told_with_the_remedy(void **state)
{
    (void)state;
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct env_file *file = NULL;
    struct err e;
    enum code code = env->v->open(env, "f", ENV_WRITE | ENV_CREATE, &file, &e);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_error(code, E_IO, &e, "cannot open", "raise ulimit -n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flags_mean_what_they_say, open_root, close_root),
        cmocka_unit_test_setup_teardown(only_regular_files_are_opened, open_root, close_root),
        cmocka_unit_test_setup_teardown(reads_end_where_the_file_ends, open_root, close_root),
        cmocka_unit_test_setup_teardown(full_disk_is_told_from_a_broken_one, open_root, close_root),
        cmocka_unit_test_setup_teardown(limit_on_file_sizes_counts_as_a_full_disk, open_root,
                                        close_root),
        cmocka_unit_test_setup_teardown(uncached_reads_equal_what_was_written, open_root,
                                        close_root),
        cmocka_unit_test_setup_teardown(uncached_reads_without_o_direct_work_and_are_noted,
                                        open_root, close_root),
        cmocka_unit_test_setup_teardown(descriptors_that_run_out_are_told_with_the_remedy,
                                        open_root, close_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
