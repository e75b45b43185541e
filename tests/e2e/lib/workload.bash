# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2119,SC2154
# What the suites of run-workload share.

LIMIT=${LIMIT:-25} # s; longer than any of the workload's own limits

# For suite_setup: an earlier report in a directory of its own, where nothing else may be left.
workload_setup() {
	need_root
	mkdir "$T/dir"
	echo "an earlier report" >"$T/dir/out.json"
}

# workload_sound REPORT: every trial was run as asked, and traced exactly.
workload_sound() {
	"$PYTHON" "$ROOT/tests/e2e/lib/workload.py" sound "$1"
}

# bounded COMMAND...: one that hangs is ended, and has status 124.
bounded() {
	timeout "$LIMIT" "$@" 3>&-
}

# run_workload NAME OPTION...: must be complete, and sound. Sets $T/report.json.
run_workload() {
	bounded "$SOCKTRACE" run-workload "$@" -F json -o "$T/report.json"
	workload_sound "$T/report.json"
}

# trials EXPRESSION: a Python expression of each trial t of $T/report.json, as a list.
trials() {
	value "$T/report.json" "[$1 for t in r[\"workload\"][\"trials\"]]"
}

# each EXPRESSION: it is true of each trial t.
each() {
	[[ $(value "$T/report.json" "all($1 for t in r[\"workload\"][\"trials\"])") == True ]] ||
		fail "not true of each trial: $1" "$(trials "(t['cell'], t['results'])")"
}

# workload_start NAME OPTION...: in the background; returns when its load is under way. Sets TRACE,
# and $T/parts: role, PID, start time and network namespace of each part.
workload_start() {
	env --default-signal=INT,QUIT "$SOCKTRACE" run-workload "$@" -F json -o "$T/dir/out.json" \
		>"$T/out" 2>"$T/err" 3>&- &
	TRACE=$!
	"$PYTHON" "$ROOT/tests/e2e/lib/parts.py" under_way "$TRACE" >"$T/parts" ||
		{ run_ends "$TRACE" && fail "run-workload ended with $status:" "$(cat "$T/err")"; }
}

# part ROLE: its PID.
part() {
	awk -v role="$1" '$1 == role { print $2 }' "$T/parts"
}

# shellcheck disable=SC2120 # the suites pass it
# nothing_left [SECONDS]: no process, namespace or file of the run in $T/parts, now or after so many
# seconds at most.
nothing_left() {
	"$PYTHON" "$ROOT/tests/e2e/lib/parts.py" gone "$T/parts" "${1:-0}"
}

# as_before: nothing but the earlier report, which is as it was.
as_before() {
	[[ $(ls -A "$T/dir") == out.json ]] || fail "left: $(ls -A "$T/dir")"
	[[ $(<"$T/dir/out.json") == "an earlier report" ]] || fail "the earlier report has changed"
}

# run_ends PID: as ends, but a run that hangs is a failure.
run_ends() {
	timeout "$LIMIT" tail -s 0.02 --pid="$1" -f /dev/null || fail "it does not end: $(cat "$T/err")"
	ends "$1"
}

# given_up TEXT...: the run ends with status 3 and a message that has the texts, and leaves nothing.
given_up() {
	local text
	run_ends "$TRACE"
	[[ $status -eq 3 ]] || fail "status $status, not 3: $(cat "$T/err")"
	[[ ! -s $T/out ]] || fail "on standard output: $(cat "$T/out")"
	for text in "$@"; do
		grep -qF -- "$text" "$T/err" || fail "no \"$text\" in: $(cat "$T/err")"
	done
	nothing_left
	as_before
}

# by_hand NAME ROLE OPTION...: a part that listens. Sets PART (its PID), ADDRESS and, for what else
# it says, SAYS.
by_hand() {
	local fifo
	fifo=$(mktemp -u "$T/said.XXXXXX")
	mkfifo "$fifo"
	env --default-signal=INT,QUIT "$SOCKTRACE" workload "$@" >"$fifo" 2>>"$T/err" 3>&- &
	PART=$!
	exec {SAYS}<"$fifo"
	wait_line "$SAYS" "listening on" "$T/listening"
	ADDRESS=${REPLY##* }
}

# end_by_hand FILE: SIGINT ends the part well; what it says then goes to FILE.
end_by_hand() {
	kill -INT "$PART"
	cat <&"$SAYS" >"$1"
	run_ends "$PART"
	[[ $status -eq 0 ]] || fail "the part ended with $status: $(cat "$T/err")"
}

# fact FILE NAME: what a part said of it, first.
fact() {
	sed -n "s/^$2: //p" "$1" | head -n 1
}
