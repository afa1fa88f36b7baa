#!/bin/bash
# Make sure that the Debian packages needed for building (with `test` for testing, with `deep` for
# everything) are there.
# Says nothing and touches no network when they are. Otherwise installs them as root or through
# sudo, or prints the one line to run and fails.
#   tools/deps.sh [build|test|deep|list]
set -euo pipefail

what=${1:-build}
build=(cmake ninja-build pkg-config librust-blake3-dev libxxhash-dev libuv1-dev libmicrohttpd-dev
       libjansson-dev git)
command -v cc >/dev/null || build+=(gcc libc6-dev)
test=(libcmocka-dev clang-14 clang-tidy-14 clang-format-14 redis-tools redis-server prometheus
      python3 python3-redis nodejs node-redis curl libfuse3-dev fuse3
      e2fsprogs)

deep=(valgrind spin clang-19 libclang-rt-19-dev llvm-19)

wanted=("${build[@]}")
case $what in
build) ;;
test) wanted+=("${test[@]}") ;;
deep) wanted+=("${test[@]}" "${deep[@]}") ;;
list) printf '%s\n' "${build[@]}" "${test[@]}" "${deep[@]}"; exit 0 ;;
*) echo "usage: tools/deps.sh [build|test|deep|list]" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null || exit 0 # not Debian: cmake names what is missing

have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
       awk '$2 == "installed" { print $1 }' || true)
missing=()
for p in "${wanted[@]}"; do
    grep -qxF -- "$p" <<<"$have" || missing+=("$p")
done
((${#missing[@]})) || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if ((EUID == 0)); then
    sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=sudo
elif [ -t 0 ] && command -v sudo >/dev/null; then
    sudo=sudo
else
    echo "packages are missing; run as root:  apt-get update && $install" >&2
    exit 1
fi
echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q >&2
$sudo env DEBIAN_FRONTEND=noninteractive $install </dev/null >&2
