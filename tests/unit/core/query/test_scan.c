/* Tests of core/query/scan and of pages: every order against a plain sort of all items, and every
 * page against the same sort, also while events arrive in between. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/query/retrieve.h"
#include "core/query/scan.h"
#include "core/query/score.h"
#include "support/state_log.h"

#define HOUR_MS  INT64_C(3600000)
#define START_MS (INT64_C(472222) * HOUR_MS)

enum { ITEMS_MAX = 10000, VIEW = 1, LIKE = 2, SKIP = 3 };

struct model_item {
    char key[24];
    int64_t created_ms;
    uint64_t views;
    uint64_t positive;
    uint64_t negative;
    double score;
    bool is_deleted;
    bool was_shown;
    bool has_changed; /* since the listing began */
};

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
    struct random random;
    size_t applied;
    uint32_t item_count;
    struct model_item items[ITEMS_MAX];
    struct model_item *sorted[ITEMS_MAX];
};

static const enum retrieve_order orders[] = {
    RETRIEVE_NEW, RETRIEVE_TOP, RETRIEVE_COUNT, RETRIEVE_HOT, RETRIEVE_CONTROVERSIAL, RETRIEVE_BEST,
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, (uint64_t)START_MS);
    w->s = state_log_state(&w->log, &w->alloc);
    state_log_type(&w->log, VIEW, "view", (uint64_t)HOUR_MS);
    state_log_type(&w->log, LIKE, "like", (uint64_t)HOUR_MS);
    struct record skip = state_log_type_record(SKIP, "skip", (uint64_t)HOUR_MS);
    skip.as.schema.polarity = POLARITY_NEGATIVE;
    state_log_record(&w->log, &skip);
    random_init(&w->random, tm_seed("scan", 1));
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    state_free(w->s);
    state_log_fini(&w->log);
    uint64_t left = atomic_load(&w->alloc.used_bytes);
    free(w);
    return left == 0 ? 0 : -1;
}

static void event(struct world *w, uint32_t type, uint32_t item, int64_t time_ms)
{
    struct model_item *m = &w->items[item];
    if (m->key[0] == '\0') {
        snprintf(m->key, sizeof(m->key), "k%x", item * 2654435761u);
        m->created_ms = time_ms;
    }
    if (type == VIEW) m->views++;
    if (type == SKIP) m->negative++;
    if (type != SKIP) m->positive++;
    m->has_changed = true;
    if (item >= w->item_count) w->item_count = item + 1;
    state_log_signal(&w->log, type, m->key, time_ms, 1.0);
    if (state_log_size(&w->log) > 500000) state_log_seal(&w->log);
}

static void apply(struct world *w)
{
    state_log_seal(&w->log);
    w->log.leader_ms += 1000;
    state_log_apply(&w->log, w->applied, w->log.batch_count, w->s);
    w->applied = w->log.batch_count;
}

/* Items in ascending order of number, created around START_MS, often at the same moment. */
static void populate(struct world *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t time = START_MS - (int64_t)random_below(&w->random, 20) * HOUR_MS;
        uint64_t events = 1 + random_below(&w->random, 1 + random_below(&w->random, 12));
        for (uint64_t k = 0; k < events; k++) {
            event(w, 1 + (uint32_t)random_below(&w->random, 3), i, time);
        }
    }
    apply(w);
}

static double model_score(const struct model_item *m, enum retrieve_order order)
{
    double terms[SCORE_TERMS_MAX];
    switch (order) {
    case RETRIEVE_NEW: return (double)m->created_ms;
    case RETRIEVE_TOP: return (double)m->positive;
    case RETRIEVE_COUNT: return (double)m->views;
    case RETRIEVE_HOT:
        return score_hot(score_votes(m->positive, m->negative), m->created_ms, terms);
    case RETRIEVE_CONTROVERSIAL: return score_controversial(m->positive, m->negative);
    case RETRIEVE_BEST: return score_best(m->positive, m->negative, SCORE_BEST_Z, terms);
    case RETRIEVE_TRENDING:
    case RETRIEVE_RISING:
    case RETRIEVE_DECAYED: break;
    }
    abort();
}

static int by_model(const void *a, const void *b)
{
    const struct model_item *x = *(const struct model_item *const *)a;
    const struct model_item *y = *(const struct model_item *const *)b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->created_ms != y->created_ms) return x->created_ms > y->created_ms ? -1 : 1;
    return strcmp(x->key, y->key);
}

static uint32_t sort_model(struct world *w, enum retrieve_order order)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->item_count; i++) {
        struct model_item *m = &w->items[i];
        m->score = model_score(m, order);
        if (m->is_deleted) continue;
        if (order == RETRIEVE_TOP && m->positive == 0) continue;
        if (order == RETRIEVE_COUNT && m->views == 0) continue;
        w->sorted[count++] = m;
    }
    qsort(w->sorted, count, sizeof(w->sorted[0]), by_model);
    return count;
}

static void check_terms(struct world *w, const struct retrieve_request *request,
                        const struct retrieve_row *row)
{
    struct retrieve_term terms[8];
    assert_true(retrieve_terms_max(w->s) <= COUNT_OF(terms));
    uint32_t count = retrieve_terms(w->s, request, row, terms);
    assert_true(count >= 1 && count <= COUNT_OF(terms));
    double sum = terms[0].value;
    for (uint32_t i = 1; i < count; i++) {
        sum += terms[i].value;
    }
    assert_same_double(sum, row->score);
}

/* A listing as a client holds it. */
struct listing {
    struct retrieve_request request;
    struct retrieve_after after;
    struct retrieve_row rows[RETRIEVE_LIMIT_MAX];
    char key[256];
    uint32_t shown[ITEMS_MAX];
};

/* The next page; returns how many rows it has. */
static uint32_t page(struct world *w, struct listing *l)
{
    uint32_t count = 0;
    struct err e;
    if (retrieve_run(w->s, &w->alloc, &l->request, l->rows, &count, &e) != OK)
        fail_msg("%s", e.text);
    if (count == 0) return 0;
    if (l->request.after == NULL) l->after.has_shown = retrieve_can_fall(w->s, &l->request);
    const struct retrieve_row *last = &l->rows[count - 1];
    struct slice key = state_item_key(w->s, last->item);
    memcpy(l->key, key.data, key.size);
    l->after.place = (struct pick_place){.rank = last->rank,
                                         .created_ms = state_item_created_ms(w->s, last->item),
                                         .key = slice_of(l->key, key.size)};
    for (uint32_t i = 0; l->after.has_shown && i < count; i++) {
        l->shown[l->after.shown_count++] = l->rows[i].item;
    }
    l->after.shown = l->shown;
    l->request.after = &l->after;
    return count;
}

static void check_every_order(struct world *w)
{
    static const uint32_t limits[] = {1000, 97, 7};
    struct listing *l = calloc(1, sizeof(*l));
    for (size_t o = 0; o < COUNT_OF(orders); o++) {
        uint32_t count = sort_model(w, orders[o]);
        for (size_t k = 0; k < COUNT_OF(limits); k++) {
            if (limits[k] == 7 && o > 2) continue; /* the small pages cost most */
            memset(l, 0, sizeof(*l));
            l->request =
                (struct retrieve_request){.order = orders[o], .type_id = VIEW, .limit = limits[k]};
            uint32_t seen = 0;
            for (uint32_t got; (got = page(w, l)) > 0;) {
                for (uint32_t i = 0; i < got; i++, seen++) {
                    struct slice key = state_item_key(w->s, l->rows[i].item);
                    if (!slice_equal(key, slice_of_text(w->sorted[seen]->key)))
                        fail_msg("order %zu row %u is %.*s %.17g, not %s %.17g", o, seen,
                                 (int)key.size, (const char *)key.data, l->rows[i].score,
                                 w->sorted[seen]->key, w->sorted[seen]->score);
                    assert_same_double(l->rows[i].score, w->sorted[seen]->score);
                    if (k == 0) check_terms(w, &l->request, &l->rows[i]);
                }
            }
            assert_int_equal(seen, count);
        }
    }
    free(l);
}

static void every_order_equals_a_plain_sort_page_by_page(void **state)
{
    struct world *w = *state;
    populate(w, ITEMS_MAX);
    check_every_order(w);
}

/* Deleted items are in no listing of any order, and come back with the next put. */
static void deleted_items_are_left_out(void **state)
{
    struct world *w = *state;
    static const enum retrieve_order others[] = {RETRIEVE_DECAYED, RETRIEVE_TRENDING,
                                                 RETRIEVE_RISING};
    populate(w, 3000);
    for (uint32_t i = 0; i < w->item_count; i += 1 + (uint32_t)random_below(&w->random, 4)) {
        w->items[i].is_deleted = true;
        struct record r = {.kind = RECORD_ITEM_DELETE};
        r.as.item_ref.key = slice_of_text(w->items[i].key);
        state_log_record(&w->log, &r);
    }
    for (uint32_t i = 0; i < 40; i++) { /* of the last hour, so that some are trending */
        event(w, VIEW, i % 20, START_MS);
    }
    apply(w);
    check_every_order(w);
    struct listing *l = calloc(1, sizeof(*l));
    for (size_t o = 0; o < COUNT_OF(others); o++) {
        memset(l, 0, sizeof(*l));
        l->request = (struct retrieve_request){
            .order = others[o], .type_id = VIEW, .limit = 100, .now_ms = START_MS + 1000};
        for (uint32_t got; (got = page(w, l)) > 0;) {
            for (uint32_t i = 0; i < got; i++) {
                assert_false(w->items[l->rows[i].item].is_deleted);
            }
        }
    }
    free(l);
    static const uint8_t none[] = {0};
    for (uint32_t i = 0; i < w->item_count; i++) {
        struct model_item *m = &w->items[i];
        if (!m->is_deleted) continue;
        m->is_deleted = false;
        struct record r = {.kind = RECORD_ITEM_PUT};
        r.as.put = (struct record_put){.key = slice_of_text(m->key),
                                       .has_created = 1,
                                       .created_ms = m->created_ms,
                                       .fields = slice_of(none, sizeof(none))};
        state_log_record(&w->log, &r);
    }
    apply(w);
    check_every_order(w);
}

/* Pages while events of all types arrive: nothing comes twice, and whatever did not change since
 * the listing began is there. */
static void list_while_writing(struct world *w, enum retrieve_order order, uint32_t pages)
{
    struct listing *l = calloc(1, sizeof(*l));
    l->request = (struct retrieve_request){
        .order = order, .type_id = VIEW, .limit = 2, .now_ms = START_MS + HOUR_MS};
    for (uint32_t i = 0; i < w->item_count; i++) {
        w->items[i].has_changed = w->items[i].was_shown = false;
    }
    uint32_t got = 2;
    uint32_t page_count = 0;
    while (got > 0) {
        got = page(w, l);
        page_count++;
        for (uint32_t i = 0; i < got; i++) {
            struct model_item *m = &w->items[l->rows[i].item];
            if (m->was_shown) fail_msg("item %s came twice", m->key);
            m->was_shown = true;
        }
        for (uint32_t k = 0; k < 3; k++) { /* every item of every page seen so far may fall */
            uint32_t item = (uint32_t)random_below(&w->random, w->item_count);
            event(w, 1 + (uint32_t)random_below(&w->random, 3), item, START_MS);
            if (got > 0) event(w, SKIP, l->rows[0].item, START_MS);
        }
        apply(w);
    }
    assert_true(page_count >= pages);
    for (uint32_t i = 0; i < w->item_count; i++) {
        const struct model_item *m = &w->items[i];
        bool is_candidate = order == RETRIEVE_TOP     ? m->positive > 0
                            : order == RETRIEVE_COUNT ? m->views > 0
                                                      : true;
        if (is_candidate && !m->has_changed && !m->was_shown) fail_msg("%s is missing", m->key);
    }
    free(l);
}

static void a_thousand_pages_while_writing_repeat_and_miss_nothing(void **state)
{
    struct world *w = *state;
    populate(w, 4500);
    for (size_t o = 0; o < COUNT_OF(orders); o++) {
        list_while_writing(w, orders[o], orders[o] == RETRIEVE_NEW ? 1000 : 400);
    }
}

/* Decayed sums: the same, with negative weights that come before or only after the first page. */
static void a_decayed_listing_survives_negative_weights(void **state)
{
    struct world *w = *state;
    populate(w, 3000);
    for (int round = 0; round < 2; round++) {
        struct listing *l = calloc(1, sizeof(*l));
        l->request = (struct retrieve_request){
            .order = RETRIEVE_DECAYED, .type_id = VIEW, .limit = 3, .now_ms = START_MS};
        for (uint32_t i = 0; i < w->item_count; i++) {
            w->items[i].has_changed = w->items[i].was_shown = false;
        }
        for (uint32_t got; (got = page(w, l)) > 0;) {
            assert_int_equal(l->after.has_shown, round == 1);
            for (uint32_t i = 0; i < got; i++) {
                struct model_item *m = &w->items[l->rows[i].item];
                if (m->was_shown) fail_msg("item %s came twice", m->key);
                m->was_shown = true;
            }
            struct model_item *fallen = &w->items[l->rows[0].item];
            state_log_signal(&w->log, VIEW, fallen->key, START_MS, -0.75);
            fallen->views++;
            fallen = &w->items[random_below(&w->random, w->item_count)];
            fallen->has_changed = true;
            fallen->views++;
            state_log_signal(&w->log, VIEW, fallen->key, START_MS, -0.5);
            event(w, VIEW, (uint32_t)random_below(&w->random, w->item_count), START_MS);
            apply(w);
        }
        for (uint32_t i = 0; i < w->item_count; i++) {
            const struct model_item *m = &w->items[i];
            if (m->views > 0 && !m->has_changed && !m->was_shown) fail_msg("%s missing", m->key);
        }
        free(l);
    }
}

/* The type that counts a user once, in the test that needs it. */
enum { SAVE = 4, SAVED_ITEMS = 400 };

static void save(struct world *w, uint32_t item, uint32_t user, bool is_undo)
{
    char key[16];
    char name[16];
    snprintf(key, sizeof(key), "s%u", item);
    snprintf(name, sizeof(name), "u%u", user);
    struct signal_entry entry = {.flags = SIGNAL_HAS_USER,
                                 .type_id = SAVE,
                                 .item = slice_of_text(key),
                                 .time_ms = START_MS,
                                 .weight = 1.0,
                                 .user = slice_of_text(name)};
    struct record undo = {.kind = RECORD_SIGNAL_UNDO};
    undo.as.undo = (struct record_undo){
        .type_id = SAVE, .item = entry.item, .user = entry.user, .time_ms = START_MS};
    if (is_undo) {
        state_log_record(&w->log, &undo);
    } else {
        state_log_entries(&w->log, NULL, &entry, 1);
    }
    w->items[item].has_changed = true;
}

/* Whatever was shown falls by all its saves but one, right behind the page. */
static void list_while_undoing(struct world *w, enum retrieve_order order)
{
    struct listing *l = calloc(1, sizeof(*l));
    l->request = (struct retrieve_request){
        .order = order, .type_id = SAVE, .limit = 3, .now_ms = START_MS + HOUR_MS};
    for (uint32_t i = 0; i < SAVED_ITEMS; i++) {
        w->items[i].has_changed = w->items[i].was_shown = false;
    }
    for (uint32_t got; (got = page(w, l)) > 0;) {
        for (uint32_t i = 0; i < got; i++) {
            uint32_t item = l->rows[i].item;
            if (w->items[item].was_shown) fail_msg("order %d: s%u came twice", (int)order, item);
            w->items[item].was_shown = true;
            for (uint32_t user = 1; user < 12; user++) {
                save(w, item, user, true);
            }
        }
        save(w, (uint32_t)random_below(&w->random, SAVED_ITEMS), 99, false);
        save(w, (uint32_t)random_below(&w->random, SAVED_ITEMS), 99, true);
        apply(w);
    }
    for (uint32_t i = 0; i < SAVED_ITEMS; i++) {
        const struct model_item *m = &w->items[i];
        if (!m->has_changed && !m->was_shown) fail_msg("order %d: s%u missing", (int)order, i);
    }
    free(l);
}

static void a_listing_survives_saves_that_are_taken_back(void **state)
{
    static const enum retrieve_order falling[] = {RETRIEVE_TOP, RETRIEVE_COUNT, RETRIEVE_DECAYED,
                                                  RETRIEVE_HOT};
    struct world *w = *state;
    struct record type = state_log_type_record(SAVE, "save", (uint64_t)HOUR_MS);
    type.as.schema.mode = SIGNAL_MODE_ONCE;
    state_log_record(&w->log, &type);
    for (size_t o = 0; o < COUNT_OF(falling); o++) {
        for (uint32_t i = 0; i < SAVED_ITEMS; i++) {
            for (uint32_t user = 0; user <= i % 12; user++) {
                save(w, i, user, false);
            }
        }
        apply(w);
        list_while_undoing(w, falling[o]);
    }
}

/* Item i has i events in the last hour and 5 in each hour before; the first ten are older than a
 * day. */
static void trends_are_what_the_windows_say(void **state)
{
    struct world *w = *state;
    struct record poke = state_log_type_record(4, "poke", (uint64_t)HOUR_MS);
    poke.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_ALL;
    state_log_record(&w->log, &poke);
    enum { COUNT = 30 };
    for (uint32_t i = 0; i < COUNT; i++) {
        int64_t first = i < 10 ? START_MS - 25 * HOUR_MS : START_MS - 2 * HOUR_MS;
        event(w, 4, i, first);
        for (uint32_t k = 0; k < 115; k++)
            event(w, 4, i, START_MS - 90 * 60000);
        for (uint32_t k = 0; k < i; k++)
            event(w, 4, i, START_MS - 60000);
    }
    apply(w);
    struct retrieve_row rows[COUNT];
    for (int rising = 0; rising <= 1; rising++) {
        struct retrieve_request request = {.order = rising ? RETRIEVE_RISING : RETRIEVE_TRENDING,
                                           .limit = COUNT,
                                           .now_ms = START_MS};
        uint32_t count = 0;
        struct err e;
        assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), OK);
        assert_int_equal(count, rising ? COUNT - 10 : COUNT - SCORE_TREND_EVENTS);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t item = COUNT - 1 - i; /* created in order of number */
            double terms[SCORE_TERMS_MAX];
            uint64_t day = 115u + item + (item < 10 ? 0 : 1);
            assert_int_equal(rows[i].item, item);
            assert_same_double(rows[i].score, rising ? score_rising(item, day, 2 * HOUR_MS, terms)
                                                     : score_trending(item, day, terms));
            check_terms(w, &request, &rows[i]);
        }
        assert_true(retrieve_can_fall(w->s, &request));
    }
}

static void refused_memory_is_an_answer(void **state)
{
    struct world *w = *state;
    populate(w, 10);
    static struct retrieve_row rows[5];
    struct retrieve_request request = {.order = RETRIEVE_HOT, .limit = 5};
    uint64_t used = atomic_load(&w->alloc.used_bytes);
    uint32_t count = 0;
    struct err e;
    for (int64_t n = 1; n <= 2; n++) {
        atomic_store(&w->alloc.fail_countdown, n);
        assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), E_NOMEMORY);
        assert_int_equal(atomic_load(&w->alloc.used_bytes), used);
    }
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, &e), OK);
    assert_int_equal(count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_order_equals_a_plain_sort_page_by_page, begin, end),
        cmocka_unit_test_setup_teardown(deleted_items_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(a_thousand_pages_while_writing_repeat_and_miss_nothing,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_listing_survives_saves_that_are_taken_back, begin, end),
        cmocka_unit_test_setup_teardown(a_decayed_listing_survives_negative_weights, begin, end),
        cmocka_unit_test_setup_teardown(trends_are_what_the_windows_say, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_is_an_answer, begin, end),
    };
    return cmocka_run_group_tests_name("core/query/scan", tests, NULL, NULL);
}
