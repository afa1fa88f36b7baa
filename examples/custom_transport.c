/* A transport of one's own: here the bytes between leader and follower travel through Unix socket
 * pairs. It shows all that a transport needs: eight calls that never block, and a waker that is
 * called when a descriptor becomes readable or writable. A serial line or a message bus would look
 * the same, with other descriptors.
 *
 *     custom_transport DIR
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <tidemark.h>
#include <unistd.h>

#define ENDS_MAX 64

static void check(enum tide_code code, const struct tide_err *e)
{
    if (code == TIDE_OK) return;
    fprintf(stderr, "%s: %s\n", tide_code_name(code), e->message);
    _Exit(1);
}

/* One end of a connection. Ends are never reused, so that a late event finds is_open false. */
struct end {
    int fd;
    bool is_open;
    bool is_waiting; /* to be accepted */
    struct tide_waker waker;
};

/* One listener, any number of connections. The mutex keeps the watching thread and the calls apart;
 * wake may be called with it held. */
static struct {
    pthread_mutex_t mutex;
    pthread_t watcher;
    int epoll_fd;
    int stop_fd;
    bool is_listening;
    struct tide_waker listener;
    struct end ends[ENDS_MAX];
    int end_count;
} wires = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Edges, not levels: one wake when there is something new, none while nobody reads. */
static void watch(struct end *end)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = end};
    if (epoll_ctl(wires.epoll_fd, EPOLL_CTL_ADD, end->fd, &event) != 0) abort();
}

static void *watcher_main(void *arg)
{
    struct epoll_event events[16];
    (void)arg;
    for (;;) {
        int count = epoll_wait(wires.epoll_fd, events, 16, -1);
        pthread_mutex_lock(&wires.mutex);
        for (int i = 0; i < count; i++) {
            struct end *end = events[i].data.ptr;
            if (end == NULL) { /* the stop event */
                pthread_mutex_unlock(&wires.mutex);
                return NULL;
            }
            if (end->is_open && !end->is_waiting) end->waker.wake(end->waker.arg);
        }
        pthread_mutex_unlock(&wires.mutex);
    }
}

/* --- the eight calls --- */

static enum tide_code wire_connect(void *arg, const char *address, struct tide_waker waker,
                                   void **out_connection, struct tide_err *e)
{
    int fds[2];
    (void)arg;
    pthread_mutex_lock(&wires.mutex);
    bool is_possible = wires.is_listening && wires.end_count + 2 <= ENDS_MAX &&
                       socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0;
    if (is_possible) {
        struct end *mine = &wires.ends[wires.end_count++];
        struct end *theirs = &wires.ends[wires.end_count++];
        *mine = (struct end){.fd = fds[0], .is_open = true, .waker = waker};
        *theirs = (struct end){.fd = fds[1], .is_open = true, .is_waiting = true};
        watch(mine);
        wires.listener.wake(wires.listener.arg);
        *out_connection = mine;
    }
    pthread_mutex_unlock(&wires.mutex);
    if (is_possible) return TIDE_OK;
    snprintf(e->message, sizeof(e->message), "nobody listens at %s", address);
    return TIDE_IO; /* the follower comes back */
}

static enum tide_code wire_listen(void *arg, const char *address, struct tide_waker waker,
                                  void **out_listener, struct tide_err *e)
{
    (void)arg;
    pthread_mutex_lock(&wires.mutex);
    bool is_free = !wires.is_listening;
    if (is_free) {
        wires.is_listening = true;
        wires.listener = waker;
        *out_listener = &wires;
    }
    pthread_mutex_unlock(&wires.mutex);
    if (is_free) return TIDE_OK;
    snprintf(e->message, sizeof(e->message), "somebody listens at %s already", address);
    return TIDE_INUSE;
}

static bool wire_accept(void *listener, struct tide_waker waker, void **out_connection)
{
    struct end *found = NULL;
    (void)listener;
    pthread_mutex_lock(&wires.mutex);
    for (int i = 0; i < wires.end_count && found == NULL; i++) {
        if (wires.ends[i].is_waiting) found = &wires.ends[i];
    }
    if (found != NULL) {
        found->is_waiting = false;
        found->waker = waker;
        watch(found);
        *out_connection = found;
    }
    pthread_mutex_unlock(&wires.mutex);
    return found != NULL;
}

static void wire_close(void *connection)
{
    struct end *end = connection;
    pthread_mutex_lock(&wires.mutex); /* no wake is under way, and none follows */
    end->is_open = false;
    close(end->fd);
    pthread_mutex_unlock(&wires.mutex);
}

static void wire_unlisten(void *listener)
{
    (void)listener;
    pthread_mutex_lock(&wires.mutex);
    wires.is_listening = false;
    for (int i = 0; i < wires.end_count; i++) { /* who waits is turned away */
        if (!wires.ends[i].is_waiting) continue;
        wires.ends[i].is_waiting = wires.ends[i].is_open = false;
        close(wires.ends[i].fd);
    }
    pthread_mutex_unlock(&wires.mutex);
}

static enum tide_code wire_send(void *connection, const void *bytes, size_t size, size_t *out_taken)
{
    struct end *end = connection;
    ssize_t taken = send(end->fd, bytes, size, MSG_NOSIGNAL);
    *out_taken = taken > 0 ? (size_t)taken : 0;
    if (taken >= 0 || errno == EAGAIN) return TIDE_OK; /* 0: full; an edge tells when it is not */
    return errno == EPIPE ? TIDE_OK : TIDE_IO; /* receive tells that the other side closed */
}

static enum tide_code wire_receive(void *connection, void *out, size_t capacity, size_t *out_size)
{
    struct end *end = connection;
    ssize_t size = recv(end->fd, out, capacity, 0);
    *out_size = size > 0 ? (size_t)size : 0;
    if (size > 0) return TIDE_OK;
    if (size == 0) return TIDE_CLOSED;
    return errno == EAGAIN ? TIDE_OK : TIDE_IO;
}

static const char *wire_describe(void *arg)
{
    (void)arg;
    return "socket pair";
}

static const struct tide_transport transport = {
    .size = sizeof(transport),
    .connect = wire_connect,
    .listen = wire_listen,
    .accept = wire_accept,
    .unlisten = wire_unlisten,
    .send = wire_send,
    .receive = wire_receive,
    .close = wire_close,
    .describe = wire_describe,
};

/* --- using it --- */

static tide_db *open_node(const char *dir, const char *name, const char *follow)
{
    char path[512];
    struct tide_options options = {.size = sizeof(options),
                                   .dir = path,
                                   .follow = follow,
                                   .node_id = name,
                                   .replication_listen = TIDE_TRANSPORT};
    struct tide_err e;
    tide_db *db = NULL;
    snprintf(path, sizeof(path), "%s-%s", dir, name);
    check(tide_open(&options, &db, NULL, &e), &e);
    return db;
}

int main(int argc, char **argv)
{
    struct tide_err e;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    wires.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    wires.stop_fd = eventfd(0, EFD_CLOEXEC);
    struct epoll_event stop = {.events = EPOLLIN};
    if (epoll_ctl(wires.epoll_fd, EPOLL_CTL_ADD, wires.stop_fd, &stop) != 0) return 1;
    if (pthread_create(&wires.watcher, NULL, watcher_main, NULL) != 0) return 1;

    tide_db *leader = open_node(argv[1], "leader", NULL);
    tide_db *follower = open_node(argv[1], "follower", TIDE_TRANSPORT);
    check(tide_replicate(follower, &transport, "anywhere", &e), &e); /* it may come first */
    check(tide_listen(leader, &transport, "anywhere", &e), &e);
    struct tide_position last = {0};
    for (int i = 0; i < 100; i++) {
        struct tide_signal view = {.type = {"view", 4}, .item = {"song", 4}};
        check(tide_signal(leader, &view, &last, &e), &e);
    }
    check(tide_wait_position(follower, &last, 20000, &e), &e);
    uint64_t views;
    check(tide_count(follower, (struct tide_bytes){"view", 4}, (struct tide_bytes){"song", 4},
                     (struct tide_bytes){"all", 3}, &views, &e),
          &e);
    printf("%llu views arrived over a %s\n", (unsigned long long)views,
           transport.describe(transport.arg));

    check(tide_close(follower, 5000, &e), &e);
    check(tide_close(leader, 5000, &e), &e);
    if (eventfd_write(wires.stop_fd, 1) != 0) return 1;
    pthread_join(wires.watcher, NULL);
    close(wires.stop_fd);
    close(wires.epoll_fd);
    return views == 100 ? 0 : 1;
}
