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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_gives_the_known_answers),
        cmocka_unit_test(controversial_gives_the_known_answers),
        cmocka_unit_test(best_gives_the_known_answers),
        cmocka_unit_test(trending_and_rising_give_the_known_answers),
        cmocka_unit_test(terms_add_up_to_the_score_for_any_numbers),
    };
    return cmocka_run_group_tests_name("core/query/score", tests, NULL, NULL);
}
