/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/api/options.h"

#include <errno.h>
#include <limits.h>

#include "vmm/api/server.h"
#include "vmm/util/bits.h"
#include "vmm/util/text.h"

#define FIELD(field) OPTION_FIELD(struct api_options, field)
#define PATH	     .type = OPTION_PATH, .min = 1, .max = PATH_MAX - 1
/* Nothing here asks what they say. */
#define UNUSED .type = OPTION_STRING, .max = 32

#define DEFAULT_ID  "anonymous-instance"
#define ID_MAX	    64
#define PAYLOAD_MAX (16 << 20)

/* For completion; they are taken in any case, and ours too. */
static const char *const levels[] = { "Off", "Error", "Warning", "Info", "Debug", "Trace" };

static const struct option_def defs[] = {
	{ .name = "api-sock",
		FIELD(sock),
		PATH,
		.arg = "SOCKET",
		.help = "Unix socket to make and listen on, by default " API_DEFAULT_SOCK },
	{ .name = "config-file",
		FIELD(config_file),
		PATH,
		.arg = "FILE",
		.help = "Read the machine from a JSON file and start it at once" },
	{ .name = "no-api",
		FIELD(no_api),
		.type = OPTION_FLAG,
		.help = "Make no socket; with config-file only" },
	{ .name = "id",
		FIELD(id),
		.type = OPTION_STRING,
		.min = 1,
		.max = ID_MAX,
		.arg = "ID",
		.help = "Name of this machine in answers and logs" },
	{ .name = "http-api-max-payload-size",
		FIELD(max_payload),
		.type = OPTION_INTEGER,
		.min = 1024,
		.max = PAYLOAD_MAX,
		.unit = "bytes",
		.arg = "BYTES",
		.help = "Longest body of a request" },
	{ .name = "log-path",
		FIELD(log_path),
		PATH,
		.arg = "FILE",
		.help = "File or FIFO to log to" },
	{ .name = "level",
		FIELD(level),
		.type = OPTION_STRING,
		.max = 16,
		.values = levels,
		.value_count = ARRAY_SIZE(levels),
		.arg = "LEVEL",
		.help = "How much to log: Off, Error, Warning, Info, Debug or Trace" },
	{ .name = "log-format",
		FIELD(log_format),
		.type = OPTION_ENUM,
		.values = log_format_names,
		.value_count = LOG_FORMATS,
		.arg = "FORMAT",
		.help = "What a log line looks like; a line of json is an object" },
	{ .name = "show-level",
		FIELD(show_level),
		.type = OPTION_FLAG,
		.help = "Write the level into each log line" },
	{ .name = "show-log-origin",
		FIELD(show_log_origin),
		.type = OPTION_FLAG,
		.help = "Write the place in the source into each log line" },
	{ .name = "module",
		FIELD(module),
		.type = OPTION_STRING,
		.max = 256,
		.arg = "NAME",
		.help = "Log only what comes from this part of the source" },
	{ .name = "metrics-path",
		FIELD(metrics_path),
		PATH,
		.arg = "FILE",
		.help = "File or FIFO for metrics" },
	{ .name = "allow-path",
		FIELD(allow_paths),
		CONFIG_PATHS,
		.help = "A file, or a folder of files, that requests may give to disks of a "
			"running guest. May be given several times" },
	{ .name = "boot-timer",
		FIELD(boot_timer),
		.type = OPTION_FLAG,
		.help = "Accepted, with a warning; there is no such device" },
	{ .name = "start-time-us",
		FIELD(start_us),
		UNUSED,
		.arg = "US",
		.help = "Accepted; when the launcher began" },
	{ .name = "start-time-cpu-us",
		FIELD(start_cpu_us),
		UNUSED,
		.arg = "US",
		.help = "Accepted; the same in CPU time" },
	{ .name = "parent-cpu-time-us",
		FIELD(parent_cpu_us),
		UNUSED,
		.arg = "US",
		.help = "Accepted; CPU time that the launcher took" },
	{ .name = "no-seccomp",
		FIELD(no_seccomp),
		.type = OPTION_FLAG,
		.help = "The same as --seccomp off of nacre run" },
	{ .name = "seccomp-filter",
		FIELD(seccomp_filter),
		PATH,
		.arg = "FILE",
		.help = "Not supported" },
	{ .name = "metadata", FIELD(metadata), PATH, .arg = "FILE", .help = "Not supported" },
	{ .name = "mmds-size-limit",
		FIELD(mmds_limit),
		UNUSED,
		.arg = "BYTES",
		.help = "Accepted; there is no metadata service" },
	/* The guide for beginners has it; a kernel that knows virtio-mmio too does not miss it. */
	{ .name = "enable-pci",
		FIELD(enable_pci),
		.type = OPTION_FLAG,
		.help = "Accepted; devices are on virtio-mmio" },
};

const struct option_table api_table = { defs, ARRAY_SIZE(defs) };

void api_options_init(struct api_options *o)
{
	*o = (struct api_options){ .max_payload = SERVER_BODY_MAX };
}

void api_options_free(struct api_options *o)
{
	options_free(&api_table, o);
}

/* It appears in paths and log lines of those who start us. */
static int check_instance(const char *id, struct err *e)
{
	char shown[TEXT_SHOWN];

	if (text_is_plain(id, "-"))
		return 0;
	return err_set(e, -EINVAL, "--id: \"%s\" has other characters than letters, digits and -",
		text_show(shown, sizeof(shown), id));
}

static int give(
	char **field, const char *name, const char *value, struct api_options *o, struct err *e)
{
	return *field ? 0 : option_set_string(option_find(&api_table, name), o, value, e);
}

int api_options_check(struct api_options *o, struct err *e)
{
	int r;

	/* Refused, not ignored: who asks for a filter counts on it. */
	if (o->seccomp_filter)
		return err_set(e, -EINVAL,
			"--seccomp-filter is not supported: filters compiled for another program "
			"do not fit this one (leave it out)");
	if (o->metadata)
		return err_set(e, -EINVAL,
			"--metadata is not supported: there is no metadata service yet (leave it "
			"out)");
	if (o->no_api && !o->config_file)
		return err_set(e, -EINVAL,
			"--no-api leaves nobody to say what to start (add --config-file FILE)");
	r = give(&o->id, "id", DEFAULT_ID, o, e);
	if (!r && !o->no_api)
		r = give(&o->sock, "api-sock", API_DEFAULT_SOCK, o, e);
	return r ? r : check_instance(o->id, e);
}

static int apply(const char *name, const char *value, struct config *c, struct err *e)
{
	int r = value ? option_set_string(option_find(&config_table, name), c, value, e) : 0;

	return r ? err_prefix(e, r, "--%s", name) : 0;
}

/* Beside those of the config file. */
static int apply_paths(const struct api_options *o, struct config *c, struct err *e)
{
	const struct option_def *def = option_find(&config_table, "allow-path");
	char *const *paths = o->allow_paths.items;
	uint32_t i;
	void *item;
	int r = 0;

	for (i = 0; i < o->allow_paths.count && !r; i++) {
		r = option_list_add(def, c, &item, e);
		if (!r)
			r = option_set_string(&config_path_table.defs[0], item, paths[i], e);
	}
	return r ? err_prefix(e, r, "--allow-path") : 0;
}

int api_options_apply(const struct api_options *o, struct config *c, struct err *e)
{
	char shown[TEXT_SHOWN];
	int r;

	if (o->level && !log_find_level(o->level, &c->log_level))
		return err_set(e, -EINVAL,
			"--level: \"%s\" is not known, expected one of Off, Error, Warning, Info, "
			"Debug, Trace",
			text_show(shown, sizeof(shown), o->level));
	if (o->no_seccomp)
		c->seccomp = SECCOMP_OFF;
	if (o->log_format != LOG_TEXT)
		c->log_format = o->log_format;
	c->show_level = c->show_level || o->show_level;
	c->show_log_origin = c->show_log_origin || o->show_log_origin;
	r = apply("log-path", o->log_path, c, e);
	if (!r)
		r = apply("module", o->module, c, e);
	if (!r)
		r = apply_paths(o, c, e);
	return r ? r : apply("metrics-path", o->metrics_path, c, e);
}
