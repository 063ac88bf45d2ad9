/* SPDX-License-Identifier: Apache-2.0 */

/* Options of nacre api that contradict each other, or are none. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/test_api.h"
#include "vmm/api/options.h"
#include "vmm/util/bits.h"

static struct {
	bool no_api;
	const char *sock, *file, *id, *filter;
	const char *says; /* NULL: it will do */
} lines[] = {
	{ false, "/s", NULL, "a-1", NULL, NULL },
	{ true, NULL, "/f", NULL, NULL, NULL },
	{ true, NULL, NULL, NULL, NULL, "--config-file" },
	{ false, "/s", NULL, "a_1", NULL, "--id" },
	{ false, "/s", NULL, NULL, "/f", "--seccomp-filter is not supported" },
};

START_TEST(command_line_is_checked)
{
	struct err e = { "" };
	struct api_options o;
	int r;

	api_options_init(&o);
	o.no_api = lines[_i].no_api;
	o.sock = lines[_i].sock ? strdup(lines[_i].sock) : NULL;
	o.config_file = lines[_i].file ? strdup(lines[_i].file) : NULL;
	o.id = lines[_i].id ? strdup(lines[_i].id) : NULL;
	o.seccomp_filter = lines[_i].filter ? strdup(lines[_i].filter) : NULL;
	r = api_options_check(&o, &e);
	ck_assert_int_eq(r, lines[_i].says ? -EINVAL : 0);
	ck_assert_msg(strstr(e.msg, lines[_i].says ? lines[_i].says : ""), "%s", e.msg);
	ck_assert(r || (o.id && !o.sock == o.no_api));
	api_options_free(&o);
}
END_TEST

TCase *api_options_case(void)
{
	TCase *t = tcase_create("options");

	tcase_add_loop_test(t, command_line_is_checked, 0, (int)ARRAY_SIZE(lines));
	return t;
}
