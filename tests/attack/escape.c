/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-escape: nacre, with a hole
 *
 * Linked from all of nacre's objects, with three functions wrapped: a guest that writes to a register
 * of the power device that takes nothing has its own code run by the thread of its vCPU, or by that of
 * the virtio devices (tests/guest/escape.c). What the code returned is said on standard error. So
 * tests/e2e/escape sees which wall stops someone who has taken over a thread.
 */
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/bus.h"
#include "mem/mem.h"
#include "vmm/util/loop.h"

#define IN_VCPU	 0xe5ca9e01u
#define IN_IO	 0xe5ca9e02u
#define CODE_MAX 0x10000u

/* In the guest's memory. */
struct order {
	uint32_t image, size, entry, what;
};

int __real_mem_new(struct mem **out, struct slot_table *table, struct err *e);
int __wrap_mem_new(struct mem **out, struct slot_table *table, struct err *e);
int __real_loop_start_thread(
	struct loop *l, enum thread_role role, const char *name, struct err *e);
int __wrap_loop_start_thread(
	struct loop *l, enum thread_role role, const char *name, struct err *e);
void __real_bus_write(struct bus *b, uint64_t addr, const void *data, unsigned int len);
void __wrap_bus_write(struct bus *b, uint64_t addr, const void *data, unsigned int len);

static const struct mem *mem;
static struct loop *io;
static uint8_t *code;
static struct order order;
static uint32_t last;
static sem_t done;

int __wrap_mem_new(struct mem **out, struct slot_table *table, struct err *e)
{
	int r = __real_mem_new(out, table, e);

	mem = *out;
	sem_init(&done, 0, 0);
	/* While such memory can be had. */
	code = mmap(NULL, CODE_MAX, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	return r;
}

int __wrap_loop_start_thread(struct loop *l, enum thread_role role, const char *name, struct err *e)
{
	if (role == THREAD_IO)
		io = l;
	return __real_loop_start_thread(l, role, name, e);
}

static void run(void *arg)
{
	long (*attempt)(uint32_t what) = (long (*)(uint32_t))(uintptr_t)(code + order.entry);

	(void)arg;
	dprintf(STDERR_FILENO, "escape: returned %ld\n", attempt(order.what));
	sem_post(&done);
}

static void begin(uint32_t where)
{
	const void *at = mem_host(mem, gpa(last), sizeof(order)), *image;

	if (!at)
		return;
	memcpy(&order, at, sizeof(order));
	image = mem_host(mem, gpa(order.image), CODE_MAX);
	if (!image)
		return;
	memcpy(code, image, CODE_MAX);
	__builtin___clear_cache((char *)code, (char *)code + CODE_MAX);
	if (where == IN_VCPU)
		run(NULL);
	else if (io && loop_post(io, run, NULL))
		return;
	sem_wait(&done);
}

void __wrap_bus_write(struct bus *b, uint64_t addr, const void *data, unsigned int len)
{
	uint32_t value = 0;

	if (len == sizeof(value))
		memcpy(&value, data, sizeof(value));
	if (value == IN_VCPU || value == IN_IO)
		begin(value);
	else if (value)
		last = value;
	__real_bus_write(b, addr, data, len);
}
