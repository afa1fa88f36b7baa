/* metric: the table holds what Prometheus asks of names, and the text is as it reads it. */
#include "base/metric.h"

#include <math.h>

#include "support/tm_test.h"

static bool ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text);
    size_t ending_size = strlen(ending);
    return size >= ending_size && strcmp(text + size - ending_size, ending) == 0;
}

static void names_say_unit_and_kind(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *m = metric_info((enum metric)i);
        assert_int_equal(m->type == METRIC_COUNTER, ends_with(m->name, "_total"));
        char ending[64];
        (void)snprintf(ending, sizeof(ending), "_%s%s", m->unit,
                       m->type == METRIC_COUNTER ? "_total" : "");
        /* A forecast says of what: "disk_seconds_until_full". */
        bool is_forecast = strstr(m->name, "_seconds_until_") != NULL;
        if (m->unit[0] != '\0' && !is_forecast) assert_true(ends_with(m->name, ending));
        bool is_seconds = strstr(m->name, "_seconds") != NULL;
        bool is_bytes = strstr(m->name, "_bytes") != NULL;
        assert_string_equal(m->unit, is_seconds ? "seconds" : is_bytes ? "bytes" : "");
        assert_true(strncmp(m->name, "tidemark_", 9) == 0 || i == METRIC_LAG_SEQNO);
        assert_true(ends_with(m->help, "."));
        assert_null(strpbrk(m->help, "\\\n"));
        assert_non_null(strchr(m->panel, '/'));
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(m->name, metric_info((enum metric)k)->name);
        }
    }
}

static void values_are_written_exactly(void **state)
{
    (void)state;
    char room[2048];
    struct text t = text_of(room, sizeof(room));
    struct metric_writer w;
    metric_writer_init(&w, &t);
    metric_one_u64(&w, METRIC_DURABLE, UINT64_MAX);
    metric_begin(&w, METRIC_LAG_SECONDS);
    metric_f64(&w, "follower=\"a\"", (double)INFINITY);
    metric_f64(&w, "follower=\"b\"", 0.25);
    assert_string_equal(
        room, "# HELP tidemark_log_durable_seqno Highest record number fsynced in this node's own "
              "log.\n# TYPE tidemark_log_durable_seqno gauge\n"
              "tidemark_log_durable_seqno 18446744073709551615\n"
              "# HELP tidemark_replication_lag_seconds Upper bound of the follower's staleness: "
              "about a heartbeat when idle, growing with the wall clock while the link is cut, "
              "+Inf when it never synced.\n# TYPE tidemark_replication_lag_seconds gauge\n"
              "tidemark_replication_lag_seconds{follower=\"a\"} +Inf\n"
              "tidemark_replication_lag_seconds{follower=\"b\"} 0.25\n");
}

static void buckets_are_cumulative(void **state)
{
    (void)state;
    static const struct metric_bounds bounds = {.count = 2, .upper = {0.5, 2}};
    struct metric_histogram h = {0};
    char room[2048];
    struct text t = text_of(room, sizeof(room));
    struct metric_writer w;
    metric_observe(&h, &bounds, 0.5);
    metric_observe(&h, &bounds, 1);
    metric_observe(&h, &bounds, 3);
    metric_writer_init(&w, &t);
    metric_begin(&w, METRIC_STAGE_SECONDS);
    metric_histogram_rows(&w, "stage=\"sync\"", &h, &bounds);
    const char *rows = strstr(room, "histogram\n");
    assert_non_null(rows);
    assert_string_equal(rows,
                        "histogram\n"
                        "tidemark_replication_stage_seconds_bucket{stage=\"sync\",le=\"0.5\"} 1\n"
                        "tidemark_replication_stage_seconds_bucket{stage=\"sync\",le=\"2\"} 2\n"
                        "tidemark_replication_stage_seconds_bucket{stage=\"sync\",le=\"+Inf\"} 3\n"
                        "tidemark_replication_stage_seconds_sum{stage=\"sync\"} 4.5\n"
                        "tidemark_replication_stage_seconds_count{stage=\"sync\"} 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_say_unit_and_kind),
        cmocka_unit_test(values_are_written_exactly),
        cmocka_unit_test(buckets_are_cumulative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
