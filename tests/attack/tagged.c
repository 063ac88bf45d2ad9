/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-tagged: nacre, with the first page of the guest's memory mapped with PROT_MTE
 *
 * Linked from all of nacre's objects, with one function wrapped. What tests/e2e/mte looks for in all
 * other runs, it must find here. Guests cannot tell the two apart.
 */
#include <errno.h>
#include <sys/mman.h>

#include "mem/mem.h"
#include "vmm/util/bits.h"

/* Which older headers lack (Documentation/arch/arm64/memory-tagging-extension.rst). */
#define PROT_TAGS 0x20

int __real_mem_add_ram(struct mem *m, const struct mem_region_desc *desc,
	const struct backing_options *o, struct err *e);
int __wrap_mem_add_ram(struct mem *m, const struct mem_region_desc *desc,
	const struct backing_options *o, struct err *e);

int __wrap_mem_add_ram(struct mem *m, const struct mem_region_desc *desc,
	const struct backing_options *o, struct err *e)
{
	int r = __real_mem_add_ram(m, desc, o, e);

	if (!r && mprotect(mem_host(m, desc->base, PAGE_SIZE), PAGE_SIZE,
			  PROT_READ | PROT_WRITE | PROT_TAGS))
		r = err_sys(e, "map guest memory with PROT_MTE");
	return r;
}
