#!/usr/bin/python3
"""How fast does a new follower copy the state, beside what the disk and the loopback can do?

    bench/bootstrap.py build/tidemark [items [bytes]]

Starts a leader and fills it with items (default 200,000, three signal types and a text of 1,000 bytes each:
a state that is large beside what a copy costs whatever its size), prunes its log, then starts a follower with bootstrap_rate 100% and watches both. Floors, in the same run: the leader's packs read
once past the page cache and once from it, as many bytes written and synced, and one connection over loopback.
The copy reads from the page cache what the leader has just written and is durable in the end, so the smaller
one of loopback and synced write is its bound; both sides also hash every byte. Then 200,000 more signals are written while the follower is away.
"""
import glob
import json
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
os.environ["TIDEMARK"] = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/tidemark")
import tm  # noqa: E402

ITEMS = int(sys.argv[2]) if len(sys.argv) > 2 else 200000
TEXT_BYTES = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
MIB = 1 << 20


def read_rate(paths, is_direct):
    """MiB/s."""
    total, begin = 0, time.monotonic()
    for path in paths:
        fd = os.open(path, os.O_RDONLY | (os.O_DIRECT if is_direct else 0))
        import mmap
        buffer = mmap.mmap(-1, MIB)
        while True:
            got = os.readv(fd, [buffer])
            total += got
            if got < MIB:
                break
        os.close(fd)
    return total / MIB / (time.monotonic() - begin)


def write_rate(path, size):
    """MiB/s, written in pieces of 1 MiB and synced once."""
    piece, begin = random.randbytes(MIB), time.monotonic()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for _ in range(size // MIB):
        os.write(fd, piece)
    os.fdatasync(fd)
    os.close(fd)
    seconds = time.monotonic() - begin
    os.unlink(path)
    return size / MIB / seconds


def loopback_rate(size=512 * MIB):
    server = socket.create_server(("127.0.0.1", 0))
    piece = b"x" * MIB

    def send():
        c, _ = server.accept()
        for _ in range(size // MIB):
            c.sendall(piece)
        c.close()

    thread = threading.Thread(target=send)
    thread.start()
    c = socket.create_connection(server.getsockname())
    buffer = bytearray(MIB)
    total, begin = 0, time.monotonic()
    while True:
        got = c.recv_into(buffer)
        if not got:
            break
        total += got
    rate = total / MIB / (time.monotonic() - begin)
    thread.join()
    return rate


def fill(node, items, types, start=0):
    with node.connect() as c:
        for kind in types:
            for first in range(start, start + items, 5000):
                c.send_all([["SIGNAL", kind, "item:%d" % i] for i in range(first, min(first + 5000, start + items))])
                for _ in range(min(5000, start + items - first)):
                    c.read_any()


def fill_texts(node, items):
    with node.connect() as c:
        for first in range(0, items, 2000):
            some = range(first, min(first + 2000, items))
            c.send_all([["ITEM.PUT", "item:%d" % i, "text", random.randbytes(TEXT_BYTES)] for i in some])
            for _ in some:
                c.read_any()


def main():
    world = tm.World("bench-bootstrap")
    try:
        leader = world.start("leader", "--segment-size", "4MiB", "--retain-segments", "2", "--bootstrap-rate", "100%")
        fill(leader, ITEMS, ["view", "click", "share"])
        if TEXT_BYTES:
            fill_texts(leader, ITEMS)
        leader.call("CHECKPOINT")
        fill(leader, 1000, ["view"])
        leader.call("CHECKPOINT")
        while leader.metrics().of("tidemark_log_oldest_seqno") == 1:
            fill(leader, 20000, ["view"])
            leader.call("CHECKPOINT")
        packs = glob.glob(os.path.join(leader.dir, "state", "*.pack"))
        direct, cached, loopback = read_rate(packs, True), read_rate(packs, False), loopback_rate()
        written = write_rate(world.path("floor"), sum(os.path.getsize(path) for path in packs))
        begin = time.monotonic()
        f = world.start("f", follow=leader.replication)
        started, size, first, last = time.monotonic(), 0, None, None
        while True:
            code, text = f.get("/status.json")
            if code != 200:  # it switches to the copy
                continue
            status = json.loads(text)
            copy = status.get("bootstrap")
            now = time.monotonic()
            if copy and copy["total_bytes"]:
                size = copy["total_bytes"]
                if copy["done_bytes"] and first is None:
                    first = (now, copy["done_bytes"])
                last = (now, copy["done_bytes"])
            if status["applied_seqno"] > 0:
                break
            time.sleep(0.02)  # asking costs, too
        whole = time.monotonic()
        event = next(e for e in f.status_json()["events"] if "is whole" in e["text"])
        begun = next(e for e in f.status_json()["events"] if e["text"].startswith("this node copies"))
        seconds = (begun["ms_ago"] - event["ms_ago"]) / 1000
        rate = size / MIB / seconds
        print("state                    %8.1f MiB" % (size / MIB))
        print("floor: packs, O_DIRECT   %8.0f MiB/s" % direct)
        print("floor: packs, cached     %8.0f MiB/s" % cached)
        print("floor: written, synced   %8.0f MiB/s" % written)
        print("floor: loopback          %8.0f MiB/s" % loopback)
        print("copy, blocks             %8.0f MiB/s   from %.2f s on, for %.2f s; the rest took %.2f s" % (
            (last[1] - first[1]) / MIB / (last[0] - first[0]), first[0] - begin, last[0] - first[0],
            seconds - (last[0] - first[0])))
        print("copy, link to durable    %8.0f MiB/s   %.0f %% of min(read, loopback), %.0f %% of min(written, loopback)" % (
            rate, 100 * rate / min(direct, loopback), 100 * rate / min(written, loopback)))
        print("start to first answer    %8.2f s" % (whole - begin))
        tm.until("it follows", lambda: f.seqno() >= leader.seqno())
        f.kill()
        fill(leader, 200000, ["view"])
        goal = leader.seqno()
        f.start()
        behind, begin = goal - f.seqno(), time.monotonic()
        while f.seqno() < goal:
            time.sleep(0.001)
        print("catching up after it     %8.0f records/s (%d behind)" % (behind / (time.monotonic() - begin), behind))
        tm.wait_equal(leader, f)
    finally:
        for node in world.nodes:
            node.kill()
        import shutil
        shutil.rmtree(world.dir, ignore_errors=True)


main()
