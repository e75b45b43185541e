# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2030,SC2031,SC2154
# Builds that leave out one event in so many (bpf/mutations.def): the audit that is to notice does.

load lib/common

suite_setup() {
	need_root
	LIST=$ROOT/bpf/mutations.def
	BUILD=$(realpath "$(dirname "$SOCKTRACE")")
	# As it is written by hand, too: what make knows of dependencies goes by the name of the file.
	OUT=$(realpath --relative-base="$ROOT" "$BUILD")
}

# mutation ID FIELD: 2, the audit; 3, what is run.
mutation() {
	sed -nE "s/^MUTATION\($1, [0-9]+, \"([^\"]*)\", \"([^\"]*)\", .*/\\$2/p" "$LIST"
}

# traced SOCKTRACE WHAT...: what the list says, with a report in $T/report.json. Sets status.
traced() {
	local socktrace=$1 what=("${@:2}")
	rm -f "$T/report.json"
	status=0
	if [[ $2 == run ]]; then
		"$socktrace" run "${OPTIONS[@]}" -F json -o "$T/report.json" -- \
			"$E2E_BIN/$3" -o "$T/truth.json" "${what[@]:2}" 2>"$T/err" 3>&- || status=$?
	else
		"$socktrace" run-workload "${what[@]}" --trials=1 "${OPTIONS[@]}" -F json \
			-o "$T/report.json" 2>"$T/err" 3>&- || status=$?
	fi
}

# audits NAME: what became of the audits of that name: true, false and null, each once.
audits() {
	value "$T/report.json" "sorted({str(a['ok']) for a in r['audits'] if a['name'] == '$1'})"
}

# noticed ID: by its audit, without which the same run is in order.
noticed() {
	local audit what
	audit=$(mutation "$1" 1)
	read -r -a what < <(mutation "$1" 2)
	[[ -n $audit && -n ${what[*]} ]] || fail "no mutation $1 in $LIST"

	traced "$SOCKTRACE" "${what[@]}"
	[[ $status -eq 0 ]] || fail "unmutated: status $status" "$(cat "$T/err")"
	[[ $(audits "$audit") == "['True']" ]] || fail "unmutated: $audit is $(audits "$audit")"

	make -C "$ROOT" -s MUTATE="$1" OUT="$OUT" 3>&-
	[[ $("$BUILD/mutate-$1/socktrace" --version) == *"mutated-$1 "* ]]
	traced "$BUILD/mutate-$1/socktrace" "${what[@]}"
	[[ $status -eq $([[ ${what[0]} == run ]] && echo 125 || echo 3) ]] ||
		fail "mutated: status $status" "$(cat "$T/err")"
	[[ ! -e $T/report.json ]] || fail "a report that is not to be trusted was written"
	grep -q "audit $audit does not hold" "$T/err" || fail "$audit has not noticed:" "$(cat "$T/err")"

	OPTIONS+=(--allow-partial)
	traced "$BUILD/mutate-$1/socktrace" "${what[@]}"
	[[ $(audits "$audit") == *False* ]]
}

@test "a switch that is not counted fails context_switches" {
	noticed SWITCH
}

@test "a switch that is not seen fails context_switches" {
	noticed MISSED_SWITCH
}

@test "an entry that is not counted fails syscall_balance" {
	noticed ENTRY
}

@test "a return that is not counted fails syscall_balance" {
	noticed RETURN
}

@test "an entry that is not seen fails lost" {
	noticed MISSED_ENTRY
}

@test "a return that is not seen fails lost" {
	noticed MISSED_RETURN
}

@test "a stretch on the CPU that is not counted fails cpu_time" {
	noticed STRETCH
}

@test "a send that is not counted fails tcp_bytes" {
	noticed SEND
}

@test "a receive that is not counted fails tcp_bytes" {
	noticed RECEIVE
}

@test "a drop that is not counted fails udp_drops" {
	noticed DROP
}

@test "a datagram that is not counted fails udp_balance" {
	noticed DATAGRAM
}

@test "a call that is not counted fails workload_truth" {
	noticed CALL
}

@test "a loss fails lost" {
	noticed LOSS
}

@test "a loss that is not counted is noticed by another audit: of a call's row" {
	noticed SECRET_LOSS
}

@test "a thread that is not seen fails lost" {
	noticed THREAD
}

@test "a change of state that is not seen fails lost" {
	noticed STATE
}

@test "a loss that is not counted is noticed by another audit: of a drop's row" {
	noticed DROP_ROW
}

@test "every mutation of the list is tried" {
	local id
	for id in $(sed -nE 's/^MUTATION\(([A-Z_]+),.*/\1/p' "$LIST"); do
		grep -q "^	noticed $id\$" "$BATS_TEST_DIRNAME/mutations.bats" || fail "$id is not tried"
		grep -rqF "MUTATED($id)" "$ROOT/bpf" || fail "$id is nowhere in the programs"
	done
}

# stripped FILE AS: without the numbers of source lines.
stripped() {
	llvm-objcopy --remove-section=.BTF --remove-section=.BTF.ext --remove-section=.rel.BTF \
		--remove-section=.rel.BTF.ext "$1" "$2"
}

@test "in an ordinary build nothing is left of the mutations" {
	mkdir "$T/tree"
	cp -r "$ROOT"/{Makefile,bpf,include,vmlinux} "$T/tree"
	"$PYTHON" - "$T/tree/bpf" <<-'EOF'
		import pathlib, re, sys
		removed = 0
		for path in pathlib.Path(sys.argv[1]).glob("*"):
		    text, n = re.subn(r"\n\t+if \([^\n]*MUTATED\(\w+\)\)( \{.*?\n\t+\}|\n[^\n]*)", "",
		                      path.read_text(), flags=re.S)
		    removed += n
		    if path.name not in ("mutate.h", "mutations.def") and "MUTATED" in text:
		        sys.exit(f"{path}: a mutation of another form")
		    path.write_text(text)
		sys.exit(not removed)
	EOF
	! grep -rq 'if (.*MUTATED' "$T/tree/bpf" --include='*.c'
	make -C "$T/tree" -s OUT="$T/plain" "$T/plain/socktrace.bpf.o" 3>&-
	stripped "$T/plain/socktrace.bpf.o" "$T/without"
	stripped "$BUILD/socktrace.bpf.o" "$T/with"
	cmp "$T/without" "$T/with"
}

@test "a mutated build is not installed" {
	run make -C "$ROOT" -s MUTATE=SWITCH OUT="$OUT" DESTDIR="$T/root" install
	[[ $status -ne 0 && $output == *"not installed"* ]]
	[[ ! -e $T/root ]]
}
