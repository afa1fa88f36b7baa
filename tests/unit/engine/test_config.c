/* config: defaults and bounds of the options. */
#include "engine/config.h"

#include "format/limits.h"
#include "support/tm_test.h"

static void assert_refused(const struct tide_options *o, const char *word)
{
    struct config c;
    struct err e = {.code = OK};
    assert_int_equal(config_from_options(o, &c, &e), E_INVALID);
    if (strstr(e.text, word) == NULL) fail_msg("\"%s\" does not say %s", e.text, word);
}

static struct config taken(const struct tide_options *o)
{
    struct config c;
    struct err e = {.code = OK};
    if (config_from_options(o, &c, &e) != OK) fail_msg("%s", e.text);
    return c;
}

static void zero_means_the_documented_default(void **state)
{
    (void)state;
    struct tide_options o = {.size = sizeof(o)};
    struct config c = taken(&o);
    assert_int_equal(c.segment_size, 16 * MIB);
    assert_int_equal(c.segment_size_first, MIB);
    assert_int_equal(c.record_size_max, MIB);
    assert_int_equal(c.batch_size_max, 4 * MIB);
    assert_int_equal(c.checkpoint_interval_ns, 300 * NS_PER_S);
    assert_int_equal(c.checkpoint_log_bytes, GIB);
    assert_int_equal(c.mark_interval_ns, 10 * NS_PER_S);
    assert_int_equal(c.commit_delay_ns, 0);
    assert_int_equal(c.tail_buffer, 64 * MIB);
    assert_int_equal(c.credit, 8 * MIB);
    assert_int_equal(c.heartbeat_ns, 500 * NS_PER_MS);
    assert_int_equal(c.suspect_ns, 3 * NS_PER_S);
    assert_int_equal(c.dead_ns, 10 * NS_PER_S);
    assert_int_equal(c.clock_skew_max_ms, 5000);
    assert_int_equal(c.clock_step_max_ms, 10000);
    assert_int_equal(c.dedup_keys_max, 4000000);
    assert_int_equal(c.runs_max, 65536);
    assert_string_equal(c.follow, "");
    o.mark_interval_ms = UINT64_MAX;
    c = taken(&o);
    assert_int_equal(c.mark_interval_ns, 0);
}

/* Every number has a smallest and a largest value; the next one out is refused by name. */
static void every_number_has_bounds(void **state)
{
    (void)state;
#define ROW(field, name, min, max)                           \
    {                                                        \
        offsetof(struct tide_options, field), name, min, max \
    }
    static const struct {
        size_t offset;
        const char *name;
        uint64_t min;
        uint64_t max;
    } rows[] = {
        ROW(segment_size, "segment_size", SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX),
        ROW(record_size_max, "record_size_max", 1024, RECORD_SIZE_MAX),
        ROW(batch_size_max, "batch_size_max", 4096, BATCH_SIZE_MAX),
        ROW(checkpoint_interval_ms, "checkpoint_interval", 1, UINT64_C(31536000000)),
        ROW(checkpoint_log_bytes, "checkpoint_log_bytes", 4096, UINT64_MAX),
        ROW(mark_interval_ms, "mark_interval", 1, 86400000),
        ROW(commit_delay_us, "commit_delay", 0, 1000000),
        ROW(tail_buffer, "tail_buffer", 64 * KIB, 64 * GIB),
        ROW(credit, "credit", 64 * KIB, 4 * GIB),
        ROW(heartbeat_ms, "heartbeat", 1, 9999),
        ROW(suspect_ms, "suspect", 1, 86400000),
        ROW(dead_ms, "dead", 501, 86400000),
        ROW(clock_skew_max_ms, "clock_skew_max", 1, 3600000),
        ROW(clock_step_max_ms, "clock_step_max", 1, 86400000),
        ROW(dedup_keys_max, "dedup_keys_max", 1, UINT32_MAX - 1),
    };
#undef ROW
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tide_options o = {.size = sizeof(o)};
        uint64_t *field = (uint64_t *)(void *)((char *)&o + rows[i].offset);
        *field = rows[i].max;
        (void)taken(&o);
        if (rows[i].min > 0) {
            *field = rows[i].min;
            (void)taken(&o);
        }
        if (rows[i].min > 1) {
            *field = rows[i].min - 1;
            assert_refused(&o, rows[i].name);
        }
        if (rows[i].max == UINT64_MAX) continue;
        *field = rows[i].max + 1;
        assert_refused(&o, rows[i].name);
    }
    struct tide_options o = {.size = sizeof(o), .runs_max = (1U << 20) + 1};
    assert_refused(&o, "runs_max");
}

static void numbers_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct tide_options o = {.size = sizeof(o), .heartbeat_ms = 1000, .dead_ms = 1000};
    assert_refused(&o, "heartbeat");
    o = (struct tide_options){
        .size = sizeof(o), .record_size_max = MIB, .batch_size_max = MIB + 4095};
    assert_refused(&o, "batch_size_max");
    o.batch_size_max++;
    (void)taken(&o);
    o = (struct tide_options){.size = sizeof(o) + 8};
    assert_refused(&o, "size");
}

static void texts_are_copied_and_have_a_largest_size(void **state)
{
    (void)state;
    char text[ADDRESS_SIZE_MAX + 2];
    memset(text, 'a', sizeof(text));
    text[ADDRESS_SIZE_MAX] = '\0';
    struct tide_options o = {.size = sizeof(o),
                             .follow = text,
                             .replication_listen = text,
                             .data_address = text,
                             .http_address = text,
                             .replication_address = text};
    struct config c = taken(&o);
    assert_string_equal(c.follow, text);
    assert_string_equal(c.replication_address, text);
    text[ADDRESS_SIZE_MAX] = 'a';
    text[ADDRESS_SIZE_MAX + 1] = '\0';
    assert_refused(&o, "follow");
    text[NODE_ID_SIZE_MAX] = '\0';
    o = (struct tide_options){.size = sizeof(o), .node_id = text};
    c = taken(&o);
    assert_string_equal(c.node_id, text);
    text[NODE_ID_SIZE_MAX] = 'a';
    text[NODE_ID_SIZE_MAX + 1] = '\0';
    assert_refused(&o, "id");
    o.node_id = "a/b";
    assert_refused(&o, "a/b");
}

static void small_segments_start_small(void **state)
{
    (void)state;
    struct tide_options o = {.size = sizeof(o), .segment_size = 128 * KIB};
    struct config c = taken(&o);
    assert_int_equal(c.segment_size_first, 128 * KIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_means_the_documented_default),
        cmocka_unit_test(every_number_has_bounds),
        cmocka_unit_test(numbers_that_contradict_each_other_are_refused),
        cmocka_unit_test(texts_are_copied_and_have_a_largest_size),
        cmocka_unit_test(small_segments_start_small),
    };
    return cmocka_run_group_tests_name("engine/config", tests, NULL, NULL);
}
