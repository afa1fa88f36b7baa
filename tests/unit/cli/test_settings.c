/* Tests of cli/settings: sources in their order, and what is refused in which words. */
#include "support/tm_test.h"

#include "cli/settings.h"

static struct settings settings;
static struct err error;

static enum code take_file(const char *text)
{
    settings_init(&settings);
    memcpy(settings.file, text, strlen(text) + 1);
    return settings_take_file(&settings, strlen(text), "t.conf", &error);
}

static void assert_refused(const char *text, const char *words)
{
    assert_int_not_equal(take_file(text), OK);
    if (strstr(error.text, words) == NULL) fail_msg("\"%s\" lacks \"%s\"", error.text, words);
}

static void defaults_are_valid_and_have_their_source(void **state)
{
    (void)state;
    settings_init(&settings);
    assert_int_equal(settings_check(&settings, &error), OK);
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        assert_int_equal(settings.sources[i], SOURCE_DEFAULT);
    }
    assert_int_equal(settings.numbers[SETTING_ID_port], 7400);
    assert_int_equal(settings.numbers[SETTING_ID_segment_size], 16 * MIB);
    assert_int_equal(settings.numbers[SETTING_ID_heartbeat], 500);
}

static void later_source_wins(void **state)
{
    (void)state;
    assert_int_equal(take_file("# a comment\n\n port = 1 # why\nhttp_port=2\r\ncredit = 1MiB"), OK);
    assert_int_equal(settings_take_environment(&settings, "TIDEMARK_HTTP_PORT=3", &error), OK);
    assert_int_equal(settings_take_environment(&settings, "TIDEMARK_CONFIG=x", &error), OK);
    assert_int_equal(settings_take_environment(&settings, "HOME=/root", &error), OK);
    assert_int_equal(
        settings_set(&settings, SETTING_ID_port, "4", SOURCE_FLAG, "flag --port", &error), OK);
    assert_int_equal(settings.numbers[SETTING_ID_port], 4);
    assert_int_equal(settings.sources[SETTING_ID_port], SOURCE_FLAG);
    assert_int_equal(settings.numbers[SETTING_ID_http_port], 3);
    assert_int_equal(settings.sources[SETTING_ID_http_port], SOURCE_ENVIRONMENT);
    assert_int_equal(settings.numbers[SETTING_ID_credit], MIB);
}

static void mistakes_are_named_with_line_reason_and_nearest_match(void **state)
{
    (void)state;
    assert_refused("port = 1\nsegmentsize = 1MiB\n", "t.conf:2");
    assert_refused("segmentsize = 1MiB", "did you mean segment_size?");
    assert_refused("port = 1\nport = 2", "twice");
    assert_refused("port =# 2", "t.conf:1"); /* a comment, and no value */
    assert_refused("segment_size = 10GB", "16MiB");
    assert_refused("segment_size = -1MiB", "size");
    assert_refused("segment_size = 99999999999999GiB", "size");
    assert_refused("heartbeat = 5", "500ms");
    assert_refused("port = 70000", "0 to 65535");
    assert_refused("port", "key = value");
    assert_refused("insecure = maybe", "yes or no");
    assert_refused("id = a b", "letters");
    assert_refused("log_format = xml", "logfmt or json");
    assert_refused("connections_max = 0", "from 1 to");
    assert_refused("checkpoint_interval = 0", "above 0");
    assert_refused("heartbeat = 0", "above 0");
    assert_refused("dir =", "1 to 255 bytes");
    assert_refused("log_level = debug", "info or warn or error");
    assert_refused("port = 1\n\nport = 2",
                   "t.conf:3: port is set twice in this file, first in line 1");
    assert_refused("follow = localhost", "HOST:PORT");
    assert_refused("follow = :7402", "HOST:PORT");
    assert_refused("follow = localhost:0", "HOST:PORT");
    assert_refused("advertise = db1:99999", "HOST:PORT");
    assert_refused("completely_other = 1", "print-config");
}

static void environment_is_checked_like_a_file(void **state)
{
    (void)state;
    settings_init(&settings);
    assert_int_not_equal(settings_take_environment(&settings, "TIDEMARK_PROT=1", &error), OK);
    assert_non_null(strstr(error.text, "did you mean port?"));
    assert_int_not_equal(settings_take_environment(&settings, "TIDEMARK_PORT=x", &error), OK);
    assert_non_null(strstr(error.text, "TIDEMARK_PORT"));
}

/* A key whose function is not built yet is refused by name, never ignored; its default passes. */
static void absent_settings_pass_with_their_default_only(void **state)
{
    (void)state;
    assert_int_equal(take_file("dedup_window = 10min\n"), OK);
    assert_refused("dedup_window = 3h", "not in this version");
}

static void impossible_combinations_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "port = 9000\nhttp_port = 9000", "heartbeat = 4s", "suspect = 20s",
        "record_size_max = 8MiB",        "level = quorum", "level = stored:0",
        "level = regions:1,1",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_int_equal(take_file(texts[i]), OK);
        assert_int_not_equal(settings_check(&settings, &error), OK);
    }
    assert_int_equal(take_file("port = 0\nhttp_port = 0\nreplication_port = 0"), OK);
    assert_int_equal(settings_check(&settings, &error), OK);
}

/* What --print-config prints can be read back and says the same. */
static void printed_settings_read_back(void **state)
{
    (void)state;
    assert_int_equal(take_file("port = 1234\nsegment_size = 32MiB\nid = n1\n"), OK);
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    settings_print(&settings, to);
    (void)fclose(to);
    assert_non_null(strstr(text, "# file"));
    assert_int_equal(take_file(text), OK);
    free(text);
    assert_int_equal(settings.numbers[SETTING_ID_port], 1234);
    assert_int_equal(settings.numbers[SETTING_ID_segment_size], 32 * MIB);
    assert_string_equal(settings.values[SETTING_ID_id], "n1");
}

static void server_gets_what_was_set(void **state)
{
    (void)state;
    struct server_setting rows[SETTING_ID_COUNT];
    struct server_options options = {0};
    assert_int_equal(take_file("follow = h:1\nregion = 7\nmark_interval = 0\ninsecure = yes\n"
                               "commit_delay = 2ms\nlog_format = json"),
                     OK);
    settings_fill(&settings, rows, &options);
    assert_string_equal(options.database.follow, "h:1");
    assert_int_equal(options.database.region, 7);
    assert_true(options.database.mark_interval_ms == UINT64_MAX); /* off, not the default */
    assert_int_equal(options.database.commit_delay_us, 2000);
    assert_null(options.database.node_id);
    assert_true(options.is_insecure);
    assert_int_equal(options.log_format, SERVER_LOG_JSON);
    assert_int_equal(options.setting_count, SETTING_ID_COUNT);
    assert_string_equal(rows[SETTING_ID_region].value, "7");
    assert_string_equal(rows[SETTING_ID_region].source, "file");
}

/* What is out of the library's bounds is told with the file and line where it was said. */
static void the_value_to_blame_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"port = 0\nsegment_size = 1KiB", "segment_size = 1KiB, t.conf:2"},
        {"credit = 1KiB\ntail_buffer = 1MiB", "credit = 1KiB, t.conf:1)"},
        {"record_size_max = 1MiB\nbatch_size_max = 1MiB", "batch_size_max = 1MiB, t.conf:2"},
        {"clock_skew_max = 2h", "clock_skew_max = 2h, t.conf:1"},
        {"\nheartbeat = 4s", "(t.conf:2, the default)"},
        {"port = 9000\nhttp_port = 9000", "(t.conf:1, t.conf:2)"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(take_file(cases[i].text), OK);
        assert_int_not_equal(settings_check(&settings, &error), OK);
        if (strstr(error.text, cases[i].words) == NULL) {
            fail_msg("\"%s\" lacks \"%s\"", error.text, cases[i].words);
        }
    }
    assert_int_equal(take_file("heartbeat = 20s\nsuspect = 30s\ndead = 1min"), OK);
    assert_int_equal(settings_check(&settings, &error), OK);
}

/* A flag is its key with dashes. */
static void flags_and_keys_have_the_same_names(void **state)
{
    (void)state;
    struct cli_option options[SETTING_ID_COUNT];
    settings_options(options);
    static const char *const keys[] = {
#define X(key, ...) #key,
        SETTINGS_OF_THE_DATABASE(X) SETTINGS_OF_THE_SERVER(X) SETTINGS_NOT_IN_THIS_VERSION(X)
#undef X
    };
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        assert_int_equal(strlen(keys[i]), strlen(options[i].name));
        for (size_t j = 0; keys[i][j] != '\0'; j++) {
            assert_int_equal(keys[i][j] == '_' ? '-' : keys[i][j], options[i].name[j]);
        }
    }
}

/* Every text of a row can be set: no default is refused, and none is out of bounds. */
static void every_default_can_be_written_down(void **state)
{
    (void)state;
    settings_init(&settings);
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        struct cli_option options[SETTING_ID_COUNT];
        settings_options(options);
        for (const char *c = options[i].name; *c != '\0'; c++) {
            (void)fputc(*c == '-' ? '_' : *c, to);
        }
        (void)fprintf(to, " = %s\n", settings.values[i]);
    }
    (void)fclose(to);
    assert_int_equal(take_file(text), OK);
    assert_int_equal(settings_check(&settings, &error), OK);
    free(text);
}

static enum code change(const char *name, const char *value, struct server_setting *rows,
                        struct server_options *out)
{
    struct server_change changes[] = {{name, value}};
    return settings_change(&settings, changes, 1, rows, out, &error);
}

static void changes_at_run_time_are_judged_and_taken_over(void **state)
{
    (void)state;
    struct server_setting rows[SETTING_ID_COUNT];
    struct server_options options;
    server_options_init(&options);
    assert_int_equal(take_file("credit = 1MiB"), OK);
    settings_fill(&settings, rows, &options);
    char value[] = "2s"; /* is not looked at later */
    assert_int_equal(change("mark_interval", value, rows, &options), OK);
    value[0] = 'x';
    assert_int_equal(options.database.mark_interval_ms, 2000);
    assert_string_equal(rows[SETTING_ID_mark_interval].value, "2s");
    assert_string_equal(rows[SETTING_ID_mark_interval].source, "CONFIG SET");
    assert_int_equal(options.database.credit, MIB);
    assert_int_equal(change("mark_interval", "0", rows, &options), OK);
    assert_int_equal(change("level", "stored:1", rows, &options), OK);
    assert_string_equal(options.database.level, "stored:1");
    assert_int_equal(change("on_miss", "degrade", rows, &options), OK);
    assert_int_equal(options.database.on_miss, TIDE_MISS_DEGRADE);
    assert_true(options.database.mark_interval_ms == UINT64_MAX);

    static const struct {
        const char *name;
        const char *value;
        const char *words;
    } refused[] = {
        {"port", "1", "port is fixed at the start"},
        {"dedup_window", "1h", "dedup_window is not in this version"},
        {"level", "quorum", "unknown level 'quorum'"},
        {"on_miss", "ignore", "wait or reject or degrade is needed"},
        {"log_levl", "info", "did you mean log_level?"},
        {"log_level", "loud", "info or warn or error is needed"},
        {"clock_skew_max", "2h", "clock_skew_max = 2h, CONFIG SET"},
        {"dedup_keys_max", "00000000000000000000000000000000001", "too long"},
    };
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_int_not_equal(change(refused[i].name, refused[i].value, rows, &options), OK);
        if (strstr(error.text, refused[i].words) == NULL) fail_msg("%s", error.text);
    }
    assert_int_equal(options.database.clock_skew_max_ms, 5000);
}

/* One wrong pair, and none of them is taken over. */
static void changes_are_taken_over_all_or_none(void **state)
{
    (void)state;
    struct server_setting rows[SETTING_ID_COUNT];
    struct server_options options;
    server_options_init(&options);
    settings_init(&settings);
    settings_fill(&settings, rows, &options);
    struct server_change changes[] = {{"log_level", "error"}, {"commit_delay", "2h"}};
    assert_int_not_equal(settings_change(&settings, changes, 2, rows, &options, &error), OK);
    assert_int_equal(options.log_level, LOG_INFO);
    assert_string_equal(settings.values[SETTING_ID_log_level], "info");
    changes[1] = changes[0];
    assert_int_not_equal(settings_change(&settings, changes, 2, rows, &options, &error), OK);
    assert_non_null(strstr(error.text, "twice"));
    changes[1] = (struct server_change){"commit_delay", "1ms"};
    assert_int_equal(settings_change(&settings, changes, 2, rows, &options, &error), OK);
    assert_int_equal(options.log_level, LOG_ERROR);
    assert_int_equal(options.database.commit_delay_us, 1000);
}

static const char docs_start[] = "<!-- settings: start -->\n";
static const char docs_end[] = "<!-- settings: end -->\n";

static char *read_docs(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 256 * KIB);
    assert_non_null(text);
    assert_in_range(fread(text, 1, 256 * KIB - 1, f), 1, 256 * KIB - 2);
    (void)fclose(f);
    return text;
}

/* UPDATE=1 rewrites the table between the markers. */
static void the_table_of_the_docs_is_what_the_code_says(void **state)
{
    (void)state;
    char *wanted = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&wanted, &size);
    settings_write_docs(to);
    (void)fclose(to);
    const char *path = tm_source_path("docs/OPERATING.md");
    char *text = read_docs(path);
    char *start = strstr(text, docs_start);
    assert_non_null(start);
    start += sizeof(docs_start) - 1;
    char *end = strstr(start, docs_end);
    assert_non_null(end);
    const char *update = getenv("UPDATE");
    if (update != NULL && strcmp(update, "1") == 0) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, (size_t)(start - text), f), start - text);
        assert_true(fputs(wanted, f) >= 0 && fputs(end, f) >= 0);
        assert_int_equal(fclose(f), 0);
    } else {
        *end = '\0';
        assert_string_equal(start, wanted);
    }
    free(text);
    free(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_valid_and_have_their_source),
        cmocka_unit_test(later_source_wins),
        cmocka_unit_test(mistakes_are_named_with_line_reason_and_nearest_match),
        cmocka_unit_test(environment_is_checked_like_a_file),
        cmocka_unit_test(absent_settings_pass_with_their_default_only),
        cmocka_unit_test(impossible_combinations_are_refused),
        cmocka_unit_test(the_value_to_blame_is_named_with_its_place),
        cmocka_unit_test(every_default_can_be_written_down),
        cmocka_unit_test(changes_at_run_time_are_judged_and_taken_over),
        cmocka_unit_test(changes_are_taken_over_all_or_none),
        cmocka_unit_test(the_table_of_the_docs_is_what_the_code_says),
        cmocka_unit_test(printed_settings_read_back),
        cmocka_unit_test(server_gets_what_was_set),
        cmocka_unit_test(flags_and_keys_have_the_same_names),
    };
    return cmocka_run_group_tests_name("cli/settings", tests, NULL, NULL);
}
