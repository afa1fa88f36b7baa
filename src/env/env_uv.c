/* env_uv: the real env's life, clocks and random numbers. One libuv loop, owned by the thread that
 * calls env_uv_run; threads for jobs (env_lane.c); files below one directory (env_dir.c,
 * env_file.c); TCP (net_tcp.c, net_link.c).
 *
 * Never decides anything: it carries out what the engine asks and reports what happened.
 * Holds: every task posted and every job submitted before env_uv_run returns has run, unless a task
 * posts itself for ever; closing waits for jobs, never for a peer or a name server.
 * SIGPIPE is held back in the loop's thread while it runs, so that a program that embeds the
 * library keeps its own signal settings.
 */
#include "env/env_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/assert.h"
#include "env/net_link.h"

static const struct env_vtable env_uv_vtable;

void *env_must_get(size_t size)
{
    void *memory = calloc(1, size);
    ASSERT(memory != NULL);
    return memory;
}

static bool read_random(uint64_t *out)
{
    ssize_t got;
    do {
        got = getrandom(out, sizeof(*out), 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(*out);
}

enum code env_uv_open(const struct env_uv_options *options, struct env **out, struct err *e)
{
    ASSERT(options->size == sizeof(*options));
    uint64_t probe;
    if (!read_random(&probe)) {
        struct os_error os = os_error_of(errno);
        return ERR(e, E_IO, "the system gives no random numbers (getrandom): %s", os.text);
    }
    struct env_uv *u = calloc(1, sizeof(*u));
    if (u == NULL) return ERR(e, E_NOMEMORY, "no memory for the environment");
    u->base.v = &env_uv_vtable;
    u->dir_fd = -1;
    u->lock_fd = -1;
    list_init(&u->links);
    list_init(&u->listeners);
    list_init(&u->resolves);
    enum code code = loop_init(u, e);
    if (code != OK) {
        free(u);
        return code;
    }
    u->read_buffer = malloc(READ_BUFFER_SIZE);
    if (u->read_buffer == NULL) {
        code = ERR(e, E_NOMEMORY, "no memory for a read buffer of %zu bytes",
                   (size_t)READ_BUFFER_SIZE);
    }
    if (code == OK && options->dir != NULL) {
        code = dir_open(u, options->dir, options->is_existing, e);
    }
    if (code == OK) code = lanes_init(u, options, e);
    if (code != OK) {
        env_uv_close(&u->base);
        return code;
    }
    *out = &u->base;
    return OK;
}

/* Writing to a connection that the peer has reset raises SIGPIPE in the writing thread. */
static void sigpipe_hold(sigset_t *out_old)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    ASSERT(pthread_sigmask(SIG_BLOCK, &pipe, out_old) == 0);
}

static void sigpipe_release(const sigset_t *old)
{
    if (sigismember(old, SIGPIPE) == 1) return;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    /* One may be pending; taking it here keeps it from ending the process below. */
    while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR) {
    }
    ASSERT(pthread_sigmask(SIG_SETMASK, old, NULL) == 0);
}

void env_uv_run(struct env *env)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT(!u->is_running);
    sigset_t old;
    sigpipe_hold(&old);
    u->is_running = true;
    u->stop_rounds = 0;
    (void)uv_run(&u->loop, UV_RUN_DEFAULT); /* says only whether handles are open: they are */
    u->is_running = false;
    atomic_store(&u->inbox.is_stop_wanted, false);
    sigpipe_release(&old);
}

void env_uv_stop(struct env *env)
{
    struct env_uv *u = env_uv_of(env);
    atomic_store(&u->inbox.is_stop_wanted, true);
    loop_wake(u);
}

/* Links first: their closed() may still close the timers of their owners. */
static void close_everything(struct env_uv *u)
{
    sigset_t old;
    sigpipe_hold(&old);
    u->is_closing = true;
    net_close_all(u);
    while (!list_is_empty(&u->links) || !list_is_empty(&u->resolves) || u->listeners_ending > 0) {
        (void)uv_run(&u->loop, UV_RUN_NOWAIT);
    }
    loop_close_handles(u);
    (void)uv_run(&u->loop, UV_RUN_DEFAULT); /* until every handle is closed */
    sigpipe_release(&old);
}

void env_uv_close(struct env *env)
{
    if (env == NULL) return;
    struct env_uv *u = env_uv_of(env);
    ASSERT(!u->is_running);
    if (loop_has_pending(u)) { /* run was never called, or a task posts itself for ever */
        env_uv_stop(env);
        env_uv_run(env);
    }
    lanes_fini(u);
    close_everything(u);
    dir_close(u);
    ASSERT(uv_loop_close(&u->loop) == 0);
    free(u->read_buffer);
    free(u);
}

const char *env_uv_describe(struct env *env)
{
    struct env_uv *u = env_uv_of(env);
    const char *direct = atomic_load_explicit(&u->is_direct_refused, memory_order_relaxed)
                             ? ", no O_DIRECT here: recovery may read from the page cache"
                             : "";
    const char *remote =
        u->is_remote ? ", network file system: the lock and sync are its word" : "";
    (void)snprintf(u->description, sizeof(u->description), "pwrite+fdatasync, libuv %s%s%s",
                   uv_version_string(), direct, remote); /* cut if too long: a banner */
    return u->description;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    ASSERT(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* BOOTTIME goes on while the machine is suspended: a lease must not outlive a closed lid. */
static uint64_t now_mono_ns(struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_BOOTTIME);
}

static int64_t now_wall_ms(struct env *env)
{
    (void)env;
    return (int64_t)(clock_ns(CLOCK_REALTIME) / NS_PER_MS);
}

static uint64_t random_u64(struct env *env)
{
    (void)env;
    uint64_t v;
    ASSERT(read_random(&v)); /* it worked at open; the kernel does not take it back */
    return v;
}

static const struct env_vtable env_uv_vtable = {
    .now_mono_ns = now_mono_ns,
    .now_wall_ms = now_wall_ms,
    .random = random_u64,
    .post = loop_post,
    .timer_start = loop_timer_start,
    .timer_stop = loop_timer_stop,
    .timer_close = loop_timer_close,
    .submit = lane_submit,
    .open = file_open,
    .close = file_close,
    .pwrite = file_pwrite,
    .pread = file_pread,
    .sync = file_sync,
    .truncate = file_truncate,
    .size = file_size,
    .rename = dir_rename,
    .unlink = dir_unlink,
    .make_dir = dir_make,
    .sync_dir = dir_sync,
    .list = dir_list,
    .lock = dir_lock,
    .disk_free = dir_disk_free,
    .listen = net_listen,
    .unlisten = net_unlisten,
    .connect = net_connect,
    .listen_on = net_listen_on,
    .connect_on = net_connect_on,
    .link_send = link_send,
    .link_queued = link_queued,
    .link_pause = link_pause,
    .link_close = link_close,
    .link_describe = link_describe,
};
