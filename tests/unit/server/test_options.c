/* options: bounds of values, seen through what the database is asked. What is refused, and how, is
 * in test_commands. */
#include "support/tm_test.h"

#include "support/fake/client.h"

static struct client client;

static int set_up(void **state)
{
    (void)state;
    (void)client_service();
    client_open(&client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client_close(&client);
    client_service_end();
    return 0;
}

static void values_at_their_bounds_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *say;
        const char *asked;
    } rows[] = {
        {"SIGNAL view a AT 100000000000\r\n", "run\nsignal view a at=100000000000\n"},
        {"SIGNAL view a AT 100000000000000\r\n", "run\nsignal view a at=100000000000000\n"},
        {"SIGNAL view a W 0\r\n", "run\nsignal view a w=0\n"},
        {"SIGNAL view a W -0\r\n", "run\nsignal view a w=-0\n"},
        {"SIGNAL view a W 5e-324\r\n", "run\nsignal view a w=4.9406564584124654e-324\n"},
        {"SIGNAL view a W -9007199254740992\r\n", "run\nsignal view a w=-9007199254740992\n"},
        {"SIGNAL view a PRODUCER p 18446744073709551615\r\n",
         "run\nsignal view a producer=p n=18446744073709551615\n"},
        {"RETRIEVE top LIMIT 1000\r\n", "run\nretrieve top limit=1000 now=0 excludes=0\n"},
        {"retrieve top exclude 1 LIMIT limit 3\r\n",
         "run\nretrieve top limit=3 now=0 excludes=1 first=LIMIT\n"},
        {"SCHEMA.SIGNAL x HALFLIFE 1ms\r\n",
         "run\nschema x halflives=1,0 windows=0 mode=0 negative=0\n"},
        {"SCHEMA.SIGNAL x WINDOWS 1h,24h,7d,30d,all MODE count POLARITY +\r\n",
         "run\nschema x halflives=0,0 windows=31 mode=1 negative=0\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)client_ask(&client, rows[i].say);
        assert_string_equal(fake_asked(), rows[i].asked);
    }
}

static void values_beyond_their_bounds_are_not(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "SIGNAL view a AT 99999999999\r\n",
        "SIGNAL view a AT 100000000000001\r\n",
        "SIGNAL view a AT 9223372036854775808\r\n",
        "SIGNAL view a AT 1.7e12\r\n",
        "SIGNAL view a W 9007199254740993\r\n", /* rounds to 2^53 + 2 or 2^53: see below */
        "SIGNAL view a W 1e999999999999\r\n",
        "SIGNAL view a W 0x10\r\n",
        "SIGNAL view a W \"\"\r\n",
        "SIGNAL view a W \" 1\"\r\n",
        "SIGNAL view a PRODUCER p 18446744073709551616\r\n",
        "SIGNAL view a PRODUCER p -1\r\n",
        "RETRIEVE top LIMIT -1\r\n",
        "RETRIEVE top NOW 5\r\n",
        "RETRIEVE top EXCLUDE 18446744073709551615\r\n",
        "SCHEMA.SIGNAL x HALFLIFE 1us\r\n",
        "SCHEMA.SIGNAL x HALFLIFE 0\r\n",
        "SCHEMA.SIGNAL x HALFLIFE ,\r\n",
        "SCHEMA.SIGNAL x WINDOWS \"\"\r\n",
        "SCHEMA.SIGNAL x POLARITY +-\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool is_tie = strstr(rows[i], "9007199254740993") != NULL; /* ties to even: it is 2^53 */
        assert_int_equal(client_ask(&client, rows[i])[0], is_tie ? '$' : '-');
        assert_true(is_tie == (fake_asked()[0] != '\0'));
    }
}

/* EXCLUDE takes as many keys as a request may have words. */
static void many_keys_can_be_excluded(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    char *stream = malloc(COUNT * 8 + 256);
    assert_non_null(stream);
    size_t size = (size_t)snprintf(
        stream, 128, "*%d\r\n$8\r\nRETRIEVE\r\n$3\r\ntop\r\n$7\r\nEXCLUDE\r\n$6\r\n%d\r\n",
        COUNT + 4, COUNT);
    for (int i = 0; i < COUNT; i++) {
        memcpy(stream + size, "$1\r\nk\r\n", 7);
        size += 7;
    }
    client_send(&client, stream, size);
    assert_int_equal(client_take(&client)[0], '*');
    assert_string_equal(fake_asked(), "run\nretrieve top limit=0 now=0 excludes=100000 first=k\n");
    free(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_at_their_bounds_are_taken),
        TEST(values_beyond_their_bounds_are_not),
        TEST(many_keys_can_be_excluded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
