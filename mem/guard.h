/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_GUARD_H
#define NACRE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * Guarded access to guest memory. The host kernel answers our access to a private page with SIGBUS
 * (guest_memfd) or SIGSEGV (pKVM); a guest must not be able to end the process that way. Inside a
 * guarded copy such a signal turns into a result; anywhere else it is a bug of ours and still ends
 * the process, after one line with signal and address and after crash hooks (the terminal) ran.
 *
 * guard_init once per process; everything else from any thread, not nested within one thread.
 */
struct guard_fault {
	int signo;	/* SIGBUS or SIGSEGV */
	uintptr_t addr; /* host address that was touched */
};

int guard_init(struct err *e);

/* Called, with async-signal-safe calls only, before an unexpected fault ends the process. */
void guard_set_crash_hook(void (*hook)(void));

/* Copies n bytes. Returns false, with *fault filled, when host memory refused; dst may then hold a
 * part of the bytes. */
bool guard_copy(void *dst, const void *src, size_t n, struct guard_fault *fault);

/* Reads a byte of each page of [p, p + n), n > 0. As guard_copy. */
bool guard_touch(const void *p, size_t n, struct guard_fault *fault);

/*
 * One access to two aligned bytes, for what the other side writes or reads at the same time. A copy
 * may go byte by byte, even of two. What is read or written in program order behind the load comes
 * behind it (acquire), and what stands before the store comes before it (release). As guard_copy.
 */
bool guard_load16(uint16_t *v, const void *src, struct guard_fault *fault);
bool guard_store16(void *dst, uint16_t v, struct guard_fault *fault);

#endif
