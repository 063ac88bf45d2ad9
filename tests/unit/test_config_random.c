/* SPDX-License-Identifier: Apache-2.0 */
/* Mutated config files and shuffled command lines: no input whatever does harm. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test_config.h"
#include "vmm/config_json.h"
#include "vmm/util/bits.h"

/* A small fast generator with a fixed seed: a failure comes back on the next run. */
static uint32_t random_below(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33) % n;
}

static const char *const seeds[] = {
	"{ \"kernel\": \"Image\", \"initrd\": \"initrd\", \"params\": \"a \\\"b\\\" \\u00e4\" }",
	"{\n\t\"firmware\": \"/fw\",\n\t\"cpus\": 4,\n\t\"mem\": 512,\n\t\"probe\": true\n}\n",
	"{\"protection\":\"private\",\"private-memory\":\"open\",\"log-level\":\"debug\"}",
	"{\"hugepages\":\"thp\",\"prefault\":true,\"mergeable\":true,\"mem\":1024}",
	"{\"cpus\":{\"mem\":[1,2,{\"cpus\":0}]},\"mem\":-1,\"k\\u0065rnel\":null}",
};

static const char *const pieces[] = { "{", "}", "[", "]", "\"", "\\", ":", ",", "\n", "\\u0000",
	"\\ud800", "\"cpus\"", "\"mem\"", "\"kernel\":", "0", "-1", "1e999", "99999999999999999999",
	"null", "true", "\xff", "\x01", "//" };

static size_t mutate(uint64_t *state, char *text, size_t len, size_t room)
{
	const char *piece = pieces[random_below(state, ARRAY_SIZE(pieces))];
	size_t at = random_below(state, (uint32_t)len + 1), n = strlen(piece), cut;

	switch (random_below(state, 3)) {
	case 0: /* another byte */
		if (at < len)
			text[at] = (char)random_below(state, 256);
		return len;
	case 1: /* a stretch less */
		cut = random_below(state, 8);
		cut = at + cut > len ? len - at : cut;
		memmove(text + at, text + at + cut, len - at - cut);
		return len - cut;
	default: /* a piece more */
		if (len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		memcpy(text + at, piece, n);
		return len + n;
	}
}

/* What was accepted must survive its own dump; what was not must be told in one clean line. */
static void judge(struct config *c, int r, const struct err *e)
{
	struct config back;
	const char *p;

	if (r) {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_msg(strncmp(e->msg, "/vm.json:", 9) == 0, "%s", e->msg);
		for (p = e->msg; (unsigned char)*p >= 0x20 && *p != 0x7f; p++)
			;
		ck_assert_msg(*p == '\0', "%s", e->msg);
		return;
	}
	reread(c, &back);
	assert_same_config(c, &back);
	config_free(&back);
}

START_TEST(mutated_files_do_no_harm)
{
	uint64_t state = (uint64_t)_i + 1;
	int round, good = 0;

	for (round = 0; round < 5000; round++) {
		const char *seed = seeds[random_below(&state, ARRAY_SIZE(seeds))];
		char text[256];
		size_t len = strlen(seed);
		uint32_t changes = random_below(&state, 5);
		char *exact;
		struct config c;
		struct err e;
		int r;

		memcpy(text, seed, len);
		while (changes--)
			len = mutate(&state, text, len, sizeof(text));
		/* On the heap without a byte to spare, so that ASan sees a read past the end. */
		exact = malloc(len ? len : 1);
		memcpy(exact, text, len);
		config_init(&c);
		r = config_parse(&c, "/vm.json", exact, len, &e);
		judge(&c, r, &e);
		good += r == 0;
		config_free(&c);
		free(exact);
	}
	/* A generator that only makes rubbish, or none, tests nothing. */
	ck_assert_int_gt(good, 250);
	ck_assert_int_lt(good, 4750);
}
END_TEST

START_TEST(random_command_lines_do_no_harm)
{
	static const char *const words[] = { "run", "doctor", "help", "--version", "--kernel", "-k",
		"Image", "--cpus=", "--cpus=3", "-c", "0", "--mem", "-m64", "-", "--",
		"--=", "-=", "---", "--probe", "--probe=", "--dump-config", "--protection", "auto",
		"pkvm", "--private-memory=open", "--config-file=/dev/null", "-p", "", "-kernel",
		"\xff\x1b", "-h", "--log-level", "info", "-f", "fw" };
	uint64_t state = 1;
	int round;

	for (round = 0; round < 10000; round++) {
		const char *line[ARGS_MAX + 1] = { "run" };
		uint32_t count = random_below(&state, ARGS_MAX), i;
		struct cli c;
		struct err e;

		for (i = random_below(&state, 2); i < count; i++)
			line[i] = words[random_below(&state, ARRAY_SIZE(words))];
		if (parse_line(line, &c, &e)) {
			ck_assert_msg(e.msg[0] != '\0', "no message");
			ck_assert_ptr_null(strchr(e.msg, '\x1b'));
			continue;
		}
		if (c.command == CMD_RUN)
			ck_assert_int_eq(config_check(&c.config, &e), 0);
		cli_free(&c);
	}
}
END_TEST

TCase *config_random_case(void)
{
	TCase *t = tcase_create("random input");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, mutated_files_do_no_harm, 0, 4);
	tcase_add_test(t, random_command_lines_do_no_harm);
	return t;
}
