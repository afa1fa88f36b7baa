/* tm_proxy: one thread, poll, a pair of sockets and a buffer each way per connection. */
#include "support/tm_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16
#define POLL_MS         2

/* One direction: bytes read from one socket and not yet written to the other. */
struct pipe_half {
    unsigned char bytes[64 * 1024];
    size_t from;
    size_t to;
};

struct connection {
    int fds[2]; /* 0: the side that connected, 1: the target; -1 none */
    struct pipe_half halves[2];
};

struct tm_proxy {
    int listener;
    char address[32];
    pthread_t thread;
    _Atomic bool is_stopping;
    _Atomic bool is_cut;
    _Atomic bool is_held[2];
    _Atomic bool is_flip_due;
    _Atomic uint16_t target_port;
    struct connection connections[CONNECTIONS_MAX];
};

static _Noreturn void give_up(const char *what)
{
    perror(what);
    abort();
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
}

static uint16_t port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL) give_up("proxy: a target without a port");
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static void close_connection(struct connection *c)
{
    for (int side = 0; side < 2; side++) {
        if (c->fds[side] >= 0) (void)close(c->fds[side]);
        c->fds[side] = -1;
        c->halves[side].from = c->halves[side].to = 0;
    }
}

static void accept_one(struct tm_proxy *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct sockaddr_in target = loopback(atomic_load(&p->target_port));
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_up = other >= 0 && !atomic_load(&p->is_cut) &&
                 connect(other, (const struct sockaddr *)&target, sizeof(target)) == 0;
    for (int i = 0; is_up && i < CONNECTIONS_MAX; i++) {
        struct connection *c = &p->connections[i];
        if (c->fds[0] >= 0) continue;
        c->fds[0] = fd;
        c->fds[1] = other;
        return;
    }
    if (other >= 0) (void)close(other);
    (void)close(fd);
}

/* Move what can be moved from one side to the other. False: the connection is over. */
static bool forward(struct tm_proxy *p, struct connection *c, int side)
{
    struct pipe_half *half = &c->halves[side];
    if (half->from == half->to) {
        ssize_t n = recv(c->fds[side], half->bytes, sizeof(half->bytes), MSG_DONTWAIT);
        half->from = 0;
        half->to = n > 0 ? (size_t)n : 0;
        if (n == 0) return false;
        if (n < 0) return true; /* nothing now; a broken one ends at the next read */
        if (side == 1 && atomic_exchange(&p->is_flip_due, false)) half->bytes[n / 2] ^= 0x10;
    }
    ssize_t n = send(c->fds[1 - side], half->bytes + half->from, half->to - half->from,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) half->from += (size_t)n;
    return true;
}

static void *proxy_main(void *arg)
{
    struct tm_proxy *p = arg;
    while (!atomic_load(&p->is_stopping)) {
        struct pollfd polls[1 + 2 * CONNECTIONS_MAX] = {{.fd = p->listener, .events = POLLIN}};
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            for (int side = 0; side < 2; side++) {
                bool is_held = atomic_load(&p->is_held[side]);
                polls[1 + 2 * i + side].fd = is_held ? -1 : p->connections[i].fds[side];
                polls[1 + 2 * i + side].events = POLLIN;
            }
        }
        (void)poll(polls, 1 + 2 * CONNECTIONS_MAX, POLL_MS);
        if (polls[0].revents != 0) accept_one(p);
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            struct connection *c = &p->connections[i];
            if (c->fds[0] < 0) continue;
            bool is_over = atomic_load(&p->is_cut);
            for (int side = 0; side < 2 && !is_over; side++) {
                if (!atomic_load(&p->is_held[side])) is_over = !forward(p, c, side);
            }
            if (is_over) close_connection(c);
        }
    }
    return NULL;
}

struct tm_proxy *tm_proxy_start(const char *target)
{
    struct tm_proxy *p = calloc(1, sizeof(*p));
    if (p == NULL) give_up("proxy: memory");
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        p->connections[i].fds[0] = p->connections[i].fds[1] = -1;
    tm_proxy_retarget(p, target);
    struct sockaddr_in any = loopback(0);
    socklen_t size = sizeof(any);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->listener < 0 || bind(p->listener, (const struct sockaddr *)&any, size) != 0 ||
        listen(p->listener, CONNECTIONS_MAX) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&any, &size) != 0) {
        give_up("proxy: listen");
    }
    (void)snprintf(p->address, sizeof(p->address), "127.0.0.1:%u", ntohs(any.sin_port));
    if (pthread_create(&p->thread, NULL, proxy_main, p) != 0) give_up("proxy: thread");
    return p;
}

void tm_proxy_stop(struct tm_proxy *p)
{
    if (p == NULL) return;
    atomic_store(&p->is_stopping, true);
    (void)pthread_join(p->thread, NULL);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        close_connection(&p->connections[i]);
    (void)close(p->listener);
    free(p);
}

const char *tm_proxy_address(const struct tm_proxy *p)
{
    return p->address;
}

void tm_proxy_retarget(struct tm_proxy *p, const char *target)
{
    atomic_store(&p->target_port, port_of(target));
}

void tm_proxy_hold(struct tm_proxy *p, bool is_uplink_held, bool is_downlink_held)
{
    atomic_store(&p->is_held[0], is_uplink_held);
    atomic_store(&p->is_held[1], is_downlink_held);
}

void tm_proxy_cut(struct tm_proxy *p, bool is_cut)
{
    atomic_store(&p->is_cut, is_cut);
}

void tm_proxy_flip(struct tm_proxy *p)
{
    atomic_store(&p->is_flip_due, true);
}
