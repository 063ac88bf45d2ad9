/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config_impl.h"

#include <errno.h>

#include "arch/features.h"

/* What settings do not go together. */

/*
 * Why memory of the protected modes has neither huge pages nor merging. Refused rather than
 * ignored: who asks for it counts on it.
 */
static int check_pages(const struct config *c, struct err *e)
{
	const struct backing_options *o = &c->memory;
	uint64_t page_mib = huge_page_size(o->hugepages) >> 20;
	const char *huge = hugepages_names[o->hugepages], *mode = protection_name(c->protection);

	if (c->protection != PROTECTION_NONE && o->hugepages > HUGEPAGES_OFF)
		return err_set(e, -EINVAL,
			"hugepages %s does not fit protection %s: protected memory changes sides "
			"in pages of 4 KiB (leave it out, or add --protection none)",
			huge, mode);
	if (c->protection != PROTECTION_NONE && o->mergeable)
		return err_set(e, -EINVAL,
			"mergeable does not fit protection %s: the host cannot compare pages that "
			"it cannot read (leave it out, or add --protection none)",
			mode);
	if (page_mib && o->mergeable)
		return err_set(e, -EINVAL,
			"mergeable does not fit hugepages %s: the host merges ordinary pages only "
			"(leave one of them out)",
			huge);
	if (page_mib && c->mem_mib % page_mib)
		return err_set(e, -EINVAL,
			"mem %llu is no multiple of %llu MiB, which hugepages %s needs",
			(unsigned long long)c->mem_mib, (unsigned long long)page_mib, huge);
	return 0;
}

/* The kernel shares all of its bounce buffers at once, before it shows anything. */
static int check_shared_limit(const struct config *c, struct err *e)
{
	uint64_t wanted = min_u64(c->swiotlb_mib, c->mem_mib / 4);

	if (!protection_is_alias(c->protection) || !c->kernel || !config_virtio_count(c) ||
		wanted << 20 <= config_shared_limit(c))
		return 0;
	return err_set(e, -EINVAL,
		"shared-limit %llu is too little for bounce buffers of %llu MiB (raise it, or "
		"lower swiotlb)",
		(unsigned long long)c->shared_limit_mib, (unsigned long long)wanted);
}

/* Refused, not ignored: who asks for a limit counts on it. A default that is spelled out is no wish. */
static int check_shares(const struct config *c, struct err *e)
{
	bool is_auto = c->protection == PROTECTION_AUTO;

	if (c->shared_limit_mib && !protection_is_alias(c->protection) && !is_auto)
		return err_set(e, -EINVAL,
			"shared-limit %llu does not fit protection %s: it is for soft-realm and "
			"soft-sev (leave it out)",
			(unsigned long long)c->shared_limit_mib, protection_name(c->protection));
	if (c->swiotlb_mib != SWIOTLB_MIB && c->protection == PROTECTION_NONE)
		return err_set(e, -EINVAL,
			"swiotlb %llu does not fit protection none: it is for protected guests "
			"(leave it out, or say which protection)",
			(unsigned long long)c->swiotlb_mib);
	return check_shared_limit(c, e);
}

/* Refused, not ignored: these are wishes about pages that change sides. */
static int check_conversion(const struct config *c, struct err *e)
{
	bool suits = c->protection == PROTECTION_PRIVATE || c->protection == PROTECTION_AUTO;
	bool attributes = suits && c->conversion != CONVERSION_SWAP;

	if (c->conversion != CONVERSION_AUTO && !suits)
		return err_set(e, -EINVAL,
			"conversion %s does not fit protection %s (add --protection private, or "
			"leave it out)",
			conversion_names[c->conversion], protection_name(c->protection));
	if (c->conversion == CONVERSION_ATTRIBUTES && c->private_memory == PRIVATE_MEMORY_OPEN)
		return err_set(e, -EINVAL,
			"conversion attributes does not fit private-memory open: KVM would not "
			"tell its two sides apart (leave one of them out)");
	if (c->implicit == IMPLICIT_ALLOW && !attributes)
		return err_set(e, -EINVAL,
			"implicit-conversion allow is for conversion attributes in mode private "
			"(leave it out)");
	return 0;
}

/* Refused, not ignored: a guest that counts on tags would go without the checks. */
static int check_mte(const struct config *c, struct err *e)
{
	if (!c->mte)
		return 0;
	if (!arch_has_mte())
		return err_set(e, -ENOTSUP,
			"mte is for arm64 guests: no x86-64 CPU has memory tags (leave it out)");
	if (c->protection != PROTECTION_NONE)
		return err_set(e, -EINVAL,
			"mte does not fit protection %s: KVM has no tags for memory that the host "
			"cannot map (leave it out, or add --protection none)",
			protection_name(c->protection));
	if (c->memory.mergeable)
		return err_set(e, -EINVAL,
			"mergeable does not fit mte: the host merges no pages that may have tags "
			"(leave one of them out)");
	return 0;
}

int config_check_cpus(const struct config *c, struct err *e)
{
	if (c->smt && !arch_has_threads())
		return err_set(e, -ENOTSUP,
			"smt is for x86-64 guests: here CPUs have one thread each (leave it out)");
	if (c->smt && c->cpus > 1 && c->cpus % 2)
		return err_set(e, -EINVAL,
			"smt does not fit %u CPUs: threads come in pairs (leave it out, or make "
			"the number even)",
			c->cpus);
	return 0;
}

int config_check_memory(const struct config *c, struct err *e)
{
	int r;

	/* Refused, not ignored: who writes "open" expects a private side to open. */
	if (c->private_memory == PRIVATE_MEMORY_OPEN && !protection_has_gmem(c->protection) &&
		c->protection != PROTECTION_AUTO)
		return err_set(e, -EINVAL,
			"private-memory open does not fit protection %s (add --protection private "
			"or auto, or leave it out)",
			protection_name(c->protection));
	r = check_conversion(c, e);
	if (!r)
		r = check_mte(c, e);
	return r ? r : check_pages(c, e);
}

int config_check(const struct config *c, struct err *e)
{
	uint64_t ignored;
	int r;

	if (c->initrd && !c->kernel)
		return err_set(e, -EINVAL,
			"initrd is given without kernel (add --kernel FILE, or leave it out)");
	if (c->params && !c->kernel)
		return err_set(e, -EINVAL,
			"params is given without kernel (add --kernel FILE, or leave it out)");
	if (!c->kernel && !c->firmware)
		return err_set(e, -EINVAL,
			"nothing to run: neither kernel nor firmware is given (add --kernel FILE, "
			"--firmware FILE or --config-file FILE)");
	r = config_check_cpus(c, e);
	if (!r)
		r = config_check_memory(c, e);
	if (!r)
		r = check_shares(c, e);
	if (!r)
		r = config_check_devices(c, e);
	if (r)
		return r;
	r = config_hidden(c, &ignored, e);
	return r ? err_prefix(e, r, "hide-cpu-features") : 0;
}
