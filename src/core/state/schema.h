/* schema: the signal types and the declared fields of items, each numbered 1.. in log order. A
 * definition never changes once it is there: declaring it again in the same words has no effect, in
 * other words it is refused (the write gate refuses it first).
 *
 * Canonical bytes of the one block: u32 count, then per type in order of id
 *   slice8 name | u8 mode | u8 polarity | u8 windows | u8 half-life count | u64 ms per half-life
 * and, when there are fields: u32 count, then per field in order of id
 *   slice8 name | u8 kind
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
    struct map names;            /* name -> id - 1; derived */
    struct schema_field *fields; /* by id - 1; derived; FIELDS_MAX of them, made with the first */
    uint32_t field_count;
    uint32_t types_size; /* of the block's extra bytes, before the fields */
    struct block *block; /* NULL until the first declaration */
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
static inline const struct schema_field *schema_field(const struct schema *s, uint32_t id)
{
    return id - 1 < s->field_count ? &s->fields[id - 1] : NULL;
}
const struct schema_field *schema_field_find(const struct schema *s, struct slice name);
/* "tag" "num" "time" "text"; "unknown". */
const char *schema_field_kind_name(uint8_t kind);
/* What WHERE can name: a letter, then letters, digits, dot, underscore, minus, at most
 * FIELD_NAME_SIZE_MAX in all; no word that WHERE itself uses. */
bool schema_field_name_is_valid(struct slice name);

/* Take the stored block into an empty schema. E_CORRUPT, E_NOMEMORY. */
MUST_CHECK enum code schema_load(struct schema *s, struct block_id id, struct slice bytes,
                                 struct err *e);

#endif
