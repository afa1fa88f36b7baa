#!/bin/bash
# The same history gives the same digest, scores and logarithms whoever compiles the code: build what
# computes them with gcc -O0, with gcc -O3 and with clang, and run the tests that compare bits.
#   digest_builds.sh BUILD    makes BUILD/builds/<name>
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
programs=(test_core_state_state_apply test_core_state_decay test_core_query_math)

run() {
    local name=$1 folder=$2/builds/$1
    shift 2
    cmake -S "$source" -B "$folder" -G Ninja -Wno-dev -DTIDEMARK_TESTS=ON "$@" >"$folder.log" 2>&1 &&
        cmake --build "$folder" --target "${programs[@]}" >>"$folder.log" 2>&1 ||
        { tail -30 "$folder.log"; echo "$name: the build failed"; return 1; }
    local program
    for program in "${programs[@]}"; do
        "$folder/tests/$program" >"$folder.log" 2>&1 ||
            { cat "$folder.log"; echo "$name: $program failed"; return 1; }
    done
    echo "$name: the same bits"
}

mkdir -p "$1/builds"
run gcc-O0 "$1" -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug
run gcc-O3 "$1" -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O3
run clang "$1" -DCMAKE_C_COMPILER=clang-14 -DCMAKE_BUILD_TYPE=Release
