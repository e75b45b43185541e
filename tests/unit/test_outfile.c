// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/outfile.h"

#define NOBODY 65534

/* Every test works in a directory of its own, which holds nothing at first. */
static char dir[64];
static char path[128];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/socktrace-test-XXXXXX");
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/out", dir);
	return 0;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* How many names the directory holds. */
static int count_names(const char *of)
{
	DIR *d = opendir(of);
	struct dirent *e;
	int nr = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		nr += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return nr;
}

static void write_file(const char *name, const char *content, mode_t mode)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	assert_int_equal(chmod(name, mode), 0);
}

static void assert_content(const char *name, const char *content)
{
	char *text = read_file(name, NULL);

	assert_string_equal(text, content);
	free(text);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(name, &st), 0);
	return st.st_mode;
}

/* Standard error goes to a file while @run runs; the caller frees what was said. */
static char *messages_of(void (*run)(void))
{
	char name[] = "/tmp/socktrace-stderr-XXXXXX", *text;
	int fd = mkstemp(name), saved = dup(2);

	assert_true(fd >= 0 && saved >= 0);
	fflush(stderr);
	dup2(fd, 2);
	run();
	fflush(stderr);
	dup2(saved, 2);
	close(saved);
	close(fd);
	text = read_file(name, NULL);
	unlink(name);
	return text;
}

/* --- the promise ---------------------------------------------------------------------------- */

static void test_a_file_appears_only_when_whole(void **state)
{
	struct outfile *f;
	mode_t mask = umask(0007);

	(void)state;
	assert_int_equal(outfile_open(&f, path), 0);
	fputs("half", outfile_stream(f));
	fflush(outfile_stream(f));
	assert_int_not_equal(access(path, F_OK), 0);
	fputs(" and whole\n", outfile_stream(f));
	assert_int_equal(outfile_commit(f), 0);
	assert_content(path, "half and whole\n");
	assert_int_equal(count_names(dir), 1);
	assert_int_equal(mode_of(path), S_IFREG | 0660);
	umask(mask);
}

static void test_a_name_without_directory_is_in_the_current_one(void **state)
{
	char before[4096];
	struct outfile *f;

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(outfile_open(&f, "plain"), 0);
	fputs("x", outfile_stream(f));
	assert_int_equal(outfile_commit(f), 0);
	assert_content("plain", "x");
	assert_int_equal(chdir(before), 0);
}

static void test_a_long_name_works(void **state)
{
	char name[400];
	struct outfile *f;

	(void)state;
	snprintf(name, sizeof(name), "%s/%0255d", dir, 0);
	assert_int_equal(outfile_open(&f, name), 0);
	fputs("x", outfile_stream(f));
	assert_int_equal(outfile_commit(f), 0);
	assert_content(name, "x");
}

static void test_aborting_leaves_nothing(void **state)
{
	struct outfile *f;

	(void)state;
	outfile_abort(NULL);
	assert_int_equal(outfile_open(&f, path), 0);
	fputs("never seen", outfile_stream(f));
	outfile_abort(f);
	assert_int_equal(count_names(dir), 0);
}

static void test_an_earlier_file_survives_an_abort(void **state)
{
	struct outfile *f;

	(void)state;
	write_file(path, "earlier", 0644);
	assert_int_equal(outfile_open(&f, path), 0);
	fputs("never seen", outfile_stream(f));
	assert_content(path, "earlier");
	outfile_abort(f);
	assert_content(path, "earlier");
	assert_int_equal(count_names(dir), 1);
}

/* The mode of the file in the directory that is open and has no name. */
static mode_t mode_of_temporary(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	mode_t mode = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		char target[400] = "";
		struct stat st;

		if (readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1) < 0 ||
		    strncmp(target, dir, strlen(dir)) || fstatat(dirfd(d), e->d_name, &st, 0))
			continue;
		if (S_ISREG(st.st_mode) && !st.st_nlink)
			mode = st.st_mode;
	}
	closedir(d);
	return mode;
}

static void test_a_process_that_is_killed_leaves_nothing(void **state)
{
	int status;
	pid_t child;

	(void)state;
	write_file(path, "earlier", 0644);
	child = fork();
	if (!child) {
		struct outfile *f;

		if (outfile_open(&f, path) || fputs("later", outfile_stream(f)) < 0 ||
		    fflush(outfile_stream(f)))
			_exit(1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(count_names(dir), 1);
	assert_content(path, "earlier");
}

static void test_an_earlier_file_gives_its_mode(void **state)
{
	static const mode_t modes[] = {0600, 0666, 0440};
	mode_t mask = umask(0077);
	struct outfile *f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		write_file(path, "earlier", modes[i]);
		umask(0);
		assert_int_equal(outfile_open(&f, path), 0);
		assert_int_equal(mode_of_temporary(),
				 S_IFREG | 0600); /* private until it is whole */
		fputs("later", outfile_stream(f));
		assert_int_equal(outfile_commit(f), 0);
		assert_content(path, "later");
		assert_int_equal(mode_of(path), S_IFREG | modes[i]);
		assert_int_equal(unlink(path), 0);
	}
	umask(mask);
}

/* --- what is refused ------------------------------------------------------------------------ */

static void assert_refused(const char *name, int err)
{
	struct outfile *f = (struct outfile *)path;
	int before = count_names(dir);

	assert_int_equal(outfile_open(&f, name), err);
	assert_null(f);
	assert_int_equal(count_names(dir), before);
}

static void test_symbolic_links_are_refused(void **state)
{
	char target[128];

	(void)state;
	snprintf(target, sizeof(target), "%s/target", dir);
	write_file(target, "untouched", 0644);
	assert_int_equal(symlink(target, path), 0);
	assert_refused(path, -ELOOP);
	assert_content(target, "untouched");
	assert_true(S_ISLNK(mode_of(path)));
	assert_int_equal(unlink(target), 0); /* a link that leads nowhere is one as well */
	assert_refused(path, -ELOOP);
}

static void test_directories_are_refused(void **state)
{
	char name[160];

	(void)state;
	assert_refused(dir, -EISDIR);
	snprintf(name, sizeof(name), "%s/", dir);
	assert_refused(name, -EISDIR);
	snprintf(name, sizeof(name), "%s/new/", dir);
	assert_refused(name, -EISDIR);
	assert_refused(".", -EISDIR);
	assert_refused("..", -EISDIR);
	assert_refused("/", -EISDIR);
	assert_refused("", -ENOENT);
}

static void test_fifos_and_devices_are_refused_without_waiting(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0666), 0);
	alarm(5); /* opening a FIFO for writing would wait for a reader */
	assert_refused(path, -EINVAL);
	assert_refused("/dev/null", -EINVAL);
	alarm(0);
	assert_true(S_ISFIFO(mode_of(path)));
}

static void test_a_missing_directory_is_an_error(void **state)
{
	char name[160];

	(void)state;
	snprintf(name, sizeof(name), "%s/none/out", dir);
	assert_refused(name, -ENOENT);
	write_file(path, "a file", 0644);
	snprintf(name, sizeof(name), "%s/below", path);
	assert_refused(name, -ENOTDIR);
}

static void test_a_link_put_there_meanwhile_is_refused(void **state)
{
	struct outfile *f;

	(void)state;
	assert_int_equal(outfile_open(&f, path), 0);
	fputs("x", outfile_stream(f));
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(outfile_commit(f), -ELOOP);
	assert_true(S_ISLNK(mode_of(path)));
	assert_int_equal(count_names(dir), 1);
}

static void open_directory(void)
{
	assert_refused(dir, -EISDIR);
}

static void open_hostile_name(void)
{
	assert_refused("/nowhere/\x1b[31m/out", -ENOENT);
}

static void test_messages_say_what_on_what_why_and_what_next(void **state)
{
	char *said = messages_of(open_directory), expected[256];

	(void)state;
	snprintf(expected, sizeof(expected),
		 "socktrace: write %s: it is a directory; name a file in it\n", dir);
	assert_string_equal(said, expected);
	free(said);
	said = messages_of(open_hostile_name);
	assert_string_equal(said,
			    "socktrace: open the directory of /nowhere/\\x1b[31m/out: No such "
			    "file or directory; make the directory, or name a file "
			    "elsewhere\n");
	free(said);
}

/* --- what may fail -------------------------------------------------------------------------- */

/* Runs @body in a child and hands its exit status on; 77: it could not, as said on stderr. */
static void in_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* cmocka's assertions jump out of a child; this ends it. */
static void check(bool truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "in the child: %s does not hold\n", what);
	_exit(1);
}
#define CHECK(expression) check(expression, #expression)

static void write_beyond_limit(void)
{
	const struct rlimit limit = {4096, 4096}; /* of any file of this process, bytes */
	struct outfile *f;

	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(outfile_open(&f, path) == 0);
	for (int i = 0; i < 100; i++)
		fprintf(outfile_stream(f), "%01000d", i);
	CHECK(ferror(outfile_stream(f)));
	CHECK(outfile_commit(f) == -EFBIG);
}

static void test_a_failed_write_keeps_its_errno(void **state)
{
	(void)state;
	write_file(path, "earlier", 0644);
	in_child(write_beyond_limit);
	assert_content(path, "earlier");
	assert_int_equal(count_names(dir), 1);
}

static void require_root(const char *what)
{
	if (geteuid() == 0)
		return;
	fprintf(stderr, "SKIPPED, NOT PROVEN: %s (needs root)\n", what);
	_exit(77);
}

static void mount_tmpfs(const char *options)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", 0, options)) {
		fprintf(stderr, "SKIPPED, NOT PROVEN: a file system of its own: %s\n",
			strerror(errno));
		_exit(77);
	}
}

static void write_on_full_disk(void)
{
	struct outfile *f;

	require_root("a full disk leaves the earlier file");
	mount_tmpfs("size=64k");
	write_file(path, "earlier", 0644);
	CHECK(outfile_open(&f, path) == 0);
	for (int i = 0; i < 1000; i++)
		fprintf(outfile_stream(f), "%01000d", i);
	CHECK(outfile_commit(f) == -ENOSPC);
	CHECK(count_names(dir) == 1);
	assert_content(path, "earlier");
}

static void test_a_full_disk_leaves_the_earlier_file(void **state)
{
	(void)state;
	in_child(write_on_full_disk);
}

static void write_on_nearly_full_disk(void)
{
	struct outfile *f;

	require_root("a full disk is found at the last flush");
	mount_tmpfs("size=16k");
	CHECK(outfile_open(&f, path) == 0);
	fprintf(outfile_stream(f), "%016384d", 0); /* as much as there is */
	CHECK(fflush(outfile_stream(f)) == 0);
	fputs("one byte too many", outfile_stream(f)); /* still in the buffer */
	CHECK(!ferror(outfile_stream(f)));
	CHECK(outfile_commit(f) == -ENOSPC);
	CHECK(count_names(dir) == 0);
}

static void test_a_full_disk_is_found_at_the_last_flush(void **state)
{
	(void)state;
	in_child(write_on_nearly_full_disk);
}

static void open_on_read_only_mount(void)
{
	struct outfile *f;

	require_root("a read-only file system fails at once");
	mount_tmpfs("size=64k");
	CHECK(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
	CHECK(outfile_open(&f, path) == -EROFS);
	CHECK(f == NULL);
}

static void test_a_read_only_file_system_fails_at_once(void **state)
{
	(void)state;
	in_child(open_on_read_only_mount);
}

static void open_in_forbidden_directory(void)
{
	struct outfile *f;

	if (geteuid() == 0)
		CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		      setresuid(NOBODY, NOBODY, NOBODY) == 0);
	CHECK(outfile_open(&f, path) == -EACCES);
	CHECK(f == NULL);
}

static void test_a_directory_without_permission_fails_at_once(void **state)
{
	(void)state;
	assert_int_equal(chmod(dir, 0555), 0);
	in_child(open_in_forbidden_directory);
	assert_int_equal(count_names(dir), 0);
	assert_int_equal(chmod(dir, 0755), 0);
}

/* --- sudo ----------------------------------------------------------------------------------- */

static void write_as(const char *uid, const char *gid)
{
	struct outfile *f;

	CHECK(setenv("SUDO_UID", uid, 1) == 0 && setenv("SUDO_GID", gid, 1) == 0);
	CHECK(outfile_open(&f, path) == 0);
	fputs("x", outfile_stream(f));
	CHECK(outfile_commit(f) == 0);
}

static void write_under_sudo(void)
{
	static const char *const no_ids[] = {
		"", "-1", " 1234", "+1234", "1234x", "4294967295", "-18446744073709550382",
	};
	struct stat st;

	require_root("under sudo the file belongs to the invoking user");
	write_as("1234", "5678");
	CHECK(lstat(path, &st) == 0);
	CHECK(st.st_uid == 1234 && st.st_gid == 5678);
	CHECK(unlink(path) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(no_ids); i++) { /* as if sudo had not been there */
		write_as(no_ids[i], "5678");
		CHECK(lstat(path, &st) == 0);
		CHECK(st.st_uid == 0 && st.st_gid == getegid());
		CHECK(unlink(path) == 0);
	}
}

static void test_under_sudo_the_file_belongs_to_the_user(void **state)
{
	(void)state;
	in_child(write_under_sudo);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(test_a_file_appears_only_when_whole),
		IN_DIR(test_a_name_without_directory_is_in_the_current_one),
		IN_DIR(test_a_long_name_works),
		IN_DIR(test_aborting_leaves_nothing),
		IN_DIR(test_an_earlier_file_survives_an_abort),
		IN_DIR(test_an_earlier_file_gives_its_mode),
		IN_DIR(test_a_process_that_is_killed_leaves_nothing),
		IN_DIR(test_symbolic_links_are_refused),
		IN_DIR(test_directories_are_refused),
		IN_DIR(test_fifos_and_devices_are_refused_without_waiting),
		IN_DIR(test_a_missing_directory_is_an_error),
		IN_DIR(test_a_link_put_there_meanwhile_is_refused),
		IN_DIR(test_messages_say_what_on_what_why_and_what_next),
		IN_DIR(test_a_failed_write_keeps_its_errno),
		IN_DIR(test_a_full_disk_leaves_the_earlier_file),
		IN_DIR(test_a_full_disk_is_found_at_the_last_flush),
		IN_DIR(test_a_read_only_file_system_fails_at_once),
		IN_DIR(test_a_directory_without_permission_fails_at_once),
		IN_DIR(test_under_sudo_the_file_belongs_to_the_user),
	};

	return cmocka_run_group_tests_name("outfile", tests, NULL, NULL);
}
