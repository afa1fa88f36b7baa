"""Clients of the soak: writers that know what was promised for each of their writes, readers that ask any
node after a write, and the judgement of a state by all of it.

A write is one signal with a key of its own for an item of its own, sent until it is acknowledged, so its item
has the count 1 for ever after, whatever happened on the way. There is one exception: a write that was
acknowledged at level local may be lost when another node was promoted afterwards (not by a restart and not
by a handover); its token is then told to be LOST."""
import random
import threading
import time

import tm
from tm import check

LEVELS = ["local", "local", "stored:1", "stored:2"]
TRIES_AGAIN = ("READONLY", "LOADING", "BUSY", "UNKNOWN", "DURABILITY", "POISONED", "ERR", "DISKFULL")
READ_TROUBLE = ("STALE", "LOADING", "BUSY", "DIVERGED", "LOST", "ERR")
PATIENCE_S = 4


def epoch_of(token):
    return int(token.split("-")[0])


class Client(threading.Thread):
    """A thread with one connection at a time to one of the nodes."""

    def __init__(self, nodes, name, seed):
        super().__init__(daemon=True)
        self.nodes = nodes
        self.id = name
        self.rng = random.Random(seed)
        self.at = self.rng.randrange(len(nodes))
        self.client = None
        self.trouble = None
        self.stopping = False
        self.pausing = threading.Event()
        self.paused = threading.Event()

    def run(self):
        try:
            while not self.stopping:
                if self.pausing.is_set():
                    self.paused.set()
                    time.sleep(0.01)
                    continue
                self.paused.clear()
                self.turn()
        except Exception as e:  # pylint: disable=broad-except  # the main thread tells it
            self.trouble = e
        self.leave()

    def leave(self, goes_on=False):
        """End the connection; goes_on: the next one is to another node."""
        if self.client:
            self.client.close()
        self.client = None
        if goes_on:
            self.at = (self.at + 1) % len(self.nodes)

    def ask(self, *words):
        """The reply, or a Refused, or None when none came."""
        try:
            if self.client is None:
                self.client = self.nodes[self.at].connect(patience_s=PATIENCE_S)
            self.client.send(*words)
            return self.client.read_any()
        except (OSError, EOFError):
            self.leave(goes_on=True)
            time.sleep(0.02)
            return None


class Writer(Client):
    def __init__(self, nodes, name, seed, majority):
        super().__init__(nodes, name, seed)
        self.levels = LEVELS + (["majority"] if majority else [])
        self.acked = []  # (item, level, token)
        self.tries = 0

    def turn(self):
        number = len(self.acked)
        item, level = "%s:%d" % (self.id, number), self.rng.choice(self.levels)
        while not self.stopping:
            self.tries += 1
            reply = self.ask("SIGNAL", "view", item, "KEY", item, "LEVEL", level, "DEADLINE", 1000, "WITHLEVEL")
            if reply is None:
                continue
            if not isinstance(reply, tm.Refused):
                check(reply[1] == level, "%s was acknowledged at %s, not %s", item, reply[1], level)
                self.acked.append((item, level, reply[0]))
                break
            check(reply.word in TRIES_AGAIN, "a write was answered: %s", reply)
            if reply.word != "DURABILITY":
                self.leave(goes_on=True)
            time.sleep(0.02)
        time.sleep(self.rng.random() * 0.02)


class Loader(Client):
    """Makes the log long: large puts, in pipelines, of which nothing is promised but their number."""

    def turn(self):
        text = "%d" % self.rng.randrange(10) * 3000
        reply = self.ask("ITEM.PUT", "big:%d" % self.rng.randrange(20), "text", text)
        if isinstance(reply, tm.Refused):
            self.leave(goes_on=True)
            time.sleep(0.05)
        time.sleep(0.004)


class Reader(Client):
    """Asks any node for what a writer was told: there, once, or a reason why it cannot be said yet."""

    def __init__(self, nodes, name, seed, writers, may_be_lost):
        super().__init__(nodes, name, seed)
        self.writers = writers
        self.may_be_lost = may_be_lost
        self.seen = self.refused = 0

    def turn(self):
        writer = self.rng.choice(self.writers)
        if not writer.acked:
            time.sleep(0.01)
            return
        item, level, token = writer.acked[-min(len(writer.acked), self.rng.randrange(1, 50))]
        reply = self.ask("COUNT", "view", item, "all", "AFTER", token, "DEADLINE", self.rng.choice((0, 20, 300)))
        if isinstance(reply, tm.Refused):
            check(reply.word in READ_TROUBLE, "a read was answered: %s", reply)
            if reply.word == "LOST":
                check(self.may_be_lost(level, token) or level == "local",
                      "%s was acknowledged at %s with %s, and a reader is told: %s", item, level, token, reply)
            self.refused += 1
        elif reply is not None:
            check(reply == 1, "%s after %s is counted %r times on %s", item, token, reply, self.nodes[self.at].name)
            self.seen += 1
        if self.rng.random() < 0.1:
            self.leave(goes_on=True)
        time.sleep(self.rng.random() * 0.02)


def pause(clients, patience_s):
    """Every client finishes what it does and waits."""
    for c in clients:
        c.pausing.set()
    end = time.monotonic() + patience_s
    while not all(c.paused.is_set() or c.trouble for c in clients):
        late = [c.id for c in clients if not c.paused.is_set()]
        check(time.monotonic() < end, "no answer for %s that counts in %d s", ", ".join(late), patience_s)
        time.sleep(0.02)
    raise_trouble(clients)


def go_on(clients):
    for c in clients:
        c.paused.clear()
        c.pausing.clear()


def raise_trouble(clients):
    for c in clients:
        if c.trouble:
            raise tm.Failure("%s: %s" % (c.id, c.trouble)) from c.trouble


def judge(node, writes, may_be_lost):
    """Every write is counted once, or it may be lost, and its token says so. Gives back how many were."""
    lost = []
    with node.connect() as c:
        for first in range(0, len(writes), 1000):
            some = writes[first:first + 1000]
            counts = c.pipe([["COUNT", "view", item, "all"] for item, _, _ in some])
            for (item, level, token), n in zip(some, counts):
                if n == 0 and may_be_lost(level, token):
                    lost.append((item, token))
                    continue
                check(n == 1, "%s, acknowledged at %s with %s, is counted %s times on %s", item, level, token, n, node.name)
        for item, token in lost[-100:]:
            told = c.error("COUNT", "view", item, "all", "AFTER", token, "DEADLINE", 0)
            check(told.startswith("LOST"), "%s is gone, and its token %s is answered: %s", item, token, told)
    return len(lost)
