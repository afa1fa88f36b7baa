/* bridge: commands as JSON over HTTP, against a whole server. */
#include "support/tm_test.h"

#include "server/bridge.h"
#include "server/service.h"
#include "support/fake/fake_tide.h"
#include "support/fake/node.h"

static struct node node;

static int start_node(void **state)
{
    (void)state;
    assert_true(node_start(&node, NULL));
    return 0;
}

static int stop_node(void **state)
{
    (void)state;
    assert_int_equal(node_stop(&node), SERVER_DONE);
    return 0;
}

static const char *ask(const char *request)
{
    int fd = wire_open(node.http_port);
    wire_say(fd, request);
    const char *reply = wire_receive_all(fd);
    wire_close(fd);
    return reply;
}

/* Headers besides Host and Content-Length, each with its CRLF. */
static const char *post(const char *headers, const char *body)
{
    char request[2048];
    int size = snprintf(request, sizeof(request),
                        "POST /v1/command HTTP/1.1\r\nHost: localhost:7401\r\n%s"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        headers, strlen(body), body);
    assert_in_range(size, 1, (int)sizeof(request) - 1);
    return ask(request);
}

#define JSON_TYPE  "Content-Type: application/json\r\n"
#define SEND(body) post(JSON_TYPE, body)

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("'%s' is not in:\n%s", part, text);
}

static void assert_answer(const char *reply, const char *status, const char *body)
{
    assert_contains(reply, status);
    assert_contains(reply, "Content-Type: application/json\r\n");
    const char *end = strstr(reply, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static void commands_are_answered_as_json(void **state)
{
    (void)state;
    assert_answer(SEND("[\"PING\"]"), "HTTP/1.1 200 ", "\"PONG\"\n");
    assert_answer(SEND("[\"SIGNAL\", \"view\", \"a\", \"W\", 2.5]"), "HTTP/1.1 200 ",
                  "\"1-1-9f3a21bc\"\n");
    assert_answer(SEND("[\"SCORE\", \"view\", \"a\"]"), "HTTP/1.1 200 ", "0\n");
    assert_answer(SEND("[\"COUNT\", \"view\", \"a\", \"all\"]"), "HTTP/1.1 200 ", "0\n");
    assert_contains(SEND("[\"RETRIEVE\", \"top\"]"),
                    "{\"items\":[],\"cursor\":null,\"position\":\"1-1-9f3a21bc\"");
    assert_answer(SEND("[\"ECHO\", {\"base64\": \"AP8=\"}]"), "HTTP/1.1 200 ",
                  "{\"base64\":\"AP8=\"}\n");
    assert_answer(post("Content-Type: application/json; charset=utf-8\r\n", "[\"ECHO\", 7]"),
                  "HTTP/1.1 200 ", "\"7\"\n");
}

static void errors_have_a_code_a_message_and_a_status(void **state)
{
    (void)state;
    assert_answer(SEND("[\"FROB\"]"), "HTTP/1.1 400 ",
                  "{\"error\":{\"code\":\"ERR\",\"message\":\"unknown command 'FROB'; HELP lists "
                  "all\"}}\n");
    assert_contains(SEND("[\"SIGNAL\", \"lik\", \"a\"]"), "{\"error\":{\"code\":\"SCHEMA\"");
    assert_contains(SEND("[\"SIGNAL\""), "HTTP/1.1 400 ");
    assert_contains(SEND("[\"SIGNAL\""), "the body is no JSON: ");
    assert_contains(SEND(""), "the body is no JSON: ");
}

/* What only a connection that lives on can have is refused by name. */
static void commands_of_a_connection_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"MULTI", "exec", "MONITOR", "WAIT", "hello", "QUIT"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "[\"%s\"]", names[i]);
        const char *reply = SEND(body);
        assert_contains(reply, "HTTP/1.1 400 ");
        assert_contains(reply, "belongs to a connection that lives on");
        assert_contains(reply, names[i]);
    }
}

static void requests_of_other_kinds_are_refused(void **state)
{
    (void)state;
    assert_contains(ask("GET /v1/command HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                    "HTTP/1.1 405 ");
    assert_contains(ask("GET /v1/command HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                    "Allow: POST\r\n");
    assert_contains(post("Content-Type: text/plain\r\n", "[\"PING\"]"), "HTTP/1.1 415 ");
    assert_contains(post("", "[\"PING\"]"), "HTTP/1.1 415 ");
    assert_contains(ask("POST /v1/command HTTP/1.1\r\nHost: evil.example\r\n" JSON_TYPE
                        "Content-Length: 8\r\nConnection: close\r\n\r\n[\"PING\"]"),
                    "HTTP/1.1 403 ");
    assert_contains(ask("POST /v1/command HTTP/1.1\r\nHost: 127.0.0.1\r\n" JSON_TYPE
                        "Content-Length: 99999999\r\nConnection: close\r\n\r\n["),
                    "HTTP/1.1 413 ");
    assert_contains(ask("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                    "Allow: GET, HEAD\r\n");
}

/* A body of no announced size that grows too large is refused once it is whole. */
static void a_body_in_chunks_has_the_same_limit(void **state)
{
    (void)state;
    int fd = wire_open(node.http_port);
    wire_say(fd, "POST /v1/command HTTP/1.1\r\nHost: [::1]:7401\r\n" JSON_TYPE
                 "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    enum { CHUNK_SIZE = 65536 };
    static char chunk[CHUNK_SIZE + 16];
    int head = snprintf(chunk, sizeof(chunk), "%x\r\n", (unsigned)CHUNK_SIZE);
    memset(chunk + head, ' ', CHUNK_SIZE);
    chunk[head + CHUNK_SIZE] = '\r';
    chunk[head + CHUNK_SIZE + 1] = '\n';
    for (size_t i = 0; i < BRIDGE_BODY_SIZE_MAX / CHUNK_SIZE + 1; i++) {
        wire_send(fd, chunk, (size_t)head + CHUNK_SIZE + 2);
    }
    wire_say(fd, "0\r\n\r\n");
    assert_contains(wire_receive_all(fd), "HTTP/1.1 413 ");
    wire_close(fd);
}

static uint16_t http_port;

static void opens_late(struct server_options *options)
{
    fake_set_open(1500, TIDE_OK, NULL);
    options->http_port = http_port;
}

static void a_database_that_is_being_opened_is_503(void **state)
{
    (void)state;
    http_port = node_free_port();
    node_launch(&node, opens_late);
    node.http_port = http_port;
    node_wait_listening(http_port);
    const char *reply = SEND("[\"SCORE\", \"view\", \"a\"]");
    assert_contains(reply, "HTTP/1.1 503 ");
    assert_contains(reply, "\"code\":\"LOADING\"");
    assert_true(node_wait_ready(&node));
}

static void hosts_that_a_foreign_page_cannot_have_are_known(void **state)
{
    (void)state;
    struct server_options options = {.advertise = "db1.example:7400"};
    struct service service = {.options = &options};
    static const char *const known[] = {"localhost",       "LOCALHOST:7401", "127.0.0.1:1",
                                        "[::1]:7401",      "10.0.0.7",       "db1.example",
                                        "DB1.example:7401"};
    static const char *const unknown[] = {
        "evil.example", "localhost.evil.example:7401", "", ":7401", "[::1", "db1.example.evil",
        "face.cafe"};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (!bridge_knows_host(&service, known[i])) fail_msg("%s", known[i]);
    }
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        if (bridge_knows_host(&service, unknown[i])) fail_msg("%s", unknown[i]);
    }
    assert_false(bridge_knows_host(&service, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_node, stop_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commands_are_answered_as_json),
        TEST(errors_have_a_code_a_message_and_a_status),
        TEST(commands_of_a_connection_are_refused),
        TEST(requests_of_other_kinds_are_refused),
        TEST(a_body_in_chunks_has_the_same_limit),
        cmocka_unit_test_teardown(a_database_that_is_being_opened_is_503, stop_node),
        cmocka_unit_test(hosts_that_a_foreign_page_cannot_have_are_known),
    };
    return cmocka_run_group_tests_name("server/bridge", tests, NULL, NULL);
}
