/* Tests of engine/disk on a node that is run in steps, with free space as told and file calls that
 * find the disk full. */
#include "engine/disk.h"

#include "engine/checkpoint.h"
#include "support/fixture.h"
#include "support/tm_test.h"

#define RESERVE ((uint64_t)(2 * MIB))

static int setup(void **state)
{
    struct fixture *f = fixture_new("disk");
    f->options.disk_reserve = RESERVE;
    open_node(f);
    *state = f;
    return 0;
}

static void set_free(struct fixture *f, uint64_t bytes)
{
    steps_set_free(f->n.env, bytes);
    steps_advance(f->n.env, 2 * NS_PER_S);
}

static void wait_for_reserve(struct fixture *f)
{
    for (int k = 0; k < 20; k++)
        steps_advance(f->n.env, NS_PER_S);
    struct disk_status s;
    disk_status(f->n.db->disk, &s);
    assert_true(s.is_reserve_held);
}

static uint64_t reserve_size(struct fixture *f)
{
    size_t size = 0;
    free(file_read(f->dir, "reserve", &size));
    return size;
}

static void writes_are_refused_near_the_end_and_taken_again(void **state)
{
    struct fixture *f = *state;
    struct disk_status s;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    set_free(f, 5 * MIB / 2);
    disk_status(f->n.db->disk, &s);
    assert_int_equal(s.rung, DISK_SLOW);
    assert_true(disk_slow_ns(f->n.db->disk) > 0);
    set_free(f, MIB);
    disk_status(f->n.db->disk, &s);
    assert_int_equal(s.rung, DISK_REFUSE);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_DISKFULL);
    assert_int_equal(steps_node_count(&f->n, "a"), 1); /* reads go on */
    assert_int_equal(f->n.db->condition, DB_SERVING);
    set_free(f, 100 * MIB);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_int_equal(f->n.db->events.by_kind[DB_EVENT_RUNG], 3);
}

/* The ladder goes on when the free space could not be told for a while. */
/* Goal: the log that only waits for a checkpoint goes before writers are refused. */
static void a_checkpoint_is_cut_early_where_it_is_what_holds_the_log(void **state)
{
    struct fixture *f = *state;
    const struct checkpointer *c = f->n.db->checkpointer;
    char item[201] = {0};
    memset(item, 'x', sizeof(item) - 1);
    while (log_durable_bytes(f->n.db->log) < MIB) {
        assert_int_equal(steps_node_signal(&f->n, item), TIDE_OK);
    }
    set_free(f, 5 * MIB);
    assert_int_equal(checkpointer_contents(c)->at.v, 0);
    set_free(f, 7 * MIB / 2);
    seqno first = checkpointer_contents(c)->at;
    assert_true(first.v > 0);
    set_free(f, 7 * MIB / 2); /* not over and over: nothing was written since */
    assert_int_equal(checkpointer_contents(c)->at.v, first.v);
}

static void a_look_that_fails_is_not_the_last_one(void **state)
{
    struct fixture *f = *state;
    struct disk_status s;
    set_free(f, 100 * MIB);
    set_free(f, STEPS_FREE_FAILS);
    set_free(f, MIB);
    disk_status(f->n.db->disk, &s);
    assert_int_equal(s.rung, DISK_REFUSE);
}

/* Any write that finds the disk full takes the reserve and is made again: the log is not poisoned,
 * what was being written is there, and nothing more is taken until the reserve is. */
static void a_write_that_finds_no_space_takes_the_reserve(void **state)
{
    struct fixture *f = *state;
    struct disk_status s;
    set_free(f, 100 * MIB);
    wait_for_reserve(f);
    assert_int_equal(reserve_size(f), RESERVE);
    steps_fail(f->n.env, &(struct steps_fault){.nth = 1, .code = E_DISKFULL, .writes_only = true});
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_true(steps_has_failed(f->n.env));
    assert_int_equal(f->n.db->condition, DB_SERVING);
    assert_int_equal(reserve_size(f), 0);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_DISKFULL); /* at once */
    wait_for_reserve(f);
    assert_int_equal(reserve_size(f), RESERVE);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    disk_status(f->n.db->disk, &s);
    assert_int_equal(s.rung, DISK_PLENTY);
}

/* An empty reserve says that it was needed: the next life takes no write before it has one. */
static void the_next_life_knows_that_the_reserve_was_needed(void **state)
{
    struct fixture *f = *state;
    set_free(f, 100 * MIB);
    wait_for_reserve(f);
    steps_fail(f->n.env, &(struct steps_fault){.nth = 1, .code = E_DISKFULL, .writes_only = true});
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    steps_node_close(&f->n);
    open_node(f);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_DISKFULL);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
    set_free(f, 100 * MIB);
    wait_for_reserve(f);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
}

/* Without a reserve a full disk poisons, as any failed write does. */
static void without_a_reserve_a_failed_write_poisons(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.disk_reserve = UINT64_MAX;
    open_node(f);
    steps_fail(f->n.env, &(struct steps_fault){.nth = 1, .code = E_DISKFULL, .writes_only = true});
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_UNKNOWN);
    assert_int_equal(f->n.db->condition, DB_POISONED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_are_refused_near_the_end_and_taken_again, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(a_checkpoint_is_cut_early_where_it_is_what_holds_the_log,
                                        setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_look_that_fails_is_not_the_last_one, setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_write_that_finds_no_space_takes_the_reserve, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(the_next_life_knows_that_the_reserve_was_needed, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(without_a_reserve_a_failed_write_poisons, setup,
                                        fixture_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
