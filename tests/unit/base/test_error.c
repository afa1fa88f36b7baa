/* Tests of base/error: the table is complete and consistent; messages are cut, never overrun. */
#include "support/tm_test.h"

#include "base/error.h"

#include <ctype.h>

struct row {
    enum code code;
    int number;
};

static const struct row rows[] = {
#define X(constant, number, word, class, meaning) {constant, number},
    ERROR_TABLE(X)
#undef X
};

static void every_code_has_word_name_meaning_and_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum code code = rows[i].code;
        assert_int_equal(code, rows[i].number);
        assert_int_equal(code, i); /* numbers are dense, so none was reused or lost */
        const char *word = code_word(code);
        assert_true(strlen(word) > 0);
        for (const char *c = word; *c != '\0'; c++) {
            assert_true(isupper((unsigned char)*c));
        }
        assert_true(strncmp(code_name(code), "E_", 2) != 0);
        assert_true(strlen(code_meaning(code)) > 0);
        assert_int_equal(code_class(code) == CLASS_NONE, code == OK);
    }
}

static void names_and_classes_of_some_codes(void **state)
{
    (void)state;
    assert_string_equal(code_word(E_READONLY), "READONLY");
    assert_string_equal(code_word(E_NOMEMORY), "OOM");
    assert_string_equal(code_name(E_ROTTEN), "ROTTEN");
    assert_string_equal(code_name(OK), "OK");
    assert_int_equal(code_class(E_BUSY), CLASS_RETRY);
    assert_int_equal(code_class(E_ROTTEN), CLASS_CORRUPTION);
}

/* A number from a newer peer gets an answer, not a crash. */
static void unlisted_number_has_an_answer(void **state)
{
    (void)state;
    enum code code = (enum code)4000;
    assert_string_equal(code_word(code), "ERR");
    assert_non_null(code_name(code));
    assert_non_null(code_meaning(code));
    assert_int_equal(code_class(code), CLASS_WORLD);
}

static void error_is_filled_where_it_is_born(void **state)
{
    (void)state;
    struct err e = {0};
    enum code code = ERR(&e, E_LIMIT, "key of %d bytes, limit is %d", 300, 255);
    assert_int_equal(code, E_LIMIT);
    assert_int_equal(e.code, E_LIMIT);
    assert_string_equal(e.text, "key of 300 bytes, limit is 255");
    assert_non_null(strstr(e.origin, "test_error.c:"));
    assert_int_equal(ERR(NULL, E_IO, "nobody listens"), E_IO);
}

static void long_message_is_cut(void **state)
{
    (void)state;
    char text[2 * ERR_TEXT_SIZE];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct err e;
    (void)ERR(&e, E_IO, "%s", text);
    assert_int_equal(strlen(e.text), ERR_TEXT_SIZE - 1);
}

static enum code two_steps(enum code first, int *reached)
{
    TRY(first);
    *reached = 1;
    return OK;
}

static void try_returns_the_first_failure(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(two_steps(E_BUSY, &reached), E_BUSY);
    assert_int_equal(reached, 0);
    assert_int_equal(two_steps(OK, &reached), OK);
    assert_int_equal(reached, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_word_name_meaning_and_class),
        cmocka_unit_test(names_and_classes_of_some_codes),
        cmocka_unit_test(unlisted_number_has_an_answer),
        cmocka_unit_test(error_is_filled_where_it_is_born),
        cmocka_unit_test(long_message_is_cut),
        cmocka_unit_test(try_returns_the_first_failure),
    };
    return cmocka_run_group_tests_name("base/error", tests, NULL, NULL);
}
