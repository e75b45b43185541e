# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Faults, tried and counted: never a crash, a hang, a harmed target, or a wrong number without a
# mark. lib/faults_run.py and lib/faults_limits.py say what each fault is; the table at the end has
# how often it was tried and survived, and how often the report was rightly not trusted (marked).

load lib/common

setup_file() {
	export FAULTS_TABLE=$BATS_FILE_TMPDIR/table
	: >"$FAULTS_TABLE"
}

suite_setup() {
	need_root
	need_program bpftool
}

teardown_file() {
	local row=() format='# faults: %-34s %7s %9s %7s\n'
	# shellcheck disable=SC2059
	{
		printf "$format" fault tried survived marked
		while IFS=$'\t' read -r -a row; do
			printf "$format" "${row[@]}"
		done <"$FAULTS_TABLE"
	} >&3
}

# fault NAME: all its tries have been survived.
fault() {
	local code=0
	"$PYTHON" "$ROOT/tests/e2e/lib/faults_run.py" "$1" >"$T/said" 2>&1 3>&- || code=$?
	if ((code == 77)); then
		skip "$(tail -n 1 "$T/said")"
	fi
	cat "$T/said"
	return "$code"
}

@test "every signal at a random moment: the contract's exit, the target unharmed, nothing left" {
	fault signals
}

@test "killed by a signal, socktrace leaves no unfinished file" {
	fault temporary
}

@test "run-workload that is killed takes its parts and their namespaces with it" {
	fault workload_killed
}

@test "200 times attach and detach: the service works on, and nothing grows" {
	fault cycles
}

@test "numbers of processes and threads that come again at once are told apart" {
	fault pid_reuse
}

@test "PID namespaces amid processes that begin and end: every call is counted" {
	fault pid_namespaces
}

@test "a CPU that goes offline and comes back: right, or marked" {
	fault cpu_offline
}

@test "the time of day set during a trace changes no duration" {
	fault clock_step
}

@test "targets in a time namespace are counted and timed as others" {
	fault time_target
}

@test "socktrace in a time namespace is right, or says what is in the way" {
	fault time_self
}

@test "too little memory: an error or a report, never a hang" {
	fault memory
}

@test "maps that are too small: what is lost is counted, and no count too high" {
	fault maps
}

@test "two socktraces and bpftrace at the same tracepoints count the same" {
	need_program bpftrace
	fault beside
}

@test "a storm of 50,000 short-lived processes is counted to the last" {
	fault storm
}

@test "10,000 threads at once are counted to the last" {
	fault crowd
}

@test "few descriptors: an error or a report" {
	fault files
}

@test "few descriptors: that is the reason named" {
	fault files_reason
}

@test "other limits of a process: an error or a report" {
	fault limits
}

@test "out of memory: no unfinished file is left" {
	fault no_heap
}

@test "a limit on the size of files is an error, not a death" {
	fault file_size
}

@test "standard descriptors that are closed: no other file is written in their place" {
	fault closed
}

@test "output that cannot be written: an error, and no file" {
	fault output
}

@test "/proc and /sys that are hidden or missing: right, or the reason" {
	fault mounts
}
