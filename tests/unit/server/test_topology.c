/* topology: what is known is there, what is not is absent. */
#include "support/tm_test.h"

#include "server/service.h"
#include "server/topology.h"

#include <math.h>

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

static void a_leader_lists_itself_and_its_followers(void **state)
{
    (void)state;
    struct tide_follower_status followers[] = {
        {.node_id = "f1",
         .address = "127.0.0.1:8400",
         .state = "streaming",
         .is_connected = true,
         .was_synced = true,
         .applied = 40,
         .lag_records = 2,
         .lag_bytes = 90,
         .lag_seconds = 0.5},
        {.node_id = "f\"2", .address = "", .state = "inactive", .lag_seconds = INFINITY},
    };
    struct tide_status status = {
        .role = TIDE_ROLE_LEADER,
        .node_id = "n1",
        .cluster = "c0ffee",
        .state = "serving",
        .reason = "",
        .replication_address = "127.0.0.1:7402",
        .epoch = 3,
        .applied = {.seqno = 42},
        .follower_count = 2,
        .followers = followers,
    };
    assert_written(
        &status,
        "{\"epoch\":3,\"cluster\":\"c0ffee\",\"members\":["
        "{\"role\":\"leader\",\"self\":true,\"id\":\"n1\",\"region\":0,\"shard\":0,"
        "\"data\":\"127.0.0.1:7400\",\"http\":\"127.0.0.1:7401\","
        "\"replication\":\"127.0.0.1:7402\",\"state\":\"serving\",\"applied_seqno\":42},"
        "{\"role\":\"follower\",\"self\":false,\"id\":\"f1\",\"region\":0,\"shard\":0,"
        "\"data\":\"127.0.0.1:8400\",\"state\":\"streaming\",\"connected\":true,"
        "\"last_seen_ms_ago\":0,\"applied_seqno\":40,\"lag_records\":2,\"lag_bytes\":90,"
        "\"lag_seconds\":0.5},"
        "{\"role\":\"follower\",\"self\":false,\"id\":\"f\\\"2\",\"region\":0,\"shard\":0,"
        "\"state\":\"inactive\",\"connected\":false,\"last_seen_ms_ago\":0,\"applied_seqno\":0,"
        "\"lag_seconds\":null}]}\n");
}

static void a_follower_lists_itself_and_its_leader(void **state)
{
    (void)state;
    options.advertise = "db2:7400";
    struct tide_status status = {
        .role = TIDE_ROLE_FOLLOWER,
        .node_id = "n2",
        .cluster = "",
        .state = "syncing",
        .reason = "no leader yet",
        .replication_address = "",
        .leader_data_address = "",
        .leader_replication_address = "127.0.0.1:7402",
        .link_state = "connecting",
        .lag_seconds = INFINITY,
    };
    assert_written(&status,
                   "{\"epoch\":0,\"members\":[{\"role\":\"follower\",\"self\":true,\"id\":\"n2\","
                   "\"region\":0,\"shard\":0,\"data\":\"db2:7400\",\"http\":\"127.0.0.1:7401\","
                   "\"state\":\"syncing\",\"reason\":\"no leader yet\",\"applied_seqno\":0,"
                   "\"lag_seconds\":null},{\"role\":\"leader\",\"self\":false,\"region\":0,"
                   "\"shard\":0,\"replication\":\"127.0.0.1:7402\",\"connected\":false,"
                   "\"link\":\"connecting\"}]}\n");
    options.advertise = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_lists_itself_and_its_followers),
        cmocka_unit_test(a_follower_lists_itself_and_its_leader),
    };
    return cmocka_run_group_tests_name("server/topology", tests, NULL, NULL);
}
