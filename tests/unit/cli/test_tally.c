/* Tests of cli/tally: the demo's own sums, and its memory bound. */
#include "support/tm_test.h"

#include "cli/tally.h"

static struct tally tally;

static const struct tally_item *find(const char *key)
{
    for (uint32_t i = 0; i < tally.item_count; i++) {
        if (slice_equal(tally_key(&tally.items[i]), slice_of_text(key))) return &tally.items[i];
    }
    fail_msg("no item %s", key);
    return NULL;
}

static const int64_t day_ms = 24 * 3600 * 1000;

/* The sum stands at the newest event, whatever the order in which events come. */
static void order_of_events_does_not_matter(void **state)
{
    (void)state;
    tally_init(&tally);
    tally_add(&tally, slice_of_text("a"), 1000 * day_ms, 8);
    tally_add(&tally, slice_of_text("a"), 1007 * day_ms, 1);
    tally_add(&tally, slice_of_text("a"), 993 * day_ms, 8);
    tally_add(&tally, slice_of_text("b"), 993 * day_ms, 8);
    tally_add(&tally, slice_of_text("b"), 1007 * day_ms, 1);
    tally_add(&tally, slice_of_text("b"), 1000 * day_ms, 8);
    assert_int_equal(find("a")->count, 3);
    assert_int_equal(find("a")->newest_ms, 1007 * day_ms);
    assert_true(tally_score_agrees(find("a"), 1 + 4 + 2)); /* half-life of a week */
    assert_true(tally_score_agrees(find("b"), 7));
    assert_false(tally_score_agrees(find("b"), 7.000001));
    assert_int_equal(tally.signals, 6);
    tally_fini(&tally);
}

/* Far more items than there is room for: the sample stays exact and bounded. */
static void sample_is_bounded_and_exact(void **state)
{
    (void)state;
    const unsigned items = 3 * TALLY_ITEMS_MAX;
    tally_init(&tally);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < items; i++) {
            char key[32];
            int size = snprintf(key, sizeof(key), "item %u", i);
            tally_add(&tally, slice_of(key, (size_t)size), day_ms, 1);
        }
    }
    assert_true(tally.item_count <= TALLY_ITEMS_MAX);
    assert_true(tally.item_count > TALLY_ITEMS_MAX / 4);
    assert_true(tally.sample_bits > 0);
    for (uint32_t i = 0; i < tally.item_count; i++) {
        assert_int_equal(tally.items[i].count, 2);
    }
    assert_int_equal(tally.signals, 2 * items);
    tally_fini(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_events_does_not_matter),
        cmocka_unit_test(sample_is_bounded_and_exact),
    };
    return cmocka_run_group_tests_name("cli/tally", tests, NULL, NULL);
}
