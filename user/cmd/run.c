// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/credentials.h"
#include "base/escape.h"
#include "base/msg.h"
#include "base/strings.h"
#include "base/vec.h"
#include "cmd/cmd.h"
#include "cmd/session.h"

enum { KEY_COMMAND_START = 1024 };

struct input {
	char **command; /* where CMD begins in argv; NULL: not met yet */
};

static const struct argp_option rows[] = {
	{"user", 'u', "USER", 0, "Run CMD as USER (name or number), with that user's groups", 0},
	{},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options_input *input = state->input;
	struct input *own = input->own;

	switch (key) {
	case ARGP_KEY_INIT:
		options_init_children(state, 3);
		return 0;
	case 'u':
		input->options->user = arg;
		return 0;
	case ARGP_KEY_ARG:
		/* The first word that is no option begins CMD; what follows is all CMD's. */
		own->command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "name a command to run");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = {
	{.argp = &argp_span}, {.argp = &argp_tracing}, {.argp = &argp_output}, {}};
static const struct argp argp = {
	.options = rows,
	.parser = parse,
	.args_doc = "[--] CMD [ARG...]",
	.doc = "Start CMD and trace it from its own execve on, with the processes it starts."
	       "\vCMD's standard streams are not touched; give the report a file with -o where CMD "
	       "prints too. socktrace ends as CMD ended: with its exit status, or by the same "
	       "signal; "
	       "125 if socktrace itself failed, 126 if CMD cannot be executed, 127 if there is "
	       "none.",
	.children = children,
};

/* --- what to run ----------------------------------------------------------------------------- */

static bool is_executable_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

/* As execvp(3) searches PATH. The file's path (freed by the caller), or NULL and errno. */
static char *find_command(const char *name)
{
	const char *path = getenv("PATH"), *end;
	int err = ENOENT;

	if (!name[0]) {
		errno = ENOENT;
		return NULL;
	}
	if (strchr(name, '/')) {
		if (is_executable_file(name))
			return xstrdup(name);
		errno = access(name, F_OK) ? ENOENT : EACCES;
		return NULL;
	}
	for (path = path ? path : "/usr/bin:/bin"; *path || name[0]; path = end + 1) {
		char *file;

		end = strchrnul(path, ':');
		file = xasprintf("%.*s%s%s", (int)(end - path), path, end == path ? "" : "/", name);
		if (is_executable_file(file))
			return file;
		if (!access(file, F_OK))
			err = EACCES;
		free(file);
		if (!*end)
			break;
	}
	errno = err;
	return NULL;
}

static int say_not_found(const char *name)
{
	__cleanup(free) char *shown = escape_terminal(name);
	int err = errno;

	if (err == ENOENT) {
		msg_error("run %s: no such command; check its name and PATH", shown);
		return EXIT_NOT_FOUND;
	}
	msg_error("run %s: cannot be executed: %s; check its mode", shown, strerror(err));
	return EXIT_NOT_EXECUTABLE;
}

/* --- whom to run it as ----------------------------------------------------------------------- */

static int find_user(const char *text, struct credentials *c)
{
	__cleanup(free) char *shown = escape_terminal(text);

	if (!credentials_find(text, c))
		return 0;
	msg_error("no such user: %s; give a name or number that `getent passwd` knows", shown);
	return EXIT_USAGE;
}

/* --- the child ------------------------------------------------------------------------------- */

struct child_plan {
	const char *file;
	char **argv;
	struct credentials credentials;
	const sigset_t *signal_mask;
	void (*inherited_sigchld)(int); /* ignored, it would keep the exit status from us */
	int go[2];			/* to the child: go on */
	int failed[2]; /* from the child: whom it has become, then what failed; 0 or -errno */
};

/* A script without #! is the shell's, as with execvp(3). */
static void exec_by_shell(const struct child_plan *plan)
{
	char **argv;
	size_t nr = 0;

	while (plan->argv[nr])
		nr++;
	argv = xcalloc(nr + 2, sizeof(*argv));
	argv[0] = "/bin/sh";
	argv[1] = (char *)plan->file;
	memcpy(argv + 2, plan->argv + 1, nr * sizeof(*argv));
	execv(argv[0], argv);
}

static void tell(const struct child_plan *plan, int err)
{
	if (write(plan->failed[1], &err, sizeof(err)) != sizeof(err))
		_exit(EXIT_RUN_FAILED);
}

__attribute__((noreturn)) static void be_child(const struct child_plan *plan)
{
	int err = credentials_become(&plan->credentials);
	char byte;

	signal(SIGPIPE, inherited_sigpipe);
	signal(SIGXFSZ, inherited_sigxfsz);
	signal(SIGCHLD, plan->inherited_sigchld);
	sigprocmask(SIG_SETMASK, plan->signal_mask, NULL);
	tell(plan, err);
	/* Without a word from the parent, it is gone: nothing to run for. */
	if (err || read(plan->go[0], &byte, 1) != 1)
		_exit(EXIT_RUN_FAILED);
	execv(plan->file, plan->argv);
	err = -errno;
	if (errno == ENOEXEC)
		exec_by_shell(plan);
	tell(plan, err);
	_exit(EXIT_NOT_EXECUTABLE);
}

static int start_child(struct child_plan *plan, struct session *s)
{
	struct target *t;
	int err;

	if (pipe2(plan->go, O_CLOEXEC) || pipe2(plan->failed, O_CLOEXEC))
		return -errno;
	s->child = fork();
	if (s->child < 0)
		return -errno;
	if (!s->child) {
		close(plan->go[1]);
		be_child(plan);
	}
	s->signals.child = s->child;
	close(plan->go[0]);
	close(plan->failed[1]);
	s->failed_fd = plan->failed[0];
	s->go_fd = plan->go[1];
	t = vec_push(s->targets, s->nr_targets, s->cap_targets);
	t->pid = s->child;
	t->pidfd = syscall(SYS_pidfd_open, s->child, 0);
	if (t->pidfd < 0)
		return -errno;
	return read(s->failed_fd, &err, sizeof(err)) == sizeof(err) ? err : -ECHILD;
}

/* --- the end --------------------------------------------------------------------------------- */

/* As CMD ended, without a core dump of our own. */
static int end_like(int status)
{
	const struct rlimit no_core = {};
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	sig = WTERMSIG(status);
	setrlimit(RLIMIT_CORE, &no_core);
	fflush(NULL);
	signal(sig, SIG_DFL);
	kill(getpid(), sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + sig;
}

static void say_not_executed(const struct session *s, const struct child_plan *plan, int err)
{
	if (err == -ENOENT && !access(plan->file, F_OK))
		msg_error("run %s: the interpreter that it names is missing", s->name);
	else
		msg_error("run %s: %s", s->name, strerror(-err));
}

static int exit_code(struct session *s, const struct child_plan *plan, int code)
{
	int err = session_exec_error(s);

	if (err) {
		say_not_executed(s, plan, err);
		return err == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	if (code != EXIT_COMPLETE || !s->has_child_ended)
		return EXIT_RUN_FAILED;
	return end_like(s->child_status);
}

static int trace_command(struct session *s, struct child_plan *plan)
{
	int err = start_child(plan, s), code;

	if (err == -EPERM && plan->credentials.change)
		msg_error("run %s as another user: %s; run as root", s->name, strerror(-err));
	else if (err)
		msg_error("start %s: %s", s->name, strerror(-err));
	if (err && s->child > 0) { /* it finds its pipe closed, and ends */
		close(s->go_fd);
		waitpid(s->child, NULL, 0);
	}
	if (err)
		return EXIT_RUN_FAILED;
	code = session_run(s);
	return exit_code(s, plan, code);
}

static int start_as(struct session *s, struct child_plan *plan)
{
	int code = s->options.user ? find_user(s->options.user, &plan->credentials) : 0;

	if (!code && signals_open(&s->signals))
		code = EXIT_RUN_FAILED;
	plan->signal_mask = &s->signals.was;
	plan->inherited_sigchld = signal(SIGCHLD, SIG_DFL);
	if (!code)
		code = trace_command(s, plan);
	if (s->nr_targets)
		close(s->targets[0].pidfd);
	signals_close(&s->signals);
	free(s->targets);
	free(plan->credentials.name);
	return code;
}

static int run(int argc, char **argv)
{
	struct session s = {
		.mode = "run",
		.signals.fd = -1,
		.began_ns = session_now_ns(),
		.command = strings_clean(argv),
		.options.follow = true,
	};
	struct input input = {};
	struct child_plan plan = {};
	char *file;
	int code;

	exit_without_memory = EXIT_RUN_FAILED;
	options_parse(&argp, ARGP_IN_ORDER, argc, argv, &s.options, &input);
	s.name = escape_terminal(input.command[0]);
	file = find_command(input.command[0]);
	plan.file = file;
	plan.argv = input.command;
	code = file ? start_as(&s, &plan) : say_not_found(input.command[0]);
	strings_free(s.command);
	free(s.name);
	free(file);
	return code;
}

const struct command command_run = {
	"run",
	"[--] CMD [ARG...]",
	"start CMD traced from its first instruction",
	run,
};
