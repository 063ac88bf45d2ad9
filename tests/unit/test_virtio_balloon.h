/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_VIRTIO_BALLOON_H
#define NACRE_TEST_VIRTIO_BALLOON_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio_balloon.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/fake_slots.h"

/* What the files of the balloon's suite share: a balloon, its driver, and a loop that runs when told. */
#define F_STATS	    (1ull << 1)
#define F_OOM	    (1ull << 2)
#define F_POISON    (1ull << 4)
#define F_REPORTING (1ull << 5)

#define INFLATE 0
#define DEFLATE 1
#define STATS	2

/* Pages to give away lie from here on, behind the rings. */
#define PAGES_AT (GUEST_DATA + 0x20000)
#define PFN(at)	 ((uint32_t)((at) / 4096))

struct balloon_test {
	struct guest guest;
	struct loop *loop;
	struct loop_event *end;
	struct virtio_balloon *balloon;
	struct driver drv;
	struct ring rings[3]; /* two of pages, and one for what comes behind */
	int irq;
	bool early;	    /* chains are there before the device starts, which looks at once */
	unsigned int turns; /* that blt_on_turn had */
};
extern struct balloon_test blt;

void blt_setup(void);
void blt_teardown(void);
struct balloon_config blt_config(void);
/* Queue `third` is the one behind inflateq and deflateq that the driver uses. */
void blt_begin(const struct balloon_config *cfg, uint64_t features, unsigned int third);
void blt_pump(unsigned int ms);
/* A timer for each turn of the loop, which counts them while chains are under way; arg is where it
 * stands. */
void blt_on_turn(void *arg);

/* Interrupts since the last call. */
unsigned int blt_irqs(void);
bool blt_broken(void);
/* Pages, in all. */
uint64_t blt_given_back(void);
/* Does that side of the page hold memory? The fake's files are memfds. */
bool blt_holds_memory(uint64_t at, bool private);
/* Both sides of n pages hold something. */
void blt_fill(uint64_t at, unsigned int n);
/* Offers n page numbers, at that place in memory, on a queue of pages. */
void blt_offer(unsigned int q, uint64_t at, const uint32_t *pfns, unsigned int n);
void blt_expect_used(unsigned int i, unsigned int n);

TCase *virtio_balloon_reports_case(void);

#endif
