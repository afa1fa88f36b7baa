/* decay: forward-decayed contributions and readings from integer time arithmetic, one table and one
 * short polynomial. decay.h has the model.
 *
 * Bit-stable because every step is one of: an integer operation, one IEEE double operation in a
 * fixed order (the build forbids contraction and fast-math), or a change of the exponent field.
 * No libm, no rounding mode other than to nearest, no state.
 *
 * Accuracy: 2^f is within 1.3 ulp, a contribution adds one rounding for the weight, a reading one
 * more; scaling by powers of two is exact. Tests: tests/unit/core/state/test_decay.c. */
#include "core/state/decay.h"

#include <assert.h>

#include "base/assert.h"
#include "core/state/pow2.h"

/* Not ISO C, but in every compiler that builds this: the quotient of a fraction needs 128 bits. */
__extension__ typedef unsigned __int128 uint128;

enum {
    FRACTION_BITS = 52,    /* of a double */
    EXPONENT_MASK = 0x7ff, /* its exponent field; this value itself: infinity or NaN */
    TABLE_SHIFT = 64 - 7,  /* the top 7 of 64 bits choose the table's entry */
    SCALE_MAX = 1000000,
    SATURATING_SCALE = 4000, /* takes any finite double to zero or infinity */
    EPOCH_HEADROOM = 400,    /* q - E at a block's first event */
    EPOCH_REACH = 900,       /* q - E above this shifts the block */
    EPOCH_STEP = 512,
};
/* Times further away are taken for this one, so that no sum of quotients and epochs overflows. */
#define TIME_BOUND_MS (INT64_C(1) << 60)
#define LN2           0x1.62e42fefa39efp-1

static_assert(POW2_COUNT == 1 << (64 - TABLE_SHIFT), "one entry per value of the top bits");

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

double decay_pow2_fraction(uint64_t f64)
{
    double root = pow2_table[f64 >> TABLE_SHIFT];
    uint64_t rest = f64 & ((UINT64_C(1) << TABLE_SHIFT) - 1);
    /* Four bits dropped leave 53, which convert exactly. */
    double y = (double)(int64_t)(rest >> 4) * 0x1p-60 * LN2;
    /* e^y - 1; y < 0.0055, so that the first term left out is below 4e-17. */
    double p = 1.0 / 120.0;
    p = p * y + 1.0 / 24.0;
    p = p * y + 1.0 / 6.0;
    p = p * y + 0.5;
    p = p * y + 1.0;
    p = p * y;
    return root + root * p;
}

uint64_t decay_split(int64_t t_ms, uint64_t halflife_ms, int64_t *out_q)
{
    ASSERT(halflife_ms > 0);
    if (t_ms > TIME_BOUND_MS) t_ms = TIME_BOUND_MS;
    if (t_ms < -TIME_BOUND_MS) t_ms = -TIME_BOUND_MS;
    uint64_t magnitude = t_ms < 0 ? 0 - (uint64_t)t_ms : (uint64_t)t_ms;
    int64_t q = (int64_t)(magnitude / halflife_ms);
    uint64_t r = magnitude % halflife_ms;
    if (t_ms < 0) { /* floor, not truncation */
        q = r == 0 ? -q : -q - 1;
        r = r == 0 ? 0 : halflife_ms - r;
    }
    *out_q = q;
    return (uint64_t)(((uint128)r << 64) / halflife_ms);
}

double decay_scale(double v, int64_t k)
{
    ASSERT(k >= -SCALE_MAX && k <= SCALE_MAX);
    uint64_t bits = bits_of(v);
    int64_t exponent = (int64_t)(bits >> FRACTION_BITS & EXPONENT_MASK);
    if (exponent == EXPONENT_MASK) return v;
    if (exponent == 0) {
        if (bits << 1 == 0) return 0.0;
        bits = bits_of(v * 0x1p64); /* exact: makes a subnormal normal */
        exponent = (int64_t)(bits >> FRACTION_BITS & EXPONENT_MASK) - 64;
    }
    exponent += k;
    if (exponent <= 0) return 0.0;
    if (exponent > EXPONENT_MASK) exponent = EXPONENT_MASK;
    uint64_t sign = bits & UINT64_C(1) << 63;
    if (exponent == EXPONENT_MASK) return double_of(sign | (uint64_t)exponent << FRACTION_BITS);
    uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    return double_of(sign | (uint64_t)exponent << FRACTION_BITS | fraction);
}

double decay_rescale(double v, int64_t from, int64_t to)
{
    int64_t k = from - to;
    if (k > SATURATING_SCALE) k = SATURATING_SCALE;
    if (k < -SATURATING_SCALE) k = -SATURATING_SCALE;
    return decay_scale(v, k);
}

double decay_term(double weight, struct decay_time t, int64_t epoch)
{
    return decay_rescale(weight * decay_pow2_fraction(t.fraction), t.q, epoch);
}

double decay_contribution(double weight, int64_t t_ms, uint64_t halflife_ms, int64_t epoch)
{
    struct decay_time t;
    t.fraction = decay_split(t_ms, halflife_ms, &t.q);
    return decay_term(weight, t, epoch);
}

int64_t decay_first_epoch(int64_t q)
{
    ASSERT(q >= -DECAY_EPOCH_MAX && q <= DECAY_EPOCH_MAX);
    return q - EPOCH_HEADROOM;
}

int64_t decay_shift(int64_t q, int64_t epoch)
{
    ASSERT(q >= -DECAY_EPOCH_MAX && q <= DECAY_EPOCH_MAX);
    ASSERT(epoch >= -DECAY_EPOCH_MAX && epoch <= DECAY_EPOCH_MAX);
    int64_t over = q - epoch - EPOCH_REACH;
    if (over <= 0) return 0;
    return (over + EPOCH_STEP - 1) / EPOCH_STEP * EPOCH_STEP;
}

double decay_read(double sum, int64_t epoch, int64_t at_ms, uint64_t halflife_ms)
{
    int64_t q;
    uint64_t fraction = decay_split(at_ms, halflife_ms, &q);
    /* Divided by the very number that an event of this moment was multiplied by: one event of
     * weight 1, read at its own time, is 1 and not the double above or below it. */
    return decay_rescale(sum / decay_pow2_fraction(fraction), epoch, q);
}
