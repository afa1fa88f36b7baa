/* http: every page, every refusal, and a database that does not answer. */
#include "support/tm_test.h"

#include "support/fake/fake_tide.h"
#include "support/fake/node.h"

#include <math.h>
#include <poll.h>
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

/* The whole answer to one request. */
static const char *ask(const char *request)
{
    int fd = wire_open(node.http_port);
    wire_say(fd, request);
    const char *reply = wire_receive_all(fd);
    wire_close(fd);
    return reply;
}

#define GET(path)     ask("GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
#define OTHER(method) ask(method " /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("'%s' is not in:\n%s", part, text);
}

static void pages_are_served(void **state)
{
    (void)state;
    assert_contains(GET("/healthz"), "HTTP/1.1 200 OK\r\n");
    assert_contains(GET("/healthz"), "\r\n\r\nok\n");
    assert_contains(GET("/readyz"), "\r\n\r\nready\n");
    const char *status = GET("/status.json");
    assert_contains(status, "Content-Type: application/json\r\n");
    assert_contains(status, "\r\n\r\n{\"role\":\"single\"}\n");
    const char *head = ask("HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_contains(head, "Content-Length: 3\r\n");
    assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
}

/* The dashboard needs nothing but this server, also on a machine without any network. */
static void the_dashboard_loads_nothing_from_elsewhere(void **state)
{
    (void)state;
    const char *page = GET("/");
    assert_contains(page, "HTTP/1.1 200 OK\r\n");
    assert_contains(page, "Content-Type: text/html; charset=utf-8\r\n");
    assert_contains(page, "Content-Security-Policy: default-src 'none'; ");
    assert_contains(page, "fetch(\"/status.json\"");
    assert_contains(page, "</html>\n");
    const char *svg = strstr(page, "http://www.w3.org/2000/svg"); /* a name, not a place */
    assert_non_null(svg);
    assert_null(strstr(svg + 1, "http://"));
    assert_null(strstr(page, "https://"));
    assert_null(strstr(page, "src="));
}

static void metrics_are_of_both_the_database_and_the_server(void **state)
{
    (void)state;
    int fd = wire_open(node.data_port);
    wire_say(fd, "SIGNAL view a\r\nSIGNAL like a\r\nNOTHING\r\n");
    wire_expect(fd, "$12\r\n1-1-9f3a21bc\r\n-SCHEMA");
    wire_say(fd, "PING\r\n");
    char c = 0;
    while (c != '+') {
        wire_receive(fd, &c, 1);
    }
    const char *text = GET("/metrics");
    assert_contains(text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    assert_contains(text, "\ntidemark_epoch 1\n");
    assert_contains(text, "\ntidemark_commands_total{command=\"signal\",outcome=\"ok\"} 1\n");
    assert_contains(text, "\ntidemark_commands_total{command=\"signal\",outcome=\"caller\"} 1\n");
    assert_contains(text, "\ntidemark_commands_total{command=\"unknown\",outcome=\"caller\"} 1\n");
    assert_contains(text, "\ntidemark_command_seconds_count{command=\"signal\"} 2\n");
    assert_contains(text, "\ntidemark_connections 1\n");
    assert_contains(text, "\ntidemark_build_info{version=\"0.1.0\",format=\"1\"} 1\n");
    wire_close(fd);
}

static void a_connection_may_ask_again(void **state)
{
    (void)state;
    int fd = wire_open(node.http_port);
    for (int i = 0; i < 3; i++) {
        wire_say(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxx");
        char text[512] = {0};
        size_t n = 0;
        while (strstr(text, "\r\n\r\nok\n") == NULL && n < sizeof(text) - 1) {
            wire_receive(fd, text + n++, 1);
        }
        assert_contains(text, "HTTP/1.1 200 OK\r\n");
    }
    wire_close(fd);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    assert_contains(GET("/nothing"), "HTTP/1.1 404 Not Found\r\n");
    assert_contains(
        GET("/metrics/../../etc/passwd"),
        "{\"error\":{\"code\":\"NOTFOUND\",\"message\":\"there is no such page; there are "
        "/ /metrics /healthz /readyz /status.json /topology.json and, for POST, "
        "/v1/command\"}}\n");
    static const char *const bodies[] = {"POST", "PUT", "DELETE"};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        char request[256];
        (void)snprintf(request, sizeof(request),
                       "%s /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd",
                       bodies[i]);
        const char *reply = ask(request);
        assert_contains(reply, "HTTP/1.1 405 Method Not Allowed\r\n");
        assert_contains(reply, "Allow: GET, HEAD\r\n");
    }
    assert_contains(OTHER("OPTIONS"), "HTTP/1.1 405 ");
}

/* More header than there is room for, and requests that are none: refused, and the next client is
 * served. */
static void bad_requests_cost_only_themselves(void **state)
{
    (void)state;
    char *request = calloc(1, 70000);
    assert_non_null(request);
    int n = snprintf(request, 100, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ");
    memset(request + n, 'a', 60000);
    memcpy(request + n + 60000, "\r\n\r\n", 5);
    int fd = wire_open(node.http_port);
    (void)!write(fd, request, strlen(request)); /* it may be cut off in the middle */
    assert_null(strstr(wire_receive_all(fd), "200 OK"));
    wire_close(fd);
    free(request);
    static const char *const junk[] = {"\r\n\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n",
                                       "GET /healthz\r\n\r\n", "*1\r\n$4\r\nPING\r\n\r\n"};
    for (size_t i = 0; i < COUNT_OF(junk); i++) {
        fd = wire_open(node.http_port);
        wire_say(fd, junk[i]);
        wire_close(fd);
    }
    assert_contains(GET("/healthz"), "200 OK");
}

static void prepare_follower(struct server_options *options)
{
    (void)options;
    struct tide_status *s = fake_status();
    s->role = TIDE_ROLE_FOLLOWER;
    s->lag_seconds = (double)INFINITY;
    s->leader_replication_address = "10.0.0.1:7402";
    s->link_state = "connecting";
}

static void an_unsynced_follower_is_not_ready(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_follower));
    const char *reply = GET("/readyz");
    assert_contains(reply, "HTTP/1.1 503 Service Unavailable\r\n");
    assert_contains(reply, "\r\n\r\nthis follower never reached its leader\n");
    assert_contains(GET("/healthz"), "200 OK");
    stop_node(NULL);
}

static void prepare_stale(struct server_options *options)
{
    prepare_follower(options);
    struct tide_status *s = fake_status();
    s->state = "serving";
    s->was_synced = true;
    s->lag_seconds = 2.5;
    s->max_staleness_ms = 2499;
}

static void a_follower_beyond_max_staleness_is_not_ready(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_stale));
    assert_contains(GET("/readyz"), "\r\n\r\nthis follower's state may be 2500 ms old; "
                                    "max_staleness is 2499 ms\n");
    stop_node(NULL);
}

static void prepare_fresh(struct server_options *options)
{
    prepare_stale(options);
    fake_status()->max_staleness_ms = 2500;
}

static void a_follower_within_max_staleness_is_ready(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_fresh));
    assert_contains(GET("/readyz"), "\r\n\r\nready\n");
    stop_node(NULL);
}

static void prepare_poisoned(struct server_options *options)
{
    (void)options;
    fake_status()->state = "poisoned";
    fake_status()->reason = "a write to the log failed: no space left on device";
}

static void a_poisoned_node_is_not_ready_and_says_why(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_poisoned));
    assert_contains(GET("/readyz"), "\r\n\r\na write to the log failed: no space left on device\n");
    stop_node(NULL);
}

/* The ready line needs no answer of the database here, because the fake answers tide_execute. */
static void prepare_stuck(struct server_options *options)
{
    (void)options;
    fake_hold(true);
}

static void a_stuck_database_is_told_within_the_deadline(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_stuck));
    const char *reply = GET("/healthz");
    assert_contains(reply, "HTTP/1.1 503 ");
    assert_contains(reply, "\r\n\r\nthe database does not answer\n");
    assert_contains(GET("/metrics"), "the database does not answer\n");
    stop_node(NULL);
}

static uint16_t http_port;

static void prepare_slow_opening(struct server_options *options)
{
    fake_set_open(1500, TIDE_OK, NULL);
    options->http_port = http_port;
}

static void while_opening_it_is_healthy_but_not_ready(void **state)
{
    (void)state;
    http_port = node_free_port();
    node_launch(&node, prepare_slow_opening);
    node.http_port = http_port;
    node_wait_listening(http_port);
    assert_contains(GET("/healthz"), "\r\n\r\nok: the database is being opened\n");
    assert_contains(GET("/readyz"), "\r\n\r\nthe database is being opened\n");
    assert_contains(GET("/status.json"), "\"message\":\"the database is being opened\"}}\n");
    assert_true(node_wait_ready(&node));
    assert_contains(GET("/readyz"), "\r\n\r\nready\n");
    stop_node(NULL);
}

#define NODE(name) cmocka_unit_test_setup_teardown(name, start_node, stop_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE(pages_are_served),
        NODE(the_dashboard_loads_nothing_from_elsewhere),
        NODE(metrics_are_of_both_the_database_and_the_server),
        NODE(a_connection_may_ask_again),
        NODE(what_is_not_there_is_said),
        NODE(bad_requests_cost_only_themselves),
        cmocka_unit_test(an_unsynced_follower_is_not_ready),
        cmocka_unit_test(a_follower_beyond_max_staleness_is_not_ready),
        cmocka_unit_test(a_follower_within_max_staleness_is_ready),
        cmocka_unit_test(a_poisoned_node_is_not_ready_and_says_why),
        cmocka_unit_test(a_stuck_database_is_told_within_the_deadline),
        cmocka_unit_test(while_opening_it_is_healthy_but_not_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
