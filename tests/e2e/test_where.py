#!/usr/bin/python3
"""WHERE over so many items that answers are made beside the loop, while tags come and go: every answer
is that of one moment."""
import random
import threading

import tm
from tm import check, equal, test

ITEMS = 12_000  # times the types is far more than what is answered at once
BASE_MS = 1_700_000_000_000


def load(client):
    for words in (["shelf", "tag"], ["spot", "tag"], ["year", "num"]):
        client.call("SCHEMA.FIELD", *words)
    commands = []
    for i in range(ITEMS):
        commands.append(["ITEM.PUT", "item:%d" % i, "AT", str(BASE_MS + i), "shelf", "abc"[i % 3], "year", str(i % 50)])
        commands.append(["SIGNAL", "view", "item:%d" % i, "AT", str(BASE_MS + i)])
    for words, reply in zip(commands, client.pipe(commands)):
        check(not isinstance(reply, tm.Refused), "%s: %s", words, reply)


def keys(client, *words):
    return [key for key, _ in tm.pairs(client.call("RETRIEVE", *words))["items"]]


@test
def long_answers_are_filtered_like_short_ones(world):
    node = world.start("one")
    client = node.connect()
    load(client)
    newest_first = range(ITEMS - 1, -1, -1)
    wanted = ["item:%d" % i for i in newest_first if i % 3 == 1 and i % 50 >= 10][:1000]
    before = node.metrics().of("tidemark_scans_total")
    for profile in ("new", "top", "hot", "most_viewed", "decayed:view"):  # all events weigh the same: newest first
        equal(keys(client, profile, "WHERE", 'shelf = "b" and year >= 10', "LIMIT", "1000"), wanted, profile)
        equal(keys(client, profile, "WHERE", 'shelf = "d"', "LIMIT", "1000"), [], profile)
    check(node.metrics().of("tidemark_scans_total") >= before + 4, "answers were not made beside the loop")


@test
def an_answer_never_mixes_two_moments(world):
    """Two items swap a tag, in one record. The tag that one gives up is nobody's for a moment inside
    of it, so that its number can go to another one: an answer must not be fooled by that."""
    node = world.start("one")
    with node.connect() as c:
        load(c)
    stop = threading.Event()
    trouble = []
    swaps = [0]

    def swap():
        rng = random.Random(tm.seed(1))
        with node.connect() as c:
            while not stop.is_set():
                n = swaps[0]
                pair = ["item:7", "item:%d" % (ITEMS - 7)]
                has, hasnt = pair if n % 2 == 0 else reversed(pair)
                first = ["ITEM.PUT", hasnt, "spot", "other-%d" % rng.randrange(1000)]
                second = ["ITEM.PUT", has, "spot", "x,y"]
                replies = c.pipe([["MULTI"], first, second, ["EXEC"]])
                if any(isinstance(r, tm.Refused) for r in replies):
                    trouble.append(replies)
                    return
                swaps[0] += 1

    writer = threading.Thread(target=swap)
    writer.start()
    try:
        tm.until("tags are swapped", lambda: swaps[0] > 2 or trouble)
        with node.connect() as c:
            reads = 0
            while (reads < 400 or swaps[0] < 100) and not trouble:
                reads += 1
                found = keys(c, "top", "WHERE", 'spot = "x"')
                equal(len(found), 1, "items with the tag: %s" % found)
                found = keys(c, "top", "WHERE", 'spot != "x" and spot != "y"')
                equal(len(found), 1, "items without it: %s" % found)
    finally:
        stop.set()
        writer.join()
    check(not trouble, "%s", trouble)
    print("    %d swaps meanwhile" % swaps[0])


if __name__ == "__main__":
    tm.main()
