/* quad: 113-bit arithmetic for tests that ask how exact a double is. Powers of two come from a
 * Taylor series in 113 bits, so no library decides what is right. Error: a few units of 2^-112.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_QUAD_H
#define TIDEMARK_TESTS_SUPPORT_QUAD_H

#include <stdint.h>

#ifdef __SIZEOF_FLOAT128__
__extension__ typedef __float128 quad;
#else
typedef long double quad; /* 113 bits where there is no __float128 (AArch64) */
#endif

/* v * 2^k, exact within the range of 15-bit exponents. */
static inline quad quad_scale(quad v, int64_t k)
{
    for (; k >= 64; k -= 64) {
        v *= (quad)0x1p64;
    }
    for (; k <= -64; k += 64) {
        v *= (quad)0x1p-64;
    }
    return k >= 0 ? v * (quad)(UINT64_C(1) << k) : v / (quad)(UINT64_C(1) << -k);
}

/* 2^x for x in [0, 1]. */
static inline quad quad_pow2(quad x)
{
    /* ln 2 to 128 bits */
    quad ln2 = quad_scale((quad)UINT64_C(0xb17217f7d1cf79ab), -64) +
               quad_scale((quad)UINT64_C(0xc9e3b39803f2f6af), -128);
    quad y = x * ln2;
    quad sum = 1;
    for (int n = 40; n > 0; n--) {
        sum = 1 + y / n * sum;
    }
    return sum;
}

/* 2^((t - at) / halflife). */
static inline quad quad_decay(int64_t t, int64_t at, int64_t halflife)
{
    int64_t distance = t - at;
    int64_t q = distance / halflife;
    int64_t r = distance % halflife;
    if (r < 0) {
        q--;
        r += halflife;
    }
    return quad_scale(quad_pow2((quad)r / (quad)halflife), q);
}

/* |a - exact| / |exact|. */
static inline double quad_relative_error(double a, quad exact)
{
    quad difference = (quad)a - exact;
    if (difference < 0) difference = -difference;
    if (exact == 0) return difference == 0 ? 0.0 : 1.0;
    return (double)(difference / (exact < 0 ? -exact : exact));
}

#endif
