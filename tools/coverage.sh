#!/bin/bash
# Branches and conditions (MC/DC) of src/format and src/core that their own tests and the replayed
# fuzz corpora take, as clang 19 counts them. Prints a line for each file and the sums; the sums'
# branches must reach the least percentage. An HTML report is left in build-coverage/html;
# tools/coverage_sum.py build-coverage/coverage.json 0 --missed names each side never taken.
#   tools/coverage.sh [LEAST]      (95)
set -euo pipefail
cd "$(dirname "$0")/.."
least=${1:-95} folder=build-coverage
for tool in clang-19 llvm-profdata-19 llvm-cov-19; do
    command -v $tool >/dev/null || { echo "skipped: $tool is not installed (tools/deps.sh deep)"; exit 77; }
done
cmake --preset coverage -Wno-dev >/dev/null
programs=()
for source in tests/unit/{core,format}/test_*.c tests/unit/core/*/test_*.c; do
    name=${source#tests/unit/} name=${name/test_/} name=${name%.c}
    programs+=("test_${name//\//_}")
done
# Decoders of what comes from disks and peers, on their corpora.
targets=(batch cursor identity manifest mark reader record segment slotfile state_apply state_load where wire)
cmake --build $folder -j"${JOBS:-$(nproc)}" --target "${programs[@]}" "${targets[@]/#/fuzz_}" >/dev/null
rm -rf $folder/profiles
mkdir $folder/profiles
run() { LLVM_PROFILE_FILE="$PWD/$folder/profiles/%p.profraw" "$@" >/dev/null; }
objects=()
for program in "${programs[@]}"; do
    run "$folder/tests/$program"
    objects+=(-object "$folder/tests/$program")
done
for target in "${targets[@]}"; do
    run "$folder/fuzz/fuzz_$target" "fuzz/corpus/$target"
    objects+=(-object "$folder/fuzz/fuzz_$target")
done
llvm-profdata-19 merge -sparse -o $folder/all.profdata $folder/profiles/*.profraw
llvm-cov-19 export "${objects[@]:1}" -instr-profile=$folder/all.profdata >$folder/coverage.json
llvm-cov-19 show "${objects[@]:1}" -instr-profile=$folder/all.profdata --show-branches=count \
    --show-mcdc -format=html -output-dir=$folder/html >/dev/null 2>&1 || true
python3 tools/coverage_sum.py $folder/coverage.json "$least"
