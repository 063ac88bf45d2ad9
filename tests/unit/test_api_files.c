/* SPDX-License-Identifier: Apache-2.0 */

/* Files that requests name: looked at when they are named. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/test_api.h"
#include "vmm/api/api_impl.h"

static char dir[SCRATCH_PATH], path[SCRATCH_PATH + 8];
static struct err e;

static void setup(void)
{
	FILE *f;

	scratch_dir(dir);
	chmod(dir, 0755);
	snprintf(path, sizeof(path), "%s/file", dir);
	f = fopen(path, "w");
	fclose(f);
	e.msg[0] = '\0';
}

static int check(const char *name, const char *text)
{
	json_t *body = json_loads(text, 0, NULL);
	int r;

	ck_assert_ptr_nonnull(body);
	r = api_check_files(name, NULL, body, &e);
	json_decref(body);
	return r;
}

static int check_drive(const char *at, const char *more)
{
	char text[256];

	snprintf(text, sizeof(text),
		"{\"drive_id\":\"d\",\"is_root_device\":false,\"path_on_host\":\"%s\"%s}", at,
		more);
	return check("drives", text);
}

/* The test of others' files would find that root may do everything. */
static void become_somebody(void)
{
	ck_assert(geteuid() != 0 || seteuid(65534) == 0);
}

static void become_root_again(void)
{
	ck_assert(getuid() != 0 || seteuid(0) == 0);
}

START_TEST(what_is_there_will_do)
{
	char text[512];

	ck_assert_int_eq(check_drive(path, ""), 0);
	ck_assert_int_eq(check_drive("/dev/null", ""), 0);
	snprintf(text, sizeof(text), "{\"kernel_image_path\":\"%s\",\"initrd_path\":\"%s\"}", path,
		path);
	ck_assert_msg(check("boot-source", text) == 0, "%s", e.msg);
	ck_assert_int_eq(check("entropy", "{}"), 0);
}
END_TEST

START_TEST(what_is_not_there_is_named)
{
	char text[512];

	ck_assert_int_eq(check_drive("/nowhere/at/all", ""), -ENOENT);
	ck_assert_str_eq(e.msg, "\"path_on_host\": /nowhere/at/all: No such file or directory");
	ck_assert_int_eq(check_drive(dir, ""), -EISDIR);
	ck_assert_int_eq(check("boot-source", "{\"firmware_path\":\"/nowhere\"}"), -ENOENT);
	ck_assert_ptr_eq(strstr(e.msg, "\"firmware_path\": /nowhere"), e.msg);
	snprintf(text, sizeof(text), "{\"kernel_image_path\":\"%s\",\"initrd_path\":\"/nowhere\"}",
		path);
	ck_assert_int_eq(check("boot-source", text), -ENOENT);
	ck_assert_ptr_eq(strstr(e.msg, "\"initrd_path\": /nowhere"), e.msg);
	/* The object itself comes first. */
	ck_assert_int_eq(check("drives", "{\"path_on_host\":\"/nowhere\"}"), -EINVAL);
}
END_TEST

START_TEST(what_we_may_not_open_is_named)
{
	int reads, writes;

	ck_assert_int_eq(chmod(path, 0444), 0);
	become_somebody();
	writes = check_drive(path, "");
	reads = check_drive(path, ",\"is_read_only\":true");
	become_root_again();
	ck_assert_int_eq(reads, 0);
	ck_assert_int_eq(writes, -EACCES);
	ck_assert_ptr_nonnull(strstr(e.msg, "or set \"is_read_only\": true"));
	ck_assert_int_eq(chmod(path, 0), 0);
	become_somebody();
	reads = check_drive(path, ",\"is_read_only\":true");
	become_root_again();
	ck_assert_int_eq(reads, -EACCES);
}
END_TEST

TCase *api_files_case(void)
{
	TCase *t = tcase_create("files");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, what_is_there_will_do);
	tcase_add_test(t, what_is_not_there_is_named);
	tcase_add_test(t, what_we_may_not_open_is_named);
	return t;
}
