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
	for how in client_first server_first half at_once reset; do
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
