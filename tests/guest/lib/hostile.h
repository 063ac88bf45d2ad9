/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_HOSTILE_H
#define NACRE_TEST_GUEST_HOSTILE_H

#include "virtio.h"

/*
 * What the guests with hostile drivers share. Each runs its groups of attacks on every device that
 * there is. After each attack that the specification calls a mistake the device must say
 * DEVICE_NEEDS_RESET, and after a reset it must work; what it may tolerate, the tables of attacks
 * say. All the while another device, the witness, must work as if nothing had happened.
 */
struct victim {
	struct virtio v;
	const char *name;
	/* A small correct request, after virtio_start. */
	void (*request)(struct virtio *v);
	/* Makes the device look at a queue that it does not look at for a notification; may be NULL. */
	void (*provoke)(struct virtio *v, uint32_t q);
	uint32_t unseen; /* bit mask of queues that it never looks at */
};

/* What a device does with the buffers of a queue. A disk reads a header, and writes at least a status. */
enum direction { READS, WRITES, BOTH };
enum direction direction(const struct virtio *v, uint32_t q);

extern struct victim victims[VIRTIO_SLOTS];
extern uint32_t victim_count;

/* What is attacked at the moment, for messages. */
extern const struct victim *victim;
extern uint32_t victim_queue;
extern const char *attack;

#define CHECK_ATTACK(cond, fmt, ...) \
	CHECK(cond, "%s, queue %u, %s: " fmt, victim->name, victim_queue, attack, ##__VA_ARGS__)

/* Finds the devices. */
void hostile_start(void);

/* Runs fn on each device, and says so: a line "ok NAME of DEVICE (N attacks)". */
void group(const char *name, void (*fn)(struct victim *t));
/* Starts t with only those queues that an attack on q needs: exits take their time. */
void start_for(struct victim *t, uint32_t q);
/*
 * Whether the i-th attack of a table is made on queue q. All queues are read by the same code, which
 * the first two have seen all of: on the others it is every third.
 */
static inline bool is_made(uint32_t i, uint32_t q)
{
	return q < 2 || i % 3 == q % 3;
}

/* Counts, and remembers for messages. */
void begin_attack(const char *what, uint32_t q);

/* The device says DEVICE_NEEDS_RESET, with an interrupt if it ran, and moves no ring any more. */
void expect_broken(struct victim *t, uint32_t q);
/* Starts it anew, and it works; and so does the witness. */
void expect_recovery(struct victim *t);
/* It works as it is; and so does the witness. */
void expect_unharmed(struct victim *t);

/* The last: says "quiet" and stops all vCPUs for good. The test then looks what the VMM does. */
_Noreturn void quiet(void);

/* For the first vCPU. */
extern struct random chance;

#endif
