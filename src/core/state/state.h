/* state: everything the log says, as data: keys, signal types, decayed sums, counts, idempotency
 * keys, producers. A pure function of the log prefix: the same prefix gives the same bits on every
 * machine and build (no clock, libm, hash order or thread order; evaluation order is fixed).
 *
 * Changed only by state_apply_batch and the load calls, by one owner thread. Cut into blocks
 * (format/checkpoint.h names the kinds); a block is shared between the live state and pinned
 * versions by reference count and copied before the first change after a pin (copy on write).
 * A pinned version never changes and may be read, hashed and freed by another thread.
 * Grows only through the alloc handed in. Apply never refuses for a reason of content that the gate
 * could have judged: what it cannot apply is an error that stops the node (HALTED).
 */
#ifndef TIDEMARK_CORE_STATE_STATE_H
#define TIDEMARK_CORE_STATE_STATE_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/types.h"
#include "core/state/entities.h"
#include "format/batch.h"
#include "format/checkpoint.h"
#include "format/record.h"

struct state;

#define ITEM_NONE       UINT32_MAX
#define USER_NONE       UINT32_MAX
#define CREATOR_NONE    UINT32_MAX
#define DEDUP_WINDOW_MS (10 * 60 * 1000) /* of log time */

/* NULL when memory is refused. alloc is borrowed for the state's life. */
struct state *state_new(struct alloc *alloc, struct id128 cluster, struct stream_id stream);
void state_free(struct state *s); /* NULL allowed */

/* What one applied batch asks of the engine. */
struct state_outcome {
    uint32_t signal_entries;
    bool has_mark; /* the batch ends with a mark: pin a version now */
    bool has_digest;
    struct record_digest digest; /* the last one of the batch */
    bool has_members;            /* the list of members is another one now */
    bool has_epoch_start;
    struct record_epoch_start epoch_start; /* node_id borrows the payload */
};

/* Apply one whole batch whose bytes were verified; end = its end position, which must extend
 * state_position. On error (E_HALTED with the seqno and why, E_NOMEMORY) the state must not be used
 * for reads as if it were at `end`; position stays before the batch. Records of kinds whose effect
 * is not in this version (items, users, relations, sessions, embeddings) are E_HALTED naming the
 * kind: never skipped.
 * A batch that does not come next (position, chain, cluster, leader time) is E_HALTED before
 * anything is changed. Any later error may leave the batch applied in part: from then on the state
 * applies nothing (E_HALTED), pins nothing (NULL) and can only be freed; its answers are those of
 * its position where state_is_whole, and of no position else. */
MUST_CHECK enum code state_apply_batch(struct state *s, const struct batch_header *h,
                                       struct slice payload, const struct position *end,
                                       struct state_outcome *out, struct err *e);

struct position state_position(const struct state *s); /* the high-water mark */
/* False after a batch that failed in its middle. */
bool state_is_whole(const struct state *s);
uint64_t state_leader_time(const struct state *s); /* HLC of the last applied batch */

/* --- questions (owner thread) --- */

struct signal_type {
    uint32_t id; /* 1.. in log order */
    char name[SIGNAL_NAME_SIZE_MAX + 1];
    uint8_t mode;     /* enum signal_mode */
    uint8_t polarity; /* enum polarity */
    uint8_t windows;
    uint8_t halflife_count;
    uint64_t halflives_ms[HALFLIVES_MAX];
};
const struct signal_type *state_type_by_name(const struct state *s, struct slice name);
const struct signal_type *state_type_by_id(const struct state *s, uint32_t id); /* NULL: unknown */
uint32_t state_type_count(const struct state *s);                               /* ids 1..count */

/* A field of items that WHERE can ask for. */
struct schema_field {
    uint32_t id; /* 1.. in log order, apart from signal types */
    char name[FIELD_NAME_SIZE_MAX + 1];
    uint8_t kind; /* enum schema_field_kind */
};
const struct schema_field *state_field_by_name(const struct state *s, struct slice name);
const struct schema_field *state_field_by_id(const struct state *s, uint32_t id); /* NULL: none */
uint32_t state_field_count(const struct state *s);                                /* ids 1..count */

uint32_t state_item_count(const struct state *s);
uint32_t state_item_find(const struct state *s, struct slice key); /* ITEM_NONE */
void state_item_prefetch(const struct state *s, struct slice key);
struct slice state_item_key(const struct state *s, uint32_t item); /* borrowed until next apply */
int64_t state_item_created_ms(const struct state *s, uint32_t item);

/* Users and creators are interned as items are: dense indexes in the order of their first use. */
uint32_t state_user_count(const struct state *s);
uint32_t state_user_find(const struct state *s, struct slice key); /* USER_NONE */
uint32_t state_creator_count(const struct state *s);
uint32_t state_creator_find(const struct state *s, struct slice key);    /* CREATOR_NONE */
struct slice state_creator_key(const struct state *s, uint32_t creator); /* borrowed likewise */

/* A deleted item keeps its key, index and signals; no listing shows it. */
bool state_item_is_deleted(const struct state *s, uint32_t item);
uint32_t state_item_live_count(const struct state *s); /* items without the deleted ones */

/* What is known of an item, user or creator; the index must exist. */
uint32_t state_entity_find(const struct state *s, enum entity_kind kind,
                           struct slice key); /* ENTITY_NONE */
int64_t state_entity_created_ms(const struct state *s, enum entity_kind kind, uint32_t index);
struct entity state_entity(const struct state *s, enum entity_kind kind, uint32_t index);
bool state_entity_field(const struct state *s, enum entity_kind kind, uint32_t index,
                        struct slice name, struct put_field *out);

/* Decayed score of the item for the type's half-life at at_ms; 0 for an unknown item. */
double state_score(const struct state *s, uint32_t type_id, uint32_t item, uint32_t halflife,
                   int64_t at_ms);
uint64_t state_count_all(const struct state *s, uint32_t type_id, uint32_t item);
/* Events of the item in a window, one WINDOW_* bit: windows.h has the definition. 0 for a window
 * that the type does not declare. */
uint64_t state_count_window(const struct state *s, uint32_t type_id, uint32_t item, uint8_t window);
/* Does a signal of this user for this item stand, of a type of mode once or latest? */
bool state_has_edge(const struct state *s, uint32_t type_id, struct slice item, struct slice user);
/* Leader time, ms, at which something falls due: a bucket that holds something enters or leaves a
 * window, or idempotency keys expire. UINT64_MAX: nothing will. */
uint64_t state_next_due_ms(const struct state *s);

/* The newest list of members; slices are borrowed until the next apply. */
void state_members(const struct state *s, struct record_members *out);

/* Where a write with this key, or this producer's newest write, went. */
struct write_ref {
    uint64_t epoch;
    seqno seqno;
    uint8_t chain4[4];
};
bool state_dedup_find(const struct state *s, const struct id128 *key, struct write_ref *out);
uint64_t state_dedup_count(const struct state *s);
/* Highest number applied for the producer; false when unknown. */
bool state_producer_find(const struct state *s, struct slice producer, uint64_t *out_number,
                         struct write_ref *out_where);

/* What appended records may add to the state at most. */
struct state_growth {
    uint64_t entries;    /* signal entries */
    uint64_t edges;      /* those of types that count a user once, and undos */
    uint64_t puts;       /* changes of items, users and creators */
    uint64_t key_bytes;  /* of all keys that these name */
    uint64_t put_values; /* values of the puts: a list of tags has several */
    uint64_t put_bytes;  /* of these fields */
};
/* Would that surely fit memory_max? The gate asks before a group is appended, so that apply cannot
 * run out. */
bool state_can_grow(const struct state *s, const struct state_growth *more);
/* Would a declaration surely fit, with the values that items have already? Goes over all items. */
bool state_can_declare(const struct state *s, const struct schema_field *field);
/* Bytes out of the alloc and in maps; exact when the alloc is this state's own. */
uint64_t state_bytes(const struct state *s);

/* --- pinned versions: digest, checkpoint, bootstrap --- */

struct state_version;
/* Pin the state as of now: O(blocks), copies pointers only. NULL when memory is refused, and when a
 * batch was applied in part. */
struct state_version *state_pin(struct state *s);
void state_version_free(struct state_version *v); /* any thread; NULL allowed */
struct position state_version_position(const struct state_version *v);
uint64_t state_version_leader_time(const struct state_version *v);
uint32_t state_version_block_count(const struct state_version *v); /* ascending block ids */
struct block_id state_version_block_id(const struct state_version *v, uint32_t i);
uint32_t state_version_block_size(const struct state_version *v, uint32_t i); /* canonical bytes */
void state_version_block_encode(const struct state_version *v, uint32_t i, uint8_t *out);
/* Hash of the canonical bytes; kept in the block until it changes, so that only dirty ones are
 * hashed again. scratch: at least the block's size. Any one thread at a time per version. */
struct hash256 state_version_block_hash(const struct state_version *v, uint32_t i,
                                        uint8_t *scratch);
/* Are the bytes still those that its hash was made of? A block that was not hashed yet is. Hashes
 * it again. */
bool state_version_block_is_sound(const struct state_version *v, uint32_t i);
/* Upper bound of any block's canonical size in this version. */
uint32_t state_version_block_size_max(const struct state_version *v);
/* The digest: state_root over all blocks. scratch: block_size_max. Any thread. NULL-safe on memory:
 * false when memory is refused. */
MUST_CHECK bool state_version_root(struct state_version *v, uint8_t *scratch, struct hash256 *out);

/* --- frozen states: questions on another thread --- */

/* The state as of now for questions alone: it never changes, and any one thread may ask it, of all
 * that is read without a key (state_*_find and state_type_by_name are the live state's; core/query
 * asks them before). Costs one pass over the lists of blocks; until it is freed, the live state
 * copies a block before it changes it. End it with state_free, on any thread, also after the live
 * state. NULL when memory is refused, and when a batch was applied in part. Owner thread. */
struct state *state_freeze(const struct state *s);

/* --- loading a checkpoint into a fresh state: blocks in ascending id, then end --- */
MUST_CHECK enum code state_load_block(struct state *s, struct block_id id, struct slice bytes,
                                      struct err *e);
MUST_CHECK enum code state_load_end(struct state *s, const struct position *position,
                                    uint64_t leader_time, struct err *e);

#endif
