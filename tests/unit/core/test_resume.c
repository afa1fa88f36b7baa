/* Tests of core/resume: one test per row of the table in its header, and what the sentences say. */
#include "support/tm_test.h"

#include "core/resume.h"

/* A follower of this cluster that is behind and whose history was proved. */
static struct resume_facts good(void)
{
    return (struct resume_facts){
        .has_common_version = true,
        .is_leading = true,
        .is_serving = true,
        .is_stream_equal = true,
        .is_cluster_known = true,
        .is_cluster_equal = true,
        .is_credential_good = true,
        .is_feature_level_enough = true,
        .has_slot = true,
        .highest_epoch = 3,
        .leader_epoch = 3,
        .last = seqno_of(50),
        .durable = seqno_of(100),
        .oldest = seqno_of(1),
        .common = {.is_known = true,
                   .end = seqno_of(50),
                   .shared = {.number = 3, .nonce = 33},
                   .is_mine_open = true,
                   .is_theirs_open = true},
        .is_shared_epoch_mine = true,
        .proof = PROOF_EQUAL,
        .node_id = slice_of_text("f1"),
    };
}

static struct resume_facts empty(void)
{
    struct resume_facts f = good();
    f.is_empty = true;
    f.has_slot = false;
    f.is_cluster_known = false;
    f.is_cluster_equal = false;
    f.last = SEQNO_NONE;
    f.highest_epoch = 0;
    f.common = (struct epoch_common){.is_known = true};
    f.proof = PROOF_NOT_ASKED;
    return f;
}

static void check_refusal(const struct resume_facts *f, uint32_t row, enum refuse_reason reason)
{
    struct resume_plan plan = resume_decide(f);
    assert_int_equal(plan.kind, RESUME_REFUSE);
    assert_int_equal(plan.row, row);
    assert_int_equal(plan.reason, reason);
    char buffer[512];
    struct text t = text_of(buffer, sizeof(buffer));
    resume_explain(f, &plan, &t);
    assert_true(t.size > 10); /* every refusal has words */
    assert_false(t.is_cut);
}

static void row_1_refuses_a_follower_without_a_common_version(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.has_common_version = false;
    f.is_leading = false; /* earlier rows win */
    check_refusal(&f, 1, REFUSE_NEWER_FORMAT);
}

static void row_2_refuses_on_a_node_that_does_not_lead_and_names_the_leader(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_leading = false;
    f.leader_address = slice_of_text("10.0.0.7:7402");
    check_refusal(&f, 2, REFUSE_NOT_LEADER);
    char buffer[512];
    struct text t = text_of(buffer, sizeof(buffer));
    struct resume_plan plan = resume_decide(&f);
    resume_explain(&f, &plan, &t);
    assert_non_null(strstr(buffer, "10.0.0.7:7402"));
}

static void row_3_refuses_while_starting_or_closing(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_serving = false;
    check_refusal(&f, 3, REFUSE_BUSY);
}

static void row_4_refuses_another_stream(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_stream_equal = false;
    check_refusal(&f, 4, REFUSE_WRONG_STREAM);
}

static void row_5_refuses_another_cluster_and_records_without_one(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_cluster_equal = false;
    check_refusal(&f, 5, REFUSE_WRONG_CLUSTER);
    f.is_cluster_known = false;
    check_refusal(&f, 5, REFUSE_WRONG_CLUSTER);
}

static void row_6_refuses_wrong_credentials(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_credential_good = false;
    check_refusal(&f, 6, REFUSE_CREDENTIALS);
}

static void row_7_refuses_below_the_feature_level(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_feature_level_enough = false;
    check_refusal(&f, 7, REFUSE_FEATURE_LEVEL);
}

static void row_8_refuses_when_the_follower_has_seen_a_higher_epoch(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.highest_epoch = 4;
    check_refusal(&f, 8, REFUSE_HIGHER_EPOCH);
}

static void row_9_refuses_an_id_in_use_and_names_the_first(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_id_in_use = true;
    f.holder_address = slice_of_text("10.0.0.9:7400");
    check_refusal(&f, 9, REFUSE_ID_IN_USE);
    char buffer[512];
    struct text t = text_of(buffer, sizeof(buffer));
    struct resume_plan plan = resume_decide(&f);
    resume_explain(&f, &plan, &t);
    assert_non_null(strstr(buffer, "10.0.0.9:7400"));
    assert_non_null(strstr(buffer, "f1"));
}

static void row_10_refuses_a_new_id_when_the_table_is_full(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_slot_table_full = true;
    assert_int_equal(resume_decide(&f).kind, RESUME_CONTINUE); /* it has a slot */
    f.has_slot = false;
    check_refusal(&f, 10, REFUSE_SLOTS_FULL);
}

static void row_11_refuses_a_lost_slot(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_slot_lost = true;
    check_refusal(&f, 11, REFUSE_LOST);
}

static void row_12_serves_an_empty_follower_from_the_beginning(void **state)
{
    (void)state;
    struct resume_facts f = empty();
    struct resume_plan plan = resume_decide(&f);
    assert_int_equal(plan.kind, RESUME_CONTINUE);
    assert_int_equal(plan.row, 12);
}

/* Whatever its slot once held: an emptied follower is never fast-forwarded. */
static void row_13_refuses_an_empty_follower_when_the_log_starts_later(void **state)
{
    (void)state;
    struct resume_facts f = empty();
    f.has_slot = true;
    f.oldest = seqno_of(2);
    check_refusal(&f, 13, REFUSE_NOT_KEPT);
}

static void row_14_refuses_when_the_leader_lost_a_tail_and_counts_it(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.last = seqno_of(57);
    check_refusal(&f, 14, REFUSE_GAP);
    struct resume_plan plan = resume_decide(&f);
    assert_int_equal(plan.extra_records, 7);
    char buffer[512];
    struct text t = text_of(buffer, sizeof(buffer));
    resume_explain(&f, &plan, &t);
    assert_non_null(strstr(buffer, "7 more records"));
    assert_non_null(strstr(buffer, "lost a tail"));
}

static void row_15_refuses_a_tail_of_another_leadership(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.last = seqno_of(57);
    f.is_shared_epoch_mine = false;
    check_refusal(&f, 15, REFUSE_OTHER_HISTORY);
    f.is_shared_epoch_mine = true;
    f.common.is_theirs_open = false; /* it went on under another leader */
    check_refusal(&f, 15, REFUSE_OTHER_HISTORY);
    f.common = (struct epoch_common){.is_known = true}; /* nothing in common at all */
    check_refusal(&f, 15, REFUSE_OTHER_HISTORY);
}

static void row_16_refuses_an_end_beyond_durable_when_the_tables_cannot_tell(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.common = (struct epoch_common){0};
    f.last = seqno_of(101);
    check_refusal(&f, 16, REFUSE_GAP);
}

static void row_17_asks_for_the_proof_before_anything_is_served(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proof = PROOF_NOT_ASKED;
    struct resume_plan plan = resume_decide(&f);
    assert_int_equal(plan.kind, RESUME_PROVE);
    assert_int_equal(plan.row, 17);
}

static void row_18_refuses_equal_numbers_with_another_chain(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proof = PROOF_DIFFERS;
    check_refusal(&f, 18, REFUSE_OTHER_HISTORY);
}

static void row_19_refuses_what_the_log_no_longer_keeps(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proof = PROOF_NOT_KEPT;
    check_refusal(&f, 19, REFUSE_NOT_KEPT);
    f.proof = PROOF_EQUAL;
    f.oldest = seqno_of(52);
    check_refusal(&f, 19, REFUSE_NOT_KEPT);
    f.oldest = seqno_of(51); /* exactly what comes next */
    assert_int_equal(resume_decide(&f).kind, RESUME_CONTINUE);
}

static void row_20_refuses_for_now_when_the_log_cannot_be_read(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proof = PROOF_FAILED;
    check_refusal(&f, 20, REFUSE_BUSY);
}

static void row_21_continues_from_exactly_what_was_asked(void **state)
{
    (void)state;
    struct resume_facts f = good();
    struct resume_plan plan = resume_decide(&f);
    assert_int_equal(plan.kind, RESUME_CONTINUE);
    assert_int_equal(plan.row, 21);
    f.last = f.durable; /* nothing to send is fine too */
    f.common.end = f.durable;
    assert_int_equal(resume_decide(&f).kind, RESUME_CONTINUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_1_refuses_a_follower_without_a_common_version),
        cmocka_unit_test(row_2_refuses_on_a_node_that_does_not_lead_and_names_the_leader),
        cmocka_unit_test(row_3_refuses_while_starting_or_closing),
        cmocka_unit_test(row_4_refuses_another_stream),
        cmocka_unit_test(row_5_refuses_another_cluster_and_records_without_one),
        cmocka_unit_test(row_6_refuses_wrong_credentials),
        cmocka_unit_test(row_7_refuses_below_the_feature_level),
        cmocka_unit_test(row_8_refuses_when_the_follower_has_seen_a_higher_epoch),
        cmocka_unit_test(row_9_refuses_an_id_in_use_and_names_the_first),
        cmocka_unit_test(row_10_refuses_a_new_id_when_the_table_is_full),
        cmocka_unit_test(row_11_refuses_a_lost_slot),
        cmocka_unit_test(row_12_serves_an_empty_follower_from_the_beginning),
        cmocka_unit_test(row_13_refuses_an_empty_follower_when_the_log_starts_later),
        cmocka_unit_test(row_14_refuses_when_the_leader_lost_a_tail_and_counts_it),
        cmocka_unit_test(row_15_refuses_a_tail_of_another_leadership),
        cmocka_unit_test(row_16_refuses_an_end_beyond_durable_when_the_tables_cannot_tell),
        cmocka_unit_test(row_17_asks_for_the_proof_before_anything_is_served),
        cmocka_unit_test(row_18_refuses_equal_numbers_with_another_chain),
        cmocka_unit_test(row_19_refuses_what_the_log_no_longer_keeps),
        cmocka_unit_test(row_20_refuses_for_now_when_the_log_cannot_be_read),
        cmocka_unit_test(row_21_continues_from_exactly_what_was_asked),
    };
    return cmocka_run_group_tests_name("core/resume", tests, NULL, NULL);
}
