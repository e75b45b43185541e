# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Wrong usage ends with 2 and one clear message; a target that cannot be traced ends with 3.
# Nothing is written in either case.

load lib/common

suite_setup() {
	need_socktrace
	echo "an earlier report" >"$T/out.json"
}

# refused STATUS TEXT ARG...: ends with that status and a message that has the text, prints
# nothing else, and leaves an earlier output file alone.
refused() {
	local want=$1 text=$2
	run --separate-stderr "$SOCKTRACE" "${@:3}"
	[[ $status -eq $want ]] || fail "status $status, not $want: $stderr"
	[[ -z $output ]] || fail "on standard output: $output"
	[[ $stderr == "socktrace"*": "* ]] || fail "message: $stderr"
	[[ $stderr == *"$text"* ]] || fail "no \"$text\" in: $stderr"
	[[ $(<"$T/out.json") == "an earlier report" ]]
}

@test "--help and COMMAND --help print to standard output and end with 0" {
	local command
	run --separate-stderr "$SOCKTRACE" --help
	[[ $status -eq 0 && -z $stderr ]]
	for command in attach run report doctor; do
		[[ $output == *"$command"* ]]
	done
	for command in attach run report doctor; do
		run --separate-stderr "$SOCKTRACE" "$command" --help
		[[ $status -eq 0 && -z $stderr && $output == *"$command"* ]] || fail "$command: $output"
	done
}

@test "--help names every common option" {
	local option
	run --separate-stderr "$SOCKTRACE" attach --help
	for option in --duration --interval --follow --output --format --detail --threads --top \
		--no-color -q -v; do
		[[ $output == *"$option"* ]] || fail "no $option"
	done
}

@test "--version prints the version and ends with 0" {
	run --separate-stderr "$SOCKTRACE" --version
	[[ $status -eq 0 && $output =~ ^socktrace\ [0-9]+\.[0-9]+\.[0-9]+ && -z $stderr ]]
}

@test "no command, and one that there is not" {
	refused 2 "frobnicate" frobnicate
	run --separate-stderr "$SOCKTRACE"
	[[ $status -eq 2 && -z $output && $stderr == "usage: "* ]]
}

@test "an option that there is not" {
	refused 2 "--frobnicate" attach --frobnicate 1
	refused 2 "Z" attach -Z 1
}

@test "attach without a PID" {
	refused 2 "process id" attach
	refused 2 "process id" attach -o "$T/out.json"
}

@test "a PID that is no PID" {
	local pid
	for pid in 0 00 -1 +1 abc 12x x12 "" " " 1.5 0x10 99999999999 18446744073709551617 2147483648; do
		refused 2 "$pid" attach -o "$T/out.json" -- "$pid"
	done
}

@test "one bad PID among good ones" {
	refused 2 nonsense attach -o "$T/out.json" $$ nonsense
}

@test "options with values that are none" {
	local value
	for value in 0 -1 abc 1x "" 99999999999999999999; do
		refused 2 "$value" attach -d "$value" $$
		refused 2 "$value" attach -i "$value" $$
		refused 2 "$value" attach --max-threads "$value" $$
		refused 2 "$value" attach --top="$value"x $$
	done
	refused 2 format attach -F xml $$
	refused 2 detail attach --detail most $$
	refused 2 "" attach -d
	refused 2 "" attach -o "" $$
}

@test "run without a command" {
	refused 2 "" run
	refused 2 "" run --
	refused 2 "" run -F json --
}

@test "report without a file, with two, with one that is missing or no report" {
	refused 2 "" report
	refused 2 "" report a b
	refused 1 "$T/missing.json" report "$T/missing.json"
	echo '{"schema": "something else"}' >"$T/other.json"
	refused 1 "$T/other.json" report "$T/other.json"
	head -c 10000 /dev/urandom >"$T/noise.json"
	refused 1 "$T/noise.json" report "$T/noise.json"
	: >"$T/empty.json"
	refused 1 "$T/empty.json" report "$T/empty.json"
	refused 1 "$T" report "$T"
}

@test "no such PID" {
	local pid
	need_root
	true 3>&- &
	pid=$!
	wait "$pid"
	refused 3 "$pid" attach -o "$T/out.json" "$pid"
	refused 3 2147483647 attach -o "$T/out.json" 2147483647
}

@test "one PID among others that is gone" {
	local pid
	need_root
	true 3>&- &
	pid=$!
	wait "$pid"
	refused 3 "$pid" attach -o "$T/out.json" $$ "$pid"
}

@test "a /proc of another PID namespace, and none" {
	local shell='echo keep >"$T/out.json"
		sleep 60 &
		"$SOCKTRACE" "${@:2}" -o "$T/out.json" ${1:+$!}
		status=$?
		kill $!
		[[ $(<"$T/out.json") == keep ]] && exit "$status"'
	run --separate-stderr unshare -pf bash -c "$shell" - pid attach -d 1
	[[ $status -eq 3 && $stderr == *"another PID namespace"*"mount"* ]] || fail "$status $stderr"
	run --separate-stderr unshare -pf bash -c "$shell" - "" run true
	[[ $status -eq 125 && $stderr == *"another PID namespace"* ]] || fail "$status $stderr"
	run --separate-stderr unshare -pf "$SOCKTRACE" doctor
	[[ $status -eq 3 && $stderr == *"another PID namespace"* ]] || fail "$status $stderr"
	# A leak checker, in a build that has one, cannot do without /proc, and reads there to be off.
	mkdir -p "$T/proc/self"
	printf 'ASAN_OPTIONS=detect_leaks=0\0' >"$T/proc/self/environ"
	run --separate-stderr unshare -m bash -c \
		'mount --bind "$T/proc" /proc; "$SOCKTRACE" run -o "$T/out.json" true'
	[[ $status -eq 125 && $stderr == *"mount proc(5)"* ]] || fail "$status $stderr"
}

@test "a zombie" {
	local zombie
	need_root
	mkfifo "$T/pid"
	# Its parent waits until it has ended (WNOWAIT: without taking its status), then says so.
	"$PYTHON" -c 'import os, signal, sys
pid = os.fork() or os._exit(0)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
with open(sys.argv[1], "w") as f:
    f.write(str(pid))
signal.pause()' "$T/pid" 3>&- &
	zombie=$(<"$T/pid")
	refused 3 "$zombie" attach -o "$T/out.json" "$zombie"
}

@test "a kernel thread" {
	need_root
	[[ -z $(tr -d '\0' </proc/2/cmdline) ]]
	refused 3 "kernel thread" attach -o "$T/out.json" 2
}

@test "a thread that is not a process" {
	local tid
	need_root
	program_start grid -l -p 1 -t 1
	tid=$(ps -L -o lwp= -p "${READY[1]}" | tail -n 1 | tr -d " ")
	refused 3 "$tid" attach -o "$T/out.json" "$tid"
	program_go
	program_end
}

@test "socktrace itself as target" {
	need_root
	run --separate-stderr bash -c 'exec "$0" attach -o "$1" $$' "$SOCKTRACE" "$T/out.json"
	[[ $status -eq 2 || $status -eq 3 ]]
	[[ $stderr == "socktrace: "* ]]
	[[ $(<"$T/out.json") == "an earlier report" ]]
}

# named NAME: starts a process of that name, as printf(1) has it. Sets PROGRAM.
named() {
	mkfifo "$T/named"
	"$PYTHON" -c 'import ctypes, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
print("", file=open(sys.argv[2], "w"))
time.sleep(100)' "$(printf "$1x")" "$T/named" 3>&- &
	PROGRAM=$!
	read -r -t "$TIMEOUT" <>"$T/named"
	rm "$T/named"
}

@test "a process whose name has newlines, parentheses and blanks is traced; its name is escaped" {
	local name format
	for name in 'a\n b) (c' ') S 1 1 1' '\n\n\n' 'a)\nTgid: 1\n' '\t\033[31m|"'; do
		named "$name"
		"$SOCKTRACE" attach -q -d 0.1 -F json -o "$T/named.json" "$PROGRAM"
		kill "$PROGRAM"
		sound "$T/named.json"
		[[ $(value "$T/named.json" 'repr(r["processes"][0]["comm"])') == \
			"$("$PYTHON" -c 'import sys; print(repr(sys.argv[1]))' "$(printf "${name}x")")" ]]
		[[ $(value "$T/named.json" 'r["processes"][0]["cmdline"][1]') == -c ]] # found in /proc
		for format in text md csv; do
			"$SOCKTRACE" report -F "$format" "$T/named.json" | sed 's/\r$//' >"$T/rendered"
			# Nothing that would break a line or drive a terminal; no line is torn off.
			run ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$T/rendered"
			run ! grep -qxF ' b) (cx' "$T/rendered"
			run ! grep -qxF 'x' "$T/rendered"
		done
	done
}
