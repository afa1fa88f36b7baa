/* Tests of base/text: texts are cut and terminated, parsing takes all or nothing. */
#include "support/tm_test.h"

#include "base/text.h"

static struct slice text_slice(const char *text)
{
    return slice_of_text(text);
}

static void text_is_cut_and_terminated_when_it_is_full(void **state)
{
    (void)state;
    char buffer[8];
    struct text t = text_of(buffer, sizeof(buffer));
    assert_string_equal(buffer, "");
    text_add(&t, "%d-%s", 12, "ab");
    assert_string_equal(buffer, "12-ab");
    assert_false(t.is_cut);
    text_add(&t, "%s", "cdef");
    assert_string_equal(buffer, "12-abcd");
    assert_true(t.is_cut);
    assert_int_equal(t.size, 7);
    text_add(&t, "x");
    text_add_slice(&t, text_slice("yz"));
    text_add_hex(&t, "z", 1);
    assert_string_equal(buffer, "12-abcd");

    struct text exact = text_of(buffer, sizeof(buffer));
    text_add_slice(&exact, text_slice("1234567"));
    assert_false(exact.is_cut);
    text_add_slice(&exact, text_slice("8"));
    assert_true(exact.is_cut);
    assert_string_equal(buffer, "1234567");
}

static void bytes_are_shown_so_that_nothing_is_hidden(void **state)
{
    (void)state;
    char buffer[64];
    struct text t = text_of(buffer, sizeof(buffer));
    text_add_escaped(&t, slice_of("a b\n\x00\xff\\", 7), 100);
    assert_string_equal(buffer, "a b\\x0a\\x00\\xff\\x5c");
    t = text_of(buffer, sizeof(buffer));
    text_add_escaped(&t, text_slice("abcdef"), 3);
    assert_string_equal(buffer, "abc...");
    t = text_of(buffer, sizeof(buffer));
    text_add_hex(&t, "\x01\xab", 2);
    assert_string_equal(buffer, "01ab");
}

static void whole_numbers_parse_to_the_ends_of_their_range(void **state)
{
    (void)state;
    uint64_t u = 0;
    assert_true(parse_u64(text_slice("0"), &u));
    assert_int_equal(u, 0);
    assert_true(parse_u64(text_slice("18446744073709551615"), &u));
    assert_int_equal(u, UINT64_MAX);
    assert_false(parse_u64(text_slice("18446744073709551616"), &u));
    assert_false(parse_u64(text_slice("99999999999999999999"), &u));
    int64_t i = 0;
    assert_true(parse_i64(text_slice("9223372036854775807"), &i));
    assert_int_equal(i, INT64_MAX);
    assert_true(parse_i64(text_slice("-9223372036854775808"), &i));
    assert_int_equal(i, INT64_MIN);
    assert_false(parse_i64(text_slice("9223372036854775808"), &i));
    assert_false(parse_i64(text_slice("-9223372036854775809"), &i));
    assert_true(parse_i64(text_slice("-0"), &i));
    assert_int_equal(i, 0);
}

static void what_is_no_whole_number_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " 1", "1 ", "+1", "1.0", "0x1", "1e3", "a", "--1", "-"};
    for (size_t n = 0; n < COUNT_OF(bad); n++) {
        uint64_t u = 7;
        int64_t i = 7;
        assert_false(parse_u64(text_slice(bad[n]), &u));
        assert_false(parse_i64(text_slice(bad[n]), &i));
        assert_int_equal(u, 7);
        assert_int_equal(i, 7);
    }
    uint64_t u = 7;
    assert_false(parse_u64(text_slice("-1"), &u));
    assert_false(parse_u64(slice_of("1\0", 2), &u));
}

static void hex_parses_exactly_its_digits(void **state)
{
    (void)state;
    uint8_t out[2] = {9, 9};
    assert_true(parse_hex(text_slice("00fF"), out, 2));
    assert_memory_equal(out, "\x00\xff", 2);
    assert_false(parse_hex(text_slice("00f"), out, 2));
    assert_false(parse_hex(text_slice("00fff"), out, 2));
    assert_false(parse_hex(text_slice("00fg"), out, 2));
    assert_memory_equal(out, "\x00\xff", 2);
    assert_true(parse_hex(text_slice(""), out, 0));
}

static void sizes_and_durations_need_their_units(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(parse_size(text_slice("123"), &v));
    assert_int_equal(v, 123);
    assert_true(parse_size(text_slice("64KiB"), &v));
    assert_int_equal(v, 65536);
    assert_true(parse_size(text_slice("16MiB"), &v));
    assert_int_equal(v, 16 * MIB);
    assert_true(parse_size(text_slice("1GiB"), &v));
    assert_int_equal(v, GIB);
    assert_false(parse_size(text_slice("1GB"), &v));
    assert_false(parse_size(text_slice("1 GiB"), &v));
    assert_false(parse_size(text_slice("GiB"), &v));
    assert_false(parse_size(text_slice("1.5GiB"), &v));
    assert_false(parse_size(text_slice("17179869185GiB"), &v));

    assert_true(parse_duration(text_slice("0"), &v));
    assert_int_equal(v, 0);
    assert_true(parse_duration(text_slice("500ms"), &v));
    assert_int_equal(v, 500 * NS_PER_MS);
    assert_true(parse_duration(text_slice("2s"), &v));
    assert_int_equal(v, 2 * NS_PER_S);
    assert_true(parse_duration(text_slice("5min"), &v));
    assert_int_equal(v, 300 * NS_PER_S);
    assert_true(parse_duration(text_slice("24h"), &v));
    assert_int_equal(v, 86400 * NS_PER_S);
    assert_true(parse_duration(text_slice("7d"), &v));
    assert_int_equal(v, 7 * 86400 * NS_PER_S);
    assert_false(parse_duration(text_slice("5"), &v));
    assert_false(parse_duration(text_slice("-5s"), &v));
    assert_false(parse_duration(text_slice("5m"), &v));
    assert_false(parse_duration(text_slice("99999999999999d"), &v));
}

static void integers_print_all_their_digits(void **state)
{
    (void)state;
    uint64_t v = 1;
    for (int digits = 1; digits <= 20; digits++) {
        for (uint64_t n = v - 1; n <= v + 1; n++) {
            char out[21] = {0};
            char expected[32];
            (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)n);
            assert_int_equal(format_u64(out, n), strlen(expected));
            assert_string_equal(out, expected);
        }
        v *= 10;
    }
    char out[21] = {0};
    assert_int_equal(format_u64(out, UINT64_MAX), 20);
    assert_string_equal(out, "18446744073709551615");
}

static void token_reads_back_and_has_one_form(void **state)
{
    (void)state;
    struct position p = {.epoch = 1, .seqno = seqno_of(42), .chain = {{0x9f, 0x3a, 0x21, 0xbc, 7}}};
    struct token token = token_of(&p);
    char out[TOKEN_SIZE_MAX + 1] = {0};
    size_t size = format_token(out, &token);
    assert_string_equal(out, "1-42-9f3a21bc");
    struct token back;
    assert_true(parse_token(slice_of(out, size), &back));
    assert_int_equal(back.epoch, 1);
    assert_int_equal(back.seqno.v, 42);
    assert_memory_equal(back.chain4, p.chain.bytes, 4);

    struct token largest = {.epoch = UINT64_MAX, .seqno = {UINT64_MAX}, .chain4 = {255, 255}};
    memset(out, 0, sizeof(out));
    size = format_token(out, &largest);
    assert_true(size <= TOKEN_SIZE_MAX);
    assert_true(parse_token(slice_of(out, size), &back));
    assert_int_equal(back.seqno.v, UINT64_MAX);
}

static void damaged_tokens_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "1",
        "1-42",
        "1-42-",
        "1-42-9f3a21b",
        "1-42-9f3a21bcd",
        "1-42-9F3A21BC",
        "01-42-9f3a21bc",
        "1-042-9f3a21bc",
        "-42-9f3a21bc",
        "1--9f3a21bc",
        "1-42-9f3a21bc-",
        "1-42-9f3a21bg",
        " 1-42-9f3a21bc",
        "1-18446744073709551616-9f3a21bc",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct token token = {.epoch = 77};
        assert_false(parse_token(text_slice(bad[i]), &token));
        assert_int_equal(token.epoch, 77);
    }
}

static void words_compare_without_case(void **state)
{
    (void)state;
    assert_true(text_equal_nocase(text_slice("SiGnAl"), "signal"));
    assert_true(text_equal_nocase(text_slice(""), ""));
    assert_false(text_equal_nocase(text_slice("signals"), "signal"));
    assert_false(text_equal_nocase(text_slice("signa"), "signal"));
    assert_false(text_equal_nocase(text_slice("@"), "`"));
}

static void nearest_word_forgives_two_edits(void **state)
{
    (void)state;
    static const char *const verbs[] = {"serve", "status", "top", "import"};
    assert_string_equal(nearest_word(text_slice("sevre"), verbs, COUNT_OF(verbs)), "serve");
    assert_string_equal(nearest_word(text_slice("STATS"), verbs, COUNT_OF(verbs)), "status");
    assert_string_equal(nearest_word(text_slice("tpo"), verbs, COUNT_OF(verbs)), "top");
    assert_string_equal(nearest_word(text_slice("import"), verbs, COUNT_OF(verbs)), "import");
    assert_null(nearest_word(text_slice("replicate"), verbs, COUNT_OF(verbs)));
    assert_null(nearest_word(text_slice("xx"), verbs, COUNT_OF(verbs)));
    assert_null(nearest_word(text_slice(""), verbs, COUNT_OF(verbs)));
    char long_word[100];
    memset(long_word, 's', sizeof(long_word));
    assert_null(nearest_word(slice_of(long_word, sizeof(long_word)), verbs, COUNT_OF(verbs)));
}

static void node_ids_are_short_and_plain(void **state)
{
    (void)state;
    assert_true(is_node_id(text_slice("a")));
    assert_true(is_node_id(text_slice("Node-1.eu_west")));
    assert_false(is_node_id(text_slice("")));
    assert_false(is_node_id(text_slice("a b")));
    assert_false(is_node_id(text_slice("a/b")));
    assert_false(is_node_id(text_slice("\xc3\xa9")));
    char id[65];
    memset(id, 'x', sizeof(id));
    assert_true(is_node_id(slice_of(id, 64)));
    assert_false(is_node_id(slice_of(id, 65)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_and_terminated_when_it_is_full),
        cmocka_unit_test(bytes_are_shown_so_that_nothing_is_hidden),
        cmocka_unit_test(whole_numbers_parse_to_the_ends_of_their_range),
        cmocka_unit_test(what_is_no_whole_number_is_refused),
        cmocka_unit_test(hex_parses_exactly_its_digits),
        cmocka_unit_test(sizes_and_durations_need_their_units),
        cmocka_unit_test(integers_print_all_their_digits),
        cmocka_unit_test(token_reads_back_and_has_one_form),
        cmocka_unit_test(damaged_tokens_are_refused),
        cmocka_unit_test(words_compare_without_case),
        cmocka_unit_test(nearest_word_forgives_two_edits),
        cmocka_unit_test(node_ids_are_short_and_plain),
    };
    return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
