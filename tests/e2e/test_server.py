#!/usr/bin/python3
"""One leader as its clients see it: both protocols, inline requests, bad input, HTTP, start and
stop. The wire is spoken by hand here; test_clients.py lets real clients speak."""
import json
import os
import signal
import socket
import subprocess

import tm
from tm import check, contains, equal, test, until


def raw(node):
    s = socket.create_connection(tm.split_address(node.data), tm.PATIENCE_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read_all(s):
    out = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return out
        if not piece:
            return out
        out += piece


def say(node, data):
    """Send, end, and read everything that comes."""
    with raw(node) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        return read_all(s)


@test
def both_protocols_answer_each_in_its_types(world):
    node = world.start("n1")
    two, three = node.connect(2), node.connect(3)
    token = two.call("SIGNAL", "view", "a", "W", "2.5")
    check(tm.re.fullmatch(r"1-\d+-[0-9a-f]{8}", token), "a token is %r", token)
    equal(type(three.call("SIGNAL", "view", "b", "W", "0.5")), str)
    now = int(tm.time.time() * 1000)
    score = three.call("SCORE", "view", "a", "AT", now)
    check(isinstance(score, tm.Double), "SCORE in RESP3 is %r", score)
    equal(two.call("SCORE", "view", "a", "AT", now), score.text)
    equal(two.call("SCORE", "view", "nobody"), "0")
    equal(three.call("SCORE", "view", "nobody"), 0.0)
    equal(two.call("COUNT", "view", "a", "all"), 1)
    equal(three.call("COUNT", "view", "nobody", "all"), 0)
    flat = two.call("RETRIEVE", "decayed:view", "NOW", now)
    equal(flat[::2], ["items", "cursor", "position", "staleness_ms", "exact", "profile"])
    answer = three.call("RETRIEVE", "decayed:view", "NOW", now)
    equal([key for key, _ in answer["items"]], ["a", "b"])
    equal([text for _, text in flat[1]], [score.text for _, score in answer["items"]])
    equal((answer["cursor"], answer["exact"], answer["profile"]), (None, True, "decayed:view"))
    equal(answer["position"], three.call("POSITION"))
    equal(answer["staleness_ms"], 0.0)
    equal(two.call("RETRIEVE", "top", "LIMIT", 1, "EXCLUDE", 1, "a")[1][0][0], "b")
    digest = two.call("DIGEST")
    check(tm.re.fullmatch(r"\d+:[0-9a-f]{64}", digest), "a digest is %r", digest)
    equal(two.call("SIGNAL", "view", "a", "WITHLEVEL")[1], "local")


@test
def inline_requests_and_single_bytes_are_understood(world):
    node = world.start("n1")
    stream = (b"PING\r\n" + tm.pack(["SIGNAL", "view", "a b\r\n\0c"]) + b"\r\nCOUNT view \"a b\\r\\n\\x00c\" all\n"
              + tm.pack(["ECHO", ""]) + b"QUIT\r\n")
    whole = say(node, stream)
    contains(whole, b"+PONG\r\n", b"\r\n:1\r\n$0\r\n\r\n+OK\r\n")
    with raw(node) as s:
        for i in range(len(stream)):
            s.sendall(stream[i:i + 1])
        pieces = read_all(s)
    equal(pieces.count(b"\r\n"), whole.count(b"\r\n"))
    contains(pieces, b"\r\n:2\r\n$0\r\n\r\n+OK\r\n")


@test
def broken_requests_get_one_line_and_an_end(world):
    node = world.start("n1")
    for data, why in (
        (b"*1\r\n$536870912\r\n", b"invalid bulk length"),
        (b"*1\r\n$-5\r\n", b"invalid bulk length"),
        (b"*1048577\r\n", b"invalid multibulk length"),
        (b"*99999999999999999999\r\n", b"invalid multibulk length"),
        (b"*2\r\n$4\r\nPING\r\n:1\r\n", b"expected '$', got ':'"),
        (b"*1\r\n$4\r\nPINGxx", b"bulk string without its end"),
        (b"PING \"\r\n", b"unbalanced quotes"),
        (b"x" * 70000, b"too big inline request"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", b"zero byte"),  # a TLS greeting
    ):
        with raw(node) as s:  # it must close by itself
            s.sendall(data)
            try:
                reply = read_all(s)
            except TimeoutError:
                raise tm.Failure("%r is not refused" % data[:40]) from None
        check(reply.startswith(b"-ERR Protocol error: ") and why in reply, "%r answered %r", data[:40], reply)
        equal(reply.count(b"\n"), 1)
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.0\r\n\r\nSIGNAL view evil\r\n"):
        with raw(node) as s:
            s.sendall(data)
            reply = read_all(s)
        contains(reply, b"-ERR this is the data port")
        equal(reply.count(b"\n"), 1)
    equal(node.call("COUNT", "view", "evil", "all"), 0)
    for cut in (b"*", b"*3\r\n$6\r\nSIGNAL\r\n$4\r\nview\r\n$4\r\nev", b"*2\r\n$4\r\nECHO\r\n$3\r\nabc", b"PIN"):
        equal(say(node, cut), b"")
    equal(node.metrics().of("tidemark_commands_total", command="unknown", outcome="caller"), 11)


@test
def every_error_names_the_word(world):
    node = world.start("n1")
    client = node.connect()
    for words, wanted in (
        (["SIGNAL", "view"], "ERR wrong number of arguments for 'SIGNAL'"),
        (["SIGNAL", "wave", "a"], "SCHEMA "),
        (["SIGNAL", "like", "a"], "SCHEMA signal type \"like\" counts each user once; give USER"),
        (["SIGNAL", "view", ""], "LIMIT "),
        (["SIGNAL", "view", "k" * 256], "LIMIT "),
        (["SIGNAL", "view", "a", "W", "nan"], "LIMIT weight nan"),
        (["SIGNAL", "view", "a", "W", "1e300"], "LIMIT weight 1e300"),
        (["SIGNAL", "view", "a", "AT", "1700000000"], "ERR AT 1700000000 looks like seconds"),
        (["SIGNAL", "view", "a", "AT", "1700000000000000"], "ERR AT 1700000000000000 looks like microseconds"),
        (["SIGNAL", "view", "a", "LEVEL", "majority"], "DURABILITY nothing was written: level majority counts voters"),
        (["SIGNAL", "view", "a", "SESSION", "s", "1"], "ERR option SESSION is not in this version"),
        (["SIGNAL", "view", "a", "FOO", "1"], "ERR SIGNAL has no option 'FOO'"),
        (["SCORE", "wave", "a"], "SCHEMA "),
        (["SCORE", "view", "a", "READ", "dirty"], "ERR unknown READ 'dirty': latest or committed"),
        (["COUNT", "view", "a", "soon"], "ERR unknown window 'soon'"),
        (["RETRIEVE", "sideways"], "SCHEMA "),
        (["RETRIEVE", "decayed:wave"], "SCHEMA "),
        (["RETRIEVE", "top", "LIMIT", "1001"], "LIMIT LIMIT 1001"),
        (["RETRIEVE", "top", "WHERE", "x"], "SCHEMA WHERE: unknown field x at character 1; declare fields with SCHEMA.FIELD"),
        (["UNSIGNAL", "view", "a", "USER", "u"], "SCHEMA "),
        (["SIGNAL", "view", "a", "PRODUCER", "p", "0"], ""),
        (["DIGEST", "AT", "999999999"], ""),
        (["ITEM.EMBED", "a"], "ERR ITEM.EMBED is not in this version"),
        (["ITEM.PUT", "a", "title"], "ERR field 'title' has no value"),
        (["RETRIEVE", "top", "CURSOR", "junk"], "ERR "),
        (["FROBNICATE"], "ERR unknown command 'FROBNICATE'"),
        (["CONFIG", "SET", "x", "y"], "ERR unknown key x"),
        (["CONFIG", "SET", "port", "1"], "ERR port is fixed at the start"),
        (["CONFIG", "SET", "mark_interval", "1GiB"], "ERR mark_interval = 1GiB (CONFIG SET): a time"),
        (["CONFIG", "SET", "clock_skew_max", "2h"], "ERR option clock_skew_max is 7200000"),
        (["REPLICAOF", "127.0.0.1", "1"], "REFUSED 127.0.0.1:1 does not answer"),
        (["WATCH", "a"], "ERR WATCH is refused"),
        (["AUTH", "x"], "ERR AUTH "),
        (["HELLO", "9"], "NOPROTO "),
        (["SELECT", "3"], "ERR DB index is out of range"),
    ):
        text = client.error(*words)
        check(text.startswith(wanted), "%s answered %r", " ".join(words), text)
        check("\n" not in text and len(text) > 10, "%r is no sentence", text)


@test
def a_transaction_is_one_record(world):
    node = world.start("n1")
    client = node.connect()
    before = int(client.call("POSITION").split("-")[1])
    replies = client.pipe([["MULTI"], ["SIGNAL", "view", "a"], ["SIGNALS", 2, "view", "b", 1, "share", "a", 2],
                           ["COUNT", "view", "a", "all"], ["PING"], ["EXEC"]])
    equal(replies[:5], ["OK", "QUEUED", "QUEUED", "QUEUED", "QUEUED"])
    first, second, count, pong = replies[5]
    equal((first, count, pong), (second, 1, "PONG"))
    equal(int(first.split("-")[1]), before + 1)
    replies = client.pipe([["MULTI"], ["SIGNAL", "view", "a"], ["SIGNAL", "wave", "a"], ["EXEC"]])
    check(all(isinstance(r, tm.Refused) for r in replies[3]), "a bad transaction answered %r", replies[3])
    equal(client.call("COUNT", "view", "a", "all"), 1)
    equal(int(client.call("POSITION").split("-")[1]), before + 1)
    client.call("MULTI")
    client.error("SIGNAL", "view")
    contains(client.error("EXEC"), "EXECABORT")


@test
def keys_and_producers_make_writes_idempotent(world):
    node = world.start("n1")
    first = node.call("SIGNAL", "view", "a", "KEY", "k1")
    equal(node.call("SIGNAL", "view", "a", "KEY", "k1"), first)
    equal(node.call("COUNT", "view", "a", "all"), 1)
    node.call("SIGNAL", "view", "b", "PRODUCER", "p", 1)
    node.call("SIGNAL", "view", "b", "PRODUCER", "p", 1)
    contains(node.error("SIGNAL", "view", "b", "PRODUCER", "p", 3), "ERR ")
    equal(node.call("PRODUCER.GET", "p"), 1)
    node.call("PRODUCER.SKIP", "p", 2)
    equal(node.call("PRODUCER.GET", "p"), 2)
    contains(node.error("PRODUCER.SKIP", "p", 9), "ERR ")
    equal(node.call("COUNT", "view", "b", "all"), 1)
    equal(node.call("PRODUCER.GET", "nobody"), 0)


@test
def long_pipelines_keep_their_order(world):
    node = world.start("n1")
    client = node.connect()
    count = 10000
    replies = client.pipe([["SIGNAL", "view", "x"] if i % 2 else ["ECHO", i] for i in range(count)])
    equal(replies[::2], [str(i) for i in range(0, count, 2)])
    seqnos = [int(token.split("-")[1]) for token in replies[1::2]]
    equal(seqnos, list(range(seqnos[0], seqnos[0] + count // 2)))
    equal(client.call("COUNT", "view", "x", "all"), count // 2)


@test
def what_was_answered_is_there_after_a_crash(world):
    node = world.start("n1")
    client = node.connect()
    tokens = client.pipe([["SIGNAL", "view", "i%d" % (i % 7), "W", i] for i in range(500)])
    now = int(tm.time.time() * 1000)
    before = [client.call("SCORE", "view", "i%d" % i, "AT", now) for i in range(7)]
    node.kill()
    node.start()
    check(node.seqno() >= int(tokens[-1].split("-")[1]), "position %s after %s", node.call("POSITION"), tokens[-1])
    equal([node.call("SCORE", "view", "i%d" % i, "AT", now) for i in range(7)], before)
    contains(open(node.out_path).read(), "recovered in ")


@test
def pages_tell_operators_what_they_need(world):
    node = world.start("n1")
    node.call("SIGNAL", "view", "a")
    node.error("SIGNAL", "wave", "a")
    equal(node.get("/healthz"), (200, "ok\n"))
    equal(node.get("/readyz"), (200, "ready\n"))
    equal(node.status_json()["role"], "leader")
    equal(node.get("/nothing")[0], 404)
    equal(json.loads(node.get("/nothing")[1])["error"]["code"], "NOTFOUND")
    m = node.metrics().judge()
    equal(m.of("tidemark_commands_total", command="signal", outcome="ok"), 1)
    equal(m.of("tidemark_commands_total", command="signal", outcome="caller"), 1)
    equal(m.of("tidemark_command_seconds_count", command="signal"), 2)
    equal(m.of("tidemark_connections"), 1)
    equal(m.of("tidemark_build_info"), 1)
    names = [line.split()[2] for line in m.text.splitlines() if line.startswith("# TYPE ")]
    equal(len(names), len(set(names)), "names typed once")


@test
def a_follower_is_told_in_the_words_of_redis(world):
    leader = world.start("n1")
    follower = world.start("n2", follow=leader)
    leader.call("SIGNAL", "view", "a")
    tm.wait_equal(leader, follower)
    until("the leader counts its ack", lambda: leader.call("WAIT", 1, 10) == 1)
    info = leader.call("INFO", "replication")
    port = tm.split_address(follower.data)[1]
    contains(info, "role:master\r\nconnected_slaves:1\r\nslave0:ip=127.0.0.1,port=%d,state=online,offset=" % port)
    contains(info, "master_repl_offset:%d\r\n" % leader.seqno())
    until("the follower's link is up", lambda: "master_link_status:up" in follower.call("INFO", "replication"))
    contains(follower.call("INFO"), "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:%d\r\n"
             % tm.split_address(leader.data)[1], "slave_read_only:1\r\n", "loading:0\r\n")
    equal(leader.call("ROLE")[0], "master")
    equal(leader.call("ROLE")[2][0][:2], ["127.0.0.1", str(port)])
    equal(follower.call("ROLE")[:2], ["slave", "127.0.0.1"])
    contains(follower.error("SIGNAL", "view", "a"), "READONLY ", leader.data)
    with follower.connect(3) as client:
        equal(client.call("HELLO")["role"], "replica")
        until("staleness has a bound", lambda: client.call("RETRIEVE", "top")["staleness_ms"] < 60000)
    until("it is ready", lambda: follower.get("/readyz") == (200, "ready\n"))
    follower.metrics().judge()
    leader.metrics().judge()
    slot = leader.call("SLOT.LIST")[0]
    equal(tm.pairs(slot)["id"], "n2")
    leader.kill()
    until("the follower says so", lambda: "master_link_status:down" in follower.call("INFO", "replication"))
    until("it is in the log", lambda: "not connected to the leader" in follower.log())
    equal(follower.call("COUNT", "view", "a", "all"), 1)


@test
def a_node_refuses_what_it_cannot_do(world):
    node = world.start("n1")
    port = tm.split_address(node.data)[1]
    r = world.run("serve", "--dir", "other", "--port", port, "--http-port", 0, "--replication-port", 0, code=1)
    contains(r.stderr, "port %d of 127.0.0.1 is in use; choose another one with --port" % port)
    check(not os.path.exists(world.path("other")), "a refused start made a directory")
    r = world.run("serve", "--dir", node.dir, "--port", 0, "--http-port", 0, "--replication-port", 0, code=1)
    contains(r.stderr, "process %d uses it" % node.process.pid)
    r = world.run("serve", "--dir", "other", "--bind", "0.0.0.0", code=4)
    contains(r.stderr, "--insecure")


@test
def signals_and_shutdown_stop_cleanly(world):
    node = world.start("n1")
    client = node.connect()
    client.call("SIGNAL", "view", "a")
    node.signal(signal.SIGINT)
    contains(node.ended(0), "stopping")
    node.start()
    client = node.connect()
    token = client.call("SIGNAL", "view", "a")
    client.send("SHUTDOWN")
    equal(client.file.read(), b"")
    node.ended(0)
    node.start()
    equal(node.call("COUNT", "view", "a", "all"), 2)
    check(node.seqno() >= int(token.split("-")[1]), "the last write is gone")
    node.stop()


@test
def a_reader_that_reads_nothing_harms_nobody(world):
    node = world.start("n1")
    node.call("SIGNAL", "view", "a")
    slow = raw(node)
    slow.setblocking(False)
    request = tm.pack(["ECHO", "e" * 60000])
    sent = 0
    idle_since = tm.time.monotonic()
    while tm.time.monotonic() - idle_since < 0.5 and sent < 1 << 30:
        try:
            sent += slow.send(request[sent % len(request):])
            idle_since = tm.time.monotonic()
        except BlockingIOError:
            tm.time.sleep(0.01)
    check(sent < 200 << 20, "the server took %d bytes of a client that does not read", sent)
    equal(node.call("PING"), "PONG")
    slow.close()
    until("it is gone", lambda: node.metrics().of("tidemark_connections") <= 1)


@test
def a_storm_of_clients_is_served(world):
    node = world.start("n1")
    clients = [node.connect() for _ in range(300)]
    for c in clients:
        c.send("SIGNAL", "view", "storm")
    for c in clients:
        c.read()
    equal(node.call("COUNT", "view", "storm", "all"), 300)
    for c in clients:
        c.close()
    limited = world.start("n2", "--connections-max", "5")
    clients = [limited.connect() for _ in range(5)]
    for c in clients:
        c.call("PING")
    with raw(limited) as s:
        equal(read_all(s), b"-ERR max number of clients reached\r\n")


@test
def a_poor_limit_of_files_is_said(world):
    node = world.node("n1")
    words = node.words(False)
    with open(node.log_path, "wb") as log, open(node.out_path, "wb") as out:
        node.process = subprocess.Popen(["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *words], stdout=out, stderr=log,
                                        cwd=world.dir, preexec_fn=tm.die_with_parent)
    node.ready()
    contains(node.log(), "the limit of open files allows fewer clients than connections_max")
    node.call("SIGNAL", "view", "a")
    node.stop()


if __name__ == "__main__":
    tm.main()
