/* SPDX-License-Identifier: Apache-2.0 */

/* Start, memory, vCPUs and the probe. */
#include "guest.h"

const struct boot_info *boot;
uint8_t stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));

static struct {
	void (*fn)(uint32_t cpu);
	uint32_t round; /* counts calls of smp_run; a change starts the others */
	uint32_t finished;
} smp;

/* The compiler may call these whatever it is told. */
void *memset(void *to, int byte, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *to, int byte, size_t n)
{
	volatile uint8_t *p = to;

	while (n--)
		*p++ = (uint8_t)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	const volatile uint8_t *s = from;
	volatile uint8_t *p = to;

	while (n--)
		*p++ = *s++;
	return to;
}

/* ---- start ---- */

static _Noreturn void serve(uint32_t cpu)
{
	uint32_t seen = 0;

	for (;;) {
		while (load(&smp.round) == seen)
			cpu_relax();
		seen++;
		smp.fn(cpu);
		add_to(&smp.finished, 1);
	}
}

void guest_start(uint32_t cpu, const struct boot_info *info)
{
	if (cpu == 0)
		boot = info;
	cpu_setup(cpu);
	if (cpu != 0)
		serve(cpu);
	CHECK(boot->magic == BOOT_INFO_MAGIC, "no boot information");
	CHECK(boot->size >= sizeof(*boot), "boot information of %u bytes", boot->size);
	CHECK(boot->cpus <= CPUS_MAX, "%u vCPUs, these guests take %u", boot->cpus, CPUS_MAX);
	guest_main();
	success();
}

/* ---- several vCPUs ---- */

void smp_run(void (*fn)(uint32_t cpu))
{
	uint32_t i, others = boot->cpus - 1;

	smp.fn = fn;
	store(&smp.finished, 0);
	add_to(&smp.round, 1);
	for (i = 1; i <= others && smp.round == 1; i++)
		CHECK(cpu_start(i), "vCPU %u does not start", i);
	fn(0);
	while (load(&smp.finished) != others)
		cpu_relax();
}

void lock(struct lock *l)
{
	while (__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
}

void unlock(struct lock *l)
{
	store(&l->taken, 0);
}

void barrier_wait(struct barrier *b)
{
	uint32_t round = load(&b->round);

	if (add_to(&b->here, 1) == boot->cpus) {
		b->here = 0;
		add_to(&b->round, 1);
		return;
	}
	while (load(&b->round) == round)
		cpu_relax();
}

/* ---- memory ---- */

uint64_t ram_total(void)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < boot->ram_count; i++)
		sum += boot->ram[i].size;
	return sum;
}

uint64_t ram_start(void)
{
	return boot->ram[0].base + (mode_is(BOOT_SOFT_SEV) ? 1 << 20 : 0);
}

uint64_t ram_end(void)
{
	return boot->ram[boot->ram_count - 1].base + boot->ram[boot->ram_count - 1].size;
}

uint64_t ram_page(uint64_t n)
{
	return boot->ram[0].base + (1 << 20) + n * PAGE;
}

/* Of RAM's first pages; others are never shared. */
#define NOTED_PAGES (2u << 20)
static uint32_t shared_pages[NOTED_PAGES / 32];

static bool page_number(uint64_t gpa, uint64_t *n)
{
	*n = (gpa - boot->ram[0].base) / PAGE;
	return boot->alias_bit && *n < NOTED_PAGES;
}

uint64_t where(uint64_t gpa)
{
	uint64_t n;

	if (!page_number(gpa, &n) || !(load(&shared_pages[n / 32]) >> n % 32 & 1))
		return gpa;
	return gpa | boot->alias_bit;
}

void note_state(uint64_t gpa, bool shared)
{
	uint32_t bit;
	uint64_t n;

	if (!page_number(gpa, &n))
		return;
	bit = 1u << n % 32;
	if (shared)
		__atomic_fetch_or(&shared_pages[n / 32], bit, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&shared_pages[n / 32], ~bit, __ATOMIC_RELEASE);
}

extern uint8_t movable_start[] __attribute__((visibility("hidden")));
extern uint8_t movable_end[] __attribute__((visibility("hidden")));

void move_code(uint64_t gpa)
{
	uint64_t len = (uint64_t)(movable_end - movable_start);

	CHECK(len && len <= PAGE, "movable code of %lu bytes", len);
	memcpy((void *)gpa, movable_start, len);
	code_sync(gpa, len);
}

void leave_staging(void)
{
	uint64_t code = ram_page(0), data = ram_page(1), stack = ram_page(3);
	struct outside *o = (struct outside *)data;

	move_code(code);
	*o = (struct outside){
		.power = boot->power_base,
		.serial = boot->serial_base,
		.probe = boot->probe_base,
		.staging = boot->staging_base,
		.protection = boot->protection,
		.look = mode_is(BOOT_NONE) || !CODE_IS_READ_BY_HOST,
	};
	code_sync(data, sizeof(*o));
	cpu_leave(code, o, stack, ram_page(4));
}

/* One step of a mixing function: neighbours share no bytes. */
static uint64_t mix(uint64_t v)
{
	v = (v ^ (v >> 31)) * 0x9e3779b97f4a7c15ULL;
	return v ^ (v >> 29);
}

void page_fill(uint64_t gpa, uint64_t seed)
{
	volatile uint64_t *page = words(gpa);
	uint64_t i;

	for (i = 0; i < PAGE / 8; i++)
		page[i] = mix(seed + i);
}

bool page_holds(uint64_t gpa, uint64_t seed)
{
	const volatile uint64_t *page = words(gpa);
	uint64_t i;

	for (i = 0; i < PAGE / 8; i++)
		if (page[i] != mix(seed + i))
			return false;
	return true;
}

bool page_is_zero(uint64_t gpa)
{
	const volatile uint64_t *page = words(gpa);
	uint64_t i;

	for (i = 0; i < PAGE / 8; i++)
		if (page[i])
			return false;
	return true;
}

uint64_t random_next(struct random *r)
{
	r->state += 0x9e3779b97f4a7c15ULL;
	return mix(mix(r->state));
}

/* ---- the probe ---- */

static void set_wide(uint64_t reg, uint64_t v)
{
	CHECK(boot->probe_base, "no probe device (--probe)");
	dev_write32(boot->probe_base + reg, (uint32_t)v);
	dev_write32(boot->probe_base + reg + 4, (uint32_t)(v >> 32));
}

static uint64_t get_wide(uint64_t reg)
{
	uint64_t low = dev_read32(boot->probe_base + reg);

	return low | (uint64_t)dev_read32(boot->probe_base + reg + 4) << 32;
}

uint32_t probe(uint32_t command, uint64_t gpa, uint64_t *value)
{
	set_wide(PROBE_REG_GPA, gpa);
	set_wide(PROBE_REG_VALUE, *value);
	dev_write32(boot->probe_base + PROBE_REG_CMD, command);
	*value = get_wide(PROBE_REG_VALUE);
	return dev_read32(boot->probe_base + PROBE_REG_RESULT);
}

struct scan probe_scan(uint64_t gpa, uint64_t len)
{
	set_wide(PROBE_REG_GPA, gpa);
	set_wide(PROBE_REG_LEN, len);
	dev_write32(boot->probe_base + PROBE_REG_CMD, PROBE_SCAN);
	CHECK(dev_read32(boot->probe_base + PROBE_REG_RESULT) == PROBE_OK, "scan of 0x%lx", gpa);
	return (struct scan){ dev_read32(boot->probe_base + PROBE_REG_READABLE),
		dev_read32(boot->probe_base + PROBE_REG_REFUSED) };
}

uint64_t probe_rss(void)
{
	uint64_t v = 0;

	CHECK(probe(PROBE_RSS, 0, &v) == PROBE_OK, "probe cannot tell resident memory");
	return v;
}

bool probe_as_promised(uint32_t result)
{
	if (mode_is(BOOT_PRIVATE))
		return result == PROBE_SIGBUS || result == PROBE_SIGSEGV;
	if (vmm_converts())
		return result == PROBE_SIGBUS;
	return result == (mode_is(BOOT_PKVM) ? PROBE_SIGSEGV : PROBE_OK);
}
