#!/usr/bin/python3
"""tidemark import against a server that misbehaves in ways a real one does only now and then."""
import socket
import threading

import tm

AT = 1700000000000


class Fake:
    """A data port that keeps a producer's number and answers as `judge` says.

    judge(number) gives the reply to element `number`, or None to take it as a real server would. It
    hangs up after "hang up" and after half a reply."""

    def __init__(self, judge=lambda number: None):
        self.judge = judge
        self.last = 0
        self.taken = []  # (number, kind) in order
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            self.connections += 1
            try:
                self.talk(connection, connection.makefile("rb"))
            except (OSError, EOFError):
                pass
            connection.close()

    def talk(self, connection, file):
        while True:
            words = self.read(file)
            reply = self.answer(words)
            if reply is None:
                return
            connection.sendall(reply)
            if not reply.endswith(b"\n"):
                return

    @staticmethod
    def read(file):
        head = file.readline()
        if not head.startswith(b"*"):
            raise EOFError
        words = []
        for _ in range(int(head[1:])):
            size = int(file.readline()[1:])
            words.append(file.read(size + 2)[:-2])
        return words

    def answer(self, words):
        if words[0] == b"PRODUCER.GET":
            return b":%d\r\n" % self.last
        number = int(words[-1])
        verdict = self.judge(number)
        if verdict == "hang up":
            return None
        if verdict:
            return verdict
        if number > self.last + 1:
            return b"-ERR a gap\r\n"
        if number == self.last + 1:
            self.last = number
            self.taken.append((number, words[0].decode()))
        return b"$10\r\n1-%08d\r\n" % number


def once(numbers, reply):
    """A judge that gives the reply the first time it sees each of the numbers."""
    left = set(numbers)

    def judge(number):
        if number in left:
            left.discard(number)
            return reply
        return None
    return judge


def write(world, lines):
    with open(world.path("a.tsv"), "w") as f:
        f.write("".join("%d\tview\titem-%d\n" % (AT + n, n) for n in range(lines)))
    return world.path("a.tsv")


def check_all_taken(fake, lines, skipped=()):
    tm.equal(fake.taken, [(n, "PRODUCER.SKIP" if n in skipped else "SIGNAL") for n in range(1, lines + 1)])


@tm.test
def busy_server_is_asked_again_and_nothing_is_skipped(world):
    fake = Fake(once((1, 7, 8, 900), b"-BUSY later\r\n"))
    world.run("import", write(world, 1000), "--to", fake.address, code=0)
    check_all_taken(fake, 1000)
    tm.equal(fake.connections, 1)


@tm.test
def hang_ups_in_the_middle_cost_nothing(world):
    fake = Fake(once((1, 2, 500, 999, 1000), "hang up"))
    world.run("import", write(world, 1000), "--to", fake.address, code=0)
    check_all_taken(fake, 1000)
    tm.equal(fake.connections, 6)


@tm.test
def half_a_reply_before_the_end_is_no_reply(world):
    halves = {400}

    def judge(number):
        if number in halves:
            halves.discard(number)
            fake.last = number  # taken, but the token is cut
            fake.taken.append((number, "SIGNAL"))
            return b"$10\r\n1-00"
        return None
    fake = Fake(judge)
    world.run("import", write(world, 1000), "--to", fake.address, code=0)
    check_all_taken(fake, 1000)


@tm.test
def refused_line_is_asked_twice_before_it_is_skipped(world):
    fake = Fake(once((3, 700), b"-ERR the database is closing\r\n"))
    world.run("import", write(world, 1000), "--to", fake.address, code=0)
    check_all_taken(fake, 1000)
    refusals = []

    def judge(number):
        if number == 5 and len(refusals) < 2:
            refusals.append(number)
            return b"-LIMIT too much\r\n"
        return None
    fake = Fake(judge)
    done = world.run("import", write(world, 10), "--to", fake.address, code=1)
    tm.contains(done.stderr, "line 5: LIMIT too much", "1 bad lines were skipped")
    check_all_taken(fake, 10, skipped=(5,))


@tm.test
def server_that_forgets_what_it_took_is_not_trusted(world):
    def judge(number):
        if number == 600 and fake.last == 599:
            fake.last = 10
            return "hang up"
        return None
    fake = Fake(judge)
    done = world.run("import", write(world, 1000), "--to", fake.address, code=1)
    tm.contains(done.stderr, "stands at number 10", "it lost data or is another database")


@tm.test
def other_protocols_are_named(world):
    fake = Fake()
    fake.answer = lambda words: b"HTTP/1.1 400 Bad Request\r\n\r\n"
    done = world.run("import", write(world, 10), "--to", fake.address, code=1)
    tm.contains(done.stderr, "does not speak RESP2")


@tm.test
def refusals_of_the_whole_server_end_the_import(world):
    for word in (b"READONLY go to 10.0.0.1:7400", b"NOAUTH needed", b"IDINUSE x"):
        fake = Fake(lambda number, word=word: b"-" + word + b"\r\n")
        done = world.run("import", write(world, 10), "--to", fake.address, code=1)
        tm.contains(done.stderr, word.decode())
        tm.equal(fake.taken, [])


if __name__ == "__main__":
    tm.main()
