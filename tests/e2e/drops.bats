# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# What is thrown away, and what only looks like it: held against the kernel's own counters.

load lib/common

suite_setup() {
	OPTIONS=()
	need_root
	need_program unshare
	need_program ip
	need_program nft
}

# alone WHAT [ARG...]: lib/drops.py in a namespace of its own, traced with OPTIONS. Sets
# $T/report.json and $T/truth.json.
alone() {
	"$SOCKTRACE" run -q "${OPTIONS[@]}" -F json -o "$T/report.json" -- unshare -n sh -c \
		'ip link set lo up && exec "$@"' sh "$PYTHON" "$ROOT/tests/e2e/lib/drops.py" "$@" \
		>"$T/truth.json" 3>&-
}

# owned: drops of all sockets, as {reason: packets}.
owned() {
	value "$T/report.json" '(lambda all: {k: sum(n for name, n in all if name == k)
		for k in sorted({name for name, _ in all})})([(name, d["packets"])
		for p in r["processes"] for s in p["sockets"] for name, d in s["drops"].items()])'
}

# nobodys REASON PLACE: packets that no traced socket owns.
nobodys() {
	value "$T/report.json" "sum(d['packets'] for d in r['drops']
		if d['reason'] == '$1' and d['where'] == '$2')"
}

# --- what is a loss --------------------------------------------------------------------------

@test "a thousand connections that end as they should lose nothing, whoever closes" {
	local how
	for how in client_first server_first half both_close reset; do
		alone closes "$how" 1000
		[[ $(value "$T/truth.json" 'r["trouble"]') == "{}" ]]
		[[ $(owned) == "{}" ]]
		# Nor is what is freed with a socket shown as a loss of nobody.
		(($(nobodys QUEUE_PURGE sk_stream_kill_queues) < 100))
		(($(nobodys NO_SOCKET tcp_v4_rcv) < 100))
	done
}

@test "the questions and answers of keepalive are no loss" {
	alone keepalive
	[[ $(owned) == "{}" ]]
}

@test "what a filter throws away, data for a closed socket and refused requests are losses" {
	alone losses
	(($(value "$T/truth.json" 'r["thrown"]') >= 3))
	(($(nobodys NETFILTER_DROP nft_do_chain) >= $(value "$T/truth.json" 'r["thrown"]')))
	(($(nobodys NO_SOCKET tcp_v4_rcv) >= 50))
	# The end that has closed waits yet, or has been made a record of that time.
	(($(nobodys TCP_ABORT_ON_DATA tcp_v4_do_rcv) + $(nobodys NOT_SPECIFIED tcp_v4_rcv) >= 1))
}

# --- what sockets count themselves -----------------------------------------------------------

# by_protocol: drops of the sockets of the program, by protocol, where there are any.
by_protocol() {
	value "$T/report.json" '(lambda all: {k: sum(n for name, n in all if name == k)
		for k in sorted({name for name, n in all if n})})([(s["protocol"], d["packets"])
		for p in r["processes"] for s in p["sockets"] for d in s["drops"].values()])'
}

# as_counted: all that the sockets have counted is there, and no more.
as_counted() {
	echo "$(by_protocol), by the kernel $(value "$T/truth.json" 'r["drops"]')"
	[[ $(by_protocol) == "$(value "$T/truth.json" 'dict(sorted(r["drops"].items()))')" ]]
}

# audit: of UDP drops, of the one program with such sockets: [[observed, expected, ok]].
audit() {
	value "$T/report.json" '[[a["observed"], a["expected"], a["ok"]] for a in r["audits"]
		if a["name"] == "udp_drops"]'
}

@test "what raw, ping, packet and UDP sockets count as dropped is all in their rows" {
	alone full
	as_counted
	[[ $(value "$T/truth.json" 'min(r["drops"].values()) > 50') == True ]]
	[[ $(audit) == *"True]]" ]]
	# How many bytes nobody has seen is not known.
	"$ROOT/tests/unit/check_schema.py" "$T/report.json"
	"$SOCKTRACE" report -F json "$T/report.json" | cmp - "$T/report.json"
	"$SOCKTRACE" report "$T/report.json" | grep -E ' raw .* NOT_TRACED +[0-9]+ +- +- +-$'
}

@test "the same where no event tells the socket" {
	OPTIONS=(--hook drops=plain)
	alone full
	as_counted
	[[ $(audit) == *"None]]" ]]
}

@test "what the filter of a raw socket does not want is not counted a second time" {
	alone filtered
	as_counted
}

@test "datagrams with a wrong checksum belong to the socket that is read" {
	alone wrong recv
	as_counted
	[[ $(owned) == "{'UDP_CSUM': 5}" && $(audit) == "[[5, 5, True]]" ]]
}

@test "where poll(2) finds the wrong checksum, the socket has the drops and the audit is not known" {
	alone wrong poll
	as_counted
	[[ $(owned) == "{'NOT_TRACED': 5}" && $(audit) == "[[None, None, None]]" ]]
}

@test "a datagram thrown away by recv(2) into a bad address belongs to the socket" {
	alone bad_address
	as_counted
	[[ $(value "$T/truth.json" '[r["failed"], r["received"]]') == "[-1, 200]" ]]
	[[ $(value "$T/truth.json" 'r["drops"]') == "{'udp': 1}" && $(audit) == "[[1, 1, True]]" ]]
}

@test "an end that was seen holds the audit of drops; one look of before does not" {
	local early
	for early in none dup; do
		alone closed "$early" close
		as_counted
		[[ $(audit) == "[[47, 47, True]]" ]]
		alone closed "$early" close_range
		as_counted
		[[ $(audit) == "[[None, None, None]]" ]]
	done
}

# --- listeners -------------------------------------------------------------------------------

# told KIND...: of such listeners, one after the other in one namespace, [overflows as the kernel
# counted them, as reported].
told() {
	alone overflows "$@"
	"$PYTHON" -c 'import json, sys
truth, report = (json.load(open(name)) for name in sys.argv[1:])
told = {int(s["local"].split(":")[1]): s["tcp"]["backlog_overflows"] for p in report["processes"]
        for s in p["sockets"] if s["role"] == "listen"}
print([[overflows, told[port]] for port, overflows, _ in truth["listeners"]])' \
		"$T/truth.json" "$T/report.json"
}

# exact KIND...: the figure is the kernel's, of each; and not for want of overflows.
exact() {
	local told
	told=$(told "$@")
	echo "$*: $told"
	"$PYTHON" -c 'import sys
told = eval(sys.argv[1])
sys.exit(not all(a == b for a, b in told) or not any(a for a, _ in told))' "$told"
}

@test "an accept queue that is full at the request, at the answer, and with SYN cookies" {
	exact request
	exact answer
	exact much
	exact cookie
}

@test "what a listener throws away for other reasons is no overflow" {
	local kind
	for kind in deferred else minttl filter md5 requests; do
		[[ $(told $kind) == "[[0, 0]]" ]]
		# It was thrown away, though: its counter says so.
		[[ $(value "$T/truth.json" 'r["listeners"][0][2] >= 8') == True ]]
	done
}

@test "each of several listeners has its own overflows" {
	exact request else minttl
	exact request answer deferred
	exact requests request
	exact untraced request else
}

@test "listeners that overflow at once: the figures add up to the kernel's" {
	local family
	for family in "2 127.0.0.1" "10 ::1"; do
		# shellcheck disable=SC2086
		alone at_once $family
		[[ $(value "$T/report.json" 'sum(s["tcp"]["backlog_overflows"] for p in r["processes"]
			for s in p["sockets"] if s["role"] == "listen")') == \
			"$(value "$T/truth.json" 'r["all"]')" ]] || fail "$(value "$T/truth.json" 'r["all"]') by the kernel, $(value "$T/report.json" '[(s["local"], s["tcp"]["backlog_overflows"], s["drops"])
				for p in r["processes"] for s in p["sockets"] if s["role"] == "listen"]')"
		[[ $(value "$T/report.json" 'min(s["tcp"]["backlog_overflows"] for p in r["processes"]
			for s in p["sockets"] if s["role"] == "listen")') -gt 10 ]]
	done
}

@test "where cookies leave it open whose an overflow was, there is no figure" {
	[[ $(told answer cookie) == "[[18, None], [6, 6]]" ]]
}

@test "where the kernel names no sockets, one listener alone has a figure" {
	OPTIONS=(--hook drops=plain)
	exact request
	exact answer
	exact cookie
	[[ $(told else) == "[[0, 0]]" ]]
	[[ $(told request else) == "[[6, None], [0, 0]]" ]]
	[[ $(told untraced request) == "[[6, None]]" ]]
	[[ $(told untraced else) == "[[0, 0]]" ]]
}

@test "attach: overflows of before are not counted, with each hook" {
	local hook program
	for hook in socket plain; do
		mkfifo "$T/in.$hook" "$T/out.$hook"
		unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$PYTHON" \
			"$ROOT/tests/e2e/lib/drops.py" again <"$T/in.$hook" >"$T/out.$hook" 3>&- &
		program=$!
		exec {GO}>"$T/in.$hook" {SAID}<"$T/out.$hook"
		wait_line "$SAID" ready "$T/log"
		trace_start attach "$program" --hook "drops=$hook" -F json -o "$T/report.json"
		echo >&"$GO"
		wait_line "$SAID" again "$T/log"
		echo "$REPLY" >"$T/truth.json"
		kill -INT "$TRACE"
		trace_end 0
		echo >&"$GO"
		wait "$program"
		[[ $(value "$T/report.json" '[s["tcp"]["backlog_overflows"] for p in r["processes"]
			for s in p["sockets"] if s["role"] == "listen"]') == \
			"[$(value "$T/truth.json" 'r["again"]')]" ]]
		[[ $(value "$T/truth.json" 'r["again"]') -ge 5 ]]
	done
}
