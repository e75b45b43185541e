#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# check.sh DIR: the program in DIR (make check-cross built it there, with DIR/sysroot) is for
# AArch64 and, under qemu's emulation of that processor, reads and writes reports as it does here.
# Tracing needs a kernel of that kind: make check-kernels. Prints TAP.

set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
dir=${1:?usage: check.sh DIR}
program=$dir/socktrace
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
tests=0
failed=0

# holds NAME COMMAND...: a test that has failed if the command does.
holds() {
	tests=$((tests + 1))
	if "${@:2}" >"$work/said" 2>&1; then
		echo "ok $tests - $1"
	else
		failed=$((failed + 1))
		echo "not ok $tests - $1"
		head -n 20 "$work/said" | cut -c1-400 | sed 's/^/# /'
	fi
}

emulated() {
	qemu-aarch64 -L "$dir/sysroot/root" "$program" "$@"
}

is_aarch64() {
	readelf -h "$program"
	readelf -h "$program" | grep -qE '^ *Machine: *AArch64$'
}

# The programs for the kernel were compiled for its registers: no field of those of x86 is in
# what is to be relocated.
has_its_registers() {
	strings -a "$dir/socktrace.bpf.o" >"$work/strings"
	grep -qx syscallno "$work/strings" && ! grep -qx orig_ax "$work/strings"
}

answers() {
	emulated --version | grep -E '^socktrace [0-9]' && emulated --help | grep -F run-workload
}

# renders REPORT FORMAT FILE. Status 3: an audit of that report does not hold.
renders() {
	local status=0
	emulated report -F "$2" "$1" >"$work/out" || status=$?
	((status == 0 || status == 3)) && cmp "$work/out" "$3"
}

if ! command -v qemu-aarch64 readelf strings >"$work/said"; then
	echo "check.sh: qemu-aarch64, readelf or strings is missing: make deps" >&2
	exit 1
fi
holds "the program is for AArch64" is_aarch64
holds "the programs for the kernel know the registers of AArch64" has_its_registers
holds "--version and --help answer" answers
for json in "$root"/tests/unit/golden/*.json; do
	name=${json%.json}
	for format in text:txt md:md csv:csv; do
		holds "report: $(basename "$name") as ${format%:*}, byte for byte" \
			renders "$json" "${format%:*}" "$name.${format#*:}"
	done
done
echo "1..$tests"
((failed == 0))
