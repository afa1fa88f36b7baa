/* Small files whole: replaced durably or not at all, read with a limit. The order of the steps is
 * checked by a vtable that writes down what is called and fails the n-th call. */
#include "env_support.h"

#include <unistd.h>

static char *root;
static struct env *env;

static int open_root(void **state)
{
    (void)state;
    root = tm_dir_make("env-common");
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

static void assert_content(const char *path, const char *expected)
{
    struct err e;
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_ok(env_read_file(env, path, 1000, &bytes, &size, &e));
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
    free(bytes);
}

static size_t count_files(const char *dir)
{
    struct err e;
    struct env_dirent *entries = NULL;
    size_t count = 0;
    assert_ok(env->v->list(env, dir, &entries, &count, &e));
    free(entries);
    return count;
}

static void content_is_replaced_and_no_temporary_file_is_left(void **state)
{
    (void)state;
    struct err e;
    assert_ok(env->v->make_dir(env, "state", &e));
    const char *paths[] = {"identity", "state/mark"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        assert_ok(env_write_file_durably(env, paths[i], slice_of_text("a first, longer text"), &e));
        assert_content(paths[i], "a first, longer text");
        assert_ok(env_write_file_durably(env, paths[i], slice_of_text("second"), &e));
        assert_content(paths[i], "second");
        assert_ok(env_write_file_durably(env, paths[i], slice_of(NULL, 0), &e));
        assert_content(paths[i], "");
    }
    assert_int_equal(count_files("."), 1);
    assert_int_equal(count_files("state"), 1);
}

/* What a crash left behind is longer than the new content and must not shine through. */
static void temporary_file_of_a_crash_is_overwritten(void **state)
{
    (void)state;
    struct err e;
    struct env_file *file = NULL;
    assert_ok(env->v->open(env, "mark.tmp", ENV_WRITE | ENV_CREATE, &file, &e));
    assert_ok(env->v->pwrite(env, file, 0, slice_of_text("left over, and long"), &e));
    env->v->close(env, file);
    assert_ok(env_write_file_durably(env, "mark", slice_of_text("new"), &e));
    assert_content("mark", "new");
    assert_int_equal(count_files("."), 1);
}

static void reading_has_a_limit_and_tells_what_is_missing(void **state)
{
    (void)state;
    struct err e;
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_error(env_read_file(env, "absent", 10, &bytes, &size, &e), E_NOTFOUND, &e, "absent");
    assert_ok(env_write_file_durably(env, "ten", slice_of_text("0123456789"), &e));
    assert_error(env_read_file(env, "ten", 9, &bytes, &size, &e), E_LIMIT, &e, "ten", "10", "9");
    assert_null(bytes);
    assert_ok(env_read_file(env, "ten", 10, &bytes, &size, &e));
    assert_int_equal(size, 10);
    free(bytes);
    char path[300];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_error(env_write_file_durably(env, path, slice_of_text("x"), &e), E_LIMIT, &e, "299");
}

/* A vtable in front of the real one. */
static struct env_vtable spy_vtable;
static struct env spy = {.v = &spy_vtable};
static char calls[256];
static unsigned call_number;
static unsigned failing_call; /* 0: none */

static enum code note(const char *name, struct err *e)
{
    size_t used = strlen(calls);
    (void)snprintf(calls + used, sizeof(calls) - used, "%s%s", used > 0 ? " " : "", name);
    if (++call_number == failing_call) return ERR(e, E_IO, "planned failure of %s", name);
    return OK;
}

static enum code spy_open(struct env *s, const char *path, unsigned flags, struct env_file **out,
                          struct err *e)
{
    (void)s;
    TRY(note("open", e));
    return env->v->open(env, path, flags, out, e);
}
static enum code spy_truncate(struct env *s, struct env_file *file, uint64_t size, struct err *e)
{
    (void)s;
    TRY(note("truncate", e));
    return env->v->truncate(env, file, size, e);
}
static enum code spy_pwrite(struct env *s, struct env_file *file, uint64_t offset,
                            struct slice bytes, struct err *e)
{
    (void)s;
    TRY(note("pwrite", e));
    return env->v->pwrite(env, file, offset, bytes, e);
}
static enum code spy_sync(struct env *s, struct env_file *file, struct err *e)
{
    (void)s;
    TRY(note("sync", e));
    return env->v->sync(env, file, e);
}
static void spy_close(struct env *s, struct env_file *file)
{
    (void)s;
    env->v->close(env, file);
}
static enum code spy_rename(struct env *s, const char *from, const char *to, struct err *e)
{
    (void)s;
    TRY(note("rename", e));
    return env->v->rename(env, from, to, e);
}
static enum code spy_unlink(struct env *s, const char *path, struct err *e)
{
    (void)s;
    return env->v->unlink(env, path, e);
}
static enum code spy_sync_dir(struct env *s, const char *path, struct err *e)
{
    (void)s;
    char name[64];
    (void)snprintf(name, sizeof(name), "sync_dir(%s)", path);
    TRY(note(name, e));
    return env->v->sync_dir(env, path, e);
}

static void failed_step_leaves_the_old_content(void **state)
{
    (void)state;
    struct err e;
    spy_vtable = (struct env_vtable){
        .open = spy_open,
        .truncate = spy_truncate,
        .pwrite = spy_pwrite,
        .sync = spy_sync,
        .close = spy_close,
        .rename = spy_rename,
        .unlink = spy_unlink,
        .sync_dir = spy_sync_dir,
    };
    assert_ok(env->v->make_dir(env, "state", &e));
    assert_ok(env_write_file_durably(env, "state/f", slice_of_text("old"), &e));
    const unsigned steps = 6;
    for (failing_call = 1; failing_call <= steps; failing_call++) {
        call_number = 0;
        calls[0] = '\0';
        enum code code = env_write_file_durably(&spy, "state/f", slice_of_text("new"), &e);
        assert_error(code, E_IO, &e, "planned failure");
        assert_int_equal(call_number, failing_call); /* nothing is tried after a failure */
        assert_int_equal(count_files("state"), 1);
        /* Only the last step, the sync of the directory, comes after the exchange. */
        assert_content("state/f", failing_call < steps ? "old" : "new");
    }
    call_number = 0;
    calls[0] = '\0';
    failing_call = 0;
    assert_ok(env_write_file_durably(&spy, "state/f", slice_of_text("new"), &e));
    assert_string_equal(calls, "open truncate pwrite sync rename sync_dir(state)");
    calls[0] = '\0';
    assert_ok(env_write_file_durably(&spy, "f", slice_of_text("new"), &e));
    assert_string_equal(calls, "open truncate pwrite sync rename sync_dir(.)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(content_is_replaced_and_no_temporary_file_is_left,
                                        open_root, close_root),
        cmocka_unit_test_setup_teardown(temporary_file_of_a_crash_is_overwritten, open_root,
                                        close_root),
        cmocka_unit_test_setup_teardown(reading_has_a_limit_and_tells_what_is_missing, open_root,
                                        close_root),
        cmocka_unit_test_setup_teardown(failed_step_leaves_the_old_content, open_root, close_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
