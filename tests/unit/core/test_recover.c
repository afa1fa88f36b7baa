/* Goal: every row of the torn-or-rotten table of core/recover.h, by name. */
#include "core/recover.h"
#include "support/tm_test.h"

static enum tail_verdict decide(struct tail_facts f)
{
    return recover_decide(&f);
}

static void an_io_error_is_never_a_torn_tail(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .is_io_error = true, .has_mark = true, .mark = {5}};
    assert_int_equal(decide(f), TAIL_IO);
}

static void a_record_at_or_below_the_mark_is_rotten(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .has_mark = true, .mark = {10}};
    assert_int_equal(decide(f), TAIL_ROTTEN);
    f.is_zero_after = true;
    assert_int_equal(decide(f), TAIL_ROTTEN);
    f.mark = (seqno){9};
    assert_int_equal(decide(f), TAIL_CLEAN);
}

static void a_later_header_that_vouches_for_the_record_makes_it_rotten(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .evidence = {10}, .later_batches = 1};
    assert_int_equal(decide(f), TAIL_ROTTEN);
    f.has_mark = true;
    f.mark = (seqno){3};
    assert_int_equal(decide(f), TAIL_ROTTEN);
}

static void a_later_segment_that_does_not_continue_makes_it_rotten(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .has_mark = true, .mark = {9}, .has_later_segment = true};
    assert_int_equal(decide(f), TAIL_ROTTEN);
}

static void zeros_beyond_everything_acknowledged_are_a_clean_end(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .is_zero_after = true};
    assert_int_equal(decide(f), TAIL_CLEAN);
}

static void junk_beyond_the_mark_is_torn(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .has_mark = true, .mark = {9}};
    assert_int_equal(decide(f), TAIL_TORN);
}

static void later_headers_that_do_not_vouch_leave_it_torn(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .evidence = {9}, .later_batches = 2};
    assert_int_equal(decide(f), TAIL_TORN);
}

static void without_any_evidence_only_missing_sectors_are_torn(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .has_missing_sector = true};
    assert_int_equal(decide(f), TAIL_TORN);
    f.has_missing_sector = false;
    assert_int_equal(decide(f), TAIL_UNCLEAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_io_error_is_never_a_torn_tail),
        cmocka_unit_test(a_record_at_or_below_the_mark_is_rotten),
        cmocka_unit_test(a_later_header_that_vouches_for_the_record_makes_it_rotten),
        cmocka_unit_test(a_later_segment_that_does_not_continue_makes_it_rotten),
        cmocka_unit_test(zeros_beyond_everything_acknowledged_are_a_clean_end),
        cmocka_unit_test(junk_beyond_the_mark_is_torn),
        cmocka_unit_test(later_headers_that_do_not_vouch_leave_it_torn),
        cmocka_unit_test(without_any_evidence_only_missing_sectors_are_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
