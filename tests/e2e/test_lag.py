"""Lag figures tell the truth: on both sides, on a held, delayed, cut and never used link, with a
sleeping follower, a dead leader and with nothing to do. Every scrape is judged by promtool."""
import math
import signal
import time

import tm
from proxy import TO_FOLLOWER, Proxy
from tm import check, contains, equal, test, until

HEARTBEAT_S = 0.5
LAG = "tidemark_replication_lag_"


def lag(node, name, follower="f"):
    return node.metrics().of(LAG + name, follower=follower)


def connected(node):
    return node.metrics().of("tidemark_replication_connected", follower="f")


def judge(*nodes):
    for node in nodes:
        node.metrics().judge()


def write(leader, count):
    with leader.connect() as c:
        for reply in c.pipe([["SIGNAL", "view", "item:%d" % (i % 7)] for i in range(count)]):
            check(isinstance(reply, str), "%r", reply)


def start(world, *flags, writes=10):
    leader = world.start("leader", *flags)
    proxy = Proxy(world, leader.replication)
    f = world.start("f", *flags, follow=proxy.address)
    write(leader, writes)
    until("both know that f has all", lambda: lag(leader, "records") == 0 and lag(f, "seconds") < 2 * HEARTBEAT_S)
    return leader, proxy, f


def check_wall_rate(what, ask):
    """A figure grows exactly as much as time passes between two looks at it."""
    looks = []
    for pause_s in (1.0, 0):
        before = time.monotonic()
        looks.append((before, ask(), time.monotonic()))
        time.sleep(pause_s)  # the stretch that is measured
    growth = looks[1][1] - looks[0][1]
    least, most = looks[1][0] - looks[0][2], looks[1][2] - looks[0][0]
    check(least - 0.01 < growth < most + 0.01, "%s grew by %.3f s in %.3f to %.3f s", what, growth, least, most)


@test
def a_held_link_shows_exactly_the_records_that_are_missing(world):
    leader, proxy, f = start(world)
    proxy.hold()
    write(leader, 100)
    m = leader.metrics().judge()
    equal(m.of(LAG + "records", follower="f"), 100)
    equal(m.of("replication_lag_seqno", follower="f"), 100, "the alias")
    check(m.of(LAG + "bytes", follower="f") > 100 * 10, "bytes: %r", m.of(LAG + "bytes", follower="f"))
    equal(m.of("tidemark_log_durable_seqno") - m.of("tidemark_replication_applied_seqno", follower="f"), 100)
    equal(leader.status()["followers"]["f"]["lag_records"], 100)
    check_wall_rate("lag_seconds of the leader", lambda: lag(leader, "seconds"))
    proxy.release()
    until("nothing is missing", lambda: lag(leader, "records") == 0)
    m = leader.metrics().judge()
    equal((m.of("replication_lag_seqno", follower="f"), m.of(LAG + "bytes", follower="f")), (0, 0))
    until("seconds are small", lambda: lag(leader, "seconds") < 2 * HEARTBEAT_S)
    tm.wait_equal(leader, f)
    judge(leader, f)


@test
def what_was_sent_and_not_acknowledged_still_counts(world):
    leader, proxy, f = start(world)
    proxy.hold(0)  # acks do not come back; the follower applies everything
    write(leader, 100)
    until("f has them", lambda: f.seqno() >= leader.seqno())
    m = leader.metrics().judge()
    equal(m.of(LAG + "records", follower="f"), 100)
    equal(m.of("tidemark_replication_shipped_seqno", follower="f"), m.of("tidemark_log_durable_seqno"))
    proxy.release()
    until("nothing is missing", lambda: lag(leader, "records") == 0)


@test
def a_cut_link_lets_both_sides_grow_at_wall_rate(world):
    leader, proxy, f = start(world)
    proxy.cut()
    until("both know", lambda: connected(leader) == 0 and connected(f) == 0)
    judge(leader, f)
    check_wall_rate("lag_seconds of an idle, cut leader", lambda: lag(leader, "seconds"))
    check_wall_rate("lag_seconds of a cut follower", lambda: lag(f, "seconds"))
    write(leader, 10)
    equal(lag(leader, "records"), 10)
    check_wall_rate("lag_seconds of a cut leader that writes", lambda: lag(leader, "seconds"))
    write(leader, 5)
    equal(lag(leader, "records"), 15)
    for name in ("records", "bytes"):  # how far the leader is by now is not known here
        equal(lag(f, name), None, "a cut follower's own lag_" + name)
    judge(leader, f)
    proxy.mend()
    until("all is well", lambda: lag(leader, "records") == 0 and connected(leader) == 1 and connected(f) == 1)
    until("seconds are small", lambda: max(lag(leader, "seconds"), lag(f, "seconds")) < 2 * HEARTBEAT_S)
    equal((lag(f, "records"), lag(f, "bytes")), (0, 0))
    judge(leader, f)


@test
def a_follower_that_never_synced_has_no_lag_in_records_and_an_endless_one_in_seconds(world):
    leader = world.start("leader")
    write(leader, 50)
    proxy = Proxy(world, leader.replication)
    proxy.swallow(TO_FOLLOWER)
    f = world.start("f", follow=proxy.address)
    until("the leader has heard of it", lambda: lag(leader, "seconds") is not None)
    for node in (leader, f):
        m = node.metrics().judge()
        equal(m.of(LAG + "records", follower="f"), None, "lag_records of %s" % node.name)
        equal(m.of("replication_lag_seqno", follower="f"), None, "the alias of %s" % node.name)
        equal(m.of(LAG + "bytes", follower="f"), None, "lag_bytes of %s" % node.name)
        equal(m.of(LAG + "seconds", follower="f"), math.inf, "lag_seconds of %s" % node.name)
    equal(connected(f), 0)
    status, text = f.get("/readyz")
    equal(status, 503)
    contains(text, "has not caught up with its leader")
    proxy.mend()
    proxy.close_links()
    until("f is synced", lambda: lag(leader, "records") == 0)
    until("f is ready", lambda: f.get("/readyz")[0] == 200)
    judge(leader, f)


@test
def an_idle_leader_keeps_its_followers_within_two_heartbeats(world):
    leader, proxy, f = start(world)
    worst = {"leader": 0.0, "f": 0.0}
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for node in (leader, f):
            m = node.metrics()
            equal(m.of(LAG + "records", follower="f"), 0)
            worst[node.name] = max(worst[node.name], m.of(LAG + "seconds", follower="f"))
    print("    idle for 3 s: at most %.3f s on the leader, %.3f s on the follower" % (worst["leader"], worst["f"]))
    for name, seconds in worst.items():
        check(seconds < 2 * HEARTBEAT_S + 0.2, "lag_seconds of %s reached %.3f s with nothing to do", name, seconds)


@test
def a_delayed_link_is_as_late_as_its_delay(world):
    leader, proxy, f = start(world)
    proxy.delay_s = 0.3
    seen = [0.0, 0.0]
    for _ in range(10):
        write(leader, 3)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            seen = [max(seen[0], lag(leader, "seconds")), max(seen[1], lag(f, "seconds"))]
    print("    0.3 s each way: up to %.3f s on the leader, %.3f s on the follower" % tuple(seen))
    check(seen[0] >= 0.3, "the leader's bound %.3f s is below the truth", seen[0])
    check(seen[1] >= 0.3, "the follower's bound %.3f s is below the truth", seen[1])
    proxy.delay_s = 0
    until("nothing is missing", lambda: lag(leader, "records") == 0)


@test
def a_follower_that_sleeps_falls_behind_and_wakes_up(world):
    leader, proxy, f = start(world)
    f.signal(signal.SIGSTOP)
    check_wall_rate("lag_seconds while nothing is written", lambda: lag(leader, "seconds"))
    write(leader, 20)
    equal(lag(leader, "records"), 20)
    check_wall_rate("lag_seconds of the leader", lambda: lag(leader, "seconds"))
    judge(leader)
    f.signal(signal.SIGCONT)
    until("nothing is missing", lambda: lag(leader, "records") == 0 and lag(leader, "seconds") < 2 * HEARTBEAT_S)
    tm.wait_equal(leader, f)
    until("f knows", lambda: lag(f, "seconds") < 2 * HEARTBEAT_S)
    judge(leader, f)


@test
def a_follower_that_sleeps_too_long_is_given_up_and_comes_back(world):
    leader, proxy, f = start(world, "--heartbeat", "100ms", "--suspect", "300ms", "--dead", "1s")
    f.signal(signal.SIGSTOP)
    until("it is given up", lambda: connected(leader) == 0)
    write(leader, 7)
    equal(lag(leader, "records"), 7)
    check(lag(leader, "seconds") >= 1.0, "it slept for a second at least")
    judge(leader)
    f.signal(signal.SIGCONT)
    until("it is back", lambda: connected(leader) == 1 and lag(leader, "records") == 0)
    tm.wait_equal(leader, f)


@test
def a_dead_leader_lets_its_follower_grow_old_and_still_serve(world):
    leader, proxy, f = start(world)
    equal(f.get("/readyz")[0], 200)
    leader.kill()
    until("f knows", lambda: connected(f) == 0)
    check_wall_rate("lag_seconds of the follower", lambda: lag(f, "seconds"))
    judge(f)
    equal(f.get("/readyz"), (200, "ready\n"), "no bound of staleness is set: it still serves")
    equal(f.get("/healthz")[0], 200)
    leader.start()
    until("f's slot is known again",
          lambda: leader.metrics().of("tidemark_replication_applied_seqno", follower="f") is not None)
    m = leader.metrics().judge()
    wanted = m.of("tidemark_log_durable_seqno") - m.of("tidemark_replication_applied_seqno", follower="f")
    if m.of("tidemark_replication_connected", follower="f") == 0:
        equal(m.of(LAG + "seconds", follower="f"), math.inf, "nothing was heard in this leadership")
        check(m.of(LAG + "records", follower="f") in (None, wanted), "lag_records after the restart")
    until("f is back", lambda: connected(f) == 1 and lag(f, "seconds") < 2 * HEARTBEAT_S)
    until("the leader knows", lambda: lag(leader, "records") == 0 and lag(leader, "seconds") < 2 * HEARTBEAT_S)
    judge(leader, f)


@test
def a_follower_that_is_gone_keeps_counting_on_its_leader(world):
    leader, proxy, f = start(world)
    f.stop()
    until("the leader knows", lambda: connected(leader) == 0)
    for n in (10, 20):
        write(leader, 10)
        m = leader.metrics().judge()
        equal((m.of(LAG + "records", follower="f"), m.of("replication_lag_seqno", follower="f")), (n, n))
    leader.stop()
    leader.start()
    until("f's slot is known again", lambda: lag(leader, "records") is not None)
    m = leader.metrics().judge()
    equal(m.of(LAG + "records", follower="f"), 21, "lag_records after a restart, with the new epoch's record")
    equal(m.of(LAG + "seconds", follower="f"), math.inf)
    f.start()
    until("f has all", lambda: lag(leader, "records") == 0)


tm.main()
