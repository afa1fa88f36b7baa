/* Tests of base/random: a seed's sequence is fixed for ever, and the answers are fair. */
#include "support/tm_test.h"

#include "base/random.h"

/* Simulated worlds repeat only while this sequence stays. The values were computed from the
 * authors' description of xoshiro256** and SplitMix64 with whole numbers. */
static void sequence_of_a_seed_never_changes(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 42);
    assert_int_equal(r.s[0], 0xbdd732262feb6e95);
    assert_int_equal(random_next(&r), 0x15780b2e0c2ec716);
    assert_int_equal(random_next(&r), 0x6104d9866d113a7e);
    assert_int_equal(random_next(&r), 0xae17533239e499a1);
    random_init(&r, 0);
    assert_int_equal(random_next(&r), 0x99ec5f36cb75f2b4);
}

static void below_stays_below_and_reaches_everything(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("random", 1));
    assert_int_equal(random_below(&r, 0), 0);
    assert_int_equal(random_below(&r, 1), 0);
    unsigned counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t x = random_below(&r, 7);
        assert_true(x < 7);
        counts[x]++;
    }
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        assert_in_range(counts[i], 9500, 10500); /* five standard deviations */
    }
    uint64_t huge = ((uint64_t)1 << 63) + 1;
    for (int i = 0; i < 100; i++) {
        assert_true(random_below(&r, huge) < huge);
    }
}

static void unit_is_at_least_zero_and_below_one(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("random", 2));
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        double x = random_unit(&r);
        assert_true(x >= 0 && x < 1);
        sum += x;
    }
    assert_true(sum > 49000 && sum < 51000);
}

static void chance_follows_its_odds(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("random", 3));
    int hits = 0;
    for (int i = 0; i < 100000; i++) {
        assert_false(random_chance(&r, 0));
        assert_true(random_chance(&r, 1000000));
        hits += random_chance(&r, 250000);
    }
    assert_in_range(hits, 24000, 26000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_of_a_seed_never_changes),
        cmocka_unit_test(below_stays_below_and_reaches_everything),
        cmocka_unit_test(unit_is_at_least_zero_and_below_one),
        cmocka_unit_test(chance_follows_its_odds),
    };
    return cmocka_run_group_tests_name("base/random", tests, NULL, NULL);
}
