/* host_process: child processes of the command line. A child dies with its parent: the kernel kills
 * it when the parent ends for any reason, so that nothing is left running. */
#include "env/host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXEC_FAILED 127 /* as shells do */

/* Forget variables whose name starts with prefix. */
static void forget_variables(const char *prefix)
{
    size_t kept = 0;
    for (size_t i = 0; environ[i] != NULL; i++) {
        if (strncmp(environ[i], prefix, strlen(prefix)) != 0) environ[kept++] = environ[i];
    }
    environ[kept] = NULL;
}

/* In the child, between fork and exec: only calls that are safe there. */
static _Noreturn void become(const struct host_spawn *how, int output, int64_t parent)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != (pid_t)parent) _exit(EXEC_FAILED); /* the parent died in between */
    struct sigaction usual = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGPIPE, &usual, NULL);
    const char *error_path = how->error_path != NULL ? how->error_path : "/dev/null";
    int input = open("/dev/null", O_RDONLY);
    int errors = open(error_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (output < 0) output = open("/dev/null", O_WRONLY);
    if (how->without != NULL && environ != NULL) forget_variables(how->without);
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) _exit(EXEC_FAILED);
    execvp(how->words[0], (char *const *)(void *)how->words);
    _exit(EXEC_FAILED);
}

enum code host_spawn(const struct host_spawn *how, struct host_child *out, struct err *e)
{
    int ends[2] = {-1, -1};
    if (how->wants_output && pipe2(ends, O_CLOEXEC) != 0) {
        return ERR(e, E_IO, "cannot make a pipe: %s", host_reason(errno));
    }
    int64_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) become(how, ends[1], parent);
    int reason = errno;
    host_close(ends[1]);
    if (pid < 0) {
        host_close(ends[0]);
        return ERR(e, E_IO, "cannot start %s: %s", how->words[0], host_reason(reason));
    }
    *out = (struct host_child){.pid = pid, .stdout_fd = ends[0]};
    return OK;
}

static void note_end(struct host_child *child, int status)
{
    child->pid = 0;
    child->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool host_child_has_ended(struct host_child *child)
{
    if (child->pid == 0) return true;
    int status = 0;
    pid_t n = waitpid((pid_t)child->pid, &status, WNOHANG);
    if (n == 0 || (n < 0 && errno == EINTR)) return false;
    note_end(child, n < 0 ? 0 : status);
    return true;
}

bool host_child_wait(struct host_child *child, uint32_t timeout_ms)
{
    uint64_t deadline_ns = host_mono_ns() + timeout_ms * NS_PER_MS;
    while (!host_child_has_ended(child)) {
        if (host_mono_ns() >= deadline_ns) return false;
        host_sleep_ms(2);
    }
    return true;
}

/* The fields of stat behind the name in brackets, which may hold anything: 12 and 13 are the times
 * in user and system, in ticks, 22 is the resident memory in pages. */
enum code host_child_usage(const struct host_child *child, struct host_usage *out, struct err *e)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)child->pid);
    FILE *file = fopen(path, "re");
    size_t size = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file != NULL) (void)fclose(file); /* only read */
    text[size] = '\0';
    const char *at = strrchr(text, ')');
    uint64_t fields[23] = {0};
    char *end = NULL;
    if (at == NULL || strlen(at) < 4) return ERR(e, E_IO, "%s cannot be read", path);
    at += 4; /* ") S", then from the parent's number on */
    for (size_t i = 2; i < COUNT_OF(fields); i++) {
        fields[i] = strtoull(at, &end, 10);
        at = end;
    }
    uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    *out = (struct host_usage){
        .cpu_ns = (fields[12] + fields[13]) * tick_ns,
        .memory_bytes = fields[22] * (uint64_t)sysconf(_SC_PAGESIZE),
    };
    return OK;
}

void host_child_pause(const struct host_child *child, bool is_paused)
{
    if (child->pid > 0) (void)kill((pid_t)child->pid, is_paused ? SIGSTOP : SIGCONT);
}

void host_child_stop(struct host_child *child)
{
    if (child->pid > 0) (void)kill((pid_t)child->pid, SIGTERM); /* gone already: nothing to do */
}

void host_child_kill(struct host_child *child)
{
    if (child->pid > 0) {
        (void)kill((pid_t)child->pid, SIGKILL);
        while (!host_child_wait(child, 1000)) {
        }
    }
    if (child->stdout_fd > 0) host_close(child->stdout_fd); /* 0: never started */
    child->stdout_fd = -1;
}

enum code host_program_path(char out[HOST_PATH_SIZE], struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", out, HOST_PATH_SIZE - 1);
    if (n < 0) return ERR(e, E_IO, "cannot find the running program: %s", host_reason(errno));
    out[n] = '\0';
    return OK;
}
