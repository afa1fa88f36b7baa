/* host: the operating system as the command line needs it: blocking calls on plain paths, one TCP
 * connection at a time, child processes, the clock. The engine never includes this header: it sees
 * the system only through env.h, so that it runs unchanged in the simulator.
 *
 * Files are opened read-only, except by the two calls that say otherwise; the tools that look into
 * a data directory therefore cannot change it. One thread: the program's main one.
 */
#ifndef TIDEMARK_ENV_HOST_H
#define TIDEMARK_ENV_HOST_H

#include "base/error.h"
#include "base/types.h"

#define HOST_PATH_SIZE 4096

/* --- time and chance (host_time.c) --- */

uint64_t host_mono_ns(void);
int64_t host_wall_ms(void);
void host_sleep_ms(uint32_t ms); /* less when a signal arrives */
uint64_t host_random(void);

/* From now on SIGINT, SIGTERM and SIGHUP only set a flag, and SIGPIPE is ignored. */
void host_catch_interrupts(void);
bool host_is_interrupted(void);
void host_ignore_pipe_signal(void);

/* What an errno value means, in words; valid until the next call of this thread. */
const char *host_reason(int error_number);

/* --- environment (host_time.c) --- */

/* NULL when unset. Borrowed from the environment. */
const char *host_environment(const char *name);
/* Entry i of the environment, "NAME=value"; NULL beyond the last. */
const char *host_environment_entry(size_t i);
bool host_is_terminal(int fd);
uint32_t host_terminal_columns(int fd); /* 80 when unknown */

/* --- files (host_file.c) --- */

/* Errors: E_NOTFOUND, E_IO, with the path and the reason. */
MUST_CHECK enum code host_open(const char *path, int *out_fd, struct err *e);
void host_close(int fd); /* -1 is allowed */
/* Blocks. *out_size 0: the end. E_CLOSED when a signal interrupted the wait. */
MUST_CHECK enum code host_read(int fd, void *out, size_t size, size_t *out_size, struct err *e);
/* *out_size < size only at the end of the file. */
MUST_CHECK enum code host_pread(int fd, uint64_t offset, void *out, size_t size, size_t *out_size,
                                struct err *e);
MUST_CHECK enum code host_size(int fd, uint64_t *out, struct err *e);
/* Size of a regular file behind fd; false for pipes, terminals and the like. */
bool host_is_regular(int fd, uint64_t *out_size);
bool host_is_directory(const char *path);
/* Whether a process holds a lock on this file: that is how a running server marks its directory.
 * Absent file: no. *out_pid is 0 when the holder is not known. Takes no lock itself. */
bool host_is_locked(const char *path, int64_t *out_pid);
/* path without "." and "..", from the root. */
MUST_CHECK enum code host_absolute_path(const char *path, char out[HOST_PATH_SIZE], struct err *e);

/* A directory's regular files, in no order. */
struct host_dir;
MUST_CHECK enum code host_dir_open(const char *path, struct host_dir **out, struct err *e);
/* Name of the next file, borrowed until the next call; NULL at the end. */
const char *host_dir_next(struct host_dir *dir);
void host_dir_close(struct host_dir *dir); /* NULL is allowed */

/* Make an empty directory under `parent` (NULL: $TMPDIR, else /var/tmp, which is on a disk, else
 * /tmp) whose name starts with prefix. */
MUST_CHECK enum code host_make_temp_dir(const char *parent, const char *prefix,
                                        char out[HOST_PATH_SIZE], struct err *e);
/* Remove a directory with everything in it. Returns the first failure and goes on after it. */
enum code host_remove_tree(const char *path, struct err *e);

/* Make a file of `size` zero bytes, all written and synced, open for writing: what the raw floor of
 * the benchmarks writes into. */
MUST_CHECK enum code host_make_zeroed_file(const char *path, uint64_t size, int *out_fd,
                                           struct err *e);
/* One pwrite and one fdatasync. */
MUST_CHECK enum code host_write_sync(int fd, uint64_t offset, struct slice bytes, struct err *e);

/* --- TCP (host_tcp.c) --- */

/* address: "host:port", "[v6]:port". Waits at most timeout_ms. The descriptor never blocks. */
MUST_CHECK enum code host_connect(const char *address, uint32_t timeout_ms, int *out_fd,
                                  struct err *e);
/* As much as fits; *out_size 0: nothing now. E_CLOSED when the peer is gone. */
MUST_CHECK enum code host_send(int fd, struct slice bytes, size_t *out_size, struct err *e);
/* What is there; *out_size 0: nothing now. E_CLOSED when the peer closed. */
MUST_CHECK enum code host_receive(int fd, void *out, size_t size, size_t *out_size, struct err *e);

struct host_wait {
    int fd; /* -1: ignored */
    bool wants_read;
    bool wants_write;
    bool is_ready; /* readable, writable or broken */
};
#define HOST_WAITS_MAX 16
/* Until something is ready, a signal arrives or the time is over; returns how many are ready. */
size_t host_wait_any(struct host_wait *waits, size_t count, uint32_t timeout_ms);
size_t host_wait_ns(struct host_wait *waits, size_t count, uint64_t timeout_ns);

/* --- child processes (host_process.c) --- */

struct host_child {
    int64_t pid;   /* 0: none, or already collected */
    int stdout_fd; /* read end of its output; -1: not wanted */
    int exit_code; /* once collected: its exit code, or 128 + the signal that ended it */
};

struct host_spawn {
    const char *const *words; /* NULL-terminated; words[0] is looked up in PATH */
    const char *error_path;   /* its stderr is appended here; NULL: discarded */
    const char *without;      /* variables that start so are not passed on; NULL: all are */
    bool wants_output;        /* its stdout is readable at stdout_fd; else discarded */
};

/* The child is killed by the kernel when this process dies, and is out of reach of the terminal's
 * Ctrl-C. A program that cannot be started is E_NOTFOUND. */
MUST_CHECK enum code host_spawn(const struct host_spawn *how, struct host_child *out,
                                struct err *e);
/* Has it ended by itself? Collects it if so. */
bool host_child_has_ended(struct host_child *child);
/* Wait at most timeout_ms for its end; false when it still runs. */
bool host_child_wait(struct host_child *child, uint32_t timeout_ms);
/* What a child that runs has used: processor time of all its threads, and resident memory. */
struct host_usage {
    uint64_t cpu_ns;
    uint64_t memory_bytes;
};
MUST_CHECK enum code host_child_usage(const struct host_child *child, struct host_usage *out,
                                      struct err *e);
/* SIGSTOP, SIGCONT. */
void host_child_pause(const struct host_child *child, bool is_paused);
void host_child_stop(struct host_child *child); /* SIGTERM; goes on at once */
/* SIGKILL, wait, close its pipe. Harmless when there is no child. */
void host_child_kill(struct host_child *child);

/* Path of the running program, to start it again as another role. */
MUST_CHECK enum code host_program_path(char out[HOST_PATH_SIZE], struct err *e);

#endif
