/* commands_members: what the database is asked, and how lists are shown. */
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

static void members_are_asked_for_and_changed(void **state)
{
    (void)state;
    static const struct {
        const char *say;
        const char *heard; /* NULL: does not matter */
        const char *asked;
    } rows[] = {
        {"MEMBER.ADD n1\r\n", NULL, "run\nmember add n1\n"},
        {"member.add n1 voter\r\n", NULL, "run\nmember add n1 voter\n"},
        {"MEMBER.ADD n1 VOTER LEVEL majority DEADLINE 9\r\n", NULL,
         "run\nmember add n1 voter level=majority deadline=9\n"},
        {"MEMBER.REMOVE n1\r\n", NULL, "run\nmember remove n1\n"},
        {"MEMBER.ADD n1 VOTES\r\n", "-ERR MEMBER.ADD has no option 'VOTES'\r\n", ""},
        {"MEMBER.LIST\r\n",
         "*2\r\n*6\r\n$2\r\nid\r\n$1\r\na\r\n$5\r\nvoter\r\n:1\r\n$7\r\naddress\r\n$13\r\n10.0.0.1:"
         "7400\r\n"
         "*6\r\n$2\r\nid\r\n$1\r\nb\r\n$5\r\nvoter\r\n:0\r\n$7\r\naddress\r\n$0\r\n\r\n",
         "run\nmembers\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *heard = client_ask(&client, rows[i].say);
        if (rows[i].heard != NULL) assert_string_equal(heard, rows[i].heard);
        assert_string_equal(fake_asked(), rows[i].asked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_are_asked_for_and_changed, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server/commands_members", tests, NULL, NULL);
}
