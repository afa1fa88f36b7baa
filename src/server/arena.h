/* arena: small pieces of memory that are all given back at once: what a turn's requests need until
 * the turn is answered, and what MULTI keeps until EXEC. One owner thread. */
#ifndef TIDEMARK_SERVER_ARENA_H
#define TIDEMARK_SERVER_ARENA_H

#include "base/alloc.h"
#include "base/types.h"

struct arena_chunk;

struct arena {
    struct alloc *alloc;        /* borrowed */
    struct arena_chunk *chunks; /* the one being filled first */
    size_t size;                /* bytes handed out */
};

void arena_init(struct arena *a, struct alloc *alloc);
/* Zeroed, aligned to 16 bytes, valid until reset. NULL: no memory. */
void *arena_get(struct arena *a, size_t size);
/* A copy of s. False: no memory. */
MUST_CHECK bool arena_copy(struct arena *a, struct slice s, struct slice *out);
/* Everything in from belongs to a now; from is empty. */
void arena_take(struct arena *a, struct arena *from);
void arena_reset(struct arena *a); /* gives everything back */

#endif
