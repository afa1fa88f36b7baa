#!/usr/bin/python3
"""tidemark demo on real git repositories of several shapes; nothing is left behind."""
import os
import random
import re
import signal
import subprocess

import tm

GIT = dict(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@b.c",
           GIT_COMMITTER_NAME="C", GIT_COMMITTER_EMAIL="c@d.e", LC_ALL="C")


def environment(**more):
    return {**os.environ, **GIT, **more}


def git(*args, cwd):
    subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, env=environment())


def make_repository(path, commits, files_per_commit=4, seed=1):
    """A history made by fast-import: also odd authors, times, paths and binary files."""
    r = random.Random(seed)
    os.makedirs(path)
    git("init", "-q", "-b", "main", cwd=path)
    when, out = 1500000000, []
    for i in range(commits):
        when += r.randrange(1, 5000)
        author_time = {3: 5, 5: 4000000000}.get(i, when)  # before 1973; in the future
        email = "" if i == 7 else "a%d@x.y" % (i % 9)
        out.append("commit refs/heads/main\nauthor A <%s> %d +0100\ncommitter C <c@x.y> %d +0000\ndata 2\nm\n"
                   % (email, author_time, when))
        for k in range(files_per_commit):
            n = r.randrange(commits * 2)
            name = "d%d/file %d" % (n % 100, n)  # small trees: git writes one anew per commit
            if i == 9 and k == 0:
                name = "deep/" + "long-name-" * 20 + "/" + "x" * 100
            body = "".join("%d\n" % r.randrange(10**6) for _ in range(r.randrange(1, 8)))
            if k == 3 and i % 10 == 0:
                body = "\0binary" + body
            out.append("M 100644 inline \"%s\"\ndata %d\n%s\n" % (name, len(body), body))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=path, input="".join(out).encode(), check=True,
                   capture_output=True, env=environment())


def demo(world, *options, repo=None, code=0, cwd=None, **more):
    """Run the demo with its temporary files in a folder of the test's own."""
    os.makedirs(world.path("tmp"), exist_ok=True)
    env = environment(TMPDIR=world.path("tmp"), **more)
    if repo:
        env["DEMO_REPO"] = repo
    done = subprocess.run([tm.PROGRAM, "demo", *options], cwd=cwd or world.dir, env=env, text=True, capture_output=True,
                          timeout=4 * tm.PATIENCE_S)
    tm.check(done.returncode == code, "the demo ended with %d: %s%s", done.returncode, done.stdout, done.stderr)
    return done


def processes():
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def check_nothing_left(world):
    tm.equal(os.listdir(world.path("tmp")), [])
    tm.check(world.path("tmp") not in processes(), "a process is left")


def check_story(world, done):
    tm.contains(done.stdout, "Nothing acknowledged was lost", "retried-unknown writes", "largest lag")
    check_nothing_left(world)


@tm.test
def twenty_commits_with_odd_ones_among_them(world):
    repo = world.path("repo")
    make_repository(repo, 20)
    done = demo(world, cwd=repo)
    check_story(world, done)
    tm.contains(done.stdout, "20 commits gave", "2 commits have the committer's time",
                "1 paths over 255 bytes were shortened")
    tm.check("\033" not in done.stdout, "colour without a terminal")


@tm.test
def some_thousand_commits_and_one_follower(world):
    repo = world.path("repo")
    make_repository(repo, 3000)
    done = demo(world, "--followers", "1", repo=repo, TIDEMARK_FOLLOW="127.0.0.1:1")
    check_story(world, done)
    tm.contains(done.stdout, "3,000 commits gave")


@tm.test
def shallow_clone(world):
    repo, shallow = world.path("repo"), world.path("shallow")
    make_repository(repo, 50)
    git("clone", "-q", "--depth", "5", "file://" + repo, shallow, cwd=world.dir)
    done = demo(world, cwd=shallow)
    check_story(world, done)
    tm.contains(done.stdout, "5 commits gave")


@tm.test
def settings_of_the_users_git_change_nothing(world):
    repo = world.path("repo")
    make_repository(repo, 30)
    plain = demo(world, "--followers", "1", cwd=repo).stdout
    for key, value in (("log.showSignature", "true"), ("diff.renames", "copies"), ("color.ui", "always"),
                       ("log.showRoot", "false"), ("diff.noprefix", "true"), ("core.quotePath", "true"),
                       ("format.pretty", "fuller"), ("log.mailmap", "true"), ("diff.statGraphWidth", "5")):
        git("config", key, value, cwd=repo)
    other = demo(world, "--followers", "1", cwd=repo).stdout
    signals = re.compile("commits gave ([0-9,]+) signals")
    tm.equal(signals.search(other).group(1), signals.search(plain).group(1))


def check_sentence(world, done, words):
    tm.contains(done.stderr, words)
    tm.equal(done.stderr.count("\n"), 1, done.stderr)
    check_nothing_left(world)


@tm.test
def no_repository_no_history_no_git_are_said_in_one_sentence(world):
    empty = world.path("empty")
    os.mkdir(empty)
    alone = demo(world, cwd=empty, code=1, GIT_CEILING_DIRECTORIES=world.dir)
    check_sentence(world, alone, "git repository")
    git("init", "-q", cwd=empty)
    check_sentence(world, demo(world, cwd=empty, code=1), "no commits yet")
    check_sentence(world, demo(world, cwd=empty, code=1, PATH="/nowhere"), "git is not installed")
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=empty)
    tm.contains(demo(world, cwd=empty, code=1).stderr, "touches no files")
    check_nothing_left(world)


@tm.test
def keep_keeps_whole_directories(world):
    repo = world.path("repo")
    make_repository(repo, 20)
    demo(world, "--keep", cwd=repo)
    kept = world.path("tmp", os.listdir(world.path("tmp"))[0])
    for node in ("leader", "f1", "f2"):
        world.run("log", "verify", os.path.join(kept, node), code=0)


def start(world, repo):
    os.makedirs(world.path("tmp"), exist_ok=True)
    return subprocess.Popen([tm.PROGRAM, "demo"], cwd=repo, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(TMPDIR=world.path("tmp")))


@tm.test
def interrupt_leaves_nothing_behind(world):
    repo = world.path("repo")
    make_repository(repo, 2000)
    for heading in ("A leader and", "start", "import", "crash"):
        running = start(world, repo)
        for shown in running.stdout:
            if shown.startswith(heading):
                break
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=tm.PATIENCE_S)
        if running.returncode != 0:  # it may have come to its end at that moment
            tm.equal(running.returncode, 1)
            tm.contains(errors, "interrupted")
        check_nothing_left(world)


@tm.test
def kill_takes_the_nodes_along(world):
    repo = world.path("repo")
    make_repository(repo, 2000)
    running = start(world, repo)
    for shown in running.stdout:
        if shown.startswith("start"):
            break
    running.kill()
    running.communicate()
    tm.until("no node is left", lambda: world.path("tmp") not in processes())


if __name__ == "__main__":
    tm.main()
