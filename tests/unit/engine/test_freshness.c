/* freshness: what a node says of its own age and of what is committed. Followers with links are
 * e2e.tokens and unit.engine.replication. */
#include "engine/freshness.h"

#include "core/lag.h"
#include "support/fixture.h"

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

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_leader_is_always_fresh_and_alone_commits_what_it_stores),
        CASE(a_node_whose_state_is_not_the_leaders_claims_nothing),
        CASE(a_follower_that_was_never_synced_claims_nothing),
        CASE(a_refusal_tells_the_bound_rounded_up),
    };
    return cmocka_run_group_tests_name("engine/freshness", tests, NULL, NULL);
}
