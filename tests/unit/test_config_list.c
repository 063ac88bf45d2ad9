/* SPDX-License-Identifier: Apache-2.0 */
/* Options that may be given several times, with settings of their own: disks. */
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

static const struct disk_config *disk(const struct config *c, uint32_t i)
{
	ck_assert_uint_lt(i, c->disks.count);
	return (const struct disk_config *)c->disks.items + i;
}

START_TEST(disks_from_the_command_line)
{
	const char *const line[] = { "run", "-k", "Image", "--disk", "a.img", "--disk",
		"b,,c.img,readonly,cache=direct,engine=sync,serial=one,iops=5,bandwidth=4096",
		NULL };
	struct cli c;
	struct err e;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(c.config.disks.count, 2);
	ck_assert_str_eq(disk(&c.config, 0)->path, "a.img");
	ck_assert(!disk(&c.config, 0)->read_only);
	ck_assert_int_eq((int)disk(&c.config, 0)->engine, BLK_AUTO);
	ck_assert_str_eq(disk(&c.config, 1)->path, "b,c.img");
	ck_assert(disk(&c.config, 1)->read_only);
	ck_assert_int_eq((int)disk(&c.config, 1)->cache, BLK_DIRECT);
	ck_assert_int_eq((int)disk(&c.config, 1)->engine, BLK_SYNC);
	ck_assert_str_eq(disk(&c.config, 1)->serial, "one");
	ck_assert_uint_eq(disk(&c.config, 1)->limit.ops.size, 5);
	ck_assert_uint_eq(disk(&c.config, 1)->limit.bandwidth.size, 4096);
	cli_free(&c);
	cli_free(&c);
}
END_TEST

START_TEST(disks_from_a_file)
{
	const char *text = "{ \"kernel\": \"k\", \"disk\": [ \"a.img\",\n"
			   "{ \"path\": \"/b.img\", \"readonly\": true, \"iops\": 7 } ] }";
	struct config c, again;
	struct err e;

	config_init(&c);
	ck_assert_msg(config_parse(&c, "/dir/vm.json", text, strlen(text), &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(c.disks.count, 2);
	/* A path counts from the file, also inside a list. */
	ck_assert_str_eq(disk(&c, 0)->path, "/dir/a.img");
	ck_assert_str_eq(disk(&c, 1)->path, "/b.img");
	ck_assert(disk(&c, 1)->read_only);
	reread(&c, &again);
	ck_assert_uint_eq(again.disks.count, 2);
	ck_assert_str_eq(disk(&again, 0)->path, "/dir/a.img");
	ck_assert_uint_eq(disk(&again, 1)->limit.ops.size, 7);
	config_free(&c);
	config_free(&again);
}
END_TEST

static const struct {
	const char *disks[2], *params, *whole;
} roots[] = {
	{ { "a", "b" }, "quiet", "quiet" },
	{ { "a,root", "b" }, "quiet", "quiet root=/dev/vda rw" },
	{ { "a", "b,root,readonly" }, "", "root=/dev/vdb ro" },
	{ { "a", "b,root,partuuid=ab-1" }, "x y", "x y root=PARTUUID=ab-1 rw" },
	{ { "a,partuuid=ab-1", "b" }, "", "" },
};

START_TEST(root_disks)
{
	const char *const line[] = { "run", "-k", "Image", "-p", roots[_i].params, "--disk",
		roots[_i].disks[0], "--disk", roots[_i].disks[1], NULL };
	char *params;
	struct cli c;
	struct err e;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(config_params(&c.config, &params, &e), 0);
	ck_assert_str_eq(params, roots[_i].whole);
	free(params);
	cli_free(&c);
}
END_TEST

START_TEST(broken_roots)
{
	const char *const two[] = { "run", "-k", "I", "--disk", "a,root", "--disk", "b,root",
		NULL };
	char text[2048];
	const char *const longest[] = { "run", "-k", "I", "-p", text, "--disk", "a,root", NULL };
	struct cli c;
	struct err e;

	ck_assert_int_eq(parse_line(two, &c, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "item 2: another disk is the root already"));
	memset(text, 'x', sizeof(text));
	text[2047 - strlen(" root=/dev/vda rw")] = '\0';
	ck_assert_int_eq(parse_line(longest, &c, &e), 0);
	cli_free(&c);
	text[strlen(text)] = 'x';
	text[2047 - strlen(" root=/dev/vda rw") + 1] = '\0';
	ck_assert_int_eq(parse_line(longest, &c, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "2048 characters with the root disk's"));
}
END_TEST

START_TEST(networks)
{
	const char *const line[] = { "run", "-k", "Image", "--net", "tap=tap0,mtu=9000,vhost=off",
		"--net", "user,mac=02:00:00:12:34:aF,rx-bandwidth=5,tx-pps=7", NULL };
	const char *text = "{ \"kernel\": \"k\", \"net\": [ \"user\",\n"
			   "{ \"backend\": \"tap=a\", \"vhost\": \"on\" } ] }";
	const struct net_config *n;
	struct config config, again;
	uint8_t mac[6];
	struct cli c;
	struct err e;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(c.config.nets.count, 2);
	n = c.config.nets.items;
	ck_assert_str_eq(net_tap(&n[0]), "tap0");
	ck_assert_uint_eq(n[0].mtu, 9000);
	ck_assert_int_eq((int)n[0].vhost, NET_VHOST_OFF);
	ck_assert(!net_is_limited(&n[0]));
	ck_assert_ptr_null(net_tap(&n[1]));
	ck_assert(net_parse_mac(n[1].mac, mac));
	ck_assert_mem_eq(mac, "\x02\0\0\x12\x34\xaf", 6);
	ck_assert_uint_eq(n[1].rx_limit.bandwidth.size, 5);
	ck_assert_uint_eq(n[1].tx_limit.ops.size, 7);
	ck_assert(net_is_limited(&n[1]));
	cli_free(&c);
	config_init(&config);
	ck_assert_msg(!config_parse(&config, "/dir/vm.json", text, strlen(text), &e), "%s", e.msg);
	ck_assert_int_eq(config_check(&config, &e), 0);
	/* What is dumped is read again, defaults included. */
	reread(&config, &again);
	n = again.nets.items;
	ck_assert_str_eq(n[0].backend, "user");
	ck_assert_int_eq((int)n[1].vhost, NET_VHOST_ON);
	ck_assert_int_eq(config_check(&again, &e), 0);
	config_free(&config);
	config_free(&again);
}
END_TEST

START_TEST(macs)
{
	static const char *const bad[] = { "", "02:00:00:12:34", "02:00:00:12:34:5",
		"02:00:00:12:34:567", "02-00-00-12-34-56", "0g:00:00:12:34:56",
		"02:00:00:12:34:5:", "+2:00:00:12:34:56", " 2:00:00:12:34:56" };
	uint8_t mac[6];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(!net_parse_mac(bad[i], mac), "%s", bad[i]);
}
END_TEST

START_TEST(default_macs_differ)
{
	static char tap0[] = "tap=tap0", tap1[] = "tap=tap1", user[] = "user";
	const struct net_config t0 = { .backend = tap0 }, t1 = { .backend = tap1 },
				u = { .backend = user };
	uint8_t mac[6][6], again[6];

	net_default_mac(&t0, 0, "host1", 5, mac[0]);
	net_default_mac(&t0, 0, "host2", 5, mac[1]);
	net_default_mac(&t1, 0, "host1", 5, mac[2]);
	net_default_mac(&u, 0, "host1", 5, mac[3]);
	net_default_mac(&u, 1, "host1", 5, mac[4]);
	net_default_mac(&u, 0, "host2", 5, mac[5]);
	for (size_t i = 0; i < ARRAY_SIZE(mac); i++) {
		ck_assert_uint_eq(mac[i][0] & 3, 2);
		for (size_t k = 0; k < i; k++)
			ck_assert_mem_ne(mac[i], mac[k], 6);
	}
	/* An interface is the same wherever it stands. */
	net_default_mac(&t0, 7, "host1", 5, again);
	ck_assert_mem_eq(again, mac[0], 6);
}
END_TEST

/* The command line is read before the file, which it names, and again after it. */
START_TEST(file_comes_first_and_nothing_twice)
{
	char path[SCRATCH_PATH];
	const char *line[] = { "run", "--disk", "b.img", "--config-file", path, NULL };
	int fd = scratch_file(path);
	struct cli c;
	struct err e;

	ck_assert_int_gt(dprintf(fd, "{ \"kernel\": \"/k\", \"disk\": [ \"/a.img\" ] }"), 0);
	close(fd);
	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(c.config.disks.count, 2);
	ck_assert_str_eq(disk(&c.config, 0)->path, "/a.img");
	ck_assert_str_eq(disk(&c.config, 1)->path, "b.img");
	cli_free(&c);
}
END_TEST

/* A number, or all of a token bucket: the same on the command line, in a file and in the dump. */
static const struct {
	const char *text, *json, *dumped;
	struct bucket_config rate;
} rates[] = {
	{ "0", "0", "\"iops\": 0,", { 0, 0, 1000 } },
	{ "7", "7", "\"iops\": 7,", { 7, 0, 1000 } },
	{ "7:1000", "\"7:1000\"", "\"iops\": 7,", { 7, 0, 1000 } },
	{ "7:100", "\"7:100\"", "\"iops\": \"7:100\",", { 7, 0, 100 } },
	{ "7:100:0", "\"7:100:0\"", "\"iops\": \"7:100\",", { 7, 0, 100 } },
	{ "7:1000:3", "\"7:1000:3\"", "\"iops\": \"7:1000:3\",", { 7, 3, 1000 } },
	{ "4611686018427387904", "4611686018427387904", "\"iops\": 4611686018427387904,",
		{ 1ULL << 62, 0, 1000 } },
};

static void assert_rate(const struct config *c, const struct bucket_config *rate)
{
	const struct bucket_config *got = &disk(c, 0)->limit.ops;

	ck_assert_uint_eq(got->size, rate->size);
	ck_assert_uint_eq(got->refill_ms, rate->refill_ms);
	ck_assert_uint_eq(got->one_time_burst, rate->one_time_burst);
}

START_TEST(rates_from_everywhere)
{
	char text[128], option[64];
	const char *const line[] = { "run", "-k", "Image", "--disk", option, NULL };
	struct config config;
	struct cli c;
	struct err e;
	char *dump;

	snprintf(option, sizeof(option), "a,iops=%s", rates[_i].text);
	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	assert_rate(&c.config, &rates[_i].rate);
	dump = dump_text(&c.config);
	ck_assert_msg(strstr(dump, rates[_i].dumped) != NULL, "%s", dump);
	free(dump);
	cli_free(&c);
	snprintf(text, sizeof(text), "{ \"disk\": [ { \"path\": \"a\", \"iops\": %s } ] }",
		rates[_i].json);
	config_init(&config);
	ck_assert_msg(config_parse(&config, "vm.json", text, strlen(text), &e) == 0, "%s", e.msg);
	assert_rate(&config, &rates[_i].rate);
	config_free(&config);
}
END_TEST

static const struct {
	const char *text, *expect;
} refused[] = {
	{ "", "empty" },
	{ ",readonly", "empty" },
	{ "a,", "unknown setting \"\"" },
	{ "a,readonly=yes", "takes no argument" },
	{ "a,cache", "value missing" },
	{ "a,cach=direct", "did you mean \"cache\"" },
	{ "a,cache=none", "one of writeback, unsafe, direct" },
	{ "a,serial=123456789012345678901", "at most 20" },
	{ "a,iops=-1", "not a plain number" },
	{ "a,iops=4611686018427387905", "4611686018427387905 is out of range" },
	{ "a,iops=99999999999999999999", "99999999999999999999 is out of range" },
	{ "a,iops=1:", "\"1:\" is not a plain number" },
	{ "a,iops=1:2:3:4", "\"1:2:3:4\" is not a plain number" },
	{ "a,iops=1:2x", "expected an integer up to 4611686018427387904, in requests a second, or "
			 "SIZE:MILLISECONDS[:BURST]" },
	{ "a,iops=1:99999999999999", "more than two years" },
	{ "a,path=b", "path is given twice" },
	{ "a,iops=5,readonly,iops=5", "iops is given twice" },
	{ "a,readonly,readonly", "readonly is given twice" },
};

START_TEST(broken_disk_is_refused)
{
	const char *const line[] = { "run", "-k", "Image", "--disk", refused[_i].text, NULL };
	struct cli c;
	struct err e;

	ck_assert_int_eq(parse_line(line, &c, &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, "--disk: ") == e.msg, "%s", e.msg);
	ck_assert_msg(strstr(e.msg, refused[_i].expect) != NULL, "%s", e.msg);
}
END_TEST

static const struct {
	const char *text, *expect;
} refused_json[] = {
	{ "\"a.img\"", "got a string, expected an array, even of one" },
	{ "[ 3 ]", "item 1: got an integer, expected an object" },
	{ "[ \"a\", { \"readonly\": true } ]", "item 2: \"path\" is missing" },
	{ "[ { \"path\": 3 } ]", "item 1: \"path\": got an integer" },
	{ "[ { \"path\": \"a\", \"cach\": 3 } ]", "did you mean \"cache\"" },
	{ "[ { \"path\": \"a\", \"disk\": [] } ]", "unknown setting" },
	{ "[ [ \"a\" ] ]", "got an array" },
	{ "[1,1,1,1]", "item 1" },
	{ "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
	  "\"a\","
	  "\"a\"]",
		"item 16: more than 15" },
};

START_TEST(broken_list_is_refused)
{
	struct config c;
	char text[512];
	struct err e;

	snprintf(
		text, sizeof(text), "{ \"kernel\": \"k\",\n \"disk\": %s }", refused_json[_i].text);
	config_init(&c);
	ck_assert_int_eq(config_parse(&c, "vm.json", text, strlen(text), &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, "vm.json:2: \"disk\": ") == e.msg, "%s", e.msg);
	ck_assert_msg(strstr(e.msg, refused_json[_i].expect) != NULL, "%s", e.msg);
	config_free(&c);
	config_free(&c);
}
END_TEST

/* jansson's own check, which reaches into lists too. */
START_TEST(setting_twice_in_a_file_is_refused)
{
	static const char text[] = "{ \"disk\": [ { \"path\": \"a\", \"path\": \"b\" } ] }";

	text_refused(text, "duplicate object key near '\"path\"'");
}
END_TEST

static const char *feature(const struct config *c, uint32_t i)
{
	ck_assert_uint_lt(i, c->hide_cpu_features.count);
	return ((char **)c->hide_cpu_features.items)[i];
}

/* Items of one setting: several in one text, and plain strings in a file. */
START_TEST(features_from_everywhere)
{
	const char *const line[] = { "run", "-k", "Image", "--hide-cpu-features", "pv-eoi,pmu",
		"--hide-cpu-features=avx", NULL };
	const char *text = "\"hide-cpu-features\": [\n                \"pv-eoi\",";
	struct config again;
	struct cli c;
	struct err e;
	char *dump;

	ck_assert_msg(parse_line(line, &c, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(c.config.hide_cpu_features.count, 3);
	ck_assert_str_eq(feature(&c.config, 1), "pmu");
	ck_assert_str_eq(feature(&c.config, 2), "avx");
	dump = dump_text(&c.config);
	ck_assert_ptr_nonnull(strstr(dump, text));
	free(dump);
	reread(&c.config, &again);
	ck_assert_uint_eq(again.hide_cpu_features.count, 3);
	ck_assert_str_eq(feature(&again, 2), "avx");
	config_free(&again);
	cli_free(&c);
}
END_TEST

static const struct {
	const char *text, *expect;
} refused_features[] = {
	{ "", "--hide-cpu-features: the value is empty" },
	{ "pv-eoi,", "--hide-cpu-features: the value is empty" },
	{ "pv-eoi,pv-eio", "hide-cpu-features: \"pv-eio\" is not known, expected one of " },
	{ "pmu,,avx", "hide-cpu-features: \"pmu,avx\" is not known" },
};

START_TEST(broken_features_are_refused)
{
	const char *const line[] = { "run", "-k", "Image", "--hide-cpu-features",
		refused_features[_i].text, NULL };
	const struct option_def *def = option_find(&config_table, "hide-cpu-features");
	struct config config;
	struct cli c;
	struct err e;

	ck_assert_int_eq(parse_line(line, &c, &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, refused_features[_i].expect) == e.msg, "%s", e.msg);
	/* All parts of a text, or none. */
	config_init(&config);
	if (option_set_text(def, &config, refused_features[_i].text, &e))
		ck_assert_uint_eq(config.hide_cpu_features.count, 0);
	config_free(&config);
}
END_TEST

START_TEST(feature_objects_are_refused)
{
	static const char text[] = "{ \"hide-cpu-features\": [ { \"feature\": \"pmu\" } ] }";

	text_refused(text, "got an object, expected a string");
}
END_TEST

TCase *config_list_case(void)
{
	TCase *t = tcase_create("lists");

	tcase_add_test(t, features_from_everywhere);
	tcase_add_loop_test(t, broken_features_are_refused, 0, ARRAY_SIZE(refused_features));
	tcase_add_test(t, feature_objects_are_refused);
	tcase_add_test(t, disks_from_the_command_line);
	tcase_add_test(t, disks_from_a_file);
	tcase_add_loop_test(t, root_disks, 0, (int)ARRAY_SIZE(roots));
	tcase_add_test(t, broken_roots);
	tcase_add_test(t, networks);
	tcase_add_test(t, macs);
	tcase_add_test(t, default_macs_differ);
	tcase_add_loop_test(t, rates_from_everywhere, 0, (int)ARRAY_SIZE(rates));
	tcase_add_test(t, file_comes_first_and_nothing_twice);
	tcase_add_loop_test(t, broken_disk_is_refused, 0, (int)ARRAY_SIZE(refused));
	tcase_add_loop_test(t, broken_list_is_refused, 0, (int)ARRAY_SIZE(refused_json));
	tcase_add_test(t, setting_twice_in_a_file_is_refused);
	return t;
}
