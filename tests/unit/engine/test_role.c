/* Tests of changing roles: databases opened through the public API in one process, on loopback.
 * Intervals are shortened; every wait ends when what it waits for is there. */
#include "support/tm_test.h"

#include <stdio.h>
#include <time.h>

#include "support/node.h"
#include "tidemark.h"

#define NODES  3
#define WAIT_S 20.0

struct peer {
    char *dir;
    tide_db *db;
    char replication_address[64];
    char data_address[32];
};

static struct peer nodes[NODES];
static uint64_t heartbeat_ms;

static double seconds_now(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void rest(void)
{
    struct timespec t = {.tv_nsec = 2000000};
    (void)nanosleep(&t, NULL);
}

#define WAIT_UNTIL(condition)                                                         \
    for (double wait_end_ = seconds_now() + WAIT_S; !(condition); rest()) {           \
        if (seconds_now() > wait_end_) fail_msg("waited in vain for %s", #condition); \
    }

static const struct tide_status *look(const struct peer *n, const struct tide_result **out)
{
    assert_int_equal(tide_status(n->db, out, NULL), TIDE_OK);
    return (*out)->as.status;
}

/* follow NULL: it leads, or does what its directory says. The address stays the same. */
static void open_member(int i, const char *follow)
{
    struct peer *n = &nodes[i];
    char id[8];
    (void)snprintf(id, sizeof(id), "n%d", i);
    (void)snprintf(n->data_address, sizeof(n->data_address), "127.0.0.1:74%d0", i);
    struct tide_options options = {
        .size = sizeof(options),
        .dir = n->dir,
        .follow = follow,
        .node_id = id,
        .replication_listen = n->replication_address[0] ? n->replication_address : "127.0.0.1:0",
        .data_address = n->data_address,
        .mark_interval_ms = UINT64_MAX, /* records are counted here */
        .heartbeat_ms = heartbeat_ms,
        .suspect_ms = 500,
        .dead_ms = 2000,
        .credit = UINT64_C(64) << 10,
    };
    struct tide_err e = {0};
    if (tide_open(&options, &n->db, NULL, &e) != TIDE_OK) fail_msg("%s", e.message);
    const struct tide_result *result;
    (void)snprintf(n->replication_address, sizeof(n->replication_address), "%s",
                   look(n, &result)->replication_address);
    tide_result_free(result);
}

static void close_member(int i)
{
    if (nodes[i].db) assert_int_equal(tide_close(nodes[i].db, 5000, NULL), TIDE_OK);
    nodes[i].db = NULL;
}

static enum tide_role role_of(int i)
{
    const struct tide_result *result;
    enum tide_role role = look(&nodes[i], &result)->role;
    tide_result_free(result);
    return role;
}

static uint32_t followers_of(int i)
{
    const struct tide_result *result;
    uint32_t count = look(&nodes[i], &result)->follower_count;
    tide_result_free(result);
    return count;
}

static struct tide_position position_of(int i)
{
    struct tide_position p;
    assert_int_equal(tide_position_now(nodes[i].db, &p, NULL), TIDE_OK);
    return p;
}

static enum tide_code signal_to(int i, struct tide_position *out, struct tide_err *e)
{
    struct tide_signal signal = {.type = {"view", 4}, .item = {"a", 1}};
    return tide_signal(nodes[i].db, &signal, out, e);
}

static void write_to(int i, int count)
{
    struct tide_position p;
    struct tide_err e = {0};
    for (int k = 0; k < count; k++) {
        if (signal_to(i, &p, &e) != TIDE_OK) fail_msg("%s", e.message);
    }
}

static uint64_t count_on(int i)
{
    uint64_t count = 0;
    if (tide_count(nodes[i].db, (struct tide_bytes){"view", 4}, (struct tide_bytes){"a", 1},
                   (struct tide_bytes){"all", 3}, &count, NULL) != TIDE_OK) {
        return 0;
    }
    return count;
}

static void wait_same(int a, int b)
{
    WAIT_UNTIL(position_of(a).seqno == position_of(b).seqno);
    struct tide_position x = position_of(a);
    struct tide_position y = position_of(b);
    assert_int_equal(x.epoch, y.epoch);
    assert_memory_equal(x.chain4, y.chain4, sizeof(x.chain4));
    struct tide_digest da;
    struct tide_digest db;
    assert_int_equal(tide_digest_now(nodes[a].db, &da, NULL), TIDE_OK);
    assert_int_equal(tide_digest_now(nodes[b].db, &db, NULL), TIDE_OK);
    assert_memory_equal(da.root, db.root, sizeof(da.root));
}

/* Node 0 leads, the others follow it and hold all there is. */
static void open_three(void)
{
    open_member(0, NULL);
    write_to(0, 10);
    open_member(1, nodes[0].replication_address);
    open_member(2, nodes[0].replication_address);
    WAIT_UNTIL(count_on(1) == 10 && count_on(2) == 10);
}

static int setup(void **state)
{
    (void)state;
    heartbeat_ms = 50;
    for (int i = 0; i < NODES; i++) {
        nodes[i] = (struct peer){.dir = tm_dir_make("role")};
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < NODES; i++) {
        close_member(i);
        tm_dir_remove(nodes[i].dir);
    }
    return 0;
}

/* Goal: the leader is gone; a follower takes over in place, the other one is pointed at it, and
 * both go on from the very records that were there. */
static void a_follower_is_promoted_and_another_follows_it(void **state)
{
    (void)state;
    open_three();
    struct tide_position before = position_of(1);
    close_member(0);
    struct tide_position at;
    struct tide_err e = {0};
    if (tide_promote(nodes[1].db, &before, true, &at, &e) != TIDE_OK) fail_msg("%s", e.message);
    assert_int_equal(at.seqno, before.seqno + 1); /* the new epoch's first record */
    assert_int_equal(at.epoch, before.epoch + 1);
    assert_int_equal(role_of(1), TIDE_ROLE_LEADER);
    write_to(1, 5);
    assert_int_equal(tide_follow(nodes[2].db, nodes[1].replication_address, false, NULL, &e),
                     TIDE_OK);
    WAIT_UNTIL(count_on(2) == 15);
    wait_same(1, 2);
    close_member(1);
    open_member(1, NULL); /* identity remembers */
    assert_int_equal(role_of(1), TIDE_ROLE_LEADER);
    WAIT_UNTIL(position_of(1).epoch == at.epoch + 1);
    write_to(1, 1);
    WAIT_UNTIL(count_on(2) == 16);
}

static void another_position_than_expected_is_refused(void **state)
{
    (void)state;
    open_three();
    struct tide_position wrong = position_of(1);
    wrong.chain4[0] ^= 1;
    close_member(0);
    struct tide_position at;
    struct tide_err e = {0};
    assert_int_equal(tide_promote(nodes[1].db, &wrong, true, &at, &e), TIDE_REFUSED);
    assert_non_null(strstr(e.message, "not at the position expected"));
    assert_int_equal(role_of(1), TIDE_ROLE_FOLLOWER);
    assert_int_equal(signal_to(1, &at, &e), TIDE_READONLY);
}

static void a_living_leader_is_not_replaced_without_force(void **state)
{
    (void)state;
    open_three();
    struct tide_position at;
    struct tide_err e = {0};
    assert_int_equal(tide_promote(nodes[1].db, NULL, false, &at, &e), TIDE_REFUSED);
    assert_non_null(strstr(e.message, "n0 answers and leads"));
    write_to(0, 1); /* and it is followed as before */
    WAIT_UNTIL(count_on(1) == 11);
}

/* Goal: a leader that was replaced learns of it, acknowledges nothing more, and follows. */
static void a_deposed_leader_follows_by_itself(void **state)
{
    (void)state;
    open_three();
    struct tide_position at;
    struct tide_err e = {0};
    if (tide_promote(nodes[1].db, NULL, true, &at, &e) != TIDE_OK) fail_msg("%s", e.message);
    assert_int_equal(tide_follow(nodes[2].db, nodes[1].replication_address, false, NULL, &e),
                     TIDE_OK);
    write_to(1, 1);
    WAIT_UNTIL(role_of(0) == TIDE_ROLE_FOLLOWER);
    WAIT_UNTIL(count_on(0) == 11 && count_on(2) == 11);
    wait_same(0, 1);
    assert_int_equal(signal_to(0, &at, &e), TIDE_READONLY);
    assert_non_null(strstr(e.message, nodes[1].data_address));
}

static void a_leader_follows_no_one_that_does_not_lead_later(void **state)
{
    (void)state;
    struct tide_err e = {0};
    open_three();
    uint64_t records = position_of(0).seqno;
    assert_int_equal(tide_follow(nodes[0].db, nodes[1].replication_address, false, NULL, &e),
                     TIDE_REFUSED);
    assert_non_null(strstr(e.message, "does not lead"));
    assert_int_equal(tide_follow(nodes[0].db, nodes[0].replication_address, false, NULL, &e),
                     TIDE_REFUSED);
    assert_non_null(strstr(e.message, "is this node"));
    assert_int_equal(tide_follow(nodes[0].db, "127.0.0.1:1", false, NULL, &e), TIDE_REFUSED);
    assert_non_null(strstr(e.message, "does not answer"));
    close_member(2);
    tm_dir_remove(nodes[2].dir);
    nodes[2].dir = tm_dir_make("role");
    open_member(2, NULL); /* a cluster of its own */
    assert_int_equal(tide_follow(nodes[0].db, nodes[2].replication_address, false, NULL, &e),
                     TIDE_REFUSED);
    assert_non_null(strstr(e.message, "another cluster"));
    write_to(0, 1);
    assert_int_equal(position_of(0).seqno, records + 1);
}

/* What a node says of the members: "n0=leader n1=follower"; the version. */
static uint64_t members_of(int i, char *out, size_t size)
{
    const struct tide_result *result;
    const struct tide_status *s = look(&nodes[i], &result);
    uint64_t version = s->topology_version;
    out[0] = '\0';
    for (uint32_t k = 0; k < s->member_count; k++) {
        const struct tide_member *m = &s->members[k];
        size_t used = strlen(out);
        (void)snprintf(out + used, size - used, "%s%s=%s/%s", k > 0 ? " " : "", m->node_id,
                       m->role == TIDE_ROLE_FOLLOWER ? "follower" : "leader",
                       m->is_up ? "up" : "down");
    }
    tide_result_free(result);
    return version;
}

static bool all_say(const char *wanted, int first)
{
    char text[256];
    char other[256];
    uint64_t version = members_of(first, text, sizeof(text));
    for (int i = first + 1; i < NODES; i++) {
        if (members_of(i, other, sizeof(other)) != version || strcmp(other, text) != 0) {
            return false;
        }
    }
    return strcmp(text, wanted) == 0;
}

/* Goal: every node gives the same list and version; a reconnect moves nothing, a loss and a change
 * of role do; who was told survives a restart. */
static void all_nodes_know_the_members(void **state)
{
    (void)state;
    char text[256];
    open_three();
    WAIT_UNTIL(all_say("n0=leader/up n1=follower/up n2=follower/up", 0));
    uint64_t version = members_of(1, text, sizeof(text));
    assert_int_equal(version, 3); /* three joined */
    close_member(1);
    open_member(1, nodes[0].replication_address); /* faster than the delay */
    write_to(0, 1);
    WAIT_UNTIL(count_on(1) == 11);
    assert_int_equal(members_of(1, text, sizeof(text)), version);
    struct tide_position at;
    struct tide_err e = {0};
    close_member(0);
    if (tide_promote(nodes[1].db, NULL, true, &at, &e) != TIDE_OK) fail_msg("%s", e.message);
    assert_int_equal(tide_follow(nodes[2].db, nodes[1].replication_address, false, NULL, &e),
                     TIDE_OK);
    WAIT_UNTIL(all_say("n0=follower/down n1=leader/up n2=follower/up", 1));
    assert_true(members_of(2, text, sizeof(text)) > version);
}

/* Goal: nothing is lost, every node ends with the same bits, and the old leader follows. */
static void the_leadership_is_handed_over_and_back(void **state)
{
    (void)state;
    struct tide_position at;
    struct tide_err e = {0};
    open_three();
    struct tide_position end = position_of(0);
    if (tide_handover(nodes[0].db, "n1", 0, &at, &e) != TIDE_OK) fail_msg("%s", e.message);
    assert_int_equal(at.seqno, end.seqno);
    assert_int_equal(role_of(0), TIDE_ROLE_FOLLOWER);
    assert_int_equal(role_of(1), TIDE_ROLE_LEADER);
    assert_int_equal(signal_to(0, &at, &e), TIDE_READONLY);
    assert_non_null(strstr(e.message, nodes[1].data_address));
    write_to(1, 5);
    WAIT_UNTIL(count_on(0) == 15 && count_on(2) == 15); /* n2 was told whom to follow */
    wait_same(0, 1);
    if (tide_handover(nodes[1].db, "n0", 0, &at, &e) != TIDE_OK) fail_msg("%s", e.message);
    write_to(0, 1);
    WAIT_UNTIL(count_on(1) == 16 && count_on(2) == 16);
    wait_same(0, 1);
    wait_same(0, 2);
    assert_int_equal(tide_handover(nodes[0].db, "nobody", 0, &at, &e), TIDE_NOTFOUND);
    assert_int_equal(tide_handover(nodes[2].db, "n0", 0, &at, &e), TIDE_READONLY);
    close_member(2);
    WAIT_UNTIL(tide_handover(nodes[0].db, "n2", 0, &at, &e) == TIDE_REFUSED);
}

/* Goal: heartbeats fall due while the old leader saves that it leads no longer; its links, and the
 * offer that is to go over them, live through that. */
static void a_heartbeat_due_in_the_middle_of_a_handover_ends_no_link(void **state)
{
    (void)state;
    heartbeat_ms = 1;
    open_member(0, NULL);
    write_to(0, 1);
    open_member(1, nodes[0].replication_address);
    for (int k = 0; k < 20; k++) {
        int from = k % 2;
        const char *successor = from == 0 ? "n1" : "n0";
        struct tide_position at;
        struct tide_err e = {0};
        enum tide_code code;
        WAIT_UNTIL(count_on(1 - from) == (uint64_t)k + 1);
        WAIT_UNTIL((code = tide_handover(nodes[from].db, successor, 0, &at, &e)) != TIDE_NOTFOUND &&
                   !strstr(e.message, "not connected"));
        if (code != TIDE_OK) fail_msg("handover %d: %s", k, e.message);
        write_to(1 - from, 1);
    }
}

/* Goal: a claim outlives the candidate: the old leader leads no longer, and nothing more of its
 * epoch reaches a member. That a member alone refuses it is what planted bug 36 is for. */
static void a_claim_ends_the_old_leadership_though_its_candidate_is_gone(void **state)
{
    (void)state;
    open_three();
    struct tide_position at;
    struct tide_err e = {0};
    if (tide_promote(nodes[1].db, NULL, true, &at, &e) != TIDE_OK) fail_msg("%s", e.message);
    close_member(1);
    struct tide_position before = position_of(2);
    WAIT_UNTIL(role_of(0) == TIDE_ROLE_FOLLOWER);
    assert_int_equal(signal_to(0, &at, &e), TIDE_READONLY);
    assert_int_equal(position_of(2).epoch, before.epoch);
    assert_int_equal(count_on(2), 10);
}

/* --- a leader that holds less than a follower --- */

static bool is_refused_with(int i, const char *words)
{
    struct tide_position p;
    struct tide_err e = {0};
    return signal_to(i, &p, &e) == TIDE_LOADING && strstr(e.message, words) != NULL;
}

/* Goal: what it fetched is of an epoch that another node led, which does not answer: it holds all,
 * and does not lead; when that leader is back it follows, and goes on following whatever an
 * operator asks of it. */
static void records_of_another_leader_are_fetched_and_not_led_on(void **state)
{
    (void)state;
    struct tide_position at;
    struct tide_err e = {0};
    open_three();
    close_member(0);
    if (tide_promote(nodes[1].db, NULL, true, &at, &e) != TIDE_OK) fail_msg("%s", e.message);
    write_to(1, 5);
    WAIT_UNTIL(count_on(2) == 15);
    close_member(1);
    open_member(0, NULL);
    WAIT_UNTIL(is_refused_with(0, "epoch 2 was begun somewhere"));
    assert_int_equal(count_on(0), 15);
    assert_int_equal(role_of(0), TIDE_ROLE_LEADER); /* as it is meant to be */
    open_member(1, NULL);
    WAIT_UNTIL(role_of(0) == TIDE_ROLE_FOLLOWER);
    WAIT_UNTIL(position_of(0).epoch == 3);
    wait_same(0, 1);
    assert_int_equal(tide_promote(nodes[0].db, NULL, false, &at, &e), TIDE_REFUSED);
    close_member(1);
    for (double end = seconds_now() + 1.5; seconds_now() < end; rest()) {
        assert_int_equal(role_of(0), TIDE_ROLE_FOLLOWER); /* nobody told it to lead */
    }
    assert_int_equal(position_of(0).epoch, 3);
}

/* Many records, in one run. */
static void write_many(int i, uint32_t count)
{
    tide_run *run = tide_run_new();
    struct tide_signal signal = {.type = {"view", 4}, .item = {"a", 1}};
    assert_non_null(run);
    for (uint32_t k = 0; k < count; k++) {
        assert_int_equal(tide_run_signal(run, &signal, NULL), (int32_t)k);
    }
    assert_int_equal(tide_execute(nodes[i].db, run), TIDE_OK);
    tide_run_free(run);
}

/* Node 0 is an older copy: node 1 holds `count` records more. */
static void set_back(uint32_t count)
{
    char *copy = tm_dir_make("copy");
    open_member(0, NULL);
    write_to(0, 10);
    open_member(1, nodes[0].replication_address);
    WAIT_UNTIL(count_on(1) == 10);
    close_member(0);
    files_copy(nodes[0].dir, copy);
    open_member(0, NULL);
    WAIT_UNTIL(position_of(0).epoch == 2);
    write_many(0, count);
    WAIT_UNTIL(count_on(1) == 10 + count);
    close_member(0);
    files_copy(copy, nodes[0].dir);
    tm_dir_remove(copy);
}

/* Goal: an operator's promotion in the middle is judged like any: without force it is refused, and
 * the fetch goes on; no slot of the leader is left when it is over. */
static void a_refused_promotion_does_not_end_a_fetch(void **state)
{
    (void)state;
    struct tide_position at;
    struct tide_err e = {0};
    set_back(30000);
    open_member(0, NULL);
    WAIT_UNTIL(is_refused_with(0, "it fetches"));
    for (int k = 0; k < 20; k++) {
        enum tide_code code = tide_promote(nodes[0].db, NULL, false, &at, &e);
        bool is_fair = code == TIDE_OK || code == TIDE_BUSY ||
                       (code == TIDE_REFUSED && strstr(e.message, "n1 holds more") != NULL);
        if (!is_fair) fail_msg("%d %s", (int)code, e.message);
    }
    WAIT_UNTIL(position_of(0).epoch == 3);
    assert_int_equal(count_on(0), 30010);
    write_to(0, 1);
    wait_same(0, 1);
    WAIT_UNTIL(followers_of(1) == 0);
}

static void a_forced_promotion_ends_a_fetch(void **state)
{
    (void)state;
    struct tide_position at = {0};
    struct tide_err e = {0};
    set_back(30000);
    open_member(0, NULL);
    WAIT_UNTIL(is_refused_with(0, "it fetches"));
    WAIT_UNTIL(tide_promote(nodes[0].db, NULL, true, &at, &e) == TIDE_OK);
    assert_int_equal(at.epoch, 3);
    write_to(0, 1);
    uint64_t held = count_on(0);
    assert_in_range(held, 11, 30011);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_follower_is_promoted_and_another_follows_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_position_than_expected_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_living_leader_is_not_replaced_without_force, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_deposed_leader_follows_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_claim_ends_the_old_leadership_though_its_candidate_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_leadership_is_handed_over_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_heartbeat_due_in_the_middle_of_a_handover_ends_no_link,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(all_nodes_know_the_members, setup, teardown),
        cmocka_unit_test_setup_teardown(records_of_another_leader_are_fetched_and_not_led_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_refused_promotion_does_not_end_a_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forced_promotion_ends_a_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_follows_no_one_that_does_not_lead_later, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
