/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation. A file of cases is an object:
 *
 *   operation  "put /drives/{drive_id}", as the document names it
 *   path       the path with an id in it; default: that of the operation
 *   when       "before", "after" (the start) or "always"
 *   setup      requests that must work first, [method, path, body] each
 *   base       a body that is right and has every field
 *   see        where GET /vm/config shows the object, "drives.0"
 *   fields     a dotted name each, with
 *                required  true when the object must have it
 *                good bad  lists of values; the first good one tells the type
 *                unsaid    bad ones of which the schema cannot know
 *                seen      false: GET does not show it; or what it shows for each good one
 *                only      the architecture that it is for
 *                fault     what the sentence for a bad value has; default: the field's name
 *                with      other fields of the body for the good ones, since they would not fit
 *   cases      what fields do not cover: { name, method, path, body or raw, status, fault, schema }:
 *              status 204 unless given; fault: a part of the sentence; schema false: the document
 *              cannot say that it is wrong; shows: { path: value } of the answer's body
 *   also       operations that `cases` are about, too
 *
 * For each field the body is sent without it, with null, with another type, with each good and each bad
 * value; then with a field that nobody knows, with one twice, cut short, as an array, and empty. Each
 * valid body must fit the document's schema, and each invalid one must not, where a schema can say so;
 * answers must fit too. When it is not the time for an operation it must be refused.
 *
 * In strings $WORK, $GUEST and $DISK stand for names of files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tests/api/apitest.h"
#include "tests/api/schema.h"

struct run {
	struct suite *t;
	struct session s;
	const json_t *file;
	const char *operation; /* "put /drives/{drive_id}" */
	char method[8];	       /* "put" */
	const char *template;  /* "/drives/{drive_id}" */
	const char *path;      /* "/drives/a" */
	bool started;
};

/* ---- values ---- */

static json_t *text_of(const struct run *r, const char *text)
{
	static const char *const names[] = { "$WORK", "$GUEST", "$DISK" };
	char disk[128], buf[1024];
	const char *values[] = { r->s.dir, r->t->guest, disk };
	unsigned int i;

	snprintf(disk, sizeof(disk), "%s/disk", r->s.dir);
	for (i = 0; i < 3; i++) {
		if (strncmp(text, names[i], strlen(names[i])) != 0)
			continue;
		snprintf(buf, sizeof(buf), "%s%s", values[i], text + strlen(names[i]));
		return json_string(buf);
	}
	return json_string(text);
}

/* A copy with names of files in the place of variables. */
static json_t *copy_of(const struct run *r, const json_t *v)
{
	json_t *copy, *value;
	const char *key;
	size_t i;

	if (json_is_string(v))
		return text_of(r, json_string_value(v));
	if (json_is_array(v)) {
		copy = json_array();
		for (i = 0; i < json_array_size(v); i++)
			json_array_append_new(copy, copy_of(r, json_array_get(v, i)));
		return copy;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	copy = json_object();
	json_object_foreach((json_t *)v, key, value)
		json_object_set_new(copy, key, copy_of(r, value));
	return copy;
}

/* What a dotted name leads to: a member, or an array's item by its number; NULL: not there. */
static json_t *walk(json_t *v, const char *name, size_t len)
{
	while (v && len) {
		size_t n = strcspn(name, ".");
		char step[64];

		n = n < len ? n : len;
		snprintf(step, sizeof(step), "%.*s", (int)n, name);
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(step))
				     : json_object_get(v, step);
		name += n < len ? n + 1 : n;
		len -= n < len ? n + 1 : n;
	}
	return v;
}

static const char *last_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

/* Sets the member of that dotted name, or removes it: NULL. Takes the value over. */
static void set_member(json_t *body, const char *name, json_t *value)
{
	const char *last = last_of(name);
	json_t *holder = walk(body, name, last > name ? (size_t)(last - name - 1) : 0);

	if (value)
		json_object_set_new(holder, last, value);
	else
		json_object_del(holder, last);
}

/* ---- requests ---- */

static void report(struct run *r, bool ok, const char *what, const char *why)
{
	if (ok) {
		r->t->passed++;
		return;
	}
	r->t->failed++;
	printf("FAIL  %s, %s: %s\n", r->operation, what, why);
}

static const char *upper(const char *method, char buf[8])
{
	unsigned int i;

	for (i = 0; i < 7 && method[i]; i++)
		buf[i] = (char)(method[i] >= 'a' ? method[i] - 'a' + 'A' : method[i]);
	buf[i] = '\0';
	return buf;
}

/* What one request shall come to. */
struct expected {
	const char *name;
	int status;
	const char *fault; /* a part of the sentence, or NULL */
	const json_t *shows;
};

static bool check_shows(const json_t *shows, json_t *body, char *why, size_t size)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)shows, name, value)
	{
		const json_t *got = walk(body, name, strlen(name));
		char *text = got ? json_dumps(got, JSON_ENCODE_ANY) : NULL;
		bool ok = got ? json_equal(got, value) : json_is_null(value);

		snprintf(why, size, "%s is %s", name, text ? text : "not there");
		free(text);
		if (!ok)
			return false;
	}
	return true;
}

/* The document describes such an answer. Operations that it has not are none of its business. */
static bool check_described(const struct run *r, const char *template, const char *method,
	const struct answer *a, json_t *body, char *why, size_t size)
{
	const json_t *schema;

	if (!json_object_get(
		    json_object_get(json_object_get(r->t->doc, "paths"), template), method))
		return true;
	snprintf(why, size, "status %d is not in the document", a->status);
	if (!schema_has_answer(r->t->doc, template, method, a->status))
		return false;
	schema = schema_of_answer(r->t->doc, template, method, a->status);
	snprintf(why, size, "a body where the document has none, or none where it has one");
	if (!schema)
		return a->status != 204 || !a->len;
	return body && schema_fits(r->t->doc, schema, body, why, size);
}

static void judge(struct run *r, const char *template, const char *method, const struct answer *a,
	const struct expected *x)
{
	json_t *body = a->len ? json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *fault = json_string_value(json_object_get(body, "fault_message"));
	char why[512];
	bool ok;

	snprintf(why, sizeof(why), "status %d, not %d: %.400s", a->status, x->status,
		a->body ? a->body : "");
	ok = a->status == x->status;
	if (ok && x->fault) {
		snprintf(why, sizeof(why), "\"%s\" is not in: %.400s", x->fault,
			fault ? fault : "no sentence");
		ok = fault && strstr(fault, x->fault);
	}
	if (ok)
		ok = check_described(r, template, method, a, body, why, sizeof(why));
	if (ok && x->shows)
		ok = check_shows(x->shows, body, why, sizeof(why));
	report(r, ok, x->name, why);
	json_decref(body);
}

static void send_text(struct run *r, const char *method, const char *path, const char *template,
	const char *text, const struct expected *x)
{
	struct answer a;
	char name[8];

	if (!session_request(&r->s, upper(method, name), path, text, text ? strlen(text) : 0, &a))
		report(r, false, x->name, "no answer");
	else
		judge(r, template, method, &a, x);
	free(a.body);
}

/* The body and the document agree on whether it is right. */
static void check_schema(struct run *r, const char *method, const char *template,
	const json_t *body, bool fits, const char *name)
{
	const json_t *schema = schema_of_request(r->t->doc, template, method);
	char why[256] = "the document takes it for right";

	if (schema)
		report(r, schema_fits(r->t->doc, schema, body, why, sizeof(why)) == fits, name,
			why);
}

static void send_body(struct run *r, const json_t *body, const struct expected *x)
{
	char *text = json_dumps(body, JSON_ENCODE_ANY);

	send_text(r, r->method, r->path, r->template, text, x);
	free(text);
}

/* ---- fields ---- */

/* Something of another type. */
static json_t *other_type(const json_t *v)
{
	return json_is_string(v) ? json_integer(7) : json_string("7");
}

/* GET shows what was set. */
static void check_seen(
	struct run *r, const char *name, const json_t *field, const json_t *value, size_t i)
{
	const char *see = json_string_value(json_object_get(r->file, "see"));
	const json_t *seen = json_object_get(field, "seen");
	const struct expected *x;
	json_t *shows;
	char where[128];

	if (!see || json_is_false(seen))
		return;
	if (seen)
		value = json_array_get(seen, i);
	snprintf(where, sizeof(where), "%s.%s", see, name);
	shows = json_pack("{s:O}", where, value);
	x = &(struct expected){ .name = where, .status = 200, .shows = shows };
	send_text(r, "get", "/vm/config", "/vm/config", NULL, x);
	json_decref(shows);
}

/* The base with one field as given; NULL: without it. */
static json_t *body_with(
	const struct run *r, const json_t *field, const char *name, const json_t *value)
{
	json_t *body = copy_of(r, json_object_get(r->file, "base"));
	json_t *with = json_object_get(field, "with"), *v;
	const char *key;

	json_object_foreach(with, key, v)
		set_member(body, key, json_is_null(v) ? NULL : copy_of(r, v));
	set_member(body, name, value ? copy_of(r, value) : NULL);
	return body;
}

static void try_value(struct run *r, const json_t *field, const char *name, const json_t *value,
	const char *kind, bool good, bool said)
{
	json_t *body = body_with(r, good ? field : NULL, name, value);
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
	const char *fault = json_string_value(json_object_get(field, "fault"));
	struct expected x = { .status = good ? 204 : 400,
		.fault = good				 ? NULL
			 : fault && !strcmp(kind, "bad") ? fault
							 : last_of(name) };
	char label[256];

	snprintf(label, sizeof(label), "%s %s %.80s", name, kind, text ? text : "");
	x.name = label;
	check_schema(r, r->method, r->template, body, good || !said, label);
	send_body(r, body, &x);
	free(text);
	json_decref(body);
}

static bool is_for_us(const json_t *field)
{
	const char *only = json_string_value(json_object_get(field, "only"));
	struct utsname u;

	return !only || (!uname(&u) && !strcmp(u.machine, only));
}

static void try_field(struct run *r, const char *name, const json_t *field)
{
	const json_t *good = json_object_get(field, "good"), *bad = json_object_get(field, "bad");
	const json_t *unsaid = json_object_get(field, "unsaid");
	bool required = json_is_true(json_object_get(field, "required"));
	json_t *null = json_null(), *other = other_type(json_array_get(good, 0));
	size_t i;

	try_value(r, field, name, NULL, "missing", !required, true);
	try_value(r, field, name, null, "null", !required, true);
	try_value(r, field, name, other, "of another type", false, true);
	for (i = 0; i < json_array_size(bad); i++)
		try_value(r, field, name, json_array_get(bad, i), "bad", false, true);
	for (i = 0; i < json_array_size(unsaid); i++)
		try_value(r, field, name, json_array_get(unsaid, i), "bad", false, false);
	for (i = 0; i < json_array_size(good); i++) {
		json_t *value = copy_of(r, json_array_get(good, i));

		try_value(r, field, name, value, "good", true, true);
		check_seen(r, name, field, value, i);
		json_decref(value);
	}
	json_decref(null);
	json_decref(other);
}

/* What is wrong with any object. */
static void try_shapes(struct run *r)
{
	json_t *body = copy_of(r, json_object_get(r->file, "base"));
	json_t *array = json_array();
	char *text = json_dumps(body, 0), twice[4096];
	const char *first = json_object_iter_key(json_object_iter(body));
	char *value = json_dumps(json_object_get(body, first), JSON_ENCODE_ANY);
	struct expected x = { .status = 400 };

	x.name = "an array";
	check_schema(r, r->method, r->template, array, false, x.name);
	send_body(r, array, &x);
	x.name = "one field twice";
	snprintf(twice, sizeof(twice), "{\"%s\": %s, %s", first, value, text + 1);
	send_text(r, r->method, r->path, r->template, twice, &x);
	x.name = "cut short";
	text[strlen(text) - 1] = '\0';
	send_text(r, r->method, r->path, r->template, text, &x);
	x.name = "not JSON";
	send_text(r, r->method, r->path, r->template, "level=Debug", &x);
	x.name = "an empty body";
	send_text(r, r->method, r->path, r->template, "", &x);
	x.name = "no body";
	send_text(r, r->method, r->path, r->template, NULL, &x);
	x.name = "an unknown field";
	x.fault = "nobodyknows";
	json_object_set_new(body, "nobodyknows", json_true());
	check_schema(r, r->method, r->template, body, false, x.name);
	send_body(r, body, &x);
	free(text);
	free(value);
	json_decref(array);
	json_decref(body);
}

static void try_fields(struct run *r)
{
	json_t *fields = json_object_get(r->file, "fields"), *field;
	json_t *base = copy_of(r, json_object_get(r->file, "base"));
	const struct expected x = { .name = "every field", .status = 204 };
	const char *name;

	json_object_foreach(fields, name, field)
	{
		if (is_for_us(field))
			try_field(r, name, field);
	}
	try_shapes(r);
	/* Last, so that it is seen that nothing of the above hurt. */
	check_schema(r, r->method, r->template, base, true, x.name);
	send_body(r, base, &x);
	json_decref(base);
}

/* ---- cases ---- */

static void try_case(struct run *r, const json_t *one)
{
	const json_t *raw = json_object_get(one, "raw"), *given = json_object_get(one, "body");
	const char *method = json_string_value(json_object_get(one, "method"));
	const char *path = json_string_value(json_object_get(one, "path"));
	const char *template = json_string_value(json_object_get(one, "template"));
	const json_t *status = json_object_get(one, "status");
	json_t *body = given ? copy_of(r, given) : NULL;
	char *text = body ? json_dumps(body, JSON_ENCODE_ANY) : NULL;
	struct expected x = {
		.name = json_string_value(json_object_get(one, "name")),
		.status = status ? (int)json_integer_value(status) : 204,
		.fault = json_string_value(json_object_get(one, "fault")),
		.shows = json_object_get(one, "shows"),
	};

	template = template ? template : path ? path : r->template;
	method = method ? method : r->method;
	if (body && !json_is_false(json_object_get(one, "schema")))
		check_schema(r, method, template, body, x.status < 300, x.name);
	send_text(r, method, path ? path : r->path, template, raw ? json_string_value(raw) : text,
		&x);
	free(text);
	json_decref(body);
}

/* ---- sessions ---- */

/* Requests that must work; what does not ends the session. */
static bool set_up(struct run *r, const json_t *setup)
{
	size_t i;

	for (i = 0; i < json_array_size(setup); i++) {
		const json_t *one = json_array_get(setup, i);
		json_t *body = copy_of(r, json_array_get(one, 2));
		char *text = json_dumps(body, 0);
		struct answer a;
		bool ok = session_request(&r->s, json_string_value(json_array_get(one, 0)),
				  json_string_value(json_array_get(one, 1)), text, strlen(text),
				  &a) &&
			  a.status == 204;

		if (!ok)
			printf("note  %s: setting up: %s: %s\n", r->operation, text,
				a.body ? a.body : "no answer");
		free(a.body);
		free(text);
		json_decref(body);
		if (!ok)
			return false;
	}
	return true;
}

static bool make_disk(const struct run *r)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/disk", r->s.dir);
	f = fopen(path, "w");
	return f && !ftruncate(fileno(f), 1 << 20) && !fclose(f);
}

static bool begin(struct run *r, bool start)
{
	static const char *const none[] = { NULL };
	const json_t *setup = json_object_get(r->file, "setup");
	json_t *boot = json_pack("[[s,s,{s:s}],[s,s,{s:s}]]", "PUT", "/boot-source",
		"firmware_path", "$GUEST", "PUT", "/actions", "action_type", "InstanceStart");
	bool ok = session_start(&r->s, r->t->nacre, none) && make_disk(r);

	if (!ok)
		report(r, false, "start", "nacre does not listen");
	else if (!set_up(r, setup))
		ok = false;
	else if (start)
		ok = set_up(r, boot);
	if (ok)
		r->started = start;
	json_decref(boot);
	return ok;
}

static void end(struct run *r)
{
	const char *why = session_stop(&r->s);

	report(r, !why, "the end", why ? why : "");
	session_free(&r->s);
}

static void run_cases(struct run *r, const char *list)
{
	const json_t *cases = json_object_get(r->file, list);
	size_t i;

	for (i = 0; i < json_array_size(cases); i++)
		try_case(r, json_array_get(cases, i));
}

/* It is not the time for it. */
static void refuse_state(struct run *r)
{
	const json_t *base = json_object_get(r->file, "base");
	json_t *body = base ? copy_of(r, base) : NULL;
	char *text = body ? json_dumps(body, 0) : NULL;
	const struct expected x = { .name = r->started ? "after the start" : "before the start",
		.status = 400,
		.fault = "not supported" };

	send_text(r, r->method, r->path, r->template, text, &x);
	free(text);
	json_decref(body);
}

static void run_session(struct run *r, bool start)
{
	const char *when = json_string_value(json_object_get(r->file, "when"));
	bool right = !strcmp(when, "always") || !strcmp(when, start ? "after" : "before");

	if (begin(r, start)) {
		if (right && json_object_get(r->file, "fields"))
			try_fields(r);
		if (right)
			run_cases(r, "cases");
		if (!right)
			refuse_state(r);
		run_cases(r, start ? "cases_after" : "cases_before");
		end(r);
	} else {
		/* Without KVM, or what a file's own setup needs of the host. */
		if (r->t->no_skip || (r->t->has_kvm && !json_object_get(r->file, "may_skip")))
			r->t->failed++;
		else
			r->t->skipped++;
		session_free(&r->s);
	}
}

void cases_run(struct suite *t, const json_t *file)
{
	struct run r = { .t = t, .file = file };
	const char *space, *path = json_string_value(json_object_get(file, "path"));

	r.operation = json_string_value(json_object_get(file, "operation"));
	space = strchr(r.operation, ' ');
	snprintf(r.method, sizeof(r.method), "%.*s", (int)(space - r.operation), r.operation);
	r.template = space + 1;
	r.path = path ? path : r.template;
	run_session(&r, false);
	run_session(&r, true);
}
