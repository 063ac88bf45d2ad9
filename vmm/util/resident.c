/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/resident.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int resident_open(void)
{
	return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* seccomp control vcpu: pread64 -- how much memory we use: metrics, and the probe device */
bool resident_read(int fd, uint64_t *bytes)
{
	unsigned long long pages;
	char text[128];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	/* Columns are in pages: size, resident, shared, ... */
	if (sscanf(text, "%*u %llu", &pages) != 1)
		return false;
	*bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}
