/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/nofile.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "vmm/util/log.h"

static struct rlimit before;
static bool raised;

void nofile_raise(void)
{
	struct rlimit lim;

	if (raised || getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur == lim.rlim_max)
		return;
	before = lim;
	lim.rlim_cur = lim.rlim_max;
	raised = !setrlimit(RLIMIT_NOFILE, &lim);
	if (!raised)
		log_debug("raise the limit of open files: %s", strerror(errno));
}

void nofile_restore(void)
{
	struct rlimit lim;

	/* The hard limit is whatever it is by now. */
	if (!raised || getrlimit(RLIMIT_NOFILE, &lim))
		return;
	lim.rlim_cur = before.rlim_cur < lim.rlim_max ? before.rlim_cur : lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}
