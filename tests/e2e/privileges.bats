# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Without the privileges or the kernel features it needs, socktrace says which, and ends with 3.

load lib/common

suite_setup() {
	need_root
	need_program setpriv
	need_program setcap
	need_program capsh
	# Where others may go.
	PUBLIC=$(mktemp -d)
	chmod 755 "$PUBLIC"
	cp "$SOCKTRACE" "$PUBLIC/socktrace"
	mkdir -m 777 "$PUBLIC/out"
}

suite_teardown() {
	rm -r "$PUBLIC"
}

as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"
}

@test "attach without privileges names the capabilities and ends with 3" {
	sleep infinity 3>&- &
	run --separate-stderr as_nobody "$PUBLIC/socktrace" attach -o "$PUBLIC/out/r.json" $!
	[[ $status -eq 3 && -z $output ]]
	[[ $stderr == *CAP_BPF* && $stderr == *CAP_PERFMON* ]]
	[[ ! -e $PUBLIC/out/r.json ]]
}

@test "without a report, --allow-partial leaves an earlier file as it is" {
	sleep infinity 3>&- &
	echo earlier >"$PUBLIC/out/earlier"
	chown 65534 "$PUBLIC/out/earlier"
	run --separate-stderr as_nobody "$PUBLIC/socktrace" attach --allow-partial \
		-o "$PUBLIC/out/earlier" $!
	[[ $status -eq 3 && $stderr != *"not written"* ]]
	[[ $(<"$PUBLIC/out/earlier") == earlier ]]
}

@test "run without privileges does not start the command" {
	run --separate-stderr as_nobody timeout 20 "$PUBLIC/socktrace" run -- touch "$PUBLIC/out/started"
	[[ $status -eq 3 || $status -eq 125 ]]
	[[ $stderr == *CAP_BPF* && $stderr == *CAP_PERFMON* ]]
	[[ ! -e $PUBLIC/out/started ]]
}

@test "CAP_BPF and CAP_PERFMON are enough for a process of one's own" {
	as_nobody sleep infinity 3>&- &
	local target=$!
	chmod 777 "$T"
	TRACER="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+bpf,+perfmon \
--ambient-caps=+bpf,+perfmon"
	SOCKTRACE=$PUBLIC/socktrace
	trace_start attach -F json -o "$PUBLIC/out/r.json" "$target"
	kill "$target"
	trace_end 0
	sound "$PUBLIC/out/r.json"
	[[ $(stat -c %u "$PUBLIC/out/r.json") -eq 65534 ]]
}

# capabilities PID: the effective ones by name, as setpriv(1) has them.
capabilities() {
	capsh --decode="$(sed -n 's/^CapEff:\t//p' "/proc/$1/status")"
}

@test "once it traces, socktrace has no capability that it does not need, nor will get one" {
	sleep infinity 3>&- &
	trace_start attach -F json -o "$T/report.json" $!
	[[ $(capabilities "$TRACE") == *=cap_chown,cap_dac_override,cap_fowner,cap_sys_ptrace,cap_syslog,cap_perfmon,cap_bpf ]]
	grep -qP '^NoNewPrivs:\t1$' "/proc/$TRACE/status"
	grep -qP '^Seccomp:\t2$' "/proc/$TRACE/status"
	kill -INT "$TRACE"
	trace_end 0
	sound "$T/report.json"
}

@test "a command that is run keeps the privileges of who started it" {
	grep -E '^(Cap|NoNewPrivs)' /proc/self/status >"$T/ours"
	"$SOCKTRACE" run -q -o "$T/report.txt" -- grep -E '^(Cap|NoNewPrivs)' /proc/self/status >"$T/its"
	diff "$T/ours" "$T/its"
}

# with_file_capabilities LIST COMMAND...: as nobody, by capabilities of the file.
with_file_capabilities() {
	setcap "$1=ep" "$PUBLIC/socktrace"
	run --separate-stderr as_nobody "$PUBLIC/socktrace" "${@:2}"
	setcap -r "$PUBLIC/socktrace"
}

@test "with capabilities of its file, an ordinary user can attach, run and run-workload" {
	as_nobody sleep infinity 3>&- &
	with_file_capabilities cap_bpf,cap_perfmon attach -d 0.1 -F json -o "$PUBLIC/out/r.json" $!
	[[ $status -eq 0 ]]
	sound "$PUBLIC/out/r.json"
	with_file_capabilities cap_bpf,cap_perfmon run -F json -o "$PUBLIC/out/r.json" -- sh -c 'exit 7'
	[[ $status -eq 7 ]]
	sound "$PUBLIC/out/r.json"
	for workload in gateway feed forwarder; do
		with_file_capabilities cap_bpf,cap_perfmon run-workload "$workload" --trials 1 \
			-F json -o "$PUBLIC/out/r.json"
		[[ $status -eq 0 ]]
	done
}

@test "without one of the two, attach, run and run-workload name it" {
	local held missing command
	as_nobody sleep infinity 3>&- &
	local target=$!
	for held in cap_bpf cap_perfmon; do
		missing=CAP_PERFMON
		[[ $held == cap_bpf ]] || missing=CAP_BPF
		for command in "attach $target" "run-workload feed" "run true" doctor; do
			# shellcheck disable=SC2086
			with_file_capabilities "$held" $command
			[[ $status -eq 3 || ($command == run* && $status -eq 125) ]]
			[[ $output$stderr == *$missing* ]]
		done
	done
}

@test "doctor without privileges says what is missing and ends with 3" {
	run --separate-stderr as_nobody "$PUBLIC/socktrace" doctor
	[[ $status -eq 3 ]]
	[[ $output == *CAP_BPF* && $output == *CAP_PERFMON* ]]
}

@test "report needs no privileges" {
	"$SOCKTRACE" run -F json -o "$PUBLIC/out/r.json" -- "$E2E_BIN/bare" || [[ $? -eq 42 ]]
	chmod 644 "$PUBLIC/out/r.json"
	as_nobody "$PUBLIC/socktrace" report -F json "$PUBLIC/out/r.json" >"$T/again.json"
	cmp "$PUBLIC/out/r.json" "$T/again.json"
}

@test "a kernel without BTF" {
	sleep infinity 3>&- &
	run --separate-stderr unshare --mount bash -c \
		'mount --bind /dev/null /sys/kernel/btf/vmlinux && exec "$@"' - \
		"$SOCKTRACE" attach -o "$T/r.json" $!
	[[ $status -eq 3 ]]
	[[ $stderr == *BTF* ]]
	[[ ! -e $T/r.json ]]
}

@test "more threads than --max-threads: the loss is reported, with 3, and no file is written" {
	program_start grid -l -p 2 -t 8
	trace_start attach --max-threads 4 -F json -o "$T/r.json" "${READY[@]}"
	program_go
	program_end
	trace_end 3
	grep -q max-threads "$T/err"
	[[ ! -e $T/r.json && ! -s $T/out ]]
}

@test "--allow-partial writes what there is, marked as not complete, and still ends with 3" {
	program_start grid -l -p 2 -t 8
	trace_start attach --max-threads 4 --allow-partial -F json -o "$T/r.json" "${READY[@]}"
	program_go
	program_end
	trace_end 3
	[[ $(value "$T/r.json" 'r["capture"]["complete"]') == False ]]
	[[ $(value "$T/r.json" 'r["capture"]["lost"]["tasks_full"] > 0') == True ]]
	[[ $(value "$T/r.json" '[a["ok"] for a in r["audits"] if a["name"] == "lost"]') == "[False]" ]]
}

@test "20,000 threads, few at once, need no more than the default room" {
	"$SOCKTRACE" run -F json -o "$T/r.json" -- \
		"$E2E_BIN/shortlived" -t 20000 -p 2000 -c 4 -o "$T/truth.json"
	same_as_truth "$T/r.json" --run
}

@test "PIDs are those of the PID namespace that socktrace runs in" {
	unshare --pid --fork --mount-proc bash -ec '
		mkfifo "$T/ns.err"
		sleep infinity 3>&- &
		target=$!
		[[ $target -lt 100 ]]
		"$SOCKTRACE" attach -F json -o "$T/r.json" "$target" 2>"$T/ns.err" 3>&- &
		tracer=$!
		exec {err}<"$T/ns.err"
		while read -r -u "$err"; do [[ $REPLY != *tracing* ]] || break; done
		kill "$target"
		wait "$tracer"
		echo "$target" >"$T/target"' 3>&-
	[[ $(value "$T/r.json" '[(p["pid"], p["comm"]) for p in r["processes"]]') == \
		"[($(<"$T/target"), 'sleep')]" ]]
}

@test "a target in a PID namespace below has the numbers that socktrace sees" {
	local target
	WRAPPER="unshare --pid --fork"
	program_start grid -p 2 -t 1
	target=$(ps -o pid= --ppid "$PROGRAM")
	trace_start attach -f $((target)) -F json -o "$T/r.json"
	program_go
	program_end
	trace_end 0
	sound "$T/r.json"
	# Down there they are the first few.
	[[ $(value "$T/r.json" 'len(r["processes"])') -eq 3 ]]
	[[ $(value "$T/r.json" "$target in [p['pid'] for p in r['processes']]") == True ]]
	[[ $(value "$T/r.json" 'all(t["tid"] > 20 for p in r["processes"] for t in p["threads"])') == True ]]
}

@test "in a user namespace: that is the reason, not a lack of capabilities or a filter" {
	unshare -Ur true || skip "may not make a user namespace"
	sleep infinity 3>&- &
	run -3 --separate-stderr unshare -Ur "$SOCKTRACE" attach -d 1 $!
	kill $!
	[[ $stderr == *"not permitted in a user namespace"* ]] || fail "$stderr"
	[[ $stderr != *seccomp* && $stderr != *lockdown* && $stderr != *missing* ]] || fail "$stderr"
	run -3 --separate-stderr unshare -Ur "$SOCKTRACE" doctor
	[[ $output == *"CAP_BPF     MISSING"* && $stderr == *"user namespace"* ]] || fail "$output" "$stderr"
}

@test "a process that /proc hides has not ended: hidepid is named" {
	local target out
	sleep infinity 3>&- &
	target=$!
	# An ordinary user with what tracing needs; with CAP_SYS_PTRACE nothing is hidden.
	run -3 --separate-stderr unshare -m sh -c 'mount -t proc -o hidepid=2 proc /proc &&
		exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+bpf,+perfmon \
		--ambient-caps=+bpf,+perfmon "$0" attach -d 1 "$1"' \
		"$PUBLIC/socktrace" "$target"
	[[ $stderr == "socktrace: process $target is hidden: /proc is mounted with hidepid="* ]] || fail "$stderr"
	kill "$target"
	wait "$target" || true
	run -3 --separate-stderr "$SOCKTRACE" attach -d 1 "$target"
	[[ $stderr == *"no such process"* ]] || fail "$stderr"
}
