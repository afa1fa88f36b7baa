/* stats: what is counted comes out as Prometheus text, cumulative and named once. */
#include "support/tm_test.h"

#include "server/stats.h"

static void buckets_hold_what_is_at_most_their_bound(void **state)
{
    (void)state;
    assert_int_equal(stats_bucket(0), 0);
    assert_int_equal(stats_bucket(25000), 0);
    assert_int_equal(stats_bucket(25001), 1);
    assert_int_equal(stats_bucket(10000000000), STATS_BUCKETS - 2);
    assert_int_equal(stats_bucket(UINT64_MAX), STATS_BUCKETS - 1);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void metrics_are_written_once_each(void **state)
{
    (void)state;
    static struct stats s;
    stats_command_done(&s, 0, TIDE_OK, stats_bucket(30000), 30000);
    stats_command_done(&s, 0, TIDE_SCHEMA, stats_bucket(3000000), 3000000);
    stats_command_done(&s, 2, TIDE_IO, stats_bucket(UINT64_C(99000000000)), UINT64_C(99000000000));
    static const char *const labels[] = {"signal", "never", "unknown"};
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct out o;
    out_init(&o, &alloc);
    stats_write_metrics(&s, &o, labels, 3);
    out_bytes(&o, "", 1);
    const char *text = (const char *)o.data;
    assert_non_null(strstr(text, "tidemark_commands_total{command=\"signal\",outcome=\"ok\"} 1\n"));
    assert_non_null(
        strstr(text, "tidemark_commands_total{command=\"signal\",outcome=\"caller\"} 1\n"));
    assert_non_null(
        strstr(text, "tidemark_commands_total{command=\"unknown\",outcome=\"world\"} 1\n"));
    assert_null(strstr(text, "never"));
    assert_non_null(strstr(text,
                           "tidemark_command_seconds_bucket{command=\"signal\",le=\"2.5e-5\"} 0\n"
                           "tidemark_command_seconds_bucket{command=\"signal\",le=\"5e-5\"} 1\n"));
    assert_non_null(
        strstr(text, "tidemark_command_seconds_bucket{command=\"signal\",le=\"0.005\"} 2\n"));
    assert_non_null(strstr(text,
                           "tidemark_command_seconds_bucket{command=\"signal\",le=\"+Inf\"} 2\n"
                           "tidemark_command_seconds_sum{command=\"signal\"} 0.00303\n"
                           "tidemark_command_seconds_count{command=\"signal\"} 2\n"));
    assert_non_null(
        strstr(text, "tidemark_command_seconds_bucket{command=\"unknown\",le=\"10\"} 0\n"));
    assert_int_equal(count_of(text, "# HELP "), 4);
    assert_int_equal(count_of(text, "# TYPE "), 4);
    out_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_hold_what_is_at_most_their_bound),
        cmocka_unit_test(metrics_are_written_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
