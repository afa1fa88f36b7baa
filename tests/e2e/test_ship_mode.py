"""ship_mode segment: followers are sent sealed segments at polls. Lag stays honest and bounded by both
intervals, is 0 when all is quiet, and WAIT waits as long as it takes."""
import time

import tm
from tm import check, contains, equal, test, until

SLACK_S = 0.5


def lag(node, name, follower):
    return node.metrics().of("tidemark_replication_lag_" + name, follower=follower)


def flags(seal_s, ship_s):
    return ("--ship-mode", "segment", "--seal-interval", "%dms" % (seal_s * 1000), "--ship-interval",
            "%dms" % (ship_s * 1000), "--heartbeat", "100ms", "--mark-interval", "1s")


def watch(world, seal_s, ship_s, load_s):
    """Write for a while, look at the lag of two followers all the time, then let all become quiet."""
    leader = world.start("leader", *flags(seal_s, ship_s))
    followers = [world.start(name, follow=leader.replication) for name in ("f", "g")]
    until("both are there", lambda: all(lag(leader, "records", n) == 0 for n in ("f", "g")))
    bound_s = seal_s + ship_s + SLACK_S
    seen_s = 0
    with leader.connect() as c:
        end = time.monotonic() + load_s
        while time.monotonic() < end:
            c.call("SIGNAL", "view", "item:%d" % (int(time.monotonic() * 50) % 7))
            for name in ("f", "g"):
                seen_s = max(seen_s, lag(leader, "seconds", name))
            time.sleep(0.02)
    check(seen_s <= bound_s, "lag of %.2f s, bound %.2f s", seen_s, bound_s)
    check(seen_s > min(seal_s, ship_s) / 2, "lag of at most %.3f s: nothing was held back", seen_s)
    started = time.monotonic()
    # the mark and the digest that the writes cause come after them: 0 and it stays 0
    until("nothing is missing", lambda: all(lag(leader, "records", n) == 0 for n in ("f", "g")), bound_s + 3)
    time.sleep(1.2 + ship_s)
    until("nothing is missing after the last mark", lambda: all(lag(leader, "records", n) == 0 for n in ("f", "g")))
    check(time.monotonic() - started < 2 * bound_s + 6, "it took long")
    equal(lag(leader, "bytes", "f"), 0)
    check(lag(leader, "seconds", "f") < 1, "seconds: %r", lag(leader, "seconds", "f"))
    for f in followers:
        tm.wait_equal(leader, f)
    leader.metrics().judge()


@test
def lag_stays_below_both_intervals_and_is_0_when_quiet(world):
    watch(world, 0.3, 0.4, 3)


@test
def the_default_intervals_of_2_s_keep_their_bound(world):
    watch(world, 2, 2, 9)


@test
def WAIT_waits_for_the_seal_and_the_poll(world):
    leader = world.start("leader", *flags(0.5, 0.3))
    world.start("f", follow=leader.replication)
    until("f is there", lambda: lag(leader, "records", "f") == 0)
    with leader.connect() as c:
        c.call("SIGNAL", "view", "a")
        equal(c.call("WAIT", "1", "50"), 0, "nothing is sent so soon")
        before = time.monotonic()
        equal(c.call("WAIT", "1", "10000"), 1)
        check(time.monotonic() - before < 0.5 + 0.3 + SLACK_S, "WAIT took %.2f s", time.monotonic() - before)
        c.call("SIGNAL", "view", "b")
        c.call("LOG.SEAL")  # a seal by hand leaves only the poll
        before = time.monotonic()
        equal(c.call("WAIT", "1", "10000"), 1)
        check(time.monotonic() - before < 0.3 + SLACK_S, "WAIT took %.2f s", time.monotonic() - before)


@test
def wrong_modes_are_refused_in_words(world):
    done = world.run("serve", "--dir", "x", "--ship-mode", "batch")
    equal(done.returncode, 2)
    contains(done.stderr, "ship_mode", "stream", "segment")
    done = world.run("serve", "--dir", "x", "--ship-mode", "segment", "--ship-interval", "0")
    equal(done.returncode, 2)
    contains(done.stderr, "ship_interval = 0")


if __name__ == "__main__":
    tm.main()
