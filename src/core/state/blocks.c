/* blocks: birth, copy on write, hash and death of the state's blocks. blocks.h has the picture.
 * Memory comes from one alloc, which must outlive every block; its counters are atomic, so that the
 * last holder frees wherever it runs. Never does anything else than what its caller asked for: no
 * list of blocks is kept here. */
#include "core/state/blocks.h"

#include <assert.h>

#include "base/assert.h"
#include "base/hash.h"

enum { SHARE_AHEAD = 8 }; /* blocks whose heads are on their way from memory while one is held */

static_assert(sizeof(struct block) == 128, "two cache lines before the payload");

struct block *block_new(struct alloc *alloc, struct block_id id, uint32_t payload_size,
                        uint32_t canonical_size)
{
    ASSERT(canonical_size <= payload_size);
    struct block *b = alloc_get(alloc, sizeof(*b) + payload_size);
    if (b == NULL) return NULL;
    atomic_init(&b->refs, 1);
    atomic_init(&b->hash_state, BLOCK_HASH_NONE);
    b->id = id;
    b->payload_size = payload_size;
    b->canonical_size = canonical_size;
    return b;
}

void block_release(struct alloc *alloc, struct block *b)
{
    if (b == NULL) return;
    /* Release: my reads are over before the next writer sees 1. Acquire: theirs are over before I
     * free. */
    uint32_t before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1) return;
    alloc_put(alloc, b->extra, b->extra_capacity);
    alloc_put(alloc, b, sizeof(*b) + b->payload_size);
}

struct block *block_copy(struct alloc *alloc, struct block **place)
{
    struct block *old = *place;
    struct block *b = block_new(alloc, old->id, old->payload_size, old->canonical_size);
    if (b == NULL) return NULL;
    if (old->extra_capacity > 0) {
        b->extra = alloc_get(alloc, old->extra_capacity);
        if (b->extra == NULL) {
            block_release(alloc, b);
            return NULL;
        }
        b->extra_capacity = old->extra_capacity;
        b->extra_size = old->extra_size;
        memcpy(b->extra, old->extra, old->extra_size);
    }
    memcpy(b->payload, old->payload, old->payload_size);
    *place = b;
    block_release(alloc, old);
    return b;
}

bool block_extra_reserve(struct alloc *alloc, struct block *b, uint32_t more)
{
    uint64_t wanted = (uint64_t)b->extra_size + more;
    if (wanted <= b->extra_capacity) return true;
    if (wanted > UINT32_MAX / 2) return false;
    if (wanted < BLOCK_EXTRA_MIN) wanted = BLOCK_EXTRA_MIN;
    void *items = b->extra;
    size_t capacity = b->extra_capacity;
    if (!alloc_grow(alloc, &items, &capacity, 1, (size_t)wanted)) return false;
    ASSERT(capacity <= UINT32_MAX);
    b->extra = items;
    b->extra_capacity = (uint32_t)capacity;
    return true;
}

void block_extra_add(struct block *b, const void *data, uint32_t size)
{
    ASSERT(size <= b->extra_capacity - b->extra_size);
    memcpy(b->extra + b->extra_size, data, size);
    b->extra_size += size;
}

void block_encode(const struct block *b, uint8_t *out)
{
    memcpy(out, b->payload, b->canonical_size);
    if (b->extra_size > 0) memcpy(out + b->canonical_size, b->extra, b->extra_size);
}

static struct hash256 hash_bytes(const struct block *b)
{
    return hash256_of_pair(slice_of(b->payload, b->canonical_size),
                           slice_of(b->extra, b->extra_size));
}

bool block_is_sound(const struct block *b)
{
    if (atomic_load_explicit(&b->hash_state, memory_order_acquire) != BLOCK_HASH_READY) return true;
    struct hash256 hash = hash_bytes(b);
    return hash256_equal(&hash, &b->hash);
}

struct hash256 block_hash(struct block *b)
{
    if (atomic_load_explicit(&b->hash_state, memory_order_acquire) == BLOCK_HASH_READY) {
        return b->hash;
    }
    struct hash256 hash = hash_bytes(b);
    uint32_t none = BLOCK_HASH_NONE;
    if (atomic_compare_exchange_strong_explicit(&b->hash_state, &none, BLOCK_HASH_WRITING,
                                                memory_order_relaxed, memory_order_relaxed)) {
        b->hash = hash;
        atomic_store_explicit(&b->hash_state, BLOCK_HASH_READY, memory_order_release);
    }
    return hash;
}

bool block_list_reserve(struct alloc *alloc, struct block_list *list, size_t index)
{
    if (index < list->capacity) return true;
    void *items = list->items;
    size_t wanted = index + 1;
    if (!alloc_grow(alloc, &items, &list->capacity, sizeof(struct block *), wanted)) return false;
    list->items = items;
    return true;
}

bool block_list_share(struct alloc *alloc, struct block_list *to, const struct block_list *from)
{
    ASSERT(to->capacity == 0);
    if (from->capacity == 0) return true;
    struct block **items = alloc_get(alloc, from->capacity * sizeof(struct block *));
    if (items == NULL) return false;
    for (size_t i = 0; i < from->capacity; i++) {
        if (i + SHARE_AHEAD < from->capacity && from->items[i + SHARE_AHEAD] != NULL) {
            __builtin_prefetch(from->items[i + SHARE_AHEAD], 1);
        }
        items[i] = from->items[i];
        if (items[i] != NULL) block_hold(items[i]);
    }
    *to = (struct block_list){.items = items, .capacity = from->capacity};
    return true;
}

void block_list_fini(struct alloc *alloc, struct block_list *list)
{
    for (size_t i = 0; i < list->capacity; i++) {
        block_release(alloc, list->items[i]);
    }
    alloc_put(alloc, list->items, list->capacity * sizeof(struct block *));
    *list = (struct block_list){0};
}
