/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table and the config file. Exact messages are the business of tests/e2e/bad-input;
 * here it is values, limits and lines. The command line is in test_config_cli.c, random input in
 * test_config_random.c.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_config.h"
#include "vmm/config_json.h"
#include "vmm/util/bits.h"
#include "vmm/util/text.h"

int parse_line(const char *const *given, struct cli *c, struct err *e)
{
	char *argv[ARGS_MAX + 2] = { (char *)"nacre" };
	int argc = 1;

	for (; *given; given++)
		argv[argc++] = (char *)(uintptr_t)*given;
	e->msg[0] = '\0';
	return cli_parse(argc, argv, c, e);
}

char *dump_text(const struct config *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct err e;

	ck_assert_ptr_nonnull(out);
	ck_assert_msg(config_dump(c, out, &e) == 0, "%s", e.msg);
	fclose(out);
	return text;
}

void reread(const struct config *c, struct config *again)
{
	char *dump = dump_text(c);
	struct err e = { "" };

	config_init(again);
	ck_assert_msg(config_parse(again, "/elsewhere/vm.json", dump, strlen(dump), &e) == 0,
		"%s in %s", e.msg, dump);
	free(dump);
}

void text_refused(const char *text, const char *words)
{
	struct config c;
	struct err e = { "" };

	config_init(&c);
	ck_assert_int_eq(config_parse(&c, "vm.json", text, strlen(text), &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, words) != NULL, "\"%s\", not \"%s\"", e.msg, words);
	config_free(&c);
}

void assert_same(const char *a, const char *b)
{
	if (!a || !b)
		ck_assert_ptr_eq(a, b);
	else
		ck_assert_str_eq(a, b);
}

void assert_same_config(const struct config *a, const struct config *b)
{
	assert_same(a->kernel, b->kernel);
	assert_same(a->initrd, b->initrd);
	assert_same(a->params, b->params);
	assert_same(a->firmware, b->firmware);
	ck_assert_uint_eq(a->cpus, b->cpus);
	ck_assert_uint_eq(a->mem_mib, b->mem_mib);
	ck_assert_int_eq((int)a->protection, (int)b->protection);
	ck_assert_int_eq((int)a->private_memory, (int)b->private_memory);
	ck_assert_int_eq((int)a->memory.hugepages, (int)b->memory.hugepages);
	ck_assert_int_eq(a->memory.prefault, b->memory.prefault);
	ck_assert_int_eq(a->memory.mergeable, b->memory.mergeable);
	ck_assert_int_eq((int)a->log_level, (int)b->log_level);
	ck_assert_int_eq(a->probe, b->probe);
}

/* Each row fits the field it names, and no two rows claim the same name or letter. */
START_TEST(table_rows_are_sound)
{
	size_t i;

	for (i = 0; i < config_table.count; i++) {
		const struct option_def *def = &config_table.defs[i];
		const char *why = def->name;

		ck_assert_msg(option_find(&config_table, why) == def, "%s twice", why);
		if (def->letter)
			ck_assert_msg(option_find_letter(&config_table, def->letter) == def,
				"letter of %s twice", why);
		ck_assert_msg(def->offset + def->size <= sizeof(struct config), "%s", why);
		ck_assert_msg(def->help && strlen(def->help) < 300, "%s", why);
		ck_assert_msg((def->arg == NULL) == (def->type == OPTION_FLAG), "%s", why);
		ck_assert_msg((def->values != NULL) == (def->type == OPTION_ENUM), "%s", why);
		if (def->type == OPTION_STRING || def->type == OPTION_PATH)
			ck_assert_msg(def->size == sizeof(char *) && def->max > 0, "%s", why);
		if (def->type == OPTION_FLAG)
			ck_assert_msg(def->size == sizeof(bool), "%s", why);
		if (def->type == OPTION_INTEGER)
			ck_assert_msg(def->min < def->max && (def->size == 4 || def->size == 8) &&
					      (def->size == 8 || def->max <= UINT32_MAX),
				"%s", why);
	}
	/* 'h' is --help's on every command. */
	ck_assert_ptr_null(option_find_letter(&config_table, 'h'));
}
END_TEST

/* The edges of the numbers, the same through both doors. */
static const struct {
	const char *option;
	const char *value;
	bool good;
} edges[] = {
	{ "cpus", "0", false },
	{ "cpus", "1", true },
	{ "cpus", "512", true },
	{ "cpus", "513", false },
	{ "cpus", "4294967297", false },
	{ "cpus", "9223372036854775807", false },
	{ "cpus", "9223372036854775808", false },
	{ "cpus", "-1", false },
	{ "cpus", "-9223372036854775808", false },
	{ "mem", "0", false },
	{ "mem", "3", false },
	{ "mem", "4", true },
	{ "mem", "4096", true },
	{ "mem", "16777216", true },
	{ "mem", "16777217", false },
	{ "mem", "4294967552", false },
	{ "mem", "18446744073709551616", false },
};

START_TEST(numbers_keep_their_limits)
{
	char option[64], text[128];
	const char *const line[] = { "run", "-k", "Image", option, NULL };
	struct config config;
	struct cli c;
	struct err e;
	int r;

	snprintf(option, sizeof(option), "--%s=%s", edges[_i].option, edges[_i].value);
	ck_assert_int_eq(parse_line(line, &c, &e) == 0, edges[_i].good);
	if (edges[_i].good)
		cli_free(&c);

	snprintf(text, sizeof(text), "{ \"%s\": %s }", edges[_i].option, edges[_i].value);
	config_init(&config);
	r = config_parse(&config, "vm.json", text, strlen(text), &e);
	ck_assert_int_eq(r == 0, edges[_i].good);
	if (!edges[_i].good) {
		ck_assert_uint_eq(config.cpus, 1);
		ck_assert_uint_eq(config.mem_mib, 256);
	}
	config_free(&config);
}
END_TEST

START_TEST(strings_keep_their_limits)
{
	char *long_params = calloc(1, 2049), *long_path = calloc(1, 4097);
	struct config c;
	struct err e;

	memset(long_params, 'p', 2047);
	memset(long_path, 'k', 4095);
	config_init(&c);
	ck_assert_int_eq(
		option_set_text(option_find(&config_table, "params"), &c, long_params, &e), 0);
	ck_assert_int_eq(
		option_set_text(option_find(&config_table, "kernel"), &c, long_path, &e), 0);
	long_params[2047] = 'p';
	long_path[4095] = 'k';
	ck_assert_int_eq(option_set_text(option_find(&config_table, "params"), &c, long_params, &e),
		-EINVAL);
	ck_assert_int_eq(
		option_set_text(option_find(&config_table, "kernel"), &c, long_path, &e), -EINVAL);
	/* What is refused leaves the field alone. */
	ck_assert_uint_eq(strlen(c.params), 2047);
	ck_assert_uint_eq(strlen(c.kernel), 4095);
	ck_assert_int_eq(option_set_text(option_find(&config_table, "params"), &c, "", &e), 0);
	ck_assert_int_eq(
		option_set_text(option_find(&config_table, "kernel"), &c, "", &e), -EINVAL);
	config_free(&c);
	free(long_params);
	free(long_path);
}
END_TEST

static const struct {
	const char *file, *given, *want;
} folders[] = {
	{ "vm.json", "Image", "Image" },
	{ "./vm.json", "Image", "./Image" },
	{ "/etc/vm/vm.json", "Image", "/etc/vm/Image" },
	{ "/etc/vm/vm.json", "../Image", "/etc/vm/../Image" },
	{ "/vm.json", "Image", "/Image" },
	{ "a/b/vm.json", "/boot/Image", "/boot/Image" },
};

START_TEST(paths_count_from_the_file)
{
	char text[128];
	struct config c;
	struct err e;

	config_init(&c);
	snprintf(text, sizeof(text), "{ \"kernel\": \"%s\", \"params\": \"%s\" }",
		folders[_i].given, folders[_i].given);
	ck_assert_int_eq(config_parse(&c, folders[_i].file, text, strlen(text), &e), 0);
	ck_assert_str_eq(c.kernel, folders[_i].want);
	ck_assert_str_eq(c.params, folders[_i].given);
	config_free(&c);
}
END_TEST

/* Which line a message names. The key that is wrong is always cpus. */
static const struct {
	const char *text;
	int line;
} lines[] = {
	{ "{\"cpus\":0}", 1 },
	{ "{\n\n\"cpus\"\n:\n0}", 3 },
	{ "{\"params\":\"\\\"cpus\\\": 0\",\n\"cpus\":0}", 2 },
	{ "{\"params\":\"cpus\",\n\"cpus\":0}", 2 },
	{ "{\"params\":\"}{][\\\\\",\n\"cpus\":0}", 2 },
	{ "{\"params\":\"a\\nb\",\r\n\"cpus\" \t:0}", 2 },
	{ "{\"params\":\"\\\"\",\n\"cpus\":0\n\n}", 2 },
	{ "{\n\"\\u0063\\u0070us\": 0 }", 2 },
	{ "{\n\"cpus\": {\n\"cpus\": 0 } }", 2 },
	{ "{\n\"cpus\": [ {\n\"cpus\": 0 } ] }", 2 },
};

START_TEST(message_names_the_line)
{
	char want[32];
	struct config c;
	struct err e;

	config_init(&c);
	ck_assert_int_eq(
		config_parse(&c, "vm.json", lines[_i].text, strlen(lines[_i].text), &e), -EINVAL);
	snprintf(want, sizeof(want), "vm.json:%d: \"cpus\": ", lines[_i].line);
	ck_assert_msg(strncmp(e.msg, want, strlen(want)) == 0, "%s", e.msg);
	config_free(&c);
}
END_TEST

/* Which wishes for memory fit which mode; what the sentence of a refusal names. */
static const struct {
	const char *json;
	const char *refused; /* NULL: fits */
} memories[] = {
	{ "\"mem\": 5", NULL },
	{ "\"mem\": 256, \"hugepages\": \"2M\"", NULL },
	{ "\"mem\": 255, \"hugepages\": \"2M\"", "multiple of 2 MiB" },
	{ "\"mem\": 5120, \"hugepages\": \"1G\", \"prefault\": true", NULL },
	{ "\"mem\": 1536, \"hugepages\": \"1G\"", "multiple of 1024 MiB" },
	{ "\"mem\": 255, \"hugepages\": \"thp\"", NULL },
	{ "\"mem\": 255, \"hugepages\": \"off\", \"mergeable\": true", NULL },
	{ "\"hugepages\": \"thp\", \"mergeable\": true", NULL },
	{ "\"hugepages\": \"2M\", \"mergeable\": true", "ordinary pages only" },
	{ "\"hugepages\": \"2M\", \"balloon\": 0", "balloon does not fit hugepages 2M" },
	{ "\"hugepages\": \"1G\", \"mem\": 2048, \"balloon\": 64",
		"balloon does not fit hugepages 1G" },
	{ "\"hugepages\": \"thp\", \"balloon\": 64", NULL },
	{ "\"balloon\": 64, \"protection\": \"private\"", "clear private pages" },
	{ "\"balloon\": 64, \"protection\": \"auto\"", "clear private pages" },
	{ "\"balloon\": 64, \"protection\": \"pkvm\"", "pinned" },
	{ "\"hugepages\": \"2M\", \"protection\": \"private\"", "4 KiB" },
	{ "\"hugepages\": \"1G\", \"mem\": 1024, \"protection\": \"pkvm\"", "4 KiB" },
	{ "\"hugepages\": \"thp\", \"protection\": \"auto\"", "4 KiB" },
	{ "\"hugepages\": \"off\", \"protection\": \"auto\"", NULL },
	{ "\"mergeable\": true, \"protection\": \"private\"", "cannot read" },
	{ "\"mergeable\": true, \"protection\": \"pkvm\"", "cannot read" },
	{ "\"mergeable\": true, \"protection\": \"auto\"", "cannot read" },
	{ "\"prefault\": true, \"protection\": \"private\"", NULL },
	{ "\"prefault\": true, \"protection\": \"pkvm\"", NULL },
	{ "\"balloon\": 64, \"protection\": \"soft-realm\"", "clear private pages" },
	{ "\"shared-limit\": 63, \"entropy\": true, \"protection\": \"soft-realm\"",
		"shared-limit 63 is too little for bounce buffers of 64 MiB" },
	{ "\"shared-limit\": 64, \"entropy\": true, \"protection\": \"soft-realm\"", NULL },
	{ "\"shared-limit\": 63, \"entropy\": true, \"protection\": \"soft-sev\"",
		"shared-limit 63 is too little for bounce buffers of 64 MiB" },
	{ "\"shared-limit\": 63, \"swiotlb\": 0, \"entropy\": true, \"protection\": \"soft-sev\"",
		NULL },
	{ "\"shared-limit\": 63, \"protection\": \"soft-realm\"", NULL },
	{ "\"shared-limit\": 128, \"protection\": \"auto\"", NULL },
	{ "\"shared-limit\": 0", NULL },
	{ "\"shared-limit\": 63", "shared-limit 63 does not fit protection none" },
	{ "\"shared-limit\": 63, \"protection\": \"private\"", "does not fit protection private" },
	{ "\"shared-limit\": 63, \"protection\": \"pkvm\"", "does not fit protection pkvm" },
	{ "\"swiotlb\": 64", NULL },
	{ "\"swiotlb\": 0", "swiotlb 0 does not fit protection none" },
	{ "\"swiotlb\": 32, \"protection\": \"soft-sev\"", NULL },
	{ "\"swiotlb\": 32, \"protection\": \"soft-realm\"", NULL },
	{ "\"swiotlb\": 0, \"protection\": \"private\"", NULL },
	{ "\"swiotlb\": 0, \"protection\": \"pkvm\"", NULL },
	{ "\"swiotlb\": 0, \"protection\": \"auto\"", NULL },
	{ "\"shared-limit\": 16, \"mem\": 64, \"entropy\": true, \"protection\": \"soft-realm\"",
		NULL },
};

START_TEST(memory_suits_the_mode)
{
	char text[256];
	struct config c;
	struct err e = { "" };
	int r;

	config_init(&c);
	snprintf(text, sizeof(text), "{ \"kernel\": \"k\", %s }", memories[_i].json);
	ck_assert_msg(config_parse(&c, "vm.json", text, strlen(text), &e) == 0, "%s", e.msg);
	r = config_check(&c, &e);
	if (!memories[_i].refused) {
		ck_assert_msg(r == 0, "%s: %s", text, e.msg);
	} else {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_msg(strstr(e.msg, memories[_i].refused) != NULL, "%s", e.msg);
	}
	config_free(&c);
}
END_TEST

/* However long the path, file name, line and key survive. */
START_TEST(long_path_keeps_the_line)
{
	static const char text[] = "{\n\"cpus\": 0 }";
	char path[3000];
	struct config c;
	struct err e;

	memset(path, 'd', sizeof(path));
	strcpy(path + sizeof(path) - 9, "/vm.json");
	config_init(&c);
	ck_assert_int_eq(config_parse(&c, path, text, strlen(text), &e), -EINVAL);
	ck_assert_msg(
		strstr(e.msg, "/vm.json:2: \"cpus\": 0 is out of range") != NULL, "%s", e.msg);
	config_free(&c);
}
END_TEST

START_TEST(null_err_is_fine)
{
	char *line[] = { (char *)"nacre", (char *)"run", (char *)"--protection", (char *)"privat" };
	struct config c;
	struct cli cli;

	ck_assert_int_eq(cli_parse(ARRAY_SIZE(line), line, &cli, NULL), -EINVAL);
	config_init(&c);
	ck_assert_int_eq(config_parse(&c, "vm.json", "{\"cpu\":1}", 9, NULL), -EINVAL);
	ck_assert_int_eq(config_parse(&c, "vm.json", "{,}", 3, NULL), -EINVAL);
	config_free(&c);
}
END_TEST

START_TEST(dump_reads_back)
{
	const char *const line[] = { "run", "-k", "Image", "-p", "a=\"b\" \\ \xc3\xa4", "-m", "777",
		"--protection", "pkvm", "--probe", "--dump-config", NULL };
	char cwd[4096], kernel[5000];
	struct config back;
	struct cli c;
	struct err e;
	char *text;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert(c.config.dump_config);
	text = dump_text(&c.config);
	ck_assert_ptr_null(strstr(text, "dump-config"));
	free(text);
	/* From another folder: paths have become absolute. */
	reread(&c.config, &back);
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	snprintf(kernel, sizeof(kernel), "%s/Image", cwd);
	ck_assert_str_eq(back.kernel, kernel);
	free(back.kernel);
	back.kernel = strdup("Image");
	assert_same_config(&c.config, &back);
	config_free(&back);
	cli_free(&c);
}
END_TEST

START_TEST(dump_reports_failure)
{
	FILE *full = fopen("/dev/full", "w"), *null = fopen("/dev/null", "w");
	struct config c;
	struct err e;

	ck_assert(full && null);
	config_init(&c);
	ck_assert_int_eq(config_dump(&c, full, &e), -ENOSPC);
	ck_assert_int_eq(
		option_set_text(option_find(&config_table, "params"), &c, "\xff\xfe", &e), 0);
	ck_assert_int_eq(config_dump(&c, null, &e), -EILSEQ);
	ck_assert_ptr_nonnull(strstr(e.msg, "params"));
	config_free(&c);
	fclose(full);
	fclose(null);
}
END_TEST

/* A relative path counts from where we are, and that may be gone. */
START_TEST(dump_needs_a_working_directory)
{
	static const char where[] = "find the working directory: No such file or directory (";
	char dir[SCRATCH_PATH];
	int here = open(".", O_RDONLY | O_DIRECTORY), r;
	FILE *null = fopen("/dev/null", "w");
	struct config c;
	struct err e;

	ck_assert(here >= 0 && null);
	scratch_dir(dir);
	config_init(&c);
	ck_assert_int_eq(option_set_text(option_find(&config_table, "kernel"), &c, "Image", &e), 0);
	ck_assert(!chdir(dir) && !rmdir(dir));
	r = config_dump(&c, null, &e);
	ck_assert_int_eq(fchdir(here), 0);
	ck_assert_int_eq(r, -ENOENT);
	ck_assert_msg(strstr(e.msg, "kernel: ") && strstr(e.msg, where), "%s", e.msg);
	config_free(&c);
	fclose(null);
	close(here);
}
END_TEST

static const struct {
	const char *given, *want;
} meant[] = {
	{ "kernal", "kernel" },
	{ "kenrel", "kernel" },
	{ "k", NULL },
	{ "ke", "kernel" },
	{ "mme", "mem" },
	{ "private_memory", "private-memory" },
	{ "zzz", NULL },
	{ "", NULL },
	{ "kernelkernelkernelkernelkernelkernelkernel", NULL },
};

START_TEST(nearest_word_is_suggested)
{
	struct text_nearest n = { .given = meant[_i].given };
	size_t i;

	for (i = 0; i < config_table.count; i++)
		text_nearest_try(&n, config_table.defs[i].name);
	assert_same(n.best, meant[_i].want);
}
END_TEST

START_TEST(shown_text_is_cut_and_clean)
{
	char buf[8];

	ck_assert_str_eq(text_show(buf, sizeof(buf), "1234567"), "1234567");
	ck_assert_str_eq(text_show(buf, sizeof(buf), "12345678"), "1234...");
	ck_assert_str_eq(text_show(buf, sizeof(buf),
				 "123\xc3\xa4"
				 "5678"),
		"123...");
	ck_assert_str_eq(text_show(buf, sizeof(buf), "a\n\x1b\x7f"), "a???");
	ck_assert_str_eq(text_show_end(buf, sizeof(buf), "1234567"), "1234567");
	ck_assert_str_eq(text_show_end(buf, sizeof(buf), "12345678"), "...5678");
	ck_assert_str_eq(text_show_end(buf, sizeof(buf),
				 "1234\xc3\xa4"
				 "678"),
		"...678");
}
END_TEST

Suite *config_suite(void)
{
	Suite *s = suite_create("config");
	TCase *t = tcase_create("file");

	tcase_add_test(t, table_rows_are_sound);
	tcase_add_loop_test(t, numbers_keep_their_limits, 0, ARRAY_SIZE(edges));
	tcase_add_test(t, strings_keep_their_limits);
	tcase_add_loop_test(t, paths_count_from_the_file, 0, ARRAY_SIZE(folders));
	tcase_add_loop_test(t, message_names_the_line, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(t, memory_suits_the_mode, 0, (int)ARRAY_SIZE(memories));
	tcase_add_test(t, long_path_keeps_the_line);
	tcase_add_test(t, null_err_is_fine);
	tcase_add_test(t, dump_reads_back);
	tcase_add_test(t, dump_reports_failure);
	tcase_add_test(t, dump_needs_a_working_directory);
	tcase_add_loop_test(t, nearest_word_is_suggested, 0, ARRAY_SIZE(meant));
	tcase_add_test(t, shown_text_is_cut_and_clean);
	suite_add_tcase(s, t);
	suite_add_tcase(s, config_cli_case());
	suite_add_tcase(s, config_layout_case());
	suite_add_tcase(s, config_list_case());
	suite_add_tcase(s, config_once_case());
	suite_add_tcase(s, config_random_case());
	return s;
}
