"""README.md's quick start, word for word: every `$` line is run as in a terminal, and what it prints
has the shape that the page shows. Ports and folders are replaced by free ones, on both sides."""
import os
import pty
import re
import select
import socket
import subprocess
import time

import tm
from tm import check, equal, test, until

ROOT = os.path.join(tm.HERE, "..", "..")

# What differs from run to run, and what stands for it on both sides.
SHAPES = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"\b\d+-\d+-[0-9a-f]{8}\b", "TOKEN"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"\bnode-[0-9a-f]{8}\b", "NODE"),
    (r"(?<![\d.])\d+\.\d+\.\d+\b(?!\.\d)", "VERSION"),
    (r"\b\d+(\.\d+)? [KMGT]iB\b", "SIZE"),
    (r"(?<![\d.])\d+\.\d+\b(?!\.\d)", "NUMBER"),
    (r"(?<![\d.])\d+ ms ago", "NUMBER s ago"),
    (r"directory .*", "directory"),
    (r" +", " "),
)


def shape(text):
    for pattern, word in SHAPES:
        text = re.sub(pattern, word, text)
    return text.rstrip()


def steps():
    """(command, lines it prints) of every fenced block that has `$` lines, in order."""
    with open(os.path.join(ROOT, "README.md")) as f:
        blocks = re.findall(r"^```\n(.*?)^```", f.read(), re.S | re.M)
    out = []
    for line in "\n".join(b for b in blocks if b.startswith("$ ")).split("\n"):
        if line.startswith("$ "):
            out.append((line[2:], []))
        elif line:
            out[-1][1].append(line)
    return out


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def check_shape(command, shown, printed):
    """`...` in the page stands for anything up to the end."""
    wanted = [shape(line) for line in shown]
    got = [shape(line) for line in printed]
    if wanted and wanted[-1] == "...":
        wanted.pop()
        got = got[:len(wanted)]
    equal(got, wanted, command)


class Terminal:
    def __init__(self, world, replace):
        self.world = world
        self.replace = replace
        self.servers = []
        world.at_end.append(self.end)

    def end(self):
        for process in self.servers:
            process.kill()
            process.wait()

    def translate(self, text, back=False):
        words = {there: here for here, there in self.replace.items()} if back else self.replace
        longest_first = sorted(map(re.escape, words), key=len, reverse=True)
        return re.sub("|".join(longest_first), lambda m: words[m.group()], text)

    def serve(self, command, shown):
        """A server stays; its banner ends with the line `ready`. Ports that the line does not say come
        from the environment."""
        ports = zip(("", "HTTP_", "REPLICATION_"), ("7400", "7401", "7402"))
        env = dict(os.environ, **{"TIDEMARK_%sPORT" % name: self.replace[port] for name, port in ports})
        path = self.world.path("server-%d" % len(self.servers))
        with open(path + ".out", "w") as out, open(path + ".log", "w") as log:
            process = subprocess.Popen("exec " + self.translate(command), shell=True, stdout=out, stderr=log,
                                       cwd=self.world.dir, env=env, preexec_fn=tm.die_with_parent)
        self.servers.append(process)

        def banner():
            check(process.poll() is None, "%s ended: %s", command, open(path + ".log").read())
            text = open(path + ".out").read()
            return text if "\nready " in text and text.endswith("\n") else None

        check_shape(command, shown, self.translate(until("it is ready", banner), back=True).splitlines())

    def run(self, command, shown):
        """Reads are asked again until they have the shape shown: a follower may be a moment behind."""
        end = time.monotonic() + (0 if "SIGNAL" in command or "kill" in command else 5)
        while True:
            printed = self.translate(self.type(self.translate(command)), back=True).replace("\r", "").splitlines()
            try:
                check_shape(command, shown, printed)
                return printed
            except tm.Failure:
                if time.monotonic() > end:
                    raise

    def type(self, line):
        """What a person sees: output to a terminal, where redis-cli writes types and quotes."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(["bash", "-c", line], stdin=theirs, stdout=theirs, stderr=theirs, cwd=self.world.dir,
                                   preexec_fn=tm.die_with_parent)
        os.close(theirs)
        out = b""
        while True:
            ready, _, _ = select.select([ours], [], [], tm.PATIENCE_S)
            check(ready, "%s does not end", line)
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                piece = b""
            if not piece:
                break
            out += piece
        os.close(ours)
        process.wait(tm.PATIENCE_S)
        return out.decode()


@test
def every_line_of_the_quick_start_works_as_it_stands(world):
    for program in ("redis-cli", "curl"):
        tm.need(program)
    os.mkdir(world.path("build"))
    os.symlink(tm.PROGRAM, world.path("build", "tidemark"))
    ports = dict(zip(("7400", "7401", "7402", "7410", "7411", "7412"), map(str, free_ports(6))))
    terminal = Terminal(world, {**ports, "/tmp/leader": world.path("leader"), "/tmp/follower": world.path("follower"),
                                "build/tidemark status": "build/tidemark status --to 127.0.0.1:" + ports["7400"]})
    all_steps = steps()
    check(len(all_steps) >= 15, "README.md has only %d commands", len(all_steps))
    digests = []
    for command, shown in all_steps:
        if " serve " in command:
            terminal.serve(command, shown)
            continue
        printed = terminal.run(command, shown)
        if command.endswith("DIGEST"):
            digests += printed
    equal(len(digests), 2)
    equal(digests[0], digests[1], "digests of leader and follower")


@test
def the_shape_of_an_output_is_compared(world):
    """The comparison itself: it must be able to fail."""
    check_shape("x", ['"1-12-20dcc303"', "..."], ['"1-99-00000000"', "anything"])
    for shown, printed in ((['"1-12-20dcc303"'], ["(error) ERR"]), (["(integer) 1"], ["(integer) 2"]), (["a"], ["a", "b"]),
                           (["a", "..."], []), (["f1 streaming 0 0 0.044 14"], ["f1 streaming 1 0 0.044 14"])):
        try:
            check_shape("x", shown, printed)
        except tm.Failure:
            continue
        raise tm.Failure("%r passed for %r" % (printed, shown))


tm.main()
