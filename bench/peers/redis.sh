#!/bin/bash
# Tidemark and Redis side by side, each with one replica: what a durable counter write costs.
#
#   bench/peers/redis.sh [build/tidemark]
#   ROUNDS=5 SCALE=10 DIR=/somewhere bench/peers/redis.sh
#
# Redis: appendonly yes, appendfsync always, ZINCRBY on one sorted set of 10,000 members. Tidemark:
# SIGNAL view on 10,000 items, one follower. Both acknowledge after their own fsync and replicate
# asynchronously. redis-benchmark drives both, in turns, so that a change of the disk's mood or of
# the machine meets both; medians over the rounds and their ratio are printed. Afterwards both
# replicas must hold everything. SCALE=100 is the full number of requests. Leaves nothing behind.
set -euo pipefail

program=$(realpath "${1:-build/tidemark}")
rounds=${ROUNDS:-3}
scale=${SCALE:-100}
items=10000
work=$(mktemp -d "${DIR:-${TMPDIR:-/var/tmp}}/tidemark-peers-XXXXXX")
pids=()

finish() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

die() {
    echo "redis.sh: $*" >&2
    exit 1
}

for tool in redis-server redis-benchmark redis-cli; do
    command -v "$tool" >/dev/null || die "$tool is missing; install the package redis"
done
[ -x "$program" ] || die "no program $program; run make first"

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_redis NAME PORT [more settings]
start_redis() {
    local name=$1 port=$2
    shift 2
    mkdir -p "$work/$name"
    redis-server --port "$port" --bind 127.0.0.1 --dir "$work/$name" --appendonly yes --appendfsync always \
        --save "" --daemonize no "$@" >"$work/$name.log" 2>&1 &
    pids+=($!)
    disown $!
    for _ in $(seq 200); do
        redis-cli -p "$port" ping >/dev/null 2>&1 && return
        sleep 0.05
    done
    die "redis did not start: $(tail -n 3 "$work/$name.log")"
}

# start_tidemark NAME [more flags]: sets data and replication to its addresses
start_tidemark() {
    local name=$1
    shift
    "$program" serve --dir "$work/$name" --id "$name" --port 0 --http-port 0 --replication-port 0 "$@" \
        >"$work/$name.out" 2>"$work/$name.log" &
    pids+=($!)
    disown $!
    for _ in $(seq 200); do
        grep -q '^ready ' "$work/$name.out" && break
        sleep 0.05
    done
    grep -q '^ready ' "$work/$name.out" || die "tidemark did not start: $(tail -n 3 "$work/$name.log")"
    data=$(sed -n 's/^ready .*data=\([^ ]*\).*/\1/p' "$work/$name.out")
    replication=$(sed -n 's/^ready .*replication=\([^ ]*\).*/\1/p' "$work/$name.out")
}

# rate PORT CLIENTS PIPELINE REQUESTS COMMAND...: requests per second and p99 in ms
rate() {
    local port=$1 clients=$2 pipeline=$3 requests=$4
    shift 4
    redis-benchmark -h 127.0.0.1 -p "$port" -c "$clients" -P "$pipeline" -n "$requests" -r "$items" --csv "$@" |
        awk -F'"' 'END { print $4, $14 }'
}

median() {
    sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

redis_port=$(free_port)
start_redis redis "$redis_port"
replica_port=$(free_port)
start_redis replica "$replica_port" --replicaof "127.0.0.1 $redis_port"
start_tidemark leader
leader=$data
start_tidemark follower --follow "$replication"
follower=$data
leader_port=${leader##*:}
follower_port=${follower##*:}

printf '%s, %s; in %s\n' "$("$program" --version)" "$(redis-server --version | cut -d' ' -f1-3)" "$work"
printf '%-30s %14s %14s %8s %12s %12s\n' "writes, fsync each, 1 replica" "redis/s" "tidemark/s" "ratio" \
    "redis p99" "tidemark p99"

# label clients pipeline requests
shapes=("50 connections x pipeline 100|50|100|1000000" "50 connections x pipeline 16|50|16|300000"
    "64 connections, no pipeline|64|1|60000")
for shape in "${shapes[@]}"; do
    IFS='|' read -r label clients pipeline requests <<<"$shape"
    requests=$((requests * scale / 100))
    : >"$work/redis.rates"
    : >"$work/tidemark.rates"
    for _ in $(seq "$rounds"); do
        rate "$redis_port" "$clients" "$pipeline" "$requests" ZINCRBY board 1 item:__rand_int__ >>"$work/redis.rates"
        rate "$leader_port" "$clients" "$pipeline" "$requests" SIGNAL view item:__rand_int__ >>"$work/tidemark.rates"
    done
    r=$(cut -d' ' -f1 "$work/redis.rates" | median)
    t=$(cut -d' ' -f1 "$work/tidemark.rates" | median)
    rp=$(cut -d' ' -f2 "$work/redis.rates" | median)
    tp=$(cut -d' ' -f2 "$work/tidemark.rates" | median)
    awk -v l="$label" -v r="$r" -v t="$t" -v rp="$rp" -v tp="$tp" \
        'BEGIN { printf "%-30s %14.0f %14.0f %8.2f %9.2f ms %9.2f ms\n", l, r, t, t / r, rp, tp }'
done

# Both replicas hold everything.
for _ in $(seq 300); do
    same_redis=$([ "$(redis-cli -p "$redis_port" zcard board)" = "$(redis-cli -p "$replica_port" zcard board)" ] && echo y || true)
    same_tidemark=$([ "$(redis-cli -p "$leader_port" digest)" = "$(redis-cli -p "$follower_port" digest)" ] && echo y || true)
    [ -n "$same_redis" ] && [ -n "$same_tidemark" ] && break
    sleep 0.1
done
[ -n "$same_redis" ] || die "the redis replica differs"
[ -n "$same_tidemark" ] || die "the follower's digest differs"
echo "replicas equal: redis by its number of members, tidemark by digest at one position"
