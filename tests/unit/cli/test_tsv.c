/* Tests of cli/tsv: what is a signal, and what is said about what is none. */
#include "support/tm_test.h"

#include "cli/tsv.h"

static char reason_text[400];

static enum tsv_verdict parse(const char *line, struct tsv_signal *out)
{
    struct text reason = text_of(reason_text, sizeof(reason_text));
    memset(out, 0, sizeof(*out));
    return tsv_parse(slice_of_text(line), out, &reason);
}

static void assert_slice(struct slice s, const char *text)
{
    assert_true(slice_equal(s, slice_of_text(text)));
}

static void assert_bad(const char *line, const char *words)
{
    struct tsv_signal signal;
    assert_int_equal(parse(line, &signal), TSV_BAD);
    if (strstr(reason_text, words) == NULL) fail_msg("\"%s\" lacks \"%s\"", reason_text, words);
}

static void whole_line_gives_all_fields(void **state)
{
    (void)state;
    struct tsv_signal signal;
    assert_int_equal(parse("1700000000000\tlike\ta b\t2.5\tu1\tk-9", &signal), TSV_SIGNAL);
    assert_int_equal(signal.at_ms, 1700000000000);
    assert_slice(signal.type, "like");
    assert_slice(signal.item, "a b");
    assert_slice(signal.weight, "2.5");
    assert_slice(signal.user, "u1");
    assert_slice(signal.key, "k-9");
}

static void trailing_fields_may_be_missing_or_empty(void **state)
{
    (void)state;
    struct tsv_signal signal;
    assert_int_equal(parse("1700000000000\tview\tx", &signal), TSV_SIGNAL);
    assert_int_equal(signal.weight.size, 0);
    assert_int_equal(signal.user.size, 0);
    assert_int_equal(parse("1700000000000\tview\tx\t\t\tk", &signal), TSV_SIGNAL);
    assert_int_equal(signal.weight.size, 0);
    assert_slice(signal.key, "k");
}

/* Files from Windows end their lines with CR LF. */
static void carriage_return_is_no_part_of_the_last_field(void **state)
{
    (void)state;
    struct tsv_signal signal;
    assert_int_equal(parse("1700000000000\tview\tx\r", &signal), TSV_SIGNAL);
    assert_slice(signal.item, "x");
    assert_int_equal(parse("\r", &signal), TSV_BLANK);
    assert_int_equal(parse("", &signal), TSV_BLANK);
    assert_int_equal(parse("  \t ", &signal), TSV_BLANK);
}

static void bad_lines_name_the_field(void **state)
{
    (void)state;
    assert_bad("1700000000000\tview", "too few");
    assert_bad("1700000000000\tview\tx\t1\tu\tk\tmore", "too many");
    assert_bad("yesterday\tview\tx", "time \"yesterday\"");
    assert_bad("\tview\tx", "time");
    assert_bad("1700000000\tview\tx", "looks like seconds");
    assert_bad("1700000000000000\tview\tx", "micro- or nanoseconds");
    assert_bad("-5\tview\tx", "looks like seconds");
    assert_bad("1700000000000\t\tx", "type is empty");
    assert_bad("1700000000000\tview\t", "item is empty");
    assert_bad("1700000000000\tview\tx\tnan", "no finite number");
    assert_bad("1700000000000\tview\tx\t1e400", "weight");
    assert_bad("1700000000000\tview\tx\t9007199254740994", "beyond 2^53");
}

/* The limit itself passes, one byte more does not. */
static void sizes_are_checked_at_their_limits(void **state)
{
    (void)state;
    char line[700];
    struct tsv_signal signal;
    (void)snprintf(line, sizeof(line), "1700000000000\tview\t%0255d", 7);
    assert_int_equal(parse(line, &signal), TSV_SIGNAL);
    (void)snprintf(line, sizeof(line), "1700000000000\tview\t%0256d", 7);
    assert_bad(line, "item has 256 bytes, the limit is 255");
    (void)snprintf(line, sizeof(line), "1700000000000\tview\tx\t1\t%0256d", 7);
    assert_bad(line, "user has 256 bytes");
    (void)snprintf(line, sizeof(line), "1700000000000\tview\tx\t1\tu\t%0256d", 7);
    assert_bad(line, "key has 256 bytes");
}

/* Whatever a file holds, the parser answers and what it quotes can be printed. */
static void hostile_bytes_are_quoted_safely(void **state)
{
    (void)state;
    assert_bad("\x1b[31m\xff\tview\tx", "\\x1b");
    struct text reason = text_of(reason_text, sizeof(reason_text));
    struct tsv_signal signal;
    struct slice line = slice_of("1700000000000\tview\ta\0b", 22);
    assert_int_equal(tsv_parse(line, &signal, &reason), TSV_SIGNAL);
    assert_int_equal(signal.item.size, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_line_gives_all_fields),
        cmocka_unit_test(trailing_fields_may_be_missing_or_empty),
        cmocka_unit_test(carriage_return_is_no_part_of_the_last_field),
        cmocka_unit_test(bad_lines_name_the_field),
        cmocka_unit_test(sizes_are_checked_at_their_limits),
        cmocka_unit_test(hostile_bytes_are_quoted_safely),
    };
    return cmocka_run_group_tests_name("cli/tsv", tests, NULL, NULL);
}
