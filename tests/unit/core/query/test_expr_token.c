/* Tests of core/query/expr_token: how a WHERE text falls into tokens. */
#include "support/tm_test.h"

#include "core/query/expr_token.h"

static void a_text_falls_into_tokens(void **state)
{
    (void)state;
    struct expr_lexer l = expr_lexer_of(
        slice_of_text("Creator = 'it\\'s'and(not a.b-c_d\t!= -1.5e+3)or x<=.5,\"\" >=>< in"));
    const struct {
        enum expr_token_kind kind;
        const char *shown;
        size_t position;
    } wanted[] = {
        {EXPR_WORD, "Creator", 1},   {EXPR_EQUAL, "=", 9},           {EXPR_TEXT, "'it\\'s'", 11},
        {EXPR_WORD, "and", 18},      {EXPR_OPEN, "(", 21},           {EXPR_WORD, "not", 22},
        {EXPR_WORD, "a.b-c_d", 26},  {EXPR_NOT_EQUAL, "!=", 34},     {EXPR_NUMBER, "-1.5e+3", 37},
        {EXPR_CLOSE, ")", 44},       {EXPR_WORD, "or", 45},          {EXPR_WORD, "x", 48},
        {EXPR_LESS_EQUAL, "<=", 49}, {EXPR_NUMBER, ".5", 51},        {EXPR_COMMA, ",", 53},
        {EXPR_TEXT, "\"\"", 54},     {EXPR_GREATER_EQUAL, ">=", 57}, {EXPR_GREATER, ">", 59},
        {EXPR_LESS, "<", 60},        {EXPR_WORD, "in", 62},          {EXPR_END, "", 64},
        {EXPR_END, "", 64},
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        struct expr_token token;
        struct err e;
        assert_int_equal(expr_token_next(&l, &token, &e), OK);
        assert_int_equal(token.kind, wanted[i].kind);
        assert_int_equal(token.position, wanted[i].position);
        assert_true(slice_equal(token.shown, slice_of_text(wanted[i].shown)));
        if (i == 0) assert_true(expr_token_is(&token, "creator"));
        if (i == 2) {
            assert_true(slice_equal(token.text, slice_of_text("it's")));
            assert_false(expr_token_is(&token, "it's"));
        }
    }
}

static void what_is_no_token_is_named_with_its_place(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum code code;
        const char *words;
    } rows[] = {
        {"  ;", E_INVALID, "unexpected ';' at character 3"},
        {"!", E_INVALID, "unexpected '!' at character 1"},
        {"- 1", E_INVALID, "unexpected '-' at character 1"},
        {"\x01", E_INVALID, "unexpected '\\x01' at character 1"},
        {"\xc3\xa9", E_INVALID, "unexpected '\\xc3' at character 1"},
        {" \"abc", E_INVALID, "text at character 2 has no closing quote"},
        {"'abc\\'", E_INVALID, "no closing quote"},
        {"'a\\n'", E_INVALID, "character 4 follows a backslash"},
        {"'a\\", E_INVALID, "backslash"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct expr_lexer l = expr_lexer_of(slice_of_text(rows[i].text));
        struct expr_token token;
        struct err e;
        assert_int_equal(expr_token_next(&l, &token, &e), rows[i].code);
        if (strstr(e.text, rows[i].words) == NULL) fail_msg("row %zu: %s", i, e.text);
    }
}

static void a_text_has_at_most_255_bytes(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'x', sizeof(text));
    text[0] = text[256] = '"';
    struct expr_lexer l = expr_lexer_of(slice_of(text, 257));
    struct expr_token token;
    struct err e;
    assert_int_equal(expr_token_next(&l, &token, &e), OK);
    assert_int_equal(token.text.size, EXPR_TEXT_MAX);
    text[256] = 'x';
    text[257] = '"';
    l = expr_lexer_of(slice_of(text, 258));
    assert_int_equal(expr_token_next(&l, &token, &e), E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_falls_into_tokens),
        cmocka_unit_test(what_is_no_token_is_named_with_its_place),
        cmocka_unit_test(a_text_has_at_most_255_bytes),
    };
    return cmocka_run_group_tests_name("core/query/expr_token", tests, NULL, NULL);
}
