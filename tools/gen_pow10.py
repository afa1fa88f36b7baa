#!/usr/bin/python3
"""Writes src/base/pow10.h: powers of ten as 128-bit numbers, for printing doubles.

    tools/gen_pow10.py > src/base/pow10.h        make it
    tools/gen_pow10.py --check src/base/pow10.h  exit 1 when the file is not what this makes
"""
import sys

FIRST, LAST = -292, 324


def entry(k):
    """ceil(10^k * 2^(127 - floor(log2(10^k)))): the top 128 bits, rounded up."""
    if k >= 0:
        n, d = 10**k, 1
        log2 = n.bit_length() - 1
    else:
        n, d = 1, 10**-k
        log2 = -d.bit_length()  # 10^-k is no power of two
    shift = 127 - log2
    if shift >= 0:
        n <<= shift
    else:
        d <<= -shift
    g = -(-n // d)
    assert 1 << 127 <= g < 1 << 128
    return g >> 64, g & (1 << 64) - 1


def text():
    lines = [
        "/* pow10: 10^k as a 128-bit number {upper, lower} for k = POW10_FIRST..POW10_LAST, scaled to",
        " * have its top bit set and rounded up: ceil(10^k * 2^(127 - floor(log2(10^k)))).",
        " * Made by tools/gen_pow10.py; a test makes it again and compares. Only f64.c includes it. */",
        "#ifndef TIDEMARK_BASE_POW10_H",
        "#define TIDEMARK_BASE_POW10_H",
        "",
        "#include <stdint.h>",
        "",
        "enum { POW10_FIRST = %d, POW10_LAST = %d };" % (FIRST, LAST),
        "",
        "static const uint64_t pow10_table[][2] = {",
    ]
    lines += ["    {0x%016x, 0x%016x}, /* %d */" % (*entry(k), k) for k in range(FIRST, LAST + 1)]
    lines += ["};", "", "#endif"]
    return "\n".join(lines) + "\n"


if len(sys.argv) == 3 and sys.argv[1] == "--check":
    if open(sys.argv[2]).read() != text():
        sys.exit("%s is not what tools/gen_pow10.py makes" % sys.argv[2])
else:
    sys.stdout.write(text())
