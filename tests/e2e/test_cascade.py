"""Followers that follow followers: leader -> f1 -> f2 -> f3, through writes, cut and stopped links, kills,
promotions, copies of the state, truncations, and what is refused."""
import glob
import json
import math
import os
import signal

import tm
from proxy import Proxy
from tm import check, contains, equal, test, until

FLAGS = ["--heartbeat", "100ms", "--suspect", "1s", "--dead", "3s", "--mark-interval", "1h"]
SMALL = FLAGS[:-2] + ["--segment-size", "256KiB", "--checkpoint-log-bytes", "512KiB", "--mark-interval", "50ms",
                      "--retain-segments", "2"]
LAG = "tidemark_replication_lag_"


def views(node, count, item="a"):
    with node.connect() as c:
        for reply in c.pipe([["SIGNAL", "view", item]] * count):
            check(isinstance(reply, str), "%r", reply)


def count(node, item="a"):
    return int(node.call("COUNT", "view", item, "all"))


def events(node, kind):
    return [e["text"] for e in node.status_json()["events"] if e["kind"] == kind]


def topology(node):
    return {m["id"]: m for m in map(tm.pairs, tm.pairs(node.call("TOPOLOGY"))["members"])}


def chain(world, length, *flags):
    """l <- f1 <- f2 ...; all hold the same."""
    nodes = [world.start("l", *(flags or FLAGS))]
    for i in range(1, length + 1):
        nodes.append(world.start("f%d" % i, *(flags or FLAGS), follow=nodes[-1]))
    views(nodes[0], 20)
    tm.wait_equal(*nodes)
    until("the last one knows how old it is", lambda: own_lag(nodes[-1], "seconds") < 1)
    return nodes


def own_lag(node, name):
    return node.metrics().of(LAG + name, follower=node.name)


@test
def a_chain_of_four_shows_the_same_and_says_who_follows_whom(world):
    l, f1, f2, f3 = nodes = chain(world, 3)
    for i in range(10):
        views(l, 50, "item:%d" % i)
    tm.wait_equal(*nodes)
    equal(count(f3, "item:9"), 50)
    # each serves its own followers, and nobody else's
    for node, follower in ((l, "f1"), (f1, "f2"), (f2, "f3"), (f3, None)):
        equal(sorted(node.status()["followers"]), [follower] if follower else [], node.name)
    equal(f3.status()["path"], "f2,f1,l")
    equal(f1.status()["path"], "l")
    until("the chain is whole", lambda: not f3.status_json()["cut"])
    equal([n.metrics().of("tidemark_replication_hops") for n in nodes], [0, 1, 2, 3])
    # writes go to the leader, whoever is asked
    for node in (f1, f2, f3):
        contains(node.error("SIGNAL", "view", "a"), "READONLY", l.data)
        equal(node.status()["leader"], l.data)
    # the leader's list everywhere; below it what a node itself knows of the chain
    until("all know the leader's list", lambda: all(
        {"l", "f1"} <= set(topology(n)) for n in nodes))
    equal(sorted(topology(l)), ["f1", "l"])
    equal({k: m["follows"] for k, m in topology(f1).items()}, {"l": "", "f1": "l", "f2": "f1"})
    equal({k: m["follows"] for k, m in topology(f2).items()}, {"l": "", "f1": "l", "f2": "f1", "f3": "f2"})
    equal(json.loads(f3.get("/topology.json")[1])["members"][-1]["follows"], "f2")
    # copies below f1 make no write of the leader's safer
    contains(l.error("SIGNAL", "view", "a", "LEVEL", "stored:2", "DEADLINE", 300), "DURABILITY")
    contains(l.call("SIGNAL", "view", "a", "LEVEL", "stored:1"), "1-")
    tm.wait_equal(*nodes)
    for node in nodes:
        node.metrics().judge()


@test
def lag_counts_from_the_leader_and_seconds_grow_when_a_link_above_is_cut(world):
    l = world.start("l", *FLAGS)
    proxy = Proxy(world, l.replication)
    f1 = world.start("f1", *FLAGS, follow=proxy.address)
    f2 = world.start("f2", *FLAGS, follow=f1)
    views(l, 30)
    tm.wait_equal(l, f1, f2)
    until("f2 knows that nothing is missing", lambda: own_lag(f2, "records") == 0 and own_lag(f2, "seconds") < 1)
    equal(f1.metrics().of(LAG + "records", follower="f2"), 0)
    proxy.cut()
    until("f2 knows that the chain is cut", lambda: f2.status_json()["cut"])
    views(l, 5)
    until("seconds grow on f2", lambda: own_lag(f2, "seconds") > 2)
    m = f2.metrics().judge()
    equal(m.of("tidemark_replication_connected", follower="f2"), 1, "its own link is up")
    for name in ("records", "bytes"):
        equal(m.of(LAG + name, follower="f2"), None, "what nobody knows is absent: " + name)
    equal(m.of("tidemark_replication_hops"), None)
    equal(f2.status_json()["lag_records"], None)
    of_f2 = f1.metrics()
    check(of_f2.of(LAG + "seconds", follower="f2") > 2, "f1 says of f2: %r", of_f2.of(LAG + "seconds", follower="f2"))
    equal(of_f2.of(LAG + "records", follower="f2"), None)
    contains(f2.error("COUNT", "view", "a", "all", "MAXSTALE", "500"), "STALE")
    equal(count(f2), 30)
    proxy.mend()
    until("f2 has all", lambda: count(f2) == 35)
    until("f2 is fresh", lambda: own_lag(f2, "seconds") < 1 and own_lag(f2, "records") == 0)
    equal(f2.metrics().of("tidemark_replication_hops"), 2)


@test
def a_stopped_leader_makes_the_whole_chain_old(world):
    l, f1, f2 = chain(world, 2, *FLAGS, "--max-staleness", "1s")
    until("f2 is ready", lambda: f2.get("/readyz")[0] == 200)
    l.signal(signal.SIGSTOP)
    until("f2 is not ready", lambda: f2.get("/readyz")[0] == 503)
    check(own_lag(f2, "seconds") >= 1, "lag: %r", own_lag(f2, "seconds"))
    equal(f2.metrics().of("tidemark_replication_connected", follower="f2"), 1)
    l.signal(signal.SIGCONT)
    until("f2 is ready again", lambda: f2.get("/readyz")[0] == 200)
    tm.wait_equal(l, f1, f2)


@test
def a_stopped_middle_holds_up_those_below_it_only(world):
    l, f1, f2 = chain(world, 2)
    g = world.start("g", *FLAGS, follow=l)
    f1.signal(signal.SIGSTOP)
    views(l, 10)
    tm.wait_equal(l, g)
    until("f2 sees no leader", lambda: own_lag(f2, "seconds") > 1.5)
    equal(count(f2), 20)
    f1.signal(signal.SIGCONT)
    tm.wait_equal(l, f1, f2, g)
    equal(f2.status()["path"], "f1,l")


@test
def a_killed_middle_comes_back_and_nobody_was_rewired(world):
    l, f1, f2, f3 = chain(world, 3)
    f1.kill()
    views(l, 500)
    until("f2 sees that it is gone", lambda: f2.status()["link"] != "streaming")
    until("f3 knows it, too", lambda: f3.status_json()["cut"])
    # longer than the suspect time: a chain that was asked for stays one
    until("the leader goes on", lambda: own_lag(f3, "seconds") > 2.5)
    equal(sorted(l.status()["followers"]), ["f1"])
    f1.start()
    tm.wait_equal(l, f1, f2, f3)
    equal((f2.status()["path"], f3.status()["path"]), ("f1,l", "f2,f1,l"))
    for i in range(3):
        f2.kill()
        views(l, 100)
        f2.start()
    tm.wait_equal(l, f1, f2, f3)


@test
def a_middle_that_restarts_without_its_leader_serves_what_it_has(world):
    l, f1, f2 = chain(world, 2)
    l.kill()
    f2.kill()
    f1.stop()
    f1.start()
    f2.start()
    until("f2 follows f1 again", lambda: f2.status()["link"] == "streaming")
    equal(count(f2), 20)
    check(math.isinf(own_lag(f2, "seconds")), "nothing proves how old this is: %r", own_lag(f2, "seconds"))
    equal(own_lag(f2, "records"), None)
    l.start()
    until("the chain is whole", lambda: not f2.status_json()["cut"])
    views(l, 1)
    tm.wait_equal(l, f1, f2)


@test
def a_promoted_middle_leads_those_that_followed_it(world):
    l, f1, f2, f3 = chain(world, 3)
    g = world.start("g", *FLAGS, follow=l)
    until("f1 knows g", lambda: "g" in topology(f1))
    l.kill()
    f1.call("PROMOTE")
    views(f1, 10)
    tm.wait_equal(f1, f2, f3)
    until("g finds the leader by itself", lambda: count(g) == 30)
    equal((f2.status()["path"], f3.status()["path"]), ("f1", "f2,f1"))
    contains(f3.error("SIGNAL", "view", "a"), "READONLY", f1.data)
    contains(f1.call("SIGNAL", "view", "a", "LEVEL", "stored:2"), "2-")
    until("they are members now", lambda: {"f1", "f2", "g"} <= set(topology(g)))
    l.start()  # the old leader follows
    until("l follows", lambda: l.status()["role"] == "follower" and count(l) == 31)
    tm.wait_equal(f1, f2, f3, g, l)


@test
def a_chain_follows_its_middle_through_a_change_of_leader(world):
    l, f1, f2 = chain(world, 2)
    g = world.start("g", *FLAGS, follow=l)
    until("g knows all", lambda: {"f1", "g"} <= set(topology(g)) and "f1" in topology(g))
    tm.wait_equal(l, g)
    l.kill()
    g.call("PROMOTE", "FORCE")
    views(g, 10)
    until("f1 finds the leader by itself", lambda: count(f1) == 30)
    tm.wait_equal(g, f1, f2)
    equal(f2.status()["path"], "f1,g")
    contains(f2.error("SIGNAL", "view", "a"), "READONLY", g.data)


@test
def a_new_follower_copies_the_state_of_a_follower(world):
    l = world.start("l", *SMALL)
    f1 = world.start("f1", *SMALL, follow=l)
    with l.connect() as c:
        for first in range(0, 20000, 2000):
            c.pipe([["SIGNAL", "view", "item:%d" % i] for i in range(first, first + 2000)])

        def is_pruned():
            c.pipe([["SIGNAL", "view", "item:%d" % i] for i in range(2000)])
            c.call("CHECKPOINT")
            return f1.metrics().of("tidemark_log_oldest_seqno") > 1

        until("the log of f1 is pruned", is_pruned)
    f2 = world.start("f2", *SMALL, follow=f1)
    until("f2 has all", lambda: f2.seqno() >= l.seqno())
    tm.wait_equal(l, f1, f2)
    equal(f2.status()["path"], "f1,l")
    equal(sorted(l.status()["followers"]), ["f1"])
    contains(" ".join(events(f1, "bootstrap")), "f2 copies the state from here")
    views(l, 1, "later")
    until("it follows", lambda: count(f2, "later") == 1)
    # what a slot on f1 holds back is kept there
    f2.kill()
    with l.connect() as c:

        def is_held():
            c.pipe([["SIGNAL", "view", "item:%d" % i] for i in range(2000)])
            f1.call("CHECKPOINT")  # its own, so that no older one of its own holds the log
            return f1.status()["retention_holder"] == "slots"

        until("f1 keeps its log for f2", is_held)
        for _ in range(20):
            is_held()
    f2.start()
    tm.wait_equal(l, f1, f2)
    check(not events(f2, "bootstrap"), "it copied again: %r", events(f2, "bootstrap"))
    equal(world.run("log", "verify", f2.dir).returncode, 0)


@test
def a_tail_that_is_given_up_is_given_up_down_the_chain(world):
    """A leader with a chain of its own loses the lead while its last writes reached nobody else."""
    l = world.start("l", *FLAGS)
    proxy = Proxy(world, l.replication)
    g = world.start("g", *FLAGS, follow=proxy.address)
    f1 = world.start("f1", *FLAGS, follow=l)
    f2 = world.start("f2", *FLAGS, follow=f1)
    views(l, 20)
    tm.wait_equal(l, g, f1, f2)
    proxy.cut()
    views(l, 5, "lost")
    until("f2 has the tail", lambda: count(f2, "lost") == 5)
    l.kill()
    g.call("PROMOTE", "FORCE")
    views(g, 3, "b")
    until("f1 gave the tail up", lambda: count(f1, "lost") == 0 and count(f1, "b") == 3)
    until("and so did f2", lambda: count(f2, "lost") == 0 and count(f2, "b") == 3)
    tm.wait_equal(g, f1, f2)
    contains(" ".join(events(f2, "truncation")), "gave up records")
    contains(" ".join(events(f1, "resync")), "f2 was told to cut its log back")
    check(glob.glob(os.path.join(f2.dir, "quarantine", "*.seg")), "they are nowhere")


@test
def a_follower_is_moved_within_a_chain_by_one_command(world):
    l, f1, f2, f3 = chain(world, 3)
    equal(f3.call("FOLLOW", f1.replication), "OK")
    until("f3 follows f1", lambda: f3.status()["path"] == "f1,l")
    equal(f3.call("REPLICAOF", *f2.replication.rsplit(":", 1)), "OK")
    until("f3 follows f2", lambda: f3.status()["path"] == "f2,f1,l")
    equal(f3.call("FOLLOW", l.replication), "OK")
    until("f3 follows the leader", lambda: f3.status()["path"] == "l")
    views(l, 10)
    tm.wait_equal(l, f1, f2, f3)
    # one that is ahead of whom it is told to follow waits; nothing is cut back
    f1.signal(signal.SIGSTOP)
    views(l, 10)
    tm.wait_equal(l, f3)
    f3.call("FOLLOW", f2.replication)
    until("it is told to wait", lambda: "is served once this node has caught up" in f3.status()["link"])
    equal(count(f3), 40)
    f1.signal(signal.SIGCONT)
    tm.wait_equal(l, f1, f2, f3)
    equal(events(f3, "truncation"), [])


@test
def a_ring_is_refused(world):
    l, f1, f2 = chain(world, 2)
    f1.call("FOLLOW", f2.replication)
    until("the ring is refused", lambda: "ring" in f1.status()["link"])
    contains(f1.status()["link"], "this node follows f1,l, and f1 is among them")
    f1.call("FOLLOW", l.replication)
    views(l, 5)
    tm.wait_equal(l, f1, f2)
    f1.call("FOLLOW", f1.replication)
    until("nobody follows itself", lambda: f1.status()["link"] != "streaming" and "refused" in f1.status()["link"])
    f1.call("FOLLOW", l.replication)
    tm.wait_equal(l, f1, f2)


@test
def a_voter_follows_the_leader_itself(world):
    l, f1, f2 = chain(world, 2)
    l.call("MEMBER.ADD", "l", "VOTER")
    l.call("MEMBER.ADD", "f1", "VOTER")
    tm.wait_equal(l, f1, f2)
    equal(f2.status()["path"], "f1,l")
    l.call("MEMBER.ADD", "f2", "VOTER")
    until("f2 follows the leader", lambda: f2.status()["path"] == "l")
    contains(l.call("SIGNAL", "view", "a", "LEVEL", "stored:2"), "1-")
    contains(" ".join(events(f2, "link")), "a voter follows the leader itself")


@test
def followers_of_a_deposed_leader_go_to_the_new_one(world):
    """Who follows the leader follows whoever leads, also when the old one lives on as a follower."""
    l = world.start("l", *FLAGS)
    g = world.start("g", *FLAGS, follow=l)
    f = world.start("f", *FLAGS, follow=l)
    views(l, 20)
    tm.wait_equal(l, g, f)
    until("g can take over", lambda: l.call("HANDOVER", "g"))
    until("f follows g", lambda: f.status()["path"] == "g")
    until("l follows g", lambda: l.status()["path"] == "g")
    f.kill()
    f.start()  # with the old address in its options: it is no new wish
    until("f follows g", lambda: f.status()["path"] == "g")
    views(g, 5)
    tm.wait_equal(g, l, f)


if __name__ == "__main__":
    tm.main()
