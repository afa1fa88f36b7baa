/* status: one snapshot, as a struct and as JSON that any reader takes. */
#include "engine/status.h"

#include <ctype.h>

#include "support/node.h"

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make_fast("status");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(dir);
    return 0;
}

/* --- a reader of JSON that only says whether it is JSON --- */

static const char *skip_string(const char *at)
{
    if (*at++ != '"') return NULL;
    while (*at != '"') {
        if ((unsigned char)*at < 0x20) return NULL;
        if (*at == '\\') {
            at++;
            if (*at == 'u') {
                for (int i = 1; i <= 4; i++) {
                    if (!isxdigit((unsigned char)at[i])) return NULL;
                }
                at += 4;
            } else if (strchr("\"\\/bfnrt", *at) == NULL || *at == '\0') {
                return NULL;
            }
        }
        at++;
    }
    return at + 1;
}

static const char *skip_scalar(const char *at)
{
    if (*at == '"') return skip_string(at);
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strncmp(at, words[i], strlen(words[i])) == 0) return at + strlen(words[i]);
    }
    char *end;
    (void)strtod(at, &end); /* the end tells */
    return end != at ? end : NULL;
}

/* Is the text one JSON value? Depth is kept in a small stack of opening brackets. */
static bool is_json(const char *at)
{
    char open[16];
    size_t depth = 0;
    bool wants_value = true;
    for (;;) {
        if (wants_value) {
            if (*at == '{' || *at == '[') {
                if (depth == sizeof(open)) return false;
                open[depth++] = *at++;
                if (*at == '}' || *at == ']') {
                    wants_value = false;
                    continue;
                }
                if (open[depth - 1] == '[') continue;
                at = skip_string(at);
                if (at == NULL || *at++ != ':') return false;
                continue;
            }
            at = skip_scalar(at);
            if (at == NULL) return false;
            wants_value = false;
        }
        if (depth == 0) return *at == '\0';
        if (*at == (open[depth - 1] == '{' ? '}' : ']')) {
            depth--;
            at++;
        } else if (*at++ == ',') {
            wants_value = true;
            if (open[depth - 1] == '[') continue;
            at = skip_string(at);
            if (at == NULL || *at++ != ':') return false;
        } else {
            return false;
        }
    }
}

static void the_reader_of_json_knows_json(void **state)
{
    (void)state;
    assert_true(is_json("{\"a\":[1,2.5e3,{\"b\":\"x\\u00e9\\\"\"},[]],\"c\":null}"));
    assert_false(is_json("{\"a\":1,}"));
    assert_false(is_json("{\"a\":\"unfinished"));
    assert_false(is_json("{\"a\":1"));
    assert_false(is_json("{\"a\":1}x"));
}

/* --- the snapshot --- */

static const struct tide_status *status_of(struct node *n, tide_run *run)
{
    tide_run_reset(run);
    assert_int_equal(tide_run_status(run), 0);
    steps_node_execute(n, run);
    const struct tide_result *r = tide_run_result(run, 0);
    assert_int_equal(r->code, TIDE_OK);
    assert_int_equal(r->kind, TIDE_RESULT_STATUS);
    return r->as.status;
}

static void the_figures_of_one_snapshot_agree(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    options.node_id = "n1";
    options.data_address = "here:7400";
    struct node n;
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open(&n, &options, &e), OK);
    tide_run *run = tide_run_new();
    for (int i = 0; i < 600; i++)
        assert_int_equal(steps_node_signal(&n, i % 2 == 0 ? "a" : "b"), TIDE_OK);
    const struct tide_status *s = status_of(&n, run);
    assert_int_equal(s->role, TIDE_ROLE_SINGLE);
    assert_string_equal(s->node_id, "n1");
    assert_string_equal(s->state, "serving");
    assert_string_equal(s->reason, "");
    assert_string_equal(s->leader_data_address, "here:7400");
    assert_int_equal(strlen(s->cluster), 32);
    assert_int_equal(s->applied.seqno, 611);
    assert_int_equal(s->durable.seqno, 611);
    assert_int_equal(s->assigned, 611);
    assert_int_equal(s->committed, 611);
    assert_int_equal(s->safe, 611);
    assert_int_equal(s->oldest, 1);
    assert_int_equal(s->items, 2);
    assert_int_equal(s->log_segments, 3);
    assert_true(s->log_bytes > 600 * 256);
    assert_true(s->memory_bytes > 0);
    assert_true(s->disk_free_bytes > 0);
    assert_int_equal(s->checkpoint_age_ms, UINT64_MAX);
    assert_same_double(s->lag_seconds, 0);
    assert_true(is_json(s->json));
    assert_non_null(strstr(s->json, "\"applied_seqno\":611"));
    steps_advance(n.env, 5 * NS_PER_S);
    s = status_of(&n, run);
    assert_true(s->uptime_ms >= 5000);
    tide_run_reset(run);
    assert_int_equal(tide_run_checkpoint(run), 0);
    steps_node_execute(&n, run);
    steps_advance(n.env, 2 * NS_PER_S);
    s = status_of(&n, run);
    assert_int_equal(s->checkpoint_seqno, 612);
    assert_int_equal(s->digest_mark, 612);
    assert_int_equal(s->checkpoint_age_ms, 2000);
    tide_run_free(run);
    steps_node_close(&n);
}

/* Whoever asks changes nothing: no status, scrape or list of marks opens, reads or writes a file.
 */
static void asking_touches_no_file(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    struct node n;
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open(&n, &options, &e), OK);
    assert_int_equal(steps_node_signal(&n, "a"), TIDE_OK);
    steps_advance(n.env, 10 * NS_PER_S);
    steps_run(n.env);
    const struct steps_fault none = {0};
    steps_fail(n.env, &none); /* counts from here on */
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_run_metrics(run), 1);
    assert_int_equal(tide_run_position(run), 2);
    assert_int_equal(tide_run_digest(run, 0), 3);
    assert_int_equal(tide_run_clock(run), 4);
    assert_int_equal(tide_run_schema_show(run), 5);
    steps_node_execute(&n, run);
    assert_int_equal(tide_run_result(run, 0)->as.status->oldest, 1);
    assert_int_equal(steps_calls(n.env), 0);
    tide_run_free(run);
    steps_node_close(&n);
}

/* The longest texts, with characters that JSON must escape, still make one whole object. */
static void the_longest_texts_fit_the_json(void **state)
{
    (void)state;
    char id[NODE_ID_SIZE_MAX + 1];
    char address[ADDRESS_SIZE_MAX + 1];
    memset(id, 'n', sizeof(id) - 1);
    memset(address, '\x01', sizeof(address) - 1);
    address[0] = '"';
    address[1] = '\\';
    id[sizeof(id) - 1] = '\0';
    address[sizeof(address) - 1] = '\0';
    struct tide_options options = node_options(dir);
    options.node_id = id;
    options.data_address = address;
    options.http_address = address;
    options.replication_address = address;
    struct node n;
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open(&n, &options, &e), OK);
    struct err why = {.code = OK};
    memset(why.text, '\x02', sizeof(why.text) - 1);
    why.code = E_HALTED;
    db_set_condition(n.db, DB_HALTED, &why);
    tide_run *run = tide_run_new();
    const struct tide_status *s = status_of(&n, run);
    assert_string_equal(s->state, "halted");
    if (!is_json(s->json)) fail_msg("no JSON: %s", s->json);
    assert_int_equal(s->json[strlen(s->json) - 1], '}');
    tide_run_free(run);
    steps_node_abandon(&n);
}

/* A follower of nobody: everything absent says so, and nothing is 0 because nothing was heard. */
static void a_follower_that_never_synced_says_so(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    options.follow = "127.0.0.1:1";
    tide_db *db = NULL;
    struct tide_err e;
    assert_int_equal(tide_open(&options, &db, NULL, &e), TIDE_OK);
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    const struct tide_status *s = tide_run_result(run, 0)->as.status;
    assert_int_equal(s->role, TIDE_ROLE_FOLLOWER);
    assert_string_equal(s->state, "syncing");
    assert_false(s->was_synced);
    assert_false(s->is_link_up);
    assert_true(s->lag_seconds > 1e300);
    assert_string_equal(s->leader_replication_address, "127.0.0.1:1");
    assert_string_equal(s->cluster, "");
    assert_true(is_json(s->json));
    assert_non_null(strstr(s->json, "\"lag_seconds\":null"));
    tide_run_free(run);
    node_close(db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reader_of_json_knows_json),
        TEST(the_figures_of_one_snapshot_agree),
        TEST(asking_touches_no_file),
        TEST(the_longest_texts_fit_the_json),
        TEST(a_follower_that_never_synced_says_so),
    };
    return cmocka_run_group_tests_name("engine/status", tests, NULL, NULL);
}
