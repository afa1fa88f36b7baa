/* retrieve: the k best items by one order, exactly.
 *
 * A heap keeps the k best seen so far with the worst of them on top. Decayed sums of different
 * blocks are in different units, so candidates are compared by sign, exponent + epoch and mantissa,
 * never by bringing sums to one unit, which could overflow. What the heap's worst is worth in a
 * block's own unit (the bar) rejects nearly every entry with one comparison of doubles, and whole
 * zones by their maxima. Later items are looked at first: with events in order of time they tend to
 * hold the larger sums, so the bar is high early.
 *
 * The order is that of the sums themselves, the same at every moment; scores are computed for the
 * rows found. Reads only; the owner thread of the state calls it. Memory: k candidates and a set of
 * the excluded items, given back before returning. */
#include "core/query/retrieve.h"

#include <float.h>

#include "base/hash.h"
#include "core/state/decay.h"
#include "core/state/inside.h"

enum { FRACTION_BITS = 52, EXPONENT_MASK = 0x7ff };
/* Added to an exponent, which is within +-2^61 and a little, it gives a number above zero. */
#define EXPONENT_BIAS (INT64_C(1) << 62)

/* A number in a form that compares over any range. Of a positive sum: exponent, mantissa; of a
 * negative one: both turned round; zero lies between. */
struct rank {
    int64_t high;
    uint64_t low;
};

struct candidate {
    struct rank rank;
    struct net_sum net; /* decayed order only */
    uint32_t item;
};

/* Open addressing; ITEM_NONE is an empty slot. */
struct item_set {
    uint32_t *slots;
    uint32_t capacity; /* power of two, 0 when there is nothing to exclude */
};

struct search {
    const struct state *state;
    struct item_set excluded;
    struct candidate *heap; /* worst on top */
    uint32_t count;
    uint32_t limit;
};

static struct rank rank_of_sum(struct net_sum net)
{
    if (net.value == 0.0) return (struct rank){0};
    uint64_t bits;
    memcpy(&bits, &net.value, sizeof(bits));
    int64_t exponent = (int64_t)(bits >> FRACTION_BITS & EXPONENT_MASK);
    if (exponent == 0) { /* the difference of two sums may be subnormal: make it normal */
        double scaled = net.value * 0x1p64;
        memcpy(&bits, &scaled, sizeof(bits));
        exponent = (int64_t)(bits >> FRACTION_BITS & EXPONENT_MASK) - 64;
    }
    int64_t high = exponent + net.epoch + EXPONENT_BIAS;
    uint64_t mantissa = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    if (net.value < 0.0) return (struct rank){.high = -high, .low = ~mantissa};
    return (struct rank){.high = high, .low = mantissa};
}

static struct rank rank_of_count(uint64_t count)
{
    return (struct rank){.high = EXPONENT_BIAS, .low = count};
}

/* Above 0 when a is the larger number. */
static int rank_compare(struct rank a, struct rank b)
{
    if (a.high != b.high) return a.high > b.high ? 1 : -1;
    return (a.low > b.low) - (a.low < b.low);
}

static int key_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, common);
    if (order != 0) return order;
    return (a.size > b.size) - (a.size < b.size);
}

/* The total order: score descending, created_at descending, key ascending. */
static bool is_better(const struct state *s, const struct candidate *a, const struct candidate *b)
{
    int order = rank_compare(a->rank, b->rank);
    if (order != 0) return order > 0;
    int64_t created_a = state_item_created_ms(s, a->item);
    int64_t created_b = state_item_created_ms(s, b->item);
    if (created_a != created_b) return created_a > created_b;
    return key_compare(state_item_key(s, a->item), state_item_key(s, b->item)) < 0;
}

/* Excluded items. */

static uint32_t *set_slot(const struct item_set *set, uint32_t item)
{
    uint32_t mask = set->capacity - 1;
    uint32_t i = (uint32_t)hash64_mix(item) & mask;
    while (set->slots[i] != ITEM_NONE && set->slots[i] != item) {
        i = (i + 1) & mask;
    }
    return &set->slots[i];
}

static bool is_excluded(const struct search *q, uint32_t item)
{
    return q->excluded.capacity > 0 && *set_slot(&q->excluded, item) == item;
}

/* False when memory is refused. */
static bool set_fill(struct item_set *set, struct alloc *alloc, const struct state *s,
                     const struct retrieve_request *request)
{
    if (request->exclude_count == 0) return true;
    if (request->exclude_count > UINT32_MAX / 4) return false;
    uint32_t capacity = 2;
    while (capacity < 2 * request->exclude_count) {
        capacity *= 2;
    }
    set->slots = alloc_get(alloc, capacity * sizeof(uint32_t));
    if (set->slots == NULL) return false;
    set->capacity = capacity;
    memset(set->slots, 0xff, capacity * sizeof(uint32_t)); /* ITEM_NONE everywhere */
    for (uint32_t i = 0; i < request->exclude_count; i++) {
        uint32_t item = state_item_find(s, request->excludes[i]);
        if (item != ITEM_NONE) *set_slot(set, item) = item;
    }
    return true;
}

/* The heap. */

static void sift_up(struct search *q, uint32_t i)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (!is_better(q->state, &q->heap[parent], &q->heap[i])) return;
        struct candidate moved = q->heap[i];
        q->heap[i] = q->heap[parent];
        q->heap[parent] = moved;
        i = parent;
    }
}

static void sift_down(struct search *q)
{
    uint32_t i = 0;
    for (;;) {
        uint32_t worst = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < q->count; child++) {
            if (is_better(q->state, &q->heap[worst], &q->heap[child])) worst = child;
        }
        if (worst == i) return;
        struct candidate moved = q->heap[i];
        q->heap[i] = q->heap[worst];
        q->heap[worst] = moved;
        i = worst;
    }
}

/* Take a candidate if it belongs to the best so far. True when the heap changed. */
static bool offer(struct search *q, const struct candidate *c)
{
    bool is_full = q->count == q->limit;
    if (is_full && !is_better(q->state, c, &q->heap[0])) return false;
    if (is_excluded(q, c->item)) return false;
    if (is_full) {
        q->heap[0] = *c;
        sift_down(q);
    } else {
        q->heap[q->count] = *c;
        sift_up(q, q->count++);
    }
    return true;
}

/* Decayed order. */

/* A block while it is looked at. bars: what the heap's worst is worth in the unit of the positive
 * and of the negative sums; a net sum below the bar of its unit cannot enter. */
struct block_scan {
    struct column_view view;
    uint32_t first_item;
    uint32_t entry_count;
    int64_t epochs[SIGNS];
    double bars[SIGNS];
};

static void bars_set(struct block_scan *b, const struct search *q)
{
    for (int sign = SIGN_POSITIVE; sign < SIGNS; sign++) {
        const struct net_sum *worst = &q->heap[0].net;
        bool is_full = q->count == q->limit;
        b->bars[sign] =
            is_full ? decay_rescale(worst->value, worst->epoch, b->epochs[sign]) : -DBL_MAX;
    }
}

static struct block_scan scan_of(const struct search *q, const struct signal_type *type,
                                 uint32_t item_block)
{
    struct block_scan b = {
        .view = columns_view(&q->state->columns, type->id, 0, item_block),
        .first_item = item_block * BLOCK_ENTRIES,
    };
    uint32_t left = q->state->items.count - b.first_item;
    b.entry_count = left < BLOCK_ENTRIES ? left : BLOCK_ENTRIES;
    for (int sign = SIGN_POSITIVE; sign < SIGNS; sign++) {
        b.epochs[sign] = b.view.sums[sign] == NULL ? 0 : b.view.sums[sign]->epoch;
    }
    bars_set(&b, q);
    return b;
}

/* A net sum that is not below its bar. Without an event the item is no candidate. */
static void offer_sum(struct search *q, struct block_scan *b, uint32_t entry, struct net_sum net)
{
    if (net.value == 0.0 && count_block_get(b->view.counts, entry) == 0) return;
    struct candidate c = {.rank = rank_of_sum(net), .net = net, .item = b->first_item + entry};
    if (offer(q, &c)) bars_set(b, q);
}

/* [from, to) of a block without negative sums: the common case, one comparison per entry. */
static void scan_positive(struct search *q, struct block_scan *b, uint32_t from, uint32_t to)
{
    const struct sums *sums = b->view.sums[SIGN_POSITIVE];
    for (uint32_t i = from; i < to; i++) {
        if (sums->values[i] < b->bars[SIGN_POSITIVE]) continue;
        offer_sum(q, b, i, (struct net_sum){.value = sums->values[i], .epoch = sums->epoch});
    }
}

static void scan_signed(struct search *q, struct block_scan *b, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct net_sum net = column_view_net(&b->view, i);
        enum sign unit = net.epoch == b->epochs[SIGN_POSITIVE] ? SIGN_POSITIVE : SIGN_NEGATIVE;
        if (net.value != 0.0 && net.value < b->bars[unit]) continue;
        offer_sum(q, b, i, net);
    }
}

static void scan_block(struct search *q, struct block_scan *b)
{
    const struct sums *positive = b->view.sums[SIGN_POSITIVE];
    bool is_positive = positive != NULL && b->view.sums[SIGN_NEGATIVE] == NULL;
    for (uint32_t zone = ZONES; zone > 0; zone--) {
        uint32_t from = (zone - 1) * ZONE_ENTRIES;
        uint32_t to = from + ZONE_ENTRIES < b->entry_count ? from + ZONE_ENTRIES : b->entry_count;
        double most = positive == NULL ? 0.0 : positive->zone_max[zone - 1];
        if (from >= to || most < b->bars[SIGN_POSITIVE]) continue;
        if (is_positive) {
            scan_positive(q, b, from, to);
        } else {
            scan_signed(q, b, from, to);
        }
    }
}

static void search_decayed(struct search *q, const struct signal_type *type)
{
    for (uint32_t i = keys_block_count(&q->state->items); i > 0; i--) {
        struct block_scan b = scan_of(q, type, i - 1);
        if (b.view.counts != NULL) scan_block(q, &b);
    }
}

/* Top order. */

static void search_top(struct search *q, uint64_t totals[BLOCK_ENTRIES])
{
    const struct state *s = q->state;
    for (uint32_t block = keys_block_count(&s->items); block > 0; block--) {
        memset(totals, 0, BLOCK_ENTRIES * sizeof(totals[0]));
        for (uint32_t t = 0; t < s->schema.count; t++) {
            if (s->schema.types[t].polarity != POLARITY_POSITIVE) continue;
            struct column_view view =
                columns_view(&s->columns, s->schema.types[t].id, 0, block - 1);
            if (view.counts != NULL) count_block_add(view.counts, totals);
        }
        for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
            if (totals[i] == 0) continue;
            if (q->count == q->limit && totals[i] < q->heap[0].rank.low) continue;
            struct candidate c = {.rank = rank_of_count(totals[i]),
                                  .item = (block - 1) * BLOCK_ENTRIES + i};
            (void)offer(q, &c); /* nothing here depends on whether the heap changed */
        }
    }
}

/* Empty the heap into rows, best first. */
static void rows_fill(struct search *q, const struct retrieve_request *request,
                      const struct signal_type *type, struct retrieve_row *rows)
{
    while (q->count > 0) {
        const struct candidate *worst = &q->heap[0];
        double score = (double)worst->rank.low;
        if (request->order == RETRIEVE_DECAYED) {
            score = decay_read(worst->net.value, worst->net.epoch, request->now_ms,
                               type->halflives_ms[0]);
        }
        q->count--;
        rows[q->count] = (struct retrieve_row){.item = worst->item, .score = score};
        q->heap[0] = q->heap[q->count];
        sift_down(q);
    }
}

static enum code request_check(const struct state *s, const struct retrieve_request *request,
                               struct err *e)
{
    if (request->limit < 1 || request->limit > RETRIEVE_LIMIT_MAX) {
        return ERR(e, E_LIMIT, "limit %u, the limits are 1 and %u", request->limit,
                   RETRIEVE_LIMIT_MAX);
    }
    if (request->order == RETRIEVE_TOP) return OK;
    const struct signal_type *type = schema_type(&s->schema, request->type_id);
    if (type == NULL) return ERR(e, E_SCHEMA, "signal type %u is unknown", request->type_id);
    if (type->halflife_count == 0) {
        return ERR(e, E_SCHEMA, "signal type %s has no half-life", type->name);
    }
    return OK;
}

enum code retrieve_run(const struct state *s, struct alloc *alloc,
                       const struct retrieve_request *request, struct retrieve_row *rows,
                       uint32_t *out_count, struct err *e)
{
    TRY(request_check(s, request, e));
    enum code code = OK;
    const struct signal_type *type = schema_type(&s->schema, request->type_id);
    struct search q = {.state = s, .limit = request->limit};
    uint64_t *totals = NULL;
    size_t heap_size = request->limit * sizeof(struct candidate);
    size_t totals_size = BLOCK_ENTRIES * sizeof(uint64_t);
    q.heap = alloc_get(alloc, heap_size);
    if (request->order == RETRIEVE_TOP) totals = alloc_get(alloc, totals_size);
    bool is_short = q.heap == NULL || (request->order == RETRIEVE_TOP && totals == NULL) ||
                    !set_fill(&q.excluded, alloc, s, request);
    if (is_short) {
        code = ERR(e, E_NOMEMORY, "no memory to look for %u items", request->limit);
        goto out;
    }
    if (request->order == RETRIEVE_TOP) {
        search_top(&q, totals);
    } else {
        search_decayed(&q, type);
    }
    *out_count = q.count;
    rows_fill(&q, request, type, rows);
out:
    alloc_put(alloc, q.excluded.slots, q.excluded.capacity * sizeof(uint32_t));
    alloc_put(alloc, totals, totals_size);
    alloc_put(alloc, q.heap, heap_size);
    return code;
}
