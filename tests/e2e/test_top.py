#!/usr/bin/python3
"""`tidemark top` without a terminal and on one."""
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import fcntl
import termios
import time

import tm
from tm import check, contains, equal, test


@test
def without_a_terminal_one_view_is_printed(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    leader.call("SIGNAL", "view", "a")
    tm.wait_equal(leader, follower)
    shown = world.run("top", "--to", leader.data, "--interval", "100ms").stdout
    contains(shown, "leader, epoch 1, serving", "/s durable", "1 items", "followers\n", "streaming", "f1")
    check("\x1b" not in shown, "no marks of a terminal")
    contains(world.run("top", "--to", follower.data, "--interval", "100ms").stdout, "follower, epoch", "link streaming")
    lines = world.run("top", "--to", leader.data, "--interval", "100ms", "--json", "--count", "2").stdout.splitlines()
    equal(len(lines), 2)
    view = json.loads(lines[1])
    equal(view["role"], "leader")
    equal(view["items"], 1)
    equal(view["followers"][0]["id"], "f1")
    check(view["per_second"]["commands"] > 0, "%s", view)


@test
def mistakes_are_one_sentence(world):
    contains(world.run("top", "--to", "127.0.0.1:1", code=1).stderr, "127.0.0.1:1")
    contains(world.run("top", "--interval", "5", code=2).stderr, "100ms to 1h")
    contains(world.run("top", "--count", "0", code=2).stderr, "count")


def screen_of(master, text, patience_s=None):
    """Read until the text was shown."""
    seen, end = b"", time.monotonic() + (patience_s or tm.PATIENCE_S)
    while text.encode() not in seen:
        check(time.monotonic() < end, "%r was not shown: %r", text, seen[-500:])
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 65536)
    return seen.decode()


def on_terminal(world, *words, rows=30, columns=100):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen([tm.PROGRAM, *words], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                               preexec_fn=tm.die_with_parent)
    return master, slave, process


@test
def on_a_terminal_it_goes_on_until_q(world):
    leader = world.start("leader")
    master, slave, process = on_terminal(world, "top", "--to", leader.data, "--interval", "100ms", columns=60)
    before = termios.tcgetattr(slave)
    shown = screen_of(master, "q ends")
    contains(shown, "\x1b[?1049h", "serving")
    for line in re.sub("\x1b\\[[0-9?]*[a-zA-Z]", "", shown).split("\r\n"):
        check(len(line) <= 60, "too long: %r", line)
    leader.kill()
    contains(screen_of(master, "trying again"), "no answer")
    leader.start()
    screen_of(master, "up 0 s")
    os.write(master, b"xq")
    shown = screen_of(master, "\x1b[?1049l")
    equal(process.wait(tm.PATIENCE_S), 0)
    equal(termios.tcgetattr(slave)[3], before[3] | termios.ICANON | termios.ECHO)


@test
def an_interrupt_leaves_the_terminal_as_it_was(world):
    leader = world.start("leader")
    master, slave, process = on_terminal(world, "top", "--to", leader.data)
    screen_of(master, "q ends")
    process.send_signal(signal.SIGINT)
    screen_of(master, "\x1b[?1049l")
    equal(process.wait(tm.PATIENCE_S), 0)
    check(termios.tcgetattr(slave)[3] & termios.ICANON != 0, "the terminal is as it was")


tm.main()
