#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# run.sh [SECONDS [TARGET...]]: runs the fuzz targets that were built before (make check-fuzz), or
# the named ones (saved, escape, ...), each on its seeds and then for SECONDS (10) on mutations of
# them. Prints TAP. The random seed is fixed (FUZZ_SEED, 1): a change that breaks nothing does not
# meet other inputs because of the day. What a run finds to reach new code stays in
# OUT/fuzz/found/TARGET and is where the next run goes on.
#
# An input that breaks a promise is kept as OUT/fuzz/TARGET-crash-*, and the way to run it again
# is printed. Once fixed, it becomes a unit test (tests/unit/test_fuzz_regressions.c).

set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(realpath -m "${OUT:-$root/.output}")/fuzz
bin=$out/sanitize/tests/fuzz
seconds=${1:-10}
tests=0
failed=0

# MiB and s; one input takes a few ms.
limits=(-rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=10)
export ASAN_OPTIONS=quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1

# result NAME STATUS LOG: a test; a log of one that failed is shown as far as it helps.
result() {
	tests=$((tests + 1))
	if (($2 == 0)); then
		echo "ok $tests - $1"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $1"
	grep -vE '^#[0-9]+|^INFO|^0x|^artifact_prefix|^Base64|MS: ' "$3" | tail -n 40 | cut -c1-400 |
		sed 's/^/# /'
}

# executed LOG: how many inputs were run; nothing if it did not come to its end.
executed() {
	sed -n 's/^stat::number_of_executed_units: *//p' "$1"
}

# run TARGET LOG OPTION...: libFuzzer's status.
run() {
	local status=0
	"$bin/fuzz_$1" "${limits[@]}" -seed="${FUZZ_SEED:-1}" -print_final_stats=1 \
		-artifact_prefix="$out/$1-" "${@:3}" >"$2" 2>&1 || status=$?
	return "$status"
}

reproduce() {
	local input
	while read -r input; do
		echo "# to reproduce: $bin/fuzz_$1 $input"
	done < <(sed -n 's/^artifact_prefix=.*Test unit written to //p' "$2")
}

fuzz() {
	local name=$1 log=$out/$1.log seeds=$root/tests/fuzz/corpus/$1 nr status=0
	nr=$(find "$seeds" -type f | wc -l)
	run "$name" "$log" -runs=0 "$seeds" || status=$?
	if ((status == 0 && ($(executed "$log") < nr || nr == 0))); then
		echo "not all of $nr seeds were run" >>"$log"
		status=1
	fi
	result "$name: the $nr seeds keep every promise" "$status" "$log"
	reproduce "$name" "$log"
	((status == 0)) || return 0
	mkdir -p "$out/found/$name"
	run "$name" "$log" -max_total_time="$seconds" "$out/found/$name" "$seeds" || status=$?
	if ((status == 0 && $(executed "$log") <= nr)); then
		echo "nothing but the $nr seeds was run" >>"$log"
		status=1
	fi
	result "$name: so do mutations of them, for $seconds s" "$status" "$log"
	echo "# $(executed "$log") inputs"
	reproduce "$name" "$log"
}

targets=("${@:2}")
if ((${#targets[@]} == 0)); then
	for target in "$root"/tests/fuzz/fuzz_*.c; do
		target=$(basename "$target" .c)
		targets+=("${target#fuzz_}")
	done
fi
for target in "${targets[@]}"; do
	if [[ ! -x $bin/fuzz_$target || ! -d $root/tests/fuzz/corpus/$target ]]; then
		echo "run.sh: no $bin/fuzz_$target, or no seeds: run make check-fuzz" >&2
		exit 1
	fi
	fuzz "$target"
done
echo "1..$tests"
((failed == 0))
