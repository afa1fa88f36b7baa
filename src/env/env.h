/* env: the seam between the engine and the operating system. The engine sees only this header, so
 * the same engine code runs in production (env_uv: a libuv loop and real threads) and in the
 * simulator (one thread, virtual time, a disk and a network that fail as told).
 *
 * Threads: every callback (timer, task, job done, link event) runs on the loop that owns the env.
 * A job's run() executes on its lane's thread and may use the file calls below and nothing else of
 * the env. env_post and env_random are the only other calls that any thread may make.
 * After the simulator "crashes" a node, every call fails or does nothing: callers need no special
 * case.
 */
#ifndef TIDEMARK_ENV_ENV_H
#define TIDEMARK_ENV_ENV_H

#include "base/error.h"
#include "base/types.h"

struct env;

/* Work that runs once on the loop, soon, in the order posted by one thread. The owner keeps the
 * struct alive until run was called. Posting a task that is already queued does nothing. */
struct env_task {
    void (*run)(struct env_task *task);
    /* private to the env */
    struct env_task *next;
    _Atomic int is_queued;
};

/* One-shot timer. Embedded in its owner; a stopped timer never fires, no timer fires early (but up
 * to 2 ms late on an idle loop). A delay of 0 fires soon, after what is already waiting in the
 * loop. */
struct env_timer {
    void (*fire)(struct env_timer *timer);
    void *impl; /* private to the env; NULL before the first start and after env_timer_close */
    struct env *env;
};

/* LOG: one thread, jobs in order (write and sync of the log). BACKGROUND: hashing, checkpoints,
 * zero-filling, unlinking, cold reads; jobs may run at the same time as each other. READ: long
 * questions to frozen states, no files; begun in the order submitted, at a lower priority than the
 * rest of the process. */
enum env_lane { LANE_LOG, LANE_BACKGROUND, LANE_READ, LANE_COUNT };

/* run on the lane's thread, then done on the loop. The owner keeps the struct until done. */
struct env_job {
    void (*run)(struct env_job *job);
    void (*done)(struct env_job *job);
    struct env_job *next; /* private to the env */
    enum env_lane lane;
};

/* Files. Paths are relative to the directory the env was opened on; only [A-Za-z0-9._/-]; "." is
 * that directory itself (list, sync_dir). No symbolic link is followed. All calls block and may be
 * used from jobs and while opening and closing. */
struct env_file; /* an open file; implementation's */

enum env_open {
    ENV_READ = 1,
    ENV_WRITE = 2,     /* implies read */
    ENV_CREATE = 4,    /* create if absent */
    ENV_EXCLUSIVE = 8, /* with create: fail with E_EXISTS */
    /* Read past the page cache: O_DIRECT, else FADV_DONTNEED and a note in env_uv_describe. Not
     * with ENV_WRITE; one thread at a time per file. Any offset and size. */
    ENV_UNCACHED = 16,
};

struct env_dirent {
    char name[64];
    uint64_t size;
};

/* Byte stream links between nodes. Owned by the engine from connect/accept to closed(). */
struct env_link;

struct env_link_events {
    /* Connected (outgoing links only). */
    void (*opened)(struct env_link *link, void *arg);
    /* Bytes arrived; borrowed until return. */
    void (*received)(struct env_link *link, void *arg, struct slice bytes);
    /* At least 64 KiB were queued, and fewer are now. */
    void (*drained)(struct env_link *link, void *arg);
    /* The link is gone: refused, reset, closed by the peer, or closed here (e.code OK). Called
     * exactly once, last, never from inside a call of the owner's; the link must not be used
     * afterwards. Codes: E_IO (refused, reset, ended, no such host), E_TIMEOUT, E_INVALID
     * (address), E_NOMEMORY; the text names the address. */
    void (*closed)(struct env_link *link, void *arg, const struct err *e);
};

struct env_listener;
/* A peer connected. Return the arg for events; the events struct must outlive the link. No events
 * given: the peer is refused and nobody told. The link may be used and closed here already. */
typedef void (*env_accept)(struct env_link *link, const char *peer_address, void *arg,
                           const struct env_link_events **out_events, void **out_arg);

/* Another carrier of links than TCP. Connections are the network's own, passed back as they came.
 * Every call is made on the loop and must not block; a network may serve several envs, each from
 * its own loop. */
struct env_waker {
    void (*wake)(void *arg);
    void *arg;
};
struct env_network {
    /* Something may have changed for the owner of the waker: call wake. Any thread, also from
     * inside a call below and with locks held: it takes none. Too often is allowed; never after
     * close or unlisten returned, or after the call that the waker was given to failed. */
    enum code (*connect)(struct env_network *network, const char *address, struct env_waker waker,
                         void **out_connection, struct err *e);
    enum code (*listen)(struct env_network *network, const char *address, struct env_waker waker,
                        void **out_listener, struct err *e);
    /* The next connection that somebody made. False: none is there now. */
    bool (*accept)(struct env_network *network, void *listener, struct env_waker waker,
                   void **out_connection);
    void (*unlisten)(struct env_network *network, void *listener);
    /* Take what there is room for, from 0 bytes to all; what it took, it copied. wake when there
     * is room again. Not OK: the connection is over. */
    enum code (*send)(struct env_network *network, void *connection, struct slice bytes,
                      size_t *out_taken);
    /* *out_size 0: nothing is there now; wake when there is. E_CLOSED: ended by the peer, and
     * everything before was received. */
    enum code (*receive)(struct env_network *network, void *connection, void *out, size_t capacity,
                         size_t *out_size);
    void (*close)(struct env_network *network, void *connection);
};

struct env_vtable {
    uint64_t (*now_mono_ns)(struct env *env); /* CLOCK_BOOTTIME-like: only forward */
    int64_t (*now_wall_ms)(struct env *env);
    uint64_t (*random)(struct env *env); /* 64 random bits; any thread */

    void (*post)(struct env *env, struct env_task *task); /* any thread */
    void (*timer_start)(struct env *env, struct env_timer *timer, uint64_t delay_ns);
    void (*timer_stop)(struct env *env, struct env_timer *timer);
    void (*timer_close)(struct env *env, struct env_timer *timer); /* stop and free impl */
    void (*submit)(struct env *env, enum env_lane lane, struct env_job *job);

    enum code (*open)(struct env *env, const char *path, unsigned flags, struct env_file **out,
                      struct err *e);
    void (*close)(struct env *env, struct env_file *file); /* NULL allowed */
    /* Whole writes: a short write is E_IO; ENOSPC, EDQUOT and EFBIG are E_DISKFULL, also when a
     * part was written. After an error the range holds anything. */
    enum code (*pwrite)(struct env *env, struct env_file *file, uint64_t offset, struct slice bytes,
                        struct err *e);
    /* *out_read < size only at the end of the file. */
    enum code (*pread)(struct env *env, struct env_file *file, uint64_t offset, void *out,
                       size_t size, size_t *out_read, struct err *e);
    enum code (*sync)(struct env *env, struct env_file *file, struct err *e); /* fdatasync */
    enum code (*truncate)(struct env *env, struct env_file *file, uint64_t size, struct err *e);
    enum code (*size)(struct env *env, struct env_file *file, uint64_t *out, struct err *e);
    enum code (*rename)(struct env *env, const char *from, const char *to, struct err *e);
    enum code (*unlink)(struct env *env, const char *path, struct err *e); /* absent: E_NOTFOUND */
    enum code (*make_dir)(struct env *env, const char *path, struct err *e); /* present: OK */
    enum code (*sync_dir)(struct env *env, const char *path, struct err *e);
    /* Regular files only, sorted by name. *out is malloc'ed, given; free() it. */
    enum code (*list)(struct env *env, const char *path, struct env_dirent **out, size_t *out_count,
                      struct err *e);
    /* Exclusive lock on the directory, held until the env closes. E_INUSE names the holder's pid.
     */
    enum code (*lock)(struct env *env, struct err *e);
    enum code (*disk_free)(struct env *env, uint64_t *out_bytes, struct err *e);

    /* Links. address "host:port". listen with port 0 picks one; *out_port says which. */
    enum code (*listen)(struct env *env, const char *address, env_accept accept, void *arg,
                        struct env_listener **out, uint16_t *out_port, struct err *e);
    void (*unlisten)(struct env *env, struct env_listener *listener);
    /* Never fails at once: a bad address ends in closed(). */
    struct env_link *(*connect)(struct env *env, const char *address,
                                const struct env_link_events *events, void *arg);
    /* The same over another network, which is borrowed until its links and listeners are gone. The
     * simulator has none: NULL. */
    enum code (*listen_on)(struct env *env, struct env_network *network, const char *address,
                           env_accept accept, void *arg, struct env_listener **out, struct err *e);
    struct env_link *(*connect_on)(struct env *env, struct env_network *network,
                                   const char *address, const struct env_link_events *events,
                                   void *arg);
    /* Queue one message made of count pieces, all or nothing. Pieces are copied unless release is
     * given: then they stay borrowed until release(release_arg) is called once, also on failure,
     * perhaps before this returns. A link that is not open yet queues; one that closes drops.
     * Never blocks; the caller bounds what it queues by link_queued. */
    void (*link_send)(struct env *env, struct env_link *link, const struct slice *pieces,
                      size_t count, void (*release)(void *release_arg), void *release_arg);
    size_t (*link_queued)(struct env *env,
                          struct env_link *link); /* bytes not yet with the kernel */
    /* Stop or resume reading from the peer (backpressure). */
    void (*link_pause)(struct env *env, struct env_link *link, bool is_paused);
    void (*link_close)(struct env *env, struct env_link *link);           /* closed() follows */
    const char *(*link_describe)(struct env *env, struct env_link *link); /* "10.0.0.1:7402" */
};

struct env {
    const struct env_vtable *v;
    /* Called when pwrite, or open with ENV_CREATE, finds the disk full, on the thread of that call:
     * true when it gave space back; then the call is made once more. Set by the owner while no job
     * runs. NULL: none. */
    bool (*room)(void *room_arg);
    void *room_arg;
};
/* For implementations: this code is E_DISKFULL, and there is room now. */
static inline bool env_has_room_now(const struct env *env, enum code code)
{
    return code == E_DISKFULL && env->room != NULL && env->room(env->room_arg);
}

/* Write a whole small file so that after a crash either the old or the new content is there: write
 * temp, sync, rename, sync directory. Blocks. dir is the part of path before the last '/'. */
MUST_CHECK enum code env_write_file_durably(struct env *env, const char *path, struct slice bytes,
                                            struct err *e);
/* Read a whole file of at most size_max bytes, past the page cache: after a failed sync the cache
 * shows bytes that are not on disk. *out malloc'ed, given. E_NOTFOUND, E_LIMIT, E_IO. */
MUST_CHECK enum code env_read_file(struct env *env, const char *path, size_t size_max,
                                   uint8_t **out, size_t *out_size, struct err *e);

/* The real one. dir is created if absent (mode 0700), files 0600; a world-writable or foreign-owned
 * directory is refused. The loop runs in the caller's thread by env_uv_run until env_uv_stop. */
struct env_uv_options {
    size_t size;
    const char *dir;             /* NULL: no files (tools) */
    uint32_t background_threads; /* 0: 2 */
    uint32_t read_threads;       /* 0: half of the processors, 1 to 4 */
    bool is_existing;            /* dir is not made: E_NOTFOUND when it is not there */
};
MUST_CHECK enum code env_uv_open(const struct env_uv_options *options, struct env **out,
                                 struct err *e);
/* Returns after env_uv_stop, when no task and no job is pending; may be called again. SIGPIPE is
 * held back meanwhile. */
void env_uv_run(struct env *env);
void env_uv_stop(struct env *env); /* any thread, any signal handler; also before run */
/* After run returned, or instead of it; NULL allowed. Runs what is pending, then closes what is
 * left: links hear closed() with code OK and must not connect or submit from there. No other thread
 * may be inside a call. Waits for jobs, never for a peer or a name server. */
void env_uv_close(struct env *env);
/* What the backend is, for the start banner: "pwrite+fdatasync, libuv 1.44.2". */
const char *env_uv_describe(struct env *env);

#endif
