/* Tests of core/query/math: 113-bit arithmetic decides how exact a result is, and the sum of all
 * result bits of a fixed set of arguments is the same on every machine and build. */
#include "support/tm_test.h"

#include "base/hash.h"
#include "base/random.h"
#include "base/types.h"
#include "core/query/math.h"
#include "support/quad.h"

#define ERROR_MAX 2e-15

enum { ROUNDS = 20000 };

/* ln x for x > 0 in 113 bits: halve or double into [1/2, 1], then the series of atanh. */
static quad quad_ln(quad x)
{
    quad ln2 = quad_scale((quad)UINT64_C(0xb17217f7d1cf79ab), -64) +
               quad_scale((quad)UINT64_C(0xc9e3b39803f2f6af), -128);
    int64_t exponent = 0;
    for (; x > 1.5; exponent++) {
        x /= 2;
    }
    for (; x < 0.75; exponent--) {
        x *= 2;
    }
    quad s = (x - 1) / (x + 1);
    quad sum = 0;
    for (int n = 81; n > 0; n -= 2) {
        sum = (quad)1 / n + s * s * sum;
    }
    return 2 * s * sum + (quad)exponent * ln2;
}

/* 2^x for any x within +-16,000. */
static quad quad_exp2(quad x)
{
    int64_t whole = (int64_t)x;
    if ((quad)whole > x) whole--;
    return quad_scale(quad_pow2(x - (quad)whole), whole);
}

/* A positive double of any size that is used here, near 1 every other time. */
static double argument(struct random *r)
{
    double v = 1.0 + (double)random_below(r, UINT64_C(1) << 52) * 0x1p-52;
    uint64_t kind = random_below(r, 4);
    if (kind == 0) return v;
    if (kind == 1) return 1.0 + (v - 1.0) * 0x1p-30;
    if (kind == 2) return 0.5 * v;
    int64_t exponent = (int64_t)random_below(r, 400) - 200;
    for (; exponent > 0; exponent--) {
        v *= 2.0;
    }
    for (; exponent < 0; exponent++) {
        v *= 0.5;
    }
    return v;
}

static void logarithms_are_exact_to_2e15(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("logarithm", 1));
    quad ln2 = quad_ln(2);
    quad ln10 = quad_ln(10);
    for (int i = 0; i < ROUNDS; i++) {
        double x = argument(&r);
        quad exact = quad_ln((quad)x);
        assert_true(quad_relative_error(math_log2(x), exact / ln2) <= ERROR_MAX);
        assert_true(quad_relative_error(math_log10(x), exact / ln10) <= ERROR_MAX);
    }
}

static void logarithms_of_powers_are_whole(void **state)
{
    (void)state;
    double ten = 1.0;
    double two = 1.0;
    for (int i = 0; i <= 22; i++) {
        assert_same_double(math_log10(ten), (double)i);
        ten *= 10.0;
    }
    for (int i = 0; i <= 1000; i++) {
        assert_same_double(math_log2(two), (double)i);
        two *= 2.0;
    }
    assert_same_double(math_log2(0x1p-1022), -1022.0);
}

static void powers_of_two_are_exact_to_2e15(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("exp2", 1));
    for (int i = 0; i < ROUNDS; i++) {
        double x = (double)random_below(&r, UINT64_C(1) << 52) * 0x1p-42 - 512.0;
        assert_true(quad_relative_error(math_exp2(x), quad_exp2((quad)x)) <= ERROR_MAX);
    }
    for (int i = -1022; i <= 1023; i++) {
        double exact = 1.0;
        for (int k = 0; k < (i < 0 ? -i : i); k++) {
            exact *= i < 0 ? 0.5 : 2.0;
        }
        assert_same_double(math_exp2((double)i), exact);
    }
    assert_same_double(math_exp2(-0x1p-80), 1.0);
    assert_same_double(math_exp2(-4000.0), 0.0);
    assert_true(math_exp2(1024.0) > 1.7976931348623157e308);
}

static void powers_follow_the_size_of_their_base(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("power", 1));
    quad ln2 = quad_ln(2);
    for (int i = 0; i < ROUNDS; i++) {
        double exponent = (double)random_below(&r, UINT64_C(1) << 52) * 0x1p-52;
        double small = 1.0 + (double)random_below(&r, 1023);
        double large = (double)random_next(&r);
        quad exact = quad_exp2((quad)exponent * quad_ln((quad)small) / ln2);
        assert_true(quad_relative_error(math_power(small, exponent), exact) <= ERROR_MAX);
        if (large < 1.0) continue;
        exact = quad_exp2((quad)exponent * quad_ln((quad)large) / ln2);
        assert_true(quad_relative_error(math_power(large, exponent), exact) <= 5e-14);
    }
    assert_same_double(math_power(200.0, 0.0), 1.0);
    assert_same_double(math_power(1.0, 0.7), 1.0);
}

static void square_roots_are_exact_to_2e15(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("sqrt", 1));
    for (int i = 0; i < ROUNDS; i++) {
        double x = argument(&r);
        double root = math_sqrt(x);
        /* x = root^2 (1 + 2 error) */
        assert_true(quad_relative_error(x, (quad)root * (quad)root) <= 2 * ERROR_MAX);
    }
    for (uint32_t i = 0; i < 3000; i++) {
        assert_same_double(math_sqrt((double)i * (double)i), (double)i);
    }
    assert_same_double(math_sqrt(0x1p-1022), 0x1p-511);
    assert_same_double(math_sqrt(0x1p1022), 0x1p511);
    assert_same_double(math_sqrt(0.0), 0.0);
}

static void rounding_goes_to_the_nearest_whole_number(void **state)
{
    (void)state;
    static const double rows[][2] = {
        {0.0, 0.0},          {0.4, 0.0},       {0.5, 0.0},         {0.6, 1.0},
        {1.5, 2.0},          {2.5, 2.0},       {-0.6, -1.0},       {-1.5, -2.0},
        {1e15 + 0.25, 1e15}, {0x1p51, 0x1p51}, {-0x1p60, -0x1p60}, {1e300, 1e300},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_same_double(math_round(rows[i][0]), rows[i][1]);
    }
}

/* The same bits from every compiler, level of optimisation and processor. A change of a formula
 * changes scores between two versions: nodes of both would rank differently. */
static void bits_are_the_same_everywhere(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 7);
    uint64_t sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double x = argument(&r);
        double results[] = {math_log2(x), math_log10(x), math_exp2(x < 1000.0 ? x : 1.0),
                            math_sqrt(x), math_power(x < 1.0 ? 1.0 : x, 0.3)};
        for (size_t k = 0; k < COUNT_OF(results); k++) {
            uint64_t bits;
            memcpy(&bits, &results[k], sizeof(bits));
            sum = hash64_mix(sum ^ bits);
        }
    }
    if (sum != UINT64_C(0xeca35032dbe6e1af))
        fail_msg("sum of bits is 0x%llx", (unsigned long long)sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logarithms_are_exact_to_2e15),
        cmocka_unit_test(logarithms_of_powers_are_whole),
        cmocka_unit_test(powers_of_two_are_exact_to_2e15),
        cmocka_unit_test(powers_follow_the_size_of_their_base),
        cmocka_unit_test(square_roots_are_exact_to_2e15),
        cmocka_unit_test(rounding_goes_to_the_nearest_whole_number),
        cmocka_unit_test(bits_are_the_same_everywhere),
    };
    return cmocka_run_group_tests_name("core/query/math", tests, NULL, NULL);
}
