/* decay: the arithmetic of forward-decayed sums, bit-stable on every machine and build.
 *
 * A signal of weight w at time t (ms since 1970) with half-life H contributes w * 2^(t/H). With
 * q = floor(t / H) and r = t - q*H: 2^(t/H) = 2^q * 2^(r/H); the fraction r/H is taken to 64 bits
 * by integer division and 2^f by a table of 128 correctly rounded powers and a short Taylor series,
 * in fixed evaluation order. A block of 4,096 sums shares an integer epoch E: stored values are in
 * units of 2^E, so nothing overflows over any span. E is set at the block's first event so that
 * q - E = 400; when q - E > 900: k = ceil((q - E - 900) / 512), block * 2^(-512k), E += 512k.
 * Any product below 2^-1022 in magnitude is +0. Accuracy: 1e-12 relative for items whose terms are
 * all at most 1,400 half-lives older than the newest event of their block, |w| >= 2^-10.
 */
#ifndef TIDEMARK_CORE_STATE_DECAY_H
#define TIDEMARK_CORE_STATE_DECAY_H

#include "base/types.h"

/* 2^(f / 2^64) in [1, 2]; about 1.3 ulp. */
double decay_pow2_fraction(uint64_t f64);
/* Split a time: *out_q = floor(t / H), returns the fraction of H in units of 2^-64. H > 0. Times
 * beyond +-2^60 ms are taken for that bound. */
uint64_t decay_split(int64_t t_ms, uint64_t halflife_ms, int64_t *out_q);
/* v * 2^k, exact; below 2^-1022 in magnitude: +0; beyond the largest double: infinity of v's sign.
 * ASSERTs k within +-1,000,000. */
double decay_scale(double v, int64_t k);

/* v in units of 2^from, in units of 2^to; as decay_scale for any distance. */
double decay_rescale(double v, int64_t from, int64_t to);

#define DECAY_EPOCH_UNSET INT64_MIN
#define DECAY_EPOCH_MAX   (INT64_C(1) << 61) /* every quotient and epoch is within +-this */

/* A time in half-lives, as decay_split gives it. */
struct decay_time {
    int64_t q;
    uint64_t fraction;
};
/* The contribution of weight at a split time in units of 2^E. */
double decay_term(double weight, struct decay_time t, int64_t epoch);
/* The contribution of weight at t in units of 2^E. */
double decay_contribution(double weight, int64_t t_ms, uint64_t halflife_ms, int64_t epoch);
/* The E a block takes at its first event; the shift (multiple of 512, >= 0) an event asks for. */
int64_t decay_first_epoch(int64_t q);
int64_t decay_shift(int64_t q, int64_t epoch);
/* S(at) = F * 2^(E - at/H). One event of weight 2^k, read at its own time, gives its weight
 * exactly; of any other weight, within an ulp. */
double decay_read(double sum, int64_t epoch, int64_t at_ms, uint64_t halflife_ms);

#endif
