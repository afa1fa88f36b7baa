/* host_terminal: see host_terminal.h. */
#include "env/host_terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { ROWS_UNKNOWN = 24 };

static struct termios as_before;
static bool is_changed;

void host_terminal_keys(bool is_on)
{
    if (!is_on) {
        /* When it fails there is nothing else to try. */
        if (is_changed) (void)tcsetattr(STDIN_FILENO, TCSANOW, &as_before);
        is_changed = false;
        return;
    }
    struct termios wanted;
    if (is_changed || tcgetattr(STDIN_FILENO, &wanted) != 0) return;
    as_before = wanted;
    wanted.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    wanted.c_cc[VMIN] = 1;
    wanted.c_cc[VTIME] = 0;
    is_changed = tcsetattr(STDIN_FILENO, TCSANOW, &wanted) == 0;
}

int host_terminal_key(uint32_t timeout_ms)
{
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
    int timeout = timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX;
    if (poll(&wait, 1, timeout) <= 0) return HOST_KEY_NONE;
    uint8_t key = 0;
    return read(STDIN_FILENO, &key, 1) == 1 ? key : HOST_KEY_END;
}

uint32_t host_terminal_rows(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return ROWS_UNKNOWN;
    return size.ws_row;
}
