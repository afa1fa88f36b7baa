/* run: building runs and their memory; nothing here needs a database. */
#include "engine/run.h"

#include "support/node.h"

static void operations_get_indexes_in_order_up_to_the_limit(void **state)
{
    (void)state;
    tide_run *run = tide_run_new();
    for (int32_t i = 0; i < 65536; i++)
        assert_int_equal(tide_run_position(run), i);
    struct tide_signal s = {.type = bytes_of("view"), .item = bytes_of("a")};
    struct tide_schema_signal schema = {.name = bytes_of("wink")};
    struct tide_bytes exclude = bytes_of("a");
    struct tide_retrieve retrieve = {
        .profile = bytes_of("top"), .excludes = &exclude, .exclude_count = 1};
    assert_int_equal(tide_run_position(run), -1);
    assert_int_equal(tide_run_signal(run, &s, NULL), -1);
    assert_int_equal(tide_run_signals(run, &s, 1, NULL), -1);
    assert_int_equal(tide_run_schema_signal(run, &schema), -1);
    assert_int_equal(tide_run_retrieve(run, &retrieve), -1);
    assert_int_equal(tide_run_begin(run, NULL), -1);
    assert_int_equal(tide_run_end(run), -1);
    assert_int_equal(tide_run_producer(run, exclude), -1);
    assert_int_equal(tide_run_count(run), 65536);
    tide_run_reset(run);
    assert_int_equal(tide_run_count(run), 0);
    assert_int_equal(tide_run_signals(run, &s, 1, NULL), 0);
    tide_run_free(run);
    tide_run_free(NULL);
}

/* Entries and excludes are copied: the caller may forget them. Bytes stay borrowed. */
static void lists_are_copied(void **state)
{
    (void)state;
    tide_run *run = tide_run_new();
    struct tide_signal s[2] = {{.type = bytes_of("view"), .item = bytes_of("a")},
                               {.type = bytes_of("view"),
                                .item = bytes_of("b"),
                                .weight = 2,
                                .weight_is_set = true,
                                .at_ms = 5}};
    assert_int_equal(tide_run_signals(run, s, 2, NULL), 0);
    memset(s, 0xff, sizeof(s));
    const struct op_entry *entries = run->ops[0].more;
    assert_true(slice_equal(entries[0].item, slice_of_text("a")));
    assert_same_double(entries[0].weight, 1);
    assert_same_double(entries[1].weight, 2);
    assert_int_equal(entries[1].at_ms, 5);
    tide_run_free(run);
}

static void memory_of_results_is_aligned_and_apart(void **state)
{
    (void)state;
    tide_run *run = tide_run_new();
    uint8_t *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        size_t size = i * i % 3000 + 1;
        pieces[i] = run_take(run, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 0; i < 200; i++) {
        size_t size = i * i % 3000 + 1;
        assert_int_equal(pieces[i][0], i);
        assert_int_equal(pieces[i][size - 1], i);
    }
    tide_run_reset(run);
    assert_non_null(run_take(run, 1));
    tide_run_free(run);
}

static void exactly_the_writes_pass_the_gate(void **state)
{
    (void)state;
    static const enum op_kind writes[] = {OP_SIGNAL,        OP_SIGNALS,    OP_GROUP_BEGIN,
                                          OP_GROUP_END,     OP_UNSIGNAL,   OP_SCHEMA_SIGNAL,
                                          OP_SCHEMA_FIELD,  OP_ENTITY_PUT, OP_ENTITY_DELETE,
                                          OP_PRODUCER_SKIP, OP_MEMBER_ADD, OP_MEMBER_REMOVE};
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        bool is_listed = false;
        for (size_t i = 0; i < COUNT_OF(writes); i++)
            is_listed = is_listed || writes[i] == (enum op_kind)kind;
        assert_int_equal(op_is_write((enum op_kind)kind), is_listed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_get_indexes_in_order_up_to_the_limit),
        cmocka_unit_test(lists_are_copied),
        cmocka_unit_test(memory_of_results_is_aligned_and_apart),
        cmocka_unit_test(exactly_the_writes_pass_the_gate),
    };
    return cmocka_run_group_tests_name("engine/run", tests, NULL, NULL);
}
