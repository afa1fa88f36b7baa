#!/usr/bin/env python3
"""The real library on a real ext4, whose disk is a FUSE file that writes down every WRITE and FLUSH.

    test_ext4.py BLOCK_DISK CLIENT images|fsync|full [COUNT]

images: crash images are a prefix of the log and a random subset of what no FLUSH covered; each is
        mounted and opened, and must hold every write that was acknowledged before.
fsync:  the device fails the writes of the log: nothing is acknowledged any more, and what a restart
        shows is on the disk, not only in the page cache.
full:   the file system is full: writes are refused, reads go on, nothing acknowledged is lost.

Ends with 77 and a sentence where the machine has no FUSE, no loop devices or no rights.
"""
import collections
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SIZE = 16 * 1024 * 1024
WRITE, FLUSH = 1, 2


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


class Disk:
    """A loop device with ext4 on a logged disk, mounted at .fs."""

    def __init__(self, block_disk, folder):
        self.log = os.path.join(folder, "log")
        self.mount = os.path.join(folder, "disk")
        self.fs = os.path.join(folder, "fs")
        os.mkdir(self.mount)
        os.mkdir(self.fs)
        self.loop = None
        self.is_mounted = False
        self.process = subprocess.Popen([block_disk, self.mount, str(SIZE), self.log],
                                        stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while not os.path.exists(os.path.join(self.mount, "disk")):
            if self.process.poll() is not None:
                skip(f"FUSE does not mount: {self.process.stderr.read().strip()}")
            if time.monotonic() > deadline:
                raise RuntimeError("the FUSE disk does not come up")
            time.sleep(0.02)
        try:
            self.loop = run("losetup", "-f", "--show", os.path.join(self.mount, "disk"))
        except (RuntimeError, FileNotFoundError) as e:
            self.close()
            skip(f"no loop device: {e}")
        run("mkfs.ext4", "-q", "-F", "-J", "size=4", self.loop)
        run("mount", "-t", "ext4", self.loop, self.fs)
        self.is_mounted = True

    def is_well_again(self):
        self.process.send_signal(signal.SIGUSR2)
        time.sleep(0.05)

    def log_size(self):
        return os.stat(self.log).st_size

    def close(self):
        if self.is_mounted:
            subprocess.run(["umount", self.fs], check=False)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)
        subprocess.run(["fusermount3", "-u", self.mount], check=False)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def entries(log):
    """(kind, offset, bytes, position in the log after it)"""
    with open(log, "rb") as f:
        while True:
            head = f.read(24)
            if len(head) < 24:
                return
            kind, offset, size = struct.unpack("<QQQ", head)
            yield kind, offset, f.read(size), f.tell()


def read_acks(path):
    """Pairs (bytes of the log when it was acknowledged, number)."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as f:
        return [(int(size), int(number)) for number, size in (line.split() for line in f)]


def acknowledged_at(acks, position):
    return max((number for size, number in acks if size <= position), default=0)


def check_image(client, image, folder):
    """How many writes an image holds."""
    path = os.path.join(folder, "image")
    fs = os.path.join(folder, "image-fs")
    os.makedirs(fs, exist_ok=True)
    with open(path, "wb") as f:
        f.write(image)
    run("mount", "-t", "ext4", "-o", "loop", path, fs)
    try:
        return int(run(client, "check", os.path.join(fs, "db")))
    finally:
        run("umount", fs)


def write_all(client, disk, acks):
    """Three lives, the last two after a kill."""
    for _ in range(3):
        run(client, "write", os.path.join(disk.fs, "db"), "120", acks, disk.log)


def images(block_disk, client, folder, count):
    acks_path = os.path.join(folder, "acks")
    disk = Disk(block_disk, folder)
    try:
        os.mkdir(os.path.join(disk.fs, "db"))
        os.chmod(os.path.join(disk.fs, "db"), 0o700)
        run("sync", "-f", disk.fs)
        start = disk.log_size()
        write_all(client, disk, acks_path)
        end = disk.log_size()
    finally:
        disk.close()
    acks = read_acks(acks_path)
    log = list(entries(disk.log))
    dice = random.Random(7)
    places = [i for i, entry in enumerate(log) if start < entry[3] <= end]
    # Half of them where several writes wait for a FLUSH: the others have few ways to be cut.
    crowded = [i for i in places if i > 0 and log[i][0] == WRITE and log[i - 1][0] == WRITE]
    chosen = collections.Counter(dice.sample(crowded, min(count // 2, len(crowded))))
    rest = [i for i in places if i not in chosen]
    chosen.update(dice.sample(rest, min(count - len(chosen), len(rest))))
    # More images than places: other subsets where there are several.
    chosen.update(dice.choices(crowded, k=count - len(chosen)))
    stable = bytearray(SIZE)
    pending = []
    tried = flushes = subsets = 0
    for i, (kind, offset, data, position) in enumerate(log):
        if kind == FLUSH:
            for at, part in pending:
                stable[at:at + len(part)] = part
            pending = []
            flushes += 1
        else:
            pending.append((offset, data))
        for _ in range(chosen[i]):
            image = bytearray(stable)
            odds = dice.choice((0, 0.3, 0.5, 0.8, 1))
            kept = [part for part in pending if dice.random() < odds]
            subsets += 0 < len(kept) < len(pending)
            for at, part in kept:
                image[at:at + len(part)] = part
            held = check_image(client, image, folder)
            wanted = acknowledged_at(acks, position)
            tried += 1
            if held < wanted:
                sys.exit(f"image {tried}, after {position} bytes of the log: {held} writes are "
                         f"there, {wanted} were acknowledged")
    writes = sum(1 for entry in log if entry[0] == WRITE)
    print(f"ext4: {len(acks)} acknowledged writes, {writes} block writes, {flushes} flushes; "
          f"{tried} crash images ({subsets} with a part of what was not flushed): none lost")
    if tried != count or not acks:
        sys.exit(f"{tried} images were tried, {count} were wanted")


def fsync(block_disk, client, folder, count):
    """The device fails while the log is written; then it is well again and the node restarts."""
    for number in range(count):
        place = os.path.join(folder, str(number))
        os.mkdir(place)
        acks_path = os.path.join(place, "acks")
        disk = Disk(block_disk, place)
        try:
            db = os.path.join(disk.fs, "db")
            before = 10 + 7 * number
            said = run(client, "until-error", db, acks_path, str(before),
                       f"kill -USR1 {disk.process.pid}; sleep 0.05")
            if said.split()[1] != "POISONED":
                sys.exit(f"after a failed sync the node says {said}")
            held = len(read_acks(acks_path))
            if held != before:
                sys.exit("a write was acknowledged although its sync failed")
            disk.is_well_again()
            shown = int(run(client, "check", db))
            position = disk.log_size()
            if shown < held:
                sys.exit(f"{shown} writes are there after the restart, {held} were acknowledged")
        finally:
            disk.close()
        # What was shown is on the disk: the power goes with everything lost that was not flushed.
        stable, pending = bytearray(SIZE), []
        for kind, offset, data, at in entries(disk.log):
            if at > position:
                break
            if kind == FLUSH:
                for where, part in pending:
                    stable[where:where + len(part)] = part
                pending = []
            else:
                pending.append((offset, data))
        left = check_image(client, stable, place)
        if left < shown:
            sys.exit(f"a restart showed {shown} writes, only {left} are on the disk")
        print(f"fsync: {held} acknowledged, then: {said}; the restart shows {shown}, "
              f"the disk holds {left}")


def full(block_disk, client, folder, _count):
    acks_path = os.path.join(folder, "acks")
    disk = Disk(block_disk, folder)
    try:
        db = os.path.join(disk.fs, "db")
        ballast = os.path.join(disk.fs, "ballast")
        said = run(client, "until-error", db, acks_path, "50",
                   f"dd if=/dev/zero of={ballast} bs=4k 2>/dev/null; true")
        if said.split()[0] not in ("DISKFULL", "POISONED", "UNKNOWN"):
            sys.exit(f"on a full disk the node says {said}")
        held = max(number for _, number in read_acks(acks_path))
        os.unlink(ballast)
        shown = int(run(client, "check", db))
        if shown < held:
            sys.exit(f"{shown} writes are there, {held} were acknowledged")
        run(client, "write", db, "10", acks_path, disk.log)
        print(f"full: {held} acknowledged, then: {said}; {shown} are there once space is back")
    finally:
        disk.close()


def main():
    block_disk, client, kind = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    if not os.path.exists("/dev/fuse"):
        skip("there is no /dev/fuse")
    if os.geteuid() != 0:
        skip("mounting needs root")
    for tool in ("losetup", "mkfs.ext4", "mount", "umount", "fusermount3"):
        if shutil.which(tool) is None:
            skip(f"there is no {tool}")
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="tidemark-ext4-", dir=base)
    try:
        {"images": images, "fsync": fsync, "full": full}[kind](block_disk, client, folder, count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
