// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "base/version.h"

const char socktrace_version[] = SOCKTRACE_VERSION;
const char socktrace_commit[] = SOCKTRACE_COMMIT;
