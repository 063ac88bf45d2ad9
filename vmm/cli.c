/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. The first argument names a row of `commands`; the row's option table does
 * the rest. Options are matched by hand, not by getopt_long: that accepts any unambiguous
 * beginning of a name, so that a new option would break an old script, and it keeps its state in
 * globals. For run the options are applied twice, once before the config file is read, since they
 * name it, and once after, since they override it.
 */
#include "vmm/cli.h"

#include <errno.h>
#include <string.h>

#include "vmm/api/resource.h"
#include "vmm/cli_impl.h"
#include "vmm/completion.h"
#include "vmm/config_json.h"
#include "vmm/options.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

static const struct option_def doctor_defs[] = {
	{ .name = "json",
		OPTION_FIELD(struct cli, json),
		.type = OPTION_FLAG,
		.help = "Print the report as JSON" },
};

static const struct option_table doctor_table = { doctor_defs, ARRAY_SIZE(doctor_defs) };

static const struct option_def measure_defs[] = {
	{ .name = "json",
		OPTION_FIELD(struct cli, json),
		.type = OPTION_FLAG,
		.help = "Print digest and text as JSON" },
	{ .name = "text",
		OPTION_FIELD(struct cli, text),
		.type = OPTION_FLAG,
		.help = "Print the text whose SHA-256 is the digest" },
};

static const struct option_table measure_table = { measure_defs, ARRAY_SIZE(measure_defs) };

const struct option_def cli_help_def = {
	.name = "help", .letter = 'h', .type = OPTION_FLAG, .help = "Print this help and exit"
};

const struct command_def cli_commands[COMMANDS] = {
	[CMD_RUN] = { "run", "[OPTION]...", "Start a guest and stay until it ends",
		{ { &config_table, offsetof(struct cli, config) } } },
	[CMD_MEASURE] = { "measure", "[OPTION]...",
		"Print the digest of what run would start with these options, and start nothing",
		{ { &measure_table, 0 }, { &config_table, offsetof(struct cli, config) } } },
	[CMD_API] = { "api", "[OPTION]...",
		"Wait on a socket for requests that describe a guest, start and control it",
		{ { &api_table, offsetof(struct cli, api) } } },
	[CMD_CTL] = { "ctl", "[OPTION]... VERB [OPERAND]...",
		"Command a machine by its socket: pause it, ask how it does",
		{ { &ctl_table, offsetof(struct cli, ctl) } } },
	[CMD_INSPECT] = { "inspect", "[OPTION]... FILE",
		"Check a dump of a guest's memory and say what is in it",
		{ { &inspect_table, offsetof(struct cli, inspect) } } },
	[CMD_DOCTOR] = { "doctor", "[OPTION]...",
		"Say what this host offers, and what is missing for each mode",
		{ { &doctor_table, 0 } } },
	[CMD_HELP] = { "help", "[COMMAND]", "Explain a command", { { NULL, 0 } } },
	[CMD_COMPLETION] = { "completion", "SHELL",
		"Print what bash or zsh need to complete our options", { { NULL, 0 } } },
	[CMD_VERSION] = { "--version", "", "Print the version", { { NULL, 0 } } },
};

/* The arguments that are not yet dealt with. */
struct args {
	char **next, **end;
	const struct command_def *command;
};

/* The option of that name, or else of that letter, and the struct that its row counts from. */
static const struct option_def *find_option(
	const struct args *a, const char *name, char letter, struct cli *c, void **base)
{
	const struct option_def *def = NULL;
	unsigned int i;

	for (i = 0; i < CLI_TABLES && !def; i++) {
		const struct option_table *t = a->command->tables[i].options;

		if (!t)
			break;
		def = name ? option_find(t, name) : option_find_letter(t, letter);
		*base = (char *)c + a->command->tables[i].base;
	}
	return def;
}

static int unknown_option(const struct args *a, const char *given, struct err *e)
{
	struct text_nearest nearest = { .given = given };
	const struct option_table *t;
	char shown[TEXT_SHOWN];
	unsigned int k;
	size_t i;
	int r;

	while (*nearest.given == '-')
		nearest.given++;
	for (k = 0; k < CLI_TABLES && (t = a->command->tables[k].options) != NULL; k++)
		for (i = 0; i < t->count; i++)
			text_nearest_try(&nearest, t->defs[i].name);
	text_nearest_try(&nearest, cli_help_def.name);
	r = err_set(e, -EINVAL, "%s: unknown option %s", a->command->name,
		text_show(shown, sizeof(shown), given));
	/* The nearest one is not what whoever knows nacre run means. */
	if (a->command == &cli_commands[CMD_API] && !strcmp(nearest.given, "seccomp"))
		return err_hint(e, r, "take --no-seccomp, or \"seccomp\" in the config file");
	if (nearest.best)
		return err_hint(e, r, "did you mean --%s?", nearest.best);
	return err_hint(e, r, "nacre help %s lists the options", a->command->name);
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* Stores the value of an option; NULL when none was attached and the next argument is it. */
static int apply_value(
	struct args *a, const struct option_def *def, const char *value, void *base, struct err *e)
{
	char expected[160];
	int r;

	if (def->type == OPTION_FLAG && value)
		return err_set(
			e, -EINVAL, "--%s: takes no argument (leave out \"=...\")", def->name);
	if (def->type == OPTION_FLAG) {
		option_set_flag(def, base, true);
		return 0;
	}
	if (!value && a->next == a->end) {
		option_expected(def, expected, sizeof(expected));
		r = err_set(e, -EINVAL, "--%s: argument missing, expected %s", def->name, expected);
		if (def->type == OPTION_LIST && def->item->count > 1)
			return err_hint(e, r, "nacre help run has its form");
		return r;
	}
	r = option_set_text(def, base, value ? value : *a->next++, e);
	return r ? err_prefix(e, r, "--%s", def->name) : 0;
}

/* One argument that begins with "--": a name, perhaps with "=value". */
static int apply_long(struct args *a, const char *arg, struct cli *c, struct err *e)
{
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
	const struct option_def *def = NULL;
	char name[TEXT_SHOWN];
	void *base = NULL;

	if (len < sizeof(name)) {
		memcpy(name, arg, len);
		name[len] = '\0';
		def = find_option(a, name + 2, 0, c, &base);
	}
	if (!def)
		return unknown_option(a, len < sizeof(name) ? name : arg, e);
	return apply_value(a, def, equals ? equals + 1 : NULL, base, e);
}

/* One argument with a single dash: flags in a row, perhaps an option with its value at the end. */
static int apply_letters(struct args *a, const char *arg, struct cli *c, struct err *e)
{
	const struct option_def *def;
	void *base = NULL;
	const char *p;
	int r;

	/* -kernel is a slip for --kernel, not a kernel named "ernel". */
	if (find_option(a, arg + 1, 0, c, &base))
		return unknown_option(a, arg, e);
	for (p = arg + 1; *p; p++) {
		char letter[3] = { '-', *p, '\0' };

		def = find_option(a, NULL, *p, c, &base);
		if (!def)
			return unknown_option(a, letter, e);
		if (def->type != OPTION_FLAG)
			return apply_value(a, def, p[1] ? p + 1 : NULL, base, e);
		r = apply_value(a, def, NULL, base, e);
		if (r)
			return r;
	}
	return 0;
}

static int unexpected_argument(const struct args *a, const char *arg, struct err *e)
{
	const struct command_def *command = a->command;
	char shown[TEXT_SHOWN];

	text_show(shown, sizeof(shown), arg);
	return err_set(e, -EINVAL, "%s: unexpected argument \"%s\" (usage: nacre %s%s%s)",
		command->name, shown, command->name, command->operands[0] ? " " : "",
		command->operands);
}

static int take_word(const struct args *a, const char *arg, struct cli *c, struct err *e)
{
	/* No others with options have any. */
	if ((c->command != CMD_CTL && c->command != CMD_INSPECT) || c->word_count == CTL_OPERANDS)
		return unexpected_argument(a, arg, e);
	c->words[c->word_count++] = arg;
	return 0;
}

/* Applies all arguments. Sets *help and stops where help is asked for. */
static int apply_options(struct args a, struct cli *c, bool *help, struct err *e)
{
	int r = 0;

	while (!r && a.next < a.end) {
		const char *arg = *a.next++;

		*help = is_help(arg);
		if (*help)
			return 0;
		if (strcmp(arg, "--") == 0 && a.next < a.end)
			return unexpected_argument(&a, *a.next, e);
		if (arg[0] != '-' || arg[1] == '\0') {
			r = take_word(&a, arg, c, e);
			continue;
		}
		if (arg[1] != '-')
			r = apply_letters(&a, arg, c, e);
		else if (arg[2] != '\0')
			r = apply_long(&a, arg, c, e);
	}
	return r;
}

/* A machine that is described at once must be whole; requests may describe it bit by bit. */
static int finish_api(struct cli *c, struct err *e)
{
	int r = api_options_check(&c->api, e);

	resource_init(&c->config);
	if (!r && c->api.config_file)
		r = config_load(&c->config, c->api.config_file, e);
	if (!r)
		r = api_options_apply(&c->api, &c->config, e);
	return r || !c->api.config_file ? r : config_check(&c->config, e);
}

static int parse_options(struct args a, struct cli *c, struct err *e)
{
	bool help = false;
	int r;

	r = apply_options(a, c, &help, e);
	if (help) {
		c->command = CMD_HELP;
		c->topic = a.command->name;
		return 0;
	}
	if (!r && c->json && c->text)
		return err_set(e, -EINVAL,
			"%s: --json and --text exclude each other (--json has "
			"the text too)",
			a.command->name);
	if (r)
		return r;
	if (c->command == CMD_API)
		return finish_api(c, e);
	if (c->command == CMD_CTL)
		return ctl_check(c->words, c->word_count, e);
	if (c->command == CMD_INSPECT)
		return inspect_check(&c->inspect, c->words, c->word_count, e);
	if (c->command != CMD_RUN && c->command != CMD_MEASURE)
		return 0;
	if (c->config.config_file) {
		_free char *path = c->config.config_file;

		/* From the start again: what may be given several times would come twice. */
		c->config.config_file = NULL;
		config_free(&c->config);
		config_init(&c->config);
		r = config_load(&c->config, path, e);
		if (!r)
			r = apply_options(a, c, &help, e);
	}
	return r ? r : config_check(&c->config, e);
}

const struct command_def *cli_find_command(const char *name)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		if (strcmp(cli_commands[i].name, name) == 0)
			return &cli_commands[i];
	return NULL;
}

static int unknown_command(const char *name, struct err *e)
{
	struct text_nearest nearest = { .given = name };
	char shown[TEXT_SHOWN];
	size_t i;
	int r;

	for (i = 0; i < COMMANDS; i++)
		text_nearest_try(&nearest, cli_commands[i].name);
	text_show(shown, sizeof(shown), name);
	if (name[0] == '-' && !nearest.best)
		return err_set(e, -EINVAL,
			"expected a command before the option %s (as in: nacre run %s)", shown,
			shown);
	r = err_set(e, -EINVAL, "unknown command \"%s\"", shown);
	if (nearest.best)
		return err_hint(e, r, "did you mean %s?", nearest.best);
	return err_hint(e, r, "nacre help lists the commands");
}

/* What follows commands without options of their own: at most one word, or a wish for help. */
static int parse_operand(struct args a, struct cli *c, struct err *e)
{
	if (a.next < a.end && is_help(*a.next)) {
		c->command = CMD_HELP;
		c->topic = a.command->name;
		return 0;
	}
	if (c->command == CMD_HELP && a.next < a.end) {
		c->topic = *a.next++;
		if (!cli_find_command(c->topic))
			return unknown_command(c->topic, e);
	}
	if (c->command == CMD_COMPLETION) {
		if (a.next == a.end || !completion_knows(*a.next))
			return err_set(e, -EINVAL, "completion: expected a shell: bash or zsh");
		c->topic = *a.next++;
	}
	return a.next < a.end ? unexpected_argument(&a, *a.next, e) : 0;
}

/* Firecracker has no commands; whoever starts us in its place gives its options at once. */
static bool is_api_option(const char *arg)
{
	size_t len = strcspn(arg, "=");
	char name[TEXT_SHOWN];

	if (strncmp(arg, "--", 2) != 0 || len >= sizeof(name))
		return false;
	memcpy(name, arg, len);
	name[len] = '\0';
	return option_find(&api_table, name + 2);
}

int cli_parse(int argc, char **argv, struct cli *out, struct err *e)
{
	const struct command_def *command;
	struct args a = { .end = argv + argc };
	const char *name;
	int r;

	*out = (struct cli){ 0 };
	config_init(&out->config);
	api_options_init(&out->api);
	if (argc < 2)
		return err_set(e, -EINVAL,
			"expected a command: run, measure, api, ctl, inspect, doctor, completion "
			"or help (try: nacre help)");
	name = argv[1];
	a.next = argv + 2;
	if (is_help(name))
		name = cli_commands[CMD_HELP].name;
	command = cli_find_command(name);
	if (!command && is_api_option(name)) {
		command = &cli_commands[CMD_API];
		a.next = argv + 1;
	}
	if (!command)
		return unknown_command(name, e);
	a.command = command;
	out->command = (enum command)(command - cli_commands);
	r = command->tables[0].options ? parse_options(a, out, e) : parse_operand(a, out, e);
	if (r)
		cli_free(out);
	return r;
}

void cli_free(struct cli *c)
{
	config_free(&c->config);
	api_options_free(&c->api);
	options_free(&ctl_table, &c->ctl);
	options_free(&inspect_table, &c->inspect);
}
