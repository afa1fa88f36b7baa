/* Tests of core/demote: one per row of the table in demote.h. */
#include "support/tm_test.h"

#include "base/error.h"

#include "core/demote.h"

static struct demote_facts facts(void)
{
    return (struct demote_facts){
        .has_answered = true,
        .is_cluster_equal = true,
        .is_leading = true,
        .its_epoch = 8,
        .my_epoch = 7,
        .address = slice_of_text("south:7402"),
        .its_leader = slice_of_text("north:7402"),
    };
}

static void assert_verdict(const struct demote_facts *f, enum demote_verdict wanted,
                           const char *part)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    assert_int_equal(demote_decide(f), wanted);
    demote_explain(f, wanted, &t);
    if (strstr(sentence, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", sentence, part);
}

static void row_1_a_silent_node_is_not_followed(void **state)
{
    (void)state;
    struct demote_facts f = facts();
    f.has_answered = false;
    assert_verdict(&f, DEMOTE_SILENT, "south:7402 does not answer");
}

static void row_2_nobody_follows_himself(void **state)
{
    (void)state;
    struct demote_facts f = facts();
    f.is_self = true;
    assert_verdict(&f, DEMOTE_SELF, "is this node");
}

static void row_3_records_are_not_thrown_away_for_another_cluster(void **state)
{
    (void)state;
    struct demote_facts f = facts();
    f.is_cluster_equal = false;
    assert_verdict(&f, DEMOTE_FOREIGN, "another cluster");
}

static void row_4_a_follower_is_not_followed(void **state)
{
    (void)state;
    struct demote_facts f = facts();
    f.is_leading = false;
    assert_verdict(&f, DEMOTE_FOLLOWER, "it follows north:7402");
    f.its_leader = (struct slice){0};
    assert_verdict(&f, DEMOTE_FOLLOWER, "does not lead; to make it the leader");
}

static void row_5_an_older_leadership_is_not_followed(void **state)
{
    (void)state;
    struct demote_facts f = facts();
    f.its_epoch = 7;
    assert_verdict(&f, DEMOTE_OLDER, "not later than this node's 7");
    f.its_epoch = 3;
    assert_verdict(&f, DEMOTE_OLDER, "leads in epoch 3");
}

static void row_6_a_later_leader_is_followed(void **state)
{
    (void)state;
    struct demote_facts f = facts();
    assert_verdict(&f, DEMOTE_FOLLOW, "leads in a later epoch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_1_a_silent_node_is_not_followed),
        cmocka_unit_test(row_2_nobody_follows_himself),
        cmocka_unit_test(row_3_records_are_not_thrown_away_for_another_cluster),
        cmocka_unit_test(row_4_a_follower_is_not_followed),
        cmocka_unit_test(row_5_an_older_leadership_is_not_followed),
        cmocka_unit_test(row_6_a_later_leader_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
