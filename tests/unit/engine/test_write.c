/* write: the gate, groups of records, and what a run's writes answer, on a node that is run in
 * steps. Everything goes through runs, as users' writes do. */
#include "engine/write.h"

#include <math.h>

#include "base/text.h"
#include "engine/log.h"
#include "support/fixture.h"

#define NOW_MS INT64_C(1700000000000)

static int setup(void **state)
{
    struct fixture *f = fixture_new("write");
    open_node(f);
    *state = f;
    return 0;
}

static void reopen(struct fixture *f)
{
    steps_node_close(&f->n);
    open_node(f);
}

/* Execute the fixture's run and give its result `index`. */
static const struct tide_result *execute(struct fixture *f)
{
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static const struct tide_result *signal_one(struct fixture *f, const struct tide_signal *signal,
                                            const struct tide_write_options *options)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_signal(f->run, signal, options), 0);
    return execute(f);
}

static struct tide_signal view_of(const char *item)
{
    return (struct tide_signal){.type = bytes_of("view"), .item = bytes_of(item)};
}

static double score_at(struct fixture *f, const char *item, int64_t at_ms)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_score(f->run, bytes_of("view"), bytes_of(item), at_ms), 0);
    const struct tide_result *r = execute(f);
    assert_int_equal(r->code, TIDE_OK);
    return r->as.number;
}

static void assert_refused(const struct tide_result *r, enum tide_code code, const char *word)
{
    assert_int_equal(r->code, code);
    assert_non_null(r->message);
    if (strstr(r->message, word) == NULL) fail_msg("\"%s\" does not say %s", r->message, word);
}

static void assert_same_place(const struct tide_result *a, const struct tide_result *b)
{
    assert_int_equal(a->code, TIDE_OK);
    assert_int_equal(b->code, TIDE_OK);
    assert_same_position(&a->as.position, &b->as.position);
}

/* --- one signal --- */

/* Weights are finite and at most 2^53 in magnitude; the next double is refused. */
static void weights_beyond_2_to_53_are_refused(void **state)
{
    struct fixture *f = *state;
    const double limit = 9007199254740992.0;
    const double good[] = {limit, -limit, 0.0, -0.0, 1e-300};
    const double bad[] = {NAN, -NAN, INFINITY, -INFINITY, limit + 2, -limit - 2};
    struct tide_signal s = view_of("a");
    s.weight_is_set = true;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        s.weight = good[i];
        assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        s.weight = bad[i];
        assert_refused(signal_one(f, &s, NULL), TIDE_LIMIT, "2^53");
    }
    assert_int_equal(steps_node_count(&f->n, "a"), COUNT_OF(good));
}

static void times_in_other_units_are_refused_naming_the_guess(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = view_of("a");
    s.at_ms = NOW_MS / 1000;
    assert_refused(signal_one(f, &s, NULL), TIDE_LIMIT, "seconds");
    s.at_ms = NOW_MS * 1000;
    assert_refused(signal_one(f, &s, NULL), TIDE_LIMIT, "micro");
    s.at_ms = NOW_MS * 1000000;
    assert_refused(signal_one(f, &s, NULL), TIDE_LIMIT, "nano");
    s.at_ms = INT64_MIN;
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_LIMIT);
    s.at_ms = INT64_MAX;
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_LIMIT);
    s.at_ms = INT64_C(100000000000);
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
    s.at_ms = NOW_MS - 1000;
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "a"), 2);
}

/* What lies further ahead than clock_skew_max counts as happening now: a half-life later it is
 * worth a half. What lies less far ahead keeps its time. */
static void times_far_ahead_are_clamped_to_arrival(void **state)
{
    struct fixture *f = *state;
    const int64_t week_ms = INT64_C(7) * 86400000;
    struct tide_signal s = view_of("far");
    int64_t now_ms = f->n.env->v->now_wall_ms(f->n.env);
    s.at_ms = now_ms + 60000;
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
    s = view_of("near");
    s.at_ms = now_ms + 4000;
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
    double far = score_at(f, "far", now_ms + week_ms);
    double near = score_at(f, "near", now_ms + 4000 + week_ms);
    assert_true(far > 0.4999 && far < 0.5001);
    assert_near_double(near, 0.5, 1e-15);
    assert_true(score_at(f, "near", now_ms + week_ms) > far);
}

static void keys_have_1_to_255_bytes(void **state)
{
    struct fixture *f = *state;
    char key[257];
    memset(key, 'k', sizeof(key));
    for (size_t size = 0; size <= 256; size++) {
        if (size > 2 && size < 254) continue;
        bool is_good = size >= 1 && size <= 255;
        struct tide_signal s = {.type = bytes_of("view"), .item = {key, size}};
        assert_int_equal(signal_one(f, &s, NULL)->code, is_good ? TIDE_OK : TIDE_LIMIT);
        s = view_of("u");
        s.user = (struct tide_bytes){key, size};
        assert_int_equal(signal_one(f, &s, NULL)->code, size <= 255 ? TIDE_OK : TIDE_LIMIT);
        tide_run_reset(f->run);
        struct tide_bytes producer = {key, size};
        assert_int_equal(tide_run_producer_skip(f->run, producer, 1), 0);
        assert_int_equal(execute(f)->code, is_good ? TIDE_OK : TIDE_LIMIT);
    }
}

static void unknown_types_are_refused_with_the_command_that_declares_them(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = {.type = bytes_of("wink"), .item = bytes_of("a")};
    const struct tide_result *r = signal_one(f, &s, NULL);
    assert_refused(r, TIDE_SCHEMA, "SCHEMA.SIGNAL");
    assert_refused(r, TIDE_SCHEMA, "wink");
    s.type = (struct tide_bytes){NULL, 0};
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_SCHEMA);
}

/* --- SIGNALS --- */

static void signals_are_written_all_or_none(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s[3] = {view_of("a"), view_of("b"), view_of("")};
    assert_int_equal(tide_run_signals(f->run, s, 3, NULL), 0);
    assert_int_equal(execute(f)->code, TIDE_LIMIT);
    assert_int_equal(steps_node_count(&f->n, "a"), 0);
    s[2] = view_of("c");
    tide_run_reset(f->run);
    assert_int_equal(tide_run_signals(f->run, s, 3, NULL), 0);
    assert_int_equal(tide_run_signals(f->run, s, 2, NULL), 1);
    execute(f);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    assert_int_equal(tide_run_result(f->run, 1)->as.position.seqno,
                     tide_run_result(f->run, 0)->as.position.seqno + 1);
    assert_int_equal(steps_node_count(&f->n, "a"), 2);
    assert_int_equal(steps_node_count(&f->n, "c"), 1);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_signals(f->run, s, 0, NULL), 0);
    assert_int_equal(execute(f)->code, TIDE_INVALID);
}

/* A record that no batch can hold is refused for its size, not as a queue that is full. */
static void a_record_that_is_too_large_is_refused_for_good(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 65536 };
    char item[250];
    memset(item, 'i', sizeof(item));
    struct tide_signal *s = calloc(COUNT, sizeof(*s));
    for (size_t i = 0; i < COUNT; i++)
        s[i] = (struct tide_signal){.type = bytes_of("view"), .item = {item, sizeof(item)}};
    assert_int_equal(tide_run_signals(f->run, s, COUNT, NULL), 0);
    assert_refused(execute(f), TIDE_LIMIT, "bytes");
    tide_run_reset(f->run);
    assert_int_equal(tide_run_signals(f->run, s, COUNT + 1, NULL), -1);
    assert_int_equal(tide_run_signals(f->run, s, 4000, NULL), 0);
    assert_int_equal(execute(f)->code, TIDE_OK);
    free(s);
}

/* --- MULTI --- */

static void a_group_is_one_record_and_each_write_answers_its_position(void **state)
{
    struct fixture *f = *state;
    struct tide_signal a = view_of("a");
    struct tide_signal more[2] = {view_of("a"), view_of("b")};
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_signal(f->run, &a, NULL), 1);
    assert_int_equal(tide_run_signals(f->run, more, 2, NULL), 2);
    assert_int_equal(tide_run_end(f->run), 3);
    execute(f);
    for (size_t i = 1; i < 4; i++)
        assert_same_place(tide_run_result(f->run, 0), tide_run_result(f->run, i));
    assert_int_equal(steps_node_count(&f->n, "a"), 2);
    assert_int_equal(steps_node_count(&f->n, "b"), 1);
}

static void one_refused_entry_aborts_the_whole_group(void **state)
{
    struct fixture *f = *state;
    struct tide_signal good = view_of("a");
    struct tide_signal bad = {.type = bytes_of("wink"), .item = bytes_of("a")};
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_signal(f->run, &good, NULL), 1);
    assert_int_equal(tide_run_signal(f->run, &bad, NULL), 2);
    assert_int_equal(tide_run_signal(f->run, &good, NULL), 3);
    assert_int_equal(tide_run_end(f->run), 4);
    assert_int_equal(tide_run_signal(f->run, &good, NULL), 5);
    execute(f);
    for (size_t i = 0; i < 5; i++) {
        const struct tide_result *r = tide_run_result(f->run, i);
        if (i == 2)
            assert_refused(r, TIDE_SCHEMA, "wink");
        else
            assert_refused(
                r, TIDE_INVALID,
                "nothing was written: command 2 of this MULTI: unknown signal type \"wink\"");
    }
    assert_int_equal(tide_run_result(f->run, 5)->code, TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

static void groups_must_be_begun_and_ended_and_hold_signals_only(void **state)
{
    struct fixture *f = *state;
    struct tide_signal good = view_of("a");
    assert_int_equal(tide_run_end(f->run), 0);
    assert_refused(execute(f), TIDE_INVALID, "not begun");
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_signal(f->run, &good, NULL), 1);
    assert_refused(execute(f), TIDE_INVALID, "not ended");
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_INVALID);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_position(f->run), 1);
    assert_int_equal(tide_run_end(f->run), 2);
    assert_int_equal(execute(f)->code, TIDE_UNSUPPORTED);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_end(f->run), 1);
    assert_int_equal(execute(f)->code, TIDE_OK); /* nothing in it, nothing written */
    assert_int_equal(steps_node_count(&f->n, "a"), 0);
}

static void duplicates_inside_a_group_are_left_out_and_answer_with_the_first(void **state)
{
    struct fixture *f = *state;
    struct tide_signal keyed = view_of("a");
    keyed.key = bytes_of("k1");
    struct tide_position first = signal_one(f, &keyed, NULL)->as.position;
    struct tide_signal other = view_of("b");
    other.key = bytes_of("k2");
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_signal(f->run, &keyed, NULL), 1);
    assert_int_equal(tide_run_signal(f->run, &other, NULL), 2);
    assert_int_equal(tide_run_end(f->run), 3);
    execute(f);
    const struct tide_result *r = tide_run_result(f->run, 1);
    assert_true(r->is_duplicate);
    assert_same_position(&r->as.position, &first);
    assert_false(tide_run_result(f->run, 2)->is_duplicate);
    assert_int_equal(tide_run_result(f->run, 2)->as.position.seqno, first.seqno + 1);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
    assert_int_equal(steps_node_count(&f->n, "b"), 1);
}

static void one_group_may_not_name_a_key_twice(void **state)
{
    struct fixture *f = *state;
    struct tide_signal keyed = view_of("a");
    keyed.key = bytes_of("k1");
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_signal(f->run, &keyed, NULL), 1);
    assert_int_equal(tide_run_signal(f->run, &keyed, NULL), 2);
    assert_int_equal(tide_run_end(f->run), 3);
    execute(f);
    assert_refused(tide_run_result(f->run, 2), TIDE_INVALID, "twice");
    assert_int_equal(steps_node_count(&f->n, "a"), 0);
    tide_run_reset(f->run); /* nothing of it is remembered */
    assert_int_equal(tide_run_signal(f->run, &keyed, NULL), 0);
    assert_false(execute(f)->is_duplicate);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

/* The same key for the record and for its only entry is one key. */
static void a_key_may_stand_for_the_record_and_its_entry(void **state)
{
    struct fixture *f = *state;
    struct tide_signal keyed = view_of("a");
    keyed.key = bytes_of("k");
    struct tide_write_options options = {.key = bytes_of("k")};
    const struct tide_result *r = signal_one(f, &keyed, &options);
    assert_int_equal(r->code, TIDE_OK);
    r = signal_one(f, &keyed, &options);
    assert_true(r->is_duplicate);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
    reopen(f);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

/* --- idempotency keys --- */

static void a_duplicate_answers_with_the_position_of_the_first(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = view_of("a");
    struct tide_write_options options = {.key = bytes_of("key")};
    assert_int_equal(tide_run_signal(f->run, &s, &options), 0);
    assert_int_equal(tide_run_signal(f->run, &s, NULL), 1);
    assert_int_equal(tide_run_signal(f->run, &s, &options), 2); /* while the first is pending */
    execute(f);
    struct tide_position first = tide_run_result(f->run, 0)->as.position;
    assert_true(tide_run_result(f->run, 2)->is_duplicate);
    assert_same_place(tide_run_result(f->run, 0), tide_run_result(f->run, 2));
    for (int life = 0; life < 3; life++) {
        const struct tide_result *r = signal_one(f, &s, &options);
        assert_true(r->is_duplicate);
        assert_same_position(&r->as.position, &first);
        assert_int_equal(steps_node_count(&f->n, "a"), 2);
        if (life == 0) {
            tide_run_reset(f->run);
            assert_int_equal(tide_run_checkpoint(f->run), 0);
            assert_int_equal(execute(f)->code, TIDE_OK);
        }
        reopen(f);
    }
}

static void a_refused_write_leaves_its_key_free(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = view_of("");
    struct tide_write_options options = {.key = bytes_of("key")};
    assert_int_equal(signal_one(f, &s, &options)->code, TIDE_LIMIT);
    s = view_of("a");
    const struct tide_result *r = signal_one(f, &s, &options);
    assert_int_equal(r->code, TIDE_OK);
    assert_false(r->is_duplicate);
}

static void keys_are_forgotten_after_ten_minutes_of_log_time(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = view_of("a");
    struct tide_write_options options = {.key = bytes_of("key")};
    assert_false(signal_one(f, &s, &options)->is_duplicate);
    steps_advance(f->n.env, UINT64_C(9) * 60 * NS_PER_S);
    assert_true(signal_one(f, &s, &options)->is_duplicate);
    steps_advance(f->n.env, UINT64_C(60) * NS_PER_S);
    assert_true(signal_one(f, &s, &options)->is_duplicate);
    steps_advance(f->n.env, UINT64_C(2) * 60 * NS_PER_S);
    struct tide_signal other = view_of("b");
    (void)signal_one(f, &other, NULL); /* log time moves with batches */
    assert_false(signal_one(f, &s, &options)->is_duplicate);
    assert_int_equal(steps_node_count(&f->n, "a"), 2);
}

static void keyed_writes_are_refused_when_as_many_keys_are_remembered_as_may_be(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.dedup_keys_max = 2;
    open_node(f);
    struct tide_signal s = view_of("a");
    const char *const keys[] = {"1", "2", "3"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct tide_write_options options = {.key = bytes_of(keys[i])};
        assert_int_equal(tide_run_signal(f->run, &s, &options), i);
    }
    execute(f);
    assert_int_equal(tide_run_result(f->run, 1)->code, TIDE_OK);
    assert_refused(tide_run_result(f->run, 2), TIDE_BUSY, "dedup_keys_max");
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK); /* without a key */
    struct tide_write_options known = {.key = bytes_of("1")};
    assert_true(signal_one(f, &s, &known)->is_duplicate);
}

/* --- producers --- */

static const struct tide_result *produce(struct fixture *f, const char *item, uint64_t number)
{
    struct tide_signal s = view_of(item);
    struct tide_write_options options = {.producer = bytes_of("p"), .producer_number = number};
    return signal_one(f, &s, &options);
}

static uint64_t producer_number(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_producer(f->run, bytes_of("p")), 0);
    return execute(f)->as.integer;
}

static void producers_count_without_gaps_and_without_repeats(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(producer_number(f), 0);
    assert_refused(produce(f, "a", 2), TIDE_GAP, "1");
    assert_int_equal(produce(f, "a", 0)->code, TIDE_LIMIT);
    assert_int_equal(produce(f, "a", 1)->code, TIDE_OK);
    struct tide_position second = produce(f, "a", 2)->as.position;
    assert_refused(produce(f, "a", 4), TIDE_GAP, "3");
    for (uint64_t number = 1; number <= 2; number++) {
        const struct tide_result *r = produce(f, "a", number);
        assert_true(r->is_duplicate);
        assert_same_position(&r->as.position, &second);
    }
    tide_run_reset(f->run);
    assert_int_equal(tide_run_producer_skip(f->run, bytes_of("p"), 3), 0);
    assert_int_equal(tide_run_producer_skip(f->run, bytes_of("p"), 3), 1);
    assert_int_equal(tide_run_producer_skip(f->run, bytes_of("p"), 9), 2);
    assert_int_equal(execute(f)->code, TIDE_OK);
    assert_true(tide_run_result(f->run, 1)->is_duplicate);
    assert_int_equal(tide_run_result(f->run, 2)->code, TIDE_GAP);
    assert_int_equal(produce(f, "a", 4)->code, TIDE_OK);
    reopen(f);
    assert_int_equal(producer_number(f), 4);
    assert_true(produce(f, "a", 4)->is_duplicate);
    assert_int_equal(steps_node_count(&f->n, "a"), 3);
}

static void many_numbers_of_one_producer_fit_one_run(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = view_of("a");
    for (uint64_t number = 1; number <= 1000; number++) {
        struct tide_write_options options = {.producer = bytes_of("p"), .producer_number = number};
        assert_int_equal(tide_run_signal(f->run, &s, &options), number - 1);
    }
    execute(f);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(tide_run_result(f->run, i)->code, TIDE_OK);
    assert_int_equal(producer_number(f), 1000);
}

/* A line of an import whose key is known already is a duplicate, and the import goes on behind it:
 * the number is used up all the same. */
static void a_duplicate_key_uses_up_the_producers_number(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = view_of("a");
    s.key = bytes_of("line");
    struct tide_write_options options = {.producer = bytes_of("p"), .producer_number = 1};
    assert_int_equal(signal_one(f, &s, &options)->code, TIDE_OK);
    struct tide_position first = tide_run_result(f->run, 0)->as.position;
    options.producer_number = 2;
    const struct tide_result *r = signal_one(f, &s, &options);
    assert_int_equal(r->code, TIDE_OK);
    assert_true(r->is_duplicate);
    assert_same_position(&r->as.position, &first);
    assert_int_equal(producer_number(f), 2);

    struct tide_write_options whole = {
        .key = bytes_of("line"), .producer = bytes_of("p"), .producer_number = 3};
    s = view_of("a");
    assert_true(signal_one(f, &s, &whole)->is_duplicate);
    assert_int_equal(producer_number(f), 3);
    tide_run_reset(f->run);
    whole.producer_number = 4;
    assert_int_equal(tide_run_signals(f->run, &s, 1, &whole), 0);
    assert_true(execute(f)->is_duplicate);
    assert_int_equal(producer_number(f), 4);
    reopen(f);
    assert_int_equal(producer_number(f), 4);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

static void a_group_of_duplicates_uses_up_the_producers_number(void **state)
{
    struct fixture *f = *state;
    struct tide_signal s = view_of("a");
    s.key = bytes_of("line");
    struct tide_write_options options = {.producer = bytes_of("p"), .producer_number = 1};
    assert_int_equal(signal_one(f, &s, &options)->code, TIDE_OK);
    options.producer_number = 2;
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, &options), 0);
    assert_int_equal(tide_run_signal(f->run, &s, NULL), 1);
    assert_int_equal(tide_run_end(f->run), 2);
    assert_int_equal(execute(f)->code, TIDE_OK);
    assert_true(tide_run_result(f->run, 1)->is_duplicate);
    assert_int_equal(producer_number(f), 2);
    options.producer_number = 3;
    options.key = bytes_of("line");
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, &options), 0);
    assert_int_equal(tide_run_signal(f->run, &s, NULL), 1);
    assert_int_equal(tide_run_end(f->run), 2);
    assert_true(execute(f)->is_duplicate);
    assert_int_equal(producer_number(f), 3);
    assert_int_equal(steps_node_count(&f->n, "a"), 1);
}

/* --- schema --- */

static const struct tide_result *declare(struct fixture *f, const struct tide_schema_signal *schema)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_schema_signal(f->run, schema), 0);
    return execute(f);
}

static void declaring_a_type_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct tide_schema_signal schema = {.name = bytes_of("wink"), .halflives_ms = {3600000}};
    struct tide_position first = declare(f, &schema)->as.position;
    const struct tide_result *r = declare(f, &schema);
    assert_int_equal(r->code, TIDE_OK);
    assert_true(r->is_duplicate);
    assert_int_equal(r->as.position.seqno, first.seqno);
    schema.halflives_ms[0]++;
    assert_refused(declare(f, &schema), TIDE_SCHEMA, "another definition");
    reopen(f);
    schema.halflives_ms[0]--;
    assert_true(declare(f, &schema)->is_duplicate);
}

static void a_declared_type_can_be_used_in_the_same_run(void **state)
{
    struct fixture *f = *state;
    struct tide_schema_signal schema = {.name = bytes_of("wink")};
    struct tide_signal s = {.type = bytes_of("wink"), .item = bytes_of("a")};
    assert_int_equal(tide_run_schema_signal(f->run, &schema), 0);
    assert_int_equal(tide_run_signal(f->run, &s, NULL), 1);
    assert_int_equal(tide_run_schema_signal(f->run, &schema), 2);
    assert_int_equal(tide_run_count_of(f->run, bytes_of("wink"), bytes_of("a"), bytes_of("all")),
                     3);
    execute(f);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tide_run_result(f->run, i)->code, TIDE_OK);
    assert_same_place(tide_run_result(f->run, 0), tide_run_result(f->run, 2));
    assert_int_equal(tide_run_result(f->run, 3)->as.integer, 1);
}

static void definitions_that_no_state_can_hold_are_refused(void **state)
{
    struct fixture *f = *state;
    char name[66];
    memset(name, 'n', sizeof(name));
    const struct tide_schema_signal bad[] = {
        {.name = bytes_of("")},
        {.name = bytes_of("two words")},
        {.name = {"nul\0", 4}},
        {.name = {name, 65}},
        {.name = bytes_of("m"), .mode = 4},
        {.name = bytes_of("w"), .windows = 32},
        {.name = bytes_of("v"), .windows = 255},
        {.name = bytes_of("h"), .halflives_ms = {UINT64_MAX}},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        enum tide_code code = declare(f, &bad[i])->code;
        if (code != TIDE_LIMIT && code != TIDE_INVALID) fail_msg("row %zu: %d", i, (int)code);
    }
    const struct tide_schema_signal good[] = {
        {.name = {name, 64}},
        {.name = bytes_of("all"), .windows = 31, .mode = 3, .is_negative = true},
        {.name = bytes_of("h1"), .halflives_ms = {1, 2, 3}},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(declare(f, &good[i])->code, TIDE_OK);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK); /* the node still works */
    reopen(f);
}

static const struct tide_result *declare_field(struct fixture *f, const char *name, int kind)
{
    tide_run_reset(f->run);
    struct tide_bytes bytes = {name, strlen(name)};
    assert_int_equal(tide_run_schema_field(f->run, bytes, (enum tide_field_kind)kind), 0);
    return execute(f);
}

static void declaring_a_field_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct tide_position first = declare_field(f, "year", TIDE_FIELD_NUM)->as.position;
    const struct tide_result *r = declare_field(f, "year", TIDE_FIELD_NUM);
    assert_int_equal(r->code, TIDE_OK);
    assert_true(r->is_duplicate);
    assert_int_equal(r->as.position.seqno, first.seqno);
    assert_refused(declare_field(f, "year", TIDE_FIELD_TAG), TIDE_SCHEMA, "kind num");
    reopen(f);
    assert_true(declare_field(f, "year", TIDE_FIELD_NUM)->is_duplicate);
    assert_refused(declare_field(f, "year", TIDE_FIELD_TEXT), TIDE_SCHEMA, "kind num");
}

/* The overlay knows a field before its record is applied. */
static void a_field_is_declared_once_in_one_run(void **state)
{
    struct fixture *f = *state;
    struct tide_bytes name = bytes_of("year");
    assert_int_equal(tide_run_schema_field(f->run, name, TIDE_FIELD_NUM), 0);
    assert_int_equal(tide_run_schema_field(f->run, name, TIDE_FIELD_NUM), 1);
    assert_int_equal(tide_run_schema_field(f->run, name, TIDE_FIELD_TAG), 2);
    execute(f);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    assert_same_place(tide_run_result(f->run, 0), tide_run_result(f->run, 1));
    assert_refused(tide_run_result(f->run, 2), TIDE_SCHEMA, "kind num");
    assert_int_equal(state_field_count(f->n.db->state), 1);
}

static void fields_that_where_could_not_name_are_refused(void **state)
{
    struct fixture *f = *state;
    char name[66];
    memset(name, 'n', sizeof(name));
    name[65] = 0;
    const char *const bad[] = {"", "1st", "two words", "creator", "Created_At", "AND", name};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_refused(declare_field(f, bad[i], TIDE_FIELD_TAG), TIDE_LIMIT, "field's name");
    }
    assert_refused(declare_field(f, "a", 0), TIDE_INVALID, "kind 0");
    assert_refused(declare_field(f, "a", 5), TIDE_INVALID, "kind 5");
    name[64] = 0;
    assert_int_equal(declare_field(f, name, TIDE_FIELD_TEXT)->code, TIDE_OK);
    for (uint32_t i = 1; i <= FIELDS_MAX; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        const struct tide_result *r = declare_field(f, name, TIDE_FIELD_TIME);
        assert_int_equal(r->code, i < FIELDS_MAX ? TIDE_OK : TIDE_LIMIT);
    }
    reopen(f);
    assert_int_equal(state_field_count(f->n.db->state), FIELDS_MAX);
}

/* A half-life of one millisecond makes numbers of any size; a node must stand that. */
static void half_lives_of_a_millisecond_can_be_used(void **state)
{
    struct fixture *f = *state;
    struct tide_schema_signal schema = {.name = bytes_of("flash"), .halflives_ms = {1}};
    assert_int_equal(declare(f, &schema)->code, TIDE_OK);
    struct tide_signal s = {.type = bytes_of("flash"), .item = bytes_of("a")};
    for (int64_t back = 0; back < 5; back++) {
        s.at_ms = NOW_MS - back * back * back * INT64_C(100000000000);
        if (s.at_ms < INT64_C(100000000000)) s.at_ms = INT64_C(100000000000);
        assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
    }
    steps_advance(f->n.env, UINT64_C(3600) * NS_PER_S);
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
    reopen(f);
    assert_int_equal(f->n.db->condition, DB_SERVING);
}

static void as_many_types_as_the_limit_says_can_be_declared(void **state)
{
    struct fixture *f = *state;
    char name[16];
    uint32_t declared = 0;
    for (uint32_t i = 0; i < 1024; i++) {
        struct text t = text_of(name, sizeof(name));
        text_add(&t, "type-%u", i);
        struct tide_schema_signal schema = {.name = {t.data, t.size}};
        const struct tide_result *r = declare(f, &schema);
        if (r->code != TIDE_OK) {
            assert_refused(r, TIDE_LIMIT, "1024");
            break;
        }
        declared++;
    }
    assert_int_equal(declared, 1024 - 10); /* ten are built in */
    reopen(f);
    struct tide_signal s = {.type = bytes_of("type-1013"), .item = bytes_of("a")};
    assert_int_equal(signal_one(f, &s, NULL)->code, TIDE_OK);
}

/* More declarations in one run than may be pending: the rest waits for the first ones. */
static void a_run_may_declare_more_types_than_can_be_pending(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 100 };
    char names[COUNT][16];
    for (uint32_t i = 0; i < COUNT; i++) {
        struct text t = text_of(names[i], sizeof(names[i]));
        text_add(&t, "type-%u", i);
        struct tide_schema_signal schema = {.name = {t.data, t.size}};
        assert_int_equal(tide_run_schema_signal(f->run, &schema), i);
    }
    execute(f);
    for (size_t i = 0; i < COUNT; i++) {
        enum tide_code code = tide_run_result(f->run, i)->code;
        assert_true(code == TIDE_OK || code == TIDE_BUSY);
    }
}

/* --- groups and batches --- */

/* The token of a write names the batch that holds it. */
static void assert_token_is_true(struct fixture *f, const struct tide_position *p)
{
    const struct log *log = f->n.db->log;
    for (uint64_t first = p->seqno; first > 0; first--) {
        uint32_t i;
        struct log_chunk *chunk = log_tail_find(log, seqno_of(first), &i);
        if (chunk == NULL) continue;
        const struct log_batch_ref *ref = &chunk->batches[i];
        assert_in_range(p->seqno, ref->header.first.v, ref->end.seqno.v);
        assert_int_equal(p->epoch, ref->end.epoch);
        assert_memory_equal(p->chain4, ref->end.chain.bytes, 4);
        return;
    }
    fail_msg("seqno %llu is in no batch", (unsigned long long)p->seqno);
}

/* A run that is larger than a batch stalls when the group is full and goes on when it is written;
 * every record is there once, in order, and every token names its own batch. */
static void a_run_larger_than_a_batch_becomes_several_batches(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.batch_size_max = 4096;
    open_node(f);
    enum { COUNT = 60000 };
    char item[200];
    memset(item, 'i', sizeof(item));
    struct tide_signal s = {.type = bytes_of("view"), .item = {item, sizeof(item)}};
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(tide_run_signal(f->run, &s, NULL), i);
    execute(f);
    uint64_t first = tide_run_result(f->run, 0)->as.position.seqno;
    uint64_t batches = 1;
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct tide_result *r = tide_run_result(f->run, i);
        assert_int_equal(r->code, TIDE_OK);
        assert_int_equal(r->as.position.seqno, first + i);
        if (i % 100 == 0 || i == COUNT - 1) assert_token_is_true(f, &r->as.position);
        if (i > 0) {
            const struct tide_result *before = tide_run_result(f->run, i - 1);
            batches += memcmp(before->as.position.chain4, r->as.position.chain4, 4) != 0;
        }
    }
    assert_in_range(batches, COUNT / 20, COUNT / 15);
    tide_run_reset(f->run);
    struct tide_bytes key = {item, sizeof(item)};
    assert_int_equal(tide_run_count_of(f->run, bytes_of("view"), key, bytes_of("all")), 0);
    assert_int_equal(execute(f)->as.integer, COUNT);
}

/* Everything that arrives while a sync runs shares the next one. */
static void writers_that_arrive_during_a_sync_share_the_next(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 50 };
    tide_run *runs[COUNT];
    bool is_done[COUNT];
    struct tide_signal s = view_of("a");
    steps_hold(f->n.env, LANE_LOG, true);
    for (size_t i = 0; i < COUNT; i++) {
        runs[i] = tide_run_new();
        assert_int_equal(tide_run_signal(runs[i], &s, NULL), 0);
        steps_node_submit(&f->n, runs[i], &is_done[i]);
        steps_run(f->n.env); /* the first one's sync is in flight now */
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_false(is_done[i]);
    steps_hold(f->n.env, LANE_LOG, false);
    steps_run(f->n.env);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(is_done[i]);
        assert_token_is_true(f, &tide_run_result(runs[i], 0)->as.position);
        if (i > 1) {
            assert_memory_equal(tide_run_result(runs[i], 0)->as.position.chain4,
                                tide_run_result(runs[1], 0)->as.position.chain4, 4);
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        tide_run_free(runs[i]);
}

/* What `count` signals, each written and answered alone, ask of the disk. */
static struct steps_cost cost_of_signals(struct fixture *f, uint32_t count)
{
    steps_fail(f->n.env, NULL);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    return steps_cost(f->n.env);
}

/* Nothing is counted, scanned or written again because the log has become long. Some segments are
 * begun while it is measured, so spares and seals are in it. */
static void a_record_costs_the_same_at_the_end_of_a_long_log(void **state)
{
    struct fixture *f = *state;
    enum { EACH = 1000, ROUNDS = 20 };
    cost_of_signals(f, EACH); /* spares and buffers are there */
    struct steps_cost early = cost_of_signals(f, EACH);
    uint32_t segments_early = log_segment_count(f->n.db->log);
    for (uint32_t i = 0; i < ROUNDS; i++)
        cost_of_signals(f, EACH);
    struct steps_cost late = cost_of_signals(f, EACH);
    assert_true(log_segment_count(f->n.db->log) > ROUNDS / 2 * segments_early);
    assert_in_range(late.calls, 2 * EACH, early.calls + early.calls / 20);
    assert_in_range(late.bytes_written, 128 * EACH, early.bytes_written * 21 / 20);
    assert_true(late.bytes_read <= early.bytes_read + early.bytes_read / 20);
}

/* Under load that never pauses there is always something appended and not applied; what is reserved
 * for it must not add up. */
static void memory_reserved_for_pending_writes_is_given_back_under_load(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.memory_max = 64 * MIB;
    open_node(f);
    enum { ROUNDS = 400, EACH = 1000 };
    tide_run *runs[2] = {tide_run_new(), tide_run_new()};
    bool is_done[2] = {true, true};
    struct tide_signal s = view_of("a");
    for (size_t round = 0; round < ROUNDS; round++) {
        tide_run *run = runs[round & 1];
        bool *done = &is_done[round & 1];
        while (!*done)
            assert_true(steps_run_one(f->n.env)); /* the other run is pending meanwhile */
        for (size_t i = 0; i < tide_run_count(run); i++) {
            if (tide_run_result(run, i)->code != TIDE_OK)
                fail_msg("round %zu: %s", round, tide_run_result(run, i)->message);
        }
        tide_run_reset(run);
        for (size_t i = 0; i < EACH; i++)
            assert_true(tide_run_signal(run, &s, NULL) >= 0);
        steps_node_submit(&f->n, run, done);
        assert_true(steps_run_one(f->n.env)); /* its group is closed, or waits for the other's */
    }
    steps_run(f->n.env);
    tide_run_free(runs[0]);
    tide_run_free(runs[1]);
    assert_int_equal(steps_node_count(&f->n, "a"), ROUNDS * EACH);
}

static void writes_that_could_exceed_memory_max_are_refused_and_reads_go_on(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.memory_max = 16 * MIB;
    open_node(f);
    char item[32];
    bool is_refused = false;
    uint64_t written = 0;
    for (uint32_t i = 0; i < 300000 && !is_refused; i += 100) {
        tide_run_reset(f->run);
        char items[100][32];
        for (uint32_t k = 0; k < 100; k++) {
            struct text t = text_of(items[k], sizeof(item));
            text_add(&t, "item-%u", i + k);
            struct tide_signal s = view_of(items[k]);
            assert_int_equal(tide_run_signal(f->run, &s, NULL), k);
        }
        execute(f);
        for (uint32_t k = 0; k < 100; k++) {
            const struct tide_result *r = tide_run_result(f->run, k);
            if (r->code == TIDE_OK) {
                written++;
                continue;
            }
            assert_refused(r, TIDE_NOMEMORY, "memory_max");
            is_refused = true;
        }
    }
    assert_true(is_refused);
    assert_int_equal(f->n.db->condition, DB_SERVING);
    assert_int_equal(steps_node_count(&f->n, "item-0"), 1);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_items(f->run), 0);
    assert_int_equal(execute(f)->as.integer, written);
    reopen(f);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_items(f->run), 0);
    assert_int_equal(execute(f)->as.integer, written);
}

static void a_commit_delay_gathers_writers(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.commit_delay_us = 1000;
    open_node(f);
    struct tide_signal s = view_of("a");
    tide_run *runs[2] = {tide_run_new(), tide_run_new()};
    bool is_done[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tide_run_signal(runs[i], &s, NULL), 0);
        steps_node_submit(&f->n, runs[i], &is_done[i]);
        steps_run(f->n.env);
        assert_false(is_done[i]);
        steps_advance(f->n.env, 400000);
    }
    steps_advance(f->n.env, 300000);
    assert_true(is_done[0]);
    assert_true(is_done[1]);
    assert_memory_equal(tide_run_result(runs[0], 0)->as.position.chain4,
                        tide_run_result(runs[1], 0)->as.position.chain4, 4);
    tide_run_free(runs[0]);
    tide_run_free(runs[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(weights_beyond_2_to_53_are_refused),
        TEST(times_in_other_units_are_refused_naming_the_guess),
        TEST(times_far_ahead_are_clamped_to_arrival),
        TEST(keys_have_1_to_255_bytes),
        TEST(unknown_types_are_refused_with_the_command_that_declares_them),
        TEST(signals_are_written_all_or_none),
        TEST(a_record_that_is_too_large_is_refused_for_good),
        TEST(a_group_is_one_record_and_each_write_answers_its_position),
        TEST(one_refused_entry_aborts_the_whole_group),
        TEST(groups_must_be_begun_and_ended_and_hold_signals_only),
        TEST(duplicates_inside_a_group_are_left_out_and_answer_with_the_first),
        TEST(one_group_may_not_name_a_key_twice),
        TEST(a_key_may_stand_for_the_record_and_its_entry),
        TEST(a_duplicate_answers_with_the_position_of_the_first),
        TEST(a_refused_write_leaves_its_key_free),
        TEST(keys_are_forgotten_after_ten_minutes_of_log_time),
        TEST(keyed_writes_are_refused_when_as_many_keys_are_remembered_as_may_be),
        TEST(producers_count_without_gaps_and_without_repeats),
        TEST(many_numbers_of_one_producer_fit_one_run),
        TEST(a_duplicate_key_uses_up_the_producers_number),
        TEST(a_group_of_duplicates_uses_up_the_producers_number),
        TEST(declaring_a_type_again_changes_nothing),
        TEST(a_declared_type_can_be_used_in_the_same_run),
        TEST(declaring_a_field_again_changes_nothing),
        TEST(a_field_is_declared_once_in_one_run),
        TEST(fields_that_where_could_not_name_are_refused),
        TEST(definitions_that_no_state_can_hold_are_refused),
        TEST(half_lives_of_a_millisecond_can_be_used),
        TEST(as_many_types_as_the_limit_says_can_be_declared),
        TEST(a_run_may_declare_more_types_than_can_be_pending),
        TEST(a_run_larger_than_a_batch_becomes_several_batches),
        TEST(writers_that_arrive_during_a_sync_share_the_next),
        TEST(a_record_costs_the_same_at_the_end_of_a_long_log),
        TEST(memory_reserved_for_pending_writes_is_given_back_under_load),
        TEST(writes_that_could_exceed_memory_max_are_refused_and_reads_go_on),
        TEST(a_commit_delay_gathers_writers),
    };
    return cmocka_run_group_tests_name("engine/write", tests, NULL, NULL);
}
