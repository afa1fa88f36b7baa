/* ticker and the reads that depend on it: windows go on when nobody writes, and an idle database
 * writes nothing. A node that is run in steps, with a clock of its own. */
#include "engine/ticker.h"

#include <math.h>

#include "support/node.h"
#include "support/steps_env.h"
#include "support/tm_test.h"

#define NOW_MS    INT64_C(1700000000000)
#define MINUTE_NS (60 * NS_PER_S)

struct fixture {
    char *dir;
    struct tide_options options;
    struct node n;
    tide_run *run;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("ticker");
    f->options = node_options(f->dir);
    struct err e = {.code = OK};
    if (steps_node_open(&f->n, &f->options, &e) != OK) fail_msg("open: %s", e.text);
    steps_set_wall(f->n.env, NOW_MS);
    f->run = tide_run_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tide_run_free(f->run);
    steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

static const struct tide_result *count_of(struct fixture *f, const char *type, const char *window)
{
    tide_run_reset(f->run);
    (void)tide_run_count_of(f->run, bytes_of(type), bytes_of("a"), bytes_of(window));
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static uint64_t count(struct fixture *f, const char *window)
{
    const struct tide_result *r = count_of(f, "view", window);
    assert_int_equal(r->code, TIDE_OK);
    return r->as.integer;
}

static uint64_t seqno_now(const struct fixture *f)
{
    return db_applied(f->n.db).seqno.v;
}

/* Minutes, one at a time, as timers would see them. */
static void advance_minutes(struct fixture *f, uint32_t minutes)
{
    for (uint32_t i = 0; i < minutes; i++) {
        steps_advance(f->n.env, MINUTE_NS);
        steps_run(f->n.env);
    }
}

static void idle_empty_database_writes_nothing(void **state)
{
    struct fixture *f = *state;
    steps_advance(f->n.env, 10 * NS_PER_S); /* a spare segment is made ready */
    steps_run(f->n.env);
    uint64_t before = seqno_now(f);
    const struct steps_fault none = {.writes_only = true};
    steps_fail(f->n.env, &none); /* counts from here on */
    advance_minutes(f, 3000);
    assert_int_equal(seqno_now(f), before);
    assert_int_equal(steps_calls(f->n.env), 0); /* of any file: mark, identity, checkpoint */
}

/* One event costs three ticks in its life: it leaves the hour, the day and the week. */
static void an_event_leaves_every_window_without_a_write(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    uint64_t before = seqno_now(f);
    assert_int_equal(count(f, "1h"), 1);
    advance_minutes(f, 58);
    assert_int_equal(count(f, "1h"), 1);
    assert_int_equal(seqno_now(f), before);
    advance_minutes(f, 3);
    assert_int_equal(count(f, "1h"), 0);
    assert_int_equal(count(f, "24h"), 1);
    assert_int_equal(seqno_now(f), before + 1);
    advance_minutes(f, 25 * 60);
    assert_int_equal(count(f, "24h"), 0);
    assert_int_equal(count(f, "7d"), 1);
    assert_int_equal(seqno_now(f), before + 2);
    advance_minutes(f, 8 * 24 * 60);
    assert_int_equal(count(f, "7d"), 0);
    assert_int_equal(count(f, "all"), 1);
    assert_int_equal(seqno_now(f), before + 3);
}

/* Events of an hour leave minute by minute: at most one tick a minute, and the batches say that no
 * client caused them. */
static void ticks_come_at_most_once_a_minute(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
        advance_minutes(f, 1);
    }
    uint64_t before = seqno_now(f);
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t at = seqno_now(f);
        for (uint32_t second = 0; second < 60; second++) {
            steps_advance(f->n.env, NS_PER_S);
            steps_run(f->n.env);
        }
        assert_true(seqno_now(f) <= at + 1);
    }
    assert_int_equal(count(f, "1h"), 0);
    assert_true(seqno_now(f) > before);
    assert_true(seqno_now(f) <= before + 31);
}

static void windows_that_are_not_declared_are_named(void **state)
{
    struct fixture *f = *state;
    const struct tide_result *r = count_of(f, "view", "30d");
    assert_int_equal(r->code, TIDE_SCHEMA);
    assert_non_null(strstr(r->message, "30d"));
    r = count_of(f, "view", "2h");
    assert_int_equal(r->code, TIDE_INVALID);
    assert_non_null(strstr(r->message, "2h"));
    r = count_of(f, "nope", "1h");
    assert_int_equal(r->code, TIDE_SCHEMA);
}

static double number(struct fixture *f)
{
    steps_node_execute(&f->n, f->run);
    const struct tide_result *r = tide_run_result(f->run, 0);
    assert_int_equal(r->code, TIDE_OK);
    assert_int_equal(r->kind, TIDE_RESULT_DOUBLE);
    return r->as.number;
}

/* Four events now: the rate is lambda * 4, the trend of a type with one half-life 4 / sqrt(1). */
static void rate_and_trend_answer_from_the_state(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    }
    tide_run_reset(f->run);
    (void)tide_run_rate(f->run, bytes_of("view"), bytes_of("a"), NOW_MS);
    assert_true(fabs(number(f) / (4 * 0.69314718055994530942 / 604800.0) - 1) < 1e-6);
    tide_run_reset(f->run);
    (void)tide_run_trend(f->run, bytes_of("view"), bytes_of("a"), 0);
    assert_true(number(f) == 4.0);
    tide_run_reset(f->run);
    (void)tide_run_trend(f->run, bytes_of("view"), bytes_of("unknown"), 0);
    assert_true(number(f) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(idle_empty_database_writes_nothing),
        TEST(an_event_leaves_every_window_without_a_write),
        TEST(ticks_come_at_most_once_a_minute),
        TEST(windows_that_are_not_declared_are_named),
        TEST(rate_and_trend_answer_from_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
