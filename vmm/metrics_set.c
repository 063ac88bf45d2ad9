/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/metrics_set.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/util/bits.h"

void metrics_add_labelled(struct metrics_set *s, enum metric_kind kind, const char *group,
	const char *name, const char *label, const char *value, uint64_t now)
{
	struct metric *m;

	if (s->count == METRICS_MAX)
		return;
	m = &s->m[s->count++];
	*m = (struct metric){ .kind = kind, .now = now };
	snprintf(m->group, sizeof(m->group), "%s", group);
	snprintf(m->name, sizeof(m->name), "%s", name);
	snprintf(m->label, sizeof(m->label), "%s", label);
	snprintf(m->value, sizeof(m->value), "%s", value);
}

void metrics_add(struct metrics_set *s, enum metric_kind kind, const char *group, const char *name,
	uint64_t now)
{
	metrics_add_labelled(s, kind, group, name, "", "", now);
}

static bool same_name(const struct metric *a, const struct metric *b)
{
	return strcmp(a->group, b->group) == 0 && strcmp(a->name, b->name) == 0;
}

static bool is_device(const struct metric *m)
{
	return strcmp(m->label, "id") == 0;
}

/* ---- JSON lines ---- */

/* Most often it is where it was the last time. */
static const struct metric *find(
	const struct metrics_set *s, const struct metric *m, unsigned int hint)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		const struct metric *o = &s->m[(i + hint) % s->count];

		if (same_name(o, m) && strcmp(o->value, m->value) == 0)
			return o;
	}
	return NULL;
}

static uint64_t since(const struct metrics_set *before, const struct metric *m, unsigned int hint)
{
	const struct metric *old =
		before && m->kind == METRIC_COUNTER ? find(before, m, hint) : NULL;

	/* A device that was taken out and put in again counts from the start. */
	return old && old->now <= m->now ? m->now - old->now : m->now;
}

static void add_to(json_t *object, const char *name, uint64_t n)
{
	json_int_t old = json_integer_value(json_object_get(object, name));

	json_object_set_new(object, name, json_integer(old + (json_int_t)n));
}

/* The object of that name, made where it is missing; NULL: out of memory. */
static json_t *group_of(json_t *all, const char *name)
{
	json_t *group = json_object_get(all, name);

	if (group)
		return group;
	json_object_set_new(all, name, json_object());
	return json_object_get(all, name);
}

static void add_metric(json_t *all, const struct metric *m, uint64_t n)
{
	char name[sizeof(m->group) + sizeof(m->name) + sizeof(m->label) + sizeof(m->value)];

	if (is_device(m)) {
		snprintf(name, sizeof(name), "%s_%s", m->group, m->value);
		add_to(group_of(all, name), m->name, n);
	}
	if (!is_device(m) && m->label[0])
		snprintf(name, sizeof(name), "%s_%s_%s", m->name, m->label, m->value);
	else
		snprintf(name, sizeof(name), "%s", m->name);
	add_to(group_of(all, m->group), name, n);
}

json_t *metrics_set_json(const struct metrics_set *s, const struct metrics_set *before)
{
	json_t *all = json_object();
	unsigned int i;

	for (i = 0; all && i < s->count; i++)
		add_metric(all, &s->m[i], since(before, &s->m[i], i));
	return all;
}

/* ---- Prometheus ---- */

/* Letters, digits and underscores; "_count" says nothing that "_total" does not. */
static void print_name(const struct metric *m, FILE *out)
{
	size_t len = strlen(m->name), i;

	if (m->kind == METRIC_COUNTER && len > 6 && strcmp(m->name + len - 6, "_count") == 0)
		len -= 6;
	/* Our own group is the program. */
	fprintf(out, "nacre_%s%s", strcmp(m->group, "nacre") ? m->group : "",
		strcmp(m->group, "nacre") ? "_" : "");
	for (i = 0; i < len; i++)
		fputc(isalnum((unsigned char)m->name[i]) ? m->name[i] : '_', out);
	fputs(m->kind == METRIC_COUNTER ? "_total" : "", out);
}

static void print_value(const struct metric *m, FILE *out)
{
	const char *p;

	print_name(m, out);
	if (m->label[0]) {
		fprintf(out, "{%s=\"", m->label);
		for (p = m->value; *p; p++) {
			if (*p == '\\' || *p == '"')
				fputc('\\', out);
			if (*p == '\n')
				fputs("\\n", out);
			else
				fputc(*p, out);
		}
		fputs("\"}", out);
	}
	fprintf(out, " %" PRIu64 "\n", m->now);
}

static void print_head(const struct metric *m, FILE *out)
{
	fputs("# HELP ", out);
	print_name(m, out);
	/* The names are Firecracker's, and nacre-api(7) explains the groups. */
	fprintf(out, " %s of %s, see nacre-api(7)\n# TYPE ", m->name, m->group);
	print_name(m, out);
	fputs(m->kind == METRIC_COUNTER ? " counter\n" : " gauge\n", out);
}

void metrics_set_prometheus(const struct metrics_set *s, FILE *out)
{
	unsigned int i, k;

	for (i = 0; i < s->count; i++) {
		bool was_before = false;

		for (k = 0; k < i && !was_before; k++)
			was_before = same_name(&s->m[k], &s->m[i]);
		if (was_before)
			continue;
		print_head(&s->m[i], out);
		/* All of a name stand together. */
		for (k = i; k < s->count; k++)
			if (same_name(&s->m[k], &s->m[i]))
				print_value(&s->m[k], out);
	}
}
