/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "devices/bus.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

Suite *bus_suite(void);

/* A device that remembers the last access and reads as its tag. */
struct fake {
	uint8_t tag;
	unsigned int reads, writes;
	uint64_t off;
	unsigned int len;
	uint64_t data;
	pthread_mutex_t *must_hold;
};

static void note(struct fake *f, uint64_t off, unsigned int len)
{
	f->off = off;
	f->len = len;
	if (f->must_hold)
		ck_assert_int_eq(pthread_mutex_trylock(f->must_hold), EBUSY);
}

static void fake_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct fake *f = dev;

	note(f, off, len);
	f->reads++;
	memset(data, f->tag, len);
}

static void fake_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	struct fake *f = dev;

	note(f, off, len);
	f->writes++;
	f->data = 0;
	memcpy(&f->data, data, len);
}

static const struct bus_ops fake_ops = { .read = fake_read, .write = fake_write };

static int add(struct bus *b, const char *name, uint64_t base, uint64_t size, struct fake *f)
{
	struct err e = { "" };
	struct bus_dev d = { .name = name, .base = base, .size = size, .ops = &fake_ops, .dev = f };
	int r = bus_add(b, &d, &e);

	ck_assert_msg(!r == !e.msg[0], "a refusal comes with a sentence: %d '%s'", r, e.msg);
	return r;
}

static uint64_t get(struct bus *b, uint64_t addr, unsigned int len)
{
	uint64_t v = 0;

	bus_read(b, addr, &v, len);
	return v;
}

static const struct {
	uint64_t last, base, size;
	int want;
} add_edges[] = {
	{ UINT64_MAX, 0x1000, 0, -EINVAL },
	{ UINT64_MAX, 0, 0, -EINVAL },
	{ UINT64_MAX, 0, 1, 0 },
	{ UINT64_MAX, UINT64_MAX, 1, 0 },
	{ UINT64_MAX, UINT64_MAX, 2, -EINVAL },
	{ UINT64_MAX, UINT64_MAX - 0xfff, 0x1000, 0 },
	{ UINT64_MAX, UINT64_MAX - 0xfff, 0x1001, -EINVAL },
	{ UINT64_MAX, 1, UINT64_MAX, 0 },
	{ UINT64_MAX, 2, UINT64_MAX, -EINVAL },
	{ UINT64_MAX, 0x10, 0xffffffffffffffff, -EINVAL },
	{ 0xffff, 0xffff, 1, 0 },
	{ 0xffff, 0xfff8, 8, 0 },
	{ 0xffff, 0xfff9, 8, -EINVAL },
	{ 0xffff, 0x10000, 1, -EINVAL },
};

START_TEST(refuses_bad_ranges)
{
	struct fake f = { 0 };
	struct bus b;

	bus_init(&b, "test", add_edges[_i].last);
	ck_assert_int_eq(
		add(&b, "d", add_edges[_i].base, add_edges[_i].size, &f), add_edges[_i].want);
}
END_TEST

START_TEST(refuses_devices_without_operations)
{
	static const struct bus_ops half = { .read = fake_read };
	struct bus_dev d = { .name = "d", .base = 0, .size = 1 };
	struct bus b;

	bus_init(&b, "test", UINT64_MAX);
	ck_assert_int_eq(bus_add(&b, &d, NULL), -EINVAL);
	d.ops = &half;
	ck_assert_int_eq(bus_add(&b, &d, NULL), -EINVAL);
}
END_TEST

/* Against devices at 0x1000-0x10ff and 0x2000-0x20ff. */
static const struct {
	uint64_t base, size;
	int want;
} overlaps[] = {
	{ 0xfff, 1, 0 },
	{ 0xfff, 2, -EEXIST },
	{ 0x1000, 1, -EEXIST },
	{ 0x1000, 0x100, -EEXIST },
	{ 0x10ff, 1, -EEXIST },
	{ 0x10ff, 2, -EEXIST },
	{ 0x1100, 1, 0 },
	{ 0x1100, 0xf00, 0 },
	{ 0x1100, 0xf01, -EEXIST },
	{ 0x800, 0x4000, -EEXIST },
	{ 0x1080, 8, -EEXIST },
	{ 0x20ff, 1, -EEXIST },
	{ 0x2100, 1, 0 },
	{ 0, 0x1000, 0 },
	{ 0, 0x1001, -EEXIST },
};

START_TEST(refuses_overlap)
{
	struct fake f = { 0 };
	struct bus b;

	bus_init(&b, "test", UINT64_MAX);
	ck_assert_int_eq(add(&b, "high", 0x2000, 0x100, &f), 0);
	ck_assert_int_eq(add(&b, "low", 0x1000, 0x100, &f), 0);
	ck_assert_int_eq(
		add(&b, "new", overlaps[_i].base, overlaps[_i].size, &f), overlaps[_i].want);
	ck_assert_uint_eq(b.count, overlaps[_i].want ? 2 : 3);
}
END_TEST

START_TEST(refuses_one_too_many)
{
	struct fake f = { 0 };
	struct bus b;

	bus_init(&b, "test", UINT64_MAX);
	for (uint64_t i = 0; i < BUS_DEVS_MAX; i++)
		ck_assert_int_eq(add(&b, "d", i * 2, 1, &f), 0);
	ck_assert_int_eq(add(&b, "d", 0x1000, 1, &f), -ENOSPC);
}
END_TEST

/* Every insertion order of a few devices finds the same device at each address. */
START_TEST(finds_by_address)
{
	struct fake f[7] = { 0 };
	struct bus b;

	bus_init(&b, "test", UINT64_MAX);
	for (unsigned int i = 0; i < ARRAY_SIZE(f); i++) {
		/* 7 is prime: each step visits all of them in another order. */
		unsigned int k = (i * (unsigned int)_i) % 7;

		f[k].tag = (uint8_t)(k + 1);
		ck_assert_int_eq(add(&b, "d", 0x100 + k * 0x20, 0x10, &f[k]), 0);
	}
	for (uint64_t a = 0xf0; a < 0x200; a++) {
		uint64_t k = (a - 0x100) / 0x20;
		bool hit = a >= 0x100 && k < 7 && (a - 0x100) % 0x20 < 0x10;

		ck_assert_uint_eq(get(&b, a, 1), hit ? k + 1 : 0xff);
		if (hit)
			ck_assert_uint_eq(f[k].off, (a - 0x100) % 0x20);
	}
}
END_TEST

START_TEST(access_across_an_end_is_nobodys)
{
	struct fake a = { .tag = 0xaa }, c = { .tag = 0xcc };
	struct bus b;

	bus_init(&b, "test", UINT64_MAX);
	ck_assert_int_eq(add(&b, "a", 0x1000, 8, &a), 0);
	ck_assert_int_eq(add(&b, "c", 0x1008, 8, &c), 0);
	for (unsigned int len = 1; len <= 8; len++) {
		for (uint64_t off = 0; off < 8; off++) {
			uint64_t ones = len == 8 ? UINT64_MAX : BIT(8 * len) - 1;
			unsigned int writes = a.writes;
			bool fits = off + len <= 8;
			uint64_t want = fits ? 0xaaaaaaaaaaaaaaaaULL & ones : ones;

			ck_assert_uint_eq(get(&b, 0x1000 + off, len), want);
			bus_write(&b, 0x1000 + off, &want, len);
			ck_assert_uint_eq(a.writes, writes + (fits ? 1 : 0));
		}
	}
	ck_assert_uint_eq(c.reads + c.writes, 0);
}
END_TEST

START_TEST(ends_of_the_address_space)
{
	struct fake lo = { .tag = 1 }, hi = { .tag = 2 };
	uint64_t v = 7;
	struct bus b;

	bus_init(&b, "test", UINT64_MAX);
	ck_assert_uint_eq(get(&b, 0, 4), 0xffffffff); /* an empty bus */
	ck_assert_int_eq(add(&b, "lo", 0, 4, &lo), 0);
	ck_assert_int_eq(add(&b, "hi", UINT64_MAX - 3, 4, &hi), 0);
	ck_assert_uint_eq(get(&b, 0, 4), 0x01010101);
	ck_assert_uint_eq(get(&b, UINT64_MAX - 3, 4), 0x02020202);
	ck_assert_uint_eq(get(&b, UINT64_MAX, 1), 2);
	/* These would wrap around to the first device. */
	ck_assert_uint_eq(get(&b, UINT64_MAX, 2), 0xffff);
	ck_assert_uint_eq(get(&b, UINT64_MAX - 2, 4), 0xffffffff);
	bus_read(&b, 0, &v, 0);
	bus_write(&b, 0, &v, 0);
	ck_assert_uint_eq(v, 7);
	ck_assert_uint_eq(lo.reads, 1);
}
END_TEST

START_TEST(holds_the_lock_of_the_device)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct fake f = { .must_hold = &lock };
	struct bus_dev d = { "d", 0, 8, &fake_ops, &f, &lock };
	uint64_t v = 0;
	struct bus b;

	bus_init(&b, "test", UINT64_MAX);
	ck_assert_int_eq(bus_add(&b, &d, NULL), 0);
	bus_read(&b, 0, &v, 8);
	bus_write(&b, 0, &v, 8);
	ck_assert_uint_eq(f.reads + f.writes, 2);
	ck_assert_int_eq(pthread_mutex_trylock(&lock), 0);
}
END_TEST

START_TEST(a_guest_cannot_fill_the_log)
{
	char text[8192];
	ssize_t n;
	struct bus b;
	int p[2], saved = dup(STDERR_FILENO);
	unsigned int lines = 0;

	ck_assert_int_eq(pipe(p), 0);
	dup2(p[1], STDERR_FILENO);
	bus_init(&b, "test", UINT64_MAX);
	log_set_level(LOG_DEBUG);
	for (unsigned int round = 0; round < 3; round++)
		for (uint64_t a = 0; a < 4; a++)
			get(&b, a, 1);
	ck_assert_uint_eq(atomic_load(&b.seen_count), 4);
	for (uint64_t a = 0; a < 10000; a++)
		get(&b, a * 8, 8);
	log_set_level(LOG_WARN);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(p[1]);
	n = read(p[0], text, sizeof(text));
	close(p[0]);
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	ck_assert_uint_eq(lines, BUS_SEEN_MAX);
}
END_TEST

Suite *bus_suite(void)
{
	Suite *s = suite_create("bus");
	TCase *t = tcase_create("bus");

	tcase_add_loop_test(t, refuses_bad_ranges, 0, (int)ARRAY_SIZE(add_edges));
	tcase_add_test(t, refuses_devices_without_operations);
	tcase_add_loop_test(t, refuses_overlap, 0, (int)ARRAY_SIZE(overlaps));
	tcase_add_test(t, refuses_one_too_many);
	tcase_add_loop_test(t, finds_by_address, 1, 7);
	tcase_add_test(t, access_across_an_end_is_nobodys);
	tcase_add_test(t, ends_of_the_address_space);
	tcase_add_test(t, holds_the_lock_of_the_device);
	tcase_add_test(t, a_guest_cannot_fill_the_log);
	suite_add_tcase(s, t);
	return s;
}
