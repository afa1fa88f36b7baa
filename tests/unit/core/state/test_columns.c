/* Tests of core/state/columns: sums against 113-bit arithmetic in every order, counts, blocks. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/random.h"
#include "core/state/columns.h"
#include "core/state/decay.h"
#include "support/quad.h"
#include "support/state_log.h"

enum { HOUR_MS = 3600 * 1000, ITEMS = 50, SUMS_BYTES = 8 + 8 * BLOCK_ENTRIES };

static struct alloc alloc;
static struct schema schema;
static struct columns columns;

static int begin(void **state)
{
    (void)state;
    struct err e;
    alloc_init(&alloc, 0);
    schema_init(&schema, &alloc);
    columns_init(&columns, &alloc);
    struct record r = state_log_type_record(1, "view", HOUR_MS);
    r.as.schema.halflife_count = 2;
    r.as.schema.halflives_ms[1] = UINT64_C(24) * HOUR_MS;
    if (schema_declare(&schema, &r.as.schema, &e) != OK) return -1;
    return columns_add_type(&columns, 1) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    columns_fini(&columns);
    schema_fini(&schema);
    return atomic_load(&alloc.used_bytes) == 0 ? 0 : -1;
}

static void add(uint32_t item, double weight, int64_t time_ms)
{
    assert_true(columns_add(&columns, schema_type(&schema, 1), item, weight, time_ms));
}

static double score(uint32_t item, uint32_t halflife, int64_t at_ms)
{
    struct net_sum net = columns_net(&columns, 1, halflife, item);
    return decay_read(net.value, net.epoch, at_ms, schema.types[0].halflives_ms[halflife]);
}

struct event {
    uint32_t item;
    double weight;
    int64_t time_ms;
};

static int by_time(const void *a, const void *b)
{
    const struct event *x = a;
    const struct event *y = b;
    return (x->time_ms > y->time_ms) - (x->time_ms < y->time_ms);
}

enum order { IN_ORDER, NEWEST_FIRST, SHUFFLED, ORDERS };

static void sort_events(struct event *events, size_t count, enum order order, struct random *r)
{
    if (order == SHUFFLED) {
        for (size_t i = count - 1; i > 0; i--) {
            size_t j = (size_t)random_below(r, i + 1);
            struct event e = events[i];
            events[i] = events[j];
            events[j] = e;
        }
        return;
    }
    qsort(events, count, sizeof(*events), by_time);
    for (size_t i = 0; order == NEWEST_FIRST && i < count / 2; i++) {
        struct event e = events[i];
        events[i] = events[count - 1 - i];
        events[count - 1 - i] = e;
    }
}

/* Sums of thousands of events over a thousand half-lives, in order, newest first and shuffled, are
 * within 1e-12 of the exact ones, read before, at and after the events. */
static void sums_are_exact_to_1e_12_in_every_order(void **state)
{
    enum { EVENTS = 4000, SPAN = 1000 };
    static struct event events[EVENTS];
    struct random r;
    random_init(&r, tm_seed("order", 1));
    int64_t start = INT64_C(1600000000000);
    for (size_t i = 0; i < EVENTS; i++) {
        events[i] =
            (struct event){.item = (uint32_t)random_below(&r, ITEMS),
                           .weight = 0.001 + random_unit(&r) * 1000,
                           .time_ms = start + (int64_t)random_below(&r, (uint64_t)SPAN * HOUR_MS)};
    }
    int64_t newest = start + (int64_t)SPAN * HOUR_MS;
    const int64_t reads[] = {start, newest - 5 * HOUR_MS, newest, newest + 10 * HOUR_MS};
    for (enum order order = IN_ORDER; order < ORDERS; order++) {
        sort_events(events, EVENTS, order, &r);
        for (size_t i = 0; i < EVENTS; i++) {
            add(events[i].item, events[i].weight, events[i].time_ms);
        }
        for (uint32_t item = 0; item < ITEMS; item++) {
            for (size_t k = 0; k < COUNT_OF(reads); k++) {
                quad exact = 0;
                for (size_t i = 0; i < EVENTS; i++) {
                    if (events[i].item != item) continue;
                    exact +=
                        (quad)events[i].weight * quad_decay(events[i].time_ms, reads[k], HOUR_MS);
                }
                if (exact > (quad)0x1p1023) continue; /* read a thousand half-lives before */
                assert_true(quad_relative_error(score(item, 0, reads[k]), exact) < 1e-12);
            }
        }
        assert_int_equal(end(state), 0);
        assert_int_equal(begin(state), 0);
    }
}

/* A late and a far future event in a block of current ones. */
static void late_and_future_events_count_exactly(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1700000000000);
    const struct event events[] = {{7, 2.0, now},
                                   {7, 3.0, now - INT64_C(800) * HOUR_MS},
                                   {8, 4.0, now - INT64_C(800) * HOUR_MS},
                                   {9, 5.0, now + INT64_C(490) * HOUR_MS},
                                   {7, 6.0, now + INT64_C(90) * HOUR_MS},
                                   {9, 0x1p-10, now - INT64_C(900) * HOUR_MS},
                                   {8, 0x1p53, now - INT64_C(810) * HOUR_MS}};
    quad exact[10] = {0};
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        add(events[i].item, events[i].weight, events[i].time_ms);
        exact[events[i].item] +=
            (quad)events[i].weight * quad_decay(events[i].time_ms, now, HOUR_MS);
    }
    for (uint32_t item = 7; item < 10; item++) {
        assert_true(quad_relative_error(score(item, 0, now), exact[item]) < 1e-12);
    }
}

/* Three hundred thousand half-lives in order: hundreds of shifts, and what matters stays exact. */
static void epoch_shifts_do_not_show(void **state)
{
    (void)state;
    quad exact = 0;
    int64_t time_ms = 0;
    for (int i = 0; i < 100000; i++) {
        int64_t step = INT64_C(3) * HOUR_MS + i % 1000;
        time_ms += step;
        double weight = 1.0 + i % 7;
        add(3, weight, time_ms);
        exact = exact * quad_decay(0, step, HOUR_MS) + (quad)weight;
        if (i % 97 == 0) {
            assert_true(quad_relative_error(score(3, 0, time_ms), exact) < 1e-12);
        }
    }
    struct column_view view = columns_view(&columns, 1, 0, 0);
    int64_t q;
    (void)decay_split(time_ms, HOUR_MS, &q);
    assert_true(q - view.sums[SIGN_POSITIVE]->epoch <= 900);
    assert_true(q - view.sums[SIGN_POSITIVE]->epoch > 900 - 512);
}

/* One item far ahead of its block: the others become zero, not garbage; the zones stay bounds. */
static void items_far_behind_their_block_become_zero(void **state)
{
    (void)state;
    for (uint32_t item = 0; item < BLOCK_ENTRIES; item += 3) {
        add(item, 1.0 + item, (int64_t)item * 1000);
    }
    add(5, 1.0, INT64_C(5000) * HOUR_MS);
    const struct sums *sums = columns_view(&columns, 1, 0, 0).sums[SIGN_POSITIVE];
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
        if (i != 5) assert_same_double(sums->values[i], 0.0);
        assert_true(sums->zone_max[i / ZONE_ENTRIES] >= sums->values[i]);
    }
    assert_same_double(score(5, 0, INT64_C(5000) * HOUR_MS), 1.0);
}

static void zone_maxima_are_the_maxima(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("zones", 1));
    for (int i = 0; i < 30000; i++) {
        add((uint32_t)random_below(&r, BLOCK_ENTRIES), random_unit(&r) + 0.1,
            (int64_t)random_below(&r, UINT64_C(2000) * HOUR_MS));
    }
    const struct sums *sums = columns_view(&columns, 1, 0, 0).sums[SIGN_POSITIVE];
    for (uint32_t zone = 0; zone < ZONES; zone++) {
        double largest = 0.0;
        for (uint32_t i = zone * ZONE_ENTRIES; i < (zone + 1) * ZONE_ENTRIES; i++) {
            if (sums->values[i] > largest) largest = sums->values[i];
        }
        assert_same_double(sums->zone_max[zone], largest);
    }
}

/* Every event counts, whatever its weight; a zero weight makes no sum, a negative one its own. */
static void events_count_whatever_their_weight(void **state)
{
    (void)state;
    add(0, 0.0, 0);
    struct column_view view = columns_view(&columns, 1, 0, 0);
    assert_null(view.sums[SIGN_POSITIVE]);
    assert_null(view.sums[SIGN_NEGATIVE]);
    add(0, -2.0, 0);
    view = columns_view(&columns, 1, 0, 0);
    assert_null(view.sums[SIGN_POSITIVE]);
    assert_same_double(score(0, 0, 0), -2.0);
    add(0, 5.0, 0);
    assert_same_double(score(0, 0, 0), 3.0);
    assert_same_double(score(0, 1, 0), 3.0);
    assert_int_equal(columns_count(&columns, 1, 0), 3);
    assert_int_equal(columns_count(&columns, 1, 1), 0);
    assert_int_equal(columns_count(&columns, 1, 5000), 0);
    assert_same_double(columns_net(&columns, 1, 0, 5000).value, 0.0);
}

/* Signs whose blocks stand at different epochs are brought to the later one. */
static void signs_at_different_epochs_are_subtracted_exactly(void **state)
{
    (void)state;
    const int64_t now = INT64_C(300) * HOUR_MS;
    add(0, 8.0, 0);
    add(1, -1.0, now);
    add(0, -1.0, now - INT64_C(299) * HOUR_MS);
    struct column_view view = columns_view(&columns, 1, 0, 0);
    assert_int_not_equal(view.sums[SIGN_POSITIVE]->epoch, view.sums[SIGN_NEGATIVE]->epoch);
    assert_same_double(score(0, 0, HOUR_MS), 3.0); /* 8/2 - 1 */
}

static enum code load(struct block_id id, const uint8_t *bytes, size_t size, uint32_t item_count)
{
    struct err e;
    return columns_load(&columns, &schema, item_count, id, slice_of(bytes, size), &e);
}

/* A count that passes 2^32 - 1 widens its block, once, and loses nothing. */
static void counts_widen_when_they_must(void **state)
{
    (void)state;
    enum { SIZE = 8 + 4 * BLOCK_ENTRIES };
    static uint8_t bytes[8 + 8 * BLOCK_ENTRIES];
    struct block_id id = {.kind = BLOCK_COUNT, .number = UINT64_C(1) << 40};
    memset(bytes, 0, sizeof(bytes));
    store_u32(bytes, 4);
    store_u32(bytes + 8, UINT32_MAX - 1);
    store_u32(bytes + 12, 7);
    assert_int_equal(load(id, bytes, SIZE, BLOCK_ENTRIES), OK);
    add(0, 0.0, 0);
    assert_int_equal(block_size(columns_view(&columns, 1, 0, 0).counts), SIZE);
    assert_int_equal(columns_count(&columns, 1, 0), UINT32_MAX);
    add(0, 0.0, 0);
    add(0, 0.0, 0);
    add(1, 0.0, 0);
    assert_int_equal(columns_count(&columns, 1, 0), UINT64_C(0x100000001));
    assert_int_equal(columns_count(&columns, 1, 1), 8);
    const struct block *wide = columns_view(&columns, 1, 0, 0).counts;
    assert_int_equal(block_size(wide), sizeof(bytes));
    block_encode(wide, bytes);
    void *no_state = NULL;
    assert_int_equal(end(&no_state), 0);
    assert_int_equal(begin(&no_state), 0);
    assert_int_equal(load(id, bytes, sizeof(bytes), BLOCK_ENTRIES), OK);
    assert_int_equal(columns_count(&columns, 1, 0), UINT64_C(0x100000001));
}

/* Refused memory at each allocation is an answer, and nothing leaks. */
static void refused_memory_is_an_answer(void **state)
{
    for (int64_t n = 1; n <= 6; n++) {
        atomic_store(&alloc.fail_countdown, n);
        assert_false(columns_add(&columns, schema_type(&schema, 1), 5, 1.0, 1000));
        assert_int_equal(end(state), 0);
        assert_int_equal(begin(state), 0);
    }
    add(5, 1.0, 1000);
}

struct damage {
    const char *what;
    uint64_t number;
    size_t at;
    uint64_t value; /* 8 bytes written at `at` */
    size_t size;
    uint32_t item_count;
};

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static void damaged_sums_are_refused(void **state)
{
    (void)state;
    static uint8_t bytes[SUMS_BYTES];
    const uint64_t number = UINT64_C(1) << 40;
    add(0, 1.0, 0);
    block_encode(columns.types[1].sums[0][SIGN_POSITIVE].items[0], bytes);
    void *no_state = NULL;
    assert_int_equal(end(&no_state), 0);
    assert_int_equal(begin(&no_state), 0);
    const struct damage cases[] = {
        {"unknown type", UINT64_C(2) << 40, 8, 0, SUMS_BYTES, 1},
        {"type 0", 0, 8, 0, SUMS_BYTES, 1},
        {"unknown half-life", number | UINT64_C(2) << 36, 8, 0, SUMS_BYTES, 1},
        {"beyond the items", number | 1, 8, 0, SUMS_BYTES, BLOCK_ENTRIES},
        {"no items", number, 8, 0, SUMS_BYTES, 0},
        {"short", number, 8, 0, SUMS_BYTES - 1, 1},
        {"long", number, 8, 0, SUMS_BYTES + 1, 1},
        {"NaN", number, 8, UINT64_C(0x7ff8000000000000), SUMS_BYTES, 1},
        {"infinity", number, 8, UINT64_C(0x7ff0000000000000), SUMS_BYTES, 1},
        {"negative", number, 8, bits_of(-1.0), SUMS_BYTES, 1},
        {"negative zero", number, 8, bits_of(-0.0), SUMS_BYTES, 1},
        {"subnormal", number, 8, 1, SUMS_BYTES, 1},
        {"too large", number, 8, bits_of(0x1p1020), SUMS_BYTES, 1},
        {"a sum of no item", number, 16, bits_of(1.0), SUMS_BYTES, 1},
        {"epoch too late", number, 0, UINT64_C(1) << 62, SUMS_BYTES, 1},
        {"epoch too early", number, 0, UINT64_C(1) << 63, SUMS_BYTES, 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static uint8_t changed[SUMS_BYTES + 1];
        memcpy(changed, bytes, sizeof(bytes));
        store_u64(changed + cases[i].at, cases[i].value);
        struct block_id id = {.kind = BLOCK_COLUMN, .number = cases[i].number};
        enum code code = load(id, changed, cases[i].size, cases[i].item_count);
        if (code != E_CORRUPT) fail_msg("%s is taken", cases[i].what);
    }
    struct block_id id = {.kind = BLOCK_COLUMN, .number = number};
    assert_int_equal(load(id, bytes, sizeof(bytes), 1), OK);
    assert_same_double(score(0, 0, 0), 1.0);
    const struct sums *sums = columns_view(&columns, 1, 0, 0).sums[SIGN_POSITIVE];
    assert_same_double(sums->zone_max[0], sums->values[0]);
}

static void damaged_counts_are_refused(void **state)
{
    (void)state;
    enum { NARROW_BYTES = 8 + 4 * BLOCK_ENTRIES, WIDE_BYTES = 8 + 8 * BLOCK_ENTRIES };
    const uint64_t number = UINT64_C(1) << 40;
    const struct damage cases[] = {
        {"a half-life", number | UINT64_C(1) << 36, 8, 1, NARROW_BYTES, 2},
        {"a sign", number | UINT64_C(1) << 35, 8, 1, NARROW_BYTES, 2},
        {"width 5", number, 0, 5, NARROW_BYTES, 2},
        {"a second word", number, 0, 4 | UINT64_C(1) << 32, NARROW_BYTES, 2},
        {"nothing counted", number, 8, 0, NARROW_BYTES, 2},
        {"counts of no item", number, 8, UINT64_C(1) << 32, NARROW_BYTES, 1},
        {"short", number, 8, 1, NARROW_BYTES - 1, 2},
        {"no head", number, 8, 1, 7, 2},
        {"wide size, narrow width", number, 8, 1, WIDE_BYTES, 2},
        {"wide without need", number, 0, 8, WIDE_BYTES, 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static uint8_t bytes[WIDE_BYTES];
        memset(bytes, 0, sizeof(bytes));
        store_u32(bytes, 4);
        store_u32(bytes + 8, 1);
        store_u64(bytes + cases[i].at, cases[i].value);
        struct block_id id = {.kind = BLOCK_COUNT, .number = cases[i].number};
        enum code code = load(id, bytes, cases[i].size, cases[i].item_count);
        if (code != E_CORRUPT) fail_msg("%s is taken", cases[i].what);
    }
}

/* The bound that the gate reserves is one: real growth stays below it. */
static void growth_stays_below_its_bound(void **state)
{
    (void)state;
    uint64_t before = atomic_load(&alloc.used_bytes);
    uint64_t bound = columns_growth_max(&schema, 3, 3);
    add(0, 1.0, 0);
    add(5000, -1.0, 0);
    add(9000, 1.0, 0);
    assert_true(atomic_load(&alloc.used_bytes) - before <= bound);
    assert_true(columns_growth_max(&schema, 1000000, 3) < 3 * 200000 + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sums_are_exact_to_1e_12_in_every_order, begin, end),
        cmocka_unit_test_setup_teardown(late_and_future_events_count_exactly, begin, end),
        cmocka_unit_test_setup_teardown(epoch_shifts_do_not_show, begin, end),
        cmocka_unit_test_setup_teardown(items_far_behind_their_block_become_zero, begin, end),
        cmocka_unit_test_setup_teardown(zone_maxima_are_the_maxima, begin, end),
        cmocka_unit_test_setup_teardown(events_count_whatever_their_weight, begin, end),
        cmocka_unit_test_setup_teardown(signs_at_different_epochs_are_subtracted_exactly, begin,
                                        end),
        cmocka_unit_test_setup_teardown(counts_widen_when_they_must, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_is_an_answer, begin, end),
        cmocka_unit_test_setup_teardown(damaged_sums_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(damaged_counts_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(growth_stays_below_its_bound, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/columns", tests, NULL, NULL);
}
