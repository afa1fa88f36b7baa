#!/usr/bin/python3
"""RETRIEVE on a leader and its followers: every profile answers alike at one position with equal NOW,
terms add up, and a listing begun on one node goes on at another."""
import random

import tm
from tm import check, contains, equal, test

PAST_MS = 1_780_000_000_000  # of events
NOW_MS = 1_900_000_000_000  # of reads, the same for all nodes
PROFILES = ["new", "top", "hot", "best", "controversial", "most_viewed", "decayed:view", "decayed:share"]
TRENDS = ["trending", "rising"]  # of the last hour
TYPES = ["view", "view", "view", "click", "share", "skip"]


def load(leader, rng, count):
    commands = [["SIGNAL", rng.choice(TYPES), "item:%d" % (rng.randrange(300) * rng.randrange(2) + rng.randrange(30)),
                 "AT", str(PAST_MS - rng.randrange(86400_000))] for _ in range(count)]
    with leader.connect() as c:
        for reply in c.pipe(commands):
            check(not isinstance(reply, tm.Refused), "%s", reply)


def listing(nodes, profile, limit, between=None):
    """All keys of a profile, each page from the next node in turn."""
    keys, cursor, page = [], None, 0
    while cursor or page == 0:
        words = ["RETRIEVE", profile, "LIMIT", str(limit)] + (["CURSOR", cursor] if cursor else ["NOW", str(NOW_MS)])
        answer = tm.pairs(nodes[page % len(nodes)].call(*words))
        keys += [row[0] for row in answer["items"]]
        cursor = answer["cursor"]
        page += 1
        if between:
            between(keys)
    return keys


@test
def every_profile_answers_alike_on_every_node(world):
    leader = world.start("leader")
    followers = [world.start("f%d" % i, follow=leader) for i in (1, 2)]
    rng = random.Random(tm.seed(1))
    load(leader, rng, 3000)
    now = int(tm.time.time() * 1000)
    for i in range(30):
        leader.call("SIGNALS", str(i + 1), *(["view", "trend:%d" % i, "1"] * (i + 1)))
    tm.wait_equal(leader, *followers)
    for profile in TRENDS:
        words = ["RETRIEVE", profile, "NOW", str(now), "EXPLAIN"]
        wanted = tm.pairs(leader.call(*words))["items"]
        equal([row[0] for row in wanted[:3]], ["trend:29", "trend:28", "trend:27"], profile)
        for f in followers:
            equal(tm.pairs(f.call(*words))["items"], wanted, "%s on %s" % (profile, f.name))
    for profile in PROFILES:
        words = ["RETRIEVE", profile, "LIMIT", "100", "NOW", str(NOW_MS), "EXCLUDE", "1", "item:3", "EXPLAIN"]
        wanted = tm.pairs(leader.call(*words))
        check(len(wanted["items"]) == 100, "%s has %d items", profile, len(wanted["items"]))
        check("item:3" not in [row[0] for row in wanted["items"]], "an excluded item came")
        for key, score, terms in wanted["items"]:
            total = float(terms[1])
            for value in terms[3::2]:
                total += float(value)
            equal(total, float(score), "terms of %s in %s" % (key, profile))
        for f in followers:
            got = tm.pairs(f.call(*words))
            for name in ("items", "cursor", "position"):
                equal(got[name], wanted[name], "%s of %s on %s" % (name, profile, f.name))


@test
def a_listing_goes_on_at_any_node(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    rng = random.Random(tm.seed(2))
    load(leader, rng, 2000)
    tm.wait_equal(leader, follower)
    for profile in PROFILES:
        whole = listing([leader], profile, 1000)
        equal(listing([leader, follower], profile, 17), whole, profile)

    def write(keys):
        load(leader, rng, 20)
        leader.call("SIGNAL", "skip", keys[0])
        tm.wait_equal(leader, follower)

    for profile in ("hot", "decayed:view"):
        keys = listing([follower, leader], profile, 40, write)
        equal(len(keys), len(set(keys)), "items of %s that came" % profile)


@test
def wrong_cursors_are_refused_by_name(world):
    node = world.start("n1")
    for i in range(20):
        node.call("SIGNAL", "view", "item:%d" % i)
    cursor = tm.pairs(node.call("RETRIEVE", "hot", "LIMIT", "5"))["cursor"]
    contains(node.error("RETRIEVE", "top", "CURSOR", cursor), "ERR", "another profile")
    contains(node.error("RETRIEVE", "hot", "CURSOR", cursor[:-1]), "ERR", "damaged")
    contains(node.error("RETRIEVE", "hot", "CURSOR", cursor, "NOW", str(NOW_MS)), "ERR", "NOW")
    contains(node.error("RETRIEVE", "for_you"), "ERR", "for_you")
    contains(node.error("RETRIEVE", "nonsense"), "SCHEMA", "nonsense", "most_viewed")


tm.main()
