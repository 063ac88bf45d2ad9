/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PROBE_H
#define NACRE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/mem.h"

/*
 * What an attacker inside our process would try: read or write guest memory by the raw address
 * behind each page's slot, past the gate. Only the probe device and tests call this; it is how
 * "the VMM cannot read it" is shown rather than claimed.
 */
enum probe_result {
	PROBE_OK = 0,	      /* the access went through */
	PROBE_SIGBUS = 1,     /* refused by the host kernel (guest_memfd) */
	PROBE_SIGSEGV = 2,    /* refused below the host kernel (pKVM), or not mapped */
	PROBE_NOT_MEMORY = 3, /* no slot there */
	PROBE_GATE = 4,	      /* refused by mem_host (devices/probe.c's gated commands) */
};

/* Reads or writes 8 bytes at a, which need not be aligned but must not cross a page. */
enum probe_result probe_peek(const struct mem *m, gpa_t a, uint64_t *value);
enum probe_result probe_poke(const struct mem *m, gpa_t a, uint64_t value);

/* Tries one byte of every page in [a, a + len). */
struct probe_count {
	uint64_t readable;
	uint64_t refused;
};
struct probe_count probe_scan(const struct mem *m, gpa_t a, uint64_t len);

#endif
