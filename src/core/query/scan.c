/* scan: see scan.h. Per block of 4,096 items: add up the counts of the order's types, column by
 * column; compute each score; offer what is not below the worst of the best so far. Logarithms of
 * small numbers of votes, which most items have, come from a table that is filled once per scan by
 * the same function. Later items are looked at first: they tend to be newer, so that the bar is
 * high early. */
#include "core/query/scan.h"

#include <float.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "core/query/score.h"
#include "core/state/inside.h"

enum { VOTES_KNOWN = 1024 };

int64_t scan_age_ms(const struct state *s, uint32_t item, int64_t now_ms)
{
    int64_t created_ms = state_item_created_ms(s, item);
    if (created_ms >= now_ms) return 0;
    uint64_t age_ms = (uint64_t)now_ms - (uint64_t)created_ms; /* may exceed what is signed */
    return age_ms > (uint64_t)SCORE_RISING_AGE_MAX_MS ? SCORE_RISING_AGE_MAX_MS : (int64_t)age_ms;
}

struct scan {
    struct pick *pick;
    const struct state *state;
    const struct filter *filter; /* NULL: none */
    enum retrieve_order order;
    uint32_t type_id;
    int64_t now_ms;
    struct field_mask mask;           /* entries of the block that may be answered with */
    uint64_t positive[BLOCK_ENTRIES]; /* also: the count of one type, events of the last hour */
    uint64_t negative[BLOCK_ENTRIES]; /* also: events of the last day */
    const uint8_t *created;           /* rows of the block's items: created_at */
    double votes[VOTES_KNOWN];        /* of that many more positive events than negative ones */
};

static bool needs_negative(enum retrieve_order order)
{
    return order == RETRIEVE_HOT || order == RETRIEVE_CONTROVERSIAL || order == RETRIEVE_BEST;
}

/* Counts and times of one block. */

/* Four counts at once: written out as vectors, because a plain loop is compiled to none. */
typedef uint32_t narrow_counts __attribute__((vector_size(16)));
typedef uint64_t wide_counts __attribute__((vector_size(32), aligned(8)));
enum { COUNTS_AT_ONCE = 4 };

/* Blocks of narrow counts are nearly all there are. */
static void counts_add(const struct block *counts, uint64_t *totals)
{
    const uint32_t *narrow = count_block_narrow(counts);
    if (narrow == NULL) {
        count_block_add(counts, totals);
        return;
    }
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i += COUNTS_AT_ONCE) {
        narrow_counts more;
        memcpy(&more, narrow + i, sizeof(more)); /* they need not be aligned */
        *(wide_counts *)(void *)(totals + i) += __builtin_convertvector(more, wide_counts);
    }
}

static void block_count(struct scan *scan, uint32_t block)
{
    const struct state *s = scan->state;
    bool is_split = needs_negative(scan->order);
    memset(scan->positive, 0, sizeof(scan->positive));
    if (is_split) memset(scan->negative, 0, sizeof(scan->negative));
    for (uint32_t t = 0; t < s->schema.count; t++) {
        const struct signal_type *type = &s->schema.types[t];
        bool is_positive = type->polarity == POLARITY_POSITIVE;
        if (scan->order == RETRIEVE_COUNT ? type->id != scan->type_id : !is_positive && !is_split) {
            continue;
        }
        struct column_view view = columns_view(&s->columns, type->id, 0, block);
        if (view.counts == NULL) continue;
        bool is_counted_up = is_positive || scan->order == RETRIEVE_COUNT;
        counts_add(view.counts, is_counted_up ? scan->positive : scan->negative);
    }
}

/* Rows of a block lie together and hold nothing else. */
static inline int64_t created_ms_of(const struct scan *scan, uint32_t i)
{
    return (int64_t)load_u64(scan->created + i * sizeof(int64_t));
}

/* Orders of counts: compared as whole numbers. */
static void offer_counts(struct scan *scan, uint32_t first_item, uint32_t entry_count)
{
    const struct candidate *full = pick_worst(scan->pick);
    uint64_t bar = full != NULL ? full->rank.low : 1;
    for (uint32_t i = 0; i < entry_count; i++) {
        uint64_t count = scan->positive[i];
        if (count < bar || !field_mask_has(&scan->mask, i)) continue;
        struct candidate c = {
            .rank = rank_of_count(count), .net = {.value = (double)count}, .item = first_item + i};
        (void)pick_offer(scan->pick, &c); /* the bar is read again either way */
        const struct candidate *worst = pick_worst(scan->pick);
        if (worst != NULL) bar = worst->rank.low;
    }
}

static double votes_of(const struct scan *scan, uint64_t positive, uint64_t negative)
{
    uint64_t surplus = positive - negative; /* huge when negative */
    return surplus < VOTES_KNOWN ? scan->votes[surplus] : score_votes(positive, negative);
}

static inline double score_of(const struct scan *scan, enum retrieve_order order, uint32_t i)
{
    double terms[SCORE_TERMS_MAX];
    uint64_t positive = scan->positive[i];
    uint64_t negative = scan->negative[i];
    switch (order) {
    case RETRIEVE_NEW: return (double)created_ms_of(scan, i);
    case RETRIEVE_HOT:
        return score_hot(votes_of(scan, positive, negative), created_ms_of(scan, i), terms);
    case RETRIEVE_CONTROVERSIAL: return score_controversial(positive, negative);
    case RETRIEVE_BEST: return score_best(positive, negative, SCORE_BEST_Z, terms);
    case RETRIEVE_DECAYED:
    case RETRIEVE_TOP:
    case RETRIEVE_COUNT:
    case RETRIEVE_TRENDING:
    case RETRIEVE_RISING: break; /* not computed here */
    }
    UNREACHABLE();
}

/* Is this entry's score below the bar for sure? Asked before the score is computed. */
static inline bool is_hopeless(const struct scan *scan, enum retrieve_order order, uint32_t i,
                               double bar)
{
    uint64_t positive = scan->positive[i];
    uint64_t negative = scan->negative[i];
    switch (order) {
    case RETRIEVE_HOT:
        return score_hot_bound(votes_of(scan, positive, negative), created_ms_of(scan, i)) < bar;
    case RETRIEVE_CONTROVERSIAL:
        return bar > 1.0 && score_controversial_is_below(positive, negative, bar);
    case RETRIEVE_BEST:
        return bar > 0.0 && score_best_is_below(positive, negative, SCORE_BEST_Z, bar);
    case RETRIEVE_NEW:
    case RETRIEVE_DECAYED:
    case RETRIEVE_TOP:
    case RETRIEVE_COUNT:
    case RETRIEVE_TRENDING:
    case RETRIEVE_RISING: break;
    }
    return false;
}

/* Orders of computed scores. Called with a constant, so that each order gets a loop of its own. */
static inline void offer_scores_of(struct scan *scan, enum retrieve_order order,
                                   uint32_t first_item, uint32_t entry_count)
{
    bool needs_event = order == RETRIEVE_CONTROVERSIAL || order == RETRIEVE_BEST;
    const struct candidate *full = pick_worst(scan->pick);
    double bar = full != NULL ? full->net.value : -DBL_MAX;
    for (uint32_t i = 0; i < entry_count; i++) {
        if (!field_mask_has(&scan->mask, i) || is_hopeless(scan, order, i, bar)) continue;
        if (needs_event && (scan->positive[i] | scan->negative[i]) == 0) continue;
        double score = score_of(scan, order, i);
        if (score < bar) continue;
        struct candidate c = {.net = {.value = score}, .item = first_item + i};
        c.rank = rank_of_sum(c.net);
        (void)pick_offer(scan->pick, &c); /* the bar is read again either way */
        const struct candidate *worst = pick_worst(scan->pick);
        if (worst != NULL) bar = worst->net.value;
    }
}

static void offer_scores(struct scan *scan, uint32_t first_item, uint32_t entry_count)
{
    switch (scan->order) {
    case RETRIEVE_NEW: offer_scores_of(scan, RETRIEVE_NEW, first_item, entry_count); return;
    case RETRIEVE_HOT: offer_scores_of(scan, RETRIEVE_HOT, first_item, entry_count); return;
    case RETRIEVE_CONTROVERSIAL:
        offer_scores_of(scan, RETRIEVE_CONTROVERSIAL, first_item, entry_count);
        return;
    case RETRIEVE_BEST: offer_scores_of(scan, RETRIEVE_BEST, first_item, entry_count); return;
    case RETRIEVE_DECAYED:
    case RETRIEVE_TOP:
    case RETRIEVE_COUNT:
    case RETRIEVE_TRENDING:
    case RETRIEVE_RISING: break; /* not computed here */
    }
    UNREACHABLE();
}

/* Orders of windows. */

/* Does the type say what is positive, and keep the windows that a trend is made of? */
static bool has_trend(const struct signal_type *type)
{
    const uint8_t both = WINDOW_1H | WINDOW_24H;
    return type->polarity == POLARITY_POSITIVE && (type->windows & both) == both;
}

/* Both counters of an item in one load: the hour in its lower half, the day in its upper. */
static void counters_sum(const struct block *counters, uint64_t *restrict hours,
                         uint64_t *restrict days)
{
    const uint64_t *restrict both = (const uint64_t *)(const void *)counters_low(counters);
    const uint64_t *restrict high = (const uint64_t *)(const void *)counters_high(counters);
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
        hours[i] += both[i] & UINT32_MAX;
        days[i] += both[i] >> 32;
    }
    for (uint32_t i = 0; high != NULL && i < BLOCK_ENTRIES; i++) {
        hours[i] += high[i] << 32;
        days[i] += high[i] & ~(uint64_t)UINT32_MAX;
    }
}

/* Add up the last hour and the last day of every entry; false when nothing of the block is there.
 */
static bool block_windows(struct scan *scan, uint32_t block)
{
    const struct state *s = scan->state;
    bool has_any = false;
    for (uint32_t t = 0; t < s->schema.count; t++) {
        const struct signal_type *type = &s->schema.types[t];
        if (!has_trend(type)) continue;
        const struct block *counters = windows_counters(&s->windows, type->id, block);
        if (counters == NULL) continue;
        if (!has_any) {
            memset(scan->positive, 0, sizeof(scan->positive));
            memset(scan->negative, 0, sizeof(scan->negative));
        }
        has_any = true;
        counters_sum(counters, scan->positive, scan->negative);
    }
    return has_any;
}

static void offer_trend(struct scan *scan, uint32_t item, uint64_t hour, uint64_t day)
{
    double terms[SCORE_TERMS_MAX];
    bool is_rising = scan->order == RETRIEVE_RISING;
    int64_t age_ms = is_rising ? scan_age_ms(scan->state, item, scan->now_ms) : 0;
    if (age_ms >= SCORE_RISING_AGE_MAX_MS) return;
    double score =
        is_rising ? score_rising(hour, day, age_ms, terms) : score_trending(hour, day, terms);
    struct candidate c = {.net = {.value = score}, .item = item};
    c.rank = rank_of_sum(c.net);
    (void)pick_offer(scan->pick, &c); /* the bar is read again either way */
}

/* Events of the last hour that an entry needs to be able to reach the bar: no score is above them.
 */
static uint64_t hour_needed(const struct pick *pick)
{
    const struct candidate *worst = pick_worst(pick);
    double bar = worst != NULL ? worst->net.value * (1.0 - 1e-9) : 0.0;
    return bar > (double)SCORE_TREND_EVENTS ? (uint64_t)bar : SCORE_TREND_EVENTS;
}

static void offer_trends(struct scan *scan, uint32_t first_item, uint32_t entry_count)
{
    if (!block_windows(scan, first_item / BLOCK_ENTRIES)) return;
    uint64_t needed = hour_needed(scan->pick);
    for (uint32_t i = 0; i < entry_count; i++) {
        uint64_t hour = scan->positive[i];
        if (hour < needed || !field_mask_has(&scan->mask, i)) continue;
        const struct candidate *worst = pick_worst(scan->pick);
        uint64_t day = scan->negative[i];
        if (worst != NULL && score_trending_is_below(hour, day, worst->net.value)) continue;
        offer_trend(scan, first_item + i, hour, day);
        needed = hour_needed(scan->pick);
    }
}

static void scan_block(struct scan *scan, uint32_t block)
{
    const struct state *s = scan->state;
    uint32_t first_item = block * BLOCK_ENTRIES;
    uint32_t left = s->items.count - first_item;
    uint32_t entry_count = left < BLOCK_ENTRIES ? left : BLOCK_ENTRIES;
    enum filter_answer answer = filter_block(scan->filter, s, block, &scan->mask);
    if (answer == FILTER_NONE) return;
    if (answer == FILTER_ALL) memset(&scan->mask, 0xff, sizeof(scan->mask));
    if (scan->order == RETRIEVE_TRENDING || scan->order == RETRIEVE_RISING) {
        offer_trends(scan, first_item, entry_count);
        return;
    }
    if (scan->order != RETRIEVE_NEW) block_count(scan, block);
    if (scan->order == RETRIEVE_TOP || scan->order == RETRIEVE_COUNT) {
        offer_counts(scan, first_item, entry_count);
        return;
    }
    bool needs_times = scan->order == RETRIEVE_NEW || scan->order == RETRIEVE_HOT;
    if (needs_times) {
        ASSERT(s->items.shape.row_size == sizeof(int64_t));
        scan->created = keys_row(&s->items, first_item);
    }
    offer_scores(scan, first_item, entry_count);
}

uint64_t scan_window_of(const struct state *s, uint32_t item, uint8_t window)
{
    uint64_t events = 0;
    for (uint32_t t = 0; t < s->schema.count; t++) {
        const struct signal_type *type = &s->schema.types[t];
        if (has_trend(type)) events += windows_count(&s->windows, type->id, item, window);
    }
    return events;
}

bool scan_run(struct pick *pick, const struct retrieve_request *request)
{
    ASSERT(request->order != RETRIEVE_DECAYED);
    struct scan *scan = alloc_get(pick->alloc, sizeof(*scan));
    if (scan == NULL) return false;
    scan->pick = pick;
    scan->state = pick->state;
    scan->filter = request->filter;
    scan->order = request->order;
    scan->type_id = request->type_id;
    scan->now_ms = request->now_ms;
    memset(scan->negative, 0, sizeof(scan->negative));
    for (uint32_t i = 0; request->order == RETRIEVE_HOT && i < VOTES_KNOWN; i++) {
        scan->votes[i] = score_votes(i, 0);
    }
    for (uint32_t block = keys_block_count(&pick->state->items); block > 0; block--) {
        scan_block(scan, block - 1);
    }
    alloc_put(pick->alloc, scan, sizeof(*scan));
    return true;
}

struct scan_counts scan_counts_of(const struct state *s, uint32_t item)
{
    struct scan_counts counts = {0};
    for (uint32_t t = 0; t < s->schema.count; t++) {
        const struct signal_type *type = &s->schema.types[t];
        uint64_t count = columns_count(&s->columns, type->id, item);
        if (type->polarity == POLARITY_POSITIVE) {
            counts.positive += count;
        } else {
            counts.negative += count;
        }
    }
    return counts;
}
