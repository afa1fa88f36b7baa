/* Tests of engine/roller on a node that is run in steps: time seals what a client wrote, and only
 * that; sealing cuts the file; nothing is written by an idle node. What followers see of it is
 * tested in test_replication.c. */
#include "engine/roller.h"

#include "engine/log_internal.h"
#include "support/node.h"
#include "support/steps_env.h"
#include "support/tm_test.h"

struct fixture {
    char *dir;
    struct tide_options options;
    struct node n;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("roller");
    f->options = node_options(f->dir);
    f->options.seal_interval_ms = 2000;
    struct err e = {.code = OK};
    if (steps_node_open(&f->n, &f->options, &e) != OK) fail_msg("open: %s", e.text);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

static void advance_ms(struct fixture *f, uint64_t ms)
{
    steps_advance(f->n.env, ms * NS_PER_MS);
    steps_run(f->n.env);
}

static void time_seals_what_a_client_wrote_and_cuts_the_file(void **state)
{
    struct fixture *f = *state;
    const struct log *log = f->n.db->log;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    advance_ms(f, 1990);
    assert_true(log->has_active);
    advance_ms(f, 15);
    assert_false(log->has_active);
    assert_int_equal(log_sealed(log).v, log_durable(log).seqno.v);
    const struct log_segment *segment = &log->segments[log->segment_count - 1];
    struct file_names names;
    segments_list(f->dir, &names);
    size_t size = 0;
    free(file_read(f->dir, names.names[names.count - 1], &size));
    size_t pieces = (size_t)((segment->data_end + CHUNK_SIZE - 1) / CHUNK_SIZE);
    assert_int_equal(size, segment->data_end +
                               segment_footer_size(segment->seek_count, (uint32_t)pieces));
}

static void an_idle_node_seals_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    advance_ms(f, 3000);
    const struct log *log = f->n.db->log;
    uint32_t segments = log->segment_count;
    seqno durable = log_durable(log).seqno;
    struct steps_fault none = {0};
    steps_fail(f->n.env, &none); /* counting begins again */
    for (uint32_t i = 0; i < 100; i++)
        advance_ms(f, 500);
    assert_int_equal(steps_calls(f->n.env), 0);
    assert_int_equal(log->segment_count, segments);
    assert_int_equal(log_durable(log).seqno.v, durable.v);
    assert_int_equal(steps_node_signal(&f->n, "b"), TIDE_OK); /* a new segment, a new wait */
    assert_true(log->has_active);
    advance_ms(f, 2010);
    assert_false(log->has_active);
}

/* Writes that come while the seal waits for its sync are not lost and open the next segment. */
static void writes_during_a_seal_go_on_behind_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    steps_hold(f->n.env, LANE_LOG, true);
    steps_advance(f->n.env, 2010 * NS_PER_MS);
    assert_false(roller_is_quiet(f->n.db->roller));
    tide_run *run = tide_run_new();
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("b")};
    (void)tide_run_signal(run, &signal, NULL);
    bool is_done = false;
    steps_node_submit(&f->n, run, &is_done);
    steps_hold(f->n.env, LANE_LOG, false);
    steps_run(f->n.env);
    assert_true(is_done);
    assert_int_equal(tide_run_result(run, 0)->code, TIDE_OK);
    tide_run_free(run);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
    assert_int_equal(steps_node_count(&f->n, "b"), 1);
    const struct log *log = f->n.db->log;
    assert_true(log->has_active);
    assert_int_equal(log_sealed(log).v + 1, log_durable(log).seqno.v);
}

/* A seal whose sync fails ends writing like any failed sync, and says so. */
static void a_seal_that_fails_poisons_the_node(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    struct steps_fault fault = {.nth = 1, .code = E_IO, .is_for_ever = true, .writes_only = true};
    steps_fail(f->n.env, &fault);
    advance_ms(f, 2010);
    assert_int_equal(f->n.db->condition, DB_POISONED);
    assert_non_null(strstr(f->n.db->reason.text, "sealing a segment failed"));
    assert_int_equal(steps_node_signal(&f->n, "b"), TIDE_POISONED);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
    struct steps_fault none = {0};
    steps_fail(f->n.env, &none);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(time_seals_what_a_client_wrote_and_cuts_the_file),
        TEST(an_idle_node_seals_and_writes_nothing),
        TEST(writes_during_a_seal_go_on_behind_it),
        TEST(a_seal_that_fails_poisons_the_node),
    };
    return cmocka_run_group_tests_name("engine/roller", tests, NULL, NULL);
}
