# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# In which row of the report a socket's figures stand, and that rows can be told apart.

load lib/common
load lib/netns

suite_setup() {
	need_root
}

suite_teardown() {
	netns_down
}

# prefork MODE N: a server of several processes, and clients that are not traced.
prefork() {
	"$SOCKTRACE" run -F json -o "$T/report.json" -- \
		"$PYTHON" "$ROOT/tests/e2e/lib/prefork.py" "$1" "$2" "$T/port" 2>"$T/err" 3>&- &
	TRACE=$!
	timeout "$TIMEOUT" "$PYTHON" "$ROOT/tests/e2e/lib/prefork.py" ask "$2" "$T/port" 3>&-
	ends "$TRACE"
	[[ $status -eq 0 ]] || fail "status $status: $(cat "$T/err")"
	sound_sockets "$T/report.json"
	"$PYTHON" "$ROOT/tests/e2e/lib/prefork.py" check "$T/report.json" "$1" "$2"
}

@test "a parent that accepts, children that serve: TCP's figures stand where the bytes are, once" {
	prefork parent 20
}

@test "the same with rows that are folded" {
	prefork parent 100
}

@test "children that accept on an inherited listener: each connection counts once" {
	prefork children 100
}

# In two network namespaces, from one process: LISTENERS, connections to each and their number. It
# prints the numbers of the two, and then waits for a line.
two_namespaces='import ctypes, os, socket, sys
nr, port = int(sys.argv[3]), 4321
libc = ctypes.CDLL(None, use_errno=True)
keep = []
for name in sys.argv[1:3]:
    with open("/run/netns/" + name) as f:
        assert libc.setns(f.fileno(), 0x40000000) == 0, ctypes.get_errno()
    listener = socket.create_server(("127.0.0.1", port))
    keep.append(listener)
    for i in range(nr):
        a = socket.create_connection(("127.0.0.1", port))
        b, _ = listener.accept()
        a.sendall(b"x" * 10)
        assert b.recv(10) == b"x" * 10
        a.close()
        b.close()
    print(os.readlink("/proc/self/ns/net")[5:-1], flush=True)
sys.stdin.read(1)'

@test "sockets of two network namespaces at one address are told apart, folded too" {
	local nets
	netns_up
	for nr in 5 100; do
		"$SOCKTRACE" run -F json -o "$T/report.json" -- \
			"$PYTHON" -c "$two_namespaces" "$NEAR" "$FAR" "$nr" </dev/null >"$T/nets"
		mapfile -t nets <"$T/nets"
		[[ ${#nets[@]} -eq 2 && ${nets[0]} != "${nets[1]}" ]]
		sound_sockets "$T/report.json"
		"$PYTHON" - "$T/report.json" "$nr" "${nets[@]}" <<-'EOF'
			import json, os, sys
			report = json.load(open(sys.argv[1]))
			nr, nets = int(sys.argv[2]), list(map(int, sys.argv[3:]))
			assert report["host"]["netns"] == int(os.readlink("/proc/self/ns/net")[5:-1])
			rows = [s for p in report["processes"] for s in p["sockets"] if s["protocol"] == "tcp"]
			assert {s["netns"] for s in rows} == set(nets), rows
			for net in nets:
			    for role, moved in ("connect", (nr * 10, 0)), ("accept", (0, nr * 10)):
			        own = [s for s in rows if s["netns"] == net and s["role"] == role]
			        assert sum(s["connections"] for s in own) == nr, own
			        assert len(own) == (nr if nr <= 64 else 1)
			        got = (sum(s["send"]["bytes"] for s in own), sum(s["receive"]["bytes"] for s in own))
			        assert got == moved, (role, got)
			    assert sum(s["role"] == "listen" for s in rows if s["netns"] == net) == 1
		EOF
		for format in text md; do
			"$SOCKTRACE" report -F "$format" "$T/report.json" >"$T/rendered"
			grep -q NETNS "$T/rendered"
			grep -q "${nets[0]}" "$T/rendered"
			grep -q "${nets[1]}" "$T/rendered"
		done
	done
}

@test "where all sockets are in socktrace's own namespace, text does not say which it is" {
	"$SOCKTRACE" run -F json -o "$T/report.json" -- "$PYTHON" -c 'import socket
a, b = socket.socketpair()
a.send(b"x")
s = socket.create_server(("127.0.0.1", 0))'
	[[ $(value "$T/report.json" '{s["netns"] for p in r["processes"] for s in p["sockets"]} == {r["host"]["netns"]}') == True ]]
	for format in text md; do
		"$SOCKTRACE" report -F "$format" "$T/report.json" >"$T/rendered"
		run ! grep -q NETNS "$T/rendered"
		grep -q unix-stream "$T/rendered"
	done
}

# One port at fe80::1 of each of two interfaces, TCP and UDP. Waits for a line when all is done.
link_local='import os, socket, sys
keep = []
for name in "one", "two":
    index = socket.if_nametoindex(name)
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("fe80::1", 4321, 0, index))
    listener.listen()
    a = socket.socket(socket.AF_INET6)
    a.connect(("fe80::1", 4321, 0, index))
    b, _ = listener.accept()
    a.sendall(name.encode())
    b.recv(10)
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u.bind(("fe80::1", 4322, 0, index))
    v = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    v.connect(("fe80::1", 4322, 0, index))
    v.send(name.encode())
    u.recv(10)
    keep += [listener, a, b, u, v]
w = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
w.bind(("::1", 4323))
w.sendto(b"x", ("::1", 4323))
print("done", flush=True)
sys.stdin.read(1)'

# link_local_rows NAME-OF-ONE NAME-OF-TWO: as the report has them.
link_local_rows() {
	"$PYTHON" - "$T/report.json" "$@" <<-'EOF'
		import json, sys
		report = json.load(open(sys.argv[1]))
		rows = [(s["protocol"], s["role"], s["local"], s["remote"])
		        for p in report["processes"] for s in p["sockets"] if s["family"] == "ipv6"]
		for name in sys.argv[2:]:
		    tcp, udp = f"[fe80::1%{name}]:4321", f"[fe80::1%{name}]:4322"
		    assert ("tcp", "listen", tcp, "*") in rows, (tcp, rows)
		    assert [r for r in rows if r[:3] == ("tcp", "accept", tcp) and f"%{name}]" in r[3]], (tcp, rows)
		    assert [r for r in rows if r[:2] == ("tcp", "connect") and r[3] == tcp and f"%{name}]" in r[2]], rows
		    assert ("udp", "bind", udp, "*") in rows, (udp, rows)
		    assert [r for r in rows if r[:2] == ("udp", "connect") and r[3] == udp], rows
		assert ("udp", "bind", "[::1]:4323", "*") in rows, rows
	EOF
}

@test "link-local addresses have their interface: its name, or the number where there is no name" {
	netns_up
	local name
	for name in one two; do
		ip -n "$NEAR" link add "$name" type veth peer name "peer-$name"
		ip -n "$NEAR" link set "$name" up
		ip -n "$NEAR" link set "peer-$name" up
		ip -n "$NEAR" address add fe80::1/64 dev "$name" nodad
	done
	# From outside, while the process is there.
	mkfifo "$T/hold" "$T/said"
	ip netns exec "$NEAR" "$PYTHON" -c 'import os, sys
sys.stdin.read(1)
os.execvp(sys.argv[1], sys.argv[1:])' "$PYTHON" -c "$link_local" <"$T/hold" >"$T/said" 3>&- &
	target=$!
	exec {HOLD}>"$T/hold" {SAID}<"$T/said"
	trace_start attach "$target" -F json -o "$T/report.json"
	printf x >&"$HOLD"
	wait_line "$SAID" "done" "$T/said.log"
	kill -INT "$TRACE"
	trace_end 0
	printf x >&"$HOLD"
	wait "$target"
	sound_sockets "$T/report.json"
	link_local_rows one two
	# From within.
	ip netns exec "$NEAR" "$SOCKTRACE" run -F json -o "$T/report.json" -- \
		"$PYTHON" -c "$link_local" </dev/null >"$T/within"
	link_local_rows one two
	# From outside, when it has ended.
	"$SOCKTRACE" run -F json -o "$T/report.json" -- ip netns exec "$NEAR" \
		"$PYTHON" -c "$link_local" </dev/null >"$T/after"
	link_local_rows "$(ip netns exec "$NEAR" cat /sys/class/net/one/ifindex)" \
		"$(ip netns exec "$NEAR" cat /sys/class/net/two/ifindex)" ||
		link_local_rows one two # it was looked at before it ended
}
