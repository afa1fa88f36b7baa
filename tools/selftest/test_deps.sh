#!/bin/bash
# deps.sh is silent when everything is there, installs exactly what is missing, and prints the line
# to run when it may not. apt-get, dpkg-query and sudo are stand-ins: nothing is installed.
set -euo pipefail
tools=$(cd "$(dirname "$0")/.." && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-test_deps-XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir "$root/bin"
cp "$tools/deps.sh" "$root/deps.sh" # an unprivileged user may not see the tree
fake() { printf '#!/bin/bash\n%s\n' "$2" >"$root/bin/$1" && chmod 755 "$root/bin/$1"; }
# Every package asked for is installed but the ones in $root/absent.
touch "$root/absent" && chmod 644 "$root/absent"
fake dpkg-query 'for p in "${@:4}"; do grep -qxF -- "$p" '"$root"'/absent || echo "$p installed"; done'
fake apt-get 'echo "$*" >>'"$root"'/apt'
fake sudo 'exit 1'
export PATH=$root/bin:$PATH
fail() { echo "$*"; exit 1; }

said=$("$root/deps.sh" test 2>&1) || fail "complete: failed: $said"
[[ -z $said && ! -e $root/apt ]] || fail "complete: not silent: $said"

echo libuv1-dev >"$root/absent"
unprivileged=()
if ((EUID == 0)); then
    "$root/deps.sh" build >/dev/null 2>&1 || fail "as root: failed"
    grep -qx 'install -y --no-install-recommends libuv1-dev' "$root/apt" || fail "as root: $(cat "$root/apt")"
    unprivileged=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
if said=$("${unprivileged[@]}" "$root/deps.sh" build </dev/null 2>&1); then
    fail "unprivileged: did not fail: $said"
fi
grep -q 'apt-get install -y --no-install-recommends libuv1-dev' <<<"$said" || fail "unprivileged: $said"
