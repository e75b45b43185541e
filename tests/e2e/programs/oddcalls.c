// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * oddcalls [-n CALLS]: numbers that no call has, which a program may use all the same: too high,
 * negative, on x86 with the bit of the x32 ABI. No table reaches 1023; reports count every number
 * from there on as that one.
 */
#include <errno.h>
#include <stdlib.h>

#include "truth.h"

static unsigned int count = 10;

static void odd(long nr, struct truth_call *c)
{
	for (unsigned int i = 0; i < count; i++)
		truth_check(syscall(nr) == -1 && errno == ENOSYS, c->name);
	c->calls += count;
	truth_error(c, ENOSYS, count);
}

int main(int argc, char **argv)
{
	while (truth_getopt(argc, argv, "n:") != -1)
		count = truth_number(optarg, 1, 1000000);
	truth_init("oddcalls", 2);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	odd(1000, truth_of(truth_me, "#1000"));
	odd(9999, truth_of(truth_me, "#1023"));
	odd(0x3fffffff, truth_of(truth_me, "#1023"));
#ifdef __x86_64__
	odd(0x40000000 + 9999, truth_of_abi(truth_me, "#1023", "x32"));
#endif
	odd(-1, truth_of(truth_me, "#1023"));
	for (unsigned int i = 0; i < count; i++)
		CALL(getppid);
	truth_print();
	return 0;
}
