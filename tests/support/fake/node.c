/* node: see node.h. */
#include "support/fake/node.h"

#include "support/fake/fake_tide.h"
#include "support/tm_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_MS = 10000 };

static _Noreturn void run_child(void (*prepare)(struct server_options *options))
{
    struct server_options options;
    server_options_init(&options);
    options.port = 0;
    options.http_port = 0;
    options.replication_port = 0;
    fake_reset();
    fake_remember(false);
    fake_use_thread(true);
    if (prepare != NULL) prepare(&options);
    exit(server_run(&options));
}

void node_launch(struct node *n, void (*prepare)(struct server_options *options))
{
    *n = (struct node){.output = -1};
    memcpy(n->log_path, "/tmp/tidemark-node-XXXXXX", sizeof("/tmp/tidemark-node-XXXXXX"));
    int log = mkstemp(n->log_path);
    int ends[2];
    assert_true(log >= 0);
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    n->pid = fork();
    assert_true(n->pid >= 0);
    if (n->pid == 0) {
        dup2(ends[1], 1);
        dup2(log, 2);
        close(ends[0]);
        close(ends[1]);
        close(log);
        run_child(prepare);
    }
    close(ends[1]);
    close(log);
    n->output = ends[0];
}

static uint16_t port_behind(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    const char *colon = strchr(at, ':');
    assert_non_null(colon);
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

bool node_wait_ready(struct node *n)
{
    size_t size = strlen(n->banner);
    while (strstr(n->banner, "ready ") == NULL ||
           strchr(strstr(n->banner, "ready "), '\n') == NULL) {
        struct pollfd p = {.fd = n->output, .events = POLLIN};
        if (poll(&p, 1, TIMEOUT_MS) <= 0) fail_msg("no ready line in time");
        ssize_t got = read(n->output, n->banner + size, sizeof(n->banner) - 1 - size);
        if (got <= 0) return false;
        size += (size_t)got;
        n->banner[size] = '\0';
    }
    const char *ready = strstr(n->banner, "ready ");
    n->data_port = port_behind(ready, "data=");
    n->http_port = port_behind(ready, "http=");
    return true;
}

bool node_start(struct node *n, void (*prepare)(struct server_options *options))
{
    node_launch(n, prepare);
    return node_wait_ready(n);
}

void node_signal(struct node *n, int signal_number)
{
    assert_int_equal(kill(n->pid, signal_number), 0);
}

int node_end(struct node *n)
{
    int status = 0;
    for (int i = 0; i < TIMEOUT_MS / 10; i++) {
        pid_t pid = waitpid(n->pid, &status, WNOHANG);
        if (pid == n->pid) break;
        assert_int_equal(pid, 0);
        poll(NULL, 0, 10);
        if (i + 1 == TIMEOUT_MS / 10) {
            kill(n->pid, SIGKILL);
            waitpid(n->pid, &status, 0);
            print_message("%s", node_log(n));
            fail_msg("the node did not end in time");
        }
    }
    if (n->output >= 0) close(n->output);
    if (strstr(node_log(n), "Sanitizer") != NULL) print_message("%s", node_log(n));
    unlink(n->log_path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int node_stop(struct node *n)
{
    node_signal(n, SIGTERM);
    return node_end(n);
}

const char *node_log(const struct node *n)
{
    static char text[64 * 1024];
    int fd = open(n->log_path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t size = read(fd, text, sizeof(text) - 1);
    assert_true(size >= 0);
    text[size] = '\0';
    close(fd);
    return text;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

uint16_t node_free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

void node_wait_listening(uint16_t port)
{
    for (int i = 0; i < TIMEOUT_MS / 10; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in address = loopback(port);
        int failed = connect(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (!failed) return;
        poll(NULL, 0, 10);
    }
    fail_msg("nobody listens on port %u", port);
}

int wire_open(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address = loopback(port);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    struct timeval timeout = {.tv_sec = TIMEOUT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    return fd;
}

void wire_send(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

void wire_say(int fd, const char *text)
{
    wire_send(fd, text, strlen(text));
}

void wire_receive(int fd, void *out, size_t size)
{
    char *at = out;
    while (size > 0) {
        ssize_t n = recv(fd, at, size, 0);
        if (n <= 0) fail_msg("%zu bytes are missing: %s", size, n == 0 ? "end" : strerror(errno));
        at += n;
        size -= (size_t)n;
    }
}

void wire_expect(int fd, const char *text)
{
    size_t size = strlen(text);
    char *got = calloc(1, size + 1);
    assert_non_null(got);
    wire_receive(fd, got, size);
    assert_string_equal(got, text);
    free(got);
}

const char *wire_receive_all(int fd)
{
    static char text[4 * 1024 * 1024];
    size_t size = 0;
    while (size < sizeof(text) - 1) {
        ssize_t n = recv(fd, text + size, sizeof(text) - 1 - size, 0);
        if (n < 0 && errno == EAGAIN) fail_msg("no end in time");
        if (n <= 0) break;
        size += (size_t)n;
    }
    text[size] = '\0';
    return text;
}

bool wire_is_closed(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

void wire_close(int fd)
{
    close(fd);
}
