/* field_index: what WHERE looks at: of every item the values of the declared fields, its creator,
 * and whether it was deleted, as columns of 4,096 items each.
 *
 *   tag          per item the number of one value (tag_values.h); further values of an item that
 *                has several lie as pairs behind the column
 *   num, time    one double, or one i64 of milliseconds, and a bit that says whether it is there
 *   text         not indexed
 *   creator      per item the creator's index
 *   deleted      one bit
 *
 * Derived state: everything here follows from the schema and the item records; it is never hashed,
 * stored or part of a version's block list, and is filled again when a state is loaded. Columns are
 * blocks all the same: a reader that holds one sees it as it was, because the owner changes a copy.
 * A value that does not fit the field's kind counts as no value. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_FIELD_INDEX_H
#define TIDEMARK_CORE_STATE_FIELD_INDEX_H

#include "core/state/schema.h"
#include "core/state/tag_values.h"
#include "format/put_fields.h"

#define FIELD_MASK_WORDS (BLOCK_ENTRIES / 64)

/* One bit per entry of a block of items. */
struct field_mask {
    uint64_t words[FIELD_MASK_WORDS];
};
static inline bool field_mask_has(const struct field_mask *m, uint32_t entry)
{
    return (m->words[entry / 64] >> entry % 64 & 1) != 0;
}
/* Is none of `count` entries set? Both are multiples of 64. */
static inline bool field_mask_is_empty(const struct field_mask *m, uint32_t from, uint32_t count)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < count; i += 64) {
        any |= m->words[(from + i) / 64];
    }
    return any == 0;
}

/* Payloads of the columns' blocks. */
struct field_tags {
    struct field_mask has_more;    /* entries with pairs */
    uint32_t first[BLOCK_ENTRIES]; /* TAG_VALUE_NONE: the entry has no value */
};
struct field_pair { /* extra of the same block, in no order */
    uint32_t entry;
    uint32_t value;
};
struct field_numbers {
    struct field_mask present;
    double values[BLOCK_ENTRIES];
};
struct field_times {
    struct field_mask present;
    int64_t values_ms[BLOCK_ENTRIES];
};
struct field_creators {
    uint32_t next[BLOCK_ENTRIES]; /* index + 1; 0: the item has none */
};

struct field_column {
    char name[FIELD_NAME_SIZE_MAX + 1];
    uint8_t kind;             /* enum schema_field_kind */
    struct block_list blocks; /* by item block; NULL: no item of it ever had a value */
    struct tag_values values; /* tag only */
};

struct field_index {
    struct alloc *alloc; /* borrowed */
    uint64_t seed;
    uint32_t count;
    struct field_column *columns; /* by field id - 1; FIELDS_MAX of them, made with the first */
    struct block_list creators;
    struct block_list deleted; /* payload: struct field_mask; NULL: none of them is */
    uint32_t pair_size_max;    /* largest extra capacity of any block so far */
};

void field_index_init(struct field_index *ix, struct alloc *alloc, uint64_t seed);
void field_index_fini(struct field_index *ix);

/* A field was declared; ids come in order. Items that have it already are the caller's to put.
 * False when memory is refused. */
MUST_CHECK bool field_index_add_field(struct field_index *ix, const struct schema_field *field);

/* The item's field has this value from now on; NULL or PUT_UNSET: none. Names that are not declared
 * have no effect. False when memory is refused; then the change may be there in part. */
MUST_CHECK bool field_index_put(struct field_index *ix, uint32_t item, struct slice name,
                                const struct put_field *value);
#define FIELD_CREATOR_NONE UINT32_MAX
MUST_CHECK bool field_index_set_creator(struct field_index *ix, uint32_t item, uint32_t creator);
/* The item is deleted, or is back: fields and creator are gone either way. */
MUST_CHECK bool field_index_set_deleted(struct field_index *ix, uint32_t item, bool is_deleted);

/* --- for queries; borrowed until the next change --- */

/* A column's block of 4,096 items; NULL: no item in it has a value. */
const struct block *field_index_block(const struct field_index *ix, uint32_t field_id,
                                      uint32_t item_block);
/* NULL: no item in it has a creator. */
const struct field_creators *field_index_creators(const struct field_index *ix,
                                                  uint32_t item_block);
/* NULL: no item in it is deleted. */
const struct field_mask *field_index_deleted(const struct field_index *ix, uint32_t item_block);
static inline bool field_index_is_deleted(const struct field_index *ix, uint32_t item)
{
    const struct field_mask *m = field_index_deleted(ix, item / BLOCK_ENTRIES);
    return m != NULL && field_mask_has(m, item % BLOCK_ENTRIES);
}

/* What a group of writes can add at most: values (numbers, times, single tags, creators,
 * deletions) and bytes of tags. */
struct field_growth {
    uint64_t values;
    uint64_t value_bytes;
};
uint64_t field_index_growth_max(const struct field_index *ix, struct field_growth more,
                                uint64_t item_blocks);
/* The same for one more field that is declared, which then takes so many values. */
uint64_t field_index_declare_growth_max(const struct field_index *ix, struct field_growth more,
                                        uint64_t item_blocks);
/* Memory in maps, which is outside the alloc. */
uint64_t field_index_map_bytes(const struct field_index *ix);

#endif
