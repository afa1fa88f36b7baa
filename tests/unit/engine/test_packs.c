/* Tests of engine/packs: which packs are emptied. */
#include "support/tm_test.h"

#include "engine/packs.h"

static void a_pack_is_emptied_when_less_than_half_is_live(void **state)
{
    (void)state;
    struct pack_use items[] = {{.id = 9, .size = 1000}, {.id = 2, .size = 1000}, {.id = 5}};
    struct packs p = {.items = items, .count = 3};
    packs_sort(&p);
    packs_note(&p, 9, 300);
    packs_note(&p, 9, 200);
    packs_note(&p, 2, 499);
    packs_note(&p, 77, 10); /* of no pack */
    packs_decide(&p);
    assert_false(packs_is_emptied(&p, 9));
    assert_true(packs_is_emptied(&p, 2));
    assert_true(packs_is_emptied(&p, 77)); /* its blocks must come from somewhere */
}

/* Many packs that are all live: the small ones are joined. */
static void too_many_packs_are_joined(void **state)
{
    (void)state;
    enum { COUNT = (int)PACKS_NAMED_MAX + 1 };
    struct pack_use items[COUNT] = {{0}};
    for (uint64_t i = 0; i < COUNT; i++) {
        items[i] = (struct pack_use){.id = i + 1, .size = 100 * (i + 1)};
    }
    struct packs p = {.items = items, .count = COUNT};
    for (uint64_t i = 0; i < COUNT; i++) {
        packs_note(&p, i + 1, 100 * (i + 1));
    }
    packs_decide(&p);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(packs_is_emptied(&p, i + 1), i < COUNT - PACKS_NAMED_MAX / 2);
    }
    p.count = COUNT - 1;
    for (size_t i = 0; i < p.count; i++) {
        items[i].is_emptied = false;
    }
    packs_decide(&p);
    for (uint64_t i = 0; i < COUNT - 1; i++) {
        assert_false(packs_is_emptied(&p, i + 1));
    }
}

static void without_packs_there_is_nothing_to_decide(void **state)
{
    (void)state;
    struct packs p = {0};
    packs_sort(&p);
    packs_note(&p, 1, 1);
    packs_decide(&p);
    assert_true(packs_is_emptied(&p, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pack_is_emptied_when_less_than_half_is_live),
        cmocka_unit_test(too_many_packs_are_joined),
        cmocka_unit_test(without_packs_there_is_nothing_to_decide),
    };
    return cmocka_run_group_tests_name("engine/packs", tests, NULL, NULL);
}
