/* db: roles, refusals at open, and a whole life in which each file call fails in turn. */
#include "engine/db.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "format/identity.h"
#include "support/node.h"

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make_fast("db");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(dir);
    return 0;
}

static enum tide_code open_with(const struct tide_options *options, tide_db **out,
                                struct tide_open_report *report, struct tide_err *e)
{
    *e = (struct tide_err){0};
    *out = NULL;
    return tide_open(options, out, report, e);
}

/* --- roles --- */

static void identity_says_the_role_and_flags_that_differ_are_noted(void **state)
{
    (void)state;
    node_close(node_open(dir));
    struct tide_options options = node_options(dir);
    options.follow = "127.0.0.1:1";
    tide_db *db;
    struct tide_open_report report;
    struct tide_err e;
    assert_int_equal(open_with(&options, &db, &report, &e), TIDE_OK);
    assert_int_equal(report.role, TIDE_ROLE_SINGLE);
    assert_non_null(strstr(report.notes, "--follow"));
    (void)node_signal(db, "view", "a");
    node_close(db);
}

static enum tide_code code_of(tide_db *db, int32_t (*add)(tide_run *run))
{
    tide_run *run = tide_run_new();
    assert_int_equal(add(run), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    enum tide_code code = tide_run_result(run, 0)->code;
    if (code == TIDE_READONLY) assert_non_null(strstr(tide_run_result(run, 0)->message, "leader"));
    tide_run_free(run);
    return code;
}

static const struct tide_signal view = {.type = {"view", 4}, .item = {"a", 1}};
static const struct tide_bytes name = {"view", 4};

static int32_t add_signal(tide_run *run)
{
    return tide_run_signal(run, &view, NULL);
}
static int32_t add_signals(tide_run *run)
{
    return tide_run_signals(run, &view, 1, NULL);
}
static int32_t add_group(tide_run *run)
{
    int32_t index = tide_run_begin(run, NULL);
    (void)tide_run_signal(run, &view, NULL);
    (void)tide_run_end(run);
    return index;
}
static int32_t add_unsignal(tide_run *run)
{
    return tide_run_unsignal(run, name, name, name, NULL);
}
static int32_t add_schema(tide_run *run)
{
    struct tide_schema_signal schema = {.name = name};
    return tide_run_schema_signal(run, &schema);
}
static int32_t add_field(tide_run *run)
{
    return tide_run_schema_field(run, name, TIDE_FIELD_TAG);
}
static int32_t add_item_put(tide_run *run)
{
    struct tide_put put = {.key = name};
    return tide_run_item_put(run, &put, NULL);
}
static int32_t add_user_put(tide_run *run)
{
    struct tide_put put = {.key = name};
    return tide_run_user_put(run, &put, NULL);
}
static int32_t add_creator_put(tide_run *run)
{
    struct tide_put put = {.key = name};
    return tide_run_creator_put(run, &put, NULL);
}
static int32_t add_item_delete(tide_run *run)
{
    return tide_run_item_delete(run, name, NULL);
}
static int32_t add_item_get(tide_run *run)
{
    return tide_run_item_get(run, name, NULL, 0);
}
static int32_t add_skip(tide_run *run)
{
    return tide_run_producer_skip(run, name, 1);
}
static int32_t add_score(tide_run *run)
{
    return tide_run_score(run, name, name, 0);
}
static int32_t add_retrieve(tide_run *run)
{
    struct tide_retrieve request = {.profile = {"top", 3}};
    return tide_run_retrieve(run, &request);
}
static int32_t add_digest(tide_run *run)
{
    return tide_run_digest(run, 0);
}

/* A follower that never reached its leader holds nothing: it refuses every write and every look at
 * the state, tells its status, and stops when it is told to. */
static void a_follower_without_its_leader_refuses_writes_and_has_nothing_to_read(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    options.follow = "127.0.0.1:1";
    tide_db *db;
    struct tide_open_report report;
    struct tide_err e;
    for (int life = 0; life < 2; life++) {
        assert_int_equal(open_with(&options, &db, &report, &e), TIDE_OK);
        assert_int_equal(report.role, TIDE_ROLE_FOLLOWER);
        int32_t (*const writes[])(tide_run *) = {
            add_signal, add_signals,  add_group,    add_unsignal,    add_schema,     add_field,
            add_skip,   add_item_put, add_user_put, add_creator_put, add_item_delete};
        int32_t (*const reads[])(tide_run *) = {
            add_item_get,         add_score,           add_retrieve,
            add_digest,           tide_run_position,   tide_run_items,
            tide_run_schema_show, tide_run_checkpoint, tide_run_log_seal};
        for (size_t i = 0; i < COUNT_OF(writes); i++)
            assert_int_equal(code_of(db, writes[i]), TIDE_READONLY);
        for (size_t i = 0; i < COUNT_OF(reads); i++)
            assert_int_equal(code_of(db, reads[i]), TIDE_LOADING);
        assert_int_equal(code_of(db, tide_run_status), TIDE_OK);
        assert_int_equal(code_of(db, tide_run_metrics), TIDE_OK);
        node_close(db);
        options.follow = NULL; /* identity remembers */
    }
}

/* --- refusals --- */

static void a_directory_of_another_stream_or_node_is_refused(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    options.node_id = "first";
    options.region = 2;
    tide_db *db;
    struct tide_err e;
    assert_int_equal(open_with(&options, &db, NULL, &e), TIDE_OK);
    node_close(db);
    options.node_id = "second";
    assert_int_equal(open_with(&options, &db, NULL, &e), TIDE_INVALID);
    assert_non_null(strstr(e.message, "first"));
    options.node_id = NULL;
    options.shard = 1;
    assert_int_equal(open_with(&options, &db, NULL, &e), TIDE_WRONG_CLUSTER);
    assert_non_null(strstr(e.message, "region 2"));
    options.shard = 0;
    assert_int_equal(open_with(&options, &db, NULL, &e), TIDE_OK);
    node_close(db);
}

static void a_directory_of_a_newer_format_is_refused(void **state)
{
    (void)state;
    node_close(node_open(dir));
    const char *const copies[] = {"identity.a", "identity.b"};
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        uint8_t *bytes = file_read(dir, copies[i], &size);
        bytes[8] = 3; /* version */
        struct hash256 hash = hash256_of(slice_of(bytes, size - sizeof(hash)));
        memcpy(bytes + size - sizeof(hash), hash.bytes, sizeof(hash));
        file_write(dir, copies[i], bytes, size);
        free(bytes);
    }
    struct tide_options options = node_options(dir);
    tide_db *db;
    struct tide_err e;
    assert_int_equal(open_with(&options, &db, NULL, &e), TIDE_FORMAT);
    assert_non_null(strstr(e.message, "3"));
}

static void a_directory_that_others_may_write_is_refused(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    tide_db *db;
    struct tide_err e;
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_not_equal(open_with(&options, &db, NULL, &e), TIDE_OK);
    assert_non_null(strstr(e.message, dir));
    assert_int_equal(chmod(dir, 0500), 0);
    if (geteuid() != 0) { /* root may write anywhere */
        assert_int_not_equal(open_with(&options, &db, NULL, &e), TIDE_OK);
        assert_non_null(strstr(e.message, dir));
    }
    assert_int_equal(chmod(dir, 0700), 0);
}

/* The very first save was cut short: nothing was ever acknowledged here, so this is a new folder.
 */
static void a_first_start_that_was_cut_short_begins_again(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        tm_dir_remove(dir);
        dir = tm_dir_make_fast("db");
        struct tide_options options = node_options(dir);
        struct node n = {.env = steps_open(dir)};
        struct steps_fault fault = {
            .nth = nth, .code = E_IO, .is_for_ever = true, .writes_only = true, .tears = true};
        steps_fail(n.env, &fault);
        struct err e = {.code = OK};
        enum code code = steps_node_open_on(&n, &options, &e);
        bool has_failed = steps_has_failed(n.env);
        steps_node_abandon(&n);
        if (steps_node_open(&n, &options, &e) != OK)
            fail_msg("cut at call %llu: %s", (unsigned long long)nth, e.text);
        assert_int_equal(steps_node_signal(&n, "a"), TIDE_OK);
        steps_node_close(&n);
        assert_int_equal(steps_node_open(&n, &options, &e), OK);
        assert_int_equal(steps_node_count(&n, "a"), 1);
        steps_node_abandon(&n);
        if (code == OK && !has_failed) return;
    }
}

/* --- each call fails in turn --- */

struct life {
    uint64_t acknowledged;
    uint64_t unknown;
    bool is_checkpointed;
};

static void live(struct node *n, struct life *life)
{
    tide_run *run = tide_run_new();
    for (uint32_t i = 0; i < 300 && n->db->condition == DB_SERVING; i++) {
        tide_run_reset(run);
        if (i == 100) {
            assert_int_equal(tide_run_checkpoint(run), 0);
            assert_int_equal(tide_run_log_seal(run), 1);
        } else {
            assert_int_equal(tide_run_signal(run, &view, NULL), 0);
        }
        bool is_done;
        steps_node_submit(n, run, &is_done);
        steps_run(n->env);
        if (!is_done)
            fail_msg("run %u is not answered after call %llu", i,
                     (unsigned long long)steps_calls(n->env));
        enum tide_code code = tide_run_result(run, 0)->code;
        if (i == 100) {
            life->is_checkpointed = code == TIDE_OK;
            continue;
        }
        life->acknowledged += code == TIDE_OK;
        life->unknown += code == TIDE_UNKNOWN;
        assert_true(code == TIDE_OK || code == TIDE_UNKNOWN || code == TIDE_POISONED);
    }
    tide_run_free(run);
}

/* A life of opening, writing, a checkpoint, a seal and closing, in which the n-th call fails: what
 * was acknowledged is there afterwards, once, and what was not may be, once. */
static bool live_with_fault(const struct steps_fault *fault)
{
    struct tide_options options = node_options(dir);
    struct life life = {0};
    struct node n = {.env = steps_open(dir)};
    steps_fail(n.env, fault);
    struct err e = {.code = OK};
    enum code code = steps_node_open_on(&n, &options, &e);
    bool has_failed;
    if (code == OK) {
        live(&n, &life);
        has_failed = steps_has_failed(n.env);
        steps_node_close(&n);
    } else {
        if (e.text[0] == '\0') fail_msg("call %llu: no sentence", (unsigned long long)fault->nth);
        has_failed = steps_has_failed(n.env);
        steps_node_abandon(&n);
    }
    if (steps_node_open(&n, &options, &e) != OK)
        fail_msg("after call %llu: %s", (unsigned long long)fault->nth, e.text);
    assert_in_range(steps_node_count(&n, "a"), life.acknowledged, life.acknowledged + life.unknown);
    assert_int_equal(steps_node_signal(&n, "b"), TIDE_OK);
    steps_node_close(&n);
    return has_failed;
}

static void any_file_call_may_fail_and_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    static const struct steps_fault kinds[] = {
        {.code = E_IO},
        {.code = E_IO, .is_for_ever = true, .tears = true},
        {.code = E_DISKFULL, .is_for_ever = true, .writes_only = true, .tears = true},
    };
    for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        for (uint64_t nth = 1;; nth += 1 + nth / 60) { /* every call while it opens, some later */
            tm_dir_remove(dir);
            dir = tm_dir_make_fast("db");
            struct steps_fault fault = kinds[kind];
            fault.nth = nth;
            if (!live_with_fault(&fault)) break;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identity_says_the_role_and_flags_that_differ_are_noted),
        TEST(a_follower_without_its_leader_refuses_writes_and_has_nothing_to_read),
        TEST(a_directory_of_another_stream_or_node_is_refused),
        TEST(a_directory_of_a_newer_format_is_refused),
        TEST(a_directory_that_others_may_write_is_refused),
        TEST(a_first_start_that_was_cut_short_begins_again),
        TEST(any_file_call_may_fail_and_nothing_acknowledged_is_lost),
    };
    return cmocka_run_group_tests_name("engine/db", tests, NULL, NULL);
}
