/* Tests of core/query/pick: the ranks compare as the numbers they stand for. The heap, the items
 * left out and the place are tried by test_retrieve and test_scan against plain sorts. */
#include "support/tm_test.h"

#include "core/query/pick.h"

static void ranks_compare_as_their_numbers(void **state)
{
    (void)state;
    static const struct net_sum ascending[] = {
        {-1.5, 1000000}, {-3.0, 5},    {-2.5, 5},     {-2.0, 5},
        {-63.0, 0},      {-1.0, 0},    {-1.0, -2000}, {0.0, 77},
        {0x1p-1060, 0},  {1.0, -900},  {1.0, 0},      {1.5, 0},
        {1.0, 1},        {0x1p900, 0}, {1.0, 901},    {1.0, INT64_C(1) << 61},
    };
    for (size_t i = 0; i < COUNT_OF(ascending); i++) {
        for (size_t k = 0; k < COUNT_OF(ascending); k++) {
            int order = rank_compare(rank_of_sum(ascending[i]), rank_of_sum(ascending[k]));
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
    assert_int_equal(
        rank_compare(rank_of_sum((struct net_sum){2.0, 0}), rank_of_sum((struct net_sum){1.0, 1})),
        0);
    assert_true(rank_compare(rank_of_count(UINT64_MAX), rank_of_count(UINT64_MAX - 1)) > 0);
    assert_int_equal(rank_compare(rank_of_count(7), rank_of_count(7)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_compare_as_their_numbers),
    };
    return cmocka_run_group_tests_name("core/query/pick", tests, NULL, NULL);
}
