/* Tests of engine/pending_puts: sums of what is appended and not applied. */
#include "support/tm_test.h"

#include "engine/pending_puts.h"

static struct pending_sum sum(struct pending_puts *p, const char *key, uint64_t applied)
{
    return pending_puts_sum(p, ENTITY_ITEM, slice_of_text(key), seqno_of(applied));
}

static void add(struct pending_puts *p, const char *key, uint64_t bytes)
{
    struct pending_sum more = {.bytes = bytes, .fields = 1};
    assert_true(pending_puts_try(p, ENTITY_ITEM, slice_of_text(key), more));
}

static void what_is_appended_counts_until_it_is_applied(void **state)
{
    (void)state;
    struct pending_puts p;
    assert_true(pending_puts_init(&p));
    pending_puts_begin(&p);
    add(&p, "a", 10);
    pending_puts_keep(&p, seqno_of(5));
    assert_int_equal(sum(&p, "a", 4).bytes, 10);
    assert_int_equal(sum(&p, "a", 4).fields, 1);
    assert_true(sum(&p, "a", 4).is_appended);
    assert_int_equal(sum(&p, "b", 4).bytes, 0);
    pending_puts_begin(&p);
    add(&p, "a", 20);
    pending_puts_keep(&p, seqno_of(6));
    assert_int_equal(sum(&p, "a", 5).bytes, 30); /* both, until the newer one is applied */
    assert_int_equal(sum(&p, "a", 6).bytes, 0);
    assert_false(sum(&p, "a", 6).is_appended);
    pending_puts_fini(&p);
}

/* A record that was judged and refused leaves nothing behind. */
static void what_was_only_tried_is_forgotten(void **state)
{
    (void)state;
    struct pending_puts p;
    assert_true(pending_puts_init(&p));
    pending_puts_begin(&p);
    for (int i = 0; i < 1000; i++) {
        add(&p, "a", 1);
        add(&p, i % 2 == 0 ? "b" : "c", 1);
    }
    assert_int_equal(sum(&p, "a", 0).bytes, 1000);
    assert_int_equal(sum(&p, "b", 0).fields, 500);
    assert_false(sum(&p, "a", 0).is_appended);
    pending_puts_begin(&p);
    assert_int_equal(sum(&p, "a", 0).bytes, 0);
    add(&p, "b", 7);
    pending_puts_keep(&p, seqno_of(1));
    assert_int_equal(sum(&p, "b", 0).bytes, 7);
    assert_int_equal(sum(&p, "c", 0).bytes, 0);
    pending_puts_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_counts_until_it_is_applied),
        cmocka_unit_test(what_was_only_tried_is_forgotten),
    };
    return cmocka_run_group_tests_name("engine/pending_puts", tests, NULL, NULL);
}
