/* edges: who signalled which item, for the signal types that count a user once (modes once and
 * latest): what it takes to find such a signal again and to take it back: its time and weight.
 *
 * Per type the edges lie densely in parts of 4,096, in the order in which they came; an edge that
 * is taken out leaves its place to the last one. So a part is full but for the last, nothing is
 * ever left behind, and the bytes are a function of the log prefix. Row, 24 bytes:
 *   u32 user | u32 item | i64 event time ms | f64 weight
 *
 * Block number = type id << 32 | part. The map from (user, item) to a place is derived, grows a few
 * entries at a time and is never part of a block. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_EDGES_H
#define TIDEMARK_CORE_STATE_EDGES_H

#include "base/error.h"
#include "base/map.h"
#include "core/state/blocks.h"
#include "core/state/schema.h"

#define EDGE_PART_ROWS 4096u
#define EDGE_ROW_SIZE  24u
#define EDGE_NONE      UINT32_MAX
/* Of one type; so that no count of them needs more than 31 bits. */
#define EDGES_MAX 0x7fffffffu

struct edge {
    uint32_t user;
    uint32_t item;
    int64_t time_ms;
    double weight; /* finite, |w| <= 2^53, never -0 */
};

struct type_edges {
    struct block_list parts;
    uint32_t count;
    struct map map; /* (user, item) -> place */
};

struct edges {
    struct alloc *alloc;       /* borrowed */
    struct type_edges **types; /* by type id - 1; NULL: counts every signal, keeps no edges */
    size_t capacity;
    uint32_t type_count; /* that keep edges */
    uint64_t count;      /* in all types */
    uint64_t parts;      /* blocks in all types */
    uint64_t map_bytes;  /* of all maps, which are outside the alloc */
};

void edges_init(struct edges *g, struct alloc *alloc);
void edges_fini(struct edges *g);
/* A type was declared. False when memory is refused. */
MUST_CHECK bool edges_add_type(struct edges *g, const struct signal_type *type);

/* Place of the edge, good until the next change; EDGE_NONE, also of a type without edges. */
uint32_t edges_find(const struct edges *g, uint32_t type_id, uint32_t user, uint32_t item);
struct edge edges_at(const struct edges *g, uint32_t type_id, uint32_t place);
/* Edges of one type; 0 of a type without. */
uint32_t edges_count(const struct edges *g, uint32_t type_id);

/* Count each item's edges of one type: counts[item] += how many. */
void edges_tally(const struct edges *g, uint32_t type_id, uint32_t *counts);

/* The three changes, of a type that keeps edges. False when memory is refused; then nothing
 * changed. Add: an edge known to be absent. */
MUST_CHECK bool edges_add(struct edges *g, uint32_t type_id, const struct edge *edge);
/* Another time and weight for the edge at a place. */
MUST_CHECK bool edges_replace(struct edges *g, uint32_t type_id, uint32_t place, int64_t time_ms,
                              double weight);
MUST_CHECK bool edges_remove(struct edges *g, uint32_t type_id, uint32_t place);

/* Blocks in ascending number, for a version. */
void edges_each_block(const struct edges *g, void (*take)(void *context, struct block *b),
                      void *context);
/* Bytes that `changes` adds, replacements and removals can make this grow. */
uint64_t edges_growth_max(const struct edges *g, uint64_t changes);

/* Take a stored block; its users and items must be below these counts. E_CORRUPT, E_NOMEMORY. */
struct edge_bounds {
    uint32_t user_count;
    uint32_t item_count;
};
MUST_CHECK enum code edges_load(struct edges *g, struct edge_bounds bounds, struct block_id id,
                                struct slice bytes, struct err *e);

#endif
