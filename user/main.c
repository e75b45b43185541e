// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/msg.h"
#include "base/streams.h"
#include "base/version.h"
#include "cmd/cmd.h"
#include "kernel/kernel.h"

static const struct command *const commands[] = {
	&command_attach,   &command_run,    &command_run_workload,
	&command_workload, &command_report, &command_doctor,
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

void (*inherited_sigpipe)(int), (*inherited_sigxfsz)(int);

static void print_help(FILE *out)
{
	fputs("usage: socktrace COMMAND [OPTION...]\n\n"
	      "Counts what a network service does at the kernel's boundary: every system call, "
	      "where\n"
	      "its time goes, every context switch, exactly, while the service keeps its "
	      "speed.\n\n",
	      out);
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-12s %-22s %s\n", commands[i]->name, commands[i]->args,
			commands[i]->summary);
	fputs("\n  --help      this text; `socktrace COMMAND --help` for a command's options\n"
	      "  --version   version, commit, libbpf\n",
	      out);
}

/*
 * A standard stream that was closed gets a file with which its use still fails, so that no other
 * takes its number. What `run` executes finds it closed as it was.
 */
static void occupy_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode | O_CLOEXEC) != fd)
			_exit(EXIT_FAILED); /* there is nowhere to say why */
	}
}

int command_said(int code)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	msg_error("write to standard output: %s", streams_why(errno ? errno : EIO));
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	occupy_standard_descriptors();
	streams_open();
	/* A reader of our output that goes away is an error to report, not a death; so is a limit.
	 */
	inherited_sigpipe = signal(SIGPIPE, SIG_IGN);
	inherited_sigxfsz = signal(SIGXFSZ, SIG_IGN);
	kernel_init_messages();
	if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
		print_help(stdout);
		return command_said(EXIT_COMPLETE);
	}
	if (!strcmp(name, "--version")) {
		printf("socktrace %s (%s), libbpf %s\n", socktrace_version, socktrace_commit,
		       kernel_libbpf_version());
		return command_said(EXIT_COMPLETE);
	}
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (!strcmp(name, commands[i]->name))
			return commands[i]->run(argc - 1, argv + 1);
	}
	if (name[0])
		fprintf(stderr, "socktrace: no such command: %s\n\n", name);
	print_help(stderr);
	return EXIT_USAGE;
}
