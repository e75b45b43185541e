# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# `run` is invisible to the command and to who calls it: streams, environment, exit status, signals.

load lib/common

suite_setup() {
	need_root
}

traced() {
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- "$@"
}

# wait_status COMMAND...: as wait(2) gives it: the exit status, or minus the signal.
wait_status() {
	"$PYTHON" -c 'import subprocess, sys; print(subprocess.run(sys.argv[1:]).returncode)' "$@"
}

@test "the exit status is the command's" {
	local n
	for n in 0 1 2 3 42 125 126 127 255; do
		status=0
		traced sh -c "exit $n" || status=$?
		[[ $status -eq $n ]] || fail "$status, not $n"
		[[ $(value "$T/report.json" 'r["processes"][0]["exit_status"]') -eq $n ]]
		sound "$T/report.json"
		rm "$T/report.json"
	done
}

@test "a command that a signal ends: socktrace ends by the same" {
	local name
	ulimit -c 0
	for name in TERM KILL INT SEGV ABRT USR1; do
		[[ $(wait_status "$SOCKTRACE" run -q -F json -o "$T/report.json" -- \
			env --default-signal=INT sh -c "kill -$name \$\$") -eq -$(kill -l "$name") ]]
		[[ $(value "$T/report.json" 'r["processes"][0]["term_signal"]') == "SIG$name" ]]
		[[ $(value "$T/report.json" 'r["processes"][0]["exit_status"]') -eq $((128 + $(kill -l "$name"))) ]]
		sound "$T/report.json"
	done
}

@test "126: found, but not executable" {
	echo garbage >"$T/plain"
	for command in "$T/plain" "$T"; do
		run --separate-stderr "$SOCKTRACE" run -o "$T/report.json" -- "$command"
		[[ $status -eq 126 && -z $output && $stderr == "socktrace: "*"$command"* ]]
		[[ ! -e $T/report.json ]]
	done
}

@test "127: not found" {
	for command in no-such-command "$T/no-such-file" ./no-such-file; do
		run -127 --separate-stderr "$SOCKTRACE" run -o "$T/report.json" -- "$command"
		[[ -z $output && $stderr == "socktrace: "*"$command"* ]]
		[[ ! -e $T/report.json ]]
	done
}

@test "a script whose interpreter is missing: 127, and an earlier report stays" {
	echo "#!$T/no-interpreter" >"$T/script"
	chmod +x "$T/script"
	echo "an earlier report" >"$T/report.json"
	run -127 --separate-stderr "$SOCKTRACE" run -q -o "$T/report.json" -- "$T/script"
	[[ -z $output && $stderr == *"interpreter"*"missing"* ]] || fail "$output$stderr"
	[[ $(<"$T/report.json") == "an earlier report" ]]
	run -127 --separate-stderr "$SOCKTRACE" run -q -- "$T/script"
	[[ -z $output ]] || fail "$output"
}

@test "the command is found through PATH, and options after -- are its own" {
	mkdir "$T/bin"
	cp "$E2E_BIN/bare" "$T/bin/found-through-path"
	PATH=$PATH:$T/bin run traced found-through-path -o "$T/not-ours" --help
	[[ $status -eq 42 && $output == bare && ! -e $T/not-ours ]]
	[[ $(value "$T/report.json" '[c["calls"] for c in r["processes"][0]["syscalls"]
		if c["name"] == "execve"]') == "[1]" ]]
	[[ $(value "$T/report.json" 'r["processes"][0]["cmdline"]') == \
		"['found-through-path', '-o', '$T/not-ours', '--help']" ]]
}

@test "standard input, output and error are the command's own, byte for byte" {
	head -c 3000000 /dev/urandom >"$T/in"
	head -c 1000000 /dev/urandom >"$T/in2"
	traced sh -c 'cat; cat "$0" >&2' "$T/in2" <"$T/in" >"$T/stdout" 2>"$T/stderr"
	cmp "$T/in" "$T/stdout"
	cmp "$T/in2" "$T/stderr"
	sound "$T/report.json"
}

@test "what the command leaves unread on standard input is left for the next" {
	printf '%s\n' one two three >"$T/in"
	{
		traced "$PYTHON" -c 'import os; os.read(0, 4)'
		cat >"$T/rest"
	} <"$T/in"
	[[ $(<"$T/rest") == $'two\nthree' ]]
}

@test "the report does not mix with the command's output when both go to standard output" {
	"$SOCKTRACE" run -F json -- "$E2E_BIN/bare" >"$T/stdout" 2>"$T/stderr" || [[ $? -eq 42 ]]
	[[ $(head -n 1 "$T/stdout") == bare ]]
	tail -n +2 "$T/stdout" >"$T/report.json"
	sound "$T/report.json"
}

@test "environment, directory, umask, limits, signals, priority and descriptors are passed on" {
	local show='env | sort; pwd; umask; ulimit -a; nice; readlink /proc/$$/fd/*
		grep -E "^(Sig(Blk|Ign)|Cap|NoNewPrivs|Seccomp|Cpus_allowed|Groups|Uid)" /proc/self/status'
	cd "$T"
	umask 031
	exec 9<"$E2E_BIN/grid"
	ulimit -n 777
	env --ignore-signal=USR2 --default-signal=INT,PIPE nice -n 3 sh -c "$show" >"$T/plain" </dev/null
	env --ignore-signal=USR2 --default-signal=INT,PIPE nice -n 3 "$SOCKTRACE" run -q -F json \
		-o "$T/report.json" -- sh -c "$show" >"$T/traced" </dev/null
	# The file that takes the output differs in name only.
	diff <(sed "s,$T/plain,OUT," "$T/plain") <(sed "s,$T/traced,OUT," "$T/traced")
}

@test "-u lowers user, group and supplementary groups, and drops capabilities" {
	run --separate-stderr traced_as nobody sh -c 'id -u; id -g; id -G; grep CapEff /proc/self/status'
	[[ $status -eq 0 ]]
	[[ ${lines[0]} -eq $(id -u nobody) && ${lines[1]} -eq $(id -g nobody) ]]
	[[ ${lines[2]} == "$(id -G nobody)" ]]
	[[ ${lines[3]} =~ 0000000000000000$ ]]
	sound "$T/report.json"
}

traced_as() {
	"$SOCKTRACE" run -q -u "$1" -F json -o "$T/report.json" -- "${@:2}"
}

@test "-u with a user that there is not: a message, and the command is not started" {
	run --separate-stderr traced_as no-such-user touch "$T/started"
	[[ $status -eq 2 || $status -eq 125 ]]
	[[ $stderr == "socktrace: "*no-such-user* && ! -e $T/started ]]
}

@test "-u: a command that only root may execute is found not executable" {
	cp "$E2E_BIN/bare" "$T/for-root"
	chmod 700 "$T/for-root"
	run --separate-stderr traced_as nobody "$T/for-root"
	[[ $status -eq 126 && $stderr == "socktrace: "*"$T/for-root"* ]]
}

@test "signals are passed on to the command, which decides" {
	local name
	for name in INT TERM HUP QUIT USR1 USR2; do
		mkfifo "$T/$name"
		env --default-signal=INT,QUIT "$SOCKTRACE" run -q -F json -o "$T/report.json" -- \
			"$PYTHON" -c 'import signal, sys
number = getattr(signal, "SIG" + sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [number])
with open(sys.argv[2], "w") as f:
    f.write("ready")
signal.sigwait([number])
sys.exit(7)' "$name" "$T/$name" 3>&- &
		TRACE=$!
		[[ $(<"$T/$name") == ready ]]
		kill "-$name" "$TRACE"
		ends "$TRACE"
		[[ $status -eq 7 ]] || fail "after SIG$name: $status"
		sound "$T/report.json"
	done
}

@test "a command that ignores SIGTERM goes on, and so does the trace" {
	mkfifo "$T/ready" "$T/go"
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- sh -c 'trap "" TERM
		echo ready >"$0"; read -r word <"$1"; exit 5' "$T/ready" "$T/go" 3>&- &
	TRACE=$!
	[[ $(<"$T/ready") == ready ]]
	kill -TERM "$TRACE"
	echo go >"$T/go"
	ends "$TRACE"
	[[ $status -eq 5 ]]
	sound "$T/report.json"
}

@test "a child that outlives the command does not hold socktrace up" {
	mkfifo "$T/hold"
	traced sh -c 'read -r line <"$0" & exit 4' "$T/hold" >"$T/out" 3>&- || [[ $? -eq 4 ]]
	echo go >"$T/hold"
	sound "$T/report.json"
	[[ $(value "$T/report.json" 'sorted(p["ended"] for p in r["processes"])') == "[False, True]" ]]
}

@test "the command cannot tell: its parent has no other child, and it starts as its own leader" {
	traced sh -c 'ps -o pid= --ppid $PPID' >"$T/children"
	[[ $(wc -l <"$T/children") -eq 1 ]]
}

@test "an empty command name is no command: 127" {
	run -127 --separate-stderr "$SOCKTRACE" run ""
	[[ $stderr == "socktrace: "* ]]
}

@test "more than 4,096 processes that end: the last are summed up, and none is lost" {
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- \
		bash -c 'for ((i = 0; i < 4400; i++)); do "$0" >/dev/null; done; exit 0' "$E2E_BIN/bare"
	sound "$T/report.json"
	"$PYTHON" - "$T/report.json" <<-'EOF'
		import json, sys
		report = json.load(open(sys.argv[1], encoding="utf-8"))
		folded = [p for p in report["processes"] if p["pid"] == 0]
		assert len(folded) == 1 and len(report["processes"]) <= 4100, len(report["processes"])
		calls = sum(c["calls"] for p in report["processes"] for c in p["syscalls"] if c["name"] == "getppid" and p["comm"] != "bash")
		assert calls == 5 * 4400, calls
	EOF
}
