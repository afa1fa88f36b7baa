#!/usr/bin/python3
"""Real clients of Redis against one leader: redis-cli, redis-benchmark, and the libraries that
Debian has for Python and Node.js. What they need before they do anything is answered as they
expect it."""
import json
import os
import subprocess
import sys

import tm
from tm import Skip, check, contains, equal, need, test

NODE_MODULES = "/usr/share/nodejs"


def cli(node, *words, stdin=None, flags=()):
    need("redis-cli")
    host, port = tm.split_address(node.data)
    r = subprocess.run(["redis-cli", "-h", host, "-p", str(port), *flags, *map(str, words)], input=stdin,
                       capture_output=True, timeout=tm.PATIENCE_S)
    return r.stdout.decode("utf-8", "replace") + r.stderr.decode("utf-8", "replace")


@test
def redis_cli_speaks_both_protocols(world):
    node = world.start("n1")
    check(tm.re.fullmatch(r"1-\d+-[0-9a-f]{8}\n", cli(node, "SIGNAL", "view", "a")), "no token")
    equal(cli(node, "count", "view", "a", "all"), "1\n")
    equal(cli(node, "COUNT", "view", "a", "all", flags=["-3"]), "1\n")
    contains(cli(node, "RETRIEVE", "top", flags=["-3", "--no-raw"]), '1# "items" => ', '1) "a"', "2) (double) 1\n",
             '2# "cursor" => (nil)', '5# "exact" => (true)')
    contains(cli(node, "RETRIEVE", "top", flags=["--no-raw"]), '1) "items"\n 2) 1) 1) "a"\n')
    contains(cli(node, "NOTHING"), "ERR unknown command 'NOTHING'")
    contains(cli(node, "INFO"), "redis_version:", "role:master", "# Replication")
    contains(cli(node, "ROLE"), "master")
    contains(cli(node, "COMMAND", "DOCS", "signal"), "type item [W w]")  # it keeps HELP to itself
    contains(node.call("HELP", "signal")[0], "SIGNAL type item [W w]")
    equal(cli(node, "-n", "0", "PING"), "PONG\n")


@test
def redis_cli_pipes_in_bulk_and_talks_interactively(world):
    node = world.start("n1")
    commands = b"".join(tm.pack(["SIGNAL", "view", "i%d" % (i % 10)]) for i in range(5000))
    text = cli(node, "--pipe", stdin=commands)
    contains(text, "errors: 0, replies: 5000")
    equal(node.call("COUNT", "view", "i3", "all"), 500)
    text = cli(node, stdin=b"MULTI\nSIGNAL view a\nPING\nEXEC\nQUIT\n")
    contains(text, "OK\nQUEUED\nQUEUED\n", "PONG")
    check(int(cli(node, "COMMAND", "COUNT")) > 50, "COMMAND COUNT is small")


@test
def redis_benchmark_runs(world):
    need("redis-benchmark")
    node = world.start("n1")
    host, port = tm.split_address(node.data)
    for words, flags in ((["SIGNAL", "view", "item:__rand_int__"], ["-P", "100", "-n", "100000", "-r", "1000"]),
                         (["SCORE", "view", "item:000000000001"], ["-P", "16", "-n", "20000"]),
                         (["SIGNAL", "view", "x"], ["-n", "2000", "-3"])):
        r = subprocess.run(["redis-benchmark", "-h", host, "-p", str(port), "-c", "50", "--csv", *flags, *words],
                           capture_output=True, text=True, timeout=4 * tm.PATIENCE_S)
        equal(r.returncode, 0, r.stdout + r.stderr)
        check("WARNING" not in r.stderr and "Error" not in r.stdout + r.stderr, "%s%s", r.stdout, r.stderr)
        rate = float(r.stdout.splitlines()[-1].split(",")[1].strip('"'))
        print("    %s %s: %.0f/s" % (" ".join(words), " ".join(flags), rate))
        check(rate > 100, "%s", r.stdout)
    total = sum(node.call("COUNT", "view", "item:%012d" % i, "all") for i in range(1000))
    equal(total, 100000)


PYTHON = """
import sys, redis
r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
assert r.ping()
r.client_setname("py")
assert r.client_getname() == "py"
assert r.client_id() > 0
token = r.execute_command("SIGNAL", "view", "a", "W", 2)
assert token.count("-") == 2
with r.pipeline() as p:  # wraps everything in MULTI and EXEC
    p.execute_command("SIGNAL", "view", "a")
    p.execute_command("COUNT", "view", "a", "all")
    p.execute_command("SCORE", "view", "a")
    p.echo("x")
    first, count, score, echo = p.execute()
assert count == 2 and 2.9 < float(score) <= 3 and echo == "x", (count, score, echo)
with r.pipeline(transaction=False) as p:
    for i in range(1000):
        p.execute_command("SIGNAL", "share", "b")
    tokens = p.execute()
assert len(set(tokens)) == 1000
with r.pipeline() as p:
    p.execute_command("SIGNAL", "view", "a")
    p.execute_command("SIGNAL", "wave", "a")
    first, second = p.execute(raise_on_error=False)
    assert isinstance(first, redis.ResponseError) and "SCHEMA" in str(second), (first, second)
assert r.execute_command("COUNT", "view", "a", "all") == 2
info = r.info()
assert info["role"] == "master" and info["loading"] == 0 and info["connected_slaves"] == 0, info
assert r.info("replication")["master_repl_offset"] > 0
assert r.role()[0] == "master"
assert r.dbsize() == 2
assert r.config_get("appendonly") == {"appendonly": "yes"}
assert r.command_count() > 50 and "signal" in r.command()
assert r.wait(0, 10) == 0
assert [c["name"] for c in r.client_list()] == ["py"]
assert r.slowlog_get() == [] and r.slowlog_len() == 0
try:
    r.get("key")
    assert False, "no error"
except redis.ResponseError as e:
    assert "unknown command" in str(e)
try:
    r.slaveof("127.0.0.1", 1)
    assert False, "no error"
except redis.ResponseError as e:
    assert "does not answer" in str(e)
pool = redis.ConnectionPool(port=int(sys.argv[1]), health_check_interval=1)
assert redis.Redis(connection_pool=pool).ping()
"""


@test
def python_redis_works(world):
    try:
        import redis  # noqa: F401, only to know
    except ImportError:
        raise Skip("python3-redis is not installed") from None
    node = world.start("n1")
    run = subprocess.run([sys.executable, "-c", PYTHON, str(tm.split_address(node.data)[1])], capture_output=True,
                         text=True, timeout=tm.PATIENCE_S)
    check(run.returncode == 0, "%s%s", run.stdout, run.stderr)


NODE = """
const { createClient } = require('redis');
const assert = require('assert');
(async () => {
  const url = 'redis://127.0.0.1:' + process.argv[1];
  const c = createClient({ url, name: 'js' });
  c.on('error', (e) => { console.error(e); process.exit(1); });
  await c.connect();
  assert.equal(await c.ping(), 'PONG');
  assert.equal(await c.clientGetName(), 'js');
  const token = await c.sendCommand(['SIGNAL', 'view', 'a', 'W', '2']);
  assert.match(token, /^1-\\d+-[0-9a-f]{8}$/);
  const [first, count, score] = await c.multi().addCommand(['SIGNAL', 'view', 'a'])
    .addCommand(['COUNT', 'view', 'a', 'all']).addCommand(['SCORE', 'view', 'a']).exec();
  assert.equal(count, 2);
  assert.ok(Number(score) > 2.9 && Number(score) <= 3);
  const many = await Promise.all(Array.from({ length: 1000 }, () => c.sendCommand(['SIGNAL', 'share', 'b'])));
  assert.equal(new Set(many).size, 1000);
  await assert.rejects(c.sendCommand(['SIGNAL', 'wave', 'a']), /SCHEMA/);
  await assert.rejects(c.get('key'), /unknown command/);
  const items = await c.sendCommand(['RETRIEVE', 'top']);
  assert.equal(items[0], 'items');
  assert.equal(items[1][0][0], 'b');
  assert.ok((await c.info()).includes('role:master'));
  assert.equal(await c.dbSize(), 2);
  assert.equal((await c.configGet('appendonly')).appendonly, 'yes');
  assert.ok((await c.commandCount()) > 50);
  const d = c.duplicate();
  await d.connect();
  assert.equal(await d.echo('x'), 'x');
  await d.disconnect();
  await c.quit();
  console.log('done');
})().catch((e) => { console.error(e); process.exit(1); });
"""


@test
def node_redis_works(world):
    need("nodejs")
    if not os.path.isdir(NODE_MODULES + "/redis"):
        raise Skip("node-redis is not installed")
    node = world.start("n1")
    run = subprocess.run(["/usr/bin/nodejs", "-e", NODE, str(tm.split_address(node.data)[1])], capture_output=True,
                         text=True, timeout=tm.PATIENCE_S, env={**os.environ, "NODE_PATH": NODE_MODULES})
    check(run.returncode == 0 and "done" in run.stdout, "%s%s", run.stdout, run.stderr)


# What redis_exporter and ioredis send first, word for word.
@test
def monitoring_tools_get_what_they_ask_first(world):
    node = world.start("n1")
    client = node.connect()
    equal(client.call("CLIENT", "SETNAME", "redis_exporter"), "OK")
    config = tm.pairs(client.call("CONFIG", "GET", "*"))
    equal(config["databases"], "1")
    check(config.get("segment_size.source") in ("default", "file", "environment", "flag"), "%s", json.dumps(config))
    text = client.call("INFO", "ALL")
    contains(text, "# Server\r\n", "# Clients\r\n", "# Replication\r\nrole:master\r\n", "# Commandstats\r\n")
    equal(client.call("LATENCY", "LATEST"), [])
    equal(client.call("SLOWLOG", "LEN"), 0)
    equal(client.call("SLOWLOG", "GET"), [])
    three = node.connect(3)
    equal(three.call("client", "SETINFO", "LIB-NAME", "ioredis"), "OK")
    contains(three.call("info"), "loading:0\r\n")
    contains(three.error("CLIENT", "MAINT_NOTIFICATIONS", "ON"), "ERR unknown subcommand")
    equal(three.call("MODULE", "LIST"), [])


if __name__ == "__main__":
    tm.main()
