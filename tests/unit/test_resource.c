/* SPDX-License-Identifier: Apache-2.0 */
/* The API's objects in a struct config and out of it. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "vmm/api/resource.h"
#include "vmm/util/bits.h"

static struct config c;
static struct err e;

static void setup(void)
{
	resource_init(&c);
	e.msg[0] = '\0';
}

static void teardown(void)
{
	config_free(&c);
}

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *v = json_loads(text, JSON_DECODE_ANY, &error);

	ck_assert_msg(v != NULL, "%s: %s", text, error.text);
	return v;
}

static int put(const char *name, const char *id, const char *text)
{
	json_t *body = parse(text);
	int r = resource_put(&c, name, id, body, &e);

	json_decref(body);
	return r;
}

static void put_ok(const char *name, const char *id, const char *text)
{
	int r = put(name, id, text);

	ck_assert_msg(r == 0, "%s: %s", text, e.msg);
}

/* What GET says is this. */
static void expect(const char *name, const char *text)
{
	json_t *got = resource_get(&c, name), *want = parse(text);
	char *shown = json_dumps(got, JSON_ENCODE_ANY);

	ck_assert_msg(json_equal(got, want), "%s: %s", name, shown);
	free(shown);
	json_decref(got);
	json_decref(want);
}

/* The whole config as it would be told, to see that nothing has changed. */
static char *snapshot(void)
{
	json_t *all = resource_all(&c);
	char *text = json_dumps(all, JSON_SORT_KEYS);

	json_decref(all);
	return text;
}

START_TEST(defaults)
{
	expect("machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":false,"
				 "\"track_dirty_pages\":false,\"huge_pages\":\"None\"}");
	expect("boot-source", "null");
	expect("balloon", "null");
	expect("drives", "[]");
	ck_assert(resource_exists("serial"));
	ck_assert(!resource_exists("actions"));
	ck_assert_int_eq(put("actions", NULL, "{}"), -EINVAL);
}
END_TEST

START_TEST(boot_source)
{
	put_ok("boot-source", NULL, "{\"kernel_image_path\":\"k\",\"initrd_path\":\"i\"}");
	ck_assert_str_eq(c.kernel, "k");
	ck_assert_str_eq(c.initrd, "i");
	ck_assert_str_eq(c.params, RESOURCE_BOOT_ARGS);
	expect("boot-source", "{\"kernel_image_path\":\"k\",\"initrd_path\":\"i\"}");
	put_ok("boot-source", NULL, "{\"firmware_path\":\"f\"}");
	ck_assert_ptr_null(c.kernel);
	ck_assert_ptr_null(c.params);
	expect("boot-source", "{\"firmware_path\":\"f\"}");
	/* A second one replaces the first, also what it leaves out. */
	put_ok("boot-source", NULL,
		"{\"kernel_image_path\":\"/b\",\"initrd_path\":null,\"boot_args\":\"quiet\"}");
	ck_assert_ptr_null(c.initrd);
	expect("boot-source", "{\"kernel_image_path\":\"/b\",\"boot_args\":\"quiet\"}");
}
END_TEST

START_TEST(machine_config)
{
	put_ok("machine-config", NULL,
		"{\"vcpu_count\":4,\"mem_size_mib\":1024,\"smt\":true,\"cpu_template\":\"None\","
		"\"track_dirty_pages\":true,\"huge_pages\":\"2M\",\"mte\":false}");
	ck_assert_uint_eq(c.cpus, 4);
	ck_assert_int_eq((int)c.memory.hugepages, HUGEPAGES_2M);
	expect("machine-config", "{\"vcpu_count\":4,\"mem_size_mib\":1024,\"smt\":true,"
				 "\"track_dirty_pages\":true,\"huge_pages\":\"2M\"}");
	put_ok("machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":64}");
	expect("machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":64,\"smt\":false,"
				 "\"track_dirty_pages\":false,\"huge_pages\":\"None\"}");
}
END_TEST

/* Ours: kept by a client that knows nothing of them. */
START_TEST(protection_stays)
{
	put_ok("machine-config", NULL,
		"{\"vcpu_count\":1,\"mem_size_mib\":512,\"protection\":\"soft-realm\","
		"\"swiotlb_size_mib\":32,\"shared_limit_mib\":100,\"private_memory\":\"open\"}");
	put_ok("machine-config", NULL, "{\"vcpu_count\":2,\"mem_size_mib\":256}");
	ck_assert_int_eq((int)c.protection, PROTECTION_SOFT_REALM);
	expect("machine-config",
		"{\"vcpu_count\":2,\"mem_size_mib\":256,\"smt\":false,"
		"\"track_dirty_pages\":false,\"huge_pages\":\"None\",\"protection\":\"soft-realm\","
		"\"swiotlb_size_mib\":32,\"shared_limit_mib\":100,\"private_memory\":\"open\"}");
	put_ok("machine-config", NULL,
		"{\"vcpu_count\":2,\"mem_size_mib\":256,\"protection\":\"none\","
		"\"private_memory\":\"strict\",\"hugepages\":\"1G\",\"mem_size_mib\":1024}");
	ck_assert_int_eq((int)c.memory.hugepages, HUGEPAGES_1G);
}
END_TEST

START_TEST(machine_config_in_parts)
{
	json_t *body = parse("{\"mem_size_mib\":300}"), *none = parse("{}");
	json_t *wrong = parse("{\"vcpu_count\":3,\"smt\":true}");

	put_ok("machine-config", NULL,
		"{\"vcpu_count\":2,\"mem_size_mib\":64,\"track_dirty_pages\":true,"
		"\"huge_pages\":\"Transparent\"}");
	ck_assert_int_eq(resource_patch(&c, "machine-config", NULL, body, &e), 0);
	ck_assert_int_eq(resource_patch(&c, "machine-config", NULL, none, &e), -EINVAL);
	ck_assert_int_eq(resource_patch(&c, "machine-config", NULL, wrong, &e), -EINVAL);
	ck_assert_int_eq(resource_patch(&c, "balloon", NULL, body, &e), -EINVAL);
	expect("machine-config", "{\"vcpu_count\":2,\"mem_size_mib\":300,\"smt\":false,"
				 "\"track_dirty_pages\":true,\"huge_pages\":\"Transparent\"}");
	json_decref(body);
	json_decref(none);
	json_decref(wrong);
}
END_TEST

#define DRIVE(id, root, more) \
	"{\"drive_id\":\"" id "\",\"is_root_device\":" root ",\"path_on_host\":\"/" id "\"" more "}"

START_TEST(drives)
{
	const struct disk_config *d;

	put_ok("drives", "a", DRIVE("a", "false", ""));
	put_ok("drives", "b",
		DRIVE("b", "false",
			",\"is_read_only\":true,\"cache_type\":\"Writeback\",\"io_engine\":"
			"\"Async\","
			"\"rate_limiter\":{\"bandwidth\":{\"size\":5,\"refill_time\":7,"
			"\"one_time_burst\":9},\"ops\":null}"));
	d = (const struct disk_config *)c.disks.items + 1;
	ck_assert_uint_eq(d->limit.bandwidth.one_time_burst, 9);
	ck_assert_uint_eq(d->limit.bandwidth.refill_ms, 7);
	ck_assert_int_eq((int)d->engine, BLK_URING);
	/* The root device is first, whenever it comes. */
	put_ok("drives", "root", DRIVE("root", "true", ",\"partuuid\":\"12-34\""));
	ck_assert_int_eq(resource_find(&c, "drives", "root"), 0);
	ck_assert_int_eq(resource_find(&c, "drives", "b"), 2);
	ck_assert_int_eq(resource_find(&c, "drives", "x"), -ENOENT);
	/* Replaced at its place. */
	put_ok("drives", "a", DRIVE("a", "false", ",\"io_engine\":\"Sync\""));
	expect("drives", "[" DRIVE("root", "true",
				 ",\"partuuid\":\"12-34\",\"cache_type\":\"Unsafe\",\"is_read_"
				 "only\":false") "," DRIVE("a", "false",
				 ",\"cache_type\":\"Unsafe\",\"is_read_only\":false,\"io_engine\":"
				 "\"Sync\"") "," DRIVE("b", "false",
				 ",\"is_read_only\":true,\"cache_type\":\"Writeback\",\"io_"
				 "engine\":\"Async\","
				 "\"rate_limiter\":{\"bandwidth\":{\"size\":5,\"refill_time\":7,"
				 "\"one_time_burst\":9}}") "]");
	ck_assert_int_eq(put("drives", "a", DRIVE("a", "true", "")), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "drive \"root\" is the root device already"));
	/* It may be put again, and then be none any more. */
	put_ok("drives", "root", DRIVE("root", "true", ""));
	put_ok("drives", "root", DRIVE("root", "false", ""));
	put_ok("drives", "b", DRIVE("b", "true", ""));
	ck_assert_int_eq(resource_find(&c, "drives", "b"), 0);
	ck_assert_uint_eq(c.disks.count, 3);
}
END_TEST

START_TEST(interfaces)
{
	put_ok("network-interfaces", "eth0",
		"{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap0\",\"guest_mac\":"
		"\"06:00:c0:a8:00:02\",\"mtu\":1500,\"tx_rate_limiter\":{\"ops\":"
		"{\"size\":10,\"refill_time\":100}}}");
	put_ok("network-interfaces", "eth1", "{\"iface_id\":\"eth1\",\"host_dev_name\":\"tap1\"}");
	ck_assert_str_eq(((const struct net_config *)c.nets.items)->backend, "tap=tap0");
	expect("network-interfaces",
		"[{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap0\",\"guest_mac\":"
		"\"06:00:c0:a8:00:02\",\"mtu\":1500,\"tx_rate_limiter\":{\"ops\":"
		"{\"size\":10,\"refill_time\":100}}},"
		"{\"iface_id\":\"eth1\",\"host_dev_name\":\"tap1\"}]");
	/* The same again is no conflict with itself. */
	put_ok("network-interfaces", "eth0",
		"{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap0\",\"guest_mac\":"
		"\"06:00:c0:a8:00:02\"}");
	ck_assert_int_eq(put("network-interfaces", "eth1",
				 "{\"iface_id\":\"eth1\",\"host_dev_name\":\"tap0\"}"),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "tap0 is that of interface \"eth0\" already"));
	ck_assert_int_eq(put("network-interfaces", "eth1",
				 "{\"iface_id\":\"eth1\",\"host_dev_name\":\"tap1\",\"guest_mac\":"
				 "\"06:00:C0:A8:00:02\"}"),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "\"guest_mac\": 06:00:C0:A8:00:02 is that of"));
}
END_TEST

START_TEST(single_devices)
{
	put_ok("vsock", NULL, "{\"guest_cid\":3,\"uds_path\":\"./v.sock\",\"vsock_id\":\"x\"}");
	put_ok("vsock", NULL, "{\"guest_cid\":4,\"uds_path\":\"./w.sock\"}");
	expect("vsock", "{\"guest_cid\":4,\"uds_path\":\"./w.sock\"}");
	put_ok("entropy", NULL,
		"{\"rate_limiter\":{\"bandwidth\":{\"size\":1000,\"refill_time\":100}}}");
	ck_assert(c.entropy);
	expect("entropy", "{\"rate_limiter\":{\"bandwidth\":{\"size\":1000,\"refill_time\":100}}}");
	put_ok("entropy", NULL, "{}");
	expect("entropy", "{}");
	put_ok("balloon", NULL,
		"{\"amount_mib\":100,\"deflate_on_oom\":true,\"stats_polling_interval_s\":2,"
		"\"free_page_hinting\":false,\"free_page_reporting\":true}");
	expect("balloon",
		"{\"amount_mib\":100,\"deflate_on_oom\":true,\"stats_polling_interval_s\":2,"
		"\"free_page_hinting\":false,\"free_page_reporting\":true}");
	/* Neither may become too large or small for the other. */
	ck_assert_int_eq(
		put("balloon", NULL, "{\"amount_mib\":128,\"deflate_on_oom\":true}"), -EINVAL);
	ck_assert_int_eq(
		put("machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":100}"), -EINVAL);
	ck_assert_uint_eq(c.mem_mib, 128);
}
END_TEST

START_TEST(logs)
{
	put_ok("logger", NULL, "{\"log_path\":\"/l\",\"level\":\"wArning\",\"show_level\":true}");
	/* What is left out stays. */
	put_ok("logger", NULL, "{\"level\":\"Trace\",\"module\":\"vmm\"}");
	expect("logger", "{\"log_path\":\"/l\",\"level\":\"Debug\",\"show_level\":true,"
			 "\"show_log_origin\":false,\"module\":\"vmm\"}");
	put_ok("metrics", NULL, "{\"metrics_path\":\"/m\"}");
	expect("metrics", "{\"metrics_path\":\"/m\"}");
	put_ok("serial", NULL,
		"{\"serial_out_path\":\"/s\",\"rate_limiter\":{\"size\":1,\"refill_time\":2}}");
	expect("serial",
		"{\"serial_out_path\":\"/s\",\"rate_limiter\":{\"size\":1,\"refill_time\":2}}");
}
END_TEST

static const struct {
	const char *name, *id, *body, *expect;
} refused[] = {
	{ "boot-source", NULL, "[]", "got an array, expected an object" },
	{ "boot-source", NULL, "{}", "\"kernel_image_path\" is missing" },
	{ "boot-source", NULL, "{\"firmware_path\":\"f\",\"boot_args\":\"\"}",
		"\"boot_args\" is for a kernel" },
	{ "boot-source", NULL, "{\"kernel_image_path\":null}", "\"kernel_image_path\" is missing" },
	{ "boot-source", NULL, "{\"kernel_image_path\":1}",
		"\"kernel_image_path\": got an integer" },
	{ "boot-source", NULL, "{\"kernel_image_path\":\"\"}",
		"\"kernel_image_path\": the value is" },
	{ "boot-source", NULL, "{\"kernel_image_path\":\"k\",\"boot_arg\":\"\"}",
		"unknown field \"boot_arg\" (did you mean \"boot_args\"?)" },
	{ "machine-config", NULL, "{\"vcpu_count\":1}", "\"mem_size_mib\" is missing" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":null}",
		"\"mem_size_mib\" is missing" },
	{ "machine-config", NULL, "{\"vcpu_count\":0,\"mem_size_mib\":128}",
		"\"vcpu_count\": 0 is out of range" },
	{ "machine-config", NULL, "{\"vcpu_count\":513,\"mem_size_mib\":128}", "from 1 to 512" },
	{ "machine-config", NULL, "{\"vcpu_count\":\"1\",\"mem_size_mib\":128}",
		"\"vcpu_count\": got a string, expected an integer" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":0}",
		"\"mem_size_mib\": 0 is" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":-1}",
		"\"mem_size_mib\": -1" },
	{ "machine-config", NULL, "{\"vcpu_count\":3,\"mem_size_mib\":128,\"smt\":true}",
		"smt does not fit 3 CPUs" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":1}",
		"\"smt\": got an integer, expected true or false" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":128,\"cpu_template\":\"C4\"}",
		"\"cpu_template\": \"C4\" is not known, expected one of None, C3" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":129,\"huge_pages\":\"2M\"}",
		"no multiple of 2 MiB" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":128,\"huge_pages\":\"1M\"}",
		"\"huge_pages\": \"1M\" is not known" },
	{ "machine-config", NULL,
		"{\"vcpu_count\":1,\"mem_size_mib\":128,\"huge_pages\":\"2M\",\"hugepages\":"
		"\"1G\"}",
		"\"hugepages\" and \"huge_pages\" say the same" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":128,\"mte\":true}",
		"mte is for arm64 guests" },
	{ "machine-config", NULL, "{\"vcpu_count\":1,\"mem_size_mib\":128,\"mte\":0}",
		"\"mte\": got an integer" },
	{ "machine-config", NULL,
		"{\"vcpu_count\":1,\"mem_size_mib\":128,\"protection\":\"privat\"}",
		"did you mean \"private\"" },
	{ "machine-config", NULL,
		"{\"vcpu_count\":1,\"mem_size_mib\":128,\"protection\":\"pkvm\",\"huge_pages\":"
		"\"2M\"}",
		"hugepages 2M does not fit protection pkvm" },
	{ "machine-config", NULL,
		"{\"vcpu_count\":1,\"mem_size_mib\":128,\"private_memory\":\"open\"}",
		"does not fit protection none" },
	{ "drives", "a", "{\"drive_id\":\"a\",\"path_on_host\":\"/a\"}",
		"\"is_root_device\" is missing" },
	{ "drives", "b", DRIVE("a", "true", ""), "\"a\" is not the id in the path, \"b\"" },
	{ "drives", NULL, DRIVE("a/b", "true", ""), "\"drive_id\": \"a/b\" is no id" },
	{ "drives", NULL, DRIVE("", "true", ""), "\"drive_id\": the value is empty" },
	{ "drives", "a", "{\"drive_id\":\"a\",\"is_root_device\":true}",
		"\"path_on_host\" is missing" },
	{ "drives", "a", "{\"drive_id\":\"a\",\"is_root_device\":true,\"socket\":\"s\"}",
		"\"socket\": vhost-user is not supported yet" },
	{ "drives", "a", DRIVE("a", "true", ",\"cache_type\":\"unsafe\""),
		"\"cache_type\": \"unsafe\" is not known, expected one of Writeback, Unsafe" },
	{ "drives", "a", DRIVE("a", "true", ",\"io_engine\":3"), "\"io_engine\": got an integer" },
	{ "drives", "a", DRIVE("a", "true", ",\"rate_limiter\":3"),
		"\"rate_limiter\": got an int" },
	{ "drives", "a", DRIVE("a", "true", ",\"rate_limiter\":{\"ops\":{\"size\":1}}"),
		"\"rate_limiter\": \"ops\": \"refill_time\" is missing" },
	{ "drives", "a",
		DRIVE("a", "true", ",\"rate_limiter\":{\"ops\":{\"size\":-1,\"refill_time\":1}}"),
		"\"ops\": \"size\": -1 is out of range" },
	{ "drives", "a",
		DRIVE("a", "true",
			",\"rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":4000000000000}}"),
		"more than two years" },
	{ "drives", "a", DRIVE("a", "true", ",\"rate_limiter\":{\"op\":{}}"),
		"\"rate_limiter\": unknown field \"op\"" },
	{ "network-interfaces", "n", "{\"iface_id\":\"n\"}", "\"host_dev_name\" is missing" },
	{ "network-interfaces", "n", "{\"iface_id\":\"n\",\"host_dev_name\":\"a/b\"}",
		"\"host_dev_name\": expected the name of an interface" },
	{ "network-interfaces", "n", "{\"iface_id\":\"n\",\"host_dev_name\":3}",
		"\"host_dev_name\": got an integer" },
	{ "network-interfaces", "n",
		"{\"iface_id\":\"n\",\"host_dev_name\":\"t\",\"guest_mac\":\"01:00:00:00:00:01\"}",
		"\"guest_mac\": 01:00:00:00:00:01 is no address of one interface" },
	{ "network-interfaces", "n",
		"{\"iface_id\":\"n\",\"host_dev_name\":\"t\",\"guest_mac\":\"2:0:0:0:0:1\"}",
		"is not like 02:00:00:12:34:56" },
	{ "network-interfaces", "n", "{\"iface_id\":\"n\",\"host_dev_name\":\"t\",\"mtu\":67}",
		"\"mtu\": 67 is out of range" },
	{ "network-interfaces", "n", "{\"iface_id\":\"n\",\"host_dev_name\":\"t\",\"mtu\":65536}",
		"\"mtu\": 65536 is out of range" },
	{ "vsock", NULL, "{\"guest_cid\":2,\"uds_path\":\"v\"}",
		"\"guest_cid\": 2 is out of range" },
	{ "vsock", NULL, "{\"guest_cid\":4294967295,\"uds_path\":\"v\"}", "is out of range" },
	{ "vsock", NULL, "{\"guest_cid\":3}", "\"uds_path\" is missing" },
	{ "vsock", NULL, "{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":1}",
		"\"vsock_id\": got" },
	{ "vsock", NULL, "{\"guest_cid\":3,\"uds_path\":\"v_52\"}", "ends like that of a port" },
	{ "entropy", NULL, "{\"rate_limiter\":[]}", "\"rate_limiter\": got an array" },
	{ "entropy", NULL, "{\"rate\":1}", "unknown field \"rate\"" },
	{ "balloon", NULL, "{\"amount_mib\":1}", "\"deflate_on_oom\" is missing" },
	{ "balloon", NULL, "{\"amount_mib\":-1,\"deflate_on_oom\":true}", "\"amount_mib\": -1" },
	{ "balloon", NULL, "{\"amount_mib\":128,\"deflate_on_oom\":true}", "leave it nothing" },
	{ "balloon", NULL, "{\"amount_mib\":1,\"deflate_on_oom\":true,\"free_page_hinting\":true}",
		"hinting is not supported yet" },
	{ "logger", NULL, "{\"level\":\"Loud\"}", "\"level\": \"Loud\" is not known" },
	{ "logger", NULL, "{\"level\":2}", "\"level\": got an integer" },
	{ "logger", NULL, "{\"show_level\":\"yes\"}", "\"show_level\": got a string" },
	{ "metrics", NULL, "{}", "\"metrics_path\" is missing" },
	{ "serial", NULL, "{\"rate_limiter\":{\"size\":1}}", "\"refill_time\" is missing" },
};

/* With the reason, and nothing of it is kept. */
START_TEST(wrong_is_refused_whole)
{
	char *before, *after;
	int r;

	put_ok("drives", "z", DRIVE("z", "false", ""));
	before = snapshot();
	r = put(refused[_i].name, refused[_i].id, refused[_i].body);
	ck_assert_msg(r == -EINVAL || r == -ENOTSUP, "%s", refused[_i].body);
	ck_assert_msg(strstr(e.msg, refused[_i].expect) != NULL, "%s: %s", refused[_i].body, e.msg);
	after = snapshot();
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
}
END_TEST

START_TEST(no_more_drives_than_fit)
{
	char id[8], text[128];
	int i, r = 0;

	for (i = 0; !r && i < 40; i++) {
		snprintf(id, sizeof(id), "d%d", i);
		snprintf(text, sizeof(text),
			"{\"drive_id\":\"%s\",\"is_root_device\":false,\"path_on_host\":\"p\"}",
			id);
		r = put("drives", id, text);
	}
	ck_assert_int_eq(r, -EINVAL);
	ck_assert_int_eq(i, 16);
	ck_assert_uint_eq(c.disks.count, 15);
}
END_TEST

/* Buckets that are not named stay: an update of one of the two. */
START_TEST(limits_in_parts)
{
	struct ratelimit_config limit = { { 1, 2, 3 }, { 4, 5, 6 } };
	json_t *one = parse("{\"ops\":{\"size\":7,\"refill_time\":8}}");
	json_t *bad = parse("{\"ops\":{\"size\":9,\"refill_time\":8},\"bandwidth\":{}}");

	ck_assert_int_eq(resource_limit(&limit, one, &e), 0);
	ck_assert_int_eq(resource_limit(&limit, bad, &e), -EINVAL);
	ck_assert_uint_eq(limit.bandwidth.size, 1);
	ck_assert_uint_eq(limit.ops.size, 7);
	ck_assert_uint_eq(limit.ops.one_time_burst, 0);
	json_decref(one);
	json_decref(bad);
}
END_TEST

Suite *resource_suite(void)
{
	Suite *s = suite_create("resource");
	TCase *t = tcase_create("objects");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, defaults);
	tcase_add_test(t, boot_source);
	tcase_add_test(t, machine_config);
	tcase_add_test(t, protection_stays);
	tcase_add_test(t, machine_config_in_parts);
	tcase_add_test(t, drives);
	tcase_add_test(t, interfaces);
	tcase_add_test(t, single_devices);
	tcase_add_test(t, logs);
	tcase_add_loop_test(t, wrong_is_refused_whole, 0, (int)ARRAY_SIZE(refused));
	tcase_add_test(t, no_more_drives_than_fit);
	tcase_add_test(t, limits_in_parts);
	suite_add_tcase(s, t);
	return s;
}
