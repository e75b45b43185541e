# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Whatever happens to a workload, there is a message, no report, and nothing left behind.

load lib/common
load lib/workload

suite_setup() {
	MOUNTED=
	workload_setup
}

suite_teardown() {
	[[ -z $MOUNTED ]] || umount "$T/dir"
}

# long_run NAME OPTION...: starts one trial with a load that lasts until something happens.
long_run() {
	local -a options
	case $1 in
	gateway) options=(--orders 100000000) ;;
	feed) options=(--messages 1000000000 --rcvbuf 2048) ;;
	forwarder) options=(--seconds 60) ;;
	esac
	workload_start "$1" --trials 1 "${options[@]}" "${@:2}"
}

# killed NAME ROLE OPTION...: one part is killed while all are under way.
killed() {
	long_run "$1" "${@:3}"
	kill -KILL "$(part "$2")"
	given_up "$1 $2 (process $(part "$2"))" "killed by signal 9" "there is no report"
}

@test "gateway: a server of threads that is killed" {
	killed gateway server --mode threaded
}

@test "gateway: a server of one loop that is killed" {
	killed gateway server --mode epoll
}

@test "gateway: a client that is killed" {
	killed gateway client
}

@test "feed: a subscriber that is killed" {
	killed feed subscriber
}

@test "feed: a publisher that is killed" {
	killed feed publisher
}

@test "forwarder: a server that is killed" {
	killed forwarder server
}

@test "forwarder: a forwarder that is killed" {
	killed forwarder forwarder
}

@test "forwarder: a client that is killed" {
	killed forwarder client
}

@test "forwarder between namespaces: a part that is killed" {
	killed forwarder client --topology veth
}

@test "forwarder: iperf3 that is killed, either" {
	local role
	need_program iperf3
	for role in client server; do
		long_run forwarder --load iperf3
		kill -KILL "$(part "$role")"
		given_up "forwarder $role (process $(part "$role"))" "there is no report"
	done
}

@test "forwarder: a watcher of iperf3 that is killed, so that nobody knows its result" {
	need_program iperf3
	workload_start forwarder --load iperf3 --seconds 1 --trials 1
	kill -KILL "$(part helper | tail -n 1)"
	given_up "forwarder client" "there is no report"
}

@test "forwarder: iperf3 that fails, with its own message" {
	need_program iperf3
	mkdir -m 700 "$T/private" # where iperf3 wants to make its temporary files, as another user
	run --separate-stderr bounded env TMPDIR="$T/private" "$SOCKTRACE" run-workload forwarder \
		--load iperf3 --trials 1 -F json -o "$T/dir/out.json"
	[[ $status -eq 3 && -z $output && $stderr == *"iperf3: "*"Permission denied"* ]] ||
		fail "status $status: $stderr"
	as_before
}

@test "parts that are stopped and continued go on, and are counted exactly" {
	local pid
	workload_start forwarder --trials 1 --seconds 2
	for pid in $(part server) $(part forwarder) $(part client); do
		kill -STOP "$pid"
		until grep -q '^State:.T' "/proc/$pid/status"; do :; done
		kill -CONT "$pid"
	done
	run_ends "$TRACE"
	[[ $status -eq 0 ]] || fail "status $status: $(cat "$T/err")"
	workload_sound "$T/dir/out.json"
	nothing_left
}

@test "an untraced part that is killed" {
	long_run gateway --baseline
	[[ -z $(bpf_objects "$TRACE") ]] # the first of the pair is the untraced one
	kill -KILL "$(part server)"
	given_up "gateway server" "killed by signal 9"
}

# taken TYPE NAME: the port of the service is another program's.
taken() {
	local port
	mkfifo "$T/port.$2"
	"$PYTHON" -c 'import signal, socket, sys
s = socket.socket(type=getattr(socket, sys.argv[1]))
s.bind(("127.0.0.1", 0))
if sys.argv[1] == "SOCK_STREAM":
    s.listen()
with open(sys.argv[2], "w") as f:
    f.write(str(s.getsockname()[1]))
signal.pause()' "$1" "$T/port.$2" 3>&- &
	port=$(<"$T/port.$2")
	run --separate-stderr bounded "$SOCKTRACE" run-workload "$2" --port "$port" -F json -o "$T/dir/out.json"
	[[ $status -eq 3 && -z $output ]] || fail "status $status: $stderr"
	[[ $stderr == *"127.0.0.1:$port"*"Address already in use"* ]] || fail "$stderr"
	as_before
	drop $!
}

@test "a port that another program has" {
	taken SOCK_STREAM gateway
	taken SOCK_DGRAM feed
	taken SOCK_STREAM forwarder
}

@test "an output that is refused: before anything is started" {
	ln -s "$T/nothing" "$T/dir/link"
	run --separate-stderr bounded "$SOCKTRACE" run-workload gateway --orders 10 -F json -o "$T/dir/link"
	[[ $status -eq 1 && -z $output && $stderr == *"$T/dir/link"*"symbolic link"* ]] || fail "$stderr"
	[[ $(wc -l <<<"$stderr") -eq 1 ]] || fail "$stderr"
	rm "$T/dir/link"
	as_before
}

@test "a full disk: a message, status 3, and the earlier report is still there" {
	mount -t tmpfs -o size=8k tmpfs "$T/dir"
	MOUNTED=1
	echo "an earlier report" >"$T/dir/out.json"
	workload_start gateway --orders 2000 --trials 1
	run_ends "$TRACE"
	[[ $status -eq 3 ]] || fail "status $status: $(cat "$T/err")"
	grep -q "$T/dir/out.json.*No space left" "$T/err" || fail "$(cat "$T/err")"
	nothing_left
	as_before
}

@test "a link that goes away ends the run" {
	long_run forwarder --topology veth
	nsenter -t "$(part forwarder)" -n ip link delete link1
	given_up "forwarder " "there is no report"
}

# stopped SIGNAL NAME OPTION...: socktrace gets a signal.
stopped() {
	long_run "${@:2}"
	kill "-$1" "$TRACE"
	given_up "interrupted after 0 of 1 trials"
}

@test "SIGINT, SIGTERM, SIGHUP and SIGQUIT: interrupted, no report" {
	stopped INT gateway
	stopped TERM feed
	stopped HUP forwarder --topology veth
	stopped QUIT gateway --mode threaded
}

@test "SIGINT while iperf3 is the load" {
	need_program iperf3
	stopped INT forwarder --load iperf3
}

# destroyed NAME OPTION...: SIGKILL of socktrace. What is promised then: within a second all is gone.
destroyed() {
	need_program bpftool
	long_run "$@"
	bpf_objects "$TRACE" >"$T/objects"
	grep -q ^prog "$T/objects"
	kill -KILL "$TRACE"
	nothing_left 1
	run_ends "$TRACE"
	objects_gone "$T/objects"
	[[ $(<"$T/dir/out.json") == "an earlier report" ]]
}

@test "SIGKILL of socktrace: the parts of a gateway are gone within a second" {
	destroyed gateway --mode threaded
}

@test "SIGKILL of socktrace: the parts of a feed are gone within a second" {
	destroyed feed
}

@test "SIGKILL of socktrace: parts and namespaces of a forwarder are gone within a second" {
	destroyed forwarder --topology veth
}

@test "SIGKILL of socktrace: iperf3 and its watchers are gone within a second" {
	need_program iperf3
	destroyed forwarder --load iperf3
}

@test "without iperf3, the message says how to get it" {
	mkdir "$T/bin"
	run --separate-stderr bounded env PATH="$T/bin" "$SOCKTRACE" run-workload forwarder --load iperf3 \
		-F json -o "$T/dir/out.json"
	[[ $status -eq 3 && -z $output && $stderr == *"iperf3 is not installed: apt install iperf3"* ]] ||
		fail "status $status: $stderr"
	as_before
}

@test "without ip(8), --topology veth says what is missing" {
	mkdir "$T/bin"
	run --separate-stderr bounded env PATH="$T/bin" "$SOCKTRACE" run-workload forwarder --topology veth \
		-F json -o "$T/dir/out.json"
	[[ $status -eq 3 && -z $output && $stderr == *"apt install iproute2"* ]] || fail "status $status: $stderr"
	as_before
}

@test "more connections than descriptors are allowed" {
	run --separate-stderr bounded bash -c 'ulimit -n 200 && exec "$@"' - "$SOCKTRACE" run-workload gateway \
		--connections 300 --orders 10 -F json -o "$T/dir/out.json"
	[[ $status -eq 3 && -z $output && $stderr == *"gateway client"*"300 connections"*"ulimit -Hn"* ]] ||
		fail "status $status: $stderr"
	as_before
}

@test "without privileges: status 3, and what is missing" {
	run --separate-stderr bounded setpriv --reuid nobody --regid nogroup --clear-groups \
		"$SOCKTRACE" run-workload gateway --orders 10 --trials 1
	[[ $status -eq 3 && -z $output && $stderr == *"CAP_BPF"* ]] || fail "status $status: $stderr"
}

# --- wrong usage -----------------------------------------------------------------------------

# refused TEXT ARG...: status 2, a message that has the text, nothing started.
refused() {
	run --separate-stderr bounded "$SOCKTRACE" "${@:2}"
	[[ $status -eq 2 && -z $output ]] || fail "status $status, not 2: ${*:2}: $stderr"
	[[ $stderr == "socktrace"*": "* && $stderr == *"$1"* ]] || fail "no \"$1\" in: $stderr"
	as_before
}

@test "a workload or a role that there is not" {
	refused nonsense run-workload nonsense -o "$T/dir/out.json"
	refused nonsense workload nonsense server
	refused nonsense workload gateway nonsense
	run --separate-stderr bounded "$SOCKTRACE" run-workload
	[[ $status -eq 2 && -z $output && $stderr == "usage: "*gateway*feed*forwarder* ]]
	run --separate-stderr bounded "$SOCKTRACE" workload forwarder
	[[ $status -eq 2 && -z $output && $stderr == "usage: "*server*forwarder*client* ]]
}

@test "values that an option does not take" {
	local value
	for value in 0 -1 x 20001 "1," ",1" "1,,2" "" 99999999999999999999; do
		refused --connections run-workload gateway --connections="$value" -o "$T/dir/out.json"
	done
	refused --mode run-workload gateway --mode forked -o "$T/dir/out.json"
	refused --order-size run-workload gateway --order-size 31
	refused --order-size run-workload gateway --order-size 4X
	refused --rcvbuf run-workload feed --rcvbuf -1
	refused --multicast run-workload feed --multicast=maybe
	refused --idle run-workload feed --idle x
	refused --load run-workload forwarder --load ftp
	refused --topology run-workload forwarder --topology moon
	for value in 0 -1 1001 x ""; do
		refused --trials run-workload gateway --trials="$value"
	done
	refused --port run-workload gateway --port 65536
	refused --listen workload gateway server --listen 127.0.0.1
	refused --connect workload gateway client --connect localhost:1
	refused --connect workload gateway client
}

@test "a value twice" {
	refused --connections run-workload gateway --connections 1,2,1
	refused --splice run-workload forwarder --splice=yes,yes
}

@test "more combinations than 256" {
	refused 256 run-workload gateway --orders "$(seq -s, 20)" --pipeline "$(seq -s, 13)"
}

@test "values that do not go together" {
	refused --reverse run-workload forwarder --load rr --reverse
	refused --seconds run-workload forwarder --load iperf3 --seconds 0.5
	refused --streams run-workload forwarder --load bulk,iperf3 --streams 200
}

@test "options of attach and run that run-workload does not have" {
	refused "'i'" run-workload gateway -i 1
	refused "'d'" run-workload gateway -d 1
	refused --follow run-workload gateway --follow
	refused frobnicate run-workload gateway frobnicate
	refused --rcvbuf run-workload gateway --rcvbuf 1
	refused --connections workload gateway server --connections 1
}

@test "signals that would have ended socktrace alone: interrupted, no report, no part left" {
	stopped ALRM gateway
	stopped IO feed
	stopped RTMIN gateway
}

@test "a reader that takes nothing of the report: a signal ends the run, status 3" {
	local name began
	for name in INT TERM HUP QUIT ALRM; do
		rm -f "$T/full"
		full_pipe full
		env --default-signal=INT,QUIT "$SOCKTRACE" run-workload gateway --orders 10 --trials 1 -F json \
			>"$T/full" 2>"$T/err" 3>&- &
		TRACE=$!
		# Its parts have ended, its programs are detached, and it waits for the pipe.
		"$PYTHON" - "$TRACE" <<-'EOF'
			import sys, time
			until = time.monotonic() + 25
			while True:
			    children = open("/proc/%s/task/%s/children" % (sys.argv[1], sys.argv[1])).read()
			    call = open("/proc/%s/syscall" % sys.argv[1]).read().split()
			    if not children and call[0] in ("7", "73", "271") and int(call[2], 16) == 2:
			        break
			    assert time.monotonic() < until, call
		EOF
		kill "-$name" "$TRACE"
		began=${EPOCHREALTIME/./}
		run_ends "$TRACE"
		[[ $status -eq 3 ]] || fail "status $status: $(cat "$T/err")"
		((${EPOCHREALTIME/./} - began < 1500000)) || fail "it took too long"
		grep -q "standard output: its reader takes nothing; the report is lost" "$T/err"
		exec {PIPE}>&-
	done
}
