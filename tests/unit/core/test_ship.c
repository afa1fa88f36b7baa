/* Tests of core/ship: which acks are believed, how far ahead the leader may send, when it speaks.
 */
#include "support/tm_test.h"

#include "core/ship.h"

#define SESSION 77u
#define EPOCH   5u

static struct ship ship; /* 60 KiB: not on the stack */
static struct ship_actions actions;
static uint64_t now_ns;

/* The chain of a batch end of the one true history. */
static struct position at(uint64_t s)
{
    struct position p = {.epoch = EPOCH, .seqno = seqno_of(s)};
    if (s > 0) memset(p.chain.bytes, (int)(s % 251 + 1), sizeof(p.chain.bytes));
    return p;
}

static enum code step(struct ship_event event)
{
    event.now_ns = now_ns;
    return ship_step(&ship, &event, &actions, NULL);
}

static enum code ack(uint64_t received, uint64_t stored, uint64_t applied)
{
    struct wire_ack a = {
        .epoch = EPOCH, .received = at(received), .stored = at(stored), .applied = at(applied)};
    return step((struct ship_event){.kind = SHIP_EV_ACK, .session = SESSION, .ack = &a});
}

static void sent(uint64_t s, uint64_t bytes)
{
    struct ship_event event = {.kind = SHIP_EV_SENT, .position = at(s), .bytes = bytes};
    assert_int_equal(step(event), OK);
}

/* A link that continues from record 10, all of it applied. */
static int shipping(void **state)
{
    (void)state;
    now_ns = NS_PER_S;
    struct ship_options options = {
        .credit_bytes = 1000,
        .heartbeat_ns = 500 * NS_PER_MS,
        .suspect_ns = 3 * NS_PER_S,
        .dead_ns = 10 * NS_PER_S,
    };
    ship_init(&ship, &options, now_ns);
    assert_int_equal(
        step((struct ship_event){.kind = SHIP_EV_HELLO, .session = SESSION, .epoch = EPOCH}), OK);
    assert_int_equal(ship.state, SHIP_PROVING);
    assert_int_equal(step((struct ship_event){
                         .kind = SHIP_EV_PLANNED, .position = at(10), .applied = seqno_of(10)}),
                     OK);
    assert_int_equal(ship.state, SHIP_CATCHING_UP);
    return 0;
}

static void a_second_hello_ends_the_link(void **state)
{
    (void)state;
    struct ship_event hello = {.kind = SHIP_EV_HELLO, .session = SESSION, .epoch = EPOCH};
    assert_int_equal(step(hello), E_PROTOCOL);
    assert_int_equal(ship.state, SHIP_ENDED);
}

static void an_ack_moves_received_stored_and_applied_apart(void **state)
{
    (void)state;
    sent(12, 100);
    sent(15, 100);
    assert_int_equal(ack(15, 12, 10), OK);
    assert_true(actions.has_progress);
    assert_int_equal(ship.received.seqno.v, 15);
    assert_int_equal(ship.stored.seqno.v, 12);
    assert_int_equal(ship.applied.v, 10);
    assert_int_equal(ack(15, 12, 10), OK);
    assert_false(actions.has_progress);
    assert_int_equal(ack(15, 15, 15), OK);
    assert_int_equal(ship.ends_count, 0);
}

static void an_ack_of_another_session_is_ignored(void **state)
{
    (void)state;
    sent(12, 100);
    struct wire_ack a = {.epoch = EPOCH, .received = at(12), .stored = at(12), .applied = at(12)};
    struct ship_event late = {.kind = SHIP_EV_ACK, .session = SESSION + 1, .ack = &a};
    assert_int_equal(step(late), OK);
    assert_int_equal(ship.stored.seqno.v, 10);
    assert_int_equal(ship.ignored_acks, 1);
}

static void an_ack_of_another_epoch_ends_the_link(void **state)
{
    (void)state;
    sent(12, 100);
    struct wire_ack a = {
        .epoch = EPOCH - 1, .received = at(12), .stored = at(12), .applied = at(12)};
    struct ship_event old = {.kind = SHIP_EV_ACK, .session = SESSION, .ack = &a};
    assert_int_equal(step(old), E_PROTOCOL);
    assert_int_equal(ship.state, SHIP_ENDED);
    assert_int_equal(ship.stored.seqno.v, 10);
}

static void an_ack_beyond_what_was_sent_ends_the_link(void **state)
{
    (void)state;
    sent(12, 100);
    assert_int_equal(ack(UINT64_MAX, UINT64_MAX, UINT64_MAX), E_PROTOCOL);
    assert_int_equal(ship.stored.seqno.v, 10);
}

static void an_ack_in_the_wrong_order_ends_the_link(void **state)
{
    sent(12, 100);
    sent(15, 100);
    assert_int_equal(ack(12, 15, 10), E_PROTOCOL); /* stored > received */
    shipping(state);
    sent(12, 100);
    sent(15, 100);
    assert_int_equal(ack(15, 12, 15), E_PROTOCOL); /* applied > stored */
}

static void an_ack_that_goes_back_ends_the_link(void **state)
{
    sent(12, 100);
    sent(15, 100);
    assert_int_equal(ack(15, 15, 15), OK);
    assert_int_equal(ack(12, 12, 12), E_PROTOCOL);
    shipping(state);
    assert_int_equal(ack(10, 10, 9), E_PROTOCOL); /* below what hello said is applied */
}

static void an_ack_of_a_number_that_ends_no_batch_ends_the_link(void **state)
{
    (void)state;
    sent(12, 100);
    sent(15, 100);
    assert_int_equal(ack(14, 14, 14), E_PROTOCOL);
}

static void an_ack_with_another_chain_ends_the_link(void **state)
{
    (void)state;
    sent(12, 100);
    struct wire_ack a = {.epoch = EPOCH, .received = at(12), .stored = at(12), .applied = at(12)};
    a.stored.chain.bytes[31] ^= 1;
    struct ship_event liar = {.kind = SHIP_EV_ACK, .session = SESSION, .ack = &a};
    assert_int_equal(step(liar), E_PROTOCOL);
}

static void an_ack_before_the_plan_ends_the_link(void **state)
{
    (void)state;
    struct ship_options options = ship.options;
    ship_init(&ship, &options, now_ns);
    assert_int_equal(
        step((struct ship_event){.kind = SHIP_EV_HELLO, .session = SESSION, .epoch = EPOCH}), OK);
    assert_int_equal(ack(0, 0, 0), E_PROTOCOL);
}

static void the_credit_bounds_the_bytes_that_are_not_stored(void **state)
{
    (void)state;
    assert_true(ship_may_send(&ship, 5000)); /* one batch of any size may fly */
    sent(12, 600);
    assert_int_equal(ship_room_bytes(&ship), 400);
    assert_true(ship_may_send(&ship, 400));
    assert_false(ship_may_send(&ship, 401));
    sent(13, 400);
    assert_false(ship_may_send(&ship, 1));
    assert_int_equal(ack(13, 10, 10), OK); /* received alone frees nothing */
    assert_false(ship_may_send(&ship, 1));
    assert_int_equal(ack(13, 12, 10), OK);
    assert_int_equal(ship_room_bytes(&ship), 600);
    assert_int_equal(ack(13, 13, 10), OK);
    assert_int_equal(ship_room_bytes(&ship), 1000);
}

static void the_number_of_remembered_batches_is_bounded_too(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SHIP_ENDS_MAX; i++) {
        assert_true(ship_may_send(&ship, 0));
        sent(11 + i, 0);
    }
    assert_false(ship_may_send(&ship, 0));
    assert_int_equal(ack(1000, 500, 500), OK);
    assert_int_equal(ship_room_batches(&ship), 490);
    for (uint64_t s = 11 + SHIP_ENDS_MAX; ship_room_batches(&ship) > 0; s++)
        sent(s, 0); /* around the end of the ring */
    assert_int_equal(ack(1524, 1524, 1524), OK);
    assert_int_equal(ship.ends_count, 0);
}

/* A frame of batches vanished, then nothing more was written: the answered heartbeat tells. */
static void an_answered_heartbeat_without_what_was_sent_before_it_ends_the_link(void **state)
{
    sent(12, 100);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_BEAT, .probe = 8}), OK);
    sent(15, 100);
    struct wire_ack a = {
        .epoch = EPOCH, .received = at(10), .stored = at(10), .applied = at(10), .echo_probe = 7};
    struct ship_event event = {.kind = SHIP_EV_ACK, .session = SESSION, .ack = &a};
    assert_int_equal(step(event), OK); /* it answers an older one */
    a.echo_probe = 8;
    a.received = at(12);
    assert_int_equal(step(event), OK); /* 15 was sent after the heartbeat */
    shipping(state);
    sent(12, 100);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_BEAT, .probe = 8}), OK);
    a.received = at(10);
    assert_int_equal(step(event), E_PROTOCOL);
}

static void a_poisoned_follower_is_sent_nothing_more(void **state)
{
    (void)state;
    struct wire_ack a = {
        .epoch = EPOCH, .received = at(10), .stored = at(10), .applied = at(10), .is_poisoned = 1};
    struct ship_event event = {.kind = SHIP_EV_ACK, .session = SESSION, .ack = &a};
    assert_int_equal(step(event), OK);
    assert_true(actions.has_progress);
    assert_false(ship_may_send(&ship, 1));
}

static void heartbeats_start_at_once_and_keep_their_interval(void **state)
{
    (void)state;
    assert_int_equal(ship_due_ns(&ship), now_ns);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_true(actions.is_heartbeat_due);
    now_ns += 499 * NS_PER_MS;
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_false(actions.is_heartbeat_due);
    now_ns += NS_PER_MS;
    assert_int_equal(ship_due_ns(&ship), now_ns);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_true(actions.is_heartbeat_due);
}

static void a_silent_follower_is_suspect_then_dead(void **state)
{
    (void)state;
    now_ns += 3 * NS_PER_S;
    assert_true(ship_is_suspect(&ship, now_ns));
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_HEARD}), OK);
    assert_false(ship_is_suspect(&ship, now_ns));
    now_ns += 10 * NS_PER_S;
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_true(actions.is_dead);
    assert_int_equal(ship.state, SHIP_ENDED);
    assert_int_equal(ship_due_ns(&ship), UINT64_MAX);
}

static void a_link_that_never_says_hello_dies_too(void **state)
{
    (void)state;
    struct ship_options options = ship.options;
    ship_init(&ship, &options, now_ns);
    now_ns += 10 * NS_PER_S;
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_true(actions.is_dead);
}

static void a_follower_may_fall_out_of_memory_and_come_back(void **state)
{
    (void)state;
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TAIL}), OK);
    assert_int_equal(ship.state, SHIP_STREAMING);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TAIL}), OK);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_COLD}), OK);
    assert_int_equal(ship.state, SHIP_CATCHING_UP);
}

static void only_the_drawn_edges_are_allowed(void **state)
{
    (void)state;
    uint32_t allowed = 0;
    for (int from = 0; from < SHIP_STATE_COUNT; from++)
        for (int to = 0; to < SHIP_STATE_COUNT; to++)
            allowed += ship_edge_is_allowed((enum ship_state)from, (enum ship_state)to);
    assert_int_equal(allowed, 8);
    assert_false(ship_edge_is_allowed(SHIP_ENDED, SHIP_HANDSHAKING));
    assert_false(ship_edge_is_allowed(SHIP_HANDSHAKING, SHIP_STREAMING));
    assert_string_equal(ship_state_name(SHIP_CATCHING_UP), "catching_up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_second_hello_ends_the_link, shipping),
        cmocka_unit_test_setup(an_ack_moves_received_stored_and_applied_apart, shipping),
        cmocka_unit_test_setup(an_ack_of_another_session_is_ignored, shipping),
        cmocka_unit_test_setup(an_ack_of_another_epoch_ends_the_link, shipping),
        cmocka_unit_test_setup(an_ack_beyond_what_was_sent_ends_the_link, shipping),
        cmocka_unit_test_setup(an_ack_in_the_wrong_order_ends_the_link, shipping),
        cmocka_unit_test_setup(an_ack_that_goes_back_ends_the_link, shipping),
        cmocka_unit_test_setup(an_ack_of_a_number_that_ends_no_batch_ends_the_link, shipping),
        cmocka_unit_test_setup(an_ack_with_another_chain_ends_the_link, shipping),
        cmocka_unit_test_setup(an_ack_before_the_plan_ends_the_link, shipping),
        cmocka_unit_test_setup(the_credit_bounds_the_bytes_that_are_not_stored, shipping),
        cmocka_unit_test_setup(the_number_of_remembered_batches_is_bounded_too, shipping),
        cmocka_unit_test_setup(an_answered_heartbeat_without_what_was_sent_before_it_ends_the_link,
                               shipping),
        cmocka_unit_test_setup(a_poisoned_follower_is_sent_nothing_more, shipping),
        cmocka_unit_test_setup(heartbeats_start_at_once_and_keep_their_interval, shipping),
        cmocka_unit_test_setup(a_silent_follower_is_suspect_then_dead, shipping),
        cmocka_unit_test_setup(a_link_that_never_says_hello_dies_too, shipping),
        cmocka_unit_test_setup(a_follower_may_fall_out_of_memory_and_come_back, shipping),
        cmocka_unit_test_setup(only_the_drawn_edges_are_allowed, shipping),
    };
    return cmocka_run_group_tests_name("core/ship", tests, NULL, NULL);
}
