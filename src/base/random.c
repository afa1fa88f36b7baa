/* random: xoshiro256** (Blackman and Vigna), seeded through SplitMix64 so that similar seeds give
 * unrelated streams. The sequence of a seed is part of what makes a simulated world repeat, so it
 * must never change (test_random pins it). Not for secrets. One owner. */
#include "base/random.h"

#include "base/hash.h"

static uint64_t rotate_left(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

void random_init(struct random *r, uint64_t seed)
{
    for (size_t i = 0; i < COUNT_OF(r->s); i++) {
        seed += 0x9e3779b97f4a7c15u;
        r->s[i] = hash64_mix(seed);
    }
}

uint64_t random_next(struct random *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(struct random *r, uint64_t bound)
{
    if (bound == 0) return 0;
    /* Values below 2^64 mod bound would make the small answers likelier; draw again. */
    uint64_t first_fair = (0 - bound) % bound;
    uint64_t x;
    do {
        x = random_next(r);
    } while (x < first_fair);
    return x % bound;
}

double random_unit(struct random *r)
{
    return (double)(random_next(r) >> 11) * 0x1p-53;
}

bool random_chance(struct random *r, uint32_t per_million)
{
    return random_below(r, 1000000) < per_million;
}
