"""A log that another history replaced, with real processes: the deposed leader follows again by one
command, what it gave up is in quarantine/ and can be read there, and what was committed is kept
until an operator says otherwise."""
import glob
import json
import os
import shutil
import signal
import time

import tm
from tm import check, contains, equal, test, until


def views(node, count, item="a"):
    with node.connect() as c:
        for _ in range(count):
            c.call("SIGNAL", "view", item)


def count(node, item="a"):
    return node.call("COUNT", "view", item, "all")


def events(node, kind):
    return [e["text"] for e in node.status_json()["events"] if e["kind"] == kind]


@test
def a_deposed_leader_follows_again_and_its_tail_can_be_read(world):
    a = world.start("a")
    b = world.start("b", follow=a.replication)
    views(a, 20)
    tm.wait_equal(a, b)
    time.sleep(1.2)  # b's last acknowledgement has reached a, and its heartbeat b
    b.kill()
    views(a, 7, "lost")  # local writes that nobody else has
    a.kill()
    b.start()
    b.call("PROMOTE", "FORCE")
    views(b, 5, "b")
    b.stop()
    b.follow = None
    b.start()  # one more epoch: the old leader's next one is below it
    a.start()
    with a.connect() as client:  # stays connected over all of it
        # It may have met the later epoch already, and follow by itself.
        until("a follows b", lambda: a.call("FOLLOW", b.replication) == "OK")
        until("a gave its tail up", lambda: count(a, "lost") == 0)
        equal(client.call("COUNT", "view", "a", "all"), 20)
    tm.wait_equal(b, a)
    equal(count(a, "b"), 5)
    contains(" ".join(events(a, "truncation")), "gave up records", "quarantine/")
    contains(" ".join(events(b, "resync")), "was told to cut its log back", "the histories part")
    tail = sorted(glob.glob(os.path.join(a.dir, "quarantine", "*.seg")))[0]
    lines = world.run("log", "inspect", tail, "--records", "--json", code=0).stdout.splitlines()
    lost = [json.loads(line) for line in lines]
    equal(sum(r["kind"] == "signal" and "lost" in r["text"] for r in lost), 7)
    contains(world.run("log", "inspect", tail, code=0).stdout, "sealed", os.path.basename(tail))
    told = a.status_json()["quarantine"]
    equal((told["files"], len(told["newest"])), (1, 1))
    listed = told["newest"][0]
    equal((listed["name"], listed["kind"], listed["bytes"]), (os.path.basename(tail), "replaced", os.path.getsize(tail)))
    equal((listed["first_seqno"], listed["last_seqno"]), (lost[0]["seqno"], lost[-1]["seqno"]))
    equal(listed["records"], len(lost))
    check(listed["epoch"] > 0, "%s", listed)
    contains(world.run("status", "--to", a.data, code=0).stdout, "quarantine  1 file,", listed["name"], "replaced")
    world.run("log", "verify", a.dir, code=0)
    plan = json.loads(world.run("plan", "resume", "a", "--to", b.data, "--json", code=0).stdout)
    equal(plan["path"], "continue")
    a.kill()  # and it comes back as what it is now
    a.start()
    views(b, 1, "b")
    tm.wait_equal(b, a)
    equal(len(events(a, "truncation")), 0)


@test
def committed_records_are_given_up_only_on_an_operators_word(world):
    """The leader's directory was put back from an old copy while its follower, which holds what is
    missing, did not answer."""
    leader = world.start("leader")
    f = world.start("f", follow=leader.replication)
    views(leader, 10)
    tm.wait_equal(leader, f)
    leader.stop()
    shutil.copytree(leader.dir, world.path("copy"))
    leader.start()
    views(leader, 10)
    tm.wait_equal(leader, f)
    time.sleep(1.5)  # two heartbeats: the follower hears that they are committed
    leader.kill()
    f.signal(signal.SIGSTOP)
    shutil.rmtree(leader.dir)
    shutil.copytree(world.path("copy"), leader.dir)
    leader.start()
    until("it leads", lambda: leader.call("SIGNAL", "view", "alone"))
    f.signal(signal.SIGCONT)
    until("f refuses", lambda: "were committed" in f.log())
    equal(count(f), 20)
    held = f.call("POSITION")
    old = held.split("-")
    wrong = "-".join([old[0], str(int(old[1]) - 1), old[2]])
    contains(str(f.error("FOLLOW", leader.replication, "ACCEPT-LOSS", "EXPECT", wrong)), "POSITION")
    equal(count(f), 20)
    equal(f.call("FOLLOW", leader.replication, "ACCEPT-LOSS", "EXPECT", held), "OK")
    until("f gave them up", lambda: count(f) == 10)
    tm.wait_equal(leader, f)
    check(glob.glob(os.path.join(f.dir, "quarantine", "*.seg")), "they are nowhere")


if __name__ == "__main__":
    tm.main()
