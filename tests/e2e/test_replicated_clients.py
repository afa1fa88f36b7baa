"""Clients that people have, each against a leader and against its follower: redis-cli,
redis-benchmark, Python's and Node's Redis libraries, a bare socket. test_clients.py tries one node."""
import json
import os
import socket
import subprocess

import tm
from proxy import Proxy
from tm import check, contains, equal, test, until

AT = "1780000000000"


def start_two(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    until("f has the types of signals", lambda: f.seqno() >= leader.seqno())
    return leader, f


def run(words, text_in=None, **more):
    tm.need(words[0])
    r = subprocess.run(words, input=text_in, text=True, capture_output=True, timeout=tm.PATIENCE_S, **more)
    return r.returncode, r.stdout, r.stderr


def redis_cli(node, *words, text_in=None):
    """What redis-cli prints; errors are on stdout too."""
    port = tm.split_address(node.data)[1]
    code, out, err = run(["redis-cli", "-p", str(port), *words], text_in)
    return out.rstrip("\n")


# --- redis-cli ---


@test
def redis_cli_writes_reads_and_shows_errors(world):
    leader, f = start_two(world)
    token = redis_cli(leader, "SIGNAL", "view", "a", "W", "2.5", "AT", AT)
    epoch, seqno, chain = token.split("-")
    equal((epoch, int(seqno), len(chain)), ("1", leader.seqno(), 8))
    until("f has it", lambda: f.seqno() >= leader.seqno())
    for node in (leader, f):
        equal(redis_cli(node, "SCORE", "view", "a", "AT", AT), "2.5")
        equal(redis_cli(node, "-3", "SCORE", "view", "a", "AT", AT), "2.5")
        equal(redis_cli(node, "--no-raw", "COUNT", "view", "a", "all"), "(integer) 1")
        equal(redis_cli(node, "-3", "--no-raw", "SCORE", "view", "a", "AT", AT), "(double) 2.5")
        contains(redis_cli(node, "-3", "--no-raw", "RETRIEVE", "top"), '"items"', '"a"', "=>")
        contains(redis_cli(node, "--json", "RETRIEVE", "top"), '"items"')
        contains(redis_cli(node, "NONSENSE"), "ERR unknown command 'NONSENSE'")
        contains(redis_cli(node, "COUNT", "vieww", "a", "all"), "SCHEMA", "vieww", "SCHEMA.SIGNAL")
        contains(redis_cli(node, "SCORE", "view"), "wrong number of arguments", "SCORE")
    for proto in ([], ["-3"]):
        contains(redis_cli(f, *proto, "SIGNAL", "view", "a"), "READONLY", leader.data)


@test
def redis_cli_likes_and_unlikes(world):
    leader, f = start_two(world)
    first = redis_cli(leader, "SIGNAL", "like", "a", "USER", "u1")
    equal(redis_cli(leader, "SIGNAL", "like", "a", "USER", "u1"), first, "a second like")
    redis_cli(leader, "SIGNAL", "like", "a", "USER", "u2")
    redis_cli(leader, "SIGNAL", "save", "a", "USER", "u2")
    contains(redis_cli(leader, "SIGNAL", "like", "a"), "SCHEMA", "give USER")
    contains(redis_cli(leader, "UNSIGNAL", "view", "a", "USER", "u1"), "SCHEMA", "counts every signal")
    contains(redis_cli(f, "UNSIGNAL", "like", "a", "USER", "u1"), "READONLY", leader.data)
    redis_cli(leader, "SCHEMA.SIGNAL", "rating", "MODE", "latest")
    for stars in ("5", "1", "3"):
        redis_cli(leader, "SIGNAL", "rating", "a", "W", stars, "USER", "u1", "AT", AT)
    tm.wait_equal(leader, f)
    for node in (leader, f):
        equal(redis_cli(node, "COUNT", "like", "a", "all"), "2")
        equal(redis_cli(node, "COUNT", "like", "a", "1h"), "2")
        equal(redis_cli(node, "COUNT", "rating", "a", "all"), "1")
        equal(redis_cli(node, "SCORE", "rating", "a", "AT", AT), "3")
    before = leader.seqno()
    redis_cli(leader, "UNSIGNAL", "like", "a", "USER", "nobody")
    equal(leader.seqno(), before, "nothing was written")
    for user in ("u1", "u2"):
        redis_cli(leader, "UNSIGNAL", "like", "a", "USER", user)
    tm.wait_equal(leader, f)
    equal(leader.call("DIGEST"), f.call("DIGEST"))
    for node in (leader, f):
        equal(redis_cli(node, "COUNT", "like", "a", "all"), "0")
        equal(redis_cli(node, "COUNT", "like", "a", "24h"), "0")
        equal(redis_cli(node, "SCORE", "like", "a"), "0")
        equal(redis_cli(node, "COUNT", "save", "a", "all"), "1")
        contains(redis_cli(node, "--json", "RETRIEVE", "decayed:like"), '"items":[]')
    leader.stop()
    leader.start()
    until("f is back", lambda: f.seqno() >= leader.seqno())
    equal(redis_cli(leader, "COUNT", "save", "a", "all"), "1")
    tm.wait_equal(leader, f)


@test
def redis_cli_takes_a_file_of_commands_and_pipes(world):
    leader, f = start_two(world)
    lines = "".join("SIGNAL view item:%d W 2\n" % (i % 10) for i in range(500))
    out = redis_cli(leader, text_in=lines).split("\n")
    equal(len([t for t in out if t.count("-") == 2]), 500, "tokens")
    raw = "".join("*3\r\n$6\r\nSIGNAL\r\n$4\r\nview\r\n$6\r\nitem:%d\r\n" % (i % 10) for i in range(5000))
    contains(redis_cli(leader, "--pipe", text_in=raw), "errors: 0, replies: 5000")
    tm.wait_equal(leader, f)
    for node in (leader, f):
        equal(redis_cli(node, "COUNT", "view", "item:3", "all"), "550")
    contains(redis_cli(f, "--pipe", text_in=raw), "errors: 5000, replies: 5000")
    transaction = "MULTI\nSIGNAL view t\nSIGNAL click t W 3\nEXEC\n"
    out = redis_cli(leader, text_in=transaction).split("\n")
    equal(out[:3], ["OK", "QUEUED", "QUEUED"])
    equal(len(out), 5)
    equal(out[3], out[4], "one record, one token")


@test
def lines_on_a_bare_socket_are_understood(world):
    leader, f = start_two(world)
    for node in (leader, f):
        with socket.create_connection(tm.split_address(node.data), 10) as s:
            s.sendall(b"PING\r\necho \"a b\"\nping hello\r\n\r\nCOUNT view nobody all\r\nQUIT\r\n")
            answer = b""
            while piece := s.recv(4096):
                answer += piece
        equal(answer, b"+PONG\r\n$3\r\na b\r\n$5\r\nhello\r\n:0\r\n+OK\r\n")


@test
def a_browser_at_the_data_port_is_sent_away(world):
    leader = world.start("leader")
    for start in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSIGNAL view x\r\n"):
        with socket.create_connection(tm.split_address(leader.data), 10) as s:
            s.sendall(start)
            answer = b""
            while piece := s.recv(4096):
                answer += piece
        contains(answer.decode(), "ERR", "HTTP")
    equal(leader.call("COUNT", "view", "x", "all"), 0)


# --- redis-benchmark ---


def benchmark(node, *words):
    port = tm.split_address(node.data)[1]
    code, out, err = run(["redis-benchmark", "-p", str(port), "-q", "--csv", *words])
    equal(code, 0, "redis-benchmark %s: %s%s" % (" ".join(words), out, err))
    check("error" not in (out + err).lower(), "redis-benchmark: %s%s", out, err)
    return float(out.strip().split("\n")[-1].split('","')[1])


@test
def redis_benchmark_writes_and_every_signal_counts(world):
    leader, f = start_two(world)
    rates = {}
    for depth in (1, 16):
        item = "bench:%d" % depth
        rates[depth] = benchmark(leader, "-n", "20000", "-c", "50", "-P", str(depth), "SIGNAL", "view", item)
        equal(leader.call("COUNT", "view", item, "all"), 20000)
    benchmark(leader, "-n", "5000", "-P", "8", "-r", "100", "SIGNAL", "click", "r:__rand_int__", "USER", "u:__rand_int__")
    benchmark(leader, "-n", "5000", "-P", "8", "-t", "ping_inline,ping_mbulk")
    tm.wait_equal(leader, f)
    for node in (leader, f):
        equal(node.call("COUNT", "view", "bench:16", "all"), 20000)
        rates[node.name] = benchmark(node, "-n", "20000", "-P", "16", "SCORE", "view", "bench:16")
    print("    signals/s: %.0f, with -P 16 %.0f; scores/s with -P 16: %.0f on the leader, %.0f on the follower" % (
        rates[1], rates[16], rates["leader"], rates["f"]))


# --- Python's library, as Debian has it ---

PYTHON = r"""
import json, sys
import redis
out = {}
r = redis.Redis(port=int(sys.argv[1]), decode_responses=True, client_name="tried")
out["ping"] = r.ping()
out["version"] = r.info()["redis_version"]
out["replication"] = r.info("replication")
out["role"] = r.role()
out["name"] = r.client_getname()
out["clients"] = len(r.client_list())
out["dbsize"] = r.dbsize()
out["config"] = r.config_get("appendonly")
out["commands"] = sorted(r.command())
try:
    out["token"] = r.execute_command("SIGNAL", "view", "py", "W", "0.5", "AT", sys.argv[2])
    with r.pipeline() as p:
        for i in range(10):
            p.execute_command("SIGNAL", "click", "py:%d" % i)
        out["pipeline"] = p.execute()
    with r.pipeline(transaction=False) as p:
        for i in range(100):
            p.execute_command("SIGNAL", "view", "many")
        out["tokens"] = len(set(p.execute()))
    with r.pipeline() as p:
        p.execute_command("SIGNAL", "view", "never")
        p.execute_command("SIGNAL", "nonsense", "never")
        try:
            p.execute()
        except redis.ResponseError as e:
            out["bad"] = str(e)
    out["wait"] = r.wait(1, 5000)
except redis.ReadOnlyError as e:
    out["readonly"] = str(e)
out["score"] = r.execute_command("SCORE", "view", "py", "AT", sys.argv[2])
out["count"] = r.execute_command("COUNT", "view", "many", "all")
out["never"] = r.execute_command("COUNT", "view", "never", "all")
with r.pipeline() as p:
    p.execute_command("COUNT", "view", "many", "all")
    p.execute_command("SCORE", "view", "py", "AT", sys.argv[2])
    out["reads"] = p.execute()
print(json.dumps(out))
"""


def check_library(leader, f, script):
    """The same script against both; script(node) gives what it printed, as JSON."""
    written = script(leader)
    equal(written["ping"], True)
    equal(written["tokens"], 100, "one token for each record outside of a transaction")
    equal((len(written["pipeline"]), len(set(written["pipeline"]))), (10, 1), "a transaction is one record")
    equal(written["wait"], 1)
    contains(written["bad"], "nonsense")
    tm.wait_equal(leader, f)
    read = script(f)
    contains(read["readonly"], leader.data)
    for answers in (written, read):
        equal(float(answers["score"]), 0.5)
        equal((answers["count"], answers["never"]), (100, 0))
        equal((answers["reads"][0], float(answers["reads"][1])), (100, 0.5))
    return written, read


@test
def pythons_library_works_with_its_transactional_pipeline(world):
    leader, f = start_two(world)
    code, _, _ = run(["/usr/bin/python3", "-c", "import redis"])
    if code != 0:
        raise tm.Skip("python3-redis is not installed")

    def script(node):
        port = str(tm.split_address(node.data)[1])
        code, out, err = run(["/usr/bin/python3", "-c", PYTHON, port, AT])
        equal(code, 0, err)
        return json.loads(out)

    written, read = check_library(leader, f, script)
    equal((written["role"][0], read["role"][0]), ("master", "slave"))
    equal(read["role"][1:3], ["127.0.0.1", tm.split_address(leader.data)[1]])
    equal(read["role"][3], "connected")
    equal(written["name"], "tried")
    check(written["clients"] >= 1, "CLIENT LIST is read")
    equal(written["config"], {"appendonly": "yes"})
    check("signal" in written["commands"], "COMMAND: %r", written["commands"])
    r = written["replication"]
    equal((r["role"], r["connected_slaves"]), ("master", 1))
    equal((r["slave0"]["port"], r["slave0"]["state"]), (tm.split_address(f.data)[1], "online"))
    equal((read["replication"]["role"], read["replication"]["master_link_status"]), ("slave", "up"))


# --- Node's library, as Debian has it ---

NODE = r"""
const { createClient } = require('redis');
const [port, at] = process.argv.slice(2);
(async () => {
  const out = {};
  const c = createClient({ socket: { port: Number(port) }, name: 'tried' });
  await c.connect();
  out.ping = (await c.ping()) === 'PONG';
  out.info = await c.info();
  out.name = await c.clientGetName();
  try {
    out.token = await c.sendCommand(['SIGNAL', 'view', 'py', 'W', '0.5', 'AT', at]);
    let multi = c.multi();
    for (let i = 0; i < 10; i++) multi = multi.addCommand(['SIGNAL', 'click', `py:${i}`]);
    out.pipeline = await multi.exec();
    const all = Array.from({ length: 100 }, () => c.sendCommand(['SIGNAL', 'view', 'many']));
    out.tokens = new Set(await Promise.all(all)).size;
    const bad = c.multi().addCommand(['SIGNAL', 'view', 'never']).addCommand(['SIGNAL', 'nonsense', 'never']);
    out.bad = (await bad.exec().catch((e) => [e])).map(String).join(' ');
    out.wait = await c.sendCommand(['WAIT', '1', '5000']);
  } catch (e) {
    out.readonly = e.message;
  }
  out.score = await c.sendCommand(['SCORE', 'view', 'py', 'AT', at]);
  out.count = await c.sendCommand(['COUNT', 'view', 'many', 'all']);
  out.never = await c.sendCommand(['COUNT', 'view', 'never', 'all']);
  out.reads = await c.multi().addCommand(['COUNT', 'view', 'many', 'all'])
    .addCommand(['SCORE', 'view', 'py', 'AT', at]).exec();
  console.log(JSON.stringify(out));
  await c.quit();
})().catch((e) => { console.error(e); process.exit(1); });
"""


@test
def nodes_library_works_with_transactions_and_automatic_pipelining(world):
    leader, f = start_two(world)
    node_program = next((p for p in ("/usr/bin/node", "/usr/bin/nodejs") if os.path.exists(p)), None)
    if node_program is None or not os.path.exists("/usr/share/nodejs/redis"):
        raise tm.Skip("node-redis is not installed")
    path = world.path("client.js")
    with open(path, "w") as file:
        file.write(NODE)
    env = dict(os.environ, NODE_PATH="/usr/share/nodejs")

    def script(node):
        port = str(tm.split_address(node.data)[1])
        code, out, err = run([node_program, path, port, AT], env=env)
        equal(code, 0, err)
        return json.loads(out)

    written, read = check_library(leader, f, script)
    equal(written["name"], "tried")
    contains(written["info"], "role:master", "redis_version:")
    contains(read["info"], "role:slave")


# --- WAIT ---


@test
def wait_counts_the_followers_that_stored_this_clients_writes(world):
    leader = world.start("leader")
    f1 = world.start("f1", follow=leader)
    proxy = Proxy(world, leader.replication)
    f2 = world.start("f2", follow=proxy.address)
    until("both are synced", lambda: all(f.status()["synced"] for f in (f1, f2)))
    with leader.connect() as c:
        c.call("SIGNAL", "view", "a")
        equal(c.call("WAIT", "2", "10000"), 2)
        equal(c.call("WAITAOF", "1", "2", "10000"), [1, 2])
        proxy.hold()
        c.call("SIGNAL", "view", "a")
        equal(c.call("WAIT", "1", "10000"), 1)
        equal(c.call("WAIT", "2", "100"), 1, "the held one does not count, and time is up")
        with leader.connect() as other:
            equal(other.call("WAIT", "2", "100"), 1, "who wrote nothing waits for everybody's writes")
        c.send("WAIT", "2", "0")
        proxy.release()
        equal(c.read(), 2, "without a time limit it waits until it is true")
        equal(c.call("WAIT", "3", "100"), 2, "more than there are")
    for f in (f1, f2):
        contains(f.call("INFO", "replication"), "role:slave")
    contains(leader.call("INFO", "replication"), "connected_slaves:2")


tm.main()
