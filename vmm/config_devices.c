/* SPDX-License-Identifier: Apache-2.0 */

/* What is said of disks, the balloon and the sockets. Network devices: config_net.c. */
#include <errno.h>
#include <string.h>

#include "devices/virtio_vsock.h"
#include "devices/vsock_unix.h"
#include "vmm/config_impl.h"
#include "vmm/util/text.h"

#define SERIAL_MAX 20 /* virtio 1.2, 5.2.6: the bytes of an id */

static const char *const cache_names[] = { "writeback", "unsafe", "direct" };
static const char *const engine_names[] = { "auto", "io_uring", "aio", "sync" };

_Static_assert(sizeof(enum blk_cache) == sizeof(uint32_t), "enum blk_cache");
_Static_assert(sizeof(enum blk_engine) == sizeof(uint32_t), "enum blk_engine");

/* The first is the one that needs no name; all others are 0 or NULL while not given. */
#define DISK(field) OPTION_FIELD(struct disk_config, field)
static const struct option_def disk_defs[] = {
	{ .name = "path", FILE_ARG, DISK(path), .help = "Raw image or block device" },
	{ .name = "readonly",
		DISK(read_only),
		.type = OPTION_FLAG,
		.help = "The guest cannot write" },
	{ .name = "cache", DISK(cache), NAMES(cache_names), .help = "How the host caches" },
	{ .name = "engine",
		DISK(engine),
		NAMES(engine_names),
		.help = "How requests are carried out" },
	{ .name = "serial",
		DISK(serial),
		.type = OPTION_STRING,
		.max = SERIAL_MAX,
		.help = "What the guest sees as the disk's serial number" },
	{ .name = "bandwidth",
		DISK(bandwidth),
		.type = OPTION_INTEGER,
		.max = RATE_MAX,
		.unit = "bytes a second",
		.help = "Limit of the bytes read and written" },
	{ .name = "iops",
		DISK(iops),
		.type = OPTION_INTEGER,
		.max = RATE_MAX,
		.unit = "requests a second",
		.help = "Limit of the requests" },
};

const struct option_table config_disk_table = { disk_defs, ARRAY_SIZE(disk_defs) };

#define STATS_SECONDS_MAX 86400
#define BALLOON(field)	  OPTION_FIELD(struct balloon_options, field)
static const struct option_def balloon_defs[] = {
	{ .name = "size",
		BALLOON(size_mib),
		.type = OPTION_INTEGER,
		.max = MEM_MIB_MAX,
		.unit = "MiB",
		.help = "Memory that the guest shall give up to begin with" },
	{ .name = "deflate-on-oom",
		BALLOON(deflate_on_oom),
		.type = OPTION_FLAG,
		.help = "The guest may take memory back when it has no other" },
	{ .name = "reporting",
		BALLOON(reporting),
		.type = OPTION_FLAG,
		.help = "The guest reports free pages all the time" },
	{ .name = "stats",
		BALLOON(stats_seconds),
		.type = OPTION_INTEGER,
		.max = STATS_SECONDS_MAX,
		.unit = "seconds",
		.help = "How often the guest shall tell about its memory" },
};

const struct option_table config_balloon_table = { balloon_defs, ARRAY_SIZE(balloon_defs) };

#define VSOCK(field) OPTION_FIELD(struct vsock_config, field)
static const struct option_def vsock_defs[] = {
	{ .name = "cid",
		VSOCK(cid),
		.type = OPTION_INTEGER,
		.min = VSOCK_CID_MIN,
		.max = VSOCK_CID_MAX,
		.help = "The guest's context id" },
	{ .name = "path",
		VSOCK(path),
		.type = OPTION_PATH,
		.min = 1,
		.max = VSOCK_PATH_MAX,
		.arg = "SOCKET",
		.help = "Unix socket to make for the host's programs" },
};

const struct option_table config_vsock_table = { vsock_defs, ARRAY_SIZE(vsock_defs) };

const struct balloon_options *config_balloon(const struct config *c)
{
	return c->balloon.count ? c->balloon.items : NULL;
}

int config_check_balloon(const struct balloon_options *b, enum protection protection, struct err *e)
{
	if (protection == PROTECTION_PKVM)
		return err_set(e, -EINVAL,
			"balloon does not fit protection pkvm: the host cannot get back memory "
			"that is pinned for the guest (leave it out)");
	/* Only shared memory may be pointed to by a queue, and what is free is private. */
	if (b->reporting && protection != PROTECTION_NONE)
		return err_set(e, -EINVAL,
			"balloon: reporting does not fit protection %s: the guest's free pages are "
			"private (leave reporting out)",
			protection_name(protection));
	return 0;
}

static int check_balloon(const struct config *c, struct err *e)
{
	const struct balloon_options *b = config_balloon(c);

	if (!b)
		return 0;
	if (b->size_mib >= c->mem_mib)
		return err_set(e, -EINVAL,
			"balloon: %llu MiB of the %llu MiB that mem gives to the guest leave it "
			"nothing (make the balloon smaller)",
			(unsigned long long)b->size_mib, (unsigned long long)c->mem_mib);
	return config_check_balloon(b, c->protection, e);
}

/* The sockets of the host's listeners are named so: another guest's connections would arrive here. */
static bool ends_like_a_port(const char *path)
{
	const char *digits = path + strlen(path);

	while (digits > path && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	return *digits && digits > path && digits[-1] == '_';
}

static int check_vsock(const struct config *c, struct err *e)
{
	const struct vsock_config *s = c->vsock.items;
	char shown[TEXT_SHOWN];

	if (c->vsock.count && !s->path)
		return err_set(e, -EINVAL,
			"vsock: \"path\" is missing (add path=SOCKET, the Unix socket to make)");
	if (c->vsock.count && ends_like_a_port(s->path)) {
		text_show(shown, sizeof(shown), s->path);
		return err_set(e, -EINVAL,
			"vsock: path: %s ends like that of a port, by which another guest might "
			"reach it (choose another, such as %s.sock)",
			shown, shown);
	}
	return 0;
}

uint32_t config_virtio_count(const struct config *c)
{
	return c->disks.count + c->nets.count + c->vsock.count + c->balloon.count +
	       (c->entropy ? 1 : 0) + (c->console == CONSOLE_VIRTIO ? 1 : 0);
}

int config_check_devices(const struct config *c, struct err *e)
{
	uint32_t count = config_virtio_count(c);
	int r = config_check_nets(c, e);

	if (!r)
		r = check_balloon(c, e);
	if (!r)
		r = check_vsock(c, e);
	if (!r && count > CONFIG_VIRTIO_MAX)
		return err_set(e, -EINVAL,
			"%u virtio devices are asked for, and a machine has room for %u (disks, "
			"networks, sockets, balloon, entropy and console count; leave some out)",
			count, CONFIG_VIRTIO_MAX);
	return r;
}
