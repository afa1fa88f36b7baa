/* packs: see packs.h. */
#include "engine/packs.h"

#include <stdlib.h>

#include "base/assert.h"

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct pack_use *)a)->id;
    uint64_t y = ((const struct pack_use *)b)->id;
    return (x > y) - (x < y);
}

void packs_sort(struct packs *p)
{
    if (p->count > 0) qsort(p->items, p->count, sizeof(*p->items), by_id);
}

static struct pack_use *find(const struct packs *p, uint64_t id)
{
    struct pack_use key = {.id = id};
    if (p->count == 0) return NULL;
    return bsearch(&key, p->items, p->count, sizeof(*p->items), by_id);
}

void packs_note(struct packs *p, uint64_t id, uint64_t bytes)
{
    struct pack_use *pack = find(p, id);
    if (pack) pack->live += bytes;
}

/* The pack that stays with the fewest live bytes. NULL: none stays. */
static struct pack_use *find_least(const struct packs *p)
{
    struct pack_use *least = NULL;
    for (size_t i = 0; i < p->count; i++) {
        struct pack_use *pack = &p->items[i];
        if (pack->is_emptied || pack->live == 0) continue;
        if (!least || pack->live < least->live) least = pack;
    }
    return least;
}

void packs_decide(struct packs *p)
{
    size_t named = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct pack_use *pack = &p->items[i];
        pack->is_emptied = pack->live < pack->size / 2;
        if (!pack->is_emptied && pack->live > 0) named++;
    }
    if (named <= PACKS_NAMED_MAX) return;
    for (; named > PACKS_NAMED_MAX / 2; named--) {
        struct pack_use *least = find_least(p);
        ASSERT(least != NULL); /* `named` counts them */
        least->is_emptied = true;
    }
}

bool packs_is_emptied(const struct packs *p, uint64_t id)
{
    const struct pack_use *pack = find(p, id);
    return !pack || pack->is_emptied;
}
