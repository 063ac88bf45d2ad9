/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "devices/ratelimit.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define MS 1000000ull
#define S  (1000 * MS)

static struct ratelimit rl;
static uint64_t now;

/* Tokens and milliseconds; time starts anywhere but at 0. */
static void limit(struct bucket_config bandwidth, struct bucket_config ops)
{
	struct ratelimit_config cfg = { bandwidth, ops };
	struct err e = { "" };

	ck_assert_msg(!ratelimit_check(&cfg, &e), "%s", e.msg);
	now = 5 * S;
	ratelimit_set_at(&rl, &cfg, now);
}

static void limit_bytes(uint64_t size, uint64_t burst, uint64_t refill_ms)
{
	limit((struct bucket_config){ size, burst, refill_ms }, (struct bucket_config){ 0 });
}

/* 0 when it was taken, else the wait. */
static uint64_t take(uint64_t ops, uint64_t bytes)
{
	uint64_t wait = 0;

	if (ratelimit_take_at(&rl, ops, bytes, now, &wait))
		return 0;
	ck_assert_uint_gt(wait, 0);
	return wait;
}

static const struct {
	struct bucket_config bandwidth, ops;
} unlimited[] = {
	{ { 0, 0, 0 }, { 0, 0, 0 } },
	{ { 0, 100, 1000 }, { 0, 100, 1000 } },
	{ { 100, 0, 0 }, { 100, 5, 0 } },
};

START_TEST(zero_means_no_limit)
{
	limit(unlimited[_i].bandwidth, unlimited[_i].ops);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(take(UINT64_MAX, UINT64_MAX), 0);
	ratelimit_give(&rl, 1, UINT64_MAX);
}
END_TEST

START_TEST(full_bucket_is_spent_then_waited_for)
{
	limit_bytes(1000, 0, 1000);
	ck_assert_uint_eq(take(1, 600), 0);
	ck_assert_uint_eq(take(1, 400), 0);
	ck_assert_uint_eq(take(1, 100), 100 * MS);
	now += 99 * MS;
	ck_assert_uint_eq(take(1, 100), 1 * MS);
	now += 1 * MS;
	ck_assert_uint_eq(take(1, 100), 0);
	ck_assert_uint_eq(take(1, 100), 100 * MS);
}
END_TEST

START_TEST(refill_stops_at_the_size)
{
	limit_bytes(1000, 0, 1000);
	now += 3600 * S;
	ck_assert_uint_eq(take(1, 1000), 0);
	ck_assert_uint_eq(take(1, 500), 500 * MS);
	now += 3600 * S;
	ck_assert_uint_eq(take(1, 1000), 0);
	ck_assert_uint_eq(take(1, 1000), 1 * S);
}
END_TEST

START_TEST(burst_is_spent_first_and_once)
{
	limit_bytes(1000, 300, 1000);
	ck_assert_uint_eq(take(1, 200), 0);
	ck_assert_uint_eq(rl.bandwidth.burst, 100);
	ck_assert_uint_eq(rl.bandwidth.budget, 1000);
	/* 100 from the burst, 400 from the bucket. */
	ck_assert_uint_eq(take(1, 500), 0);
	ck_assert_uint_eq(rl.bandwidth.budget, 600);
	ck_assert_uint_eq(take(1, 600), 0);
	ck_assert_uint_eq(take(1, 10), 10 * MS);
	now += 3600 * S;
	ck_assert_uint_eq(take(1, 1001), 0); /* more than the size: a debt, no burst any more */
	ck_assert_uint_gt(take(1, 1), 0);
}
END_TEST

START_TEST(buckets_are_taken_from_together)
{
	limit((struct bucket_config){ 1000, 0, 1000 }, (struct bucket_config){ 2, 0, 1000 });
	ck_assert_uint_eq(take(1, 900), 0);
	/* Enough operations, too few bytes: the operation stays. */
	ck_assert_uint_eq(take(1, 200), 100 * MS);
	ck_assert_uint_eq(rl.ops.budget, 1);
	now += 100 * MS;
	ck_assert_uint_eq(take(1, 200), 0);
	/* And the other way round. */
	now += 150 * MS;
	ck_assert_uint_eq(take(1, 1), 250 * MS);
	ck_assert_uint_ge(rl.bandwidth.budget, 150);
}
END_TEST

START_TEST(small_request_does_not_overtake)
{
	limit_bytes(1000, 0, 1000);
	ck_assert_uint_eq(take(1, 1000), 0);
	now += 100 * MS;
	ck_assert_uint_eq(take(1, 500), 400 * MS);
	ck_assert_uint_eq(take(1, 1), 400 * MS);
	now += 400 * MS;
	ck_assert_uint_eq(take(1, 500), 0);
}
END_TEST

START_TEST(request_larger_than_the_bucket_is_paid_for_later)
{
	limit_bytes(1000, 0, 1000);
	ck_assert_uint_eq(take(1, 500), 0);
	/* Only when the bucket is full; then 4000 are missing. */
	ck_assert_uint_eq(take(1, 5000), 500 * MS);
	now += 500 * MS;
	ck_assert_uint_eq(take(1, 5000), 0);
	ck_assert_uint_eq(take(1, 1), 4 * S);
	now += 4 * S - 1;
	ck_assert_uint_eq(take(1, 1), 1);
	now += 1;
	/* Paid, and empty: nothing came for free meanwhile. */
	ck_assert_uint_eq(take(1, 100), 100 * MS);
}
END_TEST

START_TEST(long_run_keeps_the_rate)
{
	/* Sizes that do not divide: 7 tokens in 3 ms, asked for in many small steps. */
	static const uint64_t steps[] = { 1, 333, 100003, 10 * MS, 7 * MS + 1 };
	uint64_t got = 0, end;

	limit_bytes(7000, 0, 3000);
	ck_assert_uint_eq(take(1, 7000), 0);
	end = now + 30 * S;
	for (unsigned int i = 0; now < end; i++) {
		uint64_t wait = 0;

		if (ratelimit_take_at(&rl, 1, 10, now, &wait))
			got += 10;
		else
			now += i % 3 ? wait : min_u64(wait, steps[i % ARRAY_SIZE(steps)]);
	}
	/* 70000 in 30 s: not one too many, and none lost but for the last wait. */
	ck_assert_uint_le(got, 70010);
	ck_assert_uint_ge(got, 69900);
}
END_TEST

START_TEST(no_time_counts_twice)
{
	/* One and a half tokens in a nanosecond: the half is not worth a whole one. */
	limit_bytes(1500000, 0, 1);
	ck_assert_uint_eq(take(1, 1500000), 0);
	now += 1;
	ck_assert_uint_eq(take(1, 1), 0);
	ck_assert_uint_gt(take(1, 1), 0);
}
END_TEST

START_TEST(tiny_waits_are_joined)
{
	/* A token each microsecond; but one wake-up in 10 ms, or when all is full. */
	limit_bytes(1000000, 0, 1000);
	ck_assert_uint_eq(take(1, 1000000), 0);
	ck_assert_uint_eq(take(1, 1), 10 * MS);
	limit_bytes(1000, 0, 1);
	ck_assert_uint_eq(take(1, 1000), 0);
	ck_assert_uint_eq(take(1, 1), 1 * MS);
}
END_TEST

START_TEST(given_back_tokens_serve_again)
{
	limit((struct bucket_config){ 1000, 0, 1000 }, (struct bucket_config){ 1, 0, 1000 });
	ck_assert_uint_eq(take(1, 1000), 0);
	ratelimit_give(&rl, 1, 400);
	ck_assert_uint_eq(take(1, 400), 0);
	ratelimit_give(&rl, 5, UINT64_MAX);
	ck_assert_uint_eq(rl.bandwidth.budget, 1000);
	ck_assert_uint_eq(rl.ops.budget, 1);
}
END_TEST

START_TEST(extremes_do_not_overflow)
{
	limit_bytes(BIT(62), BIT(62), 1);
	ck_assert_uint_eq(take(1, UINT64_MAX), 0);
	ck_assert_uint_gt(take(1, 1), 0);
	limit_bytes(1, 0, 72057594037ull);
	ck_assert_uint_eq(take(1, 1), 0);
	ck_assert_uint_eq(take(1, 1), 72057594037ull * MS);
	limit_bytes(1, 0, 72057594037ull);
	ck_assert_uint_eq(take(1, UINT64_MAX), 0);
	ck_assert_uint_ge(take(1, 1), BIT(61));
	now = BIT(63);
	ck_assert_uint_eq(take(1, 1), 0);
}
END_TEST

static const struct {
	struct ratelimit_config cfg;
	const char *part;
} bad[] = {
	{ { { 1, 0, 72057594038ull }, { 0 } }, "rate limit for bandwidth: refill time" },
	{ { { 0 }, { 1, 0, UINT64_MAX } }, "rate limit for operations: refill time" },
	{ { { BIT(62) + 1, 0, 1 }, { 0 } }, "rate limit for bandwidth: more than" },
	{ { { 0 }, { 1, BIT(62) + 1, 1 } }, "rate limit for operations: more than" },
};

START_TEST(uncountable_limits_are_refused)
{
	struct ratelimit r;
	struct err e = { "" };

	ck_assert_int_eq(ratelimit_check(&bad[_i].cfg, &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, bad[_i].part) != NULL, "%s", e.msg);
	ck_assert_int_eq(ratelimit_init(&r, &bad[_i].cfg, NULL, NULL, NULL, &e), -EINVAL);
	ratelimit_free(&r);
}
END_TEST

/* ---- the timer ---- */

struct owner {
	struct loop *loop;
	struct ratelimit limit;
	unsigned int taken;
	unsigned int rang;
};

static void on_ready(void *arg)
{
	struct owner *o = arg;

	o->rang++;
	while (o->taken < 60 && ratelimit_take(&o->limit, 1, 10))
		o->taken++;
	if (o->taken == 60)
		loop_stop(o->loop);
}

START_TEST(timer_comes_until_all_is_served)
{
	/* 200 at once, then 10 a millisecond: 40 more requests take 40 ms. */
	struct ratelimit_config cfg = { { 200, 0, 20 }, { 0 } };
	struct owner o = { 0 };
	struct err e = { "" };

	ck_assert_int_eq(loop_new(&o.loop, NULL, &e), 0);
	ck_assert_int_eq(ratelimit_init(&o.limit, &cfg, o.loop, on_ready, &o, &e), 0);
	on_ready(&o);
	ck_assert_uint_ge(o.taken, 20);
	ck_assert_uint_lt(o.taken, 60);
	ck_assert_int_eq(loop_run(o.loop), 0);
	ck_assert_uint_eq(o.taken, 60);
	/* Not one wake-up for each request. */
	ck_assert_uint_ge(o.rang, 2);
	ck_assert_uint_le(o.rang, 20);
	ratelimit_free(&o.limit);
	loop_free(o.loop);
}
END_TEST

START_TEST(new_limits_wake_who_waits_for_the_old)
{
	struct ratelimit_config slow = { { 10, 0, 3600000 }, { 0 } }, none = { { 0 }, { 0 } };
	struct ratelimit_config wrong = { { 1, 0, UINT64_MAX }, { 0 } };
	struct owner o = { 0 };
	struct err e = { "" };

	ck_assert_int_eq(loop_new(&o.loop, NULL, &e), 0);
	ck_assert_int_eq(ratelimit_init(&o.limit, &slow, o.loop, on_ready, &o, &e), 0);
	on_ready(&o);
	ck_assert_uint_eq(o.taken, 1);
	ck_assert_int_eq(ratelimit_set(&o.limit, &wrong, &e), -EINVAL);
	ck_assert_uint_eq(o.limit.bandwidth.size, 10);
	ck_assert_int_eq(ratelimit_set(&o.limit, &none, &e), 0);
	ck_assert_int_eq(loop_run(o.loop), 0);
	ck_assert_uint_eq(o.taken, 60);
	ratelimit_free(&o.limit);
	loop_free(o.loop);
}
END_TEST

Suite *ratelimit_suite(void)
{
	Suite *s = suite_create("ratelimit");
	TCase *t = tcase_create("ratelimit");

	tcase_add_loop_test(t, zero_means_no_limit, 0, (int)ARRAY_SIZE(unlimited));
	tcase_add_test(t, full_bucket_is_spent_then_waited_for);
	tcase_add_test(t, refill_stops_at_the_size);
	tcase_add_test(t, burst_is_spent_first_and_once);
	tcase_add_test(t, buckets_are_taken_from_together);
	tcase_add_test(t, small_request_does_not_overtake);
	tcase_add_test(t, request_larger_than_the_bucket_is_paid_for_later);
	tcase_add_test(t, long_run_keeps_the_rate);
	tcase_add_test(t, no_time_counts_twice);
	tcase_add_test(t, tiny_waits_are_joined);
	tcase_add_test(t, given_back_tokens_serve_again);
	tcase_add_test(t, extremes_do_not_overflow);
	tcase_add_loop_test(t, uncountable_limits_are_refused, 0, (int)ARRAY_SIZE(bad));
	tcase_add_test(t, timer_comes_until_all_is_served);
	tcase_add_test(t, new_limits_wake_who_waits_for_the_old);
	suite_add_tcase(s, t);
	return s;
}
