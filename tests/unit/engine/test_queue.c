/* queue: the order of a run's operations, waiting, and what everybody is told when writing ends. */
#include "engine/queue.h"

#include "support/node.h"

struct fixture {
    char *dir;
    struct tide_options options;
    struct node n;
    tide_run *run;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("queue");
    f->options = node_options(f->dir);
    struct err e = {.code = OK};
    if (steps_node_open(&f->n, &f->options, &e) != OK) fail_msg("open: %s", e.text);
    f->run = tide_run_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tide_run_free(f->run);
    if (f->n.db != NULL) steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

static const struct tide_signal view = {.type = {"view", 4}, .item = {"a", 1}};

static int32_t add_count(tide_run *run)
{
    return tide_run_count_of(run, bytes_of("view"), bytes_of("a"), bytes_of("all"));
}

static void reads_see_the_writes_before_them_in_the_run_and_not_those_after(void **state)
{
    struct fixture *f = *state;
    for (int32_t i = 0; i < 10; i++) {
        assert_int_equal(add_count(f->run), 3 * i);
        assert_int_equal(tide_run_position(f->run), 3 * i + 1);
        assert_int_equal(tide_run_signal(f->run, &view, NULL), 3 * i + 2);
    }
    steps_node_execute(&f->n, f->run);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(tide_run_result(f->run, 3 * i)->as.integer, i);
        uint64_t at = tide_run_result(f->run, 3 * i + 1)->as.position.seqno;
        assert_int_equal(tide_run_result(f->run, 3 * i + 2)->as.position.seqno, at + 1);
    }
}

/* Reads are never ahead of the disk: while the sync runs, others do not see the write. */
static void nobody_sees_what_is_not_durable(void **state)
{
    struct fixture *f = *state;
    bool is_written;
    steps_hold(f->n.env, LANE_LOG, true);
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 0);
    steps_node_submit(&f->n, f->run, &is_written);
    steps_run(f->n.env);
    assert_int_equal(steps_node_count(&f->n, "a"), 0);
    assert_false(is_written);
    steps_hold(f->n.env, LANE_LOG, false);
    steps_run(f->n.env);
    assert_true(is_written);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

static void an_empty_run_is_answered(void **state)
{
    struct fixture *f = *state;
    steps_node_execute(&f->n, f->run);
    assert_int_equal(tide_run_count(f->run), 0);
}

static void wait_without_followers_answers_at_its_timeout(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 0);
    assert_int_equal(tide_run_wait(f->run, 0, 0, 0), 1);
    assert_int_equal(tide_run_wait(f->run, 0, 1, 50), 2);
    assert_int_equal(add_count(f->run), 3);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    steps_advance(f->n.env, 49 * NS_PER_MS);
    assert_false(is_done);
    steps_advance(f->n.env, 2 * NS_PER_MS);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 2)->as.integer, 0);
    assert_int_equal(tide_run_result(f->run, 3)->as.integer, 1);
}

/* What a run writes after an operation that was answered on its own is flushed without anybody
 * else's help. */
static void writes_after_an_answer_of_its_own_are_flushed(void **state)
{
    struct fixture *f = *state;
    bool is_done = false;
    assert_int_equal(tide_run_digest(f->run, 0), 0);
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 1);
    assert_int_equal(tide_run_wait(f->run, 0, 1, 50), 2);
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 3);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    assert_false(is_done);
    steps_advance(f->n.env, 60 * NS_PER_MS);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_OK);
    assert_int_equal(tide_run_result(f->run, 3)->code, TIDE_OK);
}

/* A timeout too large for the clock is one that never comes, not one that is over. */
static void a_huge_timeout_is_no_timeout(void **state)
{
    struct fixture *f = *state;
    tide_run *runs[2] = {f->run, tide_run_new()};
    bool is_done[2];
    assert_int_equal(tide_run_wait(runs[0], 0, 1, UINT64_MAX), 0);
    assert_int_equal(tide_run_wait(runs[1], 0, 1, UINT64_MAX / NS_PER_MS), 0);
    for (size_t i = 0; i < 2; i++)
        steps_node_submit(&f->n, runs[i], &is_done[i]);
    steps_advance(f->n.env, 3600 * NS_PER_S);
    assert_false(is_done[0]);
    assert_false(is_done[1]);
    steps_node_close(&f->n); /* answers everybody */
    assert_true(is_done[0]);
    assert_true(is_done[1]);
    tide_run_free(runs[1]);
}

static void a_write_that_fails_poisons_the_node_and_tells_its_writers(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 3 };
    tide_run *runs[COUNT];
    bool is_done[COUNT];
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    steps_hold(f->n.env, LANE_LOG, true);
    for (size_t i = 0; i < COUNT; i++) { /* one in flight, two in the open group */
        runs[i] = tide_run_new();
        assert_int_equal(tide_run_signal(runs[i], &view, NULL), 0);
        assert_int_equal(add_count(runs[i]), 1);
        steps_node_submit(&f->n, runs[i], &is_done[i]);
        steps_run(f->n.env);
    }
    struct steps_fault fault = {.nth = 2, .code = E_IO, .writes_only = true}; /* the sync */
    steps_fail(f->n.env, &fault);
    steps_hold(f->n.env, LANE_LOG, false);
    steps_run(f->n.env);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(is_done[i]);
        const struct tide_result *r = tide_run_result(runs[i], 0);
        assert_int_equal(r->code, TIDE_UNKNOWN);
        assert_int_equal(r->as.position.seqno, 13 + i); /* epoch start, ten types, the first */
        assert_non_null(r->message);
        tide_run_free(runs[i]);
    }
    assert_int_equal(f->n.db->condition, DB_POISONED);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_POISONED);
    assert_int_equal(steps_node_count(&f->n, "a"), 1); /* reads go on */
    steps_node_close(&f->n);
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open(&f->n, &f->options, &e), OK);
    uint64_t count = steps_node_count(&f->n, "a");
    assert_in_range(count, 1, 2); /* the one in flight may be there or not */
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
}

/* Stalled for room, waiting for a sync, for a digest, for followers: closing answers all. */
static void closing_answers_everybody(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 8 };
    tide_run *runs[COUNT];
    bool is_done[COUNT];
    steps_hold(f->n.env, LANE_LOG, true);
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    for (size_t i = 0; i < COUNT; i++) {
        runs[i] = tide_run_new();
        switch (i) {
        case 0:
        case 1:
            assert_int_equal(tide_run_signal(runs[i], &view, NULL), 0);
            assert_int_equal(add_count(runs[i]), 1);
            break;
        case 2: assert_int_equal(tide_run_digest(runs[i], 0), 0); break;
        case 3: assert_int_equal(tide_run_checkpoint(runs[i]), 0); break;
        case 4: assert_int_equal(tide_run_log_seal(runs[i]), 0); break;
        case 5: assert_int_equal(tide_run_wait(runs[i], 0, 1, 0), 0); break;
        default:
            for (size_t k = 0; k < 40000; k++)
                assert_true(tide_run_signal(runs[i], &view, NULL) >= 0);
        }
        steps_node_submit(&f->n, runs[i], &is_done[i]);
        steps_run(f->n.env);
    }
    steps_hold(f->n.env, LANE_LOG, false);
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    steps_node_close(&f->n);
    uint64_t acknowledged = 0;
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(is_done[i]);
        for (size_t k = 0; k < tide_run_count(runs[i]); k++) {
            enum tide_code code = tide_run_result(runs[i], k)->code;
            assert_true(code == TIDE_OK || code == TIDE_CLOSED || code == TIDE_UNKNOWN);
            acknowledged += code == TIDE_OK && runs[i]->ops[k].kind == OP_SIGNAL;
        }
        tide_run_free(runs[i]);
    }
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open(&f->n, &f->options, &e), OK);
    assert_int_equal(steps_node_count(&f->n, "a"), acknowledged);
}

/* A callback may hand over the next run at once. */
struct chain {
    struct node *n;
    uint32_t left;
};

static void submit_again(tide_run *run, void *arg)
{
    struct chain *chain = arg;
    assert_int_equal(tide_run_result(run, 0)->code, TIDE_OK);
    if (chain->left-- == 0) return;
    tide_run_reset(run);
    assert_int_equal(tide_run_signal(run, &view, NULL), 0);
    run->is_submitted = true;
    db_submit(chain->n->db, run);
}

static void a_callback_may_submit_again(void **state)
{
    struct fixture *f = *state;
    enum { CHAINS = 4, LENGTH = 100 };
    struct chain chains[CHAINS];
    tide_run *runs[CHAINS];
    for (size_t i = 0; i < CHAINS; i++) {
        chains[i] = (struct chain){.n = &f->n, .left = LENGTH - 1};
        runs[i] = tide_run_new();
        assert_int_equal(tide_run_signal(runs[i], &view, NULL), 0);
        runs[i]->callback = submit_again;
        runs[i]->callback_arg = &chains[i];
        runs[i]->is_submitted = true;
        db_submit(f->n.db, runs[i]);
    }
    steps_run(f->n.env);
    assert_int_equal(steps_node_count(&f->n, "a"), CHAINS * LENGTH);
    for (size_t i = 0; i < CHAINS; i++)
        tide_run_free(runs[i]);
    assert_true(queue_is_empty(f->n.db->queue));
}

/* A run whose group must wait for a seal that is in flight goes on when the seal is done. */
static void writes_that_arrive_during_a_seal_go_on_after_it(void **state)
{
    struct fixture *f = *state;
    bool is_sealed;
    bool is_done;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    tide_run *seal = tide_run_new();
    steps_hold(f->n.env, LANE_LOG, true);
    assert_int_equal(tide_run_log_seal(seal), 0);
    assert_int_equal(tide_run_log_seal(seal), 1);
    steps_node_submit(&f->n, seal, &is_sealed);
    steps_run(f->n.env);
    for (size_t k = 0; k < 50000; k++)
        assert_true(tide_run_signal(f->run, &view, NULL) >= 0);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    steps_hold(f->n.env, LANE_LOG, false);
    steps_run(f->n.env);
    assert_true(is_sealed);
    assert_true(is_done);
    assert_int_equal(tide_run_result(seal, 0)->code, TIDE_OK);
    assert_int_equal(tide_run_result(seal, 0)->as.position.seqno, 12);
    assert_int_equal(tide_run_result(seal, 1)->code, TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "a"), 50001);
    tide_run_free(seal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_see_the_writes_before_them_in_the_run_and_not_those_after),
        TEST(nobody_sees_what_is_not_durable),
        TEST(an_empty_run_is_answered),
        TEST(wait_without_followers_answers_at_its_timeout),
        TEST(writes_after_an_answer_of_its_own_are_flushed),
        TEST(a_huge_timeout_is_no_timeout),
        TEST(a_write_that_fails_poisons_the_node_and_tells_its_writers),
        TEST(closing_answers_everybody),
        TEST(a_callback_may_submit_again),
        TEST(writes_that_arrive_during_a_seal_go_on_after_it),
    };
    return cmocka_run_group_tests_name("engine/queue", tests, NULL, NULL);
}
