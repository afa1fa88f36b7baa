#!/usr/bin/env python3
"""Sums what `llvm-cov export` says of src/format and src/core.

    coverage_sum.py EXPORT.json LEAST [--missed]

A branch counts twice, once for each side. Left out is what nothing may reach: assertions, planted
bugs, the case that a switch has no line for, and cases that end in "break; /* not ..." before an
UNREACHABLE. Exit status 1 when a layer has fewer than LEAST percent of its branches. --missed names each
side that was never taken.
"""
import json
import sys


def is_case_that_cannot_be(lines, at):
    """Is it one of the labels before a line that says so?"""
    while lines[at].lstrip().startswith("case "):
        if "break; /* not" in lines[at]:
            return True
        at += 1
    return False


def sides(entry, lines):
    """(line, is it the true side, times) for both sides of each branch outside assertions."""
    counts = {}
    for branch in entry["branches"]:
        line, column, true, false = branch[0], branch[1], branch[4], branch[5]
        text = lines[line - 1]
        if any(word in text for word in ("ASSERT(", "UNREACHABLE(", "PLANTED(", "switch (")):
            continue
        if is_case_that_cannot_be(lines, line - 1):
            continue
        taken = counts.setdefault((line, column), [0, 0])
        taken[0] += true
        taken[1] += false
    for (line, _), taken in sorted(counts.items()):
        yield line, True, taken[0]
        yield line, False, taken[1]


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        files = json.load(f)["data"][0]["files"]
    least = float(sys.argv[2])
    names_missed = "--missed" in sys.argv
    is_low = False
    for layer in ("format", "core"):
        total = missed = conditions = conditions_covered = 0
        for entry in files:
            name = entry["filename"]
            if not name.startswith(f"src/{layer}/"):
                continue
            with open(name, encoding="utf-8") as f:
                lines = f.read().split("\n")
            here = list(sides(entry, lines))
            lost = [(line, side) for line, side, times in here if times == 0]
            total += len(here)
            missed += len(lost)
            conditions += entry["summary"]["mcdc"]["count"]
            conditions_covered += entry["summary"]["mcdc"]["covered"]
            if here:
                share = 100 * (1 - len(lost) / len(here))
                print(f"{share:6.1f} %  {len(lost):4} of {len(here):4} sides missed  {name}")
            if names_missed:
                for line, side in lost:
                    print(f"    {name}:{line} never {str(side).lower()}: {lines[line - 1].strip()}")
        share = 100 * (1 - missed / max(total, 1))
        print(f"coverage: {layer}/: {share:.2f} % of {total} branch sides, "
              f"{100 * conditions_covered / max(conditions, 1):.2f} % of {conditions} conditions (MC/DC)")
        is_low |= share < least
    sys.exit(f"coverage: fewer than {least:g} % of branches" if is_low else 0)


main()
