/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PROBE_DEV_H
#define NACRE_PROBE_DEV_H

#include <pthread.h>

#include "devices/bus.h"
#include "mem/mem.h"
#include "vmm/util/err.h"

/*
 * The probe: through it a guest asks us to try and read its memory, raw (past the gate, as an
 * attacker inside our process would, see mem/probe.h) or the way devices do. Tests and demos have
 * it; an ordinary machine does not.
 *
 * All registers are 32 bits wide; other widths and offsets read zero and are dropped.
 */
enum probe_reg {
	PROBE_GPA_LO = 0x00, /* read and write, as all up to VALUE_HI */
	PROBE_GPA_HI = 0x04,
	PROBE_LEN_LO = 0x08,
	PROBE_LEN_HI = 0x0c,
	PROBE_VALUE_LO = 0x10,
	PROBE_VALUE_HI = 0x14,
	PROBE_CMD = 0x18,      /* write: enum probe_cmd; reads zero */
	PROBE_RESULT = 0x1c,   /* read: enum probe_result of the last command */
	PROBE_READABLE = 0x20, /* read: pages, of the last SCAN; saturates */
	PROBE_REFUSED = 0x24,  /* the same */
	PROBE_SIZE = 0x40,
};

enum probe_cmd {
	PROBE_CMD_PEEK = 1,  /* VALUE = 8 bytes at GPA, raw; they must not cross a page */
	PROBE_CMD_POKE = 2,  /* 8 bytes at GPA = VALUE, raw */
	PROBE_CMD_READ = 3,  /* like PEEK through the gate; RESULT is OK or GATE */
	PROBE_CMD_WRITE = 4, /* like POKE through the gate */
	/*
	 * Raw, one byte of each page of LEN bytes from GPA. RESULT is OK when the scan was carried
	 * out, NOT_MEMORY when LEN is 0, above PROBE_SCAN_MAX, or wraps.
	 */
	PROBE_CMD_SCAN = 5,
	/*
	 * VALUE = bytes resident in our page tables, the second column of /proc/self/statm. The
	 * kernel keeps it approximately, a few hundred KiB either way. Shared pages that were used
	 * are in it; private ones never are, since nothing of ours maps them. RESULT is NOT_MEMORY
	 * when /proc is not there.
	 */
	PROBE_CMD_RSS = 6,
	PROBE_CMD_REPORT = 7, /* says in the log again what the last command found */
};

/* A scan runs on a vCPU thread, which cannot be kicked meanwhile: keep it below a second or so. */
#define PROBE_SCAN_MAX (1ULL << 30)

/*
 * One set of registers per device: vCPUs that use it at once must agree among themselves. mem is
 * borrowed. Opens /proc/self/statm now, because a sandboxed process no longer can.
 */
struct probe_dev;
int probe_dev_new(struct probe_dev **out, const struct mem *mem, struct err *e);
void probe_dev_free(struct probe_dev *p); /* accepts NULL */

extern const struct bus_ops probe_dev_ops;
pthread_mutex_t *probe_dev_lock(struct probe_dev *p);

#endif
