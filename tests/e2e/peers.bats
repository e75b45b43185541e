# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Real programs, which count for themselves what they send and receive.

load lib/common

suite_setup() {
	need_root
}

# --- iperf3 ----------------------------------------------------------------------------------

# iperf_both OPTION...: server and client of one test, each traced, each report held against what
# that end counted.
iperf_both() {
	local server
	need_program iperf3
	PORT=$(free_port)
	rm -f "$T/server" "$T/server.json"
	"$SOCKTRACE" run -q -F json -o "$T/server.json" -- \
		iperf3 -s -1 -p "$PORT" --json --logfile "$T/server" 3>&- &
	server=$!
	until ss -ltnH "sport = :$PORT" | grep -q LISTEN; do
		kill -0 "$server"
	done
	"$SOCKTRACE" run -q -F json -o "$T/client.json" -- \
		iperf3 -p "$PORT" --json "$@" >"$T/client" 3>&-
	wait "$server"
	for end in client server; do
		sound_sockets "$T/$end.json"
		"$PYTHON" "$ROOT/tests/e2e/lib/iperf.py" "$T/$end" "$T/$end.json"
	done
}

@test "iperf3, one TCP stream: bytes are iperf3's own, to the byte, on both ends" {
	iperf_both -c 127.0.0.1 -n 500M
	iperf_both -c 127.0.0.1 -t 1
}

@test "iperf3, 8 TCP streams" {
	iperf_both -c 127.0.0.1 -n 500M -P 8
	[[ $(value "$T/client" 'len(r["end"]["streams"])') -eq 8 ]]
}

@test "iperf3, from server to client" {
	iperf_both -c 127.0.0.1 -n 500M -R
	iperf_both -c 127.0.0.1 -n 500M -R -P 8
}

@test "iperf3, zero copy" {
	iperf_both -c 127.0.0.1 -n 500M -Z
}

@test "iperf3, IPv6" {
	iperf_both -c ::1 -n 500M
	iperf_both -c ::1 -n 500M -R
}

@test "iperf3, UDP in both directions" {
	iperf_both -c 127.0.0.1 -u -b 200M -t 1
	iperf_both -c ::1 -u -b 200M -t 1 -R
}

@test "attach to an iperf3 server before its client comes" {
	need_program iperf3
	local server
	PORT=$(free_port)
	iperf3 -s -1 -p "$PORT" --json --logfile "$T/server" 3>&- &
	server=$!
	until ss -ltnH "sport = :$PORT" | grep -q LISTEN; do
		kill -0 "$server"
	done
	trace_start attach "$server" -F json -o "$T/server.json"
	iperf3 -c 127.0.0.1 -p "$PORT" -n 300M >"$T/client"
	wait "$server"
	trace_end 0
	sound_sockets "$T/server.json"
	"$PYTHON" "$ROOT/tests/e2e/lib/iperf.py" "$T/server" "$T/server.json"
}

@test "a trace that begins and ends amid bulk traffic balances its books" {
	need_program iperf3
	local server client
	PORT=$(free_port)
	iperf3 -s -1 -p "$PORT" >"$T/server" 3>&- &
	server=$!
	until ss -ltnH "sport = :$PORT" | grep -q LISTEN; do
		kill -0 "$server"
	done
	iperf3 -c 127.0.0.1 -p "$PORT" -t 60 -P 4 --forceflush >"$T/client" 3>&- &
	client=$!
	until grep -q SUM "$T/client"; do
		kill -0 "$client"
	done
	for _ in {1..5}; do
		# What was under way at either end may be unknown, but not wrong.
		"$SOCKTRACE" attach -q -d 0.3 "$server" "$client" -F json -o "$T/report.json" 3>&-
		sound_sockets "$T/report.json" --null tcp_bytes
		[[ $(value "$T/report.json" 'min(p["socket"]["sent_bytes"] +
			p["socket"]["received_bytes"] for p in r["processes"]) > 1e7') == True ]]
	done
	drop "$client"
	drop "$server"
}

# --- nginx -----------------------------------------------------------------------------------

# nginx_serves SENDFILE: curl fetches a big file over three connections.
nginx_serves() {
	need_program nginx
	need_program curl
	PORT=$(free_port)
	mkdir -p "$T/www"
	head -c 30000001 /dev/zero >"$T/www/big"
	cat >"$T/nginx.conf" <<-EOF
		user root;
		worker_processes 1;
		error_log stderr notice;
		pid $T/nginx.pid;
		events { }
		http {
			access_log off;
			sendfile $1;
			client_body_temp_path $T/body;
			proxy_temp_path $T/proxy;
			fastcgi_temp_path $T/fastcgi;
			uwsgi_temp_path $T/uwsgi;
			scgi_temp_path $T/scgi;
			server {
				listen 127.0.0.1:$PORT;
				root $T/www;
			}
		}
	EOF
	rm -f "$T/stderr"
	mkfifo "$T/stderr"
	"$SOCKTRACE" run -F json -o "$T/report.json" "${@:2}" -- \
		nginx -c "$T/nginx.conf" -g 'daemon off;' 2>"$T/stderr" 3>&- &
	TRACE=$!
	exec {ERR}<"$T/stderr"
	wait_line "$ERR" "start worker process " "$T/err"
	cat <&"$ERR" >>"$T/err" 3>&- &
	ERR_COPY=$!
	for _ in 1 2 3; do
		curl -sS -o /dev/null -w '%{local_port} %{size_request} %{size_header} %{size_download}\n' \
			"http://127.0.0.1:$PORT/big"
	done >"$T/curl"
	kill -QUIT "$(<"$T/nginx.pid")"
	trace_end 0
	sound_sockets "$T/report.json"
	"$PYTHON" - "$T/curl" "$T/report.json" <<-'EOF'
		import json, sys
		report = json.load(open(sys.argv[2]))
		rows = {r["remote"]: (r["role"], r["receive"]["bytes"], r["send"]["bytes"])
		        for p in report["processes"] for r in p["sockets"] if r["role"] == "accept"}
		lines = [[int(n) for n in line.split()] for line in open(sys.argv[1])]
		expected = {f"127.0.0.1:{port}": ("accept", request, header + body)
		            for port, request, header, body in lines}
		assert len(expected) == 3 and min(l[3] for l in lines) == 30000001, lines
		assert rows == expected, (rows, expected)
	EOF
}

nginx_serves_on() {
	nginx_serves on "$@"
}

@test "nginx with sendfile: request, head and body of every connection, with each hook" {
	with_hooks nginx_serves_on
}

@test "nginx without sendfile" {
	nginx_serves off
}

# --- redis -----------------------------------------------------------------------------------

@test "redis-server: bytes are those of its own INFO" {
	need_program redis-server
	need_program redis-benchmark
	PORT=$(free_port)
	mkfifo "$T/redis"
	mkdir "$T/db"
	redis-server --port "$PORT" --bind 127.0.0.1 --save "" --appendonly no --daemonize no \
		--dir "$T/db" >"$T/redis" 2>&1 3>&- &
	REDIS=$!
	exec {SERVER}<"$T/redis"
	wait_line "$SERVER" "Ready to accept connections" "$T/redis.log"
	cat <&"$SERVER" >>"$T/redis.log" 3>&- &
	trace_start attach "$REDIS" -F json -o "$T/report.json"
	redis-benchmark -h 127.0.0.1 -p "$PORT" -n 20000 -c 20 -t get,set -d 1000 -q >"$T/benchmark"
	# In the answer are the counts before that answer.
	"$PYTHON" - "$PORT" >"$T/counts" <<-'EOF'
		import socket, sys
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		s.sendall(b"INFO stats\r\n")
		f = s.makefile("rb")
		head = f.readline()
		body = f.read(int(head[1:]) + 2)
		stats = dict(line.split(":") for line in body.decode().split() if ":" in line)
		print(stats["total_net_input_bytes"],
		      int(stats["total_net_output_bytes"]) + len(head) + len(body))
	EOF
	kill -INT "$TRACE"
	trace_end 0
	kill -TERM "$REDIS"
	wait "$REDIS"
	sound_sockets "$T/report.json"
	[[ "$(value "$T/report.json" 'r["processes"][0]["socket"]["received_bytes"]') $(value \
		"$T/report.json" 'r["processes"][0]["socket"]["sent_bytes"]')" == "$(<"$T/counts")" ]]
}

# --- socat -----------------------------------------------------------------------------------

@test "socat between TCP and a Unix socket" {
	need_program socat
	mkfifo "$T/stderr"
	"$PYTHON" - "$T/unix" 3>&- <<-'EOF' &
		import socket, sys
		server = socket.socket(socket.AF_UNIX)
		server.bind(sys.argv[1])
		server.listen()
		connection, _ = server.accept()
		while data := connection.recv(65536):
		    connection.sendall(data[:len(data) // 2])
		connection.close()
	EOF
	until ss -lxH "src $T/unix" | grep -q LISTEN; do
		kill -0 $!
	done
	"$SOCKTRACE" run -F json -o "$T/report.json" -- socat -d -d \
		TCP4-LISTEN:0,bind=127.0.0.1 "UNIX-CONNECT:$T/unix" 2>"$T/stderr" 3>&- &
	TRACE=$!
	exec {ERR}<"$T/stderr"
	wait_line "$ERR" "listening on" "$T/err"
	PORT=${REPLY##*:}
	cat <&"$ERR" >>"$T/err" 3>&- &
	ERR_COPY=$!
	"$PYTHON" - "$PORT" >"$T/counts" <<-'EOF'
		import socket, sys, threading
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		def send():
		    s.sendall(b"x" * 5000001)
		    s.shutdown(socket.SHUT_WR)
		threading.Thread(target=send).start()
		received = 0
		while data := s.recv(65536):
		    received += len(data)
		print(5000001, received)
	EOF
	trace_end 0
	sound_sockets "$T/report.json"
	value "$T/report.json" '"\n".join(sorted("%s %s %d %d" % (s["protocol"], s["role"],
		s["receive"]["bytes"], s["send"]["bytes"])
		for p in r["processes"] for s in p["sockets"] if s["receive"]["bytes"]))' >"$T/rows"
	read -r sent received <"$T/counts"
	diff - "$T/rows" <<-EOF
		tcp accept $sent $received
		unix-stream connect $received $sent
	EOF
}

# --- programs of our own ---------------------------------------------------------------------

@test "a splice(2) forwarder between TCP connections, with each hook" {
	with_hooks run_sockets -- relay splice
}

@test "a splice(2) forwarder from TCP to a Unix socket, with each hook" {
	with_hooks run_sockets -- relay splice-unix
}

@test "a sendfile server on a socket that does not wait, with each hook" {
	with_hooks run_sockets -- relay sendfile
}

@test "io_uring is counted where the kernel's hooks show it, else the audit says that it is not" {
	run "$E2E_BIN/ring" -n 1
	[[ $status -ne 77 ]] || skip "no io_uring here"
	run_sockets -- ring
	"$SOCKTRACE" run -q -F json -o "$T/calls.json" --hook socket_bytes=calls --allow-partial -- \
		"$E2E_BIN/ring" -o "$T/truth.json" 3>&- || status=$?
	[[ $status -eq 3 || $status -eq 125 ]]
	[[ $(value "$T/calls.json" '[a["ok"] for a in r["audits"] if a["name"] == "tcp_bytes"]') == \
		"[False]" ]]
}
