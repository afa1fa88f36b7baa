"""Slots as an operator meets them: what they hold back, told before it happens."""
import json

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


if __name__ == "__main__":
    tm.main()
