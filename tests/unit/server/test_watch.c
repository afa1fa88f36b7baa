/* watch: what a node that follows, loses its leader or falls ill writes to its log. The states are
 * those of the fake database; the clock is real, so only the first line of each kind is looked
 * for. */
#include "support/tm_test.h"

#include "support/fake/fake_tide.h"
#include "support/fake/node.h"

#include <math.h>
#include <poll.h>

static struct node node;

static void await_line(const char *part)
{
    for (int i = 0; i < 500; i++) {
        if (strstr(node_log(&node), part) != NULL) return;
        (void)poll(NULL, 0, 10);
    }
    fail_msg("'%s' is not in the log:\n%s", part, node_log(&node));
}

static void prepare_lonely(struct server_options *options)
{
    (void)options;
    struct tide_status *s = fake_status();
    s->role = TIDE_ROLE_FOLLOWER;
    s->lag_seconds = (double)INFINITY;
    s->leader_replication_address = "10.0.0.1:7402";
    s->link_state = "connecting: connection refused";
}

static void a_follower_without_leader_says_so(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_lonely));
    await_line("level=warn msg=\"not connected to the leader\" leader=10.0.0.1:7402 "
               "link=\"connecting: connection refused\"");
    int fd = wire_open(node.data_port);
    wire_say(fd, "HELLO\r\nQUIT\r\n");
    assert_non_null(strstr(wire_receive_all(fd), "$7\r\nreplica\r\n"));
    wire_close(fd);
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

static void prepare_following(struct server_options *options)
{
    prepare_lonely(options);
    fake_status()->is_link_up = true;
    fake_status()->was_synced = true;
}

static void a_follower_says_whom_it_follows(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_following));
    await_line("level=info msg=\"following\" leader=10.0.0.1:7402");
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

static void prepare_ill(struct server_options *options)
{
    (void)options;
    fake_status()->state = "poisoned";
    fake_status()->reason = "a write failed";
}

static void illness_is_an_error_line(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_ill));
    await_line("level=error msg=\"state\" state=poisoned reason=\"a write failed\"");
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

static const struct tide_event events[] = {
    {.number = 3, .kind = "epoch", .level = "info", .text = "epoch 2 begins with record 10"},
    {.number = 4, .kind = "divergence", .level = "error", .text = "block \"b\" differs"},
};

static void prepare_events(struct server_options *options)
{
    (void)options;
    fake_status()->events_total = 4;
    fake_status()->event_count = COUNT_OF(events);
    fake_status()->events = events;
}

static size_t count_of(const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(node_log(&node), part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

/* Two looks at the same events, a second apart: one line each. */
static void an_event_is_one_line_and_lost_ones_are_counted(void **state)
{
    (void)state;
    assert_true(node_start(&node, prepare_events));
    await_line("level=warn msg=\"events were lost: too many in a second\" count=2");
    await_line(
        "level=info msg=\"event\" kind=epoch number=3 text=\"epoch 2 begins with record 10\"");
    await_line(
        "level=error msg=\"event\" kind=divergence number=4 text=\"block \\\"b\\\" differs\"");
    (void)poll(NULL, 0, 2500);
    assert_int_equal(count_of("msg=\"event\""), 2);
    assert_int_equal(node_stop(&node), SERVER_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_follower_without_leader_says_so),
        cmocka_unit_test(a_follower_says_whom_it_follows),
        cmocka_unit_test(illness_is_an_error_line),
        cmocka_unit_test(an_event_is_one_line_and_lost_ones_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
