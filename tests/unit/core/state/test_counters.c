/* Tests of core/state/counters: 64 bits from two halves, and copies for those who share. */
#include "support/tm_test.h"

#include "core/state/counters.h"

static struct alloc alloc;

static int begin(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return atomic_load(&alloc.used_bytes) == 0 ? 0 : -1;
}

/* A counter carries into its upper half and borrows from it; its neighbours do not notice. */
static void counters_have_64_bits(void **state)
{
    (void)state;
    struct block *b = counters_new(&alloc);
    assert_true(counters_add(&alloc, &b, 6, 9));
    for (int i = 0; i < 5; i++) {
        assert_true(counters_add(&alloc, &b, 7, UINT32_MAX));
    }
    assert_int_equal(counters_get(b, 7), UINT64_C(5) * UINT32_MAX);
    assert_int_equal(counters_get(b, 6), 9);
    assert_int_equal(counters_get(b, 8), 0);
    for (int i = 0; i < 5; i++) {
        assert_true(counters_subtract(&alloc, &b, 7, UINT32_MAX));
    }
    assert_int_equal(counters_get(b, 7), 0);
    assert_true(block_memory(b) <= counters_memory_max());
    block_release(&alloc, b);
}

/* Who holds the block sees what it was, upper halves included. */
static void a_held_block_does_not_change(void **state)
{
    (void)state;
    struct block *b = counters_new(&alloc);
    assert_true(counters_add(&alloc, &b, 3, UINT32_MAX));
    assert_true(counters_add(&alloc, &b, 3, 2));
    struct block *held = b;
    block_hold(held);
    assert_true(counters_add(&alloc, &b, 3, UINT32_MAX));
    assert_true(counters_subtract(&alloc, &b, 3, 7));
    assert_ptr_not_equal(held, b);
    assert_int_equal(counters_get(held, 3), UINT64_C(0x100000001));
    assert_int_equal(counters_get(b, 3), UINT64_C(0x100000001) + UINT32_MAX - 7);
    block_release(&alloc, held);
    block_release(&alloc, b);
}

static void refused_memory_is_said(void **state)
{
    (void)state;
    struct block *b = counters_new(&alloc);
    assert_true(counters_add(&alloc, &b, 0, UINT32_MAX));
    atomic_store(&alloc.fail_countdown, 1);
    assert_false(counters_add(&alloc, &b, 0, 1)); /* no upper halves */
    struct block *held = b;
    block_hold(held);
    atomic_store(&alloc.fail_countdown, 1);
    assert_false(counters_subtract(&alloc, &b, 0, 0)); /* no copy */
    block_release(&alloc, held);
    atomic_store(&alloc.fail_countdown, 1);
    assert_null(counters_new(&alloc));
    block_release(&alloc, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters_have_64_bits, begin, end),
        cmocka_unit_test_setup_teardown(a_held_block_does_not_change, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_is_said, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/counters", tests, NULL, NULL);
}
