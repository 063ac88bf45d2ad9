/* SPDX-License-Identifier: Apache-2.0 */

/* What requests change in a machine that runs. */
#include <string.h>

#include "tests/unit/test_api.h"
#include "vmm/api/api_impl.h"
#include "vmm/util/bits.h"

#define DRIVE(id)                                                                      \
	"{\"drive_id\":\"" id "\",\"path_on_host\":\"/old\",\"is_root_device\":false," \
	"\"is_read_only\":false}"

START_TEST(drives_change)
{
	const struct disk_config *d;

	api_done("PUT", "/drives/a", DRIVE("a"));
	api_done("PUT", "/drives/b", DRIVE("b"));
	api_begin();
	d = (const struct disk_config *)tested_api->config.disks.items + 1;
	api_refused("PATCH", "/drives/c", "{\"drive_id\":\"c\"}", "There is no drive \"c\".");
	api_refused("PATCH", "/drives/b", "{\"drive_id\":\"a\"}", "the id of the path");
	api_refused("PATCH", "/drives/b", "{\"path_on_host\":\"/x\"}", "missing field `drive_id`");
	api_refused("PATCH", "/drives/b", "{\"drive_id\":\"b\",\"is_read_only\":true}",
		"unknown field `is_read_only`");
	api_refused(
		"PATCH", "/drives/b", "{\"drive_id\":\"b\",\"path_on_host\":1}", "path_on_host");
	api_refused("PATCH", "/drives/b", "{\"drive_id\":\"b\",\"path_on_host\":\"/missing\"}",
		"missing");
	ck_assert_str_eq(d->path, "/old");
	/* Nothing is done when the other half is wrong. */
	api_refused("PATCH", "/drives/b",
		"{\"drive_id\":\"b\",\"path_on_host\":\"/new\",\"rate_limiter\":{\"ops\":1}}",
		"ops");
	ck_assert_str_eq(fake_api.path, "");
	api_done("PATCH", "/drives/b",
		"{\"drive_id\":\"b\",\"path_on_host\":\"/new\",\"rate_limiter\":{\"ops\":{\"size\":"
		"5,\"refill_time\":100}}}");
	ck_assert_str_eq(fake_api.path, "/new");
	ck_assert_str_eq(d->path, "/new");
	ck_assert_uint_eq(fake_api.limit.ops.size, 5);
	ck_assert_uint_eq(d->limit.ops.refill_ms, 100);
	/* What is not named stays. */
	api_done("PATCH", "/drives/b",
		"{\"drive_id\":\"b\",\"rate_limiter\":{\"bandwidth\":{\"size\":7,\"refill_time\":1}"
		"}}");
	ck_assert_uint_eq(fake_api.limit.ops.size, 5);
	ck_assert_uint_eq(fake_api.limit.bandwidth.size, 7);
	ck_assert_int_eq(api_ask("GET", "/vm/config", NULL), 200);
	api_says("\"/new\"");
}
END_TEST

START_TEST(network_interfaces_change)
{
	api_done("PUT", "/network-interfaces/a",
		"{\"iface_id\":\"a\",\"host_dev_name\":\"tap0\",\"rx_rate_limiter\":{\"ops\":{"
		"\"size\":3,\"refill_time\":10}}}");
	api_begin();
	/* By us, lest a limit come too late. */
	ck_assert_int_eq(
		((const struct net_config *)tested_api->config.nets.items)->vhost, NET_VHOST_OFF);
	api_refused("PATCH", "/network-interfaces/b", "{\"iface_id\":\"b\"}",
		"There is no network interface \"b\".");
	api_refused("PATCH", "/network-interfaces/a",
		"{\"iface_id\":\"a\",\"tx_rate_limiter\":{\"ops\":1}}", "tx_rate_limiter");
	api_done("PATCH", "/network-interfaces/a",
		"{\"iface_id\":\"a\",\"tx_rate_limiter\":{\"bandwidth\":{\"size\":9,\"refill_"
		"time\":"
		"10}}}");
	ck_assert_uint_eq(fake_api.rx.ops.size, 3);
	ck_assert_uint_eq(fake_api.tx.bandwidth.size, 9);
	ck_assert_int_eq(api_ask("GET", "/vm/config", NULL), 200);
	api_says("\"size\":9");
}
END_TEST

START_TEST(balloon_changes)
{
	api_done("PUT", "/balloon",
		"{\"amount_mib\":1,\"deflate_on_oom\":true,\"stats_polling_interval_s\":2}");
	api_begin();
	api_refused("PATCH", "/balloon", "{\"amount_mib\":-1}", "amount_mib");
	api_refused("PATCH", "/balloon", "{\"amount_mib\":\"1\"}", "amount_mib");
	api_refused("PATCH", "/balloon", "{\"amount\":1}", "unknown field `amount`");
	api_refused("PATCH", "/balloon", "{\"amount_mib\":101}", "too much");
	api_done("PATCH", "/balloon", "{\"amount_mib\":64}");
	ck_assert_uint_eq(fake_api.target, MIB(64));
	ck_assert_int_eq(api_ask("GET", "/balloon", NULL), 200);
	api_says("\"amount_mib\":64");
	api_done("PATCH", "/balloon/statistics", "{\"stats_polling_interval_s\":5}");
	ck_assert_uint_eq(fake_api.interval, 5);
	ck_assert_int_eq(api_ask("GET", "/balloon/statistics", NULL), 200);
	api_says("\"target_pages\":2048");
	api_says("\"actual_mib\":4");
	api_says("\"free_memory\":12345");
	ck_assert_ptr_null(strstr(fake_api.text, "total_memory"));
}
END_TEST

START_TEST(statistics_are_as_the_balloon_was_made)
{
	api_done("PUT", "/balloon", "{\"amount_mib\":1,\"deflate_on_oom\":true}");
	api_begin();
	api_refused("GET", "/balloon/statistics", NULL, "without statistics");
}
END_TEST

TCase *api_changes_case(void)
{
	TCase *t = tcase_create("changes");

	tcase_add_checked_fixture(t, api_setup, api_teardown);
	tcase_add_test(t, drives_change);
	tcase_add_test(t, network_interfaces_change);
	tcase_add_test(t, balloon_changes);
	tcase_add_test(t, statistics_are_as_the_balloon_was_made);
	return t;
}
