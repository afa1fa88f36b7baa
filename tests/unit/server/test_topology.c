/* topology: what is known is there, what is not is absent. */
#include "support/tm_test.h"

#include "server/service.h"
#include "server/topology.h"

static struct alloc alloc;
static struct server_options options;
static struct service service = {
    .options = &options, .data_address = "127.0.0.1:7400", .http_address = "127.0.0.1:7401"};

static void assert_written(const struct tide_status *status, const char *json)
{
    struct out out;
    alloc_init(&alloc, MIB);
    out_init(&out, &alloc);
    topology_write(&service, status, &out);
    out_bytes(&out, "", 1);
    assert_string_equal((const char *)out.data, json);
    out_fini(&out);
}

static void the_members_are_listed_as_the_leader_told_them(void **state)
{
    (void)state;
    struct tide_member members[] = {
        {.node_id = "n1",
         .role = TIDE_ROLE_LEADER,
         .data_address = "db1:7400",
         .http_address = "db1:7401",
         .replication_address = "db1:7402",
         .is_up = true},
        {.node_id = "f\"2",
         .role = TIDE_ROLE_FOLLOWER,
         .region = 4,
         .data_address = "",
         .http_address = "",
         .replication_address = "",
         .is_voter = true,
         .is_rebootstrapping = true,
         .lag_records = UINT64_MAX},
    };
    struct tide_status status = {
        .role = TIDE_ROLE_FOLLOWER,
        .node_id = "f\"2",
        .cluster = "c0ffee",
        .epoch = 3,
        .topology_version = 9,
        .member_count = 2,
        .members = members,
    };
    assert_written(
        &status,
        "{\"epoch\":3,\"cluster\":\"c0ffee\",\"version\":9,\"self\":\"f\\\"2\",\"members\":["
        "{\"role\":\"leader\",\"id\":\"n1\",\"voter\":false,\"region\":0,\"data\":\"db1:7400\","
        "\"http\":\"db1:7401\",\"replication\":\"db1:7402\",\"health\":\"up\","
        "\"rebootstrapping\":false,\"lag_records\":0},"
        "{\"role\":\"follower\",\"id\":\"f\\\"2\",\"voter\":true,\"region\":4,"
        "\"health\":\"down\",\"rebootstrapping\":true}]}\n");
}

static void a_follower_that_was_told_none_lists_itself_and_its_leader(void **state)
{
    (void)state;
    options.advertise = "db2:7400";
    struct tide_status status = {
        .role = TIDE_ROLE_FOLLOWER,
        .node_id = "n2",
        .cluster = "",
        .replication_address = "",
        .leader_data_address = "",
        .leader_replication_address = "127.0.0.1:7402",
    };
    assert_written(&status,
                   "{\"epoch\":0,\"version\":0,\"self\":\"n2\",\"members\":["
                   "{\"role\":\"follower\",\"id\":\"n2\",\"region\":0,\"data\":\"db2:7400\","
                   "\"http\":\"127.0.0.1:7401\",\"health\":\"up\"},"
                   "{\"role\":\"leader\",\"region\":0,\"replication\":\"127.0.0.1:7402\","
                   "\"health\":\"down\"}]}\n");
    options.advertise = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_members_are_listed_as_the_leader_told_them),
        cmocka_unit_test(a_follower_that_was_told_none_lists_itself_and_its_leader),
    };
    return cmocka_run_group_tests_name("server/topology", tests, NULL, NULL);
}
