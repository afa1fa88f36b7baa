"""Durability levels on real nodes: each level reached, and missed with each policy, over links that are
held, delayed and cut, with a follower that is killed while writers wait for it, and with voters."""
import json
import threading
import time

import tm
from proxy import TO_LEADER, Proxy
from tm import check, contains, equal, test, until

SIGNAL = ["SIGNAL", "view", "a"]


def levels(leader, *words):
    """The level that a write says it reached."""
    return leader.call(*SIGNAL, *words, "WITHLEVEL")[1]


def is_in(leader, f):
    return until("%s is connected and has all" % f.name, lambda: any(
        x["id"] == f.name and x["connected"] and x["stored"] == leader.status_json()["durable_seqno"]
        for x in leader.status_json()["followers"]))


def pair(world, *flags):
    leader = world.start("leader", *flags)
    proxy = Proxy(world, leader.replication)
    f = world.start("f", *flags, follow=proxy.address)
    is_in(leader, f)
    return leader, proxy, f


class Writer(threading.Thread):
    """One write on its own connection, and what came of it."""

    def __init__(self, node, *words):
        super().__init__(daemon=True)
        self.client = node.connect()
        self.words, self.answer, self.took_s = words, None, None
        self.start()

    def run(self):
        began = time.monotonic()
        try:
            self.answer = self.client.call(*SIGNAL, *self.words, "WITHLEVEL")
        except tm.Refused as e:
            self.answer = e
        self.took_s = time.monotonic() - began

    def ended(self):
        self.join(tm.PATIENCE_S)
        check(not self.is_alive(), "the write of %r was never answered", self.words)
        return self.answer


@test
def each_level_is_reached_and_said(world):
    leader, proxy, f = pair(world)
    g = world.start("g", follow=leader.replication)
    is_in(leader, g)
    leader.call("MEMBER.ADD", "leader", "VOTER")
    leader.call("MEMBER.ADD", "f", "VOTER")
    for level in ("local", "stored:1", "stored:2", "applied:1", "applied:2", "majority", "regions:0"):
        equal(levels(leader, "LEVEL", level), level)
    token = leader.call(*SIGNAL, "LEVEL", "applied:2")
    for node in (f, g):  # visible there, without waiting
        equal(node.call("COUNT", "view", "a", "all", "AFTER", token, "DEADLINE", "0"),
              leader.call("COUNT", "view", "a", "all"))
    m = leader.metrics().judge()
    blamed = sum(m.of("tidemark_replication_last_ack_total", follower=n) for n in ("f", "g"))
    check(blamed >= 6, "somebody's ack was the last: %r", blamed)


@test
def a_miss_is_told_by_each_policy(world):
    leader, proxy, f = pair(world)
    before = leader.call("COUNT", "view", "a", "all") if leader.seqno() > 15 else 0
    proxy.hold()
    late = leader.connect()
    error = late.error(*SIGNAL, "LEVEL", "stored:1", "DEADLINE", "200")
    contains(error, "DURABILITY 1-", "did not reach stored:1 within 2", "0 of 1 followers stored it", "may still spread")
    token = error.split()[1]
    equal(levels(leader, "LEVEL", "stored:1", "DEADLINE", "100", "ONMISS", "degrade"), "local")
    equal(leader.call("COUNT", "view", "a", "all"), before + 2)  # both are in the log
    equal(leader.call("WAIT", "1", "100"), 0)
    proxy.release()
    until("the one that missed has spread after all", lambda: late.call("WAIT", "1", "500") == 1)
    check(f.call("COUNT", "view", "a", "all", "AFTER", token) >= before + 1, "the token was answered too early")
    until("the other one, too", lambda: f.call("COUNT", "view", "a", "all") == before + 2)
    proxy.cut()
    until("the leader knows", lambda: not leader.status_json()["followers"][0]["connected"])
    began = time.monotonic()
    error = leader.error(*SIGNAL, "LEVEL", "stored:1", "DEADLINE", "5000", "ONMISS", "reject")
    contains(error, "DURABILITY nothing was written: level stored:1 needs 1 followers and 0 are connected")
    check(time.monotonic() - began < 2, "reject looks before it writes")
    equal(leader.call("COUNT", "view", "a", "all"), before + 2)
    contains(leader.error(*SIGNAL, "LEVEL", "majority"), "DURABILITY nothing was written", "MEMBER.ADD")
    contains(leader.error(*SIGNAL, "LEVEL", "regions:7"), "no follower in region 7 is known")
    contains(leader.error(*SIGNAL, "LEVEL", "quorum"), "ERR unknown level 'quorum'")
    m = leader.metrics().judge()
    for on_miss, count in (("wait", 1), ("degrade", 1), ("reject", 1)):
        equal(m.of("tidemark_durability_miss_total", level="stored", on_miss=on_miss), count, on_miss)
    equal(m.of("tidemark_durability_wait_seconds_count", level="stored"), 2)


@test
def a_slow_link_delays_the_answer_and_not_the_others(world):
    leader, proxy, f = pair(world)
    proxy.delay_s = 0.15
    writer = Writer(leader, "LEVEL", "stored:1")
    began = time.monotonic()
    equal(levels(leader, "LEVEL", "local"), "local")
    check(time.monotonic() - began < 0.1, "a local write waits for nobody")
    equal(writer.ended()[1], "stored:1")
    check(writer.took_s > 0.25, "there and back over the slow link took %.3f s", writer.took_s)


@test
def a_follower_killed_while_writers_wait_comes_back_and_releases_them(world):
    leader, proxy, f = pair(world)
    proxy.hold()
    writers = [Writer(leader, "LEVEL", "applied:1", "DEADLINE", "60000") for _ in range(20)]
    until("all are in the log", lambda: leader.call("COUNT", "view", "a", "all") == 20)
    f.kill()
    proxy.close_links()
    proxy.release()
    check(all(w.is_alive() for w in writers), "nobody was answered yet")
    short = Writer(leader, "LEVEL", "stored:1", "DEADLINE", "100")
    contains(str(short.ended()), "DURABILITY")
    f.start()
    for w in writers:
        equal(w.ended()[1], "applied:1")
    equal(f.call("COUNT", "view", "a", "all", "AFTER", leader.call("POSITION")), 21)


@test
def the_default_is_a_setting_and_duplicates_wait_for_their_own_level(world):
    leader, proxy, f = pair(world, "--level", "stored:1", "--on-miss", "degrade", "--deadline", "300ms")
    equal(levels(leader), "stored:1")
    proxy.hold()
    equal(levels(leader, "KEY", "k"), "local")
    began = time.monotonic()
    contains(leader.error(*SIGNAL, "KEY", "k", "LEVEL", "stored:1", "ONMISS", "wait"), "DURABILITY")
    check(time.monotonic() - began > 0.25, "the duplicate waited for its own level")
    proxy.release()
    equal(levels(leader, "KEY", "k", "LEVEL", "stored:1", "DEADLINE", "5000"), "stored:1")
    leader.call("CONFIG", "SET", "level", "local")
    equal(levels(leader), "local")
    contains(leader.error("CONFIG", "SET", "level", "most"), "unknown level 'most'")


@test
def a_region_has_it_when_a_node_there_stored_it(world):
    leader = world.start("leader")
    proxy = Proxy(world, leader.replication)
    f = world.start("f", "--region", "2", follow=proxy.address)
    is_in(leader, f)
    equal(levels(leader, "LEVEL", "regions:2,0"), "regions:0,2")
    contains(leader.error(*SIGNAL, "LEVEL", "regions:0,3"), "no follower in region 3 is known")
    proxy.hold()
    contains(leader.error(*SIGNAL, "LEVEL", "regions:0,2", "DEADLINE", "100"), "no node in region 2 stored it")
    f.stop()
    leader.stop()
    leader.start()  # the catalogue remembers where f stands
    contains(leader.error(*SIGNAL, "LEVEL", "regions:2", "DEADLINE", "100"), "no node in region 2 stored it")
    contains(leader.error(*SIGNAL, "LEVEL", "regions:2", "ONMISS", "reject"), "no follower in region 2 is connected")
    proxy.target = leader.replication
    proxy.mend()
    f.start()
    until("f is back", lambda: levels(leader, "LEVEL", "regions:2") == "regions:2")


@test
def a_transaction_has_one_level(world):
    leader, proxy, f = pair(world)
    with leader.connect() as c:
        c.call("MULTI")
        c.call(*SIGNAL, "LEVEL", "stored:1", "WITHLEVEL")
        c.call("ITEM.PUT", "a", "title", "x")
        first, second = c.call("EXEC")
        equal(first[1], "stored:1")
        equal(first[0], second)
        proxy.hold()
        c.call("MULTI")
        c.call(*SIGNAL, "LEVEL", "stored:1", "DEADLINE", "100")
        c.call("ITEM.PUT", "a", "title", "y")
        c.send("EXEC")
        answer = c.read_any() if hasattr(c, "read_any") else c.read()
        check(all("DURABILITY" in str(x) for x in answer), "%r", answer)
        equal(c.call("ITEM.GET", "a", "title"), ["y"])  # it is in the log all the same


@test
def voters_survive_and_a_majority_is_enough(world):
    leader, proxy, f = pair(world, "--heartbeat", "100ms", "--suspect", "500ms")
    g = world.start("g", follow=leader.replication)
    is_in(leader, g)
    run = world.run("member", "add", "leader", "--voter", "--to", leader.data, code=0)
    contains(run.stdout, "1-")
    for name in ("f", "g"):
        until("%s is a voter" % name, lambda: leader.call("MEMBER.ADD", name, "VOTER"))
    members = json.loads(world.run("member", "list", "--json", "--to", f.data, code=0).stdout)
    equal([(m["id"], m["voter"]) for m in members], [("leader", True), ("f", True), ("g", True)])
    proxy.hold()
    equal(levels(leader, "LEVEL", "majority"), "majority")  # the leader and g
    g.kill()
    until("the leader knows", lambda: not [x for x in leader.status_json()["followers"] if x["id"] == "g"][0]["connected"])
    contains(leader.error(*SIGNAL, "LEVEL", "majority", "DEADLINE", "200"), "1 of 3 voters stored it")
    until("f is suspect: connected, and silent", lambda: "needs 2 of 3 voters and 1 are connected" in
          leader.error(*SIGNAL, "LEVEL", "majority", "ONMISS", "reject", "DEADLINE", "1"))
    proxy.release()
    equal(levels(leader, "LEVEL", "majority"), "majority")  # the leader and f
    leader.kill()
    leader.start()
    until("it votes as before", lambda: levels(leader, "LEVEL", "majority") == "majority")
    until("g is out", lambda: leader.call("MEMBER.REMOVE", "g"))
    contains(world.run("member", "remove", "nobody", "--to", leader.data, code=1).stderr, "is no member")
    contains(f.error("MEMBER.ADD", "x"), "READONLY")


if __name__ == "__main__":
    tm.main()
