/* schema: the signal types, numbered 1.. in log order. A type's definition never changes once it is
 * there: declaring it again in the same words has no effect, in other words it is refused (the
 * write gate refuses it first).
 *
 * Canonical bytes of the one block: u32 count, then per type in order of id
 *   slice8 name | u8 mode | u8 polarity | u8 windows | u8 half-life count | u64 ms per half-life
 * One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_SCHEMA_H
#define TIDEMARK_CORE_STATE_SCHEMA_H

#include "base/map.h"
#include "core/state/blocks.h"
#include "core/state/state.h"

struct schema {
    struct alloc *alloc;       /* borrowed */
    struct signal_type *types; /* by id - 1; derived from the block */
    size_t capacity;
    uint32_t count;
    struct map names;    /* name -> id - 1; derived */
    struct block *block; /* NULL until the first type */
};

void schema_init(struct schema *s, struct alloc *alloc);
void schema_fini(struct schema *s);

/* Declare what a schema record says. E_HALTED when this version cannot, E_NOMEMORY. */
MUST_CHECK enum code schema_declare(struct schema *s, const struct record_schema *record,
                                    struct err *e);
/* NULL when there is none. */
static inline const struct signal_type *schema_type(const struct schema *s, uint32_t id)
{
    return id - 1 < s->count ? &s->types[id - 1] : NULL;
}
const struct signal_type *schema_find(const struct schema *s, struct slice name);

/* Take the stored block into an empty schema. E_CORRUPT, E_NOMEMORY. */
MUST_CHECK enum code schema_load(struct schema *s, struct block_id id, struct slice bytes,
                                 struct err *e);

#endif
