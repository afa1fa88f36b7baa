/* Tests of base/types: the small values behave as the glossary says. */
#include "support/tm_test.h"

#include "base/types.h"

/* Two slices are equal by content; empty ones are equal wherever they point. */
static void slices_compare_by_content(void **state)
{
    (void)state;
    assert_true(slice_equal(slice_of_text("abc"), slice_of("abcd", 3)));
    assert_false(slice_equal(slice_of_text("abc"), slice_of_text("abd")));
    assert_false(slice_equal(slice_of_text("abc"), slice_of_text("ab")));
    assert_true(slice_equal(slice_of(NULL, 0), slice_of_text("")));
}

/* Positions with one number but another history or epoch are different. */
static void positions_with_other_history_are_not_equal(void **state)
{
    (void)state;
    struct position a = {.epoch = 1, .seqno = seqno_of(42), .chain = {{1, 2, 3}}};
    struct position b = a;
    assert_true(position_equal(&a, &b));
    b.chain.bytes[31] = 1;
    assert_false(position_equal(&a, &b));
    b = a;
    b.epoch = 2;
    assert_false(position_equal(&a, &b));
}

static void seqnos_count_up_from_none(void **state)
{
    (void)state;
    assert_int_equal(seqno_next(SEQNO_NONE).v, 1);
    assert_int_equal(seqno_add(seqno_of(5), 3).v, 8);
    assert_int_equal(seqno_max(seqno_of(5), seqno_of(8)).v, 8);
    assert_int_equal(seqno_min(seqno_of(5), seqno_of(8)).v, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_content),
        cmocka_unit_test(positions_with_other_history_are_not_equal),
        cmocka_unit_test(seqnos_count_up_from_none),
    };
    return cmocka_run_group_tests_name("base/types", tests, NULL, NULL);
}
