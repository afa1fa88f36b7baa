/* Tests of cli/samples: percentiles, also of more values than there is room for. */
#include "support/tm_test.h"

#include "cli/samples.h"

static void percentiles_are_nearest_ranks(void **state)
{
    (void)state;
    struct samples s;
    samples_init(&s, 100);
    assert_int_equal(samples_percentile(&s, 50), 0);
    samples_clear(&s);
    for (uint64_t i = 100; i > 0; i--) {
        samples_add(&s, i);
    }
    assert_int_equal(samples_percentile(&s, 0), 1);
    assert_int_equal(samples_percentile(&s, 50), 50);
    assert_int_equal(samples_percentile(&s, 99), 99);
    assert_int_equal(samples_percentile(&s, 100), 100);
    samples_fini(&s);
}

static void many_values_keep_their_shape_in_little_room(void **state)
{
    (void)state;
    struct samples s;
    samples_init(&s, 1000);
    for (uint64_t i = 0; i < 1000000; i++) {
        samples_add(&s, i);
    }
    assert_true(s.count <= 1000);
    uint64_t median = samples_percentile(&s, 50);
    assert_true(median > 490000 && median < 510000);
    samples_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(many_values_keep_their_shape_in_little_room),
    };
    return cmocka_run_group_tests_name("cli/samples", tests, NULL, NULL);
}
