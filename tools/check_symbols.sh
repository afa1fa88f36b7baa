#!/bin/bash
# The two forms of the library show tide_* and nothing else.
#   tools/check_symbols.sh BUILD
set -euo pipefail
bad=0
check() {
    local file=$1 names
    shift
    names=$("$@" "$file" | awk 'NF >= 3 && $2 ~ /^[A-Z]$/ && $2 != "U" { print $3 }' | sed 's/@.*//')
    if ! grep -q '^tide_' <<<"$names"; then
        echo "$file: no tide_* symbol is visible"
        bad=1
    fi
    local others
    others=$(grep -vE '^(tide_.*|TIDEMARK_0)$' <<<"$names" || true)
    if [[ -n $others ]]; then
        echo "$file: visible, but not tide_*:" $others
        bad=1
    fi
}
check "$1/libtidemark.a" nm --extern-only --defined-only
check "$1/libtidemark.so.0" nm --dynamic --defined-only
((bad)) || echo "symbols: ok"
exit $bad
