#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# demo.sh SOCKTRACE: attaches to a real redis-server under real load and shows the report.
set -euo pipefail

socktrace=$1
if [[ $EUID -ne 0 ]]; then
	echo "demo: tracing needs root; run: sudo make demo" >&2
	exit 1
fi

dir=$(mktemp -d)
server=
finish() {
	if [[ -n $server ]]; then
		kill "$server"
		wait "$server" || [[ $? -ne 1 ]]
	fi
	rm -rf "$dir"
}
trap finish EXIT

echo "demo: a redis-server of our own, on a socket in $dir"
redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" --appendonly no >"$dir/log" &
server=$!
until [[ $(redis-cli -s "$dir/redis.sock" ping 2>&1) == PONG ]]; do
	if ! kill -0 "$server"; then
		cat "$dir/log" >&2
		exit 1
	fi
done

echo "demo: socktrace attach $server, while redis-benchmark asks 200,000 times"
echo
"$socktrace" attach -F json -o "$dir/report.json" "$server" 2> >(tee "$dir/said" >&2) &
tracer=$!
until grep -q tracing "$dir/said" 2>&1; do
	kill -0 "$tracer" || exit 1
	sleep 0.01
done
redis-benchmark -s "$dir/redis.sock" -n 200000 -c 20 -t get -q
echo
kill -INT "$tracer"
wait "$tracer"
"$socktrace" report "$dir/report.json"
