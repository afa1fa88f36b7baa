/* tally: what the demo sent, added up on its own, to compare with what nodes answer: per item the
 * number of signals and their decayed sum at the item's newest event.
 *
 * Memory is bounded: once the table is full, it keeps the items whose hash ends in one more zero
 * bit and drops the others, so what is kept is a fair sample, and exact. The arithmetic is not the
 * database's: plain sums with the C library's exp2. One owner.
 */
#ifndef TIDEMARK_CLI_TALLY_H
#define TIDEMARK_CLI_TALLY_H

#include "base/map.h"
#include "base/types.h"

#define TALLY_ITEMS_MAX   65536u
#define TALLY_HALFLIFE_MS (7.0 * 24 * 3600 * 1000) /* of the built-in signal types */

struct tally_item {
    uint64_t hash;
    uint64_t count;
    double score; /* at newest_ms */
    int64_t newest_ms;
    uint8_t key[KEY_SIZE_MAX];
    uint8_t key_size;
};

struct tally {
    struct tally_item *items;
    uint32_t item_count;
    uint32_t sample_bits; /* 0: every item is kept */
    struct map index;
    uint64_t signals; /* of all items, kept or not */
};

void tally_init(struct tally *t);
void tally_fini(struct tally *t); /* harmless on zeroed memory */
/* key: 1..KEY_SIZE_MAX bytes. */
void tally_add(struct tally *t, struct slice key, int64_t at_ms, double weight);
static inline struct slice tally_key(const struct tally_item *item)
{
    return slice_of(item->key, item->key_size);
}
/* Equal up to the rounding of a sum over that many terms. */
bool tally_score_agrees(const struct tally_item *item, double score);

#endif
