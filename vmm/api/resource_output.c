/* SPDX-License-Identifier: Apache-2.0 */

/* Where goes what the machine says: logger, metrics, serial. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "vmm/api/resource_impl.h"
#include "vmm/util/log.h"
#include "vmm/util/text.h"

#define OPTION(option_) FIELD_OPTION(config_table, option_)

/* Ours by the names of Firecracker, which does not mind their case. */
static const struct {
	const char *theirs, *ours;
} levels[] = {
	{ "Off", "off" },
	{ "Error", "error" },
	{ "Warning", "warn" },
	{ "Warn", "warn" },
	{ "Info", "info" },
	{ "Debug", "debug" },
	{ "Trace", "debug" },
};

static int set_level(void *base, const json_t *v, struct err *e)
{
	const char *name = json_string_value(v);
	char shown[TEXT_SHOWN];
	size_t i;

	if (!name)
		return field_refuse(v, "one of Off, Error, Warning, Info, Debug, Trace", e);
	for (i = 0; i < ARRAY_SIZE(levels); i++)
		if (!strcasecmp(name, levels[i].theirs))
			return option_set_enum(
				option_find(&config_table, "log-level"), base, levels[i].ours, e);
	return err_set(e, -EINVAL,
		"\"%s\" is not known, expected one of Off, Error, Warning, Info, Debug, Trace",
		text_show(shown, sizeof(shown), name));
}

static const struct field logger_fields[] = {
	{ "log_path", OPTION("log-path") },
	{ "level", .set = set_level },
	{ "show_level", OPTION("show-level") },
	{ "show_log_origin", OPTION("show-log-origin") },
	{ "module", OPTION("module") },
};

/* Each call may set a part; what it leaves out stays. */
static void start_logger(struct config *s, const struct config *c)
{
	s->log_level = c->log_level;
	s->show_level = c->show_level;
	s->show_log_origin = c->show_log_origin;
	s->log_path = c->log_path ? strdup(c->log_path) : NULL;
	s->log_module = c->log_module ? strdup(c->log_module) : NULL;
}

static json_t *get_logger(const struct config *c)
{
	struct config defaults;
	json_t *o;
	size_t i;

	config_init(&defaults);
	if (!c->log_path && !c->log_module && !c->show_level && !c->show_log_origin &&
		c->log_level == defaults.log_level)
		return NULL;
	o = json_object();
	for (i = 0; i < ARRAY_SIZE(levels); i++)
		if (!strcmp(levels[i].ours, log_level_names[c->log_level]))
			break;
	if (i < ARRAY_SIZE(levels))
		object_add(o, "level", json_string(levels[i].theirs));
	if (c->log_path)
		object_add(o, "log_path", json_string(c->log_path));
	if (c->log_module)
		object_add(o, "module", json_string(c->log_module));
	object_add(o, "show_level", json_boolean(c->show_level));
	object_add(o, "show_log_origin", json_boolean(c->show_log_origin));
	return o;
}

static const struct field metrics_fields[] = {
	{ "metrics_path", .required = true, OPTION("metrics-path") },
};

static json_t *get_metrics(const struct config *c)
{
	return c->metrics_path ? json_pack("{s:s}", "metrics_path", c->metrics_path) : NULL;
}

static int set_serial_limit(void *base, const json_t *v, struct err *e)
{
	return bucket_set_json(&((struct config *)base)->serial_limit, v, e);
}

static const struct field serial_fields[] = {
	{ "serial_out_path", OPTION("serial-path") },
	{ "rate_limiter", .set = set_serial_limit },
};

static json_t *get_serial(const struct config *c)
{
	json_t *limit = bucket_get(&c->serial_limit), *o;

	if (!c->serial_path && !limit)
		return NULL;
	o = json_object();
	if (c->serial_path)
		object_add(o, "serial_out_path", json_string(c->serial_path));
	object_add(o, "rate_limiter", limit);
	return o;
}

const struct object object_logger = {
	"logger",
	FIELDS(logger_fields),
	.start = start_logger,
	.get = get_logger,
	.parts = { PART(log_path), PART(log_level), PART(show_level), PART(show_log_origin),
		PART(log_module) },
};

const struct object object_metrics = {
	"metrics",
	FIELDS(metrics_fields),
	.get = get_metrics,
	.parts = { PART(metrics_path) },
};

const struct object object_serial = {
	"serial",
	FIELDS(serial_fields),
	.get = get_serial,
	.parts = { PART(serial_path), PART(serial_limit) },
};
