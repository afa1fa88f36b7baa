#!/usr/bin/python3
"""Paging while somebody writes as fast as 10,000 signals a second: no item comes twice in a listing,
and where the order of an item cannot change, none is missed either."""
import multiprocessing
import random
import time

import tm
from tm import check, equal, test

ITEMS = 3000
PAGES = 1000
LIMIT = 20
PAUSE_S = 0.002  # between pages, as long as a reader looks at one
RATE_PER_S = 10_000
BURST = 200  # commands sent at once, every BURST / RATE_PER_S seconds
TYPES = ["view", "view", "view", "click", "share", "skip"]
LISTINGS = [  # words of the request
    ["new"],
    ["new", "WHERE", "shelf in (\"a\", \"b\") and not hidden"],
    ["top"],
    ["most_viewed", "WHERE", "year >= 2010"],
    ["hot"],
    ["hot", "WHERE", "not hidden"],
    ["best"],
    ["controversial"],
    ["trending"],
    ["rising", "WHERE", "shelf != \"a\""],
    ["decayed:view"],
    ["decayed:view", "WHERE", "shelf = \"c\" or hidden"],
    ["decayed:skip"],
]


def key_of(i):
    return "item:%d" % i


def shelf_of(i):
    return "abc"[i % 3]


def write(address, seed, stop, written):
    """Signals in bursts, on a schedule: a burst that is late is followed by the next at once."""
    rng = random.Random(seed)
    bursts = [b"".join(tm.pack(["SIGNAL", rng.choice(TYPES), key_of(int(rng.expovariate(3 / ITEMS)) % (ITEMS * 2)), "W",
                                rng.choice(["1", "2", "0.5"])]) for _ in range(BURST)) for _ in range(50)]
    with tm.Client(address) as c:
        due = time.monotonic()
        while not stop.is_set():
            c.socket.sendall(rng.choice(bursts))
            for _ in range(BURST):
                reply = c.read_any()
                assert not isinstance(reply, tm.Refused), reply
            with written.get_lock():
                written.value += BURST
            due += BURST / RATE_PER_S
            if due > time.monotonic():
                time.sleep(due - time.monotonic())


def load(node):
    with node.connect() as c:
        for words in (["shelf", "tag"], ["hidden", "num"], ["year", "num"]):
            c.call("SCHEMA.FIELD", *words)
        now = int(time.time() * 1000)
        commands = []
        for i in range(ITEMS):
            commands.append(["ITEM.PUT", key_of(i), "AT", str(now - 1000 * (i // 7) - 60_000), "shelf", shelf_of(i), "hidden",
                             str(int(i % 5 == 0)), "year", str(2000 + i % 20)])
            commands.append(["SIGNALS", "2", "view", key_of(i), "1", "share", key_of(i), "3"])
        for words, reply in zip(commands, c.pipe(commands)):
            check(not isinstance(reply, tm.Refused), "%s: %s", words, reply)


def listing(client, words, pages_left):
    """Pages of one listing up to its end, at most so many; (keys, pages, whether the end came)."""
    keys, cursor, count = [], None, 0
    while count < pages_left:
        answer = tm.pairs(client.call("RETRIEVE", *words, "LIMIT", str(LIMIT), *(["CURSOR", cursor] if cursor else [])))
        keys += [key for key, _ in answer["items"]]
        cursor = answer["cursor"]
        count += 1
        if cursor is None:
            return keys, count, True
        time.sleep(PAUSE_S)
    return keys, count, False


def judge(words, keys, is_whole):
    equal(len(keys), len(set(keys)), "%s: keys that differ" % words)
    if words[0] != "new" or not is_whole:
        return
    # created_at and fields of the items that were put do not change: each must have come.
    wanted = range(ITEMS)
    if len(words) > 1:
        wanted = [i for i in wanted if shelf_of(i) in "ab" and i % 5 != 0]
    missing = {key_of(i) for i in wanted} - set(keys)
    check(not missing, "%s: %d items never came, such as %s", words, len(missing), sorted(missing)[:3])
    if len(words) > 1:
        equal(len(keys), len(wanted), "%s: items" % words)


@test
def a_thousand_pages_under_writes_never_repeat_an_item(world):
    node = world.start("one")
    load(node)
    stop = multiprocessing.Event()
    written = multiprocessing.Value("Q", 0)
    writer = multiprocessing.Process(target=write, args=(node.data, tm.seed(1), stop, written), daemon=True)
    writer.start()
    world.at_end.append(writer.kill)
    tm.until("the writer writes", lambda: written.value > 0)
    started, before, page_count, listings = time.monotonic(), written.value, 0, 0
    client = node.connect(3)
    while page_count < PAGES or listings < len(LISTINGS):
        words = LISTINGS[listings % len(LISTINGS)]
        keys, pages, is_whole = listing(client, words, 250)
        judge(words, keys, is_whole)
        page_count += pages
        listings += 1
        check(writer.is_alive(), "the writer ended")
    seconds = time.monotonic() - started
    rate = (written.value - before) / seconds
    stop.set()
    writer.join(tm.PATIENCE_S)
    equal(writer.exitcode, 0, "the writer's end")
    print("    %d pages of %d listings in %.1f s, beside %.0f writes/s (wanted %d)"
          % (page_count, listings, seconds, rate, RATE_PER_S))
    check(rate > 0, "nothing was written meanwhile")


if __name__ == "__main__":
    tm.main()
