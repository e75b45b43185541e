# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# run-workload: each workload does all that it is asked for, and the trace has exactly what its
# parts counted. lib/workload.py looks at the figures of each trial.

load lib/common
load lib/workload

suite_setup() {
	workload_setup
}

# --- gateway ---------------------------------------------------------------------------------

@test "gateway: threads and an event loop, 1 to 256 connections, exact to the call" {
	run_workload gateway --mode threaded,epoll --connections 1,16,256 --orders 40 --trials 1
	[[ $(trials '",".join(t["cell"])') == "['threaded,1', 'threaded,16', 'threaded,256', 'epoll,1', 'epoll,16', 'epoll,256']" ]]
	each '0 < t["results"]["latency_p50_ns"] <= t["results"]["latency_p99_ns"]'
	each '0 < t["results"]["connect_p50_ns"] <= t["results"]["connect_p99_ns"]'
	"$SOCKTRACE" report "$T/report.json" >"$T/text"
	grep -q "^requests/s " "$T/text"
	grep -q "^latency p99 " "$T/text"
}

@test "gateway: 2,000 connections at once in both modes" {
	run_workload gateway --mode threaded,epoll --connections 2000 --orders 4 --trials 1
	each 't["truth"]["server"]["connections_accepted"] == 2000'
}

@test "gateway: connections one after the other, and requests in a pipeline" {
	run_workload gateway --mode threaded,epoll --connections 4 --cycles 25 --orders 10 \
		--pipeline 1,64 --trials 1
	each 't["results"]["connections"] == 100'
	# With a pipeline, several replies go with one call.
	[[ $(trials 't["truth"]["server"]["calls"]["sendto"] < t["results"]["requests"]') == \
		"[False, True, False, True]" ]]
}

@test "gateway: long requests, and heartbeats behind so many orders" {
	run_workload gateway --order-size 4K --heartbeats 0,5 --connections 3 --orders 50 --trials 1
	[[ $(trials 't["truth"]["server"]["heartbeats"]') == "[3, 33]" ]]
}

@test "gateway: the same seed gives the same orders and fills, another one others" {
	run_workload gateway --connections 1 --orders 500 --seed 1,2 --trials 2
	[[ $(value "$T/report.json" '(lambda f: f[0] == f[2] != f[1] == f[3])([[t["truth"]["server"][n]
		for n in ("orders", "cancels", "fills", "rejects", "quantity_bought")]
		for t in r["workload"]["trials"]])') == True ]] || fail "$(trials 't["truth"]["server"]')"
}

# --- feed ------------------------------------------------------------------------------------

@test "feed: published = received + dropped, to the datagram, at each receive buffer" {
	run_workload feed --rcvbuf 2048,0,8388608 --messages 8000 --trials 2
	each 't["truth"]["subscriber"]["datagrams_dropped"] > 0 or t["cell"] != ["2048"]'
	# 8,000 messages need less than 8 MiB.
	each 't["truth"]["subscriber"]["datagrams_dropped"] == 0 or
		t["results"]["receive_buffer_granted_bytes"] < 8388608'
}

@test "feed: unicast and multicast, one message or many for a call" {
	run_workload feed --multicast both --batch 1,32 --receive-batch 1,32 --messages 3000 --trials 1
	each '(t["truth"]["publisher"]["calls"]["sendmmsg"] > 0) == (t["cell"][0] == "32")'
	each '(t["truth"]["subscriber"]["calls"]["recvmmsg"] > 0) == (t["cell"][2] == "32")'
}

@test "feed: --rate is kept within 5 %" {
	run_workload feed --rate 10000 --messages 5000 --trials 1
	each '9500 < t["results"]["messages_published"] / (t["results"]["duration_ns"] / 1e9) < 10500'
}

@test "feed: a subscriber that works on each message is slower and loses more" {
	run_workload feed --work 50000 --messages 2000 --trials 1
	each 't["truth"]["subscriber"]["datagrams_dropped"] > 0'
	[[ $(value "$T/report.json" 'next(p["cpu"]["user_ns"] for p in r["processes"]
		if p["comm"] == "subscriber") >= 50000 * r["workload"]["trials"][0]["results"]["messages"]') == True ]]
}

@test "feed: long datagrams, fragmented ones too" {
	run_workload feed --size 512,1400,65507 --messages 300 --trials 1
}

# --- forwarder -------------------------------------------------------------------------------

@test "forwarder: bulk both ways, copied and spliced" {
	run_workload forwarder --splice both --reverse both --seconds 0.2 --trials 1
	each 't["results"]["bytes"] > 1000000'
}

@test "forwarder: small buffers and small socket buffers" {
	run_workload forwarder --splice both --buffer 8K --sockbuf 16K --seconds 0.1 --trials 1
}

@test "forwarder: requests on open connections, and a connection for each" {
	run_workload forwarder --load rr,crr --splice both --seconds 0.1 --trials 1
	each 't["results"]["requests"] > 50 and t["results"]["latency_p99_ns"] > 0'
}

@test "forwarder: iperf3 as the load" {
	need_program iperf3
	run_workload forwarder --load iperf3 --splice both --trials 1
	# Of another program there is no truth, and none is made up.
	each '"calls" not in t["truth"]["server"] and "calls" not in t["truth"]["client"]'
	each 't["results"]["bytes"] > 1000000'
}

@test "forwarder: over links of its own, and none of them stays" {
	local before
	before=$(ip -o link | wc -l)
	run_workload forwarder --topology veth --splice both --seconds 0.2 --trials 1
	each 't["results"]["bytes"] > 1000000'
	[[ $(value "$T/report.json" '{s["local"].rpartition(".")[0] for p in r["processes"]
		for s in p["sockets"]} <= {"10.77.0", "10.77.1"}') == True ]]
	[[ $(ip -o link | wc -l) -eq $before ]]
}

@test "forwarder: where it waits in epoll, that is blocked time and not time on a CPU" {
	run_workload forwarder --load rr --streams 1 --seconds 0.5 --trials 1
	"$PYTHON" - "$T/report.json" <<-'EOF'
		import json, sys
		r = json.load(open(sys.argv[1]))
		p = next(p for p in r["processes"] if p["comm"] == "forwarder")
		w = next(c for c in p["syscalls"] if c["name"] == "epoll_pwait")
		assert w["blocked_ns"] > w["total_ns"] / 4, w
		assert w["on_cpu_ns"] < w["total_ns"] / 4, w
		assert w["on_cpu_ns"] + w["runnable_ns"] + w["blocked_ns"] <= w["total_ns"], w
		for thread in p["threads"]:
		    assert all(thread["cpu"][f"{f}_ns"] > 0 for f in ("on_cpu", "runnable", "blocked")), thread
		assert p["cpu"]["blocked_ns"] >= w["blocked_ns"], (p["cpu"], w)
	EOF
	"$SOCKTRACE" report "$T/report.json" >"$T/text"
	grep -q "^ROLE .*ON-CPU.*WAIT-CPU.*BLOCKED" "$T/text"
}

# --- trials ----------------------------------------------------------------------------------

@test "two swept options, several trials and --baseline: each combination, in turns, untraced too" {
	run_workload gateway --mode threaded,epoll --connections 1,4 --orders 40 --trials 2 --baseline
	"$PYTHON" "$ROOT/tests/e2e/lib/workload.py" cells "$T/report.json" >"$T/cells"
	[[ $(wc -l <"$T/cells") -eq 16 ]]
	[[ $(sort "$T/cells" | uniq -c | awk '{ print $1 }' | sort -u) -eq 2 ]]
	[[ $(value "$T/report.json" 'len({p["trial"] for p in r["processes"]})') -eq 8 ]]
}

@test "without --trials there are 3" {
	run_workload gateway --orders 20
	[[ $(trials 't["number"]') == "[1, 2, 3]" ]]
}

@test "twenty short trials are exact, each of them" {
	run_workload gateway --connections 2 --orders 10 --trials 20
}

@test "--detail count and --no-sockets: what is not looked at is not said to be exact" {
	run_workload gateway --orders 20 --trials 1 --detail count
	bounded "$SOCKTRACE" run-workload gateway --orders 20 --trials 1 --no-sockets -F json -o "$T/report.json"
	each 't["exact"] is None and t["observed"]["server"]["sent_bytes"] is None'
	each 't["observed"]["server"]["calls"] == t["truth"]["server"]["calls"]'
}

# --- the comparison itself -------------------------------------------------------------------

# altered STATEMENT: the report, changed by this statement, must not pass.
altered() {
	"$PYTHON" -c 'import json, sys
r = json.load(open(sys.argv[1]))
t = r["workload"]["trials"][0]
truth, observed = t["truth"], t["observed"]
exec(sys.argv[3])
json.dump(r, open(sys.argv[2], "w"))' "$T/report.json" "$T/altered.json" "$1"
	run ! workload_sound "$T/altered.json"
}

@test "a wrong report does not pass" {
	run_workload gateway --orders 20 --trials 1 --mode threaded,epoll
	altered 'truth["server"]["calls"]["recvfrom"] += 1'
	altered 'truth["server"]["errors"]["accept4"] += 1'
	altered 'truth["server"]["bytes"]["sendto"] -= 1'
	altered 'truth["client"]["connections_opened"] += 1'
	altered 'truth["client"]["sent_bytes"] += 1'
	altered 'truth["client"]["orders"] += 1'
	altered 'truth["server"]["served"] -= 1'
	altered 'observed["client"]["calls"]["epoll_pwait"] = None'
	altered 'observed["server"]["received_bytes"] = None'
	altered 'truth["server"]["calls"]["close"] += 1; observed["server"]["calls"]["close"] += 1'
	altered 'truth["server"]["calls"]["accept4"] = observed["server"]["calls"]["accept4"] = 0'
	altered 'del observed["server"]["calls"]'
	altered 't["exact"] = False'
	altered 'r["workload"]["trials"].pop()'
	altered 'r["workload"]["trials"].reverse()'
	altered 'r["processes"].pop()'
	altered 'r["audits"] = [a for a in r["audits"] if a["name"] != "workload_truth"]'
	altered 'next(a for a in r["audits"] if a["name"] == "tcp_bytes")["ok"] = None'
	altered 'r["capture"]["complete"] = False'
}

@test "a wrong report of a feed and of a forwarder does not pass" {
	run_workload feed --rcvbuf 2048 --messages 2000 --trials 1
	altered 'truth["subscriber"]["datagrams_dropped"] -= 1'
	altered 'truth["publisher"]["datagrams_sent"] += 1'
	altered 'truth["subscriber"]["queued_memory_bytes"] = 768'
	altered '[s["drops"].clear() for p in r["processes"] for s in p["sockets"]]'
	altered '[d.update(packets=d["packets"] + 1) for p in r["processes"] for s in p["sockets"] for d in s["drops"].values()]'
	altered 'r["audits"] = [a for a in r["audits"] if a["name"] != "udp_balance"]'
	run_workload forwarder --seconds 0.1 --trials 1
	altered 'truth["forwarder"]["sent_bytes"] += 1'
	altered 'truth["server"]["connections_accepted"] -= 1'
	altered 'truth["forwarder"]["resets"] = 1'
}

# --- reports ---------------------------------------------------------------------------------

# labels FILE: the names of the figures of a text report.
labels() {
	sed -n '/^Figures/,/^$/p' "$1" | sed -E 's/ {2,}.*//' | sort -u
}

@test "report FILE gives byte for byte what run-workload wrote, and in each format the same again" {
	local format
	run_workload gateway --mode threaded,epoll --orders 40 --trials 2 --baseline
	"$SOCKTRACE" report -F json "$T/report.json" >"$T/again.json"
	cmp "$T/report.json" "$T/again.json"
	for format in text md csv; do
		"$SOCKTRACE" report --threads -F "$format" "$T/report.json" >"$T/first"
		"$SOCKTRACE" report --threads -F "$format" "$T/again.json" >"$T/second"
		cmp "$T/first" "$T/second"
		grep -q recvfrom "$T/first"
	done
	"$PYTHON" "$ROOT/tests/unit/check_schema.py" "$T/report.json"
}

@test "the live report and a saved one of the same run have the same figures" {
	run_workload gateway --mode threaded,epoll --orders 40 --trials 1
	"$SOCKTRACE" report "$T/report.json" >"$T/saved"
	bounded "$SOCKTRACE" run-workload gateway --mode threaded,epoll --orders 40 --trials 1 >"$T/live"
	labels "$T/saved" | grep -q "^requests/s$"
	[[ $(labels "$T/live") == "$(labels "$T/saved")" ]] ||
		fail "$(diff <(labels "$T/live") <(labels "$T/saved"))"
}

@test "report --trial shows one trial in detail, and only one that there is" {
	run_workload gateway --orders 40 --trials 2 --baseline
	"$SOCKTRACE" report "$T/report.json" --trial 2 >"$T/second"
	"$SOCKTRACE" report "$T/report.json" --trial 3 >"$T/third"
	grep -qE "[0-9]+ +server|server +.*epoll_pwait" "$T/second"
	run ! cmp -s "$T/second" "$T/third"
	for trial in 1 5; do # untraced; none
		run --separate-stderr "$SOCKTRACE" report "$T/report.json" --trial "$trial"
		[[ $status -ne 0 && -z $output && $stderr == *"$trial"* ]] || fail "$trial: $status: $stderr"
	done
}

# --- who and where ---------------------------------------------------------------------------

# parts_run_as UID: the parts of the run under way, and their helpers.
parts_run_as() {
	local pid
	while read -r _ pid _; do
		[[ $(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$pid/status") == "$1 $1 $1 $1" ]] ||
			fail "$(grep -E '^(Name|Uid)' "/proc/$pid/status")"
		[[ $(awk '/^Cap(Inh|Prm|Eff|Amb):/ { print $2 }' "/proc/$pid/status" | sort -u) == 0000000000000000 ]] ||
			fail "$(grep -E '^(Name|Cap)' "/proc/$pid/status")"
		[[ $(awk '/^Groups:/ { print $2 }' "/proc/$pid/status") != 0 ]]
	done <"$T/parts"
}

@test "the parts run as nobody, without capabilities" {
	workload_start gateway --orders 1000000 --mode threaded
	[[ $(wc -l <"$T/parts") -eq 2 ]]
	parts_run_as "$(id -u nobody)"
}

@test "under sudo the parts run as who called it, and the report is theirs" {
	SUDO_UID=1 SUDO_GID=1 workload_start forwarder --seconds 1 --trials 1
	[[ $(wc -l <"$T/parts") -eq 3 ]]
	parts_run_as 1
	run_ends "$TRACE"
	[[ $status -eq 0 ]] || fail "$(cat "$T/err")"
	[[ $(stat -c %u:%g "$T/dir/out.json") == 1:1 ]]
	nothing_left
}

@test "iperf3 and its watchers run as nobody too" {
	need_program iperf3
	workload_start forwarder --load iperf3 --seconds 1 --trials 1
	[[ $(wc -l <"$T/parts") -eq 5 ]]
	parts_run_as "$(id -u nobody)"
	run_ends "$TRACE"
	[[ $status -eq 0 ]] || fail "$(cat "$T/err")"
	nothing_left
}

@test "two runs at once do not disturb each other" {
	workload_start gateway --orders 2000 --trials 2
	run_workload gateway --mode threaded --orders 500 --trials 1
	run_ends "$TRACE"
	[[ $status -eq 0 ]] || fail "$(cat "$T/err")"
	workload_sound "$T/dir/out.json"
}

@test "--port is where the service listens" {
	local port
	port=$(free_port)
	run_workload gateway --orders 20 --trials 2 --port "$port"
	[[ $(value "$T/report.json" '{s["local"] for p in r["processes"] if p["comm"] == "server"
		for s in p["sockets"] if s["role"] == "listen"}') == "{'127.0.0.1:$port'}" ]]
}

# --- a part by hand --------------------------------------------------------------------------

@test "gateway by hand: the server says where it listens, serves, and ends at SIGINT with its truth" {
	local mode
	for mode in threaded epoll; do
		by_hand gateway server --mode "$mode"
		bounded "$SOCKTRACE" workload gateway client --connect "$ADDRESS" --connections 3 --orders 50 >"$T/client"
		end_by_hand "$T/server"
		[[ $(fact "$T/server" served) -eq $(fact "$T/client" requests) ]]
		[[ $(fact "$T/server" connections_accepted) -eq 3 ]]
		[[ $(fact "$T/client" orders) -gt 0 ]]
		grep -q "^recvfrom: .* calls, 0 errors, $(fact "$T/client" sent_bytes) bytes$" "$T/server"
	done
}

@test "feed by hand: each message is received or dropped" {
	by_hand feed subscriber --rcvbuf 2048
	bounded "$SOCKTRACE" workload feed publisher --connect "$ADDRESS" --messages 3000 >"$T/publisher"
	end_by_hand "$T/subscriber"
	[[ $(fact "$T/publisher" datagrams_sent) -eq 3000 ]]
	(($(fact "$T/subscriber" datagrams_received) + $(fact "$T/subscriber" datagrams_dropped) == 3000))
}

# hold_to_promises OPTION...: a forwarder by hand between the two sides of lib/forwarder.py.
hold_to_promises() {
	local upstream
	upstream=$("$PYTHON" "$ROOT/tests/e2e/lib/forwarder.py" address)
	by_hand forwarder forwarder --connect "$upstream" "$@"
	"$PYTHON" "$ROOT/tests/e2e/lib/forwarder.py" check "$upstream" "$ADDRESS" --pid "$PART" --stop
	cat <&"$SAYS" >"$T/forwarder"
	run_ends "$PART"
	[[ $status -eq 0 ]] || fail "$(cat "$T/err")"
	[[ $(fact "$T/forwarder" half_closes) -gt 0 && $(fact "$T/forwarder" resets) -gt 0 ]]
}

@test "a forwarder that copies passes on half-closes, resets and pressure" {
	hold_to_promises
}

@test "a forwarder that splices does so too" {
	hold_to_promises --splice
}

@test "frames that are none end the connection with a reject, and nobody else's" {
	local mode
	for mode in threaded epoll; do
		by_hand gateway server --mode "$mode"
		"$PYTHON" - "$ADDRESS" <<-'EOF'
			import random, socket, struct, sys
			host, port = sys.argv[1].split(":")
			def frame(length=32, magic=0x4f47, version=1, kind=3, sequence=1):
			    return struct.pack("<IHBBIHBBQII", length, magic, version, kind, sequence, 0, 0, 0, 7, 0, 0)
			def converse(s, data, replies):
			    if data:
			        s.sendall(data)
			    got = b""
			    while len(got) < 32 * replies:
			        part = s.recv(1000)
			        assert part, f"ended after {len(got)} bytes"
			        got += part
			    return [struct.unpack_from("<IHBBIH", got, i) for i in range(0, len(got), 32)]
			def connect():
			    return socket.create_connection((host, int(port)), timeout=10)
			other = connect()
			assert converse(other, frame(), 1)[0][3] == 3 # a heartbeat
			noise = random.Random(1).randbytes(4000)
			bad = [frame(magic=1), frame(version=9), frame(kind=77), frame(sequence=2), frame(length=8),
			       frame(length=1 << 30), noise, frame()[:20]]
			for data in bad:
			    with connect() as s:
			        if len(data) < 32:
			            s.sendall(data)
			            s.shutdown(socket.SHUT_WR)
			            data = b""
			        reply = converse(s, data, 1)[0]
			        assert reply[3] == 6 and reply[5] == 1, (data[:32], reply)
			        try:
			            assert s.recv(1) == b"", "the connection goes on"
			        except ConnectionResetError:
			            assert len(data) > 32 # unread bytes, so that the kernel resets it
			assert converse(other, frame(sequence=2), 1)[0][3] == 3
			other.close()
		EOF
		end_by_hand "$T/server"
		[[ $(fact "$T/server" malformed) -eq 8 && $(fact "$T/server" heartbeats) -eq 2 ]] ||
			fail "$mode: $(cat "$T/server")"
	done
}

@test "a client whose server goes away ends with a message" {
	by_hand gateway server
	run --separate-stderr bounded "$SOCKTRACE" workload feed subscriber --listen "$ADDRESS" --frobnicate
	[[ $status -eq 2 ]]
	kill -KILL "$PART"
	run_ends "$PART"
	run --separate-stderr bounded "$SOCKTRACE" workload gateway client --connect "$ADDRESS"
	[[ $status -eq 1 && -z $output && $stderr == "socktrace: gateway client: "*"refused"* ]] ||
		fail "status $status: $stderr"
}
