/* pick: see pick.h. A binary heap with the worst candidate on top: most offers are refused by one
 * comparison with it. Created times and keys are looked at only between equal ranks.
 *
 * Holds between calls: count <= limit; the heap's top is the worst; nothing in it is left out. */
#include "core/query/pick.h"

#include "base/assert.h"
#include "base/hash.h"

enum { FRACTION_BITS = 52, EXPONENT_MASK = 0x7ff };
/* Added to an exponent, which is within +-2^61 and a little, it gives a number above zero. */
#define EXPONENT_BIAS (INT64_C(1) << 62)

struct rank rank_of_sum(struct net_sum net)
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

struct rank rank_of_count(uint64_t count)
{
    return (struct rank){.high = EXPONENT_BIAS, .low = count};
}

int rank_compare(struct rank a, struct rank b)
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

/* Does the candidate come after the place in that order? The item of the place itself does not. */
static bool is_behind(const struct state *s, const struct pick_place *place,
                      const struct candidate *c)
{
    int order = rank_compare(place->rank, c->rank);
    if (order != 0) return order > 0;
    int64_t created = state_item_created_ms(s, c->item);
    if (created != place->created_ms) return place->created_ms > created;
    return key_compare(place->key, state_item_key(s, c->item)) < 0;
}

/* Items left out. */

static uint32_t *set_slot(const struct item_set *set, uint32_t item)
{
    uint32_t mask = set->capacity - 1;
    uint32_t i = (uint32_t)hash64_mix(item) & mask;
    while (set->slots[i] != ITEM_NONE && set->slots[i] != item) {
        i = (i + 1) & mask;
    }
    return &set->slots[i];
}

static bool is_left_out(const struct pick *p, uint32_t item)
{
    return p->left_out.capacity > 0 && *set_slot(&p->left_out, item) == item;
}

static void set_add(struct item_set *set, const uint32_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (items[i] != ITEM_NONE) *set_slot(set, items[i]) = items[i];
    }
}

/* False when memory is refused. */
static bool set_fill(struct pick *p, const struct pick_options *options)
{
    uint64_t count = (uint64_t)options->exclude_count + options->shown_count;
    if (count == 0) return true;
    if (count > UINT32_MAX / 4) return false;
    uint32_t capacity = 2;
    while (capacity < 2 * count) {
        capacity *= 2;
    }
    struct item_set *set = &p->left_out;
    set->slots = alloc_get(p->alloc, capacity * sizeof(uint32_t));
    if (set->slots == NULL) return false;
    set->capacity = capacity;
    memset(set->slots, 0xff, capacity * sizeof(uint32_t)); /* ITEM_NONE everywhere */
    set_add(set, options->excludes, options->exclude_count);
    set_add(set, options->shown, options->shown_count);
    return true;
}

/* The heap. */

static void swap(struct candidate *a, struct candidate *b)
{
    struct candidate moved = *a;
    *a = *b;
    *b = moved;
}

static void sift_up(struct pick *p, uint32_t i)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (!is_better(p->state, &p->heap[parent], &p->heap[i])) return;
        swap(&p->heap[i], &p->heap[parent]);
        i = parent;
    }
}

static void sift_down(struct pick *p)
{
    uint32_t i = 0;
    for (;;) {
        uint32_t worst = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < p->count; child++) {
            if (is_better(p->state, &p->heap[worst], &p->heap[child])) worst = child;
        }
        if (worst == i) return;
        swap(&p->heap[i], &p->heap[worst]);
        i = worst;
    }
}

bool pick_init(struct pick *p, const struct state *s, struct alloc *alloc,
               const struct pick_options *options)
{
    ASSERT(options->limit > 0);
    *p =
        (struct pick){.state = s, .alloc = alloc, .limit = options->limit, .after = options->after};
    p->heap = alloc_get(alloc, options->limit * sizeof(struct candidate));
    if (p->heap != NULL && set_fill(p, options)) return true;
    pick_fini(p);
    return false;
}

void pick_fini(struct pick *p)
{
    alloc_put(p->alloc, p->left_out.slots, p->left_out.capacity * sizeof(uint32_t));
    alloc_put(p->alloc, p->heap, p->limit * sizeof(struct candidate));
    *p = (struct pick){0};
}

bool pick_offer(struct pick *p, const struct candidate *c)
{
    bool is_full = p->count == p->limit;
    if (is_full && !is_better(p->state, c, &p->heap[0])) return false;
    if (p->after != NULL && !is_behind(p->state, p->after, c)) return false;
    if (is_left_out(p, c->item) || state_item_is_deleted(p->state, c->item)) return false;
    if (is_full) {
        p->heap[0] = *c;
        sift_down(p);
    } else {
        p->heap[p->count] = *c;
        sift_up(p, p->count++);
    }
    return true;
}

struct candidate pick_take_worst(struct pick *p)
{
    ASSERT(p->count > 0);
    struct candidate worst = p->heap[0];
    p->count--;
    p->heap[0] = p->heap[p->count];
    sift_down(p);
    return worst;
}
