// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "base/outfile.h"

struct outfile {
	char *shown;   /* the path as typed, safe to print */
	char *name;    /* of the target, within the directory */
	char temp[40]; /* of the temporary file; empty once it has another name or is gone */
	int dir_fd, fd;
	int error; /* -errno of the first write that failed */
	FILE *stream;
	bool had_earlier;
	mode_t earlier_mode;
};

/* --- the target --------------------------------------------------------------------------- */

static int refuse(const struct outfile *f, int err, const char *why, const char *next)
{
	msg_error("write %s: %s; %s", f->shown, why, next);
	return err;
}

static int fail(const struct outfile *f, const char *what, int err, const char *next)
{
	msg_error("%s %s: %s; %s", what, f->shown, strerror(-err), next);
	return err;
}

/*
 * Refuses a target that is there and is not a regular file. rename(2) follows no link, so this
 * protects nobody's file: it keeps what the person did not mean from happening silently.
 */
static int check_target(struct outfile *f)
{
	struct stat st;

	f->had_earlier = false;
	if (fstatat(f->dir_fd, f->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : fail(f, "look at", -errno, "name another file");
	if (S_ISLNK(st.st_mode))
		return refuse(f, -ELOOP, "it is a symbolic link", "name the file it leads to");
	if (S_ISDIR(st.st_mode))
		return refuse(f, -EISDIR, "it is a directory", "name a file in it");
	if (!S_ISREG(st.st_mode))
		return refuse(f, -EINVAL, "it is not a regular file",
			      "name a regular file, or leave out --output and redirect");
	f->had_earlier = true;
	f->earlier_mode = st.st_mode & 0777;
	return 0;
}

/* "a/b" is file "b" in directory "a"; "a/", "." and ".." are directories. */
static int open_directory(struct outfile *f, const char *path)
{
	char *copy = xstrdup(path);
	const char *slash = strrchr(path, '/');
	int err = 0;

	f->name = xstrdup(slash ? slash + 1 : path);
	if (!*path)
		err = refuse(f, -ENOENT, "the name is empty", "name a file");
	else if (!*f->name || !strcmp(f->name, ".") || !strcmp(f->name, ".."))
		err = refuse(f, -EISDIR, "it is a directory", "name a file in it");
	if (!err) {
		f->dir_fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (f->dir_fd < 0)
			err = fail(f, "open the directory of", -errno,
				   "make the directory, or name a file elsewhere");
	}
	free(copy);
	return err;
}

/* --- the temporary file ------------------------------------------------------------------- */

/* A name for it that no file there has; EEXIST where chance has chosen one that has. */
static int choose_temp(struct outfile *f)
{
	uint64_t suffix;

	if (getrandom(&suffix, sizeof(suffix), 0) != sizeof(suffix))
		return -errno;
	snprintf(f->temp, sizeof(f->temp), ".socktrace-%016" PRIx64 ".tmp", suffix);
	return 0;
}

/* Where files cannot be without a name: -errno. */
static int create_named(struct outfile *f, mode_t mode)
{
	int err;

	do {
		err = choose_temp(f);
		if (err)
			break;
		f->fd = openat(f->dir_fd, f->temp,
			       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		err = f->fd < 0 ? -errno : 0;
	} while (err == -EEXIST);
	if (err)
		f->temp[0] = '\0';
	return err;
}

/*
 * A file without a name is gone with this process, whatever ends it (open(2), O_TMPFILE). Not every
 * file system has them.
 */
static int create_temp(struct outfile *f)
{
	/* An earlier file may be private: until it has its mode, so is the new one. */
	mode_t mode = f->had_earlier ? 0600 : 0666;
	int err = 0;

	f->fd = openat(f->dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	if (f->fd < 0)
		err = errno == EOPNOTSUPP || errno == EISDIR ? create_named(f, mode) : -errno;
	if (!err)
		return 0;
	return fail(f, "create a file beside", err,
		    "name a file in a directory that you may write to");
}

/* Gives a file without a name one, for rename(2), which linkat(2) cannot do over an earlier file.
 */
static int name_temp(struct outfile *f)
{
	__cleanup(free) char *path = xasprintf("/proc/self/fd/%d", f->fd);
	int err;

	if (f->temp[0])
		return 0;
	do {
		err = choose_temp(f);
		if (!err && linkat(AT_FDCWD, path, f->dir_fd, f->temp, AT_SYMLINK_FOLLOW))
			err = -errno;
	} while (err == -EEXIST);
	if (!err)
		return 0;
	f->temp[0] = '\0';
	return fail(f, "name the finished file beside", err, "name another file");
}

/* A number from the environment that sudo sets; false if it is not there or not an id. */
static bool id_from_env(const char *name, uint32_t *id)
{
	const char *text = getenv(name);
	unsigned long long n;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || n >= UINT32_MAX)
		return false;
	*id = n;
	return true;
}

static int set_owner_and_mode(struct outfile *f)
{
	uint32_t uid, gid;

	if (geteuid() == 0 && id_from_env("SUDO_UID", &uid) && id_from_env("SUDO_GID", &gid) &&
	    fchown(f->fd, uid, gid))
		return fail(f, "give its owner to", -errno, "name a file on another file system");
	if (f->had_earlier && fchmod(f->fd, f->earlier_mode))
		return fail(f, "set the mode of", -errno, "name a file on another file system");
	return 0;
}

/*
 * The stream writes through this and not through its own descriptor, to keep the errno of the
 * first failure: stdio only remembers that there was one.
 */
static ssize_t stream_write(void *cookie, const char *bytes, size_t len)
{
	struct outfile *f = cookie;
	size_t done = 0;

	while (done < len && !f->error) {
		ssize_t n = write(f->fd, bytes + done, len - done);

		if (n >= 0)
			done += n;
		else if (errno != EINTR)
			f->error = -errno;
	}
	return done == len ? (ssize_t)len : 0; /* 0, not -1, is an error: see fopencookie(3) */
}

static int open_stream(struct outfile *f)
{
	f->stream = fopencookie(f, "w", (cookie_io_functions_t){.write = stream_write});
	return f->stream ? 0 : fail(f, "open a stream to", -errno, "try again");
}

/* --- the file as a whole ------------------------------------------------------------------ */

int outfile_open(struct outfile **out, const char *path)
{
	struct outfile *f = xcalloc(1, sizeof(*f));
	int err;

	*out = NULL;
	f->dir_fd = f->fd = -1;
	f->shown = escape_terminal(path);
	err = open_directory(f, path);
	if (!err)
		err = check_target(f);
	if (!err)
		err = create_temp(f);
	if (!err)
		err = open_stream(f);
	if (err)
		outfile_abort(f);
	else
		*out = f;
	return err;
}

FILE *outfile_stream(struct outfile *f)
{
	return f->stream;
}

/* All that was printed is on the disk, or an error. */
static int finish_content(struct outfile *f)
{
	static const char next[] = "an earlier file is as it was; free space or name another file";
	bool failed = fflush(f->stream) || ferror(f->stream);

	if (failed)
		return fail(f, "write", f->error ? f->error : -EIO, next);
	if (fsync(f->fd))
		return fail(f, "write", -errno, next);
	return 0;
}

static int take_name(struct outfile *f)
{
	int err = name_temp(f);

	if (err)
		return err;
	if (renameat(f->dir_fd, f->temp, f->dir_fd, f->name))
		return fail(f, "rename the finished file to", -errno, "name another file");
	f->temp[0] = '\0';
	/* EINVAL: a file system that keeps no directories on a disk. */
	if (fsync(f->dir_fd) && errno != EINVAL)
		return fail(f, "write the directory of", -errno,
			    "the file is whole, but might not survive a power failure");
	return 0;
}

int outfile_commit(struct outfile *f)
{
	int err = finish_content(f);

	if (!err)
		err = check_target(f);
	if (!err)
		err = set_owner_and_mode(f);
	if (!err)
		err = take_name(f);
	outfile_abort(f);
	return err;
}

void outfile_abort(struct outfile *f)
{
	if (!f)
		return;
	if (f->stream)
		fclose(f->stream);
	if (f->fd >= 0)
		close(f->fd);
	if (f->temp[0])
		unlinkat(f->dir_fd, f->temp, 0);
	if (f->dir_fd >= 0)
		close(f->dir_fd);
	free(f->name);
	free(f->shown);
	free(f);
}
