/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_WALLS_H
#define NACRE_WALLS_H

#include <stdbool.h>

#include "vmm/config.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/sandbox/seccomp.h"

/*
 * What a machine's configuration needs after the start, for vmm/sandbox: which paths are used, and
 * what for; and what threads have to do beyond what those of every machine do.
 *
 * With a socket for requests one of them may give a disk another file (PATCH /drives). By default that
 * may be any below the folder of a disk's file, and below the paths of --allow-path. A disk whose file
 * is a block device gets no other by its folder: with it would come all devices. A file of no size is
 * there to be replaced, as Kata Containers and firecracker-containerd do by any device; then, and
 * without --allow-path, every file may be opened, as far as its permissions let us.
 */
#define WALLS_PATHS_MAX 96

struct walls {
	struct sandbox_path paths[WALLS_PATHS_MAX];
	unsigned int count;
	bool any_file; /* every file may be opened */
};

/*
 * api_sock: the socket of requests, or NULL where none can come. walls_free frees what is in *w. 0, or
 * -errno with a sentence: a path of --allow-path is not there.
 */
int walls_plan(struct walls *w, const struct config *c, const char *api_sock, struct err *e);
void walls_free(struct walls *w);

struct seccomp_plan walls_calls(const struct config *c, const char *api_sock);

#endif
