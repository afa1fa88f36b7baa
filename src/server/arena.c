/* arena: see arena.h. A list of chunks; a piece larger than a chunk gets one of its own. */
#include "server/arena.h"

#include "base/assert.h"

#include <assert.h>

#define CHUNK_SIZE  ((size_t)4096)
#define PIECE_ALIGN ((size_t)16)
#define HEADER_SIZE (2 * PIECE_ALIGN)

struct arena_chunk {
    struct arena_chunk *next;
    size_t capacity; /* of the whole allocation */
    size_t used;     /* header included */
};

static_assert(sizeof(struct arena_chunk) <= HEADER_SIZE, "the header has its room");

void arena_init(struct arena *a, struct alloc *alloc)
{
    *a = (struct arena){.alloc = alloc};
}

static bool add_chunk(struct arena *a, size_t size)
{
    size_t capacity = HEADER_SIZE + size;
    if (capacity < CHUNK_SIZE) capacity = CHUNK_SIZE;
    struct arena_chunk *chunk = alloc_get(a->alloc, capacity);
    if (chunk == NULL) return false;
    chunk->next = a->chunks;
    chunk->capacity = capacity;
    chunk->used = HEADER_SIZE;
    a->chunks = chunk;
    return true;
}

void *arena_get(struct arena *a, size_t size)
{
    if (size > SIZE_MAX - CHUNK_SIZE) return NULL;
    size_t rounded = (size + PIECE_ALIGN - 1) / PIECE_ALIGN * PIECE_ALIGN;
    struct arena_chunk *chunk = a->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < rounded) {
        if (!add_chunk(a, rounded)) return NULL;
        chunk = a->chunks;
    }
    uint8_t *piece = (uint8_t *)chunk + chunk->used;
    chunk->used += rounded;
    a->size += rounded;
    return piece;
}

bool arena_copy(struct arena *a, struct slice s, struct slice *out)
{
    uint8_t *copy = arena_get(a, s.size);
    if (copy == NULL) return false;
    if (s.size > 0) memcpy(copy, s.data, s.size);
    *out = slice_of(copy, s.size);
    return true;
}

void arena_take(struct arena *a, struct arena *from)
{
    ASSERT(a->alloc == from->alloc);
    struct arena_chunk **last = &a->chunks;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = from->chunks;
    a->size += from->size;
    from->chunks = NULL;
    from->size = 0;
}

void arena_reset(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *next = a->chunks->next;
        alloc_put(a->alloc, a->chunks, a->chunks->capacity);
        a->chunks = next;
    }
    a->size = 0;
}
