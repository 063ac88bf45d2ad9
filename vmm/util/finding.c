/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/finding.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

const char *const finding_state_names[FINDING_STATES] = {
	[FINDING_OK] = "ok",
	[FINDING_ABSENT] = "absent",
	[FINDING_WARN] = "warn",
	[FINDING_MISSING] = "missing",
};

struct finding *finding_add(
	struct findings *f, const char *name, enum finding_state state, const char *fmt, ...)
{
	struct finding *row;
	va_list ap;

	if (f->count < FINDINGS_MAX)
		f->count++;
	row = &f->rows[f->count - 1];
	*row = (struct finding){ .name = name, .state = state };
	va_start(ap, fmt);
	vsnprintf(row->text, sizeof(row->text), fmt, ap);
	va_end(ap);
	return row;
}

void finding_hint(struct finding *row, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(row->hint, sizeof(row->hint), fmt, ap);
	va_end(ap);
}

const struct finding *findings_blocker(const struct findings *f)
{
	unsigned int i;

	for (i = 0; i < f->count; i++)
		if (f->rows[i].required && f->rows[i].state == FINDING_MISSING)
			return &f->rows[i];
	return NULL;
}
