#!/bin/bash
# The same seeds are the same events whoever compiles them: trace hashes of the simulator built by gcc
# -O0 and by clang -O2 are compared with those of the program given.
#   builds.sh SIM BUILD COUNT    makes BUILD/builds/sim-<name>
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
sim=$1 builds=$2/builds count=$3
mkdir -p "$builds"
"$sim" --seed 1000 --count "$count" --hash | grep -E '^[0-9]+ [0-9a-f]{16}$' >"$builds/sim.hashes"

compare() {
    local name=$1 folder=$builds/sim-$1
    shift
    command -v "$1" >/dev/null || { echo "$name: skipped, there is no $1"; return 0; }
    cmake -S "$source" -B "$folder" -G Ninja -Wno-dev -DTIDEMARK_TESTS=ON -DCMAKE_C_COMPILER="$1" \
        -DCMAKE_BUILD_TYPE="$2" >"$folder.log" 2>&1 &&
        cmake --build "$folder" --target sim >>"$folder.log" 2>&1 ||
        { tail -30 "$folder.log"; echo "$name: the build failed"; return 1; }
    "$folder/tests/sim/sim" --seed 1000 --count "$count" --hash |
        grep -E '^[0-9]+ [0-9a-f]{16}$' >"$builds/sim-$name.hashes"
    diff "$builds/sim.hashes" "$builds/sim-$name.hashes" ||
        { echo "$name: other events"; return 1; }
    echo "$name: the same events"
}

[[ -s $builds/sim.hashes ]]
compare clang clang-14 Release
compare gcc-O0 gcc Debug
