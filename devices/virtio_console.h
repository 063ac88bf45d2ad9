/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_CONSOLE_H
#define NACRE_VIRTIO_CONSOLE_H

#include "devices/tty.h"
#include "devices/virtio.h"

/*
 * A console with one port (virtio 1.2, 5.3), which Linux calls hvc0, on a tty.
 *
 *   output  transmitq -> I/O loop -> tty's ring. While that is full the driver's buffers wait.
 *   input   tty -> console's loop -> our buffer -> I/O loop -> receiveq. While the driver gives no
 *           buffers ours fills up, and then the tty stops reading; no byte is lost.
 *
 * So two loops meet here: the tty's calls in on its own, which never touches guest memory, and only
 * the device's, a member of the park, serves the queues. The device's lock covers our buffer. Lock
 * order: device, then tty.
 */
struct virtio_console;

struct console_config {
	const struct mem *mem;
	struct loop *loop; /* of the device; not the tty's */
	struct irq_line irq;
	bool is_protected;
	struct tty *tty; /* borrowed, outlives the device, which is its user */
};

int virtio_console_new(
	struct virtio_console **out, const struct console_config *cfg, struct err *e);
/* Detaches from the tty. Accepts NULL. No vCPU may be running any more. */
void virtio_console_free(struct virtio_console *c);

/*
 * The terminal may have another size now: tells the driver. Any thread, without the device's lock.
 * Does nothing where the output was no terminal to begin with.
 */
void virtio_console_resized(struct virtio_console *c);

/*
 * The guest is gone and the loop is not running: on with the output that the driver left in its
 * queue, as far as the tty has room. True when there is more, for a further call when the tty has
 * written some; false in the end, which comes after a megabyte or so whatever the driver left.
 */
bool virtio_console_finish(struct virtio_console *c);

/* For a transport. */
struct virtio_dev *virtio_console_dev(struct virtio_console *c);

#endif
