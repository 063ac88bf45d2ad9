/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_VIRTIO_H
#define NACRE_TEST_VIRTIO_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio.h"
#include "tests/unit/fake_driver.h"

/*
 * What the files of the virtio_mmio suite share; defined in test_virtio_mmio.c: a device of two
 * queues that copies what it reads to what it may write, its driver, and a loop that runs when told.
 */
#define TEST_FEATURE 1ull
#define TEST_VETO    2ull /* the model refuses this one */
#define TEST_OFFERED (TEST_FEATURE | TEST_VETO | F_INDIRECT | F_EVENT | F_VERSION | F_RESET)

#define HELD_MAX 8

struct test_model {
	struct virtio_dev dev;
	uint8_t config[12];
	unsigned int activated, resets, queue_resets, notified[2];
	bool hold;   /* keep chains */
	bool later;  /* leave chains where they are */
	bool greedy; /* the driver refills while it is served */
	unsigned int served;
	struct virtq_chain held[HELD_MAX];
	unsigned int held_q[HELD_MAX];
	unsigned int held_count;
};

extern struct test_model model;
extern struct guest vguest;
extern struct driver drv;
extern struct ring rings[2];
extern int test_irq;

void virtio_setup(void);
void virtio_setup_protected(void);
void virtio_teardown(void);

/* Runs the loop until nothing is left to do. */
void pump(void);
/* From here on it runs on a thread of its own, and pump is over. */
void run_on_thread(void);
/* Interrupts since the last call. */
unsigned int irqs(void);
/* Both queues, to DRIVER_OK. */
void start_both(uint64_t features);
/* 8 bytes to read, then 8 to write, in descriptors 0 and 1; request notifies queue q too. */
void offer(unsigned int q);
void request(unsigned int q);
/* Gives back the oldest chain the model holds. */
void give_back(bool push);

TCase *virtio_running_case(void);
TCase *virtio_reset_case(void);
TCase *virtio_held_case(void);

#endif
