/* The data directory: who may have it, its lock, names below it. */
#include "env_support.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *root; /* the test's folder; each test uses names of its own below it */

static int make_root(void **state)
{
    (void)state;
    root = tm_dir_make("env-dir");
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    tm_dir_remove(root);
    return 0;
}

static const char *below(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* A refused directory: the code, and a text that names it and says why. */
static void assert_refused(const char *dir, enum code code, const char *why)
{
    struct env_uv_options options = {.size = sizeof(options), .dir = dir};
    struct env *env = NULL;
    struct err e;
    assert_error(env_uv_open(&options, &env, &e), code, &e, "data directory ", dir, why);
    assert_null(env);
}

static void absent_directory_is_made_for_its_owner_only(void **state)
{
    (void)state;
    const char *dir = below("new");
    mode_t old = umask(0);
    env_uv_close(open_env(dir));
    (void)umask(old);
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777u, 0700);
    env_uv_close(open_env(dir)); /* and again, now that it is there */
    assert_refused(below("absent/new"), E_NOTFOUND, "create that first");
    assert_false(exists(below("absent")));
}

static void file_in_the_place_of_the_directory_is_refused(void **state)
{
    (void)state;
    const char *path = below("file");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_refused(path, E_INVALID, "it is a file");
}

static void world_writable_directory_is_refused_and_left_empty(void **state)
{
    (void)state;
    const char *dir = below("open");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_refused(dir, E_NOPERM, "0777); chmod 700 it");
    assert_int_equal(chmod(dir, 01777), 0); /* like /tmp */
    assert_refused(dir, E_NOPERM, "every user may write");
    assert_int_equal(rmdir(dir), 0); /* nothing was created in it */
}

static void foreign_directory_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: giving a directory away needs root\n");
        skip();
    }
    const char *dir = below("foreign");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chown(dir, 12345, 12345), 0);
    assert_refused(dir, E_NOPERM, "belongs to user 12345 and this process runs as user 0");
}

/* The administrator's own link to another disk is followed; links below the directory are not. */
static void directory_may_be_a_link_but_nothing_below_it(void **state)
{
    (void)state;
    assert_int_equal(mkdir(below("real"), 0700), 0);
    char target[512];
    (void)snprintf(target, sizeof(target), "%s", below("real"));
    assert_int_equal(symlink(target, below("link")), 0);
    assert_int_equal(mkdir(below("elsewhere"), 0700), 0);
    struct env *env = open_env(below("link"));
    struct err e;
    struct env_file *file = NULL;
    assert_int_equal(symlink("../elsewhere", below("real/log")), 0);
    assert_int_equal(symlink("../elsewhere/x", below("real/x")), 0);
    const unsigned create = ENV_WRITE | ENV_CREATE;
    assert_error(env->v->open(env, "x", create, &file, &e), E_IO, &e, "symbolic link");
    assert_error(env->v->open(env, "log/y", create, &file, &e), E_IO, &e, "symbolic link");
    assert_error(env->v->make_dir(env, "log", &e), E_IO, &e, "symbolic link");
    assert_error(env->v->sync_dir(env, "log", &e), E_IO, &e, "symbolic link");
    assert_false(exists(below("elsewhere/x")));
    assert_false(exists(below("elsewhere/y")));
    env_uv_close(env);
}

static void read_only_file_system_is_told(void **state)
{
    (void)state;
    assert_int_equal(mkdir(below("ro"), 0700), 0);
    if (mount("tmpfs", below("ro"), "tmpfs", MS_RDONLY, "size=64k,mode=0700") != 0) {
        print_message("skipped: mounting a read-only file system needs root\n");
        skip();
    }
    struct env *env = open_env(below("ro"));
    struct err e;
    enum code lock_code = env->v->lock(env, &e);
    env_uv_close(env);
    struct env_uv_options options = {.size = sizeof(options), .dir = below("ro/new")};
    struct err new_e;
    enum code new_code = env_uv_open(&options, &env, &new_e);
    assert_int_equal(umount2(below("ro"), MNT_DETACH), 0);
    assert_error(lock_code, E_IO, &e, "lock", "Read-only file system");
    assert_error(new_code, E_NOPERM, &new_e, "cannot create it", "Read-only file system");
}

static void directory_without_permission_is_told(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        print_message("skipped: root is not stopped by permissions\n");
        skip();
    }
    assert_int_equal(mkdir(below("locked"), 0500), 0);
    assert_refused(below("locked/new"), E_NOPERM, "Permission denied");
    assert_refused(below("locked"), E_NOPERM, "mode 0500");
}

/* A process that opens dir, locks it, says so, and dies when it is told to. Made before this
 * process has threads of its own. */
struct holder {
    pid_t pid;
    int ready[2];
    int leave[2];
};

static void holder_start(struct holder *holder, const char *dir)
{
    assert_int_equal(pipe(holder->ready), 0);
    assert_int_equal(pipe(holder->leave), 0);
    holder->pid = fork();
    assert_true(holder->pid >= 0);
    if (holder->pid > 0) return;
    struct env_uv_options options = {.size = sizeof(options), .dir = dir};
    struct env *env = NULL;
    bool is_ok = env_uv_open(&options, &env, NULL) == OK && env->v->lock(env, NULL) == OK;
    char byte = is_ok ? 'y' : 'n';
    (void)!write(holder->ready[1], &byte, 1);
    (void)!read(holder->leave[0], &byte, 1);
    _exit(0); /* without unlocking: the kernel does it */
}

static void holder_end(struct holder *holder)
{
    assert_int_equal(write(holder->leave[1], "x", 1), 1);
    assert_int_equal(waitpid(holder->pid, NULL, 0), holder->pid);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(close(holder->ready[i]), 0);
        assert_int_equal(close(holder->leave[i]), 0);
    }
}

static void lock_is_held_against_another_process_and_names_it(void **state)
{
    (void)state;
    assert_int_equal(mkdir(below("locks"), 0700), 0);
    struct holder holder;
    holder_start(&holder, below("locks"));
    char byte = 0;
    assert_int_equal(read(holder.ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    struct env *env = open_env(below("locks"));
    char process[48];
    (void)snprintf(process, sizeof(process), "process %ld uses it", (long)holder.pid);
    struct err e;
    enum code code = env->v->lock(env, &e);
    assert_error(code, E_INUSE, &e, below("locks"), process, "stop that one first");
    holder_end(&holder);
    assert_ok(env->v->lock(env, &e)); /* a dead process holds nothing */
    struct env *second = open_env(below("locks"));
    (void)snprintf(process, sizeof(process), "process %ld uses it", (long)getpid());
    assert_error(second->v->lock(second, &e), E_INUSE, &e, process);
    env_uv_close(env);
    assert_ok(second->v->lock(second, &e));
    env_uv_close(second);
}

static void touch(struct env *env, const char *path, size_t size)
{
    struct env_file *file = NULL;
    struct err e;
    uint8_t bytes[64] = {0};
    assert_ok(env->v->open(env, path, ENV_WRITE | ENV_CREATE, &file, &e));
    assert_ok(env->v->pwrite(env, file, 0, slice_of(bytes, size), &e));
    env->v->close(env, file);
}

static void list_has_regular_files_sorted_with_sizes(void **state)
{
    (void)state;
    struct env *env = open_env(below("lists"));
    struct err e;
    struct env_dirent *entries = NULL;
    size_t count = 99;
    assert_ok(env->v->list(env, ".", &entries, &count, &e));
    assert_int_equal(count, 0);
    free(entries);
    assert_ok(env->v->make_dir(env, "log", &e));
    assert_ok(env->v->make_dir(env, "log/inner", &e));
    touch(env, "log/b", 3);
    touch(env, "log/a", 1);
    touch(env, "log/c", 0);
    assert_int_equal(symlink("a", below("lists/log/link")), 0);
    assert_int_equal(mkfifo(below("lists/log/fifo"), 0600), 0);
    char longest[80] = "log/";
    memset(longest + 4, 'n', 63);
    touch(env, longest, 2);
    char too_long[512];
    (void)snprintf(too_long, sizeof(too_long), "%s/lists/%sn", root, longest);
    int fd = open(too_long, O_CREAT | O_WRONLY, 0600); /* 64 bytes: no name of ours */
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_ok(env->v->list(env, "log", &entries, &count, &e));
    assert_int_equal(count, 4);
    assert_string_equal(entries[0].name, "a");
    assert_string_equal(entries[1].name, "b");
    assert_string_equal(entries[2].name, "c");
    assert_string_equal(entries[3].name, longest + 4);
    assert_int_equal(entries[0].size, 1);
    assert_int_equal(entries[1].size, 3);
    free(entries);
    assert_error(env->v->list(env, "nothing", &entries, &count, &e), E_NOTFOUND, &e, "nothing");
    assert_error(env->v->list(env, "log/a", &entries, &count, &e), E_IO, &e, "log/a");
    env_uv_close(env);
}

static void many_files_are_listed(void **state)
{
    (void)state;
    struct env *env = open_env(below("many"));
    for (unsigned i = 0; i < 500; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "f%03u", (i * 7) % 500);
        touch(env, name, 1);
    }
    struct env_dirent *entries = NULL;
    size_t count = 0;
    struct err e;
    assert_ok(env->v->list(env, ".", &entries, &count, &e));
    assert_int_equal(count, 500);
    for (size_t i = 1; i < count; i++) {
        assert_true(strcmp(entries[i - 1].name, entries[i].name) < 0);
    }
    free(entries);
    env_uv_close(env);
}

static void directories_below_are_private_and_made_once(void **state)
{
    (void)state;
    struct env *env = open_env(below("dirs"));
    struct err e;
    assert_ok(env->v->make_dir(env, "log", &e));
    assert_ok(env->v->make_dir(env, "log", &e)); /* present is fine */
    struct stat st;
    assert_int_equal(stat(below("dirs/log"), &st), 0);
    assert_int_equal(st.st_mode & 07777u, 0700);
    touch(env, "state", 1);
    assert_error(env->v->make_dir(env, "state", &e), E_IO, &e, "state");
    assert_error(env->v->make_dir(env, "a/b", &e), E_NOTFOUND, &e, "a/b");
    assert_ok(env->v->sync_dir(env, "log", &e));
    assert_ok(env->v->sync_dir(env, ".", &e));
    assert_error(env->v->sync_dir(env, "state", &e), E_IO, &e, "state");
    env_uv_close(env);
}

static void rename_and_unlink_tell_what_they_miss(void **state)
{
    (void)state;
    struct env *env = open_env(below("names"));
    struct err e;
    assert_ok(env->v->make_dir(env, "log", &e));
    touch(env, "a", 1);
    assert_ok(env->v->rename(env, "a", "log/b", &e));
    assert_true(exists(below("names/log/b")));
    assert_false(exists(below("names/a")));
    assert_error(env->v->rename(env, "a", "c", &e), E_NOTFOUND, &e, "names/a to c");
    assert_error(env->v->rename(env, "log/b", "absent/b", &e), E_NOTFOUND, &e, "absent");
    touch(env, "d", 2);
    assert_ok(env->v->rename(env, "d", "log/b", &e)); /* replaces */
    assert_error(env->v->unlink(env, "d", &e), E_NOTFOUND, &e, "cannot remove", "names/d");
    assert_error(env->v->unlink(env, "log", &e), E_IO, &e, "cannot remove");
    assert_ok(env->v->unlink(env, "log/b", &e));
    assert_false(exists(below("names/log/b")));
    env_uv_close(env);
}

static void paths_that_lead_out_are_refused(void **state)
{
    (void)state;
    struct env *env = open_env(below("paths"));
    char long_path[300];
    memset(long_path, 'a', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    const char *bad[] = {"",       "/",        "/etc/passwd", "..",     "../x", "log/../x",
                         "log/..", "./x",      "a//b",        "a/",     "a b",  "a\nb",
                         "a\\b",   "\xc3\xa9", "a/./b",       long_path};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err e;
        struct env_file *file = NULL;
        enum code code = env->v->open(env, bad[i], ENV_WRITE | ENV_CREATE, &file, &e);
        assert_error(code, E_INVALID, &e, "not a path below a data directory");
        assert_error(env->v->unlink(env, bad[i], &e), E_INVALID, &e, "not a path");
        assert_error(env->v->rename(env, "x", bad[i], &e), E_INVALID, &e, "not a path");
    }
    const char *good[] = {"a", "..a", "a..", "A-b_c.0", ".hidden"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        touch(env, good[i], 0);
    }
    env_uv_close(env);
}

static void free_space_is_what_the_system_says(void **state)
{
    (void)state;
    struct env *env = open_env(below("space"));
    struct err e;
    uint64_t bytes = 0;
    assert_ok(env->v->disk_free(env, &bytes, &e));
    assert_true(bytes > 0);
    env_uv_close(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_directory_is_made_for_its_owner_only),
        cmocka_unit_test(file_in_the_place_of_the_directory_is_refused),
        cmocka_unit_test(world_writable_directory_is_refused_and_left_empty),
        cmocka_unit_test(foreign_directory_is_refused),
        cmocka_unit_test(directory_may_be_a_link_but_nothing_below_it),
        cmocka_unit_test(read_only_file_system_is_told),
        cmocka_unit_test(directory_without_permission_is_told),
        cmocka_unit_test(lock_is_held_against_another_process_and_names_it),
        cmocka_unit_test(list_has_regular_files_sorted_with_sizes),
        cmocka_unit_test(many_files_are_listed),
        cmocka_unit_test(directories_below_are_private_and_made_once),
        cmocka_unit_test(rename_and_unlink_tell_what_they_miss),
        cmocka_unit_test(paths_that_lead_out_are_refused),
        cmocka_unit_test(free_space_is_what_the_system_says),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
