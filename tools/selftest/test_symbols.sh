#!/bin/bash
# check_symbols.sh accepts a library of tide_* symbols and names a planted one that is not.
set -euo pipefail
tools=$(cd "$(dirname "$0")/.." && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-test_symbols-XXXXXX")
trap 'rm -rf "$root"' EXIT
build() {
    printf '%s\n' "$1" >"$root/m.c"
    cc -fPIC -c -o "$root/m.o" "$root/m.c"
    rm -f "$root/libtidemark.a"
    ar rcs "$root/libtidemark.a" "$root/m.o"
    cc -shared -o "$root/libtidemark.so.0" "$root/m.o"
}
build 'int tide_x(void); int tide_x(void) { return 1; }'
"$tools/check_symbols.sh" "$root"
build 'int tide_x(void); int tide_x(void) { return 1; } int blake3_leak(void) { return 2; }'
if said=$("$tools/check_symbols.sh" "$root"); then
    echo "a leaked symbol was accepted"
    exit 1
fi
for file in libtidemark.a libtidemark.so.0; do
    grep -q "$file: visible, but not tide_\*: blake3_leak" <<<"$said" || { echo "not named: $said"; exit 1; }
done
