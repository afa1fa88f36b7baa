/* The public calls as a whole: the table of operations against the header, every writer on a
 * follower, asynchronous twins, answers that are owned, and waiting for a position. */
#include "support/node.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/run.h"

static char *dir;
static char *follower_dir;

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make("calls");
    follower_dir = tm_dir_make("calls-follower");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(dir);
    tm_dir_remove(follower_dir);
    return 0;
}

/* --- the header --- */

static char *read_header(void)
{
    size_t size = 0;
    uint8_t *bytes = file_read(tm_source_path("include"), "tidemark.h", &size);
    char *text = realloc(bytes, size + 1);
    assert_non_null(text);
    text[size] = '\0';
    return text;
}

static bool has_word(const char *text, const char *word, const char *after)
{
    size_t size = strlen(word);
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        if (strncmp(at + size, after, strlen(after)) == 0) return true;
    }
    return false;
}

/* Copy the name that starts at `at`. */
static void copy_name(const char *at, char out[128])
{
    size_t size = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
    assert_true(size < 128);
    memcpy(out, at, size);
    out[size] = '\0';
}

/* Calls that share a row: the row's name stands for the three of them. */
static const struct {
    const char *call;
    const char *row;
} shared[] = {
    {"tide_run_item_put", "tide_run_entity_put"},
    {"tide_run_user_put", "tide_run_entity_put"},
    {"tide_run_creator_put", "tide_run_entity_put"},
    {"tide_run_item_get", "tide_run_entity_get"},
    {"tide_run_user_get", "tide_run_entity_get"},
    {"tide_run_creator_get", "tide_run_entity_get"},
    {"tide_run_item_delete", "tide_run_entity_delete"},
    {"tide_run_clock_accept", "tide_run_clock"},
};

/* A call that the row has: its own name, or the first that shares it. */
static const char *call_of_row(const char *row)
{
    for (size_t i = 0; i < COUNT_OF(shared); i++) {
        bool is_entity = strstr(row, "entity") != NULL;
        if (is_entity && strcmp(shared[i].row, row) == 0) return shared[i].call;
    }
    return row;
}

static bool has_row(const char *call)
{
    for (size_t i = 0; i < COUNT_OF(shared); i++) {
        if (strcmp(shared[i].call, call) == 0) return true;
    }
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        if (strcmp(op_call_name((enum op_kind)kind), call) == 0) return true;
    }
    return false;
}

static void every_operation_has_a_row_and_a_call(void **state)
{
    (void)state;
    char *header = read_header();
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        const char *call = call_of_row(op_call_name((enum op_kind)kind));
        if (!has_word(header, call, "(tide_run *run")) fail_msg("%s is not in the header", call);
    }
    static const char start[] = "int32_t tide_run_";
    for (const char *at = strstr(header, start); at != NULL; at = strstr(at + 1, start)) {
        char name[128];
        copy_name(at + strlen("int32_t "), name);
        if (!has_row(name)) fail_msg("%s has no row in OP_TABLE (src/engine/run.h)", name);
    }
    free(header);
}

/* Whatever waits has a twin that does not, but for what makes no sense without waiting. */
static void every_waiting_call_has_an_asynchronous_twin(void **state)
{
    (void)state;
    static const char *const alone[] = {"tide_close", "tide_submit", "tide_execute", "tide_slots",
                                        "tide_replicas"};
    static const char start[] = "enum tide_code tide_";
    char *header = read_header();
    int twins = 0;
    for (const char *at = strstr(header, start); at != NULL; at = strstr(at + 1, start)) {
        char name[128];
        char twin[140];
        copy_name(at + strlen("enum tide_code "), name);
        if (!has_word(at, name, "(tide_db *db") || strstr(name, "_async") != NULL) continue;
        bool is_alone = false;
        for (size_t i = 0; i < COUNT_OF(alone); i++) {
            is_alone = is_alone || strcmp(alone[i], name) == 0;
        }
        (void)snprintf(twin, sizeof(twin), "%s_async", name);
        if (!is_alone && !has_word(header, twin, "(tide_db *db")) fail_msg("no %s", twin);
        twins += !is_alone;
    }
    assert_true(twins > 15);
    free(header);
}

/* --- every writer on a follower --- */

static const struct tide_signal one_signal = {.type = {"view", 4}, .item = {"a", 1}};

static void add_signal(tide_run *run)
{
    (void)tide_run_signal(run, &one_signal, NULL);
}
static void add_signals(tide_run *run)
{
    (void)tide_run_signals(run, &one_signal, 1, NULL);
}
static void add_begin(tide_run *run)
{
    (void)tide_run_begin(run, NULL);
}
static void add_end(tide_run *run)
{
    (void)tide_run_end(run);
}
static void add_unsignal(tide_run *run)
{
    (void)tide_run_unsignal(run, bytes_of("like"), bytes_of("a"), bytes_of("u"), NULL);
}
static void add_member_add(tide_run *run)
{
    (void)tide_run_member_add(run, bytes_of("n"), true, NULL);
}
static void add_member_remove(tide_run *run)
{
    (void)tide_run_member_remove(run, bytes_of("n"), NULL);
}
static void add_schema_signal(tide_run *run)
{
    struct tide_schema_signal schema = {.name = bytes_of("play")};
    (void)tide_run_schema_signal(run, &schema);
}
static void add_schema_field(tide_run *run)
{
    (void)tide_run_schema_field(run, bytes_of("topic"), TIDE_FIELD_TAG);
}
static void add_entity_put(tide_run *run)
{
    struct tide_put put = {.key = bytes_of("a")};
    (void)tide_run_item_put(run, &put, NULL);
}
static void add_entity_delete(tide_run *run)
{
    (void)tide_run_item_delete(run, bytes_of("a"), NULL);
}
static void add_producer_skip(tide_run *run)
{
    (void)tide_run_producer_skip(run, bytes_of("p"), 1);
}

static void (*const writers[OP_KIND_COUNT])(tide_run *run) = {
    [OP_SIGNAL] = add_signal,
    [OP_SIGNALS] = add_signals,
    [OP_GROUP_BEGIN] = add_begin,
    [OP_GROUP_END] = add_end,
    [OP_UNSIGNAL] = add_unsignal,
    [OP_MEMBER_ADD] = add_member_add,
    [OP_MEMBER_REMOVE] = add_member_remove,
    [OP_SCHEMA_SIGNAL] = add_schema_signal,
    [OP_SCHEMA_FIELD] = add_schema_field,
    [OP_ENTITY_PUT] = add_entity_put,
    [OP_ENTITY_DELETE] = add_entity_delete,
    [OP_PRODUCER_SKIP] = add_producer_skip,
};

static void every_writer_on_a_follower_is_refused_naming_the_leader(void **state)
{
    (void)state;
    struct tide_transport *pair = NULL;
    struct tide_options options = node_options(dir);
    tide_db *leader = NULL;
    tide_db *follower = NULL;
    options.replication_listen = TIDE_TRANSPORT;
    options.data_address = "leader.example:7400";
    assert_int_equal(tide_transport_pair(0, &pair, NULL), TIDE_OK);
    assert_int_equal(tide_open(&options, &leader, NULL, NULL), TIDE_OK);
    assert_int_equal(tide_listen(leader, pair, "x", NULL), TIDE_OK);
    options = node_options(follower_dir);
    options.follow = TIDE_TRANSPORT;
    assert_int_equal(tide_open(&options, &follower, NULL, NULL), TIDE_OK);
    assert_int_equal(tide_replicate(follower, pair, "x", NULL), TIDE_OK);
    struct tide_position at = node_signal(leader, "view", "a");
    assert_int_equal(tide_wait_position(follower, &at, 20000, NULL), TIDE_OK);
    struct tide_digest before;
    struct tide_digest after;
    node_digest(follower, &before);
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        if (!op_is_write((enum op_kind)kind)) continue;
        if (!writers[kind]) fail_msg("add %s to this test", op_call_name((enum op_kind)kind));
        tide_run *run = tide_run_new();
        writers[kind](run);
        assert_int_equal(run->ops[0].kind, kind);
        assert_int_equal(tide_execute(follower, run), TIDE_OK);
        const struct tide_result *result = tide_run_result(run, 0);
        if (result->code != TIDE_READONLY) fail_msg("%s", op_call_name((enum op_kind)kind));
        assert_non_null(strstr(result->message, "leader.example:7400"));
        tide_run_free(run);
    }
    node_digest(follower, &after);
    assert_memory_equal(after.root, before.root, sizeof(after.root));
    node_close(follower);
    node_close(leader);
    tide_transport_free(pair);
}

/* --- answers that are owned --- */

static void answers_live_until_they_are_freed(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    const struct tide_result *items = NULL;
    const struct tide_result *types = NULL;
    const struct tide_result *status = NULL;
    const struct tide_result *metrics = NULL;
    struct tide_err e = {0};
    (void)node_signal(db, "view", "a");
    struct tide_retrieve request = {.profile = bytes_of("top")};
    assert_int_equal(tide_retrieve(db, &request, &items, &e), TIDE_OK);
    assert_int_equal(tide_schema_show(db, &types, &e), TIDE_OK);
    assert_int_equal(tide_status(db, &status, &e), TIDE_OK);
    assert_int_equal(tide_metrics(db, &metrics, &e), TIDE_OK);
    node_close(db); /* they do not belong to it */
    assert_int_equal(items->as.items.count, 1);
    assert_memory_equal(items->as.items.items[0].key.data, "a", 1);
    assert_int_equal(memcmp(types->as.text.data, "view ", 5), 0);
    assert_string_equal(status->as.status->state, "serving");
    assert_true(metrics->as.text.size > 100);
    tide_result_free(items);
    tide_result_free(types);
    tide_result_free(status);
    tide_result_free(metrics);
    tide_result_free(NULL);
}

static void failures_of_owned_answers_leave_nothing_behind(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    const struct tide_result *items = NULL;
    struct tide_err e = {0};
    struct tide_retrieve request = {.profile = bytes_of("no such order")};
    assert_int_equal(tide_retrieve(db, &request, &items, &e), TIDE_SCHEMA);
    assert_null(items);
    assert_non_null(strstr(e.message, "no such order"));
    node_close(db);
}

/* A slot is a follower's even while it is away; a replica is one that is there. */
static void slots_outlive_links_and_replicas_do_not(void **state)
{
    (void)state;
    struct tide_transport *pair = NULL;
    struct tide_options options = node_options(dir);
    tide_db *leader = NULL;
    tide_db *follower = NULL;
    const struct tide_result *result = NULL;
    options.replication_listen = TIDE_TRANSPORT;
    assert_int_equal(tide_transport_pair(0, &pair, NULL), TIDE_OK);
    assert_int_equal(tide_open(&options, &leader, NULL, NULL), TIDE_OK);
    assert_int_equal(tide_listen(leader, pair, "x", NULL), TIDE_OK);
    options = node_options(follower_dir);
    options.follow = TIDE_TRANSPORT;
    assert_int_equal(tide_open(&options, &follower, NULL, NULL), TIDE_OK);
    assert_int_equal(tide_replicate(follower, pair, "x", NULL), TIDE_OK);
    struct tide_position at = node_signal(leader, "view", "a");
    assert_int_equal(tide_wait_position(follower, &at, 20000, NULL), TIDE_OK);
    assert_int_equal(tide_replicas(leader, &result, NULL), TIDE_OK);
    assert_int_equal(result->as.status->follower_count, 1);
    tide_result_free(result);
    node_close(follower);
    uint32_t connected = 1;
    for (int i = 0; i < 20000 && connected > 0; i++) {
        struct timespec t = {.tv_nsec = 1000000};
        (void)nanosleep(&t, NULL);
        assert_int_equal(tide_replicas(leader, &result, NULL), TIDE_OK);
        connected = result->as.status->follower_count;
        tide_result_free(result);
    }
    assert_int_equal(connected, 0);
    assert_int_equal(tide_slots(leader, &result, NULL), TIDE_OK);
    assert_int_equal(result->as.status->follower_count, 1);
    tide_result_free(result);
    node_close(leader);
    tide_transport_free(pair);
}

/* --- waiting for a position --- */

static void a_position_is_visible_missing_lost_or_impossible(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    struct tide_err e = {0};
    struct tide_position at = node_signal(db, "view", "a");
    assert_int_equal(tide_wait_position(db, &at, 0, &e), TIDE_OK);
    struct tide_position later = {.epoch = at.epoch, .seqno = at.seqno + 1};
    assert_int_equal(tide_wait_position(db, &later, 0, &e), TIDE_STALE);
    assert_int_equal(tide_wait_position(db, &later, 20, &e), TIDE_STALE);
    assert_non_null(strstr(e.message, "not applied here yet"));
    node_close(db);
    db = node_open(dir); /* epoch 2 begins at the number that epoch 1 never gave */
    (void)node_signal(db, "view", "a");
    assert_int_equal(tide_wait_position(db, &at, 0, &e), TIDE_OK);
    assert_int_equal(tide_wait_position(db, &later, 0, &e), TIDE_LOST);
    struct tide_position number = {.seqno = later.seqno}; /* of any epoch */
    assert_int_equal(tide_wait_position(db, &number, 0, &e), TIDE_OK);
    node_close(db);
}

struct done {
    _Atomic int count;
    _Atomic int code;
    _Atomic uint64_t number;
};

static void note(const struct tide_result *result, void *arg)
{
    struct done *done = arg;
    atomic_store(&done->code, (int)result->code);
    if (result->kind == TIDE_RESULT_POSITION) {
        atomic_store(&done->number, result->as.position.seqno);
    }
    if (result->kind == TIDE_RESULT_INTEGER) atomic_store(&done->number, result->as.integer);
    atomic_fetch_add(&done->count, 1);
}

static void await(struct done *done)
{
    for (int i = 0; i < 20000 && atomic_load(&done->count) == 0; i++) {
        struct timespec t = {.tv_nsec = 1000000};
        (void)nanosleep(&t, NULL);
    }
    assert_int_equal(atomic_load(&done->count), 1);
}

static void a_waiter_wakes_when_the_write_it_waits_for_is_applied(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    struct tide_position at = node_signal(db, "view", "a");
    struct tide_position next = {.epoch = at.epoch, .seqno = at.seqno + 1};
    struct done done = {0};
    assert_int_equal(tide_wait_position_async(db, &next, UINT64_MAX, note, &done), TIDE_OK);
    assert_int_equal(tide_wait_position(db, &at, 1000, NULL), TIDE_OK); /* others are not held up */
    assert_int_equal(atomic_load(&done.count), 0);
    (void)node_signal(db, "view", "b");
    await(&done);
    assert_int_equal(atomic_load(&done.code), TIDE_OK);
    assert_int_equal(atomic_load(&done.number), next.seqno);
    struct done never = {0};
    next.seqno += 100;
    assert_int_equal(tide_wait_position_async(db, &next, UINT64_MAX, note, &never), TIDE_OK);
    node_close(db);
    await(&never);
    assert_int_equal(atomic_load(&never.code), TIDE_CLOSED);
}

static void twins_answer_as_the_waiting_calls_do(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    struct done signal = {0};
    struct done count = {0};
    struct done unknown = {0};
    assert_int_equal(tide_signal_async(db, &one_signal, note, &signal), TIDE_OK);
    await(&signal);
    assert_int_equal(atomic_load(&signal.code), TIDE_OK);
    assert_int_equal(atomic_load(&signal.number), 12);
    assert_int_equal(
        tide_count_async(db, bytes_of("view"), bytes_of("a"), bytes_of("all"), note, &count),
        TIDE_OK);
    await(&count);
    assert_int_equal(atomic_load(&count.number), 1);
    assert_int_equal(tide_score_async(db, bytes_of("nothing"), bytes_of("a"), 0, note, &unknown),
                     TIDE_OK);
    await(&unknown);
    assert_int_equal(atomic_load(&unknown.code), TIDE_SCHEMA);
    node_close(db);
}

int main(int argc, char **argv)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(every_operation_has_a_row_and_a_call),
        CASE(every_waiting_call_has_an_asynchronous_twin),
        CASE(every_writer_on_a_follower_is_refused_naming_the_leader),
        CASE(answers_live_until_they_are_freed),
        CASE(failures_of_owned_answers_leave_nothing_behind),
        CASE(slots_outlive_links_and_replicas_do_not),
        CASE(a_position_is_visible_missing_lost_or_impossible),
        CASE(a_waiter_wakes_when_the_write_it_waits_for_is_applied),
        CASE(twins_answer_as_the_waiting_calls_do),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
