/* SPDX-License-Identifier: Apache-2.0 */

/* Files that requests name before the start. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/api/api_impl.h"
#include "vmm/api/resource.h"
#include "vmm/util/text.h"

/* Not opened: a FIFO's writer would take us for its reader, and not be there for the start. */
static int check_file(const char *path, bool write, const char *field, struct err *e)
{
	char shown[TEXT_SHOWN];
	struct stat st;
	int r = 0;

	if (!path)
		return 0;
	text_show_end(shown, sizeof(shown), path);
	if (stat(path, &st))
		r = err_sys(e, "%s", shown);
	else if (S_ISDIR(st.st_mode))
		r = err_set(e, -EISDIR, "%s is a folder, expected a file", shown);
	else if (faccessat(AT_FDCWD, path, R_OK | (write ? W_OK : 0), AT_EACCESS))
		r = err_sys(e, "%s: to %s", shown, write ? "read and write" : "read");
	if (r == -EACCES || r == -EROFS)
		err_hint(e, r,
			write ? "let us write it, or set \"is_read_only\": true"
			      : "may the user that nacre runs as read it?");
	return r ? err_key(e, r, field) : 0;
}

int api_check_files(const char *name, const char *id, const json_t *body, struct err *e)
{
	const struct disk_config *d;
	struct config c;
	int r;

	if (strcmp(name, "boot-source") != 0 && strcmp(name, "drives") != 0)
		return 0;
	/* Its fields first: a machine of this object alone knows what they mean. */
	resource_init(&c);
	r = resource_put(&c, name, id, body, e);
	if (!r)
		r = check_file(c.kernel, false, "kernel_image_path", e);
	if (!r)
		r = check_file(c.initrd, false, "initrd_path", e);
	if (!r)
		r = check_file(c.firmware, false, "firmware_path", e);
	d = c.disks.count ? c.disks.items : NULL;
	if (!r && d)
		r = check_file(d->path, !d->read_only, "path_on_host", e);
	config_free(&c);
	return r;
}
