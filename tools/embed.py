#!/usr/bin/python3
"""The dashboard as C: web/dashboard.html, line by line, becomes src/server/http_page.c.

    tools/embed.py [ROOT]           write it
    tools/embed.py --check [ROOT]   exit 1 when it is not up to date
"""
import os
import sys

SOURCE, TARGET = "web/dashboard.html", "src/server/http_page.c"
HEAD = """/* http_page: the dashboard, made of web/dashboard.html by tools/embed.py. Do not edit. */
#include "server/http_page.h"

/* clang-format off */
const char *const http_page_lines[] = {
"""


def made(root):
    with open(os.path.join(root, SOURCE), encoding="ascii") as f:
        lines = f.read().splitlines()
    rows = ['    "%s",\n' % line.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?") for line in lines]
    return HEAD + "".join(rows) + "};\nconst size_t http_page_line_count = %d;\n" % len(rows)


def main(arguments):
    is_check = arguments[:1] == ["--check"]
    rest = arguments[1:] if is_check else arguments
    root = rest[0] if rest else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    target = os.path.join(root, TARGET)
    if not is_check:
        with open(target, "w") as f:
            f.write(made(root))
        return 0
    with open(target) as f:
        if f.read() == made(root):
            return 0
    print("%s is not what tools/embed.py makes of %s; run it" % (TARGET, SOURCE))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
