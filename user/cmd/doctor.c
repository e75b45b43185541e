// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>

#include "cmd/cmd.h"

static int run(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return EXIT_FAILED;
}

const struct command command_doctor = {
	"doctor", "", "say what this kernel and these privileges allow, probe by probe", run,
};
