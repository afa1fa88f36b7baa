/* trend: closed forms over decayed sums and window counts: how fast events come, and whether faster
 * than they used to. Questions only: nothing here reaches the state. Same numbers in, same number
 * out: nothing of libm.
 *
 * Under a constant rate r a decayed sum has the mean r / lambda, lambda = ln 2 / half-life; so
 * lambda * S estimates r, as well as counting 2 r / lambda events would.
 */
#ifndef TIDEMARK_CORE_QUERY_TREND_H
#define TIDEMARK_CORE_QUERY_TREND_H

#include <stdint.h>

/* Weight per second: lambda * S. */
double trend_rate(double score, uint64_t halflife_ms);

struct decayed {
    double score; /* S of the same item at the same time */
    uint64_t halflife_ms;
};
/* By how many standard deviations the fast sum's rate exceeds what the slow sum lets expect. With
 * f and s for fast and slow, l for lambda:
 *   z = (lf Sf - ls Ss) / ((lf - ls) sqrt(max(ls Ss, r0) / (2 (lf + ls))))
 * r0 is one event per fast half-life, so that one event of an unknown item is no trend. 0 when the
 * half-lives are equal. */
double trend_of_sums(struct decayed fast, struct decayed slow);
/* The same from counts: mu = (c24h - c1h) / 23 an hour, z = (c1h - mu) / sqrt(mu + 1). */
double trend_of_counts(uint64_t last_hour, uint64_t last_day);

#endif
