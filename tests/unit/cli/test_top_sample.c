/* top_sample: a node's replies, and what is shown of them. */
#include "support/tm_test.h"

#include "base/text.h"
#include "cli/top_sample.h"

#include <stdlib.h>

static const char status_reply[] =
    "*20\r\n$4\r\nrole\r\n$6\r\nleader\r\n$2\r\nid\r\n$2\r\nn1\r\n$5\r\nstate\r\n$7\r\nserving\r\n"
    "$5\r\nepoch\r\n:3\r\n$7\r\napplied\r\n$12\r\n3-42-9f3a21b\r\n$7\r\ndurable\r\n$12\r\n"
    "3-43-9f3a21b\r\n$11\r\nlag_seconds\r\n$1\r\n0\r\n$6\r\nreason\r\n$0\r\n\r\n"
    "$9\r\nfollowers\r\n*2\r\n"
    "*12\r\n$2\r\nid\r\n$2\r\nf1\r\n$5\r\nstate\r\n$9\r\nstreaming\r\n$11\r\nlag_records\r\n:"
    "1234\r\n"
    "$9\r\nlag_bytes\r\n:99\r\n$11\r\nlag_seconds\r\n$4\r\n0.25\r\n$7\r\napplied\r\n:40\r\n"
    "*8\r\n$2\r\nid\r\n$2\r\nf2\r\n$11\r\nlag_records\r\n$-1\r\n$11\r\nlag_seconds\r\n$3\r\ninf\r\n"
    "$7\r\napplied\r\n:0\r\n"
    "$6\r\nevents\r\n*1\r\n*6\r\n$6\r\nms_ago\r\n:61500\r\n$4\r\nkind\r\n$4\r\nrole\r\n"
    "$4\r\ntext\r\n$16\r\nopened as leader\r\n";

static const char info_reply[] =
    "# Stats\r\ntotal_commands_processed:1000\r\ntotal_error_replies:x\r\nlog_bytes:2048\r\n"
    "log_segments:1\r\nuptime_in_seconds:3700\r\nconnected_clients:2\r\nnothing\r\n";

static struct resp_value values[256];
static struct top_sample sample;
static struct top_sample older;

static void fill(struct top_sample *s)
{
    uint32_t count = 0;
    size_t size = 0;
    *s = (struct top_sample){.taken_ns = 3 * NS_PER_S, .wall_ms = 1700000000000};
    assert_int_equal(
        resp_parse(slice_of_text(status_reply), values, COUNT_OF(values), &count, &size),
        RESP_WHOLE);
    top_sample_take_status(s, values);
    top_sample_take_info(s, slice_of_text(info_reply));
}

static void replies_become_a_sample(void **state)
{
    (void)state;
    fill(&sample);
    assert_int_equal(sample.numbers[TOP_APPLIED], 42);
    assert_int_equal(sample.numbers[TOP_DURABLE], 43);
    assert_int_equal(sample.numbers[TOP_COMMANDS], 1000);
    assert_int_equal(sample.numbers[TOP_ERRORS], 0);
    assert_int_equal(sample.numbers[TOP_UPTIME_S], 3700);
    assert_int_equal(sample.follower_count, 2);
    assert_string_equal(sample.texts[TOP_TEXT_EPOCH], "3");
    assert_string_equal(sample.followers[0].texts[TOP_FOLLOWER_LAG_RECORDS], "1234");
    assert_string_equal(sample.followers[1].texts[TOP_FOLLOWER_LAG_RECORDS], "");
}

static char *printed(bool is_json, const struct top_sample *before)
{
    static const struct cli_paint plain = {"", "", "", "", ""};
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    if (is_json) {
        top_sample_print_json(&sample, before, to);
    } else {
        top_sample_print(&sample, before, "h:1", &plain, to);
    }
    assert_int_equal(fclose(to), 0);
    return text;
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("'%s' is not in:\n%s", part, text);
}

static void rates_are_over_the_time_between_two_samples(void **state)
{
    (void)state;
    fill(&sample);
    older = sample;
    older.taken_ns = NS_PER_S; /* two seconds before */
    older.numbers[TOP_COMMANDS] = 0;
    older.numbers[TOP_DURABLE] = 23;
    older.numbers[TOP_LOG_BYTES] = 4096; /* went back: the node began anew */
    char *text = printed(false, &older);
    assert_contains(text, "n1  leader, epoch 3, serving, up 1 h 1 min  (h:1)\n");
    assert_contains(text, "records    10/s durable, 0/s applied, log 0 B/s\n");
    assert_contains(text, "commands   500/s, errors 0/s");
    assert_contains(text, "2 clients\n");
    assert_contains(text, "f1             streaming           1,234");
    assert_contains(text, "0.250");
    assert_contains(text, "events\n      61.5 s ago  role          opened as leader\n");
    assert_contains(text, "f2             -                       -            -          inf");
    free(text);
    text = printed(false, NULL);
    assert_contains(text, "records    -/s durable");
    free(text);
}

static void json_has_numbers_and_null_for_what_is_not_known(void **state)
{
    (void)state;
    fill(&sample);
    older = sample;
    older.taken_ns = NS_PER_S;
    older.numbers[TOP_COMMANDS] = 0;
    char *text = printed(true, &older);
    assert_contains(text, "{\"time_ms\":1700000000000,\"role\":\"leader\",\"id\":\"n1\"");
    assert_contains(text, "\"reason\":null,\"epoch\":3,");
    assert_contains(text, "\"commands\":1000,");
    assert_contains(text,
                    "\"per_second\":{\"durable_seqno\":0,\"applied_seqno\":0,\"commands\":500,");
    assert_contains(
        text,
        "{\"id\":\"f2\",\"state\":null,\"lag_records\":null,\"lag_bytes\":null,"
        "\"lag_seconds\":null,\"applied\":0,\"seconds_until_lost\":null,\"address\":null}]}\n");
    free(text);
    text = printed(true, NULL);
    assert_contains(text, "\"per_second\":null");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_become_a_sample),
        cmocka_unit_test(rates_are_over_the_time_between_two_samples),
        cmocka_unit_test(json_has_numbers_and_null_for_what_is_not_known),
    };
    return cmocka_run_group_tests_name("cli/top_sample", tests, NULL, NULL);
}
