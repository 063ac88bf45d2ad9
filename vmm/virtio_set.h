/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_SET_H
#define NACRE_VIRTIO_SET_H

#include "vmm/config.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"
#include "vmm/vm.h"

/*
 * The virtio devices of a machine: makes what the configuration names, one in each PLATFORM_VIRTIO
 * slot, in an order that does not change, so that the guest finds its disks where they were.
 */
struct virtio_set;

/* How many slots the configuration needs (arch_config.virtio). */
uint32_t virtio_set_count(const struct config *c);

/*
 * Makes the devices and joins them to the VM's bus, notifications and interrupts. io: their loop, a
 * member of the VM's park; borrowed. Control thread, before vCPUs run. On error nothing is left but
 * bus rows of a VM that will not run.
 */
int virtio_set_new(struct virtio_set **out, struct vm *vm, struct loop *io, const struct config *c,
	struct err *e);

/* Control thread, after vm_join and before the loop is freed. Accepts NULL. */
void virtio_set_free(struct virtio_set *s);

#endif
