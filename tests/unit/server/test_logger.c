/* logger: lines are whole in both forms, whatever the values are made of. */
#include "support/tm_test.h"

#include "server/logger.h"

static const int64_t when_us = INT64_C(1700000000123456);

static void assert_line(enum server_log_format format, const struct log_field *fields, size_t count,
                        const char *wanted)
{
    char line[LOG_LINE_SIZE_MAX];
    struct log_line given = {
        .wall_us = when_us,
        .level = LOG_WARN,
        .message = "it happened",
        .fields = fields,
        .count = count,
    };
    size_t size = logger_format(line, format, &given);
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(line, wanted, size);
}

static void lines_have_both_forms(void **state)
{
    (void)state;
    const struct log_field fields[] = {
        LOG_TEXT("who", "10.0.0.1:7"),
        LOG_TEXT("why", "say \"no\"\n\x01"),
        LOG_TEXT("none", ""),
        LOG_U64("count", UINT64_MAX),
    };
    assert_line(SERVER_LOG_LOGFMT, fields, COUNT_OF(fields),
                "ts=2023-11-14T22:13:20.123456Z level=warn msg=\"it happened\" who=10.0.0.1:7 "
                "why=\"say \\\"no\\\"\\u000a\\u0001\" none=\"\" count=18446744073709551615\n");
    assert_line(
        SERVER_LOG_JSON, fields, COUNT_OF(fields),
        "{\"ts\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"warn\",\"msg\":\"it happened\","
        "\"who\":\"10.0.0.1:7\",\"why\":\"say \\\"no\\\"\\u000a\\u0001\",\"none\":\"\","
        "\"count\":18446744073709551615}\n");
    assert_line(SERVER_LOG_LOGFMT, NULL, 0,
                "ts=2023-11-14T22:13:20.123456Z level=warn msg=\"it happened\"\n");
}

/* A field that does not fit is left out; the line stays a line. */
static void long_values_leave_the_line_whole(void **state)
{
    (void)state;
    char big[4096];
    memset(big, '"', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    const struct log_field fields[] = {LOG_U64("first", 1), LOG_TEXT("big", big),
                                       LOG_U64("last", 2)};
    assert_line(SERVER_LOG_LOGFMT, fields, COUNT_OF(fields),
                "ts=2023-11-14T22:13:20.123456Z level=warn msg=\"it happened\" first=1\n");
    assert_line(
        SERVER_LOG_JSON, fields, COUNT_OF(fields),
        "{\"ts\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"warn\",\"msg\":\"it happened\","
        "\"first\":1}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_both_forms),
        cmocka_unit_test(long_values_leave_the_line_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
