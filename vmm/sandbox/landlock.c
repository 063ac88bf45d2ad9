/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

/* What the headers of Debian 12 lack, with the version of the ABI that each came with: landlock(7). */
#define FS_FIRST	0x1fffull /* all that version 1 has */
#define FS_REFER	BIT(13)	  /* 2 */
#define FS_TRUNCATE	BIT(14)	  /* 3 */
#define FS_IOCTL_DEV	BIT(15)	  /* 5 */
#define FS_RESOLVE_UNIX BIT(16)	  /* 9 */
#define NET_TCP		0x3ull	  /* 4: bind and connect */
#define NET_UDP		0xcull	  /* 10: the same, and to send */
#define SCOPE_UNIX	BIT(0)	  /* 6: sockets without a file */
#define SCOPE_SIGNAL	BIT(1)	  /* 6 */
#define FS_FILE		(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

/* The kernel's struct, as far as we use it; an older kernel takes a shorter one. */
struct ruleset_attr {
	uint64_t fs, net, scoped;
};

int landlock_abi(void)
{
	long abi = syscall(
		SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

/* Whatever is handled is refused, unless a rule allows it. */
static struct ruleset_attr handled(int abi, bool may_signal)
{
	static const struct {
		int abi;
		struct ruleset_attr has;
	} versions[] = {
		{ 1, { .fs = FS_FIRST } },
		{ 2, { .fs = FS_REFER } },
		{ 3, { .fs = FS_TRUNCATE } },
		{ 4, { .net = NET_TCP } },
		{ 5, { .fs = FS_IOCTL_DEV } },
		{ 6, { .scoped = SCOPE_UNIX | SCOPE_SIGNAL } },
		{ 9, { .fs = FS_RESOLVE_UNIX } },
		{ 10, { .net = NET_UDP } },
	};
	struct ruleset_attr all = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(versions) && versions[i].abi <= abi; i++) {
		all.fs |= versions[i].has.fs;
		all.net |= versions[i].has.net;
		all.scoped |= versions[i].has.scoped;
	}
	if (may_signal)
		all.scoped &= ~SCOPE_SIGNAL;
	return all;
}

static uint64_t fs_rights(unsigned int access)
{
	uint64_t rights = 0;

	if (access & SANDBOX_REMOVE)
		rights |= LANDLOCK_ACCESS_FS_REMOVE_FILE;
	if (access & SANDBOX_CONNECT)
		rights |= FS_RESOLVE_UNIX;
	/* Of a block device its size is asked for. */
	if (access & SANDBOX_READ)
		rights |= LANDLOCK_ACCESS_FS_READ_FILE | FS_IOCTL_DEV;
	if (access & SANDBOX_WRITE)
		rights |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV;
	return rights;
}

/* 1, 0 where there is nothing to allow, or -errno. */
static int add_path(int ruleset, const struct sandbox_path *p, uint64_t handled_fs, struct err *e)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = fs_rights(p->access) & handled_fs,
		.parent_fd = open(p->path, O_PATH | O_CLOEXEC),
	};
	_close int fd = rule.parent_fd;
	char shown[TEXT_SHOWN];
	struct stat st;

	if (fd < 0)
		return 0;
	/* Only what may be done to a file itself can be allowed for one. */
	if (fstat(fd, &st) || !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_FILE | FS_IOCTL_DEV;
	if (!rule.allowed_access)
		return 0;
	if (!syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		return 1;
	text_show_end(shown, sizeof(shown), p->path);
	return errno == EBADFD ? err_set(e, -EBADFD,
					 "%s is in no file system, but a pipe or memory: no path "
					 "can be allowed there (leave it out)",
					 shown)
			       : err_sys(e, "Landlock: %s", shown);
}

int landlock_restrict(
	const struct sandbox_path *paths, unsigned int count, bool may_signal, struct err *e)
{
	int abi = landlock_abi(), used = 0, r;
	struct ruleset_attr attr = handled(abi, may_signal);
	size_t size = abi < 4	? offsetof(struct ruleset_attr, net)
		      : abi < 6 ? offsetof(struct ruleset_attr, scoped)
				: sizeof(attr);
	_close int fd = -1;
	unsigned int i;

	if (!abi)
		return err_set(e, -ENOSYS, "this kernel has no Landlock");
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		return err_sys(e, "Landlock: make rules");
	for (i = 0; i < count; i++) {
		r = add_path(fd, &paths[i], attr.fs, e);
		if (r < 0)
			return r;
		used += r;
	}
	if (syscall(SYS_landlock_restrict_self, fd, 0))
		return errno == E2BIG
			       ? err_set(e, -E2BIG,
					 "Landlock: this process is within too many layers of it "
					 "already (Linux has 16, start it within 14 at most)")
			       : err_sys(e, "Landlock");
	return used;
}
