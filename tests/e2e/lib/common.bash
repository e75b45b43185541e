# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash
# What the suites share. A test waits for what a program says or for a process to end, never for a
# length of time; TIMEOUT only turns a hang into a failure.

bats_require_minimum_version 1.5.0

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
SOCKTRACE=${SOCKTRACE:-$ROOT/.output/socktrace}
E2E_BIN=${E2E_BIN:-$ROOT/.output/tests/e2e}
PYTHON=$(command -v /usr/bin/python3 || command -v python3)
TIMEOUT=${TIMEOUT:-60}
COMPARE=()
SOCKETS=()
ONLY=()
TRACER=
WRAPPER=

fail() {
	printf '%s\n' "$@" >&2
	return 1
}

# A suite without its tools fails; it does not skip.
export T SOCKTRACE E2E_BIN

setup() {
	[[ -n $PYTHON ]] || fail "python3 is missing"
	[[ -x $E2E_BIN/grid ]] || fail "$E2E_BIN/grid is missing: build the test programs first"
	T=$BATS_TEST_TMPDIR
	if declare -F suite_setup >/dev/null; then
		suite_setup
	fi
}

# kill_tree PID: ends a process and its descendants, each by its PID.
kill_tree() {
	local child
	for child in $(ps -o pid= --ppid "$1"); do
		kill_tree "$child"
	done
	if kill -0 "$1" 2>"$T/kill_tree"; then
		kill -KILL "$1"
	fi
}

# drop PID: the same for a child of this shell, which then says nothing about its end.
drop() {
	disown "$1"
	kill_tree "$1"
}

# What a test has started and not waited for ends with it.
teardown() {
	local pid
	for pid in $(jobs -rp) $(jobs -sp); do
		drop "$pid"
	done
	if declare -F suite_teardown >/dev/null; then
		suite_teardown
	fi
}

need_socktrace() {
	[[ -x $SOCKTRACE ]] || fail "$SOCKTRACE is missing: build it first"
}

need_root() {
	need_socktrace
	[[ $EUID -eq 0 ]] || skip "needs root"
}

need_program() {
	command -v "$1" >/dev/null || skip "needs $1"
}

free_port() {
	"$PYTHON" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Reads lines from descriptor $1 into REPLY until one contains $2. Every line goes to file $3.
wait_line() {
	while IFS= read -r -t "$TIMEOUT" -u "$1"; do
		printf '%s\n' "$REPLY" >>"$3"
		[[ $REPLY != *"$2"* ]] || return 0
	done
	fail "end of output, or $TIMEOUT s gone, without a line that contains \"$2\":" "$(cat "$3")"
}

# ends PID: waits for a child of this shell, which bats' own `run` cannot. Sets status.
ends() {
	status=0
	wait "$1" || status=$?
}

# --- a test program under -g -----------------------------------------------------------------

# program_start NAME [ARG...]: returns when it is ready. Sets PROGRAM (its PID) and READY (PIDs).
# WRAPPER is a command to start it by.
program_start() {
	local go said
	go=$(mktemp -u "$T/go.XXXXXX")
	said=$(mktemp -u "$T/said.XXXXXX")
	mkfifo "$go" "$said"
	: >"$T/program.log"
	$WRAPPER "$E2E_BIN/$1" -g -o "$T/truth.json" "${@:2}" <"$go" >"$said" 3>&- &
	PROGRAM=$!
	exec {GO}>"$go" {SAID}<"$said"
	wait_line "$SAID" ready "$T/program.log"
	read -r -a READY <<<"${REPLY#ready}"
}

program_go() {
	printf x >&"$GO"
}

# Waits until it has ended; fails unless that was well.
program_end() {
	wait "$PROGRAM" || fail "the test program ended with $?"
}

# --- socktrace in the background -------------------------------------------------------------

# trace_start ARG...: returns when it says that it is tracing. Standard output goes to $T/out,
# standard error to $T/err. Sets TRACE (its PID). An asynchronous command of a shell ignores
# SIGINT: undone by env.
trace_start() {
	local fifo
	fifo=$(mktemp -u "$T/stderr.XXXXXX")
	mkfifo "$fifo"
	: >"$T/err"
	$TRACER env --default-signal=INT,QUIT "$SOCKTRACE" "$@" >"$T/out" 2>"$fifo" 3>&- &
	TRACE=$!
	exec {ERR}<"$fifo"
	wait_line "$ERR" tracing "$T/err"
	cat <&"$ERR" >>"$T/err" 3>&- &
	ERR_COPY=$!
}

# trace_end STATUS: waits until it has ended by itself, with that status.
trace_end() {
	ends "$TRACE"
	wait "$ERR_COPY"
	[[ $status -eq $1 ]] || fail "socktrace ended with $status, not $1:" "$(cat "$T/err")"
}

# --- reports ---------------------------------------------------------------------------------

# same_as_truth REPORT [OPTION...]: holds the report against the program's own account.
same_as_truth() {
	"$PYTHON" "$ROOT/tests/e2e/lib/compare.py" report "$T/truth.json" "$@"
}

# sound REPORT: the report agrees with itself, and every audit holds.
sound() {
	"$PYTHON" "$ROOT/tests/e2e/lib/compare.py" sound "$@"
}

# value REPORT EXPRESSION: a Python expression over the report r.
value() {
	"$PYTHON" -c 'import json, sys
r = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$@"
}

# run_counts OPTIONS... -- PROGRAM ARG...: runs a test program under socktrace and compares.
# COMPARE holds options for compare.py.
run_counts() {
	local options=()
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	"$SOCKTRACE" run "${options[@]}" -F json -o "$T/report.json" -- \
		"$E2E_BIN/$2" -o "$T/truth.json" "${@:3}" 3>&-
	same_as_truth "$T/report.json" --run "${COMPARE[@]}"
}

# attach_counts OPTIONS... -- PROGRAM ARG...: the same for attach to a process that waits.
attach_counts() {
	local options=()
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	program_start "${@:2}"
	trace_start attach "${READY[@]:-$PROGRAM}" "${options[@]}" -F json -o "$T/report.json"
	program_go
	program_end
	trace_end 0
	same_as_truth "$T/report.json" "${COMPARE[@]}"
}

# --- readers that do not read ----------------------------------------------------------------

# full_pipe NAME: makes $T/NAME, a pipe without room for another byte, that has a reader
# which never reads. Sets PIPE (a descriptor with which it can be emptied).
full_pipe() {
	mkfifo "$T/$1"
	exec {PIPE}<>"$T/$1"
	"$PYTHON" -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
for size in (4096, 1):
    try:
        while True:
            os.write(fd, b"." * size)
    except BlockingIOError:
        pass' "$T/$1"
}

# --- what socktrace leaves behind ------------------------------------------------------------

# bpf_objects PID: "prog ID", "map ID", "link ID" of what a process holds in the kernel.
bpf_objects() {
	sed -nE 's/^(prog|map|link)_id:[[:space:]]+/\1 /p' "/proc/$1/fdinfo"/* | sort -u
}

# objects_gone FILE: every object listed in FILE is gone within a second, as is promised.
objects_gone() {
	local kind id until=$((${EPOCHREALTIME/./} + 1000000))
	while read -r kind id; do
		while bpftool "$kind" show id "$id" >"$T/left" 2>&1; do
			((${EPOCHREALTIME/./} < until)) || fail "$kind $id is left: $(cat "$T/left")"
		done
	done <"$1"
}

# --- programs that know their sockets (programs/endpoint.h) ----------------------------------

# same_sockets REPORT [OPTION...]: holds sockets, and calls too, against the program's account.
same_sockets() {
	local calls=0
	same_as_truth "$1" "${COMPARE[@]}" "${ONLY[@]}" || calls=$?
	"$PYTHON" "$ROOT/tests/e2e/lib/sockets.py" report "$T/truth.json" "$@" "${ONLY[@]}"
	return "$calls"
}

# sound_sockets REPORT: the report agrees with itself, and every audit holds.
sound_sockets() {
	"$PYTHON" "$ROOT/tests/e2e/lib/sockets.py" sound "$@"
}

# split_options OPTION... -- PROGRAM ARG...: sets OPTIONS and COMMAND.
split_options() {
	OPTIONS=()
	while [[ $1 != -- ]]; do
		OPTIONS+=("$1")
		shift
	done
	COMMAND=("${@:2}")
}

# run_sockets OPTION... -- PROGRAM ARG...: under run. COMPARE holds options for compare.py, ONLY
# for both comparisons.
run_sockets() {
	split_options "$@"
	"$SOCKTRACE" run "${OPTIONS[@]}" -F json -o "$T/report.json" -- \
		"$E2E_BIN/${COMMAND[0]}" -o "$T/truth.json" "${COMMAND[@]:1}" 3>&-
	COMPARE+=(--run)
	same_sockets "$T/report.json" "${SOCKETS[@]}"
}

# attach_sockets OPTION... -- PROGRAM ARG...: attach to a program that waits, until it has ended.
attach_sockets() {
	split_options "$@"
	program_start "${COMMAND[@]}"
	trace_start attach "${READY[@]:-$PROGRAM}" "${OPTIONS[@]}" -F json -o "$T/report.json"
	program_go
	program_end
	trace_end 0
	same_sockets "$T/report.json" "${SOCKETS[@]}"
}

# attach_held OPTION... -- PROGRAM ARG...: the same, but the trace ends while the program waits
# with what it holds open.
attach_held() {
	split_options "$@"
	program_start "${COMMAND[@]}"
	trace_start attach "${READY[@]:-$PROGRAM}" "${OPTIONS[@]}" -F json -o "$T/report.json"
	program_go
	wait_line "$SAID" "done" "$T/program.log"
	kill -INT "$TRACE"
	trace_end 0
	program_go
	program_end
	same_sockets "$T/report.json" "${SOCKETS[@]}"
}

# The ways to see bytes that work here; doctor says why others do not.
hooks() {
	local hook
	for hook in fexit tracepoint kretprobe calls; do
		if "$SOCKTRACE" run -q --hook "socket_bytes=$hook" -F json -o "$T/tried.json" \
			--allow-partial -- true 2>"$T/tried"; then
			echo "$hook"
		fi
	done
}

# with_hooks FUNCTION ARG...: once with each hook.
with_hooks() {
	local hook all
	all=$(hooks)
	[[ $all == *calls* ]] || fail "the hook that needs nothing does not work" "$(cat "$T/tried")"
	for hook in $all; do
		echo "# with $hook"
		"$1" --hook "socket_bytes=$hook" "${@:2}"
	done
}
