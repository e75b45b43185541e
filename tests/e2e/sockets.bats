# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Every byte, message and error of every socket, with the process that moved it, by every hook.

load lib/common

suite_setup() {
	need_root
	mkdir "$T/d"
}

# --- what is moved ---------------------------------------------------------------------------

@test "run: every way to move bytes through every kind of socket, with each hook" {
	with_hooks run_sockets -- moves -d "$T/d"
}

@test "attach: the same through sockets that are older than the trace" {
	with_hooks attach_sockets -- moves -e -d "$T/d"
}

@test "attach: the same through sockets made during the trace" {
	attach_sockets -- moves -d "$T/d"
}

@test "run: the same by a 32-bit program, socketcall(2) included" {
	[[ -x $E2E_BIN/moves32 ]] || skip "no 32-bit build on this architecture"
	with_hooks run_sockets -- moves32 -d "$T/d"
}

@test "--detail count has the same sockets" {
	# Entries are not seen, so there is no last look at a UDP socket before it is closed.
	COMPARE=(--null udp_drops)
	SOCKETS=(--null udp_drops)
	with_hooks run_sockets --detail count -- moves -d "$T/d"
	if [[ -x $E2E_BIN/moves32 ]]; then
		with_hooks run_sockets --detail count -- moves32 -d "$T/d"
	fi
}

@test "run: uses that are easily counted wrong, with each hook" {
	with_hooks run_sockets -- corners
}

@test "what a packet socket gives through a ring is not known, and not 0" {
	unshare -n bash -c 'ip link set lo up && exec "$@"' - "$SOCKTRACE" run -F json \
		-o "$T/report.json" -- "$PYTHON" -c 'import mmap, socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.setsockopt(263, 5, struct.pack("IIII", 4096, 16, 2048, 32))  # PACKET_RX_RING
ring = mmap.mmap(s.fileno(), 4096 * 16)
s.bind(("lo", 0))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(5):
    u.sendto(b"x", ("127.0.0.1", 9))
print(sum(struct.unpack_from("L", ring, i * 2048)[0] & 1 for i in range(32)))' >"$T/frames"
	[[ $(<"$T/frames") -ge 5 ]]
	[[ $(value "$T/report.json" '[(s["receive"]["calls"], s["receive"]["bytes"])
		for p in r["processes"] for s in p["sockets"] if s["protocol"] == "packet"]') == \
		"[(None, None)]" ]]
	"$ROOT/tests/unit/check_schema.py" "$T/report.json"
}

@test "attach amid calls of two threads on one socket: no audit fails" {
	local said pid
	exec {said}< <(exec "$PYTHON" -c 'import os, socket, threading
listener = socket.create_server(("127.0.0.1", 0))
a = socket.create_connection(listener.getsockname())
b, _ = listener.accept()
def send(n):
    while True:
        a.sendall(bytes(n))
def receive(n):
    while True:
        b.recv(n)
for target, n in (send, 200000), (send, 777), (receive, 65536), (receive, 777):
    threading.Thread(target=target, args=(n,)).start()
print(os.getpid(), flush=True)' 3>&-)
	read -r -t "$TIMEOUT" -u "$said" pid
	for ((i = 0; i < 25; i++)); do
		"$SOCKTRACE" attach -q -d 0.05 -F json -o "$T/report.json" "$pid" ||
			break
	done
	kill -KILL "$pid"
	((i == 25))
}

@test "a count beyond 4 GiB" {
	run_sockets -- corners wraps
}

@test "with -i, the last report has it all" {
	run_sockets -i 1 -- moves -n 12000 -d "$T/d" tcp4 unix-pair udp4
	[[ $(wc -l <"$T/report.json") -ge 2 ]]
}

@test "two socktraces on one program at once are both exact" {
	local first
	program_start moves -e -d "$T/d"
	trace_start attach "$PROGRAM" -F json -o "$T/first.json"
	first=$TRACE
	trace_start attach "$PROGRAM" -F json -o "$T/second.json"
	program_go
	program_end
	trace_end 0
	wait "$first"
	same_sockets "$T/first.json"
	same_sockets "$T/second.json"
}

# --- what is asked for -----------------------------------------------------------------------

@test "--no-sockets leaves them out, and nothing else" {
	"$SOCKTRACE" run --no-sockets -F json -o "$T/report.json" -- \
		"$E2E_BIN/grid" -o "$T/truth.json" -p 2 -t 2 3>&-
	# No figure of them: a 0 would be a claim.
	[[ $(value "$T/report.json" 'all(p["sockets"] == [] and set(p["socket"].values()) == {None}
		for p in r["processes"])') == True ]]
	[[ $(value "$T/report.json" '[p["hook"] for p in r["capture"]["probes"]
		if p["name"] == "socket_bytes" and p["attached"]]') == "[]" ]]
}

@test "the hook that was asked for is the one that is taken, or it is an error" {
	local hook works
	works=$(hooks)
	for hook in fexit tracepoint kretprobe calls; do
		run "$SOCKTRACE" run -q --hook "socket_bytes=$hook" -F json -o "$T/report.json" -- true
		if [[ $works == *$hook* ]]; then
			[[ $status -eq 0 ]]
			[[ $(value "$T/report.json" '[p["hook"] for p in r["capture"]["probes"]
				if p["name"] == "socket_bytes"]') == *"$hook"* ]]
		else
			[[ $status -eq 125 && $output == *socket_bytes* ]]
		fi
	done
	run "$SOCKTRACE" run -q --hook socket_bytes=nonsense -F json -- true
	[[ $status -ne 0 ]]
}

# --- whose they are --------------------------------------------------------------------------

@test "run: sockets passed, stolen, inherited, duplicated, shared by threads, with each hook" {
	with_hooks run_sockets -- owners
}

@test "attach -f: the same" {
	with_hooks attach_sockets -f -- owners
}

@test "sockets that several processes still hold when the trace ends" {
	attach_held -f -- owners -k
}

@test "a socket that comes from a process that is not traced" {
	local way
	for way in passed shared stolen; do
		program_start owners "$way"
		trace_start attach "${READY[1]}" -F json -o "$T/report.json"
		program_go
		program_end
		trace_end 0
		ONLY=(--only "${READY[1]}")
		same_sockets "$T/report.json"
	done
}
