/* SPDX-License-Identifier: Apache-2.0 */

/* What requests ask for that is neither a matter of the devices nor takes time. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/api/api_impl.h"
#include "vmm/api/resource.h"
#include "vmm/doctor.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"
#include "vmm/util/sha256.h"
#include "vmm/util/clock.h"
#include "vmm/util/text.h"

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "Out of memory.");
}

static int give(struct api_call *call, json_t *json, struct err *e)
{
	call->json = json;
	return json ? 0 : no_memory(e);
}

int api_get_instance(struct api_call *call, struct err *e)
{
	const struct api *a = call->api;

	/* Not "Firecracker": no client of it looks here, and people want to know what it is. */
	return give(call,
		json_pack("{s:s, s:s, s:s, s:s}", "app_name", "Nacre", "id", a->options->id,
			"state", api_state(a), "vmm_version", NACRE_VERSION),
		e);
}

int api_get_version(struct api_call *call, struct err *e)
{
	return give(call,
		json_pack("{s:s, s:s}", "firecracker_version", API_INTERFACE_VERSION,
			"nacre_version", NACRE_VERSION),
		e);
}

int api_get_config(struct api_call *call, struct err *e)
{
	return give(call, resource_all(&call->api->config), e);
}

/* ---- objects of the configuration ---- */

/* "/drives/x" is about "drives". */
static const char *object_name(const struct server_request *rq, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s", (int)strcspn(rq->path + 1, "/"), rq->path + 1);
	return buf;
}

/* Fields that do nothing any more, and that are counted where they are still sent. */
static void count_deprecated(const struct api_call *call)
{
	static const char *const names[] = { "cpu_template", "vsock_id" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const json_t *v = json_object_get(call->body, names[i]);

		if (v && !json_is_null(v))
			metrics_deprecated(call->api->metrics);
	}
}

int api_put_object(struct api_call *call, struct err *e)
{
	char name[32];
	int r;

	object_name(call->rq, name, sizeof(name));
	count_deprecated(call);
	r = api_check_files(name, call->id, call->body, e);
	return r ? r : resource_put(&call->api->config, name, call->id, call->body, e);
}

int api_patch_object(struct api_call *call, struct err *e)
{
	char name[32];

	count_deprecated(call);
	return resource_patch(&call->api->config, object_name(call->rq, name, sizeof(name)),
		call->id, call->body, e);
}

int api_get_object(struct api_call *call, struct err *e)
{
	char name[32];
	int r = give(call,
		resource_get(&call->api->config, object_name(call->rq, name, sizeof(name))), e);

	if (!r && json_is_null(call->json))
		return err_set(e, -ENOENT, "There is no %s.", name);
	return r;
}

/* ---- actions ---- */

int api_only_fields(const json_t *body, const char *const *names, struct err *e)
{
	char shown[TEXT_SHOWN];
	void *it = json_object_iter((json_t *)body);
	unsigned int i;

	for (; it; it = json_object_iter_next((json_t *)body, it)) {
		const char *key = json_object_iter_key(it);

		for (i = 0; names[i] && strcmp(names[i], key) != 0; i++)
			continue;
		if (!names[i])
			return err_set(e, -EINVAL, "unknown field `%s`",
				text_show(shown, sizeof(shown), key));
	}
	/* The first must be there. */
	if (!json_object_get(body, names[0]))
		return err_set(e, -EINVAL, "missing field `%s`", names[0]);
	return 0;
}

/* The one field that the body may have, a string; NULL and a sentence when it is otherwise. */
static const char *only_string(const json_t *body, const char *name, struct err *e)
{
	const char *const names[] = { name, NULL };
	const json_t *v = json_object_get(body, name);

	if (api_only_fields(body, names, e))
		return NULL;
	if (!json_is_string(v))
		err_set(e, -EINVAL, "%s: expected a string", name);
	return json_string_value(v);
}

static int start_instance(struct api *a, struct err *e)
{
	return api_start(a, e);
}

/*
 * By the power button: a guest needs no keyboard for it, and its drivers are those of today. Where
 * nobody in the guest listens to either, nothing happens.
 */
static int send_ctrl_alt_del(struct api *a, struct err *e)
{
	if (machine_press_button(a->machine))
		return 0;
	return err_set(e, -ENOTSUP, "SendCtrlAltDel is not supported on this architecture.");
}

static const struct {
	const char *name;
	bool before, after;
	int (*act)(struct api *a, struct err *e);
} actions[] = {
	{ "InstanceStart", true, false, start_instance },
	{ "FlushMetrics", false, true, api_flush_metrics },
	{ "SendCtrlAltDel", false, true, send_ctrl_alt_del },
};

int api_put_actions(struct api_call *call, struct err *e)
{
	const char *name = only_string(call->body, "action_type", e);
	struct api *a = call->api;
	char shown[TEXT_SHOWN];
	size_t i;

	if (!name)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(actions) && strcmp(actions[i].name, name) != 0; i++)
		continue;
	if (i == ARRAY_SIZE(actions))
		return err_set(e, -EINVAL,
			"unknown variant `%s`, expected one of `FlushMetrics`, `InstanceStart`, "
			"`SendCtrlAltDel`",
			text_show(shown, sizeof(shown), name));
	if (!(a->machine ? actions[i].after : actions[i].before))
		return err_set(e, -EINVAL,
			"The requested operation is not supported %s starting the microVM.",
			a->machine ? "after" : "before");
	return actions[i].act(a, e);
}

int api_patch_vm(struct api_call *call, struct err *e)
{
	const char *state = only_string(call->body, "state", e);
	struct api *a = call->api;
	uint64_t begun;
	bool paused;
	char shown[TEXT_SHOWN];

	if (!state)
		return -EINVAL;
	paused = strcmp(state, "Paused") == 0;
	if (!paused && strcmp(state, "Resumed") != 0)
		return err_set(e, -EINVAL, "unknown variant `%s`, expected `Paused` or `Resumed`",
			text_show(shown, sizeof(shown), state));
	if (a->is_dumping)
		return err_set(e, -EBUSY,
			"A dump of the guest's memory is being sent, for which it stands still: "
			"wait for its end.");
	if (paused == a->is_paused)
		return 0;
	begun = clock_ns();
	if (paused)
		machine_pause(a->machine);
	else
		machine_resume(a->machine);
	a->is_paused = paused;
	metrics_took(
		a->metrics, paused ? METRICS_PAUSE : METRICS_RESUME, (clock_ns() - begun) / 1000);
	return 0;
}

/* ---- ours ---- */

static json_t *conversions(const struct stats_convert_report *c)
{
	return json_pack("{s:I, s:I, s:I}", "done", (json_int_t)c->done, "refused",
		(json_int_t)c->refused, "bytes", (json_int_t)c->bytes);
}

int api_get_protection(struct api_call *call, struct err *e)
{
	struct machine_protection p;
	struct stats_report s;
	char hex[SHA256_HEX], walls[SANDBOX_TEXT];

	machine_get_protection(call->api->machine, &p);
	machine_stats(call->api->machine, &s);
	call->json = json_pack("{s:s, s:b, s:I, s:I, s:I, s:o, s:o}", "mode",
		protection_name(p.mode), "private_memory_open", p.is_open, "ram_bytes",
		(json_int_t)s.ram_bytes, "shared_bytes", (json_int_t)s.shared_now,
		"shared_bytes_peak", (json_int_t)s.shared_peak, "to_shared",
		conversions(&s.convert[0]), "to_private", conversions(&s.convert[1]));
	if (!call->json)
		return no_memory(e);
	if (json_object_set_new(
		    call->json, "sandbox", json_string(sandbox_describe(walls, sizeof(walls)))))
		return no_memory(e);
	if (p.digest && json_object_set_new(call->json, "measurement_sha256",
				json_string(sha256_hex(p.digest, hex))))
		return no_memory(e);
	return 0;
}

int api_get_doctor(struct api_call *call, struct err *e)
{
	struct doctor_report r;
	size_t len;
	FILE *out = open_memstream(&call->text, &len);
	int bad;

	if (!out)
		return no_memory(e);
	doctor_collect(&r);
	bad = doctor_print_json(&r, out);
	bad |= fclose(out);
	call->type = "application/json";
	return bad ? no_memory(e) : 0;
}
