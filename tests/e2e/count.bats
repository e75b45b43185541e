# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Every call, error, restart and byte that a program knows of is in the report, exactly, per thread
# and per process, and every audit holds.

load lib/common

suite_setup() {
	need_root
	COMPARE=()
}

need_compat() {
	[[ -x $E2E_BIN/compat32 ]] || skip "no 32-bit build on this architecture"
}

need_last_pid() {
	[[ -w /proc/sys/kernel/ns_last_pid ]] || skip "may not write ns_last_pid"
}

# --- run -------------------------------------------------------------------------------------

@test "run: every call of a program without a C library, and no other" {
	run --separate-stderr "$SOCKTRACE" run -F json -o "$T/report.json" -- "$E2E_BIN/bare"
	[[ $status -eq 42 && $output == bare ]]
	sound "$T/report.json"
	value "$T/report.json" '"\n".join(str([c["name"], c["calls"], c["errnos"], c["no_return"], c["bytes"]])
		for p in r["processes"] for c in sorted(p["syscalls"], key=lambda c: c["name"]))' >"$T/calls"
	diff - "$T/calls" <<-'EOF'
		['close', 3, {'EBADF': 3}, 0, None]
		['execve', 1, {}, 0, None]
		['exit_group', 0, {}, 1, None]
		['getppid', 5, {}, 0, None]
		['write', 1, {}, 0, 5]
	EOF
	[[ $(value "$T/report.json" 'r["processes"][0]["exit_status"]') -eq 42 ]]
}

@test "run: 8 processes of 4 threads with 32 iterations, 20 times of 20" {
	for _ in {1..20}; do
		run_counts -- grid -p 8 -t 4 -n 32
	done
}

@test "run: a fork tree" {
	run_counts -- forktree -d 3 -w 3
}

@test "run: a fork tree of orphans" {
	run_counts -- forktree -d 3 -w 3 -x
}

@test "run: a chain of execs" {
	run_counts -- execs -n 20 chain
}

@test "run: execve from a thread that is not the leader" {
	run_counts -- execs thread
}

@test "run: execve that fails" {
	run_counts -- execs failed
}

@test "run: vfork and posix_spawn; the parent of vfork is blocked, not busy" {
	run_counts -- vforks
}

@test "run: calls interrupted by signals and stops, restarts apart from errors" {
	run_counts -- signals
}

@test "run: processes that end while their threads are inside calls" {
	run_counts -- die
}

@test "run: 5,000 short-lived threads and 500 processes" {
	run_counts -- shortlived -t 5000 -p 500
}

@test "run: calls denied by seccomp are no calls" {
	run_counts -- denied
}

@test "run: 32-bit calls of a 64-bit program" {
	need_compat
	run_counts -- compat
}

@test "run: 32-bit calls with registers that look like those of a 64-bit call" {
	need_compat
	run_counts -- compat -d
}

@test "run: a 32-bit program" {
	need_compat
	COMPARE=(--abi x86_64)
	run_counts -- compat32
}

@test "run: execve from 64 to 32 bit and back" {
	need_compat
	run_counts -- compat -e "$E2E_BIN/compat32"
}

@test "run: execve from 32 to 64 bit and back" {
	need_compat
	run_counts -- compat32 -e "$E2E_BIN/compat"
}

@test "run: numbers that no call has" {
	run_counts -- oddcalls
}

@test "run: bytes moved by the read and write families" {
	run_counts -- bytes
}

@test "run: a process number used again and again" {
	need_last_pid
	run_counts -- pidreuse
}

@test "run: a thread number used again and again" {
	need_last_pid
	run_counts -- pidreuse -t
}

@test "run --no-follow: the children are left out" {
	COMPARE=(--root-only)
	run_counts --no-follow -- grid -p 3 -t 2
	run_counts --no-follow -- forktree
	run_counts --no-follow -- shortlived -t 100 -p 10
	[[ $(value "$T/report.json" 'len(r["processes"])') -eq 1 ]]
}

@test "run --no-follow: calls before and after execve are one process's" {
	COMPARE=(--root-only)
	run_counts --no-follow -- execs chain
}

# --- attach ----------------------------------------------------------------------------------

@test "attach to one process: its threads, but not its children" {
	COMPARE=(--root-only)
	attach_counts -- shortlived -t 200 -p 20
	[[ $(value "$T/report.json" 'len(r["processes"])') -eq 1 ]]
}

@test "attach to many processes whose threads already run" {
	attach_counts -- grid -l -p 8 -t 4
	[[ $(value "$T/report.json" 'len(r["processes"])') -eq 9 ]]
}

@test "attach to some processes of many" {
	program_start grid -l -p 4 -t 2
	trace_start attach "${READY[1]}" "${READY[3]}" -F json -o "$T/report.json"
	program_go
	program_end
	trace_end 0
	same_as_truth "$T/report.json" --only "${READY[1]}" --only "${READY[3]}"
}

@test "attach to a process named twice counts it once" {
	program_start grid -l -p 1 -t 2
	trace_start attach "${READY[1]}" "${READY[1]}" -F json -o "$T/report.json"
	program_go
	program_end
	trace_end 0
	same_as_truth "$T/report.json" --only "${READY[1]}"
}

@test "attach -f: processes and threads that begin later" {
	attach_counts -f -- grid -p 8 -t 4
}

@test "attach --follow: a fork tree of orphans" {
	attach_counts --follow -- forktree -d 3 -w 3 -x
}

@test "attach -f: a chain of execs" {
	attach_counts -f -- execs -n 20 chain
}

@test "attach without -f goes on across execve" {
	attach_counts -- execs chain
}

@test "attach -f: execve from a thread that is not the leader" {
	attach_counts -f -- execs thread
}

@test "attach -f: vfork and posix_spawn" {
	attach_counts -f -- vforks
}

@test "attach -f: calls interrupted by signals and stops" {
	attach_counts -f -- signals
}

@test "attach -f: processes that end while their threads are inside calls" {
	attach_counts -f -- die
}

@test "attach -f: 5,000 short-lived threads and 500 processes" {
	attach_counts -f -- shortlived -t 5000 -p 500
}

@test "attach: calls denied by seccomp are no calls" {
	attach_counts -f -- denied
}

@test "attach: execve from 64 to 32 bit and back" {
	need_compat
	attach_counts -- compat -e "$E2E_BIN/compat32"
}

@test "attach to a 32-bit program" {
	need_compat
	attach_counts -- compat32
}

@test "attach: numbers that no call has" {
	attach_counts -- oddcalls
}

@test "attach: bytes moved by the read and write families" {
	attach_counts -- bytes
}

# --- --detail count --------------------------------------------------------------------------

count_only() {
	:
	run_counts --detail count -- "$@"
	[[ $(value "$T/report.json" 'r["capture"]["detail"]') == count ]]
}

@test "--detail count: 8 processes of 4 threads" {
	count_only grid -p 8 -t 4
}

@test "--detail count: a fork tree" {
	count_only forktree -d 3 -w 3 -x
}

@test "--detail count: execve, from any thread, also one that fails" {
	count_only execs chain
	count_only execs thread
	count_only execs failed
}

@test "--detail count: vfork and posix_spawn" {
	count_only vforks
}

@test "--detail count: calls interrupted by signals and stops" {
	count_only signals
}

@test "--detail count: processes that end while their threads are inside calls" {
	count_only die
}

@test "--detail count: 5,000 short-lived threads and 500 processes" {
	count_only shortlived -t 5000 -p 500
}

@test "--detail count: execve from 64 to 32 bit and back" {
	need_compat
	count_only compat -e "$E2E_BIN/compat32"
}

@test "--detail count: bytes moved by the read and write families" {
	count_only bytes
}

@test "--detail count: calls denied by seccomp are told from calls by nothing, and counted" {
	count_only denied
}

@test "--detail count in attach mode" {
	
	attach_counts -f --detail count -- grid
}

# --- threads in the report -------------------------------------------------------------------

@test "the totals of a process are those of its threads, ended ones included" {
	run_counts -- shortlived -t 5000 -p 0
	[[ $(value "$T/report.json" 'sum(t["folded"] for t in r["processes"][0]["threads"])') -eq 5001 ]]
}

# --- the comparison itself -------------------------------------------------------------------

# altered STATEMENT: the report, changed by this statement, must not pass.
altered() {
	"$PYTHON" -c 'import json, sys
r = json.load(open(sys.argv[1]))
p = r["processes"][1]
t = p["threads"][1]
c = next(c for c in t["syscalls"] if c["name"] == "getppid")
exec(sys.argv[3])
json.dump(r, open(sys.argv[2], "w"))' "$T/report.json" "$T/altered.json" "$1"
	run ! same_as_truth "$T/altered.json" --run
}

@test "a wrong report does not pass" {
	run_counts -- grid -p 2 -t 2 -n 4
	altered 'c["calls"] += 1'
	altered 'c["errnos"]["EPERM"] = c["errors"] = 1'
	altered 'c["restarts"] = 1'
	altered 'c["histogram"][0][1] += 1'
	altered 'c["blocked_ns"] += 1'
	altered 't["syscalls"].remove(c)'
	altered 't["tid"] += 100000'
	altered 'p["threads"].remove(t)'
	altered 'p["syscalls"][0]["bytes"] = p["syscalls"][0]["calls"] = 77'
	altered 'p["switches"]["voluntary"] += 1'
	altered 'p["exit_status"] = 1; r["processes"][0]["exit_status"] = 1'
	altered 'r["processes"].remove(p)'
	altered 'r["processes"].append(dict(p, pid=p["pid"] + 100000))'
	altered 'r["audits"][0]["ok"] = None'
	altered 'r["audits"].pop()'
	altered 'r["capture"]["lost"]["tasks_full"] = 1'
	altered 'r["capture"]["complete"] = False'
	altered 'r["schema"] = "socktrace/2"'
}
