# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# What happens while a trace begins or ends, or to numbers that come again.

load lib/common

suite_setup() {
	need_root
	COMPARE=()
}

@test "attach amid threads that begin and end: none is lost or counted twice" {
	for _ in {1..5}; do
		attach_counts -- churn -c 3 -m 200
	done
}

@test "attach -f amid processes that begin and end: none is lost or counted twice" {
	for _ in {1..5}; do
		attach_counts -f -- churn -p -c 3 -m 50
	done
}

@test "a trace that ends amid threads that begin and end balances its books" {
	program_start churn
	for _ in {1..5}; do
		trace_start attach "$PROGRAM" -F json -o "$T/report.json"
		kill -INT "$TRACE"
		trace_end 0
		sound "$T/report.json"
	done
	program_go
	program_end
}

@test "a trace that ends amid processes that begin and end balances its books" {
	program_start churn -p
	for _ in {1..5}; do
		trace_start attach -f "$PROGRAM" -F json -o "$T/report.json"
		kill -INT "$TRACE"
		trace_end 0
		sound "$T/report.json"
	done
	program_go
	program_end
}

@test "attach in the midst of a busy grid, and leave it, balances its books" {
	program_start grid -l -p 2 -t 2 -n 10000000
	program_go
	for _ in {1..5}; do
		trace_start attach "${READY[@]}" -F json -o "$T/report.json"
		kill -INT "$TRACE"
		trace_end 0
		sound "$T/report.json"
	done
	drop "$PROGRAM"
}

@test "a process that takes the number of a target that has ended is not traced" {
	[[ -w /proc/sys/kernel/ns_last_pid ]] || skip "may not write ns_last_pid"
	local first keep second=0 tries
	program_start grid -l -p 1 -t 1
	first=$PROGRAM
	sleep infinity 3>&- &
	keep=$!
	trace_start attach "$first" "$keep" -F json -o "$T/report.json"
	program_go
	program_end
	mv "$T/truth.json" "$T/first.json"
	# Others on the machine may take the number first.
	for ((tries = 0; tries < 100; tries++)); do
		echo $((first - 1)) >/proc/sys/kernel/ns_last_pid
		"$E2E_BIN/grid" -p 1 -t 1 -o "$T/truth.json" 3>&- &
		second=$!
		wait "$second"
		[[ $second -ne $first ]] || break
	done
	[[ $second -eq $first ]] || fail "the number was taken by others, time and again"
	kill "$keep"
	trace_end 0
	mv "$T/first.json" "$T/truth.json"
	[[ $(value "$T/report.json" 'sorted(p["pid"] for p in r["processes"])') == \
		"$("$PYTHON" -c 'import sys; print(sorted(map(int, sys.argv[1:])))' "$first" "$keep")" ]]
	sound "$T/report.json"
}

@test "two socktraces on one target at once are both exact" {
	local first
	program_start grid -p 4 -t 4
	trace_start attach -f "$PROGRAM" -F json -o "$T/first.json"
	first=$TRACE
	trace_start attach -f "$PROGRAM" -F json -o "$T/second.json"
	program_go
	program_end
	trace_end 0
	wait "$first"
	same_as_truth "$T/first.json"
	same_as_truth "$T/second.json"
}

@test "two socktraces, one in each detail, are both exact" {
	local first
	program_start shortlived -t 1000 -p 100
	trace_start attach -f "$PROGRAM" --detail count -F json -o "$T/first.json"
	first=$TRACE
	trace_start attach -f "$PROGRAM" -F json -o "$T/second.json"
	program_go
	program_end
	trace_end 0
	wait "$first"
	same_as_truth "$T/first.json"
	same_as_truth "$T/second.json"
}

@test "socktrace beside strace on one target is exact" {
	need_program strace
	program_start grid -p 2 -t 2
	trace_start attach -f "$PROGRAM" -F json -o "$T/report.json"
	mkfifo "$T/strace.fifo"
	strace -f -o "$T/strace.log" -p "$PROGRAM" 2>"$T/strace.fifo" 3>&- &
	exec {STRACE_ERR}<"$T/strace.fifo"
	wait_line "$STRACE_ERR" attached "$T/strace.err"
	program_go
	program_end
	trace_end 0
	same_as_truth "$T/report.json"
}

@test "a target that is stopped when the trace begins" {
	program_start grid -l -p 1 -t 2
	kill -STOP "${READY[1]}"
	trace_start attach "${READY[1]}" -F json -o "$T/report.json"
	kill -CONT "${READY[1]}"
	program_go
	program_end
	trace_end 0
	same_as_truth "$T/report.json" --only "${READY[1]}"
}

@test "a target that stays stopped is reported all the same" {
	program_start grid -l -p 1 -t 2
	kill -STOP "${READY[1]}"
	trace_start attach "${READY[1]}" -F json -o "$T/report.json"
	kill -INT "$TRACE"
	trace_end 0
	sound "$T/report.json"
	[[ $(value "$T/report.json" '[p["ended"] for p in r["processes"]]') == "[False]" ]]
	kill -CONT "${READY[1]}"
	program_go
	program_end
}

@test "a target that is killed in the middle of a call" {
	program_start grid -l -p 1 -t 2
	trace_start attach "${READY[1]}" -F json -o "$T/report.json"
	kill -KILL "${READY[1]}"
	trace_end 0
	sound "$T/report.json"
	[[ $(value "$T/report.json" '[(p["ended"], p["exit_status"], p["term_signal"])
		for p in r["processes"]]') == "[(True, 137, 'SIGKILL')]" ]]
	drop "$PROGRAM"
}

@test "targets that end one after the other: the trace ends with the last" {
	local pids=() fds=()
	for _ in 1 2 3; do
		program_start grid -p 1 -t 1
		pids+=("$PROGRAM")
		fds+=("$GO")
	done
	trace_start attach "${pids[@]}" -F json -o "$T/report.json"
	printf x >&"${fds[1]}"
	wait "${pids[1]}"
	printf x >&"${fds[0]}"
	wait "${pids[0]}"
	kill -0 "$TRACE"
	printf x >&"${fds[2]}"
	wait "${pids[2]}"
	trace_end 0
	sound "$T/report.json"
	[[ $(value "$T/report.json" 'len(r["processes"])') -eq 3 ]]
}

@test "a process whose first thread has ended is traced, not taken for dead" {
	"$PYTHON" - >"$T/leaderless" 3>&- <<-'EOF' &
		import ctypes, os, signal, threading
		def stay():
		    print(os.getpid(), flush=True)
		    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
		    while True:
		        os.getppid()
		threading.Thread(target=stay).start()
		ctypes.CDLL(None).syscall(60, 0)  # exit(2): this thread alone
	EOF
	until [[ -s $T/leaderless ]]; do :; done
	until grep -q "^State:.Z" "/proc/$(<"$T/leaderless")/status"; do :; done
	trace_start attach -d 0.3 -F json -o "$T/report.json" "$(<"$T/leaderless")"
	trace_end 0
	sound "$T/report.json"
	kill -KILL "$(<"$T/leaderless")"
}

# its_map PID NAME: the number of a map of the tracer, by what its descriptors say.
its_map() {
	local id
	for id in $(sed -n 's/^map_id:\t//p' /proc/"$1"/fdinfo/*); do
		if [[ $(bpftool --json map show id "$id") == *"\"name\":\"$2\""* ]]; then
			echo "$id"
			return
		fi
	done
	fail "no map $2"
}

# orphan_start [OPTION...]: traces a process that ends, and its child, ORPHAN, that lives until it is
# told by $T/end.
orphan_start() {
	local shell
	mkfifo "$T/go" "$T/end"
	sh -c 'read go <'"$T/go"'; (read end <'"$T/end"') & echo $! >'"$T/child" 3>&- &
	shell=$!
	trace_start attach -f -F json --allow-partial -o "$T/report.json" "$@" "$shell"
	echo >"$T/go"
	wait "$shell"
	until [[ -s $T/child ]]; do :; done
	ORPHAN=$(<"$T/child")
}

@test "a followed child that outlives the target: traced until it ends, a signal or the time is over" {
	orphan_start
	sleep 2.5 # the listings that ask whether it lives are a second apart
	kill -0 "$TRACE"
	echo >"$T/end"
	trace_end 0
	rm "$T/go" "$T/end" "$T/child"
	orphan_start
	kill -INT "$TRACE"
	trace_end 0
	kill "$ORPHAN"
	rm "$T/go" "$T/end" "$T/child"
	orphan_start -d 1.5
	trace_end 0
	kill "$ORPHAN"
}

@test "a followed child without room for its threads is not taken for gone" {
	local crowd
	mkfifo "$T/go" "$T/end"
	"$PYTHON" - "$T" 3>&- <<-'EOF' &
		import os, sys, threading
		def line(name):
		    with open(f"{sys.argv[1]}/{name}") as f:
		        f.read()
		line("go")
		gone = threading.Event()
		threads = [threading.Thread(target=gone.wait) for _ in range(90)]
		for t in threads:
		    t.start()
		if not os.fork():
		    line("end")
		    os._exit(0)
		gone.set()
	EOF
	crowd=$!
	trace_start attach -f --max-threads 64 -F json --allow-partial -o "$T/report.json" "$crowd"
	echo >"$T/go"
	wait "$crowd"
	sleep 3
	kill -0 "$TRACE"
	echo >"$T/end"
	trace_end 3
	[[ $(value "$T/report.json" 'r["capture"]["lost"]["thread_vanished"]') -eq 0 ]]
	[[ $(value "$T/report.json" 'r["capture"]["lost"]["tasks_full"]') -gt 0 ]]
}

@test "a followed child whose end is missed: the trace ends, and says so" {
	local i
	PATH=$PATH:/usr/sbin
	orphan_start
	# Nothing finds the process's record any more, as if the event of its end had been missed.
	printf -v i '%d %d %d %d' $((ORPHAN & 255)) $((ORPHAN >> 8 & 255)) $((ORPHAN >> 16 & 255)) $((ORPHAN >> 24))
	bpftool map delete id "$(its_map "$TRACE" process_of)" key $i
	echo >"$T/end"
	trace_end 3
	[[ $(value "$T/report.json" 'r["capture"]["lost"]["thread_vanished"]') -eq 1 ]]
}

@test "a target of which threads make execve all the time is found, met and not taken for gone" {
	local target others i
	"$E2E_BIN/takeover" again 3>&- &
	target=$!
	# What the listing has to walk through between the leader's number and those of its threads.
	"$E2E_BIN/takeover" many 6000 3>&- &
	others=$!
	until [[ -e /proc/$others/task && $(find "/proc/$others/task" -maxdepth 1 | wc -l) -gt 6000 ]]; do :; done
	for ((i = 0; i < 30; i++)); do
		"$SOCKTRACE" attach -q -d 0.02 -F json -o "$T/report.json" "$target" ||
			fail "attach $i ended with $?"
		sound "$T/report.json"
		[[ $(value "$T/report.json" '[p["pid"] for p in r["processes"]]') == "[$target]" ]]
	done
	kill "$target" "$others"
}

@test "attach -f: descendants that live already are named, counted and not traced; later ones are traced" {
	local parent child grandchild
	mkfifo "$T/go" "$T/said"
	bash -c 'bash -c "sleep 100 & echo child \$\$ \$!; wait" &
		read -r word
		"$0"
		kill $! $(ps -o pid= --ppid $!)' "$E2E_BIN/bare" <"$T/go" >"$T/said" 3>&- &
	parent=$!
	exec {GO}>"$T/go" {SAID}<"$T/said"
	wait_line "$SAID" child "$T/said.log"
	read -r _ child grandchild <<<"$REPLY"
	trace_start attach -f -F json -o "$T/report.json" "$parent"
	grep -q "socktrace: 2 descendants of the targets lived already and are not traced: " "$T/err"
	grep -qw "$child" "$T/err"
	grep -qw "$grandchild" "$T/err"
	echo go >&"$GO"
	wait "$parent" || true
	trace_end 0
	sound "$T/report.json"
	[[ $(value "$T/report.json" 'r["capture"]["untraced_descendants"]') -eq 2 ]]
	[[ $(value "$T/report.json" '{'"$child, $grandchild"'} & {p["pid"] for p in r["processes"]}') == "set()" ]]
	[[ $(value "$T/report.json" '[p["comm"] for p in r["processes"] if p["comm"] == "bare"]') == "['bare']" ]]
	"$SOCKTRACE" report "$T/report.json" >"$T/text"
	grep -q "without: *2 descendants of the targets that lived before the trace" "$T/text"
}

@test "attach -f of targets that have no descendants, or all of them named, says nothing of any" {
	program_start grid -l -p 3 -t 1
	trace_start attach -f -F json -o "$T/report.json" "${READY[@]}"
	program_go
	program_end
	trace_end 0
	run ! grep -q descendant "$T/err"
	[[ $(value "$T/report.json" 'r["capture"]["untraced_descendants"]') -eq 0 ]]
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- true
	[[ $(value "$T/report.json" 'r["capture"]["untraced_descendants"]') == None ]]
}
