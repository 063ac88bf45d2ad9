/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util/text.h"

#define FIELD_ROOM 128
#define TEXT_ROOM  (sizeof(((struct err *)NULL)->msg) - FIELD_ROOM)

static char *field_of(struct err *e)
{
	return e->msg + TEXT_ROOM;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	*field_of(e) = '\0';
	va_start(ap, fmt);
	vsnprintf(e->msg, TEXT_ROOM, fmt, ap);
	va_end(ap);
	return code;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno ? errno : EIO;
	char what[TEXT_ROOM / 2];
	va_list ap;

	if (!e)
		return -saved;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	*field_of(e) = '\0';
	snprintf(e->msg, TEXT_ROOM, "%s: %s", what, strerror(saved));
	return -saved;
}

int err_prefix(struct err *e, int code, const char *fmt, ...)
{
	char rest[TEXT_ROOM];
	char head[TEXT_ROOM / 3];
	va_list ap;

	if (!e)
		return code;
	memcpy(rest, e->msg, sizeof(rest));
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	/* Losing the tail of a very long chain is fine: the head names the place to look. */
	if (snprintf(e->msg, TEXT_ROOM, "%s: %s", head, rest) >= (int)TEXT_ROOM)
		memcpy(e->msg + TEXT_ROOM - 4, "...", 4);
	return code;
}

void err_at(struct err *e, const char *part)
{
	char rest[FIELD_ROOM];

	if (!e)
		return;
	memcpy(rest, field_of(e), sizeof(rest));
	/* What does not fit is its end. */
	if (snprintf(field_of(e), FIELD_ROOM, "%s%s%s", part, *rest ? "/" : "", rest) < 0)
		*field_of(e) = '\0';
}

const char *err_field(const struct err *e)
{
	return e ? e->msg + TEXT_ROOM : "";
}

int err_key(struct err *e, int code, const char *key)
{
	char shown[TEXT_SHOWN];

	err_at(e, key);
	return err_prefix(e, code, "\"%s\"", text_show(shown, sizeof(shown), key));
}

int err_item(struct err *e, int code, size_t index)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", index);
	err_at(e, number);
	return err_prefix(e, code, "item %zu", index + 1);
}

int err_hint(struct err *e, int code, const char *fmt, ...)
{
	char hint[TEXT_ROOM / 2];
	size_t used;
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(hint, sizeof(hint), fmt, ap);
	va_end(ap);
	used = strlen(e->msg);
	snprintf(e->msg + used, TEXT_ROOM - used, " (%s)", hint);
	return code;
}
