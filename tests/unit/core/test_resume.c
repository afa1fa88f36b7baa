/* Tests of core/resume: one test per row of the table in its header, and what the sentences say. */
#include "support/tm_test.h"

#include "base/error.h"
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
        .last = {.epoch = 3, .seqno = {50}},
        .durable = seqno_of(100),
        .oldest = seqno_of(1),
        .common = {.is_known = true,
                   .end = seqno_of(50),
                   .shared = {.number = 3, .nonce = 33},
                   .is_mine_open = true,
                   .is_theirs_open = true},
        .is_shared_epoch_mine = true,
        .proofs = {PROOF_EQUAL},
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
    f.last = (struct position){0};
    f.highest_epoch = 0;
    f.common = (struct epoch_common){.is_known = true};
    f.proofs[RESUME_LAST] = PROOF_NOT_ASKED;
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

static struct resume_plan check_plan(const struct resume_facts *f, enum resume_kind kind,
                                     uint32_t row, enum refuse_reason reason)
{
    struct resume_plan plan = resume_decide(f);
    assert_int_equal(plan.kind, kind);
    assert_int_equal(plan.row, row);
    assert_int_equal(plan.reason, reason);
    char buffer[512];
    struct text t = text_of(buffer, sizeof(buffer));
    resume_explain(f, &plan, &t);
    assert_true(t.size > 10 || kind == RESUME_PROVE);
    assert_false(t.is_cut);
    return plan;
}

/* Records 51 to 57 of another leadership; a manifest at 40. */
static struct resume_facts forked(void)
{
    struct resume_facts f = good();
    f.last.seqno = seqno_of(57);
    f.follower_oldest = seqno_of(30);
    f.manifest_count = 2;
    f.manifests[0] = (struct position){.epoch = 2, .seqno = {40}};
    f.manifests[1] = (struct position){.epoch = 3, .seqno = {55}};
    f.fork = (struct position){.epoch = 3, .seqno = {50}, .chain = {.bytes = {9}}};
    f.is_shared_epoch_mine = false;
    f.proofs[RESUME_FORK] = PROOF_EQUAL;
    return f;
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
    f.is_leader_wanted = true;
    f.leader_address = slice_of_text("10.0.0.7:7402");
    check_refusal(&f, 2, REFUSE_NOT_LEADER);
    char buffer[512];
    struct text t = text_of(buffer, sizeof(buffer));
    struct resume_plan plan = resume_decide(&f);
    resume_explain(&f, &plan, &t);
    assert_non_null(strstr(buffer, "10.0.0.7:7402"));
}

static void check_words(const struct resume_facts *f, const char *words)
{
    char buffer[ERR_TEXT_SIZE];
    struct text t = text_of(buffer, sizeof(buffer));
    struct resume_plan plan = resume_decide(f);
    resume_explain(f, &plan, &t);
    if (strstr(buffer, words) == NULL) fail_msg("%s is not in: %s", words, buffer);
}

/* A node that follows serves those who asked for it, and nobody who needs the leader. */
static void row_2_lets_a_follower_be_followed_by_who_may(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_leading = false;
    f.path = slice_of_text("f2,l");
    assert_int_equal(resume_judge_chain(&f), REFUSE_NONE);
    check_plan(&f, RESUME_CONTINUE, 21, REFUSE_NONE);
    f.is_voter = true;
    check_refusal(&f, 2, REFUSE_NOT_LEADER);
    check_words(&f, "a voter follows the leader itself");
    f.is_voter = false;
    f.is_ring = true;
    check_refusal(&f, 2, REFUSE_RING);
    check_words(&f, "this node follows f2,l, and f1 is among them");
    f.is_ring = false;
    f.is_chain_full = true;
    check_refusal(&f, 2, REFUSE_CHAIN);
    check_words(&f, "follow a node nearer the leader");
    f.is_leading = true; /* on a leader none of it matters */
    f.is_voter = f.is_ring = f.is_leader_wanted = true;
    assert_int_equal(resume_judge_chain(&f), REFUSE_NONE);
    check_plan(&f, RESUME_CONTINUE, 21, REFUSE_NONE);
}

/* Whoever follows has not all of the leader's records: what a peer holds more of the same history
 * is no tail that anybody lost. */
static void row_16_never_cuts_back_who_is_ahead_of_a_node_that_follows(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_leading = false;
    f.last.seqno = seqno_of(120);
    f.common.end = seqno_of(100); /* the end of this log, inside the epoch of both */
    for (int i = 0; i < 4; i++) {
        f.is_shared_epoch_mine = (i & 1) != 0;
        f.is_loss_accepted = (i & 2) != 0;
        check_refusal(&f, 16, REFUSE_GAP);
        check_words(&f, "20 records beyond record 100");
    }
    f.common = (struct epoch_common){0};
    check_refusal(&f, 16, REFUSE_GAP);
    /* Once this log goes on in a later epoch the fork is known, and is cut to. */
    f = forked();
    f.is_leading = false;
    f.durable = seqno_of(53);
    check_plan(&f, RESUME_TRUNCATE, 15, REFUSE_OTHER_HISTORY);
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

/* Its acknowledgements count for nobody, so that roles and claims are nothing to it. */
static void rows_2_and_8_let_a_leader_fetch_what_it_lost(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_leading = false;
    f.is_fetching = true;
    f.is_voter = f.is_leader_wanted = f.is_ring = f.is_chain_full = true;
    f.path = slice_of_text("f1");
    f.highest_epoch = 4;
    check_plan(&f, RESUME_CONTINUE, 21, REFUSE_NONE);
    f.is_fetching = false;
    check_refusal(&f, 2, REFUSE_NOT_LEADER);
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

static void row_11_tells_a_lost_slot_to_take_a_copy(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.is_slot_lost = true;
    (void)check_plan(&f, RESUME_BOOTSTRAP, 11, REFUSE_LOST);
}

static void row_12_serves_an_empty_follower_from_the_beginning(void **state)
{
    (void)state;
    struct resume_facts f = empty();
    (void)check_plan(&f, RESUME_CONTINUE, 12, REFUSE_NONE);
    f.log_bytes = GIB; /* there is no copy */
    (void)check_plan(&f, RESUME_CONTINUE, 12, REFUSE_NONE);
    f.copy_bytes = 2 * GIB; /* or it is larger */
    (void)check_plan(&f, RESUME_CONTINUE, 12, REFUSE_NONE);
    f.log_bytes = MIB; /* or the log is small anyway */
    f.copy_bytes = KIB;
    (void)check_plan(&f, RESUME_CONTINUE, 12, REFUSE_NONE);
}

/* Whatever its slot once held: an emptied follower is never fast-forwarded. */
static void row_13_gives_an_empty_follower_a_copy_when_the_log_starts_later_or_is_larger(
    void **state)
{
    (void)state;
    struct resume_facts f = empty();
    f.has_slot = true;
    f.oldest = seqno_of(2);
    (void)check_plan(&f, RESUME_BOOTSTRAP, 13, REFUSE_NOT_KEPT);
    f.oldest = seqno_of(1);
    f.log_bytes = GIB;
    f.copy_bytes = MIB;
    (void)check_plan(&f, RESUME_BOOTSTRAP, 13, REFUSE_SMALLER_COPY);
}

static void row_14_refuses_when_the_leader_lost_a_tail_and_counts_it(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.last.seqno = seqno_of(57);
    check_refusal(&f, 14, REFUSE_GAP);
    struct resume_plan plan = resume_decide(&f);
    assert_int_equal(plan.extra_records, 7);
    char buffer[512];
    struct text t = text_of(buffer, sizeof(buffer));
    resume_explain(&f, &plan, &t);
    assert_non_null(strstr(buffer, "7 more records"));
    assert_non_null(strstr(buffer, "lost a tail"));
}

/* The deposed leader's extra records: cut to where its table and mine part. */
static void row_15_cuts_a_tail_of_another_leadership_to_the_fork(void **state)
{
    (void)state;
    struct resume_facts f = forked();
    struct resume_plan plan = check_plan(&f, RESUME_TRUNCATE, 15, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.position, &f.fork));
    assert_int_equal(plan.extra_records, 7);
    f.is_shared_epoch_mine = true;
    f.common.is_theirs_open = false; /* it went on under another leader */
    (void)check_plan(&f, RESUME_TRUNCATE, 15, REFUSE_OTHER_HISTORY);
    f.manifest_count = 0;
    f.follower_oldest = seqno_of(1); /* all of it can be replayed */
    (void)check_plan(&f, RESUME_TRUNCATE, 15, REFUSE_OTHER_HISTORY);
}

static void row_15_wants_the_fork_proved_in_the_leaders_log(void **state)
{
    (void)state;
    struct resume_facts f = forked();
    f.proofs[RESUME_FORK] = PROOF_NOT_ASKED;
    struct resume_plan plan = check_plan(&f, RESUME_PROVE, 15, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.position, &f.fork));
    assert_int_equal(plan.proof, RESUME_FORK);
    f.proofs[RESUME_FORK] = PROOF_DIFFERS;
    (void)check_plan(&f, RESUME_BOOTSTRAP, 15, REFUSE_OTHER_HISTORY);
    f.proofs[RESUME_FORK] = PROOF_NOT_KEPT;
    (void)check_plan(&f, RESUME_BOOTSTRAP, 15, REFUSE_NOT_KEPT);
    f.proofs[RESUME_FORK] = PROOF_FAILED;
    check_refusal(&f, 20, REFUSE_BUSY);
}

static void row_15_copies_the_state_where_cutting_back_is_impossible(void **state)
{
    (void)state;
    struct resume_facts f = forked();
    f.manifests[0].seqno = seqno_of(51); /* none at or below the fork */
    struct resume_plan plan = check_plan(&f, RESUME_BOOTSTRAP, 15, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.position, &f.fork)); /* what would be given up is known */
    f = forked();
    f.oldest = seqno_of(52); /* what comes after the fork is not here any more */
    (void)check_plan(&f, RESUME_BOOTSTRAP, 15, REFUSE_NOT_KEPT);
    f = forked();
    f.common = (struct epoch_common){.is_known = true}; /* nothing in common at all */
    f.fork = (struct position){0};
    (void)check_plan(&f, RESUME_BOOTSTRAP, 15, REFUSE_OTHER_HISTORY);
}

static void rows_14_and_16_become_a_cut_when_an_operator_gave_the_tail_up(void **state)
{
    (void)state;
    struct resume_facts f = forked();
    f.is_shared_epoch_mine = true;
    check_refusal(&f, 14, REFUSE_GAP);
    f.is_loss_accepted = true;
    (void)check_plan(&f, RESUME_TRUNCATE, 15, REFUSE_OTHER_HISTORY);
    f.common = (struct epoch_common){0};
    f.last.seqno = seqno_of(101);
    struct resume_plan plan = check_plan(&f, RESUME_PROVE, 18, REFUSE_OTHER_HISTORY);
    assert_int_equal(plan.position.seqno.v, 55);
    f.is_loss_accepted = false;
    check_refusal(&f, 16, REFUSE_GAP);
}

static void row_16_refuses_an_end_beyond_durable_when_the_tables_cannot_tell(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.common = (struct epoch_common){0};
    f.last.seqno = seqno_of(101);
    check_refusal(&f, 16, REFUSE_GAP);
}

static void row_17_asks_for_the_proof_before_anything_is_served(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proofs[RESUME_LAST] = PROOF_NOT_ASKED;
    struct resume_plan plan = resume_decide(&f);
    assert_int_equal(plan.kind, RESUME_PROVE);
    assert_int_equal(plan.row, 17);
}

/* Equal numbers, another chain, and tables that cannot tell: manifests are proved, newest first. */
static void row_18_cuts_to_the_newest_manifest_that_lies_in_this_log(void **state)
{
    (void)state;
    struct resume_facts f = forked();
    f.common = (struct epoch_common){0};
    f.fork = (struct position){0};
    f.proofs[RESUME_LAST] = PROOF_DIFFERS;
    struct resume_plan plan = check_plan(&f, RESUME_PROVE, 18, REFUSE_OTHER_HISTORY);
    assert_int_equal(plan.position.seqno.v, 55);
    f.proofs[plan.proof] = PROOF_DIFFERS;
    plan = check_plan(&f, RESUME_PROVE, 18, REFUSE_OTHER_HISTORY);
    assert_int_equal(plan.position.seqno.v, 40);
    f.proofs[plan.proof] = PROOF_EQUAL;
    plan = check_plan(&f, RESUME_TRUNCATE, 18, REFUSE_OTHER_HISTORY);
    assert_int_equal(plan.position.seqno.v, 40);
    assert_int_equal(plan.extra_records, 17);
    f.proofs[plan.proof] = PROOF_NOT_KEPT;
    (void)check_plan(&f, RESUME_BOOTSTRAP, 18, REFUSE_OTHER_HISTORY);
    f.proofs[plan.proof] = PROOF_FAILED;
    check_refusal(&f, 20, REFUSE_BUSY);
}

static void row_18_copies_the_state_without_a_manifest(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proofs[RESUME_LAST] = PROOF_DIFFERS;
    (void)check_plan(&f, RESUME_BOOTSTRAP, 18, REFUSE_OTHER_HISTORY);
}

static void row_19_copies_the_state_when_the_log_no_longer_keeps_what_follows(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proofs[RESUME_LAST] = PROOF_NOT_KEPT;
    (void)check_plan(&f, RESUME_BOOTSTRAP, 19, REFUSE_NOT_KEPT);
    f.proofs[RESUME_LAST] = PROOF_EQUAL;
    f.oldest = seqno_of(52);
    (void)check_plan(&f, RESUME_BOOTSTRAP, 19, REFUSE_NOT_KEPT);
    f.oldest = seqno_of(51); /* exactly what comes next */
    (void)check_plan(&f, RESUME_CONTINUE, 21, REFUSE_NONE);
}

/* An older copy of its directory, or an id that was never seen: the log has what follows. */
static void row_21_serves_a_restored_copy_and_an_unknown_id_from_where_they_are(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.last.seqno = seqno_of(7);
    struct resume_plan plan = check_plan(&f, RESUME_CONTINUE, 21, REFUSE_NONE);
    assert_int_equal(plan.position.seqno.v, 7);
    f.has_slot = false;
    plan = check_plan(&f, RESUME_CONTINUE, 21, REFUSE_NONE);
    assert_int_equal(plan.position.seqno.v, 7);
}

/* --- where two histories part --- */

static struct epoch_entry entry(uint64_t number, uint64_t nonce, uint64_t start, uint8_t chain)
{
    return (struct epoch_entry){.epoch = {.number = number, .nonce = nonce},
                                .start = {start},
                                .chain_before = {.bytes = {chain}}};
}

static struct position fork_of(const struct epoch_entry *mine, uint32_t mine_count,
                               struct position mine_last, const struct epoch_entry *theirs,
                               uint32_t theirs_count, struct position theirs_last)
{
    struct epoch_table a = {.entries = mine, .count = mine_count, .last = mine_last.seqno};
    struct epoch_table b = {.entries = theirs, .count = theirs_count, .last = theirs_last.seqno};
    struct epoch_common common = epoch_common_of(&a, &b);
    return resume_fork(&a, &b, &common, &mine_last, &theirs_last);
}

static void the_fork_has_the_chain_that_the_next_leadership_begins_with(void **state)
{
    (void)state;
    const struct epoch_entry mine[] = {entry(1, 11, 1, 0), entry(4, 44, 51, 7)};
    const struct epoch_entry theirs[] = {entry(1, 11, 1, 0), entry(2, 22, 54, 8)};
    struct position mine_last = {.epoch = 4, .seqno = {90}, .chain = {.bytes = {1}}};
    struct position theirs_last = {.epoch = 2, .seqno = {60}, .chain = {.bytes = {2}}};
    /* I went on from 50, they from 53. */
    struct position fork = fork_of(mine, 2, mine_last, theirs, 2, theirs_last);
    assert_int_equal(fork.epoch, 1);
    assert_int_equal(fork.seqno.v, 50);
    assert_int_equal(fork.chain.bytes[0], 7);
    /* They from 50, I from 53. */
    fork = fork_of(theirs, 2, theirs_last, mine, 2, mine_last);
    assert_int_equal(fork.seqno.v, 50);
    assert_int_equal(fork.chain.bytes[0], 7);
    /* My log ends inside the leadership that both have. */
    mine_last.seqno = seqno_of(40);
    fork = fork_of(mine, 1, mine_last, theirs, 2, theirs_last);
    assert_int_equal(fork.seqno.v, 40);
    assert_int_equal(fork.chain.bytes[0], 1);
    /* Nothing in common. */
    const struct epoch_entry other[] = {entry(1, 12, 1, 0)};
    fork = fork_of(other, 1, mine_last, theirs, 2, theirs_last);
    assert_int_equal(fork.seqno.v, 0);
}

static void row_20_refuses_for_now_when_the_log_cannot_be_read(void **state)
{
    (void)state;
    struct resume_facts f = good();
    f.proofs[RESUME_LAST] = PROOF_FAILED;
    check_refusal(&f, 20, REFUSE_BUSY);
}

static void row_21_continues_from_exactly_what_was_asked(void **state)
{
    (void)state;
    struct resume_facts f = good();
    struct resume_plan plan = resume_decide(&f);
    assert_int_equal(plan.kind, RESUME_CONTINUE);
    assert_int_equal(plan.row, 21);
    f.last.seqno = f.durable; /* nothing to send is fine too */
    f.common.end = f.durable;
    assert_int_equal(resume_decide(&f).kind, RESUME_CONTINUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_1_refuses_a_follower_without_a_common_version),
        cmocka_unit_test(row_2_refuses_on_a_node_that_does_not_lead_and_names_the_leader),
        cmocka_unit_test(row_2_lets_a_follower_be_followed_by_who_may),
        cmocka_unit_test(row_16_never_cuts_back_who_is_ahead_of_a_node_that_follows),
        cmocka_unit_test(row_3_refuses_while_starting_or_closing),
        cmocka_unit_test(row_4_refuses_another_stream),
        cmocka_unit_test(row_5_refuses_another_cluster_and_records_without_one),
        cmocka_unit_test(row_6_refuses_wrong_credentials),
        cmocka_unit_test(row_7_refuses_below_the_feature_level),
        cmocka_unit_test(row_8_refuses_when_the_follower_has_seen_a_higher_epoch),
        cmocka_unit_test(rows_2_and_8_let_a_leader_fetch_what_it_lost),
        cmocka_unit_test(row_9_refuses_an_id_in_use_and_names_the_first),
        cmocka_unit_test(row_10_refuses_a_new_id_when_the_table_is_full),
        cmocka_unit_test(row_11_tells_a_lost_slot_to_take_a_copy),
        cmocka_unit_test(row_12_serves_an_empty_follower_from_the_beginning),
        cmocka_unit_test(
            row_13_gives_an_empty_follower_a_copy_when_the_log_starts_later_or_is_larger),
        cmocka_unit_test(row_14_refuses_when_the_leader_lost_a_tail_and_counts_it),
        cmocka_unit_test(row_15_cuts_a_tail_of_another_leadership_to_the_fork),
        cmocka_unit_test(row_16_refuses_an_end_beyond_durable_when_the_tables_cannot_tell),
        cmocka_unit_test(row_17_asks_for_the_proof_before_anything_is_served),
        cmocka_unit_test(row_18_cuts_to_the_newest_manifest_that_lies_in_this_log),
        cmocka_unit_test(row_19_copies_the_state_when_the_log_no_longer_keeps_what_follows),
        cmocka_unit_test(row_20_refuses_for_now_when_the_log_cannot_be_read),
        cmocka_unit_test(row_21_continues_from_exactly_what_was_asked),
        cmocka_unit_test(row_15_wants_the_fork_proved_in_the_leaders_log),
        cmocka_unit_test(row_15_copies_the_state_where_cutting_back_is_impossible),
        cmocka_unit_test(rows_14_and_16_become_a_cut_when_an_operator_gave_the_tail_up),
        cmocka_unit_test(row_18_copies_the_state_without_a_manifest),
        cmocka_unit_test(row_21_serves_a_restored_copy_and_an_unknown_id_from_where_they_are),
        cmocka_unit_test(the_fork_has_the_chain_that_the_next_leadership_begins_with),
    };
    return cmocka_run_group_tests_name("core/resume", tests, NULL, NULL);
}
