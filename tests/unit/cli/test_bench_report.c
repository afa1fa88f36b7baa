/* bench_report: the same figures for people and as JSON. */
#include "support/tm_test.h"

#include "cli/bench_report.h"

#include <stdlib.h>

static char *printed(bool is_json)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    struct bench_report r;
    bench_report_init(&r, "test", is_json, to);
    bench_report_note(&r, "in a directory\n");
    bench_report_add(&r, "commit_p99", "commit, p99", 123.456, "us");
    bench_report_add(&r, "records", "records", 1234567, "/s");
    bench_report_add(&r, "floor", "against the floor", 1.5, "x");
    bench_report_end(&r);
    assert_int_equal(fclose(to), 0);
    return text;
}

static void people_read_a_line_a_figure(void **state)
{
    (void)state;
    char *text = printed(false);
    assert_non_null(strstr(text, "in a directory\ncommit, p99 "));
    assert_non_null(strstr(text, " 123.5 us\n"));
    assert_non_null(strstr(text, " 1234567 /s\n"));
    assert_non_null(strstr(text, " 1.50 x\n"));
    free(text);
}

static void programs_read_one_object(void **state)
{
    (void)state;
    char *text = printed(true);
    assert_string_equal(text, "{\"bench\":\"test\",\"commit_p99_us\":123.456,"
                              "\"records_per_second\":1234567,\"floor_ratio\":1.5}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_read_a_line_a_figure),
        cmocka_unit_test(programs_read_one_object),
    };
    return cmocka_run_group_tests_name("cli/bench_report", tests, NULL, NULL);
}
