"""What `serve` says when it cannot start: one sentence on stderr that names the thing and what to
do, the documented exit status, and nothing created."""
import glob
import os
import shutil

import tm
from tm import check, contains, equal, test

PORTS = ("--port", "0", "--http-port", "0", "--replication-port", "0")
NOBODY = 65534


def refused(world, code, *words, parts=(), program=tm.PROGRAM, **more):
    """serve with these words ends with code and one sentence that holds all parts."""
    r = world.run("serve", *words, program=program, **more)
    what = "serve " + " ".join(map(str, words))
    check(r.returncode == code, "%s ended with %d, wanted %d: %s", what, r.returncode, code, r.stderr)
    check(r.stdout == "", "%s printed: %s", what, r.stdout)
    lines = [line for line in r.stderr.splitlines() if not line.startswith("ts=")]
    equal(len(lines), 1, "lines of: " + r.stderr)
    contains(lines[0], "tidemark serve: ", *parts)
    return lines[0]


@test
def a_directory_that_cannot_be_one_is_named_with_the_way_out(world):
    file = world.path("file")
    open(file, "w").close()
    loose = world.path("loose")
    os.mkdir(loose)
    os.chmod(loose, 0o777)
    for dir_, parts in ((world.path("none", "below"), ["parent does not exist", "create that first"]),
                        (file, ["it is a file", "name a directory"]), (file + "/x", ["name a directory"]),
                        (loose, ["every user may write to it", "0777", "chmod 700"])):
        refused(world, 1, "--dir", dir_, *PORTS, parts=[dir_, *parts])
    equal(os.listdir(loose), [], "nothing is created in a refused directory")
    check(not os.path.exists(world.path("none")), "no parent is made")


@test
def a_directory_of_somebody_else_is_refused(world):
    if os.geteuid() != 0:
        raise tm.Skip("giving a directory away needs root")
    os.mkdir(world.path("theirs"))
    os.chown(world.path("theirs"), NOBODY, NOBODY)
    refused(world, 1, "--dir", "theirs", *PORTS, parts=["user 65534", "user 0", "chown"])
    os.mkdir(world.path("readonly"), 0o500)
    os.chown(world.path("readonly"), NOBODY, NOBODY)
    os.chmod(world.dir, 0o755)
    program = shutil.copy(tm.PROGRAM, world.path("tidemark"))
    nobody = {"program": program, "user": NOBODY, "group": NOBODY}
    mine = world.start("mine")
    mine.stop()
    refused(world, 1, "--dir", "mine", *PORTS, parts=["mine", "Permission denied", "permissions"], **nobody)
    refused(world, 1, "--dir", "readonly/new", *PORTS, parts=["cannot create it: Permission denied"], **nobody)
    refused(world, 1, "--dir", "readonly", *PORTS, parts=["may not write", "0500", "chmod 700"], **nobody)
    equal(os.listdir(world.path("readonly")), [])


@test
def a_directory_in_use_names_the_process(world):
    node = world.start("n1")
    refused(world, 1, "--dir", node.dir, *PORTS, parts=["process %d uses it" % node.process.pid, "stop that one"])
    equal(node.call("PING"), "PONG")


@test
def a_port_in_use_names_the_port_and_the_flag(world):
    node = world.start("n1")
    for flag, port in zip(("--port", "--http-port", "--replication-port"), node.ports):
        words = [w for f, p in zip(PORTS[::2], PORTS[1::2]) if f != flag for w in (f, p)]
        refused(world, 1, "--dir", "new", *words, flag, port, parts=["port %d of" % port, "in use", "with %s," % flag])
    check(not os.path.exists(world.path("new")), "a refused start made a directory")


@test
def an_open_door_needs_to_be_asked_for(world):
    for bind in ("0.0.0.0", "::", "192.0.2.1"):
        refused(world, 4, "--dir", "new", *PORTS, "--bind", bind, parts=["--bind " + bind, "--insecure"])
    refused(world, 1, "--dir", "new", *PORTS, "--bind", "192.0.2.1", "--insecure", parts=["192.0.2.1 is no address"])
    check(not os.path.exists(world.path("new")), "a refused start made a directory")
    node = world.start("n1", "--bind", "0.0.0.0", "--insecure")
    contains(node.log(), "level=warn", "without password or TLS")


@test
def a_wrong_word_or_value_is_a_usage_error(world):
    for words, parts in ((["--prot", "1"], ["--prot", "did you mean --port"]), (["extra"], ["extra"]),
                         (["--port", "70000"], ["70000", "0 to 65535"]), (["--port"], ["--port"]),
                         (["--id", "a b"], ["letters, digits"]), (["--segment-size", "10GB"], ["16MiB"]),
                         (["--follow", "leader.example"], ["HOST:PORT"]), (["--follow", ":7402"], ["HOST:PORT"]),
                         (["--advertise", "here"], ["HOST:PORT"]), (["--heartbeat", "5s"], ["heartbeat", "suspect"]),
                         (["--port", "7", "--http-port", "7"], ["both 7"])):
        refused(world, 2, "--dir", "new", *words, parts=parts)
    check(not os.path.exists(world.path("new")), "a refused start made a directory")


@test
def another_nodes_or_clusters_files_are_refused(world):
    one, two = world.start("one"), world.start("two")
    one.stop()
    two.stop()
    line = refused(world, 1, "--dir", one.dir, *PORTS, "--id", "two", parts=['belongs to node "one"', '"two"'])
    path = sorted(glob.glob(os.path.join(two.dir, "log", "*.seg")))[0]
    shutil.copy(path, os.path.join(one.dir, "log"))
    line = refused(world, 4, "--dir", one.dir, *PORTS, parts=["another cluster", os.path.basename(path)])
    print("    " + line)


@test
def damage_is_told_with_file_and_record_and_its_own_status(world):
    node = world.start("n1")
    node.call("SIGNAL", "view", "a")
    node.stop()
    path = sorted(glob.glob(os.path.join(node.dir, "log", "*.seg")))[0]
    with open(path, "r+b") as f:
        f.seek(400)
        byte = f.read(1)
        f.seek(400)
        f.write(bytes([byte[0] ^ 1]))
    line = refused(world, 3, "--dir", node.dir, *PORTS, parts=[os.path.basename(path), "acknowledged"])
    print("    " + line)
    shutil.rmtree(os.path.join(node.dir, "log"))
    line = refused(world, 3, "--dir", node.dir, *PORTS, parts=["log ends at record 0", "record 12 was acknowledged"])
    check("0000000000000000.seg" not in line, "a segment that never was is named: %s", line)


@test
def a_role_that_a_flag_contradicts_is_kept_and_told(world):
    leader, other = world.start("leader"), world.start("other")
    leader.stop()
    leader.follow = other.replication
    leader.start()
    equal(leader.status()["role"], "leader")
    contains(leader.log(), "level=warn", "--follow is not obeyed", "promotion")


tm.main()
