/* hash: BLAKE3-256 for what must be proved, XXH3-64 for maps. Pure; thread-safe. */
#ifndef TIDEMARK_BASE_HASH_H
#define TIDEMARK_BASE_HASH_H

#include <string.h>

#include "base/types.h"

/* BLAKE3-256. Feed large pieces: a small call costs about 110 ns. */
struct hash256 hash256_of(struct slice data);
/* BLAKE3-256 over the concatenation of two pieces (e.g. a header and a tail). */
struct hash256 hash256_of_pair(struct slice a, struct slice b);
/* The first 16 bytes of BLAKE3-256: idempotency keys. */
static inline struct id128 hash128_of(struct slice data)
{
    struct hash256 whole = hash256_of(data);
    struct id128 id;
    memcpy(id.bytes, whole.bytes, sizeof(id.bytes));
    return id;
}

/* Incremental BLAKE3. Opaque room, so that base owns the only include of the library. */
struct hasher {
    _Alignas(64) uint8_t room[2048];
};
void hasher_init(struct hasher *h);
void hasher_update(struct hasher *h, struct slice data);
struct hash256 hasher_final(const struct hasher *h);

/* XXH3-64 with a seed. Never stored, never sent: maps only. */
uint64_t hash64_of(struct slice data, uint64_t seed);

/* SplitMix64 finaliser: spreads an integer. Deterministic, the same on every machine. */
static inline uint64_t hash64_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
