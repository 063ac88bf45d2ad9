/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The code that nacre-escape (tests/attack/escape.c) runs in one of its own threads, as if this guest
 * had found a hole in a device: it makes system calls of the host. Which ones says a letter that is
 * typed in, and in which thread a second one: v for the vCPU's, i for that of the virtio devices.
 *
 * All of it is copied to where it runs, at another address. It may use nothing but its own text, its
 * constants and its stack.
 */
#include "guest.h"

/* What the thread is told by a write to a register that takes none. */
#define IN_VCPU 0xe5ca9e01u
#define IN_IO	0xe5ca9e02u

struct order {
	uint32_t image, size, entry, what;
};

static volatile struct order order __attribute__((aligned(16)));

#ifdef __x86_64__
enum {
	OPENAT = 257,
	MMAP = 9,
	SOCKET = 41,
	CONNECT = 42,
	CLONE = 56,
	EXECVE = 59,
	EXIT_GROUP = 231,
	PTRACE = 101,
	IOCTL = 16,
	KILL = 62,
	IO_URING_SETUP = 425
};

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
#else
enum {
	OPENAT = 56,
	MMAP = 222,
	SOCKET = 198,
	CONNECT = 203,
	CLONE = 220,
	EXECVE = 221,
	EXIT_GROUP = 94,
	PTRACE = 117,
	IOCTL = 29,
	KILL = 129,
	IO_URING_SETUP = 425
};

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#endif

/* Descriptors are for the attacker to find. */
static long ioctl_on_all(long request, long arg)
{
	long fd, r = -1;

	for (fd = 3; fd < 64 && r < 0; fd++)
		r = call(IOCTL, fd, request, arg, 0, 0, 0);
	return r;
}

static long connect_out(void)
{
	/* 127.0.0.1, port 9. */
	const uint32_t address[4] = { 0x09000002, 0x0100007f, 0, 0 };
	long s = call(SOCKET, 2, 1, 0, 0, 0, 0);

	return s < 0 ? s : call(CONNECT, s, (long)address, sizeof(address), 0, 0, 0);
}

static long fork_child(void)
{
	long r = call(CLONE, 17, 0, 0, 0, 0, 0);

	if (!r)
		call(EXIT_GROUP, 0, 0, 0, 0, 0, 0);
	return r;
}

static long run_program(void)
{
	static const char sh[] = "/bin/sh", c[] = "-c", text[] = "echo escape: returned 0 >&2";
	const char *argv[4];

	argv[0] = sh;
	argv[1] = c;
	argv[2] = text;
	argv[3] = 0;
	return call(EXECVE, (long)sh, (long)argv, 0, 0, 0, 0);
}

/* Runs in nacre's process. */
static long attempt(uint32_t what)
{
	uint64_t zeroes[32];
	unsigned int i;

	for (i = 0; i < 32; i++)
		zeroes[i] = 0;
	switch (what) {
	case 'o':
		return call(OPENAT, -100, (long)"/etc/hostname", 0, 0, 0, 0);
	case 'c':
		return connect_out();
	case 'f':
		return fork_child();
	case 'e':
		return run_program();
	case 'p':
		return call(PTRACE, 16, 1, 0, 0, 0, 0);
	case 'k': /* KVM_CREATE_VM */
		return ioctl_on_all(0xae01, 0);
	case 'm': /* readable, executable; private, anonymous */
		return call(MMAP, 0, 4096, 5, 0x22, -1, 0) < 0 ? -1 : 0;
	case 's': /* none, but to know whether it may */
		return call(KILL, 1, 0, 0, 0, 0, 0);
	case 'u':
		return call(IO_URING_SETUP, 1, (long)zeroes, 0, 0, 0, 0);
	default: /* KVM_SET_REGS, of x86 */
		return ioctl_on_all(0x4090ae82, (long)zeroes);
	}
}

static uint32_t typed(void)
{
	while (!(dev_read8(boot->serial_base + SERIAL_LSR) & SERIAL_LSR_DATA))
		continue;
	return dev_read8(boot->serial_base + SERIAL_DATA);
}

void guest_main(void)
{
	extern char _start[];
	uint64_t at = boot->power_base + POWER_IDENT;
	uint32_t what = typed(), where = typed();

	order.image = (uint32_t)(uintptr_t)_start;
	order.size = 0x10000;
	order.entry = (uint32_t)((uintptr_t)attempt - (uintptr_t)_start);
	order.what = what;
	dev_write32(at, (uint32_t)(uintptr_t)&order);
	dev_write32(at, where == 'v' ? IN_VCPU : IN_IO);
	print("the attempt is over\n");
}
