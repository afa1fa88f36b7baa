/* retrieve: see retrieve.h. The decayed order is answered here through the zones of column blocks;
 * orders by computed scores are scan.c's. Decayed sums of different blocks are in different units,
 * so candidates are compared by sign, exponent + epoch and mantissa, never by bringing sums to one
 * unit, which could overflow. What the worst of the best is worth in a block's own unit (the bar)
 * rejects nearly every entry with one comparison of doubles, and whole zones by their maxima. Where
 * nothing is left out the bar is high from the start (floor.h); else later items are looked at
 * first: with events in order of time they tend to hold the larger sums.
 *
 * The order is that of the sums themselves, the same at every moment; scores are computed for the
 * rows found. Reads only; the owner thread of the state calls it. Memory: k candidates, a set of
 * the items left out and a block's worth of scores, given back before returning. */
#include "core/query/retrieve.h"

#include <float.h>

#include "base/assert.h"
#include "core/query/floor.h"
#include "core/query/scan.h"
#include "core/query/score.h"
#include "core/state/decay.h"
#include "core/state/inside.h"

struct search {
    const struct state *state;
    const struct filter *filter; /* NULL: none */
    struct pick pick;
    /* A later page of a listing that began when the type had no negative sums. */
    bool is_rising_only;
    uint64_t work_left; /* items that may still be looked at */
    /* The bar before the pick is full (floor.h). */
    bool has_floor;
    struct net_sum floor;
};

/* Decayed order. */

/* A block while it is looked at. bars: what the heap's worst is worth in the unit of the positive
 * and of the negative sums; a net sum below the bar of its unit cannot enter. */
struct block_scan {
    struct column_view view;
    uint32_t first_item;
    uint32_t entry_count;
    int64_t epochs[SIGNS];
    double bars[SIGNS];
    bool has_mask;
    struct field_mask mask; /* entries that may be answered with */
};

static void bars_set(struct block_scan *b, const struct search *q)
{
    for (int sign = SIGN_POSITIVE; sign < SIGNS; sign++) {
        const struct candidate *worst = pick_worst(&q->pick);
        const struct net_sum *bar = worst != NULL ? &worst->net : &q->floor;
        bool has_bar = worst != NULL || q->has_floor;
        b->bars[sign] = has_bar ? decay_rescale(bar->value, bar->epoch, b->epochs[sign]) : -DBL_MAX;
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

/* Could this item have been shown on an earlier page and have fallen since? What it gained alone is
 * at least what it was ever worth; if that does not lie behind the place, it is left out. Its order
 * changed in any case: there were no negative sums when the listing began. */
static bool may_have_fallen(const struct search *q, const struct block_scan *b, uint32_t entry)
{
    const struct sums *negative = b->view.sums[SIGN_NEGATIVE];
    if (!q->is_rising_only || negative == NULL || negative->values[entry] == 0.0) return false;
    const struct sums *positive = b->view.sums[SIGN_POSITIVE];
    struct net_sum gained = {0};
    if (positive != NULL) {
        gained = (struct net_sum){.value = positive->values[entry], .epoch = positive->epoch};
    }
    return rank_compare(rank_of_sum(gained), q->pick.after->rank) >= 0;
}

/* Ask the filter about the block, once and only when something in it is above the bar. */
static void mask_take(struct search *q, struct block_scan *b)
{
    if (b->has_mask) return;
    b->has_mask = true;
    enum filter_answer answer =
        filter_block(q->filter, q->state, b->first_item / BLOCK_ENTRIES, &b->mask);
    if (answer != FILTER_SOME) memset(&b->mask, answer == FILTER_ALL ? 0xff : 0, sizeof(b->mask));
    uint64_t work = filter_work(q->filter);
    q->work_left = q->work_left > work ? q->work_left - work : 0;
}

/* A net sum that is not below its bar. Without an event the item is no candidate. */
static void offer_sum(struct search *q, struct block_scan *b, uint32_t entry, struct net_sum net)
{
    if (!field_mask_has(&b->mask, entry)) return;
    if (net.value == 0.0 && count_block_get(b->view.counts, entry) == 0) return;
    struct candidate c = {.rank = rank_of_sum(net), .net = net, .item = b->first_item + entry};
    if (may_have_fallen(q, b, entry)) return;
    if (pick_offer(&q->pick, &c)) bars_set(b, q);
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
        mask_take(q, b);
        if (field_mask_is_empty(&b->mask, from, ZONE_ENTRIES)) continue;
        if (q->work_left < to - from) {
            q->work_left = 0;
            return;
        }
        q->work_left -= to - from;
        if (is_positive) {
            scan_positive(q, b, from, to);
        } else {
            scan_signed(q, b, from, to);
        }
    }
}

/* May every item be answered with, so that those that reach the floor are all candidates? */
static bool is_open_to_all(const struct search *q, const struct retrieve_request *request)
{
    return q->filter == NULL && request->after == NULL && request->exclude_count == 0 &&
           state_item_live_count(q->state) == q->state->items.count;
}

static void search_decayed(struct search *q, const struct signal_type *type)
{
    for (uint32_t i = keys_block_count(&q->state->items); i > 0 && q->work_left > 0; i--) {
        struct block_scan b = scan_of(q, type, i - 1);
        if (b.view.counts != NULL) scan_block(q, &b);
    }
}

/* Empty the pick into rows, best first. */
static void rows_fill(struct pick *pick, const struct retrieve_request *request,
                      const struct signal_type *type, struct retrieve_row *rows)
{
    while (pick->count > 0) {
        struct candidate worst = pick_take_worst(pick);
        double score = worst.net.value;
        if (request->order == RETRIEVE_DECAYED) {
            score = decay_read(worst.net.value, worst.net.epoch, request->now_ms,
                               type->halflives_ms[0]);
        }
        rows[pick->count] =
            (struct retrieve_row){.item = worst.item, .score = score, .rank = worst.rank};
    }
}

static enum code request_check(const struct state *s, const struct retrieve_request *request,
                               struct err *e)
{
    if (request->limit < 1 || request->limit > RETRIEVE_LIMIT_MAX) {
        return ERR(e, E_LIMIT, "limit %u, the limits are 1 and %u", request->limit,
                   RETRIEVE_LIMIT_MAX);
    }
    if (request->order != RETRIEVE_DECAYED && request->order != RETRIEVE_COUNT) return OK;
    const struct signal_type *type = schema_type(&s->schema, request->type_id);
    if (type == NULL) return ERR(e, E_SCHEMA, "signal type %u is unknown", request->type_id);
    if (request->order == RETRIEVE_DECAYED && type->halflife_count == 0) {
        return ERR(e, E_SCHEMA, "signal type %s has no half-life", type->name);
    }
    return OK;
}

enum code retrieve_run(const struct state *s, struct alloc *alloc,
                       const struct retrieve_request *request, struct retrieve_row *rows,
                       uint32_t *out_count, struct err *e)
{
    TRY(request_check(s, request, e));
    const struct retrieve_after *after = request->after;
    struct pick_options options = {
        .limit = request->limit,
        .excludes = request->excludes,
        .exclude_count = request->exclude_count,
        .after = after != NULL ? &after->place : NULL,
        .shown = after != NULL ? after->shown : NULL,
        .shown_count = after != NULL ? after->shown_count : 0,
    };
    struct search q = {.state = s,
                       .filter = request->filter,
                       .is_rising_only = after != NULL && !after->has_shown,
                       .work_left = request->work_max != 0 ? request->work_max : UINT64_MAX};
    if (!pick_init(&q.pick, s, alloc, &options)) {
        return ERR(e, E_NOMEMORY, "no memory to look for %u items", request->limit);
    }
    const struct signal_type *type = schema_type(&s->schema, request->type_id);
    enum code code = OK;
    if (request->order == RETRIEVE_DECAYED) {
        q.has_floor =
            is_open_to_all(&q, request) && floor_find(s, alloc, type->id, request->limit, &q.floor);
        search_decayed(&q, type);
        if (q.work_left == 0) code = ERR(e, E_BUSY, "more than the bound is to be looked at");
    } else if (!scan_run(&q.pick, request)) {
        code = ERR(e, E_NOMEMORY, "no memory to look for %u items", request->limit);
    }
    if (code == OK) {
        *out_count = q.pick.count;
        rows_fill(&q.pick, request, type, rows);
    }
    pick_fini(&q.pick);
    return code;
}

uint64_t retrieve_work_min(const struct state *s, const struct retrieve_request *request)
{
    uint64_t items = s->items.count;
    uint64_t filtering = keys_block_count(&s->items) * filter_work(request->filter);
    if (request->order == RETRIEVE_DECAYED) return items / ZONE_ENTRIES;
    if (request->order == RETRIEVE_NEW) return items + filtering;
    return items * ((uint64_t)s->schema.count + 1) + filtering;
}

/* Can a signal of the type be taken back, or another take its place? */
static bool is_undoable(const struct state *s, uint32_t type_id)
{
    const struct signal_type *type = schema_type(&s->schema, type_id);
    return type != NULL && type->mode != SIGNAL_MODE_COUNT;
}

static bool can_top_fall(const struct state *s)
{
    for (uint32_t id = 1; id <= s->schema.count; id++) {
        bool is_counted = s->schema.types[id - 1].polarity == POLARITY_POSITIVE;
        if (is_counted && is_undoable(s, id)) return true;
    }
    return false;
}

bool retrieve_can_fall(const struct state *s, const struct retrieve_request *request)
{
    switch (request->order) {
    case RETRIEVE_NEW: return false;
    case RETRIEVE_TOP: return can_top_fall(s);
    case RETRIEVE_COUNT: return is_undoable(s, request->type_id);
    case RETRIEVE_HOT:
    case RETRIEVE_CONTROVERSIAL:
    case RETRIEVE_BEST:
    case RETRIEVE_TRENDING:
    case RETRIEVE_RISING: return true;
    case RETRIEVE_DECAYED: break;
    }
    if (is_undoable(s, request->type_id)) return true;
    for (uint32_t i = keys_block_count(&s->items); i > 0; i--) {
        struct column_view view = columns_view(&s->columns, request->type_id, 0, i - 1);
        if (view.sums[SIGN_NEGATIVE] != NULL) return true;
    }
    return false;
}

uint32_t retrieve_terms_max(const struct state *s)
{
    return s->schema.count > SCORE_TERMS_MAX ? s->schema.count : SCORE_TERMS_MAX;
}

/* `top`: one term for each type that counted. */
static uint32_t terms_of_counts(const struct state *s, uint32_t item, struct retrieve_term *terms)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < s->schema.count; t++) {
        const struct signal_type *type = &s->schema.types[t];
        if (type->polarity != POLARITY_POSITIVE) continue;
        uint64_t events = columns_count(&s->columns, type->id, item);
        if (events == 0) continue;
        terms[count++] = (struct retrieve_term){.name = type->name, .value = (double)events};
    }
    return count;
}

static uint32_t name_terms(const char *const *names, uint32_t count,
                           const double values[SCORE_TERMS_MAX], struct retrieve_term *terms)
{
    for (uint32_t i = 0; i < count; i++) {
        terms[i] = (struct retrieve_term){.name = names[i], .value = values[i]};
    }
    return count;
}

static uint32_t terms_of_trend(const struct state *s, const struct retrieve_request *request,
                               uint32_t item, struct retrieve_term *terms)
{
    static const char *const names[] = {"pace", "usual"};
    double values[SCORE_TERMS_MAX];
    uint64_t hour = scan_window_of(s, item, WINDOW_1H);
    uint64_t day = scan_window_of(s, item, WINDOW_24H);
    if (request->order == RETRIEVE_TRENDING) {
        (void)score_trending(hour, day, values); /* the row has the score */
    } else {
        (void)score_rising(hour, day, scan_age_ms(s, item, request->now_ms), values);
    }
    return name_terms(names, COUNT_OF(names), values, terms);
}

uint32_t retrieve_terms(const struct state *s, const struct retrieve_request *request,
                        const struct retrieve_row *row, struct retrieve_term *terms)
{
    static const char *const of_hot[] = {"votes", "age", "rounding"};
    static const char *const of_best[] = {"share", "prior", "doubt"};
    double values[SCORE_TERMS_MAX];
    struct scan_counts counts = scan_counts_of(s, row->item);
    *terms = (struct retrieve_term){.value = row->score};
    switch (request->order) {
    case RETRIEVE_TOP: return terms_of_counts(s, row->item, terms);
    case RETRIEVE_HOT:
        (void)score_hot(score_votes(counts.positive, counts.negative),
                        state_item_created_ms(s, row->item), values);
        return name_terms(of_hot, COUNT_OF(of_hot), values, terms);
    case RETRIEVE_BEST:
        (void)score_best(counts.positive, counts.negative, SCORE_BEST_Z, values);
        return name_terms(of_best, COUNT_OF(of_best), values, terms);
    case RETRIEVE_TRENDING:
    case RETRIEVE_RISING: return terms_of_trend(s, request, row->item, terms);
    case RETRIEVE_NEW: terms->name = "created_at"; return 1;
    case RETRIEVE_CONTROVERSIAL: terms->name = "controversy"; return 1;
    case RETRIEVE_DECAYED:
    case RETRIEVE_COUNT: terms->name = schema_type(&s->schema, request->type_id)->name; return 1;
    }
    UNREACHABLE();
}
