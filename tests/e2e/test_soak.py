#!/usr/bin/python3
"""The soak: one leader, three followers, clients that write at every level and read everywhere, and random
faults, for as long as TM_SOAK_S says (25 s; `make deep` takes half an hour). Everything random comes from one
seed, which is printed; TM_SEED=n makes the same choices again.

Faults: links that are cut, delayed, held or swallow their bytes; kill -9 of any nodes; SIGSTOP; a follower's
disk emptied or put back from an older copy; handover; promotion with the leader killed or stopped; slots
dropped; checkpoints and seals at odd moments. What must hold is in soak_clients.py; at quiet points
all digests are equal, no gauge tells a lag, no process ended by itself, memory and files stay bounded.

While a replaced disk is not full again nobody is promoted: what level stored:1 promises is that one
disk may go, not that two may."""
import contextlib
import os
import random
import shutil
import signal
import time

import soak_clients
import tm
from proxy import TO_FOLLOWER, TO_LEADER, Proxy
from soak_clients import Loader, Reader, Writer
from tm import check, equal, test, until

SOAK_S = float(os.environ.get("TM_SOAK_S", "25"))
QUIET_EVERY_S = 60 if SOAK_S > 100 else SOAK_S / 2
PATIENCE_S = 60 * float(os.environ.get("TM_SLOWNESS", "1"))
NODES = 4
WRITERS = 6
MEMORY_MAX = 96 << 20  # of one node; plus 1 KiB for each item
FILES_MAX = 128
FLAGS = ["--heartbeat", "100ms", "--suspect", "1s", "--dead", "3s", "--mark-interval", "500ms", "--segment-size", "1MiB",
         "--checkpoint-interval", "3s", "--checkpoint-log-bytes", "4MiB", "--retain-segments", "2", "--deadline", "1s"]


class Soak:
    def __init__(self, world, rng):
        self.world = world
        self.rng = rng
        self.began = time.monotonic()
        self.timeline = []
        self.nodes = [world.node("n%d" % i, *FLAGS) for i in range(NODES)]
        self.leader = self.nodes[0].start()
        self.proxies = {n.name: Proxy(world, self.leader.replication) for n in self.nodes}
        for n in self.nodes[1:]:
            n.follow = self.proxies[n.name].address
            n.start()
        self.link_ends = {}  # name -> when its link is mended
        self.stop_ends = {}  # name -> when it goes on
        self.copies = {}  # name -> folder with an older copy
        self.raw = None  # (node, goal): its disk was replaced and is not full again
        self.promotions = []  # epochs that began so
        self.counts = {}
        self.memory = 0

    def note(self, text, *args):
        self.timeline.append("%7.2f s  %s" % (time.monotonic() - self.began, text % args if args else text))

    def may_be_lost(self, level, token):
        return level == "local" and any(soak_clients.epoch_of(token) < e for e in self.promotions)

    def followers(self):
        return [n for n in self.nodes if n is not self.leader]

    # --- faults ---

    def links(self):
        for n in self.rng.sample(self.followers(), self.rng.choice((1, 1, 2, 3))):
            p, how, seconds = self.proxies[n.name], self.rng.randrange(5), self.rng.choice((0.05, 0.5, 1.5, 4))
            if how == 0:
                p.cut()
            elif how == 1:
                p.delay_s = self.rng.choice((0.001, 0.01, 0.05))
            elif how == 2:
                p.hold(*self.rng.choice(((TO_LEADER,), (TO_FOLLOWER,), ())))
            elif how == 3:
                p.swallow(*self.rng.choice(((TO_LEADER,), (TO_FOLLOWER,), (TO_LEADER, TO_FOLLOWER))))
            else:
                p.close_links()
            self.link_ends[n.name] = time.monotonic() + seconds
            self.note("link of %s: %s for %.2f s", n.name, ("cut", "slow", "held", "swallows", "reset")[how], seconds)

    def stops(self):
        n, seconds = self.rng.choice(self.nodes), self.rng.choice((0.1, 0.5, 1.5, 3.5))
        n.signal(signal.SIGSTOP)
        self.stop_ends[n.name] = time.monotonic() + seconds
        self.note("%s stands still for %.1f s", n.name, seconds)

    def kills(self):
        victims = self.rng.choice(([self.leader], [self.rng.choice(self.nodes)], self.rng.sample(self.nodes, 2), self.nodes))
        self.kill(*victims)
        time.sleep(self.rng.choice((0, 0, 0.2, 1.2)))
        self.start(*victims)

    def kill(self, *nodes):
        self.note("kill -9 of %s", ", ".join(n.name for n in nodes))
        for n in nodes:
            n.kill()
            self.stop_ends.pop(n.name, None)

    def start(self, *nodes):
        self.note("start of %s", ", ".join(n.name for n in nodes))
        for n in nodes:
            n.launch()
        for n in nodes:
            n.ready()

    def disks(self):
        """A follower gets an empty disk, or an older copy of it, or a copy is made for later."""
        if self.raw or not self.find_leader():
            return
        n = self.rng.choice(self.followers())
        if n.name in self.stop_ends or n.status()["role"] != "follower":
            return
        self.kill(n)
        copy = self.copies.get(n.name)
        if copy is None and self.rng.random() < 0.6:
            self.copies[n.name] = shutil.copytree(n.dir, self.world.path("copy of " + n.name))
            self.note("a copy is made of %s", n.name)
        else:
            shutil.rmtree(n.dir)
            if copy:
                os.rename(self.copies.pop(n.name), n.dir)
            self.note("the disk of %s is %s", n.name, "an older copy" if copy else "empty")
            self.raw = (n, None)
        self.start(n)

    def handover(self):
        if not self.find_leader():
            return
        old, to = self.leader, self.rng.choice(self.followers())
        self.answer(old, "HANDOVER", to.name)
        self.settle()

    def promotion(self):
        """The leader is killed, or stands still, and one of the others leads; never by force."""
        if self.raw or not self.find_leader():
            return
        self.mend(keep_links=True)
        old = self.leader
        is_killed = self.rng.random() < 0.7
        if is_killed:
            self.kill(old)
        else:
            old.signal(signal.SIGSTOP)
            self.stop_ends[old.name] = time.monotonic() + 1e9
            self.note("%s stands still until another leads", old.name)
        order = self.followers()
        self.rng.shuffle(order)
        end = time.monotonic() + PATIENCE_S
        while not self.promoted(order):
            check(time.monotonic() < end, "no follower of %s was promoted", old.name)
            time.sleep(0.1)
        if self.rng.random() < 0.5:
            time.sleep(self.rng.random())
        if is_killed:
            old.follow = None
            self.start(old)
        self.mend(keep_links=True)
        self.settle()

    def promoted(self, order):
        for n in order:
            told = self.answer(n, "PROMOTE")
            if isinstance(told, str):
                self.promotions.append(soak_clients.epoch_of(told))
                return True
        return False

    def slot(self):
        """A dropped follower comes back and has no slot, so no promotion waits for it until it is in step."""
        if self.raw or not self.find_leader():
            return
        n = self.rng.choice(self.followers())
        self.raw = (n, None)
        self.answer(self.leader, "SLOT.DROP", n.name)

    def files(self):
        n = self.rng.choice(self.nodes)
        self.answer(n, self.rng.choice(("CHECKPOINT", "LOG.SEAL")))

    def answer(self, node, *words):
        """What a node answers to an operator, who may have to give up."""
        try:
            with node.connect(patience_s=8) as c:
                c.send(*words)
                told = c.read_any()
        except (OSError, EOFError) as e:
            told = e
        self.note("%s at %s: %.150s", " ".join(words), node.name, told)
        return told

    # --- between them ---

    def find_leader(self):
        """The node that leads in the highest epoch, or None; it becomes self.leader."""
        found = []
        for n in self.nodes:
            if n.name in self.stop_ends or not n.is_running():
                continue
            with contextlib.suppress(OSError, EOFError, tm.Refused):
                with n.connect(patience_s=2) as c:
                    s = tm.pairs(c.call("REPL.STATUS"))
                    if s["role"] == "leader" and s["state"] == "serving":
                        found.append((int(s["epoch"]), n))
        if not found:
            return None
        leader = max(found, key=lambda f: f[0])[1]
        if leader is not self.leader:
            self.note("%s leads", leader.name)
            self.leader = leader
        for n in self.nodes:
            n.follow = None if n is leader else self.proxies[n.name].address
        for p in self.proxies.values():
            p.target = leader.replication
        return leader

    def settle(self):
        """One node leads, and the others follow it through their proxies."""
        end = time.monotonic() + PATIENCE_S
        while not self.find_leader():
            self.mend_due()
            check(time.monotonic() < end, "no node leads")
            time.sleep(0.05)
        for n in self.followers():
            if n.name not in self.stop_ends:
                self.answer(n, "FOLLOW", n.follow)

    def mend_due(self):
        now = time.monotonic()
        for name in [name for name, end in self.link_ends.items() if end < now]:
            p = self.proxies[name]
            p.delay_s = 0
            is_broken = bool(p.swallowed)  # the stream has a hole
            p.mend()
            if is_broken:
                p.close_links()
            del self.link_ends[name]
        for n in self.nodes:
            if self.stop_ends.get(n.name, now) < now:
                n.signal(signal.SIGCONT)
                del self.stop_ends[n.name]

    def mend(self, keep_links=False):
        self.stop_ends = {name: 0 for name in self.stop_ends}
        if not keep_links:
            self.link_ends = {name: 0 for name in self.link_ends}
        self.mend_due()

    def look(self):
        """Nobody died; memory and files are bounded; is a replaced disk full again?"""
        items = sum(len(w.acked) for w in self.writers)
        for n in self.nodes:
            check(n.is_running(), "%s ended by itself with %s", n.name, n.process and n.process.returncode)
            memory, files = usage(n)
            self.memory = max(self.memory, memory)
            check(memory < MEMORY_MAX + 1024 * items, "%s has %d MiB of memory, with %d items", n.name, memory >> 20, items)
            check(files < FILES_MAX, "%s has %d open files", n.name, files)
        if self.raw and not self.stop_ends:  # else a question may wait long
            n, goal = self.raw
            with contextlib.suppress(OSError, EOFError, tm.Refused, KeyError):
                if goal is None:
                    self.raw = (n, self.leader.seqno())
                elif self.leader.status()["followers"][n.name]["stored"] >= goal and self.all_know_all():
                    self.raw = None
                    self.note("%s has what was written before, and all know of it", n.name)
        soak_clients.raise_trouble(self.clients)

    def all_know_all(self):
        """A node that has not heard of a follower does not ask it before it leads."""
        lists = [tm.pairs(n.call("TOPOLOGY")) for n in self.nodes]
        return all(t["version"] == lists[0]["version"] and len(t["members"]) == NODES for t in lists)

    def quiet(self):
        self.note("quiet point")
        self.mend()
        self.settle()
        soak_clients.pause(self.clients, PATIENCE_S)
        until("one leads", self.find_leader, PATIENCE_S)
        for n in self.followers():
            until("%s follows %s" % (n.name, self.leader.name), lambda n=n: n.status()["link"] == "streaming", PATIENCE_S)
            until("%s has all records" % n.name, lambda n=n: n.seqno() >= self.leader.seqno(), PATIENCE_S)
        tm.wait_equal(self.leader, *self.followers())
        until("no gauge tells a lag", self.tells_no_lag)
        for n in self.nodes:
            equal(n.metrics().of("tidemark_digest_differences_total"), 0, "divergences of %s" % n.name)
        writes = [w for writer in self.writers for w in writer.acked]
        lost = soak_clients.judge(self.leader, writes, self.may_be_lost)
        self.look()
        self.note("quiet point: %d writes are there, %d of level local were given up", len(writes) - lost, lost)
        soak_clients.go_on(self.clients)
        return len(writes), lost

    def tells_no_lag(self):
        at_leader = self.leader.metrics()
        for n in self.followers():
            for m in (at_leader, n.metrics()):
                for name in ("tidemark_replication_lag_records", "tidemark_replication_lag_bytes"):
                    if m.of(name, follower=n.name) != 0:
                        return False
                if m.of("tidemark_replication_lag_seconds", follower=n.name) > 1:
                    return False
            if at_leader.of("replication_lag_seqno", follower=n.name) != 0:
                return False
            if at_leader.of("tidemark_replication_connected", follower=n.name) != 1:
                return False
        return True

    def run(self):
        with_votes = self.rng.random() < 0.5
        for n in self.nodes if with_votes else []:
            until("%s votes" % n.name, lambda n=n: self.leader.call("MEMBER.ADD", n.name, "VOTER"))
        self.note("all vote" if with_votes else "nobody votes")
        self.writers = [Writer(self.nodes, "w%d" % i, self.rng.random(), with_votes) for i in range(WRITERS)]
        others = [Reader(self.nodes, "r%d" % i, self.rng.random(), self.writers, self.may_be_lost) for i in range(2)]
        self.clients = self.writers + others + [Loader(self.nodes, "loader", self.rng.random())]
        for c in self.clients:
            c.start()
        faults = {self.links: 8, self.stops: 4, self.kills: 3, self.disks: 2, self.handover: 2, self.promotion: 2,
                  self.slot: 1, self.files: 3}
        quiet_at = self.began + QUIET_EVERY_S
        while time.monotonic() < self.began + SOAK_S:
            until_next = time.monotonic() + self.rng.choice((0.02, 0.2, 0.5, 1))
            fault = self.rng.choices(list(faults), list(faults.values()))[0]
            self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1
            fault()
            while time.monotonic() < until_next:
                time.sleep(0.02)
                self.mend_due()
            self.look()
            if time.monotonic() > quiet_at:
                self.quiet()
                quiet_at = time.monotonic() + QUIET_EVERY_S
        written, lost = self.quiet()
        self.end()
        reads = [sum(getattr(r, what) for r in others) for what in ("seen", "refused")]
        print("    %s" % ", ".join("%s %d" % c for c in sorted(self.counts.items())))
        print("    %d writes acknowledged in %d tries, %d of level local given up in %d promotions; %d reads, %d refused; "
              "at most %d MiB of memory" % (written, sum(w.tries for w in self.writers), lost, len(self.promotions), *reads,
                                            self.memory >> 20))

    def end(self):
        for c in self.clients:
            c.stopping = True
        for c in self.clients:
            c.join(tm.PATIENCE_S)
        for n in self.nodes:
            n.stop()
            self.world.run("log", "verify", n.dir, code=0)


def usage(node):
    """(resident bytes, open files)"""
    with open("/proc/%d/statm" % node.process.pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/%d/fd" % node.process.pid))


@test
def whatever_happens_what_was_acknowledged_is_there_once(world):
    soak = Soak(world, random.Random(tm.seed()))
    try:
        soak.run()
    except BaseException:
        print("    what was done:\n" + "\n".join(soak.timeline[-400:]))
        raise


tm.main()
