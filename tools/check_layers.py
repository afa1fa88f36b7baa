#!/usr/bin/python3
"""Checks every #include under src/ against the layer picture of docs/ARCHITECTURE.md.

    tools/check_layers.py [ROOT]     exit 1 and one line per violation: file:line: what is wrong
"""
import os
import re
import sys

# Which layers a layer may include. The public header counts as a layer of its own.
MAY = {
    "base": [],
    "format": ["base"],
    "core": ["format", "base"],
    "env": ["base"],
    "engine": ["core", "env", "format", "base", "tidemark.h"],
    "server": ["env", "base", "tidemark.h"],
    "cli": ["server/server.h", "env", "format", "base", "tidemark.h"],
}

# System headers that only env/, server/ and cli/ may use: they reach the operating system.
SYSTEM = re.compile(
    r"(unistd|pthread|threads|time|fcntl|signal|poll|dirent|netdb|termios|uv|microhttpd)\.h$"
    r"|(sys|netinet|arpa|linux|uv)/")
# Pure layers: these as well. Deciding code neither prints nor asks what went wrong.
PURE = {"base", "format", "core"}
IMPURE = re.compile(r"(stdio|errno|locale|setjmp)\.h$")

# base/ is where printing into memory and the last words of a process live.
EXCEPTIONS = {
    ("src/base/assert.c", "stdio.h"),  # the line before abort()
    ("src/base/error.c", "stdio.h"),  # vsnprintf
    ("src/base/text.c", "stdio.h"),  # vsnprintf
    ("src/base/trace.c", "stdio.h"),  # vsnprintf
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def complaint(path, layer, kind, name):
    """What is wrong with this include, or None."""
    if kind == "<":
        if (path, name) in EXCEPTIONS:
            return None
        if layer in PURE and (IMPURE.match(name) or SYSTEM.match(name)):
            return "%s/ is pure; #include <%s> belongs in env/" % (layer, name)
        if layer == "engine" and SYSTEM.match(name):
            return "engine/ reaches the system through env/ only; no <%s>" % name
        return None
    other = name.split("/")[0]
    if other not in MAY and other != "tidemark.h":
        return '"%s" does not start with a layer; write "%s/..."' % (name, layer)
    if other == layer or other in MAY[layer] or name in MAY[layer]:
        return None
    return "%s/ may not include %s" % (layer, name if other == "tidemark.h" else other + "/")


def check(root):
    found = []
    for folder, _, names in sorted(os.walk(os.path.join(root, "src"))):
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            parts = path.split(os.sep)
            if not name.endswith((".c", ".h")) or len(parts) < 3:
                continue
            if parts[1] not in MAY:
                found.append("%s:1: %s/ is not in the layer picture" % (path, parts[1]))
                continue
            with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
                for number, line in enumerate(f, 1):
                    m = INCLUDE.match(line)
                    what = m and complaint(path, parts[1], m.group(1), m.group(2))
                    if what:
                        found.append("%s:%d: %s" % (path, number, what))
    return found


if __name__ == "__main__":
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    problems = check(sys.argv[1] if len(sys.argv) > 1 else here)
    print("\n".join(problems) if problems else "layers: ok")
    sys.exit(1 if problems else 0)
