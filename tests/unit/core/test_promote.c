/* Tests of core/promote: one per row of the table in promote.h, then what the rows are made of. */
#include "support/tm_test.h"

#include "base/error.h"

#include "core/promote.h"

static struct promote_node others[8];

static struct position at(uint64_t epoch, uint64_t s)
{
    struct position p = {.epoch = epoch, .seqno = seqno_of(s)};
    p.chain.bytes[0] = (uint8_t)s;
    return p;
}

/* This node ends at record 100 of epoch 5; the old leader is silent, two followers answer with less
 * and with the same. */
static struct promote_facts facts(void)
{
    memset(others, 0, sizeof(others));
    others[0] = (struct promote_node){.node_id = slice_of_text("old"), .was_leader = true};
    others[1] = (struct promote_node){.node_id = slice_of_text("n2"),
                                      .has_answered = true,
                                      .last = at(5, 90),
                                      .highest_epoch = 5};
    others[2] = (struct promote_node){.node_id = slice_of_text("n3"),
                                      .has_answered = true,
                                      .last = at(5, 100),
                                      .highest_epoch = 5};
    return (struct promote_facts){
        .stored = at(5, 100),
        .applied = seqno_of(100),
        .highest_epoch = 5,
        .nodes = others,
        .node_count = 3,
        .copies_min = 1,
    };
}

static void assert_says(const struct promote_facts *f, const struct promote_plan *plan,
                        const char *part)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    promote_explain(f, plan, &t);
    if (strstr(sentence, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", sentence, part);
}

/* The verdict, and that force changes it, or not. */
static void assert_verdict(struct promote_facts *f, enum promote_verdict wanted, bool force_helps,
                           const char *part)
{
    struct promote_plan plan = promote_decide(f);
    assert_string_equal(promote_verdict_name(plan.verdict), promote_verdict_name(wanted));
    assert_says(f, &plan, part);
    f->is_forced = true;
    struct promote_plan forced = promote_decide(f);
    assert_int_equal(forced.verdict, force_helps ? PROMOTE_LEAD : wanted);
    assert_int_equal(forced.unforced, wanted);
    f->is_forced = false;
}

static void row_1_a_leader_leads_already(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.is_leading = true;
    assert_verdict(&f, PROMOTE_ALREADY, false, "leads already");
}

static void row_2_an_empty_node_cannot_lead(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.stored = at(0, 0);
    f.applied = SEQNO_NONE;
    assert_verdict(&f, PROMOTE_EMPTY, false, "holds no record");
}

static void row_3_a_damaged_node_cannot_lead(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.is_damaged = true;
    assert_verdict(&f, PROMOTE_DAMAGED, false, "damaged");
}

static void row_4_a_node_that_copies_cannot_lead(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.is_bootstrapping = true;
    assert_verdict(&f, PROMOTE_COPYING, false, "copying");
}

static void row_5_another_position_was_expected(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.has_expect = true;
    f.expect = at(5, 100);
    assert_int_equal(promote_decide(&f).verdict, PROMOTE_LEAD);
    f.expect = at(5, 99);
    assert_verdict(&f, PROMOTE_UNEXPECTED, false, "not at the position expected");
    f.expect = at(4, 100);
    assert_verdict(&f, PROMOTE_UNEXPECTED, false, "epoch 5");
    f.expect = at(5, 100);
    f.expect.chain.bytes[3] ^= 1;
    assert_verdict(&f, PROMOTE_UNEXPECTED, false, "not at the position expected");
    f.expect = at(5, 100);
    f.expect.chain.bytes[4] ^= 1; /* a token shows four bytes */
    assert_int_equal(promote_decide(&f).verdict, PROMOTE_LEAD);
}

static void row_6_all_that_is_stored_is_applied_first(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.applied = seqno_of(99);
    assert_verdict(&f, PROMOTE_APPLYING, false, "has applied 99");
}

static void row_7_a_leader_that_answers_is_not_replaced(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    others[0].has_answered = true;
    others[0].is_leading = true;
    others[0].last = at(5, 100);
    others[0].highest_epoch = 5;
    assert_verdict(&f, PROMOTE_LEADER_LIVES, true, "old answers and leads");
    others[0].last = at(4, 200); /* a leader of an older epoch was replaced before */
    others[0].highest_epoch = 4;
    assert_int_equal(promote_decide(&f).verdict, PROMOTE_LEAD);
}

static void row_8_equal_numbers_with_other_records(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    others[2].last.chain.bytes[9] ^= 1;
    assert_verdict(&f, PROMOTE_FORKED, true, "n3 holds other records");
}

static void row_9_the_best_one_leads(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    others[2].last = at(5, 101);
    assert_verdict(&f, PROMOTE_NOT_BEST, true, "n3 holds more (record 101 of epoch 5");
    struct promote_plan plan = promote_decide(&f);
    assert_int_equal(plan.best.v, 101);
    others[2].is_damaged = true; /* what it holds was acknowledged all the same */
    assert_verdict(&f, PROMOTE_NOT_BEST, true, "it is damaged");
}

/* Goal: the highest number of an old leadership does not beat a newer leadership. */
static void the_last_epoch_counts_before_the_number(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    others[2].last = at(4, 500);
    assert_int_equal(promote_decide(&f).verdict, PROMOTE_LEAD);
    others[2].last = at(6, 1);
    assert_verdict(&f, PROMOTE_NOT_BEST, true, "record 1 of epoch 6");
}

static void row_10_a_majority_of_voters_answers(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.is_voter = true;
    others[0].is_voter = true;
    others[2].is_voter = true;
    struct promote_plan plan = promote_decide(&f);
    assert_int_equal(plan.verdict, PROMOTE_LEAD); /* 2 of 3 */
    f.voter_count = 5;                            /* two more that nobody knows an address of */
    assert_verdict(&f, PROMOTE_NO_MAJORITY, true, "2 of the 3 voters that must answer did");
    f.voter_count = 3;
    assert_int_equal(plan.needed, 2);
    others[2].has_answered = false;
    assert_verdict(&f, PROMOTE_NO_MAJORITY, true, "1 of the 2 voters that must answer did");
    assert_verdict(&f, PROMOTE_NO_MAJORITY, true, "silent: old, n3");
}

static void row_11_enough_followers_answer(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    others[1].has_answered = false;
    assert_verdict(&f, PROMOTE_TOO_FEW, true, "2 of the 3 followers that must answer did");
    f.copies_min =
        2; /* each write is on two of the three: any two answers include one that has it */
    assert_int_equal(promote_decide(&f).verdict, PROMOTE_LEAD);
    others[2].has_answered = false;
    assert_verdict(&f, PROMOTE_TOO_FEW, true, "1 of the 2 followers");
    f.copies_min = 9; /* of a larger cluster once: one's own answer is still needed, and there */
    assert_int_equal(promote_decide(&f).verdict, PROMOTE_LEAD);
}

static void row_12_the_best_of_enough_leads(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    struct promote_plan plan = promote_decide(&f);
    assert_int_equal(plan.verdict, PROMOTE_LEAD);
    assert_int_equal(plan.next_epoch, 6);
    assert_says(&f, &plan, "leads in epoch 6 from record 101 on");
}

static void the_next_epoch_is_above_every_one_seen(void **state)
{
    (void)state;
    struct promote_facts f = facts();
    f.highest_epoch = 8;
    assert_int_equal(promote_decide(&f).next_epoch, 9);
    others[1].highest_epoch = 12;
    assert_int_equal(promote_decide(&f).next_epoch, 13);
    others[1].has_answered = false; /* what a silent one said is not known */
    assert_int_equal(promote_decide(&f).next_epoch, 9);
}

static void the_risk_is_said(void **state)
{
    (void)state;
    char sentence[ERR_TEXT_SIZE];
    struct promote_facts f = facts();
    f.leader_durable = seqno_of(120);
    struct promote_plan plan = promote_decide(&f);
    struct text t = text_of(sentence, sizeof(sentence));
    promote_explain_risk(&f, &plan, &t);
    assert_non_null(strstr(sentence, "records 101 to 120 exist elsewhere"));
    assert_non_null(strstr(sentence, "silent: old"));
    f = facts();
    f.node_count = 0;
    plan = promote_decide(&f);
    t = text_of(sentence, sizeof(sentence));
    promote_explain_risk(&f, &plan, &t);
    assert_string_equal(sentence, "nothing: everybody answered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_1_a_leader_leads_already),
        cmocka_unit_test(row_2_an_empty_node_cannot_lead),
        cmocka_unit_test(row_3_a_damaged_node_cannot_lead),
        cmocka_unit_test(row_4_a_node_that_copies_cannot_lead),
        cmocka_unit_test(row_5_another_position_was_expected),
        cmocka_unit_test(row_6_all_that_is_stored_is_applied_first),
        cmocka_unit_test(row_7_a_leader_that_answers_is_not_replaced),
        cmocka_unit_test(row_8_equal_numbers_with_other_records),
        cmocka_unit_test(row_9_the_best_one_leads),
        cmocka_unit_test(the_last_epoch_counts_before_the_number),
        cmocka_unit_test(row_10_a_majority_of_voters_answers),
        cmocka_unit_test(row_11_enough_followers_answer),
        cmocka_unit_test(row_12_the_best_of_enough_leads),
        cmocka_unit_test(the_next_epoch_is_above_every_one_seen),
        cmocka_unit_test(the_risk_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
