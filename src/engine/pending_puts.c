/* pending_puts: see pending_puts.h. A place is cleared when it is looked at after its newest record
 * was applied; nothing has to walk over the table. */
#include "engine/pending_puts.h"

#include <stdlib.h>

#include "base/hash.h"

#define PENDING_PLACES 4096u /* a power of two */

bool pending_puts_init(struct pending_puts *p)
{
    *p = (struct pending_puts){0};
    p->places = calloc(PENDING_PLACES, sizeof(*p->places));
    return p->places != NULL;
}

void pending_puts_fini(struct pending_puts *p)
{
    free(p->places);
    free(p->tried);
}

static uint32_t place_of(enum entity_kind kind, struct slice key)
{
    return (uint32_t)hash64_of(key, (uint64_t)kind) & (PENDING_PLACES - 1);
}

void pending_puts_begin(struct pending_puts *p)
{
    for (uint32_t i = 0; i < p->tried_count; i++) {
        p->places[p->tried[i]].tried_bytes = 0;
        p->places[p->tried[i]].tried_fields = 0;
    }
    p->tried_count = 0;
}

struct pending_sum pending_puts_sum(struct pending_puts *p, enum entity_kind kind, struct slice key,
                                    seqno applied)
{
    struct pending_place *place = &p->places[place_of(kind, key)];
    if (place->last.v <= applied.v) {
        place->bytes = 0;
        place->fields = 0;
    }
    return (struct pending_sum){.bytes = place->bytes + place->tried_bytes,
                                .fields = place->fields + place->tried_fields,
                                .is_appended = place->bytes + place->fields > 0};
}

bool pending_puts_try(struct pending_puts *p, enum entity_kind kind, struct slice key,
                      struct pending_sum more)
{
    if (p->tried_count == p->tried_capacity) {
        uint32_t capacity = p->tried_capacity ? p->tried_capacity * 2 : 64;
        uint32_t *tried = realloc(p->tried, capacity * sizeof(*tried));
        if (!tried) return false;
        p->tried = tried;
        p->tried_capacity = capacity;
    }
    uint32_t i = place_of(kind, key);
    p->tried[p->tried_count++] = i;
    p->places[i].tried_bytes += more.bytes;
    p->places[i].tried_fields += more.fields;
    return true;
}

void pending_puts_keep(struct pending_puts *p, seqno s)
{
    for (uint32_t i = 0; i < p->tried_count; i++) {
        struct pending_place *place = &p->places[p->tried[i]];
        place->bytes += place->tried_bytes;
        place->fields += place->tried_fields;
        place->tried_bytes = 0;
        place->tried_fields = 0;
        place->last = s;
    }
    p->tried_count = 0;
}
