/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BOOTFILES_H
#define NACRE_BOOTFILES_H

#include "arch/arch.h"
#include "vmm/config.h"
#include "vmm/measure.h"
#include "vmm/vm.h"

/* Reads the files that the config names, once: what is read is what boots. */
int bootfiles_read(struct boot_files *f, const struct config *c, struct err *e);
void bootfiles_free(struct boot_files *f);

/*
 * Plans, then fills RAM or the staging area of vm. *staged tells whether there is a staging area to
 * remove once the guest announces that it has loaded. measured: where to leave the measurement of
 * what was loaded, measurement_free'd by the caller; or NULL, which saves the reading.
 */
int bootfiles_load(const struct boot_files *f, struct vm *vm, bool probe, struct boot_entry *entry,
	bool *staged, struct measurement *measured, struct err *e);

/* The measurement that bootfiles_load would leave for such a VM. Opens nothing and needs no KVM. */
int bootfiles_measure(const struct boot_files *f, const struct arch_config *c, bool probe,
	struct measurement *out, struct err *e);

#endif
