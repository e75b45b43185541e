// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/msg.h"
#include "workload/links.h"

/* The child: ip(8) in the namespace @netns, commands from @input. */
__attribute__((noreturn)) static void exec_ip(int netns, int input)
{
	if (setns(netns, CLONE_NEWNET) || dup2(input, STDIN_FILENO) < 0)
		_exit(126);
	execlp("ip", "ip", "-batch", "-", NULL);
	_exit(127);
}

static int wait_for_ip(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		msg_error("make links: there is no ip(8); apt install iproute2");
	else
		msg_error("make links: `ip -batch` failed; network namespaces and veth need root "
			  "and a kernel that has them (--topology loopback does without)");
	return -1;
}

/* Lets ip(8) carry out @commands, one a line, in @pid's namespace. */
static int ip_in(pid_t pid, const char *commands)
{
	__cleanup(free) char *path = xasprintf("/proc/%d/ns/net", pid);
	__cleanup(close_fd) int netns = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = strlen(commands);
	int pipe[2];
	pid_t child;

	if (netns < 0 || pipe2(pipe, O_CLOEXEC)) {
		msg_error("make links: %s: %s", path, strerror(errno));
		return -1;
	}
	child = fork();
	if (!child)
		exec_ip(netns, pipe[0]);
	close(pipe[0]);
	/* A few lines: less than a pipe holds. ip(8) that is gone is told by its status. */
	if (child > 0 && write(pipe[1], commands, len) != (ssize_t)len)
		msg_verbose("write to ip(8): %s", strerror(errno));
	close(pipe[1]);
	if (child < 0) {
		msg_error("start ip(8): %s", strerror(errno));
		return -1;
	}
	return wait_for_ip(child);
}

int links_open(pid_t pid, unsigned int index)
{
	__cleanup(free) char *commands = xasprintf("link set lo up\n"
						   "link add link%u type veth peer name far%u\n"
						   "address add 10.77.%u.1/24 dev link%u\n"
						   "link set link%u up\n",
						   index, index, index, index, index);

	return ip_in(pid, commands);
}

int links_join(pid_t pid, pid_t to, unsigned int index)
{
	__cleanup(free) char *near = xasprintf("link set far%u netns %d\n", index, to);
	__cleanup(free) char *far = xasprintf("link set lo up\n"
					      "address add 10.77.%u.2/24 dev far%u\n"
					      "link set far%u up\n",
					      index, index, index);

	return ip_in(pid, near) ?: ip_in(to, far);
}
