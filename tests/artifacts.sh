#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# artifacts.sh SOCKTRACE [NAME...]: runs the workloads, each over the values at which the question
# about it is decided, and writes results/NAME.json, .md and .txt. Files of a workload appear
# together, and only if its run can be trusted.
set -euo pipefail

socktrace=$1
shift
cd "$(dirname "$0")/.."

declare -A options=(
	[gateway]="--mode threaded,epoll --connections 1,4,8,16 --baseline"
	[feed]="--rcvbuf 2048,0,8388608 --trials 4"
	[forwarder]="--topology veth --buffer 8K,16K,64K --splice both --streams 8"
)
if [[ $# -eq 0 ]]; then
	set -- gateway feed forwarder
fi
if [[ $EUID -ne 0 ]]; then
	echo "artifacts: tracing needs root; run: sudo make artifacts" >&2
	exit 1
fi

fresh=$(mktemp -d results/.fresh.XXXXXX)
trap 'rm -r "$fresh"' EXIT
for name in "$@"; do
	read -ra words <<<"${options[$name]}"
	echo "artifacts: socktrace run-workload $name ${words[*]}"
	"$socktrace" run-workload "$name" "${words[@]}" -F json -o "$fresh/$name.json"
	"$socktrace" report "$fresh/$name.json" -F md -o "$fresh/$name.md"
	"$socktrace" report "$fresh/$name.json" -F text -o "$fresh/$name.txt"
	mv "$fresh/$name".* results/
done
