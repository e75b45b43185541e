// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * vforks [-n TIMES] [-m MILLISECONDS]: vfork, a child that sleeps and then ends or makes execve,
 * while the parent is blocked, not busy; then the same number of posix_spawn.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oldcalls.h"
#include "truth.h"

extern char **environ;

static unsigned int times = 4, milliseconds = 20;

/*
 * The child of vfork runs in its parent's memory, errno and truth_me included, so its account is
 * made beforehand and filled in by hand.
 */
static void vfork_once(bool with_exec)
{
	struct truth_process *p = truth_process_new(0);
	struct truth_thread *t = truth_thread_new(p, 0);
	struct timespec pause = {.tv_nsec = milliseconds * 1000000L};
	char index[16];
	char *argv[] = {"vforks", "child", index, NULL};
	pid_t pid;

	truth_of(t, "getuid")->calls = 3;
	truth_of(t, VFORK_NAME);
	truth_of(t, "nanosleep")->calls = 1;
	if (with_exec)
		truth_of(t, "execve")->calls = 1;
	truth_of(t, "exit_group")->no_return = 1;
	p->status = with_exec ? 5 << 8 : 3 << 8;
	snprintf(index, sizeof(index), "%u", truth_thread_index(t));
	pid = vfork();
	if (!pid) {
		for (int i = 0; i < 3; i++)
			syscall(SYS_getuid);
		syscall(SYS_nanosleep, &pause, NULL);
		if (with_exec)
			syscall(SYS_execve, "/proc/self/exe", argv, environ);
		syscall(SYS_exit_group, 3);
	}
	truth_check(pid > 0, "vfork");
	p->pid = t->tid = pid;
#ifdef SYS_vfork
	truth_of(truth_me, VFORK_NAME)->calls++;
#endif
	truth_check(truth_reap(pid, NULL) == p->status, "the child of vfork");
}

static void spawn_once(void)
{
	struct truth_process *p = truth_process_new(0);
	struct truth_thread *t = truth_thread_new(p, 0);
	char index[16];
	char *argv[] = {"vforks", "child", index, NULL};
	pid_t pid;

	truth_of(t, "exit_group")->no_return = 1;
	/* posix_spawn may try more than one path, but not for one with a slash. */
	truth_of(t, "execve")->calls = 1;
	p->status = 5 << 8;
	snprintf(index, sizeof(index), "%u", truth_thread_index(t));
	truth_check(!posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), "posix_spawn");
	p->pid = t->tid = pid;
	truth_check(truth_reap(pid, NULL) == p->status, "the child of posix_spawn");
}

int main(int argc, char **argv)
{
	const uint64_t slept_ns = 1000000ULL * times * milliseconds;
	int option;

	while ((option = truth_getopt(argc, argv, "n:m:")) != -1) {
		if (option == 'n')
			times = truth_number(optarg, 1, 1000);
		else
			milliseconds = truth_number(optarg, 1, 1000);
	}
	truth_init("vforks", 4096);
	if (optind + 1 < argc && !strcmp(argv[optind], "child")) {
		truth_thread_at(truth_number(argv[optind + 1], 0, 4095));
		for (int i = 0; i < 7; i++)
			CALL(getppid);
		syscall(SYS_exit_group, 5);
	}
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	for (unsigned int i = 0; i < times; i++)
		vfork_once(i % 2);
	for (unsigned int i = 0; i < times; i++)
		spawn_once();
	/* The sleeps passed while the parent was inside vfork, off the CPU. */
	truth_bound(truth_me, "syscalls." VFORK_NAME ".blocked_ns", slept_ns, UINT64_MAX);
	truth_bound(truth_me, "syscalls." VFORK_NAME ".on_cpu_ns", 0, slept_ns / 2);
	truth_print();
	return 0;
}
