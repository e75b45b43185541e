# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# CPU time, waiting, switches, migrations and faults, against what the kernel keeps in /proc.

load lib/common

suite_setup() {
	need_root
}

times_of() {
	program_start cputime
	trace_start attach "$PROGRAM" "$@" -F json -o "$T/report.json"
	program_go
	wait_line "$SAID" "done" "$T/program.log"
	kill -INT "$TRACE"
	trace_end 0
	program_go
	program_end
}

@test "CPU time, run queue, switches, migrations and faults are the kernel's own" {
	times_of
	same_as_truth "$T/report.json"
}

@test "--detail count has the same CPU time, switches, migrations and faults" {
	times_of --detail count
	same_as_truth "$T/report.json"
}

@test "a call under way at the start and one at the end are told apart from calls" {
	times_of
	[[ $(value "$T/report.json" 'sorted((c["calls"], c["in_flight_start"], c["in_flight"])
		for p in r["processes"] for t in p["threads"] if t["comm"] == "spinner"
		for c in t["syscalls"] if c["name"] == "read")') == "[(0, 1, 1), (0, 1, 1)]" ]]
}

@test "-d ends the trace after so many seconds" {
	program_start cputime
	trace_start attach -d 1 "$PROGRAM" -F json -o "$T/report.json"
	trace_end 0
	sound "$T/report.json"
	[[ $(value "$T/report.json" '1e9 <= r["capture"]["duration_ns"] < 2e9') == True ]]
	[[ $(value "$T/report.json" '[p["ended"] for p in r["processes"]]') == "[False]" ]]
	program_go
	wait_line "$SAID" "done" "$T/program.log"
	program_go
	program_end
}
