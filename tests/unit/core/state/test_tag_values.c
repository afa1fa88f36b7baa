/* Tests of core/state/tag_values: numbers for values, for as long as they are referred to. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/state/tag_values.h"

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

static void a_value_keeps_its_number_while_it_is_referred_to(void **state)
{
    (void)state;
    struct tag_values v;
    tag_values_init(&v, &alloc, 1);
    uint32_t music = tag_values_take(&v, slice_of_text("music"));
    uint32_t film = tag_values_take(&v, slice_of_text("film"));
    uint32_t empty = tag_values_take(&v, slice_of("", 0));
    assert_int_not_equal(music, TAG_VALUE_NONE);
    assert_int_not_equal(music, film);
    assert_int_not_equal(empty, film);
    assert_int_equal(tag_values_take(&v, slice_of_text("music")), music);
    tag_values_drop(&v, music);
    assert_int_equal(tag_values_find(&v, slice_of_text("music")), music);
    assert_int_equal(tag_values_find(&v, slice_of("", 0)), empty);
    tag_values_drop(&v, music);
    assert_int_equal(tag_values_find(&v, slice_of_text("music")), TAG_VALUE_NONE);
    assert_int_equal(tag_values_find(&v, slice_of_text("film")), film);
    tag_values_fini(&v);
}

static size_t name_of(uint32_t i, char out[64])
{
    size_t size = (size_t)snprintf(out, 64, "value-%u", i);
    for (uint32_t k = 0; k < i % 40; k++) {
        out[size++] = 'x';
    }
    return size;
}

/* Values come and go at random; a table of references beside them says what must be there. */
static void numbers_and_memory_are_used_again(void **state)
{
    (void)state;
    enum { VALUES = 3000, STEPS = 60000 };
    static uint32_t references[VALUES];
    static uint32_t numbers[VALUES];
    memset(references, 0, sizeof(references));
    struct random random;
    random_init(&random, tm_seed("tag_values", 1));
    struct tag_values v;
    tag_values_init(&v, &alloc, 7);
    uint64_t after_half = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t i = (uint32_t)random_below(&random, VALUES);
        char name[64];
        struct slice bytes = slice_of(name, name_of(i, name));
        if (random_below(&random, 2) == 0 && references[i] > 0) {
            tag_values_drop(&v, numbers[i]);
            references[i]--;
        } else if (references[i] < 2) {
            uint32_t number = tag_values_take(&v, bytes);
            assert_int_not_equal(number, TAG_VALUE_NONE);
            if (references[i] > 0) assert_int_equal(number, numbers[i]);
            numbers[i] = number;
            references[i]++;
        }
        uint32_t found = tag_values_find(&v, bytes);
        assert_int_equal(found, references[i] > 0 ? numbers[i] : TAG_VALUE_NONE);
        if (references[i] > 0) {
            assert_true(slice_equal(tag_values_bytes(&v, numbers[i]), bytes));
        }
        if (step == STEPS / 2) after_half = atomic_load(&alloc.used_bytes);
    }
    assert_true(atomic_load(&alloc.used_bytes) <= 2 * after_half);
    for (uint32_t i = 0; i < VALUES; i++) {
        char name[64];
        struct slice bytes = slice_of(name, name_of(i, name));
        if (references[i] > 0) assert_true(slice_equal(tag_values_bytes(&v, numbers[i]), bytes));
    }
    tag_values_fini(&v);
}

static void refused_memory_takes_nothing(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 3; n++) {
        struct tag_values v;
        tag_values_init(&v, &alloc, 7);
        atomic_store(&alloc.fail_countdown, n);
        assert_int_equal(tag_values_take(&v, slice_of_text("a")), TAG_VALUE_NONE);
        assert_int_equal(tag_values_find(&v, slice_of_text("a")), TAG_VALUE_NONE);
        assert_int_not_equal(tag_values_take(&v, slice_of_text("a")), TAG_VALUE_NONE);
        tag_values_fini(&v);
    }
}

/* What the gate reserves is at least what is used. */
static void growth_stays_within_its_bound(void **state)
{
    (void)state;
    struct tag_values v;
    tag_values_init(&v, &alloc, 7);
    uint32_t next = 0;
    for (uint32_t round = 1; round <= 40; round++) {
        uint64_t bytes = 0;
        char name[64];
        for (uint32_t i = 0; i < round * 10; i++) {
            bytes += name_of(next + i, name);
        }
        uint64_t bound = tag_values_growth_max(&v, round * 10, bytes);
        uint64_t before = atomic_load(&alloc.used_bytes) + map_bytes(&v.map);
        for (uint32_t i = 0; i < round * 10; i++, next++) {
            size_t size = name_of(next, name);
            assert_int_not_equal(tag_values_take(&v, slice_of(name, size)), TAG_VALUE_NONE);
            assert_true(atomic_load(&alloc.used_bytes) + map_bytes(&v.map) <= before + bound);
        }
    }
    tag_values_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_value_keeps_its_number_while_it_is_referred_to, begin,
                                        end),
        cmocka_unit_test_setup_teardown(numbers_and_memory_are_used_again, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_takes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(growth_stays_within_its_bound, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/tag_values", tests, NULL, NULL);
}
