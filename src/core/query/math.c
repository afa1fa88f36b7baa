/* math: see math.h. Logarithms: x = 2^k * m with m next to 1, ln m = 2 atanh((m - 1) / (m + 1)) by
 * its series; m - 1 is exact, so that the result is good near x = 1 too. Powers of two come from
 * the table of core/state/decay. Square roots: an estimate from the bits of x, four steps of
 * Newton for 1 / sqrt(x), and one correction of the product.
 *
 * Nothing here may be contracted or reordered: the build forbids both for all sources. Known
 * answers and 113-bit comparison: tests/unit/core/query/test_math.c. */
#include "core/query/math.h"

#include <float.h>

#include "base/assert.h"
#include "core/state/decay.h"

enum { FRACTION_BITS = 52, EXPONENT_BIAS = 1023, EXP2_MAX = 4000 };

#define FRACTION_MASK ((UINT64_C(1) << FRACTION_BITS) - 1)
#define SQRT2         0x1.6a09e667f3bcdp+0
#define LOG2_E        0x1.71547652b82fep+0
#define LOG10_E       0x1.bcb7b1526e50ep-2
/* log10(2) in two parts: the first has 40 bits, so that its product with an exponent is exact. */
#define LOG10_2_HIGH  0x1.34413509f6000p-2
#define LOG10_2_LOW   0x1.9fef311f12b36p-42
#define SQRT_ESTIMATE UINT64_C(0x5fe6eb50c7b537a9)
#define ROUND_BOUND   0x1p51
#define ROUND_SHIFT   0x1.8p52

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* x = 2^exponent * m, m in [sqrt(1/2), sqrt(2)]. */
struct parts {
    double exponent;
    double ln_m;
};

static struct parts parts_of(double x)
{
    ASSERT(x >= DBL_MIN && x <= DBL_MAX);
    uint64_t bits = bits_of(x);
    int64_t exponent = (int64_t)(bits >> FRACTION_BITS) - EXPONENT_BIAS;
    double m = double_of((bits & FRACTION_MASK) | (uint64_t)EXPONENT_BIAS << FRACTION_BITS);
    if (m > SQRT2) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1.0) / (m + 1.0);
    double y = s * s; /* below 0.0295: the first term left out is below 1e-19 */
    double p = 1.0 / 23.0;
    p = p * y + 1.0 / 21.0;
    p = p * y + 1.0 / 19.0;
    p = p * y + 1.0 / 17.0;
    p = p * y + 1.0 / 15.0;
    p = p * y + 1.0 / 13.0;
    p = p * y + 1.0 / 11.0;
    p = p * y + 1.0 / 9.0;
    p = p * y + 1.0 / 7.0;
    p = p * y + 1.0 / 5.0;
    p = p * y + 1.0 / 3.0;
    p = p * y;
    double twice = s + s;
    return (struct parts){.exponent = (double)exponent, .ln_m = twice + twice * p};
}

double math_log2(double x)
{
    struct parts parts = parts_of(x);
    return parts.exponent + parts.ln_m * LOG2_E;
}

double math_log10(double x)
{
    struct parts parts = parts_of(x);
    double low = parts.exponent * LOG10_2_LOW + parts.ln_m * LOG10_E;
    return parts.exponent * LOG10_2_HIGH + low;
}

double math_exp2(double x)
{
    ASSERT(x >= -EXP2_MAX && x <= EXP2_MAX);
    int64_t whole = (int64_t)x;
    if ((double)whole > x) whole--; /* floor, not truncation */
    double fraction = x - (double)whole;
    if (fraction >= 1.0) return decay_scale(1.0, whole + 1); /* x was a little below a whole */
    return decay_scale(decay_pow2_fraction((uint64_t)(fraction * 0x1p64)), whole);
}

double math_power(double base, double exponent)
{
    ASSERT(base >= 1.0);
    ASSERT(exponent >= 0.0 && exponent <= 1.0);
    return math_exp2(exponent * math_log2(base));
}

double math_sqrt(double x)
{
    ASSERT(x >= 0.0 && x <= DBL_MAX);
    if (x < DBL_MIN) return 0.0;
    bool is_tiny = x < 0x1p-900; /* products below would leave the normal numbers */
    if (is_tiny) x *= 0x1p200;
    double half = 0.5 * x;
    double y = double_of(SQRT_ESTIMATE - (bits_of(x) >> 1));
    y = y * (1.5 - half * y * y);
    y = y * (1.5 - half * y * y);
    y = y * (1.5 - half * y * y);
    y = y * (1.5 - half * y * y);
    double root = x * y;
    root = root + 0.5 * y * (x - root * root);
    return is_tiny ? root * 0x1p-100 : root;
}

double math_round(double x)
{
    if (!(x < ROUND_BOUND && x > -ROUND_BOUND)) return x;
    return (x + ROUND_SHIFT) - ROUND_SHIFT;
}
