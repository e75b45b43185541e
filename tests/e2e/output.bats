# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# An output file appears whole or not at all, and an earlier one survives whatever fails.

load lib/common

suite_setup() {
	need_root
	MOUNTED=
	mkdir "$T/dir"
}

suite_teardown() {
	[[ -z $MOUNTED ]] || umount "$T/dir"
}

# not_written ARG...: a run with these options fails with a message, before the trace begins.
not_written() {
	sleep infinity 3>&- &
	run --separate-stderr "$SOCKTRACE" attach -F json "$@" $!
	kill $!
	[[ $status -eq 1 ]] || fail "status $status: $stderr"
	[[ $stderr == "socktrace: "*"${*: -1}"* ]] || fail "message: $stderr"
	[[ $stderr != *tracing* && -z $output ]] || fail "refused too late: $stderr"
}

only_in_dir() {
	[[ $(ls -A "$T/dir") == "$*" ]] || fail "left: $(ls -A "$T/dir")"
}

@test "a directory is refused" {
	not_written -o "$T/dir"
	only_in_dir
}

@test "a symbolic link is refused and its target untouched" {
	echo precious >"$T/precious"
	ln -s "$T/precious" "$T/dir/link"
	not_written -o "$T/dir/link"
	[[ $(<"$T/precious") == precious && -L $T/dir/link ]]
	ln -s "$T/nothing" "$T/dir/dangling"
	not_written -o "$T/dir/dangling"
	[[ ! -e $T/nothing ]]
}

@test "what is no regular file is refused" {
	mkfifo "$T/fifo"
	not_written -o "$T/fifo"
	not_written -o /dev/null
	[[ -c /dev/null ]]
}

@test "a directory that there is not" {
	not_written -o "$T/nowhere/out.json"
}

@test "a read-only place" {
	mount -t tmpfs -o ro tmpfs "$T/dir"
	MOUNTED=1
	not_written -o "$T/dir/out.json"
}

@test "a full disk: a message, status 1, and the earlier report is still there" {
	mount -t tmpfs -o size=16k tmpfs "$T/dir"
	MOUNTED=1
	echo "an earlier report" >"$T/dir/out.json"
	run --separate-stderr "$SOCKTRACE" run -F json -o "$T/dir/out.json" -- "$E2E_BIN/grid" -o "$T/truth"
	[[ $status -eq 1 || $status -eq 125 ]]
	[[ $stderr == *"$T/dir/out.json"*"No space left"* ]]
	only_in_dir out.json
	[[ $(<"$T/dir/out.json") == "an earlier report" ]]
}

@test "standard output on a full disk or closed: a message and status 1" {
	run --separate-stderr bash -c '"$SOCKTRACE" run -F json -- "$E2E_BIN/grid" -o "$T/truth" >/dev/full'
	[[ $status -eq 1 || $status -eq 125 ]]
	[[ $stderr == *"No space left"* ]]
	run --separate-stderr bash -c '"$SOCKTRACE" run -F json -- "$E2E_BIN/grid" -o "$T/truth" >&-'
	[[ $status -eq 1 || $status -eq 125 ]]
	[[ $stderr == "socktrace: "* ]]
}

@test "help, version and doctor that reach nobody end with status 1" {
	local command
	for command in --help --version doctor; do
		run --separate-stderr bash -c '"$SOCKTRACE" "$1" >/dev/full' - "$command"
		[[ $status -eq 1 && $stderr == *"No space left"* ]] || fail "$command: $status $stderr"
	done
}

@test "a report replaces an earlier one, whole, with its mode" {
	echo "an earlier report" >"$T/dir/out.json"
	chmod 640 "$T/dir/out.json"
	"$SOCKTRACE" run -F json -o "$T/dir/out.json" -- "$E2E_BIN/bare" >"$T/bare" || [[ $? -eq 42 ]]
	sound "$T/dir/out.json"
	only_in_dir out.json
	[[ $(stat -c %a "$T/dir/out.json") -eq 640 ]]
}

@test "a new report has the mode that the umask gives" {
	(
		umask 027
		"$SOCKTRACE" run -F json -o "$T/dir/out.json" -- "$E2E_BIN/bare" >"$T/bare" || [[ $? -eq 42 ]]
	)
	[[ $(stat -c %a "$T/dir/out.json") -eq 640 ]]
}

@test "under sudo the report belongs to the invoking user" {
	SUDO_UID=65534 SUDO_GID=65533 "$SOCKTRACE" run -F json -o "$T/dir/out.json" -- "$E2E_BIN/bare" \
		>"$T/bare" || [[ $? -eq 42 ]]
	[[ $(stat -c %u:%g "$T/dir/out.json") == 65534:65533 ]]
}

@test "-o without a directory writes to the current one" {
	cd "$T/dir"
	"$SOCKTRACE" run -F json -o out.json -- "$E2E_BIN/bare" >"$T/bare" || [[ $? -eq 42 ]]
	only_in_dir out.json
}

@test "a dying target never leaves a partial file: no report, or a whole one" {
	local reports=0 trace_status
	for _ in {1..20}; do
		program_start grid -l -p 1 -t 4 -n 100000
		program_go
		"$SOCKTRACE" attach "${READY[1]}" -F json -o "$T/dir/out.json" 2>"$T/err" 3>&- &
		TRACE=$!
		kill -KILL "${READY[1]}"
		ends "$TRACE"
		trace_status=$status
		drop "$PROGRAM"
		if [[ -e $T/dir/out.json ]]; then
			[[ $trace_status -eq 0 ]] || fail "status $trace_status, but a report: $(cat "$T/err")"
			sound "$T/dir/out.json"
			only_in_dir out.json
			rm "$T/dir/out.json"
			reports=$((reports + 1))
		else
			[[ $trace_status -eq 3 ]] || fail "status $trace_status, no report: $(cat "$T/err")"
			only_in_dir
		fi
	done
	echo "# $reports of 20 traces caught the target alive" >&3
}

@test "a target that is killed while it is traced never leaves a partial file" {
	for _ in {1..10}; do
		program_start grid -l -p 1 -t 4 -n 1000000
		trace_start attach "${READY[1]}" -F json -o "$T/dir/out.json"
		program_go
		kill -KILL "${READY[1]}"
		trace_end 0
		sound "$T/dir/out.json"
		only_in_dir out.json
		rm "$T/dir/out.json"
		drop "$PROGRAM"
	done
}

@test "killed by SIGKILL, socktrace leaves the earlier report and nothing under that name half done" {
	echo "an earlier report" >"$T/dir/out.json"
	program_start grid -l -p 1 -t 2
	trace_start attach "${READY[1]}" -F json -o "$T/dir/out.json"
	kill -KILL "$TRACE"
	trace_end 137
	[[ $(<"$T/dir/out.json") == "an earlier report" ]]
	program_go
	program_end
}
