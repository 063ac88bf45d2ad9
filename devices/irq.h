/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_IRQ_H
#define NACRE_IRQ_H

#include <stdint.h>
#include <unistd.h>

/*
 * An interrupt line as a device sees it: an eventfd that the machine has joined to the guest's
 * interrupt controller (KVM irqfd). Each write is one edge. The machine owns the descriptor; -1 is
 * a line that leads nowhere.
 */
struct irq_line {
	int fd;
};

/* seccomp control io vcpu: write -- raising an interrupt by its eventfd */
/* One edge. Any thread; never blocks, because KVM empties the counter as it is written. */
static inline void irq_raise(const struct irq_line *irq)
{
	const uint64_t one = 1;

	/* The only failure is a counter about to overflow, and then an edge is pending already. */
	if (irq->fd >= 0 && write(irq->fd, &one, sizeof(one)) < 0)
		return;
}

#endif
