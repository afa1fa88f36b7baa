/* Tests of engine/plan: the table of questions, the shape of an answer, and plan prune against what
 * retention then does. */
#include "engine/plan.h"

#include "base/text.h"
#include "engine/log_open.h"
#include "engine/retention.h"
#include "support/node.h"
#include "support/tm_test.h"

struct fixture {
    char *dir;
    struct tide_options options;
    struct node n;
    tide_run *run;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err e = {.code = OK};
    f->dir = tm_dir_make_fast("plan");
    f->options = node_options(f->dir);
    f->options.segment_size = 64 * KIB;
    f->options.retain_segments = 2;
    f->run = tide_run_new();
    if (steps_node_open(&f->n, &f->options, &e) != OK) fail_msg("open: %s", e.text);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tide_run_free(f->run);
    steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

static const struct tide_result *ask(struct fixture *f, const char *what, const char *argument)
{
    tide_run_reset(f->run);
    (void)tide_run_plan(f->run, bytes_of(what), bytes_of(argument));
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static const char *fact(const struct tide_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->fact_count; i++) {
        if (strcmp(plan->facts[i].name, name) == 0) return plan->facts[i].value;
    }
    fail_msg("no fact %s", name);
    return "";
}

static uint64_t count_of(const struct tide_plan *plan, const char *name)
{
    uint64_t value = 0;
    assert_true(parse_u64(slice_of_text(fact(plan, name)), &value));
    return value;
}

static void an_unknown_question_is_refused_with_the_known_ones(void **state)
{
    struct fixture *f = *state;
    const struct tide_result *r = ask(f, "lunch", "");
    assert_int_equal(r->code, TIDE_INVALID);
    assert_non_null(strstr(r->message, "there is no plan 'lunch'; known are: prune"));
    r = ask(f, "prune", "x");
    assert_int_equal(r->code, TIDE_INVALID);
    assert_non_null(strstr(r->message, "plan prune takes nothing behind it"));
}

static void write_signals(struct fixture *f, uint32_t count)
{
    tide_run *run = tide_run_new();
    for (uint32_t i = 0; i < count; i++) {
        struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("a")};
        (void)tide_run_signal(run, &signal, NULL);
    }
    steps_node_execute(&f->n, run);
    tide_run_free(run);
}

static void a_prune_says_who_holds_the_log(void **state)
{
    struct fixture *f = *state;
    write_signals(f, 10);
    const struct tide_result *r = ask(f, "PRUNE", "");
    assert_int_equal(r->code, TIDE_OK);
    assert_int_equal(r->kind, TIDE_RESULT_PLAN);
    const struct tide_plan *plan = r->as.plan;
    assert_string_equal(plan->what, "prune");
    assert_string_equal(plan->path, "keep");
    assert_int_equal(plan->bytes, 0);
    assert_string_equal(fact(plan, "holder"), "checkpoint");
    assert_int_equal(count_of(plan, "floor"), 1);
    assert_int_equal(count_of(plan, "oldest_after"), 1);
    assert_non_null(strstr(plan->why, "the oldest checkpoint kept needs what follows it"));
}

/* What the plan says is what then happens: the retention timer has not fired yet when it is asked,
 * and the log afterwards begins where it said. */
static void what_it_says_is_what_happens(void **state)
{
    struct fixture *f = *state;
    retention_stop(f->n.db->retention); /* so that there is something left to go */
    for (uint32_t i = 0; i < 6; i++) {
        for (uint32_t k = 0; k < 8; k++)
            write_signals(f, 800);
        tide_run_reset(f->run);
        (void)tide_run_checkpoint(f->run);
        steps_node_execute(&f->n, f->run);
    }
    const struct tide_plan *plan = ask(f, "prune", "")->as.plan;
    assert_string_equal(plan->path, "prune");
    assert_true(count_of(plan, "segments_to_go") > 0);
    assert_true(plan->bytes > 64 * KIB);
    assert_true(plan->bytes < count_of(plan, "log_bytes"));
    uint64_t next = count_of(plan, "oldest_after");
    uint64_t segments = count_of(plan, "segments_to_go");
    struct log *log = f->n.db->log;
    uint64_t before = 0;
    (void)log_base(log, &before);
    uint64_t bytes = plan->bytes;
    assert_true(log_prune(log, (uint32_t)segments));
    assert_int_equal(log_oldest(log).v, next);
    uint64_t after = 0;
    (void)log_base(log, &after);
    assert_int_equal(after - before, bytes);
}

/* For a new node: all blocks of the newest checkpoint, from its mark on; without one it is cut
 * first.
 */
static void a_bootstrap_says_what_moves_and_from_where_the_log_is_held(void **state)
{
    struct fixture *f = *state;
    const struct tide_result *r = ask(f, "bootstrap", "");
    assert_int_equal(r->code, TIDE_OK);
    assert_string_equal(r->as.plan->path, "checkpoint");
    assert_true(r->as.plan->seconds < 0); /* nothing was ever copied here */
    write_signals(f, 100);
    tide_run_reset(f->run);
    (void)tide_run_checkpoint(f->run);
    steps_node_execute(&f->n, f->run);
    uint64_t mark = tide_run_result(f->run, 0)->as.position.seqno;
    steps_run(f->n.env);
    r = ask(f, "bootstrap", "");
    assert_string_equal(r->as.plan->path, "copy");
    assert_int_equal(count_of(r->as.plan, "mark"), mark);
    assert_int_equal(count_of(r->as.plan, "pinned_from"), mark + 1);
    assert_true(count_of(r->as.plan, "blocks") >= 5);
    assert_int_equal(r->as.plan->bytes, count_of(r->as.plan, "state_bytes"));
    assert_true(r->as.plan->bytes > 1000);
    assert_non_null(strstr(r->as.plan->why, "The log still begins at record 1"));
    r = ask(f, "bootstrap", "nobody");
    assert_int_equal(r->code, TIDE_NOTFOUND);
    assert_non_null(strstr(r->message, "no follower of that id"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_unknown_question_is_refused_with_the_known_ones, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_prune_says_who_holds_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_says_is_what_happens, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bootstrap_says_what_moves_and_from_where_the_log_is_held,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
