/* Tests of core/query/trend: known answers, worked out by hand from the formulas. */
#include "support/tm_test.h"

#include <math.h>

#include "core/query/trend.h"

#define HOUR_MS UINT64_C(3600000)

static void near(double value, double expected)
{
    if (fabs(value - expected) > 1e-12 * (1.0 + fabs(expected))) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

/* lambda = ln 2 / 7 d = 1.1460765551586...e-6 per second. */
static void rate_is_lambda_times_the_sum(void **state)
{
    (void)state;
    near(trend_rate(100.0, 168 * HOUR_MS), 100.0 * 0.69314718055994530942 / 604800.0);
    near(trend_rate(1.0, 1000), 0.69314718055994530942);
    assert_true(trend_rate(0.0, 1000) == 0.0);
}

/* Under a constant rate both sums stand at r / lambda: nothing trends. Three times as many events
 * in the fast half-life do. */
static void constant_rate_is_no_trend(void **state)
{
    (void)state;
    double ln2 = 0.69314718055994530942;
    double rate = 50.0 / 3600.0;
    struct decayed fast = {.score = rate * 3600.0 / ln2, .halflife_ms = HOUR_MS};
    struct decayed slow = {.score = rate * 86400.0 / ln2, .halflife_ms = 24 * HOUR_MS};
    assert_true(fabs(trend_of_sums(fast, slow)) < 1e-9);
    fast.score *= 3.0;
    double lf = ln2 / 3600.0;
    double ls = ln2 / 86400.0;
    near(trend_of_sums(fast, slow), 2.0 * rate / ((lf - ls) * sqrt(rate / (2.0 * (lf + ls)))));
    assert_true(trend_of_sums(fast, fast) == 0.0);
}

/* Answers worked out with 40 digits. */
static void sums_give_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        struct decayed fast;
        struct decayed slow;
        double known;
    } rows[] = {
        {{1.0, HOUR_MS}, {1.0, 24 * HOUR_MS}, 1.201689072167402514},
        {{20.0, HOUR_MS}, {100.0, 24 * HOUR_MS}, 11.68263377612556779},
        {{3.0, HOUR_MS}, {400.0, 24 * HOUR_MS}, -5.041978787591034522},
        {{7.0, 6 * HOUR_MS}, {9.0, 168 * HOUR_MS}, 8.298995976054240834},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        near(trend_of_sums(rows[i].fast, rows[i].slow), rows[i].known);
    }
}

/* One event of an unknown item: the floor rate, one event per fast half-life, keeps it small. */
static void one_event_is_no_trend(void **state)
{
    (void)state;
    struct decayed fast = {.score = 1.0, .halflife_ms = HOUR_MS};
    struct decayed slow = {.score = 1.0, .halflife_ms = 24 * HOUR_MS};
    double z = trend_of_sums(fast, slow);
    assert_true(z > 0.5 && z < 1.5);
}

static void counts_are_compared_with_the_23_hours_before(void **state)
{
    (void)state;
    near(trend_of_counts(30, 53), 29.0 / sqrt(2.0)); /* mu = 1 */
    near(trend_of_counts(12, 62), 5.515477167566194748);
    near(trend_of_counts(1, 24), 0.0);
    near(trend_of_counts(0, 23), -1.0 / sqrt(2.0));
    near(trend_of_counts(4, 4), 4.0);
    near(trend_of_counts(0, 0), 0.0);
    near(trend_of_counts(5, 3), 5.0); /* the last minutes of an hour lie in both */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_is_lambda_times_the_sum),
        cmocka_unit_test(constant_rate_is_no_trend),
        cmocka_unit_test(sums_give_the_known_answers),
        cmocka_unit_test(one_event_is_no_trend),
        cmocka_unit_test(counts_are_compared_with_the_23_hours_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
