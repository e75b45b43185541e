// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/streams.h"

/* A pipe that poll(2) finds writable takes so much without a wait (PIPE_BUF, pipe(7)). */
#define PIECE 4096
/* ms before the next try where poll(2) and write(2) do not agree on whether there is room */
#define DISAGREED_MS 10

struct stream {
	int fd;	      /* 1 or 2, or a file description of our own that does not block */
	int given_fd; /* 1 or 2 */
	bool is_socket;
	bool may_block;
	bool is_given_up;
};

static struct stream out = {.fd = STDOUT_FILENO, .given_fd = STDOUT_FILENO};
static struct stream err = {.fd = STDERR_FILENO, .given_fd = STDERR_FILENO};

static struct {
	int fd;
	unsigned int (*take)(void *arg);
	void *arg;
	bool is_hurried, is_over; /* patience has a limit; has none left */
	uint64_t since_ns;	  /* is_hurried: when it began, or something was last taken */
} watch = {.fd = -1};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void streams_watch(int fd, unsigned int (*take)(void *arg), void *arg)
{
	watch.fd = fd;
	watch.take = take;
	watch.arg = arg;
}

void streams_hurry(void)
{
	watch.is_hurried = true;
	watch.since_ns = now_ns();
}

/* Signals came while a write waits: the first limits its patience, one more ends it. */
static void take_signals(void)
{
	unsigned int nr = watch.take(watch.arg);

	watch.is_over |= nr && (watch.is_hurried || nr > 1);
	if (nr)
		streams_hurry();
}

/* ms; -1: for ever */
static int patience_ms(void)
{
	uint64_t passed_ms;

	if (watch.is_over)
		return 0;
	if (!watch.is_hurried)
		return -1;
	passed_ms = (now_ns() - watch.since_ns) / 1000000;
	return passed_ms < STREAMS_PATIENCE_MS ? STREAMS_PATIENCE_MS - passed_ms : 0;
}

/* Until @s can be written to: 0. -STREAM_GIVEN_UP: nobody reads, and there is no more time. */
static int await_room(const struct stream *s, bool disagreed)
{
	for (;;) {
		struct pollfd fds[] = {{disagreed ? -1 : s->fd, POLLOUT, 0}, {watch.fd, POLLIN, 0}};
		int patience = patience_ms(), nr;

		nr = poll(fds, 2, disagreed && patience ? DISAGREED_MS : patience);
		if (nr < 0 && errno != EINTR)
			return -errno;
		if (nr > 0 && fds[0].revents)
			return 0;
		if (nr > 0 && fds[1].revents)
			take_signals();
		else if (!nr && !patience)
			return -STREAM_GIVEN_UP;
		else if (!nr && disagreed)
			disagreed = false;
	}
}

static ssize_t write_piece(const struct stream *s, const char *bytes, size_t len)
{
	if (s->may_block && len > PIECE)
		len = PIECE;
	if (s->is_socket)
		return send(s->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(s->fd, bytes, len);
}

/* stdio's: fewer than @len is an error, with errno. */
static ssize_t stream_write(void *cookie, const char *bytes, size_t len)
{
	struct stream *s = cookie;
	bool disagreed = false;
	size_t done = 0;
	int error = s->is_given_up ? -STREAM_GIVEN_UP : 0;

	while (done < len && !error) {
		ssize_t n;

		error = await_room(s, disagreed);
		if (error)
			break;
		n = write_piece(s, bytes + done, len - done);
		disagreed = n < 0 && errno == EAGAIN;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			error = -errno;
		if (n > 0) {
			done += n;
			watch.since_ns = now_ns();
		}
	}
	s->is_given_up |= error == -STREAM_GIVEN_UP;
	errno = -error;
	return done; /* short, not -1, is an error: see fopencookie(3) */
}

/*
 * A pipe or terminal is opened anew, to wait for it in poll(2) alone: O_NONBLOCK belongs to the
 * file description, which others share. Where that is not allowed, or there is another writer that
 * takes the room just seen, the write itself may wait.
 */
static void own_description(struct stream *s)
{
	char path[32];
	struct stat st;
	int fd, flags = fcntl(s->given_fd, F_GETFL);

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || fstat(s->given_fd, &st))
		return;
	s->is_socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !isatty(s->given_fd))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->given_fd);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (flags & O_APPEND));
	s->may_block = fd < 0;
	if (fd >= 0)
		s->fd = fd;
}

/* Lines to a terminal go as they come. stdio's own stream stays where memory is short. */
static void open_stream(struct stream *s, FILE **stdio, int buffered)
{
	FILE *f = fopencookie(s, "w", (cookie_io_functions_t){.write = stream_write});

	if (!f)
		return;
	own_description(s);
	setvbuf(f, NULL, buffered, BUFSIZ);
	*stdio = f;
}

void streams_open(void)
{
	open_stream(&out, &stdout, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
	open_stream(&err, &stderr, _IONBF);
}

bool streams_can_say(void)
{
	struct pollfd fd = {err.fd, POLLOUT, 0};

	return !err.is_given_up && poll(&fd, 1, 0) > 0;
}

const char *streams_why(int error)
{
	return error == STREAM_GIVEN_UP ? "its reader takes nothing" : strerror(error);
}
