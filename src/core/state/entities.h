/* entities: what is known of items, users and creators beyond their keys: fields, an item's
 * creator, and whether an item was deleted. One struct for each of the three, by the dense indexes
 * of their keys. What was put last counts; how it came about leaves no trace.
 *
 * Canonical bytes of a block of 128 entities, which exists while one of them has bytes:
 *   128 times u32 end of the entity's bytes, counted from the end of these | bytes
 * and the bytes of an entity, none when nothing is known of it:
 *   u8 flags | u32 index of the creator, with its flag | varint n | n fields as in put records,
 *   without unset ones, names ascending
 * A deleted item is its flag alone: a tombstone has neither creator nor fields.
 *
 * Changing an entity moves what lies behind it in its block; limits keep a block below 4 MiB. One
 * owner thread; blocks are shared with pinned versions (blocks.h).
 */
#ifndef TIDEMARK_CORE_STATE_ENTITIES_H
#define TIDEMARK_CORE_STATE_ENTITIES_H

#include "base/error.h"
#include "core/state/blocks.h"
#include "format/limits.h"
#include "format/put_fields.h"

#define ENTITY_BLOCK_ENTRIES 128u
#define ENTITY_NONE          UINT32_MAX

/* The numbers that embedding records use. */
enum entity_kind { ENTITY_ITEM = 1, ENTITY_USER = 2, ENTITY_CREATOR = 3 };

#define ENTITY_DELETED     1u /* items only */
#define ENTITY_HAS_CREATOR 2u /* items only */

struct entities {
    struct alloc *alloc; /* borrowed */
    enum block_kind kind;
    struct block_list blocks;
    uint32_t block_count;   /* blocks that exist */
    uint32_t deleted_count; /* entities with ENTITY_DELETED */
    uint64_t memory_bytes;  /* of the blocks */
    uint64_t largest_bytes; /* memory of the largest block so far */
    uint8_t *scratch;       /* ENTITY_SIZE_MAX bytes, from the first change on */
};

void entities_init(struct entities *e, struct alloc *alloc, enum block_kind kind);
void entities_fini(struct entities *e);

/* What is known of one entity. Borrowed until the next change. */
struct entity {
    uint8_t flags;
    uint32_t creator; /* ENTITY_NONE without the flag */
    uint32_t field_count;
    struct bytes_reader fields; /* field_count fields for put_field_read, names ascending */
    uint32_t size;              /* bytes that count against ENTITY_SIZE_MAX */
};
/* An index beyond all blocks has nothing. */
struct entity entities_get(const struct entities *e, uint32_t index);
/* The field called name; false when there is none. */
bool entities_field(const struct entities *e, uint32_t index, struct slice name,
                    struct put_field *out);
bool entities_is_deleted(const struct entities *e, uint32_t index);

/* A change of one entity. */
struct entity_change {
    bool is_fresh;       /* forget everything first */
    uint32_t creator;    /* ENTITY_NONE: as it is */
    struct slice fields; /* a field list as in put records, names strictly ascending; unset removes.
                            size 0: none */
    bool is_names;       /* fields is a name list: all of them are removed */
};
/* Carry out a change. E_LIMIT when the names do not ascend or the entity would be over
 * ENTITY_FIELDS_MAX or ENTITY_SIZE_MAX; E_NOMEMORY; either way it is as before. */
MUST_CHECK enum code entities_change(struct entities *e, uint32_t index,
                                     const struct entity_change *change, struct err *err);
/* Leave a tombstone. False when memory is refused. */
MUST_CHECK bool entities_delete(struct entities *e, uint32_t index);

/* Would the change be within the limits? Changes nothing. current: see entities_get, or a zeroed
 * entity for one that does not exist. OK or E_LIMIT. */
MUST_CHECK enum code entity_judge(const struct entity *current, const struct entity_change *change,
                                  struct err *err);

/* Bytes by which `changes` more changes with change_bytes of fields in total can make the blocks
 * grow, when there are then up to entity_count entities. */
uint64_t entities_growth_max(const struct entities *e, uint64_t changes, uint64_t change_bytes,
                             uint64_t entity_count);

/* What a stored block may name. */
struct entity_bounds {
    uint32_t count;         /* entities that have keys */
    uint32_t creator_count; /* creators that have keys; 0 where there is none */
};
/* Take a stored block. E_CORRUPT, E_NOMEMORY. */
MUST_CHECK enum code entities_load(struct entities *e, struct entity_bounds bounds,
                                   struct block_id id, struct slice bytes, struct err *err);
uint32_t entities_block_capacity(const struct entities *e); /* blocks lie below this number */

#endif
