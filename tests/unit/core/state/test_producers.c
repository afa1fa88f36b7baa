/* Tests of core/state/producers: numbers only grow, rows survive their blocks. */
#include "support/tm_test.h"

#include "core/state/producers.h"

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

static bool note(struct keys *k, const char *id, uint64_t number, uint64_t at)
{
    struct producer p = {.number = number,
                         .where = {.epoch = 2, .seqno = {at}, .chain4 = {1, 2, 3, 4}}};
    return producers_note(k, slice_of_text(id), &p);
}

static void numbers_only_grow(void **state)
{
    (void)state;
    struct keys k;
    struct producer p;
    producers_init(&k, &alloc, 1);
    assert_false(producers_find(&k, slice_of_text("import"), &p));
    assert_true(note(&k, "import", 5, 10));
    assert_true(note(&k, "import", 3, 11)); /* not above 5: no effect */
    assert_true(note(&k, "import", 5, 12));
    assert_true(producers_find(&k, slice_of_text("import"), &p));
    assert_int_equal(p.number, 5);
    assert_int_equal(p.where.seqno.v, 10);
    assert_true(note(&k, "import", 6, 13));
    assert_true(producers_find(&k, slice_of_text("import"), &p));
    assert_int_equal(p.number, 6);
    assert_int_equal(p.where.seqno.v, 13);
    assert_int_equal(p.where.epoch, 2);
    assert_memory_equal(p.where.chain4, "\x01\x02\x03\x04", 4);
    keys_fini(&k);
}

static void refused_memory_changes_nothing(void **state)
{
    (void)state;
    struct keys k;
    struct producer p;
    producers_init(&k, &alloc, 1);
    assert_true(note(&k, "a", 1, 1));
    struct block *pinned = k.blocks.items[0];
    block_hold(pinned);
    atomic_store(&alloc.fail_countdown, 1);
    assert_false(note(&k, "a", 2, 2));
    assert_true(producers_find(&k, slice_of_text("a"), &p));
    assert_int_equal(p.number, 1);
    atomic_store(&alloc.fail_countdown, 1);
    assert_false(note(&k, "b", 1, 2));
    assert_false(producers_find(&k, slice_of_text("b"), &p));
    block_release(&alloc, pinned);
    keys_fini(&k);
}

static void blocks_load_and_lie_within_the_log(void **state)
{
    (void)state;
    struct keys k;
    struct keys loaded;
    struct err e;
    producers_init(&k, &alloc, 1);
    producers_init(&loaded, &alloc, 9);
    char id[16];
    for (uint64_t i = 0; i < 1500; i++) {
        snprintf(id, sizeof(id), "p%u", (unsigned)i);
        assert_true(note(&k, id, i * 100, i + 1));
    }
    uint8_t *bytes = malloc(1 << 20);
    for (uint32_t i = 0; i < keys_block_count(&k); i++) {
        struct block *b = k.blocks.items[i];
        block_encode(b, bytes);
        struct slice stored = slice_of(bytes, block_size(b));
        assert_int_equal(producers_load(&loaded, seqno_of(1500), b->id, stored, &e), OK);
        struct hash256 x = block_hash(b);
        struct hash256 y = block_hash(loaded.blocks.items[i]);
        assert_true(hash256_equal(&x, &y));
    }
    struct producer p;
    assert_true(producers_find(&loaded, slice_of_text("p1499"), &p));
    assert_int_equal(p.number, 149900);
    keys_fini(&loaded);
    producers_init(&loaded, &alloc, 9);
    block_encode(k.blocks.items[0], bytes);
    struct slice stored = slice_of(bytes, block_size(k.blocks.items[0]));
    assert_int_equal(producers_load(&loaded, seqno_of(1000), k.blocks.items[0]->id, stored, &e),
                     E_CORRUPT);
    free(bytes);
    keys_fini(&k);
    keys_fini(&loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_only_grow, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(blocks_load_and_lie_within_the_log, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/producers", tests, NULL, NULL);
}
