/* Tests of core/state/keys: interning, blocks, loading. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/random.h"
#include "core/state/keys.h"

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

static struct keys keys_make(uint32_t block_entries)
{
    struct keys k;
    struct keys_shape shape = {
        .kind = BLOCK_ITEM_KEYS, .block_entries = block_entries, .row_size = 8};
    keys_init(&k, &alloc, shape, 42);
    return k;
}

static uint32_t add(struct keys *k, struct slice key, uint64_t row)
{
    return keys_add(k, key, keys_hash(k, key), &row);
}

static uint32_t find(const struct keys *k, struct slice key)
{
    return keys_find(k, key, keys_hash(k, key));
}

/* Indexes are dense in the order of adding, keys and rows come back, over many blocks. */
static void keys_are_numbered_in_the_order_of_adding(void **state)
{
    (void)state;
    struct keys k = keys_make(64);
    char text[32];
    for (uint32_t i = 0; i < 5000; i++) {
        int size = snprintf(text, sizeof(text), "%u-%u", i * 7919u % 10007u, i);
        struct slice key = slice_of(text, (size_t)size);
        assert_int_equal(find(&k, key), KEYS_NONE);
        assert_int_equal(add(&k, key, i * UINT64_C(3)), i);
        assert_int_equal(find(&k, key), i);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        int size = snprintf(text, sizeof(text), "%u-%u", i * 7919u % 10007u, i);
        assert_true(slice_equal(keys_key(&k, i), slice_of(text, (size_t)size)));
        assert_int_equal(load_u64(keys_row(&k, i)), i * UINT64_C(3));
        assert_int_equal(find(&k, slice_of(text, (size_t)size)), i);
    }
    assert_int_equal(keys_block_count(&k), (5000 + 63) / 64);
    keys_fini(&k);
}

static void keys_of_every_size_are_kept(void **state)
{
    (void)state;
    struct keys k = keys_make(4);
    uint8_t bytes[KEY_SIZE_MAX];
    memset(bytes, 0, sizeof(bytes));
    for (uint32_t size = 1; size <= KEY_SIZE_MAX; size++) {
        assert_int_equal(add(&k, slice_of(bytes, size), size), size - 1);
    }
    for (uint32_t size = 1; size <= KEY_SIZE_MAX; size++) {
        assert_int_equal(find(&k, slice_of(bytes, size)), size - 1);
    }
    keys_fini(&k);
}

/* A guess is the index or none or wrong; keys_is tells. */
static void guesses_are_checked_by_the_key(void **state)
{
    (void)state;
    struct keys k = keys_make(64);
    struct slice a = slice_of_text("a");
    assert_int_equal(keys_guess(&k, keys_hash(&k, a)), KEYS_NONE);
    keys_prefetch_bytes(&k, KEYS_NONE);
    assert_int_equal(add(&k, a, 1), 0);
    uint32_t guess = keys_guess(&k, keys_hash(&k, a));
    assert_int_equal(guess, 0);
    keys_prefetch(&k, keys_hash(&k, a));
    keys_prefetch_bytes(&k, guess);
    assert_true(keys_is(&k, guess, a));
    assert_false(keys_is(&k, guess, slice_of_text("b")));
    keys_fini(&k);
}

/* Refused memory at every allocation: the key is not there, and a later try works. */
static void refused_adds_leave_nothing_behind(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 3; n++) {
        struct keys k = keys_make(64);
        atomic_store(&alloc.fail_countdown, n);
        assert_int_equal(add(&k, slice_of_text("key"), 1), KEYS_NONE);
        assert_int_equal(find(&k, slice_of_text("key")), KEYS_NONE);
        assert_int_equal(k.count, 0);
        assert_int_equal(keys_block_count(&k), 0);
        assert_int_equal(add(&k, slice_of_text("key"), 1), 0);
        keys_fini(&k);
    }
}

/* A pinned block does not see rows changed or keys added after the pin. */
static void shared_blocks_are_copied_before_a_change(void **state)
{
    (void)state;
    struct keys k = keys_make(64);
    assert_int_equal(add(&k, slice_of_text("one"), 1), 0);
    struct block *pinned = k.blocks.items[0];
    block_hold(pinned);
    struct hash256 before = block_hash(pinned);
    assert_int_equal(add(&k, slice_of_text("two"), 2), 1);
    uint8_t *row = keys_row_writable(&k, 0);
    assert_non_null(row);
    store_u64(row, 99);
    struct hash256 after = block_hash(pinned);
    assert_true(hash256_equal(&before, &after));
    assert_int_equal(load_u32(pinned->payload), 1);
    assert_int_equal(load_u64(keys_row(&k, 0)), 99);
    assert_true(slice_equal(keys_key(&k, 0), slice_of_text("one")));
    block_release(&alloc, pinned);
    keys_fini(&k);
}

static enum code load(struct keys *k, uint64_t number, const void *bytes, size_t size)
{
    struct block_id id = {.kind = BLOCK_ITEM_KEYS, .number = number};
    struct err e;
    return keys_load(k, id, slice_of(bytes, size), &e);
}

static void blocks_load_as_they_were(void **state)
{
    (void)state;
    struct keys k = keys_make(16);
    struct keys loaded = keys_make(16);
    char text[16];
    for (uint32_t i = 0; i < 40; i++) {
        int size = snprintf(text, sizeof(text), "k%u", i);
        assert_int_equal(add(&k, slice_of(text, (size_t)size), i), i);
    }
    for (uint32_t i = 0; i < keys_block_count(&k); i++) {
        uint8_t bytes[1024];
        block_encode(k.blocks.items[i], bytes);
        assert_int_equal(load(&loaded, i, bytes, block_size(k.blocks.items[i])), OK);
        struct hash256 a = block_hash(k.blocks.items[i]);
        struct hash256 b = block_hash(loaded.blocks.items[i]);
        assert_true(hash256_equal(&a, &b));
    }
    assert_int_equal(find(&loaded, slice_of_text("k39")), 39);
    /* the last block is not full, so none can follow */
    static const uint8_t one[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'z'};
    assert_int_equal(load(&loaded, 3, one, sizeof(one)), E_CORRUPT);
    assert_int_equal(load(&loaded, 2, one, sizeof(one)), E_CORRUPT);
    keys_fini(&k);
    keys_fini(&loaded);
}

static void damaged_blocks_are_refused(void **state)
{
    (void)state;
    static const uint8_t sound[] = {2, 0, 0, 0, 1, 0, 0, 0, 0,   0, 0,   0,  2,
                                    0, 0, 0, 0, 0, 0, 0, 1, 'a', 2, 'b', 'c'};
    static const struct {
        const char *what;
        uint32_t at;
        uint8_t value;
        uint32_t size;
    } cases[] = {
        {"no entries", 0, 0, sizeof(sound)},
        {"one entry less than there are bytes for", 0, 1, sizeof(sound)},
        {"more entries than there are bytes for", 0, 3, sizeof(sound)},
        {"more entries than a block holds", 0, 17, sizeof(sound)},
        {"an empty key", 20, 0, sizeof(sound)},
        {"a key beyond the end", 22, 3, sizeof(sound)},
        {"bytes behind the last key", 22, 1, sizeof(sound)},
        {"cut short", 0, 2, sizeof(sound) - 1},
        {"cut in the rows", 0, 2, 10},
        {"nothing", 0, 2, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct keys k = keys_make(16);
        uint8_t bytes[sizeof(sound)];
        memcpy(bytes, sound, sizeof(sound));
        bytes[cases[i].at] = cases[i].value;
        if (load(&k, 0, bytes, cases[i].size) != E_CORRUPT) fail_msg("%s", cases[i].what);
        keys_fini(&k);
    }
    struct keys k = keys_make(16);
    assert_int_equal(load(&k, 1, sound, sizeof(sound)), E_CORRUPT);
    assert_int_equal(load(&k, 0, sound, sizeof(sound)), OK);
    assert_int_equal(find(&k, slice_of_text("bc")), 1);
    keys_fini(&k);
}

static void a_repeated_key_is_refused(void **state)
{
    (void)state;
    static const uint8_t twice[] = {2, 0, 0, 0, 1, 0, 0, 0, 0, 0,   0, 0,
                                    2, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 1, 'a'};
    struct keys k = keys_make(16);
    assert_int_equal(load(&k, 0, twice, sizeof(twice)), E_CORRUPT);
    keys_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_numbered_in_the_order_of_adding, begin, end),
        cmocka_unit_test_setup_teardown(keys_of_every_size_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(guesses_are_checked_by_the_key, begin, end),
        cmocka_unit_test_setup_teardown(refused_adds_leave_nothing_behind, begin, end),
        cmocka_unit_test_setup_teardown(shared_blocks_are_copied_before_a_change, begin, end),
        cmocka_unit_test_setup_teardown(blocks_load_as_they_were, begin, end),
        cmocka_unit_test_setup_teardown(damaged_blocks_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_repeated_key_is_refused, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/keys", tests, NULL, NULL);
}
