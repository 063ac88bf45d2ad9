/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_H
#define NACRE_TEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/boot_info.h"
#include "cpu.h"

/*
 * The library below the test guests: freestanding programs that nacre starts as --firmware. Each
 * proves one claim, named by its file, and ends in success() or fail().
 *
 * A guest runs with its MMU and caches on and addresses mapped one to one. Its text, data, stacks
 * and page tables stay in the staging area, which is never private: so the same guest runs where
 * KVM has to read guest instructions. Private memory holds data only.
 *
 * cpu.h is the architecture's part (lib/x86, lib/arm64), the same names in both. Numbers that are
 * the VMM's interface are written down here once more, on purpose: a test that took them from the
 * VMM's own headers would follow it into an error.
 */
#define PAGE 4096ULL

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

extern const struct boot_info *boot;

/* What a guest provides. Returning from it is success. */
void guest_main(void);

/* ---- verdicts ---- */

/* %s %c %d %u %x, and %ld %lu %lx; a line of at most 255 characters. Any vCPU. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Prints SUCCESS and powers off. The line names the mode that the guest was told to be in: what it
 * expects of the VMM follows from that, so the test must know that it is the mode it asked for.
 */
_Noreturn void success(void);
/* Prints "FAIL: ..." and reports a crash. */
_Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(cond, ...)                   \
	do {                               \
		if (!(cond))               \
			fail(__VA_ARGS__); \
	} while (0)

/* ---- devices ---- */

enum {
	SERIAL_DATA = 0,
	SERIAL_IER = 1,
	SERIAL_FCR = 2,
	SERIAL_MCR = 4,
	SERIAL_LSR = 5,
	SERIAL_SCR = 7
};
enum { SERIAL_LSR_DATA = 0x01, SERIAL_LSR_THRE = 0x20, SERIAL_IER_RX = 0x01 };

enum { POWER_COMMAND = 0, POWER_IDENT = 4, POWER_IDENT_VALUE = 0x4e414352 };
enum { POWER_BOOT_DONE = 1, POWER_OFF = 2, POWER_RESET = 3, POWER_CRASH = 4 };

void power(uint32_t command);
_Noreturn void halt(void); /* this vCPU only */

enum {
	PROBE_PEEK = 1,
	PROBE_POKE = 2,
	PROBE_READ = 3,
	PROBE_WRITE = 4,
	PROBE_SCAN = 5,
	PROBE_RSS = 6
};
enum { PROBE_OK = 0, PROBE_SIGBUS = 1, PROBE_SIGSEGV = 2, PROBE_NOT_MEMORY = 3, PROBE_GATE = 4 };

enum {
	PROBE_REG_GPA = 0x00,
	PROBE_REG_LEN = 0x08,
	PROBE_REG_VALUE = 0x10,
	PROBE_REG_CMD = 0x18,
	PROBE_REG_RESULT = 0x1c,
	PROBE_REG_READABLE = 0x20,
	PROBE_REG_REFUSED = 0x24
};

/*
 * Asks the VMM to access our memory: PEEK and READ fill *value, POKE and WRITE take it. Returns the
 * result. One vCPU at a time. Fails the test when there is no probe device.
 */
uint32_t probe(uint32_t command, uint64_t gpa, uint64_t *value);
struct scan {
	uint32_t readable, refused;
};
struct scan probe_scan(uint64_t gpa, uint64_t len);
uint64_t probe_rss(void);

/*
 * Is this what the VMM's raw access to a private page must come back with in this mode? In mode
 * private SIGBUS, or SIGSEGV where pages change sides by attributes and have no address at all.
 */
bool probe_as_promised(uint32_t result);

/* ---- memory ---- */

static inline bool mode_is(enum boot_protection mode)
{
	return boot->protection == (uint32_t)mode;
}

/* A mode in which the VMM itself converts pages. */
static inline bool vmm_converts(void)
{
	return mode_is(BOOT_PRIVATE) || mode_is(BOOT_SOFT_REALM) || mode_is(BOOT_SOFT_SEV);
}

uint64_t ram_total(void);
/* The first page that can be private: in soft-sev the lowest MiB never is. */
uint64_t ram_start(void);
/* The end of the last RAM region. */
uint64_t ram_end(void);
/* A page of RAM that the library does not use: the n-th from 1 MiB into RAM on. */
uint64_t ram_page(uint64_t n);

/* The address of that page's copy that is in use: another one in a realm that has shared it. */
uint64_t where(uint64_t gpa);
/* For convert(): the page changes sides. */
void note_state(uint64_t gpa, bool shared);

static inline volatile uint64_t *words(uint64_t gpa)
{
	return (volatile uint64_t *)where(gpa);
}

/* Fills a page with words that follow from seed, or checks that they are there. */
void page_fill(uint64_t gpa, uint64_t seed);
bool page_holds(uint64_t gpa, uint64_t seed);
bool page_is_zero(uint64_t gpa);

/*
 * Asks for a conversion. 0, or the architecture's error code as a negative number. On arm64, where
 * a call takes one page, it is one call per page up to the first error. Converting to the state a
 * page has already is fine, except under pKVM, which refuses it.
 */
int64_t convert(uint64_t gpa, uint64_t pages, bool to_private);

static inline int64_t share(uint64_t gpa, uint64_t pages)
{
	return convert(gpa, pages, false);
}

static inline int64_t unshare(uint64_t gpa, uint64_t pages)
{
	return convert(gpa, pages, true);
}

/* ---- code elsewhere ---- */

/*
 * Marks a function that works wherever it is copied: it calls nothing and uses no globals and no
 * strings. A guest has at most one.
 */
#define MOVABLE __attribute__((section(".movable"), noinline, used))

/* Copies the guest's movable function to gpa (all of it to one page) and makes it fit to run. */
void move_code(uint64_t gpa);

/* What a function outside the staging area is given. */
struct outside {
	uint64_t power, serial, probe, staging, protection;
	uint64_t look; /* whether it may access MMIO that is memory */
};

/*
 * Leaves the staging area for good: moves the movable function, a void (*)(const struct outside *),
 * to RAM and runs it there with a stack of its own, and with page tables of its own or none.
 */
_Noreturn void leave_staging(void);

/* ---- several vCPUs ---- */

/* Runs fn(vCPU number) on all of them, this one included. Returns when the last has returned. */
void smp_run(void (*fn)(uint32_t cpu));

struct lock {
	uint32_t taken;
};
void lock(struct lock *l);
void unlock(struct lock *l);

struct barrier {
	uint32_t here, round;
};
/* Waits until all vCPUs have come. */
void barrier_wait(struct barrier *b);

#define load(p)	     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)  __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define add_to(p, n) __atomic_add_fetch(p, n, __ATOMIC_ACQ_REL)

/* ---- chance ---- */

/* The same sequence for the same start on every run. */
struct random {
	uint64_t state;
};
uint64_t random_next(struct random *r);
static inline uint64_t random_below(struct random *r, uint64_t n)
{
	return (random_next(r) >> 11) % n;
}

/* ---- interrupts ---- */

/* Routes the serial port's interrupt to this vCPU and calls fn for it, with interrupts off. */
void irq_serial(void (*fn)(void));
/* Routes that of the virtio device in that slot, of the first eight, to this vCPU; it only wakes it. */
void irq_virtio(uint32_t slot);
/* Sleeps until an interrupt has been handled. */
void irq_wait(void);

/* ---- between the library's own files ---- */

#define CPUS_MAX   8
#define STACK_SIZE 16384
extern uint8_t stacks[CPUS_MAX][STACK_SIZE];

/* From start.S, on every vCPU; info is NULL on all but the first. */
_Noreturn void guest_start(uint32_t cpu, const struct boot_info *info);
/* The architecture's share of it: vectors and the like. */
void cpu_setup(uint32_t cpu);
/* Runs fn(o) with that stack; room has four free pages. */
_Noreturn void cpu_leave(uint64_t fn, const struct outside *o, uint64_t stack, uint64_t room);
/* Makes another vCPU come to guest_start. False when the platform says no. */
bool cpu_start(uint32_t cpu);

#endif
