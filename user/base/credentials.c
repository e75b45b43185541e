// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/credentials.h"
#include "base/parse.h"

int credentials_find(const char *text, struct credentials *c)
{
	struct passwd *pw = getpwnam(text);
	uint64_t uid;

	if (!pw && !parse_u64(text, 0, UINT32_MAX - 1, &uid))
		pw = getpwuid(uid);
	if (!pw)
		return -ENOENT;
	c->change = true;
	c->name = xstrdup(pw->pw_name);
	c->uid = pw->pw_uid;
	c->gid = pw->pw_gid;
	return 0;
}

int credentials_unprivileged(struct credentials *c)
{
	const char *sudo_uid = getenv("SUDO_UID");

	if (geteuid())
		return 0;
	if (sudo_uid && !credentials_find(sudo_uid, c) && c->uid)
		return 0;
	free(c->name);
	c->name = NULL;
	return credentials_find("nobody", c);
}

/* Groups first: once the user is gone, they cannot be changed any more. */
int credentials_become(const struct credentials *c)
{
	if (!c->change)
		return 0;
	if (initgroups(c->name, c->gid) || setgid(c->gid) || setuid(c->uid))
		return -errno;
	/* Nobody can go back: setuid(2) set the real, effective and saved ids. */
	if (c->uid && !setuid(0))
		return -EPERM;
	return 0;
}
