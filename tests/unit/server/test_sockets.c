/* sockets: real clients over real sockets, the database faked: bytes in any pieces, many clients,
 * clients that do not read, too many clients, and the ways in which a connection ends. */
#include "support/tm_test.h"

#include "server/sockets.h"
#include "support/fake/fake_tide.h"
#include "support/fake/node.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct node node;

static int stop_node(void **state)
{
    (void)state;
    assert_int_equal(node_stop(&node), SERVER_DONE);
    return 0;
}

static int start_node(void **state)
{
    (void)state;
    assert_true(node_start(&node, NULL));
    return 0;
}

static void commands_are_answered(void **state)
{
    (void)state;
    int fd = wire_open(node.data_port);
    wire_say(fd, "*3\r\n$6\r\nSIGNAL\r\n$4\r\nview\r\n$1\r\na\r\nPING\r\n");
    wire_expect(fd, "$12\r\n1-1-9f3a21bc\r\n+PONG\r\n");
    wire_close(fd);
}

static void one_byte_at_a_time_gives_the_same_replies(void **state)
{
    (void)state;
    static const char stream[] = "*3\r\n$6\r\nSIGNAL\r\n$4\r\nview\r\n$1\r\na\r\nPING\r\n"
                                 "ECHO \"a b\"\r\n";
    int fd = wire_open(node.data_port);
    for (size_t i = 0; i < sizeof(stream) - 1; i++) {
        wire_send(fd, stream + i, 1);
    }
    wire_expect(fd, "$12\r\n1-1-9f3a21bc\r\n+PONG\r\n$3\r\na b\r\n");
    wire_close(fd);
}

static void long_pipelines_of_many_clients_are_answered(void **state)
{
    (void)state;
    enum { CLIENTS = 20, COMMANDS = 10000 };
    int fds[CLIENTS];
    size_t size = 0;
    char *stream = malloc((size_t)COMMANDS * 64);
    assert_non_null(stream);
    for (int i = 0; i < COMMANDS; i++) {
        size += (size_t)snprintf(stream + size, 64, "SIGNAL view x\r\nECHO %06d\r\n", i);
    }
    for (int c = 0; c < CLIENTS; c++) {
        fds[c] = wire_open(node.data_port);
    }
    /* The replies of a client fit its and the server's buffers: all may send before any reads. */
    for (int c = 0; c < CLIENTS; c++) {
        wire_send(fds[c], stream, size);
    }
    for (int c = 0; c < CLIENTS; c++) {
        for (int i = 0; i < COMMANDS; i++) {
            char text[64];
            char start[3];
            wire_receive(fds[c], start, 3); /* "$12" ... "$17": the token grows */
            assert_memory_equal(start, "$1", 2);
            size_t token_size = 10 + (size_t)(start[2] - '0');
            wire_receive(fds[c], text, 2 + token_size + 2);
            (void)snprintf(text, sizeof(text), "$6\r\n%06d\r\n", i);
            wire_expect(fds[c], text);
        }
        wire_close(fds[c]);
    }
    free(stream);
}

/* It is answered in words, although the client goes on sending what it announced. */
static void a_huge_bulk_is_refused_at_once(void **state)
{
    (void)state;
    int fd = wire_open(node.data_port);
    wire_say(fd, "*2\r\n$4\r\nECHO\r\n$536870912\r\n");
    char junk[4096] = {0};
    wire_send(fd, junk, sizeof(junk));
    wire_expect(fd, "-ERR Protocol error: invalid bulk length\r\n");
    assert_true(wire_is_closed(fd));
    wire_close(fd);
}

static void http_at_the_data_port_is_sent_away(void **state)
{
    (void)state;
    int fd = wire_open(node.data_port);
    wire_say(fd,
             "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\nSIGNAL view x\r\n");
    const char *reply = wire_receive_all(fd);
    assert_memory_equal(reply, "-ERR this is the data port", 26);
    assert_ptr_equal(strchr(reply, '\n'), reply + strlen(reply) - 1); /* one line */
    wire_close(fd);
}

static void quit_and_half_close_lose_no_reply(void **state)
{
    (void)state;
    int fd = wire_open(node.data_port);
    wire_say(fd, "SIGNAL view a\r\nQUIT\r\nPING\r\n");
    wire_expect(fd, "$12\r\n1-1-9f3a21bc\r\n+OK\r\n");
    assert_true(wire_is_closed(fd));
    wire_close(fd);
    fd = wire_open(node.data_port);
    wire_say(fd, "SIGNAL view a\r\nPING\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_string_equal(wire_receive_all(fd), "$12\r\n1-2-9f3a21bc\r\n+PONG\r\n");
    wire_close(fd);
}

/* Bytes of memory the process has. */
static size_t memory_of(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t pages = 0;
    assert_int_equal(fscanf(f, "%*u %zu", &pages), 1);
    assert_int_equal(fclose(f), 0);
    return pages * 4096;
}

/* A client that asks for much and reads nothing costs bounded memory, and loses nothing. */
static void a_client_that_does_not_read_is_bounded(void **state)
{
    (void)state;
    enum { ECHO_SIZE = 60000, ECHOS_MAX = 4000 };
    static char echo[ECHO_SIZE + 16];
    int fd = wire_open(node.data_port);
    (void)snprintf(echo, sizeof(echo), "*2\r\n$4\r\nECHO\r\n$%d\r\n", ECHO_SIZE);
    size_t header = strlen(echo);
    char *request = calloc(1, header + ECHO_SIZE + 2);
    assert_non_null(request);
    memcpy(request, echo, header);
    memset(request + header, 'e', ECHO_SIZE);
    memcpy(request + header + ECHO_SIZE, "\r\n", 2);
    size_t sent = 0;
    size_t whole = 0;
    bool is_stuck = false;
    while (!is_stuck && whole < ECHOS_MAX) {
        ssize_t n =
            send(fd, request + sent, header + ECHO_SIZE + 2 - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) { /* stuck, if it stays so */
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            is_stuck = poll(&p, 1, 1000) == 0;
            continue;
        }
        sent += (size_t)n;
        if (sent == header + ECHO_SIZE + 2) {
            whole++;
            sent = 0;
        }
    }
    assert_true(is_stuck);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(memory_of(node.pid) < 64u * 1024 * 1024);
#else
    (void)memory_of;
#endif
    char *reply = malloc(ECHO_SIZE + 16);
    assert_non_null(reply);
    for (size_t i = 0; i < whole; i++) {
        wire_receive(fd, reply, 8 + ECHO_SIZE + 2);
        assert_memory_equal(reply, "$60000\r\neeee", 12);
    }
    wire_send(fd, request + sent, header + ECHO_SIZE + 2 - sent);
    wire_receive(fd, reply, 8 + ECHO_SIZE + 2);
    wire_say(fd, "PING\r\n");
    wire_expect(fd, "+PONG\r\n");
    free(reply);
    free(request);
    wire_close(fd);
}

static void few_clients(struct server_options *options)
{
    options->connections_max = 3;
}

static void clients_beyond_the_limit_are_refused_in_words(void **state)
{
    (void)state;
    assert_true(node_start(&node, few_clients));
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = wire_open(node.data_port);
        wire_say(fds[i], "PING\r\n");
        wire_expect(fds[i], "+PONG\r\n");
    }
    int fd = wire_open(node.data_port);
    assert_string_equal(wire_receive_all(fd), "-ERR max number of clients reached\r\n");
    wire_close(fd);
    wire_close(fds[0]);
    for (int i = 0; i < 100; i++) { /* until the server has seen that one left */
        fd = wire_open(node.data_port);
        wire_say(fd, "PING\r\n");
        char c;
        wire_receive(fd, &c, 1);
        if (c == '+') break;
        wire_close(fd);
    }
    wire_expect(fd, "PONG\r\n");
    wire_say(fds[1], "INFO stats\r\n");
    wire_close(fd);
    wire_close(fds[1]);
    wire_close(fds[2]);
    assert_non_null(strstr(node_log(&node), "clients are refused"));
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

static void clients_that_vanish_leave_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        int fd = wire_open(node.data_port);
        wire_say(fd, "SIGNAL view a\r\n*2\r\n$4\r\nECH");
        struct linger reset = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* closes by a reset */
        wire_close(fd);
    }
    int fd = wire_open(node.data_port);
    for (int i = 0; i < 100; i++) {
        wire_say(fd, "CLIENT LIST\r\n");
        char header[64] = {0};
        size_t n = 0;
        while (n == 0 || header[n - 1] != '\n') {
            wire_receive(fd, header + n++, 1);
        }
        size_t size = strtoul(header + 1, NULL, 10);
        char *list = calloc(1, size + 3);
        assert_non_null(list);
        wire_receive(fd, list, size + 2);
        bool is_alone = strstr(strchr(list, '\n') + 1, "id=") == NULL;
        free(list);
        if (is_alone) break;
        assert_int_not_equal(i, 99);
        poll(NULL, 0, 20);
    }
    wire_close(fd);
}

static void a_killed_client_is_closed(void **state)
{
    (void)state;
    int victim = wire_open(node.data_port);
    wire_say(victim, "CLIENT ID\r\n");
    wire_expect(victim, ":1\r\n");
    int fd = wire_open(node.data_port);
    wire_say(fd, "CLIENT KILL ID 1\r\n");
    wire_expect(fd, ":1\r\n");
    assert_true(wire_is_closed(victim));
    wire_close(victim);
    wire_close(fd);
}

static void addresses_are_told_apart(void **state)
{
    (void)state;
    assert_true(sockets_is_loopback("127.0.0.1"));
    assert_true(sockets_is_loopback("127.9.9.9"));
    assert_true(sockets_is_loopback("::1"));
    assert_true(sockets_is_loopback("localhost"));
    assert_false(sockets_is_loopback("0.0.0.0"));
    assert_false(sockets_is_loopback("::"));
    assert_false(sockets_is_loopback("10.0.0.1"));
    assert_false(sockets_is_loopback("example"));
    char text[ADDRESS_SIZE_MAX + 1];
    sockets_format_address("::1", 7400, text);
    assert_string_equal(text, "[::1]:7400");
    struct err e;
    int fd = -1;
    uint16_t port = 0;
    assert_int_equal(sockets_listen("example", 0, "--port", &fd, &port, &e), E_INVALID);
    assert_int_equal(sockets_listen("192.0.2.1", 0, "--port", &fd, &port, &e), E_INVALID);
    assert_int_equal(sockets_listen("::1", 0, "--port", &fd, &port, &e), OK);
    assert_true(port > 0);
    sockets_close_fd(fd);
}

#define NODE(name) cmocka_unit_test_setup_teardown(name, start_node, stop_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE(commands_are_answered),
        NODE(one_byte_at_a_time_gives_the_same_replies),
        NODE(long_pipelines_of_many_clients_are_answered),
        NODE(a_huge_bulk_is_refused_at_once),
        NODE(http_at_the_data_port_is_sent_away),
        NODE(quit_and_half_close_lose_no_reply),
        NODE(a_client_that_does_not_read_is_bounded),
        cmocka_unit_test(clients_beyond_the_limit_are_refused_in_words),
        NODE(clients_that_vanish_leave_nothing),
        NODE(a_killed_client_is_closed),
        cmocka_unit_test(addresses_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
