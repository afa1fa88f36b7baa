"""Every node gives the same list of members; its version moves when clients have to look again, and a
client finds the leader from any node."""
import json
import time

import tm
from tm import check, equal, test, until

FLAGS = ["--heartbeat", "100ms", "--suspect", "1s", "--dead", "3s", "--mark-interval", "1h"]


def topology(node):
    return tm.pairs(node.call("TOPOLOGY"))


def members(node):
    """id -> (role, health), and the version."""
    t = topology(node)
    rows = [tm.pairs(m) for m in t["members"]]
    return {m["id"]: (m["role"], m["health"]) for m in rows}, int(t["version"])


def agreed(nodes, wanted):
    seen = [members(n) for n in nodes]
    return all(s == seen[0] for s in seen) and seen[0][0] == wanted and seen[0][1]


def start(world):
    n0 = world.start("n0", *FLAGS)
    nodes = [n0] + [world.start("n%d" % i, *FLAGS, follow=n0) for i in (1, 2)]
    n0.call("SIGNAL", "view", "a")
    tm.wait_equal(*nodes)
    return nodes


@test
def the_version_moves_for_what_lasts_and_nothing_else(world):
    nodes = n0, n1, n2 = start(world)
    up = {"n0": ("leader", "up"), "n1": ("follower", "up"), "n2": ("follower", "up")}
    version = until("all nodes agree", lambda: agreed(nodes, up))
    for _ in range(200):
        n0.call("SIGNAL", "view", "a")
    n1.stop()
    n1.start()  # back before the suspect time is over
    tm.wait_equal(*nodes)
    equal(until("all nodes agree", lambda: agreed(nodes, up)), version, "version after a reconnect")
    n2.kill()
    down = dict(up, n2=("follower", "down"))
    moved = until("n2 is down for all", lambda: agreed((n0, n1), down))
    equal(moved, version + 1, "version after a loss")
    n2.start()
    equal(until("n2 is up for all", lambda: agreed(nodes, up)), version + 2, "version after it came back")
    n0.stop()
    n0.start()
    equal(until("all nodes agree", lambda: agreed(nodes, up)), version + 2, "version after a restart of the leader")
    until("n1 is connected", lambda: n0.status()["followers"].get("n1", {}).get("state") == "streaming")
    n0.call("HANDOVER", "n1")
    handed = {"n0": ("follower", "up"), "n1": ("leader", "up"), "n2": ("follower", "up")}
    check(until("all see the new leader", lambda: agreed(nodes, handed)) > version + 2, "the version did not move")


@test
def a_client_finds_the_leader_from_any_node(world):
    nodes = n0, n1, n2 = start(world)
    until("all know three", lambda: all(len(members(n)[0]) == 3 for n in nodes))
    n0.call("HANDOVER", "n2")

    def leader_of(node):
        rows = [tm.pairs(m) for m in topology(node)["members"]]
        return [m["data"] for m in rows if m["role"] == "leader"]

    for node in nodes:
        until("%s names the leader" % node.name, lambda n=node: leader_of(n) == [n2.data])
        page = json.loads(node.get("/topology.json")[1])
        equal([m["data"] for m in page["members"] if m["role"] == "leader"], [n2.data])
        equal(page["self"], node.name)
    with tm.Client(leader_of(n1)[0]) as c:
        c.call("SIGNAL", "view", "a")


if __name__ == "__main__":
    tm.main()
