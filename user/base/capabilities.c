// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "base/capabilities.h"

#define EVERY_SET \
	(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET | CAPNG_AMBIENT)

int capabilities_keep(uint64_t keep)
{
	bool may_bound;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (capng_get_caps_process())
		return -EPERM;
	/* Without it the bounding set is what it is: no_new_privs makes it harmless. */
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (unsigned int i = 0; i <= CAP_LAST_CAP; i++) {
		if (!(keep & CAPABILITY(i)))
			capng_update(CAPNG_DROP, EVERY_SET, i);
	}
	return capng_apply(may_bound ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT)
		       ? -EPERM
		       : 0;
}
