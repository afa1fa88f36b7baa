#!/usr/bin/python3
"""The same events, items and questions to a Tidemark server and to SQLite: counts, decayed scores,
and what RETRIEVE answers with WHERE, EXCLUDE, LIMIT and CURSOR must be the same, on a node that was
restarted from a checkpoint and on its follower.

SQLite gets the rules as queries, not as a copy of the code: a decayed score is a sum of
w * pow(2, -age / H), a window is a comparison of times, WHERE becomes SQL. Where both compute with
doubles, a score may differ by 1e-12 of what was added up; ties are judged by what SQLite says.
"""
import random
import sqlite3

import tm
from tm import check, equal, test

HOUR_MS = 3600_000
DAY_MS = 24 * HOUR_MS
HALFLIFE_MS = 7 * DAY_MS
TOLERANCE = 1e-12
POSITIVE = ["view", "click", "share", "comment", "purchase", "commit", "like", "save"]
NEGATIVE = ["skip", "dislike"]
ONCE = ["like", "save", "dislike"]
WINDOWS = {"1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS}
TOPICS = ["art", "film", "music", "news", 'quo"te', "back\\slash", "it's", ""]
CREATORS = ["ann", "bob", "cy'd"]


class Oracle:
    """The events and items in SQLite."""

    def __init__(self):
        self.db = sqlite3.connect(":memory:")
        self.db.executescript("""
            CREATE TABLE event (type TEXT, item TEXT, at INT, w REAL, user TEXT);
            CREATE TABLE undone (type TEXT, item TEXT, at INT, w REAL, user TEXT);
            CREATE TABLE item (key TEXT PRIMARY KEY, created INT, creator TEXT, year REAL, nsfw REAL,
                               published INT, deleted INT DEFAULT 0);
            CREATE TABLE topic (key TEXT, value TEXT);
            CREATE INDEX by_item ON event (item, type);
            CREATE INDEX topic_of ON topic (key, value);
            CREATE VIEW votes AS SELECT key, created,
                (SELECT count(*) FROM event WHERE item = key AND type IN (%s)) AS p,
                (SELECT count(*) FROM event WHERE item = key AND type IN (%s)) AS n FROM item
                WHERE NOT deleted;
        """ % (quoted(POSITIVE), quoted(NEGATIVE)))

    def rows(self, query, *values):
        return self.db.execute(query, values).fetchall()

    def value(self, query, *values):
        return self.rows(query, *values)[0][0]

    def item(self, key, at):
        """The first record that names an item makes it; its time is the item's."""
        self.db.execute("INSERT OR IGNORE INTO item (key, created) VALUES (?, ?)", (key, at))

    def signal(self, kind, key, at, w, user):
        self.item(key, at)
        once = kind in ONCE
        if once and self.rows("SELECT 1 FROM event WHERE type = ? AND item = ? AND user = ?", kind, key, user):
            return
        self.db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?)", (kind, key, at, w, user))

    def unsignal(self, kind, key, user):
        these = " FROM event WHERE type = ? AND item = ? AND user = ?"
        self.db.execute("INSERT INTO undone SELECT *" + these, (kind, key, user))
        self.db.execute("DELETE" + these, (kind, key, user))

    def put(self, key, at, creator, fields, now):
        if self.rows("SELECT 1 FROM item WHERE key = ? AND deleted", key):
            self.db.execute("""UPDATE item SET deleted = 0, creator = NULL, year = NULL, nsfw = NULL, published = NULL,
                               created = ? WHERE key = ?""", (at or now, key))
            self.db.execute("DELETE FROM topic WHERE key = ?", (key,))
        self.item(key, at or now)
        if at:
            self.db.execute("UPDATE item SET created = ? WHERE key = ?", (at, key))
        if creator:
            self.db.execute("UPDATE item SET creator = ? WHERE key = ?", (creator, key))
        for name, value in fields.items():
            if name == "topic":
                self.db.execute("DELETE FROM topic WHERE key = ?", (key,))
                self.db.executemany("INSERT INTO topic VALUES (?, ?)", [(key, v) for v in value])
            else:
                self.db.execute("UPDATE item SET %s = ? WHERE key = ?" % name, (value, key))

    def delete(self, key):
        self.db.execute("UPDATE item SET deleted = 1 WHERE key = ?", (key,))


def quoted(words):
    return ", ".join("'%s'" % w.replace("'", "''") for w in words)


class Both:
    """Commands for the server on one side, rows of SQLite on the other."""

    def __init__(self, rng, now):
        self.rng = rng
        self.now = now
        self.oracle = Oracle()
        self.commands = []

    def age(self):
        """An age in milliseconds, far enough from where a window ends that the moment of the
        question does not matter."""
        low, high = self.rng.choice([(60_000, 50 * 60_000), (70 * 60_000, 22 * HOUR_MS), (26 * HOUR_MS, 6 * DAY_MS),
                                     (8 * DAY_MS, 60 * DAY_MS)])
        return self.rng.randrange(low, high)

    def signal(self, key):
        kind = self.rng.choice(POSITIVE + NEGATIVE + ["view"] * 5)
        at = self.now - self.age()
        weight = self.rng.choice([1, 1, 1, 2, 0.5, 0.1, -1, 1000.25, 0])
        user = "u%d" % self.rng.randrange(40)
        words = ["SIGNAL", kind, key, "AT", str(at), "W", repr(weight)]
        if kind in ONCE or self.rng.random() < 0.3:
            words += ["USER", user]
        self.commands.append(words)
        self.oracle.signal(kind, key, at, weight, user)

    def unsignal(self, key):
        kind = self.rng.choice(ONCE)
        user = "u%d" % self.rng.randrange(40)
        self.commands.append(["UNSIGNAL", kind, key, "USER", user])
        self.oracle.unsignal(kind, key, user)

    def put(self, key):
        rng = self.rng
        at = self.now - self.age() if rng.random() < 0.5 else None
        creator = rng.choice(CREATORS + [None])
        values = {
            "topic": lambda: rng.sample(TOPICS[:-1], rng.randrange(1, 4)),
            "year": lambda: rng.choice([1999, 2005.5, 2020, 2021, -3]),
            "nsfw": lambda: rng.randrange(2),
            "published": lambda: self.now - rng.randrange(5) * DAY_MS,
        }
        names = [n for n in values if rng.random() < 0.6]
        if not at and not creator and not names:
            names = ["year"]
        fields = {n: values[n]() for n in names}
        # Without AT an item that is new would be as old as the command, which SQLite cannot know.
        if not self.oracle.rows("SELECT 1 FROM item WHERE key = ? AND NOT deleted", key):
            at = at or self.now - self.age()
        words = ["ITEM.PUT", key] + (["CREATOR", creator] if creator else []) + (["AT", str(at)] if at else [])
        for name, value in fields.items():
            words += [name, ",".join(value) if name == "topic" else repr(value)]
        self.commands.append(words)
        self.oracle.put(key, at, creator, fields, self.now)

    def delete(self, key):
        self.commands.append(["ITEM.DEL", key])
        self.oracle.delete(key)

    def fill(self, steps):
        keys = ["item:%d" % i for i in range(300)] + ["k%d" % i for i in range(50)]
        for _ in range(steps):
            key = keys[min(int(self.rng.expovariate(1 / 60)), len(keys) - 1)]
            draw = self.rng.random()
            known = self.oracle.rows("SELECT deleted FROM item WHERE key = ?", key)
            if draw < 0.8:
                self.signal(key)
            elif draw < 0.84 and known:
                self.unsignal(key)
            elif draw < 0.98 or not known:
                self.put(key)
            elif not known[0][0]:
                self.delete(key)


# --- WHERE in both languages ---


def where_text(value):
    return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')


def comparison(rng, now):
    """One condition, as WHERE and as SQL. A comparison with what is missing is false."""
    sign = rng.choice(["=", "!=", "<", "<=", ">", ">="])
    kind = rng.randrange(8)
    if kind == 0:
        value = rng.choice(TOPICS)
        has = "EXISTS (SELECT 1 FROM topic t WHERE t.key = item.key AND value = %s)" % quoted([value])
        if sign == "!=":
            return ("topic != " + where_text(value),
                    "(EXISTS (SELECT 1 FROM topic t WHERE t.key = item.key) AND NOT %s)" % has)
        return "topic = " + where_text(value), has
    if kind == 1:
        values = [rng.choice(TOPICS) for _ in range(rng.randrange(1, 8))]
        return ("topic in (%s)" % ", ".join(map(where_text, values)),
                "EXISTS (SELECT 1 FROM topic t WHERE t.key = item.key AND value IN (%s))" % quoted(values))
    if kind == 2:
        value = rng.choice(CREATORS + ["nobody"])
        sign = rng.choice(["=", "!="])
        return "creator %s %s" % (sign, where_text(value)), "coalesce(creator %s %s, 0)" % (sign, quoted([value]))
    if kind == 3:
        value = rng.choice([1999, 2005.5, 2006, 2020, 2021])
        return "year %s %r" % (sign, value), "coalesce(year %s %r, 0)" % (sign, value)
    if kind == 4:
        values = [rng.choice([1999, 2005.5, 2020, 7]) for _ in range(rng.randrange(1, 7))]
        text = ", ".join(map(repr, values))
        return "year in (%s)" % text, "coalesce(year IN (%s), 0)" % text
    if kind == 5:
        return "nsfw", "coalesce(nsfw <> 0, 0)"
    if kind == 6:
        value = now - rng.randrange(5) * DAY_MS
        return "published %s %d" % (sign, value), "coalesce(published %s %d, 0)" % (sign, value)
    value = now - rng.randrange(40) * DAY_MS
    return "created_at %s %d" % (sign, value), "created %s %d" % (sign, value)


def expression(rng, now, leaves):
    """A tree of conditions; parentheses come where precedence needs them, and sometimes where it does
    not. not binds tighter than and, and tighter than or."""
    parts = [comparison(rng, now) + (3,) for _ in range(leaves)]
    while len(parts) > 1 or rng.random() < 0.3:
        kind = rng.choice(["and", "or", "not"]) if len(parts) > 1 else "not"
        tight = {"or": 0, "and": 1, "not": 2}[kind]
        taken = [parts.pop(rng.randrange(len(parts))) for _ in range(1 if kind == "not" else 2)]
        texts = ["(%s)" % t if own < tight or rng.random() < 0.1 else t for t, _, own in taken]
        if kind == "not":
            parts.append((rng.choice(["not ", "NOT "]) + texts[0], "NOT (%s)" % taken[0][1], tight))
        else:
            parts.append((texts[0] + rng.choice([" %s ", " %s  "]) % rng.choice([kind, kind.upper()]) + texts[1],
                          "(%s) %s (%s)" % (taken[0][1], kind.upper(), taken[1][1]), tight))
    return parts[0][:2]


# --- questions ---

SCORES = {
    "new": "SELECT key, created, created AS score FROM votes",
    "top": "SELECT key, created, p AS score FROM votes WHERE p > 0",
    "most_viewed": """SELECT key, created, (SELECT count(*) FROM event WHERE item = key AND type = 'view') AS score
                      FROM votes WHERE score > 0""",
    "hot": """SELECT key, created, round(sign(p - n) * log10(max(abs(p - n), 1)) + (created - 1134028003000) / 45000000.0,
                                         7) AS score FROM votes""",
    "controversial": """SELECT key, created, CASE WHEN p = 0 OR n = 0 THEN 0.0
                          ELSE pow(p + n, CASE WHEN p < n THEN p * 1.0 / n ELSE n * 1.0 / p END) END AS score
                        FROM votes WHERE p + n > 0""",
    "best": """SELECT key, created, (p + z * z / 2 - z * sqrt(p * 1.0 * n / (p + n) + z * z / 4)) / (p + n + z * z) AS score
               FROM votes, (SELECT 1.281551565545 AS z) WHERE p + n > 0""",
}
# The last column is what was added up and taken back: rounding is judged by that.
DECAYED = """SELECT key, created, sum(w * pow(2, (at - :now) * 1.0 / :h)) AS score,
               (SELECT sum(abs(w) * pow(2, (at - :now) * 1.0 / :h)) FROM (SELECT * FROM event UNION ALL SELECT * FROM undone) e
                WHERE e.item = key AND e.type = :kind)
             FROM votes JOIN event ON item = key WHERE type = :kind GROUP BY key"""


class Listing:
    """What SQLite answers: keys with created_at, score, and how much its doubles may be off."""

    def __init__(self, oracle, profile, condition, excludes, now):
        if profile.startswith("decayed:"):
            rows = oracle.db.execute(DECAYED, {"now": now, "h": HALFLIFE_MS, "kind": profile.split(":")[1]}).fetchall()
        else:
            rows = [row + (abs(row[2]),) for row in oracle.rows(SCORES[profile])]
        passed = {key for key, in oracle.rows("SELECT key FROM item WHERE NOT deleted AND (%s)" % (condition or "1"))}
        self.rows = {row[0]: row[1:] for row in rows if row[0] in passed and row[0] not in excludes}
        order = sorted(self.rows, key=lambda k: (-self.rows[k][1], -self.rows[k][0], k.encode()))
        self.scores = [self.rows[k][1] for k in order]
        self.is_exact = profile in ("new", "top", "most_viewed")
        self.order = order

    def judge(self, answer, what):
        """Rows of the server from the best on."""
        keys = [key for key, _ in answer]
        equal(len(set(keys)), len(keys), "%s: different keys" % what)
        equal(len(keys), len(self.order), "%s: number of items" % what)
        if self.is_exact:
            equal(keys, self.order, what)
        before = None
        for i, (key, text) in enumerate(answer):
            check(key in self.rows, "%s: %s does not belong there", what, key)
            created, score, size = self.rows[key]
            slack = TOLERANCE * max(size, 1e-300)
            check(abs(float(text) - score) <= slack, "%s: %s has %s, SQLite says %r", what, key, text, score)
            # In its place, or in that of something with the same score but for rounding.
            other = self.scores[i]
            check(abs(other - score) <= slack + TOLERANCE * abs(other), "%s: %s is at place %d", what, key, i)
            if before is not None and before[0] == text:
                check((-before[1], before[2]) < (-created, key.encode()), "%s: tie of %s and %s", what, before[2], key)
            before = (text, created, key.encode())


def pages(client, words, limit):
    """All pages of a listing, one after the other."""
    rows, cursor = [], None
    while cursor or not rows:
        more = ["CURSOR", cursor] if cursor else []
        answer = tm.pairs(client.call(*words, "LIMIT", str(limit), *more))
        rows += answer["items"]
        cursor = answer["cursor"]
        if not answer["items"]:
            break
    return rows


def prepare(world, rng, steps):
    node = world.start("one")
    client = node.connect()
    for words in (["topic", "tag"], ["year", "num"], ["nsfw", "num"]):
        client.call("SCHEMA.FIELD", *words)
    both = Both(rng, int(tm.time.time() * 1000))
    both.fill(steps)
    half = len(both.commands) // 2  # one field is declared when items have it already
    for part in (both.commands[:half], [["SCHEMA.FIELD", "published", "time"]], both.commands[half:]):
        for words, reply in zip(part, client.pipe(part)):
            check(not isinstance(reply, tm.Refused), "%s: %s", words, reply)
    return node, client, both


@test
def counts_and_scores_are_those_of_sqlite(world):
    rng = random.Random(tm.seed(1))
    _, client, both = prepare(world, rng, 6000)
    oracle = both.oracle
    keys = [key for key, in oracle.rows("SELECT key FROM item")] + ["unheard-of"]
    at = both.now + 12345
    questions = []
    for kind in POSITIVE + NEGATIVE:
        for key in rng.sample(keys, 60):
            for window, span in list(WINDOWS.items()) + [("all", 10 ** 15)]:
                wanted = oracle.value("SELECT count(*) FROM event WHERE type = ? AND item = ? AND at > ?", kind, key,
                                      both.now - span)
                questions.append((["COUNT", kind, key, window], lambda got, wanted=wanted: got == wanted, wanted))
            score = oracle.value("SELECT total(w * pow(2, (at - ?) * 1.0 / ?)) FROM event WHERE type = ? AND item = ?", at,
                                 HALFLIFE_MS, kind, key)
            size = oracle.value("""SELECT total(abs(w) * pow(2, (at - ?) * 1.0 / ?)) FROM
                                   (SELECT * FROM event UNION ALL SELECT * FROM undone) WHERE type = ? AND item = ?""", at,
                                HALFLIFE_MS, kind, key)
            questions.append((["SCORE", kind, key, "AT", str(at)],
                              lambda got, score=score, size=size: abs(float(got) - score) <= TOLERANCE * size, score))
    for (words, is_right, wanted), got in zip(questions, client.pipe([q[0] for q in questions])):
        check(not isinstance(got, tm.Refused) and is_right(got), "%s: %s, SQLite says %r", words, got, wanted)


@test
def listings_are_those_of_sqlite_on_leader_follower_and_restarted_node(world):
    rng = random.Random(tm.seed(2))
    leader, _, both = prepare(world, rng, 6000)
    leader.call("CHECKPOINT")
    leader.call("SIGNAL", "view", "item:0", "AT", str(both.now - 60_000))  # the rest is replayed
    both.oracle.signal("view", "item:0", both.now - 60_000, 1, "")
    leader.stop()
    leader.start()
    follower = world.start("two", follow=leader)
    tm.wait_equal(leader, follower)
    clients = [leader.connect(), follower.connect()]
    now = both.now + 54321
    profiles = sorted(SCORES) + ["decayed:view", "decayed:like", "decayed:skip"]
    keys = [key for key, in both.oracle.rows("SELECT key FROM item")]
    sizes = []
    for round_number in range(8):
        for profile in profiles:
            text, condition = expression(rng, both.now, rng.randrange(1, 6)) if round_number > 0 else (None, None)
            excludes = rng.sample(keys, rng.choice([0, 0, 1, 20]))
            words = ["RETRIEVE", profile] + (["WHERE", text] if text else [])
            words += ["EXCLUDE", str(len(excludes))] + excludes if excludes else []
            wanted = Listing(both.oracle, profile, condition, set(excludes), now)
            what = "%s WHERE %s" % (profile, text)
            # The first page sets the moment; the others bring it in the cursor.
            answer = pages(Turns(clients, now), words, rng.choice([1000, 50, 7]))
            wanted.judge(answer, what)
            sizes.append(len(answer))
    check(sum(1 for n in sizes if n > 20) > len(sizes) // 3, "most listings are nearly empty: %s", sizes)


class Turns:
    """Asks the nodes in turn, so that a listing goes on at another one, and adds NOW to a request
    without a cursor."""

    def __init__(self, clients, now):
        self.clients = clients
        self.now = now
        self.turn = 0

    def call(self, *words):
        self.turn += 1
        return self.clients[self.turn % len(self.clients)].call(
            *words, *([] if "CURSOR" in words else ["NOW", str(self.now)]))


@test
def terms_add_up_to_the_score_of_every_row(world):
    rng = random.Random(tm.seed(3))
    _, client, both = prepare(world, rng, 3000)
    for profile in sorted(SCORES) + ["decayed:view"]:
        words = ["RETRIEVE", profile, "WHERE", "not nsfw", "LIMIT", "1000", "EXPLAIN"]
        rows = tm.pairs(client.call(*words))["items"]
        check(len(rows) > 50, "%s has %d rows", profile, len(rows))
        for key, score, terms in rows:
            total = float(terms[1])
            for value in terms[3::2]:
                total += float(value)
            equal(total, float(score), "%s of %s, %s" % (profile, key, terms))
        if profile in ("hot", "best"):
            equal({len(terms) for _, _, terms in rows}, {6}, "three names and values of " + profile)


if __name__ == "__main__":
    tm.main()
