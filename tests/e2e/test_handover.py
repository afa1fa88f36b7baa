"""The leadership is passed on under load: nothing that was acknowledged is missing, nothing that was
refused is there, and writes wait only for a moment."""
import contextlib
import random
import threading
import time

import tm
from tm import check, contains, equal, test, until

FLAGS = ["--heartbeat", "100ms", "--suspect", "1s", "--dead", "3s"]
WRITERS = 6


class Writer(threading.Thread):
    """Signals one item each; goes where READONLY says. Knows what became of every one."""

    def __init__(self, node, number):
        super().__init__(daemon=True)
        self.address = node.data
        self.number = number
        self.acked, self.unknown, self.refused = [], [], []
        self.stopping = False
        self.failure = None
        self.gap_s = 0.0

    def run(self):
        try:
            self.write()
        except Exception as e:  # noqa: the main thread reports it
            self.failure = e

    def write(self):
        client, i, last = tm.Client(self.address), 0, time.monotonic()
        while not self.stopping:
            item = "w%d:%d" % (self.number, i)
            client.send("SIGNAL", "view", item)
            reply = client.read_any()
            i += 1
            if not isinstance(reply, tm.Refused):
                now = time.monotonic()
                self.gap_s, last = max(self.gap_s, now - last), now
                self.acked.append(item)
                continue
            text = str(reply)
            if text.startswith("UNKNOWN"):
                self.unknown.append(item)
            else:
                check(text.startswith(("READONLY", "LOADING")), "a writer was told %s", text)
                self.refused.append(item)
            words = text.split(" at ")
            if text.startswith("READONLY") and len(words) > 1 and ":" in words[-1]:
                self.address = words[-1].strip()
            client.close()
            time.sleep(0.005)
            client = tm.Client(self.address)
        client.close()


def judge(leader, writers):
    for w in writers:
        w.stopping = True
    for w in writers:
        w.join(30)
        check(not w.is_alive(), "a writer hangs")
        if w.failure:
            raise w.failure
    for w in writers:
        check(len(w.acked) > 50, "writer %d wrote %d", w.number, len(w.acked))
        with leader.connect() as c:
            counts = c.pipe([["COUNT", "view", item, "all"] for item in w.acked])
            equal(set(counts), {1}, "counts of what was acknowledged")
            if w.refused:
                counts = c.pipe([["COUNT", "view", item, "all"] for item in w.refused])
                equal(set(counts), {0}, "counts of what was refused")
    return sum(len(w.unknown) for w in writers), max(w.gap_s for w in writers)


@test
def nothing_is_lost_and_writes_pause_for_a_moment(world):
    n0 = world.start("n0", *FLAGS)
    nodes = [n0] + [world.start("n%d" % i, *FLAGS, follow=n0) for i in (1, 2)]
    n0.call("SIGNAL", "view", "first")
    tm.wait_equal(*nodes)
    writers = [Writer(n0, i) for i in range(WRITERS)]
    for w in writers:
        w.start()
    order, pauses = [0, 1, 2, 0], []
    for a, b in zip(order, order[1:]):
        time.sleep(0.7)
        committed = nodes[b].status()["committed"]  # as its last heartbeat told
        began = time.monotonic()
        nodes[a].call("HANDOVER", "n%d" % b)
        pauses.append(time.monotonic() - began)
        now = nodes[b].status()
        equal(now["role"], "leader")
        check(now["committed"] >= committed > 0, "committed of its own went from %d back to %d", committed,
              now["committed"])
        until("the third node follows", lambda: nodes[3 - a - b].status()["link"] == "streaming")
    time.sleep(0.5)
    unknown, gap_s = judge(nodes[0], writers)
    equal(unknown, 0, "writes whose outcome nobody knows")
    tm.wait_equal(*nodes)
    print("handovers took %s ms; longest pause a writer saw: %.0f ms"
          % (", ".join("%.0f" % (p * 1000) for p in pauses), gap_s * 1000))
    check(gap_s < 3 * (tm.PATIENCE_S / 20), "writes paused for %.1f s", gap_s)


@test
def only_a_follower_that_is_there_is_handed_to(world):
    n0 = world.start("n0", *FLAGS)
    n1 = world.start("n1", *FLAGS, follow=n0)
    n0.call("SIGNAL", "view", "a")
    tm.wait_equal(n0, n1)
    contains(n0.error("HANDOVER", "nobody"), "NOTFOUND")
    contains(n1.error("HANDOVER", "n0"), "READONLY")
    n1.signal(tm.signal.SIGSTOP)
    n0.call("SIGNAL", "view", "a")
    contains(n0.error("HANDOVER", "n1", "TIMEOUT", "300"), "leads on")
    n0.call("SIGNAL", "view", "a")
    n1.signal(tm.signal.SIGCONT)
    n1.stop()
    until("n0 notices", lambda: n0.status()["followers"]["n1"]["state"] == "inactive")
    contains(n0.error("HANDOVER", "n1"), "REFUSED", "not connected")
    equal(int(n0.call("COUNT", "view", "a", "all")), 3)


@test
def a_successor_that_dies_in_between_leaves_one_leader(world):
    """Killed at a random moment of the handover; whatever it did, afterwards one node leads, and holds
    every write that was acknowledged by either."""
    rng = random.Random(tm.seed())
    n0 = world.start("n0", *FLAGS)
    n1 = world.start("n1", *FLAGS, follow=n0)
    n0.call("SIGNAL", "view", "first")
    tm.wait_equal(n0, n1)
    nodes, acked = {"n0": n0, "n1": n1}, 1
    for _ in range(4):
        leader, other = until("one node leads", lambda: the_leader(nodes))
        for _ in range(5):
            leader.call("SIGNAL", "view", "first")
        acked += 5
        tm.wait_equal(leader, other)
        until("the follower streams", lambda: other.status()["link"] == "streaming")
        with leader.connect() as c:
            c.send("HANDOVER", other.name)
            time.sleep(rng.random() * 0.06)
            other.kill()
            with contextlib.suppress(OSError, EOFError):
                c.socket.settimeout(0.5)
                c.read_any()
        other.start()
        until("one node leads again", lambda: the_leader(nodes))
    leader, other = the_leader(nodes)
    tm.wait_equal(leader, other)
    equal(int(leader.call("COUNT", "view", "first", "all")), acked)


def the_leader(nodes):
    """(leader, follower) when one leads, takes writes, and the other follows it."""
    roles = {name: n.status() for name, n in nodes.items()}
    leads = [n for n, s in roles.items() if s["role"] == "leader"]
    if len(leads) != 1:
        return None
    other = "n1" if leads[0] == "n0" else "n0"
    if roles[other]["link"] != "streaming":
        return None
    return nodes[leads[0]], nodes[other]


if __name__ == "__main__":
    tm.main()
