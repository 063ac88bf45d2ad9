/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_MMIO_H
#define NACRE_VIRTIO_MMIO_H

#include <stdint.h>

#include "devices/bus.h"
#include "devices/virtio.h"

/*
 * The MMIO transport (virtio 1.2, 4.2), register layout version 2. It only decodes: the rules are
 * in virtio.c. Control registers take aligned 4-byte accesses; anything else reads as zero or is
 * dropped, and is logged.
 *
 * To put a device on a bus:
 *
 *   virtio_mmio_init(&m, dev);
 *   bus_add(bus, &(struct bus_dev){ name, base, VIRTIO_MMIO_SIZE, &virtio_mmio_ops, &m, &dev->lock })
 *   for each queue q: an ioeventfd of 4 bytes at base + VIRTIO_MMIO_NOTIFY with the value q, on
 *   virtio_kick_fd(dev, q). Without it all works too, slower.
 */
#define VIRTIO_MMIO_SIZE   0x1000
#define VIRTIO_MMIO_NOTIFY 0x50

struct virtio_mmio {
	struct virtio_dev *dev;
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
};

void virtio_mmio_init(struct virtio_mmio *m, struct virtio_dev *dev);

extern const struct bus_ops virtio_mmio_ops;

#endif
