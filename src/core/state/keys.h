/* keys: byte strings of 1..255 bytes interned to dense indexes in the order of their first use,
 * each with a row of fixed size beside it. Items, users, creators and producers are kept this way.
 *
 * Canonical bytes of a block of n entries:
 *   u32 n | n rows | n times (u8 size, that many bytes)
 * Blocks are full but for the last. The map from key to index is derived: rebuilt at load, never
 * part of a block. An index never changes its meaning. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_KEYS_H
#define TIDEMARK_CORE_STATE_KEYS_H

#include "base/error.h"
#include "base/map.h"
#include "core/state/blocks.h"

#define KEYS_NONE     UINT32_MAX
#define KEYS_ROW_SIZE 32u /* largest row */

/* What is kept: which kind of block, how many entries in one (a power of two), bytes of a row. */
struct keys_shape {
    enum block_kind kind;
    uint32_t block_entries;
    uint32_t row_size;
};

struct keys {
    struct alloc *alloc; /* borrowed */
    struct keys_shape shape;
    uint32_t block_shift; /* log2 of block_entries */
    uint32_t count;
    uint64_t seed; /* of the hash; not part of any block */
    struct block_list blocks;
    struct map map;
};

void keys_init(struct keys *k, struct alloc *alloc, struct keys_shape shape, uint64_t seed);
void keys_fini(struct keys *k);

uint64_t keys_hash(const struct keys *k, struct slice key);
/* KEYS_NONE when the key is not there. */
uint32_t keys_find(const struct keys *k, struct slice key, uint64_t hash);
/* Find in steps, so that the waits for memory of many keys overlap: prefetch the map, then guess
 * (which prefetches where the key bytes are named), then prefetch the bytes, then check. A guess
 * may be wrong or KEYS_NONE; only keys_is says whether it holds. */
void keys_prefetch(const struct keys *k, uint64_t hash);
uint32_t keys_guess(const struct keys *k, uint64_t hash);
void keys_prefetch_bytes(const struct keys *k, uint32_t guess);
bool keys_is(const struct keys *k, uint32_t index, struct slice key);

/* Add a key known to be absent, with its row; returns its index. KEYS_NONE when memory is refused;
 * then nothing is added. key: 1..KEY_SIZE_MAX bytes, copied. */
uint32_t keys_add(struct keys *k, struct slice key, uint64_t hash, const void *row);

struct slice keys_key(const struct keys *k, uint32_t index);   /* borrowed until the next add */
const uint8_t *keys_row(const struct keys *k, uint32_t index); /* borrowed likewise; unaligned */
/* The row, ready to be changed. NULL when memory is refused. */
uint8_t *keys_row_writable(struct keys *k, uint32_t index);

uint32_t keys_block_count(const struct keys *k); /* blocks with entries */
/* Bytes that `entries` more keys of key_bytes in total can make the blocks and the map grow. */
uint64_t keys_growth_max(const struct keys *k, uint64_t entries, uint64_t key_bytes);

/* Append a stored block: E_CORRUPT when it is not what keys_add makes, E_NOMEMORY. Rows are copied;
 * judging them is the caller's. */
MUST_CHECK enum code keys_load(struct keys *k, struct block_id id, struct slice bytes,
                               struct err *e);

#endif
