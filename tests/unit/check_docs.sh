#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016
#
# check_docs.sh: fails when the docs lag behind the registries they describe. Prints TAP.
#
#	user/model/metrics.def          every row, in its words, in docs/REPORT.md
#	include/socktrace/lost.def      the same
#	user/model/fields.c             every field of the JSON report named in docs/REPORT.md
#	docs/report.schema.json         every property named in docs/REPORT.md
#	user/kernel/probes.c            every probe in docs/KERNELS.md
#	Makefile                        every Debian package in README.md
#
# check_docs.sh --update: writes the tables of docs/REPORT.md that are made from .def files.

set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
metrics=$root/user/model/metrics.def
lost=$root/include/socktrace/lost.def
report=$root/docs/REPORT.md
tests=0
failed=0

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# result NAME FILE: a test that has failed if FILE holds a line; each is said.
result() {
	tests=$((tests + 1))
	if [[ -s $2 ]]; then
		failed=$((failed + 1))
		echo "not ok $tests - $1"
		sed 's/^/# /' "$2"
	else
		echo "ok $tests - $1"
	fi
}

# --- tables made from .def files ----------------------------------------------------------------

# rows FILE MACRO SED-PROGRAM: one line of a Markdown table per row of a registry. A row that the
# program does not understand is an error, not a row less.
rows() {
	local wanted made
	wanted=$(grep -c "^$2(" "$1") || {
		echo "check_docs.sh: no $2() in $1" >&2
		return 1
	}
	made=$(sed -nE "$3" "$1")
	if [[ $(wc -l <<<"$made") -ne $wanted ]]; then
		echo "check_docs.sh: a row of $1 is not of the form that this script knows" >&2
		return 1
	fi
	printf '%s\n' "$made"
}

table() {
	case $1 in
	task) rows "$metrics" TASK_METRIC \
		's/^TASK_METRIC\((\w+), (\w+), \w+, (\w+), "([^"]*)", "([^"]*)"\)$/| `\1.\2` | \3 | \4 | \5 |/p' ;;
	call) rows "$metrics" CALL_METRIC \
		's/^CALL_METRIC\((\w+), \w+, (\w+), "([^"]*)", "([^"]*)"\)$/| `\1` | \2 | \3 | \4 |/p' ;;
	socket) rows "$metrics" SOCKET_METRIC \
		's/^SOCKET_METRIC\((\w+), (\w+), \w+, (\w+), "([^"]*)", "([^"]*)"\)$/| `\1.\2` | \3 | \4 | \5 |/p' ;;
	spread) rows "$metrics" SOCKET_SPREAD 's/^SOCKET_SPREAD\((\w+), "([^"]*)"\)$/| `\1` | \2 |/p' ;;
	sum) rows "$metrics" WORKLOAD_SUM \
		's/^WORKLOAD_SUM\((\w+), (\w+), "([^"]*)"\)$/| `\1` | \2 | \3 |/p' ;;
	figure) rows "$metrics" WORKLOAD_FIGURE \
		's/^WORKLOAD_FIGURE\((\w+), "([^"]*)", "([^"]*)", "([^"]*)", \w+, "([^"]*)"\)$/| `\1` | \2 | \3 \/ \4 | \5 |/p' |
		sed 's: /  | : | :' ;;
	lost) rows "$lost" LOST 's/^LOST\(\w+, "([^"]*)", "([^"]*)"\)$/| `\1` | \2 |/p' ;;
	esac | sed -E 's/\| COUNT \|/| count |/; s/\| NS \|/| ns |/; s/\| BYTES \|/| bytes |/'
}

# What stands between "<!-- begin NAME," and "<!-- end NAME", head of the table apart.
present() {
	awk -v begin="<!-- begin $1," -v end="<!-- end $1 " '
		index($0, end) == 1 { inside = 0 }
		inside && /^\| `/
		index($0, begin) == 1 { inside = 1 }' "$report"
}

replace() {
	awk -v begin="<!-- begin $1," -v end="<!-- end $1 " -v rows="$work/$1" '
		index($0, end) == 1 { while ((getline line < rows) > 0) print line; inside = 0 }
		!(inside && /^\| `/)
		index($0, begin) == 1 { inside = 1 }' "$report" >"$work/report"
	cat "$work/report" >"$report"
}

if [[ ${1:-} == --update ]]; then
	for name in task call socket spread sum figure lost; do
		table "$name" >"$work/$name"
		replace "$name"
	done
	exit 0
elif (($#)); then
	echo "usage: check_docs.sh [--update]" >&2
	exit 2
fi

for name in task call socket spread sum figure lost; do
	table "$name" >"$work/wanted"
	present "$name" >"$work/present"
	diff "$work/present" "$work/wanted" >"$work/wrong" ||
		echo "run tests/unit/check_docs.sh --update" >>"$work/wrong"
	result "docs/REPORT.md has the rows of the $name registry" "$work/wrong"
done

# --- names --------------------------------------------------------------------------------------

# named NAMES FILE: the names (one per line) that FILE does not hold between backquotes.
named() {
	local name
	while read -r name; do
		grep -qE "\`([a-z_]+(\[\])?\.)*$name(\[\])?\`" "$2" || echo "$name is missing"
	done <"$1" >"$work/wrong"
	[[ -s $1 ]] || echo "no names found: has the source another form now?" >"$work/wrong"
}

sed -nE 's/^\t\{"(\w+)", FIELD_.*/\1/p' "$root/user/model/fields.c" >"$work/names"
named "$work/names" "$report"
result "docs/REPORT.md names every field of user/model/fields.c" "$work/wrong"

python3 - "$root/docs/report.schema.json" >"$work/names" <<'EOF'
import json
import sys


def properties(value):
    if isinstance(value, dict):
        for name in value.get("properties", {}):
            yield name
        for inner in value.values():
            yield from properties(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from properties(inner)


with open(sys.argv[1], encoding="utf-8") as schema:
    print("\n".join(sorted(set(properties(json.load(schema))))))
EOF
named "$work/names" "$report"
result "docs/REPORT.md names every property of the schema" "$work/wrong"

sed -nE 's/^\t\t\.name = "(\w+)",$/\1/p' "$root/user/kernel/probes.c" >"$work/names"
named "$work/names" "$root/docs/KERNELS.md"
result "docs/KERNELS.md names every probe" "$work/wrong"

env -u MAKEFLAGS -u MAKELEVEL make -s -C "$root" --no-print-directory -f - print <<'EOF' | tr ' ' '\n' >"$work/names"
include Makefile
print:
	@echo $(BUILD_PACKAGES) $(TEST_PACKAGES) $(BENCH_PACKAGES)
EOF
named "$work/names" "$root/README.md"
result "README.md says what every package of the Makefile is for" "$work/wrong"

echo "1..$tests"
((failed == 0))
