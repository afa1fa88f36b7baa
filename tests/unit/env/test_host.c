/* Tests of env/host: what the command line asks the system for, on real files and processes. */
#include "support/tm_test.h"

#include "env/host.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void files_are_read_whole_and_named_in_errors(void **state)
{
    (void)state;
    char *dir = tm_dir_make("host_files");
    char path[HOST_PATH_SIZE];
    char bytes[16];
    struct err e;
    int fd = -1;
    size_t size = 0;
    uint64_t file_size = 0;
    (void)snprintf(path, sizeof(path), "%s/a", dir);
    assert_int_equal(host_open(path, &fd, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, path));
    write_file(path, "hello");
    assert_int_equal(host_open(path, &fd, &e), OK);
    assert_true(host_is_regular(fd, &file_size));
    assert_int_equal(file_size, 5);
    assert_int_equal(host_pread(fd, 1, bytes, sizeof(bytes), &size, &e), OK);
    assert_int_equal(size, 4);
    assert_memory_equal(bytes, "ello", 4);
    assert_int_equal(host_read(fd, bytes, 2, &size, &e), OK);
    assert_int_equal(size, 2);
    host_close(fd);
    assert_true(host_is_directory(dir));
    assert_false(host_is_directory(path));
    tm_dir_remove(dir);
}

static void directory_lists_files_only(void **state)
{
    (void)state;
    char *dir = tm_dir_make("host_dir");
    char path[HOST_PATH_SIZE];
    struct err e;
    struct host_dir *list = NULL;
    (void)snprintf(path, sizeof(path), "%s/one", dir);
    write_file(path, "");
    (void)snprintf(path, sizeof(path), "%s/.hidden", dir);
    write_file(path, "");
    char below[HOST_PATH_SIZE];
    assert_int_equal(host_make_temp_dir(dir, "below", below, &e), OK);
    assert_int_equal(host_dir_open(dir, &list, &e), OK);
    assert_string_equal(host_dir_next(list), "one");
    assert_null(host_dir_next(list));
    host_dir_close(list);
    assert_int_equal(host_remove_tree(below, &e), OK);
    assert_false(host_is_directory(below));
    tm_dir_remove(dir);
}

/* The lock of another process is seen; looking does not take it. */
static void lock_of_another_process_is_seen(void **state)
{
    (void)state;
    char *dir = tm_dir_make("host_lock");
    char path[HOST_PATH_SIZE];
    int64_t pid = 0;
    int ends[2];
    char byte = 0;
    (void)snprintf(path, sizeof(path), "%s/lock", dir);
    assert_false(host_is_locked(path, &pid));
    write_file(path, "");
    assert_false(host_is_locked(path, &pid));
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_RDWR);
        byte = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 'y' : 'n';
        (void)!write(ends[1], &byte, 1);
        (void)pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_true(host_is_locked(path, &pid));
    assert_int_equal(pid, child);
    struct host_child handle = {.pid = child};
    struct host_usage usage = {0};
    struct err e;
    assert_int_equal(host_child_usage(&handle, &usage, &e), OK);
    assert_true(usage.memory_bytes > 0);
    host_child_kill(&handle);
    assert_int_equal(handle.exit_code, 128 + 9);
    assert_false(host_is_locked(path, &pid));
    tm_dir_remove(dir);
}

static void child_gives_its_output_and_exit_code(void **state)
{
    (void)state;
    static const char *const words[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};
    char *dir = tm_dir_make("host_child");
    char path[HOST_PATH_SIZE];
    char bytes[16];
    struct host_child child = {0};
    struct err e;
    size_t size = 0;
    (void)snprintf(path, sizeof(path), "%s/err", dir);
    struct host_spawn how = {.words = words, .error_path = path, .wants_output = true};
    assert_int_equal(host_spawn(&how, &child, &e), OK);
    assert_int_equal(host_read(child.stdout_fd, bytes, sizeof(bytes), &size, &e), OK);
    assert_int_equal(size, 4);
    assert_true(host_child_wait(&child, 5000));
    assert_int_equal(child.exit_code, 3);
    int fd = -1;
    assert_int_equal(host_open(path, &fd, &e), OK);
    assert_int_equal(host_pread(fd, 0, bytes, sizeof(bytes), &size, &e), OK);
    assert_memory_equal(bytes, "err\n", 4);
    host_close(fd);
    host_child_kill(&child); /* ended already: only the pipe is closed */
    tm_dir_remove(dir);
}

static void child_does_not_see_variables_that_are_kept_back(void **state)
{
    (void)state;
    static const char *const words[] = {"sh", "-c",
                                        "test -z \"$KEPT_A$KEPT_B\" && test -n \"$PATH\"", NULL};
    struct host_child child = {0};
    struct err e;
    assert_int_equal(setenv("KEPT_A", "1", 1), 0);
    assert_int_equal(setenv("KEPT_B", "1", 1), 0);
    struct host_spawn how = {.words = words, .without = "KEPT_"};
    assert_int_equal(host_spawn(&how, &child, &e), OK);
    assert_true(host_child_wait(&child, 5000));
    assert_int_equal(child.exit_code, 0);
    assert_string_equal(host_environment("KEPT_A"), "1");
    host_child_kill(&child);
}

static void program_that_is_absent_ends_with_127(void **state)
{
    (void)state;
    static const char *const words[] = {"no-such-program-here", NULL};
    struct host_child child = {0};
    struct err e;
    assert_int_equal(host_spawn(&(struct host_spawn){.words = words}, &child, &e), OK);
    assert_true(host_child_wait(&child, 5000));
    assert_int_equal(child.exit_code, 127);
    host_child_kill(&child);
}

static void bad_addresses_are_refused_in_words(void **state)
{
    (void)state;
    struct err e;
    int fd = -1;
    static const char *const addresses[] = {"nothing", ":1", "host:", "h:123456"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        assert_int_equal(host_connect(addresses[i], 100, &fd, &e), E_INVALID);
        assert_non_null(strstr(e.text, "HOST:PORT"));
    }
}

static void zeroed_file_has_its_size_and_takes_synced_writes(void **state)
{
    (void)state;
    char *dir = tm_dir_make("host_zeroed");
    char path[HOST_PATH_SIZE];
    struct err e;
    int fd = -1;
    uint64_t size = 0;
    (void)snprintf(path, sizeof(path), "%s/floor", dir);
    assert_int_equal(host_make_zeroed_file(path, 300000, &fd, &e), OK);
    assert_int_equal(host_size(fd, &size, &e), OK);
    assert_int_equal(size, 300000);
    assert_int_equal(host_write_sync(fd, 4096, slice_of_text("abc"), &e), OK);
    host_close(fd);
    tm_dir_remove(dir);
}

static void surroundings(void **state)
{
    (void)state;
    assert_non_null(host_environment("PATH"));
    assert_null(host_environment("PAT"));
    assert_non_null(host_environment_entry(0));
    assert_true(host_wall_ms() > INT64_C(1600000000000));
    uint64_t before = host_mono_ns();
    assert_true(host_mono_ns() >= before);
    assert_true(host_random() != host_random());
    char path[HOST_PATH_SIZE];
    struct err e;
    assert_int_equal(host_program_path(path, &e), OK);
    assert_non_null(strstr(path, "test_"));
    assert_string_not_equal(host_reason(2), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_whole_and_named_in_errors),
        cmocka_unit_test(directory_lists_files_only),
        cmocka_unit_test(lock_of_another_process_is_seen),
        cmocka_unit_test(child_gives_its_output_and_exit_code),
        cmocka_unit_test(child_does_not_see_variables_that_are_kept_back),
        cmocka_unit_test(program_that_is_absent_ends_with_127),
        cmocka_unit_test(bad_addresses_are_refused_in_words),
        cmocka_unit_test(zeroed_file_has_its_size_and_takes_synced_writes),
        cmocka_unit_test(surroundings),
    };
    return cmocka_run_group_tests_name("env/host", tests, NULL, NULL);
}
