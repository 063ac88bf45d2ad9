/* SPDX-License-Identifier: Apache-2.0 */

/* Backends of the network device: streams, and taps where this process may have them. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/netio.h"
#include "mem/guard.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

static struct loop *loop;
static struct loop_event *end;
static struct netio *io;
static int wire = -1, events;
static uint8_t frame[0x20000], buf[0x20000];
static struct virtio_net_hdr_v1 header;

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void on_ready(void *arg, int what)
{
	(void)arg;
	events |= what;
	netio_want_read(io, false);
}

static void pump(unsigned int ms)
{
	loop_timer_set(end, ms * 1000ull);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void setup(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(loop, on_end, NULL, &end, &e), 0);
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + (i >> 8));
	events = 0;
}

static void stream_setup(void)
{
	int pair[2];
	struct err e;

	setup();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	wire = pair[1];
	ck_assert_int_eq(netio_stream_new(&io, pair[0], "stream", &e), 0);
	ck_assert_int_eq(netio_attach(io, loop, on_ready, NULL, &e), 0);
}

static void teardown(void)
{
	netio_free(io);
	io = NULL;
	loop_event_free(end);
	loop_free(loop);
	fd_close(&wire);
	log_set_level(LOG_WARN);
}

static int send_frame(size_t len)
{
	struct iovec iov[3] = { { NULL, 0 }, { frame, len / 3 },
		{ frame + len / 3, len - len / 3 } };

	return netio_send(io, &header, iov, 3);
}

/* The first byte of the buffer is left out, so that the pieces are not aligned. */
static ssize_t recv_frame(size_t size)
{
	struct iovec iov[4] = { { NULL, 0 }, { buf, 5 }, { buf + 5, size - 5 }, { buf + size, 1 } };

	memset(&header, 0xff, sizeof(header));
	return netio_recv(io, &header, iov, 4);
}

static void put(const void *data, size_t len)
{
	ck_assert_int_eq(write(wire, data, len), (ssize_t)len);
}

static void put_length(uint32_t len)
{
	len = htonl(len);
	put(&len, 4);
}

/* ---- streams ---- */

START_TEST(frame_follows_its_length)
{
	uint32_t len;

	ck_assert_int_eq(send_frame(1000), 0);
	ck_assert_int_eq(read(wire, buf, sizeof(buf)), 1004);
	memcpy(&len, buf, 4);
	ck_assert_uint_eq(ntohl(len), 1000);
	ck_assert_mem_eq(buf + 4, frame, 1000);
	put_length(1000);
	put(frame, 1000);
	ck_assert_int_eq(recv_frame(2000), 1000);
	ck_assert_mem_eq(buf, frame, 1000);
	ck_assert_uint_eq(header.flags | header.gso_type, 0);
	ck_assert_int_eq(recv_frame(2000), -EAGAIN);
	ck_assert_uint_eq(io->features, 0);
}
END_TEST

START_TEST(frames_may_come_in_pieces_and_in_lots)
{
	uint8_t all[3 * 64];
	uint32_t len = htonl(60);

	for (size_t i = 0; i < sizeof(all); i += 64) {
		memcpy(all + i, &len, 4);
		memcpy(all + i + 4, frame + i, 60);
	}
	for (size_t i = 0; i < 64; i++) {
		put(all + i, 1);
		ck_assert_int_eq(recv_frame(100), i < 63 ? -EAGAIN : 60);
	}
	ck_assert_mem_eq(buf, frame, 60);
	put(all, sizeof(all));
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(recv_frame(100), 60);
		ck_assert_mem_eq(buf, frame + 64 * i, 60);
	}
	ck_assert_int_eq(recv_frame(100), -EAGAIN);
}
END_TEST

START_TEST(long_stream_stays_in_step)
{
	unsigned int in = 0, out = 0;

	while (out < 2000) {
		for (unsigned int i = 0; i < 20; i++, in++) {
			put_length(14 + in * 37 % 3000);
			put(frame + in % 100, 14 + in * 37 % 3000);
		}
		for (; out < in; out++) {
			ck_assert_int_eq(recv_frame(4000), 14 + out * 37 % 3000);
			ck_assert_mem_eq(buf, frame + out % 100, 14 + out * 37 % 3000);
		}
	}
}
END_TEST

START_TEST(longest_frame)
{
	put_length(NETIO_FRAME_MAX);
	put(frame, NETIO_FRAME_MAX);
	ck_assert_int_eq(recv_frame(0x18000), NETIO_FRAME_MAX);
	ck_assert_mem_eq(buf, frame, NETIO_FRAME_MAX);
	/* What passt does not understand is not sent. */
	ck_assert_int_eq(send_frame(65536), 0);
	ck_assert_int_eq(send_frame(65535), 0);
	ck_assert_int_eq(recv(wire, buf, sizeof(buf), MSG_DONTWAIT), 65539);
}
END_TEST

START_TEST(frame_longer_than_the_buffers_is_cut)
{
	put_length(1000);
	put(frame, 1000);
	put_length(20);
	put(frame, 20);
	memset(buf, 0xee, sizeof(buf));
	ck_assert_int_eq(recv_frame(100), 1000);
	ck_assert_uint_eq(buf[101], 0xee);
	ck_assert_int_eq(recv_frame(100), 20);
}
END_TEST

START_TEST(nonsense_ends_the_stream)
{
	static const uint32_t lengths[] = { 0, 13, NETIO_FRAME_MAX + 1, 0xffffffff };

	put_length(lengths[_i]);
	put(frame, 100);
	ck_assert_int_eq(recv_frame(2000), -ENODEV);
	ck_assert_int_eq(recv_frame(2000), -ENODEV);
}
END_TEST

START_TEST(other_side_goes_away)
{
	put_length(20);
	put(frame, 20);
	fd_close(&wire);
	ck_assert_int_eq(recv_frame(100), 20);
	ck_assert_int_eq(recv_frame(100), -ENODEV);
	ck_assert_int_eq(send_frame(100), -ENODEV);
}
END_TEST

/* Whatever error it is that does not say that the other side is gone: here, no socket any more. */
START_TEST(shortage_passes)
{
	int real = fcntl(io->fd, F_DUPFD_CLOEXEC, 0), null = open("/dev/null", O_RDWR | O_CLOEXEC);

	put_length(20);
	put(frame, 20);
	ck_assert_int_eq(dup2(null, io->fd), io->fd);
	ck_assert_int_eq(recv_frame(100), -EAGAIN);
	ck_assert_int_eq(send_frame(100), 0);
	ck_assert_int_eq(dup2(real, io->fd), io->fd);
	ck_assert_int_eq(recv_frame(100), 20);
	ck_assert_int_eq(send_frame(60), 0);
	/* One frame was lost, the stream is in step. */
	ck_assert_int_eq(recv(wire, buf, sizeof(buf), MSG_DONTWAIT), 64);
	close(real);
	close(null);
}
END_TEST

static void on_ready_again(void *arg, int what)
{
	(void)arg;
	events++;
	if (what == NETIO_READABLE)
		ck_assert_int_eq(recv_frame(100), -EAGAIN);
}

START_TEST(shortage_is_waited_for)
{
	int pipe_fds[2];
	struct err e;

	netio_free(io);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	/* Readable, and to read from it always fails. */
	ck_assert_int_eq(netio_stream_new(&io, pipe_fds[0], "pipe", &e), 0);
	ck_assert_int_eq(netio_attach(io, loop, on_ready_again, NULL, &e), 0);
	netio_want_read(io, true);
	pump(100);
	ck_assert_int_ge(events, 2);
	ck_assert_int_le(events, 20);
	/* Asked for and no longer asked for within a pause. */
	netio_want_read(io, false);
	events = 0;
	pump(50);
	ck_assert_int_eq(events, 0);
	netio_want_read(io, true);
	pump(50);
	ck_assert_int_ge(events, 1);
	close(pipe_fds[1]);
}
END_TEST

/* A part of a frame goes out, and the rest before the next one. */
START_TEST(full_socket_keeps_frames_whole)
{
	size_t at = 0, sent = 0, seen;
	ssize_t n;
	int size = 4096;

	setsockopt(io->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while (sent < 10000 && !send_frame(20000))
		sent++;
	ck_assert_uint_lt(sent, 10000);
	netio_want_write(io);
	pump(10);
	ck_assert_int_eq(events, 0);
	for (seen = 0; seen < sent;) {
		n = recv(wire, buf + at, 20004 - at, MSG_DONTWAIT);
		if (n < 0) {
			pump(1);
			continue;
		}
		at += (size_t)n;
		if (at < 20004)
			continue;
		ck_assert_mem_eq(buf + 4, frame, 20000);
		at = 0;
		seen++;
	}
	pump(10);
	ck_assert_int_eq(events, NETIO_WRITABLE);
	ck_assert_int_eq(send_frame(20000), 0);
}
END_TEST

START_TEST(memory_that_refuses_is_an_error)
{
	uint8_t *gone =
		mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[2] = { { NULL, 0 }, { gone, 0x2000 } };

	ck_assert_ptr_ne(gone, MAP_FAILED);
	ck_assert_int_eq(mprotect(gone, 0x2000, PROT_NONE), 0);
	ck_assert_int_eq(netio_send(io, &header, iov, 2), -EFAULT);
	put_length(100);
	put(frame, 100);
	put_length(60);
	put(frame, 60);
	ck_assert_int_eq(netio_recv(io, &header, iov, 2), -EFAULT);
	ck_assert_int_eq(recv_frame(100), 60);
	munmap(gone, 0x2000);
}
END_TEST

START_TEST(readiness_as_long_as_it_is_wanted)
{
	put_length(20);
	put(frame, 20);
	pump(2);
	ck_assert_int_eq(events, 0);
	netio_want_read(io, true);
	pump(2);
	ck_assert_int_eq(events, NETIO_READABLE);
	events = 0;
	pump(2);
	ck_assert_int_eq(events, 0);
	netio_want_write(io);
	pump(2);
	ck_assert_int_eq(events, NETIO_WRITABLE);
	events = 0;
	pump(2);
	ck_assert_int_eq(events, 0);
}
END_TEST

/* ---- taps ---- */

/* In a network namespace of our own. Where that is not allowed, only the errors are tested. */
static bool own_network(void)
{
	struct err e;

	if (!unshare(CLONE_NEWUSER | CLONE_NEWNET) && !netio_tap_new(&io, "probe0", 0, &e)) {
		netio_free(io);
		io = NULL;
		return true;
	}
	fprintf(stderr, "not tested: taps, for lack of privilege\n");
	return false;
}

static void flags_of(const char *name, struct ifreq *ifr, unsigned long what)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(ifr, 0, sizeof(*ifr));
	strcpy(ifr->ifr_name, name);
	ck_assert_int_eq(ioctl(s, what, ifr), 0);
	close(s);
}

START_TEST(tap_that_cannot_be)
{
	struct err e;
	int r = netio_tap_new(&io, "lo", 0, &e);

	ck_assert_int_lt(r, 0);
	ck_assert_msg(strstr(e.msg, "interface lo") || strstr(e.msg, "/dev/net/tun"), "%s", e.msg);
	ck_assert_ptr_eq(io, NULL);
}
END_TEST

START_TEST(tap_is_created_and_goes_away)
{
	struct netio *second;
	struct ifreq ifr;
	struct err e;

	if (!own_network())
		return;
	ck_assert_msg(!netio_tap_new(&io, "nacre0", 1400, &e), "%s", e.msg);
	flags_of("nacre0", &ifr, SIOCGIFFLAGS);
	ck_assert_int_eq(ifr.ifr_flags & IFF_UP, IFF_UP);
	flags_of("nacre0", &ifr, SIOCGIFMTU);
	ck_assert_int_eq(ifr.ifr_mtu, 1400);
	ck_assert_int_eq(netio_tap_new(&second, "nacre0", 0, &e), -EBUSY);
	ck_assert_msg(strstr(e.msg, "another process uses it") != NULL, "%s", e.msg);
	netio_free(io);
	io = NULL;
	ck_assert_uint_eq(if_nametoindex("nacre0"), 0);
}
END_TEST

/* It stays as others have set it up, and we say what does not fit. */
START_TEST(tap_that_exists_with_another_mtu)
{
	int log = memfd_create("log", MFD_CLOEXEC), err = dup(STDERR_FILENO);
	char text[256] = "";
	struct ifreq ifr;
	struct err e;

	if (!own_network())
		return;
	ck_assert_msg(!netio_tap_new(&io, "nacre0", 1400, &e), "%s", e.msg);
	ck_assert_int_eq(ioctl(io->fd, TUNSETPERSIST, 1), 0);
	log_set_level(LOG_WARN);
	dup2(log, STDERR_FILENO);
	for (unsigned int mtu = 1400; mtu < 1402; mtu++) {
		netio_free(io);
		io = NULL;
		ck_assert_msg(!netio_tap_new(&io, "nacre0", mtu, &e), "%s", e.msg);
		if (mtu == 1400)
			ck_assert_int_eq(lseek(log, 0, SEEK_CUR), 0);
	}
	dup2(err, STDERR_FILENO);
	ck_assert_int_gt(pread(log, text, sizeof(text) - 1, 0), 0);
	ck_assert_msg(strstr(text, "ip link set nacre0 mtu 1401") != NULL, "%s", text);
	flags_of("nacre0", &ifr, SIOCGIFMTU);
	ck_assert_int_eq(ifr.ifr_mtu, 1400);
	close(err);
	close(log);
}
END_TEST

/* An ARP request for an address of the interface has the kernel answer. */
START_TEST(tap_exchanges_frames)
{
	static const uint8_t request[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9,
		8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 9, 9, 2, 0, 0, 0, 0, 0, 0, 10,
		9, 9, 1 };
	struct sockaddr_in *a;
	struct ifreq ifr = { 0 };
	struct err e;
	int s;

	if (!own_network())
		return;
	ck_assert_msg(!netio_tap_new(&io, "nacre0", 0, &e), "%s", e.msg);
	ck_assert_int_eq(netio_attach(io, loop, on_ready, NULL, &e), 0);
	ck_assert_uint_ne(io->features & 1ull << VIRTIO_NET_F_GUEST_TSO4, 0);
	netio_offload(io, io->features);
	netio_offload(io, 0);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(ifr.ifr_name, "nacre0");
	a = (struct sockaddr_in *)&ifr.ifr_addr;
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = htonl(0x0a090901);
	ck_assert_int_eq(ioctl(s, SIOCSIFADDR, &ifr), 0);
	memcpy(frame, request, sizeof(request));
	memset(&header, 0, sizeof(header));
	ck_assert_int_eq(send_frame(sizeof(request)), 0);
	for (int i = 0; i < 200; i++) {
		ssize_t n = recv_frame(2000);

		/* Others come on their own: the kernel looks for IPv6 neighbours. */
		if (n >= 42 && buf[12] == 8 && buf[13] == 6 && buf[21] == 2)
			break;
		if (n < 0) {
			ck_assert_int_eq(n, -EAGAIN);
			netio_want_read(io, true);
			pump(10);
		}
		ck_assert_int_lt(i, 199);
	}
	ck_assert_mem_eq(buf, request + 6, 6);
	ck_assert_mem_eq(buf + 28, request + 38, 4);
	/* Taken down, it loses frames; deleted, it is gone. */
	flags_of("nacre0", &ifr, SIOCGIFFLAGS);
	ifr.ifr_flags &= (short)~IFF_UP;
	ck_assert_int_eq(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
	ck_assert_int_eq(send_frame(sizeof(request)), 0);
	close(s);
}
END_TEST

Suite *netio_suite(void)
{
	Suite *s = suite_create("netio");
	TCase *t = tcase_create("stream");

	tcase_add_checked_fixture(t, stream_setup, teardown);
	tcase_add_test(t, frame_follows_its_length);
	tcase_add_test(t, frames_may_come_in_pieces_and_in_lots);
	tcase_add_test(t, long_stream_stays_in_step);
	tcase_add_test(t, longest_frame);
	tcase_add_test(t, frame_longer_than_the_buffers_is_cut);
	tcase_add_loop_test(t, nonsense_ends_the_stream, 0, 4);
	tcase_add_test(t, other_side_goes_away);
	tcase_add_test(t, shortage_passes);
	tcase_add_test(t, shortage_is_waited_for);
	tcase_add_test(t, full_socket_keeps_frames_whole);
	tcase_add_test(t, memory_that_refuses_is_an_error);
	tcase_add_test(t, readiness_as_long_as_it_is_wanted);
	tcase_set_timeout(t, 30);
	suite_add_tcase(s, t);
	t = tcase_create("tap");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, tap_that_cannot_be);
	tcase_add_test(t, tap_is_created_and_goes_away);
	tcase_add_test(t, tap_that_exists_with_another_mtu);
	tcase_add_test(t, tap_exchanges_frames);
	suite_add_tcase(s, t);
	return s;
}
