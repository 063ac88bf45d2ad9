/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/netio.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

#define OFFLOADS_HOST \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6))
#define OFFLOADS_GUEST \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6))
#define OFFLOADS_ECN (BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_ECN))

/* ---- frames ---- */

/* The interface was deleted. */
static bool is_gone(int code)
{
	return code == EBADFD || code == ENODEV || code == ENXIO;
}

static int send_error(const struct netio *io, int code)
{
	if (is_gone(code))
		return -ENODEV;
	switch (code) {
	case EAGAIN:
	case EFAULT:
		return -code;
	case EIO:
		log_limited(LOG_WARN,
			"%s is down: what the guest sends is lost (ip link set %s up)", io->name,
			io->name + strlen("tap "));
		return 0;
	default: /* EINVAL: a header that the kernel does not like; ENOBUFS, ENOMEM ... */
		return 0;
	}
}

/* seccomp io: writev readv -- frames, through the tap interface */
static int tap_send(
	struct netio *io, const struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	iov[0] = (struct iovec){ (void *)(uintptr_t)h, sizeof(*h) };
	return writev(io->fd, iov, (int)count) < 0 ? send_error(io, errno) : 0;
}

static ssize_t tap_recv(
	struct netio *io, struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	ssize_t n;

	iov[0] = (struct iovec){ h, sizeof(*h) };
	n = readv(io->fd, iov, (int)count);
	if (n >= (ssize_t)sizeof(*h))
		return n - (ssize_t)sizeof(*h);
	if (n >= 0 || errno == EINTR)
		return -EAGAIN;
	if (errno == EAGAIN || errno == EFAULT)
		return -errno;
	if (is_gone(errno))
		return -ENODEV;
	/* A shortage, which passes. */
	log_limited(LOG_WARN, "%s: %s", io->name, strerror(errno));
	netio_pause(io);
	return -EAGAIN;
}

/* How frames come to us is for the kernel to know; for what we send, each header says it. */
static unsigned int tun_flags(uint64_t features)
{
	unsigned int flags = 0;

	if (features & BIT(VIRTIO_NET_F_GUEST_CSUM))
		flags |= TUN_F_CSUM;
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO4))
		flags |= TUN_F_TSO4;
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO6))
		flags |= TUN_F_TSO6;
	if (features & BIT(VIRTIO_NET_F_GUEST_ECN))
		flags |= TUN_F_TSO_ECN;
	return flags;
}

/* seccomp control vcpu: ioctl:TUNSETOFFLOAD -- what the driver takes, and a reset */
static void tap_offload(struct netio *io, uint64_t features)
{
	/* It was possible when the features were offered. Frames that do not fit are not passed on. */
	if (ioctl(io->fd, TUNSETOFFLOAD, tun_flags(features)))
		log_limited(LOG_WARN, "%s: TUNSETOFFLOAD: %s", io->name, strerror(errno));
}

static void tap_free(struct netio *io)
{
	/* As it was, for the next user of an interface that stays. */
	if (io->fd >= 0)
		tap_offload(io, 0);
	fd_close(&io->fd);
	free(io);
}

static const struct netio_ops tap_ops = {
	.send = tap_send,
	.recv = tap_recv,
	.offload = tap_offload,
	.free = tap_free,
};

/* ---- the interface ---- */

static int open_tun(struct err *e)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), r;

	if (fd >= 0)
		return fd;
	r = err_sys(e, "open /dev/net/tun");
	if (r == -ENOENT || r == -ENODEV)
		return err_hint(e, r, "as root, run: modprobe tun");
	return err_hint(e, r, "it must be readable and writable by the user");
}

static int attach_error(int code, const char *name, bool exists, struct err *e)
{
	err_set(e, -code, "%s interface %s: %s", exists ? "attach to" : "create", name,
		strerror(code));
	if (code == EPERM && exists)
		return err_hint(
			e, -code, "it belongs to another user; ip tuntap shows whose it is");
	if (code == EPERM)
		return err_hint(e, -code,
			"it does not exist; as root, run: ip tuntap add %s mode tap user USER",
			name);
	if (code == EBUSY)
		return err_hint(e, -code, "another process uses it");
	if (code == EINVAL)
		return err_hint(e, -code, "is it a tap interface of a single queue?");
	return -code;
}

/* A new interface is of no use before it is up; its address, or its bridge, is for others. */
static int bring_up(int s, struct ifreq *ifr, unsigned int mtu, struct err *e)
{
	if (mtu) {
		ifr->ifr_mtu = (int)mtu;
		if (ioctl(s, SIOCSIFMTU, ifr))
			return err_sys(e, "set the MTU of %s to %u", ifr->ifr_name, mtu);
	}
	if (ioctl(s, SIOCGIFFLAGS, ifr))
		return err_sys(e, "ask for the flags of %s", ifr->ifr_name);
	ifr->ifr_flags = (short)(ifr->ifr_flags | IFF_UP);
	return ioctl(s, SIOCSIFFLAGS, ifr) ? err_sys(e, "bring %s up", ifr->ifr_name) : 0;
}

/* One that exists is set up by others; what does not fit is lost on the way. */
static void compare_mtu(int s, struct ifreq *ifr, unsigned int mtu)
{
	const char *name = ifr->ifr_name;

	if (ioctl(s, SIOCGIFMTU, ifr) || ifr->ifr_mtu == (int)mtu)
		return;
	log_warn("interface %s has an MTU of %d, and the guest is told %u (as root, run: "
		 "ip link set %s mtu %u)",
		name, ifr->ifr_mtu, mtu, name, mtu);
}

static int attach(int fd, const char *name, unsigned int mtu, struct err *e)
{
	/* Interfaces are asked and told by any socket. */
	_close int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int header = sizeof(struct virtio_net_hdr_v1);
	struct ifreq ifr = { 0 };
	bool exists;

	if (s < 0)
		return err_sys(e, "interface %s: socket", name);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	exists = !ioctl(s, SIOCGIFINDEX, &ifr);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, &ifr))
		return attach_error(errno, name, exists, e);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header))
		return err_sys(e, "interface %s: TUNSETVNETHDRSZ", name);
	if (!exists)
		return bring_up(s, &ifr, mtu, e);
	if (mtu)
		compare_mtu(s, &ifr, mtu);
	return 0;
}

/* Asked by trying; in the end nothing is set. */
static uint64_t find_offloads(int fd)
{
	unsigned int tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	uint64_t features = 0;

	if (!ioctl(fd, TUNSETOFFLOAD, tso | TUN_F_TSO_ECN))
		features = OFFLOADS_HOST | OFFLOADS_GUEST | OFFLOADS_ECN;
	else if (!ioctl(fd, TUNSETOFFLOAD, tso))
		features = OFFLOADS_HOST | OFFLOADS_GUEST;
	if (ioctl(fd, TUNSETOFFLOAD, 0))
		return 0;
	return features;
}

int netio_tap_new(struct netio **out, const char *name, unsigned int mtu, struct err *e)
{
	struct netio *io = calloc(1, sizeof(*io));
	int r;

	if (!io)
		return err_set(e, -ENOMEM, "tap %s: out of memory", name);
	io->ops = &tap_ops;
	snprintf(io->name, sizeof(io->name), "tap %s", name);
	io->fd = open_tun(e);
	r = io->fd < 0 ? io->fd : attach(io->fd, name, mtu, e);
	if (r) {
		fd_close(&io->fd);
		free(io);
		return r;
	}
	io->features = find_offloads(io->fd);
	*out = io;
	return 0;
}
