/* Tests of engine/retention and engine/log_prune on a node that is run in steps: the log stays
 * short under a long load, everything is there after any file call that fails or is a life's last
 * one, and what is needed by somebody stays. */
#include "engine/retention.h"

#include "engine/log_internal.h"
#include "support/node.h"
#include "support/steps_env.h"
#include "support/tm_test.h"

struct fixture {
    char *dir;
    struct tide_options options;
    struct node n;
    uint64_t written; /* signals acknowledged */
};

static void open_node(struct fixture *f)
{
    struct err e = {.code = OK};
    if (steps_node_open(&f->n, &f->options, &e) != OK) fail_msg("open: %s", e.text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("retention");
    f->options = node_options(f->dir);
    f->options.segment_size = 64 * KIB;
    f->options.retain_segments = 2;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->n.db) steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

/* One run of `count` signals of item "a"; how many were acknowledged. */
static void write_signals(struct fixture *f, uint32_t count)
{
    tide_run *run = tide_run_new();
    for (uint32_t i = 0; i < count; i++) {
        struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("a")};
        (void)tide_run_signal(run, &signal, NULL);
    }
    steps_node_execute(&f->n, run);
    for (uint32_t i = 0; i < count; i++) {
        if (tide_run_result(run, i)->code == TIDE_OK) f->written++;
    }
    tide_run_free(run);
}

static void checkpoint(struct fixture *f)
{
    tide_run *run = tide_run_new();
    (void)tide_run_checkpoint(run);
    steps_node_execute(&f->n, run);
    tide_run_free(run);
    steps_run(f->n.env);
}

/* Some segments and a checkpoint behind them. */
static void work(struct fixture *f, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        for (uint32_t k = 0; k < 8; k++)
            write_signals(f, 800);
        checkpoint(f);
    }
}

static void log_stays_short_under_a_long_load(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    work(f, 1);
    assert_int_equal(log_oldest(f->n.db->log).v, 1); /* there are no two manifests yet */
    uint64_t total = 0;
    for (uint32_t i = 0; i < 24; i++) {
        work(f, 1);
        struct log_figures figures;
        log_figures(f->n.db->log, &figures);
        total = log_durable_bytes(f->n.db->log);
        assert_true(figures.segments <= 9);
        struct file_names names;
        files_list(f->dir, "log", ".seg", &names);
        assert_true(names.count <= 12);
    }
    assert_true(total > 20 * 64 * KIB);
    assert_true(log_oldest(f->n.db->log).v > 1000);
    assert_int_equal(steps_node_count(&f->n, "a"), f->written);
}

static void a_pruned_log_opens_with_its_state_and_its_positions(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    work(f, 6);
    seqno oldest = log_oldest(f->n.db->log);
    struct position durable = log_durable(f->n.db->log);
    uint64_t bytes = log_durable_bytes(f->n.db->log);
    assert_true(oldest.v > 1);
    steps_node_abandon(&f->n);
    open_node(f);
    assert_int_equal(log_oldest(f->n.db->log).v, oldest.v);
    assert_true(log_durable(f->n.db->log).seqno.v > durable.seqno.v); /* a new epoch */
    assert_true(log_durable_bytes(f->n.db->log) > bytes);             /* counted from record 1 */
    assert_true(log_durable_bytes(f->n.db->log) < bytes + 4096);
    assert_int_equal(steps_node_count(&f->n, "a"), f->written);
    work(f, 4);
    assert_true(log_oldest(f->n.db->log).v > oldest.v);
    assert_int_equal(steps_node_count(&f->n, "a"), f->written);
}

/* A leader started without followers keeps what its catalogue of slots may still speak of. */
static void a_catalogue_of_slots_that_is_not_used_holds_everything(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    steps_node_close(&f->n);
    file_write(f->dir, "slots", "x", 1);
    open_node(f);
    work(f, 5);
    assert_int_equal(log_oldest(f->n.db->log).v, 1);
    struct retain_plan plan = retention_plan(f->n.db->retention);
    assert_int_equal(plan.floor.v, 1);
    assert_int_equal(plan.holder, RETAIN_BY_SLOTS);
}

static void answered(struct log_read *read, enum code code, const struct err *e)
{
    (void)e;
    assert_int_equal(code, OK);
    assert_int_equal(read->end.seqno.v > 0, 1);
    read->size_max = 0; /* seen */
}

/* A read that began before goes on: its file is removed after it, not under it. */
static void a_file_that_is_being_read_outlives_its_segment(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    while (log_segment_count(f->n.db->log) < 3)
        write_signals(f, 800);
    struct file_names before;
    segments_list(f->dir, &before);
    struct log_read read = {.size_max = 1, .done = answered};
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    log_read_start(f->n.db->log, &read);
    assert_int_equal(log_oldest_read(f->n.db->log).v, 1);
    assert_true(log_prune(f->n.db->log, 1)); /* whatever retention thinks of it */
    log_release_pruned(f->n.db->log);
    log_dispose(f->n.db->log);
    assert_true(log_has_dead_files(f->n.db->log));
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    steps_run(f->n.env);
    assert_int_equal(read.size_max, 0);
    assert_true(file_exists(f->dir, before.names[0]));
    log_dispose(f->n.db->log);
    steps_run(f->n.env);
    assert_false(file_exists(f->dir, before.names[0]));
    assert_false(log_has_dead_files(f->n.db->log));
    steps_node_abandon(&f->n); /* identity knows nothing of this */
    f->n.db = NULL;
}

/* What is pruned while files are being removed waits for an identity of its own: a crash before
 * that is on disk would find the old one counting on files that are gone. */
static void files_stay_until_identity_no_longer_counts_on_them(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    while (log_segment_count(f->n.db->log) < 4)
        write_signals(f, 800);
    struct file_names before;
    segments_list(f->dir, &before);
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    assert_true(log_prune(f->n.db->log, 1));
    log_release_pruned(f->n.db->log);
    log_dispose(f->n.db->log);
    assert_true(log_prune(f->n.db->log, 1)); /* its identity is on its way */
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    steps_run(f->n.env);
    log_dispose(f->n.db->log);
    steps_run(f->n.env);
    assert_false(file_exists(f->dir, before.names[0]));
    assert_true(file_exists(f->dir, before.names[1]));
    assert_true(log_has_dead_files(f->n.db->log));
    log_release_pruned(f->n.db->log);
    log_dispose(f->n.db->log);
    steps_run(f->n.env);
    assert_false(file_exists(f->dir, before.names[1]));
    steps_node_abandon(&f->n); /* identity knows nothing of this */
    f->n.db = NULL;
}

/* Removing a file may take a disk long; a commit does not wait for it. The background lane stands
 * still here, as it does while a removal runs. */
static void writes_are_answered_while_files_wait_to_be_removed(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    while (log_segment_count(f->n.db->log) < 4)
        write_signals(f, 800);
    struct file_names before;
    segments_list(f->dir, &before);
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    assert_true(log_prune(f->n.db->log, 2));
    log_release_pruned(f->n.db->log);
    log_dispose(f->n.db->log);
    assert_true(steps_jobs_waiting(f->n.env, LANE_BACKGROUND) > 0);
    uint64_t written = f->written;
    for (uint32_t i = 0; i < 20; i++) {
        write_signals(f, 800); /* some segments are begun and sealed meanwhile, too */
        written += 800;
        assert_int_equal(f->written, written);
    }
    assert_true(file_exists(f->dir, before.names[0]));
    assert_true(file_exists(f->dir, before.names[1]));
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    steps_run(f->n.env);
    assert_false(file_exists(f->dir, before.names[0]));
    assert_false(file_exists(f->dir, before.names[1]));
    steps_node_abandon(&f->n); /* identity knows nothing of this */
    f->n.db = NULL;
}

/* Leftovers of a removal that was cut short are below identity's log base: the next open removes
 * them, whatever they hold. */
static void leftovers_of_a_prune_are_removed_by_the_next_open(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    work(f, 1);
    struct file_names before;
    segments_list(f->dir, &before);
    assert_int_equal(log_oldest(f->n.db->log).v, 1);
    size_t size;
    uint8_t *bytes = file_read(f->dir, before.names[0], &size);
    work(f, 5);
    assert_false(file_exists(f->dir, before.names[0]));
    steps_node_close(&f->n);
    file_write(f->dir, before.names[0], bytes, size);
    free(bytes);
    open_node(f);
    assert_false(file_exists(f->dir, before.names[0]));
    assert_int_equal(f->n.db->report.discarded_bytes, 0);
    assert_int_equal(steps_node_count(&f->n, "a"), f->written);
}

/* Without a checkpoint a pruned log is not the whole story: never counted from nothing. */
static void a_pruned_log_without_a_checkpoint_is_refused(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    work(f, 6);
    steps_node_close(&f->n);
    struct file_names names;
    files_list(f->dir, "state", ".manifest", &names);
    assert_int_equal(names.count, 2);
    for (size_t i = 0; i < names.count; i++)
        file_flip(f->dir, names.names[i], 100, 1);
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open(&f->n, &f->options, &e), E_CORRUPT);
    assert_null(f->n.db);
    assert_non_null(strstr(e.text, "the log begins at record"));
    assert_non_null(strstr(e.text, "restore state/"));
    file_flip(f->dir, names.names[0], 100, 1); /* the older one alone is enough */
    open_node(f);
    assert_int_equal(steps_node_count(&f->n, "a"), f->written);
}

/* Every file call of pruning is a life's last one, or fails once: what was acknowledged is there
 * afterwards, and pruning goes on. */
static void any_call_may_fail_or_be_the_last(void **state)
{
    struct fixture *f = *state;
    uint32_t tried = 0;
    for (uint64_t nth = 1;; nth += 1 + nth / 40) {
        for (uint32_t is_for_ever = 0; is_for_ever < 2; is_for_ever++) {
            char *dir = tm_dir_make_fast("retention-nth");
            f->options.dir = dir;
            f->written = 0;
            open_node(f);
            work(f, 2);
            struct steps_fault fault = {
                .nth = nth, .code = E_IO, .is_for_ever = is_for_ever, .tears = true};
            steps_fail(f->n.env, &fault);
            work(f, 1);
            bool has_failed = steps_has_failed(f->n.env);
            uint64_t written = f->written;
            steps_node_abandon(&f->n);
            open_node(f);
            uint64_t count = steps_node_count(&f->n, "a");
            if (count < written)
                fail_msg("call %u: %u of %u", (unsigned)nth, (unsigned)count, (unsigned)written);
            f->written = count;
            work(f, 4);
            assert_true(log_oldest(f->n.db->log).v > 1);
            assert_int_equal(steps_node_count(&f->n, "a"), f->written);
            steps_node_close(&f->n);
            f->n.db = NULL;
            tm_dir_remove(dir);
            tried++;
            if (has_failed) continue;
            assert_true(tried > 20);
            f->options.dir = f->dir;
            return;
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(log_stays_short_under_a_long_load),
        TEST(a_pruned_log_opens_with_its_state_and_its_positions),
        TEST(a_catalogue_of_slots_that_is_not_used_holds_everything),
        TEST(a_file_that_is_being_read_outlives_its_segment),
        TEST(files_stay_until_identity_no_longer_counts_on_them),
        TEST(writes_are_answered_while_files_wait_to_be_removed),
        TEST(leftovers_of_a_prune_are_removed_by_the_next_open),
        TEST(a_pruned_log_without_a_checkpoint_is_refused),
        TEST(any_call_may_fail_or_be_the_last),
    };
    return cmocka_run_group_tests_name("engine/retention", tests, NULL, NULL);
}
