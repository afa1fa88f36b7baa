"""A node copies the state of another one: a new follower of a pruned log, one that lost its disk, over kills
of either side; what moved is kept, what was held is served, and the digests are equal at the end."""
import glob
import json
import os
import re
import time

import tm
from tm import check, contains, equal, test, until

SMALL = ("--segment-size", "256KiB", "--checkpoint-log-bytes", "512KiB", "--mark-interval", "50ms", "--retain-segments", "2")
ITEMS = 40000


def oldest(node):
    return node.metrics().of("tidemark_log_oldest_seqno")


def fill(leader, items=ITEMS, prefix="item"):
    """A state of some megabytes, and a log that no longer begins at record 1."""
    with leader.connect() as c:
        for first in range(0, items, 2000):
            for reply in c.pipe([["SIGNAL", "view", "%s:%d" % (prefix, i)] for i in range(first, first + 2000)]):
                check(isinstance(reply, str), "%r", reply)
        deadline = time.monotonic() + 60
        while oldest(leader) == 1:
            check(time.monotonic() < deadline, "the log is not pruned")
            c.pipe([["SIGNAL", "view", "%s:%d" % (prefix, i)] for i in range(2000)])
            c.call("CHECKPOINT")


def count(node, item):
    return int(node.call("COUNT", "view", item, "all"))


def copying(node):
    return node.status_json().get("bootstrap")


@test
def a_new_follower_of_a_pruned_log_copies_the_state(world):
    leader = world.start("leader", *SMALL)
    fill(leader)
    check(oldest(leader) > 1, "the log begins at 1")
    f = world.start("f", *SMALL, follow=leader.replication)
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)
    check(oldest(f) > 1, "the copy has a log from the beginning")
    equal(count(f, "item:7"), count(leader, "item:7"))
    leader.call("SIGNAL", "view", "later")
    until("it follows", lambda: count(f, "later") == 1)
    # the copy is as good as any: it restarts, and the leader's log may go on
    f.kill()
    leader.call("SIGNAL", "view", "later")
    f.start()
    until("it follows", lambda: count(f, "later") == 2)
    tm.wait_equal(leader, f)
    equal(world.run("log", "verify", f.dir).returncode, 0)


@test
def a_wiped_follower_copies_the_state(world):
    leader = world.start("leader", *SMALL)
    f = world.start("f", *SMALL, follow=leader.replication)
    fill(leader, 8000)
    f.kill()
    for path in glob.glob(os.path.join(f.dir, "*", "*")) + glob.glob(os.path.join(f.dir, "[im]*")):
        os.unlink(path)
    f.start()
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)


@test
def a_joiner_that_is_killed_goes_on_where_it_was(world):
    leader = world.start("leader", *SMALL, "--bootstrap-rate", "300KiB")
    fill(leader)
    f = world.node("f", *SMALL, follow=leader.replication).launch()
    f.ready()
    for _ in range(3):
        before = until("blocks moved", lambda: staged(f) > 200000 and staged(f))
        f.kill()
        f.start()
        until("it copies", lambda: copying(f))
        check(staged(f) >= before - 65536 * 4, "%d bytes were staged, %d are left", before, staged(f))
        until("it goes on", lambda: staged(f) > before + 50000)
    seen = until("the leader knows how far it is", lambda: [
        b for b in [leader.status_json()["followers"][0].get("bootstrap")] if b and b["done_bytes"] > 0])[0]
    check(seen["done_bytes"] < seen["total_bytes"] and seen["done_blocks"] < seen["total_blocks"], "%r", seen)
    equal(f.status_json()["state"], "rebootstrapping")
    contains(world.run("status", "--to", f.data).stdout, "copying     the state at record")
    contains(f.error("COUNT", "view", "item:7", "all"), "LOADING")
    leader.call("CONFIG", "SET", "bootstrap_rate", "100%")
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)
    check(not os.path.exists(os.path.join(f.dir, "staging", "blocks")), "staged blocks are left over")


def staged(node):
    try:
        return os.path.getsize(os.path.join(node.dir, "staging", "blocks"))
    except OSError:
        return 0


@test
def a_leader_that_is_killed_is_copied_from_again(world):
    leader = world.start("leader", *SMALL, "--bootstrap-rate", "300KiB")
    fill(leader)
    f = world.start("f", *SMALL, follow=leader.replication)
    for _ in range(2):
        before = until("blocks moved", lambda: staged(f) > 200000 and staged(f))
        leader.kill()
        leader.start()
        until("it goes on", lambda: staged(f) > before + 50000)
    leader.call("CONFIG", "SET", "bootstrap_rate", "100%")
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)


@test
def a_slow_copy_pins_the_log_and_stalls_nobody(world):
    leader = world.start("leader", *SMALL, "--bootstrap-rate", "300KiB")
    quick = world.start("quick", *SMALL, follow=leader.replication)
    fill(leader, 60000)
    until("quick has all", lambda: quick.seqno() >= leader.seqno())
    f = world.start("f", *SMALL, follow=leader.replication)
    until("blocks move", lambda: staged(f) > 100000)
    pinned = copying(f)["mark"]
    begin = time.monotonic()
    while time.monotonic() - begin < 3:
        with leader.connect() as c:
            c.pipe([["SIGNAL", "view", "item:%d" % i] for i in range(2000)])
        until("quick has all", lambda: quick.seqno() >= leader.seqno(), patience_s=5)
        if not copying(f):
            break
    check(oldest(leader) <= pinned + 1, "the log begins at %d, the copy is of %d", oldest(leader), pinned)
    seen = leader.status()["followers"]["f"]
    equal(seen["state"], "bootstrap")
    leader.call("CONFIG", "SET", "bootstrap_rate", "100%")
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, quick, f)


def moved(node):
    """(bytes moved, bytes of the state, times based anew) of the last copy."""
    text = [e["text"] for e in node.status_json()["events"] if "is whole" in e["text"]][-1]
    got = re.search(r"(\d+) of (\d+) bytes .* anew (\d+) times", text)
    return tuple(int(n) for n in got.groups())


@test
def a_copy_slower_than_the_writers_is_based_anew_and_not_doomed(world):
    leader = world.start("leader", *SMALL, "--bootstrap-rate", "80KiB")
    fill(leader)
    f = world.start("f", *SMALL, follow=leader.replication)
    first = until("it copies", lambda: copying(f) and staged(f) > 0 and copying(f)["mark"])
    with leader.connect() as c:  # 60 MB of log, and hardly any state
        for _ in range(24):
            c.pipe([["ITEM.PUT", "big", "text", "x" * 25000]] * 100)
    until("it is based on a newer checkpoint", lambda: not copying(f) or copying(f)["mark"] > first)
    leader.call("CONFIG", "SET", "bootstrap_rate", "100%")
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)
    came, total, anew = moved(f)
    check(anew >= 1, "it was based anew %d times", anew)
    check(came < 2 * total, "%d bytes moved for a state of %d", came, total)


@test
def the_old_data_is_served_and_flagged_until_the_copy_is_whole(world):
    leader = world.start("leader", *SMALL)
    f = world.start("f", *SMALL, follow=leader.replication)
    fill(leader, 4000, prefix="old")
    tm.wait_equal(leader, f)
    had, ended = count(f, "old:7"), f.seqno()
    f.kill()
    equal(leader.call("SLOT.DROP", "f"), "OK")  # nothing is kept for it any more
    leader.call("CONFIG", "SET", "bootstrap_rate", "40KiB")
    fill(leader, prefix="new")
    leader.call("SIGNAL", "view", "old:7")
    until("its records are pruned", lambda: oldest(leader) > ended + 1 or leader.call("CHECKPOINT") and fill(leader, 2000, "new"),
          patience_s=60)
    f.start()
    until("it copies", lambda: copying(f) and staged(f) > 0)
    check(had > 0, "there was nothing to serve")
    equal((count(f, "old:7"), count(f, "new:7"), f.seqno()), (had, 0, ended))
    contains(f.error("SIGNAL", "view", "old:7"), "READONLY")
    status = f.status_json()
    equal((status["state"], status["rebootstrapping"]), ("rebootstrapping", True))
    contains(status["reason"], "copies the state of its leader")
    equal(f.metrics().of("tidemark_replication_rebootstrapping", follower="f"), 1)
    equal(f.get("/readyz")[0], 503)
    contains(world.run("status", "--to", f.data, code=0).stdout, "rebootstrapping", "copying     the state at record")
    contains(f.call("INFO", "replication"), "master_sync_in_progress:1")
    until("the leader says so, too", lambda: leader.status_json()["followers"][0]["rebootstrapping"])
    until("the leader tells everybody", lambda: [
        m for m in json.loads(leader.get("/topology.json")[1])["members"] if m["id"] == "f" and m["rebootstrapping"]])
    check(copying(f), "the copy was too quick to look at")
    equal((count(f, "old:7"), f.seqno()), (had, ended))
    leader.call("CONFIG", "SET", "bootstrap_rate", "100%")
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)
    equal(count(f, "old:7"), had + 1)
    until("it is a follower as any other", lambda: f.status_json()["state"] == "serving")
    equal(f.metrics().of("tidemark_replication_rebootstrapping", follower="f"), 0)


@test
def a_copy_is_based_anew_before_its_slots_budget_ends(world):
    """The budget is far below what a copy would be worth by itself; its slot is not lost all the same."""
    leader = world.start("leader", *SMALL, "--bootstrap-rate", "80KiB", "--slot-budget-bytes", "4MiB")
    fill(leader)
    f = world.start("f", *SMALL, follow=leader.replication)
    first = until("it copies", lambda: copying(f) and staged(f) > 0 and copying(f)["mark"])
    with leader.connect() as c:
        for _ in range(14):  # 7 MB, half a MB at a time and hardly any state
            c.pipe([["ITEM.PUT", "big", "text", "x" * 25000]] * 20)
            check(copying(f), "it is whole already: the copy is too quick for this test")
            held = leader.status_json()["followers"][0]["held_bytes"]
            until("its slot has room", lambda: leader.status_json()["followers"][0]["held_bytes"] < (3 << 20))
            check(held < (4 << 20), "%d bytes are held", held)
    check(copying(f)["mark"] > first, "it is not based on a newer checkpoint")
    equal([e["text"] for e in leader.status_json()["events"] if e["kind"] == "invalidation"], [])
    leader.call("CONFIG", "SET", "bootstrap_rate", "100%")
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)
    check(moved(f)[2] >= 1, "it was based anew %d times", moved(f)[2])


if __name__ == "__main__":
    tm.main()
