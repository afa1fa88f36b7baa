/* Tests of base/alloc: memory is zeroed, aligned and counted; refusal changes nothing. */
#include "support/tm_test.h"

#include "base/alloc.h"

static uint64_t used(struct alloc *a)
{
    return atomic_load(&a->used_bytes);
}

static void memory_is_zeroed_aligned_and_counted(void **state)
{
    (void)state;
    struct alloc a;
    alloc_init(&a, 0);
    static const size_t sizes[] = {1, 63, 64, 65, 1000, 100000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint8_t *p = alloc_get(&a, sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t b = 0; b < sizes[i]; b++) {
            assert_int_equal(p[b], 0);
        }
        assert_true(used(&a) >= sizes[i] && used(&a) < sizes[i] + 64);
        memset(p, 0xff, sizes[i]);
        alloc_put(&a, p, sizes[i]);
        assert_int_equal(used(&a), 0);
    }
    alloc_put(&a, NULL, 12345);
    assert_int_equal(used(&a), 0);
}

static void limit_refuses_and_room_given_back_is_usable(void **state)
{
    (void)state;
    struct alloc a;
    alloc_init(&a, 1024);
    void *p = alloc_get(&a, 1000);
    assert_non_null(p);
    assert_null(alloc_get(&a, 1));
    assert_int_equal(used(&a), 1024);
    alloc_put(&a, p, 1000);
    p = alloc_get(&a, 1);
    assert_non_null(p);
    alloc_put(&a, p, 1);
    assert_null(alloc_get(&a, 1025));
    assert_null(alloc_get(&a, SIZE_MAX));
    assert_int_equal(used(&a), 0);
}

static void nth_call_fails_on_order_and_only_that_one(void **state)
{
    (void)state;
    struct alloc a;
    alloc_init(&a, 0);
    atomic_store(&a.fail_countdown, 2);
    void *first = alloc_get(&a, 8);
    assert_non_null(first);
    assert_null(alloc_get(&a, 8));
    void *third = alloc_get(&a, 8);
    assert_non_null(third);
    alloc_put(&a, first, 8);
    alloc_put(&a, third, 8);
    assert_int_equal(used(&a), 0);
}

/* Contents stay, the new part is zero, capacity at least doubles. */
static void array_grows_with_its_contents(void **state)
{
    (void)state;
    struct alloc a;
    alloc_init(&a, 0);
    uint32_t *items = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        size_t before = capacity;
        assert_true(alloc_grow(&a, (void **)&items, &capacity, sizeof(*items), i + 1));
        assert_true(capacity == before || capacity >= 2 * before);
        assert_int_equal(items[i], 0);
        items[i] = i + 1;
    }
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(items[i], i + 1);
    }
    alloc_put(&a, items, capacity * sizeof(*items));
    assert_int_equal(used(&a), 0);
}

static void refused_growth_leaves_the_array_as_it_was(void **state)
{
    (void)state;
    struct alloc a;
    alloc_init(&a, 256);
    uint32_t *items = NULL;
    size_t capacity = 0;
    assert_true(alloc_grow(&a, (void **)&items, &capacity, sizeof(*items), 10));
    items[9] = 7;
    uint32_t *same = items;
    size_t same_capacity = capacity;
    assert_false(alloc_grow(&a, (void **)&items, &capacity, sizeof(*items), 1000));
    assert_false(alloc_grow(&a, (void **)&items, &capacity, sizeof(*items), SIZE_MAX / 2));
    assert_ptr_equal(items, same);
    assert_int_equal(capacity, same_capacity);
    assert_int_equal(items[9], 7);
    alloc_put(&a, items, capacity * sizeof(*items));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_counted),
        cmocka_unit_test(limit_refuses_and_room_given_back_is_usable),
        cmocka_unit_test(nth_call_fails_on_order_and_only_that_one),
        cmocka_unit_test(array_grows_with_its_contents),
        cmocka_unit_test(refused_growth_leaves_the_array_as_it_was),
    };
    return cmocka_run_group_tests_name("base/alloc", tests, NULL, NULL);
}
