/* SPDX-License-Identifier: Apache-2.0 */

/* Options that may be given several times, each with settings of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/options.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

static struct option_list *list_of(const struct option_def *def, void *base)
{
	return (struct option_list *)(void *)((char *)base + def->offset);
}

uint32_t option_list_count(const struct option_def *def, const void *base)
{
	return ((const struct option_list *)(const void *)((const char *)base + def->offset))
		->count;
}

const void *option_list_item(const struct option_def *def, const void *base, uint32_t i)
{
	const struct option_list *l =
		(const struct option_list *)(const void *)((const char *)base + def->offset);

	return (const char *)l->items + i * def->item_size;
}

int option_list_add(const struct option_def *def, void *base, void **item, struct err *e)
{
	struct option_list *l = list_of(def, base);
	void *items;

	if (def->max == 1 && l->count == 1)
		option_list_drop(def, base);
	if (l->count >= def->max)
		return err_set(e, -EINVAL, "more than %lld are given", (long long)def->max);
	items = realloc(l->items, (l->count + 1) * def->item_size);
	if (!items)
		return err_set(e, -ENOMEM, "out of memory");
	l->items = items;
	*item = (char *)items + l->count++ * def->item_size;
	memset(*item, 0, def->item_size);
	return 0;
}

void option_list_drop(const struct option_def *def, void *base)
{
	struct option_list *l = list_of(def, base);

	l->count--;
	options_free(def->item, (char *)l->items + l->count * def->item_size);
}

void option_list_free(const struct option_def *def, void *base)
{
	struct option_list *l = list_of(def, base);

	while (l->count)
		option_list_drop(def, base);
	free(l->items);
	l->items = NULL;
}

int option_unknown(const struct option_table *t, const char *name, struct err *e)
{
	struct text_nearest nearest = { .given = name };
	char shown[TEXT_SHOWN], names[160] = "";
	size_t i, used = 0;
	int r;

	for (i = 0; i < t->count; i++) {
		text_nearest_try(&nearest, t->defs[i].name);
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
				i ? ", " : "", t->defs[i].name);
	}
	r = err_set(e, -EINVAL, "unknown setting \"%s\"", text_show(shown, sizeof(shown), name));
	err_at(e, name);
	if (nearest.best)
		return err_hint(e, r, "did you mean \"%s\"?", nearest.best);
	return err_hint(e, r, "there are %s", names);
}

/* One of the parts after the first: a flag, or name=value. given: a bit for each row set so far. */
static int set_part(const struct option_table *t, void *item, char *part, unsigned long long *given,
	struct err *e)
{
	char *equals = strchr(part, '=');
	const struct option_def *def;
	uint64_t bit;
	int r;

	if (equals)
		*equals = '\0';
	def = option_find(t, part);
	if (!def)
		return option_unknown(t, part, e);
	bit = BIT(def - t->defs);
	if (*given & bit)
		return err_set(e, -EINVAL, "%s is given twice (keep one of the two)", part);
	*given |= bit;
	if (def->type == OPTION_FLAG && !equals) {
		option_set_flag(def, item, true);
		return 0;
	}
	if (!equals)
		return err_set(e, -EINVAL, "%s: value missing (%s=...)", part, part);
	r = option_set_text(def, item, equals + 1, e);
	return r ? err_prefix(e, r, "%s", part) : 0;
}

/* Cuts the text at its first single comma; two stand for one. Returns what follows, or NULL. */
static char *next_part(char *text)
{
	char *from = text, *to = text;

	for (; *from; from++) {
		if (*from == ',' && from[1] != ',') {
			*to = '\0';
			return from + 1;
		}
		if (*from == ',')
			from++;
		*to++ = *from;
	}
	*to = '\0';
	return NULL;
}

static int set_parts(const struct option_def *def, void *item, char *text, struct err *e)
{
	char *rest = next_part(text);
	unsigned long long given = def->first_named ? 0 : BIT(0);
	int r = def->first_named ? set_part(def->item, item, text, &given, e)
				 : option_set_text(&def->item->defs[0], item, text, e);

	while (!r && rest) {
		char *part = rest;

		rest = next_part(part);
		r = set_part(def->item, item, part, &given, e);
	}
	if (!r && !(given & BIT(0)))
		return err_set(e, -EINVAL, "\"%s\" is missing", def->item->defs[0].name);
	return r;
}

/* Items of one setting have no names to follow it: each part is an item. All are added, or none. */
static int add_plain(const struct option_def *def, void *base, char *text, struct err *e)
{
	uint32_t before = option_list_count(def, base);
	void *item;
	int r = 0;

	while (!r && text) {
		char *part = text;

		text = next_part(part);
		r = option_list_add(def, base, &item, e);
		if (!r)
			r = option_set_text(&def->item->defs[0], item, part, e);
	}
	while (r && option_list_count(def, base) > before)
		option_list_drop(def, base);
	return r;
}

int option_list_text(const struct option_def *def, void *base, const char *text, struct err *e)
{
	_free char *copy = strdup(text);
	void *item;
	int r;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	if (def->item->count == 1)
		return add_plain(def, base, copy, e);
	r = option_list_add(def, base, &item, e);
	if (r)
		return r;
	r = set_parts(def, item, copy, e);
	if (r)
		option_list_drop(def, base);
	return r;
}
