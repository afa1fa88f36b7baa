/* packs: which packs a checkpoint goes on naming, and which it empties by writing their live blocks
 * again. A pack is emptied when less than half of it is live, so the packs that a manifest names
 * hold at most twice its bytes, and what is written again for it is never more than what becomes
 * free; and when a manifest would name too many packs, those with the fewest live bytes are.
 * No I/O. Owner: the job that writes. */
#ifndef TIDEMARK_ENGINE_PACKS_H
#define TIDEMARK_ENGINE_PACKS_H

#include "base/types.h"

#define PACKS_NAMED_MAX 32u /* beyond: down to half of it */

struct pack_use {
    uint64_t id;
    uint64_t size; /* of the file */
    uint64_t live; /* bytes of it that the new manifest would name */
    bool is_emptied;
};

/* items: as many as there are packs; borrowed, ascending id after packs_sort. */
struct packs {
    struct pack_use *items;
    size_t count;
};

void packs_sort(struct packs *p);
/* A block of the pack is live. Packs that are not there are no pack's. */
void packs_note(struct packs *p, uint64_t id, uint64_t bytes);
void packs_decide(struct packs *p);
/* Is a block there written again? Also true of a pack that is not there. */
bool packs_is_emptied(const struct packs *p, uint64_t id);

#endif
