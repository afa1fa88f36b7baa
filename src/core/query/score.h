/* score: what an item is worth, from numbers alone: counts of positive and negative events and the
 * moment of its creation. One function per formula; docs/decisions/ and the README name their
 * sources. Every score is the sum of its terms, added in their order: terms[0] + terms[1] + ...
 * gives the score bit for bit. Pure; deterministic (core/query/math).
 *
 * Never NaN, never -0; |score| stays far inside of the doubles for every possible argument.
 */
#ifndef TIDEMARK_CORE_QUERY_SCORE_H
#define TIDEMARK_CORE_QUERY_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#define SCORE_TERMS_MAX 3

#define SCORE_HOT_START_MS  1134028003000.0
#define SCORE_HOT_DECADE_MS 45000000.0 /* that much newer is worth ten times the votes */

/* Sign of p - n times log10 of its size, at least 1: what `hot` makes of votes. */
double score_votes(uint64_t positive, uint64_t negative);

/* reddit's hot: votes + seconds since 2005-12-08 07:46:43 UTC / 45,000, rounded to 7 decimals.
 * Terms: votes, age, what rounding added. */
double score_hot(double votes, int64_t created_ms, double terms[SCORE_TERMS_MAX]);

/* (p + n) ^ (smaller / larger); 0 when one side is missing. One term. */
double score_controversial(uint64_t positive, uint64_t negative);

#define SCORE_BEST_Z 1.281551565545 /* 80 % of a normal distribution lie within */
/* Lower bound of Wilson's interval for the share of positive events; 0 without events. z: width of
 * the interval in standard deviations. Terms: share, prior, doubt (negative). */
double score_best(uint64_t positive, uint64_t negative, double z, double terms[SCORE_TERMS_MAX]);

/* Trending: by how many standard deviations the last hour differs from the usual hour of the 23
 * before it: (hour - usual) / sqrt(usual + 1), usual = (day - hour) / 23; hour <= day. Fewer than
 * SCORE_TREND_EVENTS in the hour are no trend: the caller leaves such items out. Two terms: pace,
 * usual (negative). */
#define SCORE_TREND_EVENTS 3u
double score_trending(uint64_t hour, uint64_t day, double terms[SCORE_TERMS_MAX]);

/* Rising: trending * 2^(-age / 6 h) of items younger than a day; an age below 0 is 0. The same two
 * terms. */
#define SCORE_RISING_AGE_MAX_MS (INT64_C(24) * 3600 * 1000)
double score_rising(uint64_t hour, uint64_t day, int64_t age_ms, double terms[SCORE_TERMS_MAX]);

/* Cheap numbers that a score never exceeds, so that a scan computes few scores in full. Counts
 * below 2^62, which signed conversion, the fast one, can take. */
static inline double score_hot_bound(double votes, int64_t created_ms)
{
    /* A product in the place of the quotient: what it is off by, the last term makes up for. */
    double age = ((double)created_ms - SCORE_HOT_START_MS) * (1.0 / SCORE_HOT_DECADE_MS);
    double sum = votes + age;
    return sum + 1e-7 + (sum < 0.0 ? -sum : sum) * 1e-12; /* rounding adds at most half of 1e-7 */
}
/* Is the score certainly below the bar? x^r <= 1 + r (x - 1) for r in [0, 1] (Bernoulli). */
static inline bool score_controversial_is_below(uint64_t positive, uint64_t negative, double bar)
{
    uint64_t least = positive < negative ? positive : negative;
    uint64_t most = positive < negative ? negative : positive;
    double more = (double)(int64_t)(positive + negative) - 1.0;
    return (double)(int64_t)least * more <
           (bar - 1.0 - 1e-9) * (double)(int64_t)most * (1.0 - 1e-9);
}
/* Is a trending score, or the rising one made of it, certainly below the bar? Asked without the
 * root: (hour - usual)^2 < bar^2 (usual + 1). */
static inline bool score_trending_is_below(uint64_t hour, uint64_t day, double bar)
{
    double usual = (double)(int64_t)(day - hour) * (1.0 / 23.0);
    double more = (double)(int64_t)hour - usual;
    if (bar <= 0.0) return false; /* rare: a full page of items that are not above the usual */
    return more < 0.0 || more * more < bar * bar * (usual + 1.0) * (1.0 - 1e-9);
}
/* Is the score certainly below the bar (> 0)? It is at most p / (N + z^2). */
static inline bool score_best_is_below(uint64_t positive, uint64_t negative, double z, double bar)
{
    double events = (double)(int64_t)(positive + negative);
    return (double)(int64_t)positive < bar * (events + z * z) * (1.0 - 1e-12);
}

#endif
