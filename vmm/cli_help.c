/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli_impl.h"

#include <inttypes.h>
#include <string.h>

/* The columns of the option list: where the text starts and where it must end. */
#define HELP_INDENT 29
#define HELP_WIDTH  80

/* What a table row says about its values, in parentheses after the sentence. */
static void format_facts(const struct option_def *def, const void *defaults, char *buf, size_t size)
{
	char expected[160];
	const char *range = expected;

	buf[0] = '\0';
	if (def->type == OPTION_ENUM) {
		option_expected(def, expected, sizeof(expected));
		snprintf(buf, size, " (%s; default %s)", range, option_string(def, defaults));
	} else if (def->type == OPTION_INTEGER) {
		snprintf(buf, size, " (%" PRId64 " to %" PRId64 "%s%s; default %" PRId64 ")",
			def->min, def->max, def->unit ? " " : "", def->unit ? def->unit : "",
			option_integer(def, defaults));
	}
}

/* Prints words up to HELP_WIDTH, further lines indented. The cursor stands at column. */
static void print_wrapped(FILE *out, const char *text, size_t column)
{
	bool first = true;
	size_t len;

	while (*text) {
		len = strcspn(text, " ");
		if (!first && column + 1 + len > HELP_WIDTH) {
			fprintf(out, "\n%*s", HELP_INDENT, "");
			column = HELP_INDENT;
			first = true;
		}
		if (!first)
			column += (size_t)fprintf(out, " ");
		fwrite(text, 1, len, out);
		column += len;
		first = false;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct option_def *def, const void *defaults)
{
	char letter[8] = "", facts[200], text[512];
	int used;

	if (def->letter)
		snprintf(letter, sizeof(letter), "-%c,", def->letter);
	used = fprintf(out, "  %-3s --%s%s%s", letter, def->name, def->arg ? " " : "",
		def->arg ? def->arg : "");
	/* A long name may use the text's first columns. */
	used += fprintf(out, "%*s", used + 2 <= HELP_INDENT ? HELP_INDENT - used : 2, "");
	format_facts(def, defaults, facts, sizeof(facts));
	snprintf(text, sizeof(text), "%s%s", def->help, facts);
	print_wrapped(out, text, (size_t)used);
}

static void print_overview(FILE *out)
{
	size_t i;

	fprintf(out, "usage: nacre COMMAND [OPTION]...\n\n"
		     "A small virtual machine monitor for confidential guests on Linux KVM.\n\n"
		     "Commands:\n");
	for (i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", cli_commands[i].name, cli_commands[i].summary);
	fprintf(out,
		"\nnacre help COMMAND lists the options of a command; nacre(1) explains them.\n");
}

void cli_print_help(FILE *out, const char *command)
{
	const struct command_def *def = command ? cli_find_command(command) : NULL;
	const struct option_table *t = def ? def->tables[0].options : NULL;
	struct cli defaults = { 0 };
	size_t i;

	if (!def) {
		print_overview(out);
		return;
	}
	fprintf(out, "usage: nacre %s%s%s\n\n%s.\n", def->name, def->operands[0] ? " " : "",
		def->operands, def->summary);
	if (!t)
		return;
	config_init(&defaults.config);
	api_options_init(&defaults.api);
	fprintf(out, "\nOptions:\n");
	for (i = 0; i < t->count; i++)
		print_option(out, &t->defs[i], (const char *)&defaults + def->tables[0].base);
	print_option(out, &cli_help_def, NULL);
	if (def->tables[1].options)
		fprintf(out, "\nAnd all options of nacre run, see nacre help run.\n");
	if (t == &ctl_table)
		ctl_print_verbs(out);
	if (t == &config_table)
		fprintf(out, "\nA config file is a JSON object with the same names as keys:\n"
			     "{ \"kernel\": \"Image\", \"cpus\": 2 }\n");
}
