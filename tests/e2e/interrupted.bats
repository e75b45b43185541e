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

# --- whoever reads the output does not ---------------------------------------------------------

# until_traced PID: until its programs are attached: it runs a loop then, or writes.
until_traced() {
	local until=$((SECONDS + TIMEOUT))
	until bpf_objects "$1" | grep -q ^link && grep -qE '^(do_|__x64_sys_|poll_|ep_|pipe_|hrtimer)' "/proc/$1/wchan"; do
		((SECONDS < until)) || fail "process $1 traces nothing: $(cat "$T/err")"
	done
	bpf_objects "$1" >"$T/objects"
}

# ends_soon STATUS: within a second of what was just done, and some time for this busy machine.
ends_soon() {
	local began=${EPOCHREALTIME/./} took
	ends "$TRACE"
	took=$((${EPOCHREALTIME/./} - began))
	[[ $status -eq $1 ]] || fail "status $status, not $1: $(cat "$T/err")"
	((took < 1500000)) || fail "it took $took us"
}

# stuck_attach SIGNAL OPTION...: standard output takes nothing; the signal ends the trace.
stuck_attach() {
	rm -f "$T/full"
	full_pipe full
	program_start grid -l -p 2 -t 2
	env --default-signal=INT,QUIT "$SOCKTRACE" attach "${READY[@]}" -F json "${@:2}" \
		>"$T/full" 2>"$T/err" 3>&- &
	TRACE=$!
	until_traced "$TRACE"
	[[ $2 != -i ]] || stuck_in_write "$TRACE"
	kill "-$1" "$TRACE"
	ends_soon 1
	grep -q "write the report to standard output: its reader takes nothing; the report is lost" "$T/err"
	[[ $(grep -c "report" "$T/err") -eq 2 ]] || fail "said twice: $(cat "$T/err")" # "Ctrl-C ends it and reports"
	objects_gone "$T/objects"
	exec {PIPE}>&-
	program_go
	program_end
}

# stuck_in_write PID: waits for an interval's report that does not get out: of the descriptors that
# it waits for only two are left, the pipe's and that of the signals.
stuck_in_write() {
	local until=$((SECONDS + TIMEOUT))
	until "$PYTHON" -c 'import sys
words = open("/proc/%s/syscall" % sys.argv[1]).read().split()
sys.exit(words[0] not in ("7", "73", "271") or int(words[2], 16) != 2)' "$1"; do
		((SECONDS < until)) || fail "process $1 is not stuck: $(cat "/proc/$1/syscall")"
	done
}

@test "a reader that takes nothing: each signal ends the trace within a second, the target goes on" {
	local name
	for name in INT TERM HUP QUIT ALRM VTALRM PROF IO XCPU STKFLT PWR RTMIN RTMAX; do
		stuck_attach "$name"
	done
}

@test "a reader that takes nothing of -i: each signal ends the trace within a second, the target goes on" {
	local name
	for name in INT TERM HUP QUIT ALRM RTMIN; do
		stuck_attach "$name" -i 0.05
	done
}

@test "SIGUSR1 and SIGUSR2 end no trace, stuck or not" {
	full_pipe full
	program_start grid -l -p 1 -t 2
	"$SOCKTRACE" attach "${READY[@]}" -F json -i 0.05 >"$T/full" 2>"$T/err" 3>&- &
	TRACE=$!
	until_traced "$TRACE"
	kill -USR1 "$TRACE"
	stuck_in_write "$TRACE"
	kill -USR2 "$TRACE"
	sleep 1.5 # longer than patience lasts after a signal that ends it
	kill -0 "$TRACE"
	kill -TERM "$TRACE"
	ends_soon 1
	program_go
	program_end
}

@test "a second signal while a write waits ends it at once" {
	local began
	full_pipe full
	program_start grid -l -p 1 -t 2
	"$SOCKTRACE" attach "${READY[@]}" -F json -i 0.05 >"$T/full" 2>"$T/err" 3>&- &
	TRACE=$!
	until_traced "$TRACE"
	stuck_in_write "$TRACE"
	began=${EPOCHREALTIME/./}
	kill -TERM "$TRACE"
	kill -INT "$TRACE"
	ends "$TRACE"
	[[ $status -eq 1 ]]
	((${EPOCHREALTIME/./} - began < 500000)) || fail "it took $((${EPOCHREALTIME/./} - began)) us"
	program_go
	program_end
}

@test "standard error takes nothing: a signal ends the trace, with its report" {
	full_pipe full
	program_start grid -l -p 1 -t 2
	"$SOCKTRACE" attach "${READY[@]}" -F json -o "$T/report.json" 2>"$T/full" 3>&- &
	TRACE=$!
	until_traced "$TRACE"
	stuck_in_write "$TRACE"
	kill -TERM "$TRACE"
	ends_soon 0
	sound "$T/report.json"
	program_go
	program_end
}

@test "neither stream takes anything: a signal ends the trace within a second" {
	full_pipe full
	program_start grid -l -p 1 -t 2
	"$SOCKTRACE" attach "${READY[@]}" -q -F json -i 0.05 >"$T/full" 2>"$T/full" 3>&- &
	TRACE=$!
	until_traced "$TRACE"
	stuck_in_write "$TRACE"
	kill -TERM "$TRACE"
	ends_soon 1
	program_go
	program_end
}

# stuck_run SIGNAL OPTION...: the command dies of the signal that is passed on to it.
stuck_run() {
	local name=$1
	rm -f "$T/full" "$T/ready"
	full_pipe full
	mkfifo "$T/ready"
	env --default-signal "$SOCKTRACE" run -F json "${@:2}" -- "$PYTHON" -c 'import os, sys, time
os.dup2(2, 1)
print("", file=open(sys.argv[1], "w"))
time.sleep(100)' "$T/ready" >"$T/full" 2>"$T/err" 3>&- &
	TRACE=$!
	read -r -t "$TIMEOUT" <>"$T/ready"
	bpf_objects "$TRACE" >"$T/objects"
	grep -q ^prog "$T/objects"
	[[ $2 != -i ]] || stuck_in_write "$TRACE"
	command=$(ps -o pid= --ppid "$TRACE")
	kill "-$name" "$TRACE"
	ends_soon 125
	grep -q "write the report to standard output: its reader takes nothing; the report is lost" "$T/err"
	objects_gone "$T/objects"
	run ! kill -0 "$command"
	exec {PIPE}>&-
}

@test "run, and a reader that takes nothing: each signal reaches the command, and then the trace ends" {
	local name
	for name in INT TERM HUP QUIT ALRM RTMIN; do
		stuck_run "$name"
		stuck_run "$name" -i 0.05
	done
}

@test "run: signals that would have ended socktrace alone are passed on, with their value" {
	local name
	for name in ALRM VTALRM PROF IO XCPU STKFLT PWR RTMIN RTMAX; do
		rm -f "$T/ready"
		mkfifo "$T/ready"
		"$SOCKTRACE" run -q -F json -o "$T/report.json" -- "$PYTHON" -c 'import signal, sys
number = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [number])
print("", file=open(sys.argv[2], "w"))
signal.sigwait([number])
sys.exit(7)' "$(kill -l "$name")" "$T/ready" 3>&- &
		TRACE=$!
		read -r -t "$TIMEOUT" <>"$T/ready"
		kill "-$name" "$TRACE"
		ends "$TRACE"
		[[ $status -eq 7 ]] || fail "after SIG$name: $status"
		sound "$T/report.json"
	done
}

@test "a pipe that its other users made non-blocking gets the whole report" {
	program_start grid -l -p 2 -t 2
	"$SOCKTRACE" attach "${READY[@]}" -F json -o "$T/report.json" 2>"$T/err" 3>&- &
	TRACE=$!
	until_traced "$TRACE"
	program_go
	program_end
	ends "$TRACE"
	# A reader that is slow, and a pipe of one page that does not block.
	"$PYTHON" - "$SOCKTRACE" "$T/report.json" >"$T/copy.json" <<-'EOF'
		import fcntl, os, subprocess, sys, time
		r, w = os.pipe()
		fcntl.fcntl(w, 1031, 4096)
		os.set_blocking(w, False)
		child = subprocess.Popen([sys.argv[1], "report", "-F", "json", sys.argv[2]], stdout=w)
		os.close(w)
		while text := os.read(r, 1500):
		    os.write(1, text)
		    time.sleep(0.001)
		sys.exit(child.wait())
	EOF
	cmp "$T/report.json" "$T/copy.json"
}

@test "a live report goes whole through a non-blocking pipe and a non-blocking socket" {
	"$PYTHON" - "$SOCKTRACE" "$E2E_BIN/bare" "$T" <<-'EOF'
		import json, os, socket, subprocess, sys, time
		socktrace, bare, place = sys.argv[1:]
		a, b = socket.socketpair()
		a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
		for r, w in (os.pipe(), (b.detach(), a.detach())):
		    os.set_blocking(w, False)
		    child = subprocess.Popen([socktrace, "run", "-q", "-i", "0.02", "-F", "json", "--",
		        "sh", "-c", "exec >&2; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done"], stdout=w)
		    os.close(w)
		    text = b""
		    while more := os.read(r, 1000):
		        text += more
		        time.sleep(0.001)
		    assert child.wait() == 0, child.returncode
		    lines = text.splitlines()
		    assert len(lines) > 3, len(lines)
		    for line in lines:
		        json.loads(line)
	EOF
}

@test "report, and a reader that takes nothing: each signal ends it as it ends any program" {
	local name
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- true
	for name in INT TERM HUP QUIT ALRM; do
		rm -f "$T/full"
		full_pipe full
		ulimit -c 0
		env --default-signal "$SOCKTRACE" report "$T/report.json" >"$T/full" 2>"$T/err" 3>&- &
		TRACE=$!
		until "$PYTHON" -c 'import sys
sys.exit(open("/proc/%s/syscall" % sys.argv[1]).read().split()[0] not in ("7", "73", "271"))' "$TRACE"; do
			kill -0 "$TRACE"
		done
		kill "-$name" "$TRACE"
		ends_soon $((128 + $(kill -l "$name")))
		exec {PIPE}>&-
	done
}

@test "a terminal that is stopped with Ctrl-S holds no trace up" {
	program_start grid -l -p 1 -t 2
	"$PYTHON" - "$SOCKTRACE" "${READY[@]}" <<-'EOF'
		import os, pty, signal, subprocess, sys, termios, time
		master, slave = pty.openpty()
		child = subprocess.Popen([sys.argv[1], "attach", "-i", "0.05", *sys.argv[2:]],
		    stdin=slave, stdout=slave, stderr=slave)
		text = b""
		while b"; Ctrl-C" not in text:
		    text += os.read(master, 1000)
		os.write(master, b"\x13")
		# Until a write waits: poll(2) or its like, for the terminal and for signals.
		until = time.monotonic() + 30
		while True:
		    call = open(f"/proc/{child.pid}/syscall").read().split()
		    if call[0] in ("7", "73", "271") and int(call[2], 16) == 2:
		        break
		    assert time.monotonic() < until and child.poll() is None, call
		began = time.monotonic()
		child.send_signal(signal.SIGINT)
		assert child.wait(10) == 1, child.returncode
		assert time.monotonic() - began < 1.5
	EOF
	program_go
	program_end
}
