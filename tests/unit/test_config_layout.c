/* SPDX-License-Identifier: Apache-2.0 */
/* Config files in Firecracker's layout, alone and beside our own keys. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test_config.h"
#include "vmm/api/resource.h"
#include "vmm/config_json.h"
#include "vmm/util/bits.h"

#define BOOT "\"boot-source\": { \"kernel_image_path\": \"./vmlinux\" }"
#define DRIVE(id, more)                                                                            \
	"{ \"drive_id\": \"" id "\", \"path_on_host\": \"" id ".ext4\", \"is_root_device\": " more \
	" }"

static int parse(struct config *c, const char *text, struct err *e)
{
	e->msg[0] = '\0';
	config_init(c);
	return config_parse(c, "/dir/vm.json", text, strlen(text), e);
}

static const struct disk_config *disk(const struct config *c, uint32_t i)
{
	ck_assert_uint_lt(i, c->disks.count);
	return (const struct disk_config *)c->disks.items + i;
}

/* All that its samples have, with what they leave empty. */
START_TEST(whole_layout)
{
	static const char text[] =
		"{ \"boot-source\": { \"kernel_image_path\": \"vmlinux.bin\", \"boot_args\": "
		"\"quiet\","
		" \"initrd_path\": null },"
		" \"drives\": [ " DRIVE("data",
			"false") ","
				 " { \"drive_id\": \"rootfs\", \"path_on_host\": \"/r\", "
				 "\"is_root_device\": true,"
				 " \"partuuid\": null, \"is_read_only\": false, \"cache_type\": "
				 "\"Unsafe\","
				 " \"io_engine\": \"Sync\", \"rate_limiter\": null } ],"
				 " \"balloon\": { \"amount_mib\": 900, \"deflate_on_oom\": false },"
				 " \"machine-config\": { \"vcpu_count\": 2, \"mem_size_mib\": "
				 "1024, \"smt\": false },"
				 " \"network-interfaces\": [ { \"iface_id\": \"e\", "
				 "\"host_dev_name\": \"tap0\","
				 " \"rx_rate_limiter\": null } ],"
				 " \"vsock\": { \"guest_cid\": 5, \"uds_path\": \"v.sock\" },"
				 " \"entropy\": { }, \"logger\": { \"level\": \"Info\", "
				 "\"log_path\": \"l\" },"
				 " \"metrics\": { \"metrics_path\": \"m\" }, \"serial\": null,"
				 " \"cpu-config\": null, \"mmds-config\": null, \"pmem\": [],"
				 " \"memory-hotplug\": null }";
	struct config c;
	struct err e;

	ck_assert_msg(parse(&c, text, &e) == 0, "%s", e.msg);
	ck_assert_msg(config_check(&c, &e) == 0, "%s", e.msg);
	/* Not from the folder of the file. */
	ck_assert_str_eq(c.kernel, "vmlinux.bin");
	ck_assert_str_eq(c.params, "quiet");
	ck_assert_str_eq(disk(&c, 0)->id, "rootfs");
	ck_assert_str_eq(disk(&c, 1)->path, "data.ext4");
	ck_assert_uint_eq(c.cpus, 2);
	ck_assert_uint_eq(config_balloon(&c)->size_mib, 900);
	ck_assert_uint_eq(c.nets.count, 1);
	ck_assert_uint_eq(((const struct vsock_config *)c.vsock.items)->cid, 5);
	ck_assert(c.entropy);
	ck_assert_int_eq((int)c.log_level, LOG_INFO);
	ck_assert_str_eq(c.metrics_path, "m");
	config_free(&c);
}
END_TEST

START_TEST(defaults_are_theirs)
{
	struct config c;
	struct err e;

	ck_assert_int_eq(parse(&c, "{ " BOOT " }", &e), 0);
	ck_assert_uint_eq(c.mem_mib, RESOURCE_MEM_MIB);
	ck_assert_str_eq(c.params, RESOURCE_BOOT_ARGS);
	config_free(&c);
	ck_assert_int_eq(parse(&c, "{ \"mem\": 200, " BOOT " }", &e), 0);
	ck_assert_uint_eq(c.mem_mib, 200);
	config_free(&c);
}
END_TEST

/* A key of both is told apart by what it holds. */
START_TEST(both_layouts_in_one_file)
{
	static const char text[] =
		"{ " BOOT ", \"entropy\": true, \"vsock\": { \"cid\": 7, \"path\": \"v\" },"
		" \"balloon\": 20, \"disk\": [ \"first.img\" ], \"drives\": [ " DRIVE(
			"d", "false") " ], \"console\": \"virtio\" }";
	struct config c;
	struct err e;

	ck_assert_msg(parse(&c, text, &e) == 0, "%s", e.msg);
	ck_assert(c.entropy);
	ck_assert_uint_eq(config_balloon(&c)->size_mib, 20);
	/* Ours count from the file, theirs from where we are. */
	ck_assert_str_eq(((const struct vsock_config *)c.vsock.items)->path, "/dir/v");
	ck_assert_str_eq(disk(&c, 0)->path, "/dir/first.img");
	ck_assert_str_eq(disk(&c, 1)->path, "d.ext4");
	config_free(&c);
	/* Nothing is asked for. */
	ck_assert_int_eq(
		parse(&c, "{ " BOOT ", \"entropy\": null, \"vsock\": null, \"balloon\": null }",
			&e),
		0);
	ck_assert(!c.entropy && !c.vsock.count && !c.balloon.count);
	config_free(&c);
}
END_TEST

/* As our own keys it means the same, wherever it is put. */
START_TEST(dump_keeps_all)
{
	static const char text[] =
		"{ " BOOT ", \"drives\": [ { \"drive_id\": \"r\", \"path_on_host\": \"/r\","
		" \"is_root_device\": true, \"partuuid\": \"1-2\", \"rate_limiter\": { \"ops\":"
		" { \"size\": 5, \"one_time_burst\": 6, \"refill_time\": 7 } } } ],"
		" \"network-interfaces\": [ { \"iface_id\": \"e\", \"host_dev_name\": \"t\","
		" \"tx_rate_limiter\": { \"bandwidth\": { \"size\": 8, \"refill_time\": 9 } } } ],"
		" \"entropy\": { \"rate_limiter\": { \"ops\": { \"size\": 1, \"refill_time\": 2 } "
		"} },"
		" \"serial\": { \"serial_out_path\": \"/s\", \"rate_limiter\": { \"size\": 3,"
		" \"refill_time\": 4 } } }";
	struct config c, again;
	json_t *a, *b;
	struct err e;
	char *dump;

	ck_assert_msg(parse(&c, text, &e) == 0, "%s", e.msg);
	dump = dump_text(&c);
	ck_assert_msg(parse(&again, dump, &e) == 0, "%s", e.msg);
	free(dump);
	free(c.kernel);
	c.kernel = strdup(again.kernel);
	a = resource_all(&c);
	b = resource_all(&again);
	ck_assert(json_equal(a, b));
	ck_assert_ptr_nonnull(json_object_get(a, "serial"));
	json_decref(a);
	json_decref(b);
	config_free(&c);
	config_free(&again);
}
END_TEST

static const struct {
	const char *text, *expect;
} refused[] = {
	{ "{ \"drives\": {} }", "/dir/vm.json:1: \"drives\": expected an array" },
	{ "{\n \"drives\": [\n " DRIVE("a", "false") ",\n " DRIVE("a", "false") " ]\n}",
		"/dir/vm.json:4: \"drives\": item 2: \"drive_id\": \"a\" is given twice" },
	{ "{ \"drives\": [ " DRIVE("a", "true") ", " DRIVE("b", "true") " ] }",
		"item 2: \"is_root_device\": drive \"a\" is the root device already" },
	{ "{\n\n\"machine-config\": { \"vcpu_count\": 1 } }",
		"/dir/vm.json:3: \"machine-config\": \"mem_size_mib\" is missing" },
	{ "{ \"machine-config\": { \"vcpu_count\": 2, \"mem_size_mib\": 9, \"ht_enabled\": true } "
	  "}",
		"unknown field \"ht_enabled\"" },
	{ "{ " BOOT ",\n \"mmds-config\": { \"network_interfaces\": [] } }",
		"/dir/vm.json:2: \"mmds-config\": not supported yet" },
	{ "{ \"pmem\": [ {} ] }", "\"pmem\": not supported yet" },
	{ "{ " BOOT ",\n \"kernel\": \"k\" }",
		"/dir/vm.json:2: \"kernel\": is for \"boot-source\" to say" },
	{ "{ \"boot-source\": { \"kernel_image_path\": 1 } }",
		"\"boot-source\": \"kernel_image_path\": got an integer" },
	{ "{ \"boot-source\": 1 }", "\"boot-source\": got an integer, expected an object" },
	{ "{ \"vsock\": { \"guest_cid\": 3 } }", "\"vsock\": \"uds_path\" is missing" },
	{ "{ \"vsock\": { \"guest_cid\": 3,\n\"uds_path\": \"v_3\" } }",
		"/dir/vm.json:2: \"vsock\": \"uds_path\": v_3 ends like" },
	{ "{ \"vsock\": { } }", "\"vsock\": \"cid\" is missing" },
	{ "{ \"balloon\": { \"amount_mib\": 3, \"size\": 3 } }", "unknown field \"size\"" },
	{ "{ \"boot_source\": {} }", "unknown key (did you mean \"boot-source\"?)" },
	{ "{ \"boot-sorce\": {} }", "unknown key (did you mean \"boot-source\"?)" },
	/* The line is that of the field, however deep, and whatever stands before it. */
	{ "{\n \"size\": 1,\n \"drives\": [\n " DRIVE("a\\n\\\"}]", "false") " ] }",
		"/dir/vm.json:2: \"size\": unknown key" },
	{ "{\n \"drives\": [\n " DRIVE(
		  "a", "false") ",\n { \"drive_id\": \"b\",\n"
				" \"path_on_host\": \"]}\\\"\", \"is_root_device\": false,\n "
				"\"rate_limiter\":\n {"
				" \"ops\": null,\n \"bandwidth\": {\n \"refill_time\": 1,\n "
				"\"size\": -1 } } } ]\n}",
		"/dir/vm.json:10: \"drives\": item 2: \"rate_limiter\": \"bandwidth\": "
		"\"size\": " },
	{ "{ \"machine-config\": {\n \"vcpu_count\": 2,\n \"ht/enabled\": true } }",
		"/dir/vm.json:3: \"machine-config\": unknown field \"ht/enabled\"" },
	{ "{ " BOOT ", \"machine-config\": { \"vcpu_count\": 1, \"mem_size_mib\": 64 },\n"
	  "\"swiotlb\": 8 }",
		"/dir/vm.json:2: \"swiotlb\": is for \"machine-config\" to say" },
	{ "{ \"kernel\": \"k\",\n\"entropy\": null }",
		"/dir/vm.json:2: \"entropy\": got null, expected" },
};

START_TEST(broken_layout_is_refused)
{
	struct config c;
	struct err e;

	ck_assert_int_eq(parse(&c, refused[_i].text, &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, refused[_i].expect) != NULL, "%s", e.msg);
	config_free(&c);
}
END_TEST

TCase *config_layout_case(void)
{
	TCase *t = tcase_create("layout");

	tcase_add_test(t, whole_layout);
	tcase_add_test(t, defaults_are_theirs);
	tcase_add_test(t, both_layouts_in_one_file);
	tcase_add_test(t, dump_keeps_all);
	tcase_add_loop_test(t, broken_layout_is_refused, 0, (int)ARRAY_SIZE(refused));
	return t;
}
