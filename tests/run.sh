#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# run.sh [SUITE...]: runs the unit tests, the end-to-end suites (tests/e2e/*.bats), the fuzz targets,
# the build for AArch64 and the suite on other kernels, all built before, or only the named suites
# of tests/e2e. Ends with a line "N passed, N failed, N skipped".
# Under CI=true, a skipped test of a suite that must run there is a failure.
#
# Environment: OUT (build products, default .output), SOCKTRACE, E2E_BIN.

set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
out=$(realpath -m "${OUT:-$root/.output}")
export SOCKTRACE=${SOCKTRACE:-$out/socktrace}
export E2E_BIN=${E2E_BIN:-$out/tests/e2e}

# Suites that the CI machine has everything for: root, a recent kernel, every tool.
must_run=(truth exact mutations include_direction usage privileges count races times strace run
	output interrupted report rows servers sockets tcp udp drops peers workloads workload_faults)

suite_timeout=600 # s; a hang becomes a failure

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0
skipped=0

say() {
	printf '%s\n' "$*"
}

must_it_run() {
	local name
	[[ ${CI:-} == true ]] || return 1
	for name in "${must_run[@]}"; do
		[[ $name != "$1" ]] || return 0
	done
	return 1
}

# count_tap NAME STATUS: adds up the TAP lines in the log. A suite that ends badly, or before
# its plan is fulfilled, has failed even if no single test has.
count_tap() {
	local ok not_ok skip plan
	skip=$(grep -ciE '^ok [0-9]+ .*# skip' "$log" || [[ $? -eq 1 ]])
	ok=$(($(grep -cE '^ok [0-9]+' "$log" || [[ $? -eq 1 ]]) - skip))
	not_ok=$(grep -cE '^not ok [0-9]+' "$log" || [[ $? -eq 1 ]])
	plan=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	if ((ok + skip + not_ok != plan || plan == 0)); then
		say "not ok: $1 ran $((ok + skip + not_ok)) of $plan tests"
		not_ok=$((not_ok + 1))
	elif (($2 != 0 && not_ok == 0)); then
		say "not ok: $1 ended with status $2"
		not_ok=1
	fi
	if ((skip > 0)) && must_it_run "$1"; then
		say "not ok: $1 must run here, but skipped $skip"
		not_ok=$((not_ok + skip))
		skip=0
	fi
	passed=$((passed + ok))
	failed=$((failed + not_ok))
	skipped=$((skipped + skip))
}

# run_suite NAME COMMAND...: the command prints TAP.
run_suite() {
	local name=$1 status=0
	say "# $name"
	"${@:2}" >"$log" 2>&1 || status=$?
	cat "$log"
	count_tap "$name" "$status"
}

# run_unit_tests NAME DIR: the test programs in DIR.
run_unit_tests() {
	local test found=0
	for test in "$2"/test_*; do
		[[ -x $test && ! -d $test ]] || continue
		found=1
		run_suite "$1/$(basename "$test")" env CMOCKA_MESSAGE_OUTPUT=TAP "$test"
	done
	if ((!found)); then
		say "not ok: no unit tests in $2: build them first"
		failed=$((failed + 1))
	fi
}

# Documents that must say what the program does.
run_doc_checks() {
	local check
	for check in "$root"/tests/unit/check_*.sh; do
		run_suite "docs/$(basename "$check" .sh)" "$check"
	done
	run_suite bench/figures "$root/tests/unit/check_figures.py"
	run_suite bench/tracers "$root/tests/unit/check_tracers.py"
}

# The program with AddressSanitizer and UndefinedBehaviorSanitizer, in the suites that reach most
# of user space.
run_sanitized() {
	local suite
	run_unit_tests sanitize/unit "$out/sanitize/tests/unit"
	for suite in count report usage run; do
		run_suite "sanitize/$suite" env SOCKTRACE="$out/sanitize/socktrace" \
			timeout "$suite_timeout" bats --tap "$root/tests/e2e/$suite.bats"
	done
}

run_bats_suites() {
	local suite
	for suite in "$@"; do
		run_suite "$(basename "$suite" .bats)" timeout "$suite_timeout" bats --tap "$suite"
	done
}

# Debian's kernels under emulation: a table, and a last line like that of this script.
run_kernels() {
	local status=0 last sums
	say "# kernels"
	"$root/tests/vm/check.sh" 2>&1 | tee "$log" || status=$?
	last=$(tail -n 1 "$log")
	if [[ ! $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
		say "not ok: kernels ended with status $status and no sums"
		failed=$((failed + 1))
		return
	fi
	sums=("${BASH_REMATCH[@]:1}")
	if ((status != 0 && sums[1] == 0)); then
		say "not ok: kernels ended with status $status"
		sums[1]=1
	fi
	passed=$((passed + sums[0]))
	failed=$((failed + sums[1]))
	skipped=$((skipped + sums[2]))
}

if ! command -v bats >/dev/null; then
	say "run.sh: bats is missing (Debian: apt-get install bats)" >&2
	exit 1
fi
if (($#)); then
	run_bats_suites "${@/#/$root/tests/e2e/}"
else
	run_unit_tests unit "$out/tests/unit"
	run_doc_checks
	run_bats_suites "$root"/tests/e2e/*.bats
	run_sanitized
	run_suite fuzz "$root/tests/fuzz/run.sh"
	run_suite cross "$root/tests/cross/check.sh" "$out/aarch64"
	run_kernels
fi
say "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
