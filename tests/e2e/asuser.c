/* SPDX-License-Identifier: Apache-2.0 */

/*
 * asuser tap NAME    - makes an interface for the user that nacre runs as
 * asuser run COMMAND - runs a command as that user
 * NAME ...           - a copy in the place of nacre or nacre-attack, on an emulated host (user.sh): runs
 *                      it as that user
 *
 * Scripts stay root, to set up what a user finds. NACRE_AS has the user by numbers, UID:GID:GROUP, the last
 * that of /dev/kvm; empty or not there, it is whoever we are.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PROGRAMS "/usr/local/libexec"

static int fail(const char *what)
{
	perror(what);
	return 127;
}

static int make_tap(const char *name, unsigned int uid)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETOWNER, (unsigned long)uid) ||
		ioctl(fd, TUNSETPERSIST, 1UL))
		return fail(name);
	return 0;
}

static int become(unsigned int uid, unsigned int gid, gid_t kvm)
{
	return setgroups(1, &kvm) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid);
}

int main(int argc, char **argv)
{
	const char *as = getenv("NACRE_AS");
	unsigned int uid = getuid(), gid = getgid(), kvm = gid;
	char program[64];

	if (as && *as && sscanf(as, "%u:%u:%u", &uid, &gid, &kvm) != 3) {
		errno = EINVAL;
		return fail("NACRE_AS");
	}
	if (argc == 3 && strcmp(argv[0], "asuser") == 0 && strcmp(argv[1], "tap") == 0)
		return make_tap(argv[2], uid);
	if (as && *as && getuid() != uid && become(uid, gid, kvm))
		return fail("become another user");
	if (argc > 2 && strcmp(argv[0], "asuser") == 0) {
		execvp(argv[2], argv + 2);
	} else {
		snprintf(program, sizeof(program), PROGRAMS "/%s", basename(argv[0]));
		execv(program, argv);
	}
	return fail(argv[0]);
}
