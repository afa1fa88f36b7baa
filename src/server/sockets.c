/* sockets: see sockets.h.
 *
 * A peer's life: accepted -> serving -> finishing (its last replies are on their way, what it still
 * sends is read and dropped, so that closing does not destroy them) -> closing -> freed, which
 * waits for the turn that is in flight. */
#include "server/sockets.h"

#include "base/assert.h"
#include "base/text.h"
#include "server/conn.h"
#include "server/logger.h"
#include "server/now.h"
#include "server/service.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    BACKLOG = 511,
    KEEPALIVE_S = 60,
    DISCARD_SIZE = 64 * 1024,
    FILES_BESIDE_CLIENTS = 256, /* log segments, replication links, HTTP ... */
    FINISHING_MAX_S = 30,       /* for a client to take its last replies */
    LINGER_MS = 1000,           /* for it to close after them */
};

struct peer {
    struct conn conn;
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    struct sockets *sockets;
    size_t queued_size;
    uint64_t deadline_ns; /* of finishing */
    bool is_reading;
    bool is_finishing;
    bool is_lingering; /* everything was sent */
    bool is_closing;
    bool is_refused; /* never became a connection */
};

struct sockets {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_async_t wake;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_timer_t tick;
    struct service *service;
    struct sockets_events events;
    uint64_t stop_deadline_ns;
    uint64_t finishing_count;
    uint64_t told_refused_ns; /* when a refused client was last written to the log */
    uint32_t connections_max;
    bool is_stopping;
    bool is_accept_owed; /* a client waits to be accepted: there was no memory */
    uint8_t discard[DISCARD_SIZE];
};

/* What could not be sent at once. */
struct pending {
    uv_write_t request;
    struct peer *peer;
    uint8_t *data;
    size_t capacity;
    size_t size;
};

static struct peer *peer_of(struct conn *conn)
{
    return CONTAINER_OF(conn, struct peer, conn);
}

/* --- addresses and listening --- */

static bool parse_address(const char *address, uint16_t port, struct sockaddr_storage *out,
                          socklen_t *size)
{
    if (strcmp(address, "localhost") == 0) address = "127.0.0.1";
    memset(out, 0, sizeof(*out));
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (uv_ip4_addr(address, port, &v4) == 0) {
        memcpy(out, &v4, sizeof(v4));
        *size = sizeof(v4);
        return true;
    }
    if (uv_ip6_addr(address, port, &v6) == 0) {
        memcpy(out, &v6, sizeof(v6));
        *size = sizeof(v6);
        return true;
    }
    return false;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->ss_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        return ntohs(v4.sin_port);
    }
    memcpy(&v6, address, sizeof(v6));
    return ntohs(v6.sin6_port);
}

bool sockets_is_address(const char *address)
{
    struct sockaddr_storage parsed;
    socklen_t size = 0;
    return parse_address(address, 0, &parsed, &size);
}

bool sockets_is_loopback(const char *address)
{
    struct sockaddr_storage parsed;
    socklen_t size = 0;
    if (!parse_address(address, 0, &parsed, &size)) return false;
    if (parsed.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &parsed, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, &parsed, sizeof(v6));
    return memcmp(&v6.sin6_addr, &in6addr_loopback, sizeof(v6.sin6_addr)) == 0;
}

void sockets_format_address(const char *host, uint16_t port, char out[ADDRESS_SIZE_MAX + 1])
{
    struct text t = text_of(out, ADDRESS_SIZE_MAX + 1);
    bool is_v6 = strchr(host, ':') != NULL;
    text_add(&t, "%s%s%s:%u", is_v6 ? "[" : "", host, is_v6 ? "]" : "", (unsigned)port);
}

void sockets_close_fd(int fd)
{
    if (fd >= 0) (void)close(fd); /* nothing was written through it */
}

static enum code fail_listen(int error, const char *address, uint16_t port, const char *flag,
                             struct err *e)
{
    switch (error) {
    case EADDRINUSE:
        return ERR(e, E_INUSE,
                   "port %u of %s is in use; choose another one with %s, or stop the program that "
                   "has it",
                   (unsigned)port, address, flag);
    case EACCES:
        return ERR(e, E_IO, "no right to listen on port %u of %s; choose one above 1023 with %s",
                   (unsigned)port, address, flag);
    case EADDRNOTAVAIL:
        return ERR(e, E_INVALID, "%s is no address of this machine; choose one with --bind",
                   address);
    default:
        return ERR(e, E_IO, "cannot listen on port %u of %s (%s): %s", (unsigned)port, address,
                   flag, uv_strerror(uv_translate_sys_error(error)));
    }
}

enum code sockets_listen(const char *address, uint16_t port, const char *flag, int *out_fd,
                         uint16_t *out_port, struct err *e)
{
    struct sockaddr_storage where;
    socklen_t size = 0;
    if (!parse_address(address, port, &where, &size)) {
        return ERR(e, E_INVALID,
                   "--bind '%s' is not a numeric address such as 127.0.0.1 or ::1, nor localhost",
                   address);
    }
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail_listen(errno, address, port, flag, e);
    int yes = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)); /* only a convenience */
    const struct sockaddr *generic = (const struct sockaddr *)&where;
    if (bind(fd, generic, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&where, &size) != 0) {
        int error = errno;
        sockets_close_fd(fd);
        return fail_listen(error, address, port, flag, e);
    }
    *out_fd = fd;
    *out_port = port_of(&where);
    return OK;
}

/* "127.0.0.1:50312" of the other end. */
static void describe_peer(const uv_tcp_t *tcp, char out[ADDRESS_SIZE_MAX + 1])
{
    struct sockaddr_storage address;
    int size = sizeof(address);
    char host[64] = "unknown";
    uint16_t port = 0;
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &size) == 0) {
        port = port_of(&address);
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        if (address.ss_family == AF_INET) {
            memcpy(&v4, &address, sizeof(v4));
            (void)uv_ip4_name(&v4, host, sizeof(host));
        } else {
            memcpy(&v6, &address, sizeof(v6));
            (void)uv_ip6_name(&v6, host, sizeof(host));
        }
    }
    sockets_format_address(host, port, out);
}

/* --- the end of a peer --- */

/* Everybody is gone, or their time is over. */
static void stop_if_done(struct sockets *s)
{
    bool is_over = s->is_stopping && now_mono_ns() >= s->stop_deadline_ns;
    if (s->is_stopping && (s->service->conn_count == 0 || is_over)) uv_stop(&s->loop);
}

static void free_peer(struct peer *peer)
{
    struct service *service = peer->sockets->service;
    if (peer->is_finishing) peer->sockets->finishing_count--;
    if (!peer->is_refused) conn_fini(&peer->conn);
    alloc_put(&service->alloc, peer, sizeof(*peer));
}

static void on_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    struct sockets *s = peer->sockets;
    if (peer->is_refused || conn_closed(&peer->conn)) free_peer(peer);
    stop_if_done(s);
}

static void close_peer(struct peer *peer)
{
    if (peer->is_closing) return;
    peer->is_closing = true;
    peer->conn.state = CONN_FINISHED;
    uv_close((uv_handle_t *)&peer->tcp, on_closed);
}

static void hook_release(struct conn *conn)
{
    free_peer(peer_of(conn));
}

/* --- reading --- */

static void on_room_wanted(uv_handle_t *handle, size_t suggested_size, uv_buf_t *buf)
{
    (void)suggested_size;
    struct peer *peer = handle->data;
    size_t size = DISCARD_SIZE;
    uint8_t *room = peer->sockets->discard;
    if (!peer->is_finishing) room = conn_room(&peer->conn, &size);
    /* Without room libuv reports UV_ENOBUFS to on_read. */
    *buf = uv_buf_init((char *)room, room != NULL ? (unsigned)size : 0);
}

static void hook_update(struct conn *conn);

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    (void)buf;
    struct peer *peer = stream->data;
    if (peer->is_closing) return;
    if (size == UV_ENOBUFS) {
        LOG(LOG_WARN, "no memory for input, connection closed",
            LOG_TEXT("client", peer->conn.address));
    }
    if (peer->is_finishing && size == UV_EOF && !peer->is_lingering) {
        peer->conn.is_at_end = true; /* but it may still read its last replies */
        hook_update(&peer->conn);
    } else if (peer->is_finishing) {
        if (size < 0) close_peer(peer);
    } else if (size >= 0) {
        conn_received(&peer->conn, (size_t)size);
    } else if (size == UV_EOF) {
        conn_ended(&peer->conn);
    } else {
        close_peer(peer);
    }
}

/* Read while the connection wants input, and while it finishes. */
static void hook_update(struct conn *conn)
{
    struct peer *peer = peer_of(conn);
    if (peer->is_closing) return;
    bool wants = peer->is_finishing ? !conn->is_at_end : conn_wants_input(conn);
    if (wants == peer->is_reading) return;
    peer->is_reading = wants;
    if (!wants) {
        (void)uv_read_stop((uv_stream_t *)&peer->tcp); /* always 0 */
    } else if (uv_read_start((uv_stream_t *)&peer->tcp, on_room_wanted, on_read) != 0) {
        close_peer(peer);
    }
}

/* --- writing --- */

static void on_written(uv_write_t *request, int status)
{
    struct pending *pending = CONTAINER_OF(request, struct pending, request);
    struct peer *peer = pending->peer;
    struct alloc *alloc = &peer->sockets->service->alloc;
    peer->queued_size -= pending->size;
    alloc_put(alloc, pending->data, pending->capacity);
    alloc_put(alloc, pending, sizeof(*pending));
    if (peer->is_closing) return;
    if (status != 0) {
        close_peer(peer);
    } else if (peer->conn.is_output_full && peer->queued_size < SOCKETS_QUEUED_LOW) {
        peer->conn.is_output_full = false;
        if (!peer->is_finishing) conn_drained(&peer->conn);
    }
}

/* Keep what is left of bytes until the socket takes it. */
static void queue_rest(struct peer *peer, struct out *bytes, size_t sent)
{
    struct alloc *alloc = bytes->alloc;
    struct pending *pending = alloc_get(alloc, sizeof(*pending));
    if (pending == NULL) {
        close_peer(peer);
        return;
    }
    pending->peer = peer;
    pending->data = bytes->data;
    pending->capacity = bytes->capacity;
    pending->size = bytes->size - sent;
    *bytes = (struct out){.alloc = alloc};
    peer->queued_size += pending->size;
    uv_buf_t buf = uv_buf_init((char *)pending->data + sent, (unsigned)pending->size);
    if (uv_write(&pending->request, (uv_stream_t *)&peer->tcp, &buf, 1, on_written) != 0) {
        peer->queued_size -= pending->size;
        alloc_put(alloc, pending->data, pending->capacity);
        alloc_put(alloc, pending, sizeof(*pending));
        close_peer(peer);
        return;
    }
    if (peer->queued_size > SOCKETS_QUEUED_MAX) {
        LOG(LOG_WARN, "client does not read its replies, connection closed",
            LOG_TEXT("client", peer->conn.address), LOG_U64("queued_bytes", peer->queued_size));
        close_peer(peer);
    } else if (peer->queued_size > SOCKETS_QUEUED_HIGH) {
        peer->conn.is_output_full = true;
    }
}

static void hook_send(struct conn *conn, struct out *bytes)
{
    struct peer *peer = peer_of(conn);
    if (peer->is_closing) return;
    ASSERT(bytes->size <= UINT32_MAX);
    int sent = 0;
    if (peer->queued_size == 0) {
        uv_buf_t buf = uv_buf_init((char *)bytes->data, (unsigned)bytes->size);
        sent = uv_try_write((uv_stream_t *)&peer->tcp, &buf, 1);
        if (sent == UV_EAGAIN) sent = 0;
    }
    if (sent < 0) {
        close_peer(peer);
    } else if ((size_t)sent < bytes->size) {
        queue_rest(peer, bytes, (size_t)sent);
    }
}

/* --- finishing --- */

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct peer *peer = request->data;
    if (peer->is_closing) return;
    if (status != 0 || peer->conn.is_at_end || peer->sockets->is_stopping) {
        close_peer(peer);
    } else {
        peer->is_lingering = true;
        peer->deadline_ns = now_mono_ns() + LINGER_MS * NS_PER_MS;
    }
}

static void hook_finish(struct conn *conn)
{
    struct peer *peer = peer_of(conn);
    if (peer->is_closing || peer->is_finishing) return;
    peer->is_finishing = true;
    peer->sockets->finishing_count++;
    peer->deadline_ns = now_mono_ns() + FINISHING_MAX_S * NS_PER_S;
    peer->shutdown.data = peer;
    if (uv_shutdown(&peer->shutdown, (uv_stream_t *)&peer->tcp, on_shutdown) != 0) {
        close_peer(peer);
    } else {
        hook_update(conn);
    }
}

/* Close those whose time to finish is over; all when the server's time to stop is. */
static void close_late_peers(struct sockets *s, uint64_t now_ns)
{
    bool is_over = s->is_stopping && now_ns >= s->stop_deadline_ns;
    if (s->finishing_count == 0 && !is_over) return;
    for (struct conn *c = s->service->conns; c != NULL; c = c->next) {
        struct peer *peer = peer_of(c);
        if (is_over || (peer->is_finishing && now_ns >= peer->deadline_ns)) close_peer(peer);
    }
}

/* --- accepting --- */

static void refuse(struct sockets *s, struct peer *peer)
{
    static const char words[] = "-ERR max number of clients reached\r\n";
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)words, sizeof(words) - 1);
    (void)uv_try_write((uv_stream_t *)&peer->tcp, &buf, 1); /* a courtesy */
    peer->is_refused = true;
    close_peer(peer);
    stats_add(&s->service->stats.connections_refused, 1);
    uint64_t now_ns = now_mono_ns();
    if (s->told_refused_ns != 0 && now_ns - s->told_refused_ns < 10 * NS_PER_S) return;
    s->told_refused_ns = now_ns;
    LOG(LOG_WARN, "clients are refused: connections_max is reached",
        LOG_U64("connections_max", s->connections_max));
}

static void accept_one(struct sockets *s)
{
    struct peer *peer = alloc_get(&s->service->alloc, sizeof(*peer));
    s->is_accept_owed = peer == NULL;
    if (peer == NULL) return;
    peer->sockets = s;
    peer->tcp.data = peer;
    peer->is_refused = true; /* until it is taken in */
    int failed = uv_tcp_init(&s->loop, &peer->tcp);
    ASSERT(failed == 0); /* without a socket it only fills the struct */
    if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&peer->tcp) != 0) {
        close_peer(peer);
        return;
    }
    if (s->service->conn_count >= s->connections_max || s->is_stopping) {
        refuse(s, peer);
        return;
    }
    (void)uv_tcp_nodelay(&peer->tcp, 1); /* slower without, not wrong */
    (void)uv_tcp_keepalive(&peer->tcp, 1, KEEPALIVE_S);
    char address[ADDRESS_SIZE_MAX + 1];
    describe_peer(&peer->tcp, address);
    conn_init(&peer->conn, s->service, address);
    peer->is_refused = false;
    hook_update(&peer->conn);
}

static void on_client(uv_stream_t *listener, int status)
{
    struct sockets *s = listener->data;
    if (status == 0) accept_one(s);
}

/* --- the loop --- */

static void hook_wake(struct service *service)
{
    sockets_wake(service->sockets);
}

static void hook_stop(struct service *service)
{
    service->is_stop_wanted = true;
    sockets_wake(service->sockets);
}

struct service_hooks sockets_hooks(void)
{
    return (struct service_hooks){
        .send = hook_send,
        .finish = hook_finish,
        .update = hook_update,
        .release = hook_release,
        .wake = hook_wake,
        .stop = hook_stop,
    };
}

void sockets_wake(struct sockets *s)
{
    (void)uv_async_send(&s->wake); /* fails only on a closed handle */
}

static void on_wake(uv_async_t *handle)
{
    struct sockets *s = handle->data;
    service_complete(s->service);
    if (s->service->is_stop_wanted && !s->is_stopping) s->events.told(s->events.arg);
    s->events.woken(s->events.arg);
    stop_if_done(s);
}

static void on_tick(uv_timer_t *handle)
{
    struct sockets *s = handle->data;
    uint64_t now_ns = now_mono_ns();
    atomic_store_explicit(&s->service->ticked_ns, now_ns, memory_order_relaxed);
    if (s->is_accept_owed) accept_one(s);
    close_late_peers(s, now_ns);
    s->events.ticked(s->events.arg);
    stop_if_done(s);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct sockets *s = handle->data;
    LOG(LOG_INFO, "told to stop", LOG_TEXT("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    s->events.told(s->events.arg);
}

/* Each client is an open file. */
static uint32_t raise_file_limit(uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
    rlim_t files = (rlim_t)wanted + FILES_BESIDE_CLIENTS;
    if (limit.rlim_cur < files) {
        struct rlimit raised = limit;
        raised.rlim_cur = files < limit.rlim_max ? files : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    if (limit.rlim_cur >= files) return wanted;
    rlim_t left = limit.rlim_cur / 2 > FILES_BESIDE_CLIENTS ? limit.rlim_cur - FILES_BESIDE_CLIENTS
                                                            : limit.rlim_cur / 2;
    LOG(LOG_WARN, "the limit of open files allows fewer clients than connections_max",
        LOG_U64("connections_max", wanted), LOG_U64("files", limit.rlim_cur),
        LOG_U64("clients", left));
    return (uint32_t)left;
}

static void ignore_pipe_signal(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL); /* cannot fail for this signal */
}

static int start_handles(struct sockets *s, int listening_fd)
{
    int failed = uv_tcp_init(&s->loop, &s->listener);
    if (failed == 0) failed = uv_async_init(&s->loop, &s->wake, on_wake);
    if (failed == 0) failed = uv_timer_init(&s->loop, &s->tick);
    if (failed == 0) failed = uv_signal_init(&s->loop, &s->terminate);
    if (failed == 0) failed = uv_signal_init(&s->loop, &s->interrupt);
    s->listener.data = s;
    s->wake.data = s;
    s->tick.data = s;
    s->terminate.data = s;
    s->interrupt.data = s;
    if (failed == 0) failed = uv_signal_start(&s->terminate, on_signal, SIGTERM);
    if (failed == 0) failed = uv_signal_start(&s->interrupt, on_signal, SIGINT);
    if (failed == 0) failed = uv_timer_start(&s->tick, on_tick, SOCKETS_TICK_MS, SOCKETS_TICK_MS);
    if (failed == 0) failed = uv_tcp_open(&s->listener, listening_fd);
    if (failed == 0) failed = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_client);
    return failed;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void free_sockets(struct sockets *s)
{
    uv_walk(&s->loop, close_handle, NULL);
    (void)uv_run(&s->loop, UV_RUN_DEFAULT); /* until the handles are closed */
    int busy = uv_loop_close(&s->loop);
    ASSERT(busy == 0);
    alloc_put(&s->service->alloc, s, sizeof(*s));
}

enum code sockets_open(struct service *service, int listening_fd,
                       const struct sockets_events *events, struct sockets **out, struct err *e)
{
    struct sockets *s = alloc_get(&service->alloc, sizeof(*s));
    if (s == NULL) {
        sockets_close_fd(listening_fd);
        return ERR(e, E_NOMEMORY, "no memory for the server's loop");
    }
    s->service = service;
    s->events = *events;
    uint32_t wanted = service->options->connections_max;
    s->connections_max = raise_file_limit(wanted > 0 ? wanted : SERVER_CONNECTIONS_MAX);
    ignore_pipe_signal();
    int failed = uv_loop_init(&s->loop);
    if (failed != 0) {
        alloc_put(&service->alloc, s, sizeof(*s));
        sockets_close_fd(listening_fd);
        return ERR(e, E_IO, "cannot start the server's loop: %s", uv_strerror(failed));
    }
    failed = start_handles(s, listening_fd);
    if (failed != 0) {
        free_sockets(s);
        return ERR(e, E_IO, "cannot start the server's loop: %s", uv_strerror(failed));
    }
    service->sockets = s;
    *out = s;
    return OK;
}

void sockets_run(struct sockets *s)
{
    (void)uv_run(&s->loop, UV_RUN_DEFAULT); /* says only whether handles are left */
}

void sockets_signals_end(struct sockets *s)
{
    (void)uv_signal_stop(&s->terminate); /* 0 for every handle that is not closed */
    (void)uv_signal_stop(&s->interrupt);
}

void sockets_stop(struct sockets *s, uint64_t deadline_ms)
{
    if (s->is_stopping) return;
    s->is_stopping = true;
    s->service->is_stopping = true;
    s->stop_deadline_ns = now_mono_ns() + deadline_ms * NS_PER_MS;
    sockets_signals_end(s);
    uv_close((uv_handle_t *)&s->listener, NULL);
    for (struct conn *c = s->service->conns; c != NULL; c = c->next) {
        conn_end(c);
        conn_drained(c);
    }
    sockets_wake(s);
}

/* Clients that are still there lose their connection; a client whose turn was in flight when the
 * loop ended is told nothing: the write may or may not be in the log. */
void sockets_close(struct sockets *s)
{
    if (s == NULL) return;
    for (struct conn *c = s->service->conns; c != NULL; c = c->next) {
        close_peer(peer_of(c));
    }
    service_complete(s->service);
    free_sockets(s);
}
