/* Tests of core/query/floor: as many items as were asked for reach the floor. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/query/floor.h"
#include "core/query/pick.h"
#include "core/query/retrieve.h"
#include "support/state_log.h"

#define START_MS INT64_C(1700000000000)

enum { ITEMS = 12000 };

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
    size_t applied;
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, (uint64_t)START_MS);
    w->s = state_log_state(&w->log, &w->alloc);
    state_log_type(&w->log, 1, "view", 3600000);
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

static void event(struct world *w, uint32_t item, int64_t time_ms, double weight)
{
    char key[16];
    (void)snprintf(key, sizeof(key), "i%u", (unsigned)item);
    state_log_signal(&w->log, 1, key, time_ms, weight);
}

static void apply_all(struct world *w)
{
    state_log_seal(&w->log);
    state_log_apply(&w->log, w->applied, w->log.batch_count, w->s);
    w->applied = w->log.batch_count;
}

/* Events over months, so that blocks have epochs of their own. */
static void populate(struct world *w)
{
    struct random r;
    random_init(&r, tm_seed("floor", 1));
    for (uint32_t i = 0; i < ITEMS; i++) {
        int64_t time_ms = START_MS - (int64_t)random_below(&r, UINT64_C(90) * 24 * 3600000);
        event(w, i, time_ms, 1.0 + (double)random_below(&r, 50));
        if (state_log_size(&w->log) > 100000) apply_all(w);
    }
    apply_all(w);
}

static uint32_t count_reaching(const struct state *s, struct net_sum floor)
{
    static struct retrieve_row rows[RETRIEVE_LIMIT_MAX];
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct retrieve_request request = {
        .order = RETRIEVE_DECAYED, .type_id = 1, .limit = RETRIEVE_LIMIT_MAX, .now_ms = START_MS};
    uint32_t count;
    struct err e;
    assert_int_equal(retrieve_run(s, &alloc, &request, rows, &count, &e), OK);
    uint32_t reaching = 0;
    while (reaching < count && rank_compare(rows[reaching].rank, rank_of_sum(floor)) >= 0) {
        reaching++;
    }
    return reaching;
}

static void as_many_items_reach_the_floor(void **state)
{
    struct world *w = *state;
    populate(w);
    static const uint32_t limits[] = {1, 2, 7, 40};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct net_sum floor;
        assert_true(floor_find(w->s, &w->alloc, 1, limits[i], &floor));
        uint32_t reaching = count_reaching(w->s, floor);
        assert_true(reaching >= limits[i]);
        assert_true(reaching < 500); /* and it is not for nothing */
    }
}

static void without_enough_zones_there_is_no_floor(void **state)
{
    struct world *w = *state;
    struct net_sum floor;
    assert_false(floor_find(w->s, &w->alloc, 1, 1, &floor)); /* no items */
    event(w, 0, START_MS, 1.0);
    apply_all(w);
    assert_true(floor_find(w->s, &w->alloc, 1, 1, &floor));
    assert_false(floor_find(w->s, &w->alloc, 1, 2, &floor));
    assert_false(floor_find(w->s, &w->alloc, 1, 1000, &floor));
    atomic_store(&w->alloc.fail_countdown, 1);
    assert_false(floor_find(w->s, &w->alloc, 1, 1, &floor));
}

static void negative_sums_leave_no_floor(void **state)
{
    struct world *w = *state;
    populate(w);
    event(w, 3, START_MS, -1.0);
    apply_all(w);
    struct net_sum floor;
    assert_false(floor_find(w->s, &w->alloc, 1, 5, &floor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_many_items_reach_the_floor, begin, end),
        cmocka_unit_test_setup_teardown(without_enough_zones_there_is_no_floor, begin, end),
        cmocka_unit_test_setup_teardown(negative_sums_leave_no_floor, begin, end),
    };
    return cmocka_run_group_tests_name("core/query/floor", tests, NULL, NULL);
}
