# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# The flow of data goes one way: each folder includes only what lies to its left.

load lib/common

setup() {
	PYTHON=$(command -v /usr/bin/python3 || command -v python3)
	CHECK=$ROOT/tests/e2e/lib/includes.py
	T=$BATS_TEST_TMPDIR
}

@test "every folder includes only what lies to its left" {
	"$PYTHON" "$CHECK" "$ROOT"
}

# wrong FILE LINE: a tree with that one file, which must be refused.
wrong() {
	rm -rf "$T/tree"
	mkdir -p "$T/tree/$(dirname "$1")"
	echo "$2" >"$T/tree/$1"
	run ! "$PYTHON" "$CHECK" "$T/tree"
	[[ $output == *"$1:1"* ]]
}

@test "a wrong direction is found" {
	wrong user/base/x.c '#include "model/model.h"'
	wrong user/model/x.c '#include "report/report.h"'
	wrong user/model/x.h '#include <bpf/libbpf.h>'
	wrong user/report/x.c '#include "capture/capture.h"'
	wrong user/report/x.c '# include <bpf/bpf.h>'
	wrong user/kernel/x.c '#include "capture/capture.h"'
	wrong user/capture/x.c '#include "report/report.h"'
	wrong user/capture/x.c '#include "cmd/cmd.h"'
	wrong user/workload/x.c '#include "kernel/kernel.h"'
	wrong user/workload/x.c '#include "capture/capture.h"'
	wrong user/cmd/x.c '#include "../../bpf/state.h"'
	wrong bpf/x.bpf.c '#include "model/model.h"'
	wrong bpf/x.bpf.c '#include <stdio.h>'
	wrong include/socktrace/x.h '#include "model/model.h"'
	wrong user/elsewhere/x.c '#include "base/msg.h"'
}
