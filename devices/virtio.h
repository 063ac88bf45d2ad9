/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_H
#define NACRE_VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/irq.h"
#include "devices/virtq.h"
#include "mem/mem.h"
#include "vmm/util/err.h"
#include "vmm/util/log.h"
#include "vmm/util/loop.h"

/*
 * A virtio device (virtio 1.2, 2): what a device model and a transport know of each other. The
 * model (virtio_rng.c, ...) fills a struct virtio_ops and knows no registers; the transport
 * (virtio_mmio.c) decodes registers and knows no model; between them virtio.c keeps the rules, and
 * virtio_queue.c the queues.
 *
 * The life of a device:
 *   1. reset     status 0. The driver acknowledges, reads and accepts features, sets up queues.
 *   2. running   DRIVER_OK (3.1): activate(), then queue_notify() for each notification.
 *   3. broken    the driver made a mistake, virtio_fail() was called. Queues are ignored, and the
 *                driver is told by DEVICE_NEEDS_RESET (2.1.2). Only a reset leads out.
 *   4. resetting the driver wrote 0 to status while chains were under way. Registers are as after
 *                reset, but status reads DEVICE_NEEDS_RESET instead of 0 until the last chain was
 *                given back (2.4.2); a driver that does not wait may set up the device meanwhile,
 *                and it starts running when that has happened. No vCPU ever waits here.
 *
 * Threads. The device belongs to one loop for life; the loop must be a member of the park.
 * Everything here is called with the device's mutex `lock` held, unless it says otherwise:
 *   - the bus takes it around register accesses of vCPU threads: features, reset, activate, config
 *   - this room takes it around queue_notify, on the loop's thread
 *   - the model takes it in its own callbacks (timers, completions) before it calls in here
 * Nobody waits for I/O or another thread while holding it, and the world is never stopped under it.
 *
 * Notifications. The transport makes an eventfd for each queue. KVM signals it for a guest's write
 * to QueueNotify (ioeventfd), the register does the same where there is none, and so does a model
 * that wants to come back to a queue later (virtio_kick). All end in queue_notify() on the loop.
 */
struct virtio_dev;

/* A number that a model counts under the lock, for metrics: by Firecracker's name if it has one. */
struct virtio_counter {
	const char *name;
	size_t offset; /* in the model, of a uint64_t that only grows */
};

struct virtio_ops {
	const char *name;		       /* for messages: "virtio-rng" */
	const char *metrics;		       /* the counters' group: "entropy"; or NULL */
	const struct virtio_counter *counters; /* ends with a name of NULL */
	uint32_t id;			       /* device type, virtio 1.2, 5 */
	const char *const *queue_names;	       /* for messages, one for each queue; may be NULL */
	/*
	 * The driver accepted these features and may not change them any more; false refuses
	 * FEATURES_OK. That they were offered is checked already. Optional.
	 */
	bool (*features)(struct virtio_dev *d, uint64_t features);
	/*
	 * DRIVER_OK. After it each ready queue is notified once. After a reset that had to wait it
	 * comes out of the virtio_push or virtio_drop that ended the wait. Optional.
	 */
	void (*activate)(struct virtio_dev *d);
	/*
	 * All queues are stopped. Gives back what the model holds (virtio_drop) and cancels what it
	 * can, without waiting; what cannot be cancelled is pushed or dropped when it ends, and
	 * pushing touches no guest memory then. Timers that serve queues may stay armed. Required
	 * of models that keep chains beyond queue_notify.
	 */
	void (*reset)(struct virtio_dev *d);
	/* The same for one queue. VIRTIO_F_RING_RESET is offered if there is one. Never called for a
	 * device that does not run. Optional. */
	void (*queue_reset)(struct virtio_dev *d, unsigned int q);
	/*
	 * The device has just failed. For models whose queues someone else serves, who must cease:
	 * we are kept from them without it. Optional.
	 */
	void (*broken)(struct virtio_dev *d);
	/* There may be chains in queue q. Never called for a device that does not run. */
	void (*queue_notify)(struct virtio_dev *d, unsigned int q);
	/*
	 * The configuration space (2.5): len is 1, 2, 4 or 8 and off a multiple of it. off may lie
	 * behind the end. A read must fill all of data; virtio_config_copy does. Optional.
	 */
	void (*config_read)(struct virtio_dev *d, uint32_t off, void *data, unsigned int len);
	void (*config_write)(
		struct virtio_dev *d, uint32_t off, const void *data, unsigned int len);
};

/*
 * Bytes in buffers that devices hold, which are those of chains popped and not given back: what a
 * guest that bounces its I/O needs of its pool. For all devices of a VM together; zeroed at first.
 */
struct virtio_held {
	_Atomic uint64_t now, peak;
};

struct virtio_queue {
	struct virtq vq;
	uint64_t *held; /* bytes, by the chain's head */
	struct virtio_dev *dev;
	unsigned int index;
	bool was_reset; /* by QueueReset, and may be set up again while the device runs (2.6.1) */
	int kick_fd;
	struct loop_event *kick_event;
};

struct virtio_config {
	const struct virtio_ops *ops;
	void *model;		   /* for the model: virtio_dev.model */
	uint64_t features;	   /* of the device type; the common ones are added */
	const uint16_t *queue_max; /* entries of each queue, powers of two */
	unsigned int queues;
	const struct mem *mem; /* borrowed */
	struct loop *loop;     /* borrowed; must be a member of the park */
	struct irq_line irq;   /* borrowed */
	/* The VM is protected: the driver must accept VIRTIO_F_ACCESS_PLATFORM (6.1), that is, use
	 * only memory that it shared. */
	bool is_protected;
};

struct virtio_dev {
	const struct virtio_ops *ops;
	void *model;
	pthread_mutex_t lock;
	const struct mem *mem;
	struct loop *loop;
	struct irq_line irq;
	bool is_protected;
	bool resetting;
	uint64_t offered;  /* features */
	uint64_t wanted;   /* features the driver has written so far */
	uint64_t features; /* what it got with FEATURES_OK; 0 before that */
	uint8_t status;
	uint8_t isr;	  /* events not yet acknowledged */
	uint8_t isr_kept; /* those that stay: who raises them past us cannot set them here */
	uint32_t config_generation;
	struct log_gate failures; /* each device may tell of its own */
	/* For statistics, under the lock too. */
	uint64_t failed;	  /* times that it broke */
	uint64_t faults;	  /* of these, for memory that is private or not there */
	uint64_t held, held_peak; /* bytes, as struct virtio_held */
	struct virtio_held *all;  /* borrowed; set before anything runs, or NULL */
	unsigned int queue_count;
	struct virtio_queue *queues;
};

#define VIRTIO_ISR_QUEUE  1u
#define VIRTIO_ISR_CONFIG 2u

/* ---- for device models ---- */

/* Makes eventfds and joins the loop. Without the lock. After an error, call virtio_fini too. */
int virtio_init(struct virtio_dev *d, const struct virtio_config *cfg, struct err *e);
/* Leaves the loop: queue_notify is not called any more, while virtio_kick still does no harm. Without
 * the lock; accepts a half-made device. For models with timers of their own, before freeing them. */
void virtio_leave(struct virtio_dev *d);
/* virtio_leave, and frees. Without the lock, with no vCPU running; accepts a zeroed or half-made device. */
void virtio_fini(struct virtio_dev *d);

/* DRIVER_OK, not broken, not resetting: the queues may be used. */
bool virtio_running(const struct virtio_dev *d);
/* The driver accepted that feature bit. */
bool virtio_has(const struct virtio_dev *d, unsigned int bit);

/*
 * The driver broke the rules, or the host cannot go on: the device needs a reset. Logs once, tells
 * the driver, ignores the queues from here on. Once broken, further calls do nothing.
 */
void virtio_fail(struct virtio_dev *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same for memory that the driver named and that is private or not there: counted apart. */
void virtio_fault(struct virtio_dev *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * virtq_* for a device, with the name of the queue in the sentence: an error fails the device. A
 * chain that was popped is given back exactly once, by push, unpop or drop; also after a failure or
 * a reset, when pushing tells nobody.
 */
bool virtio_pop(struct virtio_dev *d, unsigned int q, struct virtq_chain *c);
void virtio_unpop(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c);
void virtio_push(
	struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t written);
/* n chains of one generation at once: the driver sees all of them or none. */
void virtio_push_all(struct virtio_dev *d, unsigned int q, uint32_t generation,
	const struct virtq_done *done, unsigned int n);
void virtio_drop(struct virtio_dev *d, unsigned int q);
/* An interrupt for what was pushed since the last call, if the driver wants one. */
void virtio_notify(struct virtio_dev *d, unsigned int q);
/* False, and the device failed, when the chain is too short or its memory not ours to touch. */
bool virtio_read(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t off,
	void *buf, size_t len);
bool virtio_write(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t off,
	const void *buf, size_t len);

/*
 * The usual queue_notify: hands each chain to fn, which gives it back in time (push, drop, or keep
 * and push later) and returns VIRTIO_NEXT, or returns VIRTIO_LATER: then the chain is unpopped and
 * the queue left alone until virtio_kick. It handles at most one queue length before others on the
 * loop get their turn, switches notifications off meanwhile, and notifies the driver at the end. How
 * long one chain may take is fn's to bound: a turn is a queue length of them.
 */
enum virtio_next { VIRTIO_NEXT, VIRTIO_LATER };
typedef enum virtio_next (*virtio_chain_fn)(
	struct virtio_dev *d, unsigned int q, struct virtq_chain *c);
void virtio_serve(struct virtio_dev *d, unsigned int q, virtio_chain_fn fn);

/*
 * For models that serve a queue in their own way: whether the driver shall notify us. Switched on,
 * true means that chains came in meanwhile, for which no notification will follow.
 */
bool virtio_want_notify(struct virtio_dev *d, unsigned int q, bool on);

/*
 * Whether notifications come to us; off, they are for another who polls the same eventfd. One that
 * was on its way may still come. Any thread.
 */
void virtio_listen(struct virtio_dev *d, unsigned int q, bool on);

/* queue_notify soon, on the loop. Any thread, with or without the lock. */
void virtio_kick(struct virtio_dev *d, unsigned int q);

/* The configuration space has changed (2.3, 2.5): new generation, and an interrupt. */
void virtio_config_changed(struct virtio_dev *d);
/* config_read for a model that keeps its space in a struct; what lies behind it reads as zero. */
void virtio_config_copy(const void *space, size_t size, uint32_t off, void *data, unsigned int len);

/* ---- for transports and the machine ---- */

uint8_t virtio_status(const struct virtio_dev *d);
/* The driver writes the status register: progress (3.1), or 0, a reset. */
void virtio_set_status(struct virtio_dev *d, uint32_t status);
/* The driver accepts 32 feature bits. Ignored unless it is its time (3.1.1, step 4). */
void virtio_set_features(struct virtio_dev *d, unsigned int word, uint32_t bits);
/* May the driver set up queue q now? Not while it is ready, nor while the device runs. */
bool virtio_may_set_up(const struct virtio_dev *d, unsigned int q);
/* Starts or stops a queue. Wrong addresses or sizes fail the device. */
void virtio_set_ready(struct virtio_dev *d, unsigned int q, bool ready);
void virtio_reset_queue(struct virtio_dev *d, unsigned int q);
/* A reset of that queue is under way. */
bool virtio_queue_resetting(const struct virtio_dev *d, unsigned int q);
void virtio_ack(struct virtio_dev *d, uint32_t events);

/* For an ioeventfd: 4 bytes written to the transport's notify register with value q. Borrowed. */
int virtio_kick_fd(const struct virtio_dev *d, unsigned int q);

#endif
