"""Real nodes as processes, asked through real sockets: what every test in this folder stands on.

A test is a function marked @test whose name is a sentence. It gets a World: a folder of its own
and the nodes started in it. When it ends, every node is killed; when it failed, the last lines of
each node's log are shown. A script ends with tm.main().

    TIDEMARK=build-dev/tidemark tests/e2e/test_x.py [WORD]    only tests with WORD in their name
    TM_KEEP=1 ...                                             keep the folders, say where they are

Nothing here sleeps and hopes: until() asks again and again, up to a deadline.
"""
import contextlib
import ctypes
import faulthandler
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.abspath(
    os.environ.get("TIDEMARK") or os.path.join(HERE, "..", "..", "build-dev", "tidemark"))
PATIENCE_S = 20 * float(os.environ.get("TM_SLOWNESS", "1"))  # of until() and of every socket
SCRIPT_S = float(os.environ.get("TM_SCRIPT_S") or 100 * float(os.environ.get("TM_SLOWNESS", "1")))  # then stacks are shown, and it ends
SHOWN_LOG_SIZE = 3000


class Failure(Exception):
    """What a test found wrong, as a sentence."""


class Skip(Exception):
    """A test cannot run here; the reason."""


def check(condition, sentence, *args):
    if not condition:
        raise Failure(sentence % args if args else sentence)


def equal(got, wanted, what=""):
    if got == wanted:
        return
    if isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted) > 10:
        i = next(i for i, (a, b) in enumerate(zip(got, wanted)) if a != b)
        got, wanted, what = got[i], wanted[i], "%s[%d]" % (what or "list", i)
    raise Failure("%sgot %.1000r, wanted %.1000r" % (what + ": " if what else "", got, wanted))


def contains(text, *parts):
    for part in parts:
        if part not in text:
            raise Failure("%r is not in: %s" % (part, text))


def until(what, ask, patience_s=None):
    """Ask until the answer is true; gives it back. Answers may fail while a node is away."""
    end = time.monotonic() + (patience_s or PATIENCE_S)
    pause = 0.002
    while True:
        trouble = None
        try:
            answer = ask()
            if answer:
                return answer
        except (OSError, EOFError, Refused) as e:
            answer = trouble = e
        if time.monotonic() > end:
            raise Failure("waited in vain until %s; the last answer was %r" % (what, answer)) from trouble
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


# --- RESP ---


class Refused(Exception):
    """An error reply. word is what it starts with."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text
        self.word = text.split(" ", 1)[0]


class Double(float):
    """A RESP3 double that remembers its text, for comparing every bit."""

    def __new__(cls, text):
        self = super().__new__(cls, text)
        self.text = text
        return self


class Client:
    """One connection. Replies are str, int, Double, bool, None, list and dict."""

    def __init__(self, address, proto=2, patience_s=None):
        host, port = split_address(address)
        self.socket = socket.create_connection((host, port), patience_s or PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=65536)
        if proto == 3:
            self.call("HELLO", "3")

    def close(self):
        with contextlib.suppress(OSError):
            self.file.close()
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        self.socket.sendall(pack(words))

    def send_all(self, commands):
        self.socket.sendall(b"".join(pack(words) for words in commands))

    def call(self, *words):
        self.send(*words)
        return self.read()

    def pipe(self, commands):
        """All commands at once, then all replies; an error reply is a Refused in the list."""
        self.send_all(commands)
        return [self.read_any() for _ in commands]

    def error(self, *words):
        """The text of the error that must be answered."""
        self.send(*words)
        reply = self.read_any()
        check(isinstance(reply, Refused), "%s answered %r, no error", " ".join(map(str, words)), reply)
        return reply.text

    def read(self):
        reply = self.read_any()
        if isinstance(reply, Refused):
            raise reply
        return reply

    def read_any(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the connection was closed")
        kind, text = line[:1], line[1:-2].decode()
        if kind == b"+":
            return text
        if kind == b"-":
            return Refused(text)
        if kind == b":":
            return int(text)
        if kind == b",":
            return Double(text)
        if kind == b"#":
            return text == "t"
        if kind == b"_":
            return None
        if kind in (b"$", b"="):
            return self.read_bulk(int(text))
        if kind in (b"*", b"~", b">"):
            return None if text == "-1" else [self.read_any() for _ in range(int(text))]
        if kind == b"%":
            return dict([(self.read_any(), self.read_any()) for _ in range(int(text))])
        raise Failure("a reply starts with %r" % line)

    def read_bulk(self, size):
        if size < 0:
            return None
        data = self.file.read(size + 2)
        if len(data) != size + 2:
            raise EOFError("the connection was closed")
        return data[:-2].decode("utf-8", "surrogateescape")


def pack(words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
        out.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(out)


def split_address(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def pairs(flat):
    """A map as RESP2 tells it, one list of names and values."""
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2]))


# --- nodes ---


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Node:
    """One `tidemark serve`. Its ports are free ones at the first start and stay the same after."""

    def __init__(self, world, name, flags, follow):
        self.world = world
        self.name = name
        self.flags = list(flags)
        self.follow = follow
        self.dir = world.path(name)
        self.log_path = world.path(name + ".log")
        self.out_path = world.path(name + ".out")
        self.process = None
        self.ports = None
        self.client = None
        self.data = self.http = self.replication = None

    def words(self, keeps_ports):
        ports = self.ports if keeps_ports and self.ports else (0, 0, 0)
        words = [PROGRAM, "serve", "--dir", self.dir, "--id", self.name]
        for flag, port in zip(("--port", "--http-port", "--replication-port"), ports):
            words += [flag, str(port)]
        if self.follow:
            words += ["--follow", self.follow]
        if "--disk-reserve" not in self.flags:
            words += ["--disk-reserve", "0"]  # 64 MiB for each of many short lives
        return words + self.flags

    def launch(self, keeps_ports=True):
        """Start the process; ready() waits for it."""
        check(self.process is None, "%s runs already", self.name)
        self.forget_client()
        with open(self.log_path, "ab") as log, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(
                self.words(keeps_ports), stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                preexec_fn=die_with_parent, cwd=self.world.dir)
        return self

    def ready(self):
        line = until("%s is ready" % self.name, self.ready_line)
        fields = dict(word.split("=", 1) for word in line.split()[1:])
        self.data, self.http, self.replication = (fields[k] for k in ("data", "http", "replication"))
        self.ports = [split_address(a)[1] for a in (self.data, self.http, self.replication)]
        return self

    def ready_line(self):
        if self.process.poll() is not None:
            raise Failure("%s ended with %d: %s" % (self.name, self.process.returncode, self.log()[-1000:]))
        with open(self.out_path) as f:
            return next((line for line in f if line.startswith("ready ") and line.endswith("\n")), None)

    def start(self, keeps_ports=True):
        return self.launch(keeps_ports).ready()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def forget_client(self):
        if self.client:
            self.client.close()
        self.client = None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.forget_client()

    def stop(self):
        """As an operator stops it; it must end cleanly."""
        self.forget_client()
        self.process.terminate()
        self.ended(0)

    def ended(self, code):
        """Wait for the end; gives the log back."""
        try:
            got = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failure("%s does not end" % self.name) from None
        self.process = None
        check(got == code, "%s ended with %d, wanted %d: %s", self.name, got, code, self.log()[-1000:])
        return self.log()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    # questions

    def connect(self, proto=2, patience_s=None):
        return Client(self.data, proto, patience_s)

    def call(self, *words):
        if self.client is None:
            self.client = self.connect()
        try:
            return self.client.call(*words)
        except (OSError, EOFError):
            self.forget_client()
            raise

    def error(self, *words):
        if self.client is None:
            self.client = self.connect()
        return self.client.error(*words)

    def seqno(self):
        return int(self.call("POSITION").split("-")[1])

    def digest(self):
        return self.call("DIGEST")

    def status(self):
        """REPL.STATUS as a dict; followers by id."""
        s = pairs(self.call("REPL.STATUS"))
        s["followers"] = {f["id"]: f for f in map(pairs, s["followers"])}
        return s

    def get(self, path, patience_s=None):
        """(status, text) of a page."""
        try:
            with urllib.request.urlopen("http://%s%s" % (self.http, path), timeout=patience_s or PATIENCE_S) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def status_json(self):
        status, text = self.get("/status.json")
        equal(status, 200, "/status.json of %s" % self.name)
        return json.loads(text)

    def metrics(self):
        status, text = self.get("/metrics")
        equal(status, 200, "/metrics of %s" % self.name)
        return Metrics(text)


class Metrics:
    """One scrape. A series that is absent is None."""

    LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
    LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')

    def __init__(self, text):
        self.text = text
        self.rows = []
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            m = self.LINE.match(line)
            check(m, "no line of metrics: %r", line)
            self.rows.append((m.group(1), dict(self.LABEL.findall(m.group(2) or "")), float(m.group(3))))

    def of(self, name, **labels):
        found = [v for n, l, v in self.rows if n == name and all(l.get(k) == w for k, w in labels.items())]
        check(len(found) <= 1, "%s is there %d times", name, len(found))
        return found[0] if found else None

    def judge(self):
        """What promtool says of it; nothing is what it should say."""
        need("promtool")
        r = subprocess.run(["promtool", "check", "metrics"], input=self.text, text=True, capture_output=True)
        check(r.returncode == 0 and not r.stderr.strip(), "promtool: %s%s", r.stdout, r.stderr)
        return self


def wait_equal(leader, *followers):
    """Every follower shows what is durable on the leader, and their digests at one position are equal;
    gives the digest back. No client may write meanwhile. The leader may: a mark, a digest or a tick
    that falls between two of the questions moves one of the positions, and all are asked again."""

    def digests():
        for f in followers:
            until("%s has all records" % f.name, lambda f=f: f.seqno() >= leader.seqno())
        answers = [node.digest() for node in (leader,) + followers]
        return answers if len({a.split(":")[0] for a in answers}) == 1 else None

    answers = until("the nodes are asked at one position", digests)
    for f, answer in zip(followers, answers[1:]):
        equal(answer, answers[0], "digest of %s" % f.name)
    return answers[0]


# --- worlds ---


class World:
    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix="tidemark-e2e-%s-" % name[:40])
        self.nodes = []
        self.at_end = []  # functions

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def node(self, name, *flags, follow=None):
        """A node that is not started yet. follow: the leader's Node, or an address."""
        address = follow.replication if isinstance(follow, Node) else follow
        node = Node(self, name, flags, address)
        self.nodes.append(node)
        return node

    def start(self, name, *flags, follow=None):
        return self.node(name, *flags, follow=follow).start()

    def run(self, *words, code=None, program=PROGRAM, **more):
        """The program with these words; code: the exit status it must end with."""
        r = subprocess.run([program, *map(str, words)], text=True, capture_output=True, cwd=self.dir,
                           timeout=2 * PATIENCE_S, stdin=subprocess.DEVNULL, **more)
        if code is not None:
            check(r.returncode == code, "%s ended with %d, wanted %d: %s%s", " ".join(map(str, words)),
                  r.returncode, code, r.stdout, r.stderr)
        return r

    def show(self):
        for node in self.nodes:
            if not os.path.exists(node.log_path):
                continue
            print("--- %s, %s" % (node.name, "running" if node.is_running() else "not running"))
            print(node.log()[-SHOWN_LOG_SIZE:])

    def judge_logs(self):
        """A sanitizer's complaint fails the test, also when the node was killed in the end."""
        for node in self.nodes:
            if os.path.exists(node.log_path):
                check("Sanitizer" not in node.log(), "a sanitizer complains in %s", node.name)

    def close(self):
        for node in self.nodes:
            with contextlib.suppress(OSError):
                node.kill()
        for end in self.at_end:
            end()
        if os.environ.get("TM_KEEP") == "1":
            print("kept: " + self.dir)
            return
        for where, folders, _ in os.walk(self.dir):  # a test may have taken rights away
            for folder in folders:
                os.chmod(os.path.join(where, folder), 0o700)
        shutil.rmtree(self.dir, ignore_errors=True)


def need(program):
    if shutil.which(program) is None:
        raise Skip("%s is not installed" % program)


def seed(default=None):
    """The seed of a random test, printed; TM_SEED=n repeats a run."""
    n = int(os.environ.get("TM_SEED") or default or random.SystemRandom().randrange(1 << 32))
    print("    seed %d" % n)
    return n


tests = []


def test(function):
    tests.append(function)
    return function


PASSED, SKIPPED, FAILED = 0, 77, 1  # a script in which nothing but skipping was done ends so


def run_one(function):
    world = World(function.__name__)
    started = time.monotonic()
    try:
        function(world)
        world.judge_logs()
        print("ok      %s (%.1f s)" % (function.__name__, time.monotonic() - started))
    except Skip as e:
        print("skipped %s: %s" % (function.__name__, e))
        return SKIPPED
    except BaseException as e:
        print("FAILED  %s" % function.__name__)
        if isinstance(e, Failure):
            print("    " + str(e)[:SHOWN_LOG_SIZE])
        print("".join(traceback.format_exception(e))[-SHOWN_LOG_SIZE:])
        world.show()
        if not isinstance(e, Exception):
            raise
        return FAILED
    finally:
        world.close()
        sys.stdout.flush()
    return PASSED


def main():
    check(os.access(PROGRAM, os.X_OK), "there is no program %s; set TIDEMARK", PROGRAM)
    faulthandler.dump_traceback_later(SCRIPT_S, exit=True)
    words = sys.argv[1:]
    chosen = [t for t in tests if all(w in t.__name__ for w in words)]
    check(chosen, "no test has %s in its name", " ".join(words))
    ends = [run_one(t) for t in chosen]
    sys.exit(FAILED if FAILED in ends else PASSED if PASSED in ends else SKIPPED)
