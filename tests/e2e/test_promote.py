"""The leader is gone: a follower is promoted, the others find it by themselves, the old leader comes
back, gives up what only it holds, and says so."""
import glob
import os
import subprocess
import time

import tm
from proxy import Proxy
from tm import check, contains, equal, test, until

FLAGS = ["--heartbeat", "100ms", "--suspect", "1s", "--dead", "3s", "--mark-interval", "1h"]


def cli(*words, code=0):
    r = subprocess.run([tm.PROGRAM, *words], capture_output=True, text=True)
    equal(r.returncode, code, "exit of %s: %s%s" % (" ".join(words), r.stdout, r.stderr))
    return r.stdout + r.stderr


def role(node):
    return node.status()["role"]


def start_three(world, proxy=False):
    leader = world.start("n0", *FLAGS)
    cut = Proxy(world, leader.replication) if proxy else None
    followers = [world.start("n%d" % i, *FLAGS, follow=cut.address if cut else leader) for i in (1, 2)]
    for i in range(20):
        leader.call("SIGNAL", "view", "a")
    tm.wait_equal(leader, *followers)
    for node in followers:
        until("%s knows the members" % node.name, lambda n=node: len(tm.pairs(n.call("TOPOLOGY"))["members"]) == 3)
    return (leader, followers, cut) if proxy else (leader, followers)


def count(node):
    return int(node.call("COUNT", "view", "a", "all"))


@test
def the_leader_is_killed_and_a_follower_takes_over(world):
    n0, (n1, n2) = start_three(world)
    n0.kill()
    plan = cli("plan", "promote", "--to", n1.data)
    contains(plan, "lead", "node.n0.answered", "At risk", "level local")
    began = time.monotonic()
    token = n1.call("PROMOTE", "EXPECT", n1.call("POSITION"))
    check(time.monotonic() - began < 2.5, "a promotion took %.1f s", time.monotonic() - began)
    check(token.startswith("2-"), "the new epoch is 2, not %s", token)
    n1.call("SIGNAL", "view", "a")
    until("n2 follows the new leader by itself", lambda: count(n2) == 21)
    tm.wait_equal(n1, n2)
    # the old one comes back: it asks before it leads, and follows
    n0.start()
    until("n0 follows", lambda: role(n0) == "follower")
    until("n0 has all", lambda: count(n0) == 21)
    tm.wait_equal(n1, n0, n2)
    contains(n0.error("SIGNAL", "view", "a"), "READONLY", n1.data)
    for node in (n0, n1, n2):
        members = [tm.pairs(m) for m in tm.pairs(node.call("TOPOLOGY"))["members"]]
        equal([m["id"] for m in members if m["role"] == "leader"], ["n1"], "leader as %s says" % node.name)


@test
def a_promotion_that_might_lose_writes_is_refused(world):
    n0, (n1, n2) = start_three(world)
    text = cli("promote", "--to", n1.data, code=4)
    contains(text, "n0 answers and leads")
    n0.kill()
    n2.kill()
    text = cli("promote", "--to", n1.data, code=4)
    contains(text, "1 of the 2 followers that must answer did", "n2")
    equal(role(n1), "follower")
    contains(n1.error("SIGNAL", "view", "a"), "READONLY")
    text = cli("promote", "--to", n1.data, "--expect", "1-5-00000000", "--force", code=4)
    contains(text, "not at the position expected")
    contains(cli("promote", "--to", n1.data, "--force"), "leads from 2-")
    n1.call("SIGNAL", "view", "a")
    n2.start()
    until("n2 has all", lambda: count(n2) == 21)


@test
def the_lost_tail_of_the_old_leader_is_kept_aside(world):
    """Writes that only the old leader has are given up, listed, in quarantine, and their tokens say so."""
    n0, (n1, n2), proxy = start_three(world, proxy=True)
    proxy.cut()
    lost = [n0.call("SIGNAL", "view", "b") for _ in range(5)]
    n0.kill()
    until("the followers notice", lambda: n1.status()["link"] != "streaming")
    n1.call("PROMOTE")
    for _ in range(3):
        n1.call("SIGNAL", "view", "a")
    n0.start()
    until("n0 follows", lambda: role(n0) == "follower" and count(n0) == 23)
    until("n0 gave its tail up", lambda: int(n0.call("COUNT", "view", "b", "all")) == 0)
    tm.wait_equal(n1, n0)
    equal(int(n0.call("COUNT", "view", "b", "all")), 0)
    files = glob.glob(os.path.join(n0.dir, "quarantine", "**"), recursive=True)
    check([f for f in files if os.path.isfile(f)], "nothing lies in quarantine: %s", files)
    events = [e["text"] for e in n0.status_json()["events"] if e["kind"] == "truncation"]
    check(events, "no event tells of the tail: %s", n0.status_json()["events"])
    for token in lost:
        contains(n1.error("COUNT", "view", "b", "all", "AFTER", token), "LOST", "in the change to epoch 2")


@test
def a_leader_that_was_only_cut_off_steps_down(world):
    n0, (n1, n2) = start_three(world)
    waits = n0.connect()
    waits.call("SIGNAL", "view", "a")
    tm.wait_equal(n0, n1, n2)
    waits.send("WAIT", 3, 0)  # one more than there are, and without end
    equal(n0.call("WAIT", 2, 0), 2)
    n0.signal(tm.signal.SIGSTOP)
    until("n1 notices", lambda: n1.status()["link"] != "streaming")
    n1.call("PROMOTE", "FORCE")
    n1.call("SIGNAL", "view", "a")
    n0.signal(tm.signal.SIGCONT)
    until("n0 follows", lambda: role(n0) == "follower")
    contains(waits.read_any().text, "READONLY", "nobody to wait for")
    contains(n0.error("WAIT", 1, 0), "READONLY", n1.data)
    equal(n0.call("WAIT", 0, 0), 0)
    until("all have all", lambda: count(n0) == 22 and count(n2) == 22)
    tm.wait_equal(n1, n0, n2)


@test
def a_leader_that_is_there_is_replaced_by_force_and_that_is_told(world):
    n0, (n1, n2) = start_three(world)
    contains(n1.error("PROMOTE"), "REFUSED", "n0 answers and leads")
    n1.call("PROMOTE", "FORCE")
    until("n0 follows", lambda: role(n0) == "follower")
    tm.wait_equal(n1, n0, n2)
    told = [e["text"] for e in n1.status_json()["events"] if e["kind"] == "promotion"]
    check(len(told) == 1 and told[0].startswith("promotion by force: "), "%r", told)


@test
def replicaof_takes_the_same_way(world):
    n0, (n1, n2) = start_three(world)
    contains(n0.error("REPLICAOF", *n1.replication.rsplit(":", 1)), "REFUSED", "does not lead")
    contains(n1.error("REPLICAOF", "NO", "ONE"), "REFUSED", "n0 answers and leads")
    n0.kill()
    equal(n1.call("REPLICAOF", "NO", "ONE"), "OK")
    equal(role(n1), "leader")
    other = world.start("other", *FLAGS)
    contains(other.error("REPLICAOF", *n1.replication.rsplit(":", 1)), "REFUSED", "another cluster")
    equal(role(other), "leader")


if __name__ == "__main__":
    tm.main()
