/* Tests of core/topology: what moves the version and what does not, the delay of health, and that a
 * message brings the same list. */
#include "support/tm_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/topology.h"

#define DELAY (3 * NS_PER_S)

static struct topology *t;
static struct topology_member seen[3];

static int setup(void **state)
{
    (void)state;
    static const char *const ids[] = {"n1", "n2", "n3"};
    t = calloc(1, sizeof(*t));
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < 3; i++) {
        (void)snprintf(seen[i].node_id, sizeof(seen[i].node_id), "%s", ids[i]);
        (void)snprintf(seen[i].data_address, sizeof(seen[i].data_address), "h%d:7400", i);
        (void)snprintf(seen[i].replication_address, sizeof(seen[i].replication_address), "h%d:7402",
                       i);
        seen[i].role = i == 0 ? ROLE_LEADER : ROLE_FOLLOWER;
        seen[i].health = WIRE_HEALTH_UP;
    }
    return t == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(t);
    return 0;
}

static bool see(uint32_t count, uint64_t now_s)
{
    uint64_t before = t->version;
    bool is_moved = topology_see(t, seen, count, now_s * NS_PER_S, DELAY);
    assert_int_equal(t->version, before + is_moved);
    return is_moved;
}

static void a_join_moves_the_version_and_an_ack_does_not(void **state)
{
    (void)state;
    assert_true(see(1, 1));
    assert_false(see(1, 2));
    assert_true(see(3, 3));
    seen[1].lag_records = 500;
    assert_false(see(3, 4));
    assert_int_equal(t->members[1].lag_records, 500);
    assert_int_equal(t->count, 3);
}

static void each_lasting_change_moves_it_once(void **state)
{
    (void)state;
    assert_true(see(3, 1));
    (void)snprintf(seen[1].data_address, sizeof(seen[1].data_address), "moved:7400");
    assert_true(see(3, 1));
    assert_false(see(3, 1));
    (void)snprintf(seen[1].replication_address, sizeof(seen[1].replication_address), "moved:7402");
    assert_true(see(3, 1));
    (void)snprintf(seen[1].http_address, sizeof(seen[1].http_address), "moved:7401");
    assert_true(see(3, 1));
    seen[1].http_address[0] = '\0'; /* without a link it is not seen: the known one stays */
    assert_false(see(3, 1));
    assert_string_equal(t->members[1].http_address, "moved:7401");
    seen[2].is_rebootstrapping = true;
    assert_true(see(3, 1));
    seen[2].is_voter = true;
    assert_true(see(3, 1));
    seen[2].region = 7;
    assert_true(see(3, 1));
    seen[0].role = ROLE_FOLLOWER;
    seen[2].role = ROLE_LEADER;
    assert_true(see(3, 1));
    assert_false(see(3, 2));
}

static void health_follows_with_a_delay(void **state)
{
    (void)state;
    assert_true(see(3, 10));
    seen[2].health = WIRE_HEALTH_DOWN;
    assert_false(see(3, 20));
    assert_int_equal(topology_due_ns(t, DELAY), 23 * NS_PER_S);
    assert_false(see(3, 22));
    seen[2].health = WIRE_HEALTH_UP; /* a reconnect in time changes nothing */
    assert_false(see(3, 22));
    assert_int_equal(topology_due_ns(t, DELAY), UINT64_MAX);
    seen[2].health = WIRE_HEALTH_DOWN;
    assert_false(see(3, 30));
    assert_true(see(3, 33));
    assert_int_equal(t->members[2].health, WIRE_HEALTH_DOWN);
    seen[2].health = WIRE_HEALTH_UP;
    assert_false(see(3, 34));
    assert_true(see(3, 37));
}

/* Goal: a member that nobody sees is remembered, so that it can be asked, until it is dropped. */
static void who_is_not_seen_stays_until_dropped(void **state)
{
    (void)state;
    assert_true(see(3, 1));
    assert_false(see(2, 2));
    assert_true(see(2, 5));
    assert_int_equal(t->count, 3);
    assert_int_equal(t->members[2].health, WIRE_HEALTH_DOWN);
    assert_true(topology_drop(t, slice_of_text("n3")));
    assert_false(topology_drop(t, slice_of_text("n3")));
    assert_int_equal(t->count, 2);
    assert_int_equal(topology_find(t, slice_of_text("n2")), 1);
}

/* Goal: after a change of role there is one leader in the list, also when the old one is silent. */
static void an_absent_leader_leads_no_longer(void **state)
{
    (void)state;
    assert_true(see(3, 1));
    struct topology_member next = seen[1];
    next.role = ROLE_LEADER;
    assert_true(topology_see(t, &next, 1, 2 * NS_PER_S, DELAY));
    assert_int_equal(t->members[0].role, ROLE_FOLLOWER);
    assert_int_equal(t->members[1].role, ROLE_LEADER);
}

static void a_message_brings_the_same_list(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(WIRE_MEMBERS_SIZE_MAX);
    struct topology *copy = calloc(1, sizeof(*copy));
    assert_non_null(bytes);
    assert_non_null(copy);
    seen[1].lag_records = WIRE_LAG_UNKNOWN;
    assert_true(see(3, 1));
    struct bytes_writer w = bytes_writer_of(bytes, WIRE_MEMBERS_SIZE_MAX);
    struct wire_members message;
    topology_encode(t, &w, &message);
    assert_false(w.is_failed);
    topology_decode(copy, &message);
    assert_memory_equal(copy, t, sizeof(*t));
    free(copy);
    free(bytes);
}

/* Goal: the largest list there can be fits one message. */
static void the_largest_list_fits(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(WIRE_MEMBERS_SIZE_MAX);
    uint8_t *frame = malloc(WIRE_MEMBERS_SIZE_MAX);
    assert_non_null(bytes);
    assert_non_null(frame);
    for (uint32_t i = 0; i < TOPOLOGY_MAX; i++) {
        struct topology_member *m = &t->members[t->count++];
        *m = seen[0];
        memset(m->node_id, 'a', NODE_ID_SIZE_MAX);
        memset(m->data_address, 'a', ADDRESS_SIZE_MAX);
        memset(m->http_address, 'a', ADDRESS_SIZE_MAX);
        memset(m->replication_address, 'a', ADDRESS_SIZE_MAX);
    }
    struct bytes_writer w = bytes_writer_of(bytes, WIRE_MEMBERS_SIZE_MAX);
    struct wire_message m = {.kind = WIRE_MEMBERS};
    topology_encode(t, &w, &m.as.members);
    assert_false(w.is_failed);
    assert_true(wire_encode(&m, frame, WIRE_MEMBERS_SIZE_MAX) > 0);
    free(frame);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_join_moves_the_version_and_an_ack_does_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(each_lasting_change_moves_it_once, setup, teardown),
        cmocka_unit_test_setup_teardown(health_follows_with_a_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_not_seen_stays_until_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(an_absent_leader_leads_no_longer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_brings_the_same_list, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_list_fits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
