/* blocks: the unit in which state is shared, hashed, saved and loaded.
 *
 *   struct block | payload: canonical part, derived part | extra: canonical, grows
 *
 * The canonical bytes of a block are the first canonical_size bytes of its payload followed by its
 * extra bytes, exactly as they lie in memory (little-endian hosts only, base/bytes.h); so hashing
 * needs no copy. What is derived from them (offsets, maxima) lies behind the canonical part and is
 * never hashed or stored.
 *
 * A block is held by the live state and by any number of pinned versions: refs counts them. Only
 * the owner thread of the state changes a block, and only while nobody else holds it; else it
 * changes a copy (block_writable). Any thread may read, hash and release a block that it holds.
 */
#ifndef TIDEMARK_CORE_STATE_BLOCKS_H
#define TIDEMARK_CORE_STATE_BLOCKS_H

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/types.h"
#include "format/checkpoint.h"

/* Whether `hash` holds the hash of the canonical bytes. Several threads may hash one block at the
 * same time: the first to move NONE to WRITING stores its result. READY is set with release order
 * and read with acquire order, so that whoever sees it sees the hash. */
enum block_hash_state { BLOCK_HASH_NONE, BLOCK_HASH_WRITING, BLOCK_HASH_READY };

#define BLOCK_EXTRA_MIN 256u /* first capacity of the extra bytes */

struct block {
    /* Holders. Dropped with release order, looked at with acquire order: who sees 1 knows that all
     * reads of former holders are over. Only the owner thread raises it. */
    _Atomic uint32_t refs;
    _Atomic uint32_t hash_state;
    struct block_id id;
    uint32_t payload_size;
    uint32_t canonical_size; /* of the payload; extra is canonical as a whole */
    uint32_t extra_size;
    uint32_t extra_capacity;
    uint8_t *extra;
    struct hash256 hash;
    _Alignas(64) uint8_t payload[]; /* zeroed at birth */
};

/* Held once. NULL when memory is refused. */
struct block *block_new(struct alloc *alloc, struct block_id id, uint32_t payload_size,
                        uint32_t canonical_size);
static inline void block_hold(struct block *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}
/* Release one hold; the last one frees. Any thread; NULL allowed. */
void block_release(struct alloc *alloc, struct block *b);

/* The copy that block_writable puts in *place. NULL when memory is refused; *place is as before. */
struct block *block_copy(struct alloc *alloc, struct block **place);
/* The block at *place, ready to be changed: itself when only *place holds it, else a copy that has
 * taken its place. NULL when memory is refused; *place is as before. Owner thread. */
static inline struct block *block_writable(struct alloc *alloc, struct block **place)
{
    struct block *b = *place;
    if (atomic_load_explicit(&b->refs, memory_order_acquire) != 1) return block_copy(alloc, place);
    atomic_store_explicit(&b->hash_state, BLOCK_HASH_NONE, memory_order_relaxed);
    return b;
}
/* Room for `more` extra bytes, zeroed; false when memory is refused or 4 GiB would be passed. b is
 * writable. */
MUST_CHECK bool block_extra_reserve(struct alloc *alloc, struct block *b, uint32_t more);
/* Append to room that was reserved. */
void block_extra_add(struct block *b, const void *data, uint32_t size);

static inline uint32_t block_size(const struct block *b)
{
    return b->canonical_size + b->extra_size;
}
/* Memory that a block takes, with its extra bytes. */
static inline size_t block_memory(const struct block *b)
{
    return sizeof(struct block) + b->payload_size + b->extra_capacity;
}
void block_encode(const struct block *b, uint8_t *out); /* block_size bytes */
/* BLAKE3-256 of the canonical bytes; computed at most once between changes when calls do not
 * overlap. Any thread that holds the block. */
struct hash256 block_hash(struct block *b);

/* False when the canonical bytes are not those that the hash was made of: memory changed by itself.
 * Any thread that holds the block. */
bool block_is_sound(const struct block *b);

/* Places of blocks by index; NULL where there is none yet. Owner thread. */
struct block_list {
    struct block **items;
    size_t capacity;
};
/* Make items[index] exist. False when memory is refused. */
MUST_CHECK bool block_list_reserve(struct alloc *alloc, struct block_list *list, size_t index);
static inline struct block *block_list_get(const struct block_list *list, size_t index)
{
    return index < list->capacity ? list->items[index] : NULL;
}
/* Fill an empty list with the blocks of another one, each held once more: what was shared is then
 * copied before its owner changes it. Owner thread of `from`. False when memory is refused; `to` is
 * empty then. */
MUST_CHECK bool block_list_share(struct alloc *alloc, struct block_list *to,
                                 const struct block_list *from);
void block_list_fini(struct alloc *alloc, struct block_list *list);

#endif
