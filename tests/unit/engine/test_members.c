/* Tests of the file of members: what was told is there after a restart, and a damaged file costs
 * nothing but the list. What followers are told is tried in test_role.c. */
#include "support/fixture.h"

#include <stdlib.h>

#include "engine/members.h"

static void write_members(const char *dir)
{
    static struct topology t;
    uint8_t *bytes = malloc(WIRE_MEMBERS_SIZE_MAX);
    uint8_t *frame = malloc(WIRE_MEMBERS_SIZE_MAX);
    assert_non_null(bytes);
    assert_non_null(frame);
    memset(&t, 0, sizeof(t));
    t.version = 17;
    t.count = 2;
    for (int i = 0; i < 2; i++) {
        struct topology_member *m = &t.members[i];
        (void)snprintf(m->node_id, sizeof(m->node_id), "other-%d", i);
        (void)snprintf(m->replication_address, sizeof(m->replication_address), "127.0.0.1:%d",
                       1 + i);
        m->role = i == 0 ? ROLE_LEADER : ROLE_FOLLOWER;
        m->health = WIRE_HEALTH_UP;
    }
    struct bytes_writer w = bytes_writer_of(bytes, WIRE_MEMBERS_SIZE_MAX);
    struct wire_message m = {.kind = WIRE_MEMBERS};
    topology_encode(&t, &w, &m.as.members);
    file_write(dir, "members", frame, wire_encode(&m, frame, WIRE_MEMBERS_SIZE_MAX));
    free(frame);
    free(bytes);
}

static void what_was_told_is_there_after_a_restart(void **state)
{
    struct fixture *f = fixture_new("members");
    const char *addresses[MEMBERS_MAX];
    *state = f;
    f->options.follow = "127.0.0.1:9";
    open_node(f);
    steps_node_close(&f->n);
    write_members(f->dir);
    open_node(f);
    assert_int_equal(members_topology(f->n.db)->version, 17);
    assert_int_equal(members_addresses(f->n.db, addresses), 3); /* and the one it follows */
    assert_string_equal(addresses[0], "127.0.0.1:1");
    assert_string_equal(addresses[1], "127.0.0.1:2");
    assert_string_equal(addresses[2], "127.0.0.1:9");
}

/* Goal: no byte of the file can keep a node from opening. */
static void a_damaged_file_is_said_and_passed_over(void **state)
{
    struct fixture *f = fixture_new("members");
    size_t size = 0;
    *state = f;
    f->options.follow = "127.0.0.1:9";
    open_node(f);
    steps_node_close(&f->n);
    write_members(f->dir);
    uint8_t *good = file_read(f->dir, "members", &size);
    for (size_t at = 0; at < size; at += 5) {
        file_write(f->dir, "members", good, size);
        file_flip(f->dir, "members", at, 0x10);
        open_node(f);
        assert_int_equal(members_topology(f->n.db)->count, 0);
        steps_node_close(&f->n);
    }
    for (size_t left = 0; left < size; left += 11) {
        file_write(f->dir, "members", good, left);
        open_node(f);
        assert_int_equal(members_topology(f->n.db)->count, 0);
        steps_node_close(&f->n);
    }
    free(good);
    open_node(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_was_told_is_there_after_a_restart, fixture_end),
        cmocka_unit_test_teardown(a_damaged_file_is_said_and_passed_over, fixture_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
