/* math: the few functions that scores need and C has only in libm, bit for bit the same on every
 * machine and build: one IEEE operation at a time in a fixed order, no library, no table of the
 * platform. Relative error at most 2e-15; results are normal or zero.
 *
 * Arguments are ASSERTed to be finite and within the range that is said: callers make them from
 * counts and times, never from what a user sent. Pure.
 */
#ifndef TIDEMARK_CORE_QUERY_MATH_H
#define TIDEMARK_CORE_QUERY_MATH_H

/* x > 0, normal. Exact for powers of two (log2) and for powers of ten up to 10^22 (log10). */
double math_log2(double x);
double math_log10(double x);

/* 2^x for |x| <= 4,000; below 2^-1022: +0, too large: infinity. */
double math_exp2(double x);

/* base^exponent for base >= 1, exponent in [0, 1]. The error grows with the logarithm of the base:
 * at most 2e-15 for bases up to 2^10, 5e-14 up to 2^64. */
double math_power(double base, double exponent);

/* x >= 0. Newton's iteration, without a division. */
double math_sqrt(double x);

/* The nearest whole number, ties to even; x itself from 2^51 on. */
double math_round(double x);

#endif
