/* Goal: leader time never goes back, never jumps by itself, comes near wall time where that is
 * near, and says so where it is not. Every edge of the table of states has its row. */
#include "core/leader_time.h"

#include "base/random.h"
#include "format/batch.h"
#include "support/tm_test.h"

#define NOW_MS  INT64_C(1700000000000)
#define DAY_MS  INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)
#define STEP_MS 10000

/* Two clocks that a test moves, and the machine that reads them. */
struct world {
    uint64_t mono_ns;
    int64_t wall_ms;
    struct leader_time t;
};

static struct clock_reading reading(const struct world *w)
{
    return (struct clock_reading){.mono_ns = w->mono_ns, .wall_ms = w->wall_ms};
}

static void start(struct world *w, int64_t last_ms)
{
    *w = (struct world){.mono_ns = 5 * NS_PER_S, .wall_ms = NOW_MS};
    leader_time_start(&w->t, STEP_MS, hlc_of_ms((uint64_t)last_ms), reading(w));
}

/* So much time passes on both clocks. */
static void pass(struct world *w, int64_t ms)
{
    w->mono_ns += (uint64_t)ms * NS_PER_MS;
    w->wall_ms += ms;
    leader_time_step(&w->t, reading(w));
}

/* Only the wall clock moves. */
static void jump(struct world *w, int64_t ms)
{
    w->wall_ms += ms;
    leader_time_step(&w->t, reading(w));
}

static int64_t time_ms(const struct world *w)
{
    return (int64_t)hlc_ms(leader_time_next(&w->t));
}

static void assert_state(const struct world *w, enum leader_time_state state)
{
    assert_string_equal(leader_time_state_word(w->t.state), leader_time_state_word(state));
}

/* --- start --- */

static void it_starts_with_the_later_of_wall_time_and_the_last_record(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    assert_int_equal(time_ms(&w), NOW_MS);
    assert_state(&w, LEADER_TIME_FOLLOWING);
    start(&w, NOW_MS - DAY_MS); /* a day without a leader is no step */
    assert_int_equal(time_ms(&w), NOW_MS);
    assert_state(&w, LEADER_TIME_FOLLOWING);
    start(&w, NOW_MS + DAY_MS);
    assert_int_equal(time_ms(&w), NOW_MS + DAY_MS);
    assert_state(&w, LEADER_TIME_STANDING);
}

static void no_two_batches_have_the_same_time(void **state)
{
    (void)state;
    struct world w;
    start(&w, NOW_MS);
    uint64_t last = hlc_of_ms((uint64_t)NOW_MS);
    for (uint32_t i = 0; i < 70000; i++) { /* more than the counter holds in one millisecond */
        uint64_t next = leader_time_next(&w.t);
        assert_true(next > last);
        assert_int_equal(leader_time_next(&w.t), next); /* asking changes nothing */
        leader_time_note(&w.t, next);
        last = next;
    }
    assert_int_equal(hlc_ms(last), NOW_MS + 1);
}

/* A hostile log may end with the largest time there is. */
static void the_largest_time_is_not_passed(void **state)
{
    (void)state;
    struct world w = {.wall_ms = NOW_MS};
    leader_time_start(&w.t, STEP_MS, UINT64_MAX, reading(&w));
    assert_true(leader_time_next(&w.t) == UINT64_MAX);
    leader_time_note(&w.t, UINT64_MAX);
    pass(&w, DAY_MS);
    assert_true(leader_time_next(&w.t) == UINT64_MAX);
}

static void wall_times_before_1970_and_after_2255_are_cut(void **state)
{
    (void)state;
    const int64_t walls[] = {INT64_MIN, -1, 0, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(walls); i++) {
        struct world w = {.wall_ms = walls[i]};
        leader_time_start(&w.t, 86400000, 0, reading(&w));
        int64_t before = time_ms(&w);
        assert_true(before >= 0);
        w.mono_ns += NS_PER_S;
        leader_time_step(&w.t, reading(&w));
        assert_true(time_ms(&w) >= before && time_ms(&w) <= before + 1000);
    }
}

/* --- the table of states --- */

struct row {
    const char *name;
    enum leader_time_state from;
    int64_t jump_ms; /* of the wall clock, in that state */
    bool is_accepted;
    enum leader_time_state to;
};

/* The state is reached on the shortest way: STEP_PENDING with the wall clock a day ahead,
 * STANDING_STILL with it an hour behind the last record. */
static const struct row rows[] = {
    {"near stays", LEADER_TIME_FOLLOWING, STEP_MS, false, LEADER_TIME_FOLLOWING},
    {"short stays", LEADER_TIME_FOLLOWING, -STEP_MS, false, LEADER_TIME_FOLLOWING},
    {"ahead", LEADER_TIME_FOLLOWING, STEP_MS + 1, false, LEADER_TIME_STEP_PENDING},
    {"behind", LEADER_TIME_FOLLOWING, -STEP_MS - 1, false, LEADER_TIME_STEP_PENDING},
    {"nothing to accept", LEADER_TIME_FOLLOWING, 0, true, LEADER_TIME_FOLLOWING},
    {"wall came back", LEADER_TIME_STEP_PENDING, -DAY_MS + STEP_MS, false, LEADER_TIME_FOLLOWING},
    {"wall came back too far", LEADER_TIME_STEP_PENDING, -DAY_MS - STEP_MS, false,
     LEADER_TIME_FOLLOWING},
    {"still ahead", LEADER_TIME_STEP_PENDING, DAY_MS, false, LEADER_TIME_STEP_PENDING},
    {"now behind", LEADER_TIME_STEP_PENDING, -2 * DAY_MS, false, LEADER_TIME_STEP_PENDING},
    {"accepted ahead", LEADER_TIME_STEP_PENDING, 0, true, LEADER_TIME_FOLLOWING},
    {"accepted behind", LEADER_TIME_STEP_PENDING, -2 * DAY_MS, true, LEADER_TIME_STANDING},
    {"wall set right", LEADER_TIME_STANDING, HOUR_MS, false, LEADER_TIME_FOLLOWING},
    {"wall nearly set right", LEADER_TIME_STANDING, HOUR_MS / 2, false, LEADER_TIME_STANDING},
    {"wall set back a little", LEADER_TIME_STANDING, -STEP_MS, false, LEADER_TIME_STANDING},
    {"wall set too far ahead", LEADER_TIME_STANDING, HOUR_MS + STEP_MS + 1, false,
     LEADER_TIME_STEP_PENDING},
    {"wall set back further", LEADER_TIME_STANDING, -STEP_MS - 1, false, LEADER_TIME_STEP_PENDING},
    {"still nothing to accept", LEADER_TIME_STANDING, 0, true, LEADER_TIME_STANDING},
};

static void every_edge_of_the_table_is_walked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *r = &rows[i];
        struct world w;
        start(&w, r->from == LEADER_TIME_STANDING ? NOW_MS + HOUR_MS : 0);
        if (r->from == LEADER_TIME_STEP_PENDING) jump(&w, DAY_MS);
        assert_state(&w, r->from);
        int64_t before = time_ms(&w);
        jump(&w, r->jump_ms);
        if (r->is_accepted) {
            bool was_pending = w.t.state == LEADER_TIME_STEP_PENDING;
            assert_int_equal(leader_time_accept(&w.t), was_pending);
        }
        if (w.t.state != r->to) fail_msg("row \"%s\"", r->name);
        bool may_jump = r->is_accepted && r->from == LEADER_TIME_STEP_PENDING && r->jump_ms == 0;
        assert_int_equal(time_ms(&w), may_jump ? w.wall_ms : before);
    }
}

/* --- following --- */

/* 10 s, the default limit, are absorbed in 1,000 s, by 1 % of the time that passes. */
static void small_offsets_are_absorbed_at_one_percent(void **state)
{
    (void)state;
    for (int64_t sign = -1; sign <= 1; sign += 2) {
        struct world w;
        start(&w, 0);
        jump(&w, sign * STEP_MS);
        for (int64_t s = 1; s <= 1000; s++) {
            int64_t before = time_ms(&w);
            pass(&w, 1000);
            assert_int_equal(time_ms(&w) - before, 1000 + sign * 10);
        }
        assert_int_equal(time_ms(&w), w.wall_ms);
        pass(&w, 1000);
        assert_int_equal(time_ms(&w), w.wall_ms);
        assert_int_equal(w.t.step_count, 0);
    }
}

/* How often the clocks are read makes no difference beyond a nanosecond a reading. */
static void rare_readings_come_to_the_same_as_many(void **state)
{
    (void)state;
    struct world often;
    struct world seldom;
    start(&often, 0);
    start(&seldom, 0);
    jump(&often, 5000);
    jump(&seldom, 5000);
    for (int i = 0; i < 3000; i++) {
        pass(&often, 100);
    }
    pass(&seldom, 300000);
    assert_true(seldom.t.time_ns - often.t.time_ns <= 3000);
    assert_true(often.t.time_ns - seldom.t.time_ns <= 3000);
}

/* A wall clock that runs wrong by 0.1 % for a day is followed within 1 ms all the time. */
static void drift_is_followed(void **state)
{
    (void)state;
    for (int64_t sign = -1; sign <= 1; sign += 2) {
        struct world w;
        start(&w, 0);
        for (int64_t s = 0; s < 86400; s++) {
            w.wall_ms += sign;
            pass(&w, 1000);
            int64_t away = w.wall_ms - time_ms(&w);
            assert_true(away >= -1 && away <= 1);
        }
        assert_state(&w, LEADER_TIME_FOLLOWING);
    }
}

/* The monotonic clock counts while the machine sleeps: eight hours later is eight hours later. */
static void waking_up_from_suspend_is_no_step(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    pass(&w, 8 * HOUR_MS);
    assert_int_equal(time_ms(&w), NOW_MS + 8 * HOUR_MS);
    assert_state(&w, LEADER_TIME_FOLLOWING);
}

/* A suspended virtual machine may wake with a monotonic clock that stood: wall time has stepped. */
static void waking_up_with_a_clock_that_stood_is_a_step(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    jump(&w, 8 * HOUR_MS);
    assert_state(&w, LEADER_TIME_STEP_PENDING);
    assert_int_equal(time_ms(&w), NOW_MS);
}

/* --- steps --- */

static void a_step_is_not_followed_until_it_is_accepted(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    jump(&w, DAY_MS);
    pass(&w, HOUR_MS);
    assert_int_equal(time_ms(&w), NOW_MS + HOUR_MS);
    assert_int_equal(w.t.offset_ns / (int64_t)NS_PER_MS, DAY_MS);
    assert_true(leader_time_accept(&w.t));
    assert_int_equal(time_ms(&w), NOW_MS + HOUR_MS + DAY_MS);
    assert_int_equal(w.t.offset_ns, 0);
    assert_int_equal(w.t.step_count, 1);
    assert_false(leader_time_accept(&w.t));
}

static void an_accepted_step_back_stands_still_until_the_wall_has_come_up(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    jump(&w, -DAY_MS);
    pass(&w, HOUR_MS);
    assert_int_equal(time_ms(&w), NOW_MS + HOUR_MS); /* by the monotonic clock */
    assert_true(leader_time_accept(&w.t));
    pass(&w, DAY_MS - HOUR_MS);
    assert_int_equal(time_ms(&w), NOW_MS + HOUR_MS);
    assert_state(&w, LEADER_TIME_STANDING);
    pass(&w, HOUR_MS);
    assert_int_equal(time_ms(&w), NOW_MS + HOUR_MS);
    assert_state(&w, LEADER_TIME_FOLLOWING);
    pass(&w, HOUR_MS);
    assert_int_equal(time_ms(&w), NOW_MS + 2 * HOUR_MS);
}

/* One reading an hour apart, in which the wall clock comes up, is no step ahead. */
static void standing_still_ends_between_two_readings(void **state)
{
    (void)state;
    struct world w;
    start(&w, NOW_MS + 5000);
    pass(&w, HOUR_MS);
    assert_state(&w, LEADER_TIME_FOLLOWING);
    assert_int_equal(time_ms(&w), NOW_MS + HOUR_MS);
    assert_int_equal(w.t.offset_ns, 0);
}

/* Small steps in quick succession do not creep past the limit. */
static void many_small_steps_become_one_that_is_pending(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    jump(&w, 9000);
    assert_state(&w, LEADER_TIME_FOLLOWING);
    jump(&w, 9000);
    assert_state(&w, LEADER_TIME_STEP_PENDING);
    jump(&w, 9000);
    assert_int_equal(w.t.step_count, 1);
    assert_int_equal(time_ms(&w), NOW_MS);
}

/* --- taking over --- */

static void a_new_leader_is_judged_by_what_it_heard_last(void **state)
{
    (void)state;
    struct world w = {.mono_ns = 100 * NS_PER_S, .wall_ms = NOW_MS};
    uint64_t heard = hlc_of_ms((uint64_t)NOW_MS - 60000);
    leader_time_take_over(&w.t, STEP_MS, heard, heard, 40 * NS_PER_S, reading(&w));
    assert_state(&w, LEADER_TIME_FOLLOWING); /* a minute ago it was a minute earlier */
    assert_int_equal(time_ms(&w), NOW_MS);

    w.wall_ms = NOW_MS + DAY_MS; /* this node's clock is a day ahead of the last leader's */
    leader_time_take_over(&w.t, STEP_MS, heard, heard, 40 * NS_PER_S, reading(&w));
    assert_state(&w, LEADER_TIME_STEP_PENDING);
    assert_int_equal(time_ms(&w), NOW_MS);

    w.wall_ms = NOW_MS - DAY_MS; /* ... or behind */
    leader_time_take_over(&w.t, STEP_MS, heard, heard, 40 * NS_PER_S, reading(&w));
    assert_state(&w, LEADER_TIME_STEP_PENDING);
    assert_int_equal(time_ms(&w), NOW_MS);

    uint64_t last = hlc_of_ms((uint64_t)NOW_MS + 7000); /* records it has say more than it heard */
    leader_time_take_over(&w.t, STEP_MS, last, heard, 40 * NS_PER_S, reading(&w));
    assert_true(leader_time_next(&w.t) > last);
}

/* --- waiting --- */

static void a_wait_ends_when_leader_time_is_due(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    assert_int_equal(leader_time_wait_ns(&w.t, (uint64_t)NOW_MS), 0);
    assert_int_equal(leader_time_wait_ns(&w.t, (uint64_t)NOW_MS + 60000), 60 * NS_PER_S);
    assert_true(leader_time_wait_ns(&w.t, UINT64_MAX) >= UINT64_MAX / 4);
    start(&w, NOW_MS + HOUR_MS); /* standing still: the wall clock comes up first */
    assert_int_equal(leader_time_wait_ns(&w.t, (uint64_t)(NOW_MS + HOUR_MS) + 1000),
                     3601 * NS_PER_S);
}

/* --- any order of everything --- */

/* Whatever the clocks do: leader time goes on between 99 % and 101 % of the monotonic clock, unless
 * it stands still or a step is accepted, and a step is pending exactly when wall time is far. */
static void no_order_of_events_makes_it_jump_or_go_back(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("leader_time", 1));
    struct world w;
    start(&w, NOW_MS - 5 + (int64_t)random_below(&r, 10));
    uint64_t last = 0;
    for (int i = 0; i < 200000; i++) {
        int64_t before_ns = w.t.time_ns;
        int64_t elapsed_ms = (int64_t)random_below(&r, 3000);
        bool was_standing = w.t.state == LEADER_TIME_STANDING;
        if (random_below(&r, 50) == 0) {
            int64_t reach = random_below(&r, 2) == 0 ? 15000 : 2 * DAY_MS;
            w.wall_ms += (int64_t)random_below(&r, (uint64_t)(2 * reach)) - reach;
        }
        pass(&w, elapsed_ms);
        int64_t ran_ns = w.t.time_ns - before_ns;
        int64_t elapsed_ns = elapsed_ms * (int64_t)NS_PER_MS;
        assert_true(ran_ns >= (was_standing ? 0 : elapsed_ns - elapsed_ns / 100));
        assert_true(ran_ns <= elapsed_ns + elapsed_ns / 100);
        if (w.t.state == LEADER_TIME_FOLLOWING) {
            int64_t away = w.wall_ms * (int64_t)NS_PER_MS - w.t.time_ns;
            assert_true(away >= -STEP_MS * (int64_t)NS_PER_MS);
            assert_true(away <= STEP_MS * (int64_t)NS_PER_MS);
        }
        uint64_t next = leader_time_next(&w.t);
        assert_true(next > last);
        if (random_below(&r, 3) == 0) {
            leader_time_note(&w.t, next);
            last = next;
        }
        if (random_below(&r, 500) == 0) (void)leader_time_accept(&w.t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_with_the_later_of_wall_time_and_the_last_record),
        cmocka_unit_test(no_two_batches_have_the_same_time),
        cmocka_unit_test(the_largest_time_is_not_passed),
        cmocka_unit_test(wall_times_before_1970_and_after_2255_are_cut),
        cmocka_unit_test(every_edge_of_the_table_is_walked),
        cmocka_unit_test(small_offsets_are_absorbed_at_one_percent),
        cmocka_unit_test(rare_readings_come_to_the_same_as_many),
        cmocka_unit_test(drift_is_followed),
        cmocka_unit_test(waking_up_from_suspend_is_no_step),
        cmocka_unit_test(waking_up_with_a_clock_that_stood_is_a_step),
        cmocka_unit_test(a_step_is_not_followed_until_it_is_accepted),
        cmocka_unit_test(an_accepted_step_back_stands_still_until_the_wall_has_come_up),
        cmocka_unit_test(standing_still_ends_between_two_readings),
        cmocka_unit_test(many_small_steps_become_one_that_is_pending),
        cmocka_unit_test(a_new_leader_is_judged_by_what_it_heard_last),
        cmocka_unit_test(a_wait_ends_when_leader_time_is_due),
        cmocka_unit_test(no_order_of_events_makes_it_jump_or_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
