/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_IMPL_H
#define NACRE_VIRTIO_IMPL_H

#include "devices/virtio.h"

/* What virtio.c (status, features, resets, life) and virtio_queue.c share. With the device's lock. */

/* Interrupts the driver for VIRTIO_ISR_*. */
void virtio_raise(struct virtio_dev *d, uint8_t event);
/* A chain was given back: ends a reset that waited for it, if it was the last one. */
void virtio_settle(struct virtio_dev *d);

/* virtio_fail, or for -EFAULT virtio_fault, with the queue's name in front. */
void virtio_queue_fail(struct virtio_dev *d, unsigned int q, int code, const struct err *e);
/* virtq_stop; the buffers under way are the driver's again. */
void virtio_queue_stop(struct virtio_queue *queue);
/* Makes the eventfd and joins the loop; virtio_fini undoes it, also after an error. Without the lock. */
int virtio_queue_init(struct virtio_dev *d, unsigned int q, uint16_t max, struct err *e);

#endif
