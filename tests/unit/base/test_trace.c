/* Tests of base/trace: the last lines are kept in order, whatever was added before. */
#include "support/tm_test.h"

#include "base/trace.h"

static struct trace trace;

static void lines_come_back_oldest_first(void **state)
{
    (void)state;
    trace_init(&trace);
    assert_null(trace_line(&trace, 0, NULL));
    trace_add(&trace, 5, "stored %d", 1);
    trace_add(&trace, 6, "stored %d", 2);
    uint64_t at_ns = 0;
    assert_string_equal(trace_line(&trace, 0, &at_ns), "stored 1");
    assert_int_equal(at_ns, 5);
    assert_string_equal(trace_line(&trace, 1, &at_ns), "stored 2");
    assert_int_equal(at_ns, 6);
    assert_null(trace_line(&trace, 2, &at_ns));
    assert_int_equal(at_ns, 6);
}

static void full_ring_forgets_the_oldest(void **state)
{
    (void)state;
    trace_init(&trace);
    for (uint64_t i = 0; i < TRACE_LINES + 10; i++) {
        trace_add(&trace, i, "line %d", (int)i);
    }
    assert_string_equal(trace_line(&trace, 0, NULL), "line 10");
    char last[32];
    (void)snprintf(last, sizeof(last), "line %d", TRACE_LINES + 9);
    assert_string_equal(trace_line(&trace, TRACE_LINES - 1, NULL), last);
    assert_null(trace_line(&trace, TRACE_LINES, NULL));
    assert_int_equal(trace.count, TRACE_LINES + 10);
}

static void long_line_is_cut(void **state)
{
    (void)state;
    trace_init(&trace);
    char text[2 * TRACE_LINE_SIZE];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    trace_add(&trace, 1, "%s", text);
    assert_int_equal(strlen(trace_line(&trace, 0, NULL)), TRACE_LINE_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_back_oldest_first),
        cmocka_unit_test(full_ring_forgets_the_oldest),
        cmocka_unit_test(long_line_is_cut),
    };
    return cmocka_run_group_tests_name("base/trace", tests, NULL, NULL);
}
