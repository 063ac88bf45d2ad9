/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config.h"

#include <errno.h>
#include <limits.h>

#include "vmm/util/bits.h"

#define CPUS_MAX 512
/* Below this not even a bare test guest has room next to the boot blocks. */
#define MEM_MIB_MIN 4
#define MEM_MIB_MAX (16LL << 20)
/* Linux keeps 2048 bytes on both architectures, the end mark included, and cuts silently. */
#define PARAMS_MAX 2047

const char *const private_memory_names[PRIVATE_MEMORY_KINDS] = {
	[PRIVATE_MEMORY_STRICT] = "strict",
	[PRIVATE_MEMORY_OPEN] = "open",
};

/* options.c stores enums by their size. */
_Static_assert(sizeof(enum protection) == sizeof(uint32_t), "enum protection");
_Static_assert(sizeof(enum private_memory) == sizeof(uint32_t), "enum private_memory");
_Static_assert(sizeof(enum log_level) == sizeof(uint32_t), "enum log_level");

#define FIELD(field) OPTION_FIELD(struct config, field)
#define FILE_ARG     .type = OPTION_PATH, .min = 1, .max = PATH_MAX - 1, .arg = "FILE"
#define NAMES(names) .type = OPTION_ENUM, .values = names, .value_count = ARRAY_SIZE(names)

#define DISKS_MAX  15
#define SERIAL_MAX 20 /* virtio 1.2, 5.2.6: the bytes of an id */
#define RATE_MAX   INT64_MAX

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

static const struct option_table disk_table = { disk_defs, ARRAY_SIZE(disk_defs) };

#define NETS_MAX 15
#define MTU_MAX	 65535
#define RATE(u)	 .type = OPTION_INTEGER, .max = RATE_MAX, .unit = u " a second"
static const char *const vhost_names[] = { "auto", "on", "off" };
_Static_assert(sizeof(enum net_vhost) == sizeof(uint32_t), "enum net_vhost");
#define NET(field) OPTION_FIELD(struct net_config, field)
static const struct option_def net_defs[] = {
	{ .name = "backend",
		NET(backend),
		.type = OPTION_STRING,
		.min = 1,
		.max = 64,
		.help = "tap=NAME, an interface of the host, or user" },
	{ .name = "mac",
		NET(mac),
		.type = OPTION_STRING,
		.min = 1,
		.max = 64,
		.help = "The guest's address" },
	{ .name = "mtu",
		NET(mtu),
		.type = OPTION_INTEGER,
		.max = MTU_MAX,
		.unit = "bytes",
		.help = "What the guest is told of the largest packet" },
	{ .name = "rx-bandwidth",
		NET(rx_bandwidth),
		RATE("bytes"),
		.help = "Limit of what the guest receives" },
	{ .name = "tx-bandwidth",
		NET(tx_bandwidth),
		RATE("bytes"),
		.help = "Limit of what the guest sends" },
	{ .name = "rx-pps",
		NET(rx_pps),
		RATE("frames"),
		.help = "Limit of the frames that the guest receives" },
	{ .name = "tx-pps",
		NET(tx_pps),
		RATE("frames"),
		.help = "Limit of the frames that the guest sends" },
	{ .name = "vhost",
		NET(vhost),
		NAMES(vhost_names),
		.help = "Whether the host's kernel serves the queues" },
};

static const struct option_table net_table = { net_defs, ARRAY_SIZE(net_defs) };

/* In the order of --help, of the dump and of the man page. */
static const struct option_def defs[] = {
	{ .name = "kernel",
		.letter = 'k',
		FILE_ARG,
		FIELD(kernel),
		.help = "Kernel image to boot; a kernel, a firmware or both are needed" },
	{ .name = "initrd",
		.letter = 'i',
		FILE_ARG,
		FIELD(initrd),
		.help = "Initial RAM disk for the kernel" },
	{ .name = "params",
		.letter = 'p',
		FIELD(params),
		.type = OPTION_STRING,
		.max = PARAMS_MAX,
		.arg = "STRING",
		.help = "Kernel command line; console=ttyS0 brings the kernel's output here, "
			"Ctrl-A x leaves" },
	{ .name = "firmware",
		.letter = 'f',
		FILE_ARG,
		FIELD(firmware),
		.help = "Program to start in place of the built-in loader" },
	{ .name = "cpus",
		.letter = 'c',
		FIELD(cpus),
		.type = OPTION_INTEGER,
		.min = 1,
		.max = CPUS_MAX,
		.arg = "N",
		.help = "Number of virtual CPUs" },
	{ .name = "mem",
		.letter = 'm',
		FIELD(mem_mib),
		.type = OPTION_INTEGER,
		.min = MEM_MIB_MIN,
		.max = MEM_MIB_MAX,
		.unit = "MiB",
		.arg = "MIB",
		.help = "Guest memory" },
	{ .name = "protection",
		FIELD(protection),
		NAMES(protection_names),
		.arg = "MODE",
		.help = "How guest memory is kept from the host; auto takes the strongest mode "
			"that host and kernel image allow" },
	{ .name = "private-memory",
		FIELD(private_memory),
		NAMES(private_memory_names),
		.arg = "KIND",
		.help = "With open, this process can read private memory: nothing is protected, "
			"for tests on hosts where KVM emulates the guest" },
	{ .name = "disk",
		FIELD(disks),
		.type = OPTION_LIST,
		.item = &disk_table,
		.item_size = sizeof(struct disk_config),
		.max = DISKS_MAX,
		.arg = "DISK",
		.help = "Add a disk, PATH[,KEY=VALUE]...: a raw image or a block device; keys: "
			"readonly, "
			"cache, engine, serial, bandwidth, iops. May be given several times" },
	{ .name = "net",
		FIELD(nets),
		.type = OPTION_LIST,
		.item = &net_table,
		.item_size = sizeof(struct net_config),
		.max = NETS_MAX,
		.arg = "NET",
		.help = "Add a network device, tap=NAME[,KEY=VALUE]... on an interface of the "
			"host, "
			"or user[,KEY=VALUE]... by passt; keys: mac, mtu, rx-bandwidth, "
			"tx-bandwidth, rx-pps, tx-pps, vhost. May be given several times" },
	{ .name = "entropy",
		FIELD(entropy),
		.type = OPTION_FLAG,
		.help = "Add a source of random numbers (virtio-rng)" },
	{ .name = "probe",
		FIELD(probe),
		.type = OPTION_FLAG,
		.help = "Add the probe device, for tests and demonstrations" },
	{ .name = "log-level",
		FIELD(log_level),
		NAMES(log_level_names),
		.arg = "LEVEL",
		.help = "How much to report on standard error" },
	{ .name = "config-file",
		FIELD(config_file),
		FILE_ARG,
		.cli_only = true,
		.help = "Read settings from a JSON file; options given here override it" },
	{ .name = "dump-config",
		FIELD(dump_config),
		.type = OPTION_FLAG,
		.cli_only = true,
		.help = "Print the resulting settings as JSON and exit" },
};

const struct option_table config_table = { defs, ARRAY_SIZE(defs) };

void config_init(struct config *c)
{
	*c = (struct config){
		.cpus = 1,
		.mem_mib = 256,
		.protection = PROTECTION_NONE,
		.private_memory = PRIVATE_MEMORY_STRICT,
		.log_level = LOG_WARN,
	};
}

void config_free(struct config *c)
{
	options_free(&config_table, c);
}

int config_check(const struct config *c, struct err *e)
{
	if (c->initrd && !c->kernel)
		return err_set(e, -EINVAL,
			"initrd is given without kernel (add --kernel FILE, or leave it out)");
	if (c->params && !c->kernel)
		return err_set(e, -EINVAL,
			"params is given without kernel (add --kernel FILE, or leave it out)");
	if (!c->kernel && !c->firmware)
		return err_set(e, -EINVAL,
			"nothing to run: neither kernel nor firmware is given (add --kernel FILE, "
			"--firmware FILE or --config-file FILE)");
	/* Refused, not ignored: who writes "open" expects a private side to open. */
	if (c->private_memory == PRIVATE_MEMORY_OPEN && c->protection != PROTECTION_PRIVATE &&
		c->protection != PROTECTION_AUTO)
		return err_set(e, -EINVAL,
			"private-memory open does not fit protection %s (add --protection private "
			"or auto, or leave it out)",
			protection_name(c->protection));
	return config_check_nets(c, e);
}
