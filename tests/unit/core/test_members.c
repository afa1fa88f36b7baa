/* Tests of core/members: one change at a time, and what is refused. */
#include "support/tm_test.h"

#include "core/members.h"

static struct members_change adding(const char *id, bool is_voter, const char *address)
{
    return (struct members_change){
        .node_id = slice_of_text(id), .is_voter = is_voter, .address = slice_of_text(address)};
}

static enum code change(struct record_members *m, const struct members_change *c, bool *is_same)
{
    struct record_members out;
    struct err e = {.code = OK};
    enum code code = members_change(m, c, &out, is_same, &e);
    if (code == OK) *m = out;
    return code;
}

static void members_come_vote_and_go(void **state)
{
    (void)state;
    struct record_members m = {.count = 0};
    bool is_same;
    struct members_change a = adding("a", true, "10.0.0.1:7400");
    struct members_change b = adding("b", false, "");
    assert_int_equal(change(&m, &a, &is_same), OK);
    assert_false(is_same);
    assert_int_equal(change(&m, &b, &is_same), OK);
    assert_int_equal(m.count, 2);
    assert_int_equal(members_voter_count(&m), 1);
    assert_true(members_is_voter(&m, slice_of_text("a")));
    assert_false(members_is_voter(&m, slice_of_text("b")));
    assert_false(members_is_voter(&m, slice_of_text("c")));
    b.is_voter = true;
    assert_int_equal(change(&m, &b, &is_same), OK);
    assert_false(is_same);
    assert_int_equal(members_voter_count(&m), 2);
    struct members_change gone = {.is_removal = true, .node_id = slice_of_text("a")};
    assert_int_equal(change(&m, &gone, &is_same), OK);
    assert_int_equal(m.count, 1);
    assert_true(slice_equal(m.members[0].node_id, slice_of_text("b")));
    assert_int_equal(change(&m, &gone, &is_same), E_NOTFOUND);
}

static void the_same_again_changes_nothing(void **state)
{
    (void)state;
    struct record_members m = {.count = 0};
    bool is_same;
    struct members_change a = adding("a", true, "10.0.0.1:7400");
    struct members_change plain = adding("a", true, "");
    struct members_change moved = adding("a", true, "10.0.0.9:7400");
    assert_int_equal(change(&m, &a, &is_same), OK);
    assert_int_equal(change(&m, &a, &is_same), OK);
    assert_true(is_same);
    assert_int_equal(change(&m, &plain, &is_same), OK);
    assert_true(is_same);
    assert_true(slice_equal(m.members[0].address, slice_of_text("10.0.0.1:7400")));
    assert_int_equal(change(&m, &moved, &is_same), OK);
    assert_false(is_same);
}

static void the_list_is_bounded_and_ids_are_checked(void **state)
{
    (void)state;
    struct record_members m = {.count = 0};
    static char ids[MEMBERS_MAX + 1][8];
    bool is_same;
    for (uint32_t i = 0; i <= MEMBERS_MAX; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "n%u", i);
        struct members_change c = adding(ids[i], i % 2 == 0, "");
        assert_int_equal(change(&m, &c, &is_same), i < MEMBERS_MAX ? OK : E_LIMIT);
    }
    assert_int_equal(members_voter_count(&m), MEMBERS_MAX / 2);
    struct members_change full = adding(ids[3], true, ""); /* one that is there */
    assert_int_equal(change(&m, &full, &is_same), OK);
    struct members_change wrong = adding("no spaces", true, "");
    assert_int_equal(change(&m, &wrong, &is_same), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_vote_and_go),
        cmocka_unit_test(the_same_again_changes_nothing),
        cmocka_unit_test(the_list_is_bounded_and_ids_are_checked),
    };
    return cmocka_run_group_tests_name("core/members", tests, NULL, NULL);
}
