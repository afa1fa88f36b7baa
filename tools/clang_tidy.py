#!/usr/bin/python3
"""Runs clang-tidy over the sources that the build knows, in parallel, and remembers clean files.

    tools/clang_tidy.py BUILD [--all] [--quick] [FILE ...]

A file is checked again when it, a header it includes, its compile command or .clang-tidy changed;
with --all always. --quick leaves out the static analyzer, which takes 99 % of the time.
Without FILE: everything under src/. Exit 1 when something was found.
"""
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TIDY = os.environ.get("CLANG_TIDY", "clang-tidy-14")


def digest(paths, *more):
    h = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            h.update(f.read() + b"\0")
    for text in more:
        h.update(text.encode() + b"\0")
    return h.hexdigest()


def key_of(entry, rules):
    """What a clean result depends on: the file with its headers, the flags, the rules."""
    words = shlex.split(entry["command"])
    command = [w for w in words if w != "-c" and not w.startswith("-M")]
    command = command[:command.index("-o")] + [entry["file"], "-MM", "-MF", "-"]
    made = subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True)
    if made.returncode != 0:
        return None
    headers = made.stdout.split(":", 1)[1].replace("\\\n", " ").split()
    paths = [os.path.join(entry["directory"], p) for p in headers]
    return digest(paths + [os.path.join(ROOT, ".clang-tidy")], entry["command"], *rules)


def run(build, entry, use_cache, rules):
    key = key_of(entry, rules)
    mark = key and os.path.join(build, "tidy-cache", key)
    if use_cache and mark and os.path.exists(mark):
        return ""
    done = subprocess.run(
        [TIDY, "-p", build, "--quiet", "--extra-arg=-Wno-unknown-warning-option", *rules, entry["file"]],
        capture_output=True, text=True)
    if done.returncode != 0:
        return done.stdout + (done.stderr if not done.stdout else "")
    if mark:
        open(mark, "w").close()
    return ""


def main(args):
    use_cache = "--all" not in args
    rules = ["--checks=-clang-analyzer-*"] if "--quick" in args else []
    args = [a for a in args if a not in ("--all", "--quick")]
    build = os.path.abspath(args[0])
    wanted = [os.path.abspath(a) for a in args[1:]]
    os.makedirs(os.path.join(build, "tidy-cache"), exist_ok=True)
    with open(os.path.join(build, "compile_commands.json")) as f:
        entries = {e["file"]: e for e in json.load(f) if e["file"].endswith(".c")}
    source = os.path.join(ROOT, "src") + os.sep
    chosen = [e for p, e in sorted(entries.items()) if (p in wanted if wanted else p.startswith(source))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [text for text in pool.map(lambda e: run(build, e, use_cache, rules), chosen) if text]
    print("\n".join(found) if found else "clang-tidy: ok, %d files" % len(chosen))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
