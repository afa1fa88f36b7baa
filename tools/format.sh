#!/bin/bash
# Format the C sources with the pinned clang-format. With --check nothing is changed: files that
# would change are named and the exit status is 1.
#   tools/format.sh [--check] [ROOT]
set -euo pipefail
is_check=0
[[ ${1:-} != --check ]] || { is_check=1; shift; }
cd "${1:-$(dirname "$0")/..}"
CLANG_FORMAT=${CLANG_FORMAT:-clang-format-14}
folders=()
for f in src include tests fuzz bench examples; do [[ ! -d $f ]] || folders+=("$f"); done
list() { find "${folders[@]}" -name '*.[ch]' -print0 | sort -z; }
if ((is_check)); then
    # Many files a run: starting the formatter costs more than a file. One line per file is named.
    found=$(list | xargs -0 -r -n 40 -P 2 "$CLANG_FORMAT" --style=file --dry-run 2>&1 |
        sed -n 's/^\([^: ]*:[0-9]*\):[0-9]*: warning: .*/\1: not formatted; run: make fmt/p' |
        sort -t: -k1,1 -u)
    [[ -z $found ]] || { echo "$found"; exit 1; }
else
    list | xargs -0 -r -n 40 -P 2 "$CLANG_FORMAT" --style=file -i
fi
