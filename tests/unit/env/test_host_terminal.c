/* host_terminal: on a terminal of the test's own. */
#include "support/tm_test.h"

#include "env/host_terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Its other end is stdin; returns ours. */
static int terminal_as_stdin(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    char name[64];
    assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
    int slave = open(name, O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    assert_int_equal(dup2(slave, STDIN_FILENO), STDIN_FILENO);
    (void)close(slave);
    return master;
}

static void keys_come_at_once_and_the_terminal_is_as_before_after(void **state)
{
    (void)state;
    int master = terminal_as_stdin();
    struct termios before;
    struct termios now;
    assert_int_equal(tcgetattr(STDIN_FILENO, &before), 0);
    host_terminal_keys(true);
    host_terminal_keys(true);
    assert_int_equal(host_terminal_key(0), HOST_KEY_NONE);
    assert_int_equal(write(master, "q", 1), 1);
    assert_int_equal(host_terminal_key(5000), 'q');
    host_terminal_keys(false);
    assert_int_equal(tcgetattr(STDIN_FILENO, &now), 0);
    assert_int_equal(now.c_lflag, before.c_lflag);
    struct winsize size = {.ws_row = 33, .ws_col = 90};
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    assert_int_equal(host_terminal_rows(STDIN_FILENO), 33);
    (void)close(master);
}

static void without_a_terminal_nothing_changes(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    (void)close(fd);
    host_terminal_keys(true);
    assert_int_equal(host_terminal_key(5000), HOST_KEY_END);
    host_terminal_keys(false);
    assert_int_equal(host_terminal_rows(STDIN_FILENO), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_at_once_and_the_terminal_is_as_before_after),
        cmocka_unit_test(without_a_terminal_nothing_changes),
    };
    return cmocka_run_group_tests_name("env/host_terminal", tests, NULL, NULL);
}
