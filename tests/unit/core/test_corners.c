/* Tests of the corners of the deciding code that stories seldom reach: what comes too late, twice
 * or from a liar, tables that are too short, levels that nobody can reach. */
#include "support/tm_test.h"

#include "base/text.h"
#include "core/epoch.h"
#include "core/level.h"
#include "core/quorum.h"
#include "core/ship.h"
#include "core/slots.h"

/* --- epoch --- */

static struct epoch_entry entry(uint64_t number, uint64_t start, uint8_t chain)
{
    struct epoch_entry e = {.epoch = {number, number * 7}, .start = seqno_of(start)};
    memset(e.chain_before.bytes, chain, sizeof(e.chain_before.bytes));
    return e;
}

static void a_leadership_is_the_same_only_with_all_its_parts(void **state)
{
    (void)state;
    struct epoch_entry mine[] = {entry(1, 1, 0), entry(3, 10, 1)};
    struct epoch_entry other_start[] = {entry(1, 1, 0), entry(3, 11, 1)};
    struct epoch_entry other_chain[] = {entry(1, 1, 0), entry(3, 10, 2)};
    struct epoch_entry other_number[] = {entry(1, 1, 0), entry(2, 10, 1)};
    struct epoch_entry *others[] = {other_start, other_chain, other_number};
    struct epoch_table a = {mine, 2, seqno_of(20)};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct epoch_table b = {others[i], 2, seqno_of(20)};
        struct epoch_common c = epoch_common_of(&a, &b);
        struct epoch_common back = epoch_common_of(&b, &a);
        assert_true(c.is_known);
        assert_int_equal(c.shared.number, 1);
        assert_int_equal(c.end.v, 9);
        assert_int_equal(back.end.v, 9);
        assert_false(c.is_mine_open);
    }
}

static void tables_that_share_nothing_are_judged_only_when_whole(void **state)
{
    (void)state;
    struct epoch_entry whole[] = {entry(1, 1, 0)};
    struct epoch_entry foreign[] = {entry(2, 1, 9)};
    struct epoch_entry late[] = {entry(5, 50, 9)};
    struct epoch_table a = {whole, 1, seqno_of(20)};
    struct epoch_table b = {foreign, 1, seqno_of(20)};
    struct epoch_table c = {late, 1, seqno_of(60)};
    struct epoch_table empty = {NULL, 0, SEQNO_NONE};
    struct epoch_table cut = {NULL, 0, seqno_of(5)};
    assert_true(epoch_common_of(&a, &b).is_known);
    assert_false(epoch_common_of(&a, &c).is_known);
    assert_false(epoch_common_of(&c, &a).is_known);
    assert_int_equal(epoch_common_of(&a, &empty).end.v, 0);
    assert_int_equal(epoch_common_of(&empty, &a).end.v, 0);
    assert_true(epoch_table_is_whole(&empty));
    assert_false(epoch_table_is_whole(&cut));
}

static void tokens_of_epochs_at_both_ends_of_the_table_are_judged(void **state)
{
    (void)state;
    struct epoch_entry entries[] = {entry(3, 10, 1), entry(5, 20, 2)};
    struct epoch_table t = {entries, 2, seqno_of(30)};
    uint64_t to = 0;
    assert_int_equal(epoch_judge_token(&t, 5, seqno_of(25), seqno_of(30), &to), TOKEN_VISIBLE);
    assert_int_equal(epoch_judge_token(&t, 5, seqno_of(25), seqno_of(24), &to), TOKEN_NOT_YET);
    assert_int_equal(epoch_judge_token(&t, 6, seqno_of(25), seqno_of(30), &to), TOKEN_NOT_YET);
    assert_int_equal(epoch_judge_token(&t, 3, seqno_of(12), seqno_of(11), &to), TOKEN_NOT_YET);
    assert_int_equal(epoch_judge_token(&t, 2, seqno_of(5), seqno_of(30), &to), TOKEN_FORGOTTEN);
    assert_int_equal(epoch_judge_token(&t, 2, seqno_of(15), seqno_of(30), &to), TOKEN_LOST);
    assert_int_equal(to, 3);
    assert_int_equal(epoch_judge_token(&t, 3, seqno_of(25), seqno_of(30), &to), TOKEN_LOST);
    assert_int_equal(to, 5);
    assert_int_equal(epoch_judge_token(&t, 5, seqno_of(15), seqno_of(30), &to), TOKEN_IMPOSSIBLE);
}

static void the_newest_leaderships_are_copied_as_far_as_there_is_room(void **state)
{
    (void)state;
    struct epoch_entry entries[] = {entry(1, 1, 0), entry(2, 10, 1), entry(3, 20, 2),
                                    entry(4, 30, 3)};
    struct epoch_table t = {entries, 4, seqno_of(25)}; /* of epoch 4 nothing is there */
    struct epoch_entry out[4];
    assert_int_equal(epoch_copy_newest(&t, out, 4), 3);
    assert_int_equal(out[0].epoch.number, 1);
    assert_int_equal(epoch_copy_newest(&t, out, 2), 2);
    assert_int_equal(out[0].epoch.number, 2);
    assert_int_equal(out[1].epoch.number, 3);
    struct epoch_table nothing = {entries, 4, SEQNO_NONE};
    assert_int_equal(epoch_copy_newest(&nothing, out, 4), 0);
}

static void a_leadership_without_a_number_or_a_start_is_damage(void **state)
{
    (void)state;
    struct epoch_entry table[2] = {{.start = SEQNO_NONE}};
    uint32_t count = 0;
    struct epoch_entry no_number = entry(0, 5, 1);
    struct epoch_entry no_start = entry(2, 0, 1);
    assert_int_equal(epoch_append(table, 2, &count, &no_number, NULL), E_CORRUPT);
    assert_int_equal(epoch_append(table, 2, &count, &no_start, NULL), E_CORRUPT);
    assert_int_equal(count, 0);
}

/* --- ship --- */

static struct ship ship;
static struct ship_actions actions;

static struct position at(uint64_t s)
{
    struct position p = {.epoch = 4, .seqno = seqno_of(s)};
    memset(p.chain.bytes, (int)(s % 251 + 1), sizeof(p.chain.bytes));
    return p;
}

static enum code step(struct ship_event event)
{
    if (event.now_ns == 0) event.now_ns = NS_PER_S;
    return ship_step(&ship, &event, &actions, NULL);
}

static void begin_shipping(void)
{
    struct ship_options options = {.credit_bytes = 1000,
                                   .heartbeat_ns = NS_PER_S / 2,
                                   .suspect_ns = 3 * NS_PER_S,
                                   .dead_ns = 10 * NS_PER_S};
    ship_init(&ship, &options, NS_PER_S);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_HELLO, .session = 9, .epoch = 4}),
                     OK);
    assert_false(ship_may_send(&ship, 1)); /* not before the plan */
    assert_int_equal(ship_due_ns(&ship), 11 * NS_PER_S);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_false(actions.is_heartbeat_due);
    assert_int_equal(step((struct ship_event){
                         .kind = SHIP_EV_PLANNED, .position = at(10), .applied = seqno_of(10)}),
                     OK);
    for (uint64_t s = 12; s <= 20; s += 4)
        assert_int_equal(
            step((struct ship_event){.kind = SHIP_EV_SENT, .position = at(s), .bytes = 100}), OK);
}

static enum code ack(uint64_t received, uint64_t stored, uint64_t applied, bool is_poisoned)
{
    struct wire_ack a = {.epoch = 4,
                         .received = at(received),
                         .stored = at(stored),
                         .applied = at(applied),
                         .is_poisoned = is_poisoned};
    return step((struct ship_event){.kind = SHIP_EV_ACK, .session = 9, .ack = &a});
}

static void an_ack_that_goes_back_or_names_no_batch_ends_the_link(void **state)
{
    (void)state;
    static const uint64_t lies[][3] = {
        {20, 12, 10}, {20, 16, 11}, {16, 16, 12}, {20, 18, 12},
        {19, 16, 12}, {24, 16, 12}, {20, 21, 12}, {20, 16, 17},
    };
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        begin_shipping();
        assert_int_equal(ack(20, 16, 12, false), OK);
        assert_int_equal(ack(lies[i][0], lies[i][1], lies[i][2], false), E_PROTOCOL);
        assert_int_equal(ship.state, SHIP_ENDED);
    }
}

static void a_link_that_ended_stays_so_and_is_never_due(void **state)
{
    (void)state;
    begin_shipping();
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_ENDED}), OK);
    assert_int_equal(ship.state, SHIP_ENDED);
    assert_int_equal(ship_due_ns(&ship), UINT64_MAX);
    assert_false(ship_may_send(&ship, 1));
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK, .now_ns = 99 * NS_PER_S}), OK);
    assert_false(actions.is_dead);
}

static void a_hello_without_a_session_is_refused(void **state)
{
    (void)state;
    struct ship_options options = {.credit_bytes = 1,
                                   .heartbeat_ns = NS_PER_S / 4,
                                   .suspect_ns = NS_PER_S / 2,
                                   .dead_ns = NS_PER_S};
    ship_init(&ship, &options, NS_PER_S);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_HELLO, .epoch = 4}), E_PROTOCOL);
}

static void beats_close_in_time_share_their_probe_and_the_later_due_wins(void **state)
{
    (void)state;
    begin_shipping();
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_BEAT, .probe = 1}), OK);
    assert_int_equal(
        step((struct ship_event){.kind = SHIP_EV_SENT, .position = at(24), .bytes = 100}), OK);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_BEAT, .probe = 1}), OK);
    assert_int_equal(ship.beat_sent.v, 20);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_true(actions.is_heartbeat_due);
    assert_int_equal(step((struct ship_event){.kind = SHIP_EV_TICK}), OK);
    assert_false(actions.is_heartbeat_due);
    assert_true(ship_due_ns(&ship) < 11 * NS_PER_S);
    assert_int_equal(ack(20, 16, 12, true), OK);
    assert_false(ship_may_send(&ship, 1)); /* a poisoned follower is sent nothing */
}

/* --- level, quorum --- */

static void levels_are_judged_and_compared(void **state)
{
    (void)state;
    struct level stored2 = {.kind = LEVEL_STORED, .count = 2};
    struct level stored3 = {.kind = LEVEL_STORED, .count = 3};
    struct level applied2 = {.kind = LEVEL_APPLIED, .count = 2};
    struct level regions = {.kind = LEVEL_REGIONS, .count = 2, .regions = {1, 2}};
    struct level others = {.kind = LEVEL_REGIONS, .count = 2, .regions = {1, 3}};
    assert_true(level_equal(&stored2, &stored2));
    assert_false(level_equal(&stored2, &stored3));
    assert_false(level_equal(&stored2, &applied2));
    assert_false(level_equal(&regions, &others));
    struct level wrong[] = {
        {.kind = LEVEL_KINDS},
        {.kind = LEVEL_STORED},
        {.kind = LEVEL_APPLIED, .count = 255},
        {.kind = LEVEL_REGIONS},
        {.kind = LEVEL_REGIONS, .count = LEVEL_REGIONS_MAX + 1},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct err e = {.code = OK};
        assert_int_not_equal(level_check(&wrong[i], &e), OK);
        assert_true(e.text[0] != '\0');
    }
    struct level local = {.kind = LEVEL_LOCAL, .count = 9};
    assert_int_equal(level_check(&local, NULL), OK);
    assert_int_equal(local.count, 0);
    char text[LEVEL_TEXT_SIZE];
    assert_int_equal(level_format(&local, text), 5);
    assert_string_equal(level_word(200), "unknown");
}

/* A leader at 100 in region 1 and two followers in regions 2 and 3 that store 90 and 80. */
static struct quorum two(void)
{
    struct quorum q = {.durable = {100}, .epoch_start = {50}, .region = 1, .count = 2};
    for (uint32_t i = 0; i < 2; i++)
        q.copies[i] = (struct quorum_copy){.stored = {90 - 10 * i},
                                           .applied = {85 - 10 * i},
                                           .region = (uint16_t)(2 + i),
                                           .is_vouched = true,
                                           .is_ready = true};
    return q;
}

static struct level level_of(const char *text)
{
    struct level level;
    assert_int_equal(level_parse(slice_of_text(text), &level, NULL), OK);
    return level;
}

static void nothing_is_committed_that_nobody_can_vouch_for(void **state)
{
    (void)state;
    struct quorum q = two();
    assert_int_equal(quorum_committed(&q).v, 80);
    q.copies[1].is_lost = true;
    assert_int_equal(quorum_committed(&q).v, 90);
    q.copies[0].is_vouched = false;
    assert_int_equal(quorum_committed(&q).v, 0);
    q = two();
    q.is_catalogue_lost = true;
    assert_int_equal(quorum_committed(&q).v, 0);
    q = two();
    q.epoch_start = seqno_of(101);
    assert_int_equal(quorum_committed(&q).v, 0);
}

static void a_miss_says_what_is_missing(void **state)
{
    (void)state;
    static const char *const texts[] = {"stored:2",    "applied:2",   "majority",
                                        "regions:2,3", "regions:2,4", "stored:1"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct level level = level_of(texts[i]);
        for (uint32_t how = 0; how < 32; how++) {
            struct quorum q = two();
            q.copies[0].is_ready = (how & 1) != 0;
            q.copies[0].is_lost = (how & 2) != 0;
            q.copies[0].is_vouched = (how & 4) != 0;
            q.is_voter = q.copies[0].is_voter = q.copies[1].is_voter = (how & 8) != 0;
            q.voter_count = (how & 8) != 0 ? 3 : 0;
            if (how & 16) q.copies[1].region = 2;
            for (uint64_t s = 60; s <= 110; s += 25) {
                char room[256] = "";
                struct text why = text_of(room, sizeof(room));
                bool is_possible = quorum_is_possible(&q, &level, &why);
                assert_true(is_possible == (why.size == 0));
                why = text_of(room, sizeof(room));
                bool is_expected = quorum_is_expected(&q, &level, &why);
                assert_true(is_expected == (why.size == 0));
                struct level has = quorum_level_of(&q, seqno_of(s), &level);
                assert_true(has.kind != LEVEL_DEFAULT);
                why = text_of(room, sizeof(room));
                if (quorum_reached(&q, &level).v < s) quorum_explain(&q, seqno_of(s), &level, &why);
            }
        }
    }
    struct quorum q = two();
    struct level unasked = {.kind = LEVEL_DEFAULT};
    assert_true(quorum_is_expected(&q, &unasked, NULL));
}

/* --- slots --- */

static void what_a_follower_reports_of_itself_makes_its_slot_dirty(void **state)
{
    (void)state;
    static struct slots t;
    slots_init(&t, 4, seqno_of(1));
    struct slot_join join = {.node_id = slice_of_text("f1"),
                             .incarnation = 1,
                             .history_id = 1,
                             .last = at(10),
                             .now_ns = NS_PER_S,
                             .log_bytes = 100};
    uint32_t slot = slots_join(&t, &join);
    struct slot_progress progress = {.stored = at(10),
                                     .received = seqno_of(10),
                                     .applied = seqno_of(10),
                                     .now_ns = NS_PER_S,
                                     .log_bytes = 100};
    slots_advance(&t, slot, &progress);
    slots_save_begins(&t);
    slots_advance(&t, slot, &progress);
    assert_false(t.is_dirty);
    progress.apply_errors = 1;
    slots_advance(&t, slot, &progress);
    assert_true(t.is_dirty);
    slots_save_begins(&t);
    progress.divergences = 1;
    slots_advance(&t, slot, &progress);
    assert_true(t.is_dirty);
    slots_set_streaming(&t, slot, true);
    slots_set_streaming(&t, slot, true); /* twice changes nothing */
    assert_int_equal(t.slots[slot].record.state, SLOT_STREAMING);
    slots_disconnect(&t, slot, 2 * NS_PER_S);
    slots_save_begins(&t);
    slots_disconnect(&t, slot, 3 * NS_PER_S);
    assert_false(t.is_dirty);
    assert_int_equal(t.slots[slot].record.state, SLOT_INACTIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leadership_is_the_same_only_with_all_its_parts),
        cmocka_unit_test(tables_that_share_nothing_are_judged_only_when_whole),
        cmocka_unit_test(tokens_of_epochs_at_both_ends_of_the_table_are_judged),
        cmocka_unit_test(the_newest_leaderships_are_copied_as_far_as_there_is_room),
        cmocka_unit_test(a_leadership_without_a_number_or_a_start_is_damage),
        cmocka_unit_test(an_ack_that_goes_back_or_names_no_batch_ends_the_link),
        cmocka_unit_test(a_link_that_ended_stays_so_and_is_never_due),
        cmocka_unit_test(a_hello_without_a_session_is_refused),
        cmocka_unit_test(beats_close_in_time_share_their_probe_and_the_later_due_wins),
        cmocka_unit_test(levels_are_judged_and_compared),
        cmocka_unit_test(nothing_is_committed_that_nobody_can_vouch_for),
        cmocka_unit_test(a_miss_says_what_is_missing),
        cmocka_unit_test(what_a_follower_reports_of_itself_makes_its_slot_dirty),
    };
    return cmocka_run_group_tests_name("core/corners", tests, NULL, NULL);
}
