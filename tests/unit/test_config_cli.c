/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: spellings, commands, and who overrides whom. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/test_config.h"
#include "vmm/config_json.h"
#include "vmm/util/bits.h"

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(defaults_are_plain)
{
	const char *const line[] = { "run", "-k", "Image", NULL };
	struct cli c;
	struct err e;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(c.command, CMD_RUN);
	ck_assert_str_eq(c.config.kernel, "Image");
	ck_assert_ptr_null(c.config.initrd);
	ck_assert_uint_eq(c.config.cpus, 1);
	ck_assert_uint_eq(c.config.mem_mib, 256);
	ck_assert_int_eq((int)c.config.protection, PROTECTION_NONE);
	ck_assert_int_eq((int)c.config.private_memory, PRIVATE_MEMORY_STRICT);
	ck_assert_int_eq((int)c.config.log_level, LOG_WARN);
	ck_assert(!c.config.probe && !c.config.dump_config);
	cli_free(&c);
	cli_free(&c);
}
END_TEST

/* Spellings of one and the same setting. */
static const struct {
	const char *const line[ARGS_MAX];
} spellings[] = {
	{ { "run", "-k", "Image", "-c", "4", "--probe" } },
	{ { "run", "-kImage", "-c4", "--probe" } },
	{ { "run", "--kernel", "Image", "--cpus", "4", "--probe" } },
	{ { "run", "--kernel=Image", "--cpus=4", "--probe", "--" } },
	{ { "run", "--probe", "--cpus=9", "--kernel=other", "-k", "Image", "-c", "0004" } },
};

START_TEST(option_has_several_spellings)
{
	struct cli c;
	struct err e;

	ck_assert_msg(parse_line(spellings[_i].line, &c, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(c.config.kernel, "Image");
	ck_assert_uint_eq(c.config.cpus, 4);
	ck_assert(c.config.probe);
	cli_free(&c);
}
END_TEST

START_TEST(value_may_look_like_option)
{
	const char *const line[] = { "run", "-k", "Image", "-p", "--help", "--initrd", "-", NULL };
	struct cli c;
	struct err e;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(c.command, CMD_RUN);
	ck_assert_str_eq(c.config.params, "--help");
	ck_assert_str_eq(c.config.initrd, "-");
	cli_free(&c);
}
END_TEST

static const struct {
	const char *const line[ARGS_MAX];
	enum command command;
	const char *topic;
	bool json;
} verbs[] = {
	{ { "help" }, CMD_HELP, NULL, false },
	{ { "-h" }, CMD_HELP, NULL, false },
	{ { "--help" }, CMD_HELP, NULL, false },
	{ { "help", "run" }, CMD_HELP, "run", false },
	{ { "--help", "doctor" }, CMD_HELP, "doctor", false },
	{ { "run", "--help" }, CMD_HELP, "run", false },
	{ { "run", "--cpus", "3", "-h", "--nonsense" }, CMD_HELP, "run", false },
	{ { "doctor", "-h" }, CMD_HELP, "doctor", false },
	{ { "completion", "--help" }, CMD_HELP, "completion", false },
	{ { "completion", "-h" }, CMD_HELP, "completion", false },
	{ { "help", "--help" }, CMD_HELP, "help", false },
	{ { "doctor" }, CMD_DOCTOR, NULL, false },
	{ { "doctor", "--json" }, CMD_DOCTOR, NULL, true },
	{ { "--version" }, CMD_VERSION, NULL, false },
};

START_TEST(commands_are_told_apart)
{
	struct cli c;
	struct err e;

	ck_assert_msg(parse_line(verbs[_i].line, &c, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(c.command, verbs[_i].command);
	assert_same(c.topic, verbs[_i].topic);
	ck_assert_int_eq(c.json, verbs[_i].json);
	cli_free(&c);
}
END_TEST

/* What a number on the command line must not be. */
static const char *const no_numbers[] = { "", " 1", "1 ", "+1", "0x1", "1k", "1.0", "1e1", "\t1" };

START_TEST(number_is_digits_only)
{
	const char *const line[] = { "run", "-k", "Image", "--cpus", no_numbers[_i], NULL };
	struct cli c;
	struct err e;

	ck_assert_int_eq(parse_line(line, &c, &e), -EINVAL);
}
END_TEST

START_TEST(command_line_beats_file)
{
	char dir[SCRATCH_PATH], file[64], kernel[64];
	const char *const lines[][ARGS_MAX] = {
		{ "run", "--config-file", file, "--cpus", "8", "-p", "mine" },
		{ "run", "--cpus", "8", "-p", "mine", "--config-file", file },
	};
	struct cli c;
	struct err e;

	scratch_dir(dir);
	snprintf(file, sizeof(file), "%s/vm.json", dir);
	snprintf(kernel, sizeof(kernel), "%s/Image", dir);
	write_file(file,
		"{ \"kernel\": \"Image\", \"cpus\": 2, \"mem\": 64, \"params\": \"theirs\","
		" \"probe\": true, \"protection\": \"private\", \"log-level\": \"debug\","
		" \"private-memory\": \"open\" }");
	ck_assert_msg(parse_line(lines[_i], &c, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(c.config.cpus, 8);
	ck_assert_str_eq(c.config.params, "mine");
	ck_assert_str_eq(c.config.kernel, kernel);
	ck_assert_uint_eq(c.config.mem_mib, 64);
	ck_assert(c.config.probe);
	ck_assert_int_eq((int)c.config.protection, PROTECTION_PRIVATE);
	ck_assert_int_eq((int)c.config.private_memory, PRIVATE_MEMORY_OPEN);
	ck_assert_int_eq((int)c.config.log_level, LOG_DEBUG);
	cli_free(&c);
}
END_TEST

/* Combinations are judged after the merge, not before. */
START_TEST(kernel_may_come_from_either_side)
{
	char dir[SCRATCH_PATH], file[64];
	const char *const line[] = { "run", "--config-file", file, "-k", "Image", NULL };
	const char *const alone[] = { "run", "--config-file", file, NULL };
	struct cli c;
	struct err e;

	scratch_dir(dir);
	snprintf(file, sizeof(file), "%s/vm.json", dir);
	write_file(file, "{ \"initrd\": \"/boot/initrd\", \"params\": \"quiet\" }");
	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(c.config.initrd, "/boot/initrd");
	cli_free(&c);
	ck_assert_int_eq(parse_line(alone, &c, &e), -EINVAL);
}
END_TEST

START_TEST(help_tells_every_option)
{
	char *text = NULL, *line, *rest;
	char want[64];
	size_t len, i;
	FILE *out = open_memstream(&text, &len);

	cli_print_help(out, "run");
	fclose(out);
	for (i = 0; i < config_table.count; i++) {
		snprintf(want, sizeof(want), " --%s", config_table.defs[i].name);
		ck_assert_msg(strstr(text, want) != NULL, "%s", want);
	}
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		ck_assert_msg(strlen(line) <= 80, "wider than a terminal: %s", line);
	free(text);
}
END_TEST

TCase *config_cli_case(void)
{
	TCase *t = tcase_create("command line");

	tcase_add_test(t, defaults_are_plain);
	tcase_add_loop_test(t, option_has_several_spellings, 0, ARRAY_SIZE(spellings));
	tcase_add_test(t, value_may_look_like_option);
	tcase_add_loop_test(t, commands_are_told_apart, 0, ARRAY_SIZE(verbs));
	tcase_add_loop_test(t, number_is_digits_only, 0, ARRAY_SIZE(no_numbers));
	tcase_add_loop_test(t, command_line_beats_file, 0, 2);
	tcase_add_test(t, kernel_may_come_from_either_side);
	tcase_add_test(t, help_tells_every_option);
	return t;
}
