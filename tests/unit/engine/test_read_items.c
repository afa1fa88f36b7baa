/* Tests of engine/read_items through the public interface: pages by cursor, what a cursor is
 * refused for, and terms. Orders and formulas are tried in tests/unit/core/query. */
#include "support/node.h"

enum { ITEMS = 40, LISTING_MAX = 200 };

static char *dir;
static tide_db *db;
static tide_run *run;

static int begin(void **state)
{
    (void)state;
    dir = tm_dir_make("read_items");
    db = node_open(dir);
    run = tide_run_new();
    assert_non_null(run);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tide_run_free(run);
    node_close(db);
    tm_dir_remove(dir);
    return 0;
}

static void populate(void)
{
    for (int i = 0; i < ITEMS; i++) {
        char item[32];
        (void)snprintf(item, sizeof(item), "item-%d", i);
        for (int k = 0; k <= i % 7; k++) {
            (void)node_signal(db, k % 3 == 2 ? "skip" : "view", item);
        }
        if (i % 5 == 0) (void)node_signal(db, "share", item);
    }
}

/* The result stays until the next call. */
static const struct tide_result *ask(const struct tide_retrieve *request)
{
    tide_run_reset(run);
    assert_int_equal(tide_run_retrieve(run, request), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    return tide_run_result(run, 0);
}

static const struct tide_items *ask_items(const struct tide_retrieve *request)
{
    const struct tide_result *result = ask(request);
    if (result->code != TIDE_OK) fail_msg("%s", result->message);
    assert_int_equal(result->kind, TIDE_RESULT_ITEMS);
    return &result->as.items;
}

/* Copy of a cursor, so that it outlives the run's reset. */
struct held {
    char text[4096];
    struct tide_bytes bytes;
};

static void hold(struct held *h, struct tide_bytes cursor)
{
    assert_true(cursor.size <= sizeof(h->text));
    if (cursor.size > 0) memcpy(h->text, cursor.data, cursor.size);
    h->bytes = (struct tide_bytes){h->text, cursor.size};
}

static uint32_t list_all(const char *profile, uint32_t limit, char keys[LISTING_MAX][16],
                         bool is_writing)
{
    struct held held = {.bytes = {0}};
    uint32_t count = 0;
    do {
        struct tide_retrieve request = {
            .profile = bytes_of(profile), .limit = limit, .cursor = held.bytes};
        const struct tide_items *items = ask_items(&request);
        for (uint32_t i = 0; i < items->count; i++) {
            assert_true(count < LISTING_MAX);
            (void)snprintf(keys[count++], 16, "%.*s", (int)items->items[i].key.size,
                           (const char *)items->items[i].key.data);
        }
        hold(&held, items->cursor);
        if (is_writing && count > 0) (void)node_signal(db, "skip", keys[0]);
        if (is_writing && count > 0) (void)node_signal(db, "skip", keys[count - 1]);
    } while (held.bytes.size > 0);
    return count;
}

static const char *const profiles[] = {
    "new", "top", "hot", "best", "controversial", "most_viewed", "decayed:view",
};

static void pages_together_are_the_whole_list(void **state)
{
    (void)state;
    populate();
    static char whole[LISTING_MAX][16];
    static char paged[LISTING_MAX][16];
    for (size_t p = 0; p < COUNT_OF(profiles); p++) {
        uint32_t count = list_all(profiles[p], 1000, whole, false);
        assert_true(count > 20);
        for (uint32_t limit = 1; limit < 50; limit += 6) {
            assert_int_equal(list_all(profiles[p], limit, paged, false), count);
            assert_memory_equal(whole, paged, count * sizeof(whole[0]));
        }
    }
}

static void nothing_comes_twice_while_writing(void **state)
{
    (void)state;
    populate();
    static char keys[LISTING_MAX][16];
    for (size_t p = 0; p < COUNT_OF(profiles); p++) {
        uint32_t count = list_all(profiles[p], 1, keys, true);
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t k = 0; k < i; k++) {
                if (strcmp(keys[i], keys[k]) == 0) fail_msg("%s came twice", keys[i]);
            }
        }
    }
}

static void terms_add_up_to_the_score(void **state)
{
    (void)state;
    populate();
    for (size_t p = 0; p < COUNT_OF(profiles); p++) {
        struct tide_retrieve request = {.profile = bytes_of(profiles[p]), .is_explain = true};
        const struct tide_items *items = ask_items(&request);
        assert_int_equal(items->count, 10);
        for (uint32_t i = 0; i < items->count; i++) {
            const struct tide_item *item = &items->items[i];
            assert_true(item->term_count > 0);
            double sum = item->terms[0].value;
            for (uint32_t k = 1; k < item->term_count; k++) {
                assert_true(strlen(item->terms[k].name) > 0);
                sum += item->terms[k].value;
            }
            assert_same_double(sum, item->score);
        }
        request.is_explain = false;
        assert_null(ask_items(&request)->items[0].terms);
    }
}

static void check_refused(const struct tide_retrieve *request, enum tide_code code,
                          const char *words)
{
    const struct tide_result *result = ask(request);
    assert_int_equal(result->code, code);
    if (strstr(result->message, words) == NULL) fail_msg("%s", result->message);
}

static void wrong_cursors_are_refused_in_words(void **state)
{
    (void)state;
    populate();
    struct tide_retrieve request = {
        .profile = bytes_of("hot"), .limit = 5, .now_ms = 1700000000000};
    struct held held;
    hold(&held, ask_items(&request)->cursor);
    assert_true(held.bytes.size > 0);
    request.cursor = held.bytes;
    assert_int_equal(ask_items(&request)->count, 5);
    request.profile = bytes_of("best");
    check_refused(&request, TIDE_INVALID, "another profile");
    request.profile = bytes_of("hot");
    request.now_ms = 1700000000001;
    check_refused(&request, TIDE_INVALID, "NOW 1700000000001");
    request.now_ms = 0; /* the cursor's */
    assert_int_equal(ask_items(&request)->count, 5);
    held.text[9] ^= 1;
    check_refused(&request, TIDE_INVALID, "damaged");
    request.cursor = bytes_of("not a cursor");
    check_refused(&request, TIDE_INVALID, "damaged");
    request.cursor = (struct tide_bytes){0};
    request.limit = 1001;
    check_refused(&request, TIDE_LIMIT, "1000");
    request.limit = 1;
    request.profile = bytes_of("for_you");
    check_refused(&request, TIDE_UNSUPPORTED, "for_you");
}

/* A field that no item has yet: comparisons are false, and `not` of them true. */
static void where_is_judged_and_belongs_to_the_cursor(void **state)
{
    (void)state;
    populate();
    struct tide_retrieve request = {.profile = bytes_of("top"), .limit = 5};
    request.where = bytes_of("shelf = \"a\"");
    check_refused(&request, TIDE_SCHEMA, "unknown field shelf at character 1");
    struct tide_err e;
    assert_int_equal(tide_schema_field(db, bytes_of("shelf"), TIDE_FIELD_TAG, NULL, &e), TIDE_OK);
    assert_int_equal(ask_items(&request)->count, 0);
    request.where = bytes_of("not shelf = \"a\"");
    struct held held;
    hold(&held, ask_items(&request)->cursor);
    request.cursor = held.bytes;
    assert_int_equal(ask_items(&request)->count, 5);
    request.where = bytes_of("not shelf = \"b\"");
    check_refused(&request, TIDE_INVALID, "another profile or another WHERE");
    request.where = (struct tide_bytes){0};
    check_refused(&request, TIDE_INVALID, "another profile or another WHERE");
    request.cursor = (struct tide_bytes){0};
    request.where = bytes_of("created_at < 1000");
    assert_int_equal(ask_items(&request)->count, 0);
    request.where = bytes_of("created_at >= 1000");
    assert_int_equal(ask_items(&request)->count, 5);
    request.where = bytes_of("shelf = 5");
    check_refused(&request, TIDE_SCHEMA, "compared with a text in quotes");
    request.where = bytes_of("shelf =");
    check_refused(&request, TIDE_SCHEMA, "not with the end");
    request.where = bytes_of("(((");
    check_refused(&request, TIDE_INVALID, "is expected at character 4");
    static char long_text[70000];
    memset(long_text, ' ', sizeof(long_text));
    request.where = (struct tide_bytes){long_text, sizeof(long_text)};
    check_refused(&request, TIDE_LIMIT, "65536");
}

/* A node that has not applied what the page before showed: a copy of its files from before. */
static void a_cursor_from_the_future_has_to_wait(void **state)
{
    (void)state;
    populate();
    char *copy = tm_dir_make("read_items_copy");
    node_close(db);
    files_copy(dir, copy);
    db = node_open(dir);
    for (int i = 0; i < 100; i++)
        (void)node_signal(db, "view", "item-1");
    struct tide_retrieve request = {.profile = bytes_of("top"), .limit = 5};
    struct held held;
    hold(&held, ask_items(&request)->cursor);
    node_close(db);
    db = node_open(copy);
    request.cursor = held.bytes;
    check_refused(&request, TIDE_STALE, "this node has applied");
    node_close(db);
    db = node_open(dir);
    assert_int_equal(ask_items(&request)->count, 5);
    tm_dir_remove(copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pages_together_are_the_whole_list),
        TEST(nothing_comes_twice_while_writing),
        TEST(terms_add_up_to_the_score),
        TEST(wrong_cursors_are_refused_in_words),
        TEST(where_is_judged_and_belongs_to_the_cursor),
        TEST(a_cursor_from_the_future_has_to_wait),
    };
    return cmocka_run_group_tests_name("engine/read_items", tests, NULL, NULL);
}
