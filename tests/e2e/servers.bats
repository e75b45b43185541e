# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Real servers under load, on loopback.

load lib/common

suite_setup() {
	need_root
}

nginx_config() {
	mkdir "$T/www"
	head -c 4096 /dev/urandom >"$T/www/page"
	cat >"$T/nginx.conf" <<-EOF
		user root;
		worker_processes 3;
		error_log stderr notice;
		pid $T/nginx.pid;
		events { worker_connections 256; }
		http {
			access_log off;
			sendfile on;
			client_body_temp_path $T/body;
			proxy_temp_path $T/proxy;
			fastcgi_temp_path $T/fastcgi;
			uwsgi_temp_path $T/uwsgi;
			scgi_temp_path $T/scgi;
			server {
				listen 127.0.0.1:$1 reuseport;
				root $T/www;
			}
		}
	EOF
}

# Starts nginx under socktrace and waits for its workers.
nginx_start() {
	PORT=$(free_port)
	nginx_config "$PORT"
	mkfifo "$T/stderr"
	"$SOCKTRACE" run -F json -o "$T/report.json" "$@" -- \
		nginx -c "$T/nginx.conf" -g 'daemon off;' 2>"$T/stderr" 3>&- &
	TRACE=$!
	exec {ERR}<"$T/stderr"
	for _ in 1 2 3; do
		wait_line "$ERR" "start worker process " "$T/err"
	done
	cat <&"$ERR" >>"$T/err" 3>&- &
	ERR_COPY=$!
}

@test "nginx under run: every worker a process of its own, audits hold, exit status passed on" {
	need_program nginx
	need_program ab
	nginx_start
	ab -q -n 20000 -c 20 "http://127.0.0.1:$PORT/page" >"$T/ab"
	grep -q "^Complete requests: *20000$" "$T/ab"
	grep -q "^Failed requests: *0$" "$T/ab"
	kill -QUIT "$(<"$T/nginx.pid")"
	trace_end 0
	sound "$T/report.json"
	[[ $(value "$T/report.json" '[(p["comm"], p["ended"], p["exit_status"])
		for p in r["processes"]]') == \
		"[('nginx', True, 0), ('nginx', True, 0), ('nginx', True, 0), ('nginx', True, 0)]" ]]
	# Of each request, one writev with the head and one sendfile with the page, by a worker.
	[[ $(value "$T/report.json" 'sum(c["bytes"] for p in r["processes"] for c in p["syscalls"]
		if c["name"] == "sendfile")') -eq $((20000 * 4096)) ]]
	[[ $(value "$T/report.json" 'sum(c["calls"] for p in r["processes"] for c in p["syscalls"]
		if c["name"] == "writev")') -eq 20000 ]]
	# ab opens some connections more than it uses.
	[[ $(value "$T/report.json" '20000 <= sum(c["calls"] - c["errors"] for p in r["processes"]
		for c in p["syscalls"] if c["name"] in ("accept", "accept4")) <= 20020') == True ]]
}

@test "nginx under run -i with keep-alive load: the books balance in every interval" {
	need_program nginx
	need_program wrk
	nginx_start -i 1
	wrk -t 1 -c 16 -d 3 "http://127.0.0.1:$PORT/page" >"$T/wrk"
	kill -TERM "$(<"$T/nginx.pid")"
	trace_end 0
	sound "$T/report.json"
	"$PYTHON" - "$T/report.json" <<-'EOF'
		import json, sys
		reports = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
		assert len(reports) >= 3, len(reports)
		broken = [a for r in reports for a in r["audits"] if a["ok"] is False]
		assert not broken, broken
	EOF
}

# Starts redis-server and waits until it serves. Sets PORT, REDIS.
redis_start() {
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
}

get() {
	redis-benchmark -h 127.0.0.1 -p "$PORT" -n "$1" -c 20 -t get -q >"$T/benchmark"
}

redis_stop() {
	kill -TERM "$REDIS"
	wait "$REDIS"
}

@test "redis under GET load: audits hold, one read and one write of each request" {
	redis_start
	trace_start attach "$REDIS" -F json -o "$T/report.json"
	get 50000
	kill -INT "$TRACE"
	trace_end 0
	redis_stop
	sound "$T/report.json"
	# Beside the requests: greetings and ends of some 20 connections, and the server's timer.
	[[ $(value "$T/report.json" '[50000 <= sum(c["calls"] - c["errors"] for p in r["processes"]
		for c in p["syscalls"] if c["name"] == name) < 50500 for name in ("read", "write")]') == \
		"[True, True]" ]]
}

@test "redis under GET load: calls of each request as strace -c -f counts them" {
	need_program strace
	redis_start
	mkfifo "$T/strace"
	env --default-signal=INT strace -c -f -p "$REDIS" -o "$T/strace.txt" 2>"$T/strace" 3>&- &
	STRACE=$!
	exec {ERR}<"$T/strace"
	wait_line "$ERR" attached "$T/strace.err"
	trace_start attach "$REDIS" -F json -o "$T/report.json"
	get 3000
	kill -INT "$TRACE"
	trace_end 0
	kill -INT "$STRACE"
	ends "$STRACE"
	redis_stop
	sound "$T/report.json"
	# The server's timer goes on while one of the two is attached and the other not.
	"$PYTHON" "$ROOT/tests/e2e/lib/totals.py" --within 1 "$T/strace.txt" "$T/report.json" 'open.*|.*stat.*|lseek|futex|restart_syscall'
}
