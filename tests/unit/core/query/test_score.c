/* Tests of core/query/score: known answers computed elsewhere with 30 digits, to 1e-12, and that
 * terms add up to the score bit for bit. */
#include "support/tm_test.h"

#include <math.h>

#include "base/random.h"
#include "base/types.h"
#include "core/query/score.h"

static void assert_near(double score, double known)
{
    double error = fabs(score - known);
    if (known != 0.0) error /= fabs(known);
    if (!(error <= 1e-12)) fail_msg("%.17g is not %.17g", score, known);
}

static double hot(uint64_t positive, uint64_t negative, int64_t created_ms)
{
    double terms[SCORE_TERMS_MAX];
    double score = score_hot(score_votes(positive, negative), created_ms, terms);
    assert_same_double(terms[0] + terms[1] + terms[2], score);
    return score;
}

static double best(uint64_t positive, uint64_t negative, double z)
{
    double terms[SCORE_TERMS_MAX];
    double score = score_best(positive, negative, z, terms);
    assert_same_double(terms[0] + terms[1] + terms[2], score);
    return score;
}

static void hot_gives_the_known_answers(void **state)
{
    (void)state;
    assert_near(hot(1000, 1, 1700000000000), 12580.1550544);
    assert_near(hot(5, 5, 1700000000000), 12577.1554889);
    assert_near(hot(0, 10, 1134028003000), -1.0);
    assert_near(hot(0, 1, 1134028003000), 0.0);
    assert_near(hot(10, 0, 1134028003000), 1.0);
    assert_near(hot(0, 0, 1134028003000 - 45000000), -1.0);
}

static void controversial_gives_the_known_answers(void **state)
{
    (void)state;
    assert_near(score_controversial(100, 100), 200.0);
    assert_near(score_controversial(60, 40), 21.5443469003188);
    assert_near(score_controversial(40, 60), 21.5443469003188);
    assert_near(score_controversial(1000, 1), 1.00693267528085);
    assert_near(score_controversial(0, 7), 0.0);
    assert_near(score_controversial(7, 0), 0.0);
}

static void best_gives_the_known_answers(void **state)
{
    (void)state;
    assert_near(best(1, 0, 1.96), 0.206543291473893);
    assert_near(best(9, 1, 1.96), 0.595843614502428);
    assert_near(best(90, 10, 1.96), 0.825632695632335);
    assert_near(best(900, 100, 1.96), 0.87984763759412);
    assert_near(best(1, 0, SCORE_BEST_Z), 0.378447503225206);
    assert_near(best(9, 1, SCORE_BEST_Z), 0.717555698609624);
    assert_near(best(0, 0, SCORE_BEST_Z), 0.0);
    assert_near(best(0, 5, SCORE_BEST_Z) + 1.0, 1.0); /* nothing positive: 0 but for rounding */
}

static void trending_and_rising_give_the_known_answers(void **state)
{
    (void)state;
    double terms[SCORE_TERMS_MAX];
    assert_near(score_trending(10, 10, terms), 10.0);
    assert_near(score_trending(9, 78, terms), 3.0); /* usual 3: (9 - 3) / 2 */
    assert_same_double(terms[0] + terms[1], score_trending(9, 78, terms));
    assert_near(terms[0], 4.5);
    assert_near(terms[1], -1.5);
    assert_near(score_trending(3, 187, terms), -1.6666666666666667); /* usual 8 */
    assert_near(score_rising(9, 78, 0, terms), 3.0);
    assert_near(score_rising(9, 78, -5, terms), 3.0);
    assert_near(score_rising(9, 78, 6 * 3600000, terms), 1.5);
    assert_near(score_rising(9, 78, 3 * 3600000, terms), 2.1213203435596424);
    assert_same_double(terms[0] + terms[1], score_rising(9, 78, 3 * 3600000, terms));
}

static void terms_add_up_to_the_score_for_any_numbers(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("terms", 1));
    for (int i = 0; i < 100000; i++) {
        uint64_t positive = random_next(&r) >> random_below(&r, 64);
        uint64_t negative = random_next(&r) >> random_below(&r, 64);
        int64_t created_ms = (int64_t)(random_next(&r) >> random_below(&r, 64));
        if (i % 2 == 0) created_ms = 1134028003000 + (created_ms & 0xffff) - 0x8000;
        if (i % 5 == 0) created_ms = -created_ms;
        assert_true(isfinite(hot(positive, negative, created_ms)));
        double share = best(positive, negative, SCORE_BEST_Z);
        assert_true(share > -1e-9 && share <= 1.0);
        assert_true(isfinite(score_controversial(positive, negative)));
    }
}

/* What lets a scan leave a score uncomputed never leaves out one that reaches the bar. */
static void bounds_leave_nothing_out_that_reaches_the_bar(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("score_bounds", 3));
    double terms[SCORE_TERMS_MAX];
    uint32_t below = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t reach = UINT64_C(1) << random_below(&r, 40);
        uint64_t first = random_below(&r, reach);
        uint64_t second = random_below(&r, reach);
        double by = 1.0 + ((double)random_below(&r, 2001) - 1000.0) * 1e-6; /* near the score */
        double score = score_trending(first, first + second, terms);
        bool is_below = score_trending_is_below(first, first + second, score * by);
        if (is_below) assert_true(score < score * by);
        below += is_below;
        score = score_best(first, second, SCORE_BEST_Z, terms);
        is_below = score_best_is_below(first, second, SCORE_BEST_Z, score * by);
        if (is_below) assert_true(score < score * by);
        score = score_controversial(first, second);
        is_below = score_controversial_is_below(first, second, score * by);
        if (is_below) assert_true(score < score * by);
        int64_t created_ms = (int64_t)random_below(&r, 3000000000000) - 1000000000000;
        score = score_hot(score_votes(first, second), created_ms, terms);
        assert_true(score <= score_hot_bound(score_votes(first, second), created_ms));
    }
    assert_true(below > 1000);
    assert_false(score_trending_is_below(0, 1000, 0.0)); /* such a bar leaves nothing out */
    assert_true(score_trending_is_below(0, 1000, 0.1));
}

/* Older than a day is as old as a day, and of the future is new. */
static void rising_ages_end_at_both_ends(void **state)
{
    (void)state;
    double terms[SCORE_TERMS_MAX];
    double oldest = score_rising(100, 200, SCORE_RISING_AGE_MAX_MS, terms);
    double newest = score_rising(100, 200, 0, terms);
    assert_true(oldest > 0.0 && oldest < newest);
    assert_same_double(score_rising(100, 200, SCORE_RISING_AGE_MAX_MS + 1, terms), oldest);
    assert_same_double(score_rising(100, 200, -1, terms), newest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_gives_the_known_answers),
        cmocka_unit_test(controversial_gives_the_known_answers),
        cmocka_unit_test(best_gives_the_known_answers),
        cmocka_unit_test(trending_and_rising_give_the_known_answers),
        cmocka_unit_test(terms_add_up_to_the_score_for_any_numbers),
        cmocka_unit_test(bounds_leave_nothing_out_that_reaches_the_bar),
        cmocka_unit_test(rising_ages_end_at_both_ends),
    };
    return cmocka_run_group_tests_name("core/query/score", tests, NULL, NULL);
}
