#!/usr/bin/python3
"""tidemark import: every good line exactly once, through crashes of either side."""
import os
import signal
import subprocess
import time

import tm

AT = 1700000000000
MANY = 300000
ITEMS = 50


def line(n, item=None, kind="view"):
    return "%d\t%s\t%s\n" % (AT + n, kind, item or "item-%d" % (n % ITEMS))


def write(world, text, name="a.tsv"):
    with open(world.path(name), "w", newline="") as f:
        f.write(text)
    return world.path(name)


def start(world, leader, path, *options):
    """An import that the test can disturb."""
    return subprocess.Popen([tm.PROGRAM, "import", path, "--to", leader.data, *options], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=tm.die_with_parent)


def count(node, item, kind="view"):
    return node.call("COUNT", kind, item, "all")


def check_all(node):
    tm.equal([count(node, "item-%d" % i) for i in range(ITEMS)], [MANY // ITEMS] * ITEMS)


@tm.test
def good_lines_are_stored_with_all_their_fields(world):
    leader = world.start("leader")
    path = write(world, "%d\tview\ta\t2.5\tuser\tkey-1\n%d\tshare\tb\r\n\n%d\tview\ta" % (AT, AT, AT))
    done = world.run("import", path, "--to", leader.data, code=0)
    tm.contains(done.stdout, "3 signals stored from 4 lines")
    tm.equal(count(leader, "a"), 2)
    tm.equal(count(leader, "b", "share"), 1)
    tm.equal(float(leader.call("SCORE", "view", "a", "AT", AT)), 3.5)


@tm.test
def same_file_again_adds_nothing_and_a_grown_one_adds_the_rest(world):
    leader = world.start("leader")
    path = write(world, "".join(line(n, "a") for n in range(100)))
    world.run("import", path, "--to", leader.data, code=0)
    again = world.run("import", path, "--to", leader.data, code=0)
    tm.contains(again.stdout, "100 lines were in already")
    tm.equal(count(leader, "a"), 100)
    with open(path, "a") as f:
        f.write("".join(line(n, "a") for n in range(20)))
    world.run("import", path, "--to", leader.data, code=0)
    tm.equal(count(leader, "a"), 120)


@tm.test
def another_file_at_the_same_path_is_not_taken_for_the_old_one(world):
    leader = world.start("leader")
    path = write(world, "".join(line(n, "a") for n in range(100)))
    world.run("import", path, "--to", leader.data, code=0)
    write(world, "".join(line(n + 500, "b") for n in range(10)))
    world.run("import", path, "--to", leader.data, code=0)
    tm.equal(count(leader, "b"), 10)


@tm.test
def file_shorter_than_its_producer_is_refused(world):
    leader = world.start("leader")
    path = write(world, "".join(line(n, "a") for n in range(100)))
    world.run("import", path, "--to", leader.data, "--name", "daily", code=0)
    write(world, line(1, "b"))
    refused = world.run("import", path, "--to", leader.data, "--name", "daily", code=1)
    tm.contains(refused.stderr, "--name")
    tm.equal(count(leader, "b"), 0)


@tm.test
def bad_lines_are_reported_with_numbers_and_cost_nothing_else(world):
    leader = world.start("leader")
    text = (line(1, "a") + "nonsense\n" + line(2, "a") + "%d\tview\t\n" % AT + "x" * 70000 + "\n"
            + line(3, "a") + line(4, "a", kind="unheard") + line(5, "a", kind="unheard") + line(6, "a"))
    done = world.run("import", write(world, text), "--to", leader.data, code=1)
    tm.contains(done.stdout, "4 signals stored from 9 lines")
    tm.contains(done.stderr, "line 2: too few fields", "line 4: item is empty", "line 5: longer than",
                "lines 7 to 8: SCHEMA", "5 bad lines were skipped")
    tm.equal(count(leader, "a"), 4)


@tm.test
def neighbouring_bad_lines_are_reported_as_one_range(world):
    leader = world.start("leader")
    done = world.run("import", write(world, "bad\n" * 5000 + line(1, "a")), "--to", leader.data, code=1)
    tm.contains(done.stderr, "lines 1 to 5000: too few fields")
    tm.check(len(done.stderr) < 1000, "the report has %d characters", len(done.stderr))
    tm.equal(count(leader, "a"), 1)


@tm.test
def pipe_is_read_as_it_comes(world):
    leader = world.start("leader")
    importer = start(world, leader, "-", "--name", "pipe")
    importer.stdin.write(line(1, "a"))
    importer.stdin.flush()
    tm.until("the first line is in", lambda: count(leader, "a") == 1)
    _, errors = importer.communicate(line(2, "a"), timeout=tm.PATIENCE_S)
    tm.equal(importer.returncode, 0, errors)
    tm.equal(count(leader, "a"), 2)


@tm.test
def importer_killed_in_the_middle_goes_on_where_the_server_stands(world):
    leader = world.start("leader")
    path = write(world, "".join(line(n) for n in range(MANY)))
    for goal in (MANY // 20, MANY // 5, MANY // 3):
        importer = start(world, leader, path)
        tm.until("some lines are in", lambda: leader.seqno() > goal or importer.poll() is not None)
        importer.kill()
        importer.communicate()
    tm.check(leader.seqno() < MANY, "the import was over before it was killed")
    world.run("import", path, "--to", leader.data, code=0)
    check_all(leader)


@tm.test
def server_killed_in_the_middle_loses_and_doubles_nothing(world):
    leader = world.start("leader")
    path = write(world, "".join(line(n) for n in range(MANY)))
    importer = start(world, leader, path)
    for goal in (MANY // 20, MANY // 5, MANY // 3):
        tm.until("some lines are in", lambda: leader.seqno() > goal)
        leader.kill()
        leader.start()
    out, errors = importer.communicate(timeout=3 * tm.PATIENCE_S)
    tm.equal(importer.returncode, 0, errors)
    tm.contains(out, "300,000 signals stored")
    check_all(leader)


@tm.test
def interrupt_says_how_far_it_came(world):
    leader = world.start("leader")
    importer = start(world, leader, "-", "--name", "n")
    importer.stdin.write(line(1, "a"))
    importer.stdin.flush()
    tm.until("the first line is in", lambda: count(leader, "a") == 1)
    importer.send_signal(signal.SIGINT)
    tm.equal(importer.wait(tm.PATIENCE_S), 1)
    tm.contains(importer.stderr.read(), "interrupted", "lines up to 1 are stored", "run the same command again")


@tm.test
def follower_refuses_and_names_the_leader(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    tm.until("the follower knows its leader", lambda: follower.status()["leader"] == leader.data)
    done = world.run("import", write(world, line(1, "a")), "--to", follower.data, code=1)
    tm.contains(done.stderr, "READONLY", leader.data)


@tm.test
def what_cannot_work_is_said_in_one_sentence(world):
    leader = world.start("leader")
    path = write(world, line(1, "a"))
    tm.contains(world.run("import", "/no/such", "--to", leader.data, code=1).stderr, "No such file")
    tm.contains(world.run("import", world.dir, "--to", leader.data, code=1).stderr, "is a directory")
    tm.contains(world.run("import", path, "--format", "ndjson", code=1).stderr, "not in this version")
    leader.kill()
    refused = world.run("import", path, "--to", leader.data, code=1)
    tm.contains(refused.stderr, "tidemark serve")
    tm.equal(refused.stderr.count("\n"), 1)


if __name__ == "__main__":
    tm.main()
