/* tally: the demo's own sums. */
#include "cli/tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "cli/cli.h"

static const size_t items_bytes = TALLY_ITEMS_MAX * sizeof(struct tally_item);

void tally_init(struct tally *t)
{
    *t = (struct tally){0};
    t->items = cli_take(items_bytes);
    map_init(&t->index);
}

void tally_fini(struct tally *t)
{
    if (t->items == NULL) return;
    cli_put(t->items, items_bytes);
    map_fini(&t->index);
    *t = (struct tally){0};
}

static bool is_same_key(const void *owner, uint32_t value, const void *key)
{
    const struct tally *t = owner;
    return slice_equal(tally_key(&t->items[value]), *(const struct slice *)key);
}

static bool is_kept(const struct tally *t, uint64_t hash)
{
    return (hash & ((UINT64_C(1) << t->sample_bits) - 1)) == 0;
}

static void index_item(struct tally *t, uint32_t i)
{
    if (map_insert(&t->index, t->items[i].hash, i)) return;
    cli_error("tidemark demo", "no memory for the tally");
    exit(CLI_FAILED); /* NOLINT(concurrency-mt-unsafe): the program's only thread */
}

/* Halve the sample until there is room. */
static void thin_out(struct tally *t)
{
    while (t->item_count == TALLY_ITEMS_MAX) {
        t->sample_bits++;
        map_clear(&t->index);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < t->item_count; i++) {
            if (!is_kept(t, t->items[i].hash)) continue;
            if (kept != i) t->items[kept] = t->items[i];
            index_item(t, kept++);
        }
        t->item_count = kept;
    }
}

/* Add a weight to a sum that stands at the item's newest time. */
static void add_term(struct tally_item *item, int64_t at_ms, double weight)
{
    double apart = (double)(at_ms - item->newest_ms);
    item->count++;
    if (apart > 0) {
        item->score = item->score * exp2(-apart / TALLY_HALFLIFE_MS) + weight;
        item->newest_ms = at_ms;
    } else {
        item->score += weight * exp2(apart / TALLY_HALFLIFE_MS);
    }
}

void tally_add(struct tally *t, struct slice key, int64_t at_ms, double weight)
{
    ASSERT(key.size > 0 && key.size <= KEY_SIZE_MAX);
    t->signals++;
    uint64_t hash = hash64_of(key, 0);
    if (!is_kept(t, hash)) return;
    uint32_t i = map_find(&t->index, hash, is_same_key, t, &key);
    if (i == MAP_NONE) {
        thin_out(t);
        if (!is_kept(t, hash)) return;
        i = t->item_count++;
        struct tally_item *item = &t->items[i];
        *item = (struct tally_item){.hash = hash, .newest_ms = at_ms};
        memcpy(item->key, key.data, key.size);
        item->key_size = (uint8_t)key.size;
        index_item(t, i);
    }
    add_term(&t->items[i], at_ms, weight);
}

bool tally_score_agrees(const struct tally_item *item, double score)
{
    double tolerance = 1e-12 * (double)(item->count + 1000);
    return fabs(score - item->score) <= tolerance * fabs(item->score);
}
