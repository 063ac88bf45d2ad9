/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int kvm_ioctl_named(int fd, unsigned long request, void *arg, const char *name, struct err *e)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? err_sys(e, "%s", name) : r;
}

static int open_failed(struct err *e)
{
	int r = err_sys(e, "open /dev/kvm");

	switch (r) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return err_hint(e, r,
			"x86: modprobe kvm-intel or kvm-amd; arm64: the kernel must start at EL2; "
			"on a virtual machine: nested virtualisation must be on");
	case -EACCES:
	case -EPERM:
		return err_hint(e, r, "add your user to group kvm, or run as root");
	default:
		return r;
	}
}

int kvm_open(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0)
		return open_failed(e);
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return fd;
	close(fd);
	return err_set(e, -ENOTSUP, "KVM_GET_API_VERSION says %d, expected %d (is /dev/kvm KVM?)",
		version, KVM_API_VERSION);
}

bool kvm_is_pvm(void)
{
	return access("/sys/module/kvm_pvm", F_OK) == 0;
}

int kvm_create_vm(int kvm, uint64_t type, struct err *e)
{
	int r;

	/* KVM_CREATE_VM answers EINTR when a signal comes while it works: no failure. */
	do
		r = ioctl(kvm, KVM_CREATE_VM, (unsigned long)type);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(e, "KVM_CREATE_VM (type 0x%llx)", (unsigned long long)type);
	return r;
}

int kvm_has(int fd, unsigned int cap)
{
	int r = ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return r < 0 ? 0 : r;
}

int kvm_enable_cap(int fd, unsigned int cap, uint64_t arg0, struct err *e)
{
	struct kvm_enable_cap want = { .cap = cap, .args = { arg0 } };
	int r = ioctl(fd, KVM_ENABLE_CAP, &want);

	return r < 0 ? err_sys(e, "KVM_ENABLE_CAP (capability %u)", cap) : 0;
}

/*
 * seccomp vcpu: ioctl:ABI_CREATE_GUEST_MEMFD -- shared addresses of soft-sev that are closed trap
 * seccomp vcpu: fcntl[1=F_SETFD] -- and that file is for no child
 */
int kvm_create_gmem(int vm, uint64_t size, uint64_t flags, struct err *e)
{
	struct abi_create_gmem want = { .size = size, .flags = flags };
	int r = ioctl(vm, ABI_CREATE_GUEST_MEMFD, &want);

	if (r < 0)
		return err_sys(e, "KVM_CREATE_GUEST_MEMFD (%llu MiB, flags 0x%llx)",
			(unsigned long long)(size >> 20), (unsigned long long)flags);
	/* KVM makes it without; no child shall inherit the guest's memory. */
	fcntl(r, F_SETFD, FD_CLOEXEC);
	return r;
}

static int slot_failed(const struct kvm_slot *s, const char *name, struct err *e)
{
	return err_sys(e, "%s (slot %u, gpa 0x%llx, size 0x%llx%s)", name, s->id,
		(unsigned long long)s->gpa, (unsigned long long)s->size,
		s->gmem_fd >= 0 ? ", guest_memfd" : "");
}

/*
 * seccomp vcpu: ioctl:KVM_SET_USER_MEMORY_REGION -- slots: the staging area goes, pages are shared
 * seccomp vcpu: ioctl:ABI_SET_USER_MEMORY_REGION2 -- conversions in mode private
 */
int kvm_set_slot(int vm, const struct kvm_slot *s, struct err *e)
{
	/* The old ioctl serves every kernel; only guest_memfd needs the new one. */
	if (s->gmem_fd < 0) {
		struct kvm_userspace_memory_region old = {
			.slot = s->id,
			.guest_phys_addr = s->gpa,
			.memory_size = s->size,
			.userspace_addr = (uint64_t)(uintptr_t)s->hva,
		};

		if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &old) < 0)
			return slot_failed(s, "KVM_SET_USER_MEMORY_REGION", e);
	} else {
		struct abi_slot2 new = {
			.slot = s->id,
			.flags = ABI_SLOT_GMEM,
			.gpa = s->gpa,
			.size = s->size,
			.hva = (uint64_t)(uintptr_t)s->hva,
			.gmem_offset = s->gmem_offset,
			.gmem_fd = (uint32_t)s->gmem_fd,
		};

		if (ioctl(vm, ABI_SET_USER_MEMORY_REGION2, &new) < 0)
			return slot_failed(s, "KVM_SET_USER_MEMORY_REGION2", e);
	}
	return 0;
}

/* seccomp vcpu: ioctl:ABI_SET_MEMORY_ATTRIBUTES -- conversions by attributes */
int kvm_set_private(int vm, uint64_t gpa, uint64_t size, bool private, struct err *e)
{
	struct abi_memory_attributes want = {
		.address = gpa,
		.size = size,
		.attributes = private ? ABI_ATTRIBUTE_PRIVATE : 0,
	};

	if (ioctl(vm, ABI_SET_MEMORY_ATTRIBUTES, &want) < 0)
		return err_sys(e, "KVM_SET_MEMORY_ATTRIBUTES (gpa 0x%llx, size 0x%llx, %s)",
			(unsigned long long)gpa, (unsigned long long)size,
			private ? "private" : "shared");
	return 0;
}

/* seccomp control: ioctl:ABI_MTE_COPY_TAGS -- tags of a guest on arm64 */
int64_t kvm_copy_tags(int vm, uint64_t gpa, uint64_t len, void *tags, bool to_guest, struct err *e)
{
	struct abi_copy_tags want = {
		.gpa = gpa,
		.length = len,
		.tags = (uint64_t)(uintptr_t)tags,
		.flags = to_guest ? 0 : ABI_MTE_FROM_GUEST,
	};
	int r = ioctl(vm, ABI_MTE_COPY_TAGS, &want);

	if (r < 0)
		return err_sys(e, "KVM_ARM_MTE_COPY_TAGS (gpa 0x%llx, size 0x%llx, %s the guest)",
			(unsigned long long)gpa, (unsigned long long)len, to_guest ? "to" : "from");
	return r;
}

int kvm_create_vcpu(int vm, unsigned int id, struct err *e)
{
	int r = ioctl(vm, KVM_CREATE_VCPU, (unsigned long)id);

	return r < 0 ? err_sys(e, "KVM_CREATE_VCPU %u", id) : r;
}

int kvm_run_size(int kvm, struct err *e)
{
	int r = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (r < 0)
		return err_sys(e, "KVM_GET_VCPU_MMAP_SIZE");
	if ((size_t)r < sizeof(struct kvm_run))
		return err_set(e, -EIO, "KVM_GET_VCPU_MMAP_SIZE: %d bytes, too few", r);
	return r;
}

/* seccomp vcpu: ioctl:KVM_RUN -- the guest */
int kvm_run(int vcpu)
{
	return ioctl(vcpu, KVM_RUN, 0) < 0 ? -errno : 0;
}

int kvm_irqfd(int vm, int eventfd, uint32_t gsi, struct err *e)
{
	struct kvm_irqfd want = { .fd = (uint32_t)eventfd, .gsi = gsi };
	int r = ioctl(vm, KVM_IRQFD, &want);

	return r < 0 ? err_sys(e, "KVM_IRQFD (interrupt %u)", gsi) : 0;
}

int kvm_ioeventfd(int vm, uint64_t addr, uint32_t value, int eventfd, struct err *e)
{
	struct kvm_ioeventfd want = {
		.datamatch = value,
		.addr = addr,
		.len = sizeof(value),
		.fd = eventfd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	int r = ioctl(vm, KVM_IOEVENTFD, &want);

	return r < 0 ? err_sys(e, "KVM_IOEVENTFD at 0x%llx", (unsigned long long)addr) : 0;
}

int kvm_create_device(int vm, uint32_t type, struct err *e)
{
	struct kvm_create_device want = { .type = type };
	int r = ioctl(vm, KVM_CREATE_DEVICE, &want);

	return r < 0 ? err_sys(e, "KVM_CREATE_DEVICE (type %u)", type) : (int)want.fd;
}

bool kvm_has_attr(int fd, uint32_t group, uint64_t attr)
{
	struct kvm_device_attr want = { .group = group, .attr = attr };

	return ioctl(fd, KVM_HAS_DEVICE_ATTR, &want) == 0;
}

int kvm_set_attr(
	int fd, uint32_t group, uint64_t attr, const void *value, const char *what, struct err *e)
{
	struct kvm_device_attr want = {
		.group = group,
		.attr = attr,
		.addr = (uint64_t)(uintptr_t)value,
	};
	int r = ioctl(fd, KVM_SET_DEVICE_ATTR, &want);

	return r < 0 ? err_sys(e, "KVM_SET_DEVICE_ATTR (%s)", what) : 0;
}
