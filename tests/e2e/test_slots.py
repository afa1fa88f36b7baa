"""Slots as an operator meets them: what they hold back, told before it happens."""
import json
import time

import tm
from tm import check, contains, equal, test, until

SMALL = ("--segment-size", "256KiB", "--checkpoint-log-bytes", "512KiB", "--mark-interval", "50ms", "--retain-segments", "2")


@test
def plan_prune_names_what_each_slot_holds_back(world):
    leader = world.start("leader", *SMALL)
    f = world.start("f", *SMALL, follow=leader.replication)
    until("f is there", lambda: leader.metrics().of("tidemark_replication_connected", follower="f") == 1)
    f.stop()
    with leader.connect() as c:
        for _ in range(20):
            c.pipe([["SIGNAL", "view", "item:%d" % i] for i in range(2000)])
    plan = json.loads(world.run("plan", "prune", "--to", leader.data, "--json", code=0).stdout)
    equal(plan["what"], "prune")
    equal(plan["facts"]["slot.f.state"], "inactive")
    check(plan["facts"]["slot.f.held_bytes"] > 256 * 1024, "%r", plan)
    check(plan["facts"]["floor"] <= plan["facts"]["slot.f.restart"] + 1, "%r", plan)
    contains(world.run("plan", "prune", "--to", leader.data, code=0).stdout, plan["path"], "slot.f.held_bytes")
    wrong = world.run("plan", "lunch", "--to", leader.data, code=1)
    contains(wrong.stderr, "there is no plan 'lunch'; known are: prune")


def slot(leader, name):
    return next((f for f in map(tm.pairs, leader.call("SLOT.LIST")) if f["id"] == name), None)


def load(leader, is_enough, patience_s=60):
    end = time.monotonic() + patience_s
    with leader.connect() as c:
        while not is_enough():
            check(time.monotonic() < end, "in vain: %r", leader.call("SLOT.LIST"))
            for reply in c.pipe([["SIGNAL", "view", "item:%d" % (i % 50)] for i in range(2000)]):
                check(isinstance(reply, str), "%r", reply)


@test
def a_follower_that_stays_away_is_told_of_then_lost_and_the_log_goes(world):
    leader = world.start("leader", *SMALL, "--slot-budget-bytes", "2MiB")
    away = world.start("away", *SMALL, follow=leader.replication)
    here = world.start("here", *SMALL, follow=leader.replication)
    until("both are there", lambda: slot(leader, "away") and slot(leader, "here"))
    away.stop()
    load(leader, lambda: slot(leader, "away")["state"] == "at_risk")
    s = slot(leader, "away")
    check(0 < s["safe_bytes"] <= 512 * 1024, "%r", s)
    check(float(s["seconds_until_lost"]) < 3600, "%r", s)
    equal(s["budget_bytes"], 2 << 20)
    restart = s["restart"]
    load(leader, lambda: slot(leader, "away")["state"] == "lost")
    equal(slot(leader, "away")["reason"], "horizon_bytes")
    until("both are told", lambda: "slot away is at risk" in leader.log() and
          "slot away is lost (horizon_bytes)" in leader.log())
    load(leader, lambda: leader.metrics().of("tidemark_log_oldest_seqno") > restart)
    leader.kill()  # what was told is on disk
    leader.start()
    until("away has its slot again", lambda: slot(leader, "away"))
    equal(slot(leader, "away")["state"], "lost")
    until("here goes on", lambda: slot(leader, "here")["state"] == "streaming")
    tm.wait_equal(leader, here)


@test
def idle_time_counts_over_restarts_and_config_set_changes_the_limit(world):
    leader = world.start("leader", "--slot-idle-timeout", "1h")
    f = world.start("f", follow=leader.replication)
    until("f is there", lambda: slot(leader, "f"))
    f.stop()
    until("it is idle", lambda: slot(leader, "f")["idle_ms"] > 1500)
    leader.stop()
    leader.start()
    until("f has its slot again", lambda: slot(leader, "f"))
    check(slot(leader, "f")["idle_ms"] >= 1500, "%r", slot(leader, "f"))
    equal(leader.call("CONFIG", "SET", "slot_idle_timeout", "3s"), "OK")
    until("it is lost", lambda: slot(leader, "f")["state"] == "lost")
    equal(slot(leader, "f")["reason"], "idle")


@test
def slots_are_listed_dropped_and_renamed(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader.replication)
    g = world.start("g", follow=leader.replication)
    until("both are there", lambda: slot(leader, "f") and slot(leader, "g"))
    with leader.connect() as c:
        c.pipe([["SIGNAL", "view", "a"]] * 100)
    rows = json.loads(world.run("slot", "list", "--to", leader.data, "--json", code=0).stdout)
    equal(sorted(row["id"] for row in rows), ["f", "g"])
    listed = world.run("slot", "list", "--to", leader.data, code=0).stdout
    contains(listed, "id", "f", "g", "streaming")
    for line in listed.splitlines()[1:]:
        check(line.split()[-2:] == ["-", "-"], "a slot that is well has a reason or an end: %s", line)
    contains(leader.error("SLOT.RENAME", "g", "h"), "g is connected under this id")
    contains(world.run("slot", "drop", "x", "--to", leader.data, code=1).stderr, "there is no slot 'x'")
    # a dropped one leaves, and one that runs comes back as a new follower
    g.stop()
    world.run("slot", "drop", "g", "--to", leader.data, code=0)
    equal(slot(leader, "g"), None)
    # one that waits for the dropped slot's copy is answered
    f.stop()
    with leader.connect() as c:
        c.call("SIGNAL", "view", "a")
        world.run("slot", "rename", "f", "f2", "--to", leader.data, code=0)
    equal([row["id"] for row in map(tm.pairs, leader.call("SLOT.LIST"))], ["f2"])
    leader.kill()
    leader.start()
    equal([row["id"] for row in map(tm.pairs, leader.call("SLOT.LIST"))], ["f2"])
    g.start()
    until("g is back", lambda: slot(leader, "g"))
    tm.wait_equal(leader, g)
    contains(g.error("SLOT.DROP", "f2"), "NOTFOUND")  # its own are of those that follow it


@test
def dropping_the_last_obstacle_moves_committed_on(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader.replication)
    until("f is there", lambda: slot(leader, "f"))
    f.stop()
    token = leader.call("SIGNAL", "view", "a")
    seqno = int(token.split("-")[1])
    check(leader.status()["committed"] < seqno, "%r", leader.status())
    leader.call("SLOT.DROP", "f")
    check(leader.status()["committed"] >= seqno, "%r", leader.status())


@test
def a_follower_keeps_log_for_the_others(world):
    leader = world.start("leader", *SMALL)
    away = world.start("away", *SMALL, follow=leader.replication)
    here = world.start("here", *SMALL, follow=leader.replication)
    load(leader, lambda: leader.metrics().of("tidemark_log_oldest_seqno") > 1)
    until("both have it", lambda: slot(leader, "away") and slot(leader, "here"))
    away.stop()
    restart = slot(leader, "away")["restart"]
    for _ in range(30):
        load(leader, lambda: True)
        with leader.connect() as c:
            c.pipe([["SIGNAL", "view", "item:%d" % (i % 50)] for i in range(2000)])
    tm.wait_equal(leader, here)
    plan = json.loads(world.run("plan", "prune", "--to", here.data, "--json", code=0).stdout)
    check(plan["facts"]["floor"] <= restart + 1, "%r, away may ask for %d", plan, restart)
    check(here.metrics().of("tidemark_log_oldest_seqno") <= restart + 1, "pruned what away may ask for")
    leader.call("SLOT.DROP", "away")
    before = here.metrics().of("tidemark_log_oldest_seqno")
    load(leader, lambda: here.metrics().of("tidemark_log_oldest_seqno") > max(before, restart + 1))


@test
def a_new_leader_keeps_log_for_every_member_it_knows(world):
    old = world.start("old")
    new = world.start("new", follow=old.replication)
    third = world.start("third", follow=old.replication)
    with old.connect() as c:
        c.pipe([["SIGNAL", "view", "item:%d" % (i % 50)] for i in range(2000)])
    tm.wait_equal(old, new, third)
    until("new knows all members", lambda: "third" in str(new.call("TOPOLOGY")) and "old" in str(new.call("TOPOLOGY")))
    third.stop()
    old.kill()
    new.call("PROMOTE", "FORCE")
    slots = {s["id"]: s for s in map(tm.pairs, new.call("SLOT.LIST"))}
    equal(sorted(slots), ["old", "third"])
    equal({s["state"] for s in slots.values()}, {"inactive"})
    floor = new.metrics().of("tidemark_log_retention_floor_seqno")
    check(floor <= slots["third"]["restart"] + 1, "the floor is %r, third may ask for %r", floor, slots["third"])
    contains(new.log() if "members have a slot" in new.log() else until(
        "it is told", lambda: "members have a slot" in new.log() and new.log()), "2 members have a slot")
    new.call("SLOT.DROP", "old")
    until("old is no member", lambda: "old" not in [m["id"] for m in new.status_json()["followers"]])


if __name__ == "__main__":
    tm.main()
