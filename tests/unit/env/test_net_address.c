/* Addresses as text. */
#include "env_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "env/net_address.h"

static void hosts_and_ports_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        unsigned port;
        bool is_numeric;
    } cases[] = {
        {"127.0.0.1:7400", "127.0.0.1", 7400, true},
        {"node-2.example:1", "node-2.example", 1, false},
        {"[::1]:65535", "::1", 65535, true},
        {"[fe80::1%lo]:9", "fe80::1%lo", 9, true},
        {"0.0.0.0:0", "0.0.0.0", 0, true},
        {"[::]:7", "::", 7, true},
        {"x:00080", "x", 80, false},
        {"256.1.1.1:5", "256.1.1.1", 5, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_address address;
        struct err e;
        assert_ok(net_address_parse(cases[i].text, &address, &e));
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        struct sockaddr_storage numeric;
        assert_int_equal(net_address_is_numeric(&address, &numeric), cases[i].is_numeric);
    }
}

static void faulty_addresses_are_refused_with_the_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "has no port"},
        {"host", "has no port"},
        {":7400", "0.0.0.0:7400 for every interface"},
        {"[]:1", "has no host"},
        {"host:", "'' is no port"},
        {"host:65536", "'65536' is no port"},
        {"host:-1", "'-1' is no port"},
        {"host:+1", "is no port"},
        {"host: 1", "is no port"},
        {"host:1x", "is no port"},
        {"host:000080", "is no port"},
        {"::1:7400", "looks like IPv6; write [host]:port"},
        {"[::1:7400", "has no ]"},
        {"[::1]7400", "has no ]"},
        {"[:1", "has no ]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_address address;
        struct err e;
        enum code code = net_address_parse(cases[i].text, &address, &e);
        assert_error(code, E_INVALID, &e, cases[i].why);
    }
    char long_text[400];
    memset(long_text, 'h', sizeof(long_text) - 1);
    memcpy(long_text + sizeof(long_text) - 3, ":1", 3);
    struct net_address address;
    struct err e;
    assert_error(net_address_parse(long_text, &address, &e), E_INVALID, &e, "399", "255");
}

static void system_addresses_are_written_as_they_are_read(void **state)
{
    (void)state;
    const char *texts[] = {"127.0.0.1:7400", "[::1]:1", "[2001:db8::5]:65535"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct net_address address;
        struct sockaddr_storage numeric;
        struct err e;
        assert_ok(net_address_parse(texts[i], &address, &e));
        assert_true(net_address_is_numeric(&address, &numeric));
        char text[NET_ADDRESS_TEXT_SIZE];
        net_address_format(&numeric, text);
        assert_string_equal(text, texts[i]);
    }
    struct net_address inside = {.host = "::ffff:10.1.2.3", .port = 9};
    struct sockaddr_storage numeric;
    assert_true(net_address_is_numeric(&inside, &numeric));
    char text[NET_ADDRESS_TEXT_SIZE];
    net_address_format(&numeric, text);
    assert_string_equal(text, "10.1.2.3:9");
    numeric = (struct sockaddr_storage){.ss_family = AF_UNIX};
    net_address_format(&numeric, text);
    assert_string_equal(text, "?:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_ports_are_told_apart),
        cmocka_unit_test(faulty_addresses_are_refused_with_the_fault),
        cmocka_unit_test(system_addresses_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
