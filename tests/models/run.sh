#!/bin/bash
# Check a Spin model wholly: every state that its bounds allow.
#   tests/models/run.sh holds|breaks MODEL.pml [-DNAME=VALUE ...]
# holds: no assertion may fail, and the search must be complete. breaks: one must fail (a rule is left
# out). Memory is bounded; a search that does not fit counts as failed. Skipped (77) without spin.
set -euo pipefail
wanted=$1 model=$(realpath "$2")
shift 2
command -v spin >/dev/null || { echo "skipped: spin is not installed"; exit 77; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-model-XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
spin -a "$@" "$model" >spin.out || { cat spin.out; exit 1; }
cc -O2 -w -DSAFETY -DMEMLIM=1500 -DCOLLAPSE -o pan pan.c
./pan -m200000 >pan.out || true
grep -E 'pan:|errors:|states, stored|unreached in init|elapsed|max search|memory usage for states' pan.out || true
if grep -qE 'search depth too small|reached -DMEMLIM|out of memory|Search not completed' pan.out; then
    broken=$(grep -cE 'errors: [1-9]' pan.out || true)
    [[ $wanted == breaks && $broken != 0 ]] || { echo "the search is not complete"; exit 1; }
fi
case $wanted in
holds) grep -qE 'errors: 0' pan.out ;;
breaks) grep -qE 'errors: [1-9]' pan.out && grep -q 'assertion violated' pan.out ;;
*) exit 2 ;;
esac
