# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# The life of TCP connections, from the first SYN to who closed them, and what they suffered.

load lib/common
load lib/netns

suite_setup() {
	need_root
}

suite_teardown() {
	netns_down
}

# summed FIELD: over all sockets of the report.
summed() {
	value "$T/report.json" "sum(s[\"tcp\"][\"$1\"] or 0 for p in r[\"processes\"]
		for s in p[\"sockets\"] if s[\"tcp\"])"
}

# --- beginning and end -----------------------------------------------------------------------

@test "run: connect and accept latency, first byte, refusals, resets, who closed" {
	run_sockets -- life
}

@test "attach: latencies, refusals, resets, who closed" {
	attach_sockets -f -- life
}

@test "a connection's figures are those of TCP_INFO, its state that of ss" {
	attach_held -- life -k states limits
	# ss knows every state by the same name.
	[[ $(value "$T/report.json" 'sorted({s["tcp"]["state"] for p in r["processes"]
		for s in p["sockets"] if not s["closed_ns"]})') == \
		"['CLOSE-WAIT', 'ESTAB', 'FIN-WAIT-2', 'LISTEN']" ]]
	# A test of limits that were not met would test nothing.
	[[ $(summed rwnd_limited_ns) -gt 0 ]]
}

@test "connection requests that a full listener threw away are its own, as the kernel counts them" {
	run_sockets -- life overflows
}

@test "run: whom a connection that failed was for; a row for each use of a socket" {
	cd "$T"
	run_sockets -- origins
}

@test "attach: the same" {
	cd "$T"
	attach_sockets -- origins
}

@test "--detail count: the same" {
	cd "$T"
	COMPARE=(--null tcp_bytes --null udp_drops)
	SOCKETS=(--null tcp_bytes --null udp_drops)
	run_sockets --detail count -- origins
}

@test "a connection that a timer ends where it interrupts a change of state is counted all the same" {
	program_start timeouts
	trace_start attach "$PROGRAM" -F json -o "$T/report.json"
	program_go
	program_end
	trace_end 0
	same_sockets "$T/report.json"
	# How often a program was passed by: now and then, as the machine has it.
	echo "missed: $(value "$T/report.json" '[(p["name"], p["recursion_misses"])
		for p in r["capture"]["overhead"]["programs"] if p["recursion_misses"]]')"
}

@test "Unix sockets that are older than the trace: who accepted is told by what they share" {
	cd "$T"
	attach_sockets -- origins -e names
	[[ $(value "$T/report.json" '[[s["role"] for s in p["sockets"]].count("accept")
		for p in r["processes"]]') == "[5]" ]]
}

@test "what is read after a reset, from a socket that is then used again, is no false book" {
	SOCKETS=(--null tcp_bytes)
	COMPARE=(--null tcp_bytes)
	run_sockets -- origins unread
	[[ $(value "$T/report.json" '[a["ok"] for a in r["audits"] if a["name"] == "tcp_bytes"]') == \
		"[None]" ]]
}

# --- whose connections they are --------------------------------------------------------------

@test "one port, several listeners: each has its own connections, and an untraced one none" {
	program_start listeners -n 2000
	# As many sockets as there are of those that are not traced would not have room.
	trace_start attach "${READY[@]}" --max-sockets 600 -F json -o "$T/report.json"
	program_go
	program_end
	trace_end 0
	for pid in "${READY[@]}"; do
		ONLY+=(--only "$pid")
	done
	same_sockets "$T/report.json"
	# How an older connection came about is said if nothing else can look like it.
	[[ $(value "$T/report.json" 'sorted(sorted((s["role"], s["connections"])
		for s in p["sockets"] if s["local"] != "127.0.0.1:8080") for p in r["processes"])') == \
		"[[], [('accept', 202), ('listen', 1)], [('connect', 1), ('none', 1)]]" ]]
}

# --- MPTCP -----------------------------------------------------------------------------------

need_mptcp() {
	[[ $(sysctl -n net.mptcp.enabled) == 1 ]] || skip "needs MPTCP"
}

@test "run: MPTCP with peers that speak it and others: one row of a connection, TCP's figures" {
	need_mptcp
	with_hooks run_sockets -- mptcp
	"$SOCKTRACE" report "$T/report.json" | grep -q "^ *[0-9]* mptcp6* "
}

@test "attach: MPTCP listeners that are older than the trace" {
	need_mptcp
	attach_sockets -- mptcp -e
}

@test "MPTCP: figures of open connections are those of TCP_INFO" {
	need_mptcp
	attach_held -- mptcp -k -n 1
}

@test "MPTCP: a second path is of the same row" {
	need_mptcp
	ip mptcp help >"$T/help" 2>&1 || grep -q endpoint "$T/help" || skip "needs ip mptcp"
	cat >"$T/paths.py" <<-'EOF'
		import socket, subprocess
		listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
		listener.bind(("10.1.1.1", 5000))
		listener.listen()
		a = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
		a.connect(("10.1.1.1", 5000))
		b = listener.accept()[0]
		a.sendall(b"x")
		b.recv(1)
		paths = ["ss", "-tnH", "state", "established", "src", "10.1.2.1"]
		while not subprocess.run(paths, stdout=subprocess.PIPE, check=True).stdout:
		    pass
		for _ in range(100):
		    a.sendall(bytes(10000))
		    left = 10000
		    while left:
		        left -= len(b.recv(left))
		a.close()
		assert not b.recv(1)
	EOF
	"$SOCKTRACE" run -F json -o "$T/report.json" -- unshare -n sh -c "
		ip link set lo up
		ip address add 10.1.1.1/24 dev lo
		ip address add 10.1.2.1/24 dev lo
		ip mptcp limits set subflow 4 add_addr_accepted 4
		ip mptcp endpoint add 10.1.2.1 dev lo subflow
		exec '$PYTHON' '$T/paths.py'" 3>&-
	sound_sockets "$T/report.json"
	[[ $(value "$T/report.json" 'sorted((s["role"], s["send"]["bytes"], s["receive"]["bytes"],
		s["tcp"]["closed_by"]) for p in r["processes"] for s in p["sockets"]
		if s["tcp"])') == "[('accept', 0, 1000001, 'remote'), ('connect', 1000001, 0, 'local'),\
 ('listen', 0, 0, None)]" ]]
}

# --- many ------------------------------------------------------------------------------------

@test "50,000 connections of two processes are folded, and nothing is lost" {
	run_sockets -- connects -n 50000
	# A key has one row beside those of the listeners.
	[[ $(value "$T/report.json" '[len(p["sockets"]) for p in r["processes"]]') == "[8, 4]" ]]
}

@test "attach: 50,000 connections of two processes are folded, and nothing is lost" {
	attach_sockets -- connects -n 50000
}

@test "up to 64 connections with one key are rows of their own" {
	run_sockets -- connects -n 64 -l 1
	[[ $(value "$T/report.json" '[len(p["sockets"]) for p in r["processes"]]') == "[65, 64]" ]]
	run_sockets -- connects -n 65 -l 1
	[[ $(value "$T/report.json" '[len(p["sockets"]) for p in r["processes"]]') == "[2, 1]" ]]
}

# lists_all: a server with 5,000 connections, and how long it takes to list them.
lists_all() {
	local before after
	program_start connects -k -n 5000
	before=${EPOCHREALTIME/./}
	"$SOCKTRACE" attach -q -d 0.1 "${READY[0]}" -F json -o "$T/report.json" 3>&-
	after=${EPOCHREALTIME/./}
	program_go
	program_end
	ONLY=(--only "${READY[0]}")
	same_sockets "$T/report.json"
	[[ $(value "$T/report.json" '[sum(s["role"] == role for p in r["processes"]
		for s in p["sockets"]) for role in ("accept", "listen")]') == "[5000, 1]" ]]
	((after - before < 1000000)) || fail "it took $((after - before)) us"
}

@test "attach lists 5,000 established connections with state and RTT within a second" {
	lists_all
}

@test "the same in another network namespace" {
	netns_up
	WRAPPER="ip netns exec $NEAR" lists_all
}

@test "more sockets at once than --max-sockets are lost, and that is said" {
	program_start connects -k -n 500
	run "$SOCKTRACE" attach -q -d 0.1 --max-sockets 100 "${READY[@]}" -F json \
		-o "$T/report.json" --allow-partial
	[[ $status -eq 3 ]]
	program_go
	program_end
	[[ $(value "$T/report.json" 'r["capture"]["lost"]["sockets_full"] > 0') == True ]]
	[[ $(value "$T/report.json" 'r["capture"]["complete"]') == False ]]
}

@test "sockets_full counts uses: fifty of one socket without room are fifty" {
	run -125 --separate-stderr "$SOCKTRACE" run --max-sockets 16 -F json -o "$T/report.json" \
		--allow-partial -- "$PYTHON" -c 'import socket
full = [s for _ in range(40) for s in socket.socketpair()]
for s in full:
    s.send(b"x")
before = full[-1]
for _ in range(50):
    before.send(b"x")'
	[[ $(value "$T/report.json" 'r["capture"]["lost"]["sockets_full"] >= 80 - 16 + 50') == True ]]
	[[ $stderr == *"sockets_full: "*"uses of sockets"* ]]
}

@test "a trace that begins and ends amid connections that come and go balances its books" {
	# So slow that ports and the kernel's memory of closed connections last.
	program_start connects -n 80000 -p 200
	program_go
	for _ in {1..5}; do
		trace_start attach "${READY[@]}" -F json -o "$T/report.json"
		kill -INT "$TRACE"
		trace_end 0
		sound_sockets "$T/report.json" --null tcp_bytes
	done
	program_end
}

@test "calls of two processes on one connection, under way at the start, are no false book" {
	"$PYTHON" "$ROOT/tests/e2e/lib/shared.py" 20000000 3>&- >"$T/pids" &
	local shared=$!
	until [[ -s $T/pids ]]; do
		kill -0 "$shared"
	done
	local pids
	read -r -a pids <"$T/pids"
	trace_start attach "${pids[@]}" -F json -o "$T/report.json"
	kill -USR1 "$shared"
	wait "$shared"
	trace_end 0
	sound_sockets "$T/report.json" --null tcp_bytes
}

# --- books that are easily read wrong (programs/books.c) -----------------------------------

# rows_that WORD: how many rows of TCP connections say that of "agrees".
rows_that() {
	"$PYTHON" -c '
import json, sys
rows = [s for p in json.load(open(sys.argv[1]))["processes"] for s in p["sockets"]]
print(sum(json.dumps(s["agrees"]) == sys.argv[2] for s in rows if s["role"] != "listen"))
' "$T/report.json" "$1"
}

@test "a server whose threads each sleep in a receive is audited all the same" {
	attach_sockets -- books served
	[[ $(rows_that true) == 16 ]]
	program_start books -k served
	trace_start attach "$PROGRAM" -F json -o "$T/report.json"
	program_go
	wait_line "$SAID" "done" "$T/program.log"
	kill -INT "$TRACE"
	trace_end 0
	program_go
	sound_sockets "$T/report.json"
	[[ $(rows_that true) == 16 ]]
}

@test "a connection that was cut before the trace, with bytes unread, costs no report" {
	attach_sockets -- books cut
	[[ $(rows_that true) == 1 ]]
	SOCKETS=(--null tcp_bytes)
	COMPARE=(--null tcp_bytes)
	attach_sockets -- books disconnected
	[[ $(rows_that null) == 1 ]]
}

@test "sequence numbers that mean something else make that socket's books unknown, and say why" {
	SOCKETS=(--null tcp_bytes)
	COMPARE=(--null tcp_bytes)
	run_sockets -- books repaired
	[[ $(rows_that null) == 1 && $(rows_that true) == 1 ]]
	grep -q "TCP_REPAIR" "$T/report.json"
	run_sockets -- books mapped
	[[ $(rows_that null) == 2 && $(rows_that true) == 2 ]]
	grep -q "sockmap" "$T/report.json"
}

@test "the last line says which audits could not be made" {
	"$SOCKTRACE" run -o "$T/report.txt" -- "$E2E_BIN/books" -o "$T/truth.json" repaired 3>&-
	tail -n 1 "$T/report.txt" >"$T/last"
	grep -q '^audits: .* hold .*; 1 could not be made (tcp_bytes)$' "$T/last"
}

# --- loss ------------------------------------------------------------------------------------

# iperf_over_the_wire: some megabytes from $NEAR to $FAR, the sender traced.
iperf_over_the_wire() {
	need_program iperf3
	ip netns exec "$FAR" iperf3 -s -1 --forceflush >"$T/server" 3>&- &
	SERVER=$!
	until grep -q listening "$T/server"; do
		kill -0 "$SERVER"
	done
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- ip netns exec "$NEAR" \
		iperf3 -c "$FAR_IP" -n 20M --json >"$T/iperf.json" 3>&-
	wait "$SERVER"
	sound_sockets "$T/report.json"
	retransmits=$(summed retransmits)
	failed=$(summed retransmits_failed)
	echo "retransmits $retransmits, failed $failed"
	ip netns exec "$NEAR" nstat -asz 'Tcp*Retrans*'
}

@test "retransmits are those of nstat, in segments, and no fewer than iperf3 saw" {
	netns_up
	netns_drop "$FAR" input 'meta length > 200 numgen inc mod 40 0'
	iperf_over_the_wire
	((retransmits > 0))
	((retransmits == $(netns_count "$NEAR" TcpRetransSegs)))
	# iperf3 looks while the last of its data is still on its way.
	[[ $(value "$T/iperf.json" "0 < r['end']['sum_sent']['retransmits'] <= $retransmits") == True ]]
}

@test "attempts to retransmit that fail on this machine are told apart" {
	netns_up
	netns_drop "$FAR" input 'meta length > 200 numgen inc mod 20 0'
	netns_drop "$NEAR" output 'meta length > 200 numgen inc mod 3 0'
	iperf_over_the_wire
	((failed > 0))
	# The kernel counts what it gives up before it tries (EBUSY) in neither.
	sent=$(netns_count "$NEAR" TcpRetransSegs)
	refused=$(netns_count "$NEAR" TcpExtTCPRetransFail)
	((retransmits == sent - refused && failed >= refused))
}

# quiet: iperf3's data connection has nothing on its way. Sets INFO, what ss says of it.
quiet() {
	INFO=$(ip netns exec "$NEAR" ss -tinH dst "$FAR_IP" | grep sndbuf_limited)
	[[ $INFO != *unacked* && $INFO != *notsent* ]]
}

# told NAME: nanoseconds of a time that ss gives in milliseconds.
told() {
	sed -nE "s/.*$1:([0-9]+)ms.*/\1000000/p" <<<"$INFO"
}

@test "time limited by the send buffer and by the peer's window is that of ss" {
	need_program iperf3
	netns_up
	ip netns exec "$NEAR" tc qdisc add dev wire root tbf rate 5mbit burst 32k latency 400ms
	ip netns exec "$FAR" iperf3 -s -1 --forceflush >"$T/server" 3>&- &
	SERVER=$!
	until grep -q listening "$T/server"; do
		kill -0 "$SERVER"
	done
	mkfifo "$T/client"
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- ip netns exec "$NEAR" \
		iperf3 -c "$FAR_IP" -t 60 -w 16K -i 1 --forceflush >"$T/client" 3>&- &
	TRACE=$!
	exec {CLIENT}<"$T/client"
	wait_line "$CLIENT" " 2.00-3.00 " "$T/client.log"
	read -r client < <(ip netns pids "$NEAR")
	kill -STOP "$client"
	until quiet; do
		kill -0 "$client"
	done
	kill -KILL "$client"
	ends "$TRACE" # as its command: killed
	sound_sockets "$T/report.json"
	[[ $(summed sndbuf_limited_ns) -eq $(told sndbuf_limited) ]]
	[[ $(summed rwnd_limited_ns) -eq $(told rwnd_limited) ]]
	[[ $(summed sndbuf_limited_ns) -gt 0 && $(summed rwnd_limited_ns) -gt 0 ]]
}

# --- the comparison itself -------------------------------------------------------------------

# altered STATEMENT: the report, changed by this statement, must not pass.
altered() {
	"$PYTHON" -c 'import json, sys
r = json.load(open(sys.argv[1]))
p = r["processes"][0]
s = next(s for s in p["sockets"] if (s["tcp"]["accept_wait_ns"] or 0) > 40e6)
exec(sys.argv[3])
json.dump(r, open(sys.argv[2], "w"))' "$T/report.json" "$T/altered.json" "$1"
	run ! "$PYTHON" "$ROOT/tests/e2e/lib/sockets.py" report "$T/truth.json" "$T/altered.json"
}

@test "a wrong report does not pass" {
	run_sockets -- life
	"$PYTHON" "$ROOT/tests/e2e/lib/sockets.py" report "$T/truth.json" "$T/report.json"
	altered 's["receive"]["bytes"] += 1; p["socket"]["received_bytes"] += 1'
	altered 's["send"]["calls"] += 1'
	altered 's["receive"]["errors"] += 1'
	altered 's["receive"]["peek_calls"] += 1'
	altered 's["remote"] = "127.0.0.1:1"'
	altered 's["role"] = "connect"'
	altered 's["tcp"]["closed_by"] = "remote"'
	altered 's["tcp"]["accept_wait_ns"] = None'
	altered 's["closed_ns"] = None'
	altered 's["connections"] += 1'
	altered 'p["sockets"].remove(s)'
	altered 'p["sockets"].append(dict(s, local="127.0.0.1:1"))'
	altered 'p["socket"]["sent_bytes"] += 1'
	altered 'p["threads"][0]["socket"]["sent_bytes"] += 1'
	altered 'next(a for a in r["audits"] if a["name"] == "tcp_bytes")["ok"] = False'
	altered 'r["audits"] = [a for a in r["audits"] if a["name"] != "tcp_bytes"]'
}
