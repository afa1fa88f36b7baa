/* identity_store: two copies on disk, one of them good at every moment; the saver; the mark. */
#include "engine/identity_store.h"

#include "support/node.h"

struct fixture {
    char *dir;
    struct env *env;
    struct identity *id;
    struct identity *back;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("identity");
    f->env = steps_open(f->dir);
    f->id = calloc(1, sizeof(*f->id));
    f->back = calloc(1, sizeof(*f->back));
    *f->id = (struct identity){
        .node_id = "n1", .role = ROLE_SINGLE, .log_key = 9, .cluster = {{1}}, .generation = 1};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    steps_close(f->env);
    tm_dir_remove(f->dir);
    free(f->id);
    free(f->back);
    free(f);
    return 0;
}

static enum code load(struct fixture *f, bool *out_found)
{
    struct err e = {.code = OK};
    *out_found = false;
    return identity_load(f->env, f->back, out_found, &e);
}

static void a_new_folder_has_no_identity_and_keeps_the_one_saved(void **state)
{
    struct fixture *f = *state;
    bool is_found;
    struct err e;
    assert_int_equal(load(f, &is_found), OK);
    assert_false(is_found);
    for (uint64_t version = 1; version <= 3; version++) {
        f->id->highest_epoch = version * 10;
        assert_int_equal(identity_save_now(f->env, f->id, &e), OK);
        assert_int_equal(load(f, &is_found), OK);
        assert_true(is_found);
        assert_int_equal(f->back->version, version);
        assert_int_equal(f->back->highest_epoch, version * 10);
        assert_string_equal(f->back->node_id, "n1");
    }
    size_t size;
    uint8_t *a = file_read(f->dir, "identity.a", &size);
    uint8_t *b = file_read(f->dir, "identity.b", &size);
    assert_memory_equal(a, b, size);
    free(a);
    free(b);
}

/* A save that is cut short at any call leaves the old identity or the new one, never none. */
static void a_save_cut_short_at_any_call_leaves_the_old_or_the_new(void **state)
{
    struct fixture *f = *state;
    struct err e;
    assert_int_equal(identity_save_now(f->env, f->id, &e), OK);
    for (uint64_t nth = 1;; nth++) {
        uint64_t before = f->id->highest_epoch;
        f->id->highest_epoch++;
        struct steps_fault fault = {.nth = nth, .code = E_IO, .is_for_ever = true, .tears = true};
        steps_fail(f->env, &fault);
        enum code code = identity_save_now(f->env, f->id, &e);
        bool has_failed = steps_has_failed(f->env);
        assert_int_equal(code, has_failed ? E_IO : OK);
        steps_fail(f->env, NULL);
        bool is_found;
        assert_int_equal(load(f, &is_found), OK);
        assert_true(is_found);
        assert_in_range(f->back->highest_epoch, code == OK ? before + 1 : before, before + 1);
        *f->id = *f->back;
        if (!has_failed) return;
    }
}

static void the_newer_good_copy_counts(void **state)
{
    struct fixture *f = *state;
    struct err e;
    bool is_found;
    assert_int_equal(identity_save_now(f->env, f->id, &e), OK);
    size_t size;
    uint8_t *old = file_read(f->dir, "identity.b", &size);
    f->id->highest_epoch = 7;
    assert_int_equal(identity_save_now(f->env, f->id, &e), OK);
    file_write(f->dir, "identity.b", old, size);
    assert_int_equal(load(f, &is_found), OK);
    assert_int_equal(f->back->highest_epoch, 7);
    file_flip(f->dir, "identity.a", 30, 1);
    assert_int_equal(load(f, &is_found), OK);
    assert_int_equal(f->back->highest_epoch, 0);
    file_flip(f->dir, "identity.b", 30, 1);
    assert_int_equal(load(f, &is_found), E_CORRUPT);
    free(old);
}

static void a_file_that_is_too_large_is_a_bad_copy(void **state)
{
    struct fixture *f = *state;
    struct err e;
    bool is_found;
    assert_int_equal(identity_save_now(f->env, f->id, &e), OK);
    uint8_t *large = calloc(1, 300 * KIB);
    file_write(f->dir, "identity.a", large, 300 * KIB);
    free(large);
    assert_int_equal(load(f, &is_found), OK);
    assert_true(is_found);
}

/* --- the saver --- */

struct answer {
    int count;
    enum code code;
};

static void was_saved(void *owner, void *arg, enum code code)
{
    struct answer *answer = arg;
    (void)owner;
    answer->count++;
    answer->code = code;
}

/* Requests that come while a save runs share the next one, which holds what was asked for last. */
static void requests_during_a_save_share_the_next_one(void **state)
{
    struct fixture *f = *state;
    struct identity_saver *saver = identity_saver_new(f->env, f);
    struct answer answers[5] = {0};
    assert_true(identity_saver_is_idle(saver));
    for (uint64_t i = 0; i < COUNT_OF(answers); i++) {
        f->id->highest_epoch = i;
        identity_saver_request(saver, f->id, was_saved, &answers[i]);
    }
    identity_saver_request(saver, f->id, NULL, NULL);
    assert_int_equal(steps_jobs_waiting(f->env, LANE_BACKGROUND), 1);
    assert_true(steps_run_one(f->env));
    assert_int_equal(answers[0].count, 1);
    assert_int_equal(answers[1].count, 0);
    bool is_found;
    assert_int_equal(load(f, &is_found), OK);
    assert_int_equal(f->back->highest_epoch, 0);
    assert_true(steps_run_one(f->env));
    assert_false(steps_run_one(f->env));
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        assert_int_equal(answers[i].count, 1);
        assert_int_equal(answers[i].code, OK);
    }
    assert_int_equal(load(f, &is_found), OK);
    assert_int_equal(f->back->highest_epoch, COUNT_OF(answers) - 1);
    assert_true(identity_saver_is_idle(saver));
    identity_saver_free(saver);
}

static void a_save_that_fails_is_told(void **state)
{
    struct fixture *f = *state;
    struct identity_saver *saver = identity_saver_new(f->env, f);
    struct answer answer = {0};
    struct steps_fault fault = {.nth = 1, .code = E_DISKFULL, .writes_only = true};
    steps_fail(f->env, &fault);
    identity_saver_request(saver, f->id, was_saved, &answer);
    steps_run(f->env);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, E_DISKFULL);
    identity_saver_free(saver);
}

/* --- the mark --- */

static void the_newer_of_two_good_marks_counts_and_none_is_no_error(void **state)
{
    struct fixture *f = *state;
    struct mark mark;
    bool is_found = true;
    struct err e = {.code = OK};
    assert_int_equal(mark_load(f->env, 9, &mark, &is_found, &e), OK);
    assert_false(is_found);
    uint8_t slots[2][MARK_SLOT_SIZE];
    for (uint64_t i = 0; i < 2; i++) {
        struct mark m = {.version = 5 + i, .durable = {.epoch = 1, .seqno = {100 + i}}};
        mark_encode(&m, 9, slots[i]);
    }
    file_write(f->dir, "mark", slots, sizeof(slots));
    assert_int_equal(mark_load(f->env, 9, &mark, &is_found, &e), OK);
    assert_true(is_found);
    assert_int_equal(mark.durable.seqno.v, 101);
    file_flip(f->dir, "mark", MARK_SLOT_SIZE + 40, 1);
    assert_int_equal(mark_load(f->env, 9, &mark, &is_found, &e), OK);
    assert_int_equal(mark.durable.seqno.v, 100);
    assert_int_equal(mark_load(f->env, 10, &mark, &is_found, &e), OK); /* another log's key */
    assert_false(is_found);
    const size_t sizes[] = {0, 1, 127, 128, 200, 255, 256};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        file_write(f->dir, "mark", slots, sizes[i]);
        assert_int_equal(mark_load(f->env, 9, &mark, &is_found, &e), OK);
        assert_int_equal(is_found, sizes[i] >= MARK_SLOT_SIZE);
    }
    struct steps_fault fault = {.nth = 2, .code = E_IO};
    steps_fail(f->env, &fault);
    assert_int_equal(mark_load(f->env, 9, &mark, &is_found, &e), E_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_folder_has_no_identity_and_keeps_the_one_saved),
        TEST(a_save_cut_short_at_any_call_leaves_the_old_or_the_new),
        TEST(the_newer_good_copy_counts),
        TEST(a_file_that_is_too_large_is_a_bad_copy),
        TEST(requests_during_a_save_share_the_next_one),
        TEST(a_save_that_fails_is_told),
        TEST(the_newer_of_two_good_marks_counts_and_none_is_no_error),
    };
    return cmocka_run_group_tests_name("engine/identity", tests, NULL, NULL);
}
