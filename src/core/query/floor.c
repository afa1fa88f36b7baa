/* floor: see floor.h. Each zone's maximum is the sum of an item of its own as long as there are no
 * negative sums, so the k-th largest maximum is reached by k items. The k largest are kept in a
 * heap with the least on top; what is below that, in the unit of its block, costs one comparison.
 */
#include "core/query/floor.h"

#include "base/assert.h"
#include "core/query/pick.h"
#include "core/state/decay.h"
#include "core/state/inside.h"

struct reached {
    struct rank rank;
    struct net_sum net;
};

struct heap {
    struct reached *items; /* the least on top */
    uint32_t count;
    uint32_t limit;
};

static bool is_less(const struct heap *h, uint32_t a, uint32_t b)
{
    return rank_compare(h->items[a].rank, h->items[b].rank) < 0;
}

static void swap(struct heap *h, uint32_t a, uint32_t b)
{
    struct reached moved = h->items[a];
    h->items[a] = h->items[b];
    h->items[b] = moved;
}

static void sift_up(struct heap *h, uint32_t i)
{
    while (i > 0 && is_less(h, i, (i - 1) / 2)) {
        swap(h, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct heap *h)
{
    for (uint32_t i = 0;;) {
        uint32_t least = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < h->count; child++) {
            if (is_less(h, child, least)) least = child;
        }
        if (least == i) return;
        swap(h, i, least);
        i = least;
    }
}

static void take(struct heap *h, struct net_sum net)
{
    struct reached reached = {.rank = rank_of_sum(net), .net = net};
    if (h->count < h->limit) {
        h->items[h->count] = reached;
        sift_up(h, h->count++);
    } else if (rank_compare(h->items[0].rank, reached.rank) < 0) {
        h->items[0] = reached;
        sift_down(h);
    }
}

static void take_block(struct heap *h, const struct sums *sums)
{
    for (uint32_t zone = 0; zone < ZONES; zone++) {
        double most = sums->zone_max[zone];
        if (most == 0.0) continue;
        bool is_full = h->count == h->limit;
        if (is_full &&
            most < decay_rescale(h->items[0].net.value, h->items[0].net.epoch, sums->epoch)) {
            continue;
        }
        take(h, (struct net_sum){.value = most, .epoch = sums->epoch});
    }
}

bool floor_find(const struct state *s, struct alloc *alloc, uint32_t type_id, uint32_t k,
                struct net_sum *out)
{
    ASSERT(k > 0);
    uint32_t blocks = keys_block_count(&s->items);
    if ((uint64_t)blocks * ZONES < k) return false;
    struct heap h = {.limit = k, .items = alloc_get(alloc, k * sizeof(struct reached))};
    if (h.items == NULL) return false;
    bool is_positive = true;
    for (uint32_t i = blocks; i > 0 && is_positive; i--) {
        struct column_view view = columns_view(&s->columns, type_id, 0, i - 1);
        is_positive = view.sums[SIGN_NEGATIVE] == NULL;
        if (view.sums[SIGN_POSITIVE] != NULL) take_block(&h, view.sums[SIGN_POSITIVE]);
    }
    bool is_found = is_positive && h.count == k;
    if (is_found) *out = h.items[0].net;
    alloc_put(alloc, h.items, k * sizeof(struct reached));
    return is_found;
}
