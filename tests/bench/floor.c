/* SPDX-License-Identifier: Apache-2.0 */

/*
 * floor MODE MIB PROGRAM
 *
 * The least that a VMM can do: the KVM calls of `nacre run --firmware PROGRAM`, in the same order
 * and with the same memory slots, and nothing else. It ends when the guest writes to the power
 * device. Not freed is what the kernel frees anyway. Exit status 0, or 77 when the host lacks
 * something.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/boot_info.h"
#include "tests/bench/bare.h"
#include "vmm/kvm_abi.h"

#define PAGE  4096ULL
#define CHUNK (64ULL << 20) /* no slot of private memory is larger */

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(77);
}

int bare_call(int fd, unsigned long request, unsigned long arg, const char *name)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		die(name);
	return r;
}

static void *map(uint64_t size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void set_open_slot(struct bare *b, uint32_t id, uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region s = {
		.slot = id,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uint64_t)(uintptr_t)hva,
	};

	CALL(b->vm, KVM_SET_USER_MEMORY_REGION, &s);
}

/* Returns the number of slots used. */
static uint32_t add_private_ram(struct bare *b, uint64_t size)
{
	struct abi_create_gmem want = { .size = size, .flags = ABI_GMEM_MMAP };
	int memfd = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint32_t id = 0;
	uint64_t at;
	char *hva;
	int gmem;

	if (memfd < 0 || ftruncate(memfd, (off_t)size))
		die("memfd");
	map(size, MAP_SHARED, memfd);
	gmem = CALL(b->vm, ABI_CREATE_GUEST_MEMFD, &want);
	hva = map(size, MAP_SHARED, gmem);
	for (at = 0; at < size; at += CHUNK) {
		struct abi_slot2 s = {
			.slot = id++,
			.flags = ABI_SLOT_GMEM,
			.gpa = bare_place.ram + at,
			.size = size - at < CHUNK ? size - at : CHUNK,
			.hva = (uint64_t)(uintptr_t)(hva + at),
			.gmem_offset = at,
			.gmem_fd = (uint32_t)gmem,
		};

		CALL(b->vm, ABI_SET_USER_MEMORY_REGION2, &s);
	}
	return id;
}

static uint32_t add_ram(struct bare *b, uint64_t size)
{
	if (b->private)
		return add_private_ram(b, size);
	set_open_slot(b, 0, bare_place.ram, size, map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1));
	return 1;
}

static void add_vcpu(struct bare *b)
{
	int size = CALL(b->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	b->vcpu = CALL(b->vm, KVM_CREATE_VCPU, 0);
	b->run = map((uint64_t)size, MAP_SHARED, b->vcpu);
	bare_vcpu(b);
	bare_ready(b);
}

/* The program, its zeroed room, its tables. Returns where the tables are. */
static uint64_t add_staging(struct bare *b, uint32_t id, uint64_t ram, const char *path)
{
	char program[PAGE];
	uint64_t at = BOOT_IMAGE_OFFSET + PAGE + BOOT_IMAGE_ROOM;
	uint64_t size = at + bare_tables(ram, bare_place.staging + at, NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, program, sizeof(program));
	char *hva = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (n <= 0)
		die(path);
	close(fd);
	set_open_slot(b, id, bare_place.staging, size, hva);
	memcpy(hva + BOOT_IMAGE_OFFSET, program, (size_t)n);
	bare_tables(ram, bare_place.staging + at, hva + at);
	return bare_place.staging + at;
}

int main(int argc, char **argv)
{
	struct bare b = { .kvm = -1 };
	uint64_t ram, tables;
	uint32_t slots;

	if (argc != 4) {
		fprintf(stderr, "usage: floor none|private MIB PROGRAM\n");
		return 2;
	}
	b.private = strcmp(argv[1], "private") == 0;
	ram = strtoull(argv[2], NULL, 10) << 20;
	b.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (b.kvm < 0)
		die("open /dev/kvm");
	CALL(b.kvm, KVM_GET_API_VERSION, 0);
	b.vm = CALL(b.kvm, KVM_CREATE_VM, bare_vm_type(&b));
	bare_vm(&b);
	slots = add_ram(&b, ram);
	add_vcpu(&b);
	tables = add_staging(&b, slots, ram, argv[3]);
	bare_start(&b, bare_place.staging + BOOT_IMAGE_OFFSET, bare_place.staging, tables);
	while (!bare_ended(&b))
		CALL(b.vcpu, KVM_RUN, 0);
	return 0;
}
