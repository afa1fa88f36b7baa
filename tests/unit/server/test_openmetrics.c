/* openmetrics: the same figures in the other form, and only for who asks for it. */
#include "server/openmetrics.h"

#include "support/tm_test.h"

static void it_is_for_who_asks_for_it(void **state)
{
    (void)state;
    assert_false(openmetrics_is_wanted(NULL));
    assert_false(openmetrics_is_wanted("*/*"));
    assert_false(openmetrics_is_wanted("text/plain;version=0.0.4"));
    assert_true(openmetrics_is_wanted("application/openmetrics-text"));
    assert_true(openmetrics_is_wanted(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
        "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    assert_false(openmetrics_is_wanted("application/openmetrics-text;q=0,text/plain"));
    assert_false(openmetrics_is_wanted("application/openmetrics-text;q=0.3,text/plain;q=0.9"));
    assert_false(openmetrics_is_wanted("application/openmetrics-text;q=high"));
}

static void counters_units_bounds_and_the_end_are_rewritten(void **state)
{
    (void)state;
    struct alloc alloc;
    struct out o;
    alloc_init(&alloc, 0);
    out_init(&o, &alloc);
    out_text(&o, "# HELP tidemark_events_total Events.\n"
                 "# TYPE tidemark_events_total counter\n"
                 "tidemark_events_total{kind=\"role\"} 3\n"
                 "# HELP tidemark_log_bytes Bytes.\n"
                 "# TYPE tidemark_log_bytes gauge\n"
                 "tidemark_log_bytes 18446744073709551615\n"
                 "# HELP tidemark_command_seconds Time, a counter\n"
                 "# TYPE tidemark_command_seconds histogram\n"
                 "tidemark_command_seconds_bucket{command=\"get\",le=\"2.5e-5\"} 0\n"
                 "tidemark_command_seconds_bucket{command=\"get\",le=\"1\"} 2\n"
                 "tidemark_command_seconds_bucket{command=\"get\",le=\"+Inf\"} 2\n");
    openmetrics_rewrite(&o);
    out_bytes(&o, "", 1);
    assert_string_equal((const char *)o.data,
                        "# HELP tidemark_events Events.\n"
                        "# TYPE tidemark_events counter\n"
                        "tidemark_events_total{kind=\"role\"} 3\n"
                        "# HELP tidemark_log_bytes Bytes.\n"
                        "# TYPE tidemark_log_bytes gauge\n"
                        "# UNIT tidemark_log_bytes bytes\n"
                        "tidemark_log_bytes 18446744073709551615\n"
                        "# HELP tidemark_command_seconds Time, a counter\n"
                        "# TYPE tidemark_command_seconds histogram\n"
                        "# UNIT tidemark_command_seconds seconds\n"
                        "tidemark_command_seconds_bucket{command=\"get\",le=\"2.5e-5\"} 0\n"
                        "tidemark_command_seconds_bucket{command=\"get\",le=\"1.0\"} 2\n"
                        "tidemark_command_seconds_bucket{command=\"get\",le=\"+Inf\"} 2\n"
                        "# EOF\n");
    out_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_for_who_asks_for_it),
        cmocka_unit_test(counters_units_bounds_and_the_end_are_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
