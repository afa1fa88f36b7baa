"""A leader's wall clock is set a day ahead and a day back while it runs, by a library put before
libc: no window, key or score changes, operators are told, and only they can follow it."""
import os
import shutil
import struct
import subprocess

import tm
from tm import check, contains, equal, test, until

DAY_S = 86400


class Wall:
    """A wall clock for nodes that are started while it is the one in the environment."""

    def __init__(self, world):
        tm.need("cc")
        if float(os.environ.get("TM_SLOWNESS", "1")) > 1:
            raise tm.Skip("a sanitizer wants to be the first library")
        library = world.path("wall_clock.so")
        subprocess.run([shutil.which("cc"), "-shared", "-fPIC", "-O1", "-o", library,
                        os.path.join(tm.HERE, "wall_clock.c"), "-ldl"], check=True)
        self.path = world.path("wall_clock")
        with open(self.path, "wb") as f:
            f.write(struct.pack("=q", 0))
        self.words = {"LD_PRELOAD": library, "TM_WALL_CLOCK": self.path}

    def start(self, node):
        os.environ.update(self.words)
        try:
            return node.start()
        finally:
            for word in self.words:
                del os.environ[word]

    def set(self, seconds):
        with open(self.path, "r+b") as f:  # the file is mapped: it must stay the same one
            f.write(struct.pack("=q", seconds))


def clock(node):
    return tm.pairs(node.call("CLOCK"))


def start(world):
    wall = Wall(world)
    leader = wall.start(world.node("leader"))
    f = world.start("f", follow=leader)
    token = leader.call("SIGNAL", "view", "a", "KEY", "k")
    until("f has it", lambda: f.seqno() >= leader.seqno())
    return wall, leader, f, token


def check_nothing_changed(leader, f, token):
    equal(leader.call("SIGNAL", "view", "a", "KEY", "k"), token, "the key is known")
    for node in (leader, f):
        for window in ("1h", "24h", "7d", "all"):
            equal(node.call("COUNT", "view", "a", window), 1, "%s on %s" % (window, node.name))
    score = float(leader.call("SCORE", "view", "a"))
    check(0.999 < score <= 1.0, "the score is %r", score)


@test
def a_day_either_way_changes_nothing_and_is_told(world):
    wall, leader, f, token = start(world)
    for side, seconds in (("ahead", DAY_S), ("behind", -DAY_S)):
        wall.set(seconds)
        c = clock(leader)
        equal((c["state"], c["step_pending"]), ("step pending", 1))
        check(abs(c["offset_ms"] - 1000 * seconds) < 100, "the offset is %r", c["offset_ms"])
        check_nothing_changed(leader, f, token)
        equal(leader.metrics().judge().of("tidemark_clock_step_pending"), 1)
        until("the log says so", lambda: "ms %s" % side in leader.log())
        wall.set(0)
        equal(clock(leader)["state"], "following")
        until("the log says so", lambda: "leader time is following" in leader.log())
    equal(clock(leader)["steps"], 2)
    leader.call("SIGNAL", "view", "b")
    tm.wait_equal(leader, f)


@test
def an_accepted_step_ahead_empties_the_windows_everywhere(world):
    wall, leader, f, token = start(world)
    wall.set(DAY_S + 2 * 3600)
    check_nothing_changed(leader, f, token)
    equal(tm.pairs(leader.call("CLOCK", "ACCEPT"))["state"], "following")
    for node in (leader, f):
        until("the day is over on %s" % node.name, lambda node=node: node.call("COUNT", "view", "a", "24h") == 0)
        equal(node.call("COUNT", "view", "a", "7d"), 1)
    check(leader.call("SIGNAL", "view", "a", "KEY", "k") != token, "the key is remembered for a day")
    tm.wait_equal(leader, f)


@test
def an_accepted_step_back_and_a_start_behind_the_log_stand_still(world):
    wall, leader, f, token = start(world)
    wall.set(-DAY_S)
    before = clock(leader)["leader_ms"]
    equal(tm.pairs(leader.call("CLOCK", "ACCEPT"))["state"], "standing still")
    check_nothing_changed(leader, f, token)
    leader.call("SIGNAL", "view", "b")
    leader.stop()
    wall.start(leader)
    until("it is told", lambda: "leader time is standing still" in leader.log())
    c = clock(leader)
    equal(c["state"], "standing still")
    check(before <= c["leader_ms"] < before + 60000, "leader time is %d after %d", c["leader_ms"], before)
    check_nothing_changed(leader, f, token)
    wall.set(0)
    equal(clock(leader)["state"], "following")
    until("f has all", lambda: f.seqno() >= leader.seqno())
    tm.wait_equal(leader, f)


tm.main()
