/* levels: which writes wait for which followers, what a miss is, what is told, and who is blamed.
 * Followers are slots that the test moves by hand; links and acks are e2e.levels. */
#include "engine/levels.h"

#include "engine/queue.h"
#include "engine/shipper_internal.h"
#include "support/fixture.h"

static const struct tide_signal view = {.type = {"view", 4}, .item = {"a", 1}};

static int setup(void **state)
{
    struct fixture *f = fixture_new("levels");
    f->options.replication_listen = TIDE_TRANSPORT;
    open_node(f);
    *state = f;
    return 0;
}

static struct shipper *shipper_of(struct fixture *f)
{
    return f->n.db->shipper;
}

/* A follower with that name joined and holds what is durable here now. */
static uint32_t join(struct fixture *f, const char *id)
{
    struct shipper *s = shipper_of(f);
    struct slot_join j = {.node_id = slice_of_text(id),
                          .data_address = slice_of_text("10.0.0.1:7400"),
                          .last = log_durable(f->n.db->log),
                          .incarnation = 1,
                          .now_ns = shipper_now(s)};
    uint32_t slot = slots_join(&s->table, &j);
    shipper_on_stored(s, slot);
    return slot;
}

/* Its ack arrived: it stores and applied everything that is durable here, less so many records. */
static void ack(struct fixture *f, uint32_t slot, uint64_t unstored, uint64_t unapplied)
{
    struct shipper *s = shipper_of(f);
    struct position stored = log_durable(f->n.db->log);
    struct slot_progress p = {.received = stored.seqno, .now_ns = shipper_now(s)};
    p.applied = seqno_of(stored.seqno.v - unapplied);
    stored.seqno.v -= unstored;
    p.stored = stored;
    slots_advance(&s->table, slot, &p);
    shipper_on_stored(s, slot);
    steps_run(f->n.env);
}

static struct tide_durability wish(const char *level, enum tide_on_miss on_miss, uint64_t ms)
{
    struct tide_durability d = {.on_miss_is_set = true, .on_miss = on_miss, .deadline_ms = ms};
    struct tide_err e;
    if (tide_level_parse(bytes_of(level), &d.level, &e) != TIDE_OK) fail_msg("%s", e.message);
    return d;
}

static int32_t add_signal(tide_run *run, const char *level, enum tide_on_miss on_miss, uint64_t ms)
{
    struct tide_write_options o = {.durability = wish(level, on_miss, ms)};
    return tide_run_signal(run, &view, &o);
}

static void submit(struct fixture *f, bool *out_is_done)
{
    steps_node_submit(&f->n, f->run, out_is_done);
    steps_run(f->n.env);
}

static void assert_level(const struct tide_result *r, const char *level)
{
    char text[TIDE_LEVEL_SIZE];
    assert_int_equal(r->code, TIDE_OK);
    (void)tide_level_format(&r->level, text);
    assert_string_equal(text, level);
}

static void assert_missed(const struct tide_result *r, const char *says)
{
    assert_int_equal(r->code, TIDE_DURABILITY);
    assert_int_equal(r->kind, TIDE_RESULT_POSITION);
    assert_true(r->as.position.seqno > 0);
    assert_true(r->as.position.epoch > 0);
    if (strstr(r->message, says) == NULL) fail_msg("%s", r->message);
}

static void a_local_write_waits_for_nobody(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    (void)join(f, "f1");
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 0);
    assert_int_equal(add_signal(f->run, "local", TIDE_MISS_REJECT, 1), 1);
    submit(f, &is_done);
    assert_true(is_done);
    assert_level(tide_run_result(f->run, 0), "local");
    assert_level(tide_run_result(f->run, 1), "local");
    assert_true(levels_is_empty(f->n.db->levels));
}

/* Durable here is not enough, an ack of a record before it neither: the one that stores it is. */
static void stored_waits_for_the_ack_that_completes_it(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t first = join(f, "f1");
    uint32_t second = join(f, "f2");
    assert_int_equal(add_signal(f->run, "stored:2", TIDE_MISS_WAIT, 1000), 0);
    submit(f, &is_done);
    assert_int_equal(steps_node_count(&f->n, "a"), 1); /* readers of this node see it */
    ack(f, first, 0, 0);
    assert_false(is_done);
    ack(f, second, 1, 1);
    assert_false(is_done);
    ack(f, second, 0, 1);
    assert_true(is_done);
    assert_level(tide_run_result(f->run, 0), "stored:2");
    assert_int_equal(shipper_of(f)->table.slots[first].last_acks, 0);
    assert_int_equal(shipper_of(f)->table.slots[second].last_acks, 1);
}

static void applied_waits_until_followers_show_it(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t slot = join(f, "f1");
    assert_int_equal(add_signal(f->run, "applied:1", TIDE_MISS_WAIT, 1000), 0);
    submit(f, &is_done);
    ack(f, slot, 0, 1);
    assert_false(is_done);
    ack(f, slot, 0, 0);
    assert_true(is_done);
    assert_level(tide_run_result(f->run, 0), "applied:1");
}

static void a_miss_at_the_deadline_names_the_position_and_who_has_it(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t slot = join(f, "f1");
    assert_int_equal(add_signal(f->run, "stored:2", TIDE_MISS_WAIT, 100), 0);
    submit(f, &is_done);
    ack(f, slot, 0, 0);
    steps_advance(f->n.env, 99 * NS_PER_MS);
    assert_false(is_done);
    steps_advance(f->n.env, 1 * NS_PER_MS);
    assert_true(is_done);
    assert_missed(tide_run_result(f->run, 0),
                  "did not reach stored:2 within 100 ms: 1 of 2 followers stored it; it may still");
    assert_int_equal(levels_figures(f->n.db->levels)->kinds[LEVEL_STORED].misses[TIDE_MISS_WAIT],
                     1);
    assert_int_equal(levels_figures(f->n.db->levels)->kinds[LEVEL_STORED].wait_count, 1);
}

static void degrade_is_a_success_that_says_what_was_reached(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t slot = join(f, "f1");
    assert_int_equal(add_signal(f->run, "stored:2", TIDE_MISS_DEGRADE, 100), 0);
    assert_int_equal(add_signal(f->run, "applied:1", TIDE_MISS_DEGRADE, TIDE_DEADLINE_NOW), 1);
    submit(f, &is_done);
    ack(f, slot, 1, 2);
    steps_advance(f->n.env, 100 * NS_PER_MS);
    assert_true(is_done);
    assert_level(tide_run_result(f->run, 0), "stored:1");
    assert_level(tide_run_result(f->run, 1), "local");
    assert_int_equal(levels_figures(f->n.db->levels)->kinds[LEVEL_STORED].misses[TIDE_MISS_DEGRADE],
                     1);
}

/* reject looks before it writes: nothing is appended that nobody can be expected to store. */
static void reject_answers_at_once_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint64_t before = log_durable(f->n.db->log).seqno.v;
    (void)join(f, "f1"); /* a slot without a link: not connected */
    assert_int_equal(add_signal(f->run, "stored:1", TIDE_MISS_REJECT, 1000), 0);
    submit(f, &is_done);
    assert_true(is_done);
    const struct tide_result *r = tide_run_result(f->run, 0);
    assert_int_equal(r->code, TIDE_DURABILITY);
    assert_int_equal(r->kind, TIDE_RESULT_NONE);
    assert_string_equal(r->message, "nothing was written: level stored:1 needs 1 followers and 0 "
                                    "are connected and within their credit");
    assert_int_equal(log_durable(f->n.db->log).seqno.v, before);
}

static void what_can_never_be_reached_is_refused_whatever_the_policy(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct tide_write_options unknown = {.durability = {.level = {.kind = 9}}};
    struct tide_write_options zero = {.durability = {.level = {.kind = TIDE_LEVEL_STORED}}};
    assert_int_equal(add_signal(f->run, "majority", TIDE_MISS_WAIT, 1000), 0);
    assert_int_equal(add_signal(f->run, "regions:7", TIDE_MISS_DEGRADE, 1000), 1);
    assert_int_equal(tide_run_signal(f->run, &view, &unknown), 2);
    assert_int_equal(tide_run_signal(f->run, &view, &zero), 3);
    submit(f, &is_done);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_DURABILITY);
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_DURABILITY);
    assert_int_equal(tide_run_result(f->run, 2)->code, TIDE_INVALID);
    assert_int_equal(tide_run_result(f->run, 3)->code, TIDE_LIMIT);
    assert_int_equal(steps_node_count(&f->n, "a"), 0);
}

/* A slot that is gone or lost counts no more: who waits is judged again. The other way round, too:
 * a level that a lost copy completed falls back. */
static void a_poisoned_follower_stops_counting_while_writers_wait(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t first = join(f, "f1");
    uint32_t second = join(f, "f2");
    assert_int_equal(add_signal(f->run, "stored:2", TIDE_MISS_WAIT, 100), 0);
    submit(f, &is_done);
    ack(f, first, 0, 0);
    shipper_of(f)->table.slots[first].is_poisoned = true;
    ack(f, second, 0, 0);
    assert_false(is_done);
    steps_advance(f->n.env, 100 * NS_PER_MS);
    assert_true(is_done);
    assert_missed(tide_run_result(f->run, 0), "1 of 2 followers");
}

/* The duplicate asks for more than the first write did, and waits for it at the first's position.
 */
static void a_duplicate_waits_for_its_own_level(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t slot = join(f, "f1");
    struct tide_write_options o = {.key = {"k", 1}};
    assert_int_equal(tide_run_signals(f->run, &view, 1, &o), 0);
    submit(f, &is_done);
    assert_true(is_done);
    uint64_t at = tide_run_result(f->run, 0)->as.position.seqno;
    tide_run_reset(f->run);
    o.durability = wish("stored:1", TIDE_MISS_WAIT, 1000);
    assert_int_equal(tide_run_signals(f->run, &view, 1, &o), 0);
    submit(f, &is_done);
    assert_false(is_done);
    ack(f, slot, 0, 0);
    assert_true(is_done);
    const struct tide_result *r = tide_run_result(f->run, 0);
    assert_level(r, "stored:1");
    assert_true(r->is_duplicate);
    assert_int_equal(r->as.position.seqno, at);
}

static void a_group_has_one_level_and_all_of_it_misses(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    (void)join(f, "f1");
    struct tide_write_options o = {.durability = wish("stored:1", TIDE_MISS_WAIT, 50)};
    assert_int_equal(tide_run_begin(f->run, &o), 0);
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 1);
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 2);
    assert_int_equal(tide_run_end(f->run), 3);
    submit(f, &is_done);
    assert_false(is_done);
    steps_advance(f->n.env, 50 * NS_PER_MS);
    assert_true(is_done);
    for (size_t i = 0; i < 4; i++)
        assert_missed(tide_run_result(f->run, i), "stored:1");
}

/* Operations of one run: reads see the write at once; the run ends when the last level is decided.
 */
static void reads_behind_a_write_do_not_wait_for_its_level(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t slot = join(f, "f1");
    assert_int_equal(add_signal(f->run, "applied:1", TIDE_MISS_WAIT, 1000), 0);
    assert_int_equal(tide_run_count_of(f->run, bytes_of("view"), bytes_of("a"), bytes_of("all")),
                     1);
    assert_int_equal(add_signal(f->run, "stored:1", TIDE_MISS_WAIT, 1000), 2);
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 3);
    submit(f, &is_done);
    assert_int_equal(tide_run_result(f->run, 1)->as.integer, 1);
    ack(f, slot, 0, 3);
    assert_false(is_done);
    ack(f, slot, 0, 0);
    assert_true(is_done);
    assert_level(tide_run_result(f->run, 0), "applied:1");
    assert_level(tide_run_result(f->run, 2), "stored:1");
    assert_level(tide_run_result(f->run, 3), "local");
}

static void the_default_level_is_the_databases_and_may_change(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    struct tide_options options = f->options;
    options.level = "stored:1";
    options.on_miss = TIDE_MISS_DEGRADE;
    options.deadline_ms = 70;
    assert_int_equal(tide_run_configure(f->run, &options), 0);
    assert_int_equal(tide_run_signal(f->run, &view, NULL), 1);
    assert_int_equal(tide_run_schema_field(f->run, bytes_of("topic"), TIDE_FIELD_TAG), 2);
    submit(f, &is_done);
    assert_false(is_done);
    steps_advance(f->n.env, 70 * NS_PER_MS);
    assert_true(is_done);
    assert_level(tide_run_result(f->run, 1), "local");
    assert_level(tide_run_result(f->run, 2), "local");
}

static void many_different_levels_at_once_are_bounded(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    char level[16];
    for (uint32_t i = 0; i <= LEVEL_CLASSES_MAX; i++) {
        (void)snprintf(level, sizeof(level), "stored:%u", i + 1);
        assert_int_equal(add_signal(f->run, level, TIDE_MISS_WAIT, 50), i);
    }
    submit(f, &is_done);
    assert_int_equal(tide_run_result(f->run, LEVEL_CLASSES_MAX)->code, TIDE_BUSY);
    steps_advance(f->n.env, 50 * NS_PER_MS);
    assert_true(is_done);
    assert_missed(tide_run_result(f->run, 0), "stored:1");
}

/* Who waits when nothing more will come is told so, with the position to ask about. */
static void closing_answers_who_still_waits(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    (void)join(f, "f1");
    assert_int_equal(add_signal(f->run, "stored:1", TIDE_MISS_WAIT, 100000), 0);
    submit(f, &is_done);
    assert_false(is_done);
    steps_node_close(&f->n);
    f->n.db = NULL;
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_UNKNOWN);
    assert_true(tide_run_result(f->run, 0)->as.position.seqno > 0);
}

static void a_poisoned_log_answers_who_still_waits(void **state)
{
    struct fixture *f = *state;
    bool is_done;
    uint32_t slot = join(f, "f1");
    assert_int_equal(add_signal(f->run, "stored:1", TIDE_MISS_WAIT, 100000), 0);
    submit(f, &is_done);
    struct err e = {.code = OK};
    (void)ERR(&e, E_IO, "the disk is gone");
    db_set_condition(f->n.db, DB_POISONED, &e);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_UNKNOWN);
    ack(f, slot, 0, 0); /* nobody waits any more */
}

/* Thousands of waiting runs: an ack takes out those that it satisfies, in any order of arrival. */
static void an_ack_releases_exactly_what_it_satisfies(void **state)
{
    struct fixture *f = *state;
    enum { RUNS = 3000 };
    static tide_run *runs[RUNS];
    static bool is_done[RUNS];
    uint32_t slot = join(f, "f1");
    for (uint32_t i = 0; i < RUNS; i++) {
        runs[i] = tide_run_new();
        assert_int_equal(add_signal(runs[i], "stored:1", TIDE_MISS_WAIT, 1000 + i % 7), 0);
        steps_node_submit(&f->n, runs[i], &is_done[i]);
    }
    steps_run(f->n.env);
    ack(f, slot, RUNS / 2, RUNS);
    for (uint32_t i = 0; i < RUNS; i++)
        assert_int_equal(is_done[i], i < RUNS / 2);
    ack(f, slot, 0, RUNS);
    for (uint32_t i = 0; i < RUNS; i++) {
        assert_true(is_done[i]);
        assert_level(tide_run_result(runs[i], 0), "stored:1");
        tide_run_free(runs[i]);
    }
    assert_int_equal(shipper_of(f)->table.slots[slot].last_acks, RUNS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_local_write_waits_for_nobody),
        CASE(stored_waits_for_the_ack_that_completes_it),
        CASE(applied_waits_until_followers_show_it),
        CASE(a_miss_at_the_deadline_names_the_position_and_who_has_it),
        CASE(degrade_is_a_success_that_says_what_was_reached),
        CASE(reject_answers_at_once_and_writes_nothing),
        CASE(what_can_never_be_reached_is_refused_whatever_the_policy),
        CASE(a_poisoned_follower_stops_counting_while_writers_wait),
        CASE(a_duplicate_waits_for_its_own_level),
        CASE(a_group_has_one_level_and_all_of_it_misses),
        CASE(reads_behind_a_write_do_not_wait_for_its_level),
        CASE(the_default_level_is_the_databases_and_may_change),
        CASE(many_different_levels_at_once_are_bounded),
        CASE(closing_answers_who_still_waits),
        CASE(a_poisoned_log_answers_who_still_waits),
        CASE(an_ack_releases_exactly_what_it_satisfies),
    };
    return cmocka_run_group_tests_name("engine/levels", tests, NULL, NULL);
}
