/* Tests of core/epoch: which leadership owns a record, where histories part, what became of a
 * write. */
#include "support/tm_test.h"

#include "core/epoch.h"

static struct epoch_entry entry(uint64_t number, uint64_t nonce, uint64_t start)
{
    return (struct epoch_entry){
        .epoch = {.number = number, .nonce = nonce},
        .start = seqno_of(start),
        .chain_before = {{(uint8_t)start}},
    };
}

/* Epochs 1 (1..10), 3 (11..20), 7 (21..); number 2, 4, 5 and 6 kept nothing. */
static const struct epoch_entry *three(void)
{
    static struct epoch_entry entries[3];
    entries[0] = entry(1, 100, 1);
    entries[1] = entry(3, 300, 11);
    entries[2] = entry(7, 700, 21);
    return entries;
}

static struct epoch_table table(const struct epoch_entry *entries, uint32_t count, uint64_t last)
{
    return (struct epoch_table){.entries = entries, .count = count, .last = seqno_of(last)};
}

static void a_table_must_ascend_in_number_and_start(void **state)
{
    (void)state;
    struct epoch_entry entries[2] = {entry(1, 1, 1), entry(2, 2, 5)};
    struct epoch_table t = table(entries, 2, 9);
    assert_true(epoch_table_is_valid(&t));
    entries[1].epoch.number = 1;
    assert_false(epoch_table_is_valid(&t));
    entries[1] = entry(2, 2, 1);
    assert_false(epoch_table_is_valid(&t));
    entries[1] = entry(2, 2, 5);
    entries[0].start = SEQNO_NONE;
    assert_false(epoch_table_is_valid(&t));
    entries[0] = entry(0, 1, 1);
    assert_false(epoch_table_is_valid(&t));
    t.count = 0;
    assert_true(epoch_table_is_valid(&t));
}

static void every_record_belongs_to_the_epoch_that_started_last_before_it(void **state)
{
    (void)state;
    struct epoch_table t = table(three(), 3, 30);
    assert_null(epoch_of(&t, SEQNO_NONE));
    assert_int_equal(epoch_of(&t, seqno_of(1))->epoch.number, 1);
    assert_int_equal(epoch_of(&t, seqno_of(10))->epoch.number, 1);
    assert_int_equal(epoch_of(&t, seqno_of(11))->epoch.number, 3);
    assert_int_equal(epoch_of(&t, seqno_of(1000))->epoch.number, 7);
    assert_int_equal(epoch_end(&t, 0).v, 10);
    assert_int_equal(epoch_end(&t, 2).v, 30);
    t.entries++; /* the oldest was forgotten */
    t.count--;
    assert_null(epoch_of(&t, seqno_of(10)));
}

static void a_shorter_copy_of_the_same_history_is_common_to_its_end(void **state)
{
    (void)state;
    struct epoch_table mine = table(three(), 3, 30);
    struct epoch_table theirs = table(three(), 2, 15);
    struct epoch_common c = epoch_common_of(&mine, &theirs);
    assert_true(c.is_known);
    assert_int_equal(c.end.v, 15);
    assert_int_equal(c.shared.number, 3);
    assert_true(c.is_theirs_open);
    assert_false(c.is_mine_open);
}

/* The other side kept writing in epoch 3 after the record at which epoch 7 took over here. */
static void a_deposed_tail_is_common_up_to_the_change_of_epoch(void **state)
{
    (void)state;
    struct epoch_table mine = table(three(), 3, 30);
    struct epoch_table theirs = table(three(), 2, 25);
    struct epoch_common c = epoch_common_of(&mine, &theirs);
    assert_true(c.is_known);
    assert_int_equal(c.end.v, 20);
    assert_true(c.is_theirs_open);
}

static void one_epoch_number_with_two_nonces_is_two_leaderships(void **state)
{
    (void)state;
    struct epoch_entry others[3] = {entry(1, 100, 1), entry(3, 300, 11), entry(7, 999, 19)};
    struct epoch_table mine = table(three(), 3, 30);
    struct epoch_table theirs = table(others, 3, 40);
    struct epoch_common c = epoch_common_of(&mine, &theirs);
    assert_true(c.is_known);
    assert_int_equal(c.shared.number, 3);
    assert_int_equal(c.end.v, 18);
    assert_false(c.is_theirs_open);
}

static void whole_tables_without_a_shared_epoch_have_nothing_in_common(void **state)
{
    (void)state;
    struct epoch_entry others[1] = {entry(1, 5, 1)};
    struct epoch_table mine = table(three(), 3, 30);
    struct epoch_table theirs = table(others, 1, 40);
    struct epoch_common c = epoch_common_of(&mine, &theirs);
    assert_true(c.is_known);
    assert_int_equal(c.end.v, 0);
    assert_int_equal(c.shared.number, 0);
}

static void cut_tables_without_a_shared_epoch_cannot_tell(void **state)
{
    (void)state;
    struct epoch_entry old[1] = {entry(2, 200, 8)};
    struct epoch_table mine = table(three() + 2, 1, 30);
    struct epoch_table theirs = table(old, 1, 12);
    assert_false(epoch_common_of(&mine, &theirs).is_known);
}

static void an_empty_log_has_nothing_in_common_and_that_is_known(void **state)
{
    (void)state;
    struct epoch_table mine = table(three(), 3, 30);
    struct epoch_table theirs = table(NULL, 0, 0);
    struct epoch_common c = epoch_common_of(&mine, &theirs);
    assert_true(c.is_known);
    assert_int_equal(c.end.v, 0);
}

static void check_token(uint64_t epoch, uint64_t s, uint64_t applied, enum token_verdict wanted,
                        uint64_t wanted_lost_to)
{
    struct epoch_table t = table(three(), 3, 30);
    uint64_t lost_to = 99;
    assert_int_equal(epoch_judge_token(&t, epoch, seqno_of(s), seqno_of(applied), &lost_to),
                     wanted);
    assert_int_equal(lost_to, wanted_lost_to);
}

static void tokens_are_visible_or_awaited_by_what_is_applied(void **state)
{
    (void)state;
    check_token(1, 10, 30, TOKEN_VISIBLE, 0);
    check_token(3, 11, 11, TOKEN_VISIBLE, 0);
    check_token(3, 20, 19, TOKEN_NOT_YET, 0);
    check_token(7, 31, 30, TOKEN_NOT_YET, 0);
    check_token(8, 31, 30, TOKEN_NOT_YET, 0); /* an epoch that this node has not heard of */
}

/* A write of epoch 3 above record 20 was given up when epoch 7 began, whatever has that number now;
 * of epoch 5 nothing was kept at all. */
static void tokens_of_given_up_records_are_lost_and_name_the_change(void **state)
{
    (void)state;
    check_token(3, 21, 30, TOKEN_LOST, 7);
    check_token(3, 25, 10, TOKEN_LOST, 7);
    check_token(5, 25, 30, TOKEN_LOST, 7);
    check_token(2, 11, 30, TOKEN_LOST, 3);
}

static void tokens_that_no_leader_gave_out_are_impossible(void **state)
{
    (void)state;
    check_token(0, 5, 30, TOKEN_IMPOSSIBLE, 0);
    check_token(1, 0, 30, TOKEN_IMPOSSIBLE, 0);
    check_token(7, 20, 30, TOKEN_IMPOSSIBLE, 0);
}

static void tokens_older_than_a_cut_table_cannot_be_judged(void **state)
{
    (void)state;
    struct epoch_table t = table(three() + 1, 2, 30);
    uint64_t lost_to = 0;
    assert_int_equal(epoch_judge_token(&t, 1, seqno_of(5), seqno_of(30), &lost_to),
                     TOKEN_FORGOTTEN);
    assert_int_equal(epoch_judge_token(&t, 1, seqno_of(11), seqno_of(30), &lost_to), TOKEN_LOST);
    assert_int_equal(lost_to, 3);
}

static void appending_keeps_the_newest_and_refuses_what_goes_back(void **state)
{
    (void)state;
    struct epoch_entry entries[2];
    uint32_t count = 0;
    struct epoch_entry one = entry(1, 1, 1);
    struct epoch_entry two = entry(2, 2, 5);
    struct epoch_entry three_ = entry(3, 3, 9);
    struct epoch_entry back = entry(2, 9, 12);
    struct epoch_entry low = entry(4, 4, 9);
    struct epoch_entry none = entry(0, 4, 10);
    assert_int_equal(epoch_append(entries, 2, &count, &one, NULL), OK);
    assert_int_equal(epoch_append(entries, 2, &count, &two, NULL), OK);
    assert_int_equal(epoch_append(entries, 2, &count, &two, NULL), OK); /* replayed */
    assert_int_equal(count, 2);
    assert_int_equal(epoch_append(entries, 2, &count, &three_, NULL), OK);
    assert_int_equal(count, 2);
    assert_int_equal(entries[0].epoch.number, 2);
    assert_int_equal(epoch_append(entries, 2, &count, &back, NULL), E_FENCED);
    assert_int_equal(epoch_append(entries, 2, &count, &low, NULL), E_CORRUPT);
    assert_int_equal(epoch_append(entries, 2, &count, &none, NULL), E_CORRUPT);
    assert_int_equal(entries[1].epoch.number, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_must_ascend_in_number_and_start),
        cmocka_unit_test(every_record_belongs_to_the_epoch_that_started_last_before_it),
        cmocka_unit_test(a_shorter_copy_of_the_same_history_is_common_to_its_end),
        cmocka_unit_test(a_deposed_tail_is_common_up_to_the_change_of_epoch),
        cmocka_unit_test(one_epoch_number_with_two_nonces_is_two_leaderships),
        cmocka_unit_test(whole_tables_without_a_shared_epoch_have_nothing_in_common),
        cmocka_unit_test(cut_tables_without_a_shared_epoch_cannot_tell),
        cmocka_unit_test(an_empty_log_has_nothing_in_common_and_that_is_known),
        cmocka_unit_test(tokens_are_visible_or_awaited_by_what_is_applied),
        cmocka_unit_test(tokens_of_given_up_records_are_lost_and_name_the_change),
        cmocka_unit_test(tokens_that_no_leader_gave_out_are_impossible),
        cmocka_unit_test(tokens_older_than_a_cut_table_cannot_be_judged),
        cmocka_unit_test(appending_keeps_the_newest_and_refuses_what_goes_back),
    };
    return cmocka_run_group_tests_name("core/epoch", tests, NULL, NULL);
}
