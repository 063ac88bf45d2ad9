/* SPDX-License-Identifier: Apache-2.0 */

/* Options with settings of their own that may be given once: balloon and vsock. */
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

/* The line wins over the file as a whole, and so does the last of two. */
START_TEST(balloon_from_everywhere)
{
	static const char *const files[] = { "{ \"balloon\": 16 }",
		"{ \"balloon\": { \"size\": 16, \"stats\": 9 } }", "{}" };
	char path[SCRATCH_PATH];
	const char *line[] = { "run", "-k", "Image", "--config-file", path, "--balloon",
		"8,reporting", "--balloon=32,deflate-on-oom,stats=5", NULL };
	const struct balloon_options *b;
	int fd = scratch_file(path);
	struct cli c;
	struct err e;

	ck_assert_int_gt(dprintf(fd, "%s", files[_i]), 0);
	close(fd);
	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	b = config_balloon(&c.config);
	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(b->size_mib, 32);
	ck_assert(b->deflate_on_oom && !b->reporting);
	ck_assert_uint_eq(b->stats_seconds, 5);
	cli_free(&c);
	/* The file alone. */
	line[5] = NULL;
	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	b = config_balloon(&c.config);
	ck_assert_int_eq(b != NULL, _i < 2);
	ck_assert(!b || b->size_mib == 16);
	ck_assert(!b || b->stats_seconds == (_i == 1 ? 9 : 0));
	cli_free(&c);
}
END_TEST

START_TEST(balloon_is_dumped_as_it_is_read)
{
	const char *text = "{ \"balloon\": { \"reporting\": true, \"size\": 0 } }";
	struct config c, again;
	struct err e;

	config_init(&c);
	ck_assert_msg(config_parse(&c, "/dir/vm.json", text, strlen(text), &e) == 0, "%s", e.msg);
	reread(&c, &again);
	ck_assert_uint_eq(config_balloon(&again)->size_mib, 0);
	ck_assert(config_balloon(&again)->reporting);
	config_free(&c);
	config_free(&again);
}
END_TEST

static const struct {
	const char *text, *expect;
} refused_balloons[] = {
	{ "{ \"balloon\": [ 16 ] }",
		"\"balloon\": got an array, expected an object or an integer" },
	{ "{ \"balloon\": \"16\" }",
		"\"balloon\": got a string, expected an object or an integer" },
	{ "{ \"balloon\": { \"reporting\": true } }", "\"balloon\": \"size\" is missing" },
	{ "{ \"balloon\": { \"size\": -1 } }", "\"size\": -1 is out of range" },
	{ "{ \"balloon\": { \"size\": 1, \"stats\": 86401 } }", "to 86400, in seconds" },
};

START_TEST(broken_balloon_is_refused)
{
	text_refused(refused_balloons[_i].text, refused_balloons[_i].expect);
}
END_TEST

/* At most one, so the last one counts, and JSON has no list around it. */
START_TEST(an_option_that_is_one_object)
{
	const char *const line[] = { "run", "-k", "Image", "--vsock", "cid=3,path=a", "--vsock",
		"path=/b,cid=4294967294", NULL };
	const struct vsock_config *v;
	struct config again;
	struct cli c;
	char *dump;
	struct err e;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(c.config.vsock.count, 1);
	v = c.config.vsock.items;
	ck_assert_uint_eq(v->cid, 4294967294);
	ck_assert_str_eq(v->path, "/b");
	dump = dump_text(&c.config);
	ck_assert_ptr_nonnull(strstr(dump, "\"vsock\": {"));
	free(dump);
	reread(&c.config, &again);
	v = again.vsock.items;
	ck_assert_uint_eq(v->cid, 4294967294);
	ck_assert_str_eq(v->path, "/b");
	config_free(&again);
	cli_free(&c);
}
END_TEST

static const struct {
	const char *text, *expect;
} refused_vsock[] = {
	{ "", "unknown setting \"\"" },
	{ "3", "unknown setting \"3\"" },
	{ "path=a", "\"cid\" is missing" },
	{ "cid=0,path=a", "from 3 to 4294967294" },
	{ "cid=4294967295,path=a", "from 3 to 4294967294" },
	{ "cid=3,path=", "empty" },
	{ "cid,path=a", "value missing" },
	{ "cid=3,path=/run/vm_2", "ends like that of a port" },
	{ "cid=3,path=vm_0", "choose another, such as vm_0.sock" },
};

START_TEST(broken_object_is_refused)
{
	const char *const line[] = { "run", "-k", "Image", "--vsock", refused_vsock[_i].text,
		NULL };
	struct cli c;
	struct err e;

	ck_assert_int_eq(parse_line(line, &c, &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, refused_vsock[_i].expect) != NULL, "%s", e.msg);
}
END_TEST

/* The kernel of the host serves the sockets then, and auto ends in a mode that protects or fails. */
START_TEST(without_path_only_without_protection)
{
	static const char *const modes[] = { "none", "private", "pkvm", "auto" };
	const char *const line[] = { "run", "-k", "Image", "--vsock", "cid=3", "--protection",
		modes[_i], NULL };
	struct cli c;
	struct err e;

	ck_assert_int_eq(parse_line(line, &c, &e), _i ? -EINVAL : 0);
	if (_i)
		ck_assert_msg(strstr(e.msg, "vsock: without path") != NULL, "%s", e.msg);
	else
		ck_assert_ptr_null(((struct vsock_config *)c.config.vsock.items)->path);
	if (!_i)
		cli_free(&c);
}
END_TEST

TCase *config_once_case(void)
{
	TCase *t = tcase_create("once");

	tcase_add_loop_test(t, balloon_from_everywhere, 0, 3);
	tcase_add_test(t, an_option_that_is_one_object);
	tcase_add_loop_test(t, broken_object_is_refused, 0, (int)ARRAY_SIZE(refused_vsock));
	tcase_add_loop_test(t, without_path_only_without_protection, 0, 4);
	tcase_add_test(t, balloon_is_dumped_as_it_is_read);
	tcase_add_loop_test(t, broken_balloon_is_refused, 0, (int)ARRAY_SIZE(refused_balloons));
	return t;
}
