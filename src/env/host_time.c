/* host_time: clock, chance, interrupts and surroundings of the command line. */
#include "env/host.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

uint64_t host_mono_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t host_wall_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void host_sleep_ms(uint32_t ms)
{
    (void)poll(NULL, 0, ms > INT32_MAX ? INT32_MAX : (int)ms); /* a signal may end it early */
}

uint64_t host_random(void)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v)) {
        v = host_mono_ns() ^ ((uint64_t)getpid() << 32);
    }
    return v;
}

/* The only thing that a signal handler may touch. */
static volatile sig_atomic_t interrupted;

static void note_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void host_ignore_pipe_signal(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL); /* cannot fail with valid arguments */
}

void host_catch_interrupts(void)
{
    /* Without SA_RESTART: a blocked read returns and its caller looks at the flag. */
    struct sigaction note = {.sa_handler = note_interrupt};
    (void)sigaction(SIGINT, &note, NULL);
    (void)sigaction(SIGTERM, &note, NULL);
    (void)sigaction(SIGHUP, &note, NULL);
    host_ignore_pipe_signal();
}

bool host_is_interrupted(void)
{
    return interrupted != 0;
}

const char *host_reason(int error_number)
{
    static _Thread_local char buffer[128];
    return strerror_r(error_number, buffer, sizeof(buffer)); /* the GNU form returns the text */
}

const char *host_environment(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; environ != NULL && environ[i] != NULL; i++) {
        if (strncmp(environ[i], name, size) == 0 && environ[i][size] == '=') {
            return environ[i] + size + 1;
        }
    }
    return NULL;
}

const char *host_environment_entry(size_t i)
{
    return environ == NULL ? NULL : environ[i];
}

bool host_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

uint32_t host_terminal_columns(int fd)
{
    struct winsize size = {0};
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}
