/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arm64/copier.h"

#include "arch/arm64/layout.h"
#include "arch/arm64/regs.h"
#include "vmm/kvm.h"
#include "vmm/util/bits.h"

#define ONES_OFFSET   0x800u
#define CONFIG_OFFSET PAGE_SIZE
#define COPIER_SIZE   (2 * PAGE_SIZE)

#define SCTLR_M	     BIT(0)
#define SCTLR_C	     BIT(2)
#define SCTLR_I	     BIT(12)
#define PSTATE_START 0x3c5ULL /* EL1 with its own stack pointer; D, A, I and F masked */

/*
 * The routine: x0 from, x1 to, x2 the end of to. It uses x3 to x5 and no stack. The TLB may hold what
 * the MMU said when it was on, and afterwards what holds with it off. 0xc40001af is RSI_COPIER_DONE.
 */
__asm__(".pushsection .rodata\n"
	".balign 8\n"
	".global copier_code, copier_code_end\n"
	".hidden copier_code, copier_code_end\n"
	"copier_code:\n"
	"	tlbi	vmalle1\n"
	"	dsb	nsh\n"
	"	isb\n"
	"	mrs	x3, ctr_el0\n"
	"	ubfx	x3, x3, #16, #4\n"
	"	mov	x4, #4\n"
	"	lsl	x3, x4, x3\n" /* bytes in the smallest cache line */
	"	sub	x5, x3, #1\n"
	"	bic	x4, x1, x5\n"
	"1:	dc	civac, x4\n"
	"	add	x4, x4, x3\n"
	"	cmp	x4, x2\n"
	"	b.lo	1b\n"
	"	dsb	sy\n"
	"	mov	x4, x1\n"
	"2:	ldr	x5, [x0], #8\n"
	"	str	x5, [x4], #8\n"
	"	cmp	x4, x2\n"
	"	b.lo	2b\n"
	"	dsb	sy\n"
	"	sub	x5, x3, #1\n"
	"	bic	x4, x1, x5\n"
	"3:	dc	civac, x4\n"
	"	add	x4, x4, x3\n"
	"	cmp	x4, x2\n"
	"	b.lo	3b\n"
	"	dsb	sy\n"
	"	tlbi	vmalle1\n"
	"	dsb	nsh\n"
	"	isb\n"
	"	mov	w0, #0xc4000000\n"
	"	movk	w0, #0x01af\n"
	"	smc	#0\n"
	"copier_code_end:\n"
	".popsection\n");
extern const char copier_code[] __attribute__((visibility("hidden")));
extern const char copier_code_end[] __attribute__((visibility("hidden")));

int copier_each(const void *config, boot_piece_fn *fn, void *ctx, struct err *e)
{
	static const uint64_t ones = UINT64_MAX;
	const struct boot_item pieces[] = {
		{ .data = copier_code,
			.len = (uint64_t)(copier_code_end - copier_code),
			.dst = { ARM64_COPIER } },
		{ .data = &ones, .len = sizeof(ones), .dst = { ARM64_COPIER + ONES_OFFSET } },
		{ .data = config, .len = PAGE_SIZE, .dst = { ARM64_COPIER + CONFIG_OFFSET } },
	};
	unsigned int i;
	int r = 0;

	for (i = 0; !r && i < ARRAY_SIZE(pieces); i++)
		r = fn(ctx, &pieces[i], e);
	return r;
}

static int write_piece(void *m, const struct boot_item *piece, struct err *e)
{
	return mem_write(m, piece->dst, piece->data, piece->len, e);
}

int copier_add(struct mem *m, const void *config, struct err *e)
{
	struct mem_region_desc d = { MEM_STAGING, "copier", { ARM64_COPIER }, COPIER_SIZE };
	int r = mem_add(m, &d, e);

	return r ? r : copier_each(config, write_piece, m, e);
}

/* None of these can fail on a vCPU that has just left the guest. */
static void get(int vcpu, uint64_t reg, uint64_t *value)
{
	struct err ignored;

	kvm_get_reg(vcpu, reg, value, &ignored);
}

static void set(int vcpu, uint64_t reg, uint64_t value)
{
	struct err ignored;

	kvm_set_reg(vcpu, reg, &value, &ignored);
}

void copier_start(struct copier *c, int vcpu, enum copier_what what, gpa_t to)
{
	bool config = what == COPIER_CONFIG;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c->x); i++)
		get(vcpu, REG_X(i), &c->x[i]);
	get(vcpu, REG_PC, &c->pc);
	get(vcpu, REG_PSTATE, &c->pstate);
	get(vcpu, REG_SCTLR, &c->sctlr);
	c->active = true;
	set(vcpu, REG_X(0), ARM64_COPIER + (config ? CONFIG_OFFSET : ONES_OFFSET));
	set(vcpu, REG_X(1), to.v);
	set(vcpu, REG_X(2), to.v + (config ? PAGE_SIZE : sizeof(uint64_t)));
	set(vcpu, REG_PC, ARM64_COPIER);
	set(vcpu, REG_PSTATE, PSTATE_START);
	set(vcpu, REG_SCTLR, c->sctlr & ~(SCTLR_M | SCTLR_C | SCTLR_I));
}

bool copier_finish(struct copier *c, int vcpu)
{
	unsigned int i;

	if (!c->active)
		return false;
	for (i = 0; i < ARRAY_SIZE(c->x); i++)
		set(vcpu, REG_X(i), c->x[i]);
	set(vcpu, REG_PC, c->pc);
	set(vcpu, REG_PSTATE, c->pstate);
	set(vcpu, REG_SCTLR, c->sctlr);
	/* They may hold a secret, and are the guest's again. */
	*c = (struct copier){ .active = false };
	return true;
}
