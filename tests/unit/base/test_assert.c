/* Tests of base/assert: a broken assertion names itself and ends the process. */
#include "support/tm_test.h"

#include "base/assert.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void true_condition_does_nothing(void **state)
{
    (void)state;
    int n = 0;
    ASSERT(n == 0);
    ASSERT(n++ == 0); /* evaluated exactly once */
    assert_int_equal(n, 1);
}

/* A child breaks an assertion; the parent sees the abort and reads what it said. */
static void false_condition_prints_itself_and_aborts(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct sigaction plain = {.sa_handler = SIG_DFL}; /* not cmocka's handler */
        (void)sigaction(SIGABRT, &plain, NULL);
        (void)dup2(ends[1], STDERR_FILENO);
        ASSERT(1 + 1 == 3);
        _exit(0);
    }
    (void)close(ends[1]);
    char said[512] = {0};
    ssize_t n = read(ends[0], said, sizeof(said) - 1);
    (void)close(ends[0]);
    assert_true(n > 0);
    assert_non_null(strstr(said, "test_assert.c:"));
    assert_non_null(strstr(said, "1 + 1 == 3"));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_condition_does_nothing),
        cmocka_unit_test(false_condition_prints_itself_and_aborts),
    };
    return cmocka_run_group_tests_name("base/assert", tests, NULL, NULL);
}
