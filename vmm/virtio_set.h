/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_SET_H
#define NACRE_VIRTIO_SET_H

#include "devices/tty.h"
#include "vmm/config.h"
#include "vmm/stats.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"
#include "vmm/vm.h"

/*
 * The virtio devices of a machine: makes what the configuration names, one in each PLATFORM_VIRTIO
 * slot, in an order that does not change, so that the guest finds its disks where they were.
 */
struct virtio_set;
struct virtio_blk;
struct virtio_net;
struct virtio_balloon;

/*
 * Makes the devices and joins them to the VM's bus, notifications and interrupts. io: their loop, a
 * member of the VM's park; borrowed, and so is the tty, for a console. Control thread, before vCPUs run. On error nothing is left but
 * bus rows of a VM that will not run.
 */
int virtio_set_new(struct virtio_set **out, struct vm *vm, struct loop *io, struct tty *tty,
	const struct config *c, struct err *e);

/* The terminal's size has changed. Control thread. */
void virtio_set_resized(struct virtio_set *s);

/*
 * The models of devices that can be changed while the guest runs: the i-th disk or network device of
 * the configuration, or the balloon. NULL when there is none. Control thread.
 */
struct virtio_blk *virtio_set_disk(const struct virtio_set *s, uint32_t i);
struct virtio_net *virtio_set_net(const struct virtio_set *s, uint32_t i);
struct virtio_balloon *virtio_set_balloon(const struct virtio_set *s);

/*
 * The last of the guest's output goes to the tty, as far as there is room. True when there is more
 * for another call. Control thread, after vm_join and with the devices' loop at its end.
 */
bool virtio_set_finish(struct virtio_set *s);

/* The devices' part of a report. Control thread; takes each device's lock for a moment. */
void virtio_set_stats(struct virtio_set *s, struct stats_report *out);

/* Control thread, after vm_join and before loops and tty are freed. Accepts NULL. */
void virtio_set_free(struct virtio_set *s);

#endif
