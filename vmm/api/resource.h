/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_RESOURCE_H
#define NACRE_API_RESOURCE_H

#include <jansson.h>
#include <stdbool.h>

#include "vmm/config.h"
#include "vmm/util/err.h"

/*
 * The objects of Firecracker's API, and what they mean in a struct config. The same functions serve
 * the socket (one object in a request's body) and a config file in Firecracker's layout (all of them
 * under their names), so that one is no laxer than the other. They know nothing of HTTP, and of no
 * running machine. Control thread.
 *
 * Names are those of the config file: "boot-source", "machine-config", "drives",
 * "network-interfaces", "vsock", "entropy", "balloon", "logger", "metrics", "serial".
 */

/* The memory of a machine that nobody said anything about, in MiB; config_init has another default. */
#define RESOURCE_MEM_MIB 128

/*
 * The kernel's parameters without "boot_args", as Firecracker has them: what ends the guest rather
 * than wait for a keyboard, and skips what is not there. Without a serial console, and without
 * modules.
 */
#define RESOURCE_BOOT_ARGS                                                                       \
	"reboot=k panic=1 pci=off nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.nopnp " \
	"i8042.dumbkbd"

/* config_init with the defaults of this API. */
void resource_init(struct config *c);

/* Whether there is such an object. */
bool resource_exists(const char *name);

/*
 * Sets what the body says in c: all of it, or nothing on error (-EINVAL and a sentence that names the
 * field). id: of the path, for drives and network interfaces, which must be the one in the body; NULL
 * elsewhere. A drive or interface that c has already is replaced, at its place.
 */
int resource_put(
	struct config *c, const char *name, const char *id, const json_t *body, struct err *e);

/*
 * resource_put of what takes effect at once: when c holds all of it, apply makes it so. On its error c
 * is as it was.
 */
typedef int (*resource_apply_fn)(void *ctx, const struct config *c, struct err *e);
int resource_apply(struct config *c, const char *name, const json_t *body, resource_apply_fn apply,
	void *ctx, struct err *e);

/* The same for some of the fields: PATCH /machine-config before boot. */
int resource_patch(
	struct config *c, const char *name, const char *id, const json_t *body, struct err *e);

/* The index of the drive or network interface of that id, or -ENOENT. */
int resource_find(const struct config *c, const char *name, const char *id);

/* A rate limiter's object over what limit holds: buckets that it lacks stay. All or nothing. */
int resource_limit(struct ratelimit_config *limit, const json_t *v, struct err *e);

/*
 * The object as GET answers it ("machine-config", "balloon", ...), JSON's null where there is none
 * yet; the caller's. NULL: out of memory.
 */
json_t *resource_get(const struct config *c, const char *name);

/* All of them, as GET /vm/config answers: Firecracker's names only; the caller's. NULL: out of memory. */
json_t *resource_all(const struct config *c);

#endif
