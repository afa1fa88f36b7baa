#!/bin/bash
# Run an example on a fresh directory. With valgrind: any error or leak fails.
#   examples/run.sh [valgrind] PROGRAM
set -euo pipefail
root=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-example-XXXXXX")
trap 'rm -rf "$root"' EXIT
words=()
if [ "$1" = valgrind ]; then
    words=(valgrind --quiet --error-exitcode=1 --leak-check=full --errors-for-leak-kinds=all)
    shift
fi
"${words[@]}" "$1" "$root/data"
