/* Tests of inquiring: a node is asked over a bare socket, as a member or a stranger would. What
 * nodes make of each other's answers is tried in test_role.c. */
#include "support/tm_test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "format/identity.h"
#include "format/wire.h"
#include "tidemark.h"

static char *dir;
static tide_db *db;
static char address[64];

static void open_node(void)
{
    struct tide_options options = {.size = sizeof(options),
                                   .dir = dir,
                                   .node_id = "north",
                                   .replication_listen = "127.0.0.1:0",
                                   .data_address = "127.0.0.1:7400",
                                   .suspect_ms = 300,
                                   .dead_ms = 1000};
    assert_int_equal(tide_open(&options, &db, NULL, NULL), TIDE_OK);
    const struct tide_result *result;
    assert_int_equal(tide_status(db, &result, NULL), TIDE_OK);
    (void)snprintf(address, sizeof(address), "%s", result->as.status->replication_address);
    tide_result_free(result);
}

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make("inquire");
    open_node();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(tide_close(db, 5000, NULL), TIDE_OK);
    tm_dir_remove(dir);
    return 0;
}

static int connect_to_node(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval patience = {.tv_sec = 10};
    const char *colon = strrchr(address, ':');
    assert_non_null(colon);
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void read_all(int fd, uint8_t *out, size_t size)
{
    while (size > 0) {
        ssize_t n = read(fd, out, size);
        assert_true(n > 0);
        out += n;
        size -= (size_t)n;
    }
}

/* Ask; the answer's slices borrow body. */
static void ask_to_promise(struct id128 cluster, uint64_t highest_epoch, uint64_t claim,
                           uint8_t *body, size_t capacity, struct wire_message *out)
{
    uint8_t bytes[1024];
    struct wire_header header;
    struct wire_message m = {
        .kind = WIRE_INQUIRE,
        .session = 77,
        .as.inquire = {.cluster = cluster,
                       .node_id = slice_of_text("stranger"),
                       .highest_epoch = highest_epoch,
                       .claim = claim,
                       .role = ROLE_FOLLOWER,
                       .replication_address = slice_of_text("127.0.0.1:1")},
    };
    int fd = connect_to_node();
    size_t size = wire_encode(&m, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    read_all(fd, bytes, WIRE_HEADER_SIZE);
    assert_int_equal(wire_header_decode(bytes, (uint32_t)capacity, &header, NULL), OK);
    assert_int_equal(header.session, 77);
    read_all(fd, body, header.body_size);
    assert_true(wire_body_verifies(&header, slice_of(body, header.body_size)));
    assert_int_equal(wire_decode(&header, slice_of(body, header.body_size), out, NULL), OK);
    (void)close(fd);
}

static void ask(struct id128 cluster, uint64_t highest_epoch, uint8_t *body, size_t capacity,
                struct wire_message *out)
{
    ask_to_promise(cluster, highest_epoch, 0, body, capacity, out);
}

static void a_node_says_what_it_holds_before_any_hello(void **state)
{
    (void)state;
    uint8_t body[16384];
    struct wire_message m;
    struct tide_position at;
    assert_int_equal(tide_position_now(db, &at, NULL), TIDE_OK);
    ask((struct id128){0}, 0, body, sizeof(body), &m);
    assert_int_equal(m.kind, WIRE_STANDING);
    const struct wire_standing *s = &m.as.standing;
    assert_true(slice_equal(s->node_id, slice_of_text("north")));
    assert_true(slice_equal(s->data_address, slice_of_text("127.0.0.1:7400")));
    assert_true(slice_equal(s->replication_address, slice_of_text(address)));
    assert_int_equal(s->leader_address.size, 0);
    assert_int_equal(s->role, ROLE_LEADER);
    assert_int_equal(s->is_serving, 1);
    assert_int_equal(s->last.seqno.v, at.seqno);
    assert_int_equal(s->last.epoch, 1);
    assert_int_equal(s->highest_epoch, 1);
    assert_int_equal(s->epoch_count, 1);
}

static bool takes_writes(void)
{
    struct tide_signal signal = {.type = {"view", 4}, .item = {"a", 1}};
    return tide_signal(db, &signal, NULL, NULL) == TIDE_OK;
}

/* Goal: a number on the wire deposes a leader only when it comes from its own cluster. */
static void only_a_member_deposes(void **state)
{
    (void)state;
    uint8_t body[16384];
    struct wire_message m;
    struct id128 other = {.bytes = {1}};
    ask(other, 99, body, sizeof(body), &m);
    ask((struct id128){0}, 99, body, sizeof(body), &m);
    struct id128 cluster = m.as.standing.cluster;
    assert_true(takes_writes());
    ask(cluster, 1, body, sizeof(body), &m); /* its own epoch is no later one */
    assert_true(takes_writes());
    ask(cluster, 99, body, sizeof(body), &m);
    for (int i = 0; i < 5000 && takes_writes(); i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_false(takes_writes());
    ask(cluster, 99, body, sizeof(body), &m);
    assert_int_equal(m.as.standing.role, ROLE_FOLLOWER);
}

static void restart(void)
{
    assert_int_equal(tide_close(db, 5000, NULL), TIDE_OK);
    open_node();
}

/* Goal: a number is promised once, to one asker, by a member of the cluster only; the leader of an
 * older epoch is none any more; and the promise is still there after a restart. */
static void a_number_is_promised_to_one_asker_and_for_ever(void **state)
{
    (void)state;
    uint8_t body[16384];
    struct wire_message m;
    struct id128 other = {.bytes = {1}};
    ask_to_promise(other, 0, 5, body, sizeof(body), &m);
    assert_int_equal(m.as.standing.is_claim_noted, 0);
    struct id128 cluster = m.as.standing.cluster;
    assert_true(takes_writes());
    ask_to_promise(cluster, 1, 1, body, sizeof(body), &m); /* no later one than its own */
    assert_int_equal(m.as.standing.is_claim_noted, 0);
    assert_true(takes_writes());
    ask_to_promise(cluster, 5, 5, body, sizeof(body), &m); /* as a claimer does: its own first */
    assert_int_equal(m.as.standing.is_claim_noted, 1);
    assert_int_equal(m.as.standing.highest_epoch, 5);
    ask_to_promise(cluster, 5, 5, body, sizeof(body), &m); /* somebody else, too late */
    assert_int_equal(m.as.standing.is_claim_noted, 0);
    for (int i = 0; i < 5000 && takes_writes(); i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_false(takes_writes());
    restart();
    ask_to_promise(cluster, 5, 5, body, sizeof(body), &m);
    assert_int_equal(m.as.standing.is_claim_noted, 0);
    assert_int_equal(m.as.standing.highest_epoch, 5);
    ask_to_promise(cluster, 6, 6, body, sizeof(body), &m);
    assert_int_equal(m.as.standing.is_claim_noted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_says_what_it_holds_before_any_hello, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_a_member_deposes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_is_promised_to_one_asker_and_for_ever, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
