"""Reads that ask for a state: AFTER a token, within a staleness bound, committed; on leaders and followers,
over links that are held, delayed and cut. /readyz goes by the same bound."""
import threading
import time

import tm
from proxy import Proxy
from tm import check, contains, equal, test, until

COUNT = ["COUNT", "view", "a", "all"]
SIGNAL = ["SIGNAL", "view", "a"]


def pair(world, *flags):
    leader = world.start("leader", *flags)
    proxy = Proxy(world, leader.replication)
    f = world.start("f", *flags, follow=proxy.address)
    leader.call(*SIGNAL)
    until("f has all", lambda: f.seqno() == leader.seqno())
    return leader, proxy, f


def later(pause_s, act):
    threading.Timer(pause_s, act).start()


@test
def a_write_is_read_on_a_follower_by_its_token(world):
    leader, proxy, f = pair(world)
    for count in range(2, 50):  # no luck needed
        token = leader.call(*SIGNAL)
        equal(f.call(*COUNT, "AFTER", token), count)
    proxy.hold()
    token = leader.call(*SIGNAL)
    equal(f.call(*COUNT), 49)
    contains(f.error(*COUNT, "AFTER", token, "DEADLINE", "0"), "STALE", "is not applied here yet")
    began = time.monotonic()
    contains(f.error(*COUNT, "AFTER", token, "DEADLINE", "300"), "STALE")
    check(0.25 < time.monotonic() - began < 2, "it waits to its deadline")
    later(0.3, proxy.release)
    began = time.monotonic()
    equal(f.call(*COUNT, "AFTER", token, "DEADLINE", "20000"), 50)
    check(0.2 < time.monotonic() - began < 5, "it is woken when the record is applied")


@test
def every_read_takes_a_token(world):
    leader, proxy, f = pair(world)
    leader.call("ITEM.PUT", "a", "title", "x")
    proxy.hold()
    token = leader.call("ITEM.PUT", "a", "title", "y")
    reads = (["SCORE", "view", "a"], COUNT, ["RATE", "view", "a"], ["TREND", "view", "a"], ["RETRIEVE", "top"],
             ["ITEM.GET", "a"], ["USER.GET", "u"], ["CREATOR.GET", "c"], ["SCHEMA.SHOW"], ["PRODUCER.GET", "p"])
    for read in reads:
        contains(f.error(*read, "AFTER", token, "DEADLINE", "0"), "STALE")
        contains(f.error(*read, "AFTER", "1-2", "DEADLINE", "0"), "ERR AFTER '1-2' is not a write token")
    proxy.release()
    for read in reads:
        f.call(*read, "AFTER", token)
    equal(f.call("ITEM.GET", "a", "AFTER", token, "title"), ["y"])


@test
def a_token_that_never_was_is_told(world):
    leader, proxy, f = pair(world)
    contains(leader.error(*COUNT, "AFTER", "1-1000000-00000000", "DEADLINE", "0"), "STALE")
    leader.stop()
    leader.start()  # a new epoch: what the old one never wrote will never come
    contains(leader.error(*COUNT, "AFTER", "1-1000000-00000000"), "LOST", "of epoch 1 was lost in the change to epoch 2")
    until("f follows into the new epoch", lambda: f.status_json()["epoch"] == 2)
    contains(f.error(*COUNT, "AFTER", "1-1000000-00000000"), "LOST", "epoch 2")


@test
def a_staleness_bound_is_served_waited_for_or_refused_with_the_truth(world):
    leader, proxy, f = pair(world)
    equal(leader.call(*COUNT, "MAXSTALE", "0"), 1)  # a leader always meets it
    equal(f.call(*COUNT, "MAXSTALE", "3000"), 1)
    proxy.hold()
    leader.call(*SIGNAL)
    time.sleep(1.2)  # the stretch that is measured
    error = f.error(*COUNT, "MAXSTALE", "1000", "DEADLINE", "0")
    contains(error, "STALE this node's state may be ", " ms old; at most 1000 ms are allowed")
    bound_ms = int(error.split(" ms old")[0].rsplit(" ", 1)[1])
    check(1200 <= bound_ms < 5000, "the bound is %d ms after a silence of 1200 ms", bound_ms)
    equal(f.call(*COUNT), 1)  # without a bound it is served
    answer = tm.pairs(f.call("RETRIEVE", "top"))
    check(float(answer["staleness_ms"]) >= 1200, "staleness_ms is the same bound: %r", answer["staleness_ms"])
    later(0.3, proxy.release)
    equal(f.call(*COUNT, "MAXSTALE", "1000", "DEADLINE", "20000"), 2)  # woken, and fresh


@test
def a_nodes_default_bound_counts_for_reads_and_readiness(world):
    leader, proxy, f = pair(world, "--max-staleness", "1500ms", "--deadline", "50ms")
    until("f is ready", lambda: f.get("/readyz")[0] == 200)
    proxy.cut()
    until("f is stale", lambda: f.get("/readyz")[0] == 503)
    contains(f.get("/readyz")[1], "this follower's state may be ", "max_staleness is 1500 ms")
    contains(f.error(*COUNT), "STALE", "at most 1500 ms are allowed")
    equal(f.call(*COUNT, "MAXSTALE", "600000"), 1)  # a read's own bound counts instead
    equal(leader.get("/readyz")[0], 200)
    equal(leader.call(*COUNT), 1)
    proxy.mend()
    until("f is ready again", lambda: f.get("/readyz")[0] == 200)
    equal(f.call(*COUNT), 1)


@test
def committed_reads_show_nothing_that_may_be_given_up(world):
    leader, proxy, f = pair(world)
    until("the first is committed", lambda: leader.call(*COUNT, "READ", "committed") == 1)
    until("f hears so", lambda: f.call(*COUNT, "READ", "committed", "DEADLINE", "3000") == 1)
    proxy.hold()
    leader.call(*SIGNAL)
    equal(leader.call(*COUNT, "READ", "latest"), 2)
    contains(leader.error(*COUNT, "READ", "committed", "DEADLINE", "200"), "STALE", "is committed")
    later(0.2, proxy.release)
    equal(leader.call(*COUNT, "READ", "committed", "DEADLINE", "20000"), 2)


if __name__ == "__main__":
    tm.main()
