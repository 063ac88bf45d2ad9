/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_VIRTIO_BLK_H
#define NACRE_TEST_VIRTIO_BLK_H

#include <check.h>
#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "devices/virtio_blk.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/scratch.h"

/*
 * A disk of DISK_SIZE bytes in a temporary file, a device on it, and a driver. The file holds
 * disk_byte() of each position when a test begins.
 */
#define DISK_SIZE    (2048ull * 1024)
#define DISK_SECTORS (DISK_SIZE / 512)

/* Headers and status bytes of requests in flight, past the rings. */
#define BLK_HEADERS (GUEST_RAM + 0x40000)
#define BLK_STATUS  (GUEST_RAM + 0x50000)
#define BLK_F_FLUSH (1ull << VIRTIO_BLK_F_FLUSH)
#define BLK_FEATURES \
	(F_VERSION | BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES)

/* The ways in which data can go. All that a guest sees must be the same in each. */
struct blk_mode {
	const char *name;
	enum blk_engine engine;
	enum blk_cache cache;
	bool is_protected;
	bool is_native; /* it cannot hold memory, and copies */
};
#define BLK_MODES 13
extern const struct blk_mode blk_modes[BLK_MODES];

struct blk_test {
	struct guest guest;
	bool is_native; /* the guest's memory */
	struct loop *loop;
	struct loop_event *end, *on_irq;
	int irq, fd;
	char path[SCRATCH_PATH];
	struct blk_config cfg;
	uint64_t drop; /* features the driver leaves out */
	struct virtio_blk *disk;
	struct driver drv;
	struct ring ring;
	unsigned int offered; /* requests put in the ring before the device starts */
	uint32_t used_len;    /* of the last request that ended */
};
extern struct blk_test bt;

void blk_setup(void);
void blk_teardown(void);

uint8_t disk_byte(uint64_t pos);
/* New memory, where the mode wants another kind. */
void blk_memory(const struct blk_mode *mode);
/* A new device, with bt.cfg in this mode. False when the host has no such thing. */
bool blk_start(const struct blk_mode *mode);
/* The driver's side alone, after a reset. */
void blk_drive(void);
/*
 * The loop, until the used ring has that many entries. A test gives up after BLK_PATIENCE_MS, well
 * before BLK_TIMEOUT, when Check kills it: no test can hold up the suite.
 */
#define BLK_PATIENCE_MS 60000
#define BLK_TIMEOUT	120
void blk_wait(uint16_t used);
/* The loop, for a while. */
void blk_pump(unsigned int ms);

/* Puts a request of three descriptors, or two without data, in the ring: 3 * i and following. */
void blk_put(unsigned int i, uint32_t type, uint64_t sector, uint64_t addr, uint32_t len);
/* Status byte i. */
uint8_t *blk_status(unsigned int i);
void blk_ring(void);
/* The same, without the loop: what is popped is under way, and not done. */
void blk_serve(void);
/* One request from start to end; its status. */
uint8_t blk_do(uint32_t type, uint64_t sector, uint64_t addr, uint32_t len);
bool blk_broken(void);
/* The bytes of the file. */
void blk_file(uint64_t off, void *buf, size_t len);

/* Memory of the guest, that far into its data. */
uint8_t *blk_data(uint64_t off);
/* len bytes at p are those of the disk when the test began, from sector. */
void blk_is_disk(const uint8_t *p, uint64_t sector, uint32_t len);
void blk_is_all(const uint8_t *p, uint8_t value, size_t len);

/* What reached the host: counted by functions that stand before libc's. */
struct blk_calls {
	/* Two files at once have a thread each. */
	_Atomic unsigned int syncs;  /* fdatasync */
	_Atomic unsigned int reads;  /* preadv */
	_Atomic unsigned int writes; /* pwritev2 */
	_Atomic unsigned int stable; /* ... with RWF_DSYNC */
	bool tiny;		     /* transfers are cut short to 100 bytes */
	_Atomic bool hold;	     /* preadv and pwritev2 wait until it is false */
	bool no_direct;		     /* direct I/O is impossible, says statx */
	uint32_t align;		     /* what direct I/O wants, if not 0 */
	/* Prefaulting calls it too, on several threads. */
	_Atomic int last_mode;	   /* of fallocate */
	_Atomic bool no_fallocate; /* the file system cannot */
};
extern struct blk_calls blk_calls;

void blk_add_change_tests(Suite *s);
void blk_add_error_tests(Suite *s);
void blk_add_host_tests(Suite *s);
void blk_add_reset_tests(Suite *s);
void blk_add_random_tests(Suite *s);

#endif
