/* Tests of engine/scans: long reads beside the loop. What they answer is core/query's matter; here
 * it is which state they see, in which order, and that each is answered once. */
#include "support/node.h"

#include "engine/read_items.h"
#include "engine/scans.h"

enum { ITEMS = 9000, PER_WRITE = 1000 }; /* with the built-in types more than the loop's bound */

struct fixture {
    struct node n;
    char *dir;
};

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make("scans");
    struct tide_options options = node_options(f->dir);
    struct err e;
    assert_int_equal(steps_node_open(&f->n, &options, &e), OK);
    static char keys[PER_WRITE][16];
    static struct tide_signal signals[PER_WRITE];
    tide_run *run = tide_run_new();
    for (int first = 0; first < ITEMS; first += PER_WRITE) {
        for (int i = 0; i < PER_WRITE; i++) {
            (void)snprintf(keys[i], sizeof(keys[i]), "item-%d", first + i);
            signals[i] = (struct tide_signal){.type = bytes_of("view"), .item = bytes_of(keys[i])};
        }
        tide_run_reset(run);
        assert_int_equal(tide_run_signals(run, signals, PER_WRITE, NULL), 0);
        steps_node_execute(&f->n, run);
        assert_int_equal(tide_run_result(run, 0)->code, TIDE_OK);
    }
    tide_run_free(run);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    if (f->n.db) steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

static const struct tide_retrieve top_ten = {.profile = {"top", 3}, .limit = 10};

/* Submit a read of the best ten; the caller frees the run. */
static tide_run *submit_top(struct fixture *f, bool *is_done)
{
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_retrieve(run, &top_ten), 0);
    steps_node_submit(&f->n, run, is_done);
    return run;
}

static const struct tide_items *items_of(const tide_run *run, size_t op)
{
    const struct tide_result *result = tide_run_result(run, op);
    if (result->code != TIDE_OK) fail_msg("%s", result->message);
    assert_int_equal(result->kind, TIDE_RESULT_ITEMS);
    return &result->as.items;
}

static bool is_first(const struct tide_items *items, const char *key)
{
    return items->count > 0 && slice_equal(slice_from(items->items[0].key), slice_of_text(key));
}

static struct scans_status status_of(const struct fixture *f)
{
    struct scans_status status;
    scans_status(f->n.db->scans, &status);
    return status;
}

/* While a long read is on its way, writes are made and answered; the read answers as of the
 * position at which it began. */
static void writes_go_on_beside_a_long_read(void **state)
{
    struct fixture *f = *state;
    steps_hold(f->n.env, LANE_READ, true);
    bool is_done = false;
    tide_run *run = submit_top(f, &is_done);
    steps_run(f->n.env);
    assert_false(is_done);
    assert_int_equal(status_of(f).in_flight, 1);
    uint64_t before = db_applied(f->n.db).seqno.v;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(steps_node_signal(&f->n, "item-77"), TIDE_OK);
    }
    assert_false(is_done);
    steps_hold(f->n.env, LANE_READ, false);
    steps_run(f->n.env);
    assert_true(is_done);
    assert_int_equal(items_of(run, 0)->position.seqno, before);
    assert_false(is_first(items_of(run, 0), "item-77"));
    assert_true(scans_is_quiet(f->n.db->scans));
    tide_run_reset(run);
    assert_int_equal(tide_run_retrieve(run, &top_ten), 0);
    steps_node_execute(&f->n, run);
    assert_true(is_first(items_of(run, 0), "item-77"));
    assert_int_equal(items_of(run, 0)->position.seqno, before + 3);
    tide_run_free(run);
}

/* A read that comes after a write of its run shows it. */
static void a_run_sees_its_own_writes(void **state)
{
    struct fixture *f = *state;
    tide_run *run = tide_run_new();
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("item-5")};
    assert_int_equal(tide_run_signal(run, &signal, NULL), 0);
    assert_int_equal(tide_run_retrieve(run, &top_ten), 1);
    assert_int_equal(tide_run_signal(run, &signal, NULL), 2);
    assert_int_equal(tide_run_retrieve(run, &top_ten), 3);
    steps_node_execute(&f->n, run);
    for (size_t i = 1; i < 4; i += 2) {
        assert_true(is_first(items_of(run, i), "item-5"));
        assert_same_double(items_of(run, i)->items[0].score, i == 1 ? 2.0 : 3.0);
        assert_int_equal(items_of(run, i)->position.seqno,
                         tide_run_result(run, i - 1)->as.position.seqno);
    }
    tide_run_free(run);
}

/* What waits together is answered from one frozen state, in the order of arrival. */
static void what_waits_together_shares_one_state(void **state)
{
    struct fixture *f = *state;
    enum { RUNS = 5 };
    tide_run *runs[RUNS];
    bool is_done[RUNS] = {false};
    uint64_t batches = status_of(f).batches;
    steps_hold(f->n.env, LANE_READ, true);
    runs[0] = submit_top(f, &is_done[0]);
    steps_run(f->n.env);
    for (size_t i = 1; i < RUNS; i++) {
        runs[i] = submit_top(f, &is_done[i]);
    }
    steps_run(f->n.env);
    assert_int_equal(status_of(f).waiting, RUNS - 1);
    assert_int_equal(steps_node_signal(&f->n, "item-8"), TIDE_OK);
    steps_hold(f->n.env, LANE_READ, false);
    for (size_t i = 0; i < RUNS; i++) {
        while (!is_done[i]) {
            assert_true(steps_run_one(f->n.env));
        }
        for (size_t k = i + 1; k < RUNS; k++) {
            assert_false(is_done[k]);
        }
        assert_int_equal(is_first(items_of(runs[i], 0), "item-8"), i > 0);
    }
    assert_int_equal(status_of(f).batches, batches + 2);
    for (size_t i = 0; i < RUNS; i++) {
        tide_run_free(runs[i]);
    }
}

/* A read that waited is of the moment of the state that answers it: what came meanwhile is worth
 * its weight, not what it would have been worth at a moment before it. */
static void a_read_that_waited_is_of_the_moment_that_answers(void **state)
{
    struct fixture *f = *state;
    steps_hold(f->n.env, LANE_READ, true);
    bool is_done[2] = {false};
    tide_run *first = submit_top(f, &is_done[0]);
    steps_run(f->n.env);
    static struct tide_bytes excludes[PAGE_AT_ONCE_MAX + 1]; /* too many to be answered at once */
    for (size_t i = 0; i < COUNT_OF(excludes); i++) {
        excludes[i] = bytes_of("item-7");
    }
    const struct tide_retrieve request = {.profile = bytes_of("decayed:view"),
                                          .limit = 10,
                                          .excludes = excludes,
                                          .exclude_count = COUNT_OF(excludes)};
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_retrieve(run, &request), 0);
    steps_node_submit(&f->n, run, &is_done[1]);
    steps_run(f->n.env);
    assert_int_equal(status_of(f).waiting, 1);
    steps_advance(f->n.env, UINT64_C(3600) * NS_PER_S);
    assert_int_equal(steps_node_signal(&f->n, "fresh"), TIDE_OK);
    steps_hold(f->n.env, LANE_READ, false);
    steps_run(f->n.env);
    assert_true(is_done[0] && is_done[1]);
    assert_true(is_first(items_of(run, 0), "fresh"));
    assert_same_double(items_of(run, 0)->items[0].score, 1.0);
    tide_run_free(first);
    tide_run_free(run);
}

/* A key that is excluded stays out also when its item came while the read waited. */
static void excluded_keys_are_those_of_the_position_that_answers(void **state)
{
    struct fixture *f = *state;
    steps_hold(f->n.env, LANE_READ, true);
    bool is_done[2] = {false};
    tide_run *first = submit_top(f, &is_done[0]);
    steps_run(f->n.env);
    struct tide_bytes fresh = bytes_of("fresh");
    struct tide_retrieve request = top_ten;
    request.excludes = &fresh;
    request.exclude_count = 1;
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_retrieve(run, &request), 0);
    steps_node_submit(&f->n, run, &is_done[1]);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(steps_node_signal(&f->n, "fresh"), TIDE_OK);
        assert_int_equal(steps_node_signal(&f->n, "item-4"), TIDE_OK);
    }
    steps_hold(f->n.env, LANE_READ, false);
    steps_run(f->n.env);
    assert_true(is_done[1]);
    assert_true(is_first(items_of(run, 0), "item-4"));
    tide_run_free(first);
    tide_run_free(run);
}

static void beyond_the_bound_the_answer_is_busy(void **state)
{
    struct fixture *f = *state;
    enum { RUNS = 1 + (int)SCANS_WAITING_MAX };
    static tide_run *runs[RUNS];
    static bool is_done[RUNS];
    steps_hold(f->n.env, LANE_READ, true);
    for (size_t i = 0; i < RUNS; i++) {
        runs[i] = submit_top(f, &is_done[i]);
        if (i == 0) steps_run(f->n.env);
    }
    bool is_refused = false;
    tide_run *one_more = submit_top(f, &is_refused);
    assert_true(is_refused);
    assert_int_equal(tide_run_result(one_more, 0)->code, TIDE_BUSY);
    tide_run_free(one_more);
    steps_hold(f->n.env, LANE_READ, false);
    steps_run(f->n.env);
    for (size_t i = 0; i < RUNS; i++) {
        assert_true(is_done[i]);
        assert_int_equal(items_of(runs[i], 0)->count, 10);
        tide_run_free(runs[i]);
    }
}

/* Where there is no memory to freeze, the loop answers. */
static void without_memory_to_freeze_the_loop_answers(void **state)
{
    struct fixture *f = *state;
    bool is_done = false;
    tide_run *run = submit_top(f, &is_done);
    atomic_store(&f->n.alloc->fail_countdown, 1);
    steps_run(f->n.env);
    atomic_store(&f->n.alloc->fail_countdown, -1);
    assert_true(is_done);
    assert_int_equal(items_of(run, 0)->count, 10);
    assert_true(scans_is_quiet(f->n.db->scans));
    tide_run_free(run);
}

/* All items tie in the decayed order, so that its zones skip none; 9,000 are few all the same. */
static void a_decayed_order_over_few_items_is_answered_at_once(void **state)
{
    struct fixture *f = *state;
    tide_run *run = tide_run_new();
    struct tide_retrieve request = {.profile = bytes_of("decayed:view"), .limit = 3};
    uint64_t total = status_of(f).total;
    assert_int_equal(tide_run_retrieve(run, &request), 0);
    steps_node_execute(&f->n, run);
    assert_int_equal(items_of(run, 0)->count, 3);
    assert_int_equal(status_of(f).total, total);
    tide_run_free(run);
}

static void closing_answers_what_waits(void **state)
{
    struct fixture *f = *state;
    steps_hold(f->n.env, LANE_READ, true);
    bool is_done[2] = {false};
    tide_run *in_flight = submit_top(f, &is_done[0]);
    steps_run(f->n.env);
    tide_run *waiting = submit_top(f, &is_done[1]);
    scans_stop(f->n.db->scans);
    assert_true(is_done[1]);
    assert_int_equal(tide_run_result(waiting, 0)->code, TIDE_CLOSED);
    assert_false(is_done[0]);
    steps_hold(f->n.env, LANE_READ, false);
    steps_node_close(&f->n);
    f->n.db = NULL;
    assert_true(is_done[0]);
    assert_int_equal(items_of(in_flight, 0)->count, 10);
    tide_run_free(in_flight);
    tide_run_free(waiting);
}

/* A process that ends while a read is in flight leaves nothing behind. */
static void a_killed_process_forgets_its_reads(void **state)
{
    struct fixture *f = *state;
    steps_hold(f->n.env, LANE_READ, true);
    bool is_done[2] = {false};
    tide_run *in_flight = submit_top(f, &is_done[0]);
    steps_run(f->n.env);
    tide_run *waiting = submit_top(f, &is_done[1]);
    steps_node_abandon(&f->n);
    f->n.db = NULL;
    assert_false(is_done[0] || is_done[1]);
    in_flight->is_submitted = false;
    waiting->is_submitted = false;
    tide_run_free(in_flight);
    tide_run_free(waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_go_on_beside_a_long_read, begin, end),
        cmocka_unit_test_setup_teardown(a_run_sees_its_own_writes, begin, end),
        cmocka_unit_test_setup_teardown(what_waits_together_shares_one_state, begin, end),
        cmocka_unit_test_setup_teardown(excluded_keys_are_those_of_the_position_that_answers, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_read_that_waited_is_of_the_moment_that_answers, begin,
                                        end),
        cmocka_unit_test_setup_teardown(beyond_the_bound_the_answer_is_busy, begin, end),
        cmocka_unit_test_setup_teardown(without_memory_to_freeze_the_loop_answers, begin, end),
        cmocka_unit_test_setup_teardown(a_decayed_order_over_few_items_is_answered_at_once, begin,
                                        end),
        cmocka_unit_test_setup_teardown(closing_answers_what_waits, begin, end),
        cmocka_unit_test_setup_teardown(a_killed_process_forgets_its_reads, begin, end),
    };
    return cmocka_run_group_tests_name("engine/scans", tests, NULL, NULL);
}
