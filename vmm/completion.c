/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/completion.h"

#include <string.h>

#include "vmm/cli_impl.h"
#include "vmm/util/bits.h"

static const char *const shells[] = { "bash", "zsh" };

bool completion_knows(const char *shell)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(shells); i++)
		if (strcmp(shells[i], shell) == 0)
			return true;
	return false;
}

/* The option's argument is, or begins with, the name of a file. */
static bool takes_file(const struct option_def *def)
{
	if (def->type == OPTION_LIST)
		return !def->first_named && def->item->defs[0].type == OPTION_PATH;
	return def->type == OPTION_PATH;
}

static void print_values(const struct option_def *def, FILE *out)
{
	size_t i;

	for (i = 0; i < def->value_count; i++)
		fprintf(out, "%s%s", i ? " " : "", def->values[i]);
}

/* Words that are no options, and may stand behind that command. */
static void print_words(const struct command_def *c, FILE *out)
{
	const char *name;
	unsigned int i;

	if (c == &cli_commands[CMD_CTL])
		for (i = 0; (name = ctl_verb_name(i)) != NULL; i++)
			fprintf(out, " %s", name);
	else if (c == &cli_commands[CMD_COMPLETION])
		for (i = 0; i < ARRAY_SIZE(shells); i++)
			fprintf(out, " %s", shells[i]);
	else if (c == &cli_commands[CMD_HELP])
		for (i = 0; i < COMMANDS; i++)
			fprintf(out, " %s", cli_commands[i].name);
}

typedef void (*option_fn)(const struct command_def *c, const struct option_def *def, FILE *out);

static void each_option(const struct command_def *c, option_fn fn, FILE *out)
{
	const struct option_table *t;
	unsigned int k;
	size_t i;

	for (k = 0; k < CLI_TABLES && (t = c->tables[k].options) != NULL; k++)
		for (i = 0; i < t->count; i++)
			fn(c, &t->defs[i], out);
}

/* ---- bash ---- */

/* A branch for what follows that option. */
static void bash_argument(const struct command_def *c, const struct option_def *def, FILE *out)
{
	if (def->type == OPTION_FLAG)
		return;
	fprintf(out, "\t'%s --%s'", c->name, def->name);
	if (def->letter)
		fprintf(out, " | '%s -%c'", c->name, def->letter);
	if (takes_file(def)) {
		fprintf(out, ") kind=file ;;\n");
		return;
	}
	fprintf(out, ") kind=word words='");
	print_values(def, out);
	fprintf(out, "' ;;\n");
}

static void bash_name(const struct command_def *c, const struct option_def *def, FILE *out)
{
	(void)c;
	fprintf(out, " --%s", def->name);
}

static void print_bash(FILE *out)
{
	size_t i;

	fprintf(out, "# Completion for bash; made by: nacre completion bash\n"
		     "_nacre()\n{\n"
		     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		     "\tlocal kind= words=\n\n"
		     "\t# --option=value comes as three words.\n"
		     "\tif [ \"$cur\" = = ]; then\n\t\tcur=\n"
		     "\telif [ \"$prev\" = = ]; then\n"
		     "\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n\tfi\n"
		     "\tcase \"${COMP_WORDS[1]} $prev\" in\n");
	for (i = 0; i < COMMANDS; i++)
		each_option(&cli_commands[i], bash_argument, out);
	fprintf(out, "\tesac\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords='");
	for (i = 0; i < COMMANDS; i++)
		fprintf(out, "%s%s", i ? " " : "", cli_commands[i].name);
	fprintf(out, "'\n\telif [ -z \"$kind\" ]; then\n\t\tcase ${COMP_WORDS[1]} in\n");
	for (i = 0; i < COMMANDS; i++) {
		fprintf(out, "\t\t%s) words='", cli_commands[i].name);
		fprintf(out, "--help");
		each_option(&cli_commands[i], bash_name, out);
		print_words(&cli_commands[i], out);
		fprintf(out, "' ;;\n");
	}
	fprintf(out, "\t\tesac\n\tfi\n"
		     "\tif [ \"$kind\" = file ]; then\n"
		     "\t\tcompopt -o filenames 2>/dev/null\n"
		     "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
		     "\telse\n"
		     "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
		     "\tfi\n}\n"
		     "complete -F _nacre nacre\n");
}

/* ---- zsh ---- */

/* Inside of single quotes and brackets. */
static void print_quoted(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:\\", *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void zsh_option(const struct command_def *c, const struct option_def *def, FILE *out)
{
	const char *equals = def->type == OPTION_FLAG ? "" : "=";

	(void)c;
	fprintf(out, " \\\n\t\t\t");
	if (def->letter)
		fprintf(out, "'(-%c --%s)'{-%c,--%s%s}'[", def->letter, def->name, def->letter,
			def->name, equals);
	else
		fprintf(out, "'%s--%s%s[", def->type == OPTION_LIST && def->max > 1 ? "*" : "",
			def->name, equals);
	print_quoted(def->help, out);
	fputc(']', out);
	if (def->type != OPTION_FLAG) {
		fputc(':', out);
		print_quoted(def->arg, out);
		fputc(':', out);
		if (takes_file(def))
			fputs("_files", out);
		else if (def->value_count) {
			fputc('(', out);
			print_values(def, out);
			fputc(')', out);
		}
	}
	fputc('\'', out);
}

static void print_zsh(FILE *out)
{
	size_t i;

	fprintf(out, "#compdef nacre\n# Completion for zsh; made by: nacre completion zsh\n"
		     "_nacre()\n{\n\tlocal -a commands=(\n");
	for (i = 0; i < COMMANDS; i++) {
		fprintf(out, "\t\t'%s:", cli_commands[i].name);
		print_quoted(cli_commands[i].summary, out);
		fprintf(out, "'\n");
	}
	fprintf(out, "\t)\n\tlocal command=$words[2]\n\n"
		     "\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n"
		     "\t\treturn\n\tfi\n"
		     "\tshift words\n\t(( CURRENT-- ))\n\tcase $command in\n");
	for (i = 0; i < COMMANDS; i++) {
		fprintf(out, "\t%s)\n\t\t_arguments -s '(-h --help)'{-h,--help}'[Print help]'",
			cli_commands[i].name);
		each_option(&cli_commands[i], zsh_option, out);
		fprintf(out, " \\\n\t\t\t'*::word:(");
		print_words(&cli_commands[i], out);
		fprintf(out, ")' ;;\n");
	}
	fprintf(out, "\tesac\n}\n_nacre \"$@\"\n");
}

void completion_print(const char *shell, FILE *out)
{
	if (strcmp(shell, "zsh") == 0)
		print_zsh(out);
	else
		print_bash(out);
}
