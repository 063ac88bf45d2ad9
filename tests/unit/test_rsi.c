/* SPDX-License-Identifier: Apache-2.0 */

/* The calls of a realm: each with good arguments, and with each of them wrong. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "arch/arm64/rsi.h"
#include "mem/alias.h"
#include "mem/convert.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define RAM_BASE GIB(1)
#define RAM_SIZE MIB(200)
#define RAM_END	 (RAM_BASE + RAM_SIZE)
#define TOP_BIT	 GIB(4)

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;
static struct rsi_realm realm;
static const struct arch_layout layout = {
	.ram = { { { RAM_BASE }, RAM_SIZE } },
	.ram_count = 1,
	.alias_bit = TOP_BIT,
};

static void setup(void)
{
	struct mem_region_desc d = { MEM_ALIAS, "ram", { RAM_BASE }, RAM_SIZE };
	struct err e = { "" };

	memset(&kvm, 0, sizeof(kvm));
	kvm.max = FAKE_SLOTS_MAX;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	mem_alias_set(mem, TOP_BIT, false, RAM_SIZE);
	ck_assert_msg(mem_add(mem, &d, &e) == 0, "%s", e.msg);
	rsi_realm_init(&realm);
}

static void teardown(void)
{
	mem_free(mem);
	slot_table_free(table);
	rsi_realm_destroy(&realm);
}

static enum rsi_action call(uint64_t id, uint64_t x1, uint64_t x2, uint64_t x3, struct rsi_regs *r,
	struct arch_convert *c)
{
	struct rsi_context ctx = { &layout, mem, &realm };

	*r = (struct rsi_regs){ { id, x1, x2, x3 } };
	return rsi_decode(&ctx, id, r, c);
}

/* One that is answered at once: its status. */
static uint64_t status(uint64_t id, uint64_t x1, uint64_t x2, uint64_t x3, struct rsi_regs *r)
{
	struct arch_convert c;

	ck_assert_int_eq(call(id, x1, x2, x3, r, &c), RSI_ANSWERED);
	return r->x[0];
}

/* As a guest does it: one conversion, carried out. Returns the top. */
static uint64_t set_state(uint64_t base, uint64_t top, uint64_t state, uint64_t *response)
{
	struct err e = { "" };
	struct arch_convert c;
	struct rsi_regs r;

	if (call(RSI_IPA_STATE_SET, base, top, state, &r, &c) == RSI_CONVERT)
		rsi_converted(&c, convert_apply(mem, c.gpa, c.len, c.to_private, &e), &r);
	ck_assert_uint_eq(r.x[0], RSI_SUCCESS);
	*response = r.x[2];
	return r.x[1];
}

START_TEST(version_1_0_and_no_other)
{
	struct rsi_regs r;

	ck_assert_uint_eq(status(RSI_VERSION, RSI_ABI_1_0, 0, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], RSI_ABI_1_0);
	ck_assert_uint_eq(r.x[2], RSI_ABI_1_0);
	/* The guest is told what there is. */
	ck_assert_uint_eq(status(RSI_VERSION, 0x10001, 0, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(r.x[1], RSI_ABI_1_0);
	ck_assert_uint_eq(r.x[2], RSI_ABI_1_0);
	ck_assert_uint_eq(status(RSI_VERSION, 0, 0, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_VERSION, UINT64_MAX, 0, 0, &r), RSI_ERROR_INPUT);
}
END_TEST

START_TEST(no_features_and_no_other_calls)
{
	struct rsi_regs r;

	ck_assert_uint_eq(status(RSI_FEATURES, 0, 0, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], 0);
	ck_assert_uint_eq(status(RSI_FEATURES, UINT64_MAX, 0, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], 0);
	ck_assert_uint_eq(status(RSI_HOST_CALL + 1, 0, 0, 0, &r), RSI_NOT_SUPPORTED);
	ck_assert_uint_eq(status(RSI_COPIER_DONE, 0, 0, 0, &r), RSI_NOT_SUPPORTED);
}
END_TEST

START_TEST(initial_measurement_is_read_only)
{
	uint8_t digest[32], got[RSI_MEASUREMENT_SIZE], want[RSI_MEASUREMENT_SIZE] = { 0 };
	struct rsi_regs r;

	memset(digest, 0xa5, sizeof(digest));
	memcpy(want, digest, sizeof(digest));
	rsi_realm_measure(&realm, digest, sizeof(digest));
	ck_assert_uint_eq(status(RSI_MEASUREMENT_EXTEND, 0, 8, 1, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_MEASUREMENT_READ, 0, 0, 0, &r), RSI_SUCCESS);
	memcpy(got, &r.x[1], sizeof(got));
	ck_assert_mem_eq(got, want, sizeof(got));
	ck_assert_uint_eq(
		status(RSI_MEASUREMENT_READ, RSI_MEASUREMENTS, 0, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_MEASUREMENT_READ, UINT64_MAX, 0, 0, &r), RSI_ERROR_INPUT);
}
END_TEST

/* Of 32 bytes of zeroes and "abc"; of nothing but the zeroes; and one after the other. */
static const struct {
	uint64_t size, value;
	uint8_t after[32];
} extensions[] = {
	{ 3, 0x636261,
		{ 0x36, 0x5a, 0xa7, 0xd8, 0xf7, 0xf9, 0x40, 0x2c, 0x4b, 0x94, 0x34, 0x50, 0x2b,
			0x4c, 0xc8, 0x9d, 0xdb, 0x09, 0xfe, 0x50, 0xd7, 0xcd, 0x95, 0xb4, 0x93,
			0xb8, 0x34, 0xc6, 0x2d, 0x5a, 0x53, 0x70 } },
	{ 0, 0,
		{ 0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77, 0x6c, 0x8f, 0xc1, 0x8b, 0x8e,
			0x9f, 0x8e, 0x20, 0x08, 0x97, 0x14, 0x85, 0x6e, 0xe2, 0x33, 0xb3, 0x90,
			0x2a, 0x59, 0x1d, 0x0d, 0x5f, 0x29, 0x25 } },
};

START_TEST(extending_hashes_old_and_new)
{
	uint64_t index = 1 + (uint64_t)_i;
	struct rsi_regs r;

	ck_assert_uint_eq(status(RSI_MEASUREMENT_EXTEND, index, extensions[_i].size,
				  extensions[_i].value, &r),
		RSI_SUCCESS);
	ck_assert_uint_eq(status(RSI_MEASUREMENT_READ, index, 0, 0, &r), RSI_SUCCESS);
	ck_assert_mem_eq(&r.x[1], extensions[_i].after, 32);
	ck_assert_uint_eq(r.x[5] | r.x[6] | r.x[7] | r.x[8], 0);
	/* The neighbour's is its own. */
	ck_assert_uint_eq(status(RSI_MEASUREMENT_READ, index + 1, 0, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1] | r.x[2] | r.x[3] | r.x[4], 0);
}
END_TEST

START_TEST(extending_twice_is_a_chain)
{
	static const uint8_t after[32] = { 0xe6, 0x8b, 0x0c, 0x72, 0xb1, 0xaf, 0xf9, 0x48, 0x82,
		0x94, 0x90, 0x0b, 0xa6, 0xcc, 0x1e, 0x99, 0x07, 0x51, 0x22, 0xa8, 0xd0, 0xc1, 0x22,
		0xeb, 0x42, 0xda, 0x50, 0x6f, 0x9c, 0x23, 0x21, 0xa4 };
	struct rsi_regs r;

	status(RSI_MEASUREMENT_EXTEND, 4, 3, 0x636261, &r);
	status(RSI_MEASUREMENT_EXTEND, 4, 0, 0, &r);
	ck_assert_uint_eq(status(RSI_MEASUREMENT_READ, 4, 0, 0, &r), RSI_SUCCESS);
	ck_assert_mem_eq(&r.x[1], after, 32);
	ck_assert_uint_eq(status(RSI_MEASUREMENT_EXTEND, 5, 0, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_MEASUREMENT_EXTEND, 4, 65, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_MEASUREMENT_EXTEND, 4, UINT64_MAX, 0, &r), RSI_ERROR_INPUT);
}
END_TEST

#define EXTENSIONS 50000u

static void *extend_often(void *index)
{
	struct rsi_regs r;
	unsigned int i;

	for (i = 0; i < EXTENSIONS; i++)
		status(RSI_MEASUREMENT_EXTEND, *(uint64_t *)index, 8, 7, &r);
	return NULL;
}

/* Two vCPUs at once: no extension is lost. */
START_TEST(extensions_by_two_all_count)
{
	uint64_t shared = 1, alone = 2;
	struct rsi_regs a, b;
	pthread_t other;

	ck_assert_int_eq(pthread_create(&other, NULL, extend_often, &shared), 0);
	extend_often(&shared);
	pthread_join(other, NULL);
	extend_often(&alone);
	extend_often(&alone);
	status(RSI_MEASUREMENT_READ, shared, 0, 0, &a);
	status(RSI_MEASUREMENT_READ, alone, 0, 0, &b);
	ck_assert_mem_eq(&a.x[1], &b.x[1], RSI_MEASUREMENT_SIZE);
}
END_TEST

START_TEST(no_token_is_forged)
{
	struct rsi_regs r;

	ck_assert_uint_eq(status(RSI_TOKEN_INIT, 1, 2, 3, &r), RSI_ERROR_UNKNOWN);
	ck_assert_uint_eq(r.x[1], 0);
	ck_assert_uint_eq(status(RSI_TOKEN_CONTINUE, RAM_BASE, 0, PAGE_SIZE, &r), RSI_ERROR_STATE);
	ck_assert_uint_eq(r.x[1], 0);
	ck_assert_uint_eq(status(RSI_TOKEN_CONTINUE, RAM_BASE + 8, 0, 8, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_TOKEN_CONTINUE, RAM_END, 0, 8, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(
		status(RSI_TOKEN_CONTINUE, RAM_BASE | TOP_BIT, 0, 8, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_TOKEN_CONTINUE, RAM_BASE, PAGE_SIZE, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_TOKEN_CONTINUE, RAM_BASE, 1, PAGE_SIZE, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(
		status(RSI_TOKEN_CONTINUE, RAM_BASE, 8, UINT64_MAX - 4, &r), RSI_ERROR_INPUT);
}
END_TEST

/* Where nothing can be put: misaligned, no RAM, shared by its address, past all addresses. */
static const uint64_t bad_pages[] = { RAM_BASE + 1, RAM_BASE + 2048, RAM_BASE - PAGE_SIZE, RAM_END,
	0, RAM_BASE | TOP_BIT, TOP_BIT, UINT64_MAX - PAGE_SIZE + 1, UINT64_MAX };

START_TEST(structures_lie_in_private_ram)
{
	uint64_t at = bad_pages[_i];
	struct arch_convert c;
	struct rsi_regs r;

	ck_assert_uint_eq(status(RSI_REALM_CONFIG, at, 0, 0, &r), RSI_ERROR_INPUT);
	/* That one may lie in the middle of a page. */
	at += at == RAM_BASE + 2048 ? 1 : 0;
	ck_assert_uint_eq(status(RSI_HOST_CALL, at, 0, 0, &r), RSI_ERROR_INPUT);
	ck_assert_int_eq(call(RSI_REALM_CONFIG, RAM_BASE, 0, 0, &r, &c), RSI_COPY_CONFIG);
	ck_assert_int_eq(call(RSI_HOST_CALL, RAM_END - RSI_HOST_CALL_SIZE, 0, 0, &r, &c),
		RSI_COPY_HOST_CALL);
}
END_TEST

START_TEST(nothing_is_put_into_shared_pages)
{
	struct arch_convert c;
	struct rsi_regs r;
	uint64_t response;

	set_state(RAM_BASE, RAM_BASE + PAGE_SIZE, RSI_RIPAS_EMPTY, &response);
	ck_assert_uint_eq(status(RSI_REALM_CONFIG, RAM_BASE, 0, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_HOST_CALL, RAM_BASE + 256, 0, 0, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_TOKEN_CONTINUE, RAM_BASE, 0, 8, &r), RSI_ERROR_INPUT);
	ck_assert_int_eq(
		call(RSI_REALM_CONFIG, RAM_BASE + PAGE_SIZE, 0, 0, &r, &c), RSI_COPY_CONFIG);
}
END_TEST

/* Of both calls about states: misaligned, empty, reversed, into the shared half, wrapping. */
static const struct {
	uint64_t base, top;
} bad_ranges[] = {
	{ RAM_BASE + 1, RAM_END },
	{ RAM_BASE, RAM_END - 1 },
	{ RAM_BASE, RAM_BASE },
	{ RAM_END, RAM_BASE },
	{ RAM_BASE, 0 },
	{ RAM_BASE | TOP_BIT, RAM_END | TOP_BIT },
	{ RAM_BASE, TOP_BIT + PAGE_SIZE },
	{ TOP_BIT, TOP_BIT + PAGE_SIZE },
	{ RAM_BASE, UINT64_MAX & ~(PAGE_SIZE - 1) },
	{ UINT64_MAX & ~(PAGE_SIZE - 1), PAGE_SIZE },
};

START_TEST(bad_ranges_are_refused)
{
	uint64_t base = bad_ranges[_i].base, top = bad_ranges[_i].top;
	struct rsi_regs r;

	ck_assert_uint_eq(
		status(RSI_IPA_STATE_SET, base, top, RSI_RIPAS_EMPTY, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_IPA_STATE_SET, base, top, RSI_RIPAS_RAM, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(status(RSI_IPA_STATE_GET, base, top, 0, &r), RSI_ERROR_INPUT);
}
END_TEST

START_TEST(only_two_states_can_be_asked_for)
{
	struct rsi_regs r;

	ck_assert_uint_eq(status(RSI_IPA_STATE_SET, RAM_BASE, RAM_END, 2, &r), RSI_ERROR_INPUT);
	ck_assert_uint_eq(
		status(RSI_IPA_STATE_SET, RAM_BASE, RAM_END, UINT64_MAX, &r), RSI_ERROR_INPUT);
}
END_TEST

START_TEST(states_follow_what_the_guest_asks)
{
	uint64_t mid = RAM_BASE + MIB(3), response;
	struct rsi_regs r;

	ck_assert_uint_eq(set_state(mid, mid + 3 * PAGE_SIZE, RSI_RIPAS_EMPTY, &response),
		mid + 3 * PAGE_SIZE);
	ck_assert_uint_eq(response, RSI_ACCEPT);
	ck_assert_uint_eq(status(RSI_IPA_STATE_GET, RAM_BASE, RAM_END, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], mid);
	ck_assert_uint_eq(r.x[2], RSI_RIPAS_RAM);
	ck_assert_uint_eq(status(RSI_IPA_STATE_GET, mid, RAM_END, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], mid + 3 * PAGE_SIZE);
	ck_assert_uint_eq(r.x[2], RSI_RIPAS_EMPTY);
	set_state(mid, mid + PAGE_SIZE, RSI_RIPAS_RAM, &response);
	ck_assert_uint_eq(status(RSI_IPA_STATE_GET, mid, RAM_END, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], mid + PAGE_SIZE);
	ck_assert_uint_eq(r.x[2], RSI_RIPAS_RAM);
}
END_TEST

/* Devices are EMPTY, or Linux would map them as private. */
START_TEST(outside_ram_all_is_empty)
{
	uint64_t response;
	struct rsi_regs r;

	ck_assert_uint_eq(status(RSI_IPA_STATE_GET, 0x1000000, 0x1001000, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], 0x1001000);
	ck_assert_uint_eq(r.x[2], RSI_RIPAS_EMPTY);
	ck_assert_uint_eq(status(RSI_IPA_STATE_GET, 0, TOP_BIT, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], RAM_BASE);
	ck_assert_uint_eq(status(RSI_IPA_STATE_GET, RAM_END, TOP_BIT, 0, &r), RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], TOP_BIT);
	/* Nor can it be changed, and nothing is reached. */
	ck_assert_uint_eq(set_state(0, RAM_END, RSI_RIPAS_EMPTY, &response), 0);
	ck_assert_uint_eq(response, RSI_REJECT);
	ck_assert_uint_eq(set_state(0, RAM_END, RSI_RIPAS_RAM, &response), 0);
	ck_assert_uint_eq(response, RSI_REJECT);
	ck_assert_uint_eq(set_state(RAM_END, TOP_BIT, RSI_RIPAS_RAM, &response), RAM_END);
	ck_assert_uint_eq(response, RSI_REJECT);
}
END_TEST

START_TEST(large_ranges_go_in_steps_that_end_with_ram)
{
	uint64_t at = RAM_BASE, response;
	unsigned int steps = 0;

	while (at < RAM_END) {
		uint64_t next = set_state(at, TOP_BIT, RSI_RIPAS_RAM, &response);

		ck_assert_uint_eq(response, RSI_ACCEPT);
		ck_assert_uint_gt(next, at);
		ck_assert_uint_le(next - at, RSI_CONVERT_MAX);
		at = next;
		steps++;
	}
	ck_assert_uint_eq(at, RAM_END);
	ck_assert_uint_eq(steps, align_up(RAM_SIZE, RSI_CONVERT_MAX) / RSI_CONVERT_MAX);
	ck_assert_uint_eq(set_state(at, TOP_BIT, RSI_RIPAS_RAM, &response), RAM_END);
	ck_assert_uint_eq(response, RSI_REJECT);
}
END_TEST

START_TEST(a_conversion_that_fails_is_rejected)
{
	struct arch_convert c = { gpa(RAM_BASE), PAGE_SIZE, false };
	struct rsi_regs r = { { 0 } };

	rsi_converted(&c, -ENOSPC, &r);
	ck_assert_uint_eq(r.x[0], RSI_SUCCESS);
	ck_assert_uint_eq(r.x[1], RAM_BASE);
	ck_assert_uint_eq(r.x[2], RSI_REJECT);
}
END_TEST

/* Registers that are no argument are not fetched, and those that are no result are left alone. */
START_TEST(shapes_cover_what_calls_use)
{
	struct rsi_regs before, r;
	struct arch_convert c;
	uint64_t id;
	unsigned int i;

	for (id = RSI_FIRST; id < RSI_FIRST + RSI_COUNT; id++) {
		struct rsi_context ctx = { &layout, mem, &realm };

		for (i = 0; i < ARRAY_SIZE(r.x); i++)
			before.x[i] = r.x[i] = 0x1234567 + i;
		if (rsi_decode(&ctx, id, &r, &c) != RSI_ANSWERED)
			continue;
		for (i = rsi_shape(id).results; i < ARRAY_SIZE(r.x); i++)
			ck_assert_uint_eq(r.x[i], before.x[i]);
	}
	ck_assert_uint_ge(rsi_shape(RSI_MEASUREMENT_EXTEND).args, 10);
	ck_assert_uint_eq(rsi_shape(RSI_MEASUREMENT_READ).results, 9);
}
END_TEST

Suite *rsi_suite(void)
{
	Suite *s = suite_create("rsi");
	TCase *t = tcase_create("calls");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, version_1_0_and_no_other);
	tcase_add_test(t, no_features_and_no_other_calls);
	tcase_add_test(t, initial_measurement_is_read_only);
	tcase_add_loop_test(t, extending_hashes_old_and_new, 0, (int)ARRAY_SIZE(extensions));
	tcase_add_test(t, extending_twice_is_a_chain);
	tcase_add_test(t, extensions_by_two_all_count);
	tcase_add_test(t, no_token_is_forged);
	tcase_add_loop_test(t, structures_lie_in_private_ram, 0, (int)ARRAY_SIZE(bad_pages));
	tcase_add_test(t, nothing_is_put_into_shared_pages);
	tcase_add_loop_test(t, bad_ranges_are_refused, 0, (int)ARRAY_SIZE(bad_ranges));
	tcase_add_test(t, only_two_states_can_be_asked_for);
	tcase_add_test(t, states_follow_what_the_guest_asks);
	tcase_add_test(t, outside_ram_all_is_empty);
	tcase_add_test(t, large_ranges_go_in_steps_that_end_with_ram);
	tcase_add_test(t, a_conversion_that_fails_is_rejected);
	tcase_add_test(t, shapes_cover_what_calls_use);
	suite_add_tcase(s, t);
	return s;
}
