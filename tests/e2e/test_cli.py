#!/usr/bin/python3
"""The program's manners: help, mistakes, exit codes, settings, status, short benchmarks."""
import json
import os
import re
import subprocess

import tm

VERBS = ["serve", "demo", "import", "status", "top", "log", "bench"]
ABSENT = ["backup", "restore", "cli"]


@tm.test
def no_arguments_show_help_and_are_a_usage_error(world):
    done = world.run(code=2)
    tm.equal(done.stdout, "")
    tm.contains(done.stderr, "usage:")


@tm.test
def every_verb_explains_itself_on_stdout(world):
    for words in [[]] + [[v] for v in VERBS] + [["log", "verify"], ["bench", "append"]]:
        done = world.run(*words, "--help", code=0)
        tm.equal(done.stderr, "")
        tm.contains(done.stdout, "usage: tidemark")
        tm.check(max(map(len, done.stdout.split("\n"))) <= 100, "a line of the help of %s is too long", words)


@tm.test
def version_names_build_and_format(world):
    shown = world.run("--version", code=0).stdout
    tm.check(re.fullmatch(r"tidemark \d+\.\d+\.\d+, file format \d+\n", shown), "%r", shown)


@tm.test
def mistyped_words_get_their_nearest_match(world):
    for words, near in ((["improt"], '"import"'), (["log", "verfy"], '"verify"'), (["demo", "--folowers"], "--followers"),
                        (["serve", "--segmentsize", "1MiB"], "--segment-size")):
        done = world.run(*words, code=2)
        tm.contains(done.stderr, near)
        tm.equal(done.stderr.count("\n"), 1)


@tm.test
def abbreviated_options_are_refused(world):
    world.run("status", "--js", code=2)
    world.run("serve", "--print", code=2)


@tm.test
def absent_verbs_are_listed_and_refused_by_name(world):
    listed = world.run("--help", code=0).stdout
    for verb in ABSENT:
        tm.contains(listed, " " + verb)
        tm.contains(world.run(verb, "--anything", code=1).stderr, "not in this version")
    tm.contains(world.run("bench", "search", code=1).stderr, "not in this version")


@tm.test
def output_that_cannot_be_written_is_no_success(world):
    with open("/dev/full", "w") as full:
        done = subprocess.run([tm.PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    tm.equal(done.returncode, 1)
    tm.contains(done.stderr, "No space left")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([tm.PROGRAM, "serve", "--print-config"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    tm.equal((done.returncode, done.stderr), (1, ""))


def config(world, text, *flags, code=0, **env):
    with open(world.path("t.conf"), "w") as f:
        f.write(text)
    return world.run("serve", "--print-config", "--config", world.path("t.conf"), *flags, code=code,
                     env={**os.environ, **env})


@tm.test
def later_sources_win_and_are_named(world):
    shown = config(world, "port = 1\nhttp_port = 2\nreplication_port = 3\n", "--replication-port", "33",
                   TIDEMARK_HTTP_PORT="22", TIDEMARK_REPLICATION_PORT="32").stdout
    for line in ("port = 1 .*# file", "http_port = 22 .*# environment", "replication_port = 33 .*# flag",
                 "credit = 8MiB .*# default"):
        tm.check(re.search("(?m)^" + line, shown), "%s is not in: %s", line, shown)


@tm.test
def settings_are_printed_as_json_too(world):
    listed = json.loads(config(world, "port = 1\n", "--json").stdout)
    rows = {row["key"]: row for row in listed}
    tm.equal(rows["port"], {"key": "port", "value": "1", "source": "file", "is_live": False})
    tm.equal(rows["mark_interval"]["is_live"], True)
    tm.contains(world.run("serve", "--json", code=2).stderr, "--json goes with --print-config")


@tm.test
def mistakes_in_settings_are_refused_with_line_and_reason(world):
    for text, words in (("prot = 1", ["t.conf:1", "did you mean port?"]), ("\nport = x", ["t.conf:2", "65535"]),
                        ("port = 1\nport = 1", ["t.conf:2", "twice"]), ("segment_size = 1GB", ["16MiB"]), ("\ncredit = 1KiB", ["credit = 1KiB", "t.conf:2"]),
                        ("level = most", ["unknown level 'most'"])):
        tm.contains(config(world, text, code=2).stderr, *words)


@tm.test
def printed_settings_can_be_read_back(world):
    def values(text):
        return [re.sub(r"\s*# .*", "", line) for line in text.split("\n")]
    first = config(world, "port = 1\n").stdout
    tm.equal(values(config(world, first).stdout), values(first))


@tm.test
def a_mistake_of_the_command_line_says_what_to_do(world):
    for words, code, parts in (
            (["serve", "extra"], 2, ["one word too many; the form is: tidemark serve [options]\n"]),
            (["serve", "--config", "/"], 2, ["/ is a directory; name a file"]),
            (["serve", "--bind", "nohost"], 1, ["--bind nohost is no address"])):
        tm.contains(world.run(*words, code=code).stderr, *parts)


@tm.test
def bash_completes_verbs_and_options(world):
    script = """source %s
    try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidemark; echo "${COMPREPLY[*]}"; }
    tidemark() { "$PROGRAM" "$@"; }
    try tidemark s; try tidemark bench r; try tidemark serve --dir x --po
    """ % os.path.join(tm.HERE, "..", "..", "packaging", "completion", "tidemark")
    shown = subprocess.run(["bash", "-c", script], env={**os.environ, "PROGRAM": tm.PROGRAM}, text=True,
                           capture_output=True, timeout=tm.PATIENCE_S)
    tm.equal(shown.stdout.split("\n")[:3], ["serve status slot", "replicate recover retrieve", "--port"], shown.stderr)


@tm.test
def status_shows_leader_and_follower(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    leader.call("SIGNAL", "view", "a")
    tm.wait_equal(leader, follower)
    tm.until("the follower streams", lambda: leader.status()["followers"]["f1"]["state"] == "streaming")
    shown = world.run("status", "--to", leader.data, code=0).stdout
    tm.contains(shown, "leader: ", "serving", "f1", "streaming", "free")
    tm.contains(world.run("status", "--to", follower.data, code=0).stdout, "link streaming")
    for node in (leader, follower):
        report = json.loads(world.run("status", "--json", "--to", node.data, code=0).stdout)
        tm.contains(json.dumps(report), "epoch")


@tm.test
def absent_server_is_one_sentence(world):
    tm.equal(world.run("status", "--to", "127.0.0.1:1", code=1).stderr.count("\n"), 1)


@tm.test
def benchmarks_print_their_figures_and_clean_up(world):
    """Short runs in memory: that they work, not what they measure."""
    scratch = "/dev/shm" if os.path.isdir("/dev/shm") else world.dir
    for words, figures in ((["append", "--records", "20000"], ["raw floor", "one writer", "outstanding", "flatness"]),
                           (["recover", "--records", "20000"], ["replay", "checkpoint", "digest"]),
                           (["replicate", "--rate", "2000", "--seconds", "1", "--records", "20000"],
                            ["visible", "level", "catch-up", "equal"]),
                           (["fanout", "--rate", "2000", "--seconds", "1"],
                            ["3 followers", "extra follower", "one sleeps", "equal"]),
                           (["catchup", "--records", "20000", "--json"],
                            ["floor_bulk", "catchup_per_second", "log_floor_ratio"]),
                           (["score", "--items", "2000", "--json"], ["score_ns", "score_floor_ratio", "single_p99_ns"]),
                           (["retrieve", "--items", "2000", "--phase-ms", "50", "--json"],
                            ["decayed_p99_us", "hot_p50_us", "trending_scan_ratio", "commit_p99_scanned_ratio"])):
        done = world.run("bench", *words, "--dir", scratch)
        if done.returncode == 4:
            raise tm.Skip("the disk is not quiet")
        tm.equal(done.returncode, 0, done.stderr)
        tm.contains(done.stdout, *figures)
        if "--json" in words:
            tm.equal(json.loads(done.stdout)["bench"], words[0])
            continue
        where = re.search(r"(?m)^in ([^ ;:]+)", done.stdout).group(1)
        tm.check(not os.path.exists(where), "%s is left", where)


if __name__ == "__main__":
    tm.main()
