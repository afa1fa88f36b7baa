/* columns: per signal type the forward-decayed sums of every item, one double per half-life, and
 * the all-time counts. decay.h has the arithmetic.
 *
 * Positive and negative weights are summed apart (both as positive numbers); a block of sums exists
 * only where its sign occurred, so that most types cost 8 bytes per item and half-life. Canonical
 * bytes:
 *   column: i64 epoch E | 4,096 f64 in units of 2^E, each +0 or normal and positive
 *   count:  u32 bytes per entry (4 or 8) | u32 zero | 4,096 unsigned integers of that width
 * A count block starts with 4 bytes per entry and is widened once an entry passes 2^32 - 1. Types
 * whose signals can be taken back never have that many (edges.h), so that no block is narrowed.
 *
 * Behind the sums of a column block lies, derived, the largest sum of each zone of 256 entries: an
 * upper bound of what the zone holds, for queries. Sums only grow (or are scaled as a whole), so
 * keeping it costs one comparison per event; only where an item's last event is taken back its sums
 * go to 0, and a maximum that was its is looked for again. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_COLUMNS_H
#define TIDEMARK_CORE_STATE_COLUMNS_H

#include "base/error.h"
#include "core/state/blocks.h"
#include "core/state/schema.h"

#define ZONE_ENTRIES 256u
#define ZONES        (BLOCK_ENTRIES / ZONE_ENTRIES)

/* Payload of a column block. */
struct sums {
    int64_t epoch;
    double values[BLOCK_ENTRIES];
    double zone_max[ZONES]; /* derived */
};

enum sign { SIGN_POSITIVE, SIGN_NEGATIVE, SIGNS };

struct type_columns {
    struct block_list sums[HALFLIVES_MAX][SIGNS];
    struct block_list counts;
};

struct columns {
    struct alloc *alloc;        /* borrowed */
    struct type_columns *types; /* by type id; entry 0 is unused */
    size_t capacity;
};

void columns_init(struct columns *c, struct alloc *alloc);
void columns_fini(struct columns *c);
/* Make room for a type. False when memory is refused. */
MUST_CHECK bool columns_add_type(struct columns *c, uint32_t type_id);

/* One event: weight 0 counts, but adds to no sum. False when memory is refused; then the event may
 * be there in part. */
MUST_CHECK bool columns_add(struct columns *c, const struct signal_type *type, uint32_t item,
                            double weight, int64_t time_ms);
/* Take one event back that was added in these words, of a type of mode once or latest: the count
 * goes down, and what the event added to the sum of its sign is added to that of the other. An item
 * of which nothing is left has sums of exactly 0. False as columns_add. */
MUST_CHECK bool columns_take(struct columns *c, const struct signal_type *type, uint32_t item,
                             double weight, int64_t time_ms);
/* Hint the cache about a later columns_add. */
void columns_prefetch(const struct columns *c, uint32_t type_id, uint32_t item);

/* A sum of both signs: value in units of 2^epoch. 0 where nothing is. */
struct net_sum {
    double value;
    int64_t epoch;
};
struct net_sum columns_net(const struct columns *c, uint32_t type_id, uint32_t halflife,
                           uint32_t item);
uint64_t columns_count(const struct columns *c, uint32_t type_id, uint32_t item);

/* What a query reads of one item block; pointers are NULL where the block does not exist, borrowed
 * until the next change. */
struct column_view {
    const struct sums *sums[SIGNS];
    const struct block *counts;
};
struct column_view columns_view(const struct columns *c, uint32_t type_id, uint32_t halflife,
                                uint32_t item_block);
/* The net sum of an entry of a view. */
struct net_sum column_view_net(const struct column_view *view, uint32_t entry);
/* Entry of a count block. */
uint64_t count_block_get(const struct block *counts, uint32_t entry);

/* The entries of a count block whose entries have 4 bytes; NULL of a wide one. */
const uint32_t *count_block_narrow(const struct block *counts);

/* Add every entry of a count block to the total of the same index. */
void count_block_add(const struct block *counts, uint64_t totals[BLOCK_ENTRIES]);

/* Name of a block: counts have halflife 0 and the positive sign. */
struct column_name {
    uint32_t type_id;
    uint32_t halflife;
    enum sign sign;
    uint32_t item_block;
};
uint64_t column_number(struct column_name name);

/* Bytes that `entries` events can make the blocks grow when there are item_blocks at the end. */
uint64_t columns_growth_max(const struct schema *schema, uint64_t entries, uint64_t item_blocks);

/* Take a stored column or count block of a state with item_count items. E_CORRUPT, E_NOMEMORY. */
MUST_CHECK enum code columns_load(struct columns *c, const struct schema *schema,
                                  uint32_t item_count, struct block_id id, struct slice bytes,
                                  struct err *e);

#endif
