/* api: the public calls on a real folder with real threads. What single operations answer is tried
 * in steps (test_write, test_read, test_queue); here it is handing over, waiting, and closing. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "support/node.h"

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make("api");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(dir);
    return 0;
}

static void every_code_has_a_word_a_name_and_a_class(void **state)
{
    (void)state;
    for (int c = TIDE_OK; c <= TIDE_REFUSED; c++) {
        assert_non_null(tide_code_word((enum tide_code)c));
        assert_true(strlen(tide_code_name((enum tide_code)c)) > 0);
        assert_true(tide_code_class((enum tide_code)c) <= TIDE_CLASS_CORRUPTION);
    }
    assert_string_equal(tide_code_word(TIDE_READONLY), "READONLY");
    assert_string_equal(tide_version(), TIDE_VERSION);
    assert_true(tide_format_version() > 0);
}

static void tokens_survive_their_text(void **state)
{
    (void)state;
    struct tide_position p = {.epoch = 7, .seqno = UINT64_MAX, .chain4 = {0x9f, 0x3a, 0x21, 0xbc}};
    struct tide_position back = {0};
    char text[TIDE_TOKEN_SIZE];
    size_t size = tide_token_format(&p, text);
    assert_true(size <= sizeof(text));
    assert_int_equal(tide_token_parse((struct tide_bytes){text, size}, &back), TIDE_OK);
    assert_same_position(&p, &back);
    assert_int_equal(tide_token_parse(bytes_of("7-42"), &back), TIDE_INVALID);
    assert_int_equal(tide_token_parse(bytes_of(""), &back), TIDE_INVALID);
}

static void a_new_folder_is_made_and_found_again(void **state)
{
    (void)state;
    char below[512];
    assert_true(snprintf(below, sizeof(below), "%s/new", dir) > 0);
    struct tide_options options = node_options(below);
    struct tide_open_report report;
    tide_db *db = NULL;
    struct tide_err e;
    assert_int_equal(tide_open(&options, &db, &report, &e), TIDE_OK);
    assert_true(report.is_new);
    assert_int_equal(report.role, TIDE_ROLE_SINGLE);
    assert_int_equal(report.position.seqno, 11); /* epoch start and ten types */
    assert_int_equal(report.position.epoch, 1);
    assert_true(strlen(report.backend) > 0);
    struct tide_position at = node_signal(db, "view", "a");
    assert_int_equal(at.seqno, 12);
    node_close(db);

    db = NULL;
    assert_int_equal(tide_open(&options, &db, &report, &e), TIDE_OK);
    assert_false(report.is_new);
    assert_int_equal(report.position.epoch, 2);
    assert_int_equal(report.position.seqno, 13); /* the new epoch's start */
    assert_int_equal(report.records_replayed, 12);
    assert_int_equal(report.discarded_bytes, 0);
    assert_int_equal(node_count(db, "view", "a"), 1);
    node_close(db);
}

static void opening_is_refused_with_a_sentence(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    tide_db *db = NULL;
    struct tide_err e = {0};
    options.size--;
    assert_int_equal(tide_open(&options, &db, NULL, &e), TIDE_INVALID);
    options.size++;
    options.dir = NULL;
    assert_int_equal(tide_open(&options, &db, NULL, &e), TIDE_INVALID);
    assert_non_null(strstr(e.message, "directory"));
    options.dir = "";
    assert_int_equal(tide_open(&options, &db, NULL, NULL), TIDE_INVALID);
    options.dir = dir;
    options.node_id = "no blanks";
    assert_int_equal(tide_open(&options, &db, NULL, &e), TIDE_INVALID);
    assert_non_null(strstr(e.message, "no blanks"));
    assert_null(db);
    file_write(dir, "a file", "x", 1);
    char below[512];
    assert_true(snprintf(below, sizeof(below), "%s/a file", dir) > 0);
    options = node_options(below);
    assert_int_not_equal(tide_open(&options, &db, NULL, &e), TIDE_OK);
    assert_true(strlen(e.message) > 10);
}

static void a_folder_in_use_is_refused_naming_its_user(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    tide_db *other = NULL;
    struct tide_options options = node_options(dir);
    struct tide_err e = {0};
    assert_int_equal(tide_open(&options, &other, NULL, &e), TIDE_INUSE);
    char pid[16];
    assert_true(snprintf(pid, sizeof(pid), "%ld", (long)getpid()) > 0);
    if (strstr(e.message, pid) == NULL) fail_msg("\"%s\" does not name %s", e.message, pid);
    node_close(db);
    node_close(node_open(dir));
}

static void one_operation_calls_give_answers_and_reasons(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    struct tide_err e = {0};
    struct tide_position at = {0};
    struct tide_signal pair[2] = {{.type = bytes_of("view"), .item = bytes_of("a")},
                                  {.type = bytes_of("view"), .item = bytes_of("b")}};
    assert_int_equal(tide_signals(db, pair, 2, &at, &e), TIDE_OK);
    assert_int_equal(tide_signals(db, pair, 0, &at, &e), TIDE_INVALID);
    pair[0].type = bytes_of("wink");
    assert_int_equal(tide_signal(db, pair, &at, &e), TIDE_SCHEMA);
    assert_int_equal(e.class_, TIDE_CLASS_CALLER);
    assert_non_null(strstr(e.message, "wink"));
    assert_non_null(e.origin);
    struct tide_schema_signal schema = {.name = bytes_of("wink")};
    assert_int_equal(tide_schema_signal(db, &schema, NULL, &e), TIDE_OK);
    assert_int_equal(tide_signal(db, pair, &at, &e), TIDE_OK);
    double score = -1;
    assert_int_equal(tide_score(db, bytes_of("wink"), bytes_of("a"), 0, &score, &e), TIDE_OK);
    assert_true(score > 0.99 && score <= 1.0);
    struct tide_clock clock = {0};
    assert_int_equal(tide_clock_now(db, &clock, &e), TIDE_OK);
    assert_string_equal(clock.state, "following");
    assert_true(clock.leader_ms > INT64_C(1600000000000) && !clock.is_step_pending);
    assert_int_equal(tide_clock_accept(db, NULL, &e), TIDE_INVALID);
    assert_non_null(strstr(e.message, "no step"));
    struct tide_position now = {0};
    assert_int_equal(tide_position_now(db, &now, &e), TIDE_OK);
    assert_same_position(&now, &at);
    struct tide_position cut = {0};
    assert_int_equal(tide_checkpoint(db, &cut, &e), TIDE_OK);
    assert_int_equal(cut.seqno, at.seqno + 1);
    struct tide_digest digest;
    assert_int_equal(tide_digest_now(db, &digest, &e), TIDE_OK);
    assert_true(digest.seqno >= cut.seqno);
    node_close(db);
    assert_int_equal(tide_close(NULL, 0, NULL), TIDE_OK);
}

/* --- many threads --- */

enum { THREADS = 64 };

struct writer {
    pthread_t thread;
    tide_db *db;
    uint64_t seqnos[100];
};

static void *write_some(void *arg)
{
    struct writer *w = arg;
    struct tide_signal s = {.type = bytes_of("view"), .item = bytes_of("a")};
    for (size_t i = 0; i < COUNT_OF(w->seqnos); i++) {
        struct tide_position at = {0};
        if (tide_signal(w->db, &s, &at, NULL) == TIDE_OK) w->seqnos[i] = at.seqno;
    }
    return NULL;
}

static void threads_may_write_at_once_and_share_syncs(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    struct writer *writers = calloc(THREADS, sizeof(*writers));
    for (size_t i = 0; i < THREADS; i++) {
        writers[i].db = db;
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_some, &writers[i]), 0);
    }
    uint64_t total = THREADS * COUNT_OF(writers[0].seqnos);
    bool *seen = calloc(total, sizeof(*seen));
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        for (size_t k = 0; k < COUNT_OF(writers[i].seqnos); k++) {
            uint64_t s = writers[i].seqnos[k];
            assert_in_range(s, 12, 11 + total);
            assert_false(seen[s - 12]);
            seen[s - 12] = true;
            assert_true(k == 0 || s > writers[i].seqnos[k - 1]);
        }
    }
    assert_int_equal(node_count(db, "view", "a"), total);
    node_close(db);
    free(seen);
    free(writers);
}

/* --- closing while others are at it --- */

static _Atomic uint64_t answered;
static _Atomic uint64_t acknowledged;

static void count_answer(tide_run *run, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < tide_run_count(run); i++) {
        enum tide_code code = tide_run_result(run, i)->code;
        if (code == TIDE_OK) atomic_fetch_add(&acknowledged, 1);
        if (code != TIDE_OK && code != TIDE_CLOSED && code != TIDE_UNKNOWN) abort();
    }
    atomic_fetch_add(&answered, 1);
    tide_run_free(run);
}

struct submitter {
    pthread_t thread;
    tide_db *db;
    uint64_t accepted;
};

static const struct tide_signal view = {.type = {"view", 4}, .item = {"a", 1}};

static void *submit_some(void *arg)
{
    struct submitter *s = arg;
    for (size_t i = 0; i < 200; i++) {
        tide_run *run = tide_run_new();
        for (size_t k = 0; k < 5; k++)
            (void)tide_run_signal(run, &view, NULL); /* no memory: shows in the count below */
        if (tide_submit(s->db, run, count_answer, NULL) == TIDE_OK)
            s->accepted++;
        else
            tide_run_free(run);
    }
    return NULL;
}

/* Whatever was taken is answered, and what was answered OK is there after opening again. */
static void closing_answers_every_run_that_was_taken(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    static struct submitter submitters[THREADS];
    memset(submitters, 0, sizeof(submitters));
    atomic_store(&answered, 0);
    atomic_store(&acknowledged, 0);
    for (size_t i = 0; i < THREADS; i++) {
        submitters[i].db = db;
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_some, &submitters[i]),
                         0);
    }
    uint64_t accepted = 0;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
        accepted += submitters[i].accepted;
    }
    node_close(db);
    assert_int_equal(accepted, THREADS * 200);
    assert_int_equal(atomic_load(&answered), accepted);
    db = node_open(dir);
    assert_int_equal(node_count(db, "view", "a"), atomic_load(&acknowledged));
    node_close(db);
}

struct waiting {
    pthread_t thread;
    tide_db *db;
    enum tide_code write;
    enum tide_code wait;
};

/* Writes, then waits for a follower that never comes. */
static void *wait_for_ever(void *arg)
{
    struct waiting *w = arg;
    tide_run *run = tide_run_new();
    (void)tide_run_signal(run, &view, NULL);
    (void)tide_run_wait(run, 0, 1, 0);
    if (tide_execute(w->db, run) == TIDE_OK) {
        w->write = tide_run_result(run, 0)->code;
        w->wait = tide_run_result(run, 1)->code;
    }
    tide_run_free(run);
    return NULL;
}

static void closing_wakes_threads_that_wait(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    static struct waiting threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = (struct waiting){.db = db, .write = TIDE_BUSY, .wait = TIDE_BUSY};
        assert_int_equal(pthread_create(&threads[i].thread, NULL, wait_for_ever, &threads[i]), 0);
    }
    while (node_count(db, "view", "a") < THREADS) /* all of them are inside by then */
        continue;
    node_close(db);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
        assert_int_equal(threads[i].write, TIDE_OK);
        assert_int_not_equal(threads[i].wait, TIDE_BUSY);
    }
}

/* A callback that runs while tide_close waits. The database cannot go away before it returns. */
static void submit_from_callback(tide_run *run, void *arg)
{
    struct submitter *s = arg;
    bool is_over = tide_run_result(run, 0)->code != TIDE_OK;
    s->accepted += !is_over;
    tide_run_reset(run);
    (void)tide_run_signal(run, &view, NULL);
    if (is_over || tide_submit(s->db, run, submit_from_callback, s) != TIDE_OK) {
        atomic_fetch_add(&answered, 1);
        tide_run_free(run);
    }
}

static void callbacks_that_submit_for_ever_are_refused_in_the_end(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    atomic_store(&answered, 0);
    struct submitter endless[8] = {0};
    for (size_t i = 0; i < COUNT_OF(endless); i++) {
        endless[i].db = db;
        tide_run *run = tide_run_new();
        assert_int_equal(tide_run_signal(run, &view, NULL), 0);
        assert_int_equal(tide_submit(db, run, submit_from_callback, &endless[i]), TIDE_OK);
    }
    while (node_count(db, "view", "a") < 500)
        continue;
    node_close(db);
    assert_int_equal(atomic_load(&answered), COUNT_OF(endless));
    uint64_t accepted = 0;
    for (size_t i = 0; i < COUNT_OF(endless); i++)
        accepted += endless[i].accepted;
    db = node_open(dir);
    assert_int_equal(node_count(db, "view", "a"), accepted);
    node_close(db);
}

/* --- limits --- */

static void more_runs_than_runs_max_are_refused_busy(void **state)
{
    (void)state;
    struct tide_options options = node_options(dir);
    options.runs_max = 4;
    tide_db *db = NULL;
    assert_int_equal(tide_open(&options, &db, NULL, NULL), TIDE_OK);
    atomic_store(&answered, 0);
    for (size_t i = 0; i < 6; i++) {
        tide_run *run = tide_run_new();
        assert_int_equal(tide_run_wait(run, 0, 1, 0), 0); /* stays in flight */
        enum tide_code code = tide_submit(db, run, count_answer, NULL);
        assert_int_equal(code, i < 4 ? TIDE_OK : TIDE_BUSY);
        if (code != TIDE_OK) tide_run_free(run);
    }
    struct tide_err e = {0};
    assert_int_equal(tide_signal(db, &view, NULL, &e), TIDE_BUSY);
    assert_int_equal(e.class_, TIDE_CLASS_RETRY);
    node_close(db);
    assert_int_equal(atomic_load(&answered), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_code_has_a_word_a_name_and_a_class),
        TEST(tokens_survive_their_text),
        TEST(a_new_folder_is_made_and_found_again),
        TEST(opening_is_refused_with_a_sentence),
        TEST(a_folder_in_use_is_refused_naming_its_user),
        TEST(one_operation_calls_give_answers_and_reasons),
        TEST(threads_may_write_at_once_and_share_syncs),
        TEST(closing_answers_every_run_that_was_taken),
        TEST(closing_wakes_threads_that_wait),
        TEST(callbacks_that_submit_for_ever_are_refused_in_the_end),
        TEST(more_runs_than_runs_max_are_refused_busy),
    };
    return cmocka_run_group_tests_name("engine/api", tests, NULL, NULL);
}
