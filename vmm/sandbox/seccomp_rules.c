/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "vmm/sandbox/seccomp_impl.h"
#include "vmm/util/bits.h"

struct named {
	unsigned long value;
	const char *name;
};

#define FILTER(lines)                    \
	{                                \
		lines, ARRAY_SIZE(lines) \
	}
#include "seccomp_rules.inc"

struct filter seccomp_filter(enum thread_role role, unsigned int rights)
{
	return filters[role][rights & (RIGHT_SETS - 1)];
}

const char *seccomp_call_name(long nr)
{
	return nr >= 0 && (size_t)nr < ARRAY_SIZE(call_names) ? call_names[nr] : NULL;
}

const char *seccomp_ioctl_name(unsigned long request)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ioctl_names); i++)
		if (ioctl_names[i].value == request)
			return ioctl_names[i].name;
	return NULL;
}
