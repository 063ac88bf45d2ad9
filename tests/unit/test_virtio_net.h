/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_VIRTIO_NET_H
#define NACRE_TEST_VIRTIO_NET_H

#include <check.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio_net.h"
#include "tests/unit/fake_driver.h"

/*
 * A network device between a driver and a backend that is one end of a pair of sockets, which keep
 * frames apart as a tap does. Each message there begins with virtio's header; net_wire is the other
 * end.
 */
#define F(bit) (1ull << (bit))
#define NET_OFFLOADS                                                                     \
	(F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_HOST_TSO4) | \
		F(VIRTIO_NET_F_HOST_TSO6) | F(VIRTIO_NET_F_HOST_ECN) |                   \
		F(VIRTIO_NET_F_GUEST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO6) |                \
		F(VIRTIO_NET_F_GUEST_ECN))
#define NET_BASE \
	(F_VERSION | F(VIRTIO_NET_F_MAC) | F(VIRTIO_NET_F_STATUS) | F(VIRTIO_NET_F_MRG_RXBUF))

#define RXQ 0u
#define TXQ 1u
#define HDR 12u

struct net_test {
	struct guest guest;
	struct loop *loop;
	struct loop_event *end;
	int irq, wire;
	struct nic_config cfg;
	struct netio *io;
	struct virtio_net *nic;
	struct driver drv;
	struct ring rx, tx;
	uint64_t features;     /* the driver's choice */
	uint64_t offload;      /* what the backend was told last */
	unsigned int writes;   /* to the backend, failed ones too */
	bool is_stream;	       /* the backend is a stream, as passt's */
	uint16_t size;	       /* of the queues */
	unsigned int hand_out; /* receive buffers to offer before the device starts */
	unsigned int sends;    /* and frames to send, of 100 bytes */
};
extern struct net_test nt;

void net_setup(void);
void net_teardown(void);
/* A new device and a driver, to DRIVER_OK. */
void net_start(void);
/* The driver's side alone, after a reset. */
void net_drive(void);
void net_pump(unsigned int ms);
bool net_broken(void);

uint8_t net_byte(unsigned int seed, size_t i);
void net_fill(uint8_t *p, unsigned int seed, size_t len);
bool net_same(const uint8_t *p, unsigned int seed, size_t len);

/* Puts a frame for sending at a place in guest memory, in one buffer, in descriptor i. */
void net_put(uint16_t i, uint64_t at, const struct virtio_net_hdr_v1 *h, uint32_t len);
/* Tells the device, and lets the loop run. */
void net_kick(unsigned int q);
/* What came out on the wire: the frame's length with its header, or -1. */
ssize_t net_take(void *buf, size_t size);
/* A frame from the wire. */
void net_feed(const struct virtio_net_hdr_v1 *h, unsigned int seed, size_t len);
/*
 * Takes a frame out of the used ring into buf, which has room for NET_GOT_MAX bytes; receive buffer i
 * is at GUEST_DATA + i * step. Its length, or 0.
 */
#define NET_GOT_MAX 0x20000
size_t net_got(uint8_t *buf, uint64_t step, struct virtio_net_hdr_v1 *h);
/* Offers a receive buffer in descriptor i. */
void net_offer(uint16_t i, uint64_t at, uint32_t len);
void *net_ptr(uint64_t at);

void net_add_rx_tests(Suite *s);
void net_add_load_tests(Suite *s);

#endif
