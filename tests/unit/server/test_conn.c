/* conn: the order of replies, what is borrowed while the database works, and every bound, without
 * sockets. */
#include "support/tm_test.h"

#include "base/random.h"
#include "base/types.h"
#include "support/fake/client.h"

static struct client client;

static int set_up(void **state)
{
    (void)state;
    (void)client_service();
    client_open(&client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client_close(&client);
    client_service_end();
    return 0;
}

/* A mixed conversation, as a client would pipeline it. */
static const char conversation[] =
    "*3\r\n$6\r\nSIGNAL\r\n$4\r\nview\r\n$1\r\na\r\n"
    "PING\r\n"
    "*5\r\n$6\r\nsignal\r\n$4\r\nview\r\n$1\r\nb\r\n$1\r\nW\r\n$1\r\n3\r\n"
    "*0\r\n\r\n"
    "*3\r\n$5\r\nSCORE\r\n$4\r\nview\r\n$1\r\nb\r\n"
    "*1\r\n$5\r\nMULTI\r\nSIGNAL view \"a\\x20b\"\r\nPING x\r\n*1\r\n$4\r\nEXEC\r\n"
    "*2\r\n$4\r\nECHO\r\n$5\r\nh\r\nlo\r\n"
    "HELLO 3\r\n"
    "SCORE view b\r\n"
    "NOTHING\r\n"
    "*4\r\n$5\r\nCOUNT\r\n$4\r\nview\r\n$1\r\na\r\n$3\r\nall\r\n";

static const char replies[] =
    "$12\r\n1-1-9f3a21bc\r\n+PONG\r\n$12\r\n1-2-9f3a21bc\r\n$1\r\n3\r\n"
    "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$12\r\n1-3-9f3a21bc\r\n$1\r\nx\r\n"
    "$5\r\nh\r\nlo\r\n"
    "%7\r\n$6\r\nserver\r\n$8\r\ntidemark\r\n$7\r\nversion\r\n$5\r\n0.1.0\r\n$5\r\nproto\r\n:3\r\n"
    "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
    "$7\r\nmodules\r\n*0\r\n"
    ",3\r\n-ERR unknown command 'NOTHING'; HELP lists all\r\n:1\r\n";

static void replies_keep_the_order_of_commands(void **state)
{
    (void)state;
    assert_string_equal(client_ask(&client, conversation), replies);
}

static void one_byte_at_a_time_gives_the_same_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(conversation) - 1; i++) {
        client_send(&client, conversation + i, 1);
    }
    assert_string_equal(client_take(&client), replies);
}

static void any_pieces_give_the_same_replies_while_the_database_is_slow(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("conn pieces", 11));
    fake_hold(true);
    size_t at = 0;
    while (at < sizeof(conversation) - 1) {
        size_t n = 1 + random_below(&random, 60);
        if (n > sizeof(conversation) - 1 - at) n = sizeof(conversation) - 1 - at;
        client_send(&client, conversation + at, n);
        at += n;
        if (random_chance(&random, 300000)) {
            fake_go();
            client_complete();
        }
    }
    while (client.conn.turn != NULL) {
        fake_go();
        client_complete();
    }
    assert_string_equal(client_take(&client), replies);
}

/* Ten thousand commands in one go: cut into turns, all answered, in order. */
static void long_pipelines_are_answered(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    fake_remember(false);
    size_t size = 0;
    char *stream = malloc((size_t)COUNT * 80);
    assert_non_null(stream);
    for (int i = 0; i < COUNT; i++) {
        size += (size_t)snprintf(stream + size, 80, "SIGNAL view item:%d\r\nECHO %d\r\n", i, i);
    }
    client_send(&client, stream, size);
    char wanted[64];
    const char *at = client_take(&client);
    for (int i = 0; i < COUNT; i++) {
        char token[32];
        int n = snprintf(token, sizeof(token), "1-%d-9f3a21bc", i + 1);
        char text[16];
        int m = snprintf(text, sizeof(text), "%d", i);
        n = snprintf(wanted, sizeof(wanted), "$%d\r\n%s\r\n$%d\r\n%s\r\n", n, token, m, text);
        assert_memory_equal(at, wanted, (size_t)n);
        at += n;
    }
    assert_int_equal(*at, '\0');
    free(stream);
}

/* While a turn is in flight, what it points to stays, although more input arrives, moves and grows.
 */
static void words_in_flight_stay_where_they_are(void **state)
{
    (void)state;
    fake_remember(true);
    fake_hold(true);
    client_say(&client, "SIGNAL view first\r\nSIGNAL view second\r\n");
    assert_non_null(client.conn.turn);
    char more[1000];
    memset(more, 'x', sizeof(more));
    for (int i = 0; i < 200; i++) {
        client_say(&client, "ECHO ");
        client_send(&client, more, sizeof(more));
        client_say(&client, "\r\n");
    }
    fake_go();
    client_complete();
    assert_memory_equal(client_take(&client),
                        "$12\r\n1-1-9f3a21bc\r\n$12\r\n1-2-9f3a21bc\r\n$1000\r\nxxx", 48);
    fake_hold(false);
    assert_string_equal(client_ask(&client, "COUNT view first all\r\nCOUNT view second all\r\n"),
                        ":1\r\n:1\r\n");
}

static void reading_ahead_is_bounded(void **state)
{
    (void)state;
    fake_hold(true);
    client_say(&client, "SIGNAL view a\r\n");
    char more[4096];
    memset(more, 'x', sizeof(more));
    size_t sent = 0;
    while (conn_wants_input(&client.conn)) {
        client_say(&client, "ECHO ");
        client_send(&client, more, sizeof(more));
        client_say(&client, "\r\n");
        sent += sizeof(more) + 7;
        assert_true(sent < 2 * CONN_AHEAD_MAX);
    }
    assert_true(sent >= CONN_AHEAD_MAX);
    assert_true(client.conn.service->alloc.used_bytes < 4 * CONN_AHEAD_MAX);
    fake_go();
    client_complete();
    assert_true(conn_wants_input(&client.conn));
    size_t size = strlen(client_take(&client));
    assert_true(size > sent);
}

/* An announced bulk string grows the input only as its bytes come. */
static void input_grows_with_what_arrives(void **state)
{
    (void)state;
    client_say(&client, "*2\r\n$4\r\nECHO\r\n$1000000\r\n");
    assert_true(client.conn.input_capacity <= SERVICE_INPUT_SIZE);
    char *big = malloc(1000000);
    assert_non_null(big);
    memset(big, 'y', 1000000);
    client_send(&client, big, 1000000);
    assert_true(client.conn.input_capacity < 4 * MIB);
    client_say(&client, "\r\n");
    const char *reply = client_take(&client);
    assert_memory_equal(reply, "$1000000\r\nyyy", 13);
    assert_int_equal(strlen(reply), 10 + 1000000 + 2);
    free(big);
    assert_null(client.conn.input); /* an idle connection holds none */
}

static void a_broken_request_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *say;
        const char *reply;
    } rows[] = {
        {"PING\r\n*1\r\n$536870912\r\nPING\r\n",
         "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"},
        {"*x\r\nPING\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"SIGNAL view a\r\n*1\r\n!\r\n",
         "$12\r\n1-1-9f3a21bc\r\n-ERR Protocol error: expected '$', got '!'\r\n"},
        {"\x16\x03\x01\r\n*1\r\nx", "-ERR unknown command '\\x16\\x03\\x01'; HELP lists all\r\n"
                                    "-ERR Protocol error: expected '$', got 'x'\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client c;
        fake_hold(false);
        client_open(&c);
        assert_string_equal(client_ask(&c, rows[i].say), rows[i].reply);
        assert_true(c.is_finished);
        assert_false(conn_wants_input(&c.conn));
        client_close(&c);
    }
}

static void http_is_sent_away(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\n\r\nSIGNAL view evil\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "Host: 127.0.0.1:7400\r\nSIGNAL view evil\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct client c;
        client_open(&c);
        assert_string_equal(client_ask(&c, requests[i]),
                            "-ERR this is the data port and it does not speak HTTP; the HTTP port "
                            "is another one (INFO server shows it)\r\n");
        assert_true(c.is_finished);
        assert_string_equal(fake_asked(), "");
        client_close(&c);
    }
    /* A Redis client that asks for a key is only told that there is no such command. */
    assert_memory_equal(client_ask(&client, "GET key\r\n"), "-ERR unknown command 'GET'", 26);
    assert_false(client.is_finished);
}

static void quit_answers_what_came_before(void **state)
{
    (void)state;
    fake_hold(true);
    client_say(&client, "SIGNAL view a\r\nQUIT\r\nSIGNAL view b\r\n");
    assert_false(client.is_finished);
    fake_go();
    client_complete();
    assert_string_equal(client_take(&client), "$12\r\n1-1-9f3a21bc\r\n+OK\r\n");
    assert_true(client.is_finished);
    assert_string_equal(fake_asked(), "run\nsignal view a\n");
}

/* printf 'SIGNAL view a' | nc: the client sends its end before it has its reply. */
static void the_end_of_input_is_no_end_of_replies(void **state)
{
    (void)state;
    fake_hold(true);
    client_say(&client, "SIGNAL view a\r\nPING\r\nWAIT 1 0\r\nPIN");
    conn_ended(&client.conn);
    assert_false(client.is_finished);
    assert_false(conn_wants_input(&client.conn));
    fake_go();
    client_complete();
    assert_false(client.is_finished); /* WAIT is on its way */
    fake_go();
    client_complete();
    assert_string_equal(client_take(&client), "$12\r\n1-1-9f3a21bc\r\n+PONG\r\n:0\r\n");
    assert_true(client.is_finished);
}

static void a_client_that_leaves_is_freed_when_its_turn_is_back(void **state)
{
    (void)state;
    struct client c;
    client_open(&c);
    fake_hold(true);
    client_say(&c, "SIGNAL view a\r\n");
    assert_int_equal(client.conn.service->conn_count, 2);
    client_close(&c);
    assert_false(c.is_released);
    fake_go();
    client_complete();
    assert_true(c.is_released);
    assert_int_equal(client.conn.service->conn_count, 1);
}

/* WAIT without end asks again and again, and ends when its client is gone or the server stops. */
static void wait_goes_round_until_it_is_satisfied(void **state)
{
    (void)state;
    fake_hold(true);
    client_say(&client, "SIGNAL view a\r\n");
    fake_go();
    client_complete();
    assert_string_equal(client_take(&client), "$12\r\n1-1-9f3a21bc\r\n");
    client_say(&client, "WAIT 2 0\r\nPING\r\n");
    for (int i = 0; i < 5; i++) {
        fake_set_stored_by((uint32_t)i % 2);
        fake_go();
        client_complete();
        assert_string_equal(client_take(&client), "");
    }
    fake_set_stored_by(3);
    fake_go();
    client_complete();
    assert_string_equal(client_take(&client), ":3\r\n+PONG\r\n");
    client_say(&client, "WAIT 9 0\r\n");
    fake_go();
    client_complete();
    client.conn.service->is_stopping = true;
    fake_go();
    client_complete();
    assert_string_equal(client_take(&client), ":3\r\n");
    client.conn.service->is_stopping = false;
}

static void nothing_new_starts_while_replies_are_not_taken(void **state)
{
    (void)state;
    client.conn.is_output_full = true;
    assert_false(conn_wants_input(&client.conn));
    assert_string_equal(client_ask(&client, "PING\r\nSIGNAL view a\r\n"), "");
    assert_string_equal(fake_asked(), "");
    client.conn.is_output_full = false;
    conn_drained(&client.conn);
    client_complete();
    assert_string_equal(client_take(&client), "+PONG\r\n$12\r\n1-1-9f3a21bc\r\n");
}

/* Pages of results count for more than one command: a turn of them stays small. */
static void turns_are_bounded_by_cost(void **state)
{
    (void)state;
    fake_set_item_name("an-item-with-a-name-of-some-length");
    fake_hold(true);
    for (int i = 0; i < 40; i++) {
        client_say(&client, "RETRIEVE top LIMIT 1000\r\n");
    }
    size_t replies_seen = 0;
    while (client.conn.turn != NULL) {
        fake_go();
        client_complete();
        size_t size = strlen(client_take(&client));
        assert_true(size > 0 && size < 16 * 1000 * 64);
        replies_seen += size;
    }
    assert_true(replies_seen > 40u * 1000 * 34);
}

static void monitor_shows_what_others_send(void **state)
{
    (void)state;
    struct client monitor;
    client_open(&monitor);
    assert_string_equal(client_ask(&monitor, "MONITOR\r\n"), "+OK\r\n");
    (void)client_ask(&client, "SIGNAL view \"a\\r\\nb\"\r\n");
    const char *seen = client_take(&monitor);
    assert_int_equal(seen[0], '+');
    assert_non_null(strstr(seen, " [0 127.0.0.1:50000] \"SIGNAL\" \"view\" \"a\\x0d\\x0ab\"\r\n"));
    assert_string_equal(client_ask(&monitor, "RESET\r\n"), "+RESET\r\n");
    (void)client_ask(&client, "PING\r\n");
    assert_string_equal(client_take(&monitor), "");
    client_close(&monitor);
    assert_int_equal(client.conn.service->monitor_count, 0);
}

static void clients_are_listed_and_killed(void **state)
{
    (void)state;
    struct client other;
    client_open(&other);
    (void)client_ask(&other, "CLIENT SETNAME other\r\nHELLO 3\r\nCONFIG GET x\r\n");
    const char *list = client_ask(&client, "CLIENT LIST\r\n");
    assert_non_null(strstr(list, "id=1 addr=127.0.0.1:50000"));
    assert_non_null(strstr(list, " name=other age=0 idle=0 flags=N db=0 multi=-1 "));
    assert_non_null(strstr(list, " cmd=config|get user=default resp=3 "));
    assert_string_equal(client_ask(&client, "CLIENT KILL ID 2\r\n"), ":1\r\n");
    assert_true(other.is_finished);
    client_close(&other);
    assert_string_equal(client_ask(&client, "CLIENT KILL 127.0.0.1:50000\r\n"), "+OK\r\n");
    assert_true(client.is_finished);
}

/* Any allocation may fail: the connection may end, but nothing leaks, and what is answered is
 * right. */
static void lack_of_memory_ends_only_the_connection(void **state)
{
    (void)state;
    struct service *service = client.conn.service;
    for (int64_t n = 1; n < 40; n++) {
        struct client c;
        client_open(&c);
        atomic_store(&service->alloc.fail_countdown, n);
        size_t room_size = 0;
        uint8_t *room = conn_room(&c.conn, &room_size);
        if (room != NULL) {
            memcpy(room, conversation, sizeof(conversation) - 1);
            conn_received(&c.conn, sizeof(conversation) - 1);
            client_complete();
        }
        atomic_store(&service->alloc.fail_countdown, -1);
        client_close(&c);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_keep_the_order_of_commands),
        TEST(one_byte_at_a_time_gives_the_same_replies),
        TEST(any_pieces_give_the_same_replies_while_the_database_is_slow),
        TEST(long_pipelines_are_answered),
        TEST(words_in_flight_stay_where_they_are),
        TEST(reading_ahead_is_bounded),
        TEST(input_grows_with_what_arrives),
        TEST(a_broken_request_ends_the_connection),
        TEST(http_is_sent_away),
        TEST(quit_answers_what_came_before),
        TEST(the_end_of_input_is_no_end_of_replies),
        TEST(a_client_that_leaves_is_freed_when_its_turn_is_back),
        TEST(wait_goes_round_until_it_is_satisfied),
        TEST(nothing_new_starts_while_replies_are_not_taken),
        TEST(turns_are_bounded_by_cost),
        TEST(monitor_shows_what_others_send),
        TEST(clients_are_listed_and_killed),
        TEST(lack_of_memory_ends_only_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
