/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return code;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno ? errno : EIO;
	char what[sizeof(e->msg) / 2];
	va_list ap;

	if (!e)
		return -saved;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(e->msg, sizeof(e->msg), "%s: %s", what, strerror(saved));
	return -saved;
}

int err_prefix(struct err *e, int code, const char *fmt, ...)
{
	char rest[sizeof(e->msg)];
	char head[sizeof(e->msg) / 3];
	va_list ap;

	if (!e)
		return code;
	memcpy(rest, e->msg, sizeof(rest));
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	/* Losing the tail of a very long chain is fine: the head names the place to look. */
	if (snprintf(e->msg, sizeof(e->msg), "%s: %s", head, rest) >= (int)sizeof(e->msg))
		memcpy(e->msg + sizeof(e->msg) - 4, "...", 4);
	return code;
}

int err_hint(struct err *e, int code, const char *fmt, ...)
{
	char hint[sizeof(e->msg) / 2];
	size_t used;
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(hint, sizeof(hint), fmt, ap);
	va_end(ap);
	used = strlen(e->msg);
	snprintf(e->msg + used, sizeof(e->msg) - used, " (%s)", hint);
	return code;
}
