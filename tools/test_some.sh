#!/bin/bash
# Build and run the tests whose name matches, in the build of a preset. When only unit tests match,
# only their programs are built, so that a change in one layer can be tried while another is open.
#   tools/test_some.sh PRESET PATTERN
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1 pattern=$2 jobs=${JOBS:-$(nproc)}
tools/deps.sh test
cmake --preset "$preset" -Wno-dev >/dev/null
mapfile -t names < <(ctest --test-dir "build-$preset" -N -R "$pattern" | sed -n 's/^ *Test *#[0-9]*: //p')
targets=()
for name in "${names[@]}"; do
    case $name in
    unit.*) name=${name#unit.} && targets+=("test_${name//./_}") ;;
    lint.self.* | lint.format | lint.layers | lint.tidy | lint.pow10) ;;
    *) targets=(all) && break ;;
    esac
done
if ((${#targets[@]})); then
    cmake --build "build-$preset" -j"$jobs" --target "${targets[@]}"
fi
ctest --test-dir "build-$preset" -j"$jobs" --output-on-failure --no-tests=error -R "$pattern"
