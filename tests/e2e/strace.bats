# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Where strace -c -f can count the same thing, it counts the same: calls and errors of the whole
# program, the C library's and the loader's included.

load lib/common

suite_setup() {
	need_root
	need_program strace
}

# same_totals PROGRAM ARG...: two runs, one under each tracer. Names that $DIFFER matches may
# differ between two runs: they depend on which thread is first, or are made again because the
# SIGCHLD that a process ignores interrupts it all the same under ptrace.
same_totals() {
	strace -c -f -o "$T/strace.txt" "$E2E_BIN/$1" "${@:2}" >"$T/strace.out"
	"$SOCKTRACE" run -F json -o "$T/report.json" -- "$E2E_BIN/$1" "${@:2}" >"$T/socktrace.out"
	sound "$T/report.json"
	"$PYTHON" "$ROOT/tests/e2e/lib/totals.py" "$T/strace.txt" "$T/report.json" "$DIFFER"
}

@test "all calls of a grid: same totals as strace -c -f" {
	DIFFER='futex|wait4|clone' same_totals grid -p 4 -t 2
}

@test "all calls of a fork tree: same totals as strace -c -f" {
	DIFFER='wait4' same_totals forktree
}

@test "all calls of a chain of execs: same totals as strace -c -f" {
	DIFFER='' same_totals execs chain
}

@test "all calls of vfork and posix_spawn: same totals as strace -c -f" {
	DIFFER='wait4|clone3?' same_totals vforks
}

@test "all calls of short-lived threads and processes: same totals as strace -c -f" {
	DIFFER='futex|wait4|clone3?|madvise|mmap|munmap|mprotect|brk' same_totals shortlived -t 200 -p 50
}

@test "all calls of ls: same totals as strace -c -f" {
	strace -c -f -o "$T/strace.txt" ls -lR /usr/include/linux >"$T/strace.out"
	"$SOCKTRACE" run -F json -o "$T/report.json" -- ls -lR /usr/include/linux >"$T/socktrace.out"
	cmp "$T/strace.out" "$T/socktrace.out"
	"$PYTHON" "$ROOT/tests/e2e/lib/totals.py" "$T/strace.txt" "$T/report.json" ""
}

# calls_of PROCESS NAME FIELD: of the process of that name.
calls_of() {
	"$PYTHON" -c '
import json, sys
report = json.load(open(sys.argv[1]))
print(sum(c[sys.argv[4]] or 0 for p in report["processes"] if p["comm"].startswith(sys.argv[2])
          for c in p["syscalls"] if c["name"] == sys.argv[3]))
' "$T/report.json" "$@"
}

@test "calls that a ptracer answers are denied, not errors of a call that has no number" {
	local work="import os; [os.getppid() for _ in range(50)]"
	"$SOCKTRACE" run -F json -o "$T/report.json" -- strace -f -o "$T/log" \
		-e trace=getppid -e inject=getppid:retval=7 "$PYTHON" -c "$work"
	[[ $(grep -c INJECTED "$T/log") == 50 ]]
	[[ $(calls_of python3 invalid denied) == 50 ]]
	[[ $(calls_of python3 invalid calls) == 0 ]]
	[[ $(calls_of python3 getppid calls) == 0 ]]
	# There is no entry to see: they stand as calls, but under no other's name.
	"$SOCKTRACE" run --detail count -F json -o "$T/report.json" -- strace -f -o "$T/log" \
		-e trace=getppid -e inject=getppid:retval=7 "$PYTHON" -c "$work"
	[[ $(calls_of python3 invalid errors) == 50 ]]
	[[ $(calls_of python3 rt_sigreturn calls) == 0 ]]
}
