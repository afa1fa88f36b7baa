#!/usr/bin/python3
"""Items, users and creators: what was put comes back byte for byte on leader and followers, in both
protocols, after restarts; deleted items are in no listing; puts inside MULTI are one record."""
import random

import tm
from tm import check, equal, test

CREATED_MS = "1700000000000"


def fields_of(node, *words, proto=2):
    with node.connect(proto=proto) as c:
        answer = c.call(*words)
    return answer if isinstance(answer, dict) else tm.pairs(answer)


@test
def what_was_put_comes_back_on_every_node(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    odd = "\t spaces, commas and 'quotes' \x01 "
    leader.call("ITEM.PUT", "a", "CREATOR", "carol", "AT", CREATED_MS, "title", odd, "year", "0020.50", "empty", "")
    leader.call("item.put", "a", "UNSET", "1", "empty", "lang", "en")
    leader.call("USER.PUT", "a", "name", "Ada")
    leader.call("CREATOR.PUT", "carol", "FIELDS", "level", "7")
    leader.call("SIGNAL", "view", "b")
    tm.wait_equal(leader, follower)
    for node in (leader, follower):
        for proto in (2, 3):
            equal(fields_of(node, "ITEM.GET", "a", proto=proto),
                  {"creator": "carol", "created_at": CREATED_MS, "lang": "en", "title": odd, "year": "0020.50"})
            user = fields_of(node, "USER.GET", "a", proto=proto)
            equal(sorted(user), ["created_at", "name"])
            equal(user["name"], "Ada")
            equal(fields_of(node, "CREATOR.GET", "carol", proto=proto)["level"], "7")
            equal(sorted(fields_of(node, "ITEM.GET", "b", proto=proto)), ["created_at"])
            equal(fields_of(node, "ITEM.GET", "unknown", proto=proto), {})
        equal(node.call("ITEM.GET", "a", "year", "missing", "creator", "created_at"),
              ["0020.50", None, "carol", CREATED_MS])
        equal(node.call("ITEM.GET", "unknown", "year", "created_at"), [None, None])
    for words in (["ITEM.PUT", "x", "a", "b"], ["ITEM.DEL", "a"], ["USER.PUT", "x"], ["CREATOR.PUT", "x"]):
        check(follower.error(*words).startswith("READONLY "), "%s was taken by a follower", words[0])


@test
def declared_fields_are_judged_and_found(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    leader.call("ITEM.PUT", "before", "year", "1999", "topic", "sea,tide")
    for name, kind in (("year", "num"), ("topic", "tag"), ("seen", "time")):
        leader.call("SCHEMA.FIELD", name, kind)
    leader.call("ITEM.PUT", "a", "year", "2020", "topic", "sea,light blue", "seen", CREATED_MS)
    check(leader.error("ITEM.PUT", "a", "year", "soon").startswith('SCHEMA field "year"'), "a bad number was taken")
    check(leader.error("ITEM.PUT", "a", "seen", "2020-01-01").startswith('SCHEMA field "seen"'), "a bad time was taken")
    check(leader.error("ITEM.PUT", "a", "topic", "a,,b").startswith('SCHEMA field "topic"'), "an empty tag was taken")
    tm.wait_equal(leader, follower)
    for node in (leader, follower):
        equal(node.call("ITEM.GET", "a", "year", "topic", "seen"), ["2020", "sea,light blue", CREATED_MS])
        equal(node.call("ITEM.GET", "before", "year", "topic"), ["1999", "sea,tide"])


@test
def where_finds_what_was_put(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    leader.call("ITEM.PUT", "before", "CREATOR", "carol", "year", "1999", "topic", "sea,tide")
    leader.call("SCHEMA.FIELD", "year", "num")
    leader.call("SCHEMA.FIELD", "topic", "tag")
    leader.call("ITEM.PUT", "a", "year", "2020", "topic", "sea,light blue")
    leader.call("ITEM.PUT", "b", "CREATOR", "carol", "year", "1.5")
    leader.call("SCHEMA.FIELD", "nsfw", "num")
    leader.call("ITEM.PUT", "b", "nsfw", "true")
    leader.call("ITEM.PUT", "a", "nsfw", "false")
    leader.call("ITEM.PUT", "gone", "year", "2021", "topic", "sea")
    leader.call("ITEM.DEL", "gone")
    tm.wait_equal(leader, follower)

    def keys(node, where):
        return sorted(row[0] for row in tm.pairs(node.call("RETRIEVE", "new", "WHERE", where))["items"])

    def judge(node):
        equal(keys(node, 'topic = "sea"'), ["a", "before"])
        equal(keys(node, "year >= 1999"), ["a", "before"])
        equal(keys(node, "year < 1999"), ["b"])
        equal(keys(node, "nsfw"), ["b"])
        equal(keys(node, "not nsfw"), ["a", "before"])
        equal(node.call("ITEM.GET", "b", "nsfw"), ["true"])
        equal(keys(node, 'creator = "carol"'), ["b", "before"])
        equal(keys(node, 'topic = "light blue" and year = 2020'), ["a"])

    judge(leader)
    judge(follower)
    leader.call("CHECKPOINT")
    leader.stop()
    leader.start()
    judge(leader)
    leader.call("ITEM.PUT", "a", "UNSET", "1", "topic")
    leader.call("ITEM.PUT", "gone")
    equal(keys(leader, 'topic = "sea"'), ["before"])
    equal(keys(leader, "year >= 1999"), ["a", "before"])


@test
def deleted_items_are_in_no_listing_and_come_back_as_new_ones(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    for i in range(20):
        leader.call("SIGNALS", str(i + 1), *(["view", "item:%02d" % i, "1"] * (i + 1)))
        leader.call("ITEM.PUT", "item:%02d" % i, "n", str(i))
    for i in (19, 17, 5):
        leader.call("ITEM.DEL", "item:%02d" % i)
    leader.call("ITEM.DEL", "never")
    leader.call("SIGNAL", "view", "item:19")  # does not bring it back
    tm.wait_equal(leader, follower)

    def judge(node):
        for profile in ("top", "new", "most_viewed", "hot", "decayed:view"):
            keys = [row[0] for row in tm.pairs(node.call("RETRIEVE", profile, "LIMIT", "100"))["items"]]
            equal(sorted(keys), ["item:%02d" % i for i in range(20) if i not in (19, 17, 5)], profile)
        equal(node.call("ITEM.GET", "item:19"), [])
        equal(node.call("DBSIZE"), 17)
        equal(node.call("COUNT", "view", "item:19", "all"), 21)

    judge(leader)
    judge(follower)
    leader.call("CHECKPOINT")
    leader.stop()
    leader.start()
    judge(leader)
    leader.call("ITEM.PUT", "item:19", "AT", CREATED_MS, "m", "x")
    tm.wait_equal(leader, follower)
    for node in (leader, follower):
        equal(fields_of(node, "ITEM.GET", "item:19"), {"created_at": CREATED_MS, "m": "x"})
        equal(node.call("DBSIZE"), 18)
        equal(tm.pairs(node.call("RETRIEVE", "top", "LIMIT", "1"))["items"][0][0], "item:19")


@test
def puts_inside_multi_are_one_record(world):
    leader = world.start("leader")
    leader.call("ITEM.PUT", "old", "a", "1")
    with leader.connect() as c:
        c.call("MULTI")
        for words in (["ITEM.PUT", "x", "KEY", "k1", "title", "T"], ["SIGNAL", "view", "x"], ["ITEM.DEL", "old"],
                      ["USER.PUT", "u", "name", "Ada"], ["ITEM.GET", "x", "title"]):
            equal(c.call(*words), "QUEUED")
        replies = c.call("EXEC")
        equal(len(set(replies[:4])), 1)
        equal(replies[4], ["T"])
        c.call("MULTI")
        c.call("ITEM.PUT", "y", "created_at", "5")
        c.call("SIGNAL", "view", "y")
        refused = c.call("EXEC")
        check(all(isinstance(r, tm.Refused) for r in refused), "a part of a refused MULTI was done: %s", refused)
    equal(leader.call("ITEM.GET", "y"), [])
    equal(leader.call("ITEM.GET", "old"), [])
    equal(leader.call("COUNT", "view", "x", "all"), 1)
    token = leader.call("ITEM.PUT", "x", "KEY", "k1", "title", "other")
    equal(token, replies[0])
    equal(leader.call("ITEM.GET", "x", "title"), ["T"])


@test
def random_puts_equal_a_dictionary_on_every_node_and_after_kill(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    rng = random.Random(tm.seed(7))
    model = {}
    for round_number in range(6):
        commands = []
        for _ in range(300):
            key = "i%d" % rng.randrange(60)
            if rng.randrange(8) == 0:
                commands.append(["ITEM.DEL", key])
                model.pop(key, None)
                continue
            item = model.setdefault(key, {})
            words = ["ITEM.PUT", key]
            gone = [name for name in "abcde" if rng.randrange(6) == 0]
            if gone:
                words += ["UNSET", str(len(gone))] + gone
            words.append("FIELDS")
            for name in "abcde":
                if name not in gone and rng.randrange(2):
                    item[name] = "v" * rng.randrange(200) + str(rng.randrange(1000))
                    words += [name, item[name]]
            for name in gone:
                item.pop(name, None)
            commands.append(words)
        with leader.connect() as c:
            for reply in c.pipe(commands):
                check(not isinstance(reply, tm.Refused), "%s", reply)
        if round_number == 2:
            leader.call("CHECKPOINT")
        if round_number in (3, 4):
            leader.kill()
            leader.start()
        tm.wait_equal(leader, follower)
        for node in (leader, follower):
            with node.connect() as c:
                answers = c.pipe([["ITEM.GET", "i%d" % i] for i in range(60)])
            for i, answer in enumerate(answers):
                got = tm.pairs(answer)
                equal(got.pop("created_at", None) is not None, "i%d" % i in model)
                equal(got, model.get("i%d" % i, {}), "i%d on %s" % (i, node.name))


tm.main()
