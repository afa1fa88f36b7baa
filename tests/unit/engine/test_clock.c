/* Goal: a wall clock that jumps by a day changes no window, no idempotency key and no score of a
 * database, on a node with a clock of its own; an operator sees the step and may accept it. */
#include "engine/clock.h"

#include "format/batch.h"
#include "support/fixture.h"

#define DAY_MS    INT64_C(86400000)
#define MINUTE_NS (60 * NS_PER_S)

static int setup(void **state)
{
    struct fixture *f = fixture_new("clock");
    open_node(f);
    *state = f;
    return 0;
}

static int64_t wall_ms(const struct fixture *f)
{
    return f->n.env->v->now_wall_ms(f->n.env);
}

static void jump(struct fixture *f, int64_t ms)
{
    steps_set_wall(f->n.env, wall_ms(f) + ms);
}

static void advance_minutes(struct fixture *f, uint32_t minutes)
{
    for (uint32_t i = 0; i < minutes; i++) {
        steps_advance(f->n.env, MINUTE_NS);
        steps_run(f->n.env);
    }
}

static const struct tide_result *execute(struct fixture *f)
{
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static struct tide_clock clock_of(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_clock(f->run), 0);
    const struct tide_result *r = execute(f);
    assert_int_equal(r->code, TIDE_OK);
    assert_int_equal(r->kind, TIDE_RESULT_CLOCK);
    return r->as.clock;
}

static enum tide_code accept_step(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_clock_accept(f->run), 0);
    return execute(f)->code;
}

static uint64_t count(struct fixture *f, const char *window)
{
    tide_run_reset(f->run);
    (void)tide_run_count_of(f->run, bytes_of("view"), bytes_of("a"), bytes_of(window));
    const struct tide_result *r = execute(f);
    assert_int_equal(r->code, TIDE_OK);
    return r->as.integer;
}

static bool is_known_key(struct fixture *f, const char *key)
{
    struct tide_signal s = {.type = bytes_of("view"), .item = bytes_of("a"), .key = bytes_of(key)};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_signal(f->run, &s, NULL), 0);
    const struct tide_result *r = execute(f);
    assert_int_equal(r->code, TIDE_OK);
    return r->is_duplicate;
}

static double score_now(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_score(f->run, bytes_of("view"), bytes_of("a"), 0), 0);
    return execute(f)->as.number;
}

/* What a step of a day does while it is pending: nothing. Minutes go on as minutes. */
static void assert_step_changes_nothing(struct fixture *f, int64_t by_ms)
{
    assert_false(is_known_key(f, "k"));
    double score = score_now(f);
    jump(f, by_ms);
    assert_int_equal(count(f, "1h"), 1);
    assert_same_double(score_now(f), score);
    advance_minutes(f, 5);
    assert_true(is_known_key(f, "k")); /* ten minutes are not over */
    assert_int_equal(count(f, "1h"), 1);
    assert_int_equal(count(f, "24h"), 1);
    struct tide_clock c = clock_of(f);
    assert_string_equal(c.state, "step pending");
    assert_true(c.is_step_pending);
    assert_int_equal(c.offset_ms, by_ms);
    assert_int_equal(c.wall_ms - c.leader_ms, by_ms);
    assert_int_equal(c.steps, 1);
    advance_minutes(f, 6);
    assert_false(is_known_key(f, "k")); /* now they are */
    assert_int_equal(count(f, "24h"), 2);
    advance_minutes(f, 50); /* the first one is more than an hour old, the second is not */
    assert_int_equal(count(f, "1h"), 1);
    advance_minutes(f, 15);
    assert_int_equal(count(f, "1h"), 0);
    assert_int_equal(count(f, "24h"), 2);
}

static void a_step_of_a_day_ahead_expires_nothing(void **state)
{
    assert_step_changes_nothing(*state, DAY_MS);
}

static void a_step_of_a_day_back_keeps_nothing_longer(void **state)
{
    assert_step_changes_nothing(*state, -DAY_MS);
}

/* Event times of clients whose clocks are right are neither clamped nor put ahead. */
static void event_times_are_clamped_by_leader_time(void **state)
{
    struct fixture *f = *state;
    int64_t true_ms = wall_ms(f);
    jump(f, DAY_MS);
    struct tide_signal s = {
        .type = bytes_of("view"), .item = bytes_of("a"), .at_ms = true_ms + DAY_MS};
    assert_int_equal(tide_run_signal(f->run, &s, NULL), 0);
    assert_int_equal(execute(f)->code, TIDE_OK);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_score(f->run, bytes_of("view"), bytes_of("a"), true_ms), 0);
    assert_true(execute(f)->as.number <= 1.0); /* a day ahead it would be 1.1 by now */
    assert_int_equal(count(f, "1h"), 1);
}

static void an_accepted_step_ahead_expires_what_is_due(void **state)
{
    struct fixture *f = *state;
    assert_false(is_known_key(f, "k"));
    jump(f, DAY_MS + 2 * DAY_MS / 24);
    assert_int_equal(count(f, "24h"), 1);
    uint64_t before = db_applied(f->n.db).seqno.v;
    assert_int_equal(accept_step(f), TIDE_OK);
    struct tide_clock c = clock_of(f);
    assert_string_equal(c.state, "following");
    assert_int_equal(c.offset_ms, 0);
    steps_advance(f->n.env, NS_PER_S);
    steps_run(f->n.env);
    assert_int_equal(db_applied(f->n.db).seqno.v, before + 1); /* one tick */
    assert_int_equal(count(f, "1h"), 0);
    assert_int_equal(count(f, "24h"), 0);
    assert_int_equal(count(f, "7d"), 1);
    assert_int_equal(accept_step(f), TIDE_INVALID);
}

/* Record times never decrease: after a step back was accepted only the counter advances. */
static void an_accepted_step_back_stands_still(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    jump(f, -DAY_MS);
    assert_int_equal(accept_step(f), TIDE_OK);
    uint64_t last = state_leader_time(f->n.db->state);
    uint64_t stands_ms = hlc_ms(last);
    for (int i = 0; i < 10; i++) {
        advance_minutes(f, 30);
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
        uint64_t now = state_leader_time(f->n.db->state);
        assert_true(now > last);
        assert_true(hlc_ms(now) <= stands_ms + 1000); /* the second that opening took, at most */
        last = now;
    }
    assert_string_equal(clock_of(f).state, "standing still");
    assert_int_equal(count(f, "1h"), 11);
    advance_minutes(f, 24 * 60);
    assert_string_equal(clock_of(f).state, "following");
}

/* A wall clock that is behind the last record at start: said in the report, in CLOCK, and no record
 * goes back. */
static void a_node_that_starts_behind_its_log_stands_still_and_says_so(void **state)
{
    struct fixture *f = *state;
    advance_minutes(f, 60);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    uint64_t last = state_leader_time(f->n.db->state);
    steps_node_close(&f->n);
    open_node(f); /* its clocks begin anew, an hour earlier */
    assert_non_null(strstr(f->n.db->report.notes, "leader time stands still"));
    assert_true(state_leader_time(f->n.db->state) > last); /* the epoch's start */
    struct tide_clock c = clock_of(f);
    assert_string_equal(c.state, "standing still");
    assert_true(c.offset_ms <= -3599000 && c.offset_ms >= -3601000);
    assert_int_equal(c.leader_ms, hlc_ms(last));
    assert_false(c.is_step_pending);
    advance_minutes(f, 61);
    assert_string_equal(clock_of(f).state, "following");
}

/* The step is one event, however often the clocks are asked. */
static void a_step_is_an_event_once(void **state)
{
    struct fixture *f = *state;
    jump(f, DAY_MS);
    for (int i = 0; i < 50; i++) {
        (void)clock_of(f);
    }
    const struct db_events *events = &f->n.db->events;
    const struct db_event *last = db_events_at(events, db_events_kept(events) - 1);
    assert_int_equal(events->by_kind[DB_EVENT_CLOCK], 1);
    assert_non_null(strstr(last->text, "CLOCK ACCEPT follows it (it is 86400000 ms ahead)"));
}

/* While a clock stands still a tick that is near is not asked for again and again. */
static void a_clock_that_stands_still_keeps_no_timer_busy(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    advance_minutes(f, 59);
    jump(f, -DAY_MS);
    assert_int_equal(accept_step(f), TIDE_OK);
    uint64_t before = db_applied(f->n.db).seqno.v;
    steps_advance(f->n.env, 23 * 60 * MINUTE_NS); /* hangs when it is */
    steps_run(f->n.env);
    assert_int_equal(db_applied(f->n.db).seqno.v, before);
    steps_advance(f->n.env, 2 * 60 * MINUTE_NS);
    steps_run(f->n.env);
    assert_true(db_applied(f->n.db).seqno.v > before);
    assert_int_equal(count(f, "1h"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)
        TEST(a_step_of_a_day_ahead_expires_nothing),
        TEST(a_step_of_a_day_back_keeps_nothing_longer),
        TEST(event_times_are_clamped_by_leader_time),
        TEST(an_accepted_step_ahead_expires_what_is_due),
        TEST(an_accepted_step_back_stands_still),
        TEST(a_node_that_starts_behind_its_log_stands_still_and_says_so),
        TEST(a_step_is_an_event_once),
        TEST(a_clock_that_stands_still_keeps_no_timer_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
