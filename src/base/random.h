/* random: xoshiro256** from a 64-bit seed (SplitMix64 fills the state). Deterministic; not for
 * secrets. One owner. */
#ifndef TIDEMARK_BASE_RANDOM_H
#define TIDEMARK_BASE_RANDOM_H

#include "base/types.h"

struct random {
    uint64_t s[4];
};
void random_init(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t bound); /* 0..bound-1 without bias; bound 0 -> 0 */
double random_unit(struct random *r);                    /* [0, 1), 53 bits */
bool random_chance(struct random *r, uint32_t per_million);

#endif
