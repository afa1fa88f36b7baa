"""A leader and its followers: the same bits everywhere, writes in one place only, restarts in every
order, and a refusal in words for everybody who does not belong."""
import glob
import os
import random
import shutil
import signal
import socket
import struct
import threading
import time

import tm
from tm import check, contains, equal, test, until

PAST_MS = 1_780_000_000_000  # of events
NOW_MS = 1_900_000_000_000  # of reads: in the future of every write, the same for all nodes
BATCH = 500
TYPES = ["view", "click", "share", "comment", "purchase", "skip"]


def start_three(world, *flags):
    leader = world.start("leader", *flags)
    return leader, [world.start("f%d" % i, *flags, follow=leader) for i in (1, 2)]


def signals(rng, count, base_ms):
    """Commands that log `count` signals of every kind there is."""
    commands = []
    while count > 0:
        item = "item:%d" % rng.randrange(300)
        at = str(base_ms - rng.randrange(30 * 86400_000))
        kind = rng.randrange(10)
        if kind < 6:
            weight = repr(rng.choice([1.0, 0.1, 2.5, -3.0, 1e-9, 12345.678, rng.random()]))
            commands.append(["SIGNAL", rng.choice(TYPES), item, "W", weight, "AT", at])
        elif kind < 8:
            commands.append(["SIGNAL", rng.choice(TYPES), item, "USER", "user:%d" % rng.randrange(50), "AT", at])
        elif kind < 9:
            n = min(count, rng.randrange(1, 8))
            triples = [w for i in range(n) for w in ("view", "item:%d" % rng.randrange(300), repr(rng.random()))]
            commands.append(["SIGNALS", str(n), *triples])
            count -= n - 1
        else:
            commands.append(["SIGNAL", "view", item, "KEY", "key:%d" % rng.randrange(500)])
        count -= 1
    return commands


def load(client, commands):
    for i in range(0, len(commands), BATCH):
        for command, reply in zip(commands[i:i + BATCH], client.pipe(commands[i:i + BATCH])):
            check(not isinstance(reply, tm.Refused), "%s: %s", " ".join(command), reply)


def answers(node, proto):
    """What a node says of every item, as text."""
    commands = [["SCORE", t, "item:%d" % i, "AT", str(NOW_MS)] for t in TYPES for i in range(300)]
    commands += [["COUNT", t, "item:%d" % i, "all"] for t in TYPES for i in range(300)]
    for item in ("item:%d" % i for i in range(300)):
        commands += [["COUNT", "view", item, window] for window in ("1h", "24h", "7d")]
    with node.connect(proto) as c:
        return [r.text if isinstance(r, tm.Double) else str(r) for r in c.pipe(commands)]


def check_same(leader, followers):
    tm.wait_equal(leader, *followers)
    for proto in (2, 3):
        wanted = answers(leader, proto)
        for f in followers:
            equal(answers(f, proto), wanted, "scores and counts of %s" % f.name)
    for profile in profiles(leader):
        words = ["RETRIEVE", profile, "LIMIT", "50", "NOW", str(NOW_MS), "EXPLAIN"]
        wanted = tm.pairs(leader.call(*words))
        more = ["RETRIEVE", profile, "LIMIT", "50", "CURSOR", wanted["cursor"]]
        next_page = wanted["cursor"] and tm.pairs(leader.call(*more))["items"]
        for f in followers:
            got = tm.pairs(f.call(*words))
            for name in ("items", "position", "cursor", "exact", "profile"):
                equal(got[name], wanted[name], "%s of %s on %s" % (name, profile, f.name))
            if next_page is not None:
                equal(tm.pairs(f.call(*more))["items"], next_page, "the leader's cursor of %s on %s" % (profile, f.name))


def profiles(node):
    """All there are, as the error of a wrong one lists them."""
    listed = node.error("RETRIEVE", "nonsense").split("there are ")[1]
    names = listed.replace("decayed:<type>", "decayed:view").replace(" and ", ", ").split(", ")
    check(len(names) > 1, "profiles: %s", listed)
    return names


@test
def followers_give_the_same_bits_as_their_leader(world):
    leader, followers = start_three(world)
    rng = random.Random(tm.seed())
    with leader.connect() as c:
        load(c, signals(rng, 10_000, PAST_MS))
        c.call("MULTI")
        for i in range(20):
            c.call("SIGNAL", "view", "item:%d" % i, "W", "0.3")
        equal(len(set(c.call("EXEC"))), 1, "a transaction is one record")
        c.call("PRODUCER.SKIP", "loader", "1")
        c.call("SIGNALS", "2", "view", "item:1", "1", "click", "item:2", "0.5", "PRODUCER", "loader", "2")
        c.call("SCHEMA.SIGNAL", "listen", "HALFLIFE", "12h,30d", "MODE", "count")
        c.call("SIGNAL", "listen", "item:1")
    check_same(leader, followers)
    for f in followers:
        equal(f.call("COUNT", "listen", "item:1", "all"), 1)
        equal(f.call("PRODUCER.GET", "loader"), 2)
        equal(f.call("SCHEMA.SHOW"), leader.call("SCHEMA.SHOW"))
        equal(f.status()["role"], "follower")


# What every command is tried with. A new command that is missing here fails the tests below.
WRITES = {
    "signal": ["SIGNAL view x", "SIGNAL view x W 2 KEY k", "signal like x USER u"],
    "signals": ["SIGNALS 2 view x 1 click y 2"],
    "unsignal": ["UNSIGNAL like x USER u"],
    "item.put": ["ITEM.PUT a title x"],
    "item.del": ["ITEM.DEL a"],
    "user.put": ["USER.PUT u name x"],
    "creator.put": ["CREATOR.PUT c name x"],
    "schema.field": ["SCHEMA.FIELD brandnew num"],
    "schema.signal": ["SCHEMA.SIGNAL brandnew"],
    "producer.skip": ["PRODUCER.SKIP p 7"],
    "member.add": ["MEMBER.ADD n", "MEMBER.ADD n VOTER"],
    "member.remove": ["MEMBER.REMOVE n"],
}
# Each at a moment that it names: answers of two nodes are equal only then.
READS = {
    "score": ["SCORE view a AT 1990000000000", "SCORE view nobody AT 1780000000000"],
    "count": ["COUNT view a all", "COUNT view a 1h"],
    "rate": ["RATE view a AT 1990000000000"],
    "trend": ["TREND view a AT 1990000000000"],
    "retrieve": [
        "RETRIEVE top NOW 1990000000000",
        "RETRIEVE decayed:view LIMIT 3 EXCLUDE 1 a NOW 1990000000000 EXPLAIN",
    ],
    "item.get": ["ITEM.GET a", "ITEM.GET nobody"],
    "user.get": ["USER.GET u"],
    "creator.get": ["CREATOR.GET c"],
    "schema.show": ["SCHEMA.SHOW"],
    "producer.get": ["PRODUCER.GET p"],
}


def commands_with(node, flag):
    return sorted(row[0] for row in node.call("COMMAND") if flag in row[2])


@test
def every_writer_is_refused_on_a_follower_and_named_where_to_go(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    equal(commands_with(f, "write"), sorted(WRITES), "the writers that this test knows")
    until("the follower is synced", lambda: f.seqno() >= leader.seqno())
    before = f.call("POSITION")
    for proto in (2, 3):
        with f.connect(proto) as c:
            for words in (words.split() for all_words in WRITES.values() for words in all_words):
                text = c.error(*words)
                equal(text.split()[0], "READONLY", " ".join(words))
                contains(text, leader.data)
            c.call("MULTI")
            c.call("SIGNAL", "view", "x")
            c.send("EXEC")
            replies = c.read_any()
            for reply in replies if isinstance(replies, list) else [replies]:
                check(isinstance(reply, tm.Refused), "EXEC on a follower answered %r", reply)
                contains(reply.text, "READONLY", leader.data)
    equal(f.call("POSITION"), before, "position after refused writes")
    equal(leader.call("COUNT", "view", "x", "all"), 0)


@test
def every_reader_works_on_a_follower(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    equal(commands_with(f, "readonly"), sorted(READS), "the readers that this test knows")
    load(leader.connect(), [["SIGNAL", "view", i, "W", w] for i, w in (("a", "2"), ("b", "3"))])
    tm.wait_equal(leader, f)
    for words in (words.split() for all_words in READS.values() for words in all_words):
        reply, wanted = f.call(*words), leader.call(*words)
        if words[0] == "RETRIEVE":
            reply, wanted = tm.pairs(reply), tm.pairs(wanted)
            check(float(reply.pop("staleness_ms")) >= 0, "staleness of a follower")
            equal(float(wanted.pop("staleness_ms")), 0.0, "staleness of the leader")
        equal(reply, wanted, " ".join(words))
    with f.connect() as c:
        c.call("MULTI")
        c.call("COUNT", "view", "a", "all")
        c.call("SCORE", "view", "b", "AT", "1780000000000")
        equal(c.call("EXEC")[0], 1, "reads in a transaction on a follower")


@test
def a_follower_that_restarts_goes_on_where_it_was(world):
    leader, (f1, f2) = start_three(world)
    rng = random.Random(tm.seed())
    with leader.connect() as c:
        for how in (f1.stop, f1.kill):
            load(c, signals(rng, 500, PAST_MS))
            until("f1 has all", lambda: f1.seqno() >= leader.seqno())
            how()
            load(c, signals(rng, 500, PAST_MS))
            f1.start()
            check_same(leader, [f1, f2])


@test
def a_leader_that_restarts_is_followed_again_from_the_same_port(world):
    leader, followers = start_three(world)
    rng = random.Random(tm.seed())
    for how in (leader.stop, leader.kill):
        load(leader.connect(), signals(rng, 500, PAST_MS))
        epoch = leader.status()["epoch"]
        how()
        leader.start()
        until("a restart is a new epoch", lambda epoch=epoch: leader.status()["epoch"] > epoch)
        load(leader.connect(), signals(rng, 100, PAST_MS))
        check_same(leader, followers)


@test
def a_leader_that_moved_is_followed_at_its_new_port(world):
    leader, followers = start_three(world)
    rng = random.Random(tm.seed())
    load(leader.connect(), signals(rng, 500, PAST_MS))
    until("all have all", lambda: all(f.seqno() >= leader.seqno() for f in followers))
    leader.stop()
    for f in followers:
        f.stop()
    old = leader.data
    leader.start(keeps_ports=False)
    check(leader.data != old, "the port changed")
    for f in followers:
        f.follow = leader.replication
        f.start()
    load(leader.connect(), signals(rng, 500, PAST_MS))
    check_same(leader, followers)
    for f in followers:
        contains(f.error("SIGNAL", "view", "x"), leader.data)
        f.follow = None  # what it once was told is in its identity
        f.stop()
        f.start()
    load(leader.connect(), signals(rng, 10, PAST_MS))
    check_same(leader, followers)


@test
def a_leader_and_its_followers_that_all_restart_agree_again(world):
    leader, followers = start_three(world)
    rng = random.Random(tm.seed())
    load(leader.connect(), signals(rng, 500, PAST_MS))
    for node in (leader, *followers):
        node.kill()
    for node in reversed((leader, *followers)):
        node.launch()
    for node in (leader, *followers):
        node.ready()
    load(leader.connect(), signals(rng, 500, PAST_MS))
    check_same(leader, followers)


@test
def followers_go_on_serving_reads_while_their_leader_is_down(world):
    leader, followers = start_three(world)
    load(leader.connect(), [["SIGNAL", "view", "item:%d" % i] for i in range(200)])
    tm.wait_equal(leader, *followers)
    wanted = answers(leader, 3)
    data = leader.data
    leader.kill()
    for f in followers:
        until("f sees it", lambda f=f: f.status()["link"] != "streaming")
        equal(answers(f, 3), wanted)
        contains(f.error("SIGNAL", "view", "x"), "READONLY", data)
        f.stop()
        f.start()  # also after a restart of its own
        equal(answers(f, 3), wanted)
        contains(f.error("SIGNAL", "view", "x"), "READONLY", data)


@test
def a_follower_that_lost_its_disk_gets_everything_again(world):
    leader, (f1, f2) = start_three(world)
    rng = random.Random(tm.seed())
    load(leader.connect(), signals(rng, 1000, PAST_MS))
    tm.wait_equal(leader, f1, f2)
    f1.kill()
    shutil.rmtree(f1.dir)
    load(leader.connect(), signals(rng, 100, PAST_MS))
    f1.start()  # the same name, nothing in its hands
    check_same(leader, [f1, f2])
    equal(len(leader.status()["followers"]), 2)


@test
def a_copy_of_a_follower_from_before_is_brought_up_to_date(world):
    leader, (f1, f2) = start_three(world)
    rng = random.Random(tm.seed())
    load(leader.connect(), signals(rng, 1000, PAST_MS))
    tm.wait_equal(leader, f1, f2)
    f1.stop()
    shutil.copytree(f1.dir, world.path("copy"))
    f1.start()
    load(leader.connect(), signals(rng, 1000, PAST_MS))
    tm.wait_equal(leader, f1, f2)
    f1.kill()
    shutil.rmtree(f1.dir)
    shutil.copytree(world.path("copy"), f1.dir)  # older than what its slot says
    f1.start()
    check_same(leader, [f1, f2])


@test
def a_leader_that_lost_its_tail_unseen_is_refused_by_its_follower_in_words(world):
    """Nobody throws away records that were acknowledged, neither silently nor by himself. The only
    node that holds them did not answer when the leader asked."""
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    load(leader.connect(), [["SIGNAL", "view", "a"]] * 10)
    tm.wait_equal(leader, f)
    leader.stop()
    shutil.copytree(leader.dir, world.path("copy"))
    leader.start()
    load(leader.connect(), [["SIGNAL", "view", "a"]] * 10)
    tm.wait_equal(leader, f)
    held = f.call("POSITION")
    time.sleep(1.5)  # two heartbeats: the follower hears that they are committed
    leader.kill()
    f.signal(signal.SIGSTOP)
    shutil.rmtree(leader.dir)
    shutil.copytree(world.path("copy"), leader.dir)  # an old copy put back in place
    leader.start()
    until("it leads", lambda: leader.call("SIGNAL", "view", "alone"))
    f.signal(signal.SIGCONT)
    print("    " + refusal(f, "refused: other-history", "histories part", "find out which"))
    equal(f.call("POSITION"), held)
    equal(f.call("COUNT", "view", "a", "all"), 20)


# --- who does not belong ---


def refusal(node, *parts):
    """The follower's status says it in words, and so does its log."""
    until("%s is told %s" % (node.name, " ".join(parts)), lambda: all(p in node.status()["link"] for p in parts))
    link = node.status()["link"]
    until("the log says so", lambda: all(p in node.log() for p in parts))
    return link


@test
def a_follower_of_another_cluster_is_refused_in_words(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    until("f is synced", lambda: f.seqno() >= leader.seqno())
    f.stop()
    other = world.start("other")
    f.follow = other.replication
    f.start()
    refusal(f, "refused: ", "another cluster", "start with an empty directory")
    equal(f.status()["followers"], {})
    equal(other.status()["followers"], {}, "followers of the other leader")
    f.stop()
    f.follow = leader.replication
    f.start()
    tm.wait_equal(leader, f)


@test
def a_second_node_with_the_same_id_is_refused_and_told_who_has_it(world):
    leader = world.start("leader")
    first = world.start("twin", follow=leader)
    until("the first is synced", lambda: first.seqno() >= leader.seqno())
    second = world.node("second", follow=leader)
    second.flags = ["--id", "twin"]
    # The harness gives every node its own id; the twin's is the last one given.
    words = second.words(False)
    del words[words.index("--id"):words.index("--id") + 2]
    second.words = lambda keeps_ports: words
    second.start()
    refusal(second, "refused: ", "twin", first.data)
    load(leader.connect(), [["SIGNAL", "view", "a"]] * 10)
    tm.wait_equal(leader, first)
    equal(len(leader.status()["followers"]), 1)
    equal(leader.status()["followers"]["twin"]["address"], first.data)
    first.stop()  # the id is free again: its data does not matter, the second one has none
    tm.wait_equal(leader, second)


@test
def a_follower_pointed_at_a_wrong_port_says_who_answers_there(world):
    leader = world.start("leader")
    for name, port in (("data", leader.data), ("http", leader.http)):
        f = world.start("at-" + name, follow=port)
        link = until("%s complains" % f.name, lambda f=f: (s := f.status()["link"]).count(" ") > 2 and s)
        contains(link, "a data port (RESP) answers there" if name == "data" else "closed the connection")
        until("the log says so", lambda f=f: "not connected to the leader" in f.log())
    with socket.socket() as s:  # nobody listens there
        s.bind(("127.0.0.1", 0))
        nobody = "127.0.0.1:%d" % s.getsockname()[1]
    f = world.start("at-nobody", follow=nobody)
    refusal(f, nobody, "refused the connection")


@test
def a_stranger_on_the_replication_port_changes_nothing(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    for greeting in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 4000,
                     b"TMW1" + b"\xff" * 400, random.Random(1).randbytes(100_000)):
        with socket.create_connection(tm.split_address(leader.replication), 10) as s:
            s.sendall(greeting)
            s.settimeout(tm.PATIENCE_S)
            try:
                while s.recv(4096):  # closed by the leader, not by us
                    pass
            except ConnectionError:
                pass
    equal(list(leader.status()["followers"]), ["f"])
    load(leader.connect(), [["SIGNAL", "view", "a"]] * 10)
    tm.wait_equal(leader, f)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind, body, session, probe=0):
    head = b"TMW1" + struct.pack("<HHIIQQI", kind, 0, len(body), crc32c(body), session, probe, 0)
    return head + struct.pack("<I", crc32c(head)) + body


def read_frame(s):
    head = recv_exactly(s, 40)
    kind, _, size, _, session = struct.unpack("<HHIIQ", head[4:24])
    return kind, session, recv_exactly(s, size)


def recv_exactly(s, size):
    data = b""
    while len(data) < size:
        piece = s.recv(size - len(data))
        if not piece:
            raise EOFError("the peer closed")
        data += piece
    return data


@test
def a_hello_of_a_newer_version_is_refused_with_the_versions(world):
    leader = world.start("leader")
    hello = struct.pack("<HHQII16sHH", 7, 9, 0, 0, 1 << 20, b"\0" * 16, 0, 0) + b"what comes in version 9"
    with socket.create_connection(tm.split_address(leader.replication), 10) as s:
        s.sendall(frame(1, hello, session=5))
        kind, session, body = read_frame(s)
        equal((kind, session), (2, 5), "a plan that echoes the session")
        contains(body.decode("latin-1"), "no protocol version in common")
    equal(leader.status()["followers"], {})


@test
def a_leader_of_a_newer_version_is_named_in_the_followers_status(world):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        f = world.start("f", follow="127.0.0.1:%d" % listener.getsockname()[1])
        peer, _ = listener.accept()
        with peer:
            kind, session, _ = read_frame(peer)
            equal(kind, 1, "hello")
            sentence = b"this leader speaks versions 7 to 9 only"
            plan = struct.pack("<HHHQIIBBB", 0, 7, 9, 0, 0, 1 << 20, 5, 7, len(sentence)) + sentence
            peer.sendall(frame(2, plan, session))
            refusal(f, "refused: ", "versions 7 to 9")


@test
def a_directory_of_a_newer_format_is_refused_by_name(world):
    leader = world.start("leader")
    leader.stop()
    path = sorted(glob.glob(world.path("leader", "log", "*.seg")))[0]
    with open(path, "r+b") as f:
        head = bytearray(f.read(192))
        head[8:10] = struct.pack("<H", 9)
        head[12:16] = bytes(4)
        head[12:16] = struct.pack("<I", crc32c(head))
        f.seek(0)
        f.write(head)
    leader.launch()
    contains(leader.ended(1), os.path.basename(path), "newer format", "use a newer build")


@test
def ten_clients_and_two_followers_agree_while_all_write_at_once(world):
    leader, followers = start_three(world)
    rng = random.Random(tm.seed())
    work = [signals(random.Random(rng.random()), 500, PAST_MS) for _ in range(10)]
    troubles = []

    def writer(commands):
        try:
            with leader.connect() as c:
                for command in commands:
                    c.call(*command)
        except Exception as e:  # shown below, in the main thread
            troubles.append(e)

    threads = [threading.Thread(target=writer, args=(w,)) for w in work]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal(troubles, [])
    check_same(leader, followers)


tm.main()
