/* quick_hash: stands in for src/base/hash.c in the simulator. BLAKE3 took a quarter of the time of
 * a history, and nobody in the world looks for collisions: XXH3 with 128 bits tells damage and
 * divergence as well. Sanitizer builds and every other test use the real one. */
#include "base/hash.h"

#include <assert.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static_assert(sizeof(XXH3_state_t) <= sizeof(((struct hasher *)NULL)->room), "room is too small");

static XXH3_state_t *inner(struct hasher *h)
{
    return (XXH3_state_t *)(void *)h->room;
}

/* The second half follows from the first: 32 bytes are what the formats have room for. */
static struct hash256 widen(XXH128_hash_t hash)
{
    const uint64_t words[] = {hash.low64, hash.high64, hash64_mix(hash.low64 + hash.high64),
                              hash64_mix(hash.low64 ^ ~hash.high64)};
    struct hash256 out;
    for (size_t i = 0; i < sizeof(out.bytes); i++) {
        out.bytes[i] = (uint8_t)(words[i / 8] >> (i % 8 * 8));
    }
    return out;
}

void hasher_init(struct hasher *h)
{
    XXH3_INITSTATE(inner(h));
    (void)XXH3_128bits_reset(inner(h));
}

void hasher_update(struct hasher *h, struct slice data)
{
    if (data.size > 0) (void)XXH3_128bits_update(inner(h), data.data, data.size);
}

struct hash256 hasher_final(const struct hasher *h)
{
    return widen(XXH3_128bits_digest((const XXH3_state_t *)(const void *)h->room));
}

struct hash256 hash256_of(struct slice data)
{
    return widen(XXH3_128bits(data.data, data.size));
}

struct hash256 hash256_of_pair(struct slice a, struct slice b)
{
    struct hasher h;
    if (b.size == 0) return hash256_of(a);
    hasher_init(&h);
    hasher_update(&h, a);
    hasher_update(&h, b);
    return hasher_final(&h);
}

uint64_t hash64_of(struct slice data, uint64_t seed)
{
    return XXH3_64bits_withSeed(data.data, data.size, seed);
}
