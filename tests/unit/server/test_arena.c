/* arena: pieces are zeroed, aligned and apart, and all come back at once. */
#include "support/tm_test.h"

#include "server/arena.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct arena a;
    arena_init(&a, &alloc);
    uint8_t *pieces[64];
    for (size_t i = 0; i < 64; i++) {
        size_t size = i * i * 3; /* some larger than a chunk */
        pieces[i] = arena_get(&a, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < size; k++) {
            assert_int_equal(pieces[i][k], 0);
        }
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 0; i < 64; i++) {
        for (size_t k = 0; k < i * i * 3; k++) {
            assert_int_equal(pieces[i][k], i);
        }
    }
    arena_reset(&a);
    assert_int_equal(alloc.used_bytes, 0);
}

static void copies_and_taken_pieces_live_on(void **state)
{
    (void)state;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct arena a;
    struct arena b;
    arena_init(&a, &alloc);
    arena_init(&b, &alloc);
    char text[] = "hello";
    struct slice copy;
    struct slice empty;
    assert_true(arena_copy(&b, slice_of_text(text), &copy));
    assert_true(arena_copy(&b, slice_of(NULL, 0), &empty));
    text[0] = 'j';
    assert_non_null(arena_get(&a, 10));
    arena_take(&a, &b);
    arena_reset(&b);
    assert_memory_equal(copy.data, "hello", 5);
    assert_int_equal(empty.size, 0);
    arena_reset(&a);
    assert_int_equal(alloc.used_bytes, 0);
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    struct alloc alloc;
    alloc_init(&alloc, 8192);
    struct arena a;
    arena_init(&a, &alloc);
    assert_non_null(arena_get(&a, 100));
    assert_null(arena_get(&a, 8000));
    assert_null(arena_get(&a, SIZE_MAX));
    struct slice out;
    char big[8000] = {0};
    assert_false(arena_copy(&a, slice_of(big, sizeof(big)), &out));
    arena_reset(&a);
    assert_int_equal(alloc.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(copies_and_taken_pieces_live_on),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
