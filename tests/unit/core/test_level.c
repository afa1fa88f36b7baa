/* Tests of core/level: texts in, texts out, what is refused and in which words. */
#include "support/tm_test.h"

#include "core/level.h"

static void every_level_has_one_text(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *shown;
    } rows[] = {
        {"local", "local"},
        {"LOCAL", "local"},
        {"stored:1", "stored:1"},
        {"Stored:64", "stored:64"},
        {"applied:2", "applied:2"},
        {"majority", "majority"},
        {"regions:0", "regions:0"},
        {"regions:3,1", "regions:1,3"},
        {"regions:65535,65534,65533,65532", "regions:65532,65533,65534,65535"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct level level;
        struct level again;
        char text[LEVEL_TEXT_SIZE];
        struct err e = {.code = OK};
        assert_int_equal(level_parse(slice_of_text(rows[i].given), &level, &e), OK);
        assert_int_equal(level_format(&level, text), strlen(rows[i].shown));
        assert_string_equal(text, rows[i].shown);
        assert_int_equal(level_parse(slice_of_text(text), &again, &e), OK);
        assert_true(level_equal(&level, &again));
    }
}

static void what_is_no_level_is_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        enum code code;
        const char *says;
    } rows[] = {
        {"", E_INVALID, "unknown level ''"},
        {"quorum", E_INVALID, "unknown level 'quorum': local, stored:k"},
        {"default", E_INVALID, "unknown level"},
        {"local:1", E_INVALID, "unknown level"},
        {"majority:2", E_INVALID, "unknown level"},
        {"stored", E_INVALID, "needs a number of followers, like stored:1"},
        {"stored:", E_INVALID, "needs a number"},
        {"stored:x", E_INVALID, "needs a number"},
        {"stored:0", E_LIMIT, "1 to 64"},
        {"applied:65", E_LIMIT, "1 to 64"},
        {"stored:18446744073709551616", E_INVALID, "needs a number"},
        {"regions", E_INVALID, "unknown level"},
        {"regions:", E_INVALID, "unknown level"},
        {"regions:1,", E_INVALID, "region numbers"},
        {"regions:a", E_INVALID, "region numbers"},
        {"regions:65536", E_INVALID, "region numbers"},
        {"regions:1,1", E_INVALID, "names region 1 twice"},
        {"regions:1,2,3,4,5", E_LIMIT, "at most 4 regions"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct level level = {.kind = 77};
        struct err e = {.code = OK};
        assert_int_equal(level_parse(slice_of_text(rows[i].given), &level, &e), rows[i].code);
        if (strstr(e.text, rows[i].says) == NULL) fail_msg("%s: %s", rows[i].given, e.text);
        assert_int_equal(level.kind, 77);
    }
}

/* Levels also come as structs, from programs. */
static void a_struct_is_judged_like_a_text(void **state)
{
    (void)state;
    struct err e = {.code = OK};
    struct level ok = {.kind = LEVEL_REGIONS, .count = 2, .regions = {9, 2, 7, 7}};
    assert_int_equal(level_check(&ok, &e), OK);
    assert_int_equal(ok.regions[0], 2);
    assert_int_equal(ok.regions[1], 9);
    assert_int_equal(ok.regions[2], 0);
    struct level plain = {.kind = LEVEL_MAJORITY, .count = 3, .regions = {1}};
    assert_int_equal(level_check(&plain, &e), OK);
    assert_int_equal(plain.count, 0);
    assert_int_equal(plain.regions[0], 0);
    struct level none = {.kind = LEVEL_DEFAULT};
    assert_int_equal(level_check(&none, &e), OK);
    struct level wrong[] = {
        {.kind = LEVEL_KINDS},
        {.kind = LEVEL_STORED},
        {.kind = LEVEL_APPLIED, .count = 65},
        {.kind = LEVEL_REGIONS},
        {.kind = LEVEL_REGIONS, .count = 5},
        {.kind = LEVEL_REGIONS, .count = 2, .regions = {3, 3}},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_not_equal(level_check(&wrong[i], &e), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_has_one_text),
        cmocka_unit_test(what_is_no_level_is_refused_in_words),
        cmocka_unit_test(a_struct_is_judged_like_a_text),
    };
    return cmocka_run_group_tests_name("core/level", tests, NULL, NULL);
}
