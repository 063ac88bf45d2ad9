/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/term.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/util/bits.h"

/* Standard input and output of two VMs in one process; more than that stays as it is. */
#define KEPT_MAX 4

/*
 * state is what makes this usable from a signal handler: the other fields are written before it
 * says READY, and whoever takes it from READY to FREE is the only one to restore.
 */
enum kept_state { KEPT_FREE, KEPT_BUSY, KEPT_READY };

struct kept {
	atomic_int state;
	atomic_int fd;
	bool is_raw;
	int flags;	      /* F_GETFL, when !is_raw */
	struct termios modes; /* when is_raw */
};

static struct kept kept[KEPT_MAX];
static atomic_flag hooked = ATOMIC_FLAG_INIT;

static void restore_all(void)
{
	term_restore(-1);
}

/*
 * The kernel's own settings: what a C library makes of its termios differs from one version to the next,
 * and so do the calls that filters must know.
 *
 * seccomp control console: ioctl:TCGETS -- is it a terminal, and how is it set?
 */
static bool get_modes(int fd, struct termios *modes)
{
	return !ioctl(fd, TCGETS, modes);
}

static struct kept *kept_find(int fd, bool is_raw)
{
	for (unsigned int i = 0; i < KEPT_MAX; i++) {
		if (atomic_load(&kept[i].state) == KEPT_READY && kept[i].fd == fd &&
			kept[i].is_raw == is_raw)
			return &kept[i];
	}
	return NULL;
}

static struct kept *kept_claim(void)
{
	for (unsigned int i = 0; i < KEPT_MAX; i++) {
		int was = KEPT_FREE;

		if (atomic_compare_exchange_strong(&kept[i].state, &was, KEPT_BUSY)) {
			if (!atomic_flag_test_and_set(&hooked))
				atexit(restore_all);
			return &kept[i];
		}
	}
	return NULL;
}

static bool in_foreground(int fd)
{
	return tcgetpgrp(fd) == getpgrp();
}

bool term_may_read(int fd)
{
	struct termios any;

	/* A terminal that does not control us knows no process group of ours and stops nobody. */
	return in_foreground(fd) || (tcgetpgrp(fd) < 0 && errno == ENOTTY && get_modes(fd, &any));
}

static struct termios raw_modes(const struct termios *from)
{
	struct termios raw = *from;

	raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON | PARMRK);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return raw;
}

bool term_raw(int fd)
{
	struct kept *k = kept_find(fd, true);
	struct termios now, raw;

	if (!get_modes(fd, &now) || !in_foreground(fd))
		return false;
	if (!k) {
		k = kept_claim();
		if (!k)
			return false;
		k->modes = now;
		k->fd = fd;
		k->is_raw = true;
		/* Before the change: a crash in between then restores what is still there. */
		atomic_store(&k->state, KEPT_READY);
	}
	raw = raw_modes(&k->modes);
	return !ioctl(fd, TCSETS, &raw);
}

int term_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct kept *k;

	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	k = kept_claim();
	if (!k)
		return -ENOSPC;
	k->fd = fd;
	k->is_raw = false;
	k->flags = flags;
	atomic_store(&k->state, KEPT_READY);
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

/*
 * By whoever ends the process, and that may be any thread that crashes.
 *
 * seccomp all: ioctl:TIOCGPGRP getpgrp@x86 getpgid@arm64 -- is the terminal ours?
 * seccomp all: ioctl:TCSETS fcntl[1=F_SETFL] -- the terminal, as it was
 */
static void put_back(const struct kept *k)
{
	if (!k->is_raw)
		fcntl(k->fd, F_SETFL, k->flags);
	else if (in_foreground(k->fd))
		ioctl(k->fd, TCSETS, &k->modes);
}

void term_restore(int fd)
{
	for (unsigned int i = 0; i < KEPT_MAX; i++) {
		int was = KEPT_READY;

		if (fd >= 0 && kept[i].fd != fd)
			continue;
		if (!atomic_compare_exchange_strong(&kept[i].state, &was, KEPT_BUSY))
			continue;
		put_back(&kept[i]);
		atomic_store(&kept[i].state, KEPT_FREE);
	}
}
