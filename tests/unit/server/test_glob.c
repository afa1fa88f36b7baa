/* glob: stars, question marks, case, and patterns made to be slow. */
#include "support/tm_test.h"

#include "server/glob.h"

static void patterns_match_as_people_expect(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } rows[] = {
        {"*", "", true},
        {"*", "abc", true},
        {"", "", true},
        {"", "a", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*size*", "segment_size", true},
        {"SEG*", "segment_size", true},
        {"*.source", "port.source", true},
        {"*.source", "port", false},
        {"a*b*c", "aXbXbXc", true},
        {"a*b*c", "aXbXbX", false},
        {"**", "x", true},
        {"?", "", false},
        {"abc", "abcd", false},
        {"abcd", "abc", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool matches = glob_matches(slice_of_text(rows[i].pattern), rows[i].text);
        if (matches != rows[i].matches) fail_msg("%s against %s", rows[i].pattern, rows[i].text);
    }
}

/* Each star may be tried again at each place, but never all stars at all places. */
static void hostile_patterns_end_soon(void **state)
{
    (void)state;
    char pattern[4096];
    char text[4096];
    for (size_t i = 0; i + 1 < sizeof(pattern); i += 2) {
        memcpy(pattern + i, "*a", 2);
    }
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    pattern[sizeof(pattern) - 1] = 'b';
    assert_false(glob_matches(slice_of(pattern, sizeof(pattern)), text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_people_expect),
        cmocka_unit_test(hostile_patterns_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
