/* options_wait: what a command waits for, as the database is asked for it, and what is refused. */
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

struct row {
    const char *say;
    const char *heard; /* NULL: does not matter */
    const char *asked; /* NULL: does not matter */
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *heard = client_ask(&client, rows[i].say);
        if (rows[i].heard != NULL) assert_string_equal(heard, rows[i].heard);
        if (rows[i].asked != NULL) assert_string_equal(fake_asked(), rows[i].asked);
    }
}

static void levels_reach_the_database(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SIGNAL view a LEVEL stored:2\r\n", NULL, "run\nsignal view a level=stored:2\n"},
        {"SIGNAL view a level MAJORITY deadline 250 onmiss Degrade\r\n", NULL,
         "run\nsignal view a level=majority deadline=250 on_miss_plus_1=3\n"},
        {"SIGNAL view a ONMISS wait DEADLINE 0\r\n", NULL,
         "run\nsignal view a deadline=18446744073709551615 on_miss_plus_1=1\n"},
        {"SIGNALS 1 view a 1 LEVEL applied:1 ONMISS reject\r\n", NULL,
         "run\nsignals view a w=1 level=applied:1 on_miss_plus_1=2\n"},
        {"ITEM.DEL a LEVEL stored:2\r\n", NULL, "run\nitem delete a level=stored:2\n"},
        {"SCHEMA.SIGNAL x LEVEL stored:2 DEADLINE 7\r\n", NULL,
         "run\nschema x halflives=0,0 windows=0 mode=0 negative=0 level=stored:2 deadline=7\n"},
    };
    check(rows, COUNT_OF(rows));
}

static void what_reads_wait_for_reaches_the_database(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SCORE view a AFTER 7-42-9f3a21bc\r\n", NULL,
         "run\nscore view a at=0 after_epoch=7 after=42\n"},
        {"COUNT view a all MAXSTALE 0 DEADLINE 0\r\n", NULL,
         "run\ncount view a all max_stale_plus_1=1 deadline=18446744073709551615\n"},
        {"SCORE view a READ latest\r\n", NULL, "run\nscore view a at=0\n"},
        {"RETRIEVE top READ committed MAXSTALE 250\r\n", NULL,
         "run\nretrieve top limit=0 now=0 excludes=0 max_stale_plus_1=251 committed=1\n"},
        {"ITEM.GET a AFTER 1-2-00000000 title\r\n", NULL, NULL},
        {"SCHEMA.SHOW AFTER 1-2-00000000\r\n", NULL, NULL},
        {"PRODUCER.GET p MAXSTALE 9\r\n", NULL, NULL},
    };
    check(rows, COUNT_OF(rows));
}

static void what_cannot_be_waited_for_is_named(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SIGNAL view a LEVEL quorum\r\n", "-ERR unknown level 'quorum'\r\n", ""},
        {"SIGNAL view a DEADLINE soon\r\n", "-ERR DEADLINE 'soon' is not a whole number\r\n", ""},
        {"SIGNAL view a DEADLINE 4294967296\r\n",
         "-LIMIT DEADLINE 4294967296 is above 4294967295\r\n", ""},
        {"SIGNAL view a ONMISS ignore\r\n",
         "-ERR unknown ONMISS 'ignore': wait, reject or degrade\r\n", ""},
        {"SCORE view a AFTER 42\r\n",
         "-ERR AFTER '42' is not a write token such as 1-42-9f3a21bc\r\n", ""},
        {"SCORE view a MAXSTALE 1s\r\n", "-ERR MAXSTALE '1s' is not a whole number\r\n", ""},
        {"SCORE view a READ dirty\r\n", "-ERR unknown READ 'dirty': latest or committed\r\n", ""},
        {"SIGNAL view a AFTER 1-2-00000000\r\n", NULL, ""},
    };
    check(rows, COUNT_OF(rows));
}

/* One record has one level: said once or more often, but the same. */
static void multi_has_one_level(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"MULTI\r\n", "+OK\r\n", ""},
        {"SIGNAL view a\r\n", "+QUEUED\r\n", ""},
        {"SIGNAL view b LEVEL stored:2 DEADLINE 9\r\n", "+QUEUED\r\n", ""},
        {"SIGNAL view c LEVEL stored:2 DEADLINE 9 WITHLEVEL\r\n", "+QUEUED\r\n", ""},
        {"EXEC\r\n", NULL,
         "run\nbegin level=stored:2 deadline=9\nsignal view a\n"
         "signal view b level=stored:2 deadline=9\nsignal view c level=stored:2 deadline=9\nend\n"},
        {"MULTI\r\n", "+OK\r\n", ""},
        {"SIGNAL view a\r\n", "+QUEUED\r\n", ""},
        {"EXEC\r\n", NULL, "run\nbegin\nsignal view a\nend\n"}, /* the one before is forgotten */
        {"MULTI\r\n", "+OK\r\n", ""},
        {"SIGNAL view a LEVEL stored:2\r\n", "+QUEUED\r\n", ""},
        {"SIGNAL view a LEVEL majority\r\n",
         "-ERR the writes of one MULTI are one record: LEVEL, DEADLINE and ONMISS must be the same "
         "wherever they are given\r\n",
         ""},
        {"EXEC\r\n", NULL, ""},
    };
    check(rows, COUNT_OF(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(levels_reach_the_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_reads_wait_for_reaches_the_database, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_waited_for_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(multi_has_one_level, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server/options_wait", tests, NULL, NULL);
}
