/* SPDX-License-Identifier: Apache-2.0 */
#include <ucontext.h>

#include "vmm/sandbox/seccomp_impl.h"

/* The kernel's calling convention, syscall(2). */
void seccomp_read_args(const void *context, unsigned long args[6])
{
	static const int regs[6] = { REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9 };
	const ucontext_t *uc = context;
	unsigned int i;

	for (i = 0; i < 6; i++)
		args[i] = (unsigned long)uc->uc_mcontext.gregs[regs[i]];
}
