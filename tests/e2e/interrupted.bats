# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# However socktrace ends, the target goes on unharmed, and nothing is left in the kernel.

load lib/common

suite_setup() {
	need_root
	need_program bpftool
}

# interrupted SIGNAL STATUS: a trace that this signal ends; then the target does its work.
interrupted() {
	program_start grid -l -p 2 -t 2
	trace_start attach "${READY[@]}" -F json -o "$T/report.json"
	bpf_objects "$TRACE" >"$T/objects"
	grep -q ^prog "$T/objects" # else the test would find nothing to be gone
	kill "-$1" "$TRACE"
	trace_end "$2"
	objects_gone "$T/objects"
	program_go
	program_end
}

@test "SIGINT ends the trace with a report" {
	interrupted INT 0
	sound "$T/report.json"
}

@test "SIGTERM ends the trace with a report" {
	interrupted TERM 0
	sound "$T/report.json"
}

@test "SIGHUP ends the trace with a report" {
	interrupted HUP 0
	sound "$T/report.json"
}

@test "SIGKILL: no report, the target goes on, nothing is left" {
	interrupted KILL 137
	[[ ! -e $T/report.json ]]
}

@test "SIGSEGV, as of a defect: the target goes on, nothing is left" {
	ulimit -c 0
	interrupted SEGV 139
	[[ ! -e $T/report.json ]]
}

@test "SIGPIPE: a reader that went away ends socktrace, the target goes on, nothing is left" {
	program_start grid -l -p 2 -t 2
	mkfifo "$T/pipe" "$T/stderr"
	"$SOCKTRACE" attach "${READY[@]}" -F json >"$T/pipe" 2>"$T/stderr" 3>&- &
	TRACE=$!
	exec {reader}<"$T/pipe" {ERR}<"$T/stderr"
	wait_line "$ERR" tracing "$T/err"
	bpf_objects "$TRACE" >"$T/objects"
	grep -q ^prog "$T/objects"
	exec {reader}<&-
	kill -TERM "$TRACE"
	ends "$TRACE"
	[[ $status -eq 1 || $status -eq 141 ]] || fail "status $status: $(cat "$T/err")"
	objects_gone "$T/objects"
	program_go
	program_end
}

@test "two signals at once do no harm" {
	program_start grid -l -p 2 -t 2
	trace_start attach "${READY[@]}" -F json -o "$T/report.json"
	kill -INT "$TRACE"
	kill -TERM "$TRACE" # a child that is not waited for is there, ended or not
	trace_end 0
	sound "$T/report.json"
	program_go
	program_end
}

@test "a trace that ends by itself leaves nothing" {
	program_start grid -l -p 2 -t 2
	trace_start attach "${READY[@]}" -F json -o "$T/report.json"
	bpf_objects "$TRACE" >"$T/objects"
	grep -q ^prog "$T/objects"
	program_go
	program_end
	trace_end 0
	objects_gone "$T/objects"
}
