/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config_line.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config_json_impl.h"

struct scan {
	const char *text;
	size_t len, at;
	int line;
};

static char here(const struct scan *s)
{
	return s->at < s->len ? s->text[s->at] : '\0';
}

static void step(struct scan *s)
{
	if (here(s) == '\n')
		s->line++;
	s->at++;
}

/* To the next key or value, or the end of what they are in. */
static void skip_between(struct scan *s)
{
	while (here(s) && strchr(" \t\r\n,:", here(s)))
		step(s);
}

/* Strings have no line breaks in them. */
static void skip_string(struct scan *s)
{
	for (s->at++; s->at < s->len && here(s) != '"'; s->at++)
		if (here(s) == '\\')
			s->at++;
	s->at++;
}

static void skip_value(struct scan *s)
{
	size_t depth = 0;

	do {
		char c = here(s);

		if (c == '"')
			skip_string(s);
		else if (c == '{' || c == '[')
			depth++, step(s);
		else if (c == '}' || c == ']')
			depth--, step(s);
		else if (depth)
			step(s);
		else
			while (here(s) && !strchr(" \t\r\n,]}", here(s)))
				s->at++;
	} while (depth && s->at < s->len);
}

/* The rest of path behind the key at s, or NULL: path begins otherwise. A key may have slashes. */
static const char *match_key(const struct scan *s, const char *path)
{
	struct scan end = *s;
	_json json_t *name = NULL;
	size_t len;

	skip_string(&end);
	name = json_loadb(s->text + s->at, end.at - s->at, JSON_DECODE_ANY, NULL);
	len = json_string_length(name);
	if (!name || strncmp(path, json_string_value(name), len) != 0)
		return NULL;
	return path[len] == '/' ? path + len + 1 : path[len] == '\0' ? path + len : NULL;
}

/* From an object to the value of the member that path begins with; *line: of its key. */
static const char *enter_object(struct scan *s, const char *path, int *line)
{
	const char *rest = NULL;

	step(s);
	for (skip_between(s); here(s) == '"' && !rest; skip_between(s)) {
		rest = match_key(s, path);
		if (rest)
			*line = s->line;
		skip_string(s);
		skip_between(s);
		if (rest)
			return rest;
		skip_value(s);
	}
	return NULL;
}

static const char *enter_array(struct scan *s, const char *path, int *line)
{
	char *rest;
	unsigned long n = strtoul(path, &rest, 10);

	step(s);
	for (skip_between(s); here(s) && here(s) != ']'; skip_between(s)) {
		if (!n--) {
			*line = s->line;
			return *rest == '/' ? rest + 1 : rest;
		}
		skip_value(s);
	}
	return NULL;
}

int config_line(const char *text, size_t len, const char *key, const char *path)
{
	struct scan s = { .text = text, .len = len, .line = 1 };
	int line = 1;

	skip_between(&s);
	if (!enter_object(&s, key, &line))
		return line;
	while (path && *path && (here(&s) == '{' || here(&s) == '['))
		path = here(&s) == '{' ? enter_object(&s, path, &line)
				       : enter_array(&s, path, &line);
	return line;
}
