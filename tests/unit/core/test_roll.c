/* Tests of core/roll: what arms the seal, what followers may be sent and when, and that a record of
 * a client never waits longer than both intervals together. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/roll.h"

#define SEAL_NS (2 * NS_PER_S)
#define SHIP_NS (3 * NS_PER_S)

static struct roll roll;
static uint64_t now_ns;

static void begin(uint64_t seal_ns, uint64_t ship_ns, uint64_t durable)
{
    now_ns = 100 * NS_PER_S;
    struct roll_options options = {.seal_interval_ns = seal_ns, .ship_interval_ns = ship_ns};
    roll_init(&roll, &options, seqno_of(durable), now_ns);
}

static struct roll_actions tell(enum roll_event_kind kind, uint64_t end, bool has_client)
{
    struct roll_event event = {
        .kind = kind, .now_ns = now_ns, .end = seqno_of(end), .has_client = has_client};
    return roll_step(&roll, &event);
}

static struct roll_actions tick_at(uint64_t ns)
{
    now_ns = ns;
    return tell(ROLL_EV_TICK, 0, false);
}

/* Stream mode without a seal interval: everything goes at once and nothing is ever due. */
static void by_stream_everything_durable_may_go_at_once(void **state)
{
    (void)state;
    begin(0, 0, 10);
    assert_int_equal(roll.shippable.v, 10);
    assert_true(tell(ROLL_EV_WRITTEN, 12, true).has_more);
    assert_int_equal(roll.shippable.v, 12);
    assert_true(tell(ROLL_EV_WRITTEN, 13, false).has_more);
    assert_int_equal(roll.shippable.v, 13);
    assert_true(roll_due_ns(&roll, now_ns) == UINT64_MAX);
    assert_false(tick_at(now_ns + 1000 * NS_PER_S).is_seal_due);
}

/* Ticks, marks and digests alone never make an idle node seal. */
static void housekeeping_never_arms_the_seal(void **state)
{
    (void)state;
    begin(SEAL_NS, 0, 10);
    for (uint64_t s = 11; s < 100; s++) {
        now_ns += 60 * NS_PER_S;
        assert_false(tell(ROLL_EV_WRITTEN, s, false).is_seal_due);
        assert_int_equal(roll.state, ROLL_CLEAN);
        assert_true(roll_due_ns(&roll, now_ns) == UINT64_MAX);
    }
}

/* The wait counts from the first record that waits, not from the newest. */
static void the_seal_is_due_one_interval_after_the_first_client_record(void **state)
{
    (void)state;
    begin(SEAL_NS, 0, 10);
    uint64_t first_ns = now_ns;
    assert_false(tell(ROLL_EV_WRITTEN, 11, true).is_seal_due);
    assert_int_equal(roll_due_ns(&roll, now_ns), first_ns + SEAL_NS);
    now_ns += SEAL_NS - 1;
    assert_false(tell(ROLL_EV_WRITTEN, 12, true).is_seal_due);
    assert_int_equal(roll_due_ns(&roll, now_ns), first_ns + SEAL_NS);
    assert_true(tick_at(first_ns + SEAL_NS).is_seal_due);
    assert_true(tick_at(first_ns + SEAL_NS + 5).is_seal_due); /* until it begins */
    assert_true(roll_due_ns(&roll, now_ns) == UINT64_MAX);    /* the log's turn, not the clock's */
    assert_false(tell(ROLL_EV_SEALING, 0, false).is_seal_due);
    assert_false(tell(ROLL_EV_SEALED, 12, false).is_seal_due);
    assert_int_equal(roll.state, ROLL_CLEAN);
}

/* A segment that was full, or sealed by command, needs no seal by time. */
static void a_seal_for_another_reason_disarms(void **state)
{
    (void)state;
    begin(SEAL_NS, 0, 10);
    (void)tell(ROLL_EV_WRITTEN, 11, true);
    (void)tell(ROLL_EV_SEALED, 11, false);
    assert_int_equal(roll.state, ROLL_CLEAN);
    assert_false(tick_at(now_ns + 2 * SEAL_NS).is_seal_due);
    (void)tell(ROLL_EV_WRITTEN, 12, true);
    assert_int_equal(roll.held_ns, now_ns); /* a new wait */
}

static void by_segment_only_what_is_sealed_goes_and_only_at_polls(void **state)
{
    (void)state;
    begin(SEAL_NS, SHIP_NS, 10);
    uint64_t beat_ns = now_ns;
    now_ns += NS_PER_S;
    assert_false(tell(ROLL_EV_WRITTEN, 12, true).has_more);
    assert_false(tick_at(beat_ns + SHIP_NS).has_more); /* a poll finds nothing sealed */
    assert_true(tick_at(now_ns).is_seal_due);
    (void)tell(ROLL_EV_SEALING, 0, false);
    assert_true(tell(ROLL_EV_SEALED, 12, false).has_more); /* on the beat itself */
    now_ns += 1;
    (void)tell(ROLL_EV_WRITTEN, 15, true);
    (void)tell(ROLL_EV_SEALED, 15, false);
    assert_int_equal(roll.shippable.v, 12);
    assert_int_equal(roll_due_ns(&roll, now_ns), beat_ns + 2 * SHIP_NS);
    assert_false(tick_at(beat_ns + 2 * SHIP_NS - 1).has_more);
    assert_true(tick_at(beat_ns + 2 * SHIP_NS).has_more);
    assert_int_equal(roll.shippable.v, 15);
    assert_true(roll_due_ns(&roll, now_ns) == UINT64_MAX);
}

/* The mark and the digest after the last client's record: no seal, and followers have them. */
static void by_segment_housekeeping_behind_a_seal_goes_with_the_next_poll(void **state)
{
    (void)state;
    begin(SEAL_NS, SHIP_NS, 10);
    uint64_t beat_ns = now_ns;
    now_ns += 1;
    (void)tell(ROLL_EV_WRITTEN, 11, false);
    assert_true(tick_at(beat_ns + SHIP_NS).has_more);
    assert_int_equal(roll.shippable.v, 11);
    now_ns += 1;
    (void)tell(ROLL_EV_WRITTEN, 12, false);
    (void)tell(ROLL_EV_WRITTEN, 13,
               true); /* now the segment holds something: it waits for a seal */
    assert_false(tick_at(beat_ns + 2 * SHIP_NS).has_more);
    assert_int_equal(roll.shippable.v, 11);
    (void)tell(ROLL_EV_SEALED, 13, false);
    assert_int_equal(roll.shippable.v, 13); /* on the beat */
}

/* Any history: no record of a client waits longer than both intervals, and nothing goes back. */
static void no_record_of_a_client_waits_longer_than_both_intervals(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("roll", 1));
    for (uint32_t round = 0; round < 200; round++) {
        uint64_t seal_ns = 1 + random_below(&random, 50);
        uint64_t ship_ns = 1 + random_below(&random, 50);
        begin(seal_ns, ship_ns, 0);
        uint64_t durable_at_ns[400] = {0};
        bool is_client[400] = {0};
        uint64_t end = 0;
        for (uint32_t i = 0; i < 2000 && end < 399; i++) {
            seqno before = roll.shippable;
            uint64_t due_ns = roll_due_ns(&roll, now_ns);
            now_ns += random_below(&random, 12);
            if (due_ns < now_ns) now_ns = due_ns; /* timers are not late here */
            bool is_due = tell(ROLL_EV_TICK, 0, false).is_seal_due;
            if (is_due) {
                (void)tell(ROLL_EV_SEALING, 0, false);
                (void)tell(ROLL_EV_SEALED, end, false);
            } else if (random_below(&random, 3) == 0) {
                end++;
                is_client[end] = random_below(&random, 2) == 0;
                durable_at_ns[end] = now_ns;
                (void)tell(ROLL_EV_WRITTEN, end, is_client[end]);
            } else if (random_below(&random, 20) == 0) {
                (void)tell(ROLL_EV_SEALED, end, false);
            }
            assert_true(roll.shippable.v >= before.v);
            assert_true(roll.shippable.v <= end);
            for (uint64_t s = roll.shippable.v + 1; s <= end; s++) {
                if (is_client[s]) assert_true(now_ns - durable_at_ns[s] <= seal_ns + ship_ns);
            }
        }
    }
}

/* The table of roll.h, edge by edge. */
static void only_the_declared_edges_are_allowed(void **state)
{
    (void)state;
    for (enum roll_state from = 0; from < ROLL_STATE_COUNT; from++) {
        for (enum roll_state to = 0; to < ROLL_STATE_COUNT; to++) {
            bool is_declared = (from == ROLL_CLEAN && to == ROLL_HOLDING) ||
                               (from == ROLL_HOLDING && to != ROLL_HOLDING) ||
                               (from == ROLL_SEALING && to == ROLL_CLEAN);
            assert_int_equal(roll_edge_is_allowed(from, to), is_declared);
        }
    }
    assert_string_equal(roll_state_name(ROLL_HOLDING), "holding");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_stream_everything_durable_may_go_at_once),
        cmocka_unit_test(housekeeping_never_arms_the_seal),
        cmocka_unit_test(the_seal_is_due_one_interval_after_the_first_client_record),
        cmocka_unit_test(a_seal_for_another_reason_disarms),
        cmocka_unit_test(by_segment_only_what_is_sealed_goes_and_only_at_polls),
        cmocka_unit_test(by_segment_housekeeping_behind_a_seal_goes_with_the_next_poll),
        cmocka_unit_test(no_record_of_a_client_waits_longer_than_both_intervals),
        cmocka_unit_test(only_the_declared_edges_are_allowed),
    };
    return cmocka_run_group_tests_name("core/roll", tests, NULL, NULL);
}
