#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# redis.sh SOCKTRACE FLOOR [ROUNDS]: requests per second of a redis-server of its own, untraced,
# under the empty programs, and under socktrace, in turn; medians, and their ratio to the floor.
# Under socktrace every audit must hold.
set -euo pipefail

socktrace=$1 floor=$2 rounds=${3:-9}
dir=$(mktemp -d)
server='' tracer=''
finish() {
	[[ -z $tracer ]] || kill "$tracer"
	[[ -z $server ]] || kill "$server"
	rm -rf "$dir"
}
trap finish EXIT

redis-server --port 0 --unixsocket "$dir/sock" --save "" --appendonly no >"$dir/log" &
server=$!
until [[ $(redis-cli -s "$dir/sock" ping 2>&1) == PONG ]]; do
	kill -0 "$server"
done

load() {
	redis-benchmark -s "$dir/sock" -n 200000 -c 20 -t get --csv | awk -F'"' '/GET/ { print $4 }'
}

# under COMMAND...: the rate while the command traces
under() {
	: >"$dir/said"
	"$@" >"$dir/out" 2>"$dir/said" &
	tracer=$!
	until grep -q tracing "$dir/said"; do
		kill -0 "$tracer"
	done
	load
	kill -INT "$tracer"
	wait "$tracer" # not 0 if an audit fails
	tracer=
}

declare -A rates
names=(untraced floor full count)
load >/dev/null
for ((round = 0; round < rounds; round++)); do
	rates[untraced]+="$(load) "
	rates[floor]+="$(under "$floor") "
	rates[full]+="$(under "$socktrace" attach -F json "$server") "
	rates[count]+="$(under "$socktrace" attach -F json --detail count "$server") "
done

median() {
	tr ' ' '\n' <<<"$1" | grep . | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}
base=$(median "${rates[floor]}")
echo "redis GET, 20 clients, 200,000 requests a round, $rounds rounds, medians"
for name in "${names[@]}"; do
	awk -v n="$name" -v r="$(median "${rates[$name]}")" -v b="$base" \
		'BEGIN { printf "%-10s %10.0f/s  %.3f of the floor\n", n, r, r / b }'
done
