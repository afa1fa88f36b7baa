#!/usr/bin/python3
"""Writes src/core/state/pow2.h: the doubles nearest to 2^(j/128), for decayed sums.

    tools/gen_pow2.py > src/core/state/pow2.h        make it
    tools/gen_pow2.py --check src/core/state/pow2.h  exit 1 when the file is not what this makes
"""
import math
import sys

COUNT = 128  # a power of two: its root is taken by repeated square roots
BITS = 52    # of a double's fraction


def mantissa(j):
    """round(2^(j/128) * 2^52), exactly: floor(sqrt(floor(x))) = floor(sqrt(x)) for integers, so
    seven integer square roots of 2^(j + 128 * 53) give floor(2^(j/128) * 2^53). Only j = 0 is
    rational, so no other value lies half-way between two doubles."""
    x = 1 << (j + COUNT * (BITS + 1))
    for _ in range(COUNT.bit_length() - 1):
        x = math.isqrt(x)
    return (x + 1) >> 1


def literal(m):
    assert 1 << BITS <= m < 2 << BITS
    return "0x1.%013xp0" % (m - (1 << BITS))


def text():
    lines = [
        "/* pow2: the doubles nearest to 2^(j/128), j = 0..127, for decay.c, the only file that",
        " * includes it. Hexadecimal, so that every compiler reads the same bits.",
        " * Made by tools/gen_pow2.py; tests/unit/core/state/test_decay.c compares it with 113-bit values. */",
        "#ifndef TIDEMARK_CORE_STATE_POW2_H",
        "#define TIDEMARK_CORE_STATE_POW2_H",
        "",
        "enum { POW2_COUNT = %d };" % COUNT,
        "",
        "static const double pow2_table[POW2_COUNT] = {",
    ]
    for j in range(0, COUNT, 4):
        lines.append("    " + ", ".join(literal(mantissa(i)) for i in range(j, j + 4)) + ",")
    lines += ["};", "", "#endif"]
    return "\n".join(lines) + "\n"


if len(sys.argv) == 3 and sys.argv[1] == "--check":
    if open(sys.argv[2]).read() != text():
        sys.exit("%s is not what tools/gen_pow2.py makes" % sys.argv[2])
else:
    sys.stdout.write(text())
