/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONFIG_H
#define NACRE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/blkfile.h"
#include "devices/blkio.h"
#include "devices/ratelimit.h"
#include "mem/backing.h"
#include "vmm/options.h"
#include "vmm/sandbox/seccomp.h"
#include "vmm/util/err.h"
#include "vmm/util/log.h"
#include "vmm/util/protection.h"

/*
 * What the user asked for, before anything has been opened. A struct config starts with
 * config_init, is filled through config_table by config_json.c and cli.c, is checked as a whole by
 * config_check, and ends with config_free. Whether the host can do it is for later layers.
 */

/* What private memory is made of where the mode uses guest_memfd. */
enum private_memory {
	PRIVATE_MEMORY_STRICT, /* this process cannot touch it */
	PRIVATE_MEMORY_OPEN,   /* protects nothing: for hosts on which KVM must emulate the guest */
	PRIVATE_MEMORY_KINDS
};

extern const char *const private_memory_names[PRIVATE_MEMORY_KINDS];

/* Which device has the terminal. */
enum console { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_KINDS };

/* One of the guest's disks, in the order in which it finds them. */
struct disk_config {
	char *path;
	bool read_only;
	enum blk_cache cache;
	enum blk_engine engine;
	char *serial;
	struct ratelimit_config limit;
	char *id;	/* its name in the API, or NULL */
	bool root;	/* tell the kernel that its root file system is there */
	char *partuuid; /* NULL, or the partition of it that the root file system is on */
};

/* The memory balloon. */
struct balloon_options {
	uint64_t size_mib; /* to begin with */
	bool deflate_on_oom;
	bool reporting;
	uint32_t stats_seconds; /* 0: no statistics */
};

/* The guest's sockets. */
struct vsock_config {
	uint64_t cid;
	char *path; /* NULL: AF_VSOCK at the host too, by vhost-vsock */
};

/* Whether the host's kernel serves a network device's queues. */
enum net_vhost { NET_VHOST_AUTO, NET_VHOST_ON, NET_VHOST_OFF };

/* One of the guest's network devices, in the order in which it finds them. */
struct net_config {
	char *backend; /* "tap=NAME" or "user" */
	char *mac;     /* NULL: one that stays the same for this host and interface */
	uint32_t mtu;  /* 0: not said to the guest */
	struct ratelimit_config rx_limit,
		tx_limit; /* to and from the guest; operations are frames */
	enum net_vhost vhost;
	char *id; /* its name in the API, or NULL */
};

struct config {
	/* Owned strings, NULL where not given; paths count from the working directory. */
	char *kernel;
	char *initrd;
	char *params;
	char *firmware;
	char *config_file;
	uint32_t cpus;
	uint64_t mem_mib;
	bool mte; /* memory tags, arm64 */
	struct backing_options memory;
	enum protection protection;
	enum private_memory private_memory;
	uint64_t swiotlb_mib;	   /* at most; 0: no pool */
	uint64_t shared_limit_mib; /* 0: config_shared_limit chooses */
	enum conversion conversion;
	enum implicit implicit;
	enum log_level log_level;
	enum log_format log_format;
	enum console console;
	struct option_list disks;	      /* of struct disk_config */
	struct option_list nets;	      /* of struct net_config */
	struct option_list balloon;	      /* none, or one struct balloon_options */
	struct option_list vsock;	      /* none, or one struct vsock_config */
	struct option_list hide_cpu_features; /* of char *: names for arch_feature_hide */
	struct option_list allow_paths;	      /* of char *: what requests may give a disk */
	bool entropy;			      /* add a virtio entropy device */
	struct ratelimit_config entropy_limit;
	bool smt;		/* tell the guest that its CPUs are pairs of threads of cores */
	bool track_dirty_pages; /* for snapshots of what has changed */
	/* Where what the machine says goes; NULL: the log to standard error, metrics nowhere. */
	char *log_path;
	char *log_module; /* only what this part of the source says */
	bool show_level, show_log_origin;
	char *metrics_path;
	char *serial_path; /* what the guest writes to its consoles; NULL: standard output */
	struct bucket_config serial_limit; /* bytes of it; what is too much is dropped */
	enum seccomp_mode seccomp;
	bool probe;	  /* add the probe device, for tests and demonstrations */
	bool dump_config; /* print this struct as JSON and stop */
};

/* The options of `nacre run`; offsets count from a struct config. */
extern const struct option_table config_table;

/* For rows of lists of paths, which nacre api has, too: items are of char *. */
extern const struct option_table config_path_table;
#define CONFIG_PATHS                                                                             \
	.type = OPTION_LIST, .item = &config_path_table, .item_size = sizeof(char *), .max = 64, \
	.arg = "PATH"

/* Sets the defaults. */
void config_init(struct config *c);

/* Frees the strings. Accepts a config that was only zeroed, or freed before. */
void config_free(struct config *c);

/* The balloon's part, or NULL. */
const struct balloon_options *config_balloon(const struct config *c);

/*
 * Do sockets fit that mode? 0, or -EINVAL with the reason. config_check asks for the mode that was
 * given; when that was auto, ask again with what came of it.
 */
int config_check_vsock(const struct vsock_config *s, enum protection protection, struct err *e);
/* The part of it that is about the path alone, which the message does not name as such. */
int config_check_socket(const struct vsock_config *s, struct err *e);

/*
 * The kernel's parameters: what the user said, and where the root file system is. The caller frees
 * *out. -E2BIG or -ENOMEM.
 */
int config_params(const struct config *c, char **out, struct err *e);

/* How many virtio devices it asks for; config_check sees to it that they fit. */
#define CONFIG_VIRTIO_MAX 16u
uint32_t config_virtio_count(const struct config *c);

/* What log_setup wants; id: of the machine, or NULL. Borrows both. */
struct log_config config_log(const struct config *c, const char *id);

/* How much memory may be shared at once in modes with two addresses for a page, in bytes. */
uint64_t config_shared_limit(const struct config *c);

/* Parts of config_check that need no kernel: CPUs; memory and its protection; the balloon. */
int config_check_cpus(const struct config *c, struct err *e);
int config_check_memory(const struct config *c, struct err *e);
int config_check_balloon(const struct config *c, struct err *e);

/*
 * Checks what no single setting shows: 0, or -EINVAL with what is missing or does not fit, -ENOTSUP
 * with what exists on hosts of the other architecture alone.
 */
int config_check(const struct config *c, struct err *e);

/*
 * The features to hide as the set that arch_config wants; *hidden counts only when 0 is returned. An
 * error says which name is wrong, and to err_field its place in the list.
 */
int config_hidden(const struct config *c, uint64_t *hidden, struct err *e);

/* What is wrong with a network device by itself, with its place in the list, to err_field too. */
int config_check_net_items(const struct config *c, struct err *e);
/* The tap interface's name, or NULL for another backend. */
const char *net_tap(const struct net_config *n);
/* Whether there are limits, which vhost-net does not know. */
bool net_is_limited(const struct net_config *n);
/* Six bytes in hexadecimal, with colons between them. */
bool net_parse_mac(const char *text, uint8_t mac[6]);
/*
 * An address for a device that was given none: the same each time for these bytes, which stand for
 * the host, and this interface or, where several networks are `user`, this item; different from
 * others as far as chance goes, and locally administered.
 */
void net_default_mac(const struct net_config *n, uint32_t item, const void *host, size_t host_len,
	uint8_t mac[6]);

#endif
