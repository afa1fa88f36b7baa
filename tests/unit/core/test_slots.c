/* Tests of core/slots: the table of followers, what the log must keep, which copies count. */
#include "support/tm_test.h"

#include "core/slots.h"

#define EPOCH_START 100u

static struct slots table;

static int fresh(void **state)
{
    (void)state;
    slots_init(&table, 5, seqno_of(EPOCH_START));
    return 0;
}

static struct position at(uint64_t s)
{
    return (struct position){.epoch = 5, .seqno = seqno_of(s), .chain = {{(uint8_t)(s % 251)}}};
}

static uint32_t join(const char *id, uint64_t last, uint64_t now_ns)
{
    struct slot_join j = {
        .node_id = slice_of_text(id),
        .data_address = slice_of_text("10.0.0.1:7400"),
        .incarnation = 1,
        .last = at(last),
        .now_ns = now_ns,
    };
    return slots_join(&table, &j);
}

static void advance(uint32_t index, uint64_t stored, uint64_t applied)
{
    struct slot_progress p = {
        .stored = at(stored),
        .received = seqno_of(stored),
        .applied = seqno_of(applied),
        .now_ns = 10,
    };
    slots_advance(&table, index, &p);
}

static void a_new_follower_is_in_bootstrap_until_it_stores_something(void **state)
{
    (void)state;
    uint32_t i = join("f1", 0, 1);
    assert_int_equal(table.slots[i].record.state, SLOT_BOOTSTRAP);
    slots_set_streaming(&table, i, true);
    assert_int_equal(table.slots[i].record.state, SLOT_BOOTSTRAP);
    advance(i, 7, 3);
    assert_int_equal(table.slots[i].record.state, SLOT_CATCHING_UP);
    slots_set_streaming(&table, i, true);
    assert_int_equal(table.slots[i].record.state, SLOT_STREAMING);
    slots_set_streaming(&table, i, false);
    assert_int_equal(table.slots[i].record.state, SLOT_CATCHING_UP);
    slots_disconnect(&table, i, 20);
    assert_int_equal(table.slots[i].record.state, SLOT_INACTIVE);
    assert_false(table.slots[i].is_connected);
    assert_int_equal(join("f1", 7, 30), i); /* the same slot */
    assert_int_equal(table.slots[i].record.state, SLOT_CATCHING_UP);
    assert_int_equal(table.count, 1);
}

static void restart_is_what_is_stored_and_never_ahead(void **state)
{
    (void)state;
    uint32_t i = join("f1", 150, 1);
    assert_int_equal(table.slots[i].record.restart.v, 150);
    advance(i, 160, 155);
    assert_int_equal(table.slots[i].record.restart.v, 160);
    assert_int_equal(table.slots[i].record.applied.v, 155);
}

/* A follower that lost its disk asks from the beginning: its slot goes back with it, at once. */
static void a_handshake_that_goes_back_takes_the_slot_along_and_is_saved_at_once(void **state)
{
    (void)state;
    uint32_t i = join("f1", 150, 1);
    slots_save_begins(&table);
    slots_disconnect(&table, i, 20);
    (void)join("f1", 0, 30);
    assert_int_equal(table.slots[i].record.stored.v, 0);
    assert_int_equal(table.slots[i].record.restart.v, 0);
    assert_int_equal(table.slots[i].record.applied.v, 0);
    assert_int_equal(table.slots[i].record.state, SLOT_BOOTSTRAP);
    assert_true(slots_is_save_due(&table, 30, 0));
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 1);
}

static void an_id_is_in_use_only_by_another_live_node(void **state)
{
    (void)state;
    struct slot_join same = {.node_id = slice_of_text("f1"),
                             .data_address = slice_of_text("10.0.0.1:7400"),
                             .incarnation = 1};
    struct slot_join reopened = same;
    struct slot_join elsewhere = same;
    struct slot_join twin = same;
    reopened.incarnation = 2;
    elsewhere.data_address = slice_of_text("10.0.0.2:7400");
    twin.history_id = 5; /* equal in everything but the number it drew */
    assert_false(slots_is_in_use(&table, &same));
    uint32_t i = join("f1", 0, 1);
    assert_false(slots_is_in_use(&table, &same)); /* itself, on a new link */
    assert_true(slots_is_in_use(&table, &reopened));
    assert_true(slots_is_in_use(&table, &elsewhere));
    assert_true(slots_is_in_use(&table, &twin));
    slots_disconnect(&table, i, 20);
    assert_false(slots_is_in_use(&table, &reopened));
}

static void the_floor_is_the_oldest_record_any_follower_may_ask_for(void **state)
{
    (void)state;
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 501); /* nobody: nothing is held */
    (void)join("f1", 300, 1);
    uint32_t second = join("f2", 200, 1);
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200);
    assert_int_equal(slots_safe(&table, seqno_of(500)).v, 200);
    slots_disconnect(&table, second, 20); /* inactive slots hold the log too */
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200);
}

/* What a lost slot held may go only once the catalogue that says so is on disk. */
static void a_lost_slot_holds_the_log_until_that_is_saved(void **state)
{
    (void)state;
    (void)join("f1", 300, 1);
    uint32_t second = join("f2", 200, 1);
    slots_save_begins(&table);
    assert_false(slots_saved(&table));
    slots_disconnect(&table, second, 20);
    slots_lose(&table, second, SLOT_REASON_IDLE, 77);
    assert_int_equal(table.slots[second].record.state, SLOT_LOST);
    assert_int_equal(table.slots[second].record.invalidated_at_ms, 77);
    assert_int_equal(slots_count_stored(&table, seqno_of(150)), 1); /* no copy from now on */
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200);
    assert_true(slots_is_save_due(&table, 20, 0)); /* at once */
    slots_save_begins(&table);
    slots_save_failed(&table, 20, 0);
    assert_false(slots_saved(&table)); /* of a save that failed nothing is known */
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200);
    slots_save_begins(&table);
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200);
    assert_true(slots_saved(&table));
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 300);
    assert_int_equal(slots_safe(&table, seqno_of(500)).v, 300);
    slots_lose(&table, second, SLOT_REASON_DIVERGED, 99); /* the first reason stays */
    assert_int_equal(table.slots[second].record.reason, SLOT_REASON_IDLE);
}

/* One that was lost while another save ran is not in it. */
static void a_save_that_began_before_the_loss_releases_nothing(void **state)
{
    (void)state;
    uint32_t i = join("f1", 200, 1);
    slots_save_begins(&table);
    slots_lose(&table, i, SLOT_REASON_HORIZON_BYTES, 0);
    assert_false(slots_saved(&table));
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200);
}

static void a_dropped_slot_leaves_the_table_once_that_is_saved(void **state)
{
    (void)state;
    uint32_t first = join("f1", 200, 1);
    (void)join("f2", 300, 1);
    slots_drop(&table, first, 5);
    slots_disconnect(&table, first, 20);
    struct slot_record copy[SLOTS_MAX];
    assert_int_equal(slots_copy(&table, copy), 1);
    assert_string_equal(copy[0].node_id, "f2");
    assert_int_equal(slots_next_left(&table), SLOT_NONE);
    slots_save_begins(&table);
    assert_true(slots_saved(&table));
    assert_int_equal(slots_next_left(&table), first);
    slots_remove(&table, first);
    assert_int_equal(table.count, 1);
    assert_int_equal(slots_find(&table, slice_of_text("f1")), SLOT_NONE);
    assert_int_equal(slots_find(&table, slice_of_text("f2")), 0);
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 300);
    assert_int_equal(join("f1", 0, 30), 1); /* it may come back, as a new one */
}

static void a_renamed_slot_is_found_by_its_new_name(void **state)
{
    (void)state;
    uint32_t i = join("f1", 200, 1);
    slots_disconnect(&table, i, 20);
    slots_save_begins(&table);
    slots_rename(&table, i, slice_of_text("g1"));
    assert_true(slots_is_save_due(&table, 20, 0));
    assert_int_equal(slots_find(&table, slice_of_text("f1")), SLOT_NONE);
    assert_int_equal(join("g1", 200, 30), i);
}

/* A lost slot comes back by a copy of the state: pinned at the mark, counting for nothing until the
 * follower goes on from the log. */
static void a_bootstrap_revives_a_lost_slot_and_pins_the_log(void **state)
{
    (void)state;
    uint32_t i = join("f1", 200, 1);
    slots_disconnect(&table, i, 20);
    slots_lose(&table, i, SLOT_REASON_HORIZON_BYTES, 7);
    slots_save_begins(&table);
    assert_true(slots_saved(&table));
    assert_int_equal(slots_floor(&table, seqno_of(900)).v, 901);
    struct slot_join j = {.node_id = slice_of_text("f1"),
                          .data_address = slice_of_text("10.0.0.1:7400"),
                          .incarnation = 2,
                          .is_rebootstrapping = true,
                          .now_ns = 30};
    assert_int_equal(slots_join(&table, &j), i);
    assert_int_equal(slots_floor(&table, seqno_of(900)).v, 1); /* the mark is not known yet */
    slots_pin(&table, i, seqno_of(850), 30, 0);
    const struct slot *slot = &table.slots[i];
    assert_int_equal(slot->record.state, SLOT_BOOTSTRAP);
    assert_int_equal(slot->record.is_rebootstrapping, 1);
    assert_int_equal(slot->record.reason, SLOT_REASON_HORIZON_BYTES); /* why it copies */
    assert_int_equal(slots_floor(&table, seqno_of(900)).v, 850);
    assert_int_equal(slots_count_stored(&table, seqno_of(150)), 0);
    assert_true(slots_is_save_due(&table, 30, 0)); /* before the first block moves */
    slots_pin(&table, i, seqno_of(880), 40, 0);    /* based anew on a newer mark */
    assert_int_equal(slots_floor(&table, seqno_of(900)).v, 880);
    /* the copy outlives its link and this process */
    slots_disconnect(&table, i, 50);
    assert_int_equal(slots_floor(&table, seqno_of(900)).v, 880);
    struct slot_record saved[SLOTS_MAX];
    uint32_t count = slots_copy(&table, saved);
    slots_init(&table, 6, seqno_of(EPOCH_START));
    slots_load(&table, saved, count, 60);
    assert_int_equal(slots_floor(&table, seqno_of(900)).v, 880);
    (void)join("f1", 880, 70);
    assert_int_equal(table.slots[0].record.state, SLOT_CATCHING_UP);
    assert_int_equal(table.slots[0].record.is_rebootstrapping, 0);
    assert_int_equal(table.slots[0].record.reason, SLOT_REASON_NONE);
    assert_int_equal(slots_count_stored(&table, seqno_of(150)), 1);
}

/* A node that becomes leader prunes nothing that a member may still ask for. */
static void members_get_provisional_slots_from_the_floor_on(void **state)
{
    (void)state;
    (void)join("f1", 300, 1);
    const struct slot_member members[] = {
        {.node_id = slice_of_text("f1"), .data_address = slice_of_text("")},
        {.node_id = slice_of_text("f2"), .data_address = slice_of_text("10.0.0.2:7400")},
        {.node_id = slice_of_text("f3"), .data_address = slice_of_text(""), .is_voter = true},
    };
    assert_int_equal(slots_provision(&table, members, 3, seqno_of(120), 5, 0), 2);
    assert_int_equal(table.count, 3);
    assert_int_equal(table.slots[1].record.state, SLOT_INACTIVE);
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 120);
    assert_int_equal(slots_count_stored(&table, seqno_of(110)), 1); /* they vouch for nothing */
    assert_true(slots_is_save_due(&table, 5, 0));
    assert_int_equal(slots_provision(&table, members, 3, seqno_of(120), 6, 0), 0);
    char id[8];
    for (unsigned i = table.count; i < SLOTS_MAX; i++) {
        (void)snprintf(id, sizeof(id), "x%u", i);
        (void)join(id, 130, 7);
    }
    const struct slot_member one_more = {.node_id = slice_of_text("f4")};
    assert_int_equal(slots_provision(&table, &one_more, 1, seqno_of(120), 8, 0), 0);
}

static void an_unreadable_catalogue_keeps_everything_and_is_not_overwritten(void **state)
{
    (void)state;
    slots_close(&table);
    (void)join("f1", 300, 1);
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 1);
    assert_int_equal(slots_safe(&table, seqno_of(500)).v, 0);
    assert_false(slots_is_save_due(&table, UINT64_MAX, UINT64_MAX));
}

static void restored_slots_are_disconnected_and_vouch_for_nothing(void **state)
{
    (void)state;
    struct slot_record saved[3] = {
        {.node_id = "f1", .state = SLOT_STREAMING, .stored = {200}, .restart = {200}},
        {.node_id = "f2", .state = SLOT_LOST, .stored = {5}, .restart = {5}},
        {.node_id = "f1", .state = SLOT_STREAMING, .stored = {900}, .restart = {900}},
    };
    slots_load(&table, saved, 3, 1);
    assert_int_equal(table.count, 2); /* the second f1 is not believed */
    assert_int_equal(table.slots[0].record.state, SLOT_INACTIVE);
    assert_int_equal(table.slots[1].record.state, SLOT_LOST);
    assert_int_equal(slots_count_stored(&table, seqno_of(150)), 0);
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200); /* but they hold the log */
    (void)join("f1", 200, 2);
    assert_int_equal(slots_count_stored(&table, seqno_of(150)), 1);
}

/* A catalogue is input: a restart beyond what is stored is brought down to it. */
static void a_saved_restart_ahead_of_stored_is_not_believed(void **state)
{
    (void)state;
    struct slot_record saved = {
        .node_id = "f1", .state = SLOT_INACTIVE, .stored = {200}, .restart = {250}};
    slots_load(&table, &saved, 1, 1);
    assert_int_equal(slots_floor(&table, seqno_of(500)).v, 200);
}

/* Copies of an older epoch's records alone can still be overruled: they count once the epoch's
 * first record is stored too. */
static void copies_count_only_once_this_epoch_is_stored(void **state)
{
    (void)state;
    uint32_t i = join("f1", EPOCH_START - 1, 1);
    assert_int_equal(slots_count_stored(&table, seqno_of(50)), 0);
    advance(i, EPOCH_START, EPOCH_START);
    assert_int_equal(slots_count_stored(&table, seqno_of(50)), 1);
    assert_int_equal(slots_count_stored(&table, seqno_of(EPOCH_START + 1)), 0);
}

static void a_poisoned_follower_counts_for_nothing(void **state)
{
    (void)state;
    uint32_t i = join("f1", 200, 1);
    assert_int_equal(slots_count_stored(&table, seqno_of(150)), 1);
    struct slot_progress p = {.stored = at(200),
                              .received = seqno_of(200),
                              .applied = seqno_of(200),
                              .is_poisoned = true,
                              .now_ns = 9};
    slots_advance(&table, i, &p);
    assert_int_equal(slots_count_stored(&table, seqno_of(150)), 0);
}

/* What is committed is core/quorum's answer; here it is kept. */
static void committed_never_goes_down(void **state)
{
    (void)state;
    assert_int_equal(slots_commit(&table, seqno_of(120)).v, 120);
    assert_int_equal(slots_commit(&table, SEQNO_NONE).v, 120);
    assert_int_equal(slots_commit(&table, seqno_of(130)).v, 130);
}

static void the_catalogue_is_saved_after_a_second_or_16_mib(void **state)
{
    (void)state;
    uint32_t i = join("f1", 150, 1);
    assert_true(slots_is_save_due(&table, 1, 0)); /* a new slot at once */
    slots_save_begins(&table);
    assert_false(slots_is_save_due(&table, UINT64_MAX, UINT64_MAX));
    struct slot_progress p = {
        .stored = at(160), .received = seqno_of(160), .now_ns = 100, .log_bytes = 1000};
    slots_advance(&table, i, &p);
    assert_false(slots_is_save_due(&table, 100, 1000));
    assert_false(slots_is_save_due(&table, 99 + SLOTS_SAVE_NS, 1000));
    assert_true(slots_is_save_due(&table, 100 + SLOTS_SAVE_NS, 1000));
    assert_true(slots_is_save_due(&table, 100, 1000 + SLOTS_SAVE_BYTES));
    struct slot_record copy[SLOTS_MAX];
    assert_int_equal(slots_copy(&table, copy), 1);
    assert_int_equal(copy[0].stored.v, 160);
    slots_save_begins(&table);
    slots_save_failed(&table, 200, 1000);
    assert_false(slots_is_save_due(&table, 200, 1000));
    assert_true(slots_is_save_due(&table, 200 + SLOTS_SAVE_NS, 1000));
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    char id[8];
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        assert_false(slots_is_full(&table));
        (void)snprintf(id, sizeof(id), "f%u", i);
        assert_int_equal(join(id, 0, 1), i);
    }
    assert_true(slots_is_full(&table));
    assert_int_equal(join("f5", 9, 1), 5); /* an old one still may */
}

/* A follower with followers becomes the leader: the same slots, proved anew. */
static void slots_go_over_into_another_epoch_and_vouch_for_nothing(void **state)
{
    (void)state;
    uint32_t i = join("f1", 110, 1);
    advance(i, 120, 120);
    assert_int_equal(slots_count_stored(&table, seqno_of(115)), 1);
    (void)slots_commit(&table, seqno_of(115));
    slots_disconnect(&table, i, 20);
    slots_begin_epoch(&table, 6, seqno_of(121));
    assert_int_equal(table.count, 1);
    assert_int_equal(table.committed.v, 0);
    assert_int_equal(slots_floor(&table, seqno_of(130)).v, 120);
    assert_int_equal(slots_count_stored(&table, seqno_of(115)), 0);
    i = join("f1", 120, 30);
    advance(i, 121, 121);
    assert_int_equal(slots_count_stored(&table, seqno_of(115)), 1);
    assert_int_equal(table.slots[i].record.epoch, 6);
}

/* A node that led and follows keeps nothing for those that followed it then. */
static void slots_of_an_own_leadership_are_forgotten(void **state)
{
    (void)state;
    const uint64_t led[] = {3, 5};
    (void)join("a", 110, 1);
    table.epoch = 7;
    (void)join("b", 112, 1);
    table.epoch = 3;
    (void)join("c", 111, 1);
    for (uint32_t i = 0; i < table.count; i++) {
        slots_disconnect(&table, i, 2);
    }
    slots_keep_others(&table, led, COUNT_OF(led));
    assert_int_equal(table.count, 1);
    assert_string_equal(table.slots[0].record.node_id, "b");
    slots_keep_others(&table, NULL, 0);
    assert_int_equal(table.count, 1);
}

static void only_the_drawn_edges_are_allowed(void **state)
{
    (void)state;
    static const char *const rows[] = {
        /* to: boot catch stream inactive risk lost */
        ".......", /* no state */
        "..+.+++", /* bootstrap */
        ".+.++++", /* catching_up */
        ".++.+++", /* streaming */
        ".++..++", /* inactive */
        ".++++.+", /* at_risk */
        ".+.....", /* lost */
    };
    for (uint8_t from = 0; from <= SLOT_LOST; from++) {
        for (uint8_t to = 0; to <= SLOT_LOST; to++) {
            if (slot_edge_is_allowed(from, to) != (rows[from][to] == '+')) {
                fail_msg("%s to %s", slot_state_name(from), slot_state_name(to));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_new_follower_is_in_bootstrap_until_it_stores_something, fresh),
        cmocka_unit_test_setup(restart_is_what_is_stored_and_never_ahead, fresh),
        cmocka_unit_test_setup(a_handshake_that_goes_back_takes_the_slot_along_and_is_saved_at_once,
                               fresh),
        cmocka_unit_test_setup(an_id_is_in_use_only_by_another_live_node, fresh),
        cmocka_unit_test_setup(the_floor_is_the_oldest_record_any_follower_may_ask_for, fresh),
        cmocka_unit_test_setup(a_lost_slot_holds_the_log_until_that_is_saved, fresh),
        cmocka_unit_test_setup(a_save_that_began_before_the_loss_releases_nothing, fresh),
        cmocka_unit_test_setup(a_dropped_slot_leaves_the_table_once_that_is_saved, fresh),
        cmocka_unit_test_setup(a_renamed_slot_is_found_by_its_new_name, fresh),
        cmocka_unit_test_setup(a_bootstrap_revives_a_lost_slot_and_pins_the_log, fresh),
        cmocka_unit_test_setup(members_get_provisional_slots_from_the_floor_on, fresh),
        cmocka_unit_test_setup(an_unreadable_catalogue_keeps_everything_and_is_not_overwritten,
                               fresh),
        cmocka_unit_test_setup(restored_slots_are_disconnected_and_vouch_for_nothing, fresh),
        cmocka_unit_test_setup(a_saved_restart_ahead_of_stored_is_not_believed, fresh),
        cmocka_unit_test_setup(copies_count_only_once_this_epoch_is_stored, fresh),
        cmocka_unit_test_setup(a_poisoned_follower_counts_for_nothing, fresh),
        cmocka_unit_test_setup(committed_never_goes_down, fresh),
        cmocka_unit_test_setup(the_catalogue_is_saved_after_a_second_or_16_mib, fresh),
        cmocka_unit_test_setup(the_table_is_bounded, fresh),
        cmocka_unit_test_setup(slots_go_over_into_another_epoch_and_vouch_for_nothing, fresh),
        cmocka_unit_test_setup(slots_of_an_own_leadership_are_forgotten, fresh),
        cmocka_unit_test_setup(only_the_drawn_edges_are_allowed, fresh),
    };
    return cmocka_run_group_tests_name("core/slots", tests, NULL, NULL);
}
