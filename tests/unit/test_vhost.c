/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What vhost is told, with a kernel that only keeps books behind ioctl(). That the real one agrees:
 * tests/e2e/net and tests/e2e/vsock.
 */
#include <check.h>
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/vhost_vsock.h"
#include "devices/virtio_net.h"
#include "mem/guard.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

#define CID	    7u
#define F_STREAM    1ull
#define F_SEQPACKET 2ull
#define F_MRG_RXBUF (1ull << VIRTIO_NET_F_MRG_RXBUF)
#define F_LOG_ALL   (1ull << 26)
#define STAGING	    0x80000000ull

/* ---- the kernel ---- */

static struct {
	uint64_t has; /* features */
	unsigned long fail;
	int code;

	bool owned;
	uint64_t features, cid;
	unsigned int regions;
	struct vhost_memory_region region;
	struct {
		unsigned int num, base;
		struct vhost_vring_addr addr;
		int kick, call, err, backend;
	} q[2];
	int running; /* of vsock */
} k;

static int answer(unsigned long request, void *arg)
{
	const struct vhost_vring_state *s = arg;
	const struct vhost_vring_file *f = arg;
	const struct vhost_memory *m = arg;

	switch (request) {
	case VHOST_SET_OWNER:
		k.owned = true;
		return 0;
	case VHOST_GET_FEATURES:
		memcpy(arg, &k.has, 8);
		return 0;
	case VHOST_SET_FEATURES:
		memcpy(&k.features, arg, 8);
		return 0;
	case VHOST_SET_MEM_TABLE:
		k.regions = m->nregions;
		k.region = m->regions[0];
		return 0;
	case VHOST_SET_VRING_NUM:
		k.q[s->index].num = s->num;
		return 0;
	case VHOST_SET_VRING_BASE:
		k.q[s->index].base = s->num;
		return 0;
	case VHOST_SET_VRING_ADDR:
		k.q[s->index].addr = *(struct vhost_vring_addr *)arg;
		return 0;
	case VHOST_SET_VRING_KICK:
		k.q[f->index].kick = f->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		k.q[f->index].call = f->fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		k.q[f->index].err = f->fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		k.q[f->index].backend = f->fd;
		return 0;
	case VHOST_VSOCK_SET_GUEST_CID:
		memcpy(&k.cid, arg, 8);
		return 0;
	case VHOST_VSOCK_SET_RUNNING:
		memcpy(&k.running, arg, sizeof(int));
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

/* In front of libc's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (_IOC_TYPE(request) != VHOST_VIRTIO)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	if (request != k.fail)
		return answer(request, arg);
	errno = k.code;
	return -1;
}

/* ---- life ---- */

static struct guest g;
static struct loop *loop;
static struct loop_event *end;
static int irq, tap[2];
static struct vhost_vsock *vsock;
static struct virtio_net *nic;
static struct virtio_dev *dev;
static struct driver drv;
static struct ring rings[3];

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void pump(void)
{
	loop_timer_set(end, 1000);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void setup(void)
{
	const struct mem_region_desc staging = { MEM_STAGING, "staging", { STAGING }, MIB(1) };
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	guest_new_open(&g);
	ck_assert_int_eq(mem_add(g.mem, &staging, &e), 0);
	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, tap), 0);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(loop, on_end, NULL, &end, &e), 0);
	memset(&k, 0, sizeof(k));
	k.has = F_VERSION | F_EVENT | F_INDIRECT | F_MRG_RXBUF | F_LOG_ALL;
	for (unsigned int q = 0; q < 2; q++)
		k.q[q].kick = k.q[q].call = k.q[q].err = k.q[q].backend = -1;
	for (unsigned int q = 0; q < 3; q++)
		ring_new(&rings[q], &g, GUEST_RAM + q * RING_BYTES, (uint16_t)(64 << q));
}

static void teardown(void)
{
	vhost_vsock_free(vsock);
	vsock = NULL;
	virtio_net_free(nic);
	nic = NULL;
	loop_event_free(end);
	loop_free(loop);
	close(irq);
	close(tap[0]);
	close(tap[1]);
	guest_free(&g);
	log_set_level(LOG_WARN);
}

static int make_vsock(const char *device, struct err *e)
{
	struct vhost_vsock_config cfg = {
		.device = device, .cid = CID, .mem = g.mem, .loop = loop, .irq = { irq }
	};
	int r = vhost_vsock_new(&vsock, &cfg, e);

	if (r)
		return r;
	dev = vhost_vsock_dev(vsock);
	driver_new(&drv, dev);
	return 0;
}

static void wire_free(struct netio *io)
{
	free(io);
}

static const struct netio_ops wire_ops = { .free = wire_free };

static void make_net(void)
{
	struct nic_config cfg = { .mac = { 2 }, .mem = g.mem, .loop = loop, .irq = { irq } };
	struct netio *io = calloc(1, sizeof(*io));
	struct err e = { "" };

	*io = (struct netio){ .ops = &wire_ops, .name = "wire", .fd = tap[0] };
	ck_assert_msg(!vhost_net_new(&cfg.vhost, "/dev/null", tap[0], &e), "%s", e.msg);
	ck_assert_msg(!virtio_net_new(&nic, io, &cfg, &e), "%s", e.msg);
	dev = virtio_net_dev(nic);
	driver_new(&drv, dev);
}

/* The driver, with these queues (a bit each). True when the device runs. */
static bool drive(unsigned int queues)
{
	uint32_t status = driver_negotiate(&drv, driver_features(&drv));

	for (unsigned int q = 0; q < dev->queue_count; q++)
		if (queues & 1u << q)
			driver_queue(&drv, q, &rings[q]);
	driver_put(&drv, R_STATUS, status | S_DRIVER_OK);
	return driver_get(&drv, R_STATUS) == (S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

static void start_vsock(void)
{
	struct err e = { "" };

	ck_assert_msg(!make_vsock("/dev/null", &e), "%s", e.msg);
	ck_assert(drive(7));
}

static bool is_broken(void)
{
	return driver_get(&drv, R_STATUS) & S_NEEDS_RESET;
}

/* The notification stands in the eventfd, as nobody here listens. */
static bool is_kick_left(unsigned int q)
{
	uint64_t count;

	driver_put(&drv, R_NOTIFY, q);
	pump();
	return read(virtio_kick_fd(dev, q), &count, sizeof(count)) == sizeof(count);
}

/* All is ours. */
static void expect_let_go(void)
{
	ck_assert_int_eq(k.running, 0);
	for (unsigned int q = 0; q < 2; q++) {
		ck_assert_int_eq(k.q[q].kick, -1);
		ck_assert_int_eq(k.q[q].call, -1);
		ck_assert_int_eq(k.q[q].err, -1);
		ck_assert_int_eq(k.q[q].backend, -1);
		ck_assert(!is_kick_left(q));
	}
}

/* ---- handing over ---- */

START_TEST(kernel_gets_queues_and_memory)
{
	start_vsock();
	ck_assert(k.owned);
	ck_assert_uint_eq(k.cid, CID);
	ck_assert_int_eq(k.running, 1);
	/* Only what vhost knows, and what was negotiated. */
	ck_assert_uint_eq(k.features, F_VERSION | F_EVENT | F_INDIRECT);
	ck_assert_uint_eq(k.regions, 1);
	ck_assert_uint_eq(k.region.guest_phys_addr, GUEST_RAM);
	ck_assert_uint_eq(k.region.memory_size, GUEST_SIZE);
	ck_assert_uint_eq(k.region.userspace_addr, (uintptr_t)guest_ptr(&g, GUEST_RAM));
	for (unsigned int q = 0; q < 2; q++) {
		const struct ring *r = &rings[q];

		ck_assert_uint_eq(k.q[q].num, r->size);
		ck_assert_uint_eq(k.q[q].base, 0);
		ck_assert_uint_eq(k.q[q].addr.desc_user_addr, (uintptr_t)guest_ptr(&g, r->desc));
		ck_assert_uint_eq(k.q[q].addr.avail_user_addr, (uintptr_t)guest_ptr(&g, r->avail));
		ck_assert_uint_eq(k.q[q].addr.used_user_addr, (uintptr_t)guest_ptr(&g, r->used));
		ck_assert_int_eq(k.q[q].kick, virtio_kick_fd(dev, q));
		ck_assert_int_eq(k.q[q].call, irq);
		ck_assert(is_kick_left(q));
	}
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), CID);
	/* That for events stays ours. */
	ck_assert(!is_kick_left(2));
}
END_TEST

/* Nobody tells us of interrupts, so the register says that there was one, whenever it is read. */
START_TEST(interrupts_go_past_us)
{
	start_vsock();
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 1);
	driver_put(&drv, R_ACK, 1);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 1);
	driver_put(&drv, R_STATUS, 0);
	driver_put(&drv, R_ACK, 0);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 0);
}
END_TEST

START_TEST(reset_takes_queues_back)
{
	start_vsock();
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	expect_let_go();
	/* Where the kernel was does not count for the next driver. */
	k.q[0].base = 5;
	driver_put(&drv, R_STATUS, 0);
	ck_assert(drive(7));
	ck_assert_int_eq(k.running, 1);
	ck_assert_uint_eq(k.q[0].base, 0);
	ck_assert(is_kick_left(0));
}
END_TEST

START_TEST(seqpacket_where_the_kernel_has_it)
{
	struct err e;

	k.has |= _i ? F_SEQPACKET : 0;
	ck_assert_int_eq(make_vsock("/dev/null", &e), 0);
	ck_assert_uint_eq(driver_features(&drv) & 3, F_STREAM | (_i ? F_SEQPACKET : 0));
	ck_assert(drive(7));
	ck_assert_uint_eq(k.features & 3, _i ? F_SEQPACKET : 0);
}
END_TEST

START_TEST(net_queues_get_the_tap)
{
	make_net();
	ck_assert(drive(3));
	ck_assert_uint_eq(k.features, F_VERSION | F_EVENT | F_INDIRECT | F_MRG_RXBUF);
	ck_assert_int_eq(k.q[0].backend, tap[0]);
	ck_assert_int_eq(k.q[1].backend, tap[0]);
	driver_put(&drv, R_STATUS, 0);
	expect_let_go();
	ck_assert(drive(1));
	ck_assert_int_eq(k.q[0].backend, tap[0]);
	ck_assert_int_eq(k.q[1].backend, -1);
}
END_TEST

/* ---- hostile drivers ---- */

/* Something else may be mapped there later. */
START_TEST(rings_outside_of_ram_are_refused)
{
	uint64_t *parts[] = { &rings[1].desc, &rings[1].avail, &rings[1].used };
	struct err e;

	*parts[_i] = STAGING;
	ck_assert_int_eq(make_vsock("/dev/null", &e), 0);
	ck_assert(!drive(7));
	ck_assert(is_broken());
	expect_let_go();
}
END_TEST

START_TEST(queue_that_is_missing_is_a_failure)
{
	struct err e;

	ck_assert_int_eq(make_vsock("/dev/null", &e), 0);
	ck_assert(!drive(7u & ~(1u << _i)));
	ck_assert(is_broken());
	expect_let_go();
}
END_TEST

static void kernel_complains(void)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(k.q[1].err, &one, sizeof(one)), sizeof(one));
}

START_TEST(what_the_kernel_finds_wrong_fails_the_device)
{
	if (_i) {
		make_net();
		ck_assert(drive(3));
	} else {
		start_vsock();
	}
	kernel_complains();
	pump();
	ck_assert(is_broken());
	expect_let_go();
	driver_put(&drv, R_STATUS, 0);
	ck_assert(drive(7));
}
END_TEST

/* Also by a mistake in a queue that is ours, or what another part of us found. */
START_TEST(failed_device_is_not_served)
{
	if (_i) {
		make_net();
		ck_assert(drive(3));
	} else {
		start_vsock();
	}
	pthread_mutex_lock(&dev->lock);
	virtio_fail(dev, "for another reason");
	pthread_mutex_unlock(&dev->lock);
	ck_assert(is_broken());
	expect_let_go();
	driver_put(&drv, R_STATUS, 0);
	ck_assert(drive(7));
}
END_TEST

START_TEST(complaint_does_not_outlive_a_reset)
{
	start_vsock();
	kernel_complains();
	driver_put(&drv, R_STATUS, 0);
	pump();
	ck_assert(!is_broken());
	ck_assert(drive(7));
	kernel_complains();
	driver_put(&drv, R_STATUS, 0);
	ck_assert(drive(7));
	pump();
	ck_assert(!is_broken());
	ck_assert_int_eq(k.running, 1);
}
END_TEST

/* ---- errors ---- */

static const struct {
	unsigned long request;
	int code;
	const char *expect;
} births[] = {
	{ VHOST_SET_OWNER, EBUSY, "vhost-vsock: take possession: " },
	{ VHOST_GET_FEATURES, EFAULT, "vhost-vsock: take possession: " },
	{ VHOST_VSOCK_SET_GUEST_CID, EADDRINUSE, "another guest of this host has it" },
	{ VHOST_VSOCK_SET_GUEST_CID, EINVAL, "set the guest's cid to 7: Invalid argument" },
};

START_TEST(what_cannot_be_made_is_a_sentence)
{
	struct err e = { "" };

	k.fail = births[_i].request;
	k.code = births[_i].code;
	ck_assert_int_eq(make_vsock("/dev/null", &e), -k.code);
	ck_assert_msg(strstr(e.msg, births[_i].expect) != NULL, "%s", e.msg);
}
END_TEST

START_TEST(missing_module_is_named)
{
	struct vhost_net *n;
	struct err e = { "" };

	ck_assert_int_eq(make_vsock("/nowhere/vhost-vsock", &e), -ENOENT);
	ck_assert_msg(strstr(e.msg, "modprobe vhost_vsock") != NULL, "%s", e.msg);
	ck_assert_int_eq(vhost_net_new(&n, "/nowhere/vhost-net", tap[0], &e), -ENOENT);
	ck_assert_msg(strstr(e.msg, "modprobe vhost_net") != NULL, "%s", e.msg);
	/* Not one that we may use. */
	ck_assert_int_lt(make_vsock("/", &e), 0);
	ck_assert_msg(strstr(e.msg, "readable and writable") != NULL, "%s", e.msg);
	k.has &= ~F_EVENT;
	ck_assert_int_eq(make_vsock("/dev/null", &e), -ENOTSUP);
}
END_TEST

static const unsigned long starts[] = { VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE,
	VHOST_SET_VRING_NUM, VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ERR,
	VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK, VHOST_VSOCK_SET_RUNNING };

START_TEST(what_cannot_start_fails_the_device)
{
	struct err e = { "" };

	ck_assert_int_eq(make_vsock("/dev/null", &e), 0);
	k.fail = starts[_i];
	k.code = EFAULT;
	ck_assert(!drive(7));
	ck_assert(is_broken());
	k.fail = 0;
	expect_let_go();
	driver_put(&drv, R_STATUS, 0);
	ck_assert(drive(7));
	ck_assert_int_eq(k.running, 1);
}
END_TEST

Suite *vhost_suite(void)
{
	Suite *s = suite_create("vhost");
	TCase *t = tcase_create("vhost");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, kernel_gets_queues_and_memory);
	tcase_add_test(t, interrupts_go_past_us);
	tcase_add_test(t, reset_takes_queues_back);
	tcase_add_loop_test(t, seqpacket_where_the_kernel_has_it, 0, 2);
	tcase_add_test(t, net_queues_get_the_tap);
	tcase_add_loop_test(t, rings_outside_of_ram_are_refused, 0, 3);
	tcase_add_loop_test(t, queue_that_is_missing_is_a_failure, 0, 2);
	tcase_add_loop_test(t, what_the_kernel_finds_wrong_fails_the_device, 0, 2);
	tcase_add_loop_test(t, failed_device_is_not_served, 0, 2);
	tcase_add_test(t, complaint_does_not_outlive_a_reset);
	tcase_add_loop_test(t, what_cannot_be_made_is_a_sentence, 0, (int)ARRAY_SIZE(births));
	tcase_add_test(t, missing_module_is_named);
	tcase_add_loop_test(t, what_cannot_start_fails_the_device, 0, (int)ARRAY_SIZE(starts));
	suite_add_tcase(s, t);
	return s;
}
