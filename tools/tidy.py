#!/usr/bin/python3
"""The rules of CONTRIBUTING.md that need no compiler.

    tools/tidy.py [ROOT]     exit 1 and one line per violation: file:line: what is wrong
"""
import os
import re
import sys

FILE_LINES_MAX = 1200
FUNCTION_LINES_MAX = 100

BANNED = {
    "strcpy": "text_add or memcpy with a checked size",
    "strcat": "text_add",
    "sprintf": "text_add or snprintf",
    "vsprintf": "vsnprintf",
    "strncpy": "text_add_slice or memcpy with a checked size",
    "strncat": "text_add_slice",
    "strtok": "a slice and a loop",
    "atoi": "parse_i64",
    "atol": "parse_i64",
    "atof": "parse_f64",
    "rand": "random_next",
    "srand": "random_init",
    "gets": "a bounded read",
    "system": "env's process calls",
    "popen": "env's process calls",
    "signal": "sigaction or uv_signal",
    "localtime": "UTC; localtime_r where a person reads it",
    "gmtime": "gmtime_r",
    "usleep": "a timer of env",
    "alloca": "an array of a fixed size",
}
ALLOCATING = {"malloc": "alloc_get", "calloc": "alloc_get", "realloc": "alloc_grow", "free": "alloc_put"}
NO_MALLOC = ("src/format/", "src/core/")  # deciding code grows only through the alloc handed in

# Sources without a test of their own: each line says what tests them instead.
UNTESTED = {
    "src/engine/receiver.c": "tests/unit/engine/test_replication.c, and the simulator",
    "src/engine/receiver_batches.c": "as receiver.c",
    "src/engine/ship_link.c": "as receiver.c",
    "src/engine/shipper.c": "as receiver.c",
    "src/engine/ship_hello.c": "tests/unit/engine/test_handshake.c, and the simulator",
    "src/engine/directory.c": "tests/unit/engine/test_transport.c and test_log_export.c",
    "src/engine/staging.c": "tests/unit/engine/test_generation.c",
    "src/engine/bootstrap_join.c": "tests/e2e/test_bootstrap.py and test_divergence.c: copies between real nodes",
    "src/engine/bootstrap_serve.c": "as bootstrap_join.c",
    "src/engine/receiver_copy.c": "as bootstrap_join.c",
    "src/engine/ship_copy.c": "as bootstrap_join.c",
    "src/engine/mark_blocks.c": "tests/unit/engine/test_divergence.c",
    "src/engine/slots_store.c": "as receiver.c: restarts, an unreadable catalogue",
    "src/cli/main.c": "the program itself: tests/e2e",
    "src/cli/serve.c": "tests/e2e start nodes with it",
    "src/cli/import.c": "tests/e2e/test_import.py",
    "src/cli/ingest.c": "tests/e2e/test_import.py, with real servers that die",
    "src/cli/progress.c": "a line on a terminal",
    "src/cli/status.c": "tests/e2e/test_cli.py",
    "src/cli/plan.c": "tests/e2e/test_slots.py",
    "src/cli/member.c": "tests/e2e/test_levels.py",
    "src/cli/promote.c": "tests/e2e/test_promote.py, test_handover.py",
    "src/cli/slot.c": "tests/e2e/test_slots.py",
    "src/cli/demo.c": "tests/e2e/test_demo.py",
    "src/cli/demo_load.c": "tests/e2e/test_demo.py",
    "src/cli/nodes.c": "tests/e2e/test_demo.py",
    "src/cli/bench.c": "tests/e2e/test_cli.py runs each of its verbs, short",
    "src/cli/bench_append.c": "as bench.c",
    "src/cli/bench_catchup.c": "as bench.c",
    "src/cli/bench_recover.c": "as bench.c",
    "src/cli/bench_fanout.c": "as bench.c",
    "src/cli/bench_replicate.c": "as bench.c",
    "src/cli/bench_retrieve.c": "as bench.c",
    "src/cli/bench_score.c": "as bench.c",
    "src/cli/top.c": "tests/e2e/test_top.py, on a terminal and without one",
}

C_FOLDERS = ("src", "include", "tests", "fuzz", "bench", "examples")
TEXT_SUFFIXES = (".c", ".h", ".py", ".sh", ".cmake", ".txt", ".json", ".scenario")
CALL = re.compile(r"(?<![\w.>])(\w+)\s*\(")
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments and strings blanked, line numbers kept."""
    return COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def files_under(root, folders):
    for folder in folders:
        for where, folders_below, names in os.walk(os.path.join(root, folder)):
            folders_below[:] = sorted(d for d in folders_below if not d.startswith((".", "build", "node_modules")))
            for name in sorted(names):
                yield os.path.relpath(os.path.join(where, name), root)


def read(root, path):
    with open(os.path.join(root, path), "rb") as f:
        return f.read().decode("utf-8", "replace")


def check_calls(path, code):
    banned = dict(BANNED)
    if path.startswith(NO_MALLOC):
        banned.update(ALLOCATING)
    for number, line in enumerate(code.split("\n"), 1):
        for m in CALL.finditer(line):
            if m.group(1) in banned:
                yield "%s:%d: %s is banned; use %s" % (path, number, m.group(1), banned[m.group(1)])


def check_lengths(path, code):
    lines = code.rstrip("\n").split("\n")
    if len(lines) > FILE_LINES_MAX:
        yield "%s:1: %d lines; the ceiling is %d" % (path, len(lines), FILE_LINES_MAX)
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.rstrip() == "}" and start is not None:
            if number - start - 1 > FUNCTION_LINES_MAX:
                yield "%s:%d: a function of %d lines; the ceiling is %d" % (
                    path, start, number - start - 1, FUNCTION_LINES_MAX)
            start = None


def check_c_text(path, text):
    if not text.startswith("/*"):
        yield "%s:1: the first line is no comment that says what the file is for" % path
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line:
            yield "%s:%d: a tab; indent with four spaces" % (path, number)
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield "%s:%d: an open question belongs in an issue or in docs/decisions" % (path, number)


def check_own_header_first(root, path, code_text):
    own = path[len("src/"):-1] + "h"
    if not os.path.exists(os.path.join(root, "src", own)):
        return
    m = re.search(r'^#include\s+[<"]([^>"]+)[>"]', code_text, re.M)
    if m and m.group(1) != own:
        yield '%s:1: the first include is not its own header "%s"' % (path, own)


def check_has_test(root, path):
    if UNTESTED.get(path):
        return
    parts = path.split("/")
    words = parts[-1][:-len(".c")].split("_")
    # A module cut into several files (log.c, log_read.c) has one test, named by the first word(s).
    names = ["test_%s.c" % "_".join(words[:n]) for n in range(len(words), 0, -1)]
    folders = ["/".join(["tests/unit"] + parts[1:-1]), "tests/unit/" + parts[1]]
    if not any(os.path.exists(os.path.join(root, f, n)) for f in folders for n in names):
        yield "%s:1: no %s/%s (or a justified line in tools/tidy.py)" % (path, folders[0], names[0])


def check_referenced(root):
    """Every header is included, every tool and document is named somewhere."""
    mentions = {}
    for path in list(files_under(root, ["."])):
        path = os.path.normpath(path)
        if path.endswith(TEXT_SUFFIXES + (".md", "Makefile", "run", ".in", ".service", ".yml")):
            mentions[path] = read(root, path)
    for path in sorted(mentions):
        name = os.path.basename(path)
        if path.startswith("src/") and name.endswith(".h"):
            wanted = re.escape('"%s"' % path[len("src/"):])
        elif path.startswith("tools/") and name.endswith((".py", ".sh")):
            wanted = re.escape(name) + r"|(import|from) %s\b" % re.escape(name.split(".")[0])
        elif path.startswith("docs/") and name.endswith(".md") and name != "README.md":
            wanted = re.escape(name)
        else:
            continue
        if not any(re.search(wanted, text) for other, text in mentions.items() if other != path):
            yield "%s:1: nothing refers to it" % path


# What a table of the code promises, and where it is kept. Each row applies once its place exists.
#   (table's file, pattern whose first group is the name, where it must appear, what is missing)
PROMISES = [
    ("src/base/error.h", r"X\(\w+, \d+, \"(\w+)\"", "docs/OPERATING.md", "error word %s is not explained"),
    ("src/format/record.h", r"X\(RECORD_\w+, \d+, \"([\w-]+)\"", "docs/FORMAT.md", "record kind %s has no byte table"),
    ("src/format/record.h", r"X\(RECORD_\w+, \d+, \"([\w-]+)\"", "tests/golden", "record kind %s has no golden file"),
]
METRIC = re.compile(r"\"(tidemark_[a-z0-9_]+)")


def text_of_place(root, place):
    """The text of a file, or the names of the files of a folder; None when there is neither."""
    full = os.path.join(root, place)
    if os.path.isfile(full):
        return read(root, place)
    return "\n".join(files_under(root, [place])) if os.path.isdir(full) else None


def check_promises(root):
    for source, pattern, place, message in PROMISES:
        found = text_of_place(root, place)
        if found is None or not os.path.exists(os.path.join(root, source)):
            continue
        for name in sorted(set(re.findall(pattern, read(root, source)))):
            if not re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(name), found):
                yield "%s:1: %s in %s" % (source, message % name, place)
    page = text_of_place(root, "docs/METRICS.md")
    for path in files_under(root, ["src"]) if page is not None else []:
        for name in sorted(set(METRIC.findall(read(root, path)))):
            if "`%s`" % name not in page:
                yield "%s:1: metric %s is not in docs/METRICS.md (tools/metrics.py makes it)" % (path, name)


LESSON_ROW = re.compile(r"\| ([A-Z]\d+)\W? \|.*\|([^|]*)\|")
LESSON = re.compile(r"`((?:unit|e2e|golden|sim|crash|lint)\.[\w.]+)(?:: (\w+))?`")
# How many rows each part of the table has; one that is lost is named.
LESSON_ROWS = {"L": 19, "P": 15, "G": 7, "C": 9, "S": 9}


def case_exists(root, case, function):
    """Is there a test of this name as CTest knows it, and a function of it?"""
    kind, _, name = case.partition(".")
    if kind == "sim":
        text = text_of_place(root, "tests/sim/CMakeLists.txt") or ""
        bug = re.fullmatch(r"bug(\d+)", name)
        wanted = r"sim_bug\(%s " % bug.group(1) if bug else r"(?<![\w-])%s(?![\w-])" % re.escape(name.split(".")[-1])
        return re.search(wanted, text) is not None
    if kind in ("crash", "lint"):
        text = text_of_place(root, "tests/crash/CMakeLists.txt" if kind == "crash" else "tools/CMakeLists.txt") or ""
        wanted = r"NAME crash\.%s |ext4_test\(%s " if kind == "crash" else r"tm_lint\(%s |tm_lint\(%s\n"
        return re.search(wanted % (re.escape(name), re.escape(name.removeprefix("ext4."))), text) is not None
    if kind == "golden":
        return os.path.exists(os.path.join(root, "tests/golden/golden_%s.c" % name))
    folder, _, module = name.rpartition(".")
    path = "tests/e2e/test_%s.py" % name if kind == "e2e" else "tests/unit/%s/test_%s.c" % (folder.replace(".", "/"), module)
    text = text_of_place(root, path)
    return text is not None and function is not None and re.search(r"(def|static void) %s\(" % function, text) is not None


def check_lessons(root):
    text = text_of_place(root, "docs/LESSONS.md") or ""
    if text.startswith("# Lessons\n"):
        for letter, count in LESSON_ROWS.items():
            for row in range(1, count + 1):
                if not re.search(r"^\| %s%d\W? \|" % (letter, row), text, re.M):
                    yield "docs/LESSONS.md:1: the row %s%d is missing" % (letter, row)
    for number, line in enumerate(text.split("\n"), 1):
        for case, function in LESSON.findall(line):
            if not case_exists(root, case, function or None):
                yield "docs/LESSONS.md:%d: there is no test %s%s" % (number, case, ": " + function if function else "")
        row = LESSON_ROW.fullmatch(line)
        if row and not LESSON.search(line) and not row.group(2).strip():
            yield "docs/LESSONS.md:%d: %s names no test, and not what is missing" % (number, row.group(1))


def check(root):
    found = []
    for path in files_under(root, C_FOLDERS):
        if not path.endswith((".c", ".h")):
            continue
        text = read(root, path)
        code = code_only(text)
        found += check_calls(path, code)
        found += check_lengths(path, code)
        found += check_c_text(path, text)
        if path.startswith("src/") and path.endswith(".c"):
            found += check_own_header_first(root, path, text)
            found += check_has_test(root, path)
    for path in files_under(root, C_FOLDERS + ("tools", "cmake")):
        if not path.endswith(TEXT_SUFFIXES):
            continue
        for number, line in enumerate(read(root, path).split("\n"), 1):
            if not line.isascii():
                found.append("%s:%d: non-ASCII outside docs" % (path, number))
    found += check_referenced(root)
    found += check_promises(root)
    found += check_lessons(root)
    return found


if __name__ == "__main__":
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    problems = check(sys.argv[1] if len(sys.argv) > 1 else here)
    print("\n".join(problems) if problems else "tidy: ok")
    sys.exit(1 if problems else 0)
