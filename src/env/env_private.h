/* env_private: what the files of the real env share: the struct behind struct env and the calls
 * between them. Nothing outside src/env includes this header.
 *
 * Owner: the loop's thread, except where a field says otherwise. Threads meet in two places only:
 * struct inbox (atomics, any thread -> loop) and struct lane (a mutex, loop -> lane threads).
 */
#ifndef TIDEMARK_ENV_ENV_PRIVATE_H
#define TIDEMARK_ENV_ENV_PRIVATE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/error.h"
#include "base/types.h"
#include "env/env.h"

#define BACKGROUND_THREADS_DEFAULT 2u
#define LANE_THREADS_MAX           64u
#define READ_THREADS_DEFAULT_MAX   4u
#define READ_NICE                  10 /* how much less than the loop reading threads ask for */
#define LINK_LOW_WATER             (64 * KIB)  /* env.h promises this number for drained() */
#define READ_BUFFER_SIZE           (256 * KIB) /* one per env: received() gets at most this */

/* Circular doubly linked list. A node that is in no list points at itself. */
struct list {
    struct list *previous;
    struct list *next;
};

static inline void list_init(struct list *node)
{
    node->previous = node;
    node->next = node;
}
static inline bool list_is_empty(const struct list *node)
{
    return node->next == node;
}
static inline void list_append(struct list *head, struct list *node)
{
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}
static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* What other threads hand to the loop. Two stacks, pushed by anybody, taken whole by the loop and
 * turned round, which keeps the order of each pushing thread.
 *
 * Sleep protocol, sequentially consistent on both sides, so that one of them sees the other:
 *     loop:   is_asleep = true; look at the stacks once more; poll
 *     poster: push;             look at is_asleep;            wake if it was the one to clear it
 * A loop that is awake looks at the stacks anyway, so a burst costs one wake-up or none. */
struct inbox {
    _Atomic(struct env_task *) tasks; /* release on push, acquire on take: seq_cst covers both */
    _Atomic(struct env_job *) done;
    _Atomic bool is_asleep;
    _Atomic bool is_stop_wanted; /* set by env_uv_stop, cleared when env_uv_run returns */
};

/* Threads that run jobs in the order submitted. The mutex guards first, last and is_stopping. */
struct lane {
    struct env_uv *owner;
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    struct env_job *first;
    struct env_job *last;
    bool is_stopping;
    int nice; /* fixed before its threads start */
    uint32_t thread_count;
    pthread_t threads[LANE_THREADS_MAX];
};

struct env_uv {
    struct env base; /* first: &u->base is what the world holds */

    /* Files (env_dir.c, env_file.c). Fixed at open, then read by every thread. */
    char *dir;                      /* as given, for messages; NULL = no files */
    int dir_fd;                     /* -1 = no files */
    int lock_fd;                    /* -1 until lock */
    bool is_remote;                 /* the directory is on a network file system */
    _Atomic bool is_direct_refused; /* the file system took no O_DIRECT; relaxed, a note only */

    /* Loop (env_loop.c). */
    uv_loop_t loop;
    uv_async_t wake; /* uv_async_send is the only libuv call from other threads */
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t stay_awake; /* active: the next poll does not wait */
    struct list timers;   /* every struct loop_timer */
    struct list soon;     /* those started with a delay of 0 */
    uint64_t jobs_in_flight;
    uint32_t stop_rounds; /* turns since stop was wanted in which no job was in flight */
    bool is_running;
    bool is_closing;
    char description[160];

    /* Network (net_tcp.c). */
    struct list links;
    struct list listeners;
    uint32_t listeners_ending; /* of other networks: told to end, their task is still posted */
    struct list resolves;      /* name look-ups whose answer is to be taken */
    uint8_t *read_buffer;

    /* Any thread. */
    struct inbox inbox;
    struct lane lanes[LANE_COUNT];
};

static inline struct env_uv *env_uv_of(struct env *env)
{
    return CONTAINER_OF(env, struct env_uv, base);
}

/* Zeroed memory for a small control object (timer, link) whose absence nobody could be told about.
 * Ends the process when there is none. End it with free. */
void *env_must_get(size_t size);

/* An errno as an outcome: the code that env.h promises and a text for the end of a sentence. */
struct os_error {
    enum code code;
    char text[160];
};
struct os_error os_error_of(int error);

/* env_loop.c. A failed init leaves nothing behind. */
MUST_CHECK enum code loop_init(struct env_uv *u, struct err *e);
bool loop_has_pending(struct env_uv *u); /* a task, a job or a timer of delay 0 */
void loop_post(struct env *env, struct env_task *task);
void loop_wake(struct env_uv *u); /* any thread, after a change that the loop must see */
/* At the start of a callback from the poll: posts need no wake-up any more. Forgetting it costs a
 * system call, nothing else. */
void loop_note_awake(struct env_uv *u);
/* Any thread: this job's run returned, done() is due. */
void loop_job_done(struct env_uv *u, struct env_job *job);
void loop_timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns);
void loop_timer_stop(struct env *env, struct env_timer *timer);
void loop_timer_close(struct env *env, struct env_timer *timer);
/* Close every timer and the loop's own handles; they are gone after the loop ran again. */
void loop_close_handles(struct env_uv *u);

/* env_lane.c. */
MUST_CHECK enum code lanes_init(struct env_uv *u, const struct env_uv_options *options,
                                struct err *e);
void lane_submit(struct env *env, enum env_lane kind, struct env_job *job);
/* Around pthread_create: the program's signals are for the program's threads. Faults stay
 * deliverable, because a blocked one ends the process without its handler. SIGXFSZ is blocked, so
 * that a limit on file sizes is an error of the write and not the end of the process. */
void env_block_signals(sigset_t *out_old);
void lanes_fini(struct env_uv *u); /* waits for queued jobs; may follow a failed init */

/* env_dir.c: names below the data directory. */
MUST_CHECK enum code dir_open(struct env_uv *u, const char *dir, bool is_existing, struct err *e);
void dir_close(struct env_uv *u);
/* Open path below the directory, never through a symbolic link. flags and mode as openat's. */
MUST_CHECK enum code dir_openat(struct env_uv *u, const char *path, int flags, int *out_fd,
                                struct err *e);
enum code dir_rename(struct env *env, const char *from, const char *to, struct err *e);
enum code dir_unlink(struct env *env, const char *path, struct err *e);
enum code dir_make(struct env *env, const char *path, struct err *e);
enum code dir_sync(struct env *env, const char *path, struct err *e);
enum code dir_list(struct env *env, const char *path, struct env_dirent **out, size_t *out_count,
                   struct err *e);
enum code dir_lock(struct env *env, struct err *e);
enum code dir_disk_free(struct env *env, uint64_t *out_bytes, struct err *e);

/* env_file.c: open files. */
enum code file_open(struct env *env, const char *path, unsigned flags, struct env_file **out,
                    struct err *e);
void file_close(struct env *env, struct env_file *file);
enum code file_pwrite(struct env *env, struct env_file *file, uint64_t offset, struct slice bytes,
                      struct err *e);
enum code file_pread(struct env *env, struct env_file *file, uint64_t offset, void *out,
                     size_t size, size_t *out_read, struct err *e);
enum code file_sync(struct env *env, struct env_file *file, struct err *e);
enum code file_truncate(struct env *env, struct env_file *file, uint64_t size, struct err *e);
enum code file_size(struct env *env, struct env_file *file, uint64_t *out, struct err *e);

/* net_tcp.c: listeners, connecting, accepting. */
enum code net_listen(struct env *env, const char *address, env_accept accept, void *arg,
                     struct env_listener **out, uint16_t *out_port, struct err *e);
void net_unlisten(struct env *env, struct env_listener *listener);
struct env_link *net_connect(struct env *env, const char *address,
                             const struct env_link_events *events, void *arg);
/* net_foreign.c: the same over another network. */
enum code net_listen_on(struct env *env, struct env_network *network, const char *address,
                        env_accept accept, void *arg, struct env_listener **out, struct err *e);
struct env_link *net_connect_on(struct env *env, struct env_network *network, const char *address,
                                const struct env_link_events *events, void *arg);
/* Close every listener and link; closed() follows when the loop runs. */
void net_close_all(struct env_uv *u);

#endif
