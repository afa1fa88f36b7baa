/* server: start and stop of a whole node over the fake database: banner, ready line, refusals with
 * their exit codes, signals, and what the database is told. */
#include "support/tm_test.h"

#include "support/fake/fake_tide.h"
#include "support/fake/node.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

static struct node node;

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("'%s' is not in:\n%s", part, text);
}

/* It must end by itself, with this exit code and sentence. */
static void refused(void (*prepare)(struct server_options *), int exit_code, const char *sentence)
{
    node_launch(&node, prepare);
    assert_false(node_wait_ready(&node));
    assert_string_equal(node.banner, "");
    assert_contains(node_log(&node), sentence);
    assert_int_equal(node_end(&node), exit_code);
}

static void the_defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct server_options o;
    server_options_init(&o);
    assert_int_equal(o.size, sizeof(o));
    assert_int_equal(o.database.size, sizeof(o.database));
    assert_int_equal(o.port, 7400);
    assert_int_equal(o.http_port, 7401);
    assert_int_equal(o.replication_port, 7402);
    assert_null(o.bind);
    assert_false(o.is_insecure);
}

static void prepare_advertised(struct server_options *options)
{
    options->advertise = "db1.example:9000";
    options->database.dir = "some/where";
    options->database.node_id = "n1";
}

static void a_node_starts_says_so_and_stops(void **state)
{
    (void)state;
    assert_true(node_start(&node, NULL));
    assert_contains(node.banner, "tidemark 0.1.0: new single, epoch 1, position 1-0-9f3a21bc\n");
    assert_contains(node.banner, "directory ./tidemark-data; fake\n");
    const char *ready = strstr(node.banner, "ready ");
    char line[256];
    (void)snprintf(line, sizeof(line),
                   "ready data=127.0.0.1:%u http=127.0.0.1:%u replication=127.0.0.1:7402\n",
                   node.data_port, node.http_port);
    assert_string_equal(ready, line);
    (void)snprintf(line, sizeof(line), "told: data=127.0.0.1:%u http=127.0.0.1:%u id=none\n",
                   node.data_port, node.http_port);
    assert_contains(node.banner, line);
    assert_contains(node_log(&node), "level=info msg=\"ready\" role=single epoch=1 seqno=0");
    assert_int_equal(node_stop(&node), SERVER_DONE);
    assert_true(node_start(&node, NULL));
    node_signal(&node, SIGINT);
    assert_int_equal(node_end(&node), SERVER_DONE);
}

static void shutdown_stops_a_node(void **state)
{
    (void)state;
    assert_true(node_start(&node, NULL));
    int fd = wire_open(node.data_port);
    wire_say(fd, "SIGNAL view a\r\nSHUTDOWN\r\n");
    assert_string_equal(wire_receive_all(fd), "$12\r\n1-1-9f3a21bc\r\n");
    wire_close(fd);
    assert_int_equal(node_end(&node), SERVER_DONE);
}

static void the_database_is_told_the_addresses(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_advertised));
    assert_contains(node.banner, "directory some/where; fake\n");
    char line[256];
    (void)snprintf(line, sizeof(line), "told: data=db1.example:9000 http=db1.example:%u id=n1\n",
                   node.http_port);
    assert_contains(node.banner, line);
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

static uint16_t taken_port;

static void prepare_taken_data(struct server_options *options)
{
    options->port = taken_port;
}

static void prepare_taken_http(struct server_options *options)
{
    options->http_port = taken_port;
}

static void prepare_taken_replication(struct server_options *options)
{
    options->replication_port = taken_port;
}

static void a_port_in_use_is_named_with_its_flag(void **state)
{
    (void)state;
    struct node first;
    assert_true(node_start(&first, NULL));
    taken_port = first.data_port;
    char sentence[256];
    static const struct {
        void (*prepare)(struct server_options *options);
        const char *flag;
    } rows[] = {
        {prepare_taken_data, "--port"},
        {prepare_taken_http, "--http-port"},
        {prepare_taken_replication, "--replication-port"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)snprintf(sentence, sizeof(sentence),
                       "tidemark serve: port %u of 127.0.0.1 is in use; choose another one with "
                       "%s, or stop the program that has it\n",
                       taken_port, rows[i].flag);
        refused(rows[i].prepare, SERVER_FAILED, sentence);
    }
    assert_int_equal(node_stop(&first), SERVER_DONE);
}

static void prepare_open(struct server_options *options)
{
    options->bind = "0.0.0.0";
}

static void prepare_open_insecure(struct server_options *options)
{
    options->bind = "0.0.0.0";
    options->is_insecure = true;
}

static void prepare_named(struct server_options *options)
{
    options->bind = "db1.example";
    options->is_insecure = true;
}

static void other_machines_are_let_in_only_on_request(void **state)
{
    (void)state;
    refused(prepare_open, SERVER_REFUSED,
            "tidemark serve: --bind 0.0.0.0 would let other machines in, and this version has "
            "neither passwords nor TLS; bind to 127.0.0.1, or say --insecure\n");
    refused(prepare_named, SERVER_FAILED,
            "--bind db1.example is no address; give it as a number like 127.0.0.1 or ::1");
    assert_true(node_start(&node, prepare_open_insecure));
    assert_contains(node.banner, "ready data=0.0.0.0:");
    assert_contains(node_log(&node), "other machines are let in");
    int fd = wire_open(node.data_port);
    wire_say(fd, "PING\r\n");
    wire_expect(fd, "+PONG\r\n");
    wire_close(fd);
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

static const char *advertised;

static void prepare_advertise(struct server_options *options)
{
    options->advertise = advertised;
}

static void a_bad_advertised_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "host",       "host:", ":7400",
                                      "host:0", "host:65536", "host:x"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        advertised = bad[i];
        refused(prepare_advertise, SERVER_FAILED, "--advertise takes HOST:PORT");
    }
}

static enum tide_code open_code;

static void prepare_failing(struct server_options *options)
{
    (void)options;
    fake_set_open(0, open_code, "segment 12 is damaged at 4096; run tidemark log verify");
}

static void failures_to_open_have_their_exit_codes(void **state)
{
    (void)state;
    static const char end[] = "\n";
    static const char full[] = "; free space on that disk and start again, nothing is lost\n";
    static const struct {
        enum tide_code code;
        int exit_code;
        const char *advice;
    } rows[] = {
        {TIDE_ROTTEN, 3, end},        {TIDE_CORRUPT, 3, end}, {TIDE_FORMAT, 1, end},
        {TIDE_INUSE, 1, end},         {TIDE_IO, 5, end},      {TIDE_DISKFULL, 5, full},
        {TIDE_WRONG_CLUSTER, 4, end}, {TIDE_INVALID, 1, end},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[200];
        open_code = rows[i].code;
        (void)snprintf(text, sizeof(text),
                       "tidemark serve: segment 12 is damaged at 4096; run "
                       "tidemark log verify%s",
                       rows[i].advice);
        refused(prepare_failing, rows[i].exit_code, text);
    }
}

static void prepare_bad_close(struct server_options *options)
{
    (void)options;
    fake_set_close(TIDE_POISONED);
}

static void a_failure_to_close_is_told(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_bad_close));
    node_signal(&node, SIGTERM);
    char text[1024];
    while (read(node.output, text, sizeof(text)) > 0) {
    }
    assert_contains(node_log(&node), "tidemark serve: the log could not be synced\n");
    assert_int_equal(node_end(&node), SERVER_STORAGE_FAILED);
}

static uint16_t data_port;

static void prepare_slow_opening(struct server_options *options)
{
    options->port = data_port;
    fake_set_open(1000, TIDE_OK, NULL);
}

static void clients_are_told_loading_while_the_database_opens(void **state)
{
    (void)state;
    data_port = node_free_port();
    node_launch(&node, prepare_slow_opening);
    node_wait_listening(data_port);
    int fd = wire_open(data_port);
    wire_say(fd, "PING\r\nSIGNAL view a\r\n");
    wire_expect(fd, "+PONG\r\n-LOADING the database is being opened or closed; try again\r\n");
    assert_true(node_wait_ready(&node));
    wire_say(fd, "SIGNAL view a\r\n");
    wire_expect(fd, "$12\r\n1-1-9f3a21bc\r\n");
    wire_close(fd);
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

/* Its loop runs, and takes signals, too: a port may listen before that. */
static void wait_answering(uint16_t port)
{
    node_wait_listening(port);
    int fd = wire_open(port);
    wire_say(fd, "PING\r\n");
    wire_expect(fd, "+PONG\r\n");
    wire_close(fd);
}

/* Told to stop while opening: it opens, then closes, and never says ready. */
static void a_node_can_be_stopped_while_it_opens(void **state)
{
    (void)state;
    data_port = node_free_port();
    node_launch(&node, prepare_slow_opening);
    wait_answering(data_port);
    node_signal(&node, SIGTERM);
    assert_false(node_wait_ready(&node));
    assert_int_equal(node_end(&node), SERVER_DONE);
}

static void a_second_signal_ends_at_once(void **state)
{
    (void)state;
    data_port = node_free_port();
    node_launch(&node, prepare_slow_opening);
    wait_answering(data_port);
    node_signal(&node, SIGTERM);
    while (strstr(node_log(&node), "a second signal") == NULL) {
        (void)poll(NULL, 0, 10);
    }
    node_signal(&node, SIGTERM);
    assert_int_equal(node_end(&node), 128 + SIGTERM);
}

static void prepare_held(struct server_options *options)
{
    (void)options;
    fake_hold(true);
}

/* The database answers its waiters when it closes; clients get what can still be sent. */
static void stopping_is_bounded_when_the_database_is_stuck(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_held));
    int fd = wire_open(node.data_port);
    wire_say(fd, "SIGNAL view a\r\n");
    int idle = wire_open(node.data_port);
    wire_say(idle, "PING\r\n");
    wire_expect(idle, "+PONG\r\n");
    node_signal(&node, SIGTERM);
    assert_true(wire_is_closed(idle));
    assert_true(wire_is_closed(fd));
    assert_int_equal(node_end(&node), SERVER_DONE);
    wire_close(fd);
    wire_close(idle);
}

static void prepare_json(struct server_options *options)
{
    options->log_format = SERVER_LOG_JSON;
}

static void the_log_can_be_json(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_json));
    assert_contains(node_log(&node),
                    "\",\"level\":\"info\",\"msg\":\"ready\",\"role\":\"single\",\"epoch\":1,");
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

static void a_closed_stdout_stops_nothing(void **state)
{
    (void)state;
    data_port = node_free_port();
    node_launch(&node, prepare_slow_opening);
    close(node.output);
    node.output = -1;
    wait_answering(data_port);
    while (strstr(node_log(&node), "msg=\"ready\"") == NULL) {
        (void)poll(NULL, 0, 10);
    }
    int fd = wire_open(data_port);
    wire_say(fd, "PING\r\n");
    wire_expect(fd, "+PONG\r\n");
    wire_close(fd);
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_the_documented_ones),
        cmocka_unit_test(a_node_starts_says_so_and_stops),
        cmocka_unit_test(shutdown_stops_a_node),
        cmocka_unit_test(the_database_is_told_the_addresses),
        cmocka_unit_test(a_port_in_use_is_named_with_its_flag),
        cmocka_unit_test(other_machines_are_let_in_only_on_request),
        cmocka_unit_test(a_bad_advertised_address_is_refused),
        cmocka_unit_test(failures_to_open_have_their_exit_codes),
        cmocka_unit_test(a_failure_to_close_is_told),
        cmocka_unit_test(clients_are_told_loading_while_the_database_opens),
        cmocka_unit_test(a_node_can_be_stopped_while_it_opens),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(stopping_is_bounded_when_the_database_is_stuck),
        cmocka_unit_test(the_log_can_be_json),
        cmocka_unit_test(a_closed_stdout_stops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
