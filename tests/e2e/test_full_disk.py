#!/usr/bin/python3
"""A disk that becomes full, on file systems of their own: writes are refused before the log would meet it, nothing
acknowledged is lost, reads and replication go on, and with space again so do writes, without a restart."""
import os
import subprocess
import time

import tm
from tm import check, contains, equal, test, until

SMALL = ("--segment-size", "1MiB", "--disk-reserve", "4MiB", "--mark-interval", "200ms")


def small_disk(world, name, size):
    """A file system of this size of its own, below the test's folder."""
    path = world.path(name)
    os.mkdir(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", path], capture_output=True, text=True)
    if done.returncode != 0:
        raise tm.Skip("no file system can be mounted: " + done.stderr.strip())
    world.at_end.append(lambda: subprocess.run(["umount", "-l", path], check=False))
    return path


def on_disk(world, name, disk, *flags, **more):
    small = () if "--checkpoint-log-bytes" in flags else ("--checkpoint-log-bytes", "64MiB")
    node = world.node(name, *SMALL, *small, *flags, **more)
    node.dir = os.path.join(disk, name)
    node.start()
    until("the reserve is written", lambda: node.status_json()["disk_reserve_bytes"] == 4 << 20)
    return node


def fill(disk, leave=0):
    """Take all space but `leave` bytes of it."""
    with open(os.path.join(disk, "ballast"), "ab", buffering=0) as f:
        piece = bytes(1 << 16)
        while True:
            fs = os.statvfs(disk)
            if fs.f_bavail * fs.f_bsize <= leave:
                return
            try:
                f.write(piece)
            except OSError:
                return


def free(disk):
    os.remove(os.path.join(disk, "ballast"))


def signal(k):
    return ["SIGNAL", "view", "item:%0200d" % (k % 50)]


def total(node):
    return sum(node.call("COUNT", "view", signal(k)[2], "all") for k in range(50))


def write_until_refused(node):
    acknowledged, refused = 0, None
    with node.connect() as client:
        end = time.monotonic() + 30
        while refused is None:
            check(time.monotonic() < end, "never refused: %r", node.status_json()["disk_rung"])
            for reply in client.pipe([signal(k) for k in range(200)]):
                if isinstance(reply, tm.Refused):
                    refused = reply
                else:
                    acknowledged += 1
    equal(refused.word, "DISKFULL")
    return acknowledged, refused.text


def takes_writes(node):
    try:
        return node.call(*signal(0))
    except tm.Refused as e:
        equal(e.word, "DISKFULL")
        return None


WRITERS = [
    ["SIGNAL", "view", "a"],
    ["SIGNAL", "like", "a", "USER", "u"],
    ["SIGNALS", "2", "view", "a", "1", "view", "b", "1"],
    ["UNSIGNAL", "like", "known", "USER", "u"],
    ["ITEM.PUT", "a", "field", "value"],
    ["ITEM.DEL", "known"],
    ["USER.PUT", "u", "field", "value"],
    ["CREATOR.PUT", "c", "field", "value"],
    ["SCHEMA.SIGNAL", "fresh"],
    ["SCHEMA.FIELD", "colour", "tag"],
    ["PRODUCER.SKIP", "p", "5"],
]


@test
def a_disk_fills_and_is_freed_ten_times(world):
    disk = small_disk(world, "disk", 128 << 20)
    leader = on_disk(world, "leader", disk)
    follower = world.start("follower", "--disk-reserve", "0", follow=leader.replication)
    leader.call("SIGNAL", "like", "known", "USER", "u")
    written = 0
    for turn in range(10):
        fill(disk)
        more, text = write_until_refused(leader)
        written += more
        contains(text, "the disk is full", "writes go on by themselves")
        equal(leader.metrics().of("tidemark_disk_rung"), 4)
        for words in WRITERS:
            contains(leader.error(*words), "DISKFULL")
        with leader.connect() as c:
            c.call("MULTI")
            c.call(*signal(1))
            contains(str(c.call("EXEC")), "DISKFULL")
        # reads go on, followers get everything, small files are saved
        equal(total(leader), written)
        tm.wait_equal(leader, follower)
        equal(leader.status()["state"], "serving")
        leader.call("RETRIEVE", "top")
        free(disk)
        until("writes go on", lambda: takes_writes(leader))
        written += 1
        equal(total(leader), written)
    tm.wait_equal(leader, follower)
    until("the reserve is there again", lambda: leader.status_json()["disk_reserve_bytes"] == 4 << 20)
    until("the rungs are told", lambda: "writes are refused" in leader.log() and "space again" in leader.log())
    leader.stop()
    leader.start()
    equal(total(leader), written)


@test
def a_node_starts_on_a_full_disk_and_takes_no_writes_until_there_is_space(world):
    disk = small_disk(world, "disk", 64 << 20)
    node = on_disk(world, "leader", disk)
    fill(disk, 8 << 20)
    written, _ = write_until_refused(node)
    fill(disk)  # from here on its reserve is all there is
    for stop in (node.kill, node.stop, node.kill):
        stop()
        node.start()
        equal(total(node), written)
        contains(node.error(*signal(0)), "DISKFULL")
        equal(node.status()["state"], "serving")
    free(disk)
    until("writes go on", lambda: takes_writes(node))
    equal(total(node), written + 1)
    world.run("log", "verify", node.dir, code=0)


@test
def a_follower_on_a_full_disk_waits_and_catches_up(world):
    disk = small_disk(world, "disk", 64 << 20)
    leader = world.start("leader", "--disk-reserve", "0")
    follower = on_disk(world, "follower", disk, follow=leader.replication)
    other = world.start("other", "--disk-reserve", "0", follow=leader.replication)
    until("it has all", lambda: follower.seqno() >= leader.seqno())
    fill(disk)
    until("it is full", lambda: follower.metrics().of("tidemark_disk_rung") == 4)
    with leader.connect() as c:
        for _ in range(20):
            c.pipe([signal(k) for k in range(1000)])
    tm.wait_equal(leader, other)
    equal(follower.status()["state"], "serving")
    check(follower.seqno() < leader.seqno(), "it stored what does not fit")
    check(leader.status()["followers"]["follower"]["lag_records"] > 0, "no lag is told")
    free(disk)
    until("it has all", lambda: follower.seqno() >= leader.seqno())
    tm.wait_equal(leader, follower)


@test
def a_slot_gives_way_before_writers_do(world):
    disk = small_disk(world, "disk", 64 << 20)
    leader = on_disk(world, "leader", disk, "--retain-segments", "2", "--checkpoint-log-bytes", "1MiB",
                     "--slot-budget-bytes", "1GiB")
    away = world.start("away", "--disk-reserve", "0", follow=leader.replication)
    until("its slot tells that it has all",  # so that it holds the log through what is committed
          lambda: leader.status()["followers"].get("away", {}).get("stored") == leader.seqno())
    away.stop()
    fill(disk, 40 << 20)
    with leader.connect() as c:
        end = time.monotonic() + 60
        while leader.status()["followers"]["away"]["state"] != "lost":
            check(time.monotonic() < end, "%r", leader.status())
            for reply in c.pipe([signal(k) for k in range(300)]):
                check(not isinstance(reply, tm.Refused), "%r", reply)
            time.sleep(0.01)  # checkpoints keep up on a busy disk, too: else they hold the log, not the slot
        equal(leader.status()["followers"]["away"]["reason"], "horizon_bytes")
        until("there is space again", lambda: [c.call(*signal(0)) for _ in range(100)] and
              leader.metrics().of("tidemark_disk_rung") <= 1)
    until("all rungs were told", lambda: all(w in leader.log() for w in ("slot away is at risk", "slot away is lost")))


tm.main()
