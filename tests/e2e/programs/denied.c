// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * denied [-n CALLS]: calls that a seccomp filter answers. Such a call is seen on its way out only:
 * it was never entered.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "truth.h"

static unsigned int count = 10;

/* Answers calls to @nr with @action, in the calling thread and its children. */
static void filter(unsigned int nr, unsigned int action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	truth_check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
	truth_check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp");
}

static void trapped(int signal)
{
	(void)signal;
}

static void *errno_thread(void *unused)
{
	truth_thread_begin();
	filter(SYS_getppid, SECCOMP_RET_ERRNO | EPERM);
	for (unsigned int i = 0; i < count; i++)
		truth_check(syscall(SYS_getppid) == -1 && errno == EPERM, "getppid");
	truth_of(truth_me, "getppid")->denied += count;
	for (unsigned int i = 0; i < count; i++)
		CALL(getuid);
	truth_of(truth_me, "exit")->no_return++;
	return unused;
}

static void *trap_thread(void *unused)
{
	struct sigaction action = {.sa_handler = trapped};

	truth_thread_begin();
	truth_check(sigaction(SIGSYS, &action, NULL) == 0, "sigaction");
	filter(SYS_getgid, SECCOMP_RET_TRAP);
	for (unsigned int i = 0; i < count; i++)
		syscall(SYS_getgid);
	truth_of(truth_me, "getgid")->denied += count;
	truth_of(truth_me, "rt_sigreturn")->calls += count;
	for (unsigned int i = 0; i < count; i++)
		CALL(getuid);
	truth_of(truth_me, "exit")->no_return++;
	return unused;
}

/* Without a tracer, SECCOMP_RET_TRACE answers ENOSYS. */
static void *trace_thread(void *unused)
{
	truth_thread_begin();
	filter(SYS_getegid, SECCOMP_RET_TRACE);
	for (unsigned int i = 0; i < count; i++)
		truth_check(syscall(SYS_getegid) == -1 && errno == ENOSYS, "getegid");
	truth_of(truth_me, "getegid")->denied += count;
	truth_of(truth_me, "exit")->no_return++;
	return unused;
}

/* Dies before the call is entered: it is neither a call nor one that did not return. */
static void *killed_thread(void *unused)
{
	truth_thread_begin();
	filter(SYS_geteuid, SECCOMP_RET_KILL_THREAD);
	for (unsigned int i = 0; i < count; i++)
		CALL(getuid);
	truth_of(truth_me, "geteuid");
	truth_of(truth_me, "exit");
	syscall(SYS_geteuid);
	truth_fail("geteuid returned");
	return unused;
}

static void in_thread(void *(*run)(void *))
{
	pthread_t id;

	truth_check(!pthread_create(&id, NULL, run, NULL), "pthread_create");
	truth_check(!pthread_join(id, NULL), "pthread_join");
}

/* Since Linux 5.15 (307d522f5eb8); before, a process that seccomp kills dies where it stands. */
static bool is_killed_on_the_way_out(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	truth_check(!uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2, "uname");
	return major > 5 || (major == 5 && minor >= 15);
}

/* The whole process is killed; where that is on the call's way out, it was denied. */
static void killed_process(void)
{
	struct rlimit none = {0};
	pid_t pid = fork();

	truth_check(pid >= 0, "fork");
	if (pid) {
		truth_check((truth_reap(pid, NULL) & ~0x80) == SIGSYS, "the killed process");
		return;
	}
	truth_process_begin()->status = SIGSYS;
	setrlimit(RLIMIT_CORE, &none);
	filter(SYS_geteuid, SECCOMP_RET_KILL_PROCESS);
	for (unsigned int i = 0; i < count; i++)
		CALL(getuid);
	truth_of(truth_me, "geteuid")->denied = is_killed_on_the_way_out();
	truth_of(truth_me, "exit_group");
	syscall(SYS_geteuid);
	truth_fail("geteuid returned");
}

int main(int argc, char **argv)
{
	while (truth_getopt(argc, argv, "n:") != -1)
		count = truth_number(optarg, 1, 1000000);
	truth_init("denied", 16);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	in_thread(errno_thread);
	in_thread(trap_thread);
	in_thread(trace_thread);
	in_thread(killed_thread);
	killed_process();
	truth_print();
	return 0;
}
