/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/walls.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/util/log.h"
#include "vmm/util/text.h"

static int add(struct walls *w, char *path, unsigned int access, struct err *e)
{
	if (!path)
		return err_set(e, -ENOMEM, "paths: out of memory");
	if (w->count == WALLS_PATHS_MAX) {
		free(path);
		return err_set(
			e, -E2BIG, "more than %u paths are used after the start", WALLS_PATHS_MAX);
	}
	w->paths[w->count++] = (struct sandbox_path){ path, access };
	return 0;
}

/* The folder that a path names a file in. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* A link's target counts, since it is what is opened. */
static char *real_folder_of(const char *path)
{
	char *real = realpath(path, NULL), *folder = folder_of(real ? real : path);

	free(real);
	return folder;
}

/* ---- disks ---- */

static int add_disk(struct walls *w, const struct disk_config *d, bool only_allowed, struct err *e)
{
	unsigned int access = SANDBOX_READ | (d->read_only ? 0 : SANDBOX_WRITE);
	struct stat st;

	if (stat(d->path, &st))
		return 0;
	if (S_ISREG(st.st_mode) && !st.st_size && !only_allowed) {
		w->any_file = true;
		return add(w, strdup("/"), access, e);
	}
	return add(w, S_ISREG(st.st_mode) ? real_folder_of(d->path) : strdup(d->path), access, e);
}

static int add_disks(struct walls *w, const struct config *c, struct err *e)
{
	const struct disk_config *disks = c->disks.items;
	char *const *allowed = c->allow_paths.items;
	char shown[TEXT_SHOWN];
	uint32_t i;
	int r = 0;

	for (i = 0; i < c->allow_paths.count && !r; i++) {
		if (access(allowed[i], F_OK))
			return err_sys(e, "allow-path %s",
				text_show_end(shown, sizeof(shown), allowed[i]));
		r = add(w, strdup(allowed[i]), SANDBOX_READ | SANDBOX_WRITE, e);
	}
	for (i = 0; i < c->disks.count && !r; i++)
		r = add_disk(w, &disks[i], c->allow_paths.count > 0, e);
	return r;
}

/* ---- all paths ---- */

int walls_plan(struct walls *w, const struct config *c, const char *api_sock, struct err *e)
{
	const struct vsock_config *vsock = c->vsock.items;
	int r = 0;

	*w = (struct walls){ .count = 0 };
	if (api_sock)
		r = add(w, folder_of(api_sock), SANDBOX_REMOVE, e);
	if (!r && api_sock)
		r = add_disks(w, c, e);
	if (!r && c->vsock.count && vsock->path)
		r = add(w, folder_of(vsock->path), SANDBOX_REMOVE | SANDBOX_CONNECT, e);
	if (r)
		walls_free(w);
	else if (w->any_file)
		log_info("sandbox: a disk's file has no size, so that any file may take its place "
			 "(--allow-path says which)");
	return r;
}

void walls_free(struct walls *w)
{
	while (w->count)
		free((char *)w->paths[--w->count].path);
}

/* ---- system calls ---- */

struct seccomp_plan walls_calls(const struct config *c, const char *api_sock)
{
	const struct vsock_config *vsock = c->vsock.items;

	return (struct seccomp_plan){
		.mode = c->seccomp,
		.opens_files = api_sock && c->disks.count,
		.serves_api = api_sock,
		.makes_sockets = c->vsock.count && vsock->path,
		.kernel_logs = SECCOMP_SANITIZED,
	};
}
