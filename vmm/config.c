/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config.h"

#include <stdio.h>

#include "arch/features.h"
#include "vmm/config_impl.h"
#include "vmm/util/bits.h"

#define CPUS_MAX 512
/* Below this not even a bare test guest has room next to the boot blocks. */
#define MEM_MIB_MIN 4
/* A small guest may share all it has: Linux alone takes SWIOTLB_MIB for its buffers. */
#define SHARED_MIN_MIB 128

const char *const private_memory_names[PRIVATE_MEMORY_KINDS] = {
	[PRIVATE_MEMORY_STRICT] = "strict",
	[PRIVATE_MEMORY_OPEN] = "open",
};

static const char *const console_names[CONSOLE_KINDS] = { "serial", "virtio" };

/* options.c stores enums by their size. */
_Static_assert(sizeof(enum protection) == sizeof(uint32_t), "enum protection");
_Static_assert(sizeof(enum private_memory) == sizeof(uint32_t), "enum private_memory");
_Static_assert(sizeof(enum conversion) == sizeof(uint32_t), "enum conversion");
_Static_assert(sizeof(enum implicit) == sizeof(uint32_t), "enum implicit");
_Static_assert(sizeof(enum console) == sizeof(uint32_t), "enum console");
_Static_assert(sizeof(enum seccomp_mode) == sizeof(uint32_t), "enum seccomp_mode");
_Static_assert(sizeof(enum log_level) == sizeof(uint32_t), "enum log_level");
_Static_assert(sizeof(enum log_format) == sizeof(uint32_t), "enum log_format");
_Static_assert(sizeof(enum hugepages) == sizeof(uint32_t), "enum hugepages");

#define FIELD(field) OPTION_FIELD(struct config, field)
#define FEATURES_MAX 64

static int check_hidden(const void *config, struct err *e)
{
	uint64_t ignored;

	return config_hidden(config, &ignored, e);
}

static int check_nets(const void *config, struct err *e)
{
	return config_check_net_items(config, e);
}

static int check_vsock(const void *config, struct err *e)
{
	const struct config *c = config;
	int r = c->vsock.count ? config_check_socket(c->vsock.items, e) : 0;

	return r ? err_key(e, r, "path") : 0;
}

/* One setting only: an item is its value. */
static const struct option_def feature_defs[] = {
	{ .name = "feature", .type = OPTION_STRING, .min = 1, .max = 64, .size = sizeof(char *) },
};

static const struct option_table feature_table = { feature_defs, ARRAY_SIZE(feature_defs) };

static const struct option_def path_defs[] = {
	{ .name = "path", FILE_ARG, .size = sizeof(char *) },
};

const struct option_table config_path_table = { path_defs, ARRAY_SIZE(path_defs) };

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
	{ .name = "smt",
		FIELD(smt),
		.type = OPTION_FLAG,
		.help = "Tell an x86-64 guest that its CPUs are pairs of threads" },
	{ .name = "mem",
		.letter = 'm',
		FIELD(mem_mib),
		.type = OPTION_INTEGER,
		.min = MEM_MIB_MIN,
		.max = MEM_MIB_MAX,
		.unit = "MiB",
		.arg = "MIB",
		.help = "Guest memory" },
	{ .name = "hugepages",
		FIELD(memory.hugepages),
		NAMES(hugepages_names),
		.arg = "KIND",
		.help = "Huge pages for guest memory: 2M and 1G take them from the host's pool, "
			"thp asks for transparent ones, auto leaves it to the host" },
	{ .name = "prefault",
		FIELD(memory.prefault),
		.type = OPTION_FLAG,
		.help = "Allocate all guest memory before the guest starts" },
	{ .name = "mergeable",
		FIELD(memory.mergeable),
		.type = OPTION_FLAG,
		.help = "Let the host merge equal pages of guests (KSM)" },
	{ .name = "mte",
		FIELD(mte),
		.type = OPTION_FLAG,
		.help = "Give an arm64 guest memory tags (MTE)" },
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
	{ .name = "swiotlb",
		FIELD(swiotlb_mib),
		.type = OPTION_INTEGER,
		.max = MEM_MIB_MAX,
		.unit = "MiB",
		.arg = "MIB",
		.help = "The part of its memory that a protected guest shares with its devices, "
			"at most a quarter of all; 0 leaves that to its kernel" },
	{ .name = "shared-limit",
		FIELD(shared_limit_mib),
		.type = OPTION_INTEGER,
		.max = MEM_MIB_MAX,
		.unit = "MiB",
		.arg = "MIB",
		.help = "How much memory a soft-realm or soft-sev guest may share at once, beside "
			"its private memory; 0, the default, is half of it and at least 128 MiB" },
	{ .name = "conversion",
		FIELD(conversion),
		NAMES(conversion_names),
		.arg = "KIND",
		.help = "How pages change sides in mode private: by KVM's memory attributes, or "
			"by swapping memory slots; auto takes attributes where KVM has them" },
	{ .name = "implicit-conversion",
		FIELD(implicit),
		NAMES(implicit_names),
		.arg = "POLICY",
		.help = "With conversion by attributes: whether a page changes sides when the "
			"guest uses it so without asking; deny ends the guest" },
	{ .name = "console",
		FIELD(console),
		NAMES(console_names),
		.arg = "KIND",
		.help = "Which device your keys go to: the serial port, ttyS0 in Linux, or a "
			"virtio "
			"console, hvc0; what the guest writes to the serial port appears either "
			"way" },
	{ .name = "disk",
		FIELD(disks),
		.type = OPTION_LIST,
		.item = &config_disk_table,
		.item_size = sizeof(struct disk_config),
		.max = DISKS_MAX,
		.arg = "DISK",
		.help = "Add a disk, PATH[,KEY=VALUE]...: a raw image or a block device; keys: "
			"readonly, "
			"cache, engine, serial, bandwidth, iops, root, partuuid, id. May be given "
			"several times" },
	{ .name = "vsock",
		FIELD(vsock),
		.type = OPTION_LIST,
		.item = &config_vsock_table,
		.first_named = true,
		.item_size = sizeof(struct vsock_config),
		.max = 1,
		.check = check_vsock,
		.arg = "VSOCK",
		.help = "Connect programs of host and guest by sockets, cid=N[,path=SOCKET]: "
			"AF_VSOCK in the guest, which is CID N; at the host Unix sockets, or "
			"without path AF_VSOCK too" },
	{ .name = "net",
		FIELD(nets),
		.type = OPTION_LIST,
		.item = &config_net_table,
		.item_size = sizeof(struct net_config),
		.max = NETS_MAX,
		.check = check_nets,
		.arg = "NET",
		.help = "Add a network device, tap=NAME[,KEY=VALUE]... on an interface of the "
			"host, "
			"or user[,KEY=VALUE]... by passt; keys: mac, mtu, rx-bandwidth, "
			"tx-bandwidth, rx-pps, tx-pps, vhost, id. May be given several times" },
	{ .name = "entropy",
		FIELD(entropy),
		.type = OPTION_FLAG,
		.help = "Add a source of random numbers (virtio-rng)" },
	{ .name = "entropy-bandwidth",
		FIELD(entropy_limit.bandwidth),
		.type = OPTION_RATE,
		.max = RATE_MAX,
		.unit = "bytes a second",
		.arg = "RATE",
		.help = "Limit of the random numbers that the guest gets" },
	{ .name = "entropy-ops",
		FIELD(entropy_limit.ops),
		.type = OPTION_RATE,
		.max = RATE_MAX,
		.unit = "requests a second",
		.arg = "RATE",
		.help = "Limit of the requests for them" },
	{ .name = "hide-cpu-features",
		FIELD(hide_cpu_features),
		.type = OPTION_LIST,
		.item = &feature_table,
		.item_size = sizeof(char *),
		.max = FEATURES_MAX,
		.check = check_hidden,
		.arg = "NAMES",
		.help = "Keep these CPU features, NAME[,NAME]..., and what depends on them from "
			"the guest, on x86-64. May be given several times" },
	{ .name = "balloon",
		FIELD(balloon),
		.type = OPTION_LIST,
		.item = &config_balloon_table,
		.item_size = sizeof(struct balloon_options),
		.max = 1,
		.arg = "BALLOON",
		.help = "Add a memory balloon, SIZE_MIB[,KEY[=VALUE]]...: the guest gives up so "
			"much memory, and the host gets it; keys: deflate-on-oom, reporting, "
			"stats=SECONDS" },
	{ .name = "allow-path",
		FIELD(allow_paths),
		CONFIG_PATHS,
		.help = "With nacre api: requests may give a running guest's disks this file, or "
			"those in this folder. May be given several times" },
	{ .name = "probe",
		FIELD(probe),
		.type = OPTION_FLAG,
		.help = "Add the probe device, for tests and demonstrations" },
	{ .name = "seccomp",
		FIELD(seccomp),
		NAMES(seccomp_mode_names),
		.arg = "MODE",
		.help = "Whether each thread is held to the system calls that it needs; audit "
			"only tells of others" },
	{ .name = "log-level",
		FIELD(log_level),
		NAMES(log_level_names),
		.arg = "LEVEL",
		.help = "How much to report on standard error" },
	{ .name = "log-format",
		FIELD(log_format),
		NAMES(log_format_names),
		.arg = "FORMAT",
		.help = "What a report looks like; a line of json is an object" },
	{ .name = "log-path",
		FIELD(log_path),
		FILE_ARG,
		.help = "Write reports there, a file or a FIFO, not to standard error" },
	{ .name = "show-level",
		FIELD(show_level),
		.type = OPTION_FLAG,
		.help = "Put the level into each line there" },
	{ .name = "show-log-origin",
		FIELD(show_log_origin),
		.type = OPTION_FLAG,
		.help = "Put source file and line into each line there" },
	{ .name = "module",
		FIELD(log_module),
		.type = OPTION_STRING,
		.min = 1,
		.max = 255,
		.arg = "NAME",
		.help = "Report only what source files say whose path begins so" },
	{ .name = "metrics-path",
		FIELD(metrics_path),
		FILE_ARG,
		.help = "Write metrics there, a line of JSON each minute; a file or a FIFO" },
	{ .name = "serial-path",
		FIELD(serial_path),
		FILE_ARG,
		.help = "Write there what the guest writes to its consoles; a file or a FIFO" },
	{ .name = "serial-bandwidth",
		FIELD(serial_limit),
		.type = OPTION_RATE,
		.max = RATE_MAX,
		.unit = "bytes a second",
		.arg = "RATE",
		.help = "Limit of what the guest writes to its consoles; more is dropped" },
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
		.swiotlb_mib = SWIOTLB_MIB,
		.protection = PROTECTION_NONE,
		.private_memory = PRIVATE_MEMORY_STRICT,
		.seccomp = SECCOMP_DEFAULT,
		.log_level = LOG_WARN,
	};
}

struct log_config config_log(const struct config *c, const char *id)
{
	return (struct log_config){
		.path = c->log_path,
		.id = id,
		.level = c->log_level,
		.format = c->log_format,
		.show_level = c->show_level,
		.show_origin = c->show_log_origin,
		.module = c->log_module,
	};
}

void config_free(struct config *c)
{
	options_free(&config_table, c);
}

int config_hidden(const struct config *c, uint64_t *hidden, struct err *e)
{
	char *const *names = c->hide_cpu_features.items;
	char at[16];
	uint32_t i;
	int r;

	*hidden = 0;
	for (i = 0; i < c->hide_cpu_features.count; i++) {
		r = arch_feature_hide(names[i], hidden, e);
		if (r) {
			snprintf(at, sizeof(at), "%u", i);
			err_at(e, at);
			return r;
		}
	}
	return 0;
}

uint64_t config_shared_limit(const struct config *c)
{
	uint64_t limit = max_u64(c->mem_mib / 2, min_u64(c->mem_mib, SHARED_MIN_MIB));

	return (c->shared_limit_mib ? c->shared_limit_mib : limit) << 20;
}
