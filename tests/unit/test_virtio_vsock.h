/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_VIRTIO_VSOCK_H
#define NACRE_TEST_VIRTIO_VSOCK_H

#include <check.h>
#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices/virtio_vsock.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/scratch.h"

/*
 * A socket device with a driver in the test's memory, and real Unix sockets in a folder of its own.
 * All of it runs on the test's thread: who waits for something runs the loop meanwhile.
 */
#define VS_CID	   42u
#define VS_RX_BUFS 64u
#define VS_RX_SIZE 4096u
#define VS_TX_MAX  0x20000u
/* Where the packets lie. */
#define VS_RX_AT  GUEST_DATA
#define VS_TX_AT  (GUEST_DATA + 0x40000)
#define VS_HEADER 44u
#define VS_BUF	  65536u /* what the device tells as its buf_alloc */

struct vs_packet {
	struct virtio_vsock_hdr h;
	uint8_t data[VS_RX_SIZE];
};

/* A connection, as the guest sees it. */
struct vs_conn {
	int fd; /* the host program's end */
	uint32_t host_port, guest_port;
	uint32_t buf, fwd; /* what the guest tells of its credit */
};

struct vs_test {
	struct guest guest;
	struct loop *loop;
	struct loop_event *end, *on_irq;
	bool stop_at_irq;
	int irq;
	char dir[SCRATCH_PATH], path[80];
	struct vsock_device_config cfg;
	uint32_t rx_size; /* of each buffer */
	unsigned int rx_bufs;
	struct virtio_vsock *dev;
	struct driver drv;
	struct ring rx, tx, event;
};
extern struct vs_test vt;

void vs_setup(void);
void vs_teardown(void);
/* A new device, with vt.cfg, and its driver. */
void vs_start(void);
/* The driver's side alone, after a reset. */
void vs_drive(void);
bool vs_broken(void);
/* The loop, for a while. */
void vs_pump(unsigned int ms);

/* ---- the guest ---- */

/* Gives the device one more buffer. */
void vs_give(uint16_t i);
/* The next packet, within patience; false when none comes. */
bool vs_take(struct vs_packet *p, unsigned int patience_ms);
/* The next packet must be of that operation. */
struct vs_packet vs_expect(uint16_t op);
/* Nothing comes for a while. */
void vs_expect_nothing(void);
/* Sends a packet as it stands; waits until the device took it, unless wait is false. */
void vs_put(const struct virtio_vsock_hdr *h, const void *data, uint32_t len, bool wait);
/* A header from the guest on c. */
struct virtio_vsock_hdr vs_header(const struct vs_conn *c, uint16_t op);
void vs_send(const struct vs_conn *c, uint16_t op, const void *data, uint32_t len);
/* Bytes that tell where they stand. */
void vs_fill(uint8_t *bytes, size_t len);
/* Sends until the device's buffer and the host's socket are full; how much that was. */
uint32_t vs_fill_up(struct vs_conn *c);
void vs_shutdown(const struct vs_conn *c, uint32_t flags);

/* ---- the host ---- */

int vs_listen(uint32_t port, int backlog);
int vs_accept(int listener);
/* Connects and writes that line. */
int vs_connect(const char *line);
/* Reads up to n bytes, less only at the end of the file. Runs the loop. */
size_t vs_read(int fd, void *buf, size_t n);
/* The socket is at its end within patience. */
bool vs_at_end(int fd);

/* ---- both ---- */

struct vs_conn vs_from_host(uint32_t port);
struct vs_conn vs_from_guest(int listener, uint32_t host_port, uint32_t guest_port);
/* The connection works in both directions. */
void vs_is_alive(struct vs_conn *c);

void vs_add_end_tests(Suite *s);
void vs_add_hostile_tests(Suite *s);
void vs_add_host_tests(Suite *s);

#endif
