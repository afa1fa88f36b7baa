#!/bin/bash
# The whole gate behind `make test` and `make deep`. Phases run one after another and each adds to
# the sum; a phase that cannot be built counts as one failure and the others still run. The last
# line is always "N passed, N failed"; the exit status is 0 only when nothing failed.
#   tools/test.sh [deep]
set -uo pipefail
cd "$(dirname "$0")/.."
exec </dev/null
mode=${1:-quick}
jobs=${JOBS:-$(nproc)}
results=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-results-XXXXXX")
passed=0 failed=0 skipped=0

finish() {
    rm -rf "$results"
    ((skipped == 0)) || echo "$skipped skipped"
    echo "$passed passed, $failed failed"
    ((failed == 0 && passed > 0)) || exit 1
    exit 0
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }

# A step that is no test of its own: silent when it works, one failure when it does not.
step() {
    local name=$1 start=$SECONDS
    shift
    say "$name"
    if "$@" >"$results/log" 2>&1; then
        echo "ok, $((SECONDS - start)) s"
        return 0
    fi
    cat "$results/log"
    echo "FAILED: $name"
    failed=$((failed + 1))
    return 1
}

build() { cmake --preset "$1" -Wno-dev && cmake --build --preset "$1" -j"$jobs"; }

# Run cases of one build folder and add what the result file says.
cases() {
    local name=$1 folder=$2 at
    shift 2
    say "$name"
    rm -f "$results/junit.xml"
    ctest --test-dir "$folder" --output-on-failure --output-junit "$results/junit.xml" "$@" 2>&1 |
        grep -vE '^(Internal ctest|Test project| *Start +[0-9]+:|$)'
    local status=${PIPESTATUS[0]}
    if [[ ! -s $results/junit.xml ]]; then
        echo "FAILED: $name gave no result"
        failed=$((failed + 1))
        return
    fi
    # <testsuite ... tests="9" failures="1" disabled="0" skipped="0" ...>
    local tests failures disabled skips
    read -r tests failures disabled skips < <(tr '\n\t' '  ' <"$results/junit.xml" |
        sed -E 's/.*<testsuite [^>]*tests="([0-9]+)" +failures="([0-9]+)" +disabled="([0-9]+)" +skipped="([0-9]+)".*/\1 \2 \3 \4/')
    passed=$((passed + tests - failures - disabled - skips))
    failed=$((failed + failures))
    skipped=$((skipped + disabled + skips))
    if ((status != 0 && failures == 0)); then
        echo "FAILED: $name ended with status $status"
        failed=$((failed + 1))
    fi
}

packages=test
[[ $mode == deep ]] && packages=deep
step "packages" tools/deps.sh $packages || exit 1
if step "build: dev (gcc, warnings are errors)" build dev; then
    cases "lint, unit, scenario, golden, fault, simulation" build-dev -j"$jobs" -LE 'e2e|deep'
    if [[ -d tests/e2e ]]; then
        cases "end to end" build-dev -j1 -L e2e -LE deep
    fi
fi
if step "build: asan (address, undefined)" build asan; then
    cases "the same under sanitizers" build-asan -j"$jobs" -LE 'lint|e2e|slow|deep'
fi
[[ $mode == deep ]] || exit

step "build: release" build release
if step "build: clang" build clang; then
    cases "unit tests built by clang" build-clang -j"$jobs" -LE 'lint|e2e|slow|deep'
fi
if step "build: O0" build O0; then
    cases "unit tests without optimisation" build-O0 -j"$jobs" -LE 'lint|e2e|slow|deep'
fi
if step "build: tsan (threads)" build tsan; then
    cases "under the thread sanitizer" build-tsan -j"$jobs" -LE 'lint|slow|deep'
fi
build_pure() { cmake --preset "$1" -Wno-dev && cmake --build --preset "$1" -j"$jobs" --target pure_tests; }
if step "build: msan (uninitialised memory)" build_pure msan; then
    cases "base, format and core under the memory sanitizer" build-msan -j"$jobs" -R '^unit\.(base|format|core)\.'
fi
step "coverage of format and core" tools/coverage.sh && passed=$((passed + 1))
cases "deep tests" build-dev -j1 -L deep
if [[ -d fuzz ]]; then
    step "fuzz: every target for ${FUZZ_SECONDS:-60} s" tools/fuzz.sh all "${FUZZ_SECONDS:-60}" &&
        passed=$((passed + 1))
fi
