# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2030,SC2031,SC2034,SC2154
# One table: every way to move bytes, or to fail to, through sockets of every family. Each cell is
# a process of its own, which knows its bytes, calls, datagrams and errors.

load lib/common

suite_setup() {
	need_root
	mkdir "$T/d"
	NULLS=()
}

exact() {
	"$PYTHON" "$ROOT/tests/e2e/lib/exact.py" "$@"
}

# cells_agree --hook socket_bytes=HOOK OPTION...: all cells that this hook can see.
cells_agree() {
	local hook=${2#*=} status=0
	"$SOCKTRACE" run -q "$@" -F json --allow-partial -o "$T/report.json" -- \
		"$E2E_BIN/exact" -H "$hook" -o "$T/truth.json" -d "$T/d" 3>&- || status=$?
	exact report "$T/truth.json" "$T/report.json" "${NULLS[@]}"
	[[ $status -eq 0 ]]
}

@test "every cell of the table has run, or says why this kernel cannot do it" {
	"$E2E_BIN/exact" -l >"$T/table"
	"$E2E_BIN/exact" -d "$T/d" -o "$T/truth.json"
	exact table "$T/truth.json" "$T/table" | tee "$T/cells"
	grep -v '^ran: ' "$T/cells" >&3
}

@test "strace agrees with every cell that is made of system calls" {
	need_program strace
	strace -f -y -o "$T/strace.log" "$E2E_BIN/exact" -H calls -d "$T/d" -o "$T/truth.json"
	exact strace "$T/truth.json" "$T/strace.log"
}

@test "every way through every family is counted exactly, with each hook" {
	with_hooks cells_agree
}

@test "every way through every family is counted exactly in --detail count, with each hook" {
	# Entries are not seen, so there is no last look at a UDP socket before it is closed.
	NULLS=(--null udp_drops)
	with_hooks cells_agree --detail count
}

# unseen_cells HOOK: what it cannot see is absent from the report, which is not to be trusted.
unseen_cells() {
	local status=0
	"$SOCKTRACE" run -q --hook "socket_bytes=$1" -F json --allow-partial -o "$T/report.json" -- \
		"$E2E_BIN/exact" -H "$1" -u -o "$T/truth.json" -d "$T/d" 3>&- || status=$?
	[[ $status -eq 125 ]]
	exact unseen "$T/truth.json" "$T/report.json"
}

@test "what is no system call is absent by the hook calls, and no audit of TCP bytes holds" {
	unseen_cells calls
}

@test "what no hook sees is absent, and the report says that it was lost" {
	local hook
	hook=$(hooks | grep -vx calls | head -n 1)
	[[ -n $hook ]] || skip "no hook but calls works here"
	unseen_cells "$hook"
	[[ $(value "$T/report.json" 'r["capture"]["lost"]["uring_splices"] > 0') == True ]]
}

# altered STATEMENT: the report, changed by this statement about a row s, must not pass.
altered() {
	"$PYTHON" -c 'import json, sys
r = json.load(open(sys.argv[1]))
s = next(s for p in r["processes"] for s in p["sockets"] if s["receive"]["calls"])
exec(sys.argv[3])
json.dump(r, open(sys.argv[2], "w"))' "$T/report.json" "$T/altered.json" "$1"
	run ! exact report "$T/truth.json" "$T/altered.json"
}

@test "a wrong report of a cell does not pass" {
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- \
		"$E2E_BIN/exact" -o "$T/truth.json" 'udp4/recv' 3>&-
	exact report "$T/truth.json" "$T/report.json"
	altered 's["receive"]["calls"] += 1'
	altered 's["receive"]["bytes"] -= 1'
	altered 's["receive"]["errors"] = 1'
	altered 's["receive"]["peek_calls"] = 1'
	altered 's["send"]["calls"] = 1'
	altered 's["send"]["errors"] = None'
	altered 's["protocol"] = "udplite"'
	altered 's["udp"]["datagrams_received"] = None'
	altered 's["udp"]["datagrams_sent"] = 1'
	altered 's["drops"] = {"NO_SOCKET": {"packets": 1, "bytes": 1, "first_ns": 1, "last_ns": 1}}'
	altered 'r["processes"][-1]["sockets"].pop()'
}

@test "io_uring's own threads are never in user code" {
	"$SOCKTRACE" run -q -F json -o "$T/report.json" -- \
		"$E2E_BIN/exact" -o "$T/truth.json" -d "$T/d" tcp4/ring-sqpoll-send 3>&-
	"$PYTHON" - "$T/report.json" <<-'EOF'
		import json, sys
		threads = [t for p in json.load(open(sys.argv[1]))["processes"] for t in p["threads"]]
		ring = [t for t in threads if t["comm"].startswith("iou-")]
		assert ring and sum(t["cpu"]["kernel_ns"] for t in ring), ring
		assert not sum(t["cpu"]["user_ns"] for t in ring), ring
	EOF
}
