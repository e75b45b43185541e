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
