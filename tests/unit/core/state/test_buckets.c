/* Tests of core/state/buckets: entries, parts, the map of late entries, copies for pins. */
#include "support/tm_test.h"

#include "core/state/buckets.h"

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

static uint32_t append(struct bucket *b, uint32_t item, bool is_late)
{
    struct bucket_entry entry = {.item = item, .count = 1, .is_late = is_late};
    return bucket_append(&alloc, b, entry, is_late ? bucket_find_late(b, item) : PLACE_NONE);
}

/* Entries keep their order over parts; only late ones are found by item, only on-time ones by
 * place, whatever number is taken for a place. */
static void entries_are_found_by_their_sort(void **state)
{
    (void)state;
    enum { ENTRIES = 10000 };
    struct bucket *b = bucket_new(&alloc, 77, 1000);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        assert_int_equal(append(b, i, i % 2 == 1), i);
    }
    assert_int_equal(b->part_count, 3);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        bool is_late = i % 2 == 1;
        assert_int_equal(bucket_entry_at(b, i).item, i);
        assert_int_equal(bucket_find_late(b, i), is_late ? i : PLACE_NONE);
        assert_int_equal(bucket_is_on_time(b, i, i), !is_late);
        assert_false(bucket_is_on_time(b, i, i + 1));
    }
    assert_false(bucket_is_on_time(b, ENTRIES, 0));
    assert_false(bucket_is_on_time(b, PLACE_NONE, 0));
    for (uint32_t i = 0; i < b->part_count; i++) {
        assert_int_equal(b->parts.items[i]->id.kind, BLOCK_WINDOW);
        assert_int_equal(b->parts.items[i]->id.number, 1000 + i);
    }
    bucket_free(&alloc, b);
}

/* A part that a version holds is copied before it changes. */
static void a_held_part_does_not_change(void **state)
{
    (void)state;
    struct bucket *b = bucket_new(&alloc, 1, 0);
    uint32_t place = append(b, 5, false);
    struct block *held = b->parts.items[0];
    block_hold(held);
    assert_true(bucket_increment(&alloc, b, place));
    assert_int_equal(append(b, 6, true), 1);
    assert_int_equal(bucket_entry_at(b, place).count, 2);
    assert_int_equal(bucket_entry_decode(held->extra).count, 1);
    assert_int_equal(held->extra_size, BUCKET_ENTRY_SIZE);
    block_release(&alloc, held);
    bucket_free(&alloc, b);
}

/* The newest late entry of an item is the one that is found. */
static void a_full_entry_is_followed_by_another(void **state)
{
    (void)state;
    struct bucket *b = bucket_new(&alloc, 1, 0);
    struct bucket_entry full = {.item = 9, .count = BUCKET_COUNT_MAX, .is_late = true};
    assert_int_equal(bucket_append(&alloc, b, full, PLACE_NONE), 0);
    assert_int_equal(append(b, 9, true), 1);
    assert_int_equal(bucket_find_late(b, 9), 1);
    assert_int_equal(bucket_entry_at(b, 0).count, BUCKET_COUNT_MAX);
    bucket_free(&alloc, b);
}

/* Refused memory leaves the bucket as it was. */
static void refused_memory_changes_nothing(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 3; n++) {
        struct bucket *b = bucket_new(&alloc, 1, 0);
        atomic_store(&alloc.fail_countdown, n);
        assert_int_equal(append(b, 1, false), PLACE_NONE);
        atomic_store(&alloc.fail_countdown, -1);
        assert_int_equal(b->part_count, 0);
        assert_int_equal(b->entries, 0);
        assert_int_equal(append(b, 1, false), 0);
        bucket_free(&alloc, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(entries_are_found_by_their_sort),
        TEST(a_held_part_does_not_change),
        TEST(a_full_entry_is_followed_by_another),
        TEST(refused_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
