/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not in /tmp, which may be a file system without direct I/O. */
static char root[] = "/var/tmp/nacre-unit-XXXXXX";
static pid_t owner;

static int drop(const char *path, const struct stat *s, int kind, struct FTW *where)
{
	(void)s;
	(void)kind;
	(void)where;
	/* What cannot be removed is left, and the rest is not. */
	(void)remove(path);
	return 0;
}

void scratch_end(void)
{
	nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

/* After Check has ended the test that runs. Comes in the midst of anything, and to tests, too. */
static void on_end(int signo)
{
	if (getpid() == owner && fork() == 0)
		execl("/bin/rm", "rm", "-rf", root, (char *)NULL);
	signal(signo, SIG_DFL);
	raise(signo);
}

int scratch_begin(void)
{
	if (!mkdtemp(root)) {
		perror(root);
		return -1;
	}
	/* Some tests become somebody else. */
	chmod(root, 0711);
	owner = getpid();
	/* Also where a script starts us in its background, with some of them ignored: tests send them. */
	signal(SIGINT, on_end);
	signal(SIGHUP, on_end);
	signal(SIGTERM, on_end);
	return 0;
}

static void name(char path[SCRATCH_PATH])
{
	snprintf(path, SCRATCH_PATH, "%s/XXXXXX", root);
}

void scratch_dir(char path[SCRATCH_PATH])
{
	name(path);
	ck_assert_ptr_nonnull(mkdtemp(path));
}

int scratch_file(char path[SCRATCH_PATH])
{
	int fd;

	name(path);
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}
