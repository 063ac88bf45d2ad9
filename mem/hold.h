/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_HOLD_H
#define NACRE_HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mem/mem.h"

/*
 * Guest memory that the host's kernel works on for a device, while nobody of ours looks: disk I/O
 * straight into the guest's buffers. Such a buffer is the device's until it has given it back
 * (virtio 1.2, 2.7.13), and a guest that makes its pages private meanwhile breaks that rule. Then
 * what the I/O still writes would go to the side that the pages have left, where it is nobody's, and
 * the memory would be held twice.
 *
 * So the device holds the pages from before the I/O begins until after it has ended, and no page
 * that is held becomes private: convert_apply answers -EBUSY and changes nothing. Who converts can
 * wait, away from the park, and try again.
 *
 * Any running member may take a hold; any thread may drop one, or wait.
 */
struct mem_hold {
	const struct mem *mem; /* NULL: not held */
	struct mem_hold *prev, *next;
	const gpa_t *gpa;	 /* the buffers' addresses, */
	const struct iovec *iov; /* of which only the lengths count here; both borrowed */
	unsigned int count;
	uint64_t low, high; /* first and last address of any of them, for a quick no */
};

/*
 * True where every conversion goes through us. Where a hypervisor answers the guest behind our back
 * (MEM_NATIVE) a hold would hold nothing: devices then copy through memory of their own.
 */
bool mem_can_hold(const struct mem *m);

/* The caller has pointers to all of the buffers from mem_host, in the same stay as a member. */
void mem_hold(const struct mem *m, struct mem_hold *h, const gpa_t *gpa, const struct iovec *iov,
	unsigned int count);
/* Does nothing if it is not held. */
void mem_drop_hold(struct mem_hold *h);

/* Is any page of the range held? Decisive only with the world stopped. */
bool mem_is_held(const struct mem *m, gpa_t a, uint64_t len);
/* Until no page of it is held, or ms milliseconds have passed; false then. Not as a running member. */
bool mem_wait_unheld(const struct mem *m, gpa_t a, uint64_t len, unsigned int ms);

/* For mem_new and mem_free. */
struct mem_holds *mem_holds_new(void);
void mem_holds_free(struct mem_holds *l);

#endif
