/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/huge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

const char *const hugepages_names[HUGEPAGES_KINDS] = {
	[HUGEPAGES_AUTO] = "auto",
	[HUGEPAGES_OFF] = "off",
	[HUGEPAGES_THP] = "thp",
	[HUGEPAGES_2M] = "2M",
	[HUGEPAGES_1G] = "1G",
};

uint64_t huge_page_size(enum hugepages kind)
{
	if (kind == HUGEPAGES_2M)
		return MIB(2);
	return kind == HUGEPAGES_1G ? GIB(1) : 0;
}

/* The file's text in buf, or an empty string. */
static const char *read_text(const char *path, char *buf, size_t room)
{
	_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, room - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static bool read_count(const char *dir, const char *name, uint64_t *out)
{
	char path[256], text[32], *end;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	read_text(path, text, sizeof(text));
	*out = strtoull(text, &end, 10);
	return end != text;
}

/*
 * Admin guide, "HugeTLB Pages": reserved pages are free ones that somebody has been promised, and
 * the kernel may make surplus ones up to nr_overcommit when they are asked for.
 */
static bool pool_has(const char *dir, uint64_t *available, uint64_t *total)
{
	uint64_t unused, reserved, overcommit, surplus;

	if (!read_count(dir, "nr_hugepages", total) ||
		!read_count(dir, "free_hugepages", &unused) ||
		!read_count(dir, "resv_hugepages", &reserved))
		return false;
	if (!read_count(dir, "nr_overcommit_hugepages", &overcommit) ||
		!read_count(dir, "surplus_hugepages", &surplus))
		overcommit = surplus = 0;
	*available = unused > reserved ? unused - reserved : 0;
	if (overcommit > surplus)
		*available += overcommit - surplus;
	return true;
}

int huge_pool_check(const char *sysfs, uint64_t page, uint64_t bytes, struct err *e)
{
	const char *size = page == GIB(1) ? "1 GiB" : "2 MiB";
	uint64_t need = bytes / page, available, total;
	char dir[128];
	int r;

	snprintf(dir, sizeof(dir), "%s/hugepages", sysfs);
	/* No folder at all: a system without sysfs, or a kernel whose mmap will tell. */
	if (access(dir, F_OK))
		return 0;
	snprintf(dir, sizeof(dir), "%s/hugepages/hugepages-%llukB", sysfs,
		(unsigned long long)(page >> 10));
	if (access(dir, F_OK))
		return err_set(e, -ENOTSUP,
			"this host has no huge pages of %s (take another size for --hugepages)",
			size);
	if (!pool_has(dir, &available, &total) || available >= need)
		return 0;
	r = err_set(e, -ENOMEM,
		"huge pages of %s: guest memory needs %llu, this host has %llu free", size,
		(unsigned long long)need, (unsigned long long)available);
	return err_hint(e, r, "as root: echo %llu >%s/nr_hugepages%s",
		(unsigned long long)(total + need - available), dir,
		page == GIB(1) ? ", or boot the host with hugepagesz=1G hugepages=N" : "");
}

bool huge_thp_never(const char *sysfs)
{
	char path[256], text[64];

	snprintf(path, sizeof(path), "%s/transparent_hugepage/enabled", sysfs);
	return strstr(read_text(path, text, sizeof(text)), "[never]") != NULL;
}
