/* Tests of core/chain: paths from a follower to its leader, their length, and what is in them. */
#include "support/tm_test.h"

#include "core/chain.h"

static void a_path_grows_in_front_and_is_counted(void **state)
{
    (void)state;
    char f1[CHAIN_TEXT_SIZE];
    char f2[CHAIN_TEXT_SIZE];
    assert_true(chain_extend(slice_of_text("l"), (struct slice){0}, f1));
    assert_string_equal(f1, "l");
    assert_true(chain_extend(slice_of_text("f1"), slice_of_text(f1), f2));
    assert_string_equal(f2, "f1,l");
    assert_int_equal(chain_length((struct slice){0}), 0);
    assert_int_equal(chain_length(slice_of_text(f1)), 1);
    assert_int_equal(chain_length(slice_of_text(f2)), 2);
    assert_true(slice_equal(chain_first(slice_of_text(f2)), slice_of_text("f1")));
    assert_int_equal(chain_first((struct slice){0}).size, 0);
}

static void only_whole_ids_are_found(void **state)
{
    (void)state;
    struct slice path = slice_of_text("f12,f1,leader");
    assert_true(chain_has(path, slice_of_text("f1")));
    assert_true(chain_has(path, slice_of_text("f12")));
    assert_true(chain_has(path, slice_of_text("leader")));
    assert_false(chain_has(path, slice_of_text("f")));
    assert_false(chain_has(path, slice_of_text("eader")));
    assert_false(chain_has(path, slice_of_text("f1,leader")));
    assert_false(chain_has(path, (struct slice){0}));
    assert_false(chain_has((struct slice){0}, slice_of_text("f1")));
    assert_false(chain_has(slice_of_text(",,"), (struct slice){0}));
}

static void a_chain_ends_at_its_greatest_length_however_long_the_names_are(void **state)
{
    (void)state;
    char id[NODE_ID_SIZE_MAX + 1] = {0};
    char path[CHAIN_TEXT_SIZE] = {0};
    char next[CHAIN_TEXT_SIZE];
    memset(id, 'n', NODE_ID_SIZE_MAX);
    for (uint32_t i = 0; i < CHAIN_MAX; i++) {
        assert_true(chain_extend(slice_of_text(id), slice_of_text(path), next));
        memcpy(path, next, sizeof(path));
    }
    assert_int_equal(chain_length(slice_of_text(path)), CHAIN_MAX);
    assert_false(chain_extend(slice_of_text("x"), slice_of_text(path), next));
    assert_string_equal(next, "");
    /* A path that is too long in bytes only. */
    char big[CHAIN_TEXT_SIZE];
    memset(big, 'b', sizeof(big));
    assert_false(chain_extend(slice_of_text("x"), slice_of(big, sizeof(big) - 2), next));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_grows_in_front_and_is_counted),
        cmocka_unit_test(only_whole_ids_are_found),
        cmocka_unit_test(a_chain_ends_at_its_greatest_length_however_long_the_names_are),
    };
    return cmocka_run_group_tests_name("core/chain", tests, NULL, NULL);
}
