/* reopen: the data of a running node is opened anew: nothing acknowledged is lost, nobody who waits
 * is forgotten, and a directory that does not open leaves a node that says why. */
#include "engine/reopen.h"

#include "support/fixture.h"
#include "support/thread_nodes.h"

static int begin(void **state)
{
    struct fixture *f = fixture_new("reopen");
    open_node(f);
    *state = f;
    return 0;
}

/* Run until the data is open again. */
static void settle(struct fixture *f)
{
    for (size_t i = 0; i < 10000 && f->n.db->reopening; i++) {
        steps_run(f->n.env);
        steps_advance(f->n.env, NS_PER_MS);
    }
    assert_null(f->n.db->reopening);
    steps_run(f->n.env);
}

static struct position durable(const struct fixture *f)
{
    return log_durable(f->n.db->log);
}

static void add_signal(tide_run *run, const char *item)
{
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of(item)};
    assert_true(tide_run_signal(run, &signal, NULL) >= 0);
}

/* --- one node, in steps --- */

static void the_data_is_there_again_and_a_leader_leads_a_new_epoch(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    }
    uint64_t epoch = f->n.db->epoch.number;
    uint64_t incarnation = f->n.db->identity.incarnation;
    db_reopen(f->n.db, "a test");
    settle(f);
    assert_int_equal(steps_node_count(&f->n, "a"), 50);
    assert_int_equal(f->n.db->epoch.number, epoch + 1);
    assert_int_equal(f->n.db->identity.incarnation, incarnation); /* the process is the same */
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "a"), 51);
    steps_node_close(&f->n);
    open_node(f);
    assert_int_equal(steps_node_count(&f->n, "a"), 51);
}

static void a_write_in_flight_becomes_durable_first(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    steps_hold(f->n.env, LANE_LOG, true);
    add_signal(f->run, "a");
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    struct position before = durable(f);
    db_reopen(f->n.db, "a test");
    for (int i = 0; i < 100; i++) {
        steps_advance(f->n.env, NS_PER_MS);
    }
    assert_false(is_done);
    assert_non_null(f->n.db->reopening); /* it waits for the disk */
    assert_int_equal(durable(f).seqno.v, before.seqno.v);
    steps_hold(f->n.env, LANE_LOG, false);
    settle(f);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    assert_int_equal(tide_run_result(f->run, 0)->as.position.seqno, before.seqno.v + 1);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

static void a_write_that_fails_is_answered_unknown_and_the_log_takes_writes_again(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    struct steps_fault fault = {.nth = 1, .code = E_IO, .writes_only = true};
    steps_hold(f->n.env, LANE_LOG, true);
    add_signal(f->run, "a");
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    db_reopen(f->n.db, "a test");
    steps_fail(f->n.env, &fault);
    steps_hold(f->n.env, LANE_LOG, false);
    settle(f);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_UNKNOWN);
    assert_true(tide_run_result(f->run, 0)->as.position.seqno > 0);
    assert_int_equal(f->n.db->condition, DB_SERVING); /* what recovers a poisoned log */
    assert_int_equal(steps_node_signal(&f->n, "b"), TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "b"), 1);
}

static void what_arrives_meanwhile_waits_and_is_answered_in_order(void **state)
{
    struct fixture *f = *state;
    tide_run *second = tide_run_new();
    bool is_first_done;
    bool is_second_done;
    db_reopen(f->n.db, "a test");
    add_signal(f->run, "a");
    steps_node_submit(&f->n, f->run, &is_first_done);
    (void)tide_run_count_of(second, bytes_of("view"), bytes_of("a"), bytes_of("all"));
    add_signal(second, "b");
    steps_node_submit(&f->n, second, &is_second_done);
    assert_false(is_first_done);
    settle(f);
    assert_true(is_first_done);
    assert_true(is_second_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    assert_int_equal(tide_run_result(second, 1)->code, TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "b"), 1);
    tide_run_free(second);
}

static void who_waits_for_followers_or_a_position_is_told_to_try_again(void **state)
{
    struct fixture *f = *state;
    tide_run *position = tide_run_new();
    bool is_wait_done;
    bool is_position_done;
    (void)tide_run_wait(f->run, 0, 1, 0);
    steps_node_submit(&f->n, f->run, &is_wait_done);
    struct tide_position later = {.epoch = f->n.db->epoch.number, .seqno = 1000};
    (void)tide_run_wait_position(position, &later, 100000);
    steps_node_submit(&f->n, position, &is_position_done);
    steps_run(f->n.env);
    assert_false(is_wait_done);
    assert_false(is_position_done);
    db_reopen(f->n.db, "a test");
    settle(f);
    assert_true(is_wait_done);
    assert_true(is_position_done);
    assert_int_equal(tide_run_result(f->run, 0)->as.integer, 0);
    assert_int_equal(tide_run_result(position, 0)->code, TIDE_LOADING);
    tide_run_free(position);
}

/* A digest ends late, and the write behind it in the same run comes when writes were done. */
static void a_run_that_goes_on_behind_its_digest_is_answered_too(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    (void)tide_run_digest(f->run, 0);
    add_signal(f->run, "a");
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    db_reopen(f->n.db, "a test");
    for (int i = 0; i < 20; i++) {
        steps_run(f->n.env);
        steps_advance(f->n.env, NS_PER_MS);
    }
    assert_false(is_done);
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    settle(f);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

/* What a caller wants changed is changed when all is quiet, and its end is told. */
struct change_seen {
    bool was_quiet;
    bool is_done;
    enum code code;
};

static void become_follower(struct db *db, void *arg)
{
    struct change_seen *seen = arg;
    seen->was_quiet = log_durable(db->log).seqno.v == log_written(db->log).seqno.v;
    db->identity.history_id++;
}

static void note_end(struct db *db, void *arg, enum code code, const struct err *e)
{
    struct change_seen *seen = arg;
    (void)db;
    (void)e;
    seen->is_done = true;
    seen->code = code;
}

static void a_change_is_made_when_all_is_quiet_and_saved(void **state)
{
    struct fixture *f = *state;
    struct change_seen seen = {0};
    struct err e = {.code = OK};
    struct reopen_request request = {
        .why = "a test", .change = become_follower, .done = note_end, .arg = &seen};
    uint64_t history_id = f->n.db->identity.history_id;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_int_equal(db_reopen_with(f->n.db, &request, &e), OK);
    assert_int_equal(db_reopen_with(f->n.db, &request, &e), E_BUSY);
    settle(f);
    assert_true(seen.was_quiet);
    assert_true(seen.is_done);
    assert_int_equal(seen.code, OK);
    steps_node_abandon(&f->n);
    open_node(f);
    assert_int_equal(f->n.db->identity.history_id, history_id + 1);
}

static void a_directory_that_does_not_open_leaves_a_node_that_says_why(void **state)
{
    struct fixture *f = *state;
    struct file_names segments;
    bool is_done;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    }
    segments_list(f->dir, &segments);
    const char *name = segments.names[segments.count - 1];
    file_flip(f->dir, name, 300, 1); /* inside the first batch */
    db_reopen(f->n.db, "a test");
    settle(f);
    assert_int_equal(f->n.db->condition, DB_HALTED);
    (void)tide_run_count_of(f->run, bytes_of("view"), bytes_of("a"), bytes_of("all"));
    add_signal(f->run, "a");
    (void)tide_run_status(f->run);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_HALTED);
    assert_non_null(strstr(tide_run_result(f->run, 0)->message, "a test"));
    assert_non_null(strstr(tide_run_result(f->run, 0)->message, ".seg"));
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_HALTED);
    assert_int_equal(tide_run_result(f->run, 2)->code, TIDE_OK);
    file_flip(f->dir, name, 300, 1);
    db_reopen(f->n.db, "mended");
    settle(f);
    assert_int_equal(f->n.db->condition, DB_SERVING);
    assert_int_equal(steps_node_count(&f->n, "a"), 50);
}

static void is_closed(void *arg)
{
    *(bool *)arg = true;
}

static void a_stop_meanwhile_waits_for_the_end(void **state)
{
    struct fixture *f = *state;
    bool is_done = false;
    bool is_answered;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    db_reopen(f->n.db, "a test");
    add_signal(f->run, "a");
    steps_node_submit(&f->n, f->run, &is_answered);
    db_close(f->n.db, is_closed, &is_done);
    for (size_t i = 0; i < 10000 && !is_done; i++) {
        steps_run(f->n.env);
        steps_advance(f->n.env, NS_PER_MS);
    }
    assert_true(is_done);
    assert_true(is_answered);
    f->n.db = NULL;
    steps_node_abandon(&f->n);
    open_node(f);
    assert_int_equal(steps_node_count(&f->n, "a"), 2);
}

/* One acknowledged signal, then a reopening with this fault. False: no call failed. */
static bool reopen_with(struct fixture *f, const struct steps_fault *fault, bool is_last)
{
    open_node(f);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    steps_fail(f->n.env, fault);
    db_reopen(f->n.db, "a test");
    for (size_t i = 0; i < 100000 && f->n.db->reopening; i++) {
        if (is_last && steps_has_failed(f->n.env)) break;
        if (!steps_run_one(f->n.env)) steps_advance(f->n.env, NS_PER_MS);
    }
    bool has_failed = steps_has_failed(f->n.env);
    if (!is_last || !has_failed) assert_null(f->n.db->reopening);
    steps_fail(f->n.env, NULL);
    return has_failed;
}

/* Every file call fails in turn, or is the last one of the process: what was acknowledged is there
 * at the next open, and the node either serves or says why it does not. */
static void every_file_call_may_fail_or_be_the_last(void **state)
{
    struct fixture *f = *state;
    char *fresh = tm_dir_make_fast("reopen-fresh");
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    steps_node_close(&f->n);
    files_copy(f->dir, fresh);
    for (int kind = 0; kind < 3; kind++) {
        bool has_failed = true;
        for (uint64_t nth = 1; has_failed; nth++) {
            files_copy(fresh, f->dir);
            struct steps_fault fault = {
                .nth = nth, .code = E_IO, .is_for_ever = kind > 0, .tears = true};
            has_failed = reopen_with(f, &fault, kind == 2);
            if (f->n.db->condition != DB_SERVING) {
                assert_true(f->n.db->reason.text[0] != '\0');
            } else if (!f->n.db->reopening) {
                assert_int_equal(steps_node_count(&f->n, "a"), 2);
            }
            steps_node_abandon(&f->n);
            open_node(f);
            assert_int_equal(steps_node_count(&f->n, "a"), 2);
            steps_node_abandon(&f->n);
        }
    }
    tm_dir_remove(fresh);
}

/* --- a leader and its follower, with links, under load --- */

static void both_sides_of_a_link_may_open_anew_under_load(void **state)
{
    struct thread_pair *p = *state;
    thread_pair_open(p);
    for (int round = 0; round < 6; round++) {
        struct thread_load *load = thread_load_start(p->leader);
        rest_ms(20);
        thread_node_reopen(round % 2 ? p->leader : p->follower, NULL, NULL);
        rest_ms(20);
        uint64_t acknowledged = thread_load_stop(load);
        assert_true(acknowledged > 0);
        p->written += acknowledged;
        WAIT_UNTIL(thread_pair_is_level(p));
        assert_int_equal(node_count(p->leader, "view", "load"), p->written);
        assert_int_equal(node_count(p->follower, "view", "load"), p->written);
    }
    thread_pair_check_digests(p);
}

static void a_follower_over_a_transport_follows_on(void **state)
{
    struct thread_pair *p = *state;
    thread_pair_open_over_pair(p);
    (void)node_signal(p->leader, "view", "a");
    WAIT_UNTIL(thread_pair_is_level(p));
    thread_node_reopen(p->follower, NULL, NULL);
    (void)node_signal(p->leader, "view", "a");
    WAIT_UNTIL(thread_pair_is_level(p));
    thread_node_reopen(p->leader, NULL, NULL); /* its listener stays */
    (void)node_signal(p->leader, "view", "a");
    WAIT_UNTIL(thread_pair_is_level(p));
    assert_int_equal(node_count(p->follower, "view", "a"), 3);
}

int main(int argc, char **argv)
{
#define STEPS(name) cmocka_unit_test_setup_teardown(name, begin, fixture_end)
#define PAIR(name)  cmocka_unit_test_setup_teardown(name, thread_pair_setup, thread_pair_teardown)
    const struct CMUnitTest tests[] = {
        STEPS(the_data_is_there_again_and_a_leader_leads_a_new_epoch),
        STEPS(a_write_in_flight_becomes_durable_first),
        STEPS(a_write_that_fails_is_answered_unknown_and_the_log_takes_writes_again),
        STEPS(what_arrives_meanwhile_waits_and_is_answered_in_order),
        STEPS(who_waits_for_followers_or_a_position_is_told_to_try_again),
        STEPS(a_run_that_goes_on_behind_its_digest_is_answered_too),
        STEPS(a_change_is_made_when_all_is_quiet_and_saved),
        STEPS(a_directory_that_does_not_open_leaves_a_node_that_says_why),
        STEPS(a_stop_meanwhile_waits_for_the_end),
        STEPS(every_file_call_may_fail_or_be_the_last),
        PAIR(both_sides_of_a_link_may_open_anew_under_load),
        PAIR(a_follower_over_a_transport_follows_on),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("engine/reopen", tests, NULL, NULL);
}
