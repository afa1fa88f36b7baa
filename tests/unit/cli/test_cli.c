/* Tests of cli/cli: exact options, and figures for people. */
#include "support/tm_test.h"

#include "cli/cli.h"

enum { OPTION_DIR, OPTION_JSON };
static const struct cli_option options[] = {
    [OPTION_DIR] = {"dir", "DIR", "where"},
    [OPTION_JSON] = {"json", NULL, "as JSON"},
};
static const struct cli_verb verb = {
    .name = "t",
    .positional = "[FILE]",
    .summary = "s",
    .options = options,
    .option_count = COUNT_OF(options),
    .positional_max = 1,
};

static int parse(struct cli_args *args, size_t count, const char *const *words)
{
    *args = (struct cli_args){.verb = "t"};
    return cli_parse(&verb, count, (char *const *)(uintptr_t)words, args);
}
#define PARSE(args, ...)                                                \
    parse(args, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
          (const char *[]){__VA_ARGS__})

static void options_take_values_in_both_forms(void **state)
{
    (void)state;
    struct cli_args args;
    assert_int_equal(PARSE(&args, "--dir", "x", "file", "--json"), CLI_DONE);
    assert_string_equal(args.values[OPTION_DIR], "x");
    assert_string_equal(args.values[OPTION_JSON], "");
    assert_int_equal(args.positional_count, 1);
    assert_int_equal(PARSE(&args, "--dir=--odd"), CLI_DONE);
    assert_string_equal(args.values[OPTION_DIR], "--odd");
    assert_null(args.values[OPTION_JSON]);
    assert_int_equal(PARSE(&args, "--", "--dir"), CLI_DONE);
    assert_string_equal(args.positional[0], "--dir");
    assert_int_equal(PARSE(&args, "-"), CLI_DONE);
    assert_string_equal(args.positional[0], "-");
}

/* Scripts must not come to depend on abbreviations. */
static void abbreviations_and_mistakes_are_refused(void **state)
{
    (void)state;
    struct cli_args args;
    assert_int_equal(PARSE(&args, "--js"), CLI_USAGE);
    assert_int_equal(PARSE(&args, "--DIR", "x"), CLI_USAGE);
    assert_int_equal(PARSE(&args, "--json=1"), CLI_USAGE);
    assert_int_equal(PARSE(&args, "--dir"), CLI_USAGE);
    assert_int_equal(PARSE(&args, "--dir", "--json"), CLI_USAGE);
    assert_int_equal(PARSE(&args, "--dir", "a", "--dir", "b"), CLI_USAGE);
    assert_int_equal(PARSE(&args, "-d", "x"), CLI_USAGE);
    assert_int_equal(PARSE(&args, "a", "b"), CLI_USAGE);
}

static void counts_and_sizes_are_readable(void **state)
{
    (void)state;
    char out[CLI_COUNT_SIZE];
    assert_string_equal(cli_count(0, out), "0");
    assert_string_equal(cli_count(999, out), "999");
    assert_string_equal(cli_count(1234567, out), "1,234,567");
    assert_string_equal(cli_size(512, out), "512 B");
    assert_string_equal(cli_size(1536, out), "1.5 KiB");
    assert_string_equal(cli_size(UINT64_MAX, out), "16777216.0 TiB");
}

static void json_texts_are_escaped(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    cli_json_text(to, slice_of("a\"\\\n\xc3\xa9\xff\x00\xf0\x9f\x8c\x8a\xed\xa0\x80", 15));
    (void)fclose(to);
    assert_string_equal(text, "a\\\"\\\\\\u000a\xc3\xa9\\ufffd\\u0000\xf0\x9f\x8c\x8a"
                              "\\ufffd\\ufffd\\ufffd");
    free(text);
}

static void failures_have_the_exit_code_of_their_class(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_of(OK), CLI_DONE);
    assert_int_equal(cli_exit_of(E_ROTTEN), CLI_DAMAGE);
    assert_int_equal(cli_exit_of(E_POISONED), CLI_STORAGE);
    assert_int_equal(cli_exit_of(E_INVALID), CLI_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_take_values_in_both_forms),
        cmocka_unit_test(abbreviations_and_mistakes_are_refused),
        cmocka_unit_test(counts_and_sizes_are_readable),
        cmocka_unit_test(json_texts_are_escaped),
        cmocka_unit_test(failures_have_the_exit_code_of_their_class),
    };
    return cmocka_run_group_tests_name("cli/cli", tests, NULL, NULL);
}
