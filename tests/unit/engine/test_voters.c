/* voters: the list in the log: changes, what votes, what survives an open, one change at a time.
 */
#include "engine/voters.h"

#include "engine/freshness.h"
#include "engine/shipper_internal.h"
#include "support/fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("members");
    f->options.replication_listen = TIDE_TRANSPORT;
    f->options.node_id = "leader";
    f->options.data_address = "10.0.0.1:7400";
    open_node(f);
    *state = f;
    return 0;
}

static const struct tide_result *change(struct fixture *f, bool is_removal, const char *id,
                                        bool is_voter)
{
    tide_run_reset(f->run);
    if (is_removal) {
        (void)tide_run_member_remove(f->run, bytes_of(id), NULL);
    } else {
        (void)tide_run_member_add(f->run, bytes_of(id), is_voter, NULL);
    }
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static void expect_list(struct fixture *f, const char *wanted)
{
    char text[256] = "";
    tide_run_reset(f->run);
    (void)tide_run_members(f->run);
    steps_node_execute(&f->n, f->run);
    const struct tide_result *r = tide_run_result(f->run, 0);
    assert_int_equal(r->kind, TIDE_RESULT_MEMBERS);
    for (uint32_t i = 0; i < r->as.members.count; i++) {
        const struct tide_member *m = &r->as.members.members[i];
        size_t at = strlen(text);
        (void)snprintf(text + at, sizeof(text) - at, "%s%s@%s ", m->node_id, m->is_voter ? "!" : "",
                       m->data_address);
    }
    assert_string_equal(text, wanted);
}

static uint32_t join(struct fixture *f, const char *id)
{
    struct shipper *s = f->n.db->shipper;
    struct record_members members;
    voters_list(f->n.db, &members);
    struct slot_join j = {.node_id = slice_of_text(id),
                          .data_address = slice_of_text("10.0.0.2:7400"),
                          .is_voter = members_is_voter(&members, slice_of_text(id)),
                          .last = log_durable(f->n.db->log),
                          .incarnation = 1,
                          .now_ns = shipper_now(s)};
    uint32_t slot = slots_join(&s->table, &j);
    shipper_on_stored(s, slot);
    return slot;
}

static void ack(struct fixture *f, uint32_t slot)
{
    struct shipper *s = f->n.db->shipper;
    struct position stored = log_durable(f->n.db->log);
    struct slot_progress p = {.stored = stored,
                              .received = stored.seqno,
                              .applied = stored.seqno,
                              .now_ns = shipper_now(s)};
    slots_advance(&s->table, slot, &p);
    shipper_on_stored(s, slot);
    steps_run(f->n.env);
}

static void the_list_is_in_the_log_and_survives_an_open(void **state)
{
    struct fixture *f = *state;
    expect_list(f, "");
    assert_int_equal(change(f, false, "leader", true)->code, TIDE_OK);
    assert_int_equal(change(f, false, "n2", false)->code, TIDE_OK);
    expect_list(f, "leader!@10.0.0.1:7400 n2@ ");
    assert_int_equal(f->n.db->voter_count, 1);
    assert_true(f->n.db->is_voter);
    const struct tide_result *same = change(f, false, "leader", true);
    assert_int_equal(same->code, TIDE_OK);
    assert_true(same->is_duplicate);
    steps_node_close(&f->n);
    open_node(f);
    expect_list(f, "leader!@10.0.0.1:7400 n2@ ");
    assert_int_equal(f->n.db->voter_count, 1);
    assert_true(f->n.db->is_voter);
    assert_int_equal(change(f, true, "n2", false)->code, TIDE_OK);
    expect_list(f, "leader!@10.0.0.1:7400 ");
    assert_int_equal(change(f, true, "n2", false)->code, TIDE_NOTFOUND);
    assert_int_equal(change(f, false, "no id", false)->code, TIDE_INVALID);
}

/* The next change waits until the last one is stored by a majority of the voters that it made. */
static void one_change_at_a_time(void **state)
{
    struct fixture *f = *state;
    uint32_t slot = join(f, "n2");
    assert_int_equal(change(f, false, "leader", true)->code, TIDE_OK);
    assert_int_equal(change(f, false, "n2", true)->code, TIDE_OK); /* now both must store it */
    assert_true(f->n.db->shipper->table.slots[slot].record.is_voter);
    const struct tide_result *r = change(f, false, "n3", true);
    assert_int_equal(r->code, TIDE_BUSY);
    ack(f, slot);
    assert_int_equal(change(f, false, "n3", true)->code, TIDE_OK);
    ack(f, slot); /* two of three */
    assert_int_equal(change(f, true, "n3", false)->code, TIDE_OK);
}

/* Two in one run: the second finds the first appended and not applied. */
static void a_change_behind_one_that_is_pending_is_refused(void **state)
{
    struct fixture *f = *state;
    tide_run_reset(f->run);
    assert_int_equal(tide_run_member_add(f->run, bytes_of("a"), false, NULL), 0);
    assert_int_equal(tide_run_member_add(f->run, bytes_of("b"), false, NULL), 1);
    steps_node_execute(&f->n, f->run);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_BUSY);
    expect_list(f, "a@ ");
}

/* Committed is a majority's from the moment there are voters, and level majority can be met. */
static void voters_decide_what_is_committed(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t slow = join(f, "slow");
    uint32_t voter = join(f, "n2");
    assert_int_equal(change(f, false, "leader", true)->code, TIDE_OK);
    assert_int_equal(change(f, false, "n2", true)->code, TIDE_OK);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_true(db_committed(f->n.db).v < db_applied(f->n.db).seqno.v);
    ack(f, voter);
    assert_int_equal(db_committed(f->n.db).v, db_applied(f->n.db).seqno.v); /* slow does not vote */
    tide_run_reset(f->run);
    struct tide_write_options o = {.durability = {.level = {.kind = TIDE_LEVEL_MAJORITY}}};
    struct tide_signal view = {.type = {"view", 4}, .item = {"a", 1}};
    assert_int_equal(tide_run_signal(f->run, &view, &o), 0);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    ack(f, slow);
    assert_false(is_done);
    ack(f, voter);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->level.kind, TIDE_LEVEL_MAJORITY);
    assert_int_equal(f->n.db->shipper->table.slots[voter].last_acks, 1);
}

/* A voter that is gone for good is removed while writers wait for it: they are judged again. */
static void removing_a_voter_releases_who_waited_for_it(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    tide_run *waiting = tide_run_new();
    uint32_t slot = join(f, "n2");
    assert_int_equal(change(f, false, "leader", true)->code, TIDE_OK);
    assert_int_equal(change(f, false, "n2", true)->code, TIDE_OK);
    ack(f, slot);
    struct tide_write_options o = {.durability = {.level = {.kind = TIDE_LEVEL_MAJORITY}}};
    struct tide_signal view = {.type = {"view", 4}, .item = {"a", 1}};
    assert_int_equal(tide_run_signal(waiting, &view, &o), 0);
    steps_node_submit(&f->n, waiting, &is_done);
    steps_run(f->n.env);
    assert_false(is_done);
    assert_int_equal(change(f, true, "n2", false)->code, TIDE_OK);
    assert_true(is_done);
    assert_int_equal(tide_run_result(waiting, 0)->code, TIDE_OK);
    tide_run_free(waiting);
}

/* A default level that needs voters must not keep the first one out. */
static void the_first_voter_can_be_added_with_majority_as_default(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.level = "majority";
    open_node(f);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_DURABILITY);
    assert_int_equal(change(f, false, "leader", true)->code, TIDE_OK);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_list_is_in_the_log_and_survives_an_open),
        CASE(one_change_at_a_time),
        CASE(a_change_behind_one_that_is_pending_is_refused),
        CASE(voters_decide_what_is_committed),
        CASE(removing_a_voter_releases_who_waited_for_it),
        CASE(the_first_voter_can_be_added_with_majority_as_default),
    };
    return cmocka_run_group_tests_name("engine/voters", tests, NULL, NULL);
}
