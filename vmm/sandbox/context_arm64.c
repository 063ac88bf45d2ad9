/* SPDX-License-Identifier: Apache-2.0 */
#include <ucontext.h>

#include "vmm/sandbox/seccomp_impl.h"

/* The kernel's calling convention, syscall(2): x0 to x5. */
void seccomp_read_args(const void *context, unsigned long args[6])
{
	const ucontext_t *uc = context;
	unsigned int i;

	for (i = 0; i < 6; i++)
		args[i] = (unsigned long)uc->uc_mcontext.regs[i];
}
