/* waits: reads that wait for a position or for what is committed, until their deadline; positions
 * of a history that was given up. Freshness needs a leader: e2e.tokens, unit.engine.replication. */
#include "engine/waits.h"

#include "engine/shipper_internal.h"
#include "support/fixture.h"

static const struct tide_signal view = {.type = {"view", 4}, .item = {"a", 1}};

static int setup(void **state)
{
    struct fixture *f = fixture_new("waits");
    f->options.replication_listen = TIDE_TRANSPORT;
    open_node(f);
    *state = f;
    return 0;
}

static int32_t add_count(tide_run *run, const struct tide_read_options *o)
{
    int32_t index = tide_run_count_of(run, bytes_of("view"), bytes_of("a"), bytes_of("all"));
    assert_true(tide_run_set_read(run, index, o));
    return index;
}

static struct tide_position position_now(struct fixture *f)
{
    struct position at = db_applied(f->n.db);
    return (struct tide_position){.epoch = at.epoch, .seqno = at.seqno.v};
}

static void submit(struct fixture *f, bool *out_is_done)
{
    steps_node_submit(&f->n, f->run, out_is_done);
    steps_run(f->n.env);
}

static void a_visible_position_is_answered_at_once(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    struct tide_read_options o = {.after = position_now(f)};
    assert_int_equal(add_count(f->run, &o), 0);
    submit(f, &is_done);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->as.integer, 1);
    assert_true(waits_is_empty(f->n.db->waits));
}

/* It is woken by the record that it waits for, not by those before it. */
static void a_position_to_come_is_waited_for(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct tide_read_options o = {.after = position_now(f), .deadline_ms = 1000};
    o.after.seqno += 2;
    assert_int_equal(add_count(f->run, &o), 0);
    submit(f, &is_done);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_false(is_done);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->as.integer, 2);
}

static void a_position_that_does_not_come_is_stale_at_the_deadline(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct tide_read_options o = {.after = position_now(f), .deadline_ms = 50};
    o.after.seqno += 1;
    assert_int_equal(add_count(f->run, &o), 0);
    o.deadline_ms = TIDE_DEADLINE_NOW;
    assert_int_equal(add_count(f->run, &o), 1);
    submit(f, &is_done);
    steps_advance(f->n.env, 49 * NS_PER_MS);
    assert_false(is_done);
    steps_advance(f->n.env, NS_PER_MS);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_STALE);
    assert_non_null(strstr(tide_run_result(f->run, 0)->message, "is not applied here yet"));
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_STALE);
}

/* A history as a promotion leaves it: epoch 7 ended at record 30, epoch 8 owns what follows. */
static void a_write_that_was_given_up_is_lost_and_names_the_epochs(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct identity *id = &f->n.db->identity;
    struct epoch_entry first = id->epochs[0];
    id->epochs[0].epoch.number = 7;
    id->epochs[id->epoch_count++] = first;
    id->epochs[1].epoch.number = 8;
    id->epochs[1].start = seqno_of(6);
    struct tide_read_options lost = {.after = {.epoch = 7, .seqno = 9}};
    struct tide_read_options kept = {.after = {.epoch = 7, .seqno = 5}};
    struct tide_read_options never = {.after = {.epoch = 8, .seqno = 5}};
    assert_int_equal(add_count(f->run, &lost), 0);
    assert_int_equal(add_count(f->run, &kept), 1);
    assert_int_equal(add_count(f->run, &never), 2);
    submit(f, &is_done);
    id->epochs[0] = first;
    id->epoch_count--;
    assert_true(is_done);
    const struct tide_result *r = tide_run_result(f->run, 0);
    assert_int_equal(r->code, TIDE_LOST);
    assert_string_equal(r->message, "record 9 of epoch 7 was lost in the change to epoch 8");
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_OK);
    assert_int_equal(tide_run_result(f->run, 2)->code, TIDE_INVALID);
}

/* Who waits for a record of a leadership that ends without it is told so when the next begins. */
static void a_waiting_position_is_judged_again_in_a_new_leadership(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct db *db = f->n.db;
    struct tide_read_options o = {.after = position_now(f), .deadline_ms = 100000};
    o.after.seqno += 100;
    assert_int_equal(add_count(f->run, &o), 0);
    submit(f, &is_done);
    struct identity *id = &db->identity;
    id->epochs[id->epoch_count] = id->epochs[id->epoch_count - 1];
    id->epochs[id->epoch_count].epoch.number++;
    id->epochs[id->epoch_count].start = seqno_next(log_durable(db->log).seqno);
    id->epoch_count++;
    db->epoch.number++;
    waits_on_applied(db->waits);
    db->epoch.number--;
    id->epoch_count--;
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_LOST);
}

static uint32_t join(struct fixture *f)
{
    struct shipper *s = f->n.db->shipper;
    struct slot_join j = {.node_id = slice_of_text("f1"),
                          .data_address = slice_of_text("10.0.0.1:7400"),
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

/* What is visible and not committed is not shown to who asks for what is committed. */
static void committed_reads_wait_until_nothing_uncommitted_is_visible(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct tide_read_options o = {.is_committed = true, .deadline_ms = 100};
    uint32_t slot = join(f);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_int_equal(add_count(f->run, &o), 0);
    submit(f, &is_done);
    assert_false(is_done);
    assert_int_equal(steps_node_count(&f->n, "a"), 1); /* latest */
    ack(f, slot);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->as.integer, 1);
    tide_run_reset(f->run);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_int_equal(add_count(f->run, &o), 0);
    submit(f, &is_done);
    steps_advance(f->n.env, 100 * NS_PER_MS);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_STALE);
}

/* A leader lacks nothing that is durable on the leader. */
static void a_leader_meets_every_staleness_bound(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct tide_read_options o = {.max_stale_is_set = true, .deadline_ms = TIDE_DEADLINE_NOW};
    assert_int_equal(add_count(f->run, &o), 0);
    submit(f, &is_done);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
}

static void closing_answers_reads_that_wait(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct tide_read_options o = {.after = position_now(f), .deadline_ms = 100000};
    o.after.seqno += 1;
    assert_int_equal(add_count(f->run, &o), 0);
    submit(f, &is_done);
    steps_node_close(&f->n);
    f->n.db = NULL;
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_CLOSED);
}

/* Many reads wait for different records: each batch wakes its own. */
static void each_read_is_woken_by_its_record(void **state)
{
    struct fixture *f = *state;
    enum { RUNS = 200 };
    static tide_run *runs[RUNS];
    static bool is_done[RUNS];
    struct tide_position start = position_now(f);
    for (uint32_t i = 0; i < RUNS; i++) {
        struct tide_read_options o = {.after = start, .deadline_ms = 100000};
        o.after.seqno += 1 + (i * 37) % RUNS;
        runs[i] = tide_run_new();
        (void)add_count(runs[i], &o);
        steps_node_submit(&f->n, runs[i], &is_done[i]);
    }
    for (uint32_t written = 1; written <= RUNS; written++) {
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
        for (uint32_t i = 0; i < RUNS; i++)
            assert_int_equal(is_done[i], 1 + (i * 37) % RUNS <= written);
    }
    for (uint32_t i = 0; i < RUNS; i++) {
        assert_int_equal(tide_run_result(runs[i], 0)->as.integer, 1 + (i * 37) % RUNS);
        tide_run_free(runs[i]);
    }
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_visible_position_is_answered_at_once),
        CASE(a_position_to_come_is_waited_for),
        CASE(a_position_that_does_not_come_is_stale_at_the_deadline),
        CASE(a_write_that_was_given_up_is_lost_and_names_the_epochs),
        CASE(a_waiting_position_is_judged_again_in_a_new_leadership),
        CASE(committed_reads_wait_until_nothing_uncommitted_is_visible),
        CASE(a_leader_meets_every_staleness_bound),
        CASE(closing_answers_reads_that_wait),
        CASE(each_read_is_woken_by_its_record),
    };
    return cmocka_run_group_tests_name("engine/waits", tests, NULL, NULL);
}
