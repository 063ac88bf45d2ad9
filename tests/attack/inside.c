/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-attack: nacre, with an attacker inside
 *
 * Linked from all of nacre's objects, with mem_new wrapped: so there is a thread in the process that
 * knows all that the process knows, the addresses and descriptors of guest memory among it. It reads
 * orders from the FIFO that ATTACK_ORDERS names, a line each, and writes what became of them
 * (search.h) to the file ATTACK_FACTS; "done" ends the answer to each.
 *
 *   search    looks for the marker in all of our memory, by pointer
 *   pointer   that, and loads and stores all over guest RAM
 *   calls     system calls that are given addresses in guest RAM
 *   stripes   the same, each on pages of its own
 *   file      those that are given the descriptor of private memory; a second VM is one more
 *   child     a second process of ours: what it inherits, and what it is sent
 *   dump      nothing is left out of a core dump any more
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/guard.h"
#include "mem/mem.h"
#include "tests/attack/battery.h"
#include "tests/attack/search.h"
#include "vmm/kvm_abi.h"
#include "vmm/util/bits.h"

int __real_mem_new(struct mem **out, struct slot_table *table, struct err *e);
int __wrap_mem_new(struct mem **out, struct slot_table *table, struct err *e);

static const struct mem *mem;
static int facts;

/* ---- targets ---- */

static bool has_own_file(const struct mem_region *r)
{
	return r->private.kind == BACKING_GMEM;
}

/* What holds a region's private pages: in modes without a file of its own, what holds all of them. */
static const struct backing *secret_side(const struct mem_region *r)
{
	return has_own_file(r) ? &r->private : &r->shared;
}

/*
 * Where we would find them. What has no mapping of its own (mem/attributes.h) has the addresses of the
 * shared side, where the guest's shared pages are, and for all others nothing must be.
 */
static char *secret_address(const struct mem_region *r)
{
	char *p = secret_side(r)->hva;

	return p ? p : r->shared.hva;
}

/*
 * The next region to attack, from *i on: those that can be private. Where private memory has no file
 * of its own, and in mode none, all RAM.
 */
static const struct mem_region *next_target(unsigned int *i)
{
	bool any = false;
	unsigned int k;

	for (k = 0; k < mem->count; k++)
		any = any || has_own_file(mem->regions[k]);
	while (*i < mem->count) {
		const struct mem_region *r = mem->regions[(*i)++];

		if (any ? has_own_file(r) : r->kind != MEM_STAGING)
			return r;
	}
	return NULL;
}

static void attack_targets(unsigned int parts, unsigned int word, const char *prefix)
{
	const struct mem_region *r;
	unsigned int i = 0;

	while ((r = next_target(&i))) {
		struct target t = { (uint8_t *)secret_address(r), r->size, secret_side(r)->fd };

		battery_run(&t, parts, word, prefix, facts);
	}
}

/* ---- all of our memory ---- */

static long by_pointer(void *ctx, void *buf, size_t len, uint64_t at)
{
	struct guard_fault f;

	(void)ctx;
	return guard_copy(buf, (const void *)at, len, &f) ? (long)len : BY_SIGNAL(f.signo);
}

static void search_own_memory(const char *prefix)
{
	struct tally t = { 0 };

	if (!search_maps(&t, by_pointer, NULL, 0))
		tally_refusal(&t, -errno);
	tally_print(facts, prefix, "all-our-memory", "search", &t);
}

/* ---- a second VM ---- */

/* Guest memory of a VM whose vCPUs would run what we like. */
static int use_in_second_vm(const struct mem_region *r)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, error = 0;
	struct abi_slot2 slot = { .flags = ABI_SLOT_GMEM,
		.gpa = r->base.v,
		.size = r->size,
		.hva = (uintptr_t)r->private.hva,
		.gmem_fd = (uint32_t)r->private.fd };

	if (kvm < 0)
		return -errno;
	vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
	if (vm < 0 || ioctl(vm, ABI_SET_USER_MEMORY_REGION2, &slot))
		error = -errno;
	if (vm >= 0)
		close(vm);
	close(kvm);
	return error;
}

static void attack_by_second_vm(void)
{
	const struct mem_region *r;
	unsigned int i = 0;

	while ((r = next_target(&i))) {
		struct tally t = { .pages = 1 };
		int error;

		if (!has_own_file(r))
			continue;
		error = use_in_second_vm(r);
		if (error)
			tally_refusal(&t, error);
		else
			t.through++;
		tally_print(facts, "", "second-vm", "once", &t);
	}
}

/* ---- a second process ---- */

static bool send_fd(int sock, int fd)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &m, 0) == 1;
}

static int receive_fd(int sock)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room) };
	int fd = -1;

	if (recvmsg(sock, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

/* The child has what it inherits, and of each private file a duplicate that came by a socket. */
static void in_child(int sock)
{
	const struct mem_region *r;
	unsigned int i = 0;

	attack_targets(
		BATTERY_POINTER | BATTERY_CALLS, BATTERY_FIRST_WORD + BATTERY_WORDS, "child:");
	search_own_memory("child:");
	while ((r = next_target(&i))) {
		struct target t = { .len = r->size };

		if (!has_own_file(r))
			continue;
		t.fd = receive_fd(sock);
		if (t.fd < 0) {
			dprintf(facts, "sent:descriptor broken 1 0 0 not-received\n");
			return;
		}
		t.addr = mmap(NULL, t.len, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
		if (t.addr == MAP_FAILED)
			dprintf(facts, "sent:mmap once 1 0 0 %s\n", strerrorname_np(errno));
		else
			battery_run(&t, BATTERY_ALL, BATTERY_FIRST_WORD + 2 * BATTERY_WORDS,
				"sent:", facts);
	}
}

static void attack_by_child(void)
{
	const struct mem_region *r;
	unsigned int i = 0;
	int sock[2], status;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock)) {
		dprintf(facts, "child broken 1 0 0 %s\n", strerrorname_np(errno));
		return;
	}
	while ((r = next_target(&i))) {
		madvise(secret_address(r), r->size, MADV_DOFORK);
		if (has_own_file(r))
			send_fd(sock[0], r->private.fd);
	}
	child = fork();
	if (child == 0) {
		in_child(sock[1]);
		_exit(0);
	}
	close(sock[0]);
	close(sock[1]);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		dprintf(facts, "child broken 1 0 0 child-failed\n");
}

/* ---- a core dump ---- */

/* The limit of its size, which a user cannot raise again, is not for a dump that a program takes: core(5). */
static void open_to_dump(void)
{
	unsigned int i;
	int fd;

	for (i = 0; i < mem->count; i++) {
		const struct mem_region *r = mem->regions[i];

		madvise(r->shared.hva, r->size, MADV_DODUMP);
		if (r->private.hva)
			madvise(r->private.hva, r->size, MADV_DODUMP);
	}
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0x1ff", 5) != 5)
		dprintf(facts, "dump broken 1 0 0 %s\n", strerrorname_np(errno));
	if (fd >= 0)
		close(fd);
}

/* ---- orders ---- */

static void obey(const char *order)
{
	if (!strcmp(order, "pointer")) {
		attack_targets(BATTERY_POINTER, BATTERY_FIRST_WORD, "");
		search_own_memory("");
	} else if (!strcmp(order, "search")) {
		search_own_memory("");
	} else if (!strcmp(order, "calls")) {
		attack_targets(BATTERY_CALLS, BATTERY_FIRST_WORD, "");
	} else if (!strcmp(order, "stripes")) {
		attack_targets(BATTERY_CALLS | BATTERY_STRIPES, BATTERY_FIRST_WORD, "");
	} else if (!strcmp(order, "file")) {
		attack_targets(BATTERY_FILE, BATTERY_FIRST_WORD, "");
		attack_by_second_vm();
	} else if (!strcmp(order, "child")) {
		attack_by_child();
	} else if (!strcmp(order, "dump")) {
		open_to_dump();
	}
	dprintf(facts, "done\n");
}

static void *attacker(void *arg)
{
	FILE *orders = fopen(getenv("ATTACK_ORDERS"), "r+e");
	char line[32];

	(void)arg;
	while (orders && fgets(line, sizeof(line), orders)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return NULL;
}

/* Signals that are meant for nacre's threads are not for this one. */
static void start_attacker(void)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, attacker, NULL))
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int __wrap_mem_new(struct mem **out, struct slot_table *table, struct err *e)
{
	int r = __real_mem_new(out, table, e);

	if (r || !getenv("ATTACK_ORDERS") || !getenv("ATTACK_FACTS"))
		return r;
	mem = *out;
	facts = open(getenv("ATTACK_FACTS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (facts < 0)
		return err_sys(e, "open ATTACK_FACTS");
	start_attacker();
	return 0;
}
