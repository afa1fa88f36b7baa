/* read: what the operations that change nothing answer. */
#include "engine/read.h"

#include <math.h>

#include "base/text.h"
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
    f->dir = tm_dir_make_fast("read");
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
    steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

static const struct tide_result *execute(struct fixture *f)
{
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static void add(struct fixture *f, const char *type, const char *item, double weight)
{
    struct tide_signal s = {
        .type = bytes_of(type), .item = bytes_of(item), .weight = weight, .weight_is_set = true};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_signal(f->run, &s, NULL), 0);
    assert_int_equal(execute(f)->code, TIDE_OK);
}

static const struct tide_result *retrieve(struct fixture *f, const char *profile, uint32_t limit)
{
    struct tide_retrieve request = {.profile = bytes_of(profile), .limit = limit};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_retrieve(f->run, &request), 0);
    return execute(f);
}

static void unknown_items_score_and_count_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tide_run_score(f->run, bytes_of("view"), bytes_of("x"), 0), 0);
    assert_int_equal(tide_run_count_of(f->run, bytes_of("view"), bytes_of("x"), bytes_of("ALL")),
                     1);
    assert_int_equal(tide_run_items(f->run), 2);
    execute(f);
    assert_same_double(tide_run_result(f->run, 0)->as.number, 0);
    assert_int_equal(tide_run_result(f->run, 1)->as.integer, 0);
    assert_int_equal(tide_run_result(f->run, 2)->as.integer, 0);
}

static void bad_names_and_sizes_are_refused_by_name(void **state)
{
    struct fixture *f = *state;
    char key[256];
    memset(key, 'k', sizeof(key));
    struct tide_bytes empty = {NULL, 0};
    struct tide_bytes large = {key, sizeof(key)};
    struct tide_bytes view = bytes_of("view");
    assert_int_equal(tide_run_score(f->run, bytes_of("wink"), view, 0), 0);
    assert_int_equal(tide_run_score(f->run, view, empty, 0), 1);
    assert_int_equal(tide_run_score(f->run, view, large, 0), 2);
    assert_int_equal(tide_run_count_of(f->run, view, view, bytes_of("30d")), 3);
    assert_int_equal(tide_run_count_of(f->run, empty, view, bytes_of("all")), 4);
    execute(f);
    const enum tide_code codes[] = {TIDE_SCHEMA, TIDE_LIMIT, TIDE_LIMIT, TIDE_SCHEMA, TIDE_SCHEMA};
    const char *const words[] = {"wink", "0 bytes", "256 bytes", "30d", "SCHEMA.SIGNAL"};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        const struct tide_result *r = tide_run_result(f->run, i);
        assert_int_equal(r->code, codes[i]);
        if (strstr(r->message, words[i]) == NULL) fail_msg("\"%s\"", r->message);
    }
    assert_int_equal(retrieve(f, "cold", 0)->code, TIDE_SCHEMA);
    assert_int_equal(retrieve(f, "decayed:wink", 0)->code, TIDE_SCHEMA);
    assert_int_equal(retrieve(f, "decayed:", 0)->code, TIDE_SCHEMA);
    assert_int_equal(retrieve(f, "", 0)->code, TIDE_SCHEMA);
    assert_int_equal(retrieve(f, "top", 1001)->code, TIDE_LIMIT);
}

static void scores_halve_with_each_half_life(void **state)
{
    struct fixture *f = *state;
    const int64_t week_ms = INT64_C(7) * 86400000;
    add(f, "view", "a", 8);
    int64_t now_ms = f->n.env->v->now_wall_ms(f->n.env);
    for (int i = 0; i < 4; i++) {
        tide_run_reset(f->run);
        assert_int_equal(
            tide_run_score(f->run, bytes_of("view"), bytes_of("a"), now_ms + i * week_ms), 0);
        assert_near_double(execute(f)->as.number, 8.0 / (1 << i), 1e-14);
    }
    steps_advance(f->n.env, (uint64_t)week_ms * NS_PER_MS);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_score(f->run, bytes_of("view"), bytes_of("a"), 0), 0); /* now */
    assert_near_double(execute(f)->as.number, 4.0, 1e-14);
}

/* A wall clock that went back asks about a moment before the event: the answer is the score of the
 * event's own time, not what an event still to come would be worth. */
static void a_clock_behind_the_log_reads_no_score_above_the_weight(void **state)
{
    struct fixture *f = *state;
    add(f, "view", "a", 2.0);
    steps_set_wall(f->n.env, f->n.env->v->now_wall_ms(f->n.env) - INT64_C(86400000));
    tide_run_reset(f->run);
    assert_int_equal(tide_run_score(f->run, bytes_of("view"), bytes_of("a"), 0), 0);
    assert_same_double(execute(f)->as.number, 2.0);
    assert_same_double(retrieve(f, "decayed:view", 1)->as.items.items[0].score, 2.0);
}

static void retrieve_orders_by_score_then_by_key(void **state)
{
    struct fixture *f = *state;
    add(f, "view", "b", 2);
    add(f, "view", "a", 2);
    add(f, "view", "c", 9);
    add(f, "view", "d", 1);
    add(f, "view", "d", 1);
    const struct tide_result *r = retrieve(f, "decayed:view", 0);
    assert_int_equal(r->code, TIDE_OK);
    assert_int_equal(r->as.items.count, 4);
    assert_true(r->as.items.is_exact);
    assert_same_double(r->as.items.staleness_ms, 0);
    assert_int_equal(r->as.items.position.seqno, db_applied(f->n.db).seqno.v);
    assert_true(slice_equal(slice_from(r->as.items.items[0].key), slice_of_text("c")));
    assert_near_double(r->as.items.items[0].score, 9, 1e-14);
    for (uint32_t i = 1; i < r->as.items.count; i++)
        assert_true(r->as.items.items[i].score <= r->as.items.items[i - 1].score);
    r = retrieve(f, "TOP", 1);
    assert_int_equal(r->as.items.count, 1);
    assert_true(slice_equal(slice_from(r->as.items.items[0].key), slice_of_text("d")));
    assert_same_double(r->as.items.items[0].score, 2);
}

static void excluded_items_are_left_out_and_their_places_filled(void **state)
{
    struct fixture *f = *state;
    char item[16];
    for (uint32_t i = 0; i < 50; i++) {
        struct text t = text_of(item, sizeof(item));
        text_add(&t, "i%02u", i);
        add(f, "view", item, 50.0 - i);
    }
    struct tide_bytes excludes[] = {bytes_of("i00"), bytes_of("i02"), bytes_of("nobody")};
    struct tide_retrieve request = {.profile = bytes_of("decayed:view"),
                                    .limit = 3,
                                    .excludes = excludes,
                                    .exclude_count = COUNT_OF(excludes)};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_retrieve(f->run, &request), 0);
    memset(excludes, 0, sizeof(excludes)); /* the list was copied */
    const struct tide_items *items = &execute(f)->as.items;
    assert_int_equal(items->count, 3);
    const char *const expected[] = {"i01", "i03", "i04"};
    for (size_t i = 0; i < 3; i++)
        assert_true(slice_equal(slice_from(items->items[i].key), slice_of_text(expected[i])));
}

/* Keys of an answer are copies: later writes of the same run do not change them. */
static void answers_stay_what_they_were(void **state)
{
    struct fixture *f = *state;
    add(f, "view", "a", 5);
    struct tide_retrieve request = {.profile = bytes_of("top")};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_retrieve(f->run, &request), 0);
    char items[100][16];
    for (uint32_t i = 0; i < 100; i++) {
        struct text t = text_of(items[i], sizeof(items[i]));
        text_add(&t, "n%u", i);
        struct tide_signal s = {.type = bytes_of("view"), .item = bytes_of(items[i])};
        assert_true(tide_run_signal(f->run, &s, NULL) > 0);
    }
    const struct tide_result *r = execute(f);
    assert_int_equal(r->as.items.count, 1);
    assert_true(slice_equal(slice_from(r->as.items.items[0].key), slice_of_text("a")));
}

static void the_schema_is_shown_a_line_a_type(void **state)
{
    struct fixture *f = *state;
    struct tide_schema_signal schema = {.name = bytes_of("wink"),
                                        .halflives_ms = {3600000, 1500, 1000},
                                        .windows = 31,
                                        .is_negative = true};
    assert_int_equal(tide_run_schema_signal(f->run, &schema), 0);
    assert_int_equal(tide_run_schema_field(f->run, bytes_of("year"), TIDE_FIELD_NUM), 1);
    assert_int_equal(tide_run_schema_field(f->run, bytes_of("Topic"), TIDE_FIELD_TAG), 2);
    assert_int_equal(tide_run_schema_show(f->run), 3);
    execute(f);
    struct tide_bytes text = tide_run_result(f->run, 3)->as.text;
    char *copy = calloc(1, text.size + 1);
    memcpy(copy, text.data, text.size);
    size_t lines = 0;
    for (size_t i = 0; i < text.size; i++)
        lines += copy[i] == '\n';
    assert_int_equal(lines, 13);
    assert_non_null(strstr(copy, "\nFIELD year num\nFIELD Topic tag\n"));
    assert_non_null(strstr(copy, "view HALFLIFE 7d WINDOWS 1h,24h,7d,all MODE count POLARITY +\n"));
    assert_non_null(strstr(copy, "wink HALFLIFE 1h,1500ms,1s WINDOWS 1h,24h,7d,30d,all MODE count "
                                 "POLARITY -\n"));
    assert_non_null(strstr(copy, "like HALFLIFE 7d WINDOWS 1h,24h,7d,all MODE once POLARITY +\n"));
    free(copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Apply that stopped in the middle of a batch leaves part of it in the state: no answer comes from
 * there, only its position can be asked for. */
static void a_half_applied_batch_is_never_read(void **state)
{
    struct fixture *f = *state;
    add(f, "view", "a", 1);
    tide_run *run = tide_run_new();
    bool is_done = false;
    char names[200][8];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "new%zu", i);
        struct tide_signal s = {.type = bytes_of(i == 150 ? "skip" : "view"),
                                .item = bytes_of(names[i])};
        assert_true(tide_run_signal(run, &s, NULL) >= 0);
    }
    atomic_store(&f->n.alloc->fail_countdown, 1); /* the first "skip" wants a block of its own */
    steps_node_submit(&f->n, run, &is_done);
    steps_run(f->n.env);
    assert_true(is_done);
    tide_run_free(run);
    assert_int_equal(f->n.db->condition, DB_HALTED);
    assert_false(state_is_whole(f->n.db->state));
    tide_run_reset(f->run);
    (void)tide_run_position(f->run);
    (void)tide_run_count_of(f->run, bytes_of("view"), bytes_of("a"), bytes_of("all"));
    (void)tide_run_score(f->run, bytes_of("view"), bytes_of("a"), 0);
    (void)tide_run_items(f->run);
    (void)tide_run_digest(f->run, 0);
    (void)tide_run_status(f->run);
    assert_int_equal(execute(f)->code, TIDE_OK);
    for (size_t i = 1; i <= 4; i++) {
        assert_int_equal(tide_run_result(f->run, i)->code, TIDE_HALTED);
    }
    assert_int_equal(tide_run_result(f->run, 5)->code, TIDE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_half_applied_batch_is_never_read),
        TEST(unknown_items_score_and_count_nothing),
        TEST(bad_names_and_sizes_are_refused_by_name),
        TEST(scores_halve_with_each_half_life),
        TEST(a_clock_behind_the_log_reads_no_score_above_the_weight),
        TEST(retrieve_orders_by_score_then_by_key),
        TEST(excluded_items_are_left_out_and_their_places_filled),
        TEST(answers_stay_what_they_were),
        TEST(the_schema_is_shown_a_line_a_type),
    };
    return cmocka_run_group_tests_name("engine/read", tests, NULL, NULL);
}
