/* SPDX-License-Identifier: Apache-2.0 */

/*
 * attack - the attacks on a guest's private memory that come from outside of its VMM
 *
 *   attack files FILE...   search files for the marker
 *   attack search PID      search the memory, by /proc/PID/mem, and all open files of a process
 *   attack process PID     that, by process_vm_readv too, and attack each guest_memfd that it has by
 *                          a duplicate of the descriptor
 *   attack hold MIB        hold the marker in memory, say so, and wait: the other side of it
 *   attack works           each attack, on memory and a file that are anybody's: all must go through
 *
 * Writes what it found (search.h) to standard output. Status 0 says nothing about that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/attack/battery.h"
#include "tests/guest/lib/marker.h"
#include "tests/attack/search.h"

/* ---- files ---- */

static long file_reader(void *ctx, void *buf, size_t len, uint64_t at)
{
	ssize_t n = pread(*(int *)ctx, buf, len, (off_t)at);

	return n < 0 ? -errno : n;
}

static void search_file(const char *path, const char *name)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct tally t = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		tally_refusal(&t, -errno);
	else if (S_ISREG(st.st_mode))
		search_range(&t, file_reader, &fd, 0, (uint64_t)st.st_size);
	if (t.pages || t.reason_count)
		tally_print(STDOUT_FILENO, "file:", name, "search", &t);
	if (fd >= 0)
		close(fd);
}

/* ---- a process ---- */

static long mem_reader(void *ctx, void *buf, size_t len, uint64_t at)
{
	return file_reader(ctx, buf, len, at);
}

static long vm_reader(void *ctx, void *buf, size_t len, uint64_t at)
{
	struct iovec here = { buf, len }, there = { (void *)at, len };
	ssize_t n = process_vm_readv(*(pid_t *)ctx, &here, 1, &there, 1, 0);

	return n < 0 ? -errno : n;
}

static void search_memory(pid_t pid)
{
	struct tally t = { 0 };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !search_maps(&t, mem_reader, &fd, pid))
		tally_refusal(&t, -errno);
	tally_print(STDOUT_FILENO, "second:", "/proc/PID/mem", "search", &t);
	if (fd >= 0)
		close(fd);
}

static void search_by_call(pid_t pid)
{
	struct tally t = { 0 };

	if (!search_maps(&t, vm_reader, &pid, pid))
		tally_refusal(&t, -errno);
	tally_print(STDOUT_FILENO, "second:", "process_vm_readv", "search", &t);
}

/* pidfd_getfd, which the C library of Debian 12 has no name for with this header set. */
static int duplicate_of(pid_t pid, int number)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), fd;

	if (pidfd < 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	return fd;
}

static void attack_file(pid_t pid, int number)
{
	struct target t = { .fd = duplicate_of(pid, number) };
	struct stat st;

	if (t.fd < 0 || fstat(t.fd, &st)) {
		printf("dup:pidfd_getfd once 1 0 0 %s\n", strerrorname_np(errno));
		return;
	}
	t.len = (uint64_t)st.st_size;
	t.addr = mmap(NULL, t.len, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	if (t.addr == MAP_FAILED)
		printf("dup:mmap once 1 0 0 %s\n", strerrorname_np(errno));
	else
		battery_run(&t, BATTERY_ALL, BATTERY_FIRST_WORD + 3 * BATTERY_WORDS,
			"dup:", STDOUT_FILENO);
	close(t.fd);
}

/* Its open files: memfds are searched as others are. */
static void look_at_files(pid_t pid, bool attack)
{
	char folder[32], path[320], link[256];
	const struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		bool is_gmem;
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		link[strcspn(link, " ")] = '\0';
		is_gmem = strstr(link, "gmem") || strstr(link, "guest_memfd");
		if (is_gmem || !strstr(link, "anon_inode:"))
			search_file(path, link);
		if (is_gmem && attack)
			attack_file(pid, atoi(entry->d_name));
	}
	if (dir)
		closedir(dir);
}

/* ---- the other side, and whether it all works ---- */

static uint64_t *fill(uint64_t len, int fd)
{
	uint64_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	uint64_t i;

	if (p == MAP_FAILED)
		return NULL;
	for (i = 0; i < len / sizeof(*p); i++)
		p[i] = marker_word(i);
	return p;
}

static int hold(uint64_t mib)
{
	if (!fill(mib << 20, -1))
		return 1;
	printf("holds %llu MiB\n", (unsigned long long)mib);
	for (;;)
		pause();
}

static int works(void)
{
	struct target t = { .len = 1 << 20, .fd = memfd_create("anybody's", MFD_CLOEXEC) };
	struct tally own = { 0 };
	pid_t self = getpid();

	if (t.fd < 0 || ftruncate(t.fd, (off_t)t.len))
		return 1;
	t.addr = (uint8_t *)fill(t.len, t.fd);
	if (!t.addr || !battery_run(&t, BATTERY_ALL, BATTERY_FIRST_WORD, "", STDOUT_FILENO))
		return 1;
	search_maps(&own, vm_reader, &self, 0);
	tally_print(STDOUT_FILENO, "", "all-our-memory", "search", &own);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct err e;
	int i;

	setlinebuf(stdout);
	if (guard_init(&e))
		return 1;
	if (!strcmp(what, "works"))
		return works();
	if (!strcmp(what, "hold") && argc == 3)
		return hold(strtoull(argv[2], NULL, 10));
	if ((!strcmp(what, "process") || !strcmp(what, "search")) && argc == 3) {
		search_memory((pid_t)atoi(argv[2]));
		if (*what == 'p')
			search_by_call((pid_t)atoi(argv[2]));
		look_at_files((pid_t)atoi(argv[2]), *what == 'p');
		return 0;
	}
	if (strcmp(what, "files") != 0) {
		fprintf(stderr,
			"attack: files FILE..., search PID, process PID, hold MIB or works\n");
		return 2;
	}
	for (i = 2; i < argc; i++)
		search_file(argv[i], argv[i]);
	return 0;
}
