#!/bin/bash
# Run fuzz targets for a while, on top of the corpus in the tree. A finding stays in
# build-fuzz/found/ and fails the run; it becomes a file of fuzz/corpus/ with its fix.
#   tools/fuzz.sh TARGET|all [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-} seconds=${2:-60}
cmake --preset fuzz -Wno-dev >/dev/null
cmake --build --preset fuzz -j"${JOBS:-$(nproc)}"
names=()
for source in fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    names+=("${name#fuzz_}")
done
case $target in
all) ;;
*)
    if [[ " ${names[*]} " != *" $target "* ]]; then
        echo "usage: make fuzz T=TARGET [S=SECONDS]; targets: ${names[*]}" >&2
        exit 2
    fi
    names=("$target")
    ;;
esac
mkdir -p build-fuzz/found
for name in "${names[@]}"; do
    mkdir -p "build-fuzz/corpus/$name"
    known=()
    [[ ! -d fuzz/corpus/$name ]] || known=("fuzz/corpus/$name")
    echo "fuzz $name: $seconds s"
    "build-fuzz/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="build-fuzz/found/$name-" "build-fuzz/corpus/$name" "${known[@]}"
done
