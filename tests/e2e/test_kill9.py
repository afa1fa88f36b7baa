"""kill -9 of real processes under load: what was acknowledged is there, once.

Clients write signals with idempotency keys and note what was acknowledged. An answer that never
came makes a write unknown: it is sent again, with the same key, until it is acknowledged. In the
end every item's count must be the number of its writes, on every node.
"""
import random
import threading
import time

import tm
from tm import check, equal, test, until

CLIENTS = 4
ITEMS = 40
DEPTH = 16  # writes in flight on one connection
ROUNDS = 50


class Writer(threading.Thread):
    """One client. Every write has a key of its own and is sent until it is acknowledged."""

    def __init__(self, leader, number, seed):
        super().__init__(daemon=True)
        self.leader = leader
        self.number = number
        self.rng = random.Random(seed)
        self.sent = 0
        self.unknown = 0
        self.retried = 0
        self.tally = {}  # item -> acknowledged writes
        self.tokens = []  # newest token of every connection
        self.stopping = threading.Event()
        self.trouble = None

    def next_write(self):
        self.sent += 1
        return ("item:%d" % self.rng.randrange(ITEMS), "k:%d:%d" % (self.number, self.sent))

    def run(self):
        todo = []
        try:
            while todo or not self.stopping.is_set():
                todo = self.connection(todo)
        except Exception as e:  # shown by the test
            self.trouble = e

    def connection(self, todo):
        """Write until the connection ends; gives back what is not known to be done."""
        try:
            client = self.leader.connect(patience_s=10)
        except OSError:
            time.sleep(0.01)  # the leader is down: try again
            return todo
        self.retried += len(todo)
        with client:
            flight = []
            try:
                while todo or not self.stopping.is_set():
                    if not self.stopping.is_set():
                        todo += [self.next_write() for _ in range(DEPTH - len(todo))]
                    flight, todo = todo, []
                    client.send_all([["SIGNAL", "view", item, "KEY", key] for item, key in flight])
                    while flight:
                        reply = client.read_any()
                        todo += self.take(flight.pop(0), reply)
            except (OSError, EOFError):
                self.unknown += len(flight)
        return flight + todo

    def take(self, write, reply):
        """The writes to send again: none when it was acknowledged."""
        if not isinstance(reply, tm.Refused):
            self.tally[write[0]] = self.tally.get(write[0], 0) + 1
            self.tokens.append(reply)
            return []
        check(reply.word in ("LOADING", "UNKNOWN", "BUSY", "POISONED", "ERR"), "a write was answered: %s", reply)
        if reply.word == "ERR":
            check("closing" in reply.text or "closed" in reply.text, "a write was answered: %s", reply)
        self.unknown += reply.word == "UNKNOWN"
        return [write]


def written(writers):
    return sum(sum(w.tally.values()) for w in writers)


def progress(writers):
    """Wait until some more writes were acknowledged: the load goes on."""
    goal = written(writers) + 20
    until("writes are acknowledged again", lambda: written(writers) >= goal or any(w.trouble for w in writers))
    for w in writers:
        if w.trouble:
            raise tm.Failure("writer %d: %r" % (w.number, w.trouble)) from w.trouble


@test
def nothing_acknowledged_is_lost_or_counted_twice_over_fifty_kills(world):
    rng = random.Random(tm.seed())
    # Small files and frequent checkpoints, so that kills also fall on sealing and on the cut.
    flags = ["--segment-size", "1MiB", "--checkpoint-interval", "1s", "--mark-interval", "500ms"]
    leader = world.start("leader", *flags)
    followers = [world.start("f%d" % i, *flags, follow=leader) for i in (1, 2)]
    writers = [Writer(leader, i, rng.random()) for i in range(CLIENTS)]
    for w in writers:
        w.start()
    kills = {}
    for _ in range(ROUNDS):
        progress(writers)
        time.sleep(rng.random() * 0.15)  # a random moment, not a wait for anything
        victims = rng.choice([[leader], [leader], [followers[0]], [followers[1]], [leader, rng.choice(followers)],
                              [leader, *followers]])
        for v in victims:
            v.kill()
            kills[v.name] = kills.get(v.name, 0) + 1
        for v in victims:
            v.launch()
        for v in victims:
            v.ready()
    progress(writers)
    for w in writers:
        w.stopping.set()
    for w in writers:
        w.join(tm.PATIENCE_S)
        check(not w.is_alive(), "writer %d does not end", w.number)
        check(w.trouble is None, "writer %d: %r", w.number, w.trouble)
    acknowledged = written(writers)
    print("    %s killed; %d writes acknowledged, %d unknown at a kill, %d sent again" % (
        ", ".join("%s %d times" % k for k in sorted(kills.items())), acknowledged,
        sum(w.unknown for w in writers), sum(w.retried for w in writers)))
    equal(acknowledged, sum(w.sent for w in writers), "every write was acknowledged in the end")
    for f in followers:  # also those that wait long before they connect again
        f.kill()
        f.start()
    tm.wait_equal(leader, *followers)
    for node in (leader, *followers):
        for i in range(ITEMS):
            item = "item:%d" % i
            wanted = sum(w.tally.get(item, 0) for w in writers)
            equal(node.call("COUNT", "view", item, "all"), wanted, "%s on %s" % (item, node.name))
    check_tokens(leader, writers)
    check_logs(world, leader, *followers)


def check_tokens(leader, writers):
    """Numbers only grow on one connection's history: seqnos that were acknowledged are in the log."""
    newest = max(int(t.split("-")[1]) for w in writers for t in w.tokens)
    check(newest <= leader.seqno(), "record %d was acknowledged, the log ends at %d", newest, leader.seqno())


def check_logs(world, *nodes):
    """Digests of marks were compared and equal; then the files, as they are after a kill and after a
    clean stop."""
    for node in nodes:
        equal(node.metrics().of("tidemark_digest_differences_total"), 0, "divergences of %s" % node.name)
    for node in nodes[::2]:
        node.kill()
        world.run("log", "verify", node.dir, code=0)
        node.start()
    for node in nodes:
        node.stop()
        world.run("log", "verify", node.dir, code=0)


tm.main()
