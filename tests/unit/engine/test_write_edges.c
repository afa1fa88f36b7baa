/* Tests of engine/write_edges: likes, ratings and their undo through the gate: what counts, what is
 * written, what is answered, also while records before are on their way and inside groups. */
#include "support/tm_test.h"

#include "engine/write.h"
#include "support/fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("write-edges");
    open_node(f);
    *state = f;
    return 0;
}

static void add_signal(tide_run *run, const char *type, const char *user, double weight)
{
    struct tide_signal s = {.type = bytes_of(type),
                            .item = bytes_of("a"),
                            .weight = weight,
                            .weight_is_set = true,
                            .user = bytes_of(user)};
    assert_true(tide_run_signal(run, &s, NULL) >= 0);
}

static void add_undo(tide_run *run, const char *type, const char *user)
{
    assert_true(tide_run_unsignal(run, bytes_of(type), bytes_of("a"), bytes_of(user), NULL) >= 0);
}

static const struct tide_result *result(const struct fixture *f, size_t i)
{
    return tide_run_result(f->run, i);
}

static void execute(struct fixture *f)
{
    steps_node_execute(&f->n, f->run);
}

static const struct tide_result *like(struct fixture *f, const char *user)
{
    tide_run_reset(f->run);
    add_signal(f->run, "like", user, 1.0);
    execute(f);
    return result(f, 0);
}

static const struct tide_result *unlike(struct fixture *f, const char *user)
{
    tide_run_reset(f->run);
    add_undo(f->run, "like", user);
    execute(f);
    return result(f, 0);
}

static uint64_t count_of(struct fixture *f, const char *type, const char *window)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_count_of(f->run, bytes_of(type), bytes_of("a"), bytes_of(window)), 0);
    execute(f);
    assert_int_equal(result(f, 0)->code, TIDE_OK);
    return result(f, 0)->as.integer;
}

static double score_of(struct fixture *f, const char *type)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_score(f->run, bytes_of(type), bytes_of("a"), 0), 0);
    execute(f);
    assert_int_equal(result(f, 0)->code, TIDE_OK);
    return result(f, 0)->as.number;
}

static void declare(struct fixture *f, const char *name, uint8_t mode)
{
    struct tide_schema_signal schema = {.name = bytes_of(name), .mode = mode};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_schema_signal(f->run, &schema), 0);
    execute(f);
    assert_int_equal(result(f, 0)->code, TIDE_OK);
}

static seqno last_of(const struct fixture *f)
{
    return write_assigned(f->n.db->write);
}

static void a_user_likes_an_item_once(void **state)
{
    struct fixture *f = *state;
    struct tide_position first = like(f, "u1")->as.position;
    uint64_t last = last_of(f).v;
    const struct tide_result *again = like(f, "u1");
    assert_int_equal(again->code, TIDE_OK);
    assert_true(again->is_duplicate);
    assert_same_position(&again->as.position, &first); /* nothing came between */
    assert_int_equal(last_of(f).v, last);
    assert_int_equal(count_of(f, "like", "all"), 1);
    assert_false(like(f, "u2")->is_duplicate);
    assert_int_equal(count_of(f, "like", "all"), 2);
    assert_int_equal(count_of(f, "like", "1h"), 2);
}

static void unlike_takes_it_back_and_like_puts_it_again(void **state)
{
    struct fixture *f = *state;
    (void)like(f, "u1");
    (void)like(f, "u2");
    const struct tide_result *r = unlike(f, "u1");
    assert_int_equal(r->code, TIDE_OK);
    assert_false(r->is_duplicate);
    assert_int_equal(count_of(f, "like", "all"), 1);
    assert_int_equal(count_of(f, "like", "24h"), 1);
    assert_false(unlike(f, "u2")->is_duplicate);
    assert_same_double(score_of(f, "like"), 0.0);
    uint64_t last = last_of(f).v;
    assert_true(unlike(f, "u2")->is_duplicate); /* nothing stands: nothing is written */
    assert_true(unlike(f, "nobody")->is_duplicate);
    assert_int_equal(result(f, 0)->as.position.seqno, last);
    assert_int_equal(last_of(f).v, last);
    assert_false(like(f, "u1")->is_duplicate);
    assert_int_equal(count_of(f, "like", "all"), 1);
}

static void a_later_rating_replaces_the_one_before(void **state)
{
    struct fixture *f = *state;
    declare(f, "rating", 3);
    tide_run_reset(f->run);
    add_signal(f->run, "rating", "u1", 5.0);
    add_signal(f->run, "rating", "u2", 1.0);
    add_signal(f->run, "rating", "u1", 2.0);
    execute(f);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(result(f, i)->code, TIDE_OK);
        assert_false(result(f, i)->is_duplicate);
    }
    assert_int_equal(count_of(f, "rating", "all"), 2);
    assert_float_equal(score_of(f, "rating"), 3.0, 1e-6);
}

static void what_cannot_be_is_refused_in_words(void **state)
{
    struct fixture *f = *state;
    tide_run_reset(f->run);
    add_signal(f->run, "like", "", 1.0);
    add_undo(f->run, "view", "u1");
    add_undo(f->run, "wink", "u1");
    add_undo(f->run, "like", "");
    execute(f);
    static const char *const words[] = {"give USER", "counts every signal", "wink", "user key"};
    static const enum tide_code codes[] = {TIDE_SCHEMA, TIDE_SCHEMA, TIDE_SCHEMA, TIDE_LIMIT};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        assert_int_equal(result(f, i)->code, codes[i]);
        assert_non_null(strstr(result(f, i)->message, words[i]));
    }
    assert_int_equal(count_of(f, "like", "all"), 0);
}

/* Everything of one run is judged before any of it is applied. */
static void what_is_on_its_way_counts(void **state)
{
    struct fixture *f = *state;
    tide_run_reset(f->run);
    add_signal(f->run, "like", "u1", 1.0); /* written */
    add_signal(f->run, "like", "u1", 1.0); /* answered with the first */
    add_undo(f->run, "like", "u1");        /* written */
    add_undo(f->run, "like", "u1");        /* answered with the third */
    add_signal(f->run, "like", "u1", 1.0); /* written */
    execute(f);
    static const bool is_duplicate[] = {false, true, false, true, false};
    static const uint64_t after_first[] = {0, 0, 1, 1, 2};
    uint64_t first = result(f, 0)->as.position.seqno;
    for (size_t i = 0; i < COUNT_OF(after_first); i++) {
        assert_int_equal(result(f, i)->code, TIDE_OK);
        assert_int_equal(result(f, i)->is_duplicate, is_duplicate[i]);
        assert_int_equal(result(f, i)->as.position.seqno, first + after_first[i]);
    }
    assert_same_position(&result(f, 0)->as.position, &result(f, 1)->as.position);
    assert_int_equal(count_of(f, "like", "all"), 1);
}

/* Inside a group a later entry sees those before it, and a group that is refused leaves nothing. */
static void a_group_sees_its_own_entries(void **state)
{
    struct fixture *f = *state;
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    add_signal(f->run, "like", "u1", 1.0);
    add_signal(f->run, "like", "u1", 1.0);
    add_signal(f->run, "view", "u1", 1.0);
    (void)tide_run_end(f->run);
    execute(f);
    assert_false(result(f, 1)->is_duplicate);
    assert_true(result(f, 2)->is_duplicate);
    assert_same_position(&result(f, 1)->as.position, &result(f, 2)->as.position);
    assert_int_equal(count_of(f, "like", "all"), 1);
    assert_int_equal(count_of(f, "view", "all"), 1);

    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    add_signal(f->run, "like", "u2", 1.0);
    add_signal(f->run, "wink", "u2", 1.0);
    (void)tide_run_end(f->run);
    add_undo(f->run, "like", "u2");
    add_signal(f->run, "like", "u2", 1.0);
    execute(f);
    assert_int_equal(result(f, 1)->code, TIDE_INVALID);
    assert_true(result(f, 4)->is_duplicate);
    assert_false(result(f, 5)->is_duplicate);
    assert_int_equal(count_of(f, "like", "all"), 2);
}

/* Signals and undos of one edge take effect in their order within one record. */
static void a_group_takes_back_what_it_wrote(void **state)
{
    struct fixture *f = *state;
    struct tide_write_options options = {.key = bytes_of("undo-in-group")};
    (void)like(f, "u2");
    for (int round = 0; round < 2; round++) {
        tide_run_reset(f->run);
        assert_int_equal(tide_run_begin(f->run, NULL), 0);
        add_signal(f->run, "like", "u1", 1.0);
        add_undo(f->run, "like", "u1");
        add_undo(f->run, "like", "u1"); /* nothing there by now */
        add_signal(f->run, "view", "u1", 1.0);
        add_signal(f->run, "like", "u1", 1.0);
        (void)tide_run_unsignal(f->run, bytes_of("like"), bytes_of("a"), bytes_of("u2"), &options);
        (void)tide_run_end(f->run);
        execute(f);
        uint64_t last = last_of(f).v;
        for (size_t i = 1; i < 6; i++) {
            assert_int_equal(result(f, i)->code, TIDE_OK);
            bool was_before = round == 1 && i == 1; /* liked at the end of the first round */
            assert_int_equal(result(f, i)->as.position.seqno, last - was_before);
        }
        assert_int_equal(result(f, 1)->is_duplicate, round == 1);
        assert_true(result(f, 3)->is_duplicate);
        assert_int_equal(result(f, 6)->is_duplicate, round == 1);
        assert_int_equal(count_of(f, "like", "all"), 1);
        assert_int_equal(count_of(f, "like", "1h"), 1);
        assert_int_equal(count_of(f, "view", "all"), (uint64_t)round + 1);
    }
    steps_node_close(&f->n);
    open_node(f);
    assert_int_equal(count_of(f, "like", "all"), 1);
}

/* Nothing of the whole group is left to write: each answers with what stands. */
static void a_group_of_what_stands_already_writes_nothing(void **state)
{
    struct fixture *f = *state;
    (void)like(f, "u1");
    uint64_t last = last_of(f).v;
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    add_signal(f->run, "like", "u1", 1.0);
    struct tide_signal both[2] = {
        {.type = bytes_of("like"), .item = bytes_of("a"), .user = bytes_of("u1")},
        {.type = bytes_of("like"), .item = bytes_of("a"), .user = bytes_of("u1")}};
    (void)tide_run_signals(f->run, both, 2, NULL);
    (void)tide_run_end(f->run);
    (void)tide_run_signals(f->run, both, 2, NULL);
    execute(f);
    static const size_t answered[] = {1, 2, 4};
    for (size_t i = 0; i < COUNT_OF(answered); i++) {
        assert_int_equal(result(f, answered[i])->code, TIDE_OK);
        assert_true(result(f, answered[i])->is_duplicate);
        assert_int_equal(result(f, answered[i])->as.position.seqno, last);
    }
    assert_int_equal(last_of(f).v, last);
}

/* A key must be remembered, so that its retry changes nothing whatever came between: a like that
 * stands already is written for its key's sake. */
static void keys_of_signals_that_change_nothing_are_remembered(void **state)
{
    struct fixture *f = *state;
    struct tide_write_options options = {.key = bytes_of("undo-key")};
    struct tide_signal s = {.type = bytes_of("like"),
                            .item = bytes_of("a"),
                            .user = bytes_of("u1"),
                            .key = bytes_of("like-key")};
    (void)like(f, "u1");
    tide_run_reset(f->run);
    (void)tide_run_signal(f->run, &s, NULL);
    execute(f);
    assert_false(result(f, 0)->is_duplicate);
    struct tide_position where = result(f, 0)->as.position;
    (void)unlike(f, "u1");
    tide_run_reset(f->run);
    (void)tide_run_signal(f->run, &s, NULL);
    execute(f);
    assert_true(result(f, 0)->is_duplicate);
    assert_same_position(&result(f, 0)->as.position, &where);
    assert_int_equal(count_of(f, "like", "all"), 0);

    tide_run_reset(f->run); /* the same of an undo of nothing, which then does not undo a like */
    (void)tide_run_unsignal(f->run, s.type, s.item, s.user, &options);
    execute(f);
    assert_false(result(f, 0)->is_duplicate);
    (void)like(f, "u1");
    tide_run_reset(f->run);
    (void)tide_run_unsignal(f->run, s.type, s.item, s.user, &options);
    execute(f);
    assert_true(result(f, 0)->is_duplicate);
    assert_int_equal(count_of(f, "like", "all"), 1);
}

static void a_producer_moves_on_over_what_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct tide_write_options options = {.producer = bytes_of("p")};
    struct tide_signal s = {
        .type = bytes_of("like"), .item = bytes_of("a"), .user = bytes_of("u1")};
    tide_run_reset(f->run);
    for (options.producer_number = 1; options.producer_number <= 3; options.producer_number++) {
        (void)tide_run_signal(f->run, &s, &options);
    }
    (void)tide_run_unsignal(f->run, s.type, s.item, s.user, &options);
    execute(f);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(result(f, i)->code, TIDE_OK);
    }
    tide_run_reset(f->run);
    (void)tide_run_producer(f->run, options.producer);
    execute(f);
    assert_int_equal(result(f, 0)->as.integer, 4);
    assert_int_equal(count_of(f, "like", "all"), 0);
}

/* What the log says comes out of it again: the edges, and with them who may still like. */
static void edges_outlive_a_restart(void **state)
{
    struct fixture *f = *state;
    (void)like(f, "u1");
    (void)like(f, "u2");
    (void)unlike(f, "u2");
    steps_node_close(&f->n);
    open_node(f);
    assert_int_equal(count_of(f, "like", "all"), 1);
    assert_true(like(f, "u1")->is_duplicate);
    assert_false(like(f, "u2")->is_duplicate);
    assert_false(unlike(f, "u1")->is_duplicate);
    assert_int_equal(count_of(f, "like", "all"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_user_likes_an_item_once, setup, fixture_end),
        cmocka_unit_test_setup_teardown(unlike_takes_it_back_and_like_puts_it_again, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(a_later_rating_replaces_the_one_before, setup, fixture_end),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_in_words, setup, fixture_end),
        cmocka_unit_test_setup_teardown(what_is_on_its_way_counts, setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_group_sees_its_own_entries, setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_group_takes_back_what_it_wrote, setup, fixture_end),
        cmocka_unit_test_setup_teardown(a_group_of_what_stands_already_writes_nothing, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(keys_of_signals_that_change_nothing_are_remembered, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(a_producer_moves_on_over_what_changes_nothing, setup,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(edges_outlive_a_restart, setup, fixture_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
