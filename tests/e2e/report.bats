# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Reports: every format from the same data, live or saved, valid against the published schema.

load lib/common

suite_setup() {
	need_root
}

# For text, Markdown and CSV, live and saved: the live trace keeps its data in NDJSON too.
bare_report() {
	"$SOCKTRACE" run "${@:2}" -o "$1" -- "$E2E_BIN/bare" >"$T/bare" || [[ $? -eq 42 ]]
}

valid() {
	"$PYTHON" "$ROOT/tests/unit/check_schema.py" "$@"
}

@test "report FILE gives byte for byte the JSON that the live command wrote" {
	bare_report "$T/r.json" -F json
	"$SOCKTRACE" report -F json "$T/r.json" >"$T/again.json"
	cmp "$T/r.json" "$T/again.json"
	"$SOCKTRACE" report -F json -o "$T/third.json" "$T/r.json"
	cmp "$T/r.json" "$T/third.json"
}

@test "every format of a report read from JSON is that of the report read again" {
	local format
	bare_report "$T/r.json" -F json
	"$SOCKTRACE" report -F json -o "$T/again.json" "$T/r.json"
	for format in text md csv; do
		"$SOCKTRACE" report --threads -F "$format" "$T/r.json" >"$T/first.$format"
		"$SOCKTRACE" report --threads -F "$format" "$T/again.json" >"$T/second.$format"
		cmp "$T/first.$format" "$T/second.$format"
		grep -q getppid "$T/first.$format"
	done
}

@test "text, md and csv of a live trace show the same calls and errors as its JSON would" {
	local format
	for format in text md csv; do
		bare_report "$T/live.$format" -F "$format"
		grep -q getppid "$T/live.$format"
		grep -q EBADF "$T/live.$format"
	done
}

@test "reports are valid against the published schema" {
	bare_report "$T/full.json" -F json
	bare_report "$T/count.json" -F json --detail count
	valid "$T/full.json" "$T/count.json"
	"$SOCKTRACE" run -F json -o "$T/many.json" -- "$E2E_BIN/die" -o "$T/truth.json"
	valid "$T/many.json"
}

@test "a partial report is valid against the published schema" {
	program_start grid -l -p 2 -t 8
	trace_start attach --max-threads 4 --allow-partial -F json -o "$T/r.json" "${READY[@]}"
	program_go
	program_end
	trace_end 3
	valid "$T/r.json"
}

@test "a saved report that calls itself incomplete, or lost something, ends with 3" {
	bare_report "$T/r.json" -F json
	"$SOCKTRACE" report "$T/r.json" >"$T/text"
	"$PYTHON" - "$T" <<-'EOF'
		import json, sys
		for name, change in (("incomplete", lambda c: c.update(complete=False)),
		                     ("lossy", lambda c: c["lost"].update(tasks_full=5))):
		    r = json.load(open(f"{sys.argv[1]}/r.json"))
		    change(r["capture"])
		    json.dump(r, open(f"{sys.argv[1]}/{name}.json", "w"))
	EOF
	for name in incomplete lossy; do
		run -3 --separate-stderr "$SOCKTRACE" report -o "$T/out" "$T/$name.json"
		[[ ! -e $T/out && $stderr == *"cannot be trusted"* ]] || fail "$name: $stderr"
	done
}

@test "-i with JSON: one report in each line, cumulative, the last as complete as any" {
	program_start cputime
	trace_start attach -i 0.1 -F json -o "$T/r.ndjson" "$PROGRAM"
	program_go # its spinners alone take 200 ms
	wait_line "$SAID" "done" "$T/program.log"
	kill -INT "$TRACE"
	trace_end 0
	"$PYTHON" - "$T/r.ndjson" <<-'EOF'
		import json, sys
		reports = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
		assert len(reports) >= 3, len(reports)
		calls = [sum(c["calls"] for p in r["processes"] for c in p["syscalls"]) for r in reports]
		assert calls == sorted(calls) and calls[-1] > 0, calls
		spans = [r["capture"]["duration_ns"] for r in reports]
		assert spans == sorted(spans) and 1e8 <= spans[0] < spans[-1], spans
		broken = [a for r in reports for a in r["audits"] if a["ok"] is False]
		assert not broken, broken
	EOF
	same_as_truth "$T/r.ndjson"
	"$SOCKTRACE" report -F json "$T/r.ndjson" >"$T/again.ndjson"
	cmp "$T/r.ndjson" "$T/again.ndjson"
	program_go
	program_end
}

@test "-i amid busy threads: the books balance in every report" {
	program_start grid -l -p 2 -t 2 -n 10000000
	trace_start attach "${READY[@]}" -i 0.02 -d 1.5 -F json -o "$T/r.ndjson"
	program_go
	trace_end 0
	drop "$PROGRAM"
	"$PYTHON" - "$T/r.ndjson" <<-'EOF'
		import json, sys
		reports = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
		assert len(reports) >= 20, len(reports)
		broken = [a for r in reports for a in r["audits"] if a["ok"] is False]
		assert not broken, f"{len(broken)} do not hold, such as {broken[0]}"
	EOF
}

@test "the report goes to standard output, everything else to standard error" {
	program_start grid -l -p 1 -t 1
	trace_start attach -F json "${READY[1]}"
	program_go
	program_end
	trace_end 0
	sound "$T/out"
}

@test "-q says nothing but errors" {
	run --separate-stderr "$SOCKTRACE" run -q -F json -o "$T/r.json" -- "$E2E_BIN/bare"
	[[ $status -eq 42 && -z $stderr && $output == bare ]]
}

@test "a pipe gets no colour and no control characters, whatever the target is called" {
	local evil=$'\e[1m|`*_<\r\n",y' format
	cp "$E2E_BIN/bare" "$T/$evil"
	for format in text md csv json; do
		"$SOCKTRACE" run -F "$format" -o "$T/r.$format" -- "$T/$evil" >"$T/bare" 2>"$T/err" || [[ $? -eq 42 ]]
		if [[ $format == csv ]]; then # whose lines end with CR and LF (RFC 4180)
			sed -i 's/\r$//' "$T/r.csv"
		fi
		run ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$T/r.$format" "$T/err"
	done
	sound "$T/r.json"
	[[ $(value "$T/r.json" 'r["processes"][0]["comm"]') == "$evil" ]]
	# A cell holds its bar and its line break as text, and a row stays a row.
	"$PYTHON" -c 'import csv, sys
rows = list(csv.reader(open(sys.argv[1], newline="", encoding="utf-8")))
rows = [r for r in rows if r and not r[0].startswith("#")]
assert len({len(r) for r in rows}) == 1, {len(r) for r in rows}' "$T/r.csv"
}

@test "--top limits the rows of text, not the data of JSON" {
	bare_report "$T/r.json" -F json --top 1
	[[ $(value "$T/r.json" 'len(r["processes"][0]["syscalls"])') -eq 5 ]]
	"$SOCKTRACE" report -F text --top 1 "$T/r.json" >"$T/top"
	"$SOCKTRACE" report -F text "$T/r.json" >"$T/all"
	(($(wc -l <"$T/top") < $(wc -l <"$T/all")))
}

@test "the capture section names what was attached, when and for how long" {
	bare_report "$T/r.json" -F json
	[[ $(value "$T/r.json" 'r["capture"]["mode"]') == run ]]
	[[ $(value "$T/r.json" 'r["capture"]["command"][-2:]') == "['--', '$E2E_BIN/bare']" ]]
	[[ $(value "$T/r.json" 'all(p["attached"] for p in r["capture"]["probes"] if p["required"])') == True ]]
	[[ $(value "$T/r.json" 'len(r["capture"]["probes"]) >= 3') == True ]]
	[[ $(value "$T/r.json" 'r["host"]["kernel"]') == "$(uname -r)" ]]
	[[ $(value "$T/r.json" 'r["host"]["cpus"]') -eq $(nproc --all) ]]
	[[ $(value "$T/r.json" 'r["processes"][0]["exe"]') == "$(readlink -f "$E2E_BIN/bare")" ]]
	[[ $(value "$T/r.json" 'r["processes"][0]["rss_peak_bytes"] > 0') == True ]]
}

@test "doctor lists each probe, with the hook taken, and ends with 0" {
	local probe
	bare_report "$T/r.json" -F json
	"$SOCKTRACE" doctor >"$T/doctor" 2>"$T/err"
	for probe in $(value "$T/r.json" '" ".join(p["name"] for p in r["capture"]["probes"])'); do
		grep -qw "$probe" "$T/doctor" || fail "no $probe in:" "$(cat "$T/doctor")"
	done
	grep -q sys_exit "$T/doctor"
	grep -q sched_switch "$T/doctor"
}

@test "csv with -i: the line of names stands once, and duration_ns tells the reports apart" {
	"$SOCKTRACE" run -q -i 0.1 -F csv -o "$T/live.csv" -- sleep 0.5
	"$SOCKTRACE" run -q -i 0.1 -F json -o "$T/live.json" -- sleep 0.5
	"$SOCKTRACE" report -F csv "$T/live.json" >"$T/saved.csv"
	"$PYTHON" - "$T/live.csv" "$T/saved.csv" <<-'EOF'
		import csv, sys
		for name in sys.argv[1:]:
		    rows = list(csv.reader(open(name, newline="", encoding="utf-8")))
		    assert len({len(row) for row in rows}) == 1
		    assert sum("syscall" in row for row in rows) == 1 and rows[0][0] == "pid"
		    table = [dict(zip(rows[0], row)) for row in rows[1:]]
		    times = [int(row["duration_ns"]) for row in table]
		    assert times == sorted(times) and len(set(times)) >= 4, set(times)
		    # In each report the process has one row of its own.
		    own = [row["duration_ns"] for row in table if row["process"] and not row["syscall"]]
		    assert len(own) == len(set(own)) == len(set(times)), (own, set(times))
	EOF
	[[ $("$PYTHON" -c 'import json, sys
print(*(json.loads(line)["capture"]["duration_ns"] for line in open(sys.argv[1])))' "$T/live.json") == \
		"$("$PYTHON" -c 'import csv, sys
print(*dict.fromkeys(r["duration_ns"] for r in csv.DictReader(open(sys.argv[1], newline=""))))' "$T/saved.csv")" ]]
}

@test "with -i no report lacks what an earlier one had, amid threads and sockets that end" {
	"$SOCKTRACE" run -q -i 0.003 -F json -o "$T/many.json" -- "$PYTHON" -c 'import os, socket, threading, time
end = time.monotonic() + 3
def work():
    a, b = socket.socketpair()
    for _ in range(20):
        a.send(b"x" * 100)
        b.recv(100)
    a.close()
    b.close()
while time.monotonic() < end:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()'
	"$PYTHON" - "$T/many.json" <<-'EOF'
		import json, sys
		before = {}
		for nr, line in enumerate(open(sys.argv[1])):
		    r = json.loads(line)
		    p = r["processes"][0]
		    assert p["comm"], nr
		    now = {c["name"]: c["calls"] for c in p["syscalls"]}
		    now["socket bytes"] = sum(s["send"]["bytes"] for s in p["sockets"])
		    now["sockets"] = sum(s["connections"] for s in p["sockets"])
		    less = {k: (v, now.get(k)) for k, v in before.items() if now.get(k, 0) < v}
		    assert not less, (nr, less)
		    before = now
		assert nr > 5, nr  # a build with sanitizers makes few
	EOF
}
