#!/bin/bash
# Format the C sources with the pinned clang-format. With --check nothing is changed: files that
# would change are named and the exit status is 1.
#   tools/format.sh [--check] [ROOT]
set -euo pipefail
is_check=0
[[ ${1:-} != --check ]] || { is_check=1; shift; }
cd "${1:-$(dirname "$0")/..}"
export CLANG_FORMAT=${CLANG_FORMAT:-clang-format-14}
check_one() {
    local line
    line=$("$CLANG_FORMAT" --style=file "$1" | cmp "$1" - 2>&1 | sed -n 's/.*line \([0-9]*\).*/\1/p')
    [[ -z $line ]] || { echo "$1:$line: not formatted; run: make fmt"; return 1; }
}
export -f check_one
folders=()
for f in src include tests fuzz bench examples; do [[ ! -d $f ]] || folders+=("$f"); done
list() { find "${folders[@]}" -name '*.[ch]' -print0 | sort -z; }
if ((is_check)); then
    list | xargs -0 -r -n 1 -P 2 bash -c 'check_one "$1"' check
else
    list | xargs -0 -r -n 40 -P 2 "$CLANG_FORMAT" --style=file -i
fi
