/* Tests of cli/resp: replies whole, cut at every byte, and hostile. */
#include "support/tm_test.h"

#include "base/random.h"
#include "cli/resp.h"
#include "cli/resp_client.h"

static struct resp_value values[64];
static uint32_t count;
static size_t size;

static enum resp_result parse(const char *bytes, size_t n)
{
    return resp_parse(slice_of(bytes, n), values, COUNT_OF(values), &count, &size);
}

static void simple_replies(void **state)
{
    (void)state;
    assert_int_equal(parse("+OK\r\n", 5), RESP_WHOLE);
    assert_int_equal(values[0].kind, RESP_TEXT);
    assert_int_equal(values[0].text.size, 2);
    assert_int_equal(parse(":-42\r\n", 6), RESP_WHOLE);
    assert_int_equal(values[0].integer, -42);
    assert_int_equal(parse("-BUSY later\r\n", 13), RESP_WHOLE);
    assert_int_equal(values[0].kind, RESP_ERROR);
    assert_int_equal(resp_error_code(values[0].text), E_BUSY);
    assert_int_equal(parse("$-1\r\n", 5), RESP_WHOLE);
    assert_int_equal(values[0].kind, RESP_NULL);
    assert_int_equal(parse("*-1\r\n", 5), RESP_WHOLE);
    assert_int_equal(values[0].kind, RESP_NULL);
    assert_int_equal(parse("$0\r\n\r\n", 6), RESP_WHOLE);
    assert_int_equal(values[0].text.size, 0);
    assert_int_equal(parse("*0\r\n", 4), RESP_WHOLE);
    assert_int_equal(values[0].count, 0);
}

static const char nested[] = "*4\r\n$5\r\nitems\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*0\r\n"
                             "$5\r\nexact\r\n:1\r\n";

static void nested_reply_is_walked_by_its_spans(void **state)
{
    (void)state;
    assert_int_equal(parse(nested, sizeof(nested) - 1), RESP_WHOLE);
    assert_int_equal(size, sizeof(nested) - 1);
    assert_int_equal(count, 9);
    assert_int_equal(values[0].span, 9);
    const struct resp_value *items = resp_field(values, "items");
    assert_non_null(items);
    assert_int_equal(items->count, 2);
    assert_int_equal(items->span, 5);
    const struct resp_value *exact = resp_field(values, "exact");
    assert_non_null(exact);
    assert_int_equal(exact->integer, 1);
    assert_null(resp_field(values, "a"));
    assert_null(resp_field(values, "other"));
}

static void every_cut_asks_for_more(void **state)
{
    (void)state;
    for (size_t n = 0; n + 1 < sizeof(nested) - 1; n++) {
        assert_int_equal(parse(nested, n), RESP_MORE);
    }
}

static void what_is_no_reply_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "HTTP/1.1 400 Bad\r\n", "$-2\r\n",   "$x\r\n",  "*99999999999\r\n", ":\r\n", "\r\n",
        "+no cr\n\n",           "$1\r\nabc", "*-2\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(parse(bad[i], strlen(bad[i])), RESP_BAD);
    }
    const char deep[] = "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n";
    assert_int_equal(parse(deep, sizeof(deep) - 1), RESP_BAD);
}

/* Any change of any byte gives an answer, and never more than was there. */
static void damaged_replies_never_overrun(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("damaged replies", 5));
    char bytes[sizeof(nested)];
    for (int i = 0; i < 20000; i++) {
        memcpy(bytes, nested, sizeof(nested));
        for (int k = 0; k < 3; k++) {
            bytes[random_below(&r, sizeof(nested) - 1)] = (char)random_below(&r, 256);
        }
        if (parse(bytes, sizeof(nested) - 1) == RESP_WHOLE) {
            assert_true(size <= sizeof(nested) - 1 && count <= COUNT_OF(values));
            assert_true(values[0].span == count);
        }
    }
}

static void commands_are_arrays_of_words(void **state)
{
    (void)state;
    char bytes[100];
    struct bytes_writer w = bytes_writer_of(bytes, sizeof(bytes));
    resp_write_start(&w, 2);
    resp_write_word(&w, slice_of_text("GET"));
    resp_write_word(&w, slice_of_text(""));
    assert_false(w.is_failed);
    assert_int_equal(bytes_written(&w), strlen("*2\r\n$3\r\nGET\r\n$0\r\n\r\n"));
    assert_memory_equal(bytes, "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", bytes_written(&w));
}

static void error_words_have_their_codes(void **state)
{
    (void)state;
    assert_int_equal(resp_error_code(slice_of_text("READONLY this node follows")), E_READONLY);
    assert_int_equal(resp_error_code(slice_of_text("ERR no such command")), E_INVALID);
    assert_int_equal(resp_error_code(slice_of_text("LOADING")), E_LOADING);
    assert_int_equal(resp_error_code(slice_of_text("SOMETHINGELSE x")), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_replies),
        cmocka_unit_test(nested_reply_is_walked_by_its_spans),
        cmocka_unit_test(every_cut_asks_for_more),
        cmocka_unit_test(what_is_no_reply_is_refused),
        cmocka_unit_test(damaged_replies_never_overrun),
        cmocka_unit_test(commands_are_arrays_of_words),
        cmocka_unit_test(error_words_have_their_codes),
    };
    return cmocka_run_group_tests_name("cli/resp", tests, NULL, NULL);
}
