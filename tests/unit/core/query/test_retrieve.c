/* Tests of core/query/retrieve against a plain sort of all items by 113-bit scores. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/query/expr.h"
#include "core/query/retrieve.h"
#include "support/quad.h"
#include "support/shelf.h"
#include "support/state_log.h"

#define START_MS \
    (INT64_C(472222) * HOUR_MS) /* whole half-lives: sums are exact, so ties are real */
#define HOUR_MS INT64_C(3600000)

enum { ITEMS_MAX = 20000 };

/* The model: what each item's events add up to, exactly. */
struct model_item {
    char key[24];
    int64_t created_ms;
    quad positive; /* at START_MS */
    quad negative;
    uint64_t views;
    uint64_t total; /* over types of positive polarity */
    bool is_excluded;
};

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
    struct model_item *items;
    uint32_t item_count;
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->items = calloc(ITEMS_MAX, sizeof(*w->items));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, (uint64_t)START_MS);
    w->s = state_log_state(&w->log, &w->alloc);
    state_log_type(&w->log, 1, "view", (uint64_t)HOUR_MS);
    state_log_type(&w->log, 2, "share", (uint64_t)HOUR_MS);
    struct record skip = state_log_type_record(3, "skip", (uint64_t)HOUR_MS);
    skip.as.schema.polarity = POLARITY_NEGATIVE;
    state_log_record(&w->log, &skip);
    state_log_type(&w->log, 4, "plain", 0);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    state_free(w->s);
    state_log_fini(&w->log);
    uint64_t left = atomic_load(&w->alloc.used_bytes);
    free(w->items);
    free(w);
    return left == 0 ? 0 : -1;
}

/* An event in the log and in the model. Keys are made from the item's number. */
static void event(struct world *w, uint32_t type, uint32_t item, int64_t time_ms, double weight)
{
    struct model_item *m = &w->items[item];
    if (m->key[0] == '\0') {
        snprintf(m->key, sizeof(m->key), "k%x", item * 2654435761u);
        m->created_ms = time_ms;
    }
    if (type == 1) {
        quad part = (quad)(weight < 0 ? -weight : weight) * quad_decay(time_ms, START_MS, HOUR_MS);
        if (weight < 0) m->negative += part;
        if (weight > 0) m->positive += part;
        m->views++;
    }
    if (type != 3) m->total++;
    if (item >= w->item_count) w->item_count = item + 1;
    state_log_signal(&w->log, type, m->key, time_ms, weight);
    if (state_log_size(&w->log) > 500000) state_log_seal(&w->log);
}

static void apply_all(struct world *w)
{
    state_log_seal(&w->log);
    state_log_apply(&w->log, 0, w->log.batch_count, w->s);
}

static enum retrieve_order model_order;

static int by_model(const void *a, const void *b)
{
    const struct model_item *x = *(const struct model_item *const *)a;
    const struct model_item *y = *(const struct model_item *const *)b;
    if (model_order == RETRIEVE_DECAYED) {
        quad p = x->positive - x->negative;
        quad q = y->positive - y->negative;
        if (p != q) return p > q ? -1 : 1;
    } else if (x->total != y->total) {
        return x->total > y->total ? -1 : 1;
    }
    if (x->created_ms != y->created_ms) return x->created_ms > y->created_ms ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* Compare retrieve with the sorted model. The model must have no two sums that differ by less than
 * rounding without being equal; the callers' weights and times see to that. */
static void check(struct world *w, enum retrieve_order order, uint32_t limit)
{
    struct model_item **sorted = calloc(w->item_count, sizeof(*sorted));
    uint32_t *excludes = calloc(w->item_count + 1, sizeof(*excludes));
    uint32_t count = 0;
    uint32_t exclude_count = 0;
    for (uint32_t i = 0; i < w->item_count; i++) {
        struct model_item *m = &w->items[i];
        if (m->is_excluded) {
            excludes[exclude_count++] = state_item_find(w->s, slice_of_text(m->key));
        }
        bool is_candidate = order == RETRIEVE_DECAYED ? m->views > 0 : m->total > 0;
        if (is_candidate && !m->is_excluded) sorted[count++] = m;
    }
    excludes[exclude_count++] = state_item_find(w->s, slice_of_text("never heard of"));
    model_order = order;
    qsort(sorted, count, sizeof(*sorted), by_model);
    if (count > limit) count = limit;
    struct retrieve_request request = {.order = order,
                                       .type_id = 1,
                                       .limit = limit,
                                       .now_ms = START_MS + HOUR_MS,
                                       .excludes = excludes,
                                       .exclude_count = exclude_count};
    static struct retrieve_row rows[RETRIEVE_LIMIT_MAX];
    uint32_t got = 0;
    struct err e;
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &got, &e), OK);
    assert_int_equal(got, count);
    for (uint32_t i = 0; i < count; i++) {
        struct slice key = state_item_key(w->s, rows[i].item);
        if (!slice_equal(key, slice_of_text(sorted[i]->key))) {
            fail_msg("row %u of %u is %.*s, not %s", i, count, (int)key.size,
                     (const char *)key.data, sorted[i]->key);
        }
        if (order == RETRIEVE_TOP) {
            assert_same_double(rows[i].score, (double)sorted[i]->total);
            continue;
        }
        assert_same_double(rows[i].score, state_score(w->s, 1, rows[i].item, 0, request.now_ms));
    }
    free(excludes);
    free(sorted);
}

static void check_limits(struct world *w)
{
    static const uint32_t limits[] = {1, 2, 10, 100, 1000};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        check(w, RETRIEVE_DECAYED, limits[i]);
        check(w, RETRIEVE_TOP, limits[i]);
    }
}

/* Several blocks at very different epochs, items that grow with time and against it. */
static void best_items_equal_the_sorted_ones(void **state)
{
    struct world *w = *state;
    struct random r;
    random_init(&r, tm_seed("retrieve", 1));
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        int64_t hours =
            i < 10000 ? (int64_t)(random_below(&r, 2000)) - 1500 : (int64_t)(i % 3000) - 2500;
        event(w, 1, i, START_MS + hours * HOUR_MS, 1.0 + (double)random_below(&r, 1000000));
        if (random_chance(&r, 200000)) {
            event(w, 2, (uint32_t)random_below(&r, i + 1), START_MS, 1.0);
        }
    }
    apply_all(w);
    check_limits(w);
}

/* Few distinct sums: created_at decides, newest first, then the key. */
static void ties_are_broken_by_age_and_key(void **state)
{
    struct world *w = *state;
    struct random r;
    random_init(&r, tm_seed("ties", 1));
    for (uint32_t i = 0; i < 9000; i++) {
        /* weight 1 now, 2 an hour ago, 4 two hours ago: equal sums, different ages */
        int64_t hours = (int64_t)random_below(&r, 3);
        double weight = (double)(1u << hours) * (1.0 + (double)random_below(&r, 3));
        event(w, 1, i, START_MS - hours * HOUR_MS, weight);
    }
    apply_all(w);
    check_limits(w);
}

/* Negative and cancelled sums, zero weights, blocks with one sign or both. */
static void negative_sums_come_last(void **state)
{
    struct world *w = *state;
    struct random r;
    random_init(&r, tm_seed("negative", 1));
    for (uint32_t i = 0; i < 5000; i++) {
        /* the second block has negative sums only */
        double weight = i < 4096 ? (double)random_below(&r, 64) - 32.0 : -1.0 - i % 50;
        event(w, 1, i, START_MS - (int64_t)random_below(&r, 20) * HOUR_MS, weight);
        if (i % 3 == 0 && i < 4096) {
            event(w, 1, i, START_MS - (int64_t)random_below(&r, 20) * HOUR_MS, 0.0 - weight);
        }
        if (i % 7 == 0) event(w, 3, i, START_MS, 1.0);
        if (i > 1500 && i < 4000) w->items[i].is_excluded = true;
    }
    apply_all(w);
    check_limits(w);
}

static void excluded_items_are_left_out(void **state)
{
    struct world *w = *state;
    struct random r;
    random_init(&r, tm_seed("exclude", 1));
    for (uint32_t i = 0; i < 6000; i++) {
        event(w, 1, i, START_MS - (int64_t)random_below(&r, 100) * HOUR_MS,
              1.0 + (double)random_below(&r, 100000));
        w->items[i].is_excluded = random_chance(&r, 400000);
    }
    apply_all(w);
    check_limits(w);
    for (uint32_t i = 0; i < 6000; i++) {
        w->items[i].is_excluded = true;
    }
    check_limits(w);
}

/* An event makes a candidate, even of weight 0 or faded to nothing; an event of another type does
 * not. */
static void items_without_an_event_of_the_type_are_no_candidates(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 300; i++) {
        if (i % 3 == 0) event(w, 2, i, START_MS, 1.0);
        if (i % 3 == 1) event(w, 1, i, START_MS, 0.0);
        if (i % 3 == 2) event(w, 3, i, START_MS, 1.0);
        if (i % 30 == 2) event(w, 1, i, START_MS, 1.0);
    }
    apply_all(w);
    check_limits(w);
}

static void an_empty_state_has_no_best_items(void **state)
{
    struct world *w = *state;
    apply_all(w);
    check_limits(w);
}

/* The order does not depend on the moment that is asked about; the scores do. */
static void order_is_the_same_at_every_moment(void **state)
{
    struct world *w = *state;
    struct random r;
    random_init(&r, tm_seed("moment", 1));
    for (uint32_t i = 0; i < 3000; i++) {
        event(w, 1, i, START_MS - (int64_t)random_below(&r, 1000000000), 1.0);
    }
    apply_all(w);
    static struct retrieve_row now[100];
    static struct retrieve_row later[100];
    uint32_t count;
    struct err e;
    struct retrieve_request request = {
        .order = RETRIEVE_DECAYED, .type_id = 1, .limit = 100, .now_ms = START_MS};
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, now, &count, &e), OK);
    request.now_ms = START_MS + 12345 * HOUR_MS; /* all scores are 0 by then */
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, later, &count, &e), OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(now[i].item, later[i].item);
        assert_same_double(later[i].score, 0.0);
    }
}

/* Equal sums leave zones nothing to skip: what was looked at is bounded on request. */
static void a_decayed_order_gives_up_beyond_its_bound(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 2000; i++) {
        event(w, 1, i, START_MS, 1.0);
    }
    apply_all(w);
    struct retrieve_request request = {
        .order = RETRIEVE_DECAYED, .type_id = 1, .limit = 3, .now_ms = START_MS, .work_max = 1000};
    struct retrieve_row rows[3];
    uint32_t count = 0;
    struct err e;
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), E_BUSY);
    request.work_max = 3000;
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), OK);
    assert_int_equal(count, 3);
}

static void wrong_requests_are_answers(void **state)
{
    struct world *w = *state;
    apply_all(w);
    struct retrieve_row rows[1];
    uint32_t count = 77;
    struct err e;
    struct retrieve_request request = {.order = RETRIEVE_DECAYED, .type_id = 9, .limit = 1};
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), E_SCHEMA);
    request.type_id = 4; /* no half-life */
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), E_SCHEMA);
    request.type_id = 1;
    request.limit = 0;
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), E_LIMIT);
    request.limit = RETRIEVE_LIMIT_MAX + 1;
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), E_LIMIT);
    assert_int_equal(count, 77);
}

static void refused_memory_is_an_answer(void **state)
{
    struct world *w = *state;
    event(w, 1, 0, START_MS, 1.0);
    apply_all(w);
    struct retrieve_row rows[1];
    uint32_t count;
    struct err e;
    uint32_t exclude = 0;
    struct retrieve_request request = {
        .order = RETRIEVE_TOP, .limit = 1, .excludes = &exclude, .exclude_count = 1};
    uint64_t used = atomic_load(&w->alloc.used_bytes);
    for (int64_t n = 1; n <= 3; n++) {
        atomic_store(&w->alloc.fail_countdown, n);
        assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), E_NOMEMORY);
        assert_int_equal(atomic_load(&w->alloc.used_bytes), used);
    }
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), OK);
    assert_int_equal(atomic_load(&w->alloc.used_bytes), used);
}

/* All items of a listing, page by page. */
static uint32_t list_all(struct shelf *shelf, struct retrieve_request request, uint32_t *items)
{
    static struct retrieve_row rows[RETRIEVE_LIMIT_MAX];
    struct retrieve_after after = {.has_shown = true};
    uint32_t total = 0;
    uint32_t count = 0;
    struct err e;
    do {
        if (retrieve_run(shelf->state, &shelf->alloc, &request, rows, &count, &e) != OK) {
            fail_msg("%s", e.text);
        }
        for (uint32_t i = 0; i < count; i++) {
            items[total++] = rows[i].item;
        }
        if (count == 0) break;
        const struct retrieve_row *last = &rows[count - 1];
        after.place = (struct pick_place){
            .rank = last->rank,
            .created_ms = state_item_created_ms(shelf->state, last->item),
            .key = state_item_key(shelf->state, last->item),
        };
        request.after = &after;
    } while (count == request.limit);
    return total;
}

/* With a filter comes what comes without, in the same order, but for what does not pass. */
static void a_filter_takes_items_out_of_every_order(void **state)
{
    (void)state;
    enum { SHELF_ITEMS = 9000 };
    static const char *const texts[] = {
        "nsfw",     "topic = 't1' and not nsfw", "creator='c1'",  "year >= 0",
        "year < 0", "seen in (1700000000001)",   "topic != 't0'", "created_at > 0"};
    static uint32_t all[SHELF_ITEMS];
    static uint32_t passed[SHELF_ITEMS];
    static bool passes[SHELF_ITEMS];
    static struct filter f;
    struct shelf shelf;
    shelf_init(&shelf, SHELF_ITEMS, tm_seed("retrieve", 1));
    for (int order = RETRIEVE_DECAYED; order <= RETRIEVE_RISING; order++) {
        struct retrieve_request request = {.order = (enum retrieve_order)order,
                                           .type_id = 1,
                                           .limit = RETRIEVE_LIMIT_MAX,
                                           .now_ms = 1700000000000};
        uint32_t all_count = list_all(&shelf, request, all);
        for (size_t t = 0; t < COUNT_OF(texts); t++) {
            struct err e;
            assert_int_equal(expr_compile(slice_of_text(texts[t]), shelf.state, &f, &e), OK);
            shelf_ask(&shelf, &f, passes);
            request.filter = &f;
            request.limit = t % 2 == 0 ? 1000 : 77;
            uint32_t passed_count = list_all(&shelf, request, passed);
            uint32_t k = 0;
            for (uint32_t i = 0; i < all_count; i++) {
                if (!passes[all[i]]) continue;
                assert_true(k < passed_count);
                assert_int_equal(passed[k++], all[i]);
            }
            assert_int_equal(k, passed_count);
        }
        assert_true(all_count > 1000);
    }
    shelf_fini(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(best_items_equal_the_sorted_ones, begin, end),
        cmocka_unit_test_setup_teardown(ties_are_broken_by_age_and_key, begin, end),
        cmocka_unit_test_setup_teardown(negative_sums_come_last, begin, end),
        cmocka_unit_test_setup_teardown(excluded_items_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(items_without_an_event_of_the_type_are_no_candidates, begin,
                                        end),
        cmocka_unit_test_setup_teardown(an_empty_state_has_no_best_items, begin, end),
        cmocka_unit_test_setup_teardown(order_is_the_same_at_every_moment, begin, end),
        cmocka_unit_test_setup_teardown(a_decayed_order_gives_up_beyond_its_bound, begin, end),
        cmocka_unit_test_setup_teardown(wrong_requests_are_answers, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_is_an_answer, begin, end),
        cmocka_unit_test(a_filter_takes_items_out_of_every_order),
    };
    return cmocka_run_group_tests_name("core/query/retrieve", tests, NULL, NULL);
}
