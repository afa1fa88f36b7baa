/* jsontext: JSON words to requests, and replies in RESP3 to JSON. */
#include "support/tm_test.h"

#include "server/jsontext.h"

static struct alloc alloc;
static struct out out;
static char name[16];
static char reason[JSONTEXT_REASON_SIZE];

static int set_up(void **state)
{
    (void)state;
    alloc_init(&alloc, 16 * MIB);
    out_init(&out, &alloc);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    out_fini(&out);
    assert_int_equal(alloc.used_bytes, 0);
    return 0;
}

static const char *taken(void)
{
    out_bytes(&out, "", 1);
    out.size--;
    return (const char *)out.data;
}

static void words_become_a_request(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *request;
    } rows[] = {
        {"[\"PING\"]", "*1\r\n$4\r\nPING\r\n"},
        {" [ \"a\" , \"\" , 7 , -2.5 , 1e300 ] ",
         "*5\r\n$1\r\na\r\n$0\r\n\r\n$1\r\n7\r\n$4\r\n-2.5\r\n$5\r\n1e300\r\n"},
        {"[\"a\\u0000b\\n\\u00e9\"]", "*1\r\n$6\r\na"},
        {"[\"x\", {\"base64\": \"AP8=\"}]", "*2\r\n$1\r\nx\r\n$2\r\n"},
        {"[\"x\", {\"base64\": \"\"}]", "*2\r\n$1\r\nx\r\n$0\r\n\r\n"},
        {"[\"x\", 9223372036854775807]", "*2\r\n$1\r\nx\r\n$19\r\n9223372036854775807\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        out_reset(&out, SIZE_MAX);
        struct slice body = slice_of_text(rows[i].json);
        assert_true(jsontext_request(body, &out, name, sizeof(name), reason));
        assert_string_equal(strncmp(rows[i].request, taken(), strlen(rows[i].request)) == 0
                                ? rows[i].request
                                : taken(),
                            rows[i].request);
    }
    assert_string_equal(name, "x");
    assert_memory_equal(out.data + 4 + 7, "$19", 3);
}

static void what_is_no_command_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *words;
    } rows[] = {
        {"", "no JSON"},
        {"[\"PING\"", "no JSON"},
        {"[\"PING\"] x", "no JSON"},
        {"\"PING\"", "no JSON"},
        {"{\"a\":1}", "no array of words"},
        {"[]", "no array of words"},
        {"[\"a\", null]", "word 2 is no string"},
        {"[[\"a\"]]", "word 1 is no string"},
        {"[\"a\", {\"base64\": \"A\"}]", "word 2 is no base64"},
        {"[\"a\", {\"base64\": \"A=AA\"}]", "word 2 is no base64"},
        {"[\"a\", {\"base64\": \"AB==\"}]", "word 2 is no base64"},
        {"[\"a\", {\"base64\": \"AP8=\", \"x\": 1}]", "word 2 is no string"},
        {"[\"\xff\"]", "no JSON"},
        {"[99999999999999999999]", "no JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice body = slice_of_text(rows[i].json);
        out_reset(&out, SIZE_MAX);
        assert_false(jsontext_request(body, &out, name, sizeof(name), reason));
        if (strstr(reason, rows[i].words) == NULL) fail_msg("%s: %s", rows[i].json, reason);
    }
}

static void replies_become_json(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        const char *json;
    } rows[] = {
        {"+OK\r\n", "\"OK\""},
        {":7\r\n", "7"},
        {":007\r\n", "7"},
        {":9007199254740992\r\n", "9007199254740992"},
        {":9007199254740993\r\n", "\"9007199254740993\""},
        {":-9007199254740993\r\n", "\"-9007199254740993\""},
        {",0.5\r\n", "0.5"},
        {",inf\r\n", "\"inf\""},
        {",-inf\r\n", "\"-inf\""},
        {",nan\r\n", "\"nan\""},
        {"_\r\n", "null"},
        {"#t\r\n", "true"},
        {"#f\r\n", "false"},
        {"(123\r\n", "\"123\""},
        {"$5\r\na\"\\\n\x01\r\n", "\"a\\\"\\\\\\n\\u0001\""},
        {"$2\r\n\xc3\xa9\r\n", "\"\xc3\xa9\""},
        {"$1\r\n\xff\r\n", "{\"base64\":\"/w==\"}"},
        {"=8\r\ntxt:text\r\n", "\"text\""},
        {"*0\r\n", "[]"},
        {"%0\r\n", "{}"},
        {"*2\r\n:1\r\n*1\r\n~2\r\n+a\r\n_\r\n", "[1,[[\"a\",null]]]"},
        {"%2\r\n$1\r\na\r\n*1\r\n%1\r\n+b\r\n,1\r\n:5\r\n_\r\n", "{\"a\":[{\"b\":1}],\"5\":null}"},
        {"%1\r\n$1\r\n\xff\r\n#t\r\n", "{\"base64:/w==\":true}"},
        {"*1\r\n-ERR x\r\n", "[{\"error\":\"ERR x\"}]"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice bytes = slice_of_text(rows[i].reply);
        struct slice error;
        out_reset(&out, SIZE_MAX);
        assert_int_equal(jsontext_reply(&bytes, &out, &error), JSONTEXT_VALUE);
        assert_string_equal(taken(), rows[i].json);
        assert_int_equal(bytes.size, 0);
    }
}

static void an_error_line_is_told_apart(void **state)
{
    (void)state;
    struct slice bytes = slice_of_text("-READONLY go away\r\n+OK\r\n");
    struct slice error;
    assert_int_equal(jsontext_reply(&bytes, &out, &error), JSONTEXT_ERROR);
    assert_true(slice_equal(error, slice_of_text("READONLY go away")));
    assert_int_equal(out.size, 0);
    assert_int_equal(bytes.size, 5); /* the next reply */
}

/* Cut anywhere, or something that is no RESP3: never taken for a reply. */
static void what_is_not_whole_is_broken(void **state)
{
    (void)state;
    static const char whole[] = "%1\r\n$1\r\na\r\n*2\r\n:1\r\n=5\r\ntxt:x\r\n";
    struct slice error;
    for (size_t size = 0; size < sizeof(whole) - 1; size++) {
        struct slice bytes = slice_of(whole, size);
        assert_int_equal(jsontext_reply(&bytes, &out, &error), JSONTEXT_BROKEN);
    }
    static const char *const broken[] = {
        "x\r\n",       "$5\r\nab\r\n",        ":x\r\n", "$18446744073709551615\r\na\r\n",
        "#x\r\n",      "*99999999999999\r\n", "\r\n",   "%1\r\n*1\r\n:1\r\n:1\r\n",
        ",1e999x\r\n", "=2\r\nab\r\n",        "_x\r\n", "-ERR",
        ">1\r\n:1\r\n"};
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct slice bytes = slice_of_text(broken[i]);
        assert_int_equal(jsontext_reply(&bytes, &out, &error), JSONTEXT_BROKEN);
    }
    char deep[4 * (JSONTEXT_DEPTH_MAX + 1) + 1];
    for (size_t i = 0; i <= JSONTEXT_DEPTH_MAX; i++) {
        memcpy(deep + 4 * i, "*1\r\n", 5);
    }
    struct slice bytes = slice_of_text(deep);
    assert_int_equal(jsontext_reply(&bytes, &out, &error), JSONTEXT_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_become_a_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_command_is_refused_with_a_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(replies_become_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_error_line_is_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_whole_is_broken, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server/jsontext", tests, NULL, NULL);
}
