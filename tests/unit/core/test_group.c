/* Goal: when the open group becomes a batch: at once on an idle disk, never while a sync is in
 * flight, after commit_delay only if nobody waits. */
#include "core/group.h"

#include "support/tm_test.h"

static void an_empty_group_is_kept(void **state)
{
    (void)state;
    struct group_facts f = {.must_close = true, .is_anyone_waiting = true};
    assert_int_equal(group_decide(&f), GROUP_KEEP);
}

static void an_idle_disk_is_never_made_to_wait(void **state)
{
    (void)state;
    struct group_facts f = {.record_count = 1};
    assert_int_equal(group_decide(&f), GROUP_CLOSE);
}

static void what_arrives_during_a_sync_shares_the_next_one(void **state)
{
    (void)state;
    struct group_facts f = {.record_count = 1, .is_log_busy = true, .must_close = true};
    assert_int_equal(group_decide(&f), GROUP_KEEP);
}

static void a_commit_delay_holds_a_group_until_it_is_old_full_or_waited_for(void **state)
{
    (void)state;
    struct group_facts f = {.record_count = 1, .age_ns = 99, .delay_ns = 100};
    assert_int_equal(group_decide(&f), GROUP_DELAY);
    f.age_ns = 100;
    assert_int_equal(group_decide(&f), GROUP_CLOSE);
    f.age_ns = 0;
    f.must_close = true;
    assert_int_equal(group_decide(&f), GROUP_CLOSE);
    f.must_close = false;
    f.is_anyone_waiting = true;
    assert_int_equal(group_decide(&f), GROUP_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_group_is_kept),
        cmocka_unit_test(an_idle_disk_is_never_made_to_wait),
        cmocka_unit_test(what_arrives_during_a_sync_shares_the_next_one),
        cmocka_unit_test(a_commit_delay_holds_a_group_until_it_is_old_full_or_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
