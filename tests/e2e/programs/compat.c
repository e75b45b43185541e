// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * compat [-n CALLS] [-d] [-e OTHER]: built twice, for x86_64 and, static, for i386. The 64-bit
 * program also makes 32-bit calls through int $0x80 and, with -d, some with registers that look
 * like those of a 64-bit call. With -e it goes on as OTHER (the other build), which
 * comes back: execve into a program of the other width returns under another number.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truth.h"

extern char **environ;

static unsigned int count = 10;
static const char *other;
static bool disguise;

#ifdef __x86_64__
static long int80(long nr, long a)
{
	long ret;

	asm volatile("int $0x80" : "=a"(ret) : "0"(nr), "b"(a) : "memory");
	return ret;
}

/* As the SYSCALL instruction would leave the registers: the return address in rcx. */
static long int80_in_disguise(long nr)
{
	long ret;

	asm volatile("lea 1f(%%rip), %%rcx\n\tint $0x80\n1:"
		     : "=a"(ret)
		     : "0"(nr)
		     : "rcx", "memory");
	return ret;
}

static void own_calls(void)
{
	struct truth_call *c;

	for (unsigned int i = 0; disguise && i < count; i++)
		truth_check(int80_in_disguise(64) == getppid(), "getppid in disguise");
	if (disguise) {
		truth_of(truth_me, "getppid")->calls += count;
		truth_of_abi(truth_me, "getppid", "i386")->calls += count;
	}
	for (unsigned int i = 0; i < count; i++) {
		CALL(getppid);
		truth_check(int80(64, 0) == getppid(), "getppid through int 0x80");
		truth_check(int80(41, -1) == -EBADF, "dup(-1) through int 0x80");
		truth_check(int80(199, 0) >= 0, "getuid32 through int 0x80");
	}
	/* getppid() above is the library's own native call. */
	truth_of(truth_me, "getppid")->calls += count;
	truth_of_abi(truth_me, "getppid", "i386")->calls += count;
	truth_of_abi(truth_me, "getuid32", "i386")->calls += count;
	c = truth_of_abi(truth_me, "dup", "i386");
	c->calls += count;
	truth_error(c, EBADF, count);
	/* The number of i386's getppid is another call here. */
	truth_of(truth_me, "semget");
}
#else
static void own_calls(void)
{
	for (unsigned int i = 0; i < count; i++) {
		CALL(getppid);
		CALL(getuid32);
		CALL(sched_yield);
		truth_check(CALL(dup, -1) == -1 && errno == EBADF, "dup(-1)");
	}
	/* The number of i386's getppid, among the native calls. */
	truth_of_abi(truth_me, "semget", "x86_64");
}
#endif

static void go_on_as(const char *program, unsigned int step)
{
	char index[16], number[16], steps[16], own[256];
	char *argv[] = {"compat", "-n", number, "-e", own, "step", index, steps, NULL};
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	truth_check(length > 0, "readlink");
	own[length] = 0;
	snprintf(index, sizeof(index), "%u", truth_thread_index(truth_me));
	snprintf(number, sizeof(number), "%u", count);
	snprintf(steps, sizeof(steps), "%u", step + 1);
	truth_of(truth_me, "execve")->calls++;
	syscall(SYS_execve, program, argv, environ);
	truth_fail(program);
}

int main(int argc, char **argv)
{
	unsigned int step = 0;
	int option;

	while ((option = truth_getopt(argc, argv, "n:e:d")) != -1) {
		if (option == 'n')
			count = truth_number(optarg, 1, 1000000);
		else if (option == 'e')
			other = optarg;
		else
			disguise = true;
	}
	truth_init("compat", 4);
	if (optind + 2 < argc && !strcmp(argv[optind], "step")) {
		truth_thread_at(truth_number(argv[optind + 1], 0, 3));
		step = truth_number(argv[optind + 2], 1, 2);
	} else {
		truth_process_begin()->status = 0;
		truth_wait_go(NULL, 0);
	}
	own_calls();
	if (other && step < 2)
		go_on_as(other, step);
	truth_print();
	return 0;
}
