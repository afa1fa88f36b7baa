/* types: the small value types that every layer shares: slices, sequence numbers, positions.
 * No function here allocates, fails or keeps state. Names follow the glossary
 * (docs/ARCHITECTURE.md).
 */
#ifndef TIDEMARK_BASE_TYPES_H
#define TIDEMARK_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, args_index) \
    __attribute__((format(printf, format_index, args_index)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define KIB       ((uint64_t)1024)
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define NS_PER_MS ((uint64_t)1000000)
#define NS_PER_S  ((uint64_t)1000000000)

/* Borrowed bytes: never owned, never freed through this type. */
struct slice {
    const uint8_t *data;
    size_t size;
};

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){.data = data, .size = size};
}
static inline struct slice slice_of_text(const char *text)
{
    return slice_of(text, strlen(text));
}
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Number of a record in its stream: 1, 2, 3 ...; 0 = nothing yet. A struct, so that it never
 * passes as a count or an offset. */
typedef struct seqno {
    uint64_t v;
} seqno;

#define SEQNO_NONE ((seqno){0})

static inline seqno seqno_of(uint64_t v)
{
    return (seqno){v};
}
static inline seqno seqno_add(seqno s, uint64_t n)
{
    return (seqno){s.v + n};
}
static inline seqno seqno_next(seqno s)
{
    return (seqno){s.v + 1};
}
static inline seqno seqno_max(seqno a, seqno b)
{
    return a.v > b.v ? a : b;
}
static inline seqno seqno_min(seqno a, seqno b)
{
    return a.v < b.v ? a : b;
}

/* One leadership of one stream: number only grows, nonce tells two leaderships of one number
 * apart. number 0 = none yet. */
struct epoch {
    uint64_t number;
    uint64_t nonce;
};

static inline bool epoch_equal(struct epoch a, struct epoch b)
{
    return a.number == b.number && a.nonce == b.nonce;
}

/* One log, named by where it is written and which part of the keys it holds. */
struct stream_id {
    uint16_t region;
    uint16_t shard;
};

static inline bool stream_equal(struct stream_id a, struct stream_id b)
{
    return a.region == b.region && a.shard == b.shard;
}

/* A 256-bit BLAKE3 value: payload hashes, block hashes, roots and the chain. */
struct hash256 {
    uint8_t bytes[32];
};

static inline bool hash256_equal(const struct hash256 *a, const struct hash256 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* 128-bit identifiers: cluster ids, idempotency keys, session ids. */
struct id128 {
    uint8_t bytes[16];
};

static inline bool id128_equal(const struct id128 *a, const struct id128 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
static inline bool id128_is_zero(const struct id128 *a)
{
    static const struct id128 zero;
    return id128_equal(a, &zero);
}

/* A place in a history: equal numbers with different histories never compare equal.
 * Always the end of a batch; chain is that batch's chain, 32 zero bytes before seqno 1. */
struct position {
    uint64_t epoch;
    seqno seqno;
    struct hash256 chain;
};

static inline bool position_equal(const struct position *a, const struct position *b)
{
    return a->epoch == b->epoch && a->seqno.v == b->seqno.v && hash256_equal(&a->chain, &b->chain);
}

/* Public cap on node names, see INTERFACE: [A-Za-z0-9._-]{1,64}. */
#define NODE_ID_SIZE_MAX 64
#define KEY_SIZE_MAX     255
#define ADDRESS_SIZE_MAX 255

#endif
