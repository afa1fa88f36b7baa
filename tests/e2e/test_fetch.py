"""A leader whose directory is an older copy: before it leads again it fetches what a follower holds
more of its history, also when it is killed in the middle of that; and when it cannot, it says why
and an operator may still choose."""
import re
import shutil

import tm
from tm import check, contains, equal, test, until

WRITES = 200000
SMALL = ("--segment-size", "256KiB", "--checkpoint-log-bytes", "512KiB", "--mark-interval", "50ms", "--retain-segments", "2")


def write(node, count, item="a"):
    with node.connect() as c:
        c.send_all([["SIGNAL", "view", item]] * count)
        for _ in range(count):
            c.read()


def count(node, item="a"):
    return node.call("COUNT", "view", item, "all")


def copy_of(world, node):
    """What the directory held a moment ago, when the node was stopped."""
    node.stop()
    shutil.copytree(node.dir, world.path("copy"))
    node.start()
    leads(node)


def put_back(world, node):
    shutil.rmtree(node.dir)
    shutil.copytree(world.path("copy"), node.dir)


def leads(node):
    until("%s takes writes" % node.name, lambda: node.call("SIGNAL", "view", "ready"))


def events(node, kind):
    return [e["text"] for e in node.status_json()["events"] if e["kind"] == kind]


@test
def an_older_copy_of_a_voting_leader_fetches_what_its_followers_hold(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader.replication)
    g = world.start("g", follow=leader.replication)
    for name in ("leader", "f", "g"):
        until("%s votes" % name, lambda: leader.call("MEMBER.ADD", name, "VOTER"))
    write(leader, 10)
    tm.wait_equal(leader, f, g)
    copy_of(world, leader)
    write(leader, 10)
    tm.wait_equal(leader, f, g)
    leader.call("SIGNAL", "view", "last", "LEVEL", "majority")
    leader.kill()
    put_back(world, leader)
    leader.start()
    leads(leader)
    equal(count(leader), 20)
    equal(count(leader, "last"), 1)
    contains(" ".join(events(leader, "role")), "this node does not lead yet: it fetches")
    contains(" ".join(events(leader, "resync")), "fetched from", "what this node had lost")
    tm.wait_equal(leader, f, g)
    for follower in (f, g):  # nobody goes on keeping log for the leader
        until("%s has no slot" % follower.name, lambda: follower.call("SLOT.LIST") == [])


@test
def a_leader_that_is_killed_while_it_fetches_fetches_again(world):
    leader = world.start("leader")
    f = world.start("f", "--credit", "64KiB", follow=leader.replication)
    write(leader, 10)
    tm.wait_equal(leader, f)
    copy_of(world, leader)
    write(leader, WRITES)
    tm.wait_equal(leader, f)
    held = f.seqno()
    leader.kill()
    put_back(world, leader)
    ends = []
    for _ in range(4):
        leader.start()
        ends.append(opened_at(leader))
        until("more of it is there", lambda: leader.seqno() > ends[-1])
        leader.kill()
        world.run("log", "verify", leader.dir, code=0)
    check(any(ends[0] < end < held for end in ends), "it was never killed in the middle: %s", ends)
    leader.start()
    leads(leader)
    equal(leader.status()["role"], "leader")
    equal(count(leader), 10 + WRITES)
    tm.wait_equal(leader, f)


def opened_at(node):
    """The last record that it found when it opened."""
    return int(re.findall(r'msg="ready" .*seqno=(\d+)', node.log())[-1])


@test
def a_leader_that_cannot_fetch_says_why_and_may_be_forced(world):
    leader = world.start("leader", *SMALL)
    f = world.start("f", *SMALL, follow=leader.replication)
    write(leader, 10)
    tm.wait_equal(leader, f)
    copy_of(world, leader)
    f.stop()
    shutil.rmtree(f.dir)
    leader.call("SLOT.DROP", "f")
    write(leader, WRITES)
    until("the beginning is gone", lambda: leader.call("CHECKPOINT") and leader.metrics().of("tidemark_log_oldest_seqno") > 100)
    f.start()  # a copy of the state: its log begins where the copy ends
    tm.wait_equal(leader, f)
    leader.kill()
    put_back(world, leader)
    leader.start()
    until("it says why", lambda: "cannot be fetched from" in str(leader.error("SIGNAL", "view", "a")))
    contains(leader.status_json()["reason"], "f holds more", "log-not-kept", "promote that one")
    check(leader.error("PROMOTE"), "it was promoted without force")
    until("it leads, by force", lambda: leader.call("PROMOTE", "FORCE"))
    leads(leader)
    equal(count(leader), 10)


if __name__ == "__main__":
    tm.main()
