/* freshness: what a node says of its own age and of what is committed. More with followers is in
 * e2e.tokens and unit.engine.replication. */
#include "engine/freshness.h"

#include "core/lag.h"
#include "support/fixture.h"
#include "support/thread_nodes.h"

static int setup(void **state)
{
    *state = fixture_new("freshness");
    return 0;
}

static void a_leader_is_always_fresh_and_alone_commits_what_it_stores(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    assert_int_equal(db_staleness_ns(f->n.db), 0);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    assert_int_equal(db_committed(f->n.db).v, log_durable(f->n.db->log).seqno.v);
}

static void a_node_whose_state_is_not_the_leaders_claims_nothing(void **state)
{
    struct fixture *f = *state;
    open_node(f);
    struct err e = {.code = OK};
    (void)ERR(&e, E_DIVERGED, "block item-keys 0 differs");
    db_set_condition(f->n.db, DB_DIVERGED, &e);
    assert_true(db_staleness_ns(f->n.db) == LAG_NEVER);
}

/* As while it hands over, or opens anew after it was deposed (sim seed 701608). */
static void a_node_that_leads_no_longer_and_follows_nobody_yet_claims_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t since_ns;
    open_node(f);
    f->n.db->is_leading = false;
    assert_true(db_staleness_ns(f->n.db) == LAG_NEVER);
    assert_false(db_fresh_since(f->n.db, &since_ns));
    f->n.db->is_leading = true;
}

static void a_follower_that_was_never_synced_claims_nothing(void **state)
{
    struct fixture *f = *state;
    f->options.follow = TIDE_TRANSPORT;
    open_node(f);
    assert_true(db_staleness_ns(f->n.db) == LAG_NEVER);
    assert_int_equal(db_committed(f->n.db).v, 0);
}

static void a_refusal_tells_the_bound_rounded_up(void **state)
{
    (void)state;
    struct err e = {.code = OK};
    assert_int_equal(db_refuse_stale(1500001, 1 * NS_PER_MS, &e), E_STALE);
    assert_string_equal(e.text, "this node's state may be 2 ms old; at most 1 ms are allowed");
    assert_int_equal(db_refuse_stale(LAG_NEVER, 7 * NS_PER_MS, &e), E_STALE);
    assert_string_equal(e.text, "how old this node's state is cannot be told; at most 7 ms are "
                                "allowed");
}

/* What this node's log holds as committed, once it leads; UINT64_MAX before. */
static void look_at_committed(struct db *db, void *arg)
{
    uint64_t *out = arg;
    bool is_begun = db_is_leader(db) && db->log && db->epoch.number == 2 && db->shipper;
    *out = is_begun && db_applied(db).epoch == 2 ? log_committed(db->log).v : UINT64_MAX;
}

static uint64_t committed_by(tide_db *db)
{
    uint64_t committed;
    thread_node_call(db, look_at_committed, &committed);
    return committed;
}

/* A leader that is asked for its follower's place in vain begins, and does not take the silence for
 * nobody: what it held for committed it never gave up again when the follower was promoted. */
static void a_leader_that_begins_commits_nothing_before_its_followers_are_known(void **state)
{
    struct thread_pair *p = *state;
    thread_pair_open(p);
    (void)node_signal(p->leader, "view", "a");
    WAIT_UNTIL(thread_pair_is_level(p));
    uint64_t stored = thread_node_applied(p->follower);
    assert_int_equal(tide_close(p->follower, 5000, NULL), TIDE_OK);
    p->follower = NULL;
    (void)node_signal(p->leader, "view", "a");
    assert_int_equal(tide_close(p->leader, 5000, NULL), TIDE_OK);
    p->leader = thread_node_open(p->leader_dir, "leader", NULL, "127.0.0.1:0");
    WAIT_UNTIL(committed_by(p->leader) != UINT64_MAX);
    assert_in_range(committed_by(p->leader), 1, stored);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_leader_is_always_fresh_and_alone_commits_what_it_stores),
        CASE(a_node_whose_state_is_not_the_leaders_claims_nothing),
        CASE(a_node_that_leads_no_longer_and_follows_nobody_yet_claims_nothing),
        CASE(a_follower_that_was_never_synced_claims_nothing),
        cmocka_unit_test_setup_teardown(
            a_leader_that_begins_commits_nothing_before_its_followers_are_known, thread_pair_setup,
            thread_pair_teardown),
        CASE(a_refusal_tells_the_bound_rounded_up),
    };
    return cmocka_run_group_tests_name("engine/freshness", tests, NULL, NULL);
}
