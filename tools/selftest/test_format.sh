#!/bin/bash
# format.sh --check names a badly formatted file, and accepts it once it was formatted.
set -euo pipefail
tools=$(cd "$(dirname "$0")/.." && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-test_format-XXXXXX")
trap 'rm -rf "$root"' EXIT
cp "$tools/../.clang-format" "$root/"
mkdir -p "$root/src/base"
printf 'int  m( void ){return 1 ;}\n' >"$root/src/base/m.c"
if said=$("$tools/format.sh" --check "$root" 2>&1); then
    echo "a badly formatted file was accepted"
    exit 1
fi
grep -q 'src/base/m.c:1' <<<"$said" || { echo "the file is not named: $said"; exit 1; }
"$tools/format.sh" "$root"
"$tools/format.sh" --check "$root"
