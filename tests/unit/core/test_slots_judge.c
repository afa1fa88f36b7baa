/* Tests of core/slots_judge: each budget, its warning and its end, the idle time over restarts, and
 * every edge of the slots' table taken by an event. */
#include "support/tm_test.h"

#include "core/slots_judge.h"

#include <math.h>

#define S NS_PER_S

static struct slots table;
static uint64_t held[SLOTS_MAX];
static struct slots_moment now;
static enum slots_news news[SLOTS_MAX];

static int fresh(void **state)
{
    (void)state;
    slots_init(&table, 5, seqno_of(1));
    memset(held, 0, sizeof(held));
    memset(news, 0, sizeof(news));
    now = (struct slots_moment){
        .now_ns = 100 * S,
        .wall_ms = 5000,
        .durable = seqno_of(1000),
        .oldest = seqno_of(1),
        .held_bytes = held,
        .limits = {.bytes = UINT64_MAX},
    };
    return 0;
}

static struct position at(uint64_t s)
{
    return (struct position){.epoch = 5, .seqno = seqno_of(s), .chain = {{(uint8_t)(s % 251)}}};
}

static struct slot_join join_of(const char *id, uint64_t last)
{
    return (struct slot_join){.node_id = slice_of_text(id),
                              .data_address = slice_of_text("10.0.0.1:7400"),
                              .incarnation = 1,
                              .last = at(last),
                              .now_ns = now.now_ns};
}

static uint32_t join(const char *id, uint64_t last)
{
    struct slot_join j = join_of(id, last);
    return slots_join(&table, &j);
}

static enum slot_state state_of(uint32_t i)
{
    return (enum slot_state)table.slots[i].record.state;
}

static enum slots_news judge(uint32_t i)
{
    (void)slots_judge(&table, &now, news);
    return news[i];
}

static void pass(uint64_t ns)
{
    now.now_ns += ns;
}

static void bytes_warn_at_three_quarters_and_end_beyond_the_budget(void **state)
{
    (void)state;
    uint32_t i = join("f1", 900);
    now.limits.bytes = 1000;
    now.bytes_per_s = 10;
    held[i] = 749;
    assert_int_equal(judge(i), SLOT_NEWS_NONE);
    assert_int_equal(table.slots[i].held_bytes, 749);
    assert_int_equal(table.slots[i].held_records, 100);
    assert_int_equal(table.slots[i].budget_bytes, 1000);
    assert_same_double(table.slots[i].seconds_until_lost, 25.1);
    held[i] = 750;
    assert_int_equal(judge(i), SLOT_NEWS_AT_RISK);
    assert_int_equal(judge(i), SLOT_NEWS_NONE); /* said once */
    held[i] = 600;
    assert_int_equal(judge(i), SLOT_NEWS_NONE); /* not safe enough yet */
    assert_int_equal(state_of(i), SLOT_AT_RISK);
    held[i] = 599;
    assert_int_equal(judge(i), SLOT_NEWS_SAFE);
    assert_int_equal(state_of(i), SLOT_CATCHING_UP);
    held[i] = 1000;
    assert_int_equal(judge(i), SLOT_NEWS_AT_RISK); /* the whole budget may be used */
    assert_same_double(table.slots[i].seconds_until_lost, 0);
    held[i] = 1001;
    assert_int_equal(judge(i), SLOT_NEWS_LOST);
    assert_int_equal(table.slots[i].record.reason, SLOT_REASON_HORIZON_BYTES);
    assert_int_equal(table.slots[i].record.invalidated_at_ms, 5000);
    assert_int_equal(judge(i), SLOT_NEWS_NONE);
}

static void records_have_a_budget_of_their_own(void **state)
{
    (void)state;
    uint32_t i = join("f1", 900);
    now.limits.records = 100;
    now.records_per_s = 50;
    assert_int_equal(judge(i), SLOT_NEWS_AT_RISK);
    now.durable = seqno_of(1001);
    assert_int_equal(judge(i), SLOT_NEWS_LOST);
    assert_int_equal(table.slots[i].record.reason, SLOT_REASON_HORIZON_RECORDS);
}

/* Only monotonic time without a link counts: no wall clock, no time in which the node did not run
 * (a machine that was off invalidates nobody), all of it over restarts. */
static void idle_time_adds_up_over_restarts_and_only_without_a_link(void **state)
{
    (void)state;
    uint32_t i = join("f1", 900);
    now.limits.idle_ns = 100 * S;
    pass(1000 * S);
    assert_int_equal(judge(i), SLOT_NEWS_NONE); /* connected */
    slots_disconnect(&table, i, now.now_ns);
    pass(60 * S);
    now.wall_ms += INT64_C(1000000000000); /* nobody looks */
    assert_int_equal(judge(i), SLOT_NEWS_NONE);
    assert_same_double(table.slots[i].seconds_until_lost, 40);
    /* a restart, on a machine whose monotonic clock begins anew */
    struct slot_record saved[SLOTS_MAX];
    uint32_t count = slots_copy(&table, saved);
    slots_init(&table, 6, seqno_of(1));
    now.now_ns = 5 * S;
    slots_load(&table, saved, count, now.now_ns);
    pass(15 * S);
    assert_int_equal(judge(i), SLOT_NEWS_AT_RISK);
    pass(25 * S);
    assert_int_equal(judge(i), SLOT_NEWS_NONE); /* 100 s: not beyond */
    (void)join("f1", 900);
    pass(500 * S);
    assert_int_equal(judge(i), SLOT_NEWS_NONE); /* it came back in time */
    slots_disconnect(&table, i, now.now_ns);
    pass(101 * S);
    assert_int_equal(judge(i), SLOT_NEWS_LOST);
    assert_int_equal(table.slots[i].record.reason, SLOT_REASON_IDLE);
}

/* Idle time is worth a save now and then, not each second. */
static void idle_time_is_saved_in_parts(void **state)
{
    (void)state;
    uint32_t i = join("f1", 900);
    slots_disconnect(&table, i, now.now_ns);
    now.limits.idle_ns = 64 * 10 * S;
    slots_save_begins(&table);
    int saves = 0;
    for (int k = 0; k < 100; k++) {
        pass(S);
        (void)judge(i);
        if (!slots_is_save_due(&table, now.now_ns + SLOTS_SAVE_NS, 0)) continue;
        slots_save_begins(&table);
        saves++;
    }
    assert_int_equal(saves, 10);
    pass(2 * S);
    slots_settle(&table, now.now_ns, 0); /* a stop saves what is left */
    assert_true(table.is_dirty);
}

static void a_slot_whose_log_is_gone_is_lost(void **state)
{
    (void)state;
    uint32_t i = join("f1", 900);
    now.oldest = seqno_of(901); /* exactly what it asks for next */
    assert_int_equal(judge(i), SLOT_NEWS_NONE);
    now.oldest = seqno_of(902);
    assert_int_equal(judge(i), SLOT_NEWS_LOST);
    assert_int_equal(table.slots[i].record.reason, SLOT_REASON_LOG_MISSING);
}

/* What is saved lags behind: pruning went by what the follower had stored since. Found by a seed in
 * which that follower, whole, was told to copy the state. */
static void a_restored_slot_older_than_the_log_is_not_lost(void **state)
{
    (void)state;
    struct slot_record saved = {
        .node_id = "f1", .state = SLOT_INACTIVE, .stored = {11}, .restart = {11}};
    slots_load(&table, &saved, 1, now.now_ns);
    now.oldest = seqno_of(181);
    assert_int_equal(judge(0), SLOT_NEWS_NONE);
    assert_int_equal(state_of(0), SLOT_INACTIVE);
    assert_int_equal(slots_floor(&table, now.durable).v, 180);
    (void)join("f1", 237);
    assert_int_equal(judge(0), SLOT_NEWS_NONE);
    assert_int_equal(slots_floor(&table, now.durable).v, 237);
}

/* While it is not known from where on a copy needs the log, all of it is held, whatever the budget;
 * then the pin counts. */
static void a_copy_has_its_budget_from_its_mark_on(void **state)
{
    (void)state;
    struct slot_join j = join_of("f1", 0);
    j.is_rebootstrapping = true;
    uint32_t i = slots_join(&table, &j);
    now.limits.bytes = 1000;
    now.oldest = seqno_of(500);
    held[i] = 5000;
    assert_int_equal(judge(i), SLOT_NEWS_NONE);
    assert_int_equal(slots_floor(&table, now.durable).v, 499);
    slots_pin(&table, i, seqno_of(900), now.now_ns, 0);
    held[i] = 400;
    assert_int_equal(judge(i), SLOT_NEWS_NONE);
    assert_int_equal(slots_floor(&table, now.durable).v, 900);
    held[i] = 800; /* near its end: the copy is based anew on a newer mark */
    assert_int_equal(judge(i), SLOT_NEWS_AT_RISK);
    slots_pin(&table, i, seqno_of(990), now.now_ns, 0);
    held[i] = 100;
    assert_int_equal(judge(i), SLOT_NEWS_SAFE);
    assert_int_equal(state_of(i), SLOT_BOOTSTRAP);
    now.oldest = seqno_of(995); /* what follows its mark is gone */
    assert_int_equal(judge(i), SLOT_NEWS_LOST);
}

static void a_closed_catalogue_is_not_judged(void **state)
{
    (void)state;
    uint32_t i = join("f1", 900);
    slots_close(&table);
    now.limits.bytes = 1;
    held[i] = 1000;
    assert_int_equal(judge(i), SLOT_NEWS_NONE);
    assert_int_equal(slots_farthest(&table, now.durable), SLOT_NONE);
}

static void the_disk_presses_the_one_that_is_farthest_behind(void **state)
{
    (void)state;
    uint32_t first = join("f1", 900);
    uint32_t second = join("f2", 300);
    (void)join("f3", 1000);
    assert_int_equal(slots_farthest(&table, now.durable), second);
    slots_press(&table, second);
    (void)slots_judge(&table, &now, news);
    assert_int_equal(news[first], SLOT_NEWS_NONE);
    assert_int_equal(news[second], SLOT_NEWS_AT_RISK);
    slots_lose(&table, second, SLOT_REASON_HORIZON_BYTES, 1);
    assert_int_equal(slots_farthest(&table, now.durable), first);
    slots_press(&table, SLOT_NONE);
    slots_lose(&table, first, SLOT_REASON_HORIZON_BYTES, 1);
    assert_int_equal(slots_farthest(&table, now.durable), SLOT_NONE); /* f3 holds nothing back */
}

/* Smoothly from half of its bytes on, at most so much, and only for who is connected and votes. */
static void only_a_connected_voter_slows_writers(void **state)
{
    (void)state;
    struct slot_join voter = join_of("f1", 900);
    voter.is_voter = true;
    uint32_t i = slots_join(&table, &voter);
    uint32_t other = join("f2", 900);
    now.limits.bytes = 2 * MIB;
    uint64_t before = 0;
    for (uint64_t used = 0; used <= 2 * MIB; used += 32 * KIB) {
        held[i] = used;
        held[other] = 2 * MIB;
        (void)judge(i);
        uint64_t slow_ns = slots_slow_ns(&table);
        if (used <= MIB) assert_int_equal(slow_ns, 0);
        assert_true(slow_ns >= before && slow_ns - before <= SLOT_SLOW_MAX_NS / 16);
        before = slow_ns;
    }
    assert_true(before > SLOT_SLOW_MAX_NS / 2 && before <= SLOT_SLOW_MAX_NS);
    slots_disconnect(&table, i, now.now_ns); /* waiting for it would not help it */
    assert_int_equal(slots_slow_ns(&table), 0);
}

/* The slowest of the voters counts; one whose history is not proved, that has no budget, or that is
 * lost, does not. */
static void the_voter_that_holds_back_most_sets_the_pace(void **state)
{
    (void)state;
    struct slot_join j = join_of("f1", 900);
    j.is_voter = true;
    uint32_t i = slots_join(&table, &j);
    j.node_id = slice_of_text("f2");
    uint32_t other = slots_join(&table, &j);
    now.limits.bytes = 100 * MIB;
    held[i] = 90 * MIB;
    held[other] = 60 * MIB;
    (void)judge(i);
    uint64_t slow_ns = slots_slow_ns(&table);
    assert_true(slow_ns > SLOT_SLOW_MAX_NS / 2);
    held[other] = 80 * MIB;
    (void)judge(i);
    assert_int_equal(slots_slow_ns(&table), slow_ns);
    table.slots[i].is_vouched = false;
    uint64_t second_ns = slots_slow_ns(&table);
    assert_true(second_ns > 0 && second_ns < slow_ns);
    slots_lose(&table, other, SLOT_REASON_REMOVED, 1);
    assert_int_equal(slots_slow_ns(&table), 0);
    table.slots[i].is_vouched = true;
    assert_int_equal(slots_slow_ns(&table), slow_ns);
    now.limits.bytes = UINT64_MAX; /* the operator took the budget away */
    (void)judge(i);
    assert_int_equal(slots_slow_ns(&table), 0);
    now.limits.bytes = 2047; /* too small to be used in parts */
    held[i] = 1100;
    (void)judge(i);
    assert_int_equal(slots_slow_ns(&table), 0);
}

/* A timeout so short that its parts would be saved all the time is saved once a second. */
static void a_short_timeout_is_saved_once_a_second(void **state)
{
    (void)state;
    uint32_t i = join("f1", 900);
    slots_disconnect(&table, i, now.now_ns);
    slots_save_begins(&table);
    now.limits.idle_ns = 5 * S;
    pass(S - 1);
    (void)judge(i);
    assert_false(table.is_dirty);
    pass(1);
    (void)judge(i);
    assert_true(table.is_dirty);
    assert_int_equal(table.slots[i].record.idle_ns, S);
}

/* What ends a node settles only those that were without a link meanwhile. */
static void settling_adds_the_time_of_those_without_a_link(void **state)
{
    (void)state;
    uint32_t connected = join("f1", 900);
    uint32_t away = join("f2", 900);
    uint32_t lost = join("f3", 900);
    slots_disconnect(&table, away, now.now_ns);
    slots_disconnect(&table, lost, now.now_ns);
    slots_lose(&table, lost, SLOT_REASON_IDLE, 1);
    pass(7 * S);
    slots_settle(&table, now.now_ns, 0);
    assert_int_equal(table.slots[connected].record.idle_ns, 0);
    assert_int_equal(table.slots[away].record.idle_ns, 7 * S);
    assert_int_equal(table.slots[lost].record.idle_ns, 0);
    slots_close(&table);
    pass(S);
    slots_settle(&table, now.now_ns, 0);
    assert_int_equal(table.slots[away].record.idle_ns, 7 * S);
}

/* --- each edge by the event that takes it --- */

/* A slot of "f1" in the wanted state. */
static uint32_t make(enum slot_state wanted)
{
    (void)fresh(NULL);
    uint32_t i = join("f1", wanted == SLOT_BOOTSTRAP ? 0 : 900);
    if (wanted == SLOT_STREAMING) slots_set_streaming(&table, i, true);
    if (wanted == SLOT_INACTIVE) slots_disconnect(&table, i, now.now_ns);
    if (wanted == SLOT_AT_RISK) {
        slots_press(&table, i);
        (void)judge(i);
        slots_press(&table, SLOT_NONE);
    }
    if (wanted == SLOT_LOST) {
        slots_disconnect(&table, i, now.now_ns);
        slots_lose(&table, i, SLOT_REASON_IDLE, 1);
    }
    assert_int_equal(state_of(i), wanted);
    return i;
}

/* What brings the slot to `to`, from wherever it is. */
static void take_edge(uint32_t i, enum slot_state from, enum slot_state to)
{
    struct slot_join j = join_of("f1", 0);
    struct slot_progress p = {
        .stored = at(950), .received = seqno_of(950), .applied = seqno_of(950), .now_ns = 1};
    p.now_ns = now.now_ns;
    switch (to) {
    case SLOT_BOOTSTRAP:
        if (from == SLOT_LOST) {
            j.is_rebootstrapping = true;
            (void)slots_join(&table, &j);
        } else {
            (void)slots_join(&table, &j); /* it comes back empty */
        }
        return;
    case SLOT_CATCHING_UP:
        if (from == SLOT_BOOTSTRAP) {
            slots_advance(&table, i, &p);
        } else if (from == SLOT_INACTIVE) {
            (void)join("f1", 900);
        } else if (from == SLOT_AT_RISK) {
            (void)judge(i);
        } else {
            slots_set_streaming(&table, i, false);
        }
        return;
    case SLOT_STREAMING:
        slots_set_streaming(&table, i, true);
        if (from == SLOT_AT_RISK) (void)judge(i); /* it is remembered meanwhile */
        return;
    case SLOT_INACTIVE:
        slots_disconnect(&table, i, now.now_ns);
        if (from == SLOT_AT_RISK) {
            assert_int_equal(state_of(i), SLOT_AT_RISK); /* without a link it still is */
            (void)judge(i);
        }
        return;
    case SLOT_AT_RISK:
        slots_press(&table, i);
        (void)judge(i);
        return;
    case SLOT_LOST:
        now.limits.bytes = 10;
        held[i] = 11;
        (void)judge(i);
        return;
    }
}

static void every_edge_is_taken_by_an_event(void **state)
{
    (void)state;
    int taken = 0;
    for (uint8_t from = SLOT_BOOTSTRAP; from <= SLOT_LOST; from++) {
        for (uint8_t to = SLOT_BOOTSTRAP; to <= SLOT_LOST; to++) {
            if (!slot_edge_is_allowed(from, to)) continue;
            uint32_t i = make((enum slot_state)from);
            take_edge(i, (enum slot_state)from, (enum slot_state)to);
            if (state_of(i) != to) {
                fail_msg("%s to %s ended in %s", slot_state_name(from), slot_state_name(to),
                         slot_state_name((uint8_t)state_of(i)));
            }
            taken++;
        }
    }
    assert_int_equal(taken, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bytes_warn_at_three_quarters_and_end_beyond_the_budget, fresh),
        cmocka_unit_test_setup(records_have_a_budget_of_their_own, fresh),
        cmocka_unit_test_setup(idle_time_adds_up_over_restarts_and_only_without_a_link, fresh),
        cmocka_unit_test_setup(idle_time_is_saved_in_parts, fresh),
        cmocka_unit_test_setup(a_slot_whose_log_is_gone_is_lost, fresh),
        cmocka_unit_test_setup(a_restored_slot_older_than_the_log_is_not_lost, fresh),
        cmocka_unit_test_setup(a_copy_has_its_budget_from_its_mark_on, fresh),
        cmocka_unit_test_setup(a_closed_catalogue_is_not_judged, fresh),
        cmocka_unit_test_setup(the_disk_presses_the_one_that_is_farthest_behind, fresh),
        cmocka_unit_test_setup(only_a_connected_voter_slows_writers, fresh),
        cmocka_unit_test_setup(the_voter_that_holds_back_most_sets_the_pace, fresh),
        cmocka_unit_test_setup(a_short_timeout_is_saved_once_a_second, fresh),
        cmocka_unit_test_setup(settling_adds_the_time_of_those_without_a_link, fresh),
        cmocka_unit_test_setup(every_edge_is_taken_by_an_event, fresh),
    };
    return cmocka_run_group_tests_name("core/slots_judge", tests, NULL, NULL);
}
