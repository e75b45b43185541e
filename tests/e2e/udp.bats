# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Datagrams: sent = received + thrown away + still queued, and the kernel's reason for each.

load lib/common

suite_setup() {
	need_root
	SOCKETS=(--udp-audit)
}

@test "100,000 datagrams into 4 KiB whose reader sleeps, 10 times of 10" {
	for _ in {1..10}; do
		attach_held -- datagrams -k -n 100000 -b 2048
		[[ $(value "$T/report.json" '[s["udp"]["receive_buffer_bytes"] for p in r["processes"]
			for s in p["sockets"] if s["drops"]]') == "[4096]" ]]
	done
}

@test "run: the same, and the sockets are closed" {
	SOCKETS=()
	run_sockets -- datagrams -n 100000 -b 2048
}

@test "a reader stopped by SIGSTOP, IPv6" {
	attach_held -- datagrams -k -n 5000 -b 2048 -S burst6
}

@test "datagrams left in the queue" {
	attach_held -- datagrams -k -n 7 -q 4
}

@test "empty datagrams" {
	attach_held -- datagrams -k -n 3000 -b 2048 -s 0
}

@test "long datagrams" {
	attach_held -- datagrams -k -n 200 -b 100000 -s 40000
}

@test "two reasons for one socket, by name" {
	attach_held -- datagrams -k -n 2000 -b 2048 filter
}

@test "a group of SO_REUSEPORT: each its own drops" {
	attach_held -- datagrams -k -n 4000 -b 8192 group
}

@test "multicast to two members: each datagram twice" {
	attach_held -- datagrams -k -n 2000 -b 8192 multicast
}

@test "with each hook the same" {
	with_hooks attach_held -- datagrams -k -n 2000 -b 4096
}

# watch_others: traces a bystander while others do something. Sets $T/report.json.
watch_others() {
	local bystander
	sleep infinity 3>&- &
	bystander=$!
	trace_start attach "$bystander" -F json -o "$T/report.json"
	"$@"
	kill -INT "$TRACE"
	trace_end 0
	kill "$bystander"
	sound_sockets "$T/report.json"
}

# total REASON: packets and bytes of drops that no traced socket owns; each names a place.
total() {
	value "$T/report.json" "[sum(d[f] for d in r[\"drops\"] if d[\"reason\"] == \"$1\" and d[\"where\"])
		for f in (\"packets\", \"bytes\")]"
}

@test "drops of sockets that are not traced are reported with reason and place" {
	watch_others "$E2E_BIN/datagrams" -n 20000 -b 2048 -o "$T/truth.json"
	[[ $(total SOCKET_RCVBUFF) == "$(value "$T/truth.json" '[sum(s["drops"]["SOCKET_RCVBUFF"][f]
		for s in r["sockets"] if s["drops"]) for f in ("packets", "bytes")]')" ]]
}

@test "datagrams that no socket takes are reported with reason and place" {
	watch_others "$PYTHON" - <<-'EOF'
		import socket
		port = socket.socket(type=socket.SOCK_DGRAM)
		port.bind(("127.0.0.1", 0))
		to = port.getsockname()
		port.close()
		for _ in range(500):
		    # Not connected: the answers do not come back as errors.
		    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x" * 100, to)
	EOF
	[[ $(total NO_SOCKET) == "[500, "* ]]
}

# --- the comparison itself -------------------------------------------------------------------

# altered STATEMENT: the report, changed by this statement, must not pass.
altered() {
	"$PYTHON" -c 'import json, sys
r = json.load(open(sys.argv[1]))
s = next(s for p in r["processes"] for s in p["sockets"] if s["drops"])
d = s["drops"]["SOCKET_RCVBUFF"]
exec(sys.argv[3])
json.dump(r, open(sys.argv[2], "w"))' "$T/report.json" "$T/altered.json" "$1"
	run ! "$PYTHON" "$ROOT/tests/e2e/lib/sockets.py" report --udp-audit "$T/truth.json" \
		"$T/altered.json"
}

@test "a wrong report of datagrams does not pass" {
	attach_held -- datagrams -k -n 1000 -b 2048
	altered 'd["packets"] += 1'
	altered 'd["bytes"] -= 1'
	altered 's["drops"]["NO_SOCKET"] = s["drops"].pop("SOCKET_RCVBUFF")'
	altered 's["drops"]["NO_SOCKET"] = d'
	altered 's["drops"] = {}'
	altered 's["udp"]["datagrams_received"] += 1'
	altered 's["udp"]["datagrams_queued"] = 1'
	altered 's["udp"]["receive_buffer_bytes"] = 2048'
	altered 's["udp"]["receive_queue_peak_bytes"] = 0'
	altered 'r["audits"] = [a for a in r["audits"] if a["name"] != "udp_drops"]'
}
