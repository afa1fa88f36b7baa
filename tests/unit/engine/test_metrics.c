/* metrics: the text is what Prometheus reads: each name announced once, before its values; all of
 * it there; counters that only grow. */
#include "engine/metrics.h"

#include <ctype.h>

#include "base/metric.h"
#include "support/node.h"

static char *dir;
static struct node n;
static tide_run *run;

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make_fast("metrics");
    struct tide_options options = node_options(dir);
    struct err e = {.code = OK};
    if (steps_node_open(&n, &options, &e) != OK) fail_msg("open: %s", e.text);
    run = tide_run_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tide_run_free(run);
    steps_node_close(&n);
    tm_dir_remove(dir);
    return 0;
}

/* NUL-terminated copy: free it. */
static char *metrics_text(void)
{
    tide_run_reset(run);
    assert_int_equal(tide_run_metrics(run), 0);
    steps_node_execute(&n, run);
    const struct tide_result *r = tide_run_result(run, 0);
    assert_int_equal(r->code, TIDE_OK);
    char *text = calloc(1, r->as.text.size + 1);
    memcpy(text, r->as.text.data, r->as.text.size);
    return text;
}

static double value_of(const char *text, const char *series)
{
    size_t size = strlen(series);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, series, size) == 0 && line[size] == ' ')
            return strtod(line + size + 1, NULL);
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    fail_msg("no series %s", series);
    return 0;
}

static bool starts_with(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* Every line is a HELP, a TYPE of the same name, or a value of the name announced last. */
static void each_name_is_announced_once_before_its_values(void **state)
{
    (void)state;
    char *text = metrics_text();
    char names[128][96];
    size_t count = 0;
    char announced[96] = "";
    size_t lines = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char word[96];
        lines++;
        if (starts_with(line, "# HELP ")) {
            assert_int_equal(sscanf(line, "# HELP %95s", announced), 1);
            for (size_t i = 0; i < count; i++) {
                if (strcmp(names[i], announced) == 0) fail_msg("%s twice", announced);
            }
            assert_true(count < COUNT_OF(names));
            memcpy(names[count++], announced, sizeof(announced));
            assert_true(strlen(line) > strlen("# HELP ") + strlen(announced) + 5);
        } else if (starts_with(line, "# TYPE ")) {
            char type[16];
            assert_int_equal(sscanf(line, "# TYPE %95s %15s", word, type), 2);
            assert_string_equal(word, announced);
            bool is_counter = strcmp(type, "counter") == 0;
            size_t size = strlen(word);
            bool is_total = size > 6 && strcmp(word + size - 6, "_total") == 0;
            assert_int_equal(is_counter, is_total);
        } else {
            if (!starts_with(line, announced)) fail_msg("%s under %s", line, announced);
            const char *value = strrchr(line, ' ');
            char *end;
            (void)strtod(value + 1, &end); /* the end tells */
            if (*end != '\0' || end == value + 1) fail_msg("no value: %s", line);
        }
    }
    assert_true(lines > 100);
    assert_string_equal(announced, "replication_lag_seqno"); /* the last: nothing was cut off */
    free(text);
}

/* What the table promises is there on every node, whatever its role: no alert waits for a name that
 * nobody tells. */
static void everything_in_the_table_is_announced(void **state)
{
    (void)state;
    char *text = metrics_text();
    for (int i = 0; i < (int)METRIC_SERVER_FIRST; i++) {
        const struct metric_info *m = metric_info((enum metric)i);
        char head[192];
        (void)snprintf(head, sizeof(head), "# TYPE %s %s\n", m->name, metric_type_name(m->type));
        if (strstr(text, head) == NULL) fail_msg("%s is not announced", m->name);
    }
    free(text);
}

static void syncs_and_groups_are_counted(void **state)
{
    (void)state;
    char *text = metrics_text();
    double syncs = value_of(text, "tidemark_log_sync_seconds_count");
    double records = value_of(text, "tidemark_log_group_records_sum");
    free(text);
    for (int i = 0; i < 10; i++)
        assert_int_equal(steps_node_signal(&n, "a"), TIDE_OK);
    text = metrics_text();
    assert_near_double(value_of(text, "tidemark_log_sync_seconds_count"), syncs + 10, 0.1);
    assert_near_double(value_of(text, "tidemark_log_group_records_sum"), records + 10, 0.1);
    assert_near_double(value_of(text, "tidemark_log_group_records_bucket{le=\"+Inf\"}"),
                       value_of(text, "tidemark_log_group_records_count"), 0.1);
    assert_near_double(value_of(text, "tidemark_log_applied_seqno"),
                       (float)db_applied(n.db).seqno.v, 0.1);
    assert_near_double(value_of(text, "tidemark_role{role=\"single\"}"), 1, 0.1);
    assert_near_double(value_of(text, "tidemark_role{role=\"follower\"}"), 0, 0.1);
    assert_near_double(value_of(text, "tidemark_items"), 1, 0.1);
    assert_true(value_of(text, "tidemark_checkpoint_age_seconds") > 1e300);
    assert_true(value_of(text, "tidemark_recovery_seconds") >= 0);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_name_is_announced_once_before_its_values),
        TEST(everything_in_the_table_is_announced),
        TEST(syncs_and_groups_are_counted),
    };
    return cmocka_run_group_tests_name("engine/metrics", tests, NULL, NULL);
}
