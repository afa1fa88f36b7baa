/* Tests of engine/ship_slots on a leader that is run in steps, with slots from a catalogue: budgets
 * end them, what they held goes only after the catalogue that says so, and orders of an operator
 * are answered once they are on disk. */
#include "engine/ship_slots.h"

#include "engine/retention.h"
#include "engine/shipper_internal.h"
#include "engine/slots_store.h"
#include "support/fixture.h"
#include "support/tm_test.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("ship_slots");
    f->options.segment_size = 64 * KIB;
    f->options.retain_segments = 1;
    f->options.replication_listen = TIDE_TRANSPORT;
    open_node(f);
    *state = f;
    return 0;
}

static struct slots *table(struct fixture *f)
{
    return &f->n.db->shipper->table;
}

/* A slot of this follower at the end of the log as it is now, as after a promotion. */
static void add_slot(struct fixture *f, const char *id)
{
    struct slot_member member = {.node_id = slice_of_text(id), .data_address = slice_of_text("")};
    struct shipper *s = f->n.db->shipper;
    assert_int_equal(slots_provision(table(f), &member, 1, shipper_durable(s), shipper_now(s), 0),
                     1);
    shipper_arm(s);
    steps_advance(f->n.env, NS_PER_MS);
}

static void write_signals(struct fixture *f, uint32_t count)
{
    tide_run_reset(f->run);
    for (uint32_t i = 0; i < count; i++) {
        struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("a")};
        (void)tide_run_signal(f->run, &signal, NULL);
    }
    steps_node_execute(&f->n, f->run);
}

static void write_log(struct fixture *f, uint64_t bytes)
{
    uint64_t end = log_durable_bytes(f->n.db->log) + bytes;
    while (log_durable_bytes(f->n.db->log) < end) {
        for (int k = 0; k < 4; k++)
            write_signals(f, 400);
        tide_run_reset(f->run);
        (void)tide_run_checkpoint(f->run);
        steps_node_execute(&f->n, f->run);
        steps_run(f->n.env);
    }
}

static void reopen(struct fixture *f)
{
    steps_node_close(&f->n);
    open_node(f);
}

static uint8_t state_of(struct fixture *f, const char *id)
{
    uint32_t i = slots_find(table(f), slice_of_text(id));
    assert_true(i != SLOT_NONE);
    return table(f)->slots[i].record.state;
}

static void a_slot_beyond_its_bytes_is_told_then_lost_and_its_log_goes(void **state)
{
    struct fixture *f = *state;
    f->options.slot_budget_bytes = 512 * KIB;
    reopen(f);
    add_slot(f, "f1");
    seqno restart = table(f)->slots[0].record.restart;
    write_log(f, 400 * KIB);
    assert_int_equal(state_of(f, "f1"), SLOT_AT_RISK);
    assert_true(log_oldest(f->n.db->log).v <= restart.v);
    write_log(f, 256 * KIB);
    assert_int_equal(state_of(f, "f1"), SLOT_LOST);
    assert_int_equal(table(f)->slots[0].record.reason, SLOT_REASON_HORIZON_BYTES);
    steps_advance(f->n.env, 2 * NS_PER_S); /* saved */
    write_log(f, 256 * KIB); /* until a checkpoint that no slot holds is the older of two */
    steps_advance(f->n.env, 2 * NS_PER_S);
    assert_true(log_oldest(f->n.db->log).v > restart.v);
    const struct db_events *events = &f->n.db->events;
    assert_int_equal(events->by_kind[DB_EVENT_INVALIDATION], 1);
    reopen(f); /* lost for good */
    assert_int_equal(state_of(f, "f1"), SLOT_LOST);
}

/* A node that is to lead, and asks the others first, gets its slots when it leads; one that follows
 * has those of its own followers. Until it is known which of them count, an empty table says
 * nothing about who may come back. */
static void the_log_is_held_until_it_is_known_whose_slots_count(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->n.db;
    write_log(f, 300 * KIB);
    assert_int_equal(table(f)->count, 0);
    assert_true(log_oldest(db->log).v > 1);
    db->is_leading = false;
    assert_false(shipper_holds_log(db->shipper)); /* it follows, and nobody follows it */
    assert_true(retention_plan(db->retention).holder != RETAIN_BY_SLOTS);
    db->shipper->is_serving = false;
    assert_true(shipper_holds_log(db->shipper)); /* it is to lead */
    assert_int_equal(retention_plan(db->retention).holder, RETAIN_BY_SLOTS);
    assert_int_equal(retention_plan(db->retention).floor.v, 1);
    db->shipper->is_serving = true;
    slots_close(table(f));
    assert_true(shipper_holds_log(db->shipper)); /* the catalogue cannot be read */
    table(f)->is_closed = false;
    add_slot(f, "f1");
    assert_true(shipper_holds_log(db->shipper)); /* somebody follows it */
    db->is_leading = true;
}

/* The catalogue cannot be written: what the lost slot held stays. */
static void nothing_goes_before_the_loss_is_on_disk(void **state)
{
    struct fixture *f = *state;
    f->options.slot_budget_bytes = 256 * KIB;
    reopen(f);
    add_slot(f, "f1");
    seqno restart = table(f)->slots[0].record.restart;
    write_log(f, 192 * KIB);
    steps_hold(f->n.env, LANE_BACKGROUND, true); /* no save, no prune comes to an end */
    for (int k = 0; k < 40 && state_of(f, "f1") != SLOT_LOST; k++)
        write_signals(f, 400);
    assert_int_equal(state_of(f, "f1"), SLOT_LOST);
    steps_advance(f->n.env, 2 * NS_PER_S);
    struct retain_plan plan = retention_plan(f->n.db->retention);
    assert_true(plan.floor.v <= restart.v);
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    steps_run(f->n.env);
    steps_advance(f->n.env, 2 * NS_PER_S);
    plan = retention_plan(f->n.db->retention);
    assert_true(plan.holder != RETAIN_BY_SLOTS);
}

static void idle_time_ends_a_slot_over_a_restart(void **state)
{
    struct fixture *f = *state;
    f->options.slot_idle_timeout_ms = 10000;
    reopen(f);
    add_slot(f, "f1");
    for (int k = 0; k < 6; k++)
        steps_advance(f->n.env, NS_PER_S);
    assert_int_equal(state_of(f, "f1"), SLOT_INACTIVE);
    reopen(f);
    for (int k = 0; k < 3; k++)
        steps_advance(f->n.env, NS_PER_S);
    assert_int_equal(state_of(f, "f1"), SLOT_AT_RISK);
    for (int k = 0; k < 3; k++)
        steps_advance(f->n.env, NS_PER_S);
    assert_int_equal(state_of(f, "f1"), SLOT_LOST);
    assert_int_equal(table(f)->slots[0].record.reason, SLOT_REASON_IDLE);
}

static enum tide_code order(struct fixture *f, const char *id, const char *new_id)
{
    tide_run_reset(f->run);
    if (new_id) {
        (void)tide_run_slot_rename(f->run, bytes_of(id), bytes_of(new_id));
    } else {
        (void)tide_run_slot_drop(f->run, bytes_of(id));
    }
    bool is_done = false;
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    steps_advance(f->n.env, NS_PER_MS);
    assert_true(is_done);
    return tide_run_result(f->run, 0)->code;
}

static void a_drop_is_answered_once_it_is_on_disk(void **state)
{
    struct fixture *f = *state;
    add_slot(f, "f1");
    add_slot(f, "f2");
    steps_advance(f->n.env, NS_PER_S);
    assert_int_equal(order(f, "f9", NULL), TIDE_NOTFOUND);
    tide_run_reset(f->run);
    (void)tide_run_slot_drop(f->run, bytes_of("f1"));
    bool is_done = false;
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_advance(f->n.env, NS_PER_MS);
    assert_false(is_done);
    assert_int_equal(table(f)->count, 2);
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    steps_run(f->n.env);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    assert_int_equal(table(f)->count, 1);
    steps_node_abandon(&f->n); /* it was on disk when it was answered */
    open_node(f);
    assert_int_equal(table(f)->count, 1);
    assert_int_equal(state_of(f, "f2"), SLOT_INACTIVE);
}

/* A drop that could not be saved is told, keeps the log, and is saved later. */
static void a_drop_that_cannot_be_saved_says_so(void **state)
{
    struct fixture *f = *state;
    add_slot(f, "f1");
    steps_advance(f->n.env, NS_PER_S);
    steps_fail(f->n.env, &(struct steps_fault){.nth = 1, .code = E_IO, .writes_only = true});
    assert_int_equal(order(f, "f1", NULL), TIDE_IO);
    assert_int_equal(table(f)->count, 1);
    assert_true(shipper_floor(f->n.db->shipper).v <= log_durable(f->n.db->log).seqno.v);
    steps_advance(f->n.env, 2 * NS_PER_S);
    assert_int_equal(table(f)->count, 0);
}

static void a_rename_keeps_the_slot(void **state)
{
    struct fixture *f = *state;
    add_slot(f, "f1");
    add_slot(f, "f2");
    assert_int_equal(order(f, "f1", "f2"), TIDE_INVALID);
    assert_int_equal(order(f, "f1", "no good"), TIDE_INVALID);
    assert_int_equal(order(f, "f1", f->n.db->identity.node_id), TIDE_INVALID);
    assert_int_equal(order(f, "f1", "g1"), TIDE_OK);
    steps_node_abandon(&f->n);
    open_node(f);
    assert_int_equal(state_of(f, "g1"), SLOT_INACTIVE);
    assert_int_equal(slots_find(table(f), slice_of_text("f1")), SLOT_NONE);
}

static void an_unreadable_catalogue_takes_no_orders(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    file_write(f->dir, "slots", "x", 1);
    open_node(f);
    assert_int_equal(order(f, "f1", NULL), TIDE_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slot_beyond_its_bytes_is_told_then_lost_and_its_log_goes,
                                        setup, fixture_end),
        cmocka_unit_test_setup_teardown(the_log_is_held_until_it_is_known_whose_slots_count, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(nothing_goes_before_the_loss_is_on_disk, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(idle_time_ends_a_slot_over_a_restart, setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_drop_is_answered_once_it_is_on_disk, setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_drop_that_cannot_be_saved_says_so, setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_rename_keeps_the_slot, setup, fixture_end),
        cmocka_unit_test_setup_teardown(an_unreadable_catalogue_takes_no_orders, setup,
                                        fixture_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
