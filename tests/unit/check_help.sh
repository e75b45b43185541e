#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# check_help.sh: holds what `socktrace COMMAND --help` says against the man pages, and has groff look
# the pages over. Prints TAP. SOCKTRACE names the binary (default: socktrace in $OUT, or .output).

set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
socktrace=${SOCKTRACE:-${OUT:-$root/.output}/socktrace}
man=$root/docs/man
tests=0
failed=0

for needed in "$socktrace" groff; do
	if ! command -v "$needed" >/dev/null; then
		echo "Bail out! $needed is missing"
		exit 1
	fi
done

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
unset ARGP_HELP_FMT

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

# "-d" and "--duration=SEC" from lines such as "  -d, --duration=SEC   End the trace".
options_of_help() {
	"$socktrace" "$1" --help | sed -nE 's/^ {2,6}((-[^ -], )?--[a-z-]+(=[^ ]+)?).*/\1/p' |
		sed 's/, /\n/' | sort
}

# The same from lines such as ".It Fl d , Fl -duration Ns = Ns Ar SEC".
options_of_page() {
	sed -nE 's/^\.It (Fl .*)/\1/p' "$1" |
		sed -E 's/\\&//g; s/ Ns = Ns Ar /=/; s/ , /\n/g' | sed 's/^Fl /-/' | sort
}

# Lines "  name  ARGS  summary" of the list of commands.
commands=$("$socktrace" --help | sed -nE 's/^  ([a-z][a-z-]*) .*/\1/p')
: >"$work/wrong"
[[ -n $commands ]] || echo "no command in socktrace --help" >"$work/wrong"
for command in $commands; do
	grep -qE "^\.It Cm $command\b" "$man/socktrace.1" || echo "$command is missing" >>"$work/wrong"
done
for option in $("$socktrace" --help | sed -nE 's/^  (--[a-z-]+) .*/\1/p'); do
	grep -qxF ".It Fl ${option#-}" "$man/socktrace.1" || echo "$option is missing" >>"$work/wrong"
done
result "socktrace.1 names every command and option" "$work/wrong"

for command in $commands; do
	page=$man/socktrace-$command.1
	: >"$work/wrong"
	options_of_help "$command" >"$work/help"
	if [[ ! -s $work/help ]]; then
		echo "no option in socktrace $command --help" >"$work/wrong"
	elif [[ ! -f $page ]]; then
		echo "there is no such page" >"$work/wrong"
	else
		options_of_page "$page" >"$work/page"
		comm -23 "$work/help" "$work/page" | sed 's/$/ is in --help only/' >"$work/wrong"
		comm -13 "$work/help" "$work/page" | sed 's/$/ is in the page only/' >>"$work/wrong"
		uniq -d "$work/page" | sed 's/$/ is in the page twice/' >>"$work/wrong"
	fi
	result "socktrace-$command.1 has the options of socktrace $command --help" "$work/wrong"
done

for page in "$man"/*.1; do
	command=${page##*/socktrace}
	command=${command#-}
	command=${command%.1}
	: >"$work/wrong"
	[[ -z $command || " ${commands//$'\n'/ } " == *" $command "* ]] ||
		echo "there is no such command" >"$work/wrong"
	groff -mdoc -Tutf8 -ww -z "$page" >>"$work/wrong" 2>&1 || echo "groff failed" >>"$work/wrong"
	result "${page##*/} belongs to a command and is free of warnings" "$work/wrong"
done

echo "1..$tests"
((failed == 0))
