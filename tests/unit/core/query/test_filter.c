/* Tests of core/query/filter: masks of blocks. What expressions mean is test_expr's. */
#include "support/tm_test.h"

#include "core/query/filter.h"
#include "core/state/inside.h"
#include "support/shelf.h"

static void without_filter_and_deletions_every_item_passes(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf, 5000, 1);
    struct field_mask mask;
    struct filter empty = {.step_count = 0};
    for (uint32_t i = 0; i < shelf.count; i++) {
        assert_true(field_index_set_deleted(&shelf.state->fields, i, i == 4096));
    }
    static bool passes[5000];
    shelf_ask(&shelf, NULL, passes);
    for (uint32_t i = 0; i < shelf.count; i++) {
        assert_int_equal(passes[i], i != 4096);
    }
    assert_int_equal(filter_block(NULL, shelf.state, 1, &mask), FILTER_SOME);
    assert_false(field_mask_has(&mask, 0));
    assert_true(field_mask_has(&mask, 903));
    assert_false(field_mask_has(&mask, 904)); /* there is no such item */
    assert_int_equal(filter_block(&empty, shelf.state, 1, &mask), FILTER_SOME);
    for (uint32_t i = 4096; i < shelf.count; i++) {
        assert_true(field_index_set_deleted(&shelf.state->fields, i, true));
    }
    assert_int_equal(filter_block(NULL, shelf.state, 1, &mask), FILTER_NONE);
    shelf_fini(&shelf);
}

static void a_state_without_deletions_needs_no_mask(void **state)
{
    (void)state;
    struct alloc alloc;
    struct state_log log;
    alloc_init(&alloc, 0);
    state_log_init(&log, 1700000000000);
    struct state *s = state_log_state(&log, &alloc);
    state_log_type(&log, 1, "view", 1000);
    state_log_signal(&log, 1, "a", 1700000000000, 1.0);
    state_log_seal(&log);
    state_log_apply(&log, 0, 1, s);
    struct field_mask mask;
    assert_int_equal(filter_block(NULL, s, 0, &mask), FILTER_ALL);
    struct filter never = {.step_count = 1, .steps = {{.kind = FILTER_NEVER}}};
    assert_int_equal(filter_block(&never, s, 0, &mask), FILTER_NONE);
    never.steps[never.step_count++] = (struct filter_step){.kind = FILTER_NOT};
    assert_int_equal(filter_block(&never, s, 0, &mask), FILTER_SOME);
    assert_int_equal(mask.words[0], 1);
    state_free(s);
    state_log_fini(&log);
}

static void a_set_of_operands_knows_what_is_in_it(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf, 300, 1);
    static struct filter f;
    struct filter_step step = {.kind = FILTER_CREATED_IN};
    f.slot_count = 0;
    f.slots[f.slot_count++] = 77; /* of a step before */
    for (uint64_t i = 0; i < 100; i++) {
        f.slots[f.slot_count++] = UINT64_C(1700000000000) - 2 * i;
    }
    assert_true(filter_set_make(&f, &step, 100));
    assert_int_equal(f.slots[0], 77);
    assert_int_equal(step.first, 1);
    assert_int_equal(f.slot_count, 1u + step.count);
    f.steps[0] = step;
    f.step_count = 1;
    static bool passes[300];
    shelf_ask(&shelf, &f, passes);
    for (uint32_t i = 0; i < shelf.count; i++) {
        bool is_even = shelf.items[i].created_ms % 2 == 0;
        assert_int_equal(passes[i], is_even && !shelf.items[i].is_deleted);
    }
    /* Room is bounded: a set takes at least twice its operands. */
    while (f.slot_count < 1500) {
        f.slots[f.slot_count++] = 1;
    }
    assert_false(filter_set_make(&f, &step, 300));
    shelf_fini(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_filter_and_deletions_every_item_passes),
        cmocka_unit_test(a_state_without_deletions_needs_no_mask),
        cmocka_unit_test(a_set_of_operands_knows_what_is_in_it),
    };
    return cmocka_run_group_tests_name("core/query/filter", tests, NULL, NULL);
}
