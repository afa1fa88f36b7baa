"""Nodes with nothing to do write nothing: no file of theirs changes, no byte goes to the disk, no
record is logged, by stream and by segment, with windows that hold something and without. And the
clock that decides what falls due is shown by every node. Hours of it are told by the simulator."""
import os
import time

import tm
from tm import check, contains, equal, test, until

IDLE_S = 10  # twenty heartbeats and marks, five polls by segment


def files_of(node):
    """name -> (size, time of the last change) of every file and folder of a node."""
    found = {}
    for where, folders, names in os.walk(node.dir):
        for name in folders + names:
            path = os.path.join(where, name)
            s = os.stat(path)
            found[os.path.relpath(path, node.dir)] = (s.st_size, s.st_mtime_ns)
    return found


def written_bytes(node):
    """What the kernel counts as sent to the disk by the process; None where it does not tell."""
    try:
        with open("/proc/%d/io" % node.process.pid) as f:
            rows = dict(line.split(": ") for line in f.read().splitlines())
        return int(rows["write_bytes"])
    except OSError:
        return None


def picture(node):
    m = node.metrics()
    return {
        "files": files_of(node),
        "bytes": written_bytes(node),
        "assigned": m.of("tidemark_log_assigned_seqno"),
        "checkpoint": m.of("tidemark_checkpoint_seqno"),
    }


def settle(node):
    """Until a second passes without a change: a spare segment is made, a mark compared."""
    seen = [None]

    def is_still():
        before, seen[0] = seen[0], picture(node)
        if before == seen[0]:
            return True
        time.sleep(1)  # the second that must be silent
        return False

    until("%s is quiet" % node.name, is_still, patience_s=3 * tm.PATIENCE_S)


def stay_idle(*nodes):
    for node in nodes:
        settle(node)
    before = [picture(node) for node in nodes]
    time.sleep(IDLE_S)  # the stretch that is watched
    for node, was in zip(nodes, before):
        now = picture(node)
        for name in set(was["files"]) | set(now["files"]):
            equal(now["files"].get(name), was["files"].get(name), "%s of %s" % (name, node.name))
        equal(now, was, node.name)


def pair(world, mode):
    flags = ["--ship-mode", mode, "--mark-interval", "500ms"]  # the mark of a write comes at once
    leader = world.start("%s-leader" % mode, *flags)
    return leader, world.start("%s-f" % mode, *flags, follow=leader)


@test
def an_empty_database_writes_nothing_in_any_mode(world):
    nodes = [node for mode in ("stream", "segment") for node in pair(world, mode)]
    for leader, f in (nodes[:2], nodes[2:]):
        until("%s has all" % f.name, lambda leader=leader, f=f: f.seqno() >= leader.seqno())
    stay_idle(*nodes)


@test
def live_windows_write_nothing_while_nothing_falls_due(world):
    nodes = []
    for mode in ("stream", "segment"):
        leader, f = pair(world, mode)
        leader.call("SIGNAL", "view", "a")
        until("%s has all" % f.name, lambda leader=leader, f=f: f.seqno() >= leader.seqno())
        equal(f.call("COUNT", "view", "a", "1h"), 1)
        nodes += [leader, f]
    stay_idle(*nodes)


@test
def every_node_shows_its_clock_and_only_a_leader_accepts_a_step(world):
    leader, f = pair(world, "stream")
    before = time.time() * 1000
    clock = tm.pairs(leader.call("CLOCK"))
    after = time.time() * 1000
    equal(clock["state"], "following")
    equal((clock["step_pending"], clock["steps"]), (0, 0))
    for name in ("leader_ms", "wall_ms"):
        check(before - 2 <= clock[name] <= after + 2, "%s is %d, not from %d to %d", name, clock[name], before, after)
    equal(clock["wall_ms"] - clock["leader_ms"] - clock["offset_ms"] in (-1, 0, 1), True, "offset")
    contains(leader.error("CLOCK", "ACCEPT"), "ERR no step of the clock is pending")
    equal(leader.status_json()["clock"]["state"], "following")
    contains(leader.call("INFO", "clock"), "clock_state:following", "clock_step_pending:0")
    m = leader.metrics().judge()
    equal(m.of("tidemark_clock_step_pending"), 0)
    check(abs(m.of("tidemark_clock_offset_seconds")) < 0.1, "the offset is %r", m.of("tidemark_clock_offset_seconds"))
    until("f has all", lambda: f.seqno() >= leader.seqno())
    equal(tm.pairs(f.call("CLOCK"))["state"], "follower")
    contains(f.error("CLOCK", "ACCEPT"), "READONLY", leader.data)
    equal(f.metrics().judge().of("tidemark_clock_step_pending"), None)


tm.main()
