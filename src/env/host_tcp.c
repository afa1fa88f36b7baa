/* host_tcp: one TCP connection as a client, and waiting for several descriptors. */
#include "env/host.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* "host:port" or "[v6]:port" in two parts. */
static bool split_address(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address) return false;
    const char *start = address;
    size_t size = (size_t)(colon - address);
    if (start[0] == '[' && size > 2 && start[size - 1] == ']') {
        start++;
        size -= 2;
    }
    if (size > 255 || strlen(colon + 1) == 0 || strlen(colon + 1) > 5) return false;
    memcpy(host, start, size);
    host[size] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

/* Connect without blocking longer than the deadline. Returns 0 or an errno value. */
static int connect_one(const struct addrinfo *to, uint64_t deadline_ns, int *out_fd)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    int reason = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    while (reason == EINPROGRESS || reason == EINTR) {
        uint64_t now = host_mono_ns();
        if (now >= deadline_ns) {
            reason = ETIMEDOUT;
            break;
        }
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int n = poll(&wait, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1);
        if (host_is_interrupted()) reason = ECANCELED;
        if (n <= 0) continue;
        int state = 0;
        socklen_t size = sizeof(state);
        reason = getsockopt(fd, SOL_SOCKET, SO_ERROR, &state, &size) == 0 ? state : errno;
    }
    if (reason != 0) {
        (void)close(fd);
        return reason;
    }
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* only slower without */
    *out_fd = fd;
    return 0;
}

enum code host_connect(const char *address, uint32_t timeout_ms, int *out_fd, struct err *e)
{
    char host[256];
    char port[8];
    if (!split_address(address, host, port)) {
        return ERR(e, E_INVALID, "\"%s\" is no address; write HOST:PORT", address);
    }
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(host, port, &wanted, &found);
    if (failure != 0) {
        return ERR(e, E_NOTFOUND, "cannot resolve %s: %s", address, gai_strerror(failure));
    }
    uint64_t deadline_ns = host_mono_ns() + timeout_ms * NS_PER_MS;
    int reason = EHOSTUNREACH;
    for (const struct addrinfo *to = found; to != NULL && reason != 0; to = to->ai_next) {
        reason = connect_one(to, deadline_ns, out_fd);
    }
    freeaddrinfo(found);
    if (reason == 0) return OK;
    return ERR(e, E_CLOSED, "cannot connect to %s: %s", address, host_reason(reason));
}

enum code host_send(int fd, struct slice bytes, size_t *out_size, struct err *e)
{
    ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    if (n >= 0) {
        *out_size = (size_t)n;
        return OK;
    }
    if (errno == EAGAIN || errno == EINTR) {
        *out_size = 0;
        return OK;
    }
    return ERR(e, E_CLOSED, "the connection broke: %s", host_reason(errno));
}

enum code host_receive(int fd, void *out, size_t size, size_t *out_size, struct err *e)
{
    ssize_t n = recv(fd, out, size, 0);
    if (n > 0) {
        *out_size = (size_t)n;
        return OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        *out_size = 0;
        return OK;
    }
    if (n == 0) return ERR(e, E_CLOSED, "the server closed the connection");
    return ERR(e, E_CLOSED, "the connection broke: %s", host_reason(errno));
}

size_t host_wait_any(struct host_wait *waits, size_t count, uint32_t timeout_ms)
{
    return host_wait_ns(waits, count, timeout_ms * NS_PER_MS);
}

size_t host_wait_ns(struct host_wait *waits, size_t count, uint64_t timeout_ns)
{
    struct pollfd polls[HOST_WAITS_MAX];
    if (count > HOST_WAITS_MAX) count = HOST_WAITS_MAX;
    for (size_t i = 0; i < count; i++) {
        int events = (waits[i].wants_read ? POLLIN : 0) | (waits[i].wants_write ? POLLOUT : 0);
        polls[i] = (struct pollfd){.fd = waits[i].fd, .events = (short)events};
        waits[i].is_ready = false;
    }
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                               .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    int n = ppoll(polls, count, &timeout, NULL);
    if (n <= 0) return 0;
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        waits[i].is_ready = polls[i].fd >= 0 && polls[i].revents != 0;
        if (waits[i].is_ready) ready++;
    }
    return ready;
}
