#!/usr/bin/python3
"""tidemark log: looking into data directories that real servers left behind."""
import json
import os
import shutil
import signal
import subprocess

import tm


def commands(writes):
    return [("SIGNAL", "view", "item-%d" % (i % 100)) for i in range(writes)]


def fill(world, seals=3, writes=1500):
    """A node with some sealed segments."""
    node = world.start("n")
    with node.connect() as client:
        for _ in range(seals):
            client.pipe(commands(writes))
            client.call("LOG.SEAL")
    return node


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 0x20]))


def sealed(world, node):
    """Names of the sealed segments, as "log/0000000000000001.seg"."""
    rows = world.run("log", "inspect", node.dir, "--json", code=0).stdout.splitlines()
    return [row["segment"] for row in map(json.loads, rows) if row["state"] == "sealed"]


@tm.test
def directory_is_whole_after_a_clean_stop(world):
    node = fill(world)
    node.call("CHECKPOINT")
    node.stop()
    tm.contains(world.run("log", "verify", node.dir, code=0).stdout, "whole", "1 checkpoint with")


@tm.test
def kill_leaves_no_damage_and_the_cut_is_told(world):
    node = fill(world)
    with node.connect() as client:
        client.send_all(commands(500))
        for _ in range(100):
            client.read()
        node.kill()
    tm.contains(world.run("log", "verify", node.dir, code=0).stdout, "is not sealed")
    report = json.loads(world.run("log", "verify", node.dir, "--json", code=0).stdout)
    tm.check(report["ok"] and report["tail_cut"] and report["end"] >= 4600, "%s", report)


@tm.test
def directory_in_use_can_be_read_and_is_not_disturbed(world):
    node = fill(world)
    with node.connect() as client:
        client.send_all(commands(20000))
        done = world.run("log", "verify", node.dir, code=0)
        tm.contains(done.stdout, "process %d uses the directory" % node.process.pid)
        for _ in range(20000):
            client.read()


@tm.test
def flipped_byte_is_named_by_file_offset_and_record(world):
    node = fill(world)
    node.call("CHECKPOINT")
    node.stop()
    for name in sealed(world, node):
        copy = world.path("copy")
        shutil.copytree(node.dir, copy)
        path = os.path.join(copy, name)
        offset = os.path.getsize(path) // 3
        flip(path, offset)
        done = world.run("log", "verify", copy, code=3)
        tm.contains(done.stderr, "damage in " + name, "at offset")
        damage = json.loads(world.run("log", "verify", copy, "--json", code=3).stdout)["damage"]
        tm.equal(damage["file"], name)
        tm.check(damage["offset"] <= offset and damage["seqno"] > 0, "%s", damage)
        shutil.rmtree(copy)


@tm.test
def damaged_checkpoint_and_identity_and_a_missing_segment_are_found(world):
    node = fill(world)
    node.call("CHECKPOINT")
    node.stop()
    pack = [n for n in os.listdir(os.path.join(node.dir, "state")) if n.endswith(".pack")][0]
    for name in ("state/" + pack, "identity.a"):
        flip(os.path.join(node.dir, name), 100)
        tm.contains(world.run("log", "verify", node.dir, code=3).stderr, name)
        flip(os.path.join(node.dir, name), 100)
    world.run("log", "verify", node.dir, code=0)
    os.unlink(os.path.join(node.dir, sealed(world, node)[0]))
    tm.contains(world.run("log", "verify", node.dir, code=3).stderr, "missing")


@tm.test
def inspect_shows_segments_and_records(world):
    node = fill(world)
    node.stop()
    tm.contains(world.run("log", "inspect", node.dir, code=0).stdout, "sealed", "node n")
    rows = [json.loads(row) for row in world.run("log", "inspect", node.dir, "--json", code=0).stdout.splitlines()]
    tm.check(any(row["state"] == "sealed" for row in rows), "%s", rows)
    done = world.run("log", "inspect", node.dir, "--json", "--from", "1000", "--count", "5", code=0)
    records = [json.loads(row) for row in done.stdout.splitlines()]
    tm.equal([r["seqno"] for r in records], [1000, 1001, 1002, 1003, 1004])
    tm.equal(records[0]["kind"], "signal")


@tm.test
def other_directories_and_absent_verbs_are_refused(world):
    tm.contains(world.run("log", "verify", "/no/such/dir", code=1).stderr, "no directory")
    tm.contains(world.run("log", "verify", world.dir, code=1).stderr, "no Tidemark data")
    tm.contains(world.run("log", "repair", "x", code=1).stderr, "not in this version")
    tm.contains(world.run("log", "export", "/no/such/dir", "o", code=1).stderr, "no directory")
    tm.equal(os.listdir(world.dir), [])


@tm.test
def log_travels_as_files_and_serves_elsewhere(world):
    node = fill(world, writes=300)
    objects, copy = world.path("objects"), world.path("copy")
    first = json.loads(world.run("log", "export", node.dir, objects, "--json", code=0).stdout)
    tm.equal(first["position"].split("-")[1], str(node.seqno()))
    node.call("SIGNAL", "view", "later")
    second = json.loads(world.run("log", "export", node.dir, objects, "--json", code=0).stdout)
    tm.equal(second["records"], 1)
    tm.contains(world.run("log", "export", node.dir, objects, code=0).stdout, "Nothing new")
    taken = json.loads(world.run("log", "import", copy, objects, "--id", "copy", "--json", code=0).stdout)
    tm.equal(taken["position"], second["position"])
    tm.contains(world.run("log", "import", copy, objects, code=0).stdout, "Nothing new")
    tm.contains(world.run("log", "verify", copy, code=0).stdout, "whole")
    reader = world.start("copy")  # a follower without a leader: it serves what it has
    tm.equal(reader.digest(), node.digest())
    tm.contains(reader.error("SIGNAL", "view", "x"), "READONLY")
    reader.stop()
    node.call("SIGNAL", "view", "last")
    follower = world.node("copy", follow=node).start(keeps_ports=False)  # and goes on from a leader
    tm.wait_equal(node, follower)


@tm.test
def import_says_which_files_are_missing_or_damaged(world):
    node = fill(world, seals=1, writes=300)
    objects, copy = world.path("objects"), world.path("copy")
    for _ in range(2):
        world.run("log", "export", node.dir, objects, code=0)
        node.call("SIGNAL", "view", "more")
    world.run("log", "export", node.dir, objects, code=0)
    names = sorted(n for n in os.listdir(objects) if n.endswith(".log"))
    tm.equal(len(names), 3)
    os.rename(os.path.join(objects, names[1]), world.path("away"))
    tm.contains(world.run("log", "import", copy, objects, code=4).stderr, "are missing", names[2])
    os.rename(world.path("away"), os.path.join(objects, names[1]))
    flip(os.path.join(objects, names[2]), 200)
    tm.contains(world.run("log", "import", copy, objects, code=3).stderr, names[2], "copy it again")
    flip(os.path.join(objects, names[2]), 200)
    world.run("log", "import", copy, objects, code=0)
    tm.contains(world.run("log", "import", node.dir, objects, code=4).stderr, "leads")


@tm.test
def export_follows_a_server_until_it_is_told_to_stop(world):
    node = fill(world, seals=1, writes=100)
    objects = world.path("objects")
    words = [tm.PROGRAM, "log", "export", node.dir, objects, "--follow", "--interval", "50ms", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=tm.die_with_parent)
    world.at_end.append(process.kill)
    tm.equal(json.loads(process.stdout.readline())["position"].split("-")[1], str(node.seqno()))
    node.call("SIGNAL", "view", "one")
    tm.equal(json.loads(process.stdout.readline())["records"], 1)
    process.send_signal(signal.SIGINT)
    tm.equal(process.wait(tm.PATIENCE_S), 0)


if __name__ == "__main__":
    tm.main()
