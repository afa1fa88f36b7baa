#!/usr/bin/python3
"""A follower that stands still costs bounded memory and nobody else anything: the leader's memory, its throughput and the
lag of the other follower, before and while one follower is stopped under full load. The figures are printed.

TM_STOP_S (10): how long it stands still. TM_MARGIN (0.5): by how much the other figures may differ; a machine that runs
other tests meanwhile moves them by more than the tenth that holds on a quiet one (e2e.flow_long)."""
import os
import signal
import statistics
import threading
import time

import tm
from tm import check, test, until

STOP_S = float(os.environ.get("TM_STOP_S", "10"))
MARGIN = float(os.environ.get("TM_MARGIN", "0.5"))
COMMANDS = 1000


class Load:
    """Two connections that write as fast as answers come back."""

    def __init__(self, leader):
        self.leader = leader
        self.is_over = False
        self.written = [0, 0]
        self.trouble = None
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(2)]
        for t in self.threads:
            t.start()

    def run(self, which):
        try:
            block = b"".join(tm.pack(["SIGNAL", "view", "item:%d" % (k % 50)]) for k in range(COMMANDS))
            with self.leader.connect() as c:
                while not self.is_over:
                    c.socket.sendall(block)
                    lines = 0
                    while lines < 2 * COMMANDS:
                        data = c.socket.recv(1 << 16)
                        check(data and b"-" != data[:1], "%r", data[:200])
                        lines += data.count(b"\r\n")
                    self.written[which] += COMMANDS
        except Exception as e:  # pylint: disable=broad-except
            self.trouble = e

    def end(self):
        self.is_over = True
        for t in self.threads:
            t.join()
        if self.trouble:
            raise self.trouble


def rss(node):
    with open("/proc/%d/status" % node.process.pid) as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


def measure(load, leader, seconds):
    """(records per second, median of the other's lag in seconds, largest memory)"""
    start, before = time.monotonic(), sum(load.written)
    lags, memory = [], 0
    while time.monotonic() < start + seconds:
        time.sleep(0.1)
        lags.append(float(leader.status()["followers"]["runs"]["lag_seconds"]))
        memory = max(memory, rss(leader))
    passed = time.monotonic() - start
    return (sum(load.written) - before) / passed, statistics.median(lags), memory


@test
def a_follower_that_stands_still_costs_nobody_anything(world):
    leader = world.start("leader", "--tail-buffer", "16MiB", "--segment-size", "4MiB")
    stops = world.start("stops", follow=leader.replication)
    world.start("runs", follow=leader.replication)
    until("both follow", lambda: len([f for f in leader.status()["followers"].values() if f["connected"]]) == 2)
    load = Load(leader)
    until("the buffers are full", lambda: leader.metrics().of("tidemark_log_bytes") > 40 << 20, 60)
    rate, lag, _ = measure(load, leader, max(STOP_S / 2, 5))
    memory = rss(leader)
    stops.signal(signal.SIGSTOP)
    stopped_rate, stopped_lag, stopped_memory = measure(load, leader, STOP_S)
    slowed = leader.metrics().of("tidemark_write_slow_seconds")
    stops.signal(signal.SIGCONT)
    load.end()
    grown = (stopped_memory - memory) / (1 << 20)
    print("        stopped for %.0f s: leader's memory %+.1f MiB; %.0f records/s, before %.0f (%+.1f %%); lag of the other"
          " %.1f ms, before %.1f ms" % (STOP_S, grown, stopped_rate, rate, 100 * (stopped_rate / rate - 1),
                                        1000 * stopped_lag, 1000 * lag))
    check(grown < 64, "the leader's memory grew by %.1f MiB", grown)
    check(stopped_rate > rate * (1 - MARGIN), "%.0f records/s, before %.0f", stopped_rate, rate)
    check(stopped_lag < lag * (1 + MARGIN) + 0.02, "lag %.3f s, before %.3f s", stopped_lag, lag)
    check(slowed == 0, "writers were slowed by a follower that does not vote")
    until("it is there again", lambda: stops.seqno() >= leader.seqno(), 60)
    tm.wait_equal(leader, stops)


tm.main()
