/* SPDX-License-Identifier: Apache-2.0 */

/* The verbs of ctl that look at the guest's memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem/mte.h"
#include "vmm/api/options.h"
#include "vmm/config_json_impl.h"
#include "vmm/ctl_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/number.h"
#include "vmm/util/text.h"

/* Tags in a line. */
#define ROW 64u

/* ---- tags ---- */

/* A page's tags: the lines of it that are not all 0. */
static void print_page(const struct ctl *c, uint64_t at, const char *tags)
{
	size_t n;

	for (; *tags; tags += n, at += n * MTE_GRANULE) {
		n = strnlen(tags, ROW);
		if (strspn(tags, "0") < n)
			fprintf(c->out, "0x%010" PRIx64 "  %.*s\n", at, (int)n, tags);
	}
}

/* Digits only reach the terminal. */
static bool is_page(const json_t *page)
{
	const char *tags = json_string_value(json_object_get(page, "tags"));

	return tags && strlen(tags) <= MTE_PAGE_TAGS &&
	       tags[strspn(tags, "0123456789abcdef")] == '\0' &&
	       json_is_integer(json_object_get(page, "gpa"));
}

/* Up to API_TAGS_MAX; pages of it that have tags are printed, or kept in `all`. */
static int get_some(const struct ctl *c, uint64_t at, uint64_t len, json_t *all, size_t *found)
{
	_json json_t *answer = NULL;
	const json_t *pages, *page;
	char path[80];
	size_t i;
	int r;

	snprintf(path, sizeof(path), "/mte/tags?gpa=0x%" PRIx64 "&len=%" PRIu64, at, len);
	r = ctl_ask_json(c, path, &answer);
	if (r)
		return r;
	pages = json_object_get(answer, "pages");
	json_array_foreach(pages, i, page)
	{
		if (!is_page(page))
			return err_set(c->e, -EPROTO, "GET /mte/tags: the answer has no tags");
		if (all)
			json_array_append(all, (json_t *)page);
		else
			print_page(c, (uint64_t)json_integer_value(json_object_get(page, "gpa")),
				json_string_value(json_object_get(page, "tags")));
	}
	*found += json_array_size(pages);
	return 0;
}

static void range_of(const struct ctl *c, uint64_t *at, uint64_t *len)
{
	number_parse(c->operands[0], strlen(c->operands[0]), at);
	number_parse(c->operands[1], strlen(c->operands[1]), len);
}

int ctl_mte_tags(const struct ctl *c)
{
	_json json_t *all = c->options->json ? json_array() : NULL;
	uint64_t gpa, len, off, n;
	size_t found = 0;
	int r = 0;

	range_of(c, &gpa, &len);
	for (off = 0; off < len && !r; off += n) {
		n = min_u64(len - off, API_TAGS_MAX);
		r = get_some(c, gpa + off, n, all, &found);
	}
	if (r)
		return r;
	if (all) {
		_json json_t *o = json_pack("{s:I, s:I, s:i, s:O}", "gpa", (json_int_t)gpa, "len",
			(json_int_t)len, "granule", (int)MTE_GRANULE, "pages", all);

		ctl_print_json(c, o);
	} else {
		fprintf(c->out, "%zu pages have tags\n", found);
	}
	return 0;
}

int ctl_set_mte_tags(const struct ctl *c)
{
	_json json_t *body = NULL;
	_free char *text = NULL;
	char done[80];
	uint64_t gpa, len;

	range_of(c, &gpa, &len);
	body = json_pack("{s:s, s:s, s:s}", "gpa", c->operands[0], "len", c->operands[1], "tags",
		c->operands[2]);
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	if (!text)
		return err_set(c->e, -ENOMEM, "out of memory");
	snprintf(done, sizeof(done), "%" PRIu64 " tags are written", len / MTE_GRANULE);
	return ctl_command(c, "PUT", "/mte/tags", text, done);
}

/* ---- dumps ---- */

struct target {
	const char *path;
	int fd;
	bool named; /* it has its path already */
	uint64_t bytes;
};

static int target_failed(const struct target *t, struct err *e)
{
	char shown[TEXT_SHOWN];
	int r = err_sys(e, "%s", text_show_end(shown, sizeof(shown), t->path));

	if (r == -EISDIR)
		return err_hint(e, r, "expected the name of a new file");
	return r == -EEXIST ? err_hint(e, r, "remove it, or name another one") : r;
}

static int take(void *ctx, const void *bytes, size_t len, struct err *e)
{
	struct target *t = ctx;
	const char *at = bytes;
	ssize_t n;

	for (; len; at += n, len -= (size_t)n, t->bytes += (uint64_t)n) {
		n = write(t->fd, at, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return target_failed(t, e);
	}
	return 0;
}

static void link_of(int fd, char text[40])
{
	snprintf(text, 40, "/proc/self/fd/%d", fd);
}

/* A file in the folder of that path which can get its name later, or -1. */
static int open_nameless(const char *path)
{
	_free char *copy = strdup(path);
	_close int fd = -1;
	char link[40];

	if (copy)
		fd = open(dirname(copy), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	link_of(fd, link);
	return fd < 0 || access(link, F_OK) ? -1 : fd_steal(&fd);
}

/*
 * Half a dump is none: the file gets its name when it is whole, so that none is left behind whatever
 * ends us. Where that cannot be, it has its name at once. That it can have it is tried in any case,
 * before much is asked for. It is only for its owner: all that the guest knows is in it.
 */
static int open_target(struct target *t, struct err *e)
{
	int nameless;

	t->fd = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (t->fd < 0)
		return target_failed(t, e);
	nameless = open_nameless(t->path);
	t->named = nameless < 0 || unlink(t->path);
	if (t->named) {
		fd_close(&nameless);
	} else {
		close(t->fd);
		t->fd = nameless;
	}
	return 0;
}

static int name_target(const struct target *t, struct err *e)
{
	char link[40];

	if (fsync(t->fd) && errno != EINVAL)
		return target_failed(t, e);
	link_of(t->fd, link);
	if (!t->named && linkat(AT_FDCWD, link, AT_FDCWD, t->path, AT_SYMLINK_FOLLOW))
		return target_failed(t, e);
	return 0;
}

/* The file is ours, not the machine's: that opens none any more. */
int ctl_dump_memory(const struct ctl *c)
{
	struct target t = { .path = c->operands[0] };
	int r = open_target(&t, c->e);

	if (r)
		return r;
	r = ctl_fetch(c, "/memory/dump", take, &t);
	if (!r)
		r = name_target(&t, c->e);
	close(t.fd);
	if (r && t.named)
		unlink(t.path);
	if (r)
		return r;
	if (c->options->json)
		fprintf(c->out, "{\"bytes\":%" PRIu64 "}\n", t.bytes);
	else
		fprintf(c->out, "%" PRIu64 " bytes are written; nacre inspect reads them\n",
			t.bytes);
	return 0;
}
