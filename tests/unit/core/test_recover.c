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
    struct tail_facts f = {.stop = {10}, .evidence = {10}};
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

static void missing_sectors_beyond_everything_known_are_torn(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .has_missing_sector = true};
    assert_int_equal(decide(f), TAIL_TORN);
    f.has_mark = true;
    f.mark = (seqno){9};
    assert_int_equal(decide(f), TAIL_TORN);
}

static void batch_cut_short_beyond_everything_known_is_torn(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}, .evidence = {9}, .is_cut_short = true};
    assert_int_equal(decide(f), TAIL_TORN);
}

/* An older mark, or later headers of the same group, do not say that the last group was not
 * acknowledged: a power cut can take the newest mark. */
static void whole_batch_that_does_not_verify_is_unclear(void **state)
{
    (void)state;
    struct tail_facts f = {.stop = {10}};
    assert_int_equal(decide(f), TAIL_UNCLEAR);
    f.has_mark = true;
    f.mark = (seqno){9};
    assert_int_equal(decide(f), TAIL_UNCLEAR);
    f.evidence = (seqno){9};
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
        cmocka_unit_test(missing_sectors_beyond_everything_known_are_torn),
        cmocka_unit_test(batch_cut_short_beyond_everything_known_is_torn),
        cmocka_unit_test(whole_batch_that_does_not_verify_is_unclear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
