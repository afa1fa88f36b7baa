/* hash: the only file that includes BLAKE3 and xxhash. BLAKE3 values are stored and sent; XXH3
 * values never leave the process. Holds no state; safe from any thread. */
#include "base/hash.h"

#include <assert.h>
#include <blake3.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static_assert(sizeof(blake3_hasher) <= sizeof(((struct hasher *)NULL)->room), "room is too small");
static_assert(_Alignof(blake3_hasher) <= 64, "room is aligned to 64");
static_assert(BLAKE3_OUT_LEN == sizeof(struct hash256), "a hash256 is a whole BLAKE3 value");

static blake3_hasher *inner(struct hasher *h)
{
    return (blake3_hasher *)(void *)h->room;
}

void hasher_init(struct hasher *h)
{
    blake3_hasher_init(inner(h));
}

void hasher_update(struct hasher *h, struct slice data)
{
    if (data.size > 0) blake3_hasher_update(inner(h), data.data, data.size);
}

struct hash256 hasher_final(const struct hasher *h)
{
    struct hash256 out;
    blake3_hasher_finalize((const blake3_hasher *)(const void *)h->room, out.bytes,
                           sizeof(out.bytes));
    return out;
}

struct hash256 hash256_of(struct slice data)
{
    return hash256_of_pair(data, (struct slice){0});
}

struct hash256 hash256_of_pair(struct slice a, struct slice b)
{
    struct hasher h;
    hasher_init(&h);
    hasher_update(&h, a);
    hasher_update(&h, b);
    return hasher_final(&h);
}

uint64_t hash64_of(struct slice data, uint64_t seed)
{
    return XXH3_64bits_withSeed(data.data, data.size, seed);
}
