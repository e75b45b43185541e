/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_OUTFILE_H
#define SOCKTRACE_BASE_OUTFILE_H

#include <stdio.h>

/*
 * An output file that appears whole or not at all: written to a temporary file in the same
 * directory, which has no name where the file system can do that, then fsync and rename(2). An
 * earlier file survives a failed run.
 *
 *	struct outfile *f;
 *	err = outfile_open(&f, path);   0 or -errno, message printed
 *	fprintf(outfile_stream(f), …);
 *	err = outfile_commit(f);        0 or -errno, message printed; f is gone either way
 *	outfile_abort(f);               instead: nothing is left; f may be NULL
 *
 * Refused with a message: a symbolic link (-ELOOP), anything but a regular file (-EISDIR,
 * -EINVAL). Under sudo (SUDO_UID, SUDO_GID) the file belongs to the invoking user. Mode is 0666
 * less the umask, or that of the earlier file. outfile_open() already fails where the directory
 * is read-only, so that the person hears of it before the measurement, not after.
 */
struct outfile;

int outfile_open(struct outfile **f, const char *path);
FILE *outfile_stream(struct outfile *f);
int outfile_commit(struct outfile *f);
void outfile_abort(struct outfile *f);

#endif
