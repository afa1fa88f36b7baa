#!/usr/bin/python3
"""A disk that becomes full: nothing acknowledged is lost, and each sentence says what to do."""
import os
import subprocess

import tm
from tm import check, contains, equal, test


def small_disk(world, size):
    """A file system of this size of its own, below the test's folder."""
    path = world.path("disk")
    os.mkdir(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", path], capture_output=True, text=True)
    if done.returncode != 0:
        raise tm.Skip("no file system can be mounted: " + done.stderr.strip())
    world.at_end.append(lambda: subprocess.run(["umount", "-l", path], check=False))
    return path


def signal(k):
    return ["SIGNAL", "view", "item:%0200d" % (k % 50)]


@test
def a_full_disk_loses_nothing_and_is_explained(world):
    disk = small_disk(world, 8 << 20)
    with open(os.path.join(disk, "ballast"), "wb") as f:
        f.write(bytes(2 << 20))
    node = world.node("leader")
    node.dir = os.path.join(disk, "leader")
    node.start()
    acknowledged, refused = 0, None
    with node.connect() as client:
        while refused is None:
            check(acknowledged < 1_000_000, "the disk never became full")
            for reply in client.pipe([signal(k) for k in range(500)]):
                if isinstance(reply, tm.Refused):
                    refused = str(reply)
                else:
                    acknowledged += 1
    contains(refused, "No space left", "free space on that disk, then a restart recovers")
    # Reads go on; the node says itself that it takes no more writes.
    equal(total(node), acknowledged)
    equal(node.get("/readyz")[0], 503)
    contains(world.run("status", "--to", node.data, code=0).stdout, "poisoned", "No space left")
    node.kill()
    ended = world.run("serve", "--dir", node.dir, "--port", "0", "--http-port", "0", "--replication-port", "0", code=5)
    contains(ended.stderr, "free space on that disk and start again")
    os.remove(os.path.join(disk, "ballast"))
    node.start()
    equal(total(node), acknowledged)
    node.call(*signal(0))
    equal(total(node), acknowledged + 1)
    node.stop()


def total(node):
    return sum(node.call("COUNT", "view", signal(k)[2], "all") for k in range(50))


tm.main()
