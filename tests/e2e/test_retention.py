"""The log is pruned: disk use stays bounded under a long load, what somebody needs stays, and who comes
for records that are gone is told so."""
import glob
import os
import time

import tm
from tm import check, contains, equal, test, until

SMALL = ("--segment-size", "256KiB", "--checkpoint-log-bytes", "512KiB", "--mark-interval", "50ms", "--retain-segments", "2")


def log_size(node):
    size = 0
    for path in glob.glob(os.path.join(node.dir, "log", "*")):
        try:
            size += os.path.getsize(path)
        except FileNotFoundError:  # removed or used again since it was listed
            pass
    return size


def oldest(node):
    return node.metrics().of("tidemark_log_oldest_seqno")


def load(node, until_true, patience_s=60):
    """Write until it is true."""
    end = time.monotonic() + patience_s
    written = 0
    with node.connect() as c:
        while not until_true():
            check(time.monotonic() < end, "in vain: oldest %r, floor held by %s", oldest(node), holder(node))
            for reply in c.pipe([["SIGNAL", "view", "item:%d" % (i % 50)] for i in range(2000)]):
                check(isinstance(reply, str), "%r", reply)
            written += 2000
    return written


def holder(node):
    return node.status_json()["retention_holder"]


@test
def disk_use_is_bounded_under_a_long_load_on_every_role(world):
    leader = world.start("leader", *SMALL)
    f = world.start("f", *SMALL, follow=leader.replication)
    until("f is there", lambda: leader.metrics().of("tidemark_replication_connected", follower="f") == 1)
    largest = 0
    start = leader.metrics().of("tidemark_log_durable_seqno")
    for _ in range(8):
        before = oldest(leader)
        load(leader, lambda: oldest(leader) > before)
        largest = max(largest, log_size(leader))
    until("the follower pruned, too", lambda: oldest(f) > 1)
    records = leader.metrics().of("tidemark_log_durable_seqno") - start
    m = leader.metrics().judge()
    check(m.of("tidemark_log_retention_floor_seqno") >= m.of("tidemark_log_oldest_seqno"), "floor below oldest")
    check(records > 30000, "%d records", records)
    # what is needed, up to 8 files to be used again with their maps, and one made ahead
    check(largest < 20 * 264 * 1024, "log of %d bytes", largest)
    tm.wait_equal(leader, f)
    # what is left is enough to start from
    leader.stop()
    leader.start()
    equal(world.run("log", "verify", f.dir).returncode, 0)
    tm.wait_equal(leader, f)


@test
def a_running_leader_that_prunes_and_reuses_files_is_no_damage_to_verify(world):
    leader = world.start("leader", *SMALL)
    for _ in range(6):
        before = oldest(leader)
        load(leader, lambda: oldest(leader) > before)
        with leader.connect() as c:
            c.send_all([["SIGNAL", "view", "item:%d" % (i % 50)] for i in range(20000)])
            world.run("log", "verify", leader.dir, code=0)
            for _ in range(20000):
                c.read_any()
    leader.kill()
    text = world.run("log", "verify", leader.dir, code=0).stdout
    leader.start()
    check(leader.seqno() > 0, "%s", text)


@test
def a_slot_holds_the_log_and_its_follower_comes_back(world):
    leader = world.start("leader", *SMALL)
    f = world.start("f", *SMALL, follow=leader.replication)
    load(leader, lambda: oldest(leader) > 1)
    until("f has all", lambda: f.seqno() >= leader.seqno())
    f.stop()
    with leader.connect() as c:
        for _ in range(60):
            c.pipe([["SIGNAL", "view", "item:%d" % i] for i in range(2000)])
    # the slot holds, or the checkpoint that is kept because it is the newest that the follower stores
    until("it is what holds", lambda: holder(leader) in ("slots", "checkpoint"))
    stored = leader.metrics().of("tidemark_replication_stored_seqno", follower="f")
    check(leader.metrics().of("tidemark_log_retention_floor_seqno") <= stored + 1, "the floor is beyond the slot")
    check(oldest(leader) <= stored + 1, "pruned past the slot")
    contains(dict(tm.pairs(leader.call("REPL.STATUS")))["retention_holder"], holder(leader))
    f.start()
    until("f caught up", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)
    load(leader, lambda: oldest(leader) > stored)


@test
def a_catalogue_of_slots_that_cannot_be_read_prunes_nothing_and_says_so(world):
    leader = world.start("leader", *SMALL)
    f = world.start("f", follow=leader.replication)
    until("f has a slot", lambda: "f" in leader.status()["followers"])
    until("it is saved", lambda: os.path.exists(os.path.join(leader.dir, "slots")))
    f.stop()
    leader.stop()
    path = os.path.join(leader.dir, "slots")
    with open(path, "r+b") as file:
        file.seek(40)
        byte = file.read(1)
        file.seek(40)
        file.write(bytes([byte[0] ^ 1]))
    leader.start()
    until("the leader says so", lambda: "the slot catalogue cannot be read, so no log is pruned" in leader.log())
    contains(leader.log(), "restore the file slots")
    with leader.connect() as c:
        for _ in range(40):
            c.pipe([["SIGNAL", "view", "item:%d" % i] for i in range(2000)])
            c.call("CHECKPOINT")
    equal(oldest(leader), 1)
    equal(holder(leader), "slots")
    equal(leader.metrics().of("tidemark_log_retention_floor_seqno"), 1)


if __name__ == "__main__":
    tm.main()
