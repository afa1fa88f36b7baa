/* Tests of core/state/blocks: sharing, copy on write, hashes. */
#include "support/tm_test.h"

#include "base/hash.h"
#include "core/state/blocks.h"

static struct alloc alloc;

static int begin(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    return 0;
}

/* Every test gives back all memory. */
static int end(void **state)
{
    (void)state;
    return atomic_load(&alloc.used_bytes) == 0 ? 0 : -1;
}

static struct block *block_with(const char *text)
{
    struct block_id id = {.kind = BLOCK_ITEM_KEYS, .number = 5};
    struct block *b = block_new(&alloc, id, 16, 8);
    assert_non_null(b);
    assert_true(block_extra_reserve(&alloc, b, 100));
    memcpy(b->payload, "12345678derived!", 16);
    block_extra_add(b, text, (uint32_t)strlen(text));
    return b;
}

static void canonical_bytes_are_payload_head_and_extra(void **state)
{
    (void)state;
    struct block *b = block_with("extra");
    uint8_t bytes[13];
    assert_int_equal(block_size(b), sizeof(bytes));
    block_encode(b, bytes);
    assert_memory_equal(bytes, "12345678extra", sizeof(bytes));
    struct hash256 expected = hash256_of(slice_of(bytes, sizeof(bytes)));
    struct hash256 hash = block_hash(b);
    assert_true(hash256_equal(&hash, &expected));
    block_release(&alloc, b);
}

/* A block held by one place is changed where it is; its hash is forgotten. */
static void a_block_held_once_is_changed_in_place(void **state)
{
    (void)state;
    struct block *b = block_with("one");
    struct hash256 before = block_hash(b);
    struct block *w = block_writable(&alloc, &b);
    assert_ptr_equal(w, b);
    block_extra_add(w, "more", 4);
    struct hash256 after = block_hash(b);
    assert_false(hash256_equal(&before, &after));
    block_release(&alloc, b);
}

/* A block held twice is copied, and the other holder sees no change. */
static void a_shared_block_is_copied_before_a_change(void **state)
{
    (void)state;
    struct block *b = block_with("shared");
    struct block *pinned = b;
    block_hold(pinned);
    struct hash256 before = block_hash(pinned);
    struct block *w = block_writable(&alloc, &b);
    assert_non_null(w);
    assert_ptr_not_equal(w, pinned);
    assert_ptr_equal(w, b);
    w->payload[0] = 'X';
    w->payload[15] = '?';
    block_extra_add(w, "!", 1);
    assert_memory_equal(pinned->payload, "12345678derived!", 16);
    struct hash256 still = block_hash(pinned);
    assert_true(hash256_equal(&before, &still));
    struct hash256 changed = block_hash(b);
    assert_false(hash256_equal(&before, &changed));
    assert_int_equal(block_size(b), block_size(pinned) + 1);
    block_release(&alloc, pinned);
    block_release(&alloc, b);
}

/* The pin goes: the live state owns its block alone again and copies no more. */
static void a_block_whose_pin_went_is_changed_in_place(void **state)
{
    (void)state;
    struct block *b = block_with("x");
    block_hold(b);
    block_release(&alloc, b);
    assert_ptr_equal(block_writable(&alloc, &b), b);
    block_release(&alloc, b);
}

/* Refused memory leaves the place as it was. */
static void refused_copies_change_nothing(void **state)
{
    (void)state;
    struct block *b = block_with("keep");
    struct block *pinned = b;
    block_hold(pinned);
    for (int64_t n = 1; n <= 2; n++) {
        atomic_store(&alloc.fail_countdown, n);
        assert_null(block_writable(&alloc, &b));
        assert_ptr_equal(b, pinned);
    }
    atomic_store(&alloc.fail_countdown, 1);
    assert_false(block_extra_reserve(&alloc, b, 1000));
    assert_int_equal(b->extra_size, 4);
    block_release(&alloc, pinned);
    block_release(&alloc, b);
}

static void lists_grow_and_release_what_they_hold(void **state)
{
    (void)state;
    struct block_list list = {0};
    assert_null(block_list_get(&list, 3));
    assert_true(block_list_reserve(&alloc, &list, 100));
    list.items[100] = block_with("hundred");
    assert_null(block_list_get(&list, 99));
    assert_true(block_list_reserve(&alloc, &list, 1000));
    assert_non_null(block_list_get(&list, 100));
    assert_null(block_list_get(&list, 100000));
    block_list_fini(&alloc, &list);
    block_release(&alloc, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(canonical_bytes_are_payload_head_and_extra, begin, end),
        cmocka_unit_test_setup_teardown(a_block_held_once_is_changed_in_place, begin, end),
        cmocka_unit_test_setup_teardown(a_shared_block_is_copied_before_a_change, begin, end),
        cmocka_unit_test_setup_teardown(a_block_whose_pin_went_is_changed_in_place, begin, end),
        cmocka_unit_test_setup_teardown(refused_copies_change_nothing, begin, end),
        cmocka_unit_test_setup_teardown(lists_grow_and_release_what_they_hold, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/blocks", tests, NULL, NULL);
}
