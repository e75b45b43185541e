# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# The accounts of the test programs are themselves held against strace, without socktrace: a wrong
# expectation must not look like a defect of the tracer, nor hide one.

load lib/common

suite_setup() {
	need_program strace
}

agrees() {
	strace -f -o "$T/strace.log" "$E2E_BIN/$1" -o "$T/truth.json" "${@:2}"
	"$PYTHON" "$ROOT/tests/e2e/lib/compare.py" strace "$T/truth.json" "$T/strace.log"
}

@test "strace agrees with grid" {
	agrees grid -p 3 -t 2 -n 8
}

@test "strace agrees with forktree" {
	agrees forktree
}

@test "strace agrees with forktree and orphans" {
	agrees forktree -x
}

@test "strace agrees with a chain of execs" {
	agrees execs chain
}

@test "strace agrees with execve from a thread that is not the leader" {
	agrees execs thread
}

@test "strace agrees with execve that fails" {
	agrees execs failed
}

@test "strace agrees with vfork and posix_spawn" {
	agrees vforks
}

@test "strace agrees with calls interrupted by signals" {
	agrees signals
}

@test "strace agrees with processes that end inside calls" {
	agrees die -S
}

@test "strace agrees with short-lived threads and processes" {
	agrees shortlived -t 200 -p 50
}

@test "strace agrees with calls denied by seccomp" {
	agrees denied
}

@test "strace agrees with 32-bit calls of a 64-bit program" {
	[[ -x $E2E_BIN/compat32 ]] || skip "no 32-bit build on this architecture"
	agrees compat -d
}

@test "strace agrees with execve from 64 to 32 bit and back" {
	[[ -x $E2E_BIN/compat32 ]] || skip "no 32-bit build on this architecture"
	agrees compat -e "$E2E_BIN/compat32"
}

@test "strace agrees with execve from 32 to 64 bit and back" {
	[[ -x $E2E_BIN/compat32 ]] || skip "no 32-bit build on this architecture"
	agrees compat32 -e "$E2E_BIN/compat"
}

@test "strace agrees with numbers that no call has" {
	agrees oddcalls
}

@test "strace agrees with bytes moved" {
	agrees bytes
}

@test "strace agrees with a number used by several processes" {
	[[ -w /proc/sys/kernel/ns_last_pid ]] || skip "may not write ns_last_pid"
	agrees pidreuse
}

@test "strace agrees with a number used by several threads" {
	[[ -w /proc/sys/kernel/ns_last_pid ]] || skip "may not write ns_last_pid"
	agrees pidreuse -t
}

@test "strace agrees with threads that come and go" {
	agrees churn -m 20
}

# sockets_agree PROGRAM ARG...: the accounts of calls and of sockets.
sockets_agree() {
	strace -f -y -o "$T/strace.log" "$E2E_BIN/$1" -o "$T/truth.json" "${@:2}"
	"$PYTHON" "$ROOT/tests/e2e/lib/compare.py" strace "$T/truth.json" "$T/strace.log"
	"$PYTHON" "$ROOT/tests/e2e/lib/sockets.py" strace "$T/truth.json" "$T/strace.log"
}

@test "strace agrees with every way to move bytes through sockets" {
	sockets_agree moves -n 1 -d "$T"
}

@test "strace agrees with uses of sockets that are easily counted wrong" {
	sockets_agree corners
}

@test "strace agrees with who uses a socket" {
	sockets_agree owners
}

@test "strace agrees with what is sent over connections that begin and end" {
	sockets_agree life
}

@test "strace agrees with sockets that are used again" {
	cd "$T"
	sockets_agree origins
}

@test "strace agrees with many connections" {
	agrees connects -n 200
}

@test "strace agrees with datagrams" {
	local way
	for way in burst filter group multicast; do
		sockets_agree datagrams -n 400 -b 4096 "$way"
	done
}

@test "strace agrees with splice and sendfile" {
	local way
	for way in splice splice-unix sendfile; do
		sockets_agree relay -n 2000000 "$way"
	done
}

@test "a comparison of sockets that should fail does" {
	sockets_agree owners
	sed -i 's/"send": {"calls": 20, "bytes": 1200/"send": {"calls": 20, "bytes": 1201/' \
		"$T/truth.json"
	run ! "$PYTHON" "$ROOT/tests/e2e/lib/sockets.py" strace "$T/truth.json" "$T/strace.log"
	[[ $output == *"1 differences"* ]]
}

@test "a comparison that should fail does" {
	agrees grid -p 2 -t 2 -n 4
	sed -i '0,/"calls": 12/s//"calls": 13/' "$T/truth.json"
	run ! "$PYTHON" "$ROOT/tests/e2e/lib/compare.py" strace "$T/truth.json" "$T/strace.log"
	[[ $output == *"1 differences"* ]]
}
