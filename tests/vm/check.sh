#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# check.sh [--update]: runs suite.py on Debian's kernels, under emulation, and on the running one.
# Prints which tests passed where, which hooks are taken where, and a line "N passed, N failed, N
# skipped". With --update, writes the hooks into docs/KERNELS.md. Fails if a test does, or if fewer
# than two kernels were emulated: those that cannot be fetched are skipped, and that is said.
#
# Environment: OUT (build products, default .output; of make cross: OUT/aarch64); FRESH=1 looks for
# newer kernels than those fetched before; KERNELS (default: all four suites, one of them for arm64
# too, and "host"); LIMIT, seconds for one of them.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(realpath -m "${OUT:-$root/.output}")
vm=$out/vm
limit=${LIMIT:-1200}
read -r -a kernels <<<"${KERNELS:-bullseye bookworm trixie trixie-arm64 sid host}"

if [[ $EUID -ne 0 ]]; then
	echo "check.sh: needs root, to trace on the running kernel: run this with sudo" >&2
	exit 1
fi
if [[ ! -x $out/socktrace || ! -x $out/tests/e2e/moves ]]; then
	echo "check.sh: $out has no test programs: make all tests" >&2
	exit 1
fi

native=$(dpkg --print-architecture)

# architecture NAME: that of a kernel, in Debian's words.
architecture() {
	case $1 in
	*-arm64) echo arm64 ;;
	*) echo "$native" ;;
	esac
}

# image ARCH: for its kernels; made once.
image() {
	if [[ $1 == "$native" ]]; then
		"$here/image.sh" "$out" "$vm/image-$1"
	elif [[ -x $out/aarch64/tests/e2e/moves ]]; then
		"$here/image.sh" "$out/aarch64" "$vm/image-$1" "$out/aarch64/sysroot/root"
	else
		echo "check.sh: $out/aarch64 has no test programs: make cross" >&2
		exit 1
	fi
}

mkdir -p "$vm"
rm -f "$vm"/*.results "$vm"/*.skipped "$vm"/*.console
children=()

# kill_tree PID: ends a process and its descendants, each by its PID.
kill_tree() {
	local child
	for child in $(ps -o pid= --ppid "$1"); do
		kill_tree "$child"
	done
	if [[ -e /proc/$1 ]]; then
		kill "$1"
	fi
}

interrupted() {
	local child
	trap - INT TERM
	for child in "${children[@]}"; do
		kill_tree "$child"
	done
	wait
	rm -f "$vm"/*.initrd
	exit 130
}
trap interrupted INT TERM

# each FUNCTION NAME...: two at once for each CPU, as a kernel waits half of its time.
each() {
	local name function=$1
	shift
	children=()
	for name in "$@"; do
		if (($(jobs -rp | wc -l) >= 2 * $(nproc))); then
			wait -n
		fi
		"$function" "$name" &
		children+=($!)
	done
	wait
	children=()
}

# A kernel that cannot be had is told by a file.
fetched() {
	local directory
	local arch
	arch=$(architecture "$1")
	if directory=$("$here/fetch.sh" "${1%-"$arch"}" "$vm/kernels/$1" "$arch" 2>"$vm/$1.fetch"); then
		ln -sfn "$directory" "$vm/kernels/$1.now"
	else
		tail -n 1 "$vm/$1.fetch" >"$vm/$1.skipped"
	fi
}

host() {
	local status=0
	SOCKTRACE=$out/socktrace E2E_BIN=$out/tests/e2e timeout "$limit" python3 "$here/suite.py" \
		"$vm/probes.json" "$vm/host.results" >"$vm/host.console" 2>&1 || status=$?
	ended host "$status"
}

emulated() {
	local arch status=0
	arch=$(architecture "$1")
	"$here/boot.sh" "$vm/kernels/$1.now" "$vm/image-$arch" "$limit" "$vm/$1" "$arch" \
		>"$vm/$1.qemu" 2>&1 || status=$?
	rm -f "$vm/$1.initrd"
	ended "$1" "$status"
}

# What came of it: whether it ran to its end is told by the results.
ended() {
	case $2 in
	0) echo "# $1: done after $SECONDS s" ;;
	124) echo "# $1: given up after $limit s; $vm/$1.console" ;;
	*) echo "# $1: ended with status $2; $vm/$1.console" ;;
	esac
}

one() {
	if [[ $1 == host ]]; then
		host
	else
		emulated "$1"
	fi
}

"$here/probes.py" "$root" >"$vm/probes.json"
suites=()
architectures=()
for kernel in "${kernels[@]}"; do
	if [[ $kernel != host ]]; then
		suites+=("$kernel")
		architectures+=("$(architecture "$kernel")")
	fi
done
for arch in $(printf '%s\n' "${architectures[@]}" | sort -u); do
	image "$arch"
done
each fetched "${suites[@]}"

runs=()
for kernel in "${kernels[@]}"; do
	[[ -e $vm/$kernel.skipped ]] || runs=("$kernel" "${runs[@]}") # the newest, and slowest, first
done
each one "${runs[@]}"

"$here/tables.py" "$vm" "$root/docs/KERNELS.md" "${kernels[@]}" "$@"
