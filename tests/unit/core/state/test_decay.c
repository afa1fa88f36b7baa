/* Tests of core/state/decay against 113-bit arithmetic and published answers. */
#include "support/tm_test.h"

#include <float.h>
#include <math.h>

#include "base/random.h"
#include "core/state/decay.h"
#include "support/quad.h"

enum { HOUR_MS = 3600 * 1000 };

/* Every entry of the table is the double nearest to its power: half an ulp of [1, 2). */
static void table_holds_the_nearest_doubles(void **state)
{
    (void)state;
    for (uint64_t j = 0; j < 128; j++) {
        quad error = (quad)decay_pow2_fraction(j << 57) - quad_pow2((quad)j / 128);
        assert_true(error <= (quad)0x1p-53 && error >= -(quad)0x1p-53);
    }
}

static void powers_of_fractions_are_within_1_3_ulp(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("pow2", 1));
    double worst = 0.0;
    for (int i = 0; i < 200000; i++) {
        uint64_t f = i < 100 ? UINT64_MAX - (uint64_t)i : random_next(&r);
        quad exact = quad_pow2(quad_scale((quad)f, -64));
        double error = fabs((double)(((quad)decay_pow2_fraction(f) - exact) * (quad)0x1p52));
        if (error > worst) worst = error;
    }
    print_message("worst error %.3f ulp\n", worst);
    assert_true(worst < 1.3);
}

/* q = floor(t / H), and the fraction is the integer f with f * H <= r * 2^64 < (f + 1) * H. */
static void times_split_into_floor_and_fraction(void **state)
{
    (void)state;
    __extension__ typedef __int128 int128;
    struct random r;
    random_init(&r, tm_seed("split", 1));
    for (int i = 0; i < 100000; i++) {
        int64_t t = (int64_t)random_next(&r) >> (4 + random_below(&r, 59));
        uint64_t h = (random_next(&r) >> random_below(&r, 64)) | 1;
        int64_t q;
        uint64_t f = decay_split(t, h, &q);
        int128 rest = (int128)t - (int128)q * (int128)h;
        assert_true(rest >= 0 && rest < (int128)h);
        /* f * H <= rest * 2^64 < (f + 1) * H, with 2^64 divided out where 128 bits are short */
        quad ratio = (quad)rest / (quad)h;
        quad error = quad_scale((quad)f, -64) - ratio;
        assert_true(error <= (quad)0x1p-110 && error > -(quad)0x1p-63);
    }
    int64_t q;
    assert_int_equal(decay_split(-1, 1000, &q), UINT64_MAX / 1000 * 999 + 615);
    assert_int_equal(q, -1);
    assert_int_equal(decay_split(-1000, 1000, &q), 0);
    assert_int_equal(q, -1);
    assert_int_equal(decay_split(500, 1000, &q), UINT64_C(1) << 63);
    assert_int_equal(q, 0);
}

/* Extreme times and half-lives neither overflow nor trap. */
static void extreme_times_are_taken_for_the_bound(void **state)
{
    (void)state;
    int64_t q;
    (void)decay_split(INT64_MAX, 1, &q);
    assert_int_equal(q, INT64_C(1) << 60);
    (void)decay_split(INT64_MIN, 1, &q);
    assert_int_equal(q, -(INT64_C(1) << 60));
    (void)decay_split(INT64_MIN, UINT64_MAX, &q);
    assert_int_equal(q, -1);
    (void)decay_split(INT64_MAX, UINT64_MAX, &q);
    assert_int_equal(q, 0);
    int64_t low = decay_first_epoch(-(INT64_C(1) << 60));
    assert_true(decay_shift(INT64_C(1) << 60, low) > 0);
    assert_same_double(decay_contribution(1.0, INT64_MIN, 1, 0), 0.0);
    assert_true(isinf(decay_read(1.0, 0, INT64_MIN, 1)));
    assert_same_double(decay_read(1.0, 0, INT64_MAX, 1), 0.0);
}

static void scaling_is_exact_or_zero_or_infinite(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("scale", 1));
    for (int i = 0; i < 100000; i++) {
        double v = ldexp(random_unit(&r) - 0.5, (int)random_below(&r, 2000) - 1000);
        int k = (int)random_below(&r, 4400) - 2200;
        double wanted = ldexp(v, k);
        if (fabs(wanted) < 0x1p-1022) wanted = 0.0;
        assert_same_double(decay_scale(v, k), wanted);
    }
    assert_same_double(decay_scale(-0x1p-1000, -23), 0.0);
    assert_same_double(decay_scale(-0.0, 5), 0.0);
    assert_same_double(decay_scale(-1.0, 1024), -HUGE_VAL);
    assert_same_double(decay_scale(0x1p-1074, 1074), 1.0);
    assert_same_double(decay_scale(0x1p-1074, 0), 0.0);
    assert_same_double(decay_rescale(1.0, INT64_C(1) << 61, -(INT64_C(1) << 61)), HUGE_VAL);
    assert_same_double(decay_rescale(3.0, 7, 5), 12.0);
}

/* The range table: q - E = 400 at first; above 900 the block moves by whole steps of 512. */
static void epochs_follow_the_range_table(void **state)
{
    (void)state;
    assert_int_equal(decay_first_epoch(1000), 600);
    assert_int_equal(decay_first_epoch(-1000), -1400);
    assert_int_equal(decay_shift(1500, 600), 0);
    assert_int_equal(decay_shift(1501, 600), 512);
    assert_int_equal(decay_shift(1500 + 512, 600), 512);
    assert_int_equal(decay_shift(1501 + 512, 600), 1024);
    assert_int_equal(decay_shift(0, 600), 0);
}

/* The known answers of the model: two items, and seven events read an hour after the last. */
static void known_answers_of_the_model_hold(void **state)
{
    (void)state;
    assert_same_double(decay_contribution(3.0, 0, HOUR_MS, 0), 3.0);
    assert_same_double(decay_contribution(2.0, HOUR_MS / 2, HOUR_MS, 0), 2.8284271247461903);
    double sum = 0.0;
    quad exact = 0;
    for (int64_t i = 0; i <= 6; i++) {
        sum += decay_contribution(1.0, i * 600000, HOUR_MS, -400);
        exact += quad_decay(i * 600000, 2 * HOUR_MS, HOUR_MS);
    }
    assert_true(quad_relative_error(decay_read(sum, -400, 2 * HOUR_MS, HOUR_MS), exact) < 1e-15);
}

/* Exponential averages of other software, which count in 1/e instead of half-lives: value 10 at
 * time 0, 20 at 10, 5 at 5 with decay length 10 give 26.7114477102776 at time 10. The unit is
 * chosen so large that 10 ln 2 units are a whole number of milliseconds to 15 digits. */
static void published_exponential_sum_is_met(void **state)
{
    (void)state;
    int64_t unit = 100000000000000;
    uint64_t halflife = 693147180559945;
    double sum = decay_contribution(10.0, 0, halflife, 0) +
                 decay_contribution(20.0, 10 * unit, halflife, 0) +
                 decay_contribution(5.0, 5 * unit, halflife, 0);
    double read = decay_read(sum, 0, 10 * unit, halflife);
    assert_true(fabs(read - 26.7114477102776) < 1e-12);
    double ones = decay_contribution(1.0, 0, halflife, 0) +
                  decay_contribution(1.0, 10 * unit, halflife, 0) +
                  decay_contribution(1.0, 5 * unit, halflife, 0);
    double count = decay_read(ones, 0, 10 * unit, halflife);
    assert_true(fabs(count - 1.97441010088408) < 1e-12);
    assert_true(fabs(read / count - 13.528824481964) < 1e-12); /* their mean */
    /* 2 two units ago and 1 one unit ago, decay length 100: the halflife is 100 ln 2 units then. */
    unit /= 10;
    double late =
        decay_contribution(2.0, 0, halflife, 0) + decay_contribution(1.0, unit, halflife, 0);
    assert_true(fabs(decay_read(late, 0, 2 * unit, halflife) - 2.9504471803626786) < 1e-12);
}

/* Contribution and reading together, over all distances that the accuracy promise covers. */
static void one_event_reads_back_within_1e_15(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("read", 1));
    for (int i = 0; i < 20000; i++) {
        int64_t halflife = 1 + (int64_t)random_below(&r, 1000000000);
        int64_t t = (int64_t)random_below(&r, (uint64_t)halflife * 1000);
        int64_t at = (int64_t)random_below(&r, (uint64_t)halflife * 1000);
        int exponent = (int)random_below(&r, 60) - 10;
        double weight = ldexp(0.5 + random_unit(&r), exponent);
        int64_t epoch = t / halflife - 900 + (int64_t)random_below(&r, 1800);
        double f = decay_contribution(weight, t, (uint64_t)halflife, epoch);
        double read = decay_read(f, epoch, at, (uint64_t)halflife);
        quad exact = (quad)weight * quad_decay(t, at, halflife);
        if (exact < (quad)0x1p-1022 || exact > (quad)DBL_MAX) continue; /* no double holds it */
        assert_true(quad_relative_error(read, exact) < 1e-15);
    }
}

/* A user who adds 1 and asks at once sees 1, not the next double above it; other weights may be off
 * by the rounding of one product and one quotient. */
static void one_event_read_at_its_own_time_is_its_weight(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("own_time", 1));
    for (int i = 0; i < 20000; i++) {
        uint64_t halflife = 1 + random_below(&r, 1000000000);
        int64_t t = (int64_t)random_below(&r, halflife * 1000);
        int64_t epoch = t / (int64_t)halflife - 400;
        double power = ldexp(1.0, (int)random_below(&r, 60) - 10);
        double f = decay_contribution(power, t, halflife, epoch);
        assert_same_double(decay_read(f, epoch, t, halflife), power);
        double weight = power * (1.0 + random_unit(&r));
        double read =
            decay_read(decay_contribution(weight, t, halflife, epoch), epoch, t, halflife);
        assert_true(read >= nextafter(weight, 0.0) && read <= nextafter(weight, HUGE_VAL));
    }
}

/* Of two items the one with the larger sum is ahead at every later time. */
static void order_of_sums_is_the_order_of_scores(void **state)
{
    (void)state;
    double a = decay_contribution(3.0, 0, HOUR_MS, 0);
    double b = decay_contribution(2.0, HOUR_MS / 2, HOUR_MS, 0);
    for (int64_t at = HOUR_MS / 2; at < INT64_C(900) * HOUR_MS; at += 777777) {
        assert_true(decay_read(a, 0, at, HOUR_MS) >= decay_read(b, 0, at, HOUR_MS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_holds_the_nearest_doubles),
        cmocka_unit_test(powers_of_fractions_are_within_1_3_ulp),
        cmocka_unit_test(times_split_into_floor_and_fraction),
        cmocka_unit_test(extreme_times_are_taken_for_the_bound),
        cmocka_unit_test(scaling_is_exact_or_zero_or_infinite),
        cmocka_unit_test(epochs_follow_the_range_table),
        cmocka_unit_test(known_answers_of_the_model_hold),
        cmocka_unit_test(published_exponential_sum_is_met),
        cmocka_unit_test(one_event_reads_back_within_1e_15),
        cmocka_unit_test(one_event_read_at_its_own_time_is_its_weight),
        cmocka_unit_test(order_of_sums_is_the_order_of_scores),
    };
    return cmocka_run_group_tests_name("core/state/decay", tests, NULL, NULL);
}
