/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "mem/mte.h"
#include "vmm/api/options.h"
#include "vmm/config_json_impl.h"
#include "vmm/ctl_http.h"
#include "vmm/ctl_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/number.h"
#include "vmm/util/text.h"

/* Longer than any body that the API takes. */
#define BODY_MAX ((size_t)1 << 20)

static const struct option_def defs[] = {
	{ .name = "api-sock",
		OPTION_FIELD(struct ctl_options, sock),
		.type = OPTION_PATH,
		.min = 1,
		.max = PATH_MAX - 1,
		.arg = "SOCKET",
		.help = "The machine's socket, by default " API_DEFAULT_SOCK },
	{ .name = "json",
		OPTION_FIELD(struct ctl_options, json),
		.type = OPTION_FLAG,
		.help = "Print answers as JSON" },
};

const struct option_table ctl_table = { defs, ARRAY_SIZE(defs) };

/* ---- asking ---- */

/* The machine says no: its own words, and nothing of ours before them. */
static int refused(const struct ctl_answer *a, struct err *e)
{
	_json json_t *body = json_loadb(a->body, a->len, 0, NULL);
	const char *why = json_string_value(json_object_get(body, "fault_message"));

	if (why)
		return err_set(e, -EREMOTEIO, "%s", why);
	return err_set(e, -EREMOTEIO, "the machine answers with status %d", a->status);
}

static const char *socket_of(const struct ctl *c)
{
	return c->options->sock ? c->options->sock : API_DEFAULT_SOCK;
}

/* 0 with an answer of 2xx, to be freed. */
static int ask(const struct ctl *c, const char *method, const char *path, const char *body,
	struct ctl_answer *out)
{
	int r = ctl_request(socket_of(c), method, path, body, out, c->e);

	if (!r && out->status / 100 != 2) {
		r = refused(out, c->e);
		ctl_answer_free(out);
	}
	return r;
}

int ctl_fetch(const struct ctl *c, const char *path, ctl_take take, void *ctx)
{
	struct ctl_answer a;
	int r = ctl_download(socket_of(c), path, take, ctx, &a, c->e);

	if (!r && a.status != 200)
		r = refused(&a, c->e);
	ctl_answer_free(&a);
	return r;
}

int ctl_ask_json(const struct ctl *c, const char *path, json_t **out)
{
	struct ctl_answer a;
	int r = ask(c, "GET", path, NULL, &a);

	*out = NULL;
	if (r)
		return r;
	*out = json_loadb(a.body, a.len, 0, NULL);
	ctl_answer_free(&a);
	return *out ? 0 : err_set(c->e, -EPROTO, "GET %s: the answer is no JSON", path);
}

void ctl_print_json(const struct ctl *c, const json_t *j)
{
	json_dumpf(
		j, c->out, JSON_ENSURE_ASCII | (c->options->json ? JSON_COMPACT : JSON_INDENT(2)));
	fputc('\n', c->out);
}

/* As it came, or easier to read. Controls of a terminal do not come from the machine's words. */
static void print_answer(const struct ctl *c, struct ctl_answer *a)
{
	_json json_t *j = json_loadb(a->body, a->len, JSON_DECODE_ANY, NULL);

	if (j) {
		ctl_print_json(c, j);
	} else if (a->len) {
		text_defuse(a->body, a->len);
		fprintf(c->out, "%s%s", a->body, a->body[a->len - 1] == '\n' ? "" : "\n");
	}
}

int ctl_command(const struct ctl *c, const char *method, const char *path, const char *body,
	const char *done)
{
	struct ctl_answer a;
	int r = ask(c, method, path, body, &a);

	if (r)
		return r;
	ctl_answer_free(&a);
	fprintf(c->out, "%s\n", c->options->json ? "{}" : done);
	return 0;
}

/* ---- verbs ---- */

static int start(const struct ctl *c)
{
	return ctl_command(c, "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}",
		"the guest is started");
}

static int pause_it(const struct ctl *c)
{
	return ctl_command(c, "PATCH", "/vm", "{\"state\":\"Paused\"}", "the guest is paused");
}

static int resume(const struct ctl *c)
{
	return ctl_command(c, "PATCH", "/vm", "{\"state\":\"Resumed\"}", "the guest runs");
}

static int stop(const struct ctl *c)
{
	int r = ctl_command(c, "PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}",
		"the guest is asked to end");

	if (r == -EREMOTEIO && strstr(c->e->msg, "SendCtrlAltDel"))
		return err_hint(c->e, r,
			"end the guest from within; or end nacre by SIGTERM, which the guest does "
			"not hear of");
	return r;
}

static void print_field(const struct ctl *c, const char *label, const json_t *v)
{
	char shown[TEXT_SHOWN + 1]; /* a digest and an id fit as a whole */

	if (json_is_string(v))
		fprintf(c->out, "%-11s%s\n", label,
			text_show(shown, sizeof(shown), json_string_value(v)));
	else if (json_is_integer(v))
		fprintf(c->out, "%-11s%" PRId64 "\n", label, (int64_t)json_integer_value(v));
}

static void print_mib(const struct ctl *c, const char *label, const json_t *v, unsigned int shift)
{
	if (json_is_integer(v))
		fprintf(c->out, "%-11s%" PRId64 " MiB\n", label,
			(int64_t)json_integer_value(v) >> shift);
}

/* What there is to know of a machine, started or not. */
static int info(const struct ctl *c)
{
	_json json_t *instance = NULL, *machine = NULL, *protection = NULL;
	int r = ctl_ask_json(c, "/", &instance);

	if (!r)
		r = ctl_ask_json(c, "/machine-config", &machine);
	if (r)
		return r;
	/* Firecracker lacks it, and before the start there is none. */
	if (ctl_ask_json(c, "/protection", &protection))
		c->e->msg[0] = '\0';
	if (c->options->json) {
		json_object_set(instance, "machine-config", machine);
		if (protection)
			json_object_set(instance, "protection", protection);
		ctl_print_json(c, instance);
		return 0;
	}
	print_field(c, "id", json_object_get(instance, "id"));
	print_field(c, "state", json_object_get(instance, "state"));
	print_field(c, "program", json_object_get(instance, "app_name"));
	print_field(c, "version", json_object_get(instance, "vmm_version"));
	print_field(c, "cpus", json_object_get(machine, "vcpu_count"));
	print_mib(c, "memory", json_object_get(machine, "mem_size_mib"), 0);
	print_field(c, "protection", json_object_get(protection, "mode"));
	print_mib(c, "shared", json_object_get(protection, "shared_bytes"), 20);
	print_field(c, "measured", json_object_get(protection, "measurement_sha256"));
	return 0;
}

/* Each sample of the text by its name and labels. */
static json_t *samples(char *text)
{
	json_t *all = json_object();
	char *line, *save = NULL, *space;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		space = strrchr(line, ' ');
		if (*line == '#' || !space)
			continue;
		*space = '\0';
		json_object_set_new(all, line, json_integer(strtoll(space + 1, NULL, 10)));
	}
	return all;
}

/* Names and numbers, without what programs want to know of them, and without what is nothing. */
static void print_samples(const struct ctl *c, char *text)
{
	char *line, *save = NULL, *space;

	text_defuse(text, strlen(text));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		space = strrchr(line, ' ');
		if (*line != '#' && space && strcmp(space, " 0") != 0)
			fprintf(c->out, "%.*s  %s\n", (int)(space - line), line, space + 1);
	}
}

static int metrics(const struct ctl *c)
{
	_json json_t *all = NULL;
	struct ctl_answer a;
	int r = ask(c, "GET", "/metrics", NULL, &a);

	if (r)
		return r;
	if (c->options->json) {
		all = samples(a.body);
		ctl_print_json(c, all);
	} else {
		print_samples(c, a.body);
	}
	ctl_answer_free(&a);
	return 0;
}

static int balloon(const struct ctl *c)
{
	char body[64], done[64];
	_json json_t *b = NULL;
	int r;

	if (c->count) {
		snprintf(body, sizeof(body), "{\"amount_mib\":%s}", c->operands[0]);
		snprintf(done, sizeof(done), "the guest is to give up %s MiB", c->operands[0]);
		return ctl_command(c, "PATCH", "/balloon", body, done);
	}
	r = ctl_ask_json(c, "/balloon", &b);
	if (r)
		return r;
	if (c->options->json)
		ctl_print_json(c, b);
	else
		print_mib(c, "target", json_object_get(b, "amount_mib"), 0);
	return 0;
}

/* Any request; the body from the command line or, where it is missing or "-", from standard input. */
static int raw(const struct ctl *c, const char *method)
{
	const char *body = c->count > 1 ? c->operands[1] : "-";
	struct blob in = { NULL, 0 };
	struct ctl_answer a;
	int r = 0;

	if (strcmp(method, "GET") == 0)
		body = NULL;
	if (body && strcmp(body, "-") == 0) {
		r = blob_read("/dev/stdin", BODY_MAX, &in, c->e);
		if (r == -ENODATA)
			err_set(c->e, r,
				"there is no body, and nothing on standard input: %s needs one "
				"(give it behind the path, as '{ ... }')",
				method);
		body = (char *)in.data;
	}
	if (!r)
		r = ask(c, method, c->operands[0], body, &a);
	blob_free(&in);
	if (r)
		return r;
	print_answer(c, &a);
	ctl_answer_free(&a);
	return 0;
}

static int raw_get(const struct ctl *c)
{
	return raw(c, "GET");
}

static int raw_put(const struct ctl *c)
{
	return raw(c, "PUT");
}

static int raw_patch(const struct ctl *c)
{
	return raw(c, "PATCH");
}

enum operands { OPERANDS_NONE, OPERANDS_PATH, OPERANDS_MIB, OPERANDS_RANGE, OPERANDS_FILE };

static const struct {
	const char *name, *operands, *summary;
	unsigned int min, max; /* of operands */
	enum operands kind;
	int (*act)(const struct ctl *c);
} verbs[] = {
	{ "start", "", "Start the guest that was described", 0, 0, OPERANDS_NONE, start },
	{ "pause", "", "Let its CPUs stand still", 0, 0, OPERANDS_NONE, pause_it },
	{ "resume", "", "Let them go on", 0, 0, OPERANDS_NONE, resume },
	{ "stop", "", "Ask the guest to end, as by Ctrl-Alt-Del", 0, 0, OPERANDS_NONE, stop },
	{ "info", "", "Say what the machine is and does", 0, 0, OPERANDS_NONE, info },
	{ "metrics", "", "Print its numbers that are not zero", 0, 0, OPERANDS_NONE, metrics },
	{ "balloon", "[MIB]", "Have the guest give up so much memory, or say how much", 0, 1,
		OPERANDS_MIB, balloon },
	{ "mte-tags", "GPA LEN", "Print the tags of so much guest memory from there on", 2, 2,
		OPERANDS_RANGE, ctl_mte_tags },
	{ "set-mte-tags", "GPA LEN TAGS",
		"Write tags there while the guest is paused: hexadecimal digits, repeated", 3, 3,
		OPERANDS_RANGE, ctl_set_mte_tags },
	{ "dump-memory", "FILE", "Write the guest's memory and tags to a new file", 1, 1,
		OPERANDS_FILE, ctl_dump_memory },
	{ "get", "PATH", "Print what the API has at this path", 1, 1, OPERANDS_PATH, raw_get },
	{ "put", "PATH [BODY]", "Any PUT request; body from here or standard input", 1, 2,
		OPERANDS_PATH, raw_put },
	{ "patch", "PATH [BODY]", "Any PATCH request", 1, 2, OPERANDS_PATH, raw_patch },
};

/* ---- the command line ---- */

/* What could be taken for another part of the request. */
static int check_path(const char *path, struct err *e)
{
	char shown[TEXT_SHOWN];
	const char *p;

	for (p = path; *p > ' ' && *p < 0x7f; p++)
		;
	if (path[0] != '/' || *p)
		return err_set(e, -EINVAL,
			"ctl: \"%s\" is no path of the API (as in /machine-config)",
			text_show(shown, sizeof(shown), path));
	return 0;
}

static int check_mib(const char *mib, struct err *e)
{
	char shown[TEXT_SHOWN];

	if (strspn(mib, "0123456789") == strlen(mib) && mib[0] && strlen(mib) <= 8)
		return 0;
	return err_set(e, -EINVAL, "ctl: balloon: \"%s\" is no number of MiB",
		text_show(shown, sizeof(shown), mib));
}

/* An address, a length, and perhaps digits. */
static int check_range(const char *const *operands, unsigned int count, struct err *e)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	char shown[TEXT_SHOWN];
	uint64_t v[2] = { 0 };
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (!number_parse(operands[i], strlen(operands[i]), &v[i]))
			return err_set(e, -EINVAL,
				"ctl: \"%s\" is no number (decimal, or hexadecimal with 0x)",
				text_show(shown, sizeof(shown), operands[i]));
	if (!v[1] || (v[0] | v[1]) % MTE_GRANULE || v[0] + v[1] < v[0])
		return err_set(e, -EINVAL,
			"ctl: GPA and LEN: expected multiples of %u (each so many bytes have a "
			"tag)",
			MTE_GRANULE);
	if (count > 2 && (!operands[2][0] || operands[2][strspn(operands[2], hex)]))
		return err_set(e, -EINVAL, "ctl: TAGS: \"%s\" are no hexadecimal digits",
			text_show(shown, sizeof(shown), operands[2]));
	return 0;
}

static int check_operands(
	size_t verb, const char *const *operands, unsigned int count, struct err *e)
{
	if (count < verbs[verb].min || count > verbs[verb].max)
		return err_set(e, -EINVAL, "ctl: usage: nacre ctl [OPTION]... %s%s%s",
			verbs[verb].name, verbs[verb].operands[0] ? " " : "", verbs[verb].operands);
	if (!count)
		return 0;
	switch (verbs[verb].kind) {
	case OPERANDS_PATH:
		return check_path(operands[0], e);
	case OPERANDS_MIB:
		return check_mib(operands[0], e);
	case OPERANDS_RANGE:
		return check_range(operands, count, e);
	case OPERANDS_NONE:
	case OPERANDS_FILE:
		break;
	}
	return 0;
}

static size_t find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			break;
	return i;
}

int ctl_check(const char *const *operands, unsigned int count, struct err *e)
{
	struct text_nearest nearest = { 0 };
	char shown[TEXT_SHOWN];
	size_t i, verb;
	int r;

	if (!count)
		return err_set(e, -EINVAL,
			"ctl: expected a verb: start, pause, resume, stop, info, metrics, balloon, "
			"mte-tags, set-mte-tags, dump-memory, get, put or patch");
	verb = find_verb(operands[0]);
	if (verb < ARRAY_SIZE(verbs))
		return check_operands(verb, operands + 1, count - 1, e);
	nearest.given = operands[0];
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		text_nearest_try(&nearest, verbs[i].name);
	r = err_set(e, -EINVAL, "ctl: unknown verb \"%s\"",
		text_show(shown, sizeof(shown), operands[0]));
	if (nearest.best)
		return err_hint(e, r, "did you mean %s?", nearest.best);
	return err_hint(e, r, "nacre help ctl lists them");
}

int ctl_run(const struct ctl_options *o, const char *const *operands, unsigned int count, FILE *out,
	struct err *e)
{
	const struct ctl c = {
		.options = o, .operands = operands + 1, .count = count - 1, .out = out, .e = e
	};

	return verbs[find_verb(operands[0])].act(&c);
}

void ctl_print_verbs(FILE *out)
{
	char usage[40];
	size_t i;

	fprintf(out, "\nVerbs:\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		snprintf(usage, sizeof(usage), "%s %s", verbs[i].name, verbs[i].operands);
		fprintf(out, "  %-25s %s\n", usage, verbs[i].summary);
	}
}

const char *ctl_verb_name(unsigned int i)
{
	return i < ARRAY_SIZE(verbs) ? verbs[i].name : NULL;
}
