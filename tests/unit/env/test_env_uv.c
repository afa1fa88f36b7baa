/* Opening, clocks, random numbers, description, closing. */
#include "env_support.h"

#include <signal.h>
#include <time.h>
#include <uv.h>

static void close_takes_nothing_and_an_env_that_never_ran(void **state)
{
    (void)state;
    env_uv_close(NULL);
    env_uv_close(open_env(NULL));
}

static void env_may_be_run_more_than_once(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    for (int i = 0; i < 3; i++) {
        env_uv_stop(env);
        env_uv_run(env);
    }
    env_uv_close(env);
}

static void description_names_the_library(void **state)
{
    (void)state;
    char *dir = tm_dir_make("env-describe");
    struct env *env = open_env(dir);
    const char *text = env_uv_describe(env);
    assert_non_null(strstr(text, "pwrite+fdatasync, libuv "));
    assert_non_null(strstr(text, uv_version_string()));
    env_uv_close(env);
    tm_dir_remove(dir);
}

static void clocks_are_those_of_the_machine(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    int64_t wall_s = (int64_t)time(NULL);
    int64_t wall_ms = env->v->now_wall_ms(env);
    assert_true(wall_ms >= wall_s * 1000 && wall_ms < (wall_s + 60) * 1000);
    uint64_t last_ns = env->v->now_mono_ns(env);
    for (int i = 0; i < 1000; i++) {
        uint64_t now_ns = env->v->now_mono_ns(env);
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
    struct timespec boot;
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    assert_true((uint64_t)boot.tv_sec * NS_PER_S + NS_PER_S > last_ns);
    env_uv_close(env);
}

static void random_numbers_differ(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    uint64_t all_or = 0;
    uint64_t all_and = UINT64_MAX;
    uint64_t last = env->v->random(env);
    for (int i = 0; i < 200; i++) {
        uint64_t v = env->v->random(env);
        assert_true(v != last);
        all_or |= v;
        all_and &= v;
        last = v;
    }
    assert_true(all_or == UINT64_MAX); /* every bit was 1 once, and 0 once */
    assert_true(all_and == 0);
    env_uv_close(env);
}

static void raise_pipe(struct env_task *task)
{
    (void)task;
    assert_int_equal(raise(SIGPIPE), 0);
}

/* The default action of SIGPIPE would end this program. Afterwards nothing of it is left. */
static void broken_pipe_in_the_loop_does_not_end_the_program(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct env_task task = {.run = raise_pipe};
    env->v->post(env, &task);
    env_uv_stop(env);
    env_uv_run(env);
    sigset_t set;
    assert_int_equal(sigpending(&set), 0);
    assert_int_equal(sigismember(&set, SIGPIPE), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &set), 0);
    assert_int_equal(sigismember(&set, SIGPIPE), 0);
    env_uv_close(env);
}

struct nested {
    struct env_task task;
    unsigned inner_runs;
};

static void count_inner(struct env_task *task)
{
    struct nested *inner = CONTAINER_OF(task, struct nested, task);
    inner->inner_runs++;
}

/* A callback may open, run and close another env, as a tool inside a server would. */
static void run_inner(struct env_task *task)
{
    (void)task;
    struct env *env = open_env(NULL);
    struct nested inner = {.task.run = count_inner};
    env->v->post(env, &inner.task);
    env_uv_stop(env);
    env_uv_run(env);
    env_uv_close(env);
    assert_int_equal(inner.inner_runs, 1);
}

static void env_inside_a_callback_of_another(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct env_task task = {.run = run_inner};
    env->v->post(env, &task);
    env_uv_stop(env);
    env_uv_run(env);
    env_uv_close(env);
}

static void file_calls_without_a_directory_are_refused(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct err e;
    struct env_file *file = NULL;
    uint64_t bytes;
    assert_error(env->v->open(env, "x", ENV_READ, &file, &e), E_INVALID, &e, "no data directory");
    assert_error(env->v->lock(env, &e), E_INVALID, &e, "no data directory");
    assert_error(env->v->disk_free(env, &bytes, &e), E_INVALID, &e, "no data directory");
    env_uv_close(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_takes_nothing_and_an_env_that_never_ran),
        cmocka_unit_test(env_may_be_run_more_than_once),
        cmocka_unit_test(description_names_the_library),
        cmocka_unit_test(clocks_are_those_of_the_machine),
        cmocka_unit_test(random_numbers_differ),
        cmocka_unit_test(broken_pipe_in_the_loop_does_not_end_the_program),
        cmocka_unit_test(env_inside_a_callback_of_another),
        cmocka_unit_test(file_calls_without_a_directory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
