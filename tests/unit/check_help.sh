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

# options_of_help ARG...: "-d" and "--duration=SEC" from lines such as
# "  -d, --duration=SEC   End the trace" of `socktrace ARG... --help`.
options_of_help() {
	"$socktrace" "$@" --help | sed -nE 's/^ {2,6}((-[^ -], )?--[a-z0-9-]+(\[?=[^ ]+)?).*/\1/p' |
		sed 's/, /\n/; s/\[=\(.*\)\]$/=\1/' | sort -u
}

# options_of_page PAGE [WORKLOAD]: the same from lines such as
# ".It Fl d , Fl -duration Ns = Ns Ar SEC": those outside of sections such as ".Ss Of gateway", or
# those of that section.
options_of_page() {
	awk -v own=".Ss Of ${2-}" '
		/^\.S[sh]/ { in_own = $0 == own; in_any = /^\.Ss Of / }
		own == ".Ss Of " ? !in_any : in_own
	' "$1" | sed -nE 's/^\.It (Fl .*)/\1/p' |
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

# same_options NAME PAGE [WORKLOAD]: holds the page, and the section of the workload, against
# $work/help.
same_options() {
	: >"$work/wrong"
	if [[ ! -s $work/help ]]; then
		echo "no option in socktrace $1 --help" >"$work/wrong"
	elif [[ ! -f $2 ]]; then
		echo "there is no such page" >"$work/wrong"
	else
		{
			options_of_page "$2"
			[[ $# -lt 3 ]] || options_of_page "$man/socktrace-run-workload.1" "$3"
		} | sort >"$work/page"
		comm -23 "$work/help" "$work/page" | sed 's/$/ is in --help only/' >"$work/wrong"
		comm -13 "$work/help" "$work/page" | sed 's/$/ is in the page only/' >>"$work/wrong"
		uniq -d "$work/page" | sed 's/$/ is in the page twice/' >>"$work/wrong"
	fi
	result "${2##*/} has the options of socktrace $1 --help" "$work/wrong"
}

# names_in ARG...: of the list "  name  summary" that `socktrace ARG... --help` prints.
names_in() {
	"$socktrace" "$@" --help | sed -nE 's/^  ([a-z][a-z-]*) .*/\1/p'
}

for command in $commands; do
	page=$man/socktrace-$command.1
	case $command in
	run-workload)
		for workload in $(names_in run-workload); do
			options_of_help run-workload "$workload" >"$work/help"
			same_options "run-workload $workload" "$page" "$workload"
		done
		;;
	workload) # of any role: the page says whose they are
		for workload in $(names_in workload); do
			for role in $(names_in workload "$workload"); do
				options_of_help workload "$workload" "$role"
			done | sort -u >"$work/help"
			same_options "workload $workload" "$page" "$workload"
		done
		;;
	*)
		options_of_help "$command" >"$work/help"
		same_options "$command" "$page"
		;;
	esac
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
