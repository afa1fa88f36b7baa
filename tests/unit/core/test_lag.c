/* Tests of core/lag: the bound is small when all is well, grows when it must, and is never below
 * the truth. */
#include "support/tm_test.h"

#include <math.h>

#include "base/random.h"
#include "core/lag.h"

#define MS NS_PER_MS

static struct lag_times times;
static struct lag_peer peer;
static struct lag_self self;
static uint64_t now_ns;

static int fresh(void **state)
{
    (void)state;
    now_ns = 1000 * NS_PER_S;
    lag_times_init(&times, seqno_of(10));
    peer = (struct lag_peer){0};
    self = (struct lag_self){0};
    return 0;
}

static bool is_infinite(double v)
{
    return v == (double)INFINITY;
}

static double peer_seconds(void)
{
    return lag_peer_seconds(&peer, &times, now_ns, 3 * NS_PER_S);
}

static void nothing_heard_is_infinity_not_zero(void **state)
{
    (void)state;
    assert_true(is_infinite(peer_seconds()));
    assert_true(is_infinite(lag_self_seconds(&self, now_ns)));
}

static void an_idle_follower_is_as_old_as_the_probe_it_answered(void **state)
{
    (void)state;
    lag_peer_join(&peer, seqno_of(10));
    assert_true(is_infinite(peer_seconds())); /* joined, but nothing was answered */
    uint64_t probe = lag_probe_next(&peer.probes, now_ns);
    now_ns += 5 * MS;
    lag_peer_ack(&peer, probe, seqno_of(10));
    assert_same_double(peer_seconds(), 0.005);
    now_ns += 495 * MS;
    assert_same_double(peer_seconds(), 0.5);
}

static void a_missing_record_counts_from_when_it_became_durable(void **state)
{
    (void)state;
    lag_peer_join(&peer, seqno_of(10));
    lag_peer_ack(&peer, lag_probe_next(&peer.probes, now_ns), seqno_of(10));
    lag_times_add(&times, seqno_of(11), now_ns);
    now_ns += 30 * MS;
    lag_times_add(&times, seqno_of(12), now_ns);
    now_ns += 10 * MS;
    assert_same_double(peer_seconds(), 0.04);
    lag_peer_ack(&peer, 0, seqno_of(11));
    assert_same_double(peer_seconds(), 0.01);
    lag_peer_ack(&peer, 0, seqno_of(12));
    assert_same_double(peer_seconds(), 0.04); /* nothing missing: the probe's age again */
}

/* What was durable before this process opened has an unknown age. */
static void a_follower_behind_the_leaders_start_is_infinitely_late(void **state)
{
    (void)state;
    lag_peer_join(&peer, seqno_of(9));
    lag_peer_ack(&peer, lag_probe_next(&peer.probes, now_ns), seqno_of(9));
    assert_true(is_infinite(peer_seconds()));
    lag_peer_ack(&peer, 0, seqno_of(10));
    assert_false(is_infinite(peer_seconds()));
}

/* Cut while idle, then a write: the age of the young record does not hide the long silence. */
static void a_cut_link_grows_at_wall_rate_whatever_is_written(void **state)
{
    (void)state;
    lag_peer_join(&peer, seqno_of(10));
    lag_peer_ack(&peer, lag_probe_next(&peer.probes, now_ns), seqno_of(10));
    lag_peer_leave(&peer);
    now_ns += 60 * NS_PER_S;
    assert_same_double(peer_seconds(), 60.0);
    lag_times_add(&times, seqno_of(11), now_ns);
    now_ns += 10 * NS_PER_S;
    assert_same_double(peer_seconds(), 70.0);
}

static void a_silent_link_that_still_looks_up_grows_too(void **state)
{
    (void)state;
    lag_peer_join(&peer, seqno_of(10));
    lag_peer_ack(&peer, lag_probe_next(&peer.probes, now_ns), seqno_of(10));
    now_ns += 5 * NS_PER_S;
    lag_times_add(&times, seqno_of(11), now_ns);
    assert_same_double(peer_seconds(), 5.0);
}

static void a_reconnect_keeps_the_bound_unless_the_follower_went_back(void **state)
{
    (void)state;
    lag_times_add(&times, seqno_of(20), now_ns);
    lag_peer_join(&peer, seqno_of(20));
    lag_peer_ack(&peer, lag_probe_next(&peer.probes, now_ns), seqno_of(20));
    lag_peer_leave(&peer);
    now_ns += NS_PER_S;
    lag_peer_join(&peer, seqno_of(20));
    assert_same_double(peer_seconds(), 1.0);
    lag_peer_leave(&peer);
    lag_peer_join(&peer, seqno_of(15)); /* restored from an older copy */
    assert_true(is_infinite(peer_seconds()));
}

static void a_followers_bound_starts_at_the_probe_whose_echo_is_applied(void **state)
{
    (void)state;
    uint64_t probe = lag_probe_next(&self.probes, now_ns);
    now_ns += 10 * MS;
    lag_self_echo(&self, probe, seqno_of(5), 0, seqno_of(4));
    assert_true(is_infinite(lag_self_seconds(&self, now_ns))); /* 5 is not applied */
    now_ns += 10 * MS;
    lag_self_applied(&self, seqno_of(5));
    assert_true(self.was_synced);
    assert_same_double(lag_self_seconds(&self, now_ns), 0.02);
    now_ns += NS_PER_S;
    assert_same_double(lag_self_seconds(&self, now_ns), 1.02);
}

static void an_echo_of_a_probe_never_sent_proves_nothing(void **state)
{
    (void)state;
    lag_self_echo(&self, 1, seqno_of(0), 0, seqno_of(0));
    lag_self_echo(&self, 0, seqno_of(0), 0, seqno_of(0));
    assert_false(self.was_synced);
    (void)lag_probe_next(&self.probes, now_ns);
    lag_self_echo(&self, 2, seqno_of(0), 0, seqno_of(0));
    assert_false(self.was_synced);
    lag_peer_join(&peer, seqno_of(10));
    lag_peer_ack(&peer, 77, seqno_of(10));
    assert_false(peer.is_answered);
}

static void probes_closer_than_20_ms_share_one_id(void **state)
{
    (void)state;
    assert_int_equal(lag_probe_next(&self.probes, now_ns), 1);
    assert_int_equal(lag_probe_next(&self.probes, now_ns + 19 * MS), 1);
    assert_int_equal(lag_probe_next(&self.probes, now_ns + 20 * MS), 2);
    uint64_t sent_ns = 0;
    assert_true(lag_probe_sent(&self.probes, 1, &sent_ns));
    assert_int_equal(sent_ns, now_ns);
    for (uint64_t i = 1; i <= LAG_PROBES_MAX; i++)
        (void)lag_probe_next(&self.probes, now_ns + NS_PER_S * i);
    assert_false(lag_probe_sent(&self.probes, 1, &sent_ns)); /* forgotten: proves nothing */
}

/* Ten days of a write every few ms to seconds: the table stays bounded, and every age it tells is
 * at least the true one and at most a quarter more (plus the stamp). */
static void the_table_of_times_is_bounded_and_errs_upwards_only(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    struct random random;
    random_init(&random, tm_seed("durable times", 7));
    uint64_t *since_ns = calloc(COUNT + 1, sizeof(*since_ns));
    assert_non_null(since_ns);
    for (uint64_t s = 1; s <= COUNT; s++) {
        now_ns += random_below(&random, random_chance(&random, 1000) ? 3600 * NS_PER_S : 20 * MS);
        since_ns[s] = now_ns;
        lag_times_add(&times, seqno_of(10 + s), now_ns);
        if (s % 997 != 0) continue;
        uint64_t applied = random_below(&random, s);
        uint64_t told_ns = 0;
        assert_int_equal(lag_times_missing(&times, seqno_of(10 + applied), &told_ns),
                         LAG_MISSING_SINCE);
        uint64_t age_ns = now_ns - since_ns[applied + 1];
        assert_true(told_ns <= since_ns[applied + 1]);
        assert_true(now_ns - told_ns <= age_ns + age_ns / 4 + 2 * LAG_STAMP_NS);
    }
    assert_true(times.count <= LAG_TIMES_MAX);
    free(since_ns);
}

/* A whole world against brute force: a leader that writes, a follower that applies late, messages
 * that take their time or are lost, links that come and go. Both bounds are never below the truth.
 */
struct world {
    struct random random;
    uint64_t durable;
    uint64_t applied;         /* truly, on the follower */
    uint64_t since_ns[20001]; /* when each record became durable */
    bool is_up;
    struct message {
        bool is_used;
        bool is_ack;
        uint64_t arrives_ns;
        uint64_t probe; /* sender's newest */
        uint64_t echo;
        uint64_t number; /* ack: applied; heartbeat: echoed durable */
    } flying[32];
    uint64_t leader_saw_probe; /* follower's, with what was durable when it arrived */
    uint64_t leader_saw_durable;
    uint64_t follower_saw_probe;
};
static struct world world;

static void send(bool is_ack)
{
    for (size_t i = 0; i < COUNT_OF(world.flying); i++) {
        struct message *m = &world.flying[i];
        if (m->is_used) continue;
        m->is_used = !random_chance(&world.random, 100000); /* one in ten is lost */
        m->is_ack = is_ack;
        m->arrives_ns = now_ns + random_below(&world.random, 200 * MS);
        m->probe = lag_probe_next(is_ack ? &self.probes : &peer.probes, now_ns);
        m->echo = is_ack ? world.follower_saw_probe : world.leader_saw_probe;
        m->number = is_ack ? world.applied : world.leader_saw_durable;
        return;
    }
}

static void arrive(struct message *m)
{
    m->is_used = false;
    if (!world.is_up) return;
    if (!m->is_ack) {
        if (m->probe > world.follower_saw_probe) world.follower_saw_probe = m->probe;
        lag_self_echo(&self, m->echo, seqno_of(m->number), 0, seqno_of(world.applied));
        return;
    }
    if (m->probe > world.leader_saw_probe) {
        world.leader_saw_probe = m->probe;
        world.leader_saw_durable = world.durable;
    }
    if (m->number >= peer.applied.v) lag_peer_ack(&peer, m->echo, seqno_of(m->number));
}

static void world_step(void)
{
    struct random *r = &world.random;
    now_ns += random_below(r, 40 * MS);
    if (random_chance(r, 300000) && world.durable < 20000) {
        uint64_t first = world.durable + 1;
        world.durable += 1 + random_below(r, 3);
        if (world.durable > 20000) world.durable = 20000;
        for (uint64_t s = first; s <= world.durable; s++)
            world.since_ns[s] = now_ns;
        lag_times_add(&times, seqno_of(world.durable), now_ns);
    }
    if (world.is_up && random_chance(r, 400000) && world.applied < world.durable) {
        world.applied += 1 + random_below(r, world.durable - world.applied);
        lag_self_applied(&self, seqno_of(world.applied));
    }
    if (random_chance(r, 2000)) { /* the link comes or goes */
        world.is_up = !world.is_up;
        memset(world.flying, 0, sizeof(world.flying));
        world.leader_saw_probe = world.leader_saw_durable = world.follower_saw_probe = 0;
        if (world.is_up)
            lag_peer_join(&peer, seqno_of(world.applied));
        else
            lag_peer_leave(&peer);
    }
    if (world.is_up && random_chance(r, 300000)) send(random_chance(r, 500000));
    for (size_t i = 0; i < COUNT_OF(world.flying); i++) {
        struct message *m = &world.flying[i];
        if (m->is_used && m->arrives_ns <= now_ns) arrive(m);
    }
}

static void neither_side_ever_tells_less_than_the_truth(void **state)
{
    (void)state;
    uint64_t seed = tm_seed("lag world", 42);
    uint32_t finite = 0;
    uint32_t served = 0;
    for (uint64_t round = 0; round < 20; round++) {
        fresh(state);
        memset(&world, 0, sizeof(world));
        random_init(&world.random, seed + round);
        lag_times_init(&times, SEQNO_NONE);
        for (int i = 0; i < 20000; i++) {
            world_step();
            double truth = 0;
            if (world.applied < world.durable) {
                truth = (double)(now_ns - world.since_ns[world.applied + 1]) / (double)NS_PER_S;
            }
            assert_true(peer_seconds() >= truth);
            assert_true(lag_self_seconds(&self, now_ns) >= truth);
            for (uint64_t max_ns = 0; max_ns <= 3 * NS_PER_S; max_ns += 100 * MS) {
                if (!lag_is_fresh(lag_self_ns(&self, now_ns), max_ns)) continue;
                assert_true(truth <= (double)max_ns / (double)NS_PER_S);
                served++;
            }
            finite += !is_infinite(peer_seconds()) && !is_infinite(lag_self_seconds(&self, now_ns));
        }
    }
    assert_true(finite > 100000); /* and it does tell something */
    assert_true(served > 100000);
}

/* A follower of a follower: its bound is that of the link plus what the node between did not know
 * when the probe passed. Against brute force again; the node between may be cut off for long. */
static void bounds_add_up_along_a_chain(void **state)
{
    (void)state;
    struct hop {
        struct lag_self lag;
        uint64_t applied;
        uint64_t saw_probe; /* of the follower behind it, and what was true when it arrived */
        uint64_t saw_durable;
        uint64_t saw_staleness_ns;
        bool is_up;
    };
    static uint64_t since_ns[20001];
    static struct hop hops[3]; /* the leader, the node between, the last */
    struct random random;
    random_init(&random, tm_seed("lag chain", 9));
    memset(hops, 0, sizeof(hops));
    memset(since_ns, 0, sizeof(since_ns));
    uint32_t finite = 0;
    uint64_t now = 1000 * NS_PER_S;
    for (int i = 0; i < 200000; i++) {
        now += random_below(&random, 20 * MS);
        if (random_chance(&random, 90000) && hops[0].applied < 20000) {
            since_ns[++hops[0].applied] = now;
        }
        for (int n = 1; n < 3; n++) {
            struct hop *up = &hops[n - 1];
            struct hop *me = &hops[n];
            if (random_chance(&random, 1000)) me->is_up = !me->is_up;
            if (!me->is_up) continue;
            if (random_chance(&random, 200000) && me->applied < up->applied) {
                me->applied += 1 + random_below(&random, up->applied - me->applied);
                lag_self_applied(&me->lag, seqno_of(me->applied));
            }
            if (random_chance(&random, 200000)) { /* a probe arrives */
                up->saw_probe = lag_probe_next(&me->lag.probes, now);
                up->saw_durable = up->applied;
                up->saw_staleness_ns = n == 1 ? 0 : lag_self_ns(&up->lag, now);
            }
            if (random_chance(&random, 200000)) { /* and its echo comes back */
                lag_self_echo(&me->lag, up->saw_probe, seqno_of(up->saw_durable),
                              up->saw_staleness_ns, seqno_of(me->applied));
            }
            uint64_t bound_ns = lag_self_ns(&me->lag, now);
            uint64_t truth_ns = 0;
            if (me->applied < hops[0].applied) truth_ns = now - since_ns[me->applied + 1];
            assert_true(bound_ns >= truth_ns);
            finite += n == 2 && bound_ns != LAG_NEVER;
        }
    }
    assert_true(finite > 10000);
}

/* Nothing is known of a node that was never synced, whatever is allowed. */
static void an_unknown_bound_is_never_fresh(void **state)
{
    (void)state;
    assert_false(lag_is_fresh(lag_self_ns(&self, now_ns), UINT64_MAX));
    assert_true(lag_is_fresh(0, 0));
    assert_true(lag_is_fresh(5, 5));
    assert_false(lag_is_fresh(6, 5));
    uint64_t probe = lag_probe_next(&self.probes, now_ns);
    lag_self_echo(&self, probe, seqno_of(0), LAG_NEVER, seqno_of(0));
    assert_false(self.was_synced); /* the node before it knows nothing either */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_heard_is_infinity_not_zero, fresh),
        cmocka_unit_test_setup(an_idle_follower_is_as_old_as_the_probe_it_answered, fresh),
        cmocka_unit_test_setup(a_missing_record_counts_from_when_it_became_durable, fresh),
        cmocka_unit_test_setup(a_follower_behind_the_leaders_start_is_infinitely_late, fresh),
        cmocka_unit_test_setup(a_cut_link_grows_at_wall_rate_whatever_is_written, fresh),
        cmocka_unit_test_setup(a_silent_link_that_still_looks_up_grows_too, fresh),
        cmocka_unit_test_setup(a_reconnect_keeps_the_bound_unless_the_follower_went_back, fresh),
        cmocka_unit_test_setup(a_followers_bound_starts_at_the_probe_whose_echo_is_applied, fresh),
        cmocka_unit_test_setup(an_echo_of_a_probe_never_sent_proves_nothing, fresh),
        cmocka_unit_test_setup(probes_closer_than_20_ms_share_one_id, fresh),
        cmocka_unit_test_setup(the_table_of_times_is_bounded_and_errs_upwards_only, fresh),
        cmocka_unit_test_setup(neither_side_ever_tells_less_than_the_truth, fresh),
        cmocka_unit_test_setup(bounds_add_up_along_a_chain, fresh),
        cmocka_unit_test_setup(an_unknown_bound_is_never_fresh, fresh),
    };
    return cmocka_run_group_tests_name("core/lag", tests, NULL, NULL);
}
